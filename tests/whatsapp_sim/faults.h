#pragma once

// What is to go wrong, on purpose. A fault has a target, perhaps a tag, and a count.

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "whatsapp_sim/directory.h"

namespace gw::sim {

enum class FaultKind : std::uint8_t {
  kRefuseLogin,  // <failure reason=code [expire]>
  kDrop,         // the stanza is lost (to the client: it stays in the mailbox)
  kDelay,        // by `ms`, order kept
  kDuplicate,    // twice
  kReorder,      // changes places with the next one
  kCorrupt,      // one bit of the transport frame flips
  kHold,         // nothing leaves the mailbox until the fault is removed
  kSwallowAck,   // the message is taken, its ack is not sent
  kNack,         // the message is not taken, its ack carries error=code
  kSwallowIq,    // a request is not answered
  kNoPrekey,     // the target's bundle goes out without a one-time key
  kBadBundle,    // the target's bundle goes out with a wrong signature
  kNoBundle,     // the target's bundle is answered 404
  kSpoil,        // a bit flips in the enc of a message that the target sends
};
enum class Way : std::uint8_t { kBoth, kToClient, kFromClient };

struct Fault {
  std::uint64_t id = 0;
  FaultKind kind = FaultKind::kDrop;
  const Account* target = nullptr;  // nullptr: everybody
  std::string target_name;
  Way way = Way::kBoth;
  std::string tag;        // only stanzas with this tag; "" any
  std::string xmlns;      // only requests of this namespace; "" any
  std::int64_t left = 1;  // how many times yet; < 0: until removed
  std::int64_t hits = 0;
  int code = 0;
  std::int64_t expire = 0;  // seconds
  std::chrono::milliseconds delay{0};
  double probability = 1.0;
};

class Faults {
 public:
  // From the control API's JSON. `seed` (default 1) makes probability and bit positions repeatable.
  Result<std::uint64_t> add(const nlohmann::json& request, const Directory& directory);
  bool remove(std::uint64_t id);
  void clear() { list_.clear(); }
  nlohmann::json to_json() const;

  bool none() const { return list_.empty(); }
  struct What {
    const Account* account = nullptr;
    Way way = Way::kBoth;
    std::string_view tag, xmlns;
  };
  // The fault that strikes now, if one does; uses up one of its count.
  std::optional<Fault> strike(FaultKind kind, const What& what);
  // Whether one is set, without using it up.
  bool set(FaultKind kind, const Account* account) const;
  std::uint64_t random() { return random_(); }

 private:
  std::vector<Fault> list_;
  std::mt19937_64 random_{1};
  std::uint64_t last_ = 0;
};

}  // namespace gw::sim
