#pragma once

// Where a user belongs: rendezvous hashing, the same as in ../node/placement.mjs. Pure.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <string_view>

namespace gw::backend {

// FNV-1a over "endpoint\nuser", then MurmurHash3's last mixing.
inline std::uint32_t score(std::string_view endpoint, std::string_view user) {
  std::uint32_t hash = 0x811c9dc5;
  auto add = [&hash](std::string_view text) {
    for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193u;
  };
  add(endpoint);
  add("\n");
  add(user);
  hash = (hash ^ (hash >> 16)) * 0x85ebca6bu;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35u;
  return hash ^ (hash >> 16);
}

// The replica, of some with an `endpoint`, that a user belongs to; a null one when there is none.
// One that goes moves its own users only, one that comes takes its share from all.
template <class Range>
auto home(const Range& replicas, std::string_view user) {
  typename Range::value_type best{};
  std::uint32_t most = 0;
  for (const auto& replica : replicas) {
    std::uint32_t value = score(replica->endpoint, user);
    if (best && (value < most || (value == most && replica->endpoint > best->endpoint))) continue;
    best = replica;
    most = value;
  }
  return best;
}

// Pauses that grow to a cap, each a random one of the upper half, so that many clients do not come
// at once.
inline std::chrono::milliseconds pause(unsigned attempt, std::chrono::milliseconds first,
                                       std::chrono::milliseconds cap) {
  thread_local std::minstd_rand random{std::random_device{}()};
  auto most = std::min(cap, first * (std::int64_t{1} << std::min(attempt, 20u)));
  return std::chrono::milliseconds(
      std::uniform_int_distribution<std::int64_t>(most.count() / 2, most.count())(random));
}

}  // namespace gw::backend
