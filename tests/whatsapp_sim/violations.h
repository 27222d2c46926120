#pragma once

// What only the far side can see. Fed with every ciphertext that a sender hands in; remembers all
// of them since the start, as hashes.

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "signal/signal.h"

namespace gw::sim {

struct Violation {
  std::string kind;
  std::string detail;
  std::int64_t at_ms = 0;
};

class Violations {
 public:
  void add(std::string_view kind, std::string detail);
  const std::vector<Violation>& list() const { return list_; }
  nlohmann::json to_json() const;
  void clear() { list_.clear(); }

 private:
  std::vector<Violation> list_;
};

class FarSide {
 public:
  explicit FarSide(Violations& violations) : violations_(violations) {}

  struct Seen {
    std::uint32_t sender = 0, receiver = 0;  // Device::uid
    std::string_view message_id;
    signal::CipherType type = signal::CipherType::kMessage;
    ByteView ciphertext;
  };
  enum class Verdict : std::uint8_t {
    kNew,
    kRepeat,       // the same id with the same ciphertext
    kContradicts,  // the same id with another ciphertext, and nobody asked: a violation
  };
  // Checks: message_key_used_twice, id_with_two_contents, prekey_used_by_two.
  Verdict observe(const Seen& seen);
  // The receiver could not decrypt: one more ciphertext under this id is right.
  void retry_asked(std::uint32_t sender, std::uint32_t receiver, std::string_view message_id);
  // The device published another identity: its prekey ids start anew.
  void forget_prekeys(std::uint32_t receiver);

 private:
  using Digest = std::array<std::uint8_t, 16>;
  struct DigestHash {
    std::size_t operator()(const Digest& d) const;
  };
  static Digest name_of(const Seen& seen);
  void check_key(const Seen& seen, const signal::Header& header, std::uint64_t content);
  void check_prekey(const Seen& seen, std::uint32_t prekey);

  Violations& violations_;
  std::unordered_map<Digest, std::uint64_t, DigestHash> keys_;      // message key -> ciphertext
  std::unordered_map<Digest, std::uint64_t, DigestHash> contents_;  // (pair, id) -> ciphertext
  std::unordered_map<Digest, int, DigestHash> retries_;             // (pair, id) -> asked for
  std::unordered_map<std::uint64_t, std::uint32_t> prekeys_;        // (receiver, id) -> sender
};

}  // namespace gw::sim
