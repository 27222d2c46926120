#pragma once

// Both ends of a handshake with keys of our own choice.

#include <cstdlib>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "noise/noise.h"

namespace gw::noise {

inline Bytes unhex(std::string_view text) {
  auto bytes = from_hex(text);
  if (!bytes) std::abort();
  return *bytes;
}

inline crypto::Key32 key32(std::string_view text) {
  const Bytes bytes = unhex(text);
  if (bytes.size() != 32) std::abort();
  crypto::Key32 key;
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

inline crypto::KeyPair pair_of(std::uint8_t fill) {
  crypto::KeyPair pair;
  pair.secret.fill(fill);
  pair.pub = crypto::public_key(pair.secret);
  return pair;
}

inline constexpr std::int64_t kNowSeconds = 1'790'000'000;
inline const WallTime kNow = from_unix_ms(kNowSeconds * 1000);

struct Party {
  crypto::KeyPair root = pair_of(1), intermediate = pair_of(2), server = pair_of(3),
                  client = pair_of(4), server_ephemeral = pair_of(5), client_ephemeral = pair_of(6);
  Certificate middle{7, 0, intermediate.pub, kNowSeconds - 1000, kNowSeconds + 1000};
  Certificate leaf{8, 7, server.pub, kNowSeconds - 100, kNowSeconds + 100};
  Bytes login = to_bytes("the login payload");

  Bytes chain() const { return make_chain(root.secret, intermediate.secret, middle, leaf); }
  Initiator initiator() const { return {client, root.pub, client_ephemeral}; }
  Responder responder() const { return {server, chain(), server_ephemeral}; }
};

template <class T>
std::string_view reason(const Result<T>& result) {
  return result ? std::string_view("OK") : result.error().reason;
}

inline Bytes flipped(ByteView bytes, std::size_t bit) {
  Bytes out = to_bytes(bytes);
  out[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
  return out;
}

}  // namespace gw::noise
