#include "identity/token.h"

#include <cjose/cjose.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/encoding.h"
#include "crypto/crypto.h"

namespace gw::identity {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

const WallTime kNow = from_unix_ms(1'800'000'000'000);

Claims claims() { return {"https://id.test", "alice", "whatsapp", kNow, kNow + 10min, "t1"}; }
VerifierOptions options() { return {"https://id.test", "whatsapp"}; }
const SigningKey& key() {
  static const auto made = SigningKey::generate();
  return *made;
}
TokenVerifier verifier() { return *TokenVerifier::make(key().jwks(), options()); }
std::string reason(const Result<Claims>& result) {
  return result ? "accepted" : std::string(result.error().reason);
}
std::string b64(const std::string& text) { return to_base64url(as_bytes(text)); }

// A token of any header and claims, signed with a cjose key under `alg`.
std::string sign_raw(cjose_jwk_t* jwk, const char* alg, const std::string& kid,
                     const std::string& payload) {
  auto* header = cjose_header_new(nullptr);
  cjose_header_set(header, "alg", alg, nullptr);
  cjose_header_set(header, "kid", kid.c_str(), nullptr);
  auto* jws = cjose_jws_sign(jwk, header, as_bytes(payload).data(), payload.size(), nullptr);
  const char* compact = nullptr;
  EXPECT_TRUE(jws && cjose_jws_export(jws, &compact, nullptr));
  std::string token = compact ? compact : "";
  cjose_jws_release(jws);
  cjose_header_release(header);
  return token;
}

// An authority of the test's own, to sign claims that SigningKey would not.
struct Raw {
  cjose_jwk_t* jwk;
  std::string kid, alg;
  explicit Raw(bool rsa, std::size_t bits = 2048) : kid("k"), alg(rsa ? "RS256" : "ES256") {
    const std::uint8_t e[] = {1, 0, 1};
    jwk = rsa ? cjose_jwk_create_RSA_random(bits, e, sizeof e, nullptr)
              : cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, nullptr);
    cjose_jwk_set_kid(jwk, kid.data(), kid.size(), nullptr);
  }
  ~Raw() { cjose_jwk_release(jwk); }
  json public_key() const {
    char* text = cjose_jwk_to_json(jwk, false, nullptr);
    auto parsed = json::parse(text);
    cjose_get_dealloc()(text);
    return parsed;
  }
  std::string jwks() const { return json{{"keys", {public_key()}}}.dump(); }
  std::string sign(const json& payload) const {
    return sign_raw(jwk, alg.c_str(), kid, payload.dump());
  }
};
const Raw& raw() {
  static const Raw made(false);
  return made;
}
json good() {
  auto now = kNow.time_since_epoch().count() / 1000;
  return {{"iss", "https://id.test"},
          {"sub", "alice"},
          {"aud", "whatsapp"},
          {"iat", now},
          {"exp", now + 600}};
}
std::string verdict(const json& payload, WallTime now = kNow) {
  return reason(TokenVerifier::make(raw().jwks(), options())->verify(raw().sign(payload), now));
}

TEST(Token, SignedIsVerifiedAndTheClaimsComeBack) {
  auto token = key().sign(claims());
  ASSERT_TRUE(token);
  auto back = verifier().verify(*token, kNow);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->subject, "alice");
  EXPECT_EQ(back->issuer, "https://id.test");
  EXPECT_EQ(back->token_id, "t1");
  EXPECT_EQ(back->issued_at, kNow);
  EXPECT_EQ(back->expires_at, kNow + 10min);
}

TEST(Token, TheKeySurvivesPem) {
  auto again = SigningKey::from_pem(key().to_pem());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->kid(), key().kid());
  EXPECT_EQ(again->jwks(), key().jwks());
  EXPECT_TRUE(verifier().verify(*again->sign(claims()), kNow));
}

TEST(Token, TheJwksHasThePublicKeyAlone) {
  auto set = json::parse(key().jwks());
  ASSERT_EQ(set["keys"].size(), 1u);
  EXPECT_FALSE(set["keys"][0].contains("d"));
  EXPECT_EQ(set["keys"][0]["kid"], key().kid());
  EXPECT_EQ(set["keys"][0]["alg"], "ES256");
}

