#pragma once

// The reading half of the PostgreSQL backend: one session, used by the read thread; opened anew
// when it is lost.

#include <memory>
#include <span>

#include "store/backend.h"
#include "store/postgres/connection.h"

namespace gw::store::postgres {

class Reader {
 public:
  explicit Reader(PostgresOptions options)
      : options_(std::move(options)), troubles_(options_.trouble) {}

  // As in Backend.
  Result<std::optional<DataKey>> data_key(std::uint32_t id);
  Result<std::optional<Account>> find_user(TenantId tenant, const Tag& user_tag);
  Result<std::optional<UserRows>> load(UserRef user);
  Result<std::vector<PrekeyBatch>> load_prekeys(UserRef user);
  Result<std::vector<Conversation>> load_conversations(UserRef user, std::span<const Tag> contacts);
  Result<std::vector<MessageRow>> find_messages(UserRef user, std::span<const Tag> requests);
  Result<std::vector<MessageRow>> load_messages(UserRef user, std::span<const Order> orders);
  Result<std::vector<Received>> find_received(UserRef user, std::span<const Tag> messages);
  Result<std::vector<EventRow>> load_events(UserRef user, EventSeq after, std::size_t limit,
                                            std::size_t max_bytes);
  Result<std::vector<PendingUser>> pending_users(TenantId tenant, std::int64_t after,
                                                 std::size_t limit);
  Result<std::vector<PendingUser>> overdue_users(const Overdue& before, std::int64_t after,
                                                 std::size_t limit);
  Result<std::vector<Size>> sizes();

 private:
  // Several statements of one read see one state of the database. A session that is gone is opened
  // once more: reading again does no harm.
  template <class F>
  std::invoke_result_t<F&, Transaction&> read(F&& work) {
    for (int tries = 1;; ++tries) {
      if (auto there = connect(); !there) return fail(std::move(there).error());
      auto result = db_->get(work);
      if (result) {
        troubles_.over();
        return result;
      }
      const bool spent = db_->spent();
      if (spent) db_.reset();
      if (!spent || tries == 2) return fail(not_now(std::move(result).error()));
    }
  }
  Result<void> connect();
  Error not_now(Error error);

  const PostgresOptions options_;
  Troubles troubles_;
  std::optional<Connection> db_;
};

}  // namespace gw::store::postgres
