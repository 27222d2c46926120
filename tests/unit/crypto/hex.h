#pragma once

#include <algorithm>
#include <gtest/gtest.h>
#include <string_view>

#include "base/encoding.h"
#include "crypto/crypto.h"

namespace gw::crypto {

// For vectors in the source: malformed is a mistake in the test.
inline Bytes unhex(std::string_view text) {
  auto bytes = from_hex(text);
  if (!bytes) std::abort();
  return *bytes;
}

template <std::size_t N>
std::array<std::uint8_t, N> unhex_array(std::string_view text) {
  const Bytes bytes = unhex(text);
  if (bytes.size() != N) std::abort();
  std::array<std::uint8_t, N> out;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}
inline Key32 key32(std::string_view text) { return unhex_array<32>(text); }

inline Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + 1);
  return out;
}

}  // namespace gw::crypto
