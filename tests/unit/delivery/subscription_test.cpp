#include "delivery/subscription.h"

#include <gtest/gtest.h>

#include "unit/api/fake_users.h"

namespace gw::delivery {
namespace {

using test::FakeUsers;
const FakeUsers::Key kAlice{7, "alice"};

class TestClock final : public Clock {
 public:
  WallTime wall() const override { return {}; }
  MonoTime mono() const override { return MonoTime{Millis{now.load()}}; }
  std::atomic<std::int64_t> now{1000};
};

struct Sink {
  explicit Sink(FakeUsers& users, FeedLimits limits = {})
      : clock(std::make_shared<TestClock>()),
        subscription(std::make_shared<Subscription>(
            users, clock, limits,
            [](std::string_view user, const message::Event& event, std::string& out) {
              out = std::string(user) + ":" + std::to_string(event.seq);
            },
            probe, [this] { ++wakes; })) {}
  std::vector<std::string> take() {
    std::vector<std::string> out;
    subscription->take(1u << 20, out);
    subscription->pump();
    return out;
  }
  std::atomic<int> wakes{0};
  DeliveryProbe probe;
  std::shared_ptr<TestClock> clock;
  std::shared_ptr<Subscription> subscription;
};

void commit(FakeUsers& users, int count) {
  for (int i = 0; i < count; ++i) users.commit_text(kAlice, std::string(100, 'x'));
}

// Users that answer inside the call: many pages must not become a deep stack.
TEST(Subscription, ReadsThatAreAnsweredAtOnceDoNotNest) {
  FakeUsers users(true);
  users.add(7, "alice");
  constexpr int kEvents = 50'000;
  commit(users, kEvents);
  FeedLimits limits;
  limits.window = {.events = kEvents, .bytes = 1u << 30};
  limits.page_bytes = 1000;  // some ten events a page
  Sink sink(users, limits);
  sink.subscription->add({7, "alice"}, "alice", 0, kEvents);
  sink.subscription->pump();
  EventSeq next = 1;
  for (auto got = sink.take(); !got.empty(); got = sink.take())
    for (const auto& one : got) ASSERT_EQ(one, "alice:" + std::to_string(next++));
  EXPECT_EQ(next, kEvents + 1);
  EXPECT_GT(sink.wakes.load(), 0);
  EXPECT_EQ(sink.probe.taken.load(), static_cast<std::uint64_t>(kEvents));
}

TEST(Subscription, FailedReadsAreCountedAndMadeAgain) {
  FakeUsers users(true);
  users.add(7, "alice");
  commit(users, 3);
  users.script([](auto& script) {
    script.fail_reads = Error{ErrorKind::kRetryLater, "STORE_BUSY", "", {}};
  });
  Sink sink(users);
  sink.subscription->add({7, "alice"}, "alice", 0, 3);
  sink.subscription->pump();
  sink.subscription->pump();
  EXPECT_EQ(sink.probe.pages.load(), 1U);
  EXPECT_EQ(sink.probe.pages_failed.load(), 1U);
  users.script([](auto& script) { script.fail_reads.reset(); });
  sink.clock->now += 1000;
  sink.subscription->pump();
  EXPECT_EQ(sink.take().size(), 3U);
}

TEST(Subscription, ClosedOneAsksAndWakesNoMore) {
  FakeUsers users(true);
  users.add(7, "alice");
  commit(users, 3);
  Sink sink(users);
  auto handle = sink.subscription->add({7, "alice"}, "alice", 0, 3);
  sink.subscription->close();
  sink.subscription->pump();
  sink.subscription->live(handle, {});
  EXPECT_TRUE(sink.take().empty());
  EXPECT_EQ(sink.wakes.load(), 0);
  EXPECT_EQ(users.seen().reads, 0U);
  EXPECT_EQ(sink.probe.held_bytes.load(), 0U);
}

TEST(Subscription, HeldBytesAreReportedAndGivenBack) {
  FakeUsers users(true);
  users.add(7, "alice");
  Sink sink(users);
  auto handle = sink.subscription->add({7, "alice"}, "alice", 0, 0);
  message::Event event;
  event.seq = 1;
  event.body = message::IdentityChanged{};
  sink.subscription->live(handle, {event});
  EXPECT_EQ(sink.probe.held_bytes.load(), 7U);  // "alice:1"
  sink.subscription->remove(handle);
  EXPECT_EQ(sink.probe.held_bytes.load(), 0U);
}

}  // namespace
}  // namespace gw::delivery
