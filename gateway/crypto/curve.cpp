#include <sodium.h>

#include "crypto/check.h"
#include "crypto/crypto.h"
#include "crypto/sodium_once.h"

namespace gw::crypto {

static_assert(crypto_scalarmult_BYTES == sizeof(Key32));

Key32 public_key(const Key32& secret) {
  ensure_sodium();
  Key32 pub;
  require(crypto_scalarmult_base(pub.data(), secret.data()) == 0, "X25519 has no public key");
  return pub;
}

KeyPair generate_key_pair() {
  KeyPair pair;
  random_bytes(pair.secret);
  // Clamped in storage too: others that read the secret need not do it again.
  pair.secret[0] &= 248;
  pair.secret[31] &= 127;
  pair.secret[31] |= 64;
  pair.pub = public_key(pair.secret);
  return pair;
}

Result<Key32> x25519(const Key32& secret, const Key32& pub) {
  ensure_sodium();
  Key32 shared;
  if (crypto_scalarmult(shared.data(), secret.data(), pub.data()) != 0) {
    wipe(shared);
    return fail(ErrorKind::kCorrupt, "WEAK_PUBLIC_KEY");
  }
  return shared;
}

}  // namespace gw::crypto
