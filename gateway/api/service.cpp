#include "api/service.h"

#include "adapters/native/convert.h"
#include "api/auth.h"
#include "api/errors.h"
#include "api/page_token.h"
#include "api/stream.h"
#include "api/to_proto.h"

namespace gw::api {
namespace {

namespace v1 = ::interop::gateway::v1;
using adapters::native::to_proto;

constexpr std::size_t kPageBytes = 1u << 20;
constexpr int kDefaultPage = 100, kMaxPage = 1000;

adapter::Decoded<user::Name> name_of(const Caller& caller, const std::string& user_id) {
  auto ours = caller.provider.adapter->identity->to_ours(user_id);
  if (!ours) return adapter::fault(std::move(ours).error(), "user_id");
  return user::Name{caller.provider.tenant, *std::move(ours)};
}

adapter::Decoded<std::size_t> page_size(int asked) {
  if (asked < 0 || asked > kMaxPage)
    return adapter::fault(
        {ErrorKind::kRejected, "PAGE_SIZE_INVALID", "page_size must be 0 to 1000", {}},
        "page_size");
  return static_cast<std::size_t>(asked == 0 ? kDefaultPage : asked);
}

bool is_message_id(std::string_view id) {
  return id.size() == 32 && id.find_first_not_of("0123456789ABCDEF") == std::string_view::npos;
}

// As WhatsApp's clients make them.
bool are_message_ids(const std::vector<std::string>& ids) {
  return !ids.empty() && ids.size() <= 256 && std::all_of(ids.begin(), ids.end(), [](auto& id) {
    return !id.empty() && id.size() <= 255;
  });
}

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Service::Connect(Server* server) {
  auto caller = identify(*server->auth_context(), context_->options.providers);
  if (!caller) {
    bump(context_->probe.streams_refused);
    return refuse_stream(std::move(caller).error());
  }
  return Stream::open(context_, streams_, server, *std::move(caller));
}

template <class Request, class Handler>
grpc::ServerUnaryReactor* Service::serve(Server* server, const Octets* request, Octets* response,
                                         Handler handler) {
  auto call = Call::begin(context_, server, response);
  auto caller = identify(*server->auth_context(), context_->options.providers);
  if (!caller) {
    call->refuse(std::move(caller).error());
    return call.get();
  }
  std::size_t limit = context_->limits().max_frame;
  if (request->Length() > limit) {
    call->refuse(to_status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                           {ErrorKind::kRejected,
                            "REQUEST_TOO_LARGE",
                            "a request holds at most " + std::to_string(limit) + " octets",
                            {}}));
    return call.get();
  }
  Request message;
  Octets octets(*request);
  grpc::ProtoBufferReader reader(&octets);
  if (!message.ParseFromZeroCopyStream(&reader) || !reader.status().ok()) {
    call->refuse(Error{ErrorKind::kRejected,
                       "REQUEST_MALFORMED",
                       "the octets do not parse, or a string is not UTF-8",
                       {}});
    return call.get();
  }
  handler(call, *caller, message);
  return call.get();
}

grpc::ServerUnaryReactor* Service::Enlist(Server* server, const Octets* request, Octets* response) {
  return serve<v1::EnlistRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        if (call->over()) return;
        context_->users.enlist(*std::move(name),
                               call->template done<bool>([](Call& to, bool created) {
                                 v1::EnlistResponse out;
                                 out.set_created(created);
                                 out.set_trust_level(v1::TRUST_LEVEL_IN_GATEWAY);
                                 to.answer(out);
                               }));
      });
}

grpc::ServerUnaryReactor* Service::Withdraw(Server* server, const Octets* request,
                                            Octets* response) {
  return serve<v1::WithdrawRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        if (call->over()) return;
        context_->users.withdraw(*std::move(name), [call](Result<void> result) {
          if (!result) return call->refuse(result.error());
          call->answer(v1::WithdrawResponse());
        });
      });
}

grpc::ServerUnaryReactor* Service::GetUser(Server* server, const Octets* request,
                                           Octets* response) {
  return serve<v1::GetUserRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        context_->users.get_user(
            *std::move(name), call->template done<user::UserInfo>(
                                  [id = in.user_id()](Call& to, const user::UserInfo& info) {
                                    v1::GetUserResponse out;
                                    out.set_user_id(id);
                                    out.set_enlisted(info.enlisted);
                                    out.set_attached(info.attached);
                                    out.set_link_state(api::to_proto(info.link));
                                    out.set_acked_seq(static_cast<std::uint64_t>(info.acked_event));
                                    out.set_last_seq(static_cast<std::uint64_t>(info.last_event));
                                    out.set_read_receipts(info.read_receipts);
                                    out.set_trust_level(v1::TRUST_LEVEL_IN_GATEWAY);
                                    to.answer(out);
                                  }));
      });
}

grpc::ServerUnaryReactor* Service::SendMessage(Server* server, const Octets* request,
                                               Octets* response) {
  return serve<v1::SendMessageRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        auto submit = adapters::native::take_submit(in);
        if (!submit) return call->refuse(submit.error());
        if (call->over()) return;
        context_->users.send(
            *std::move(name), *std::move(submit),
            call->template done<user::SubmitResult>([](Call& to, const user::SubmitResult& result) {
              if (result.error) return to.refuse(*result.error);
              v1::SendMessageResponse out;
              out.mutable_message()->set_message_id(result.message_id);
              out.mutable_message()->set_state(to_proto(result.state));
              to.answer(out);
            }));
      });
}

