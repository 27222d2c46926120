#include "user/tokens.h"

#include <utility>

#include "whatsapp/dialect.h"

namespace gw::user {
namespace {

bool is_old(std::string_view token, WallTime now) {
  auto expires = whatsapp::token_expires(token);
  return expires && *expires <= now;
}

}  // namespace

std::string_view Tokens::take(std::string token, std::string_view user_id, WallTime now) {
  // WhatsApp would open the other user's session for this one's keys.
  if (!whatsapp::token_may_be_of(token, user_id)) return "TOKEN_REFUSED";
  if (is_old(token, now)) return "TOKEN_EXPIRED";
  if (token == offered_ || history_.was_used(user_, token)) return "TOKEN_USED";
  at_hand_ = std::move(token);
  return {};
}

std::optional<std::string> Tokens::offer(WallTime now) {
  auto token = std::exchange(at_hand_, {});
  if (token.empty() || is_old(token, now)) return std::nullopt;
  offered_ = token;
  return token;
}

void Tokens::settled(bool sent, WallTime now) {
  auto token = std::exchange(offered_, {});
  if (token.empty()) return;
  if (sent)
    history_.used(user_, token, now);
  else if (at_hand_.empty())
    at_hand_ = std::move(token);
}

void Tokens::clear(WallTime now) {
  settled(true, now);  // perhaps
  at_hand_ = {};
}

}  // namespace gw::user
