// The library against gateways that do what a test wants of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core.h"
#include "placement.h"
#include "unit/backend_client/fake_gateway.h"

namespace gw::backend {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using In = v1::ConnectRequest;
using Outcome = Answer::Outcome;

// What the application was told.
class Told {
 public:
  struct Event {
    std::string user;
    std::uint64_t seq;
    Done done;
  };
  void status(const std::string& user, const Status& status) {
    std::lock_guard lock(mutex_);
    statuses_.emplace_back(user, status);
    changed_.notify_all();
  }
  void event(const std::string& user, std::uint64_t seq, Done done) {
    std::lock_guard lock(mutex_);
    events_.push_back({user, seq, std::move(done)});
    changed_.notify_all();
  }
  void replica(const ReplicaStatus& status) {
    std::lock_guard lock(mutex_);
    draining_ = draining_ || status.kind == ReplicaStatus::Kind::kDraining;
    ups_ += status.kind == ReplicaStatus::Kind::kUp ? 1 : 0;
    changed_.notify_all();
  }
  void up(int replicas) {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return ups_ >= replicas; });
  }
  void draining() {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return draining_; });
  }
  Event nth_event(std::size_t n) {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return events_.size() > n; });
    return events_[n];
  }
  std::size_t events() {
    std::lock_guard lock(mutex_);
    return events_.size();
  }
  // The n-th of this kind, from 1.
  Status nth(const std::string& user, Status::Kind kind, int n = 1) {
    std::unique_lock lock(mutex_);
    const Status* found = nullptr;
    wait(lock, [&] {
      int seen = 0;
      for (const auto& [name, status] : statuses_)
        if (name == user && status.kind == kind && ++seen == n) return found = &status, true;
      return false;
    });
    return *found;
  }
  int count(Status::Kind kind) {
    std::lock_guard lock(mutex_);
    return static_cast<int>(std::count_if(statuses_.begin(), statuses_.end(), [&](const auto& one) {
      return one.second.kind == kind;
    }));
  }

 private:
  template <class F>
  void wait(std::unique_lock<std::mutex>& lock, F&& condition) {
    if (!changed_.wait_for(lock, 20s, condition)) throw std::runtime_error("not told in time");
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::string, Status>> statuses_;
  std::vector<Event> events_;
  bool draining_ = false;
  int ups_ = 0;
};

class Library : public ::testing::Test {
 protected:
  Library() {
    options.endpoints = {first.endpoint(), second.endpoint()};
    options.instance_id = "test";
    options.backoff = 10ms;
    options.backoff_cap = 50ms;
    options.settle = 0ms;
    options.on_event = [this](const std::string& user, const v1::Event& event, Done done) {
      told.event(user, event.seq(), std::move(done));
    };
    options.on_status = [this](const std::string& user, const Status& status) {
      told.status(user, status);
    };
    options.on_replica = [this](const std::string&, const ReplicaStatus& status) {
      told.replica(status);
    };
  }
  ~Library() override { core.reset(); }

  void start() {
    core = std::make_unique<Core>(options, [](const std::string& endpoint) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
    });
  }
  // One that belongs to the gateway.
  std::string user_at(const FakeGateway& gateway, int n = 0) {
    for (int i = 0;; ++i) {
      std::string name = "user-" + std::to_string(i);
      const auto& other = &gateway == &first ? second : first;
      if (score(gateway.endpoint(), name) > score(other.endpoint(), name) && n-- == 0) return name;
    }
  }
  void attach(const std::string& user) {
    core->attach(user, {.client_address = "192.0.2.1",
                        .token = [this] { return "token-" + std::to_string(++tokens); }});
  }
  std::string attached_at(FakeGateway& gateway) {
    start();
    std::string user = user_at(gateway);
    attach(user);
    EXPECT_EQ(told.nth(user, Status::Kind::kAttached).endpoint, gateway.endpoint());
    told.up(2);
    return user;
  }
  std::future<Answer> submit(const std::string& user, const std::string& id,
                             milliseconds deadline = 20s, const std::string& body = "x") {
    v1::OutgoingMessage message;
    message.set_user_id(user);
    message.set_request_id(id);
    message.mutable_to()->set_e164("+4915112345678");
    message.mutable_content()->mutable_text()->set_body(body);
    auto promise = std::make_shared<std::promise<Answer>>();
    core->submit(
        std::move(message), [promise](Answer answer) { promise->set_value(std::move(answer)); },
        deadline);
    return promise->get_future();
  }

  Told told;
  Options options;
  std::atomic<int> tokens{0};
  FakeGateway first, second;
  std::unique_ptr<Core> core;
};

