// Events over the stream: order, window, acknowledgements, a backend that reads slowly.
#include "unit/api/server_fixture.h"

namespace gw::api {
namespace {

using Kind = v1::ConnectResponse;
using EventsTest = ServerTest;
const FakeUsers::Key kAlice{7, "alice"}, kBob{7, "bob"};

void expect_seqs(const std::vector<v1::Event>& events, std::uint64_t from) {
  for (const auto& event : events) EXPECT_EQ(event.seq(), from++);
}

TEST_F(EventsTest, BacklogThenLiveInOrder) {
  for (int i = 0; i < 50; ++i) users_.commit_text(kAlice, "old");
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  for (int i = 0; i < 50; ++i) users_.commit_text(kAlice, "new");
  auto got = events(stream, 100);
  ASSERT_EQ(got.size(), 100U);
  expect_seqs(got, 1);
  EXPECT_EQ(got[0].user_id(), "alice");
  EXPECT_EQ(got[99].message_received().content().text().body(), "new");
}

TEST_F(EventsTest, ResumeGoesOnBehindWhatIsStored) {
  for (int i = 0; i < 10; ++i) users_.commit_text(kAlice, "x");
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach("alice", 4));
  auto attached = stream.next(Kind::kAttached);
  ASSERT_TRUE(attached);
  EXPECT_EQ(attached->attached().acked_seq(), 4U);
  EXPECT_EQ(attached->attached().last_seq(), 10U);
  expect_seqs(events(stream, 6), 5);
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.acknowledged.size() == 1; }));
  EXPECT_EQ(users_.acked(kAlice), 4);
}

TEST_F(EventsTest, WindowHoldsUntilAcknowledged) {
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1", 5));
  EXPECT_EQ(stream.welcome().event_window(), 5U);
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  ASSERT_TRUE(stream.attach_and_wait("bob"));
  for (int i = 0; i < 12; ++i) users_.commit_text(kAlice, "x");
  expect_seqs(events(stream, 5), 1);
  users_.commit_text(kBob, "another user's window is his own");
  auto bobs = events(stream, 1);
  ASSERT_EQ(bobs.size(), 1U);
  EXPECT_EQ(bobs[0].user_id(), "bob");
  ASSERT_TRUE(stream.acknowledge("alice", 5));
  expect_seqs(events(stream, 5), 6);
  ASSERT_TRUE(stream.acknowledge("alice", 99));  // more than there is: all that there is
  EXPECT_TRUE(users_.wait([](auto& seen) { return seen.acknowledged.size() == 2; }));
  EXPECT_EQ(users_.acked(kAlice), 12);
  users_.commit_text(kAlice, "y");
  expect_seqs(events(stream, 1), 13);
}

TEST_F(EventsTest, UnacknowledgedEventsComeAgainOnTheNextStream) {
  for (int i = 0; i < 3; ++i) users_.commit_text(kAlice, "x");
  {
    ConnectStream stream(channel());
    ASSERT_TRUE(stream.greet("b1"));
    ASSERT_TRUE(stream.attach_and_wait("alice"));
    expect_seqs(events(stream, 3), 1);
    ASSERT_TRUE(stream.acknowledge("alice", 1));
    ASSERT_TRUE(users_.wait([](auto& seen) { return seen.acknowledged.size() == 1; }));
  }
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  expect_seqs(events(stream, 2), 2);
}

TEST_F(EventsTest, NothingFollowsDetached) {
  for (int i = 0; i < 300; ++i) users_.commit_text(kAlice, std::string(2000, 'x'));
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1", 4096));
  ASSERT_TRUE(stream.attach("alice"));
  ASSERT_TRUE(stream.detach("alice"));
  ASSERT_TRUE(stream.next(Kind::kDetached));
  stream.half_close();
  std::size_t before = stream.skipped().size();
  EXPECT_TRUE(stream.status().ok());
  for (std::size_t i = before; i < stream.skipped().size(); ++i)
    EXPECT_FALSE(stream.skipped()[i].has_events());
}

TEST_F(EventsTest, ReadsThatFailAreTriedAgain) {
  for (int i = 0; i < 3; ++i) users_.commit_text(kAlice, "x");
  users_.script([](auto& script) {
    script.fail_reads = Error{ErrorKind::kRetryLater, "STORE_BUSY", "", {}};
  });
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1"));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  ASSERT_TRUE(users_.wait([](auto& seen) { return seen.reads >= 1; }));
  users_.script([](auto& script) { script.fail_reads.reset(); });
  expect_seqs(events(stream, 3), 1);
  EXPECT_GE(probe_.delivery.pages_failed.load(), 1U);
}

// 40 MB of events for a backend that reads nothing. What waits in memory stays within the bound, a
// heartbeat's answer does not wait behind them once it reads, and then everything comes, in order.
TEST_F(EventsTest, SlowReaderCostsNoMemoryAndMissesNothing) {
  limits_.held_events_bytes = 1u << 20;
  limits_.event_window_bytes = 64u << 20;
  limits_.keepalive = Millis{600'000};  // this client's transport sleeps while nobody reads
  ConnectStream stream(channel());
  ASSERT_TRUE(stream.greet("b1", 4096));
  ASSERT_TRUE(stream.attach_and_wait("alice"));
  ASSERT_TRUE(stream.attach_and_wait("bob"));
  constexpr int kEach = 2000;
  for (int i = 0; i < kEach; ++i) {
    users_.commit_text(kAlice, std::string(10'000, 'x'));
    users_.commit_text(kBob, std::string(10'000, 'y'));
  }
  users_.settle();
  EXPECT_LE(probe_.delivery.held_bytes.load(), (1u << 20) + 20'000U);
  EXPECT_GT(probe_.delivery.live_left.load(), 1000U);

  v1::ConnectRequest heartbeat;
  heartbeat.mutable_heartbeat()->set_nonce(1);
  ASSERT_TRUE(stream.send(heartbeat));
  std::map<std::string, std::uint64_t> last;
  std::size_t before_echo = 0, total = 0;
  bool echoed = false;
  while (total < 2 * kEach || !echoed) {
    auto frame = stream.next();
    ASSERT_TRUE(frame) << total;
    echoed = echoed || frame->has_heartbeat_echo();
    for (const auto& event : frame->events().events()) {
      ASSERT_EQ(event.seq(), ++last[event.user_id()]);
      ++total;
      if (!echoed) before_echo += event.ByteSizeLong();
    }
  }
  EXPECT_EQ(last["alice"], static_cast<std::uint64_t>(kEach));
  EXPECT_EQ(last["bob"], static_cast<std::uint64_t>(kEach));
  EXPECT_LT(before_echo, 12u << 20);  // what HTTP/2's windows held, not the 40 MB
}

}  // namespace
}  // namespace gw::api
