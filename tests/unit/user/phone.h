#pragma once

// A WhatsApp device on the other side, that really holds Signal keys.

#include <optional>
#include <string>
#include <vector>

#include "signal/signal.h"
#include "stanza/node.h"

namespace gw::user::testing {

// A WhatsApp device as far as its keys go.
class Phone : public signal::Reader {
 public:
  explicit Phone(std::string lid, std::uint16_t device = 0);

  stanza::Jid jid() const { return stanza::Jid::lid(lid_, device_); }
  const std::string& lid() const { return lid_; }
  // The answer to a key query about this device; hands out one one-time key when there is one.
  stanza::Node keys(bool with_one_time = true);
  // What this device reads in a message stanza that our user sent; nullopt: not for it, or
  // unreadable.
  std::optional<std::string> read(const Bytes& stanza);
  std::optional<std::string> open(const stanza::Node& enc);
  // A message stanza as WhatsApp's server hands it to our user.
  stanza::Node write(std::string_view text, std::string_view id);
  // The same with this plaintext, padding and all.
  stanza::Node write_plain(const Bytes& plain, std::string_view id);
  // Makes the phone know our user: from the upload stanza.
  void learn(const stanza::Node& upload);
  void learn(signal::Bundle bundle) { bundle_ = std::move(bundle); }
  // A retry receipt for a message of our user's.
  stanza::Node ask_again(std::string_view id, int count, bool with_keys);
  // A fresh session from the keys in our user's retry receipt.
  void renew(const stanza::Node& retry);
  // Another identity with nothing of the old sessions, as after the app was installed anew.
  void reinstall();
  bool knows_user() const { return bundle_.has_value(); }
  bool has_session() const { return record_.has_value(); }
  signal::Identity identity_keys;

  const signal::Identity& identity() const override { return identity_keys; }
  const Bytes* ratchet(const signal::Address& remote) const override;
  const signal::PreKey* prekey(std::uint32_t id) const override;
  const signal::SignedPreKey* signed_prekey(std::uint32_t id) const override;
  const crypto::Key32* remote_identity(const signal::Address& remote) const override;

 private:
  void take(signal::Writes writes);

  std::string lid_;
  std::uint16_t device_;
  signal::Engine engine_;
  signal::SignedPreKey signed_;
  std::vector<signal::PreKey> prekeys_;
  std::uint32_t handed_out_ = 0;  // of them, by id
  std::optional<Bytes> record_;
  std::optional<crypto::Key32> user_identity_;
  std::optional<signal::Bundle> bundle_;
};

}  // namespace gw::user::testing
