// Replicas, and which of them has which user.
#include <algorithm>

#include "core.h"
#include "placement.h"

namespace gw::backend {
namespace {

// Moves are made in turns of this length.
constexpr milliseconds kTurn{20};
// For acknowledgements that are on their way, when the library goes.
constexpr milliseconds kPatience{1000};

}  // namespace

Core::Core(Options options, Dial dial) : options_(std::move(options)), dial_(std::move(dial)) {
  set_endpoints(options_.endpoints);
}

Core::~Core() {
  loop_->post([this] {
    auto users = users_;
    for (const auto& [name, user] : users)
      end(user, "CLOSED", "the application closed the library");
    for (const auto& [endpoint, replica] : replicas_) replica->close();
    replicas_.clear();
    loop_->cancel(mover_);
  });
  loop_->stop();
  streams_->wait_for_none(kPatience);
}

void Core::set_endpoints(std::vector<std::string> endpoints) {
  loop_->post([this, endpoints = std::move(endpoints)]() mutable { use(std::move(endpoints)); });
}
void Core::attach(const std::string& user, Attachment client) {
  loop_->post(
      [this, user, client = std::move(client)]() mutable { attach_now(user, std::move(client)); });
}
void Core::detach(const std::string& user) {
  loop_->post([this, user] { detach_now(user); });
}

// ---- replicas

void Core::use(std::vector<std::string> endpoints) {
  endpoints_ = std::move(endpoints);
  auto replicas = replicas_;
  for (const auto& [endpoint, replica] : replicas) {
    replica->removed =
        std::find(endpoints_.begin(), endpoints_.end(), endpoint) == endpoints_.end();
    if (replica->removed && !replica->alive()) forget(replica);
  }
  if (!users_.empty()) dial_all();
  empty_those_that_go();
  find_leaving();
}

void Core::dial_all() {
  for (const auto& endpoint : endpoints_) {
    auto& replica = replicas_[endpoint];
    if (replica) continue;
    replica = std::make_shared<Replica>(endpoint, options_, dial_, loop_, streams_,
                                        static_cast<Replica::Owner&>(*this));
    replica->dial();
  }
}

void Core::forget(const ReplicaPtr& replica) {
  replica->close();
  if (auto it = replicas_.find(replica->endpoint); it != replicas_.end() && it->second == replica)
    replicas_.erase(it);
  forget_previous(replica);
}

void Core::forget_previous(const ReplicaPtr& replica) {
  for (const auto& [name, user] : users_)
    if (user->previous == replica) user->previous.reset();
}

bool Core::is_previous(const ReplicaPtr& replica) const {
  return std::any_of(users_.begin(), users_.end(),
                     [&](const auto& entry) { return entry.second->previous == replica; });
}

void Core::on_up(const ReplicaPtr& replica) {
  if (options_.on_replica) options_.on_replica(replica->endpoint, {ReplicaStatus::Kind::kUp, ""});
  place_waiting();
  empty_those_that_go();
  replica->seasoning = loop_->after(options_.settle, [this] { find_leaving(); });
}

void Core::on_lost(const ReplicaPtr& replica, const std::string& reason) {
  if (options_.on_replica)
    options_.on_replica(replica->endpoint, {ReplicaStatus::Kind::kDown, reason});
  auto users = std::exchange(replica->users, {});
  forget_previous(replica);
  for (const auto& user : users) {
    for (const auto& submit : user->submits)
      if (submit->on == replica) user->take_back(*submit);
    user->replica.reset();
    user->ready_at = nullptr;
    wait(user, "STREAM_LOST");
    place(user);
  }
  if (replica->removed) forget(replica);
  place_waiting();  // who waited for this one's first try
  empty_those_that_go();
}

// Moves everybody off the replicas that go, if there is another one.
void Core::empty_those_that_go() {
  bool to = std::any_of(replicas_.begin(), replicas_.end(),
                        [](const auto& entry) { return entry.second->takes_users(); });
  auto replicas = replicas_;
  for (const auto& [endpoint, replica] : replicas) {
    if (!replica->removed && replica->state != Replica::State::kDraining) continue;
    auto users = replica->users;
    if (to)
      for (const auto& user : users) place(user);
    if (replica->removed && replica->users.empty() && !is_previous(replica)) forget(replica);
  }
}

// ---- where users are

void Core::attach_now(const std::string& name, Attachment client) {
  auto& user = users_[name];
  if (!user) {
    user = std::make_shared<User>();
    user->name = name;
  }
  if (user->state == State::kEnded) user->state = State::kWaiting;
  if (client.resume_seq > 0 && !user->handling) user->finished = user->received = client.resume_seq;
  user->client = std::move(client);
  user->failures = 0;
  dial_all();
  place(user);
}

void Core::detach_now(const std::string& name) {
  auto it = users_.find(name);
  if (it == users_.end() || it->second->state == State::kEnded) return;
  auto user = it->second;
  auto replica = user->replica, previous = user->previous;
  end(user, "DETACHED", "the application detached the user");
  v1::ConnectRequest frame;
  frame.mutable_detach()->set_user_id(name);
  if (replica) replica->write(frame);
  if (previous && previous != replica) previous->write(frame);
}

// The replica to attach at now; none while the first try of the right one is under way.
ReplicaPtr Core::choose(const User& user) const {
  std::vector<ReplicaPtr> all, others;
  bool other_takes = false;
  for (const auto& [endpoint, replica] : replicas_) {
    bool starting = replica->state == Replica::State::kStarting && !replica->removed;
    if (!replica->takes_users() && !starting) continue;
    all.push_back(replica);
    if (replica == user.avoid) continue;
    others.push_back(replica);
    other_takes = other_takes || replica->takes_users();
  }
  auto best = home(other_takes ? others : all, user.name);
  return best && best->takes_users() ? best : nullptr;
}

void Core::place(const UserPtr& user) {
  if (auto replica = choose(*user)) return attach_at(user, replica);
  if (user->state == State::kAttached) return;  // on a replica that goes, while there is no other
  wait(user, "NO_REPLICA");
  waiting_.insert(user);
}

void Core::place_waiting() {
  auto users = waiting_;
  for (const auto& user : users) place(user);
}

void Core::wait(const UserPtr& user, const std::string& reason) {
  loop_->cancel(user->timer);
  leave_place(user);
  if (std::exchange(user->state, State::kWaiting) == State::kWaiting) return;
  tell(user, {.kind = Status::Kind::kWaiting, .reason = reason});
}

// An attachment that may still stand on a live stream is ended once the next one is in force.
void Core::leave_place(const UserPtr& user) {
  auto replica = std::exchange(user->replica, nullptr);
  if (!replica) return;
  replica->users.erase(user);
  user->ready_at = nullptr;
  if (!replica->alive()) return;
  replica->lingering.insert(user->name);
  user->previous = replica;
}

void Core::attach_at(const UserPtr& user, const ReplicaPtr& replica) {
  loop_->cancel(user->timer);
  waiting_.erase(user);
  leave_place(user);
  user->replica = replica;
  user->state = State::kAttaching;
  replica->users.insert(user);
  std::string token = user->client.token();
  if (token.empty()) {
    failed(user, "TOKEN_MISSING", options_.backoff);
    return user->avoid.reset();
  }
  user->timer = loop_->after(options_.attach_timeout,
                             [this, user] { failed(user, "TIMEOUT", milliseconds{0}); });
  v1::ConnectRequest frame;
  auto& attach = *frame.mutable_attach();
  attach.set_user_id(user->name);
  attach.set_client_address(user->client.client_address);
  attach.set_token(std::move(token));
  attach.set_resume_seq(user->finished);
  replica->write(std::move(frame));
}

// The attach, or the attachment, came to nothing: another one, at once at first, then after pauses.
void Core::failed(const UserPtr& user, const std::string& reason, milliseconds at_least) {
  if (user->attached_at != Loop::Time{} &&
      Loop::now() - user->attached_at > 2 * options_.backoff_cap)
    user->failures = 0;
  user->attached_at = {};
  user->avoid = user->replica;
  wait(user, reason);
  milliseconds wait_for{0};
  if (user->failures++ > 0)
    wait_for = pause(user->failures, options_.backoff, options_.backoff_cap);
  if (wait_for.count() == 0 && at_least.count() == 0) return place(user);
  user->timer = loop_->after(std::max(wait_for, at_least), [this, user] { place(user); });
}

void Core::end(const UserPtr& user, const std::string& reason, const std::string& message) {
  waiting_.erase(user);
  loop_->cancel(user->timer);
  loop_->cancel(user->retry_timer);
  leave_place(user);
  user->previous.reset();
  user->state = State::kEnded;
  user->drop_events();
  auto submits = user->submits;
  for (const auto& submit : submits) give_up(user, submit, reason, message);
  user->queue.clear();
  if (!user->handling) users_.erase(user->name);
}

ReplicaPtr Core::better_home(const User& user) const {
  if (user.state != State::kAttached) return nullptr;
  std::vector<ReplicaPtr> candidates;
  for (const auto& [endpoint, replica] : replicas_)
    if (replica->seasoned() || replica == user.replica) candidates.push_back(replica);
  auto best = home(candidates, user.name);
  return best == user.replica ? nullptr : best;
}

// Users who would be elsewhere if they came now, and who are well where they are.
void Core::find_leaving() {
  for (const auto& [name, user] : users_)
    if (better_home(*user)) leaving_.push_back(user);
  if (!leaving_.empty() && mover_.second == 0) move_some();
}

void Core::move_some() {
  const auto a_turn = static_cast<std::size_t>(options_.moves_per_second *
                                               static_cast<double>(kTurn.count()) / 1000);
  for (std::size_t i = 0; i < std::max<std::size_t>(a_turn, 1) && !leaving_.empty(); ++i) {
    auto user = std::move(leaving_.front());
    leaving_.pop_front();
    if (auto to = better_home(*user)) attach_at(user, to);
  }
  mover_ = {};
  if (leaving_.empty()) return;
  const milliseconds next(static_cast<std::int64_t>(1000 / options_.moves_per_second));
  mover_ = loop_->after(std::max(kTurn, next), [this] { move_some(); });
}

void Core::tell(const UserPtr& user, const Status& status) {
  if (options_.on_status) options_.on_status(user->name, status);
}

}  // namespace gw::backend
