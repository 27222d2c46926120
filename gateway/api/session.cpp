// Frames of a backend, all but Submit.
#include "api/session.h"

#include <algorithm>

#include "adapters/native/convert.h"
#include "api/errors.h"

namespace gw::api {
namespace {

constexpr std::size_t kMaxInstanceId = 64;
constexpr std::size_t kMaxEventWindow = 4096;
constexpr std::size_t kMaxToken = 8192;
constexpr std::size_t kMaxAddress = 64;

tl::unexpected<grpc::Status> broken(grpc::StatusCode code, std::string_view reason,
                                    std::string message) {
  return tl::unexpected(
      to_status(code, {ErrorKind::kRejected, reason, std::move(message), Millis{0}}));
}

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

EventSeq to_seq(std::uint64_t seq) {
  return static_cast<EventSeq>(std::min<std::uint64_t>(seq, INT64_MAX));
}

}  // namespace

Session::Session(std::shared_ptr<Context> context, Caller caller, Carrier& carrier)
    : context_(std::move(context)), caller_(std::move(caller)), carrier_(carrier) {}

Session::Outcome Session::on_frame(v1::ConnectRequest& frame) {
  using In = v1::ConnectRequest;
  if (frame.frame_case() == In::FRAME_NOT_SET)
    return broken(grpc::StatusCode::INVALID_ARGUMENT, "FRAME_EMPTY",
                  "the frame holds nothing that this gateway knows");
  if (frame.has_hello()) return hello(frame.hello());
  if (!greeted())
    return broken(grpc::StatusCode::FAILED_PRECONDITION, "HELLO_MISSING",
                  "the first frame must be hello");
  switch (frame.frame_case()) {
    case In::kAttach:
      attach(*frame.mutable_attach());
      break;
    case In::kDetach:
      detach(frame.detach());
      break;
    case In::kFreshToken:
      fresh_token(*frame.mutable_fresh_token());
      break;
    case In::kSubmit:
      return submit(*frame.mutable_submit());
    case In::kAcknowledge:
      acknowledge(frame.acknowledge());
      break;
    case In::kHeartbeat: {
      v1::ConnectResponse echo;
      echo.mutable_heartbeat_echo()->set_nonce(frame.heartbeat().nonce());
      send(echo);
      break;
    }
    case In::kHello:
    case In::FRAME_NOT_SET:
      break;
  }
  return {};
}

void Session::send(const v1::ConnectResponse& frame) {
  carrier_.push(frame);
  carrier_.flush();
}

Session::Outcome Session::hello(const v1::Hello& hello) {
  if (greeted())
    return broken(grpc::StatusCode::FAILED_PRECONDITION, "HELLO_REPEATED",
                  "hello comes once, as the first frame");
  const std::string& id = hello.instance_id();
  auto invalid = [](std::string field, std::string description) {
    Error error{ErrorKind::kRejected, "HELLO_INVALID", field + ": " + description, Millis{0}};
    return tl::unexpected(to_status(error, {{std::move(field), std::move(description)}}));
  };
  if (id.empty() || id.size() > kMaxInstanceId || !is_printable_ascii(id))
    return invalid("hello.instance_id", "must be 1 to 64 printable ASCII characters");
  if (hello.event_window() > kMaxEventWindow)
    return invalid("hello.event_window", "must be at most 4096");

  const Limits& limits = context_->limits();
  delivery::FeedLimits feed;
  feed.window.events = hello.event_window() > 0 ? hello.event_window() : limits.event_window;
  feed.window.bytes = limits.event_window_bytes;
  feed.held_bytes = std::max(limits.held_events_bytes, feed.page_bytes);
  subscribe(feed);
  carrier_.take_name(id);

  v1::ConnectResponse answer;
  auto& welcome = *answer.mutable_welcome();
  welcome.set_session_id(std::to_string(context_->next_session.fetch_add(1)));
  adapters::native::to_proto(context_->clock().wall(), *welcome.mutable_server_time());
  welcome.set_submit_window(static_cast<std::uint32_t>(limits.submit_window));
  welcome.set_submit_window_octets(static_cast<std::uint32_t>(limits.submit_window_bytes));
  welcome.set_max_frame(static_cast<std::uint32_t>(limits.max_frame));
  welcome.set_event_window(static_cast<std::uint32_t>(feed.window.events));
  welcome.set_event_window_octets(static_cast<std::uint32_t>(feed.window.bytes));
  send(answer);
  return {};
}

void Session::subscribe(const delivery::FeedLimits& limits) {
  auto events = std::make_shared<delivery::Subscription>(
      context_->users, context_->options.clock, limits,
      [codec = caller_.provider.adapter->codec](std::string_view user, const message::Event& event,
                                                std::string& out) {
        codec->encode(user, event, out);
      },
      context_->probe.delivery,
      [weak = self_] {
        if (auto self = weak.lock()) self->carrier_.flush();
      });
  std::lock_guard lock(mutex_);
  if (closed_) events->close();
  events_ = std::move(events);
  greeted_.store(true, std::memory_order_release);
}

void Session::refuse_attach(const std::string& user_id, const Error& error,
                            std::string_view where) {
  v1::ConnectResponse answer;
  auto& detached = *answer.mutable_detached();
  std::string_view name = cut(user_id, message::kMaxRequestId);
  detached.set_user_id(name.data(), name.size());
  detached.set_reason(v1::DETACH_REASON_REFUSED);
  to_problem(error, where, *detached.mutable_error());
  bump(context_->probe.attaches_refused);
  send(answer);
}

void Session::attach(v1::Attach& attach) {
  bump(context_->probe.attaches);
  const std::string& native = attach.user_id();
  auto refuse = [&](std::string_view reason, std::string message, std::string_view field) {
    refuse_attach(native, {ErrorKind::kRejected, reason, std::move(message), Millis{0}}, field);
  };
  auto ours = caller_.provider.adapter->identity->to_ours(native);
  if (!ours) return refuse_attach(native, ours.error(), "attach.user_id");
  if (attach.token().empty() || attach.token().size() > kMaxToken)
    return refuse("TOKEN_INVALID", "must be 1 to 8192 octets", "attach.token");
  if (attach.client_address().empty() || attach.client_address().size() > kMaxAddress)
    return refuse("CLIENT_ADDRESS_INVALID", "must be an IPv4 or IPv6 address",
                  "attach.client_address");
  if (context_->draining.load()) {
    v1::ConnectResponse answer;
    answer.mutable_detached()->set_user_id(native);
    answer.mutable_detached()->set_reason(v1::DETACH_REASON_DRAINING);
    return send(answer);
  }
  start_attach(attach, *std::move(ours));
}

void Session::start_attach(v1::Attach& attach, std::string our_id) {
  auto client = std::make_shared<Client>(self_, attach.user_id(),
                                         user::Name{caller_.provider.tenant, std::move(our_id)},
                                         to_seq(attach.resume_seq()));
  if (!admit_client(client))
    return refuse_attach(
        client->native_user,
        {ErrorKind::kThrottled, "THROTTLED", "too many clients on this stream", {}}, "attach");
  auto done = [client, weak = self_](Result<void> result) {
    if (result) return;
    if (auto self = weak.lock()) self->on_refused(*client, result.error());
  };
  user::AttachmentId id =
      context_->users.attach({client->name, std::move(*attach.mutable_client_address()),
                              std::move(*attach.mutable_token()), client},
                             std::move(done));

  bool lost, leave;
  EventSeq acknowledged;
  {
    std::lock_guard lock(mutex_);
    client->id = id;
    lost = closed_;
    leave = client->detach_once_known;
    acknowledged = client->acknowledge_once_known;
  }
  if (leave)
    context_->users.detach(id);
  else if (lost)
    context_->users.stream_lost(id);
  else if (acknowledged > 0)
    context_->users.acknowledge(id, acknowledged);
  carrier_.flush();
}

bool Session::admit_client(const std::shared_ptr<Client>& client) {
  std::lock_guard lock(mutex_);
  if (auto before = find(client->native_user)) {
    due_.fetch_sub(
        drop(*before, {ErrorKind::kUnknownOutcome,
                       "OUTCOME_UNKNOWN",
                       "replaced by a newer attach; submit again with the same request_id",
                       {}}));
  }
  if (clients_.size() >= context_->limits().clients) return false;
  if (closed_) return true;  // attach goes on and is given up at once, as lost
  clients_.emplace(client->native_user, client);
  due_.fetch_add(1);
  bump(context_->probe.clients_now);
  return true;
}

void Session::detach(const v1::Detach& detach) {
  user::AttachmentId id = 0;
  {
    std::lock_guard lock(mutex_);
    if (auto client = find(detach.user_id())) id = client->id;
  }
  if (id != 0) context_->users.detach(id);
}

void Session::fresh_token(v1::FreshToken& token) {
  if (token.token().empty() || token.token().size() > kMaxToken) return;
  user::AttachmentId id = 0;
  {
    std::lock_guard lock(mutex_);
    if (auto client = find(token.user_id())) id = client->id;
  }
  if (id != 0) context_->users.give_token(id, std::move(*token.mutable_token()));
}

void Session::acknowledge(const v1::Acknowledge& acknowledge) {
  bump(context_->probe.acknowledges);
  user::AttachmentId id = 0;
  std::optional<EventSeq> in_force;
  {
    std::lock_guard lock(mutex_);
    auto client = find(acknowledge.user_id());
    if (!client || client->feed == 0) return;
    id = client->id;
    in_force = events_->acknowledge(client->feed, to_seq(acknowledge.seq()));
  }
  if (in_force) context_->users.acknowledge(id, *in_force);
  events_->pump();
}

void Session::close() {
  std::vector<user::AttachmentId> left;
  std::shared_ptr<delivery::Subscription> events;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    for (auto& [name, client] : clients_)
      if (client->id != 0) left.push_back(client->id);  // 0: start_attach sees closed_
    lower(context_->probe.clients_now, clients_.size());
    clients_.clear();
    events = events_;
  }
  if (events) events->close();
  for (user::AttachmentId id : left) context_->users.stream_lost(id);
}

std::shared_ptr<Client> Session::find(const std::string& native_user) const {
  auto it = clients_.find(native_user);
  return it == clients_.end() ? nullptr : it->second;
}

bool Session::is_current(const Client& client) const {
  auto it = clients_.find(client.native_user);
  return !closed_ && it != clients_.end() && it->second.get() == &client;
}

}  // namespace gw::api