// RFC 7638, 3.1 gives the thumbprint of an RSA key only; the rule is checked by doing it again.
TEST(Token, TheKidIsTheThumbprint) {
  auto k = json::parse(key().jwks())["keys"][0];
  auto canonical = R"({"crv":"P-256","kty":"EC","x":")" + k["x"].get<std::string>() + R"(","y":")" +
                   k["y"].get<std::string>() + R"("})";
  EXPECT_EQ(key().kid(), to_base64url(crypto::sha256(as_bytes(canonical))));
}

TEST(Token, TwoTokensHaveTwoIds) {
  auto c = claims();
  c.token_id.clear();
  auto a = verifier().verify(*key().sign(c), kNow), b = verifier().verify(*key().sign(c), kNow);
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->token_id, b->token_id);
  EXPECT_EQ(a->token_id.size(), 32u);
}

TEST(Token, KeysThatAreNoneAreRefused) {
  for (auto pem : {"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}) {
    auto loaded = SigningKey::from_pem(pem);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason, "SIGNING_KEY_INVALID");
  }
}

TEST(Token, ClaimsThatMakeNoSenseAreNotSigned) {
  auto c = claims();
  c.subject.clear();
  EXPECT_EQ(key().sign(c).error().reason, "CLAIMS_INVALID");
  c = claims();
  c.expires_at = c.issued_at;
  EXPECT_EQ(key().sign(c).error().reason, "CLAIMS_INVALID");
  c = claims();
  c.issuer = "\xff";
  EXPECT_EQ(key().sign(c).error().reason, "CLAIMS_INVALID");
  c = claims();
  c.subject = std::string(9000, 'a');
  EXPECT_EQ(key().sign(c).error().reason, "CLAIMS_INVALID");
}

