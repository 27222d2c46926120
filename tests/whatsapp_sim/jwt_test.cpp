#include "whatsapp_sim/jwt.h"

#include <gtest/gtest.h>

#include "whatsapp_sim/testing.h"

namespace gw::sim {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;

class JwtTest : public ::testing::Test {
 protected:
  testing::SigningKey key_{"k1"};
  Provider provider_ = *Provider::from_json("https://example.test", key_.jwks());

  std::string_view why(const std::string& token, std::int64_t now = kNow) {
    auto result = provider_.accept(token, now);
    return result ? "" : result.error().reason;
  }
  std::string_view why_claims(const char* name, nlohmann::json value) {
    auto claims = testing::claims(kNow, "alice", "x");
    claims[name] = std::move(value);
    return why(key_.sign(key_.header(), claims));
  }
};

TEST_F(JwtTest, AcceptsAGoodTokenOnce) {
  auto token = key_.sign(key_.header(), testing::claims(kNow, "alice", "t1"));
  auto first = provider_.accept(token, kNow);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->user, "alice");
  EXPECT_EQ(why(token), "TOKEN_USED");
}

TEST_F(JwtTest, RefusesWrongClaims) {
  EXPECT_EQ(why_claims("iss", "https://other.test"), "TOKEN_ISSUER");
  EXPECT_EQ(why_claims("aud", "somebody"), "TOKEN_AUDIENCE");
  EXPECT_EQ(why_claims("aud", nlohmann::json::array({"a", "whatsapp"})), "");
  EXPECT_EQ(why_claims("exp", kNow - 61), "TOKEN_EXPIRED");
  EXPECT_EQ(why_claims("iat", kNow + 61), "TOKEN_NOT_YET");
  EXPECT_EQ(why_claims("sub", "a b"), "TOKEN_SUBJECT");
  EXPECT_EQ(why_claims("sub", ""), "TOKEN_SUBJECT");
  EXPECT_EQ(why_claims("jti", ""), "TOKEN_MALFORMED");
  EXPECT_EQ(why_claims("exp", "soon"), "TOKEN_MALFORMED");
}

TEST_F(JwtTest, LeavesSixtySecondsForWrongClocks) {
  auto token = key_.sign(key_.header(), testing::claims(kNow, "alice", "t1"));
  EXPECT_EQ(why(token, kNow + 360), "");
  auto early = key_.sign(key_.header(), testing::claims(kNow, "alice", "t2"));
  EXPECT_EQ(why(early, kNow - 60), "");
}

TEST_F(JwtTest, RefusesWrongHeadersAndSignatures) {
  auto claims = testing::claims(kNow, "alice", "t1");
  auto none = key_.header();
  none["alg"] = "none";
  EXPECT_EQ(why(key_.sign(none, claims)), "TOKEN_ALG");
  EXPECT_EQ(why(testing::SigningKey("k2").sign({{"alg", "ES256"}, {"typ", "JWT"}, {"kid", "k2"}},
                                               claims)),
            "TOKEN_KID");
  testing::SigningKey stranger("k1");
  EXPECT_EQ(why(stranger.sign(stranger.header(), claims)), "TOKEN_SIGNATURE");
  auto token = key_.sign(key_.header(), claims);
  token[token.find('.') + 4] ^= 1;
  EXPECT_NE(why(token), "");
  for (auto text : {"", ".", "..", "a.b.c", "a.b", "a.b.c.d"}) EXPECT_NE(why(text), "") << text;
}

TEST(Jwks, RefusesWhatIsNoKeySet) {
  EXPECT_FALSE(Provider::from_json("i", nlohmann::json::array()));
  EXPECT_FALSE(Provider::from_file("i", "/nonexistent/jwks.json"));
  nlohmann::json key = {{"kty", "EC"}, {"crv", "P-256"}, {"x", "AA"}, {"y", "AA"}, {"kid", "k"}};
  EXPECT_FALSE(Provider::from_json("i", {{"keys", {key}}}));
}

}  // namespace
}  // namespace gw::sim
