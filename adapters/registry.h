#pragma once

#include <span>
#include <string_view>

#include "adapter/descriptor.h"

namespace gw::adapters {

// The adapters of this build, written down in registry.cpp.
std::span<const adapter::AdapterDescriptor* const> all();
// nullptr: there is none of this name.
const adapter::AdapterDescriptor* find(std::string_view name);

}  // namespace gw::adapters
