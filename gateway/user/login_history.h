#pragma once

// What a loop remembers of its users' logins beyond their strands, which go when a client detaches:
// tokens that were used, until they expire, and pauses that WhatsApp asked for, until they end. In
// memory only. Bounded: at a bound what ends first is forgotten. To refuse instead would lock users
// out, for hours, because of what others or they themselves did before; what is forgotten too early
// is at worst tried once more, and WhatsApp judges it. Lives on one loop.

#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/ids.h"

namespace gw::user {

// Entries that end by themselves; at most so many, above that the first to end goes.
template <class Key, class Time, class Value>
class Ending {
 public:
  struct Entry {
    Time until;
    Value value;
  };
  explicit Ending(std::size_t most) : most_(most) {}

  const Entry* find(const Key& key) const {
    auto it = entries_.find(key);
    return it == entries_.end() ? nullptr : &it->second;
  }
  void put(const Key& key, Time until, Value value, Time now) {
    erase(key);
    while (!order_.empty() && (order_.begin()->first <= now || entries_.size() >= most_))
      erase(Key(order_.begin()->second));
    entries_.emplace(key, Entry{until, std::move(value)});
    order_.emplace(until, key);
  }
  void erase(const Key& key) {
    auto it = entries_.find(key);
    if (it == entries_.end()) return;
    order_.erase({it->second.until, key});
    entries_.erase(it);
  }
  const std::map<Key, Entry>& entries() const { return entries_; }

 private:
  std::size_t most_;
  std::map<Key, Entry> entries_;
  std::set<std::pair<Time, Key>> order_;
};

class LoginHistory {
 public:
  struct Bounds {
    std::size_t tokens_of_one = 64;  // unexpired ones of one user
    std::size_t tokens = 1u << 17;   // about 160 octets each
    std::size_t pauses = 1u << 16;   // about as much
  };
  struct Pause {
    MonoTime until{};
    std::string_view reason;  // one of link::kDownReasons
  };

  explicit LoginHistory(Bounds bounds)
      : bounds_(bounds), tokens_(bounds.tokens), pauses_(bounds.pauses) {}

  // `user`: Pseudonyms::user. The newest token of a user is never the one that is forgotten.
  void used(const Tag& user, std::string_view token, WallTime now);
  bool was_used(const Tag& user, std::string_view token) const;
  void paused(const Tag& user, const Pause& pause, MonoTime now);
  Pause pause(const Tag& user) const;  // it may be over

 private:
  struct Nothing {};
  using TokenKey = std::pair<Tag, Tag>;  // user, hash
  void make_room(const Tag& user);

  Bounds bounds_;
  Ending<TokenKey, WallTime, Nothing> tokens_;
  Ending<Tag, MonoTime, std::string_view> pauses_;
};

}  // namespace gw::user
