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

// A user's tokens, and the history that outlives them.
struct Held {
  LoginHistory history{LoginHistory::Bounds{}};
  Tokens tokens{history, Tag{1}};
};

TEST(Tokens, OneOpensOneLink) {
  Held held;
  auto& tokens = held.tokens;
  EXPECT_FALSE(tokens.offer(kNow));
  EXPECT_EQ(tokens.take(good(), kUser, kNow), "");
  EXPECT_EQ(tokens.offer(kNow), good());
  EXPECT_FALSE(tokens.offer(kNow));
  tokens.settled(true, kNow);
  EXPECT_FALSE(tokens.offer(kNow));
}

TEST(Tokens, OneThatWasUsedIsKnownAgain) {
  Held held;
  auto& tokens = held.tokens;
  tokens.take(good(), kUser, kNow);
  tokens.offer(kNow);
  EXPECT_EQ(tokens.take(good(), kUser, kNow), "TOKEN_USED") << "it is on its way";
  tokens.settled(true, kNow);
  EXPECT_EQ(tokens.take(good(), kUser, kNow), "TOKEN_USED");
  EXPECT_EQ(tokens.take(good(1), kUser, kNow), "");
}

TEST(Tokens, OneThatWasUsedIsKnownWhenItsClientComesBack) {
  Held held;
  for (int i = 0; i < 3; ++i) {
    held.tokens.take(good(i), kUser, kNow);
    held.tokens.offer(kNow);
    held.tokens.settled(true, kNow);
  }
  Tokens after(held.history, Tag{1});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(after.take(good(i), kUser, kNow), "TOKEN_USED") << i;
  EXPECT_EQ(after.take(good(3), kUser, kNow), "");
  Tokens another(held.history, Tag{2});
  EXPECT_EQ(another.take(good(0), kUser, kNow), "") << "what somebody else used says nothing";
}

TEST(Tokens, OneThatNeverLeftOpensTheNextLink) {
  Held held;
  auto& tokens = held.tokens;
  tokens.take(good(), kUser, kNow);
  tokens.offer(kNow);
  tokens.settled(false, kNow);
  EXPECT_EQ(tokens.offer(kNow), good());
}

TEST(Tokens, ANewerOneGoesFirst) {
  Held held;
  auto& tokens = held.tokens;
  tokens.take(good(1), kUser, kNow);
  tokens.take(good(2), kUser, kNow);
  EXPECT_EQ(tokens.offer(kNow), good(2));
  tokens.take(good(3), kUser, kNow);
  tokens.settled(false, kNow);
  EXPECT_EQ(tokens.offer(kNow), good(3));
}

TEST(Tokens, OneGrowsOldWhileItWaits) {
  Held held;
  auto& tokens = held.tokens;
  EXPECT_EQ(tokens.take(good(), kUser, kNow + Millis{59'999}), "");
  EXPECT_FALSE(tokens.offer(kNow + Millis{60'000}));
  EXPECT_EQ(tokens.take(good(), kUser, kNow + Millis{60'000}), "TOKEN_EXPIRED");
}

TEST(Tokens, AnothersIsRefused) {
  Held held;
  auto& tokens = held.tokens;
  EXPECT_EQ(tokens.take(token(R"({"sub":"bob"})"), kUser, kNow), "TOKEN_REFUSED");
  EXPECT_FALSE(tokens.offer(kNow));
}

TEST(Tokens, WhatSaysNothingIsWhatsAppsToJudge) {
  for (const auto& odd : {std::string("opaque"), std::string(".."), token("[1]"), token("{"),
                          token(R"({"sub":7,"exp":"soon"})"), token("{}")}) {
    Held held;
    auto& tokens = held.tokens;
    EXPECT_EQ(tokens.take(odd, kUser, kNow), "") << odd;
    EXPECT_EQ(tokens.offer(kNow), odd);
  }
}

TEST(Tokens, AnExpiryBeyondAllTimeIsFarAway) {
  for (const auto* exp : {"1e300", "9223372036854775807", "253402300800"}) {
    Held held;
    auto& tokens = held.tokens;
    auto far = token(std::string(R"({"exp":)") + exp + "}");
    EXPECT_EQ(tokens.take(far, kUser, kNow), "") << exp;
  }
  for (const auto* exp : {"-1e300", "0", "1.5"}) {
    Held held;
    auto& tokens = held.tokens;
    EXPECT_EQ(tokens.take(token(std::string(R"({"exp":)") + exp + "}"), kUser, kNow),
              "TOKEN_EXPIRED");
  }
}

TEST(Tokens, AfterClearNothingIsLeftAndWhatWasOnItsWayIsUsed) {
  Held held;
  auto& tokens = held.tokens;
  tokens.take(good(1), kUser, kNow);
  tokens.offer(kNow);
  tokens.take(good(2), kUser, kNow);
  tokens.clear(kNow);
  EXPECT_FALSE(tokens.offer(kNow));
  EXPECT_EQ(tokens.take(good(1), kUser, kNow), "TOKEN_USED");
  EXPECT_EQ(tokens.take(good(2), kUser, kNow), "");
}

}  // namespace
}  // namespace gw::user
