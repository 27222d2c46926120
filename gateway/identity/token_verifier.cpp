#include <algorithm>
#include <cjose/cjose.h>
#include <cmath>
#include <nlohmann/json.hpp>
#include <openssl/bn.h>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "identity/openssl.h"
#include "identity/token.h"

namespace gw::identity {
namespace {

using nlohmann::json;
using Jws = std::unique_ptr<cjose_jws_t, Free<cjose_jws_release>>;

tl::unexpected<Error> refuse(std::string_view reason, std::string message) {
  return fail(ErrorKind::kRejected, reason, std::move(message));
}
tl::unexpected<Error> bad_jwks(std::string message) {
  return fail(ErrorKind::kConfig, "JWKS_INVALID", "the JWKS " + message);
}

// Nothing for what is no JSON object or has a member twice: two readers might see two values.
std::optional<json> parse_object(std::string_view text) {
  std::vector<std::set<std::string>> seen;
  bool twice = false;
  auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) seen.emplace_back();
    if (event == json::parse_event_t::object_end) seen.pop_back();
    if (event == json::parse_event_t::key)
      twice = twice || !seen.back().insert(parsed.get<std::string>()).second;
    return true;
  };
  auto parsed = json::parse(text, watch, false);
  if (!parsed.is_object() || twice) return std::nullopt;
  return parsed;
}

std::string text_of(const json& object, const char* name) {
  auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

std::optional<WallTime> time_of(const json& object, const char* name) {
  auto at = object.find(name);
  if (at == object.end() || !at->is_number()) return std::nullopt;
  auto value = at->get<double>();
  if (!(std::abs(value) < 1e11)) return std::nullopt;
  return from_unix_ms(static_cast<std::int64_t>(value * 1000));
}

// RFC 8725 3.4: a point that is not on the curve is no key.
bool on_curve(const Bytes& x, const Bytes& y) {
  Bytes point{4};
  append(point, x);
  append(point, y);
  char group[] = "prime256v1";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("group", group, 0),
                         OSSL_PARAM_construct_octet_string("pub", point.data(), point.size()),
                         OSSL_PARAM_construct_end()};
  using Context = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
  Context making(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* raw = nullptr;
  bool made = making && EVP_PKEY_fromdata_init(making.get()) == 1 &&
              EVP_PKEY_fromdata(making.get(), &raw, EVP_PKEY_PUBLIC_KEY, params) == 1;
  PrivateKey key(raw);
  if (!made) return false;
  Context checking(EVP_PKEY_CTX_new(key.get(), nullptr));
  return checking && EVP_PKEY_public_check(checking.get()) == 1;
}

// What kind of key it is: "ES256", "RS256", or empty for one that is passed over.
std::string_view algorithm_of(const json& key) {
  auto use = text_of(key, "use"), alg = text_of(key, "alg"), kty = text_of(key, "kty");
  if (!use.empty() && use != "sig") return {};
  std::string_view fits;
  if (kty == "EC" && text_of(key, "crv") == "P-256") fits = "ES256";
  if (kty == "RSA") fits = "RS256";
  return alg.empty() || alg == fits ? fits : std::string_view{};
}

Result<void> check_numbers(const json& key, std::string_view alg) {
  if (alg == "ES256") {
    auto x = from_base64url(text_of(key, "x")), y = from_base64url(text_of(key, "y"));
    if (!x || !y || x->size() != 32 || y->size() != 32 || !on_curve(*x, *y))
      return bad_jwks("has a P-256 key whose point is not on the curve");
    return {};
  }
  auto n = from_base64url(text_of(key, "n")), e = from_base64url(text_of(key, "e"));
  if (!n || !e || n->empty() || e->empty() || e->size() > 8)
    return bad_jwks("has an RSA key without modulus or exponent");
  std::unique_ptr<BIGNUM, Free<BN_free>> modulus(
      BN_bin2bn(n->data(), static_cast<int>(n->size()), nullptr));
  if (int bits = BN_num_bits(modulus.get()); bits < 2048 || bits > 4096)
    return bad_jwks("has an RSA key of other than 2048 to 4096 bits");
  if ((e->back() & 1) == 0 || (e->size() == 1 && e->front() == 1))
    return bad_jwks("has an RSA key with an unsafe exponent");
  return {};
}

}  // namespace