TEST(Placement, isTheSameInNode) {
  EXPECT_EQ(score("a:1", "alice"), 77031949u);
  EXPECT_EQ(score("gateway-2.example:7443", "user-17"), 2393858239u);
}

TEST(Placement, aReplicaThatGoesMovesItsOwnUsersOnly) {
  struct Named {
    std::string endpoint;
  };
  std::vector<std::shared_ptr<Named>> three, two;
  for (const char* name : {"a:1", "b:1", "c:1"})
    three.push_back(std::make_shared<Named>(Named{name}));
  two.assign(three.begin(), three.begin() + 2);
  std::map<std::string, int> users;
  for (int i = 0; i < 3000; ++i) {
    std::string user = "user-" + std::to_string(i);
    auto before = home(three, user);
    ++users[before->endpoint];
    if (before->endpoint == "c:1") continue;
    EXPECT_EQ(home(two, user), before);
  }
  for (const auto& [endpoint, count] : users) EXPECT_NEAR(count, 1000, 150) << endpoint;
}

TEST_F(Library, attachesWithATokenAndAcknowledgesWhatIsStoredInOrder) {
  std::string user = attached_at(first);
  auto attach = first.until(In::kAttach, 1).back().attach();
  EXPECT_EQ(attach.token(), "token-1");
  EXPECT_EQ(attach.client_address(), "192.0.2.1");
  for (std::uint64_t seq : {1, 2, 3}) first.event(user, seq);
  auto event = told.nth_event(0);
  EXPECT_EQ(event.seq, 1u);
  EXPECT_EQ(count(first.frames(), In::kAcknowledge), 0u);
  event.done(true);
  EXPECT_EQ(told.nth_event(1).seq, 2u);
  EXPECT_EQ(first.until(In::kAcknowledge, 1).back().acknowledge().seq(), 1u);
  EXPECT_EQ(told.events(), 2u);
}

TEST_F(Library, anEventThatCouldNotBeStoredIsHandedOverAgain) {
  std::string user = attached_at(first);
  first.event(user, 1);
  first.event(user, 2);
  told.nth_event(0).done(false);
  EXPECT_EQ(told.nth_event(1).seq, 1u);
  told.nth_event(1).done(true);
  EXPECT_EQ(told.nth_event(2).seq, 2u);
}

TEST_F(Library, theLossOfAStreamMovesTheUserAndWhatIsNotAnswered) {
  first.on_submit = [](const v1::OutgoingMessage&) { return std::nullopt; };
  std::string user = attached_at(first);
  for (std::uint64_t seq : {1, 2, 3}) first.event(user, seq);
  told.nth_event(0).done(true);
  auto held = told.nth_event(1);
  auto one = submit(user, "one"), two = submit(user, "two");
  first.until([](const Frames& frames) { return submitted(frames).size() == 2; });
  first.down();
  EXPECT_EQ(told.nth(user, Status::Kind::kAttached, 2).endpoint, second.endpoint());
  EXPECT_EQ(one.get().message_id, "id-of-one");
  EXPECT_EQ(two.get().outcome, Outcome::kAccepted);
  auto frames = second.frames();
  EXPECT_THAT(submitted(frames), ElementsAre("one", "two"));
  auto attach = second.until(In::kAttach, 1)[1].attach();
  EXPECT_EQ(attach.resume_seq(), 1u);
  EXPECT_EQ(attach.token(), "token-2");

  // What the application has, or waits here for it, is not handed over twice.
  for (std::uint64_t seq : {2, 3, 4}) second.event(user, seq);
  v1::ConnectResponse behind;
  behind.mutable_link_status()->set_user_id(user);
  second.send(behind);
  told.nth(user, Status::Kind::kLink);
  held.done(true);
  EXPECT_EQ(second.until(In::kAcknowledge, 1).back().acknowledge().seq(), 2u);
  told.nth_event(2).done(true);
  EXPECT_EQ(told.nth_event(3).seq, 4u);
}

