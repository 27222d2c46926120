#pragma once

#include "crypto/crypto.h"

namespace gw::noise {

// 8 zeros and the counter. Noise writes a 64-bit counter behind 4 zeros: the same below 2^32.
inline crypto::Nonce12 nonce(std::uint32_t counter) {
  return {0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          static_cast<std::uint8_t>(counter >> 24),
          static_cast<std::uint8_t>(counter >> 16),
          static_cast<std::uint8_t>(counter >> 8),
          static_cast<std::uint8_t>(counter)};
}

}  // namespace gw::noise
