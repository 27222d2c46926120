#include "delivery/cursor.h"

#include <cstdlib>
#include <deque>
#include <gtest/gtest.h>
#include <random>

namespace gw::delivery {
namespace {

std::uint64_t seed() {
  const char* given = std::getenv("GW_SEED");
  std::uint64_t value =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("GW_SEED=%llu\n", static_cast<unsigned long long>(value));
  return value;
}

constexpr std::size_t kRoom = 1u << 20;

Item item(EventSeq seq, std::size_t size = 10) { return {seq, std::string(size, 'x')}; }

std::vector<Item> items(EventSeq from, EventSeq to) {
  std::vector<Item> out;
  for (EventSeq seq = from; seq <= to; ++seq) out.push_back(item(seq));
  return out;
}

TEST(Cursor, LiveEventsLeaveInOrder) {
  Cursor cursor({}, 4, 4);
  EXPECT_FALSE(cursor.ready());
  EXPECT_FALSE(cursor.wants(kRoom));
  cursor.live(item(5), kRoom);
  cursor.live(item(6), kRoom);
  EXPECT_EQ(cursor.take().seq, 5);
  EXPECT_EQ(cursor.take().seq, 6);
  EXPECT_FALSE(cursor.ready());
  EXPECT_FALSE(cursor.wants(kRoom));
}

TEST(Cursor, BacklogIsReadAndJoinsTheLiveEventsBehindIt) {
  Cursor cursor({}, 0, 10);
  auto page = cursor.wants(kRoom);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->after, 0);
  EXPECT_EQ(page->limit, 10U);
  cursor.reading();
  EXPECT_FALSE(cursor.wants(kRoom));
  cursor.live(item(11), kRoom);
  cursor.live(item(12), kRoom);
  EXPECT_FALSE(cursor.ready());
  EXPECT_TRUE(cursor.page(items(1, 10)));
  for (EventSeq seq = 1; seq <= 12; ++seq) EXPECT_EQ(cursor.take().seq, seq);
  EXPECT_FALSE(cursor.wants(kRoom));
}

// Kept on, they could fill the memory that the next page needs, for all users at once.
TEST(Cursor, LiveEventsBehindAShortPageAreForgotten) {
  Cursor cursor({}, 0, 10);
  cursor.reading();
  cursor.live(item(11), kRoom);
  EXPECT_TRUE(cursor.page(items(1, 5)));
  for (EventSeq seq = 1; seq <= 5; ++seq) EXPECT_EQ(cursor.take().seq, seq);
  EXPECT_EQ(cursor.held_bytes(), 0U);
  EXPECT_EQ(cursor.wants(kRoom)->limit, 6U);
}

TEST(Cursor, LiveEventWithoutRoomIsReadLater) {
  Cursor cursor({}, 0, 0);
  cursor.live(item(1), 0);
  EXPECT_FALSE(cursor.ready());
  cursor.live(item(2), kRoom);  // behind a gap and nothing is being read: forgotten too
  EXPECT_EQ(cursor.held_bytes(), 0U);
  auto page = cursor.wants(kRoom);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->after, 0);
  cursor.reading();
  EXPECT_TRUE(cursor.page(items(1, 2)));
  EXPECT_EQ(cursor.take().seq, 1);
  EXPECT_EQ(cursor.take().seq, 2);
}

TEST(Cursor, WindowOfEventsHoldsUntilAcknowledged) {
  Cursor cursor({.events = 2, .bytes = 1000}, 0, 0);
  for (EventSeq seq = 1; seq <= 5; ++seq) cursor.live(item(seq), kRoom);
  EXPECT_EQ(cursor.take().seq, 1);
  EXPECT_EQ(cursor.take().seq, 2);
  EXPECT_FALSE(cursor.ready());
  EXPECT_FALSE(cursor.wants(kRoom));
  EXPECT_EQ(cursor.acknowledge(1), 1);
  auto page = cursor.wants(kRoom);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->after, 2);
  EXPECT_EQ(page->limit, 1U);
}

TEST(Cursor, WindowOfOctetsLetsOneEventOfAnySizePass) {
  Cursor cursor({.events = 100, .bytes = 50}, 0, 0);
  cursor.live(item(1, 5000), kRoom);
  cursor.live(item(2, 1), kRoom);
  ASSERT_TRUE(cursor.ready());
  cursor.take();
  EXPECT_FALSE(cursor.ready());
  EXPECT_FALSE(cursor.wants(kRoom));
  cursor.acknowledge(1);
  EXPECT_EQ(cursor.unacked_bytes(), 0U);
  EXPECT_TRUE(cursor.wants(kRoom));
}

TEST(Cursor, AlmostFullWindowIsNotRefilledOneByOne) {
  Cursor cursor({.events = 100, .bytes = 1u << 20}, 0, 1000);
  cursor.reading();
  ASSERT_TRUE(cursor.page(items(1, 100)));
  while (cursor.ready()) cursor.take();
  cursor.acknowledge(24);
  EXPECT_FALSE(cursor.wants(kRoom));
  cursor.acknowledge(25);
  auto page = cursor.wants(kRoom);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->limit, 25U);
}

TEST(Cursor, AcknowledgeOfWhatTheProviderReadByItselfSkipsIt) {
  Cursor cursor({}, 0, 10);
  cursor.reading();
  EXPECT_TRUE(cursor.page(items(1, 5)));
  cursor.take();
  EXPECT_EQ(cursor.acknowledge(8), 8);
  EXPECT_FALSE(cursor.ready());
  EXPECT_EQ(cursor.wants(kRoom)->after, 8);
  EXPECT_EQ(cursor.acknowledge(99), 10);  // no more than there is
  EXPECT_FALSE(cursor.wants(kRoom));
  EXPECT_EQ(cursor.acknowledge(3), 10);  // never back
}

