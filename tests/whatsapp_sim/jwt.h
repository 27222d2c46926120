#pragma once

// A provider's proof of who its user is: a JWT (RFC 7519) signed with ES256 (RFC 7518), checked
// against the provider's JWKS (RFC 7517). That the token has these claims is INVENTED.

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"

namespace gw::sim {

inline constexpr std::string_view kAudience = "whatsapp";
inline constexpr std::int64_t kSkewSeconds = 60;

struct Claims {
  std::string user;  // sub
  std::string id;    // jti
  std::int64_t expires = 0;
};

class Provider {
 public:
  // `jwks_file`, when given, is read again whenever a token names an unknown key.
  // CONFIG "JWKS_MALFORMED", "JWKS_UNREADABLE".
  static Result<Provider> from_json(std::string issuer, const nlohmann::json& jwks);
  static Result<Provider> from_file(std::string issuer, std::string jwks_file);

  // REJECTED: TOKEN_MALFORMED, TOKEN_ALG, TOKEN_KID, TOKEN_SIGNATURE, TOKEN_ISSUER,
  // TOKEN_AUDIENCE, TOKEN_EXPIRED, TOKEN_NOT_YET, TOKEN_SUBJECT, TOKEN_USED.
  // A token that passes is used up: a token opens one link.
  Result<Claims> accept(std::string_view token, std::int64_t now_s);

  const std::string& issuer() const { return issuer_; }
  std::size_t keys() const { return keys_.size(); }

 private:
  Result<void> load(const nlohmann::json& jwks);
  Result<void> load_file();
  Result<void> check_signature(std::string_view header, std::string_view signed_part,
                               std::string_view signature);
  Result<Claims> check_claims(std::string_view payload, std::int64_t now_s) const;

  std::string issuer_, file_;
  std::map<std::string, std::shared_ptr<EVP_PKEY>> keys_;
  std::unordered_map<std::string, std::int64_t> used_;  // jti -> when it may be forgotten
};

}  // namespace gw::sim
