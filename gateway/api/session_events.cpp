// What a user's strand tells the session, but for submit results.
#include "api/errors.h"
#include "api/session.h"
#include "api/to_proto.h"

namespace gw::api {
namespace {

const Error& ended() {
  static const Error error{ErrorKind::kUnknownOutcome, "OUTCOME_UNKNOWN",
                           "the attachment ended first; submit again with the same request_id",
                           Millis{0}};
  return error;
}

}  // namespace

// Detached, with the results that are still open before it. `keep` outlives the drop.
void Session::let_go(const std::shared_ptr<Client>& keep, const v1::ConnectResponse& detached,
                     const Error& for_open_submits) {
  std::size_t settled = drop(*keep, for_open_submits);
  carrier_.push(detached);
  due_.fetch_sub(settled);
}

void Session::on_refused(Client& client, const Error& error) {
  v1::ConnectResponse answer;
  auto& detached = *answer.mutable_detached();
  detached.set_user_id(client.native_user);
  detached.set_reason(v1::DETACH_REASON_REFUSED);
  to_problem(error, {}, *detached.mutable_error());
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client)) return;
    let_go(find(client.native_user), answer,
           {ErrorKind::kRejected, "NO_CLIENT", "the attach was refused", Millis{0}});
  }
  bump(context_->probe.attaches_refused);
  events_->pump();
  carrier_.flush();
}

void Session::on_attached(Client& client, EventSeq acked, EventSeq last) {
  if (client.resume_seq > last) return resume_ahead(client);
  EventSeq from = std::max(acked, client.resume_seq);
  v1::ConnectResponse answer;
  auto& attached = *answer.mutable_attached();
  attached.set_user_id(client.native_user);
  attached.set_acked_seq(static_cast<std::uint64_t>(from));
  attached.set_last_seq(static_cast<std::uint64_t>(last));
  user::AttachmentId acknowledge = 0;
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client) || client.answered) return;
    client.answered = true;
    if (from > acked) {
      acknowledge = client.id;
      client.acknowledge_once_known = from;
    }
    // First Attached, then what may bring events: the writer takes from both at any time.
    carrier_.push(answer);
    client.feed = events_->add(client.name, client.native_user, from, last);
    due_.fetch_sub(1);
  }
  if (acknowledge != 0) context_->users.acknowledge(acknowledge, from);
  events_->pump();
  carrier_.flush();
}

void Session::resume_ahead(Client& client) {
  v1::ConnectResponse answer;
  auto& detached = *answer.mutable_detached();
  detached.set_user_id(client.native_user);
  detached.set_reason(v1::DETACH_REASON_REFUSED);
  to_problem({ErrorKind::kRejected,
              "RESUME_SEQ_AHEAD",
              "above the newest event: one side has lost data; attach with 0 to go on",
              {}},
             "attach.resume_seq", *detached.mutable_error());
  user::AttachmentId leave = 0;
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client) || client.answered) return;
    leave = client.id;
    client.detach_once_known = leave == 0;
    let_go(find(client.native_user), answer, ended());
  }
  bump(context_->probe.attaches_refused);
  if (leave != 0) context_->users.detach(leave);
  events_->pump();
  carrier_.flush();
}

void Session::on_detached(Client& client, user::DetachReason reason) {
  v1::ConnectResponse answer;
  answer.mutable_detached()->set_user_id(client.native_user);
  answer.mutable_detached()->set_reason(to_proto(reason));
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client)) return;
    let_go(find(client.native_user), answer, ended());
  }
  events_->pump();
  carrier_.flush();
}

void Session::on_link_state(Client& client, user::LinkState state, std::string_view reason) {
  v1::ConnectResponse answer;
  auto& status = *answer.mutable_link_status();
  status.set_user_id(client.native_user);
  status.set_state(to_proto(state));
  if (state == user::LinkState::kDown) status.set_reason(reason.data(), reason.size());
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client)) return;
    carrier_.push(answer);
  }
  carrier_.flush();
}

void Session::on_token_wanted(Client& client) {
  v1::ConnectResponse answer;
  answer.mutable_token_wanted()->set_user_id(client.native_user);
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client)) return;
    carrier_.push(answer);
  }
  carrier_.flush();
}

void Session::on_events(Client& client, const std::vector<message::Event>& events) {
  delivery::Subscription::Handle feed = 0;
  user::AttachmentId id = 0;
  {
    std::lock_guard lock(mutex_);
    if (!is_current(client)) return;
    feed = client.feed;
    id = client.id;
  }
  if (feed == 0) return;
  events_->live(feed, events);
  write_soon(id);
}

// Many users' results and events of one turn of their loop share a frame.
void Session::write_soon(user::AttachmentId at) {
  if (at == 0) return write_now();  // attach has not returned yet
  // Set before and cleared before: whoever finds it set has its part written by the one who set it.
  if (write_due_.exchange(true)) return;
  context_->users.soon(at, [weak = self_] {
    if (auto self = weak.lock()) self->write_now();
  });
}

void Session::write_now() {
  write_due_ = false;
  events_->pump();
  carrier_.flush();
}

}  // namespace gw::api
