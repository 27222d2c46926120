#include "store/sqlite/schema.h"

#include <array>
#include <sys/stat.h>

namespace gw::store::sqlite {
namespace {

// Ordinary rowid tables with one unique index each: rows are appended, only the small index entries
// land at random places (measured twice as fast as WITHOUT ROWID). The account row is rewritten by
// every change set, so it is narrow and the profile lies beside it. Small columns come first, so
// that a scan does not follow a row's overflow pages. Rowids rise with time: sweep reads from the
// lowest and needs no index on time.
constexpr const char* kSchema = R"sql(
CREATE TABLE root_key (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  wrapped BLOB NOT NULL
) STRICT;
CREATE TABLE data_key (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  wrapped BLOB NOT NULL
) STRICT;
CREATE TABLE account (
  uid INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant INTEGER NOT NULL CHECK (tenant BETWEEN 0 AND 65535),
  term INTEGER NOT NULL CHECK (term >= 0),
  version INTEGER NOT NULL CHECK (version >= 0),
  change INTEGER NOT NULL,
  next_order INTEGER NOT NULL CHECK (next_order >= lowest_unsettled),
  lowest_unsettled INTEGER NOT NULL CHECK (lowest_unsettled >= 1),
  next_event INTEGER NOT NULL CHECK (next_event > acked_event),
  acked_event INTEGER NOT NULL CHECK (acked_event >= 0),
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 1),
  user_tag BLOB NOT NULL CHECK (length(user_tag) = 16)
) STRICT;
CREATE UNIQUE INDEX account_by_tag ON account (tenant, user_tag);
CREATE TABLE profile (
  uid INTEGER PRIMARY KEY,
  sealed BLOB NOT NULL
) STRICT;
CREATE TABLE ratchet (
  tenant INTEGER NOT NULL, uid INTEGER NOT NULL,
  device INTEGER NOT NULL CHECK (device BETWEEN 0 AND 65535),
  contact BLOB NOT NULL CHECK (length(contact) = 16),
  record BLOB NOT NULL CHECK (length(record) > 0)
) STRICT;
CREATE UNIQUE INDEX ratchet_by_device ON ratchet (tenant, uid, contact, device);
CREATE TABLE contact (
  tenant INTEGER NOT NULL, uid INTEGER NOT NULL,
  contact BLOB NOT NULL CHECK (length(contact) = 16),
  sealed BLOB NOT NULL CHECK (length(sealed) > 0)
) STRICT;
CREATE UNIQUE INDEX contact_by_tag ON contact (tenant, uid, contact);
CREATE TABLE prekey (
  tenant INTEGER NOT NULL, uid INTEGER NOT NULL,
  first_id INTEGER NOT NULL CHECK (first_id >= 0),
  sealed BLOB NOT NULL CHECK (length(sealed) > 0)
) STRICT;
CREATE UNIQUE INDEX prekey_by_id ON prekey (tenant, uid, first_id);
CREATE TABLE message (
  tenant INTEGER NOT NULL, uid INTEGER NOT NULL,
  ord INTEGER NOT NULL CHECK (ord >= 1),
  created INTEGER NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 7),
  reason INTEGER NOT NULL CHECK (reason BETWEEN 0 AND 255),
  request BLOB NOT NULL CHECK (length(request) = 16),
  body_mac BLOB NOT NULL CHECK (length(body_mac) = 16),
  contact BLOB NOT NULL CHECK (length(contact) = 16),
  content BLOB,
  stanza BLOB,
  devices BLOB
) STRICT;
CREATE UNIQUE INDEX message_by_order ON message (tenant, uid, ord);
CREATE UNIQUE INDEX message_by_request ON message (tenant, uid, request);
CREATE TABLE event (
  tenant INTEGER NOT NULL, uid INTEGER NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 1),
  at INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_by_seq ON event (tenant, uid, seq);
CREATE TABLE received (
  tenant INTEGER NOT NULL, uid INTEGER NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 0),
  at INTEGER NOT NULL,
  message BLOB NOT NULL CHECK (length(message) = 16),
  cipher_hash BLOB NOT NULL CHECK (length(cipher_hash) = 16)
) STRICT;
CREATE UNIQUE INDEX received_by_message ON received (tenant, uid, message);
)sql";

// Since version 2; an empty file gets it behind the rest.
constexpr const char* kUndecrypted = R"sql(
CREATE TABLE undecrypted (
  tenant INTEGER NOT NULL, uid INTEGER NOT NULL,
  since INTEGER NOT NULL,
  message BLOB NOT NULL CHECK (length(message) = 16),
  sealed BLOB NOT NULL CHECK (length(sealed) > 0)
) STRICT;
CREATE UNIQUE INDEX undecrypted_by_message ON undecrypted (tenant, uid, message);
)sql";

