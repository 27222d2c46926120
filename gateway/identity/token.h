#pragma once

// Users' tokens: JWTs (RFC 7519) that a provider signs and whoever asks verifies against the
// provider's JWKS (RFC 7517). Signing is for development and tests: a provider signs with its own
// means. Verifying follows RFC 8725: what is not known to be right is refused.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

struct _cjose_jwk_int;

namespace gw::identity {

inline constexpr std::size_t kMostTokenOctets = 8192;
inline constexpr std::size_t kMostJwksOctets = 64 * 1024;
inline constexpr std::size_t kMostKeys = 32;

// Times are cut to whole seconds in a token.
struct Claims {
  std::string issuer;
  std::string subject;   // the user
  std::string audience;  // who is to accept it
  WallTime issued_at;
  WallTime expires_at;
  std::string token_id;  // empty in sign(): a random one
};

// An ES256 key (P-256). Immutable; not to be shared between threads.
class SigningKey {
 public:
  static Result<SigningKey> generate();
  // PKCS#8 or SEC 1, not encrypted. CONFIG SIGNING_KEY_INVALID.
  static Result<SigningKey> from_pem(std::string_view pem);
  std::string to_pem() const;  // PKCS#8: a secret, for a file of mode 0600
  // RFC 7638 thumbprint of the public key.
  const std::string& kid() const { return kid_; }
  // {"keys":[...]} with the public key alone.
  std::string jwks() const;
  // Compact serialization. REJECTED CLAIMS_INVALID: an empty issuer, subject or audience, or not
  // issued before it expires, or longer than a token may be.
  Result<std::string> sign(const Claims& claims) const;

 private:
  SigningKey() = default;
  std::shared_ptr<_cjose_jwk_int> jwk_;
  std::shared_ptr<void> key_;  // EVP_PKEY
  std::string kid_, jwks_;
};

struct VerifierOptions {
  std::string issuer;    // equal octet for octet
  std::string audience;  // one of the token's
  Millis skew{60'000};
  Millis most_life{3'600'000};  // from iat to exp
};

// Immutable, thread-safe.
class TokenVerifier {
 public:
  // Takes ES256 keys on P-256 and RS256 keys of 2048 to 4096 bits that have a kid and are not for
  // encryption; other keys are passed over. CONFIG JWKS_INVALID: no JSON, too large, too many keys,
  // a kid twice, a private or broken key, or no key that can be used.
  static Result<TokenVerifier> make(std::string_view jwks, VerifierOptions options);

  // REJECTED, with a reason that names the rule: TOKEN_TOO_LARGE, TOKEN_MALFORMED,
  // TOKEN_ALG_REFUSED (not ES256 or RS256, or not the key's), TOKEN_KEY_UNKNOWN (no such kid),
  // TOKEN_SIGNATURE_INVALID, TOKEN_CLAIM_MISSING, TOKEN_ISSUER_WRONG, TOKEN_AUDIENCE_WRONG,
  // TOKEN_EXPIRED, TOKEN_NOT_YET_VALID, TOKEN_LIFE_TOO_LONG.
  Result<Claims> verify(std::string_view token, WallTime now) const;

 private:
  struct Key {
    std::string kid;
    std::string_view alg;  // "ES256" or "RS256"
    std::shared_ptr<_cjose_jwk_int> jwk;
  };
  TokenVerifier() = default;
  Result<std::string> payload(std::string_view token) const;
  VerifierOptions options_;
  std::vector<Key> keys_;
};

}  // namespace gw::identity