TEST(Cursor, NeverStepsOverAGap) {
  Cursor cursor({}, 0, 5);
  cursor.reading();
  EXPECT_FALSE(cursor.page(items(2, 5)));
  EXPECT_FALSE(cursor.ready());
  cursor.reading();
  EXPECT_FALSE(cursor.page({}));
  cursor.reading();
  std::vector<Item> holed = items(1, 2);
  holed.push_back(item(4));
  EXPECT_TRUE(cursor.page(std::move(holed)));
  EXPECT_EQ(cursor.take().seq, 1);
  EXPECT_EQ(cursor.take().seq, 2);
  EXPECT_FALSE(cursor.ready());
  EXPECT_EQ(cursor.wants(kRoom)->after, 2);
}

TEST(Cursor, PageThatCameTooLateIsNoFailure) {
  Cursor cursor({}, 0, 5);
  cursor.reading();
  cursor.acknowledge(3);
  EXPECT_TRUE(cursor.page(items(1, 3)));
  EXPECT_FALSE(cursor.ready());
  EXPECT_EQ(cursor.wants(kRoom)->after, 3);
}

// A store that grows, live events that come each once in order, reads that are answered late, short
// or not at all, acknowledgements at any time, room that comes and goes.
void run_random(std::uint64_t with_seed) {
  std::mt19937_64 engine(with_seed);
  auto below = [&](std::uint64_t n) { return engine() % n; };
  Window window{1 + below(40), 1 + below(3000)};
  EventSeq acked = static_cast<EventSeq>(below(20));
  EventSeq stored = acked + static_cast<EventSeq>(below(60));
  auto size_of = [&](EventSeq seq) { return 1 + static_cast<std::size_t>(seq * 37 % 200); };
  auto made = [&](EventSeq seq) {
    return Item{seq, std::string(size_of(seq), static_cast<char>('a' + seq % 26))};
  };
  Cursor cursor(window, acked, stored);
  EventSeq live = stored, sent = acked;
  std::optional<Page> reading;
  bool calm = false;  // the end: everything works, the provider acknowledges at once

  auto acknowledge = [&](EventSeq seq) {
    EventSeq in_force = cursor.acknowledge(seq);
    EventSeq expected = std::max(acked, std::min(seq, live));
    ASSERT_EQ(in_force, expected);
    acked = in_force;
    sent = std::max(sent, acked);
  };
  auto take = [&] {
    Item got = cursor.take();
    ASSERT_EQ(got.seq, sent + 1);
    ASSERT_EQ(got.bytes, made(got.seq).bytes);
    sent = got.seq;
    ASSERT_LE(sent, acked + static_cast<EventSeq>(window.events));
    std::size_t unacked = 0;
    for (EventSeq seq = acked + 1; seq <= sent; ++seq) unacked += size_of(seq);
    ASSERT_EQ(cursor.unacked_bytes(), unacked);
  };
  auto answer = [&] {
    Page page = *std::exchange(reading, std::nullopt);
    if (!calm && below(5) == 0) return cursor.read_failed();
    std::vector<Item> out;
    std::size_t bytes = 0, limit = calm ? page.limit : below(page.limit + 1);
    for (EventSeq seq = page.after + 1; seq <= stored && out.size() < limit; ++seq) {
      out.push_back(made(seq));
      if ((bytes += size_of(seq)) >= page.max_bytes) break;
    }
    cursor.page(std::move(out));
  };
  for (int step = 0; step < 1500; ++step) {
    std::size_t room = below(4) == 0 ? 0 : below(2000);
    switch (below(6)) {
      case 0:
        stored += static_cast<EventSeq>(below(4));
        break;
      case 1:
        while (live < stored) cursor.live(made(++live), room);
        break;
      case 2:
        if (!reading && (reading = cursor.wants(room))) {
          ASSERT_EQ(reading->after >= acked, true);
          ASSERT_GT(reading->limit, 0U);
          ASSERT_LE(reading->max_bytes, room);
          cursor.reading();
        }
        break;
      case 3:
        if (reading) answer();
        break;
      case 4:
        if (cursor.ready()) take();
        break;
      case 5:
        acknowledge(acked + static_cast<EventSeq>(below(static_cast<std::uint64_t>(
                                std::max<EventSeq>(1, sent - acked + (below(10) == 0 ? 5 : 1))))));
        break;
    }
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_LE(cursor.held_bytes(), window.bytes + 2000 + 200);
  }
  calm = true;
  while (live < stored) cursor.live(made(++live), kRoom);
  for (int turn = 0; sent < stored; ++turn) {
    ASSERT_LT(turn, 10000) << "stuck at " << sent << " of " << stored;
    if (reading) answer();
    while (cursor.ready() && !testing::Test::HasFatalFailure()) take();
    acknowledge(sent);
    if (testing::Test::HasFatalFailure()) return;
    if (!reading && (reading = cursor.wants(kRoom))) cursor.reading();
  }
  if (reading) answer();
  ASSERT_EQ(cursor.held_bytes(), 0U);
}

TEST(Cursor, RandomInterleavingsLoseNothing) {
  std::uint64_t first = seed();
  for (std::uint64_t i = 0; i < 400; ++i) {
    SCOPED_TRACE("GW_SEED=" + std::to_string(first + i));
    run_random(first + i);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace gw::delivery
