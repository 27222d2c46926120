#pragma once

// The tokens of one user's next links. A token opens one link, and is used up as soon as it left
// the gateway.

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace gw::user {

class Tokens {
 public:
  // Empty: it is at hand now, in place of the one before. Else why it can open nothing:
  // TOKEN_REFUSED (another user's), TOKEN_EXPIRED, TOKEN_USED.
  std::string_view take(std::string token, std::string_view user_id, WallTime now);
  // The token for a link that is opened now, if there is one that did not grow old meanwhile.
  std::optional<std::string> offer(WallTime now);
  // That link is up, or it came to nothing. Not sent, its token may open the next one.
  void settled(bool sent);
  void clear();

 private:
  std::string at_hand_, offered_;
  std::size_t used_ = 0;  // hash of the last one that left
};

}  // namespace gw::user
