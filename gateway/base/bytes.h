#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gw {

// Owned octets. Text that is known to be UTF-8 stays std::string; everything else is Bytes.
using Bytes = std::vector<std::uint8_t>;
// Borrowed octets; never outlives what it views.
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
inline Bytes to_bytes(std::string_view text) { return to_bytes(as_bytes(text)); }
inline std::string to_string(ByteView bytes) { return std::string(as_text(bytes)); }

inline void append(Bytes& to, ByteView more) { to.insert(to.end(), more.begin(), more.end()); }

inline bool equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Big-endian integers of 1 to 8 octets, as the wire and the stored rows have them.
template <std::size_t N>
void put_be(Bytes& to, std::uint64_t value) {
  static_assert(N >= 1 && N <= 8);
  for (std::size_t i = N; i-- > 0;) to.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
template <std::size_t N>
std::uint64_t get_be(ByteView from) {
  static_assert(N >= 1 && N <= 8);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < N; ++i) value = value << 8 | from[i];
  return value;
}

}  // namespace gw
