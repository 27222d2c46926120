#pragma once

// A step's view of the state: what it wrote lies over what is committed. From it come the change
// set and, when that is committed, the new state.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "signal/signal.h"
#include "stanza/node.h"
#include "store/store.h"
#include "user/state.h"
#include "user/users.h"
#include "whatsapp/dialect.h"

namespace gw::user {

// What a step may use besides the state. One a loop, but for the times.
struct Env {
  WallTime wall;
  MonoTime mono;
  const Limits& limits;
  const store::Pseudonyms& names;
  const store::MessageIds& ids;
  const whatsapp::Dialect& dialect;
  signal::Engine& engine;
};

enum class RequestKind : std::uint8_t { kDevices, kKeys, kCount, kUpload, kActive, kRotate };

// ---- effects: what leaves after the commit ----
struct Request {
  RequestKind kind;
  Tag contact{};
  stanza::Node iq;
};
struct Reply {
  std::uint64_t origin = 0;
  SubmitResult result;
};
struct QueryReply {
  std::uint64_t origin = 0;
  Result<ContactInfo> result;
};
struct CallReply {
  std::uint64_t origin = 0;
  Result<bool> result;
};
struct Effects {
  std::vector<Bytes> send;  // encoded stanzas, in order
  std::vector<Request> requests;
  std::vector<Reply> replies;
  std::vector<QueryReply> query_replies;
  std::vector<CallReply> call_replies;
  std::vector<message::Event> events;
  bool withdrawn = false;
};

// Counted by steps; telemetry reads the sum over users.
struct Counts {
  std::uint64_t accepted = 0, encrypted = 0, decrypted = 0, duplicates = 0, undecryptable = 0,
                resent = 0, repeats = 0, ignored = 0, retry_receipts = 0, sessions_started = 0,
                dropped_again = 0, pending = 0, retries_asked = 0, retries_answered = 0;
  std::map<message::State, std::uint64_t> states;
};

class Draft {
 public:
  Draft(const State& base, Env& env);

  Env& env() const { return env_; }
  UserRef user() const { return base_.account.user; }
  Volatile& now() { return now_; }
  const Volatile& now() const { return now_; }
  const Profile& profile() const { return profile_ ? *profile_ : base_.profile; }
  Profile& edit_profile();

  // Contacts. Those that `needs` named are loaded; `conversation` of another one is a BUG that
  // reads as an unknown contact.
  const Conversation& conversation(const Tag& tag) const;
  Conversation& edit_conversation(const Tag& tag);  // mark what changed by the two below
  void contact_changed(const Tag& tag);
  void put_ratchet(const Tag& tag, std::uint16_t device, Bytes record);

  // Prekeys.
  const signal::PreKey* prekey(std::uint32_t id) const;
  void spend_prekey(std::uint32_t id);
  PrekeyBatch& edit_batch(std::uint32_t first_id);
  PrekeyBatch& add_batch(PrekeyBatch batch);
  std::vector<std::uint32_t> batches() const;  // first ids
  const PrekeyBatch* batch(std::uint32_t first_id) const;

  // Messages.
  const Message* message(Order order) const;
  const Message* by_request(const Tag& request) const;
  Message& add_message(Message message);  // gives it the next order
  Message& edit_message(Order order);     // precondition: message(order)
  // Moves a message on and tells the provider. False: the move is not allowed; nothing changed.
  bool settle(Order order, message::State state, message::Reason reason, WallTime at);
  // Takes it to READY, or READY to another stanza: `reached` says whom for.
  void ready(Order order, Bytes stanza, std::vector<Reached> reached);
  void set_reached(Order order, std::vector<Reached> reached);
  // Of a settled message: the bytes that it still owes; empty: none any more.
  void set_rest(Order order, Bytes stanza);
  void forget_text(Order order);  // nobody can ask for it again
  Order next_order() const { return next_order_; }
  std::size_t unsettled() const;
  std::size_t unsettled_bytes() const;
  std::size_t ready_bytes() const;
  const Undecrypted* undecrypted(const Tag& message) const;
  std::vector<Undecrypted> all_undecrypted() const;
  void put_undecrypted(Undecrypted one);
  void drop_undecrypted(const Tag& message);
  // Orders of the READY messages, oldest first, as committed; those of this step behind them.
  std::vector<Order> ready_messages() const;
  std::vector<Order> fresh_ready_messages() const;

  void add_event(decltype(message::Event::body) body);
  EventSeq next_event() const { return next_event_; }
  // What this step wrote of a received id; nullptr: nothing.
  const store::Received* received(const Tag& message) const;
  void put_received(store::Received row);
  void acknowledge(EventSeq seq);
  void withdraw();

  Effects effects;
  Counts counts;

  // True when there is something to commit. A provider's acknowledgement alone waits for company
  // until a FlushInput (each change set costs a commit).
  bool has_changes() const;
  void force() { forced_ = true; }
  // Consumes nothing; `change` is a fresh random number.
  store::ChangeSet change_set(std::uint64_t change) const;
  // After the commit, or when there was nothing to commit.
  void absorb_into(State& state, bool committed) &&;

 private:
  Order lowest_unsettled() const;
  store::MessageUpdate* update_of(const Message& m);

  const State& base_;
  Env& env_;
  Volatile now_;
  std::optional<Profile> profile_;
  std::map<Tag, Conversation> conversations_;
  std::map<Tag, bool> contact_rows_;  // to be written
  std::map<Tag, std::map<std::uint16_t, bool>> ratchet_rows_;
  std::map<std::uint32_t, PrekeyBatch> batches_;
  std::map<Order, Message> messages_;
  std::map<Order, store::MessageUpdate> updates_;  // of messages that base_ has
  std::unordered_map<Tag, Order, TagHash> by_request_;
  std::vector<store::Received> received_;
  std::map<Tag, std::optional<Undecrypted>> undecrypted_;  // nullopt: gone
  Order next_order_;
  EventSeq next_event_;
  EventSeq acked_;
  bool forced_ = false, withdrawn_ = false;
  std::ptrdiff_t unsettled_change_ = 0, unsettled_bytes_change_ = 0, ready_bytes_change_ = 0;
};

}  // namespace gw::user
