// Submits: in order for each user, sent until they have a final answer.
#include <algorithm>

#include "core.h"

namespace gw::backend {
namespace {

constexpr int kMessagesAFrame = 256;
constexpr int kMessagesAUserAndTurn = 64;
constexpr std::size_t kFrameOctets = 1u << 20;
constexpr std::size_t kMaxBody = 65536;
// A user that is attached and has NO_CLIENT is on its way elsewhere.
constexpr milliseconds kNoClient{1000};

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto at = [&](std::size_t j) {
      return j < text.size() ? static_cast<unsigned char>(text[j]) : 0u;
    };
    const unsigned lead = at(i);
    const std::size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    unsigned code = more == 0 ? lead : lead & (0x3fu >> more);
    for (std::size_t j = 1; j <= more; ++j) {
      if ((at(i + j) & 0xc0) != 0x80) return false;
      code = code << 6 | (at(i + j) & 0x3f);
    }
    constexpr unsigned kLeast[] = {0, 0x80, 0x800, 0x10000};
    if ((lead & 0xc0) == 0x80 || lead > 0xf4 || code < kLeast[more] || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
      return false;
    i += more + 1;
  }
  return true;
}

// What would break the frame, and with it the stream of all users. Null: nothing.
const char* fault_of(const v1::OutgoingMessage& message) {
  const auto& id = message.request_id();
  if (id.empty() || id.size() > 128 || !is_utf8(id)) return "REQUEST_ID_INVALID";
  const auto& to = message.to();
  if (to.e164().size() + to.lid().size() > 64 || !is_utf8(to.e164()) || !is_utf8(to.lid()))
    return "CONTACT_INVALID";
  const auto& body = message.content().text().body();
  if (body.size() > kMaxBody || !is_utf8(body)) return "CONTENT_INVALID";
  return nullptr;
}

}  // namespace

void Core::submit(v1::OutgoingMessage message, std::function<void(Answer)> done,
                  milliseconds deadline) {
  auto submit = std::make_shared<Submit>();
  submit->octets = message.ByteSizeLong() + 8;
  submit->message = std::move(message);
  submit->done = std::move(done);
  const char* fault = fault_of(submit->message);
  const std::size_t queued = queued_.fetch_add(1);
  const std::size_t octets = queued_octets_.fetch_add(submit->octets);
  if (fault == nullptr &&
      (queued >= options_.max_queued || octets + submit->octets > options_.max_queued_octets))
    fault = "QUEUE_FULL";
  if (fault == nullptr)
    return loop_->post([this, submit, deadline] { submit_now(submit, deadline); });
  --queued_;
  queued_octets_ -= submit->octets;
  submit->done({.outcome = Answer::Outcome::kRefused, .reason = fault});
}

void Core::submit_now(const SubmitPtr& submit, milliseconds deadline) {
  auto it = users_.find(submit->message.user_id());
  const char* fault = nullptr;
  if (it == users_.end() || it->second->state == State::kEnded)
    fault = "NO_CLIENT";
  else if (it->second->by_id.contains(submit->message.request_id()))
    fault = "REQUEST_ID_PENDING";
  if (fault != nullptr) {
    --queued_;
    queued_octets_ -= submit->octets;
    return submit->done({.outcome = Answer::Outcome::kRefused, .reason = fault});
  }
  auto user = it->second;
  submit->deadline = loop_->after(deadline, [this, user, submit] {
    give_up(user, submit, "DEADLINE", "no final answer in time");
    retry_if_due(user);
  });
  user->submits.push_back(submit);
  user->by_id[submit->message.request_id()] = std::prev(user->submits.end());
  user->queue.push_back(submit);
  wants_to_submit(user);
}

void Core::settle(const UserPtr& user, const SubmitPtr& submit, Answer answer) {
  user->release(*submit);
  submit->settled = true;
  loop_->cancel(submit->deadline);
  auto it = user->by_id.find(submit->message.request_id());
  user->submits.erase(it->second);
  user->by_id.erase(it);
  --queued_;
  queued_octets_ -= submit->octets;
  submit->done(std::move(answer));
}

// Nobody will answer any more.
void Core::give_up(const UserPtr& user, const SubmitPtr& submit, const std::string& reason,
                   const std::string& message) {
  if (submit->settled) return;
  user->take_back(*submit);
  auto outcome = submit->in_doubt ? Answer::Outcome::kUnknown : Answer::Outcome::kRefused;
  settle(user, submit, {.outcome = outcome, .reason = reason, .message = message});
}

