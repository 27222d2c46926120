#include "user/login_history.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "whatsapp/dialect.h"

namespace gw::user {
namespace {

constexpr Millis kWithoutExpiry{24 * 3600'000};

Tag hash_of(std::string_view token) {
  const auto whole = crypto::sha256(as_bytes(token));
  Tag hash;
  std::copy_n(whole.begin(), hash.size(), hash.begin());
  return hash;
}

}  // namespace

void LoginHistory::used(const Tag& user, std::string_view token, WallTime now) {
  make_room(user);
  const auto until = whatsapp::token_expires(token).value_or(now + kWithoutExpiry);
  tokens_.put({user, hash_of(token)}, until, {}, now);
}

void LoginHistory::make_room(const Tag& user) {
  const auto& all = tokens_.entries();
  auto first = all.end();
  std::size_t n = 0;
  for (auto it = all.lower_bound({user, Tag{}}); it != all.end() && it->first.first == user;
       ++it, ++n)
    if (first == all.end() || it->second.until < first->second.until) first = it;
  if (n >= bounds_.tokens_of_one) tokens_.erase(TokenKey(first->first));
}

bool LoginHistory::was_used(const Tag& user, std::string_view token) const {
  return tokens_.find({user, hash_of(token)}) != nullptr;
}

void LoginHistory::paused(const Tag& user, const Pause& pause, MonoTime now) {
  pauses_.put(user, pause.until, pause.reason, now);
}

LoginHistory::Pause LoginHistory::pause(const Tag& user) const {
  const auto* entry = pauses_.find(user);
  return entry == nullptr ? Pause{} : Pause{entry->until, entry->value};
}

}  // namespace gw::user
