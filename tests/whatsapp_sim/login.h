#pragma once

// Who may log in, and as which device.

#include <string>
#include <tl/expected.hpp>

#include "base/bytes.h"
#include "crypto/crypto.h"
#include "whatsapp_sim/directory.h"

namespace gw::sim {

struct World;

// <failure reason= message= [expire=]>. The numbers are those that real clients know; the texts are
// invented.
struct Refusal {
  int reason = 400;
  std::string message;
  std::int64_t expire = 0;  // seconds; 0: not said
};
struct Login {
  Device* device = nullptr;
  bool passive = false;
};
tl::expected<Login, Refusal> admit(World& world, const crypto::Key32& noise_key, ByteView payload);

}  // namespace gw::sim
