#include "store/backend.h"

#include "store/sqlite/reader.h"
#include "store/sqlite/writer.h"

namespace gw::store {
namespace {

using sqlite::Reader;
using sqlite::Writer;

// A connection that failed in reading or writing the file is opened again by the next call.
class SqliteBackend final : public Backend {
 public:
  SqliteBackend(std::string path, SqliteOptions options, std::unique_ptr<Writer> writer,
                std::unique_ptr<Reader> reader)
      : path_(std::move(path)),
        options_(options),
        writer_(std::move(writer)),
        reader_(std::move(reader)) {}

  Result<std::vector<Outcome>> apply(std::span<const Sealed> batch) override {
    return write([&](Writer& w) { return w.apply(batch); });
  }
  Result<void> reopen() override {
    writer_.reset();
    return writable();
  }
  Result<std::pair<UserRef, bool>> enlist(const Enlistment& enlistment) override {
    return write([&](Writer& w) { return w.enlist(enlistment); });
  }
  Result<Claimed> claim(std::span<const UserRef> users) override {
    return write([&](Writer& w) { return w.claim(users); });
  }
  Result<std::size_t> sweep(WallTime before, std::size_t limit) override {
    return write([&](Writer& w) { return w.sweep(before, limit); });
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
    return read([&](Reader& r) { return r.data_key(id); });
  }
  Result<std::optional<Account>> find_user(TenantId tenant, const Tag& user_tag) override {
    return read([&](Reader& r) { return r.find_user(tenant, user_tag); });
  }
  Result<std::optional<UserRows>> load(UserRef user) override {
    return read([&](Reader& r) { return r.load(user); });
  }
  Result<std::vector<PrekeyBatch>> load_prekeys(UserRef user) override {
    return read([&](Reader& r) { return r.load_prekeys(user); });
  }
  Result<std::vector<Conversation>> load_conversations(UserRef user,
                                                       std::span<const Tag> contacts) override {
    return read([&](Reader& r) { return r.load_conversations(user, contacts); });
  }
  Result<std::vector<MessageRow>> find_messages(UserRef user,
                                                std::span<const Tag> requests) override {
    return read([&](Reader& r) { return r.find_messages(user, requests); });
  }
  Result<std::vector<MessageRow>> load_messages(UserRef user,
                                                std::span<const Order> orders) override {
    return read([&](Reader& r) { return r.load_messages(user, orders); });
  }
  Result<std::vector<Received>> find_received(UserRef user,
                                              std::span<const Tag> messages) override {
    return read([&](Reader& r) { return r.find_received(user, messages); });
  }
  Result<std::vector<EventRow>> load_events(UserRef user, EventSeq after, std::size_t limit,
                                            std::size_t max_bytes) override {
    return read([&](Reader& r) { return r.load_events(user, after, limit, max_bytes); });
  }
  Result<std::vector<PendingUser>> pending_users(TenantId tenant, std::int64_t after,
                                                 std::size_t limit) override {
    return read([&](Reader& r) { return r.pending_users(tenant, after, limit); });
  }
  Result<std::vector<PendingUser>> overdue_users(const Overdue& before, std::int64_t after,
                                                 std::size_t limit) override {
    return read([&](Reader& r) { return r.overdue_users(before, after, limit); });
  }
  Result<std::vector<Size>> sizes() override {
    return read([&](Reader& r) { return r.sizes(); });
  }

 private:
  Result<void> writable() {
    if (writer_) return {};
    GW_ASSIGN(writer_, Writer::open(path_, options_, /*make=*/false));
    return {};
  }

  // Opening again speaks as at the start (CONFIG); for a call that only means: not now.
  static Error not_now(Error error) {
    // No later try mends that, whichever page it is that is damaged.
    if (error.reason == "SQLITE_DAMAGED")
      return sqlite::error_of(nullptr, SQLITE_CORRUPT, sqlite::Stage::kServe);
    if (error.kind == ErrorKind::kConfig) error.kind = ErrorKind::kRetryLater;
    return error;
  }
  static bool wants_fresh(const Error& error) {
    return error.reason == "SQLITE_IO" || error.reason == "SQLITE_DAMAGED";
  }

  template <class F>
  std::invoke_result_t<F, Writer&> write(F&& call) {
    if (auto ready = writable(); !ready) return fail(not_now(std::move(ready).error()));
    auto result = call(*writer_);
    if (!result && wants_fresh(result.error())) writer_.reset();
    return result;
  }
  template <class F>
  std::invoke_result_t<F, Reader&> read(F&& call) {
    if (!reader_) {
      auto opened = Reader::open(path_, options_);
      if (!opened) return fail(not_now(std::move(opened).error()));
      reader_ = *std::move(opened);
    }
    auto result = call(*reader_);
    if (!result && wants_fresh(result.error())) reader_.reset();
    return result;
  }

  const std::string path_;
  const SqliteOptions options_;
  std::unique_ptr<Writer> writer_;  // the commit thread's
  std::unique_ptr<Reader> reader_;  // the read thread's
};

}  // namespace

Result<std::unique_ptr<Backend>> open_sqlite(const std::string& path, SqliteOptions options) {
  GW_ASSIGN(auto writer, Writer::open(path, options, /*make=*/true));
  GW_ASSIGN(auto reader, Reader::open(path, options));
  return std::make_unique<SqliteBackend>(path, options, std::move(writer), std::move(reader));
}

}  // namespace gw::store
