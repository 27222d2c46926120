#include "store/sqlite/connection.h"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

namespace gw::store::sqlite {
namespace {

// A page cache for the b-tree's inner pages and the hot leaves; the rest is the kernel's.
constexpr const char* kWriterSettings =
    "PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
    "PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=67108864;";
constexpr const char* kReaderSettings =
    "PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
    "PRAGMA query_only=ON;";

Error open_error(int rc, sqlite3* db) {
  switch (primary(rc)) {
    case SQLITE_READONLY:
      return {ErrorKind::kConfig, "SQLITE_READ_ONLY",
              "the database file or its folder is read-only for this process: give the gateway's "
              "user the right to write both"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorKind::kConfig, "SQLITE_DAMAGED",
              "the file is no intact SQLite database: restore it, with its -wal file, from a "
              "backup, or give the path of another file"};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {ErrorKind::kConfig, "SQLITE_CANNOT_OPEN",
              "the database file cannot be opened: the folder must exist and the gateway's user "
              "must be able to write in it"};
    default:
      return error_of(db, rc, Stage::kServe);
  }
}

}  // namespace

Error error_of(sqlite3* db, int rc, Stage stage) {
  if (stage == Stage::kOpen) return open_error(rc, db);
  switch (primary(rc)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorKind::kRetryLater, "SQLITE_LOCKED",
              "another process holds the database's lock: end it (a backup, a shell)"};
    case SQLITE_FULL:
      return {ErrorKind::kRetryLater, "SQLITE_FULL",
              "the disk, or the bound set for the file, is full: make room"};
    case SQLITE_READONLY:
      return {ErrorKind::kRetryLater, "SQLITE_READ_ONLY",
              "the database file has become read-only: make it writable again"};
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return {ErrorKind::kRetryLater, "SQLITE_IO",
              "reading or writing the database file failed: check the disk and the kernel's log"};
    case SQLITE_NOMEM:
      return {ErrorKind::kRetryLater, "SQLITE_NO_MEMORY", "out of memory"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorKind::kCorrupt, "SQLITE_DAMAGED",
              "a part of the database file is damaged: stop the gateway, save the file, and "
              "restore it from a backup"};
    case SQLITE_CONSTRAINT:  // the text names columns, never values: those are bound
      return {ErrorKind::kBug, "ROW_REFUSED", db != nullptr ? sqlite3_errmsg(db) : ""};
    default:
      return {ErrorKind::kBug, "SQLITE_ERROR", sqlite3_errstr(rc)};
  }
}

Bytes Statement::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(get(), column));
  auto size = static_cast<std::size_t>(sqlite3_column_bytes(get(), column));
  return data == nullptr ? Bytes{} : Bytes(data, data + size);
}

Tag Statement::tag(int column) const {
  Tag tag{};
  const void* data = sqlite3_column_blob(get(), column);
  if (data != nullptr && sqlite3_column_bytes(get(), column) == static_cast<int>(tag.size()))
    std::memcpy(tag.data(), data, tag.size());
  return tag;
}

void Statement::bind_one(int i, ByteView blob) {
  if (blob.empty())
    sqlite3_bind_zeroblob(get(), i, 0);
  else
    sqlite3_bind_blob64(get(), i, blob.data(), blob.size(), SQLITE_STATIC);
}
void Statement::bind_one(int i, OrNull blob) {
  if (blob.bytes.empty())
    sqlite3_bind_null(get(), i);
  else
    sqlite3_bind_blob64(get(), i, blob.bytes.data(), blob.bytes.size(), SQLITE_STATIC);
}
void Statement::bind_one(int i, const std::optional<std::int64_t>& value) {
  if (value)
    sqlite3_bind_int64(get(), i, *value);
  else
    sqlite3_bind_null(get(), i);
}

Result<Connection> Connection::open(const std::string& path, Role role,
                                    const SqliteOptions& options) {
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (role == Role::kMaker) flags |= SQLITE_OPEN_CREATE;
  // Nobody else's to read, whatever the umask says; the log and its index get the file's mode.
  if (role == Role::kMaker)
    if (int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); made >= 0) close(made);
  sqlite3* raw = nullptr;
  int rc = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Connection made;
  made.db_.reset(raw);
  if (rc != SQLITE_OK) return fail(error_of(raw, rc, Stage::kOpen));
  sqlite3_busy_timeout(raw, static_cast<int>(options.busy_timeout.count()));
  // A file that may only be read opens all the same; say so now, not at the first commit.
  if (sqlite3_db_readonly(raw, "main") == 1)
    return fail(error_of(raw, SQLITE_READONLY, Stage::kOpen));
  GW_TRY(made.must(role == Role::kReader ? kReaderSettings : kWriterSettings, Stage::kOpen));
  if (role == Role::kReader) GW_TRY(made.use_wal());
  if (options.max_pages > 0)
    GW_TRY(made.must(("PRAGMA max_page_count=" + std::to_string(options.max_pages)).c_str(),
                     Stage::kOpen));
  return made;
}

Result<void> Connection::use_wal() {
  GW_ASSIGN(auto mode, text("PRAGMA journal_mode=WAL", Stage::kOpen));
  if (mode != "wal")
    return fail(ErrorKind::kConfig, "SQLITE_CANNOT_OPEN",
                "the file system of the database's folder has no shared memory for SQLite's WAL "
                "mode: use a local disk");
  return must("PRAGMA synchronous=FULL", Stage::kOpen);
}

int Connection::exec(const char* sql) {
  return sqlite3_exec(get(), sql, nullptr, nullptr, nullptr);
}

Result<void> Connection::must(const char* sql, Stage stage) {
  if (int rc = exec(sql); rc != SQLITE_OK) return fail(error_of(get(), rc, stage));
  return {};
}

Result<void> Connection::prepare(Statement& into, const char* sql, Stage stage) {
  sqlite3_stmt* raw = nullptr;
  int rc = sqlite3_prepare_v3(get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  into.statement_.reset(raw);
  if (rc != SQLITE_OK) return fail(error_of(get(), rc, stage));
  return {};
}

Result<std::int64_t> Connection::number(const char* sql, Stage stage) {
  Statement statement;
  GW_TRY(prepare(statement, sql, stage));
  Rows rows(statement);
  std::int64_t value = rows.next() ? statement.integer(0) : 0;
  if (rows.failed()) return fail(error_of(get(), rows.rc(), stage));
  return value;
}

Result<std::string> Connection::text(const char* sql, Stage stage) {
  Statement statement;
  GW_TRY(prepare(statement, sql, stage));
  Rows rows(statement);
  std::string value = rows.next() ? to_string(ByteView(statement.blob(0))) : std::string();
  if (rows.failed()) return fail(error_of(get(), rows.rc(), stage));
  return value;
}

}  // namespace gw::store::sqlite
