#pragma once

#include <cstdint>
#include <string_view>

#include "adapter/capabilities.h"
#include "adapter/codec.h"
#include "adapter/identity.h"

namespace gw::adapter {

// What there is to know of an adapter; lives as long as the process.
struct AdapterDescriptor {
  std::string_view name;      // as the settings name it: lower case
  std::uint32_t version = 0;  // of its format and id scheme; raised when either changes
  Capabilities capabilities;
  const Codec* codec = nullptr;
  const IdentityMap* identity = nullptr;
};

}  // namespace gw::adapter
