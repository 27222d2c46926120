// Enlisting, claiming, sweeping and the deployment's keys: rare, one transaction each.

#include "store/sqlite/writer.h"

namespace gw::store::sqlite {

Result<std::pair<UserRef, bool>> Writer::enlist(const Enlistment& enlistment) {
  GW_TRY(begin());
  Version version = 0;
  bool created = false;
  auto user = revive_or_make(enlistment, version, created);
  bool write = user && version >= 0;
  if (write) {
    auto written = enlistment.seal(*user, version).and_then([&](const EnlistRows& rows) {
      return write_enlisted(*user, rows);
    });
    if (!written) user = fail(std::move(written).error());
  }
  if (!user || !write) {
    rollback();
    if (!user) return fail(std::move(user).error());
  } else {
    GW_TRY(commit());
  }
  return std::pair{*user, created};
}

// `version` < 0: an enlisted row was found, nothing is to be written.
Result<UserRef> Writer::revive_or_make(const Enlistment& e, Version& version, bool& created) {
  Rows rows(find_tag_, e.tenant, e.user_tag);
  bool there = rows.next();
  if (rows.failed()) return failed(rows.rc());
  const auto change = static_cast<std::int64_t>(e.change);
  if (!there) {
    if (int rc = make_account_.run(e.tenant, e.user_tag, change); rc != SQLITE_DONE)
      return failed(rc);
    created = true;
    version = 0;
    return UserRef{e.tenant, sqlite3_last_insert_rowid(db_.get())};
  }
  UserRef user{e.tenant, find_tag_.integer(0)};
  if (find_tag_.integer(1) == static_cast<int>(AccountState::kEnlisted)) {
    created = find_tag_.integer(3) == change;
    version = -1;
    return user;
  }
  // The version rises, so whoever still holds the withdrawn user finds itself stale. Order and
  // event numbers go on.
  created = true;
  version = find_tag_.integer(2) + 1;
  if (int rc = revive_.run(user.uid, change); rc != SQLITE_DONE) return failed(rc);
  if (int rc = erase_keys(user); rc != SQLITE_OK) return failed(rc);
  return user;
}

Result<void> Writer::write_enlisted(UserRef user, const EnlistRows& rows) {
  if (int rc = set_profile_.run(user.uid, rows.profile); rc != SQLITE_DONE) return failed(rc);
  for (const auto& p : rows.prekeys)
    if (int rc = put_prekey_.run(user.tenant, user.uid, p.first_id, p.blob); rc != SQLITE_DONE)
      return failed(rc);
  return {};
}

Result<Claimed> Writer::claim(std::span<const UserRef> users) {
  GW_TRY(begin());
  Claimed claimed;
  for (const UserRef& user : users) {
    int rc = SQLITE_DONE;
    {
      Rows rows(claim_, user.uid, user.tenant);
      if (rows.next()) {
        claimed.emplace_back(claim_.integer(0));
        rows.next();  // to the end of the statement
      } else {
        claimed.push_back(fail(ErrorKind::kRejected, "USER_UNKNOWN"));
      }
      rc = rows.rc();
    }
    if (rc == SQLITE_DONE) continue;
    auto error = failed(rc);
    rollback();
    return error;
  }
  GW_TRY(commit());
  return claimed;
}

Result<std::size_t> Writer::sweep(WallTime before, std::size_t limit) {
  auto give_up = [this](Error error) {
    rollback();
    sweep_messages_.cursor = sweep_events_.cursor = sweep_received_.cursor = 0;
    return fail(std::move(error));
  };
  GW_TRY(begin());
  std::size_t swept = 0;
  for (Sweep* table : {&sweep_messages_, &sweep_events_, &sweep_received_}) {
    auto some = sweep_table(*table, before, limit);
    if (!some) return give_up(std::move(some).error());
    swept += *some;
  }
  if (auto done = commit(); !done) return give_up(std::move(done).error());
  return swept;
}

// Rowids rise with time, so the first row that is young enough ends the search; the next call then
// begins at the lowest again. What may not go yet is passed over, a bounded number of rows a call.
Result<std::size_t> Writer::sweep_table(Sweep& table, WallTime before, std::size_t limit) {
  constexpr std::size_t kLooksPerRow = 8;
  std::vector<std::int64_t> ids;
  {
    Rows rows(table.look, table.cursor);
    std::size_t looks = 0;
    table.cursor = 0;
    while (ids.size() < limit && rows.next()) {
      if (table.look.integer(1) >= unix_ms(before)) break;
      if (table.look.integer(2) != 0) ids.push_back(table.look.integer(0));
      if (++looks >= limit * kLooksPerRow || ids.size() == limit) {
        table.cursor = table.look.integer(0);
        break;
      }
    }
    if (rows.failed()) return failed(rows.rc());
  }
  for (std::int64_t id : ids)
    if (int rc = table.erase.run(id); rc != SQLITE_DONE) return failed(rc);
  return ids.size();
}

Result<std::optional<Bytes>> Writer::root_key() {
  Statement look;
  GW_TRY(db_.prepare(look, "SELECT wrapped FROM root_key", Stage::kOpen));
  Rows rows(look);
  std::optional<Bytes> found;
  if (rows.next()) found = look.blob(0);
  if (rows.failed()) return failed(rows.rc(), Stage::kOpen);
  return found;
}

Result<Bytes> Writer::put_root_key(ByteView wrapped) {
  Statement put;
  GW_TRY(
      db_.prepare(put, "INSERT OR IGNORE INTO root_key (id, wrapped) VALUES (1,?1)", Stage::kOpen));
  GW_TRY(begin(Stage::kOpen));
  if (int rc = put.run(wrapped); rc != SQLITE_DONE) {
    auto error = failed(rc, Stage::kOpen);
    rollback();
    return error;
  }
  GW_TRY(commit(Stage::kOpen));
  GW_ASSIGN(auto stored, root_key());
  if (!stored) return failed(SQLITE_CORRUPT, Stage::kOpen);
  return *std::move(stored);
}

Result<std::uint32_t> Writer::add_data_key(ByteView wrapped) {
  Statement put;
  GW_TRY(db_.prepare(put, "INSERT INTO data_key (wrapped) VALUES (?1)", Stage::kOpen));
  GW_TRY(begin(Stage::kOpen));
  int rc = put.run(wrapped);
  std::int64_t id = sqlite3_last_insert_rowid(db_.get());
  if (rc != SQLITE_DONE || id > UINT32_MAX) {
    auto error = failed(rc != SQLITE_DONE ? rc : SQLITE_FULL, Stage::kOpen);
    rollback();
    return error;
  }
  GW_TRY(commit(Stage::kOpen));
  return static_cast<std::uint32_t>(id);
}

}  // namespace gw::store::sqlite
