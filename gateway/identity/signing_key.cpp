#include <cjose/cjose.h>
#include <nlohmann/json.hpp>
#include <openssl/core_names.h>
#include <openssl/ec.h>

#include "base/encoding.h"
#include "crypto/crypto.h"
#include "identity/openssl.h"
#include "identity/token.h"

namespace gw::identity {
namespace {

using nlohmann::json;
using Header = std::unique_ptr<cjose_header_t, Free<cjose_header_release>>;
using Jws = std::unique_ptr<cjose_jws_t, Free<cjose_jws_release>>;

// A number of the key as 32 octets.
bool number_of(EVP_PKEY* key, const char* name, crypto::Key32& out) {
  BIGNUM* number = nullptr;
  bool ok = EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
            BN_bn2binpad(number, out.data(), static_cast<int>(out.size())) > 0;
  BN_clear_free(number);
  return ok;
}

std::int64_t seconds(WallTime t) {
  return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
}

}  // namespace

Result<SigningKey> SigningKey::generate() {
  PrivateKey key(EVP_EC_gen("P-256"));
  if (!key) return fail(ErrorKind::kBug, "KEY_NOT_MADE", "OpenSSL made no P-256 key");
  return from_pem(private_key_pem(key.get()));
}

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
  auto invalid = [] {
    return fail(ErrorKind::kConfig, "SIGNING_KEY_INVALID",
                "the signing key must be a P-256 private key in PEM without a passphrase; `gwctl "
                "dev keys` makes one");
  };
  auto key = read_private_key(pem);
  if (!key || !is_p256(key.get())) return invalid();
  crypto::Secret32 d;
  crypto::Key32 x{}, y{};
  if (!number_of(key.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()) ||
      !number_of(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, x) ||
      !number_of(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, y))
    return invalid();

  SigningKey out;
  auto x64 = to_base64url(x), y64 = to_base64url(y);
  // RFC 7638: these members, in this order, without blanks.
  out.kid_ = to_base64url(crypto::sha256(
      as_bytes(R"({"crv":"P-256","kty":"EC","x":")" + x64 + R"(","y":")" + y64 + R"("})")));
  out.jwks_ = json{{"keys",
                    {{{"kty", "EC"},
                      {"crv", "P-256"},
                      {"alg", "ES256"},
                      {"use", "sig"},
                      {"kid", out.kid_},
                      {"x", x64},
                      {"y", y64}}}}}
                  .dump(2) +
              "\n";
  cjose_jwk_ec_keyspec spec{CJOSE_JWK_EC_P_256, d.get().data(), d.get().size(), x.data(),
                            x.size(),           y.data(),       y.size()};
  out.jwk_.reset(cjose_jwk_create_EC_spec(&spec, nullptr),
                 [](auto* jwk) { cjose_jwk_release(jwk); });
  out.key_.reset(key.release(), [](void* k) { EVP_PKEY_free(static_cast<EVP_PKEY*>(k)); });
  if (!out.jwk_) return invalid();
  return out;
}

std::string SigningKey::to_pem() const {
  return private_key_pem(static_cast<EVP_PKEY*>(key_.get()));
}

std::string SigningKey::jwks() const { return jwks_; }

Result<std::string> SigningKey::sign(const Claims& claims) const {
  auto invalid = [](std::string message) {
    return fail(ErrorKind::kRejected, "CLAIMS_INVALID", std::move(message));
  };
  if (claims.issuer.empty() || claims.subject.empty() || claims.audience.empty())
    return invalid("a token needs an issuer, a subject and an audience");
  for (const auto* text : {&claims.issuer, &claims.subject, &claims.audience, &claims.token_id})
    if (!is_valid_utf8(*text)) return invalid("claims are UTF-8");
  if (seconds(claims.expires_at) <= seconds(claims.issued_at))
    return invalid("a token expires after it is issued");
  auto id = claims.token_id;
  if (id.empty()) {
    std::array<std::uint8_t, 16> random;
    crypto::random_bytes(random);
    id = to_hex(random);
  }
  auto payload = json{
      {"iss", claims.issuer},
      {"sub", claims.subject},
      {"aud", claims.audience},
      {"iat", seconds(claims.issued_at)},
      {"exp", seconds(claims.expires_at)},
      {"jti", id}}.dump();
  Header header(cjose_header_new(nullptr));
  const char* compact = nullptr;
  if (!header || !cjose_header_set(header.get(), CJOSE_HDR_ALG, CJOSE_HDR_ALG_ES256, nullptr) ||
      !cjose_header_set(header.get(), "typ", "JWT", nullptr) ||
      !cjose_header_set(header.get(), CJOSE_HDR_KID, kid_.c_str(), nullptr))
    return fail(ErrorKind::kBug, "TOKEN_NOT_MADE");
  Jws jws(
      cjose_jws_sign(jwk_.get(), header.get(), as_bytes(payload).data(), payload.size(), nullptr));
  if (!jws || !cjose_jws_export(jws.get(), &compact, nullptr))
    return fail(ErrorKind::kBug, "TOKEN_NOT_MADE");
  std::string token(compact);
  if (token.size() > kMostTokenOctets) return invalid("a token has at most 8192 octets");
  return token;
}

}  // namespace gw::identity
