#include "store/postgres/reader.h"
#include "store/postgres/writer.h"

namespace gw::store {
namespace {

using postgres::Reader;
using postgres::Troubles;
using postgres::Writer;

class PostgresBackend final : public Backend {
 public:
  explicit PostgresBackend(PostgresOptions options)
      : options_(std::move(options)), troubles_(options_.trouble), reader_(options_) {}

  Result<std::vector<Outcome>> apply(std::span<const Sealed> batch) override {
    return serve([&](Writer& w) { return w.apply(batch); });
  }
  Result<void> reopen() override {
    writer_.reset();
    GW_ASSIGN(writer_, Writer::open(options_));
    if (options_.found && writer_->durability() != durability_)
      options_.found(writer_->durability());
    durability_ = writer_->durability();
    return {};
  }
  Result<std::pair<UserRef, bool>> enlist(const Enlistment& enlistment) override {
    return serve([&](Writer& w) { return w.enlist(enlistment); });
  }
  Result<Claimed> claim(std::span<const UserRef> users) override {
    return serve([&](Writer& w) { return w.claim(users); });
  }
  Result<std::size_t> sweep(WallTime before, std::size_t limit) override {
    return serve([&](Writer& w) { return w.sweep(before, limit); });
  }
  Result<std::optional<Bytes>> root_key() override {
    return write([&](Writer& w) { return w.root_key(); });
  }
  Result<Bytes> put_root_key(ByteView wrapped) override {
    return write([&](Writer& w) { return w.put_root_key(wrapped); });
  }
  Result<std::uint32_t> add_data_key(ByteView wrapped) override {
    return write([&](Writer& w) { return w.add_data_key(wrapped); });
  }

  Result<std::optional<DataKey>> data_key(std::uint32_t id) override {
    return reader_.data_key(id);
  }
  Result<std::optional<Account>> find_user(TenantId tenant, const Tag& user_tag) override {
    return reader_.find_user(tenant, user_tag);
  }
  Result<std::optional<UserRows>> load(UserRef user) override { return reader_.load(user); }
  Result<std::vector<PrekeyBatch>> load_prekeys(UserRef user) override {
    return reader_.load_prekeys(user);
  }
  Result<std::vector<Conversation>> load_conversations(UserRef user,
                                                       std::span<const Tag> contacts) override {
    return reader_.load_conversations(user, contacts);
  }
  Result<std::vector<MessageRow>> find_messages(UserRef user,
                                                std::span<const Tag> requests) override {
    return reader_.find_messages(user, requests);
  }
  Result<std::vector<MessageRow>> load_messages(UserRef user,
                                                std::span<const Order> orders) override {
    return reader_.load_messages(user, orders);
  }
  Result<std::vector<Received>> find_received(UserRef user,
                                              std::span<const Tag> messages) override {
    return reader_.find_received(user, messages);
  }
  Result<std::vector<EventRow>> load_events(UserRef user, EventSeq after, std::size_t limit,
                                            std::size_t max_bytes) override {
    return reader_.load_events(user, after, limit, max_bytes);
  }
  Result<std::vector<PendingUser>> pending_users(TenantId tenant, std::int64_t after,
                                                 std::size_t limit) override {
    return reader_.pending_users(tenant, after, limit);
  }
  Result<std::vector<PendingUser>> overdue_users(const Overdue& before, std::int64_t after,
                                                 std::size_t limit) override {
    return reader_.overdue_users(before, after, limit);
  }
  Result<std::vector<Size>> sizes() override { return reader_.sizes(); }

 private:
  // A session that is spent is opened anew by the next call.
  template <class F>
  std::invoke_result_t<F, Writer&> write(F&& call) {
    if (!writer_)
      if (auto opened = reopen(); !opened)
        return fail(troubles_.not_now(std::move(opened).error()));
    auto result = call(*writer_);
    if (writer_->spent()) writer_.reset();
    return result;
  }
  // The same once the store runs.
  template <class F>
  std::invoke_result_t<F, Writer&> serve(F&& call) {
    auto result = write(call);
    if (!result) return fail(troubles_.not_now(std::move(result).error()));
    troubles_.over();
    return result;
  }

  const PostgresOptions options_;
  std::string durability_;
  std::unique_ptr<Writer> writer_;  // the commit thread's
  Troubles troubles_;               // its own
  Reader reader_;                   // the read thread's
};

}  // namespace

Result<std::unique_ptr<Backend>> open_postgres(PostgresOptions options) {
  auto backend = std::make_unique<PostgresBackend>(std::move(options));
  GW_TRY(backend->reopen());
  return backend;
}

}  // namespace gw::store
