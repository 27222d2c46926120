// XEdDSA (signal.org/docs/specifications/xeddsa): Ed25519 signatures by X25519 keys.

#include <algorithm>
#include <memory>
#include <openssl/bn.h>
#include <sodium.h>

#include "crypto/check.h"
#include "crypto/crypto.h"
#include "crypto/sodium_once.h"

namespace gw::crypto {
namespace {

using Scalar = std::array<std::uint8_t, crypto_core_ed25519_SCALARBYTES>;
using Hash64 = std::array<std::uint8_t, crypto_hash_sha512_BYTES>;

Scalar reduce(Hash64& wide) {
  Scalar out;
  crypto_core_ed25519_scalar_reduce(out.data(), wide.data());
  wipe(wide);
  return out;
}

template <class... Parts>
Scalar hash_to_scalar(const Parts&... parts) {
  crypto_hash_sha512_state state;
  crypto_hash_sha512_init(&state);
  (crypto_hash_sha512_update(&state, parts.data(), parts.size()), ...);
  Hash64 out;
  crypto_hash_sha512_final(&state, out.data());
  wipe({reinterpret_cast<std::uint8_t*>(&state), sizeof state});
  return reduce(out);
}

Key32 times_base(const Scalar& scalar) {
  Key32 point;
  require(crypto_scalarmult_ed25519_base_noclamp(point.data(), scalar.data()) == 0,
          "a scalar of zero");
  return point;
}

struct EdwardsPair {
  Scalar secret;
  Key32 pub;  // sign bit 0
};
EdwardsPair edwards_pair(const Key32& montgomery_secret) {
  Hash64 wide{};
  std::copy(montgomery_secret.begin(), montgomery_secret.end(), wide.begin());
  wide[0] &= 248;
  wide[31] &= 127;
  wide[31] |= 64;
  Scalar k = reduce(wide);
  EdwardsPair pair{k, times_base(k)};
  Scalar negated;
  crypto_core_ed25519_scalar_negate(negated.data(), k.data());
  // Without a branch on the secret's sign.
  const auto mask = static_cast<std::uint8_t>(-(pair.pub[31] >> 7));
  for (std::size_t i = 0; i < k.size(); ++i)
    pair.secret[i] = static_cast<std::uint8_t>((k[i] & ~mask) | (negated[i] & mask));
  pair.pub[31] &= 0x7f;
  wipe(k);
  wipe(negated);
  return pair;
}

struct FreeBn {
  void operator()(BIGNUM* n) const { BN_free(n); }
  void operator()(BN_CTX* ctx) const { BN_CTX_free(ctx); }
};
using Bn = std::unique_ptr<BIGNUM, FreeBn>;

Bn field_prime() {  // 2^255 - 19
  std::array<std::uint8_t, 32> le;
  le.fill(0xff);
  le[0] = 0xed;
  le[31] = 0x7f;
  return Bn(BN_lebin2bn(le.data(), le.size(), nullptr));
}

// y = (u - 1) / (u + 1). False for a u that is not below the prime, and for u = -1.
// Everything here is public, so OpenSSL's ordinary arithmetic will do.
bool to_edwards(const Key32& u_octets, Key32& y_octets) {
  thread_local const std::unique_ptr<BN_CTX, FreeBn> ctx(BN_CTX_new());
  thread_local const Bn p = field_prime();
  thread_local const Bn u(BN_new()), above(BN_new()), y(BN_new());
  require(ctx && p && u && above && y, "out of memory");
  if (!BN_lebin2bn(u_octets.data(), static_cast<int>(u_octets.size()), u.get())) return false;
  if (BN_cmp(u.get(), p.get()) >= 0) return false;
  if (!BN_copy(above.get(), u.get()) || !BN_add_word(above.get(), 1)) return false;
  if (BN_cmp(above.get(), p.get()) == 0) return false;
  return BN_mod_inverse(above.get(), above.get(), p.get(), ctx.get()) &&
         BN_mod_sub(u.get(), u.get(), BN_value_one(), p.get(), ctx.get()) &&
         BN_mod_mul(y.get(), u.get(), above.get(), p.get(), ctx.get()) &&
         BN_bn2lebinpad(y.get(), y_octets.data(), static_cast<int>(y_octets.size())) > 0;
}

}  // namespace

Signature xeddsa_sign(const Key32& secret, ByteView message) {
  ensure_sodium();
  EdwardsPair key = edwards_pair(secret);
  std::array<std::uint8_t, 64> random;
  random_bytes(random);
  // The specification's hash_1: a prefix that no encoded point or reduced scalar begins with.
  std::array<std::uint8_t, 32> prefix;
  prefix.fill(0xff);
  prefix[0] = 0xfe;
  Scalar r = hash_to_scalar(prefix, key.secret, message, random);
  const Key32 commitment = times_base(r);
  const Scalar h = hash_to_scalar(commitment, key.pub, message);

  Scalar s;
  crypto_core_ed25519_scalar_mul(s.data(), h.data(), key.secret.data());
  crypto_core_ed25519_scalar_add(s.data(), s.data(), r.data());
  Signature out;
  std::copy(commitment.begin(), commitment.end(), out.begin());
  std::copy(s.begin(), s.end(), out.begin() + 32);
  wipe(key.secret);
  wipe(r);
  wipe(random);
  return out;
}

bool xeddsa_verify(const Key32& pub, ByteView message, ByteView signature) {
  ensure_sodium();
  if (signature.size() != sizeof(Signature)) return false;
  Key32 edwards;
  if (!to_edwards(pub, edwards)) return false;
  Signature plain;
  std::copy(signature.begin(), signature.end(), plain.begin());
  edwards[31] |= plain[63] & 0x80;
  plain[63] &= 0x7f;
  return crypto_sign_verify_detached(plain.data(), message.data(), message.size(),
                                     edwards.data()) == 0;
}

}  // namespace gw::crypto
