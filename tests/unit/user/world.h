#pragma once

// One enlisted user driven step by step, with its rows applied as a store would, and a phone on the
// other side that really holds Signal keys.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "signal/signal.h"
#include "user/step.h"

namespace gw::user::testing {

// A WhatsApp device as far as its keys go.
class Phone : public signal::Reader {
 public:
  explicit Phone(std::string lid, std::uint16_t device = 0);

  stanza::Jid jid() const { return stanza::Jid::lid(lid_, device_); }
  const std::string& lid() const { return lid_; }
  // The answer to a key query about this device; takes one one-time key when there is one.
  stanza::Node keys(bool with_one_time = true);
  // What this device reads in a message stanza that our user sent; nullopt: not for it, or
  // unreadable.
  std::optional<std::string> read(const Bytes& stanza);
  // A message stanza as WhatsApp's server hands it to our user.
  stanza::Node write(std::string_view text, std::string_view id);
  // The same with this plaintext, padding and all.
  stanza::Node write_plain(const Bytes& plain, std::string_view id);
  // Makes the phone know our user: from the upload stanza.
  void learn(const stanza::Node& upload);
  // A retry receipt for a message of our user's.
  stanza::Node ask_again(std::string_view id, int count, bool with_keys);
  // A fresh session from the keys in our user's retry receipt.
  void renew(const stanza::Node& retry);
  // Another identity with nothing of the old sessions, as after the app was installed anew.
  void reinstall();
  bool knows_user() const { return bundle_.has_value(); }
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
  std::optional<Bytes> record_;
  std::optional<crypto::Key32> user_identity_;
  std::optional<signal::Bundle> bundle_;
};

class World {
 public:
  World();

  // Takes one step, "commits" it and returns what leaves. The change set is checked against what a
  // store would demand. Received ids that exist are found out as a store would find them out: the
  // step is taken again knowing them.
  Effects run(std::vector<Input> inputs);
  // The same, but the commit fails: nothing may have changed.
  Effects run_and_lose(std::vector<Input> inputs);
  // Drops the cached user and folds the rows anew, as after a crash.
  void reload();

  // Brings the link up to the point where messages flow.
  Effects link_up();
  // Submits a text to the phone's number and plays WhatsApp's answers until it leaves.
  Effects send(const std::string& request, const std::string& text);
  // Plays the answers to the requests in `effects`, from `phones`; returns all that leaves.
  Effects answer(Effects effects);

  const Message* message(std::string_view request_id) const;
  std::size_t count_prekeys() const;  // in the rows
  Input submit(const std::string& request, const std::string& text, std::uint64_t origin = 2) const;

  static constexpr std::string_view kNumber = "+4915100000001";
  static constexpr std::string_view kLid = "900000000000001";
  static constexpr std::string_view kOwnLid = "900000000000500";

  std::vector<Phone*> phones;  // devices of the contact
  Phone phone{std::string(kLid)};
  bool known = true, opted_in = true, with_one_time = true, answer_lookups = true;
  std::optional<std::uint16_t> keyless;  // a device that no keys are handed out for
  std::size_t keys_at_server = 50;
  Limits limits;
  WallTime wall = from_unix_ms(1'800'000'000'000);
  MonoTime mono{Millis{1'000'000}};
  State state;
  Existing existing;
  Counts counts;                       // summed
  store::ChangeSet last;               // of the last step that had changes
  std::vector<message::Event> events;  // all that were committed

 private:
  Env env();
  void load_needs(const std::vector<Input>& inputs);
  void apply(const store::ChangeSet& change);
  bool finds_received(const store::ChangeSet& change, Existing& into) const;
  stanza::Node answer_to(const Request& request);

  store::Pseudonyms names_;
  store::MessageIds ids_ = names_.message_ids({7, 42});
  whatsapp::Dialect dialect_{7, stanza::InteropForm::kWithServer};
  signal::Engine engine_;
  std::uint64_t link_ = 0;
  // Rows, as a store would keep them.
  store::Account account_;
  std::map<std::uint32_t, Bytes> prekey_rows_;
  std::map<Tag, Bytes> contact_rows_;
  std::map<std::pair<Tag, std::uint16_t>, Bytes> ratchet_rows_;
  std::map<Order, store::MessageRow> message_rows_;
  std::set<Tag> requests_;
  std::map<Tag, store::Received> received_;
  std::map<Tag, store::Undecrypted> undecrypted_rows_;
};

// ---- what tests ask of it ----
Input inbound(stanza::Node node);                              // a stanza from the link
stanza::Node sent(const Effects& effects, std::size_t i = 0);  // the i-th that leaves
std::vector<std::string> texts(const World& w);                // received, in order
std::vector<message::State> states_of(const World& w, std::string_view request);
template <class Body>
std::size_t count_events(const World& w) {
  std::size_t n = 0;
  for (const auto& event : w.events) n += std::holds_alternative<Body>(event.body) ? 1 : 0;
  return n;
}

}  // namespace gw::user::testing
