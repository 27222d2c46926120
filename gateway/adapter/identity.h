#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace gw::adapter {

// A provider's own user ids to ours (what stands behind the integrator id on the wire) and back.
// Deterministic, and to_native(to_ours(x)) == x: nothing is stored. Thread-safe.
class IdentityMap {
 public:
  virtual ~IdentityMap() = default;
  // REJECTED USER_ID_INVALID. What it answers passes message::validate_user_id.
  virtual Result<std::string> to_ours(std::string_view native) const = 0;
  // `ours` comes from to_ours, now or in an earlier process.
  virtual std::string to_native(std::string_view ours) const = 0;
};

// For providers whose ids have our form already.
class SameIds final : public IdentityMap {
 public:
  Result<std::string> to_ours(std::string_view native) const override;
  std::string to_native(std::string_view ours) const override;
};

}  // namespace gw::adapter
