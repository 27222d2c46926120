#pragma once

// What is cached of one attached user: the fold of its committed rows, and what only concerns this
// attachment. Nothing here is changed but by State::absorb of a committed Draft, and by loading.

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "message/message.h"
#include "signal/signal.h"
#include "stanza/node.h"
#include "store/rows.h"
#include "store/store.h"
#include "whatsapp/dialect.h"

namespace gw::user {

struct Limits {
  Millis waiting_timeout{60'000};       // WAITING longer ends as EXPIRED
  Millis resend_window{24 * 3600'000};  // READY longer ends as UNCONFIRMED
  Millis devices_fresh{24 * 3600'000};  // then a contact's devices are asked for again
  Millis refusal_fresh{30'000};         // unknown, not opted in, no devices: asked again after it
  Millis lookup_retry{2'000};
  Millis attach_grace{5'000};
  Millis token_timeout{10'000};
  Millis refuse_after{5'000};  // commits failing so long: submits are refused, not kept waiting
  Millis reconnect_first{500}, reconnect_most{60'000};
  std::size_t unsettled_messages = 4096;  // a user's WAITING and READY, then THROTTLED
  std::size_t unsettled_bytes = 16u << 20;
  std::size_t ready_bytes = 8u << 20;  // stanzas not acked; what waits stays WAITING above it
  std::size_t queued_inputs = 8192;    // waiting for the strand, then THROTTLED
  std::size_t queued_bytes = 8u << 20;
  std::size_t open_queries = 256;
  std::size_t events_pending = 20'000;  // not acknowledged: the link is closed above it
  std::size_t prekeys_low = 10;
  Millis signed_prekey_age{std::chrono::days{7}};    // then another one takes its place
  Millis signed_prekey_kept{std::chrono::days{30}};  // after that
  Millis rotate_retry{60'000};                       // a rotation that failed
  int retries = 5;           // a message, a device; both ways: clients stop there as well
  std::size_t resends = 64;  // that wait for keys at a time; and messages that owe a rest
  std::size_t undecrypted_of_one = 32;  // of one sender
  std::size_t undecrypted = 256;        // asked for again at a time, then UNDECRYPTABLE at once
  std::size_t conversations_cached = 64;
  std::size_t settled_cached = 32;      // a later receipt costs a read
  Millis retry_window{24 * 3600'000};   // asked for again longer: it ends as UNDECRYPTABLE
  Millis retention{7 * 24 * 3600'000};  // settled messages and acknowledged events, then forgotten
};

struct Profile {
  std::string user_id;
  signal::Identity identity;
  crypto::KeyPair noise;
  signal::SignedPreKey signed_prekey;
  std::int64_t signed_prekey_ms = 0;
  std::uint32_t next_prekey_id = 1;
  bool uploaded = false;
  bool read_receipts = true;
  struct OldPrekey {
    signal::SignedPreKey key;
    std::int64_t replaced_ms = 0;
  };
  std::vector<OldPrekey> old_signed_prekeys;
  bool rotating = false;    // WhatsApp has not confirmed the signed prekey yet
  std::vector<Order> owed;  // messages that devices were missing from, see resends.cpp
};

struct PrekeyBatch {
  std::uint32_t first_id = 0;
  bool uploaded = false;
  std::vector<signal::PreKey> keys;
};

struct Device {
  std::uint16_t id = 0;
  std::optional<crypto::Key32> identity;
  bool renew = false;  // WhatsApp told of another identity: a fresh ratchet before the next message
  // One-time keys in its last retry receipts that made a ratchet, latest last: they are spent, and
  // the receipts may come again.
  std::vector<std::uint32_t> retry_prekeys = {};
};

// A row of a contact, by LID; or of an E.164 number, which only says which LID it leads to.
struct Peer {
  std::string lid;
  std::string e164;
  bool known = false;
  bool opted_in = false;
  std::vector<Device> devices;
  std::int64_t fetched_ms = 0;
  Device* device(std::uint16_t id);
  const Device* device(std::uint16_t id) const;
};

struct Conversation {
  Tag tag{};
  bool exists = false;  // there is a row
  Peer peer;
  std::map<std::uint16_t, Bytes> ratchets;
  std::uint64_t used = 0;  // for eviction
};

// A device that a message was encrypted for.
struct Reached {
  std::uint16_t device = 0;
  bool delivered = false;
  bool rest = false;         // it was missing at first: its stanza is one of its own
  bool told = false;         // that it is left out
  std::uint8_t retries = 0;  // that were taken up
};
Bytes write_reached(const std::vector<Reached>& reached);
std::vector<Reached> read_reached(ByteView octets);

struct Message {
  Order order = 0;
  Tag request{}, body_mac{}, contact{};  // contact: as the provider named it
  message::State state = message::State::kWaiting;
  message::Reason reason = message::Reason::kNone;
  WallTime created;
  std::string message_id, request_id;
  message::Contact to;
  std::uint64_t moved = 0;       // stamp of the last move, for eviction
  std::string text;              // while WAITING; else only for the step that needs it
  bool forgotten = false;        // its row holds no text any more
  std::vector<Reached> reached;  // empty: not known, or not yet
  // While READY, or while a rest is owed: the bytes that leave, again and again the same.
  Bytes stanza;
  // What it holds against the user's bound: the text, later the stanza, nothing once settled.
  std::size_t bytes() const {
    if (state == message::State::kWaiting) return text.size();
    return state == message::State::kReady ? stanza.size() : 0;
  }
};

// A received message that could not be read and was asked for again.
struct Undecrypted {
  Tag tag{};  // as in store::Received
  WallTime since;
  EventSeq seq = 0;  // its Pending event
  std::string message_id;
  message::Contact sender;
  WallTime sent_at;
  int asked = 0;
  std::uint32_t prekey_id = 0;  // made for it; 0: none
};

// What has to be encrypted again: for a device that asked, or for those that were missing.
struct Resend {
  Order order = 0;
  message::Contact to;  // as the message names it
  std::string lid;      // whose devices they are
  MonoTime since;
  std::optional<std::uint16_t> device;  // nullopt: all that the message did not reach
  int count = 0;                        // as the device asked
  std::string phash;                    // of the ack that said so
  std::optional<stanza::Node> ack;      // of the receipt, once the answer has left
};

// A question about a contact that is on its way to WhatsApp, by the tag of the contact as named.
struct Lookup {
  enum class Stage : std::uint8_t { kDevices, kKeys, kPaused } stage = Stage::kDevices;
  message::Contact contact;
  std::vector<std::uint16_t> devices;  // kKeys: those that were asked for
  MonoTime retry_at;                   // kPaused
  std::vector<std::uint64_t> queries;  // get_contact calls that wait for it
};

// How far a link that is up has come: our keys are counted and uploaded before the queue flows.
enum class Setup : std::uint8_t { kNoLink, kCounting, kUploading, kActivating, kActive, kPaused };

// What no row holds. It starts empty at each attachment.
struct Volatile {
  std::uint64_t link = 0;  // number of the link that `setup` is about
  Setup setup = Setup::kNoLink;
  MonoTime setup_retry_at;                  // kPaused
  bool uploading_more = false;              // keys ran low while active
  std::optional<MonoTime> upload_retry_at;  // that upload failed
  std::map<Tag, Lookup> lookups;
  std::map<Tag, std::deque<Order>> waiting;  // WAITING messages of each contact as named
  std::map<std::pair<Tag, std::uint16_t>, std::int64_t> left_out;  // device without keys, since
  std::map<Tag, std::vector<Resend>> resends;  // by the contact as named: they wait for its keys
  std::set<Order> unacked;                     // DELIVERED before WhatsApp's ack
  std::string own_lid;
  std::map<Tag, std::string> phashes;  // of acks that turned out to miss nobody
  std::optional<MonoTime> rotate_retry_at;
  EventSeq provider_ack = 0;  // to be written with the next change set
  bool held = false;          // something waits for room in ready_bytes
};

struct State {
  store::Account account;
  Profile profile;
  // Loaded for the steps that use them and let go of again: an idle user holds no prekeys.
  std::optional<std::map<std::uint32_t, PrekeyBatch>> prekeys;
  std::unordered_map<Tag, Conversation, TagHash> conversations;
  std::map<Order, Message> messages;                   // every unsettled one, and some settled ones
  std::unordered_map<Tag, Order, TagHash> by_request;  // of `messages`
  std::map<Tag, Undecrypted> undecrypted;
  std::vector<Order> with_text;                         // loaded for a step that needs it
  std::deque<std::pair<Order, std::uint64_t>> settled;  // cached settled ones by last move
  std::size_t unsettled = 0, unsettled_bytes = 0;
  std::size_t ready_bytes = 0;  // of unsettled_bytes, what is READY
  std::uint64_t uses = 0;
  Volatile now;

  // CORRUPT ROW_MALFORMED.
  static Result<State> from_rows(store::UserRows rows);
  Result<void> add_conversation(store::Conversation rows);
  Result<void> add_message(store::MessageRow row);
  Result<void> add_prekeys(std::vector<store::PrekeyBatch> rows);
  // Something waits for room, and there is room now: a Timer input takes it on.
  bool has_room_again(const Limits& limits) const {
    return now.held && ready_bytes <= limits.ready_bytes / 2;
  }
  // The next moment at which a Timer input has something to do.
  std::optional<WallTime> next_deadline(const Limits& limits, WallTime wall, MonoTime mono) const;
  // Lets go of what is cached over the limits and not in use.
  void trim(const Limits& limits);
  void put_message(Message message);
  void forget_texts();
};

}  // namespace gw::user
