#pragma once

// The Signal keys that one device of a simulated phone really holds.

#include <map>
#include <unordered_map>

#include "signal/signal.h"
#include "whatsapp_sim/keystore.h"

namespace gw::sim {

class PhoneKeys final : public signal::Reader {
 public:
  PhoneKeys();

  const signal::Identity& identity() const override { return identity_; }
  const Bytes* ratchet(const signal::Address& remote) const override;
  const signal::PreKey* prekey(std::uint32_t id) const override;
  const signal::SignedPreKey* signed_prekey(std::uint32_t id) const override;
  const crypto::Key32* remote_identity(const signal::Address& remote) const override;

  void apply(const signal::Address& remote, signal::Writes&& writes);
  // New one-time keys, and what to publish.
  KeyStore::Upload more(std::size_t count);
  // A one-time key that is not published: for a retry receipt.
  const signal::PreKey& private_prekey();
  const signal::SignedPreKey& signed_key() const { return signed_; }

 private:
  signal::Identity identity_;
  signal::SignedPreKey signed_;
  std::map<std::uint32_t, signal::PreKey> prekeys_;
  std::map<signal::Address, Bytes> ratchets_;
  std::map<signal::Address, crypto::Key32> identities_;
  std::uint32_t next_id_ = 1;
};

}  // namespace gw::sim
