#pragma once

// The table of troubles: what an error of each kind means at each stage of a user's work. One
// place, tested row by row (tests/unit/user/troubles_test.cpp).

#include "base/clock.h"
#include "base/error.h"

namespace gw::user {

enum class Stage : std::uint8_t { kLoad, kCommit, kLookup, kLink };

enum class Remedy : std::uint8_t {
  kRetry,    // wait, jittered and capped, then the same again
  kRefuse,   // tell whoever asked; nothing was changed
  kLetGo,    // drop the cached user, end the attachment: rows are the only truth
  kConfirm,  // the outcome is open: the same change set again (the store's Committer does it)
};

Remedy remedy(ErrorKind kind, Stage stage);

// How long to wait before try number `tries` (from 0): doubles from `first` to `most`, half of it
// random.
Millis backoff(Millis first, Millis most, int tries);

}  // namespace gw::user
