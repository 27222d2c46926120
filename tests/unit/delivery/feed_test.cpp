#include "delivery/feed.h"

#include <gtest/gtest.h>

namespace gw::delivery {
namespace {

constexpr MonoTime kNow{Millis{1000}};

Item item(EventSeq seq, std::size_t size) { return {seq, std::string(size, 'x')}; }

std::vector<Item> items(const Page& page, std::size_t size) {
  std::vector<Item> out;
  for (EventSeq seq = page.after + 1; out.size() < page.limit; ++seq) {
    out.push_back(item(seq, size));
    if (out.size() * size >= page.max_bytes) break;
  }
  return out;
}

TEST(Feed, UsersTakeTurns) {
  FeedLimits limits;
  limits.turn_bytes = 100;
  Feed feed(limits);
  auto a = feed.add(0, 0), b = feed.add(0, 0);
  for (EventSeq seq = 1; seq <= 4; ++seq) feed.live(a, item(seq, 60));
  feed.live(b, item(1, 60));
  std::vector<Feed::Handle> order;
  for (auto& [handle, one] : feed.take(10'000)) order.push_back(handle);
  EXPECT_EQ(order, (std::vector{a, a, b, a, a}));
  EXPECT_FALSE(feed.ready());
}

TEST(Feed, TakesNoMoreThanAskedFor) {
  Feed feed({});
  auto a = feed.add(0, 0);
  for (EventSeq seq = 1; seq <= 10; ++seq) feed.live(a, item(seq, 100));
  EXPECT_EQ(feed.take(250).size(), 3U);
  EXPECT_EQ(feed.take(1).size(), 1U);
  EXPECT_TRUE(feed.ready());
  EXPECT_EQ(feed.take(100'000).size(), 6U);
  EXPECT_FALSE(feed.ready());
}

// A thousand users with a long backlog, and a sink that takes nothing: memory stays within the
// bound, reads stop. When the sink takes again, everything comes.
TEST(Feed, MemoryIsBoundedForAllUsersTogether) {
  FeedLimits limits;
  limits.held_bytes = 1u << 20;
  Feed feed(limits);
  std::map<Feed::Handle, EventSeq> got;
  for (int i = 0; i < 1000; ++i) got[feed.add(0, 50)] = 0;
  auto read_all = [&] {
    bool any = false;
    for (auto reads = feed.reads(kNow); !reads.empty(); reads = feed.reads(kNow)) {
      any = true;
      EXPECT_LE(reads.size(), limits.reads);
      EXPECT_LE(feed.held_bytes(), limits.held_bytes);
      for (auto& read : reads) EXPECT_TRUE(feed.read_done(read.id, items(read.page, 1000), kNow));
    }
    return any;
  };
  EXPECT_TRUE(read_all());
  EXPECT_LE(feed.held_bytes(), limits.held_bytes);
  EXPECT_FALSE(read_all());
  for (auto& [handle, seq] : got) feed.live(handle, item(51, 1000));
  int turns = 0;
  while (feed.ready() && ++turns < 100'000) {
    for (auto& [handle, one] : feed.take(64u << 10)) ASSERT_EQ(one.seq, ++got[handle]);
    read_all();
    EXPECT_LE(feed.held_bytes(), limits.held_bytes + 1000);
  }
  for (auto& [handle, seq] : got) EXPECT_EQ(seq, 51) << handle;
}

TEST(Feed, FailedReadIsTriedAgainLater) {
  FeedLimits limits;
  Feed feed(limits);
  auto a = feed.add(0, 3);
  auto reads = feed.reads(kNow);
  ASSERT_EQ(reads.size(), 1U);
  EXPECT_FALSE(feed.read_done(reads[0].id, fail(ErrorKind::kRetryLater, "STORE_BUSY"), kNow));
  EXPECT_TRUE(feed.reads(kNow).empty());
  feed.live(a, item(4, 10));  // does not jump the pause
  EXPECT_TRUE(feed.reads(kNow + limits.retry - Millis{1}).empty());
  reads = feed.reads(kNow + limits.retry);
  ASSERT_EQ(reads.size(), 1U);
  EXPECT_TRUE(feed.read_done(reads[0].id, items(reads[0].page, 10), kNow));
  EXPECT_EQ(feed.take(1000).size(), 4U);
}

TEST(Feed, ReadOfAUserThatIsGoneGivesItsMemoryBack) {
  Feed feed({});
  auto a = feed.add(0, 3);
  auto reads = feed.reads(kNow);
  ASSERT_EQ(reads.size(), 1U);
  EXPECT_GT(feed.held_bytes(), 0U);
  feed.remove(a);
  EXPECT_TRUE(feed.read_done(reads[0].id, items(reads[0].page, 10), kNow));
  EXPECT_EQ(feed.held_bytes(), 0U);
  EXPECT_FALSE(feed.ready());
  EXPECT_FALSE(feed.acknowledge(a, 1));
}

TEST(Feed, RemovedUserIsNotReady) {
  Feed feed({});
  auto a = feed.add(0, 0);
  feed.live(a, item(1, 10));
  EXPECT_TRUE(feed.ready());
  feed.remove(a);
  EXPECT_FALSE(feed.ready());
  EXPECT_TRUE(feed.take(100).empty());
}

}  // namespace
}  // namespace gw::delivery