TEST_F(Library, detachedAndAttachedAgainAnEventThatIsHandledIsNotHandedOverASecondTime) {
  std::string user = attached_at(first);
  first.event(user, 1);
  auto held = told.nth_event(0);
  core->detach(user);
  attach(user);
  told.nth(user, Status::Kind::kAttached, 2);
  first.event(user, 1);
  first.event(user, 2);
  held.done(true);
  EXPECT_EQ(told.nth_event(1).seq, 2u);
  EXPECT_EQ(first.until(In::kAcknowledge, 1).back().acknowledge().seq(), 1u);
}

TEST_F(Library, aDrainIsMakeBeforeBreak) {
  std::string user = attached_at(first);
  v1::ConnectResponse draining;
  draining.mutable_draining();
  first.send(draining);
  EXPECT_EQ(told.nth(user, Status::Kind::kAttached, 2).endpoint, second.endpoint());
  first.until(In::kDetach, 1);
  EXPECT_EQ(told.count(Status::Kind::kWaiting), 0);
  EXPECT_EQ(submit(user, "one").get().outcome, Outcome::kAccepted);
  EXPECT_THAT(submitted(first.frames()), IsEmpty());
}

TEST_F(Library, aDrainWithoutAnotherReplicaLeavesTheUserUntilThereIsOne) {
  second.down();
  start();
  std::string user = user_at(first);
  attach(user);
  told.nth(user, Status::Kind::kAttached);
  v1::ConnectResponse draining;
  draining.mutable_draining();
  first.send(draining);
  told.draining();
  auto answer = submit(user, "one");
  second.up();
  EXPECT_EQ(answer.get().outcome, Outcome::kAccepted);
  EXPECT_THAT(submitted(second.frames()), ElementsAre("one"));
  EXPECT_EQ(told.count(Status::Kind::kWaiting), 0);
}

TEST_F(Library, aReplicaThatComesBackGetsItsOwnUsers) {
  start();
  std::vector<std::string> its, others;
  for (int i = 0; i < 5; ++i) {
    its.push_back(user_at(first, i));
    others.push_back(user_at(second, i));
  }
  for (const auto& user : its) attach(user);
  for (const auto& user : others) attach(user);
  for (const auto& user : its) told.nth(user, Status::Kind::kAttached);
  for (const auto& user : others) told.nth(user, Status::Kind::kAttached);
  first.down();
  for (const auto& user : its)
    EXPECT_EQ(told.nth(user, Status::Kind::kAttached, 2).endpoint, second.endpoint());
  first.up();
  for (const auto& user : its)
    EXPECT_EQ(told.nth(user, Status::Kind::kAttached, 3).endpoint, first.endpoint());
  second.until(In::kDetach, 5);
  EXPECT_EQ(told.count(Status::Kind::kAttached), 20);
}

TEST_F(Library, anOwnershipLostMovesTheUser) {
  std::string user = attached_at(first);
  first.detached(user, v1::DETACH_REASON_OWNERSHIP_LOST);
  EXPECT_EQ(told.nth(user, Status::Kind::kAttached, 2).endpoint, second.endpoint());
}

