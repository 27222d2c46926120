#pragma once

// What one step of a user changes, and what is loaded of a user. Plain: blobs here are readable;
// Store seals them on the way down and opens them on the way up (law 6). Blobs are opaque to the
// store; the user room writes and reads them (proto/interop/rows/v1).

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"
#include "message/message.h"

namespace gw::store {

enum class AccountState : std::uint8_t { kEnlisted = 0, kWithdrawn = 1 };  // stored: append only

struct Account {
  UserRef user;
  Tag user_tag{};  // pseudonym of the provider's user id
  AccountState state = AccountState::kEnlisted;
  Term term = 0;
  Version version = 0;
  std::uint64_t change = 0;    // id of the change set that made `version`
  Order next_order = 1;        // what the next accepted message gets
  Order lowest_unsettled = 1;  // no WAITING or READY message lies below
  EventSeq next_event = 1;
  EventSeq acked_event = 0;  // what the provider acknowledged, cumulative
  Bytes profile;             // blob: user id, identity, signed prekey, noise key, counters
};

struct Ratchet {
  Tag contact{};
  std::uint16_t device = 0;
  Bytes record;  // empty in a change set: delete the row
};
struct ContactRow {
  Tag contact{};  // pseudonym of a LID, or of an E.164 number that leads to one
  Bytes blob;     // empty in a change set: delete the row
};
struct PrekeyBatch {
  std::uint32_t first_id = 0;
  Bytes blob;  // the keys that are not spent; empty in a change set: delete the row
};
struct MessageInsert {
  Order order = 0;
  Tag request{};   // pseudonym of the request id: unique for ever within the user
  Tag body_mac{};  // keyed hash of the request's body, to tell a repeat from a reuse
  Tag contact{};
  message::State state = message::State::kWaiting;
  WallTime created;
  Bytes content;  // blob
  Bytes stanza;   // blob: the encoded stanza while READY; later one that is owed to more devices
  Bytes devices;  // plain: which devices it went to, and what became of it there
  message::Reason reason = message::Reason::kNone;  // of one that is REJECTED at once
};
struct MessageUpdate {
  Order order = 0;
  WallTime created;  // as the row has it: says where it lies
  std::optional<message::State> state;
  std::optional<message::Reason> reason;
  std::optional<Bytes> stanza;   // set; empty: forget
  std::optional<Bytes> content;  // set; empty: forget
  std::optional<Bytes> devices;  // set
};
struct EventInsert {
  EventSeq seq = 0;
  WallTime at;
  Bytes payload;  // blob
};
// An inbound message id that was decrypted (or given up), so that it becomes one event only.
struct Received {
  Tag message{};      // pseudonym of (sender device, id)
  Tag cipher_hash{};  // pseudonym of the ciphertext
  EventSeq seq = 0;   // the event it became
  WallTime at;
  bool known = false;  // in a change set: the row is there already, replace what it says
};

// A received message that could not be decrypted and was asked for again. Few at a time; loaded
// with the user.
struct Undecrypted {
  Tag message{};   // as in Received
  WallTime since;  // kept from the first writing
  Bytes blob;      // empty in a change set: delete the row
};

// One step's changes: applied whole or not at all, as a compare-and-set on (term, version).
// At most one a user is in flight. Within one change set no key occurs twice in a list.
struct ChangeSet {
  UserRef user;
  Term term = 0;
  Version version = 0;       // expected; becomes version + 1
  std::uint64_t change = 0;  // random; tells "found applied" from "another's"
  Order next_order = 1;
  Order lowest_unsettled = 1;
  EventSeq next_event = 1;
  EventSeq acked_event = 0;
  std::optional<AccountState> state;
  std::optional<Bytes> profile;
  bool erase_keys = false;  // withdrawal: deletes all ratchets, contacts and prekeys first
  std::vector<Ratchet> ratchets;
  std::vector<ContactRow> contacts;
  std::vector<PrekeyBatch> prekeys;
  std::vector<MessageInsert> messages;
  std::vector<MessageUpdate> updates;
  std::vector<EventInsert> events;
  std::vector<Received> received;
  std::vector<Undecrypted> undecrypted;
};

struct Outcome {
  enum class Kind {
    kApplied,       // committed by this call
    kFoundApplied,  // an earlier try of the same change set had committed: as good as kApplied
    kStale,         // (term, version) moved on: drop the cached user and reload
    kExists,        // nothing applied: a request or a received id is there already, see below
    kFailed,        // surely not applied; `error` says why (RETRY_LATER: disk full, locked, ...)
    kClosed,        // the store is shutting down with the outcome open: treat the user as lost
  };
  Kind kind = Kind::kFailed;
  std::vector<Tag> existing_requests;  // kExists
  std::vector<Tag> existing_received;  // kExists
  Error error;                         // kFailed
  bool applied() const { return kind == Kind::kApplied || kind == Kind::kFoundApplied; }
};

// What the database takes of its disk. PostgreSQL tells it by table, SQLite of its file.
enum class Part : std::uint8_t {
  kAccount,
  kProfile,
  kRatchet,
  kContact,
  kPrekey,
  kMessage,
  kEvent,
  kReceived,
  kUndecrypted,
  kDatabase,  // the file of SQLite
  kFree,      // pages in it that wait to be used again
  kLog,       // its write-ahead log
};
inline constexpr std::size_t kTables = 9;  // of the parts, the first
inline constexpr std::array<std::string_view, 12> kPartNames = {
    "account", "profile",  "ratchet",     "contact",  "prekey", "message",
    "event",   "received", "undecrypted", "database", "free",   "log"};
struct Size {
  Part part = Part::kDatabase;
  std::uint64_t bytes = 0;        // of the table with what is kept beside it, or of the file
  std::uint64_t index_bytes = 0;  // of the table's indexes
};

// Named reads.
struct MessageRow {
  Order order = 0;
  Tag request{};
  Tag body_mac{};
  Tag contact{};
  message::State state = message::State::kWaiting;
  message::Reason reason = message::Reason::kNone;
  WallTime created;
  Bytes content;  // empty when forgotten
  Bytes stanza;   // as in MessageInsert
  Bytes devices;  // empty: not known
};
struct UserRows {
  Account account;
  std::vector<MessageRow> unsettled;     // WAITING and READY, in order
  std::vector<Undecrypted> undecrypted;  // oldest first
};
struct Conversation {
  Tag contact{};
  Bytes blob;  // empty: no such contact row
  std::vector<Ratchet> ratchets;
};
struct EventRow {
  EventSeq seq = 0;
  WallTime at;
  Bytes payload;
};
// Of any tenant; what was created before these times is overdue.
struct Overdue {
  WallTime waiting;      // WAITING messages
  WallTime ready;        // READY ones
  WallTime undecrypted;  // what was asked for again
};
struct PendingUser {
  UserRef user;
  Bytes profile;
  EventSeq acked_event = 0;
  EventSeq last_event = 0;
};

}  // namespace gw::store