// Everything without an answer is to be sent, in order.
void Core::requeue(const UserPtr& user) {
  loop_->cancel(user->retry_timer);
  user->retrying = false;
  for (const auto& submit : user->submits) user->take_back(*submit);
  user->queue.assign(user->submits.begin(), user->submits.end());
}

void Core::wants_to_submit(const UserPtr& user) {
  if (user->state != State::kAttached || user->retrying || user->queue.empty()) return;
  if (std::exchange(user->ready_at, user->replica.get()) != user->replica.get())
    user->replica->ready.push_back(user);
  submit_soon(user->replica);
}

void Core::submit_soon(const ReplicaPtr& replica) {
  if (std::exchange(replica->submitting, true)) return;
  loop_->post([this, replica] {
    replica->submitting = false;
    if (replica->takes_users()) submit_ready(replica);
  });
}

// Fills the replica's window, in turns, so that nobody's queue holds up the others.
void Core::submit_ready(const ReplicaPtr& replica) {
  v1::ConnectRequest frame;
  std::size_t octets = 0;
  while (!replica->ready.empty()) {
    auto user = replica->ready.front();
    const bool here = user->ready_at == replica.get();
    if (here && !submit_some(replica, user, frame, octets)) break;
    replica->ready.pop_front();
    if (!here) continue;
    if (user->queue.empty())
      user->ready_at = nullptr;
    else
      replica->ready.push_back(user);
  }
  if (frame.submit().messages_size() > 0) replica->write(std::move(frame));
}

// False: the window is full.
bool Core::submit_some(const ReplicaPtr& replica, const UserPtr& user, v1::ConnectRequest& frame,
                       std::size_t& octets) {
  const auto& window = replica->window;
  const std::size_t limit = std::min<std::size_t>(kFrameOctets, window.max_frame());
  for (int count = 0; !user->queue.empty() && count < kMessagesAUserAndTurn;
       user->queue.pop_front()) {
    const auto& submit = user->queue.front();
    if (submit->settled) continue;
    if (replica->open >= window.submit_window()) return false;
    if (replica->open > 0 && replica->open_octets + submit->octets > window.submit_window_octets())
      return false;
    const int messages = frame.submit().messages_size();
    if (messages == kMessagesAFrame || (messages > 0 && octets + submit->octets > limit)) {
      replica->write(std::exchange(frame, {}));
      octets = 0;
    }
    submit->on = replica;
    submit->session = replica->session;
    ++replica->open;
    replica->open_octets += submit->octets;
    ++user->in_flight;
    *frame.mutable_submit()->add_messages() = submit->message;
    octets += submit->octets;
    ++count;
  }
  return true;
}

void Core::take_result(const ReplicaPtr& replica, const v1::SubmitResult& result) {
  auto at = users_.find(result.user_id());
  if (at == users_.end()) return;
  auto user = at->second;
  auto it = user->by_id.find(result.request_id());
  if (it == user->by_id.end()) return;
  auto submit = *it->second;
  const auto& error = result.error();
  if (result.has_accepted()) {
    settle(user, submit,
           {.outcome = Answer::Outcome::kAccepted,
            .message_id = result.accepted().message_id(),
            .state = result.accepted().state()});
  } else if (submit->on == replica) {
    user->release(*submit);
    // What may be different the next time comes with the time to wait.
    if (!error.has_retry_after() && error.reason() != "NO_CLIENT") {
      settle(user, submit,
             {.outcome = Answer::Outcome::kRefused,
              .reason = error.reason(),
              .message = error.message()});
    } else {
      submit->in_doubt = submit->in_doubt || error.reason() == "OUTCOME_UNKNOWN";
      auto wait = error.has_retry_after() ? milliseconds(error.retry_after().seconds() * 1000 +
                                                         error.retry_after().nanos() / 1'000'000)
                                          : kNoClient;
      auto when = Loop::now() + wait;
      user->retry_at = user->retrying ? std::max(user->retry_at, when) : when;
      user->retrying = true;
      user->ready_at = nullptr;
    }
  }
  retry_if_due(user);
}

// Once nothing is on its way any more, all that has no answer is sent again, in order.
void Core::retry_if_due(const UserPtr& user) {
  if (!user->retrying || user->in_flight > 0 || user->state == State::kEnded) return;
  loop_->cancel(user->retry_timer);
  auto wait = std::chrono::duration_cast<milliseconds>(user->retry_at - Loop::now());
  user->retry_timer = loop_->after(std::max(wait, milliseconds{0}), [this, user] {
    requeue(user);
    wants_to_submit(user);
  });
}

}  // namespace gw::backend
