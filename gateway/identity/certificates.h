#pragma once

// X.509: which provider a backend's certificate belongs to, and certificates for development.
// Everything is PEM. Thread-safe.

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace gw::identity {

inline constexpr std::string_view kProviderUri = "interop:provider:";

// [a-z0-9-]{1,32}
bool is_provider_id(std::string_view text);

// The provider in the SAN URI interop:provider:<id> of the first certificate. Exactly one such URI
// must be there; other names do not matter. REJECTED: CERTIFICATE_INVALID,
// CERTIFICATE_WITHOUT_PROVIDER, CERTIFICATE_AMBIGUOUS.
Result<std::string> provider_of(std::string_view certificate);

struct Validity {
  WallTime from, until;
};
// Of the first certificate. CONFIG CERTIFICATE_INVALID.
Result<Validity> validity_of(std::string_view certificate);

// Whether the private key belongs to the first certificate. CONFIG: CERTIFICATE_INVALID,
// KEY_INVALID, KEY_MISMATCH.
Result<void> check_pair(std::string_view certificate, std::string_view key);

struct Issued {
  std::string certificate;
  std::string key;  // a secret, for a file of mode 0600
};

// A small authority of ECDSA P-256 keys for development, tests and the quickstart.
class DevAuthority {
 public:
  // `certificates_live`: how long what it issues is valid, from an hour before `now` on. The
  // authority itself lives for ten years.
  static Result<DevAuthority> make(WallTime now, std::chrono::days certificates_live);
  // CONFIG: as check_pair.
  static Result<DevAuthority> load(Issued self, WallTime now, std::chrono::days certificates_live);
  const Issued& self() const { return self_; }
  // Names are host names or IP addresses, at least one. REJECTED NAME_INVALID.
  Result<Issued> server(const std::vector<std::string>& names) const;
  // REJECTED PROVIDER_ID_INVALID.
  Result<Issued> client(std::string_view provider_id) const;

 private:
  Result<Issued> issue(const std::string& common_name, const std::string& alternative_names,
                       const char* usage) const;
  Issued self_;
  WallTime now_;
  std::chrono::days live_{};
};

}  // namespace gw::identity
