#pragma once

// What a database does for Store: sealed rows in, sealed rows out. One implementation a database
// (sqlite/, postgres/); all pass tests/store. A backend is used by two threads at a time:
// the commit thread calls the writing functions, the read thread the reading ones.
// Before any of a change set's rows is looked at, its (term, version) is: so kFoundApplied and
// kStale win over kExists and kFailed, and after an unknown outcome every answer is definite.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/rows.h"

namespace gw::store {

// The rows of rows.h with their blobs sealed; the shapes are the same, so the types are.
struct Sealed {
  ChangeSet rows;
  std::size_t bytes = 0;  // about how much it holds
};

// What enlisting writes for a user, sealed.
struct EnlistRows {
  Bytes profile;
  std::vector<PrekeyBatch> prekeys;
};
struct Enlistment {
  TenantId tenant = 0;
  Tag user_tag{};
  std::uint64_t change = 0;  // random: after an unknown outcome it tells our row from another's
  // Called inside the transaction, when the row's uid and version are known: blobs are bound to
  // both. An error rolls back and is returned.
  std::function<Result<EnlistRows>(UserRef, Version)> seal;
};

struct DataKey {
  std::uint32_t id = 0;
  Bytes wrapped;
};

// What became of each claim of a batch, in its order: the new term, REJECTED "USER_UNKNOWN" when
// there is no such row, or RETRY_LATER when only this one could not be claimed.
using Claimed = std::vector<Result<Term>>;

class Backend {
 public:
  virtual ~Backend() = default;

  // --- the commit thread ---
  // All in one transaction; an outcome each, in order. No user occurs twice. A change set that
  // cannot be applied (kStale, kExists, kFailed) does not touch the others. Errors concern the
  // batch: UNKNOWN_OUTCOME (may have committed: reopen, then apply again), RETRY_LATER (surely not
  // committed: locked, disk full, read-only), CORRUPT.
  virtual Result<std::vector<Outcome>> apply(std::span<const Sealed> batch) = 0;
  // A fresh connection for the writing functions.
  virtual Result<void> reopen() = 0;
  // True: this enlistment made (or revived) the row, now or in an earlier try of the same `change`.
  virtual Result<std::pair<UserRef, bool>> enlist(const Enlistment& enlistment) = 0;
  // Raises the term of each by one, in one transaction. No user occurs twice. Errors as of apply.
  virtual Result<Claimed> claim(std::span<const UserRef> users) = 0;
  // As Store::sweep.
  virtual Result<std::size_t> sweep(WallTime before, std::size_t limit) = 0;
  // Keys that the store needs before anything else. `root` is written once and never changed but
  // for its wrapping.
  virtual Result<std::optional<Bytes>> root_key() = 0;
  virtual Result<Bytes> put_root_key(ByteView wrapped) = 0;  // returns what is stored in the end
  virtual Result<std::uint32_t> add_data_key(ByteView wrapped) = 0;

  // --- the read thread ---
  virtual Result<std::optional<DataKey>> data_key(std::uint32_t id) = 0;
  virtual Result<std::optional<Account>> find_user(TenantId tenant, const Tag& user_tag) = 0;
  virtual Result<std::optional<UserRows>> load(UserRef user) = 0;
  virtual Result<std::vector<PrekeyBatch>> load_prekeys(UserRef user) = 0;  // by first id
  virtual Result<std::vector<Conversation>> load_conversations(UserRef user,
                                                               std::span<const Tag> contacts) = 0;
  virtual Result<std::vector<MessageRow>> find_messages(UserRef user,
                                                        std::span<const Tag> requests) = 0;
  virtual Result<std::vector<MessageRow>> load_messages(UserRef user,
                                                        std::span<const Order> orders) = 0;
  virtual Result<std::vector<Received>> find_received(UserRef user,
                                                      std::span<const Tag> messages) = 0;
  virtual Result<std::vector<EventRow>> load_events(UserRef user, EventSeq after, std::size_t limit,
                                                    std::size_t max_bytes) = 0;
  virtual Result<std::vector<PendingUser>> pending_users(TenantId tenant, std::int64_t after,
                                                         std::size_t limit) = 0;
  // Enlisted users with something older than `before` says, uid > after, by uid, at most `limit`.
  virtual Result<std::vector<PendingUser>> overdue_users(const Overdue& before, std::int64_t after,
                                                         std::size_t limit) = 0;
  // Reads no row.
  virtual Result<std::vector<Size>> sizes() = 0;
};

struct SqliteOptions {
  Millis busy_timeout{1000};   // how long a statement waits for a lock that another process holds
  std::int64_t max_pages = 0;  // bound of the file in pages of 4 KiB; 0: the disk is the bound
};
// SQLite in WAL mode, synchronous=FULL. Makes and migrates the schema.
// CONFIG with what to do: SQLITE_CANNOT_OPEN, SQLITE_READ_ONLY, SQLITE_DAMAGED, SCHEMA_FROM_FUTURE;
// RETRY_LATER: SQLITE_LOCKED.
Result<std::unique_ptr<Backend>> open_sqlite(const std::string& path, SqliteOptions options = {});

struct PostgresOptions {
  std::string uri;  // a libpq connection string, with several hosts if there are standbys
  Millis statement_timeout{10'000};
  Millis lock_timeout{5'000};
  Millis answer_timeout{15'000};  // no answer within this: the session counts as lost
  // Told what a commit survives at the first opening, and when that has changed (after a failover).
  std::function<void(const std::string&)> found;
  // Told what only an operator can mend while the gateway runs (CONFIG, or a full disk), once until
  // it is mended; by the commit thread and by the read thread.
  std::function<void(const Error&)> trouble;
};
// PostgreSQL 14 or newer. Makes and migrates the schema; several gateways may share it. Takes the
// host that takes writes; commits synchronously, whatever the server's default is. CONFIG with what
// to do: POSTGRES_UNSAFE (fsync=off), POSTGRES_TOO_OLD, POSTGRES_REFUSED, POSTGRES_NO_DATABASE,
// POSTGRES_NO_RIGHT, SCHEMA_FROM_FUTURE; RETRY_LATER: POSTGRES_UNREACHABLE.
Result<std::unique_ptr<Backend>> open_postgres(PostgresOptions options);

}  // namespace gw::store