TEST(Token, AnyFlippedBitIsRefused) {
  const auto token = *key().sign(claims());
  auto v = verifier();
  const char* from_env = std::getenv("GW_SEED");
  auto seed = from_env ? std::strtoul(from_env, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("GW_SEED=" + std::to_string(seed));
  std::mt19937 random(static_cast<unsigned>(seed));
  for (int i = 0; i < 300; ++i) {
    auto broken = token;
    broken[random() % broken.size()] ^= static_cast<char>(1 << (random() % 8));
    EXPECT_NE(reason(v.verify(broken, kNow)), "accepted") << broken;
  }
  for (std::size_t n = 0; n < token.size(); n += 7)
    EXPECT_NE(reason(v.verify(token.substr(0, n), kNow)), "accepted");
}

TEST(Token, AlgNoneIsRefused) {
  auto v = verifier();
  const auto token = *key().sign(claims());
  auto payload = token.substr(token.find('.') + 1, token.rfind('.') - token.find('.') - 1);
  for (const char* alg : {"none", "None", "NONE", ""}) {
    auto head = b64(json{{"alg", alg}, {"kid", key().kid()}}.dump());
    EXPECT_EQ(reason(v.verify(head + "." + payload + ".", kNow)), "TOKEN_ALG_REFUSED");
    EXPECT_EQ(reason(v.verify(head + "." + payload + token.substr(token.rfind('.')), kNow)),
              "TOKEN_ALG_REFUSED");
  }
}

// The classic: an HMAC keyed with the public key, which everybody knows.
TEST(Token, AnHmacWithThePublicKeyIsRefused) {
  auto v = verifier();
  auto head = b64(json{{"alg", "HS256"}, {"kid", key().kid()}}.dump());
  auto body = b64(good().dump());
  auto mac = crypto::hmac_sha256(as_bytes(key().jwks()), as_bytes(head + "." + body));
  EXPECT_EQ(reason(v.verify(head + "." + body + "." + to_base64url(mac), kNow)),
            "TOKEN_ALG_REFUSED");
}

TEST(Token, TheAlgorithmMustBeTheKeys) {
  Raw rsa(true);
  auto v = *TokenVerifier::make(rsa.jwks(), options());
  EXPECT_EQ(reason(v.verify(rsa.sign(good()), kNow)), "accepted");
  // An ES256 signature under the RSA key's kid.
  EXPECT_EQ(reason(v.verify(raw().sign(good()), kNow)), "TOKEN_ALG_REFUSED");
  // PS256 is by the same RSA key, and not on the list.
  EXPECT_EQ(reason(v.verify(sign_raw(rsa.jwk, "PS256", "k", good().dump()), kNow)),
            "TOKEN_ALG_REFUSED");
}

TEST(Token, AnotherKeyIsRefusedAndSoIsAnUnknownKid) {
  auto other = *SigningKey::generate();
  EXPECT_EQ(reason(verifier().verify(*other.sign(claims()), kNow)), "TOKEN_KEY_UNKNOWN");
  // The right kid on another key's signature.
  Raw imposter(false);
  EXPECT_EQ(
      reason(verifier().verify(sign_raw(imposter.jwk, "ES256", key().kid(), good().dump()), kNow)),
      "TOKEN_SIGNATURE_INVALID");
  // Exact means exact.
  EXPECT_EQ(reason(TokenVerifier::make(raw().jwks(), options())
                       ->verify(sign_raw(raw().jwk, "ES256", "K", good().dump()), kNow)),
            "TOKEN_KEY_UNKNOWN");
}

TEST(Token, WhatTheHeaderSaysOfKeysIsNotFollowed) {
  auto token = *key().sign(claims());
  auto rest = token.substr(token.find('.'));
  auto v = verifier();
  auto with = [&](json header) { return reason(v.verify(b64(header.dump()) + rest, kNow)); };
  json header{{"alg", "ES256"}, {"kid", key().kid()}};
  header["crit"] = {"x"};
  EXPECT_EQ(with(header), "TOKEN_MALFORMED");
  header.erase("crit");
  header["jku"] = "https://evil.test";
  header["jwk"] = raw().public_key();
  EXPECT_EQ(with(header), "TOKEN_SIGNATURE_INVALID");
  auto twice = R"({"alg":"ES256","alg":"ES256","kid":")" + key().kid() + "\"}";
  EXPECT_EQ(reason(v.verify(b64(twice) + rest, kNow)), "TOKEN_MALFORMED");
}

TEST(Token, WhatIsNoJwtIsMalformed) {
  auto v = verifier();
  for (const char* text : {"", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "e30.e30.AA", "=.=.="})
    EXPECT_NE(reason(v.verify(text, kNow)), "accepted") << text;
  EXPECT_EQ(reason(v.verify("", kNow)), "TOKEN_MALFORMED");
  EXPECT_EQ(reason(v.verify("e30.e30.e30.e30.e30", kNow)), "TOKEN_MALFORMED");
  EXPECT_EQ(reason(v.verify(std::string(8193, 'a'), kNow)), "TOKEN_TOO_LARGE");
  EXPECT_EQ(reason(v.verify(*key().sign(claims()) + "\n", kNow)), "TOKEN_MALFORMED");
}

