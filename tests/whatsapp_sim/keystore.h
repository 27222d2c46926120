#pragma once

// What one device published: identity, signed prekey, one-time prekeys. The server's side.

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "crypto/crypto.h"
#include "signal/signal.h"

namespace gw::sim {

class KeyStore {
 public:
  struct SignedKey {
    std::uint32_t id = 0;
    crypto::Key32 key{};
    crypto::Signature signature{};
  };
  struct Upload {
    std::uint32_t registration_id = 0;
    crypto::Key32 identity{};
    SignedKey signed_key;
    std::vector<signal::Bundle::OneTime> one_time;
  };
  struct Outcome {
    bool identity_changed = false;  // there was another identity before
    std::size_t repeated = 0;       // keys that were handed out before, not stored again
    std::size_t reused_ids = 0;     // ids that were handed out before with another key
  };

  Outcome put(const Upload& upload);
  void rotate(const SignedKey& key) { signed_ = key; }
  // Nothing is handed out until another installation publishes.
  void withdraw();
  bool published() const { return published_; }
  std::size_t count() const { return one_time_.size(); }
  const crypto::Key32& identity() const { return identity_; }
  std::uint32_t registration_id() const { return registration_id_; }
  const SignedKey& signed_key() const { return signed_; }
  const std::deque<signal::Bundle::OneTime>& one_time() const { return one_time_; }

  struct Handed {
    signal::Bundle bundle;
    bool handed_before = false;  // the one-time key went out earlier: a violation
  };
  // Hands out, and forgets, one one-time key. nullopt: nothing was ever published.
  std::optional<Handed> take(bool with_one_time = true);

 private:
  bool published_ = false;
  bool ever_published_ = false;
  std::uint32_t registration_id_ = 0;
  crypto::Key32 identity_{};
  SignedKey signed_;
  std::deque<signal::Bundle::OneTime> one_time_;
  std::unordered_set<std::uint32_t> waiting_ids_;
  std::unordered_map<std::uint32_t, crypto::Key32> handed_;
};

}  // namespace gw::sim
