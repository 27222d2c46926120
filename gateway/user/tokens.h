#pragma once

// The tokens of one user's next links. A token opens one link, and is used up as soon as it left
// the gateway: the loop's history remembers it.

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "user/login_history.h"

namespace gw::user {

class Tokens {
 public:
  // `history` outlives it; `user`: Pseudonyms::user.
  Tokens(LoginHistory& history, const Tag& user) : history_(history), user_(user) {}

  // Empty: it is at hand now, in place of the one before. Else why it can open nothing:
  // TOKEN_REFUSED (another user's), TOKEN_EXPIRED, TOKEN_USED.
  std::string_view take(std::string token, std::string_view user_id, WallTime now);
  // The token for a link that is opened now, if there is one that did not grow old meanwhile.
  std::optional<std::string> offer(WallTime now);
  // That link is up, or it came to nothing. Not sent, its token may open the next one.
  void settled(bool sent, WallTime now);
  void clear(WallTime now);

 private:
  LoginHistory& history_;
  Tag user_;
  std::string at_hand_, offered_;
};

}  // namespace gw::user