TEST(Token, EachClaimIsChecked) {
  auto with = [](const char* name, json value) {
    auto c = good();
    c[name] = std::move(value);
    return verdict(c);
  };
  auto without = [](const char* name) {
    auto c = good();
    c.erase(name);
    return verdict(c);
  };
  auto now = kNow.time_since_epoch().count() / 1000;
  EXPECT_EQ(verdict(good()), "accepted");
  EXPECT_EQ(with("iss", "https://id.test/"), "TOKEN_ISSUER_WRONG");
  EXPECT_EQ(without("iss"), "TOKEN_ISSUER_WRONG");
  EXPECT_EQ(with("aud", "other"), "TOKEN_AUDIENCE_WRONG");
  EXPECT_EQ(without("aud"), "TOKEN_AUDIENCE_WRONG");
  EXPECT_EQ(with("aud", {"other", "whatsapp"}), "accepted");
  EXPECT_EQ(with("aud", json::array()), "TOKEN_AUDIENCE_WRONG");
  EXPECT_EQ(with("aud", {{"a", "whatsapp"}}), "TOKEN_AUDIENCE_WRONG");
  EXPECT_EQ(without("sub"), "TOKEN_CLAIM_MISSING");
  EXPECT_EQ(with("sub", 7), "TOKEN_CLAIM_MISSING");
  EXPECT_EQ(without("exp"), "TOKEN_CLAIM_MISSING");
  EXPECT_EQ(with("exp", "soon"), "TOKEN_CLAIM_MISSING");
  EXPECT_EQ(with("exp", 1e300), "TOKEN_CLAIM_MISSING");
  EXPECT_EQ(without("iat"), "TOKEN_CLAIM_MISSING");
  EXPECT_EQ(with("nbf", "now"), "TOKEN_CLAIM_MISSING");
  EXPECT_EQ(with("nbf", now + 59), "accepted");
  EXPECT_EQ(with("nbf", now + 61), "TOKEN_NOT_YET_VALID");
  EXPECT_EQ(with("iat", now + 59), "accepted");
  EXPECT_EQ(with("iat", now + 61), "TOKEN_NOT_YET_VALID");
  EXPECT_EQ(with("iat", now - 3001), "TOKEN_LIFE_TOO_LONG");
  EXPECT_EQ(with("iat", now - 3000), "accepted");
  EXPECT_EQ(verdict(good(), kNow + 600s + 59s), "accepted");
  EXPECT_EQ(verdict(good(), kNow + 600s + 60s), "TOKEN_EXPIRED");
}

TEST(Token, AClaimThatIsGivenTwiceIsRefused) {
  auto text = good().dump();
  text.insert(1, R"("sub":"mallory",)");
  auto token = sign_raw(raw().jwk, "ES256", "k", text);
  EXPECT_EQ(reason(TokenVerifier::make(raw().jwks(), options())->verify(token, kNow)),
            "TOKEN_MALFORMED");
}

TEST(Jwks, OnlySafeKeysAreTaken) {
  auto with = [](json keys) -> std::string {
    auto made = TokenVerifier::make(json{{"keys", std::move(keys)}}.dump(), options());
    return made ? "taken" : made.error().message;
  };
  using testing::HasSubstr;
  auto k = raw().public_key();
  EXPECT_EQ(with({k}), "taken");
  EXPECT_THAT(with(json::array()), HasSubstr("no key to verify with"));
  auto encryption = k;
  encryption["use"] = "enc";
  EXPECT_THAT(with({encryption}), HasSubstr("no key to verify with"));
  EXPECT_EQ(with({encryption, k}), "taken");
  auto nameless = k;
  nameless.erase("kid");
  EXPECT_THAT(with({nameless}), HasSubstr("no key to verify with"));
  EXPECT_THAT(with({k, k}), HasSubstr("kid twice"));
  auto off_curve = k;
  off_curve["x"] = k["y"];
  EXPECT_THAT(with({off_curve}), HasSubstr("not on the curve"));
  auto secret = k;
  secret["d"] = k["x"];
  EXPECT_THAT(with({secret}), HasSubstr("private key"));
  EXPECT_THAT(with({{{"kty", "oct"}, {"k", "AAAA"}, {"kid", "k"}}}), HasSubstr("private key"));
  EXPECT_THAT(with({Raw(true, 1024).public_key()}), HasSubstr("2048 to 4096"));
  EXPECT_THAT(with({7}), HasSubstr("no object"));
  json many = json::array();
  for (int i = 0; i < 33; ++i) many.push_back(k);
  EXPECT_THAT(with(many), HasSubstr("more than 32"));
  for (const char* text : {"", "[]", "{}", "{\"keys\":7}", "{\"keys\":["})
    EXPECT_EQ(TokenVerifier::make(text, options()).error().reason, "JWKS_INVALID");
  EXPECT_FALSE(TokenVerifier::make(std::string(70'000, ' '), options()));
}

TEST(Token, OneVerifierServesManyThreads) {
  const auto v = verifier();
  const auto token = *key().sign(claims());
  std::atomic<int> accepted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) accepted += v.verify(token, kNow).has_value();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(accepted, 200);
}

}  // namespace
}  // namespace gw::identity
