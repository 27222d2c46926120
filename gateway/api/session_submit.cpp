// Submits and their results.
#include "adapters/native/convert.h"
#include "api/errors.h"
#include "api/session.h"

namespace gw::api {
namespace {

constexpr Millis kThrottleAdvice{100};

void refuse(Batch& to, std::string_view user_id, std::string_view request_id, const Error& error,
            std::string_view where) {
  v1::SubmitResult result;
  user_id = cut(user_id, message::kMaxRequestId);
  request_id = cut(request_id, message::kMaxRequestId);
  result.set_user_id(user_id.data(), user_id.size());
  result.set_request_id(request_id.data(), request_id.size());
  to_problem(error, where, *result.mutable_error());
  to.add(result);
}

std::string at(int index, std::string_view field = {}) {
  std::string where = "messages[" + std::to_string(index) + "]";
  if (!field.empty()) where.append(".").append(field);
  return where;
}

struct Decoded {
  std::string user_id;
  std::string request_id;
  std::size_t bytes = 0;
  adapter::Decoded<message::Submit> submit;
};

std::vector<Decoded> decode(v1::Submit& submit) {
  std::vector<Decoded> out;
  out.reserve(static_cast<std::size_t>(submit.messages_size()));
  for (v1::OutgoingMessage& message : *submit.mutable_messages()) {
    std::size_t bytes = message.ByteSizeLong();
    // The id is needed here and in the submit; where decoding fails it is still in the message.
    std::string request_id = message.request_id();
    auto decoded = adapters::native::take_submit(message);
    out.push_back(
        {std::move(*message.mutable_user_id()), std::move(request_id), bytes, std::move(decoded)});
  }
  return out;
}

}  // namespace

std::string_view Session::admit(Client* client, std::size_t bytes) const {
  if (client == nullptr) return "NO_CLIENT";
  const Limits& limits = context_->limits();
  if (open_submits_ >= limits.submit_window) return "THROTTLED";
  if (open_submits_ > 0 && open_bytes_ + bytes > limits.submit_window_bytes) return "THROTTLED";
  return {};
}

Session::Outcome Session::submit(v1::Submit& submit) {
  int count = submit.messages_size();
  bump(context_->probe.submits, static_cast<std::uint64_t>(count));
  if (count == 0 || count > kMaxMessages) {
    Error error{ErrorKind::kRejected,
                "SUBMIT_SIZE_INVALID",
                "submit.messages: must be 1 to 256 messages",
                {}};
    return tl::unexpected(to_status(error, {{"submit.messages", "must be 1 to 256 messages"}}));
  }
  std::vector<Decoded> messages = decode(submit);
  Batch refused;
  std::vector<std::shared_ptr<Client>> touched;
  std::uint64_t throttled = 0;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return {};
    std::shared_ptr<Client> client;
    for (int i = 0; i < count; ++i) {
      Decoded& one = messages[static_cast<std::size_t>(i)];
      if (!client || client->native_user != one.user_id) client = find(one.user_id);
      if (!one.submit) {
        const adapter::Fault& fault = one.submit.error();
        refuse(refused, one.user_id, one.request_id, fault.error, at(i, fault.field));
        continue;
      }
      std::string_view reason = admit(client.get(), one.bytes);
      if (reason == "NO_CLIENT") {
        refuse(refused, one.user_id, one.request_id,
               {ErrorKind::kRejected, reason, "no client of this user is attached here", {}},
               at(i));
        continue;
      }
      if (reason == "THROTTLED") {
        ++throttled;
        refuse(refused, one.user_id, one.request_id,
               {ErrorKind::kThrottled, reason, "over the submit window", kThrottleAdvice}, at(i));
        continue;
      }
      client->opened(std::move(one.request_id), one.bytes);
      ++open_submits_;
      open_bytes_ += one.bytes;
      due_.fetch_add(1);
      if (client->batch.empty()) touched.push_back(client);
      client->batch.push_back(*std::move(one.submit));
    }
  }
  for (const auto& client : touched)
    context_->users.submit(client->id, std::exchange(client->batch, {}));
  if (!refused.empty()) {
    bump(context_->probe.submits_throttled, throttled);
    bump(context_->probe.submits_rejected, refused.count() - throttled);
    carrier_.push(refused);
    carrier_.flush();
  }
  return {};
}

void Session::on_submitted(Client& client, std::vector<user::SubmitResult> results) {
  std::size_t known = 0;
  user::AttachmentId id = 0;
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client)) return;
    id = client.id;
    for (std::size_t i = 0; i < results.size(); ++i) {
      std::size_t bytes = 0;
      if (!client.closed(results[i].request_id, bytes)) continue;  // nobody waits for it
      --open_submits_;
      open_bytes_ -= bytes;
      if (known != i) results[known] = std::move(results[i]);
      ++known;
    }
  }
  if (known == 0) return;
  Batch batch;
  batch.reserve(known * 128);
  std::uint64_t accepted = 0;
  v1::SubmitResult entry;
  entry.set_user_id(client.native_user);
  for (std::size_t i = 0; i < known; ++i) {
    user::SubmitResult& result = results[i];
    entry.set_request_id(result.request_id);
    if (result.error) {
      entry.clear_accepted();
      to_problem(*result.error, {}, *entry.mutable_error());
    } else {
      entry.clear_error();
      entry.mutable_accepted()->set_message_id(result.message_id);
      entry.mutable_accepted()->set_state(adapters::native::to_proto(result.state));
      ++accepted;
    }
    batch.add(entry);
  }
  bump(context_->probe.submits_accepted, accepted);
  bump(context_->probe.submits_rejected, known - accepted);
  carrier_.push(batch);
  due_.fetch_sub(known);
  write_soon(id);
}

std::size_t Session::drop(Client& client, const Error& for_open_submits) {
  Batch batch;
  for (std::size_t i = client.open_head; i < client.open.size(); ++i) {
    const Client::Open& open = client.open[i];
    refuse(batch, client.native_user, open.request_id, for_open_submits, {});
    --open_submits_;
    open_bytes_ -= open.bytes;
  }
  client.open = {};
  client.open_head = 0;
  if (client.feed != 0) events_->remove(client.feed);
  client.feed = 0;
  if (!batch.empty()) {
    carrier_.push(batch);
    bump(context_->probe.submits_unknown, batch.count());
  }
  lower(context_->probe.clients_now);
  std::size_t settled = batch.count() + (client.answered ? 0 : 1);
  clients_.erase(std::string(client.native_user));  // the key lives in `client`
  return settled;
}

}  // namespace gw::api
