#include "link/backoff.h"

#include <gtest/gtest.h>

namespace gw::link {
namespace {

constexpr std::uint64_t kLeast = 0;
constexpr Backoff::Options kOptions{Millis{500}, Millis{60'000}, Millis{10'000}};
constexpr MonoTime kStart{Millis{1'000'000}};

// The longest pause that chance can make of a limit; its half is even here.
std::uint64_t most(Millis limit) { return static_cast<std::uint64_t>(limit.count() / 2); }

TEST(Jittered, DoublesAndIsCappedAndHalfOfItIsChance) {
  Millis limit{500};
  for (int tries = 0; tries < 40; ++tries) {
    EXPECT_EQ(jittered(Millis{500}, Millis{60'000}, tries, kLeast), limit / 2) << tries;
    EXPECT_EQ(jittered(Millis{500}, Millis{60'000}, tries, most(limit)), limit) << tries;
    limit = std::min(limit * 2, Millis{60'000});
  }
  EXPECT_LE(jittered(Millis{3}, Millis{3}, 1'000'000, ~0ull), Millis{3});
}

struct User {
  Backoff backoff;
  MonoTime now = kStart;
  // Down now; -> the pause.
  Millis down(Millis at_least = Millis{0}) {
    return backoff.down(kOptions, now, at_least, kLeast) - now;
  }
};

TEST(Backoff, GrowsWithEachTryInVainUpToItsCap) {
  User user;
  EXPECT_EQ(user.down(), Millis{250});
  EXPECT_EQ(user.down(), Millis{500});
  EXPECT_EQ(user.down(), Millis{1000});
  for (int i = 0; i < 2000; ++i) user.down();
  EXPECT_EQ(user.down(), Millis{30'000});
}

TEST(Backoff, ALinkThatFallsAtOnceResetsNothing) {
  User user;
  for (int i = 0; i < 5; ++i) user.down();
  for (int i = 0; i < 3; ++i) {
    user.backoff.up(user.now);
    user.now += Millis{9'999};
    EXPECT_GE(user.down(), Millis{8'000}) << "logged in and lost, again and again";
  }
}

TEST(Backoff, ALinkThatWorkedResetsIt) {
  User user;
  for (int i = 0; i < 5; ++i) user.down();
  user.backoff.up(user.now);
  user.now += Millis{10'000};
  EXPECT_EQ(user.down(), Millis{250});
  user.now += Millis{10'000};
  EXPECT_EQ(user.down(), Millis{500}) << "a try that never came up has not worked";
}

TEST(Backoff, SomebodyNewNeedNotWaitForOldTroubles) {
  User user;
  for (int i = 0; i < 5; ++i) user.down();
  EXPECT_EQ(user.backoff.renewed(user.now), user.now);
  EXPECT_EQ(user.down(), Millis{250});
}

TEST(Backoff, WhatWhatsAppAskedForHoldsForSomebodyNewAsWell) {
  User user;
  EXPECT_EQ(user.down(Millis{3600'000}), Millis{3600'000});
  user.now += Millis{60'000};
  EXPECT_EQ(user.backoff.renewed(user.now) - user.now, Millis{3540'000});
  EXPECT_EQ(user.down(), Millis{3540'000}) << "nor does another failure shorten it";
  user.now += Millis{3540'000};
  EXPECT_EQ(user.backoff.renewed(user.now), user.now);
  EXPECT_EQ(user.down(Millis{1}), Millis{250}) << "our own pause is longer";
}

TEST(Backoff, ALinkThatWeClosedIsNoLongerUp) {
  User user;
  for (int i = 0; i < 5; ++i) user.down();
  user.backoff.up(user.now);
  user.now += Millis{1'000};
  user.backoff.closed(kOptions, user.now);
  user.now += Millis{60'000};
  EXPECT_GE(user.down(), Millis{8'000}) << "a second is all that it was up";
}

TEST(Backoff, ALinkThatWorkedAndThatWeClosedResetsIt) {
  User user;
  for (int i = 0; i < 5; ++i) user.down();
  user.backoff.up(user.now);
  user.now += Millis{10'000};
  user.backoff.closed(kOptions, user.now);
  EXPECT_EQ(user.down(), Millis{250});
}

TEST(Backoff, WhoeverAsksInBetweenIsToldTheSame) {
  User user;
  EXPECT_EQ(user.backoff.next(user.now), user.now) << "nothing went wrong yet";
  user.down();
  const auto at = user.now + user.down();
  EXPECT_EQ(user.backoff.next(user.now), at);
  user.backoff.closed(kOptions, user.now);
  EXPECT_EQ(user.backoff.next(user.now), at) << "to close what is down changes nothing";
  EXPECT_EQ(user.backoff.next(at + Millis{1}), at + Millis{1});
  EXPECT_EQ(user.backoff.renewed(user.now), user.now);
  EXPECT_EQ(user.backoff.next(user.now), user.now);
  const auto banned = user.now + user.down(Millis{3600'000});
  EXPECT_EQ(user.backoff.renewed(user.now), banned);
  EXPECT_EQ(user.backoff.next(user.now), banned);
}

TEST(Backoff, WhatWhatsAppAskedForIsTakenOverByAnotherOne) {
  User user, later;
  EXPECT_EQ(user.backoff.not_before(), MonoTime{});
  user.down(Millis{3600'000});
  later.backoff = Backoff(user.backoff.not_before());
  EXPECT_EQ(later.backoff.next(user.now), user.now + Millis{3600'000});
  EXPECT_EQ(later.backoff.renewed(user.now), user.now + Millis{3600'000});
  EXPECT_EQ(later.down(), Millis{3600'000});
}

TEST(Backoff, AnAdviceOfYearsIsTakenForADay) {
  User user;
  EXPECT_EQ(user.down(Millis{366ll * 86'400'000}), Millis{86'400'000});
}

}  // namespace
}  // namespace gw::link
