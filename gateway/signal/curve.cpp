// libsignal-protocol-c brings its own portable curve code, and calls it through the dynamic symbol
// table. An executable that defines the same names is asked first: these are three to four times as
// fast (libsodium). The engine refers to this file, so whatever links the room gets them.

#include "signal/curve.h"

#include <algorithm>

#include "crypto/crypto.h"

namespace gw::signal {
namespace {

thread_local CurveCalls calls;

crypto::Key32 key(const std::uint8_t* octets) {
  crypto::Key32 out;
  std::copy_n(octets, out.size(), out.begin());
  return out;
}

}  // namespace

const CurveCalls& curve_calls() { return calls; }

}  // namespace gw::signal

#define GW_REPLACES extern "C" __attribute__((visibility("default"), used))

// The names, parameters and results are the library's.

GW_REPLACES int curve25519_donna(std::uint8_t* out, const std::uint8_t* secret,
                                 const std::uint8_t* point) {
  using namespace gw;
  static constexpr crypto::Key32 kBasePoint{9};
  ++signal::calls.agreements;
  crypto::Secret32 mine(signal::key(secret));
  const crypto::Key32 theirs = signal::key(point);
  if (theirs == kBasePoint) {
    const crypto::Key32 made = crypto::public_key(mine.get());
    std::copy(made.begin(), made.end(), out);
    return 0;
  }
  auto shared = crypto::x25519(mine.get(), theirs);
  if (!shared) {
    ++signal::calls.weak_points;
    return -1;
  }
  std::copy(shared->begin(), shared->end(), out);
  crypto::wipe(*shared);
  return 0;
}

GW_REPLACES int curve25519_sign(std::uint8_t* signature, const std::uint8_t* secret,
                                const std::uint8_t* message, unsigned long size,
                                const std::uint8_t* /*random: ours is drawn below*/) {
  using namespace gw;
  ++signal::calls.signatures;
  crypto::Secret32 mine(signal::key(secret));
  const crypto::Signature made = crypto::xeddsa_sign(mine.get(), {message, size});
  std::copy(made.begin(), made.end(), signature);
  return 0;
}

GW_REPLACES int curve25519_verify(const std::uint8_t* signature, const std::uint8_t* pub,
                                  const std::uint8_t* message, unsigned long size) {
  using namespace gw;
  ++signal::calls.verifications;
  return crypto::xeddsa_verify(signal::key(pub), {message, size}, {signature, 64}) ? 0 : -1;
}
