#include "adapters/registry.h"

#include <array>

#include "adapters/native/native.h"

namespace gw::adapters {

std::span<const adapter::AdapterDescriptor* const> all() {
  static const std::array table = {
      &native::descriptor(),
  };
  return table;
}

const adapter::AdapterDescriptor* find(std::string_view name) {
  for (const auto* one : all())
    if (one->name == name) return one;
  return nullptr;
}

}  // namespace gw::adapters
