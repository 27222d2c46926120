#pragma once

// The users of this replica: finds or makes the strand that a call concerns, on that user's loop.

#include <memory>

#include "runtime/loop.h"
#include "user/strand.h"

namespace gw::user {

// `shared` and `loops` outlive it; the loops are stopped first, then this is destroyed.
std::unique_ptr<Users> make_users(Shared& shared, runtime::LoopPool& loops);

}  // namespace gw::user
