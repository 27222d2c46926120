#pragma once

// The public part of ratchet messages (version 3), read before the library sees them: bounded, and
// stricter than a protobuf reader (known fields once, with their own wire type).

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "signal/signal.h"

namespace gw::signal {

struct WireMessage {
  Key32 ratchet_key{};
  std::uint32_t counter = 0;
};
struct WirePreKeyMessage {
  std::optional<std::uint32_t> prekey_id;
  std::uint32_t signed_prekey_id = 0;
  Key32 base_key{};
  Key32 identity{};
  WireMessage inner;
};

// CORRUPT SIGNAL_BAD_MESSAGE when malformed.
Result<WireMessage> parse_message(ByteView octets);
Result<WirePreKeyMessage> parse_prekey_message(ByteView octets);

// The remote identity that a record's current ratchet is bound to.
std::optional<Key32> remote_identity_of(ByteView record);

}  // namespace gw::signal