constexpr std::array kTables = {"root_key", "data_key", "account",    "profile",
                                "ratchet",  "contact",  "prekey",     "message",
                                "event",    "received", "undecrypted"};

tl::unexpected<Error> damaged(Connection& db) {
  return fail(error_of(db.get(), SQLITE_CORRUPT, Stage::kOpen));
}

Result<void> make(Connection& db) {
  GW_TRY(db.must("BEGIN IMMEDIATE", Stage::kOpen));
  std::string sql = std::string(kSchema) + kUndecrypted;
  sql += "PRAGMA application_id=" + std::to_string(kApplicationId) + ";";
  sql += "PRAGMA user_version=" + std::to_string(kSchemaVersion) + "; COMMIT";
  if (auto made = db.must(sql.c_str(), Stage::kOpen); !made) {
    db.exec("ROLLBACK");
    return made;
  }
  return {};
}

Result<void> migrate(Connection& db) {
  GW_TRY(db.must("BEGIN IMMEDIATE", Stage::kOpen));
  std::string sql = std::string("ALTER TABLE message ADD COLUMN devices BLOB;") + kUndecrypted;
  sql += "PRAGMA user_version=" + std::to_string(kSchemaVersion) + "; COMMIT";
  if (auto migrated = db.must(sql.c_str(), Stage::kOpen); !migrated) {
    db.exec("ROLLBACK");
    return migrated;
  }
  return {};
}

// A file that a copy or a full disk has cut short; pages may legitimately still be in the WAL only.
Result<void> check_size(Connection& db, const std::string& path) {
  int in_wal = 0, copied = 0;
  int rc = sqlite3_wal_checkpoint_v2(db.get(), "main", SQLITE_CHECKPOINT_PASSIVE, &in_wal, &copied);
  if (primary(rc) == SQLITE_CORRUPT || primary(rc) == SQLITE_NOTADB) return damaged(db);
  if (rc != SQLITE_OK || in_wal != copied) return {};
  GW_ASSIGN(auto pages, db.number("PRAGMA page_count", Stage::kOpen));
  GW_ASSIGN(auto page, db.number("PRAGMA page_size", Stage::kOpen));
  struct stat file {};
  if (::stat(path.c_str(), &file) == 0 && file.st_size < pages * page) return damaged(db);
  return {};
}

// The whole is not read (that takes minutes in a large file): the outer edges of each table are.
Result<void> check_tables(Connection& db) {
  for (const char* table : kTables) {
    auto count = db.number((std::string("SELECT count(*) FROM sqlite_schema WHERE type='table' "
                                        "AND name='") +
                            table + "'")
                               .c_str(),
                           Stage::kOpen);
    if (!count) return fail(std::move(count).error());
    if (*count != 1) return damaged(db);
    GW_TRY(db.number((std::string("SELECT min(rowid) FROM ") + table).c_str(), Stage::kOpen));
    GW_TRY(db.number((std::string("SELECT max(rowid) FROM ") + table).c_str(), Stage::kOpen));
  }
  return {};
}

}  // namespace

Result<void> prepare_schema(Connection& db, const std::string& path, bool may_make) {
  GW_ASSIGN(auto application, db.number("PRAGMA application_id", Stage::kOpen));
  GW_ASSIGN(auto version, db.number("PRAGMA user_version", Stage::kOpen));
  GW_ASSIGN(auto tables, db.number("SELECT count(*) FROM sqlite_schema", Stage::kOpen));
  bool empty = application == 0 && version == 0 && tables == 0;
  if (empty && !may_make) return damaged(db);
  if (!empty && application != kApplicationId)
    return fail(ErrorKind::kConfig, "SQLITE_CANNOT_OPEN",
                "the file is a database of another program: give the path of another file");
  if (version > kSchemaVersion)
    return fail(ErrorKind::kConfig, "SCHEMA_FROM_FUTURE",
                "the database was written by a newer gateway (schema " + std::to_string(version) +
                    ", this one knows " + std::to_string(kSchemaVersion) +
                    "): run that version, or restore the backup taken before the upgrade");
  GW_TRY(db.use_wal());
  if (empty) return make(db);
  GW_TRY(check_size(db, path));
  if (version < kSchemaVersion) GW_TRY(migrate(db));
  return check_tables(db);
}

}  // namespace gw::store::sqlite
