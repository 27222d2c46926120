#pragma once

#include <cstddef>

namespace gw::bench {

// Encrypting and decrypting with libsignal-protocol-c on a record that is loaded and stored each
// time, one direction, warm; microseconds of CPU a message.
struct RatchetFloor {
  double encrypt_us = 0, decrypt_us = 0;
};
RatchetFloor ratchet_floor(std::size_t text_size);

}  // namespace gw::bench
