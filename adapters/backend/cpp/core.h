#pragma once

// What the library does by itself: places users on replicas, hands events over, sends submits until
// they are answered. core_places.cpp: where users are; core_frames.cpp: frames and events;
// core_submits.cpp.

#include <atomic>
#include <map>
#include <set>

#include "backend_client.h"
#include "loop.h"
#include "replica.h"
#include "user.h"

namespace gw::backend {

class Core final : private Replica::Owner {
 public:
  Core(Options options, Dial dial);
  ~Core();

  // As BackendClient's; from any thread.
  void set_endpoints(std::vector<std::string> endpoints);
  void attach(const std::string& user, Attachment client);
  void detach(const std::string& user);
  void submit(v1::OutgoingMessage message, std::function<void(Answer)> done, milliseconds deadline);

 private:
  using State = User::State;
  void on_up(const ReplicaPtr& replica) override;
  void on_lost(const ReplicaPtr& replica, const std::string& reason) override;
  void on_frame(const ReplicaPtr& replica, const v1::ConnectResponse& frame) override;

  // Replicas.
  void use(std::vector<std::string> endpoints);
  void dial_all();
  void forget(const ReplicaPtr& replica);
  void forget_previous(const ReplicaPtr& replica);
  void empty_those_that_go();
  bool is_previous(const ReplicaPtr& replica) const;

  // Where users are.
  void attach_now(const std::string& name, Attachment client);
  void detach_now(const std::string& name);
  ReplicaPtr choose(const User& user) const;
  void place(const UserPtr& user);
  void place_waiting();
  void wait(const UserPtr& user, const std::string& reason);
  void leave_place(const UserPtr& user);
  void attach_at(const UserPtr& user, const ReplicaPtr& replica);
  void failed(const UserPtr& user, const std::string& reason, milliseconds at_least);
  void end(const UserPtr& user, const std::string& reason, const std::string& message);
  ReplicaPtr better_home(const User& user) const;
  void find_leaving();
  void move_some();
  void tell(const UserPtr& user, const Status& status);

  // Frames.
  UserPtr at(const ReplicaPtr& replica, const std::string& name) const;
  void attached(const ReplicaPtr& replica, const v1::Attached& frame);
  void detached(const ReplicaPtr& replica, const v1::Detached& frame);
  void token_wanted(const ReplicaPtr& replica, const std::string& name);
  void take_event(const ReplicaPtr& replica, const v1::Event& event);
  void hand_over(const UserPtr& user);
  void handled(const UserPtr& user, bool stored);
  void acknowledge(const UserPtr& user);
  void write_acknowledges(const ReplicaPtr& replica);

  // Submits.
  void submit_now(const SubmitPtr& submit, milliseconds deadline);
  void settle(const UserPtr& user, const SubmitPtr& submit, Answer answer);
  void give_up(const UserPtr& user, const SubmitPtr& submit, const std::string& reason,
               const std::string& message);
  void requeue(const UserPtr& user);
  void wants_to_submit(const UserPtr& user);
  void submit_soon(const ReplicaPtr& replica);
  void submit_ready(const ReplicaPtr& replica);
  bool submit_some(const ReplicaPtr& replica, const UserPtr& user, v1::ConnectRequest& frame,
                   std::size_t& octets);
  void take_result(const ReplicaPtr& replica, const v1::SubmitResult& result);
  void retry_if_due(const UserPtr& user);

  const Options options_;
  const Dial dial_;
  std::atomic<std::size_t> queued_{0}, queued_octets_{0};

  // On the loop only.
  std::vector<std::string> endpoints_;
  std::map<std::string, ReplicaPtr> replicas_;
  std::unordered_map<std::string, UserPtr> users_;
  std::set<UserPtr> waiting_;    // users for whom there is no replica
  std::deque<UserPtr> leaving_;  // users whose home is another replica now
  Loop::Timer mover_;

  const std::shared_ptr<OpenStreams> streams_ = std::make_shared<OpenStreams>();
  // Last: its thread uses the rest. Shared with what the application may call when the library is
  // gone.
  const std::shared_ptr<Loop> loop_ = std::make_shared<Loop>();
};

}  // namespace gw::backend
