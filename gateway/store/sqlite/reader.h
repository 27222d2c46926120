#pragma once

// The reading half of the SQLite backend: one connection, used by the read thread. Each read sees
// one moment of the database.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/sqlite/connection.h"

namespace gw::store::sqlite {

class Reader {
 public:
  static Result<std::unique_ptr<Reader>> open(const std::string& path,
                                              const SqliteOptions& options);

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
  class Snapshot;
  Result<void> prepare_all();
  Account account_row(Statement& row) const;
  MessageRow message_row(Statement& row) const;
  tl::unexpected<Error> failed(int rc) { return fail(error_of(db_.get(), rc, Stage::kServe)); }

  std::string path_;
  Connection db_;
  Statement begin_, end_, data_key_, find_user_, account_, prekeys_, unsettled_, undecrypted_,
      contact_, ratchets_, by_request_, by_order_, received_, events_, pending_, overdue_;
};

}  // namespace gw::store::sqlite
