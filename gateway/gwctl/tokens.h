#pragma once

// Users' tokens, signed with the development key.

#include <memory>
#include <string>

#include "gwctl/command.h"
#include "identity/token.h"

namespace gw::gwctl {

// What WhatsApp expects as `aud`: INVENTED, like the rest of the token.
inline constexpr const char* kAudience = "whatsapp";

struct TokenOptions {
  std::string key, issuer, audience = kAudience, lifetime = "10m";

  void add_to(CLI::App& command, const char* key_option);
};

class TokenSigner {
 public:
  static Result<TokenSigner> make(const TokenOptions& options);
  Result<std::string> sign(const std::string& user, WallTime now) const;

 private:
  TokenSigner(identity::SigningKey key, TokenOptions options, Millis lifetime)
      : key_(std::move(key)), options_(std::move(options)), lifetime_(lifetime) {}
  identity::SigningKey key_;
  TokenOptions options_;
  Millis lifetime_;
};

}  // namespace gw::gwctl
