#include "link/admission.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace gw::link {
namespace {

using State = Admission::State;

// An endpoint seen by somebody with a clock of his own, and who always throws the same number.
struct Gate {
  explicit Gate(Admission::Options given = {}, std::uint64_t chance = 0)
      : options(given), admission(given, now, [chance] { return chance; }) {}

  Admission::Options options;
  MonoTime now{Millis{1'000'000}};
  Admission admission;

  std::optional<Admission::Pass> take() { return admission.take(now); }
  bool refuses() { return !take(); }
  // As many as may go within this time, asking whenever it may help; each is answered at once when
  // `answered`.
  int opened(Millis within, bool answered) {
    int count = 0;
    for (const auto end = now + within;;) {
      while (take()) {
        ++count;
        if (answered) admission.reached(now);
      }
      auto next = admission.next(now);
      if (next <= now) ADD_FAILURE() << "it would spin";
      if (next >= end) {
        now = end;
        return count;
      }
      now = next;
    }
  }
  void fail(int users, std::uint64_t first = 1) {
    for (int i = 0; i < users; ++i)
      admission.failed(*pass, first + static_cast<std::uint64_t>(i), now);
  }
  // From now on failures are those of openings that begin now.
  void begin() {
    now += Millis{60'000};
    pass = take();
    ASSERT_TRUE(pass);
  }
  void break_down() {
    begin();
    fail(static_cast<int>(options.failures));
    ASSERT_EQ(admission.state(), State::kDown);
  }
  std::optional<Admission::Pass> pass;
};

TEST(Ramp, BeginsSlowlyWhoeverComesFirstGoesAtOnce) {
  Gate gate;
  EXPECT_EQ(gate.admission.state(), State::kRamping);
  EXPECT_EQ(gate.admission.rate(), 50u);
  EXPECT_EQ(gate.opened(Millis{1}, false), 5) << "a tenth of a second's worth";
  EXPECT_EQ(gate.admission.next(gate.now) - gate.now, Millis{20 - 1});
}

TEST(Ramp, WithoutAnswersItStaysWhereItIs) {
  Gate gate;
  EXPECT_NEAR(gate.opened(Millis{10'000}, false), 500, 6);
  EXPECT_EQ(gate.admission.rate(), 50u);
}

TEST(Ramp, GrowsWithTheAnswersUpToItsCap) {
  Gate gate;
  std::vector<int> seconds;
  for (int i = 0; i < 8; ++i) seconds.push_back(gate.opened(Millis{1000}, true));
  EXPECT_LT(seconds[0], 150);
  EXPECT_GT(seconds[1], seconds[0]);
  EXPECT_GT(seconds[2], seconds[1]);
  EXPECT_NEAR(seconds[7], 500, 51);
  EXPECT_EQ(gate.admission.state(), State::kSteady);
  EXPECT_EQ(gate.admission.rate(), 500u);
  for (int i = 0; i < 8; ++i) EXPECT_LE(gate.opened(Millis{1000}, true), 551);
}

TEST(Ramp, AQuietTimeSavesUpNoFlood) {
  Gate gate;
  gate.opened(Millis{8'000}, true);
  gate.now += Millis{3600'000};
  EXPECT_EQ(gate.opened(Millis{1}, false), 50);
}

TEST(Ramp, OneRateForEverIsNoRamp) {
  Gate gate(Admission::Options{.first = 1, .most = 1});
  EXPECT_EQ(gate.admission.state(), State::kSteady);
  EXPECT_EQ(gate.opened(Millis{10'000}, true), 10);
}

TEST(Ramp, AClockThatStandsStillOrGoesBackDoesNoHarm) {
  Gate gate;
  gate.opened(Millis{1000}, false);
  gate.now -= Millis{500};
  EXPECT_TRUE(gate.refuses());
  EXPECT_LE(gate.admission.next(gate.now) - gate.now, Millis{20});
}

TEST(Breaker, OpensWhenDifferentUsersFailInARow) {
  Gate gate;
  gate.begin();
  gate.fail(4);
  EXPECT_EQ(gate.admission.state(), State::kRamping);
  gate.fail(1, 5);
  EXPECT_EQ(gate.admission.state(), State::kDown);
  EXPECT_EQ(gate.admission.rate(), 0u);
  EXPECT_TRUE(gate.refuses());
}

TEST(Breaker, OneUsersTroubleIsNotTheEndpoints) {
  Gate gate;
  gate.begin();
  for (int i = 0; i < 1000; ++i) gate.fail(4);
  EXPECT_NE(gate.admission.state(), State::kDown);
}

TEST(Breaker, AnAnswerBeginsTheRowAnew) {
  Gate gate;
  gate.begin();
  gate.fail(4);
  gate.admission.reached(gate.now);
  gate.fail(4, 10);
  EXPECT_NE(gate.admission.state(), State::kDown);
  gate.fail(1, 20);
  EXPECT_EQ(gate.admission.state(), State::kDown);
}

TEST(Breaker, LetsProbesThroughAtGrowingDistances) {
  Gate gate;
  gate.break_down();
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 8; ++i) {
    auto next = gate.admission.next(gate.now);
    waits.push_back((next - gate.now).count());
    gate.now = next - Millis{1};
    EXPECT_TRUE(gate.refuses());
    gate.now = next;
    EXPECT_TRUE(gate.take());
    EXPECT_TRUE(gate.refuses()) << "one at a time";
  }
  EXPECT_EQ(waits, (std::vector<std::int64_t>{500, 1000, 2000, 4000, 8000, 15000, 15000, 15000}));
}

TEST(Breaker, TheDistancesOfProbesHaveChanceInThem) {
  Gate gate({}, 500);
  gate.break_down();
  EXPECT_EQ(gate.admission.next(gate.now) - gate.now, Millis{1000});
}

TEST(Breaker, ProbesThatFailKeepItOpenAndOneThatIsAnsweredEndsIt) {
  Gate gate;
  gate.break_down();
  for (int i = 0; i < 3; ++i) {
    gate.now = gate.admission.next(gate.now);
    auto probe = gate.take();
    ASSERT_TRUE(probe);
    gate.admission.failed(*probe, 99, gate.now);
    EXPECT_EQ(gate.admission.state(), State::kDown);
  }
  gate.admission.reached(gate.now);
  EXPECT_EQ(gate.admission.state(), State::kRamping);
  EXPECT_EQ(gate.admission.rate(), 50u) << "from the start of the ramp";
  EXPECT_EQ(gate.opened(Millis{1}, false), 5);
}

TEST(Breaker, TheNextOutageBeginsWithShortDistancesAgain) {
  Gate gate;
  gate.break_down();
  for (int i = 0; i < 5; ++i) {
    gate.now = gate.admission.next(gate.now);
    gate.take();
  }
  gate.admission.reached(gate.now);
  gate.break_down();
  EXPECT_EQ(gate.admission.next(gate.now) - gate.now, Millis{500});
}

TEST(Breaker, WhatBeganBeforeItsRecoverySaysNothingOfTheTimeAfter) {
  Gate gate;
  gate.break_down();
  auto old = *gate.pass;
  gate.admission.reached(gate.now);
  for (std::uint64_t user = 1; user < 100; ++user) gate.admission.failed(old, user, gate.now);
  EXPECT_EQ(gate.admission.state(), State::kRamping) << "they hung in the outage till now";
}

TEST(Breaker, AnAnswerToAnOpeningFromBeforeIsAnAnswerAllTheSame) {
  Gate gate;
  gate.break_down();
  gate.admission.reached(gate.now);
  EXPECT_EQ(gate.admission.state(), State::kRamping);
}

// Whatever happens: never above the cap, never a wait without end, never stuck.
TEST(Admission, UnderAnythingThatMayHappenItKeepsItsBounds) {
  const char* given = std::getenv("GW_SEED");
  const auto seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("GW_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  Admission::Options options;
  MonoTime now{Millis{1}};
  Admission admission(options, now, [&] { return random(); });
  std::vector<Admission::Pass> open;
  std::vector<MonoTime> opened;
  for (int i = 0; i < 200'000; ++i) {
    now += Millis{static_cast<std::int64_t>(random() % 8)};
    if (auto pass = admission.take(now)) {
      open.push_back(*pass);
      opened.push_back(now);
    } else {
      auto next = admission.next(now);
      ASSERT_GT(next, now);
      ASSERT_LE(next - now, options.probe_most);
      if (random() % 50 == 0) now = next;
    }
    if (!open.empty() && random() % 2 == 0) {
      auto pass = open[random() % open.size()];
      if (random() % 3 == 0)
        admission.reached(now);
      else
        admission.failed(pass, random() % 100, now);
      if (open.size() > 50) open.clear();
    }
    ASSERT_LE(admission.rate(), options.most);
    ASSERT_EQ(admission.rate() == 0, admission.state() == State::kDown);
  }
  ASSERT_GT(opened.size(), 100u);
  for (std::size_t i = 0; i + 600 < opened.size(); ++i)
    ASSERT_GE(opened[i + 600] - opened[i], Millis{1000}) << "more than a burst above the cap";
}

}  // namespace
}  // namespace gw::link
