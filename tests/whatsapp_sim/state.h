#pragma once

// What survives a restart, in one JSON file: the server's keys, the accounts, which Noise key each
// device has. Mailboxes, published keys and the simulated phones' ratchets live in memory.

#include <string>

#include "base/error.h"

namespace gw::sim {

struct World;

// Makes new server keys when there are none. `folder` "" keeps nothing. CONFIG "STATE_UNREADABLE".
Result<void> load_state(World& world, const std::string& folder);
Result<void> save_state(const World& world, const std::string& folder);

}  // namespace gw::sim
