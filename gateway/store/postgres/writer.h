#pragma once

// The writing half of the PostgreSQL backend: one session, used by the commit thread.

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "store/backend.h"
#include "store/postgres/connection.h"

namespace gw::store::postgres {

class Writer {
 public:
  // Makes or migrates the schema, and sees to it that a commit is one.
  static Result<std::unique_ptr<Writer>> open(const PostgresOptions& options);

  // As in Backend.
  Result<std::vector<Outcome>> apply(std::span<const Sealed> batch);
  Result<std::pair<UserRef, bool>> enlist(const Enlistment& enlistment);
  Result<Claimed> claim(std::span<const UserRef> users);
  Result<std::size_t> sweep(WallTime before, std::size_t limit);
  Result<std::optional<Bytes>> root_key();
  Result<Bytes> put_root_key(ByteView wrapped);
  Result<std::uint32_t> add_data_key(ByteView wrapped);

  bool spent() const { return db_.spent(); }
  // What a commit survives here, in words.
  const std::string& durability() const { return durability_; }

 private:
  using Batch = std::vector<const ChangeSet*>;

  class Patience;

  Writer(Connection db, Millis lock_timeout) : db_(std::move(db)), lock_timeout_(lock_timeout) {}
  Result<void> check_durability();
  Result<void> make_room(const std::set<std::int32_t>& buckets);
  Result<std::vector<Outcome>> apply_sorted(const Batch& batch);
  Result<std::vector<Outcome>> one_by_one(const Batch& batch, Patience& patience);
  Result<std::vector<Outcome>> apply_plain(const Batch& batch);
  Result<std::vector<Outcome>> apply_erasing(const Batch& one);
  enum class Form { kAll, kEach };
  std::string prepared(unsigned parts, Form form);
  Result<bool> write_enlisted(Transaction& tx, const Enlistment& e, UserRef& user);

  Connection db_;
  const Millis lock_timeout_;
  std::string durability_;
  std::set<std::string> prepared_;  // statements of apply.h
  std::set<std::int32_t> buckets_;  // whose partitions are there
};

}  // namespace gw::store::postgres