Result<TokenVerifier> TokenVerifier::make(std::string_view jwks, VerifierOptions options) {
  if (jwks.size() > kMostJwksOctets) return bad_jwks("is larger than 64 KiB");
  auto set = parse_object(jwks);
  if (!set || !set->contains("keys") || !(*set)["keys"].is_array())
    return bad_jwks("is not a JSON object with a list `keys`");
  const auto& keys = (*set)["keys"];
  if (keys.size() > kMostKeys) return bad_jwks("has more than 32 keys");
  TokenVerifier out;
  out.options_ = std::move(options);
  for (const auto& key : keys) {
    if (!key.is_object()) return bad_jwks("has a key that is no object");
    if (key.contains("d") || key.contains("k"))
      return bad_jwks("has a private key: publish the public one alone, and replace this key");
    auto alg = algorithm_of(key);
    auto kid = text_of(key, "kid");
    if (alg.empty() || kid.empty()) continue;
    for (const auto& other : out.keys_)
      if (other.kid == kid) return bad_jwks("has a kid twice");
    GW_TRY(check_numbers(key, alg));
    auto text = key.dump();
    std::shared_ptr<cjose_jwk_t> jwk(cjose_jwk_import(text.data(), text.size(), nullptr),
                                     [](auto* k) { cjose_jwk_release(k); });
    if (!jwk) return bad_jwks("has a key that cannot be read");
    out.keys_.push_back({std::move(kid), alg, std::move(jwk)});
  }
  if (out.keys_.empty()) return bad_jwks("has no key to verify with: ES256 or RS256, with a kid");
  return out;
}

Result<std::string> TokenVerifier::payload(std::string_view token) const {
  if (token.size() > kMostTokenOctets)
    return refuse("TOKEN_TOO_LARGE", "a token has at most 8192 octets");
  auto malformed = refuse("TOKEN_MALFORMED", "the token is no JWT in compact form");
  auto first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.find('.', first + 1) != last)
    return malformed;
  auto header_json = from_base64url(token.substr(0, first));
  auto payload = from_base64url(token.substr(first + 1, last - first - 1));
  auto signature = from_base64url(token.substr(last + 1));
  if (!header_json || !payload || !signature) return malformed;
  auto header = parse_object(as_text(*header_json));
  if (!header) return malformed;

  // The key decides what is acceptable, never the token: alg and kid only have to agree with it.
  auto alg = text_of(*header, "alg"), kid = text_of(*header, "kid");
  if (alg != "ES256" && alg != "RS256")
    return refuse("TOKEN_ALG_REFUSED", "sign tokens with ES256 or RS256");
  if (header->contains("crit"))
    return refuse("TOKEN_MALFORMED", "the token demands extensions that are not known here");
  auto key = std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.kid == kid; });
  if (kid.empty() || key == keys_.end())
    return refuse("TOKEN_KEY_UNKNOWN", "the JWKS has no key with the token's kid");
  if (key->alg != alg) return refuse("TOKEN_ALG_REFUSED", "the key is for another algorithm");

  auto wrong = refuse("TOKEN_SIGNATURE_INVALID", "the token was not signed with the key it names");
  if (alg == "ES256" && signature->size() != 64) return wrong;
  Jws jws(cjose_jws_import(token.data(), token.size(), nullptr));
  if (!jws || !cjose_jws_verify(jws.get(), key->jwk.get(), nullptr)) return wrong;
  return to_string(*payload);
}

Result<Claims> TokenVerifier::verify(std::string_view token, WallTime now) const {
  GW_ASSIGN(auto text, payload(token));
  auto claims = parse_object(text);
  if (!claims) return refuse("TOKEN_MALFORMED", "the token's claims are no JSON object");

  Claims out{text_of(*claims, "iss"), text_of(*claims, "sub"), options_.audience, {}, {},
             text_of(*claims, "jti")};
  if (out.issuer != options_.issuer)
    return refuse("TOKEN_ISSUER_WRONG", "the token comes from another issuer (iss)");
  auto aud = claims->find("aud");
  bool for_us = aud != claims->end() && *aud == options_.audience;
  if (aud != claims->end() && aud->is_array())
    for (const auto& one : *aud) for_us = for_us || one == options_.audience;
  if (!for_us) return refuse("TOKEN_AUDIENCE_WRONG", "the token is not for us (aud)");
  auto exp = time_of(*claims, "exp"), iat = time_of(*claims, "iat"), nbf = time_of(*claims, "nbf");
  if (out.subject.empty() || !exp || !iat || (claims->contains("nbf") && !nbf))
    return refuse("TOKEN_CLAIM_MISSING", "the token needs sub as text, and exp and iat as numbers");
  if (*exp + options_.skew <= now) return refuse("TOKEN_EXPIRED", "sign a new token");
  if (*iat - options_.skew > now || (nbf && *nbf - options_.skew > now))
    return refuse("TOKEN_NOT_YET_VALID", "the token is from the future: compare the clocks");
  if (*exp <= *iat || *exp - *iat > options_.most_life)
    return refuse("TOKEN_LIFE_TOO_LONG", "sign tokens for a shorter time");
  out.issued_at = *iat;
  out.expires_at = *exp;
  return out;
}

}  // namespace gw::identity
