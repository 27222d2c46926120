#include "user/login_history.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace gw::user {
namespace {

const WallTime kNow = from_unix_ms(1'790'000'000'000);
constexpr MonoTime kStart{Millis{1'000'000}};

// The n-th of those that expire so many seconds from kNow.
std::string token(int n, int lifetime = 600) {
  return "e30." +
         to_base64url(as_bytes(R"({"exp":)" + std::to_string(1'790'000'000 + lifetime) +
                               R"(,"jti":")" + std::to_string(n) + "\"}")) +
         ".c2ln";
}

TEST(LoginHistory, ATokenIsRememberedUntilItExpiresAndForgottenThen) {
  LoginHistory history({64, 2, 2});
  history.used(Tag{1}, token(1, 60), kNow);
  EXPECT_TRUE(history.was_used(Tag{1}, token(1, 60)));
  EXPECT_FALSE(history.was_used(Tag{1}, token(2, 60)));
  EXPECT_FALSE(history.was_used(Tag{2}, token(1, 60)));
  history.used(Tag{2}, token(2), kNow + Millis{60'000});
  EXPECT_FALSE(history.was_used(Tag{1}, token(1, 60)));
}

TEST(LoginHistory, WhatNamesNoExpiryIsRememberedForADay) {
  LoginHistory history({64, 64, 2});
  history.used(Tag{1}, "opaque", kNow);
  history.used(Tag{1}, "another", kNow + Millis{86'399'999});
  EXPECT_TRUE(history.was_used(Tag{1}, "opaque"));
  history.used(Tag{1}, "third", kNow + Millis{86'400'000});
  EXPECT_FALSE(history.was_used(Tag{1}, "opaque"));
}

TEST(LoginHistory, OfOneUserSoManyAndTheFirstToExpireGoes) {
  LoginHistory history({3, 64, 2});
  history.used(Tag{2}, token(0, 10), kNow);
  history.used(Tag{1}, token(1, 300), kNow);
  history.used(Tag{1}, token(2, 100), kNow);
  history.used(Tag{1}, token(3, 200), kNow);
  history.used(Tag{1}, token(4, 50), kNow);
  EXPECT_FALSE(history.was_used(Tag{1}, token(2, 100)));
  EXPECT_TRUE(history.was_used(Tag{1}, token(1, 300)));
  EXPECT_TRUE(history.was_used(Tag{1}, token(3, 200)));
  EXPECT_TRUE(history.was_used(Tag{1}, token(4, 50)))
      << "the newest one is the likeliest to return";
  EXPECT_TRUE(history.was_used(Tag{2}, token(0, 10))) << "another user's do not count";
}

TEST(LoginHistory, OfAllUsersSoManyAndTheFirstToExpireGoes) {
  LoginHistory history({64, 3, 2});
  for (std::uint8_t n = 0; n < 3; ++n) history.used(Tag{n}, token(n, 100 + n), kNow);
  history.used(Tag{9}, token(9, 50), kNow);
  EXPECT_FALSE(history.was_used(Tag{0}, token(0, 100)));
  EXPECT_TRUE(history.was_used(Tag{1}, token(1, 101)));
  EXPECT_TRUE(history.was_used(Tag{9}, token(9, 50)));
}

TEST(LoginHistory, ATokenThatIsUsedAgainCountsOnce) {
  LoginHistory history({64, 2, 2});
  for (int i = 0; i < 3; ++i) history.used(Tag{1}, token(1), kNow);
  history.used(Tag{1}, token(2), kNow);
  EXPECT_TRUE(history.was_used(Tag{1}, token(1)));
  EXPECT_TRUE(history.was_used(Tag{1}, token(2)));
}

TEST(LoginHistory, APauseIsRememberedWithItsReasonAndTheLastOneCounts) {
  LoginHistory history({64, 64, 2});
  EXPECT_EQ(history.pause(Tag{1}).until, MonoTime{});
  history.paused(Tag{1}, {kStart + Millis{5000}, "FIRST"}, kStart);
  history.paused(Tag{1}, {kStart + Millis{9000}, "SECOND"}, kStart);
  EXPECT_EQ(history.pause(Tag{1}).until, kStart + Millis{9000});
  EXPECT_EQ(history.pause(Tag{1}).reason, "SECOND");
  history.paused(Tag{2}, {kStart + Millis{7000}, "SECOND"}, kStart);
  history.paused(Tag{3}, {kStart + Millis{8000}, "SECOND"}, kStart);
  EXPECT_EQ(history.pause(Tag{2}).until, MonoTime{}) << "above the bound the first to end";
  EXPECT_EQ(history.pause(Tag{1}).until, kStart + Millis{9000});
}

}  // namespace
}  // namespace gw::user