grpc::ServerUnaryReactor* Service::GetMessage(Server* server, const Octets* request,
                                              Octets* response) {
  return serve<v1::GetMessageRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        if (!is_message_id(in.message_id()))
          return call->refuse(adapter::Fault{{ErrorKind::kRejected,
                                              "MESSAGE_ID_INVALID",
                                              "message_id must be 32 characters of 0-9 A-F",
                                              {}},
                                             "message_id"});
        context_->users.get_message(
            *std::move(name), in.message_id(),
            call->template done<user::MessageInfo>([](Call& to, const user::MessageInfo& info) {
              v1::GetMessageResponse out;
              out.set_message_id(info.message_id);
              out.set_request_id(info.request_id);
              to_proto(info.contact, *out.mutable_to());
              out.set_state(to_proto(info.state));
              out.set_reason(to_proto(info.reason));
              to_proto(info.created, *out.mutable_create_time());
              to.answer(out);
            }));
      });
}

grpc::ServerUnaryReactor* Service::ListEvents(Server* server, const Octets* request,
                                              Octets* response) {
  return serve<v1::ListEventsRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        auto limit = page_size(in.page_size());
        if (!limit) return call->refuse(limit.error());
        if (in.after_seq() > static_cast<std::uint64_t>(INT64_MAX))
          return call->refuse(adapter::Fault{
              {ErrorKind::kRejected, "SEQ_INVALID", "after_seq is no event's number", {}},
              "after_seq"});
        context_->users.read_events(
            *std::move(name), static_cast<EventSeq>(in.after_seq()), *limit, kPageBytes,
            call->template done<std::vector<message::Event>>(
                [id = in.user_id()](Call& to, const std::vector<message::Event>& events) {
                  v1::ListEventsResponse out;
                  for (const message::Event& event : events) to_proto(event, id, *out.add_events());
                  if (!events.empty())
                    out.set_next_after_seq(static_cast<std::uint64_t>(events.back().seq));
                  to.answer(out);
                }));
      });
}

grpc::ServerUnaryReactor* Service::ListUsersWithPendingEvents(Server* server, const Octets* request,
                                                              Octets* response) {
  return serve<v1::ListUsersWithPendingEventsRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto limit = page_size(in.page_size());
        if (!limit) return call->refuse(limit.error());
        auto after = from_page_token(in.page_token());
        if (!after) return call->refuse(after.error());
        context_->users.pending_users(
            caller.provider.tenant, *after, *limit,
            call->template done<std::vector<user::Users::Pending>>(
                [limit = *limit, identity = caller.provider.adapter->identity](
                    Call& to, const std::vector<user::Users::Pending>& users) {
                  v1::ListUsersWithPendingEventsResponse out;
                  for (const auto& user : users) {
                    if (user.user_id.empty()) continue;  // its row is damaged
                    auto* one = out.add_users();
                    one->set_user_id(identity->to_native(user.user_id));
                    one->set_acked_seq(static_cast<std::uint64_t>(user.acked_event));
                    one->set_last_seq(static_cast<std::uint64_t>(user.last_event));
                  }
                  if (users.size() >= limit)
                    out.set_next_page_token(to_page_token(users.back().cursor));
                  to.answer(out);
                }));
      });
}

grpc::ServerUnaryReactor* Service::GetContact(Server* server, const Octets* request,
                                              Octets* response) {
  return serve<v1::GetContactRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        auto contact = adapters::native::take(*in.mutable_contact(), "contact");
        if (!contact) return call->refuse(contact.error());
        if (call->over()) return;
        context_->users.get_contact(
            *std::move(name), *std::move(contact),
            call->template done<user::ContactInfo>([](Call& to, const user::ContactInfo& info) {
              v1::GetContactResponse out;
              to_proto(info.contact, *out.mutable_contact());
              out.set_lid(info.lid);
              out.set_reachable(info.reachable);
              out.set_opted_in(info.opted_in);
              out.set_device_count(info.devices);
              out.set_safety_number(info.safety_number);
              to.answer(out);
            }));
      });
}

grpc::ServerUnaryReactor* Service::MarkRead(Server* server, const Octets* request,
                                            Octets* response) {
  return serve<v1::MarkReadRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        auto from = adapters::native::take(*in.mutable_from(), "from");
        if (!from) return call->refuse(from.error());
        std::vector<std::string> ids(in.message_ids().begin(), in.message_ids().end());
        if (!are_message_ids(ids))
          return call->refuse(
              adapter::Fault{{ErrorKind::kRejected,
                              "MESSAGE_IDS_INVALID",
                              "message_ids must be 1 to 256 ids as MessageReceived tells them",
                              {}},
                             "message_ids"});
        if (call->over()) return;
        context_->users.mark_read(*std::move(name), *std::move(from), std::move(ids),
                                  call->template done<bool>([](Call& to, bool told) {
                                    v1::MarkReadResponse out;
                                    out.set_told(told);
                                    to.answer(out);
                                  }));
      });
}

grpc::ServerUnaryReactor* Service::UpdateUser(Server* server, const Octets* request,
                                              Octets* response) {
  return serve<v1::UpdateUserRequest>(
      server, request, response, [this](auto& call, auto& caller, auto& in) {
        auto name = name_of(caller, in.user_id());
        if (!name) return call->refuse(name.error());
        if (call->over()) return;
        std::optional<bool> wanted;
        if (in.has_read_receipts()) wanted = in.read_receipts();
        context_->users.update_user(*std::move(name), wanted,
                                    call->template done<bool>([](Call& to, bool read_receipts) {
                                      v1::UpdateUserResponse out;
                                      out.set_read_receipts(read_receipts);
                                      to.answer(out);
                                    }));
      });
}

}  // namespace gw::api
