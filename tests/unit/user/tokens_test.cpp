#include "user/tokens.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace gw::user {
namespace {

constexpr std::string_view kUser = "alice";
const WallTime kNow = from_unix_ms(1'790'000'000'000);

// What a token says is all that counts here: nobody checks its signature.
std::string token(std::string_view claims) {
  return "e30." + to_base64url(as_bytes(claims)) + ".c2ln";
}
std::string good(int number = 0) {
  return token(R"({"sub":"alice","exp":1790000060,"jti":")" + std::to_string(number) + "\"}");
}

TEST(Tokens, OneOpensOneLink) {
  Tokens tokens;
  EXPECT_FALSE(tokens.offer(kNow));
  EXPECT_EQ(tokens.take(good(), kUser, kNow), "");
  EXPECT_EQ(tokens.offer(kNow), good());
  EXPECT_FALSE(tokens.offer(kNow));
  tokens.settled(true);
  EXPECT_FALSE(tokens.offer(kNow));
}

TEST(Tokens, OneThatWasUsedIsKnownAgain) {
  Tokens tokens;
  tokens.take(good(), kUser, kNow);
  tokens.offer(kNow);
  EXPECT_EQ(tokens.take(good(), kUser, kNow), "TOKEN_USED") << "it is on its way";
  tokens.settled(true);
  EXPECT_EQ(tokens.take(good(), kUser, kNow), "TOKEN_USED");
  EXPECT_EQ(tokens.take(good(1), kUser, kNow), "");
}

TEST(Tokens, OneThatNeverLeftOpensTheNextLink) {
  Tokens tokens;
  tokens.take(good(), kUser, kNow);
  tokens.offer(kNow);
  tokens.settled(false);
  EXPECT_EQ(tokens.offer(kNow), good());
}

TEST(Tokens, ANewerOneGoesFirst) {
  Tokens tokens;
  tokens.take(good(1), kUser, kNow);
  tokens.take(good(2), kUser, kNow);
  EXPECT_EQ(tokens.offer(kNow), good(2));
  tokens.take(good(3), kUser, kNow);
  tokens.settled(false);
  EXPECT_EQ(tokens.offer(kNow), good(3));
}

TEST(Tokens, OneGrowsOldWhileItWaits) {
  Tokens tokens;
  EXPECT_EQ(tokens.take(good(), kUser, kNow + Millis{59'999}), "");
  EXPECT_FALSE(tokens.offer(kNow + Millis{60'000}));
  EXPECT_EQ(tokens.take(good(), kUser, kNow + Millis{60'000}), "TOKEN_EXPIRED");
}

TEST(Tokens, AnothersIsRefused) {
  Tokens tokens;
  EXPECT_EQ(tokens.take(token(R"({"sub":"bob"})"), kUser, kNow), "TOKEN_REFUSED");
  EXPECT_FALSE(tokens.offer(kNow));
}

TEST(Tokens, WhatSaysNothingIsWhatsAppsToJudge) {
  for (const auto& odd : {std::string("opaque"), std::string(".."), token("[1]"), token("{"),
                          token(R"({"sub":7,"exp":"soon"})"), token("{}")}) {
    Tokens tokens;
    EXPECT_EQ(tokens.take(odd, kUser, kNow), "") << odd;
    EXPECT_EQ(tokens.offer(kNow), odd);
  }
}

TEST(Tokens, AnExpiryBeyondAllTimeIsFarAway) {
  for (const auto* exp : {"1e300", "9223372036854775807", "253402300800"}) {
    Tokens tokens;
    auto far = token(std::string(R"({"exp":)") + exp + "}");
    EXPECT_EQ(tokens.take(far, kUser, kNow), "") << exp;
  }
  for (const auto* exp : {"-1e300", "0", "1.5"}) {
    Tokens tokens;
    EXPECT_EQ(tokens.take(token(std::string(R"({"exp":)") + exp + "}"), kUser, kNow),
              "TOKEN_EXPIRED");
  }
}

TEST(Tokens, AfterClearNothingIsLeftAndWhatWasOnItsWayIsUsed) {
  Tokens tokens;
  tokens.take(good(1), kUser, kNow);
  tokens.offer(kNow);
  tokens.take(good(2), kUser, kNow);
  tokens.clear();
  EXPECT_FALSE(tokens.offer(kNow));
  EXPECT_EQ(tokens.take(good(1), kUser, kNow), "TOKEN_USED");
  EXPECT_EQ(tokens.take(good(2), kUser, kNow), "");
}

}  // namespace
}  // namespace gw::user