TEST_F(Library, whoIsReplacedOrLoggedOutIsLeftAlone) {
  for (auto reason :
       {v1::DETACH_REASON_REPLACED, v1::DETACH_REASON_LOGGED_OUT, v1::DETACH_REASON_WITHDRAWN}) {
    if (!core) start();
    std::string user = user_at(first, reason);
    attach(user);
    told.nth(user, Status::Kind::kAttached);
    first.detached(user, reason);
    EXPECT_EQ("DETACH_REASON_" + told.nth(user, Status::Kind::kEnded).reason,
              v1::DetachReason_Name(reason));
    EXPECT_EQ(submit(user, "one").get().reason, "NO_CLIENT");
  }
  EXPECT_EQ(count(second.frames(), In::kAttach), 0u);
}

TEST_F(Library, aRefusedAttachIsToldOrTriedAgainAsTheGatewaySays) {
  int tries = 0;
  auto attached = first.on_attach;
  first.on_attach = second.on_attach = [&](const v1::Attach& attach) {
    v1::ConnectResponse frame;
    if (++tries == 3) return attached(attach);
    frame.mutable_detached()->set_user_id(attach.user_id());
    frame.mutable_detached()->set_reason(v1::DETACH_REASON_REFUSED);
    auto& error = *frame.mutable_detached()->mutable_error();
    error.set_reason(tries < 3 ? "THROTTLED" : "USER_UNKNOWN");
    if (tries < 3) error.mutable_retry_after()->set_nanos(1'000'000);
    return frame;
  };
  start();
  attach("patient");
  told.nth("patient", Status::Kind::kAttached);
  attach("unknown");
  EXPECT_EQ(told.nth("unknown", Status::Kind::kEnded).error.reason(), "USER_UNKNOWN");
}

// The old attachment's end may come when the new one's Attach is on its way on the same stream.
TEST_F(Library, aLateEndOfAnOldAttachmentIsNotTakenForTheNewOne) {
  first.on_attach = second.on_attach = [](const v1::Attach&) { return v1::ConnectResponse{}; };
  start();
  std::string user = user_at(first);
  attach(user);
  first.until(In::kAttach, 1);
  core->set_endpoints({second.endpoint()});
  second.until(In::kAttach, 1);
  core->set_endpoints({first.endpoint(), second.endpoint()});
  second.down();  // and so back to the first
  first.until(In::kAttach, 2);
  first.detached(user, v1::DETACH_REASON_REPLACED);
  v1::ConnectResponse frame;
  frame.mutable_attached()->set_user_id(user);
  first.send(frame);
  EXPECT_EQ(told.nth(user, Status::Kind::kAttached).endpoint, first.endpoint());
  EXPECT_EQ(told.count(Status::Kind::kEnded), 0);
}

TEST_F(Library, anEventThatIsMissingIsFetchedByAttachingAnew) {
  std::string user = attached_at(first);
  first.event(user, 2);
  told.nth(user, Status::Kind::kAttached, 2);
  EXPECT_EQ(told.events(), 0u);
}

TEST_F(Library, whatMaySucceedLaterIsSentAgainInOrder) {
  std::map<std::string, int> tries;
  std::vector<std::string> order;
  first.on_submit = [&](const v1::OutgoingMessage& message) {
    const auto& id = message.request_id();
    if (++tries[id] > 1) {
      order.push_back(id);
      return accepted(message);
    }
    return id == "one" ? refused(message, "OUTCOME_UNKNOWN", 20) : refused(message, "THROTTLED", 1);
  };
  std::string user = attached_at(first);
  auto one = submit(user, "one"), two = submit(user, "two");
  EXPECT_EQ(one.get().outcome, Outcome::kAccepted);
  EXPECT_EQ(two.get().outcome, Outcome::kAccepted);
  EXPECT_THAT(order, ElementsAre("one", "two"));
}

