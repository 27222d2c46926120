#include <sodium.h>

#include "crypto/check.h"
#include "crypto/crypto.h"
#include "crypto/sodium_once.h"

namespace gw::crypto {

void ensure_sodium() {
  static const bool ready = sodium_init() >= 0;
  require(ready, "libsodium does not start");
}

void random_bytes(std::span<std::uint8_t> out) {
  ensure_sodium();
  if (!out.empty()) randombytes_buf(out.data(), out.size());  // aborts by itself
}

std::uint64_t random_u64() {
  std::uint64_t value;
  random_bytes({reinterpret_cast<std::uint8_t*>(&value), sizeof value});
  return value;
}

void wipe(std::span<std::uint8_t> secret) {
  if (!secret.empty()) sodium_memzero(secret.data(), secret.size());
}

bool equal_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace gw::crypto
