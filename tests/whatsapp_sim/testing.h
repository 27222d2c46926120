#pragma once

// For the simulator's own tests: a provider's signing key, and tokens made with it.

#include <memory>
#include <nlohmann/json.hpp>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <string>

#include "base/encoding.h"

namespace gw::sim::testing {

class SigningKey {
 public:
  explicit SigningKey(std::string kid)
      : kid_(std::move(kid)), key_(EVP_EC_gen("P-256"), EVP_PKEY_free) {}

  nlohmann::json jwks() const {
    return {{"keys",
             {{{"kty", "EC"},
               {"crv", "P-256"},
               {"kid", kid_},
               {"alg", "ES256"},
               {"x", coordinate(OSSL_PKEY_PARAM_EC_PUB_X)},
               {"y", coordinate(OSSL_PKEY_PARAM_EC_PUB_Y)}}}}};
  }
  nlohmann::json header() const { return {{"alg", "ES256"}, {"typ", "JWT"}, {"kid", kid_}}; }
  std::string sign(const nlohmann::json& header, const nlohmann::json& claims) const {
    auto text = to_base64url(as_bytes(header.dump())) + "." + to_base64url(as_bytes(claims.dump()));
    return text + "." + to_base64url(signature(text));
  }

 private:
  std::string coordinate(const char* name) const {
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &number);
    Bytes octets(32);
    BN_bn2binpad(number, octets.data(), 32);
    BN_free(number);
    return to_base64url(octets);
  }
  Bytes signature(const std::string& text) const {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                    EVP_MD_CTX_free);
    Bytes der(128);
    auto size = der.size();
    auto data = as_bytes(text);
    EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get());
    EVP_DigestSign(context.get(), der.data(), &size, data.data(), data.size());
    const auto* at = der.data();
    auto* sig = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size));
    Bytes raw(64);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw.data(), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw.data() + 32, 32);
    ECDSA_SIG_free(sig);
    return raw;
  }

  std::string kid_;
  std::shared_ptr<EVP_PKEY> key_;
};

inline nlohmann::json claims(std::int64_t now, std::string user, std::string id) {
  return {{"iss", "https://example.test"},
          {"sub", std::move(user)},
          {"aud", "whatsapp"},
          {"iat", now},
          {"exp", now + 300},
          {"jti", std::move(id)}};
}

}  // namespace gw::sim::testing
