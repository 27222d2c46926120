#pragma once

// The store as every other room sees it. Calls return at once; completions run on a thread of the
// store and only post elsewhere. What is refused at once (THROTTLED, closed) is answered on the
// calling thread, before the call returns. Thread-safe.

#include <array>
#include <functional>
#include <memory>
#include <span>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "store/backend.h"
#include "store/rows.h"

namespace gw::store {

// One user's message ids for the wire: 32 upper-case hex digits, unguessable, from which the order
// can be read. Immutable.
class MessageIds {
 public:
  // Two calls give two ids. Never ask twice for one message: the id lives in its row.
  std::string message_id(Order order) const;
  // 0: not an id of this user's.
  Order order_of(std::string_view message_id) const;

 private:
  friend class Pseudonyms;
  MessageIds(const crypto::Block16& key, const Tag& check) : key_(key), check_(check) {}
  crypto::Block16 key_;
  Tag check_;  // its first four octets tell the user's ids from others'
};

// Keys of the deployment that outlive a process, kept wrapped under the key-encryption key.
// Pseudonyms and message ids stay the same when the key-encryption key is renewed.
class Pseudonyms {
 public:
  explicit Pseudonyms(const crypto::Key32& root);
  Tag user(TenantId tenant, std::string_view user_id) const;
  Tag contact(UserRef user, const message::Contact& contact) const;
  Tag request(UserRef user, std::string_view request_id) const;
  Tag body(UserRef user, ByteView canonical_body) const;
  Tag received(UserRef user, std::string_view sender_device, std::string_view id) const;
  Tag ciphertext(UserRef user, ByteView ciphertext) const;
  // 16 hex digits that stand for the user in logs.
  std::string log_name(UserRef user) const;
  MessageIds message_ids(UserRef user) const;

 private:
  crypto::Key32 contact_, user_, request_, body_, received_, cipher_, log_, check_;
  crypto::Block16 id_{};
};

struct StoreOptions {
  std::size_t max_batch = 256;                    // change sets, or claims, in one commit
  std::size_t max_batch_bytes = 8u << 20;         // of them; one alone may be larger
  std::size_t max_pending_bytes = 64u << 20;      // then what waits for a commit is THROTTLED
  std::size_t max_pending_reads = 1u << 16;       // then reads answer THROTTLED at once
  Millis retry_first{20}, retry_most{2000};       // between tries of an unknown outcome
  std::uint64_t seals_per_data_key = 1ull << 48;  // then another data key is taken
};

// Counted by the store, read by telemetry; all monotonic but the last two.
struct StoreProbe {
  std::atomic<std::uint64_t> commits{0}, change_sets{0}, stale{0}, exists{0}, failed{0},
      unknown_outcomes{0}, found_applied{0}, reads{0}, commit_us{0}, commit_cpu_us{0},
      damaged_rows{0};
  std::atomic<std::uint64_t> pending{0}, pending_bytes{0};
  // By Part, as of the last measure().
  std::array<std::atomic<std::uint64_t>, kPartNames.size()> bytes{}, index_bytes{};
};

class Store {
 public:
  // Opens the deployment's keys (makes them in an empty store), starts the commit and read threads.
  // CONFIG: KEK_WRONG when the key-encryption key does not open what is stored.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Backend> backend,
                                             const crypto::Key32& kek, StoreOptions options,
                                             const Clock& clock);
  virtual ~Store() = default;

  virtual const Pseudonyms& pseudonyms() const = 0;
  virtual const StoreProbe& probe() const = 0;

  template <class T>
  using Done = std::function<void(Result<T>)>;

  // Law 3. `done` runs exactly once, in submission order for one user. While an outcome is unknown
  // the change set is written again on a fresh connection; `done` waits for that.
  virtual void apply(ChangeSet&& change, std::function<void(Outcome)> done) = 0;

  // Makes the row for (tenant, user_tag), or re-enlists a withdrawn one with the new profile and
  // prekeys. An enlisted one is returned as it is (`created` false).
  struct Enlisted {
    UserRef user;
    bool created = false;
  };
  virtual void enlist(TenantId tenant, Tag user_tag, Bytes profile,
                      std::vector<PrekeyBatch> prekeys, Done<Enlisted> done) = 0;

  // Takes the user under a new term (term + 1). `wanted` is asked on the store's thread when the
  // claim's turn has come, so it has to be quick and thread-safe, and must not call the store; if
  // it says no, the claim is not made: RETRY_LATER "NOT_WANTED". THROTTLED as apply.
  virtual void claim(UserRef user, std::function<bool()> wanted, Done<Term> done) = 0;

  virtual void find_user(TenantId tenant, Tag user_tag, Done<std::optional<Account>> done) = 0;
  virtual void load(UserRef user, Done<std::optional<UserRows>> done) = 0;
  // Of these two, a row that does not open counts as not there (StoreProbe::damaged_rows): keys are
  // asked for and written anew, and the user's other conversations live on. Where a data key
  // cannot be had: CORRUPT "KEY_DAMAGED".
  virtual void load_prekeys(UserRef user, Done<std::vector<PrekeyBatch>> done) = 0;
  virtual void load_conversations(UserRef user, std::vector<Tag> contacts,
                                  Done<std::vector<Conversation>> done) = 0;
  virtual void find_messages(UserRef user, std::vector<Tag> requests,
                             Done<std::vector<MessageRow>> done) = 0;  // those that exist
  virtual void load_messages(UserRef user, std::vector<Order> orders,
                             Done<std::vector<MessageRow>> done) = 0;  // those that exist
  virtual void find_received(UserRef user, std::vector<Tag> messages,
                             Done<std::vector<Received>> done) = 0;  // those that exist
  // Events with seq > after, in order, at most `limit` rows and about `max_bytes`.
  virtual void load_events(UserRef user, EventSeq after, std::size_t limit, std::size_t max_bytes,
                           Done<std::vector<EventRow>> done) = 0;
  // Users of a tenant with events that are not acknowledged, uid > after, by uid. A user whose
  // profile does not open is in the list all the same, with an empty one.
  virtual void pending_users(TenantId tenant, std::int64_t after, std::size_t limit,
                             Done<std::vector<PendingUser>> done) = 0;
  // Users of any tenant with something older than `before` says, uid > after, by uid, at most
  // `limit`: nobody may be attached who would end it. Profiles as in pending_users.
  virtual void overdue_users(Overdue before, std::int64_t after, std::size_t limit,
                             Done<std::vector<PendingUser>> done) = 0;
  // Forgets settled messages, acknowledged events and received ids older than `before`, at most
  // `limit` a table: rows, or (PostgreSQL) partitions of two days, whole, once all of it is old.
  // Says how many.
  virtual void sweep(WallTime before, std::size_t limit, Done<std::size_t> done) = 0;

  // Looks how large the database is, for StoreProbe; cheap.
  virtual void measure() = 0;

  // Stops taking, finishes what is pending (unknown outcomes: kClosed), joins the threads. Not to
  // be called from a completion. Calls after it answer kClosed or RETRY_LATER "STORE_CLOSED".
  virtual void close() = 0;
};

}  // namespace gw::store
