#pragma once

// What may happen to a user, as data: drawn by a seed, printed, and left out one by one when a
// history is made smaller. An operation that finds nothing to work on does nothing, so that each
// keeps its meaning whatever is left out before it.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace gw::user::testing {

enum class Kind : std::uint8_t {
  kSubmit,
  kRepeat,
  kReuse,
  kLinkUp,
  kLinkDown,
  kDetach,
  kCrash,
  kAnswer,
  kAck,
  kReceipt,
  kStray,
  kWrite,
  kWriteAgain,
  kRewrite,
  kAskAgain,
  kSpoil,
  kAddDevice,
  kRemoveDevice,
  kReinstall,
  kContact,
  kRefuse,
  kTime,
  kProviderAck,
  kQuery,
  kKeysLow,
  kSkip,
  kDuplicate,
  kWithdraw,
};

// What becomes of the commits of the steps that an operation leads to.
enum class Fate : std::uint8_t {
  kGood,
  kFoundApplied,  // its outcome was unknown: written again, and found
  kAgain,         // failed; the same inputs are stepped again
  kLost,          // the process dies before the commit
  kUnpublished,   // and behind it: nothing leaves
};

struct Operation {
  Kind kind = Kind::kSubmit;
  std::uint32_t a = 0, b = 0;  // which, how: each operation's own
  Fate fate = Fate::kGood;
  bool joined = false;    // its inputs wait for the next operation's and share a step with them
  bool answered = true;   // WhatsApp answers what is asked at once
  std::uint32_t cut = 0;  // the link is lost at this stanza that leaves; 0: not
};

using Operations = std::vector<Operation>;
Operations draw(std::mt19937_64& random, std::size_t count);
std::string describe(const Operation& operation);

}  // namespace gw::user::testing
