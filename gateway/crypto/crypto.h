#pragma once

// Primitives over OpenSSL and libsodium. Pure: no state but thread-local cipher contexts.
// Every function is thread-safe. Sizes are octets.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace gw::crypto {

using Key32 = std::array<std::uint8_t, 32>;
using Nonce12 = std::array<std::uint8_t, 12>;
using Sha256 = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;
inline constexpr std::size_t kGcmTagSize = 16;

void random_bytes(std::span<std::uint8_t> out);  // aborts when the system has no randomness
std::uint64_t random_u64();
// Overwrites; not optimised away.
void wipe(std::span<std::uint8_t> secret);
inline void wipe(Bytes& secret) { wipe(std::span<std::uint8_t>(secret)); }
bool equal_constant_time(ByteView a, ByteView b);

Sha256 sha256(ByteView data);
Sha256 sha256(ByteView a, ByteView b);  // of a || b
Sha256 hmac_sha256(ByteView key, ByteView data);
// RFC 5869. `size` at most 255 * 32.
Bytes hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, std::size_t size);

// AES-256-GCM, 12-octet nonce, 16-octet tag behind the ciphertext.
// `out` holds plain.size() + 16; may start where `plain` starts.
void gcm_seal(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView plain,
              std::span<std::uint8_t> out);
Bytes gcm_seal(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView plain);
// CORRUPT "BAD_TAG" when it does not authenticate. `out` holds sealed.size() - 16; may start where
// `sealed` starts; it is wiped on failure.
Result<void> gcm_open(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView sealed,
                      std::span<std::uint8_t> out);
Result<Bytes> gcm_open(const Key32& key, const Nonce12& nonce, ByteView aad, ByteView sealed);

// AES-128, one block, no mode: a keyed permutation of 16 octets (message ids).
using Block16 = std::array<std::uint8_t, 16>;
Block16 aes128_encrypt_block(const Block16& key, const Block16& block);
Block16 aes128_decrypt_block(const Block16& key, const Block16& block);

// RFC 7748 X25519. Private keys are clamped.
struct KeyPair {
  Key32 secret{};
  Key32 pub{};
  ~KeyPair() { wipe(secret); }
};
KeyPair generate_key_pair();
Key32 public_key(const Key32& secret);
// CORRUPT "WEAK_PUBLIC_KEY" when the result is all zero.
Result<Key32> x25519(const Key32& secret, const Key32& pub);

// XEdDSA over Curve25519 keys (signal.org/docs/specifications/xeddsa). The signature's top bit of
// octet 63 may carry the sign of the Edwards key, as older signers write it: verify accepts both.
Signature xeddsa_sign(const Key32& secret, ByteView message);
bool xeddsa_verify(const Key32& pub, ByteView message, ByteView signature);

// First 16 octets of HMAC-SHA256: pseudonyms.
std::array<std::uint8_t, 16> tag16(const Key32& key, ByteView data);

// A key that is wiped when it goes. Not for the hot path.
class Secret32 {
 public:
  Secret32() = default;
  explicit Secret32(const Key32& key) : key_(key) {}
  Secret32(const Secret32&) = default;
  Secret32& operator=(const Secret32&) = default;
  ~Secret32() { wipe(key_); }
  const Key32& get() const { return key_; }
  Key32& get() { return key_; }

 private:
  Key32 key_{};
};

}  // namespace gw::crypto