TEST_F(Library, aRefusalIsFinalAndADeadlineSaysWhetherItMayBeStored) {
  first.on_submit = [](const v1::OutgoingMessage& message) -> std::optional<v1::SubmitResult> {
    if (message.request_id() == "refused") return refused(message, "REQUEST_ID_REUSED");
    if (message.request_id() == "throttled") return refused(message, "THROTTLED", 900);
    return std::nullopt;
  };
  std::string user = attached_at(first);
  auto answer = submit(user, "refused").get();
  EXPECT_EQ(answer.outcome, Outcome::kRefused);
  EXPECT_EQ(answer.reason, "REQUEST_ID_REUSED");
  EXPECT_EQ(submit(user, "silent", 50ms).get().outcome, Outcome::kUnknown);
  answer = submit(user, "throttled", 50ms).get();
  EXPECT_EQ(answer.outcome, Outcome::kRefused);
  EXPECT_EQ(answer.reason, "DEADLINE");
}

TEST_F(Library, theWindowOfTheGatewayIsKept) {
  first.submit_window = 2;
  std::vector<v1::OutgoingMessage> open;
  first.on_submit = [&](const v1::OutgoingMessage& message) {
    open.push_back(message);
    return std::nullopt;
  };
  std::string user = attached_at(first);
  std::vector<std::future<Answer>> answers;
  answers.reserve(5);
  for (int i = 0; i < 5; ++i) answers.push_back(submit(user, std::to_string(i)));
  for (std::size_t i = 0; i < 5; ++i) {
    auto frames = first.until([&](const Frames& seen) {
      return submitted(seen).size() >= std::min<std::size_t>(i + 2, 5);
    });
    EXPECT_LE(submitted(frames).size(), i + 2);
    v1::ConnectResponse frame;
    *frame.mutable_submit_results()->add_results() = accepted(open[i]);
    first.send(frame);
    EXPECT_EQ(answers[i].get().message_id, "id-of-" + std::to_string(i));
  }
}

TEST_F(Library, memoryIsBoundedAndWhatWouldBreakTheStreamIsRefused) {
  options.max_queued = 2;
  first.on_submit = [](const v1::OutgoingMessage&) { return std::nullopt; };
  std::string user = attached_at(first);
  EXPECT_EQ(submit(user, "bad", 20s, "\xff").get().reason, "CONTENT_INVALID");
  EXPECT_EQ(submit(user, "bad", 20s, "\xed\xa0\x80").get().reason, "CONTENT_INVALID");
  EXPECT_EQ(submit(user, "bad", 20s, "\xc0\x80").get().reason, "CONTENT_INVALID");
  EXPECT_EQ(submit(user, "").get().reason, "REQUEST_ID_INVALID");
  auto one = submit(user, "one"), two = submit(user, "\xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(submit(user, "three").get().reason, "QUEUE_FULL");
  first.until([](const Frames& frames) { return submitted(frames).size() == 2; });
  core->detach(user);
  EXPECT_EQ(one.get().outcome, Outcome::kUnknown);
  EXPECT_EQ(two.get().reason, "DETACHED");
  first.until(In::kDetach, 1);
}

TEST_F(Library, aTokenThatIsWantedIsGiven) {
  std::string user = attached_at(first);
  v1::ConnectResponse frame;
  frame.mutable_token_wanted()->set_user_id(user);
  first.send(frame);
  EXPECT_EQ(first.until(In::kFreshToken, 1).back().fresh_token().token(), "token-2");
}

TEST_F(Library, aGatewayThatIsSilentIsLeft) {
  options.heartbeat = 20ms;
  options.heartbeat_timeout = 100ms;
  std::string user = attached_at(first);
  first.until(In::kHeartbeat, 2);
  EXPECT_EQ(told.count(Status::Kind::kWaiting), 0);
  first.be_silent();
  EXPECT_EQ(told.nth(user, Status::Kind::kAttached, 2).endpoint, second.endpoint());
}

TEST_F(Library, atItsEndEveryoneIsAnswered) {
  first.on_submit = [](const v1::OutgoingMessage&) { return std::nullopt; };
  std::string user = attached_at(first);
  auto answer = submit(user, "one");
  first.until([](const Frames& frames) { return submitted(frames).size() == 1; });
  core.reset();
  EXPECT_EQ(answer.get().outcome, Outcome::kUnknown);
}

}  // namespace
}  // namespace gw::backend
