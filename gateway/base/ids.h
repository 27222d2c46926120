#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>

namespace gw {

// A provider is a tenant and owns one integrator id; rows are keyed by the id.
using TenantId = std::uint16_t;

// An enlisted user as rows know it. `uid` is given by the store at enlistment, never reused, > 0.
struct UserRef {
  TenantId tenant = 0;
  std::int64_t uid = 0;
  auto operator<=>(const UserRef&) const = default;
};

using Term = std::int64_t;      // ownership: raised by one at each claim
using Version = std::int64_t;   // raised by one with each committed change set of the user
using Order = std::int64_t;     // a user's n-th accepted message, from 1, without gaps
using EventSeq = std::int64_t;  // a user's n-th event, from 1, without gaps

// A keyed pseudonym (truncated HMAC-SHA256): stands for an identifier where it must not be read.
using Tag = std::array<std::uint8_t, 16>;

struct TagHash {
  std::size_t operator()(const Tag& tag) const {
    std::size_t h;
    std::memcpy(&h, tag.data(), sizeof h);
    return h;
  }
};

}  // namespace gw

template <>
struct std::hash<gw::UserRef> {
  std::size_t operator()(const gw::UserRef& user) const {
    auto x = static_cast<std::uint64_t>(user.uid) * 0x9e3779b97f4a7c15ULL + user.tenant;
    return static_cast<std::size_t>(x ^ (x >> 29));
  }
};
