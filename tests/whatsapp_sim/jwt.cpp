#include "whatsapp_sim/jwt.h"

#include <fstream>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>

#include "base/encoding.h"
#include "message/message.h"

namespace gw::sim {
namespace {

using Json = nlohmann::json;

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* p) const { Free(p); }
};
using Context = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX, EVP_MD_CTX_free>>;
using Sig = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG, ECDSA_SIG_free>>;

std::string text_of(const Json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::shared_ptr<EVP_PKEY> p256_key(ByteView x, ByteView y) {
  if (x.size() != 32 || y.size() != 32) return nullptr;
  Bytes point = {4};
  append(point, x);
  append(point, y);
  char curve[] = "prime256v1";
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  Context context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) <= 0) {
    return nullptr;
  }
  return {key, EVP_PKEY_free};
}

bool verify(EVP_PKEY* key, std::string_view message, ByteView raw) {
  if (raw.size() != 64) return false;
  Sig sig(ECDSA_SIG_new());
  auto* r = BN_bin2bn(raw.data(), 32, nullptr);
  auto* s = BN_bin2bn(raw.data() + 32, 32, nullptr);
  if (!sig || !r || !s || ECDSA_SIG_set0(sig.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return false;
  }
  unsigned char* der = nullptr;
  int size = i2d_ECDSA_SIG(sig.get(), &der);
  if (size <= 0) return false;
  Digest digest(EVP_MD_CTX_new());
  auto data = as_bytes(message);
  bool good = digest &&
              EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
              EVP_DigestVerify(digest.get(), der, static_cast<std::size_t>(size), data.data(),
                               data.size()) == 1;
  OPENSSL_free(der);
  return good;
}

bool audience_fits(const Json& claims) {
  auto it = claims.find("aud");
  if (it == claims.end()) return false;
  if (it->is_string()) return *it == kAudience;
  if (!it->is_array()) return false;
  for (const auto& item : *it) {
    if (item == kAudience) return true;
  }
  return false;
}

std::optional<std::int64_t> seconds_of(const Json& object, const char* key) {
  auto it = object.find(key);
  if (it == object.end() || !it->is_number_integer()) return std::nullopt;
  return it->get<std::int64_t>();
}

}  // namespace

Result<Provider> Provider::from_json(std::string issuer, const Json& jwks) {
  Provider provider;
  provider.issuer_ = std::move(issuer);
  GW_TRY(provider.load(jwks));
  return provider;
}

Result<Provider> Provider::from_file(std::string issuer, std::string jwks_file) {
  Provider provider;
  provider.issuer_ = std::move(issuer);
  provider.file_ = std::move(jwks_file);
  GW_TRY(provider.load_file());
  return provider;
}

Result<void> Provider::load_file() {
  std::ifstream in(file_, std::ios::binary);
  if (!in) return fail(ErrorKind::kConfig, "JWKS_UNREADABLE", "cannot read " + file_);
  return load(Json::parse(in, nullptr, false));
}

Result<void> Provider::load(const Json& jwks) {
  if (!jwks.is_object() || !jwks.contains("keys") || !jwks["keys"].is_array()) {
    return fail(ErrorKind::kConfig, "JWKS_MALFORMED", "expected {\"keys\": [...]}");
  }
  std::map<std::string, std::shared_ptr<EVP_PKEY>> keys;
  for (const auto& item : jwks["keys"]) {
    if (!item.is_object() || text_of(item, "kty") != "EC" || text_of(item, "crv") != "P-256") {
      continue;
    }
    auto x = from_base64url(text_of(item, "x")), y = from_base64url(text_of(item, "y"));
    auto key = x && y ? p256_key(*x, *y) : nullptr;
    if (!key) return fail(ErrorKind::kConfig, "JWKS_MALFORMED", "a P-256 key that is none");
    keys[text_of(item, "kid")] = std::move(key);
  }
  keys_ = std::move(keys);
  return {};
}

Result<Claims> Provider::accept(std::string_view token, std::int64_t now_s) {
  auto reject = [](std::string_view why) { return fail(ErrorKind::kRejected, why); };
  auto first = token.find('.');
  auto last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.size() > 8192 ||
      token.find('.', first + 1) != last) {
    return reject("TOKEN_MALFORMED");
  }
  GW_TRY(check_signature(token.substr(0, first), token.substr(0, last), token.substr(last + 1)));
  GW_ASSIGN(auto claims, check_claims(token.substr(first + 1, last - first - 1), now_s));

  std::erase_if(used_, [&](const auto& item) { return item.second < now_s; });
  if (!used_.emplace(claims.id, claims.expires + kSkewSeconds + 1).second) {
    return reject("TOKEN_USED");
  }
  return claims;
}

Result<void> Provider::check_signature(std::string_view header, std::string_view signed_part,
                                       std::string_view signature) {
  auto reject = [](std::string_view why) { return fail(ErrorKind::kRejected, why); };
  auto decoded = from_base64url(header);
  auto raw = from_base64url(signature);
  auto json = Json::parse(decoded ? to_string(*decoded) : std::string(), nullptr, false);
  if (!raw || !json.is_object()) return reject("TOKEN_MALFORMED");
  if (text_of(json, "alg") != "ES256" || text_of(json, "typ") != "JWT") return reject("TOKEN_ALG");
  auto kid = text_of(json, "kid");
  if (!keys_.contains(kid) && !file_.empty()) GW_TRY(load_file());  // the keys were rotated
  auto it = keys_.find(kid);
  if (kid.empty() || it == keys_.end()) return reject("TOKEN_KID");
  if (!verify(it->second.get(), signed_part, *raw)) return reject("TOKEN_SIGNATURE");
  return {};
}

Result<Claims> Provider::check_claims(std::string_view payload, std::int64_t now_s) const {
  auto reject = [](std::string_view why) { return fail(ErrorKind::kRejected, why); };
  auto decoded = from_base64url(payload);
  auto json = Json::parse(decoded ? to_string(*decoded) : std::string(), nullptr, false);
  if (!json.is_object()) return reject("TOKEN_MALFORMED");
  if (text_of(json, "iss") != issuer_) return reject("TOKEN_ISSUER");
  if (!audience_fits(json)) return reject("TOKEN_AUDIENCE");
  auto expires = seconds_of(json, "exp"), issued = seconds_of(json, "iat");
  Claims claims{text_of(json, "sub"), text_of(json, "jti"), expires.value_or(0)};
  if (!expires || !issued || claims.id.empty() || claims.id.size() > 128) {
    return reject("TOKEN_MALFORMED");
  }
  if (*expires + kSkewSeconds < now_s) return reject("TOKEN_EXPIRED");
  if (*issued - kSkewSeconds > now_s) return reject("TOKEN_NOT_YET");
  if (!message::validate_user_id(claims.user)) return reject("TOKEN_SUBJECT");
  return claims;
}

}  // namespace gw::sim
