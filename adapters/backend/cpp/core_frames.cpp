// What the gateway says of users, and what the application does with their events.
#include "core.h"
#include "placement.h"

namespace gw::backend {
namespace {

milliseconds to_millis(const google::protobuf::Duration& time) {
  return milliseconds(time.seconds() * 1000 + time.nanos() / 1'000'000);
}

std::string text_of(v1::DetachReason reason) {
  constexpr std::string_view kPrefix = "DETACH_REASON_";
  std::string name = v1::DetachReason_IsValid(reason) ? v1::DetachReason_Name(reason) : "";
  return name.size() > kPrefix.size() ? name.substr(kPrefix.size()) : "UNSPECIFIED";
}

// After any other reason the user is attached anew.
bool ends_for_good(v1::DetachReason reason) {
  return reason == v1::DETACH_REASON_REPLACED || reason == v1::DETACH_REASON_WITHDRAWN ||
         reason == v1::DETACH_REASON_LOGGED_OUT;
}

}  // namespace

void Core::on_frame(const ReplicaPtr& replica, const v1::ConnectResponse& frame) {
  using Out = v1::ConnectResponse;
  switch (frame.frame_case()) {
    case Out::kEvents:
      for (const auto& event : frame.events().events()) take_event(replica, event);
      break;
    case Out::kSubmitResults:
      for (const auto& result : frame.submit_results().results()) take_result(replica, result);
      if (!replica->ready.empty()) submit_soon(replica);
      break;
    case Out::kAttached:
      attached(replica, frame.attached());
      break;
    case Out::kDetached:
      detached(replica, frame.detached());
      break;
    case Out::kTokenWanted:
      token_wanted(replica, frame.token_wanted().user_id());
      break;
    case Out::kLinkStatus: {
      const auto& link = frame.link_status();
      if (auto user = at(replica, link.user_id()))
        tell(user, {.kind = Status::Kind::kLink, .reason = link.reason(), .link = link.state()});
      break;
    }
    case Out::kDraining:
      replica->state = Replica::State::kDraining;
      if (options_.on_replica)
        options_.on_replica(replica->endpoint, {ReplicaStatus::Kind::kDraining, ""});
      empty_those_that_go();
      break;
    default:
      break;
  }
}

UserPtr Core::at(const ReplicaPtr& replica, const std::string& name) const {
  auto it = users_.find(name);
  return it != users_.end() && it->second->replica == replica ? it->second : nullptr;
}

void Core::attached(const ReplicaPtr& replica, const v1::Attached& frame) {
  replica->lingering.erase(frame.user_id());
  auto user = at(replica, frame.user_id());
  if (!user) return;
  loop_->cancel(user->timer);
  auto previous = std::exchange(user->previous, nullptr);
  user->avoid.reset();
  user->state = State::kAttached;
  user->attached_at = Loop::now();
  user->received = std::max(user->received, frame.acked_seq());
  if (user->events.empty()) user->finished = std::max(user->finished, frame.acked_seq());
  if (user->finished > frame.acked_seq()) acknowledge(user);
  if (previous && previous != replica) {
    // The gateway that had the user can change nothing of it any more.
    v1::ConnectRequest detach;
    detach.mutable_detach()->set_user_id(user->name);
    previous->write(std::move(detach));
  }
  requeue(user);
  tell(user, {.kind = Status::Kind::kAttached, .endpoint = replica->endpoint});
  wants_to_submit(user);
  if ((previous && previous->removed) || !replica->takes_users()) empty_those_that_go();
}

void Core::detached(const ReplicaPtr& replica, const v1::Detached& frame) {
  const auto reason = frame.reason();
  const bool refused = reason == v1::DETACH_REASON_REFUSED;
  const bool answers_attach = refused || reason == v1::DETACH_REASON_DRAINING;
  const bool of_old = replica->lingering.contains(frame.user_id()) && !answers_attach;
  auto user = at(replica, frame.user_id());
  replica->lingering.erase(frame.user_id());
  if (!user) {
    auto it = users_.find(frame.user_id());
    if (it != users_.end() && it->second->previous == replica) it->second->previous.reset();
    return;
  }
  if (of_old || (user->state == State::kAttaching && reason == v1::DETACH_REASON_REQUESTED)) return;
  if (refused && frame.error().has_retry_after()) {
    failed(user, frame.error().reason(), to_millis(frame.error().retry_after()));
  } else if (!refused && !ends_for_good(reason)) {
    failed(user, text_of(reason), milliseconds{0});
  } else {
    end(user, text_of(reason), frame.error().reason());
    tell(user, {.kind = Status::Kind::kEnded, .reason = text_of(reason), .error = frame.error()});
  }
}

void Core::token_wanted(const ReplicaPtr& replica, const std::string& name) {
  auto user = at(replica, name);
  if (!user) return;
  std::string token = user->client.token();
  if (token.empty()) return;
  v1::ConnectRequest frame;
  frame.mutable_fresh_token()->set_user_id(name);
  frame.mutable_fresh_token()->set_token(std::move(token));
  replica->write(std::move(frame));
}

// ---- events

void Core::take_event(const ReplicaPtr& replica, const v1::Event& event) {
  auto user = at(replica, event.user_id());
  if (!user || user->state != State::kAttached || event.seq() <= user->received) return;
  if (event.seq() != user->received + 1)  // an acknowledgement would pass over what is missing
    return failed(user, "EVENT_MISSING", milliseconds{0});
  user->received = event.seq();
  user->events.push_back(event);
  hand_over(user);
}

void Core::hand_over(const UserPtr& user) {
  if (user->handling || user->events.empty()) return;
  user->handling = true;
  options_.on_event(user->name, user->events.front(), [this, user, loop = loop_](bool stored) {
    loop->post([this, user, stored] { handled(user, stored); });
  });
}

void Core::handled(const UserPtr& user, bool stored) {
  if (!user->handling || user->events.empty()) return;
  const bool ended = user->state == State::kEnded;
  if (stored) {
    user->handling = false;
    user->handle_failures = 0;
    user->finished = std::max(user->finished, user->events.front().seq());
    user->events.pop_front();
    acknowledge(user);
  } else if (ended) {
    user->handling = false;
    user->drop_events();  // attached again it comes again
  } else {
    loop_->after(pause(user->handle_failures++, options_.backoff, options_.backoff_cap),
                 [this, user] {
                   user->handling = false;
                   if (user->state == State::kEnded) {
                     user->drop_events();
                     users_.erase(user->name);
                   } else {
                     hand_over(user);
                   }
                 });
    return;
  }
  if (ended)
    users_.erase(user->name);
  else
    hand_over(user);
}

void Core::acknowledge(const UserPtr& user) {
  if (user->state != State::kAttached) return;
  auto replica = user->replica;
  if (replica->acks.empty()) {
    loop_->post([this, replica] { write_acknowledges(replica); });
  }
  replica->acks.insert(user);
}

void Core::write_acknowledges(const ReplicaPtr& replica) {
  for (const auto& user : std::exchange(replica->acks, {})) {
    if (user->replica != replica || user->state != State::kAttached) continue;
    v1::ConnectRequest frame;
    frame.mutable_acknowledge()->set_user_id(user->name);
    frame.mutable_acknowledge()->set_seq(user->finished);
    replica->write(std::move(frame));
  }
}

}  // namespace gw::backend
