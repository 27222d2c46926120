#include "store/postgres/schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace gw::store::postgres {
namespace {

// "gateway", as the key of the advisory locks.
constexpr const char* kMigrationLock = "7449372645912338273";

// Every key begins with (tenant, uid), so that users can be spread over several databases. Columns
// that statements change together lie together, and what is sealed is EXTERNAL: PostgreSQL would
// try to compress ciphertext. The fill factors leave room for the next version of a row on its
// page.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE gateway_schema (
  id int PRIMARY KEY CHECK (id = 1),
  version int NOT NULL,
  oldest_reader int NOT NULL CHECK (oldest_reader <= version)
);
CREATE TABLE root_key (id int PRIMARY KEY CHECK (id = 1), wrapped bytea NOT NULL);
CREATE TABLE data_key (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, wrapped bytea NOT NULL);
CREATE SEQUENCE account_uid AS bigint;
CREATE TABLE account (
  tenant int NOT NULL CHECK (tenant BETWEEN 0 AND 65535),
  uid bigint NOT NULL CHECK (uid > 0),
  term bigint NOT NULL CHECK (term >= 0),
  version bigint NOT NULL CHECK (version >= 0),
  change bigint NOT NULL,
  next_order bigint NOT NULL CHECK (next_order >= lowest_unsettled),
  lowest_unsettled bigint NOT NULL CHECK (lowest_unsettled >= 1),
  next_event bigint NOT NULL CHECK (next_event > acked_event),
  acked_event bigint NOT NULL CHECK (acked_event >= 0),
  state smallint NOT NULL CHECK (state BETWEEN 0 AND 1),
  user_tag bytea NOT NULL CHECK (length(user_tag) = 16),
  PRIMARY KEY (tenant, uid)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX account_by_tag ON account (tenant, user_tag);
CREATE TABLE profile (
  tenant int NOT NULL, uid bigint NOT NULL,
  sealed bytea NOT NULL,
  PRIMARY KEY (tenant, uid)
);
CREATE TABLE ratchet (
  tenant int NOT NULL, uid bigint NOT NULL,
  contact bytea NOT NULL CHECK (length(contact) = 16),
  device int NOT NULL CHECK (device BETWEEN 0 AND 65535),
  record bytea NOT NULL CHECK (length(record) > 0),
  PRIMARY KEY (tenant, uid, contact, device)
) WITH (fillfactor = 50);
CREATE TABLE contact (
  tenant int NOT NULL, uid bigint NOT NULL,
  contact bytea NOT NULL CHECK (length(contact) = 16),
  sealed bytea NOT NULL CHECK (length(sealed) > 0),
  PRIMARY KEY (tenant, uid, contact)
);
CREATE TABLE prekey (
  tenant int NOT NULL, uid bigint NOT NULL,
  first_id bigint NOT NULL CHECK (first_id >= 0),
  sealed bytea NOT NULL CHECK (length(sealed) > 0),
  PRIMARY KEY (tenant, uid, first_id)
);
CREATE TABLE message (
  tenant int NOT NULL, uid bigint NOT NULL,
  ord bigint NOT NULL CHECK (ord >= 1),
  bucket int NOT NULL,
  created bigint NOT NULL,
  request bytea NOT NULL CHECK (length(request) = 16),
  body_mac bytea NOT NULL CHECK (length(body_mac) = 16),
  contact bytea NOT NULL CHECK (length(contact) = 16),
  content bytea,
  state smallint NOT NULL CHECK (state BETWEEN 0 AND 7),
  reason smallint NOT NULL CHECK (reason BETWEEN 0 AND 255),
  stanza bytea
) PARTITION BY LIST (bucket);
CREATE TABLE event (
  tenant int NOT NULL, uid bigint NOT NULL,
  seq bigint NOT NULL CHECK (seq >= 1),
  bucket int NOT NULL,
  at bigint NOT NULL,
  payload bytea NOT NULL
) PARTITION BY LIST (bucket);
CREATE TABLE received (
  tenant int NOT NULL, uid bigint NOT NULL,
  message bytea NOT NULL CHECK (length(message) = 16),
  bucket int NOT NULL,
  cipher_hash bytea NOT NULL CHECK (length(cipher_hash) = 16),
  seq bigint NOT NULL CHECK (seq >= 0),
  at bigint NOT NULL
) PARTITION BY LIST (bucket);
ALTER TABLE profile ALTER sealed SET STORAGE EXTERNAL;
ALTER TABLE ratchet ALTER record SET STORAGE EXTERNAL;
ALTER TABLE contact ALTER sealed SET STORAGE EXTERNAL;
ALTER TABLE prekey ALTER sealed SET STORAGE EXTERNAL;
ALTER TABLE message ALTER content SET STORAGE EXTERNAL, ALTER stanza SET STORAGE EXTERNAL;
ALTER TABLE event ALTER payload SET STORAGE EXTERNAL;
INSERT INTO gateway_schema VALUES (1, 1, 1);
)sql";

// Version 1 cannot read the events that came with it: one would hold up all behind it.
constexpr const char* kVersion2 = R"sql(
ALTER TABLE message ADD COLUMN devices bytea;
CREATE TABLE undecrypted (
  tenant int NOT NULL, uid bigint NOT NULL,
  message bytea NOT NULL CHECK (length(message) = 16),
  since bigint NOT NULL,
  sealed bytea NOT NULL CHECK (length(sealed) > 0),
  PRIMARY KEY (tenant, uid, message)
);
UPDATE gateway_schema SET version=2, oldest_reader=2;
)sql";

// Step n brings version n to n + 1; step 0 makes the schema.
constexpr std::array kSteps = {kVersion1, kVersion2};
static_assert(kSteps.size() == kSchemaVersion);

// `{}` stands for the partition's suffix, `{v}` for the bucket. Made beside the parent and
// attached: that stops neither readers nor writers of the other partitions.
constexpr const char* partition_sql(Table table) {
  switch (table) {
    case Table::kMessage:
      return R"sql(
CREATE TABLE message{} (LIKE message INCLUDING ALL) WITH (fillfactor = 70);
CREATE UNIQUE INDEX ON message{} (tenant, uid, ord);
CREATE UNIQUE INDEX ON message{} (tenant, uid, request);
ALTER TABLE message ATTACH PARTITION message{} FOR VALUES IN ({v});
)sql";
    case Table::kEvent:
      return R"sql(
CREATE TABLE event{} (LIKE event INCLUDING ALL);
CREATE UNIQUE INDEX ON event{} (tenant, uid, seq);
ALTER TABLE event ATTACH PARTITION event{} FOR VALUES IN ({v});
)sql";
    case Table::kReceived:
      return R"sql(
CREATE TABLE received{} (LIKE received INCLUDING ALL);
CREATE UNIQUE INDEX ON received{} (tenant, uid, message);
ALTER TABLE received ATTACH PARTITION received{} FOR VALUES IN ({v});
)sql";
  }
  return "";
}

constexpr const char* name_of(Table table) {
  constexpr const char* kNames[] = {"message", "event", "received"};
  return kNames[static_cast<std::size_t>(table)];
}

// A dropped partition locks its parent for a moment, and everybody queues behind who waits for that
// lock: so it waits no longer than this.
constexpr const char* kDropPatience = "SET LOCAL lock_timeout='250ms'";

// Both start from the accounts that have something left, which are few: no partition is read.
constexpr const char* kUnsettledIn = R"sql(
SELECT EXISTS (SELECT 1 FROM account a JOIN message{} m ON m.tenant=a.tenant AND m.uid=a.uid
    AND m.ord>=a.lowest_unsettled
  WHERE a.lowest_unsettled<a.next_order AND m.state<2))sql";
constexpr const char* kMoveEvents = R"sql(
WITH moved AS (DELETE FROM event{} e USING account a
  WHERE a.next_event>a.acked_event+1 AND e.tenant=a.tenant AND e.uid=a.uid AND e.seq>a.acked_event
  RETURNING e.tenant, e.uid, e.seq, e.at, e.payload)
INSERT INTO event (tenant,uid,seq,bucket,at,payload)
  SELECT tenant,uid,seq,$1::int4,at,payload FROM moved)sql";

std::string filled_in(std::string sql, std::int32_t bucket) {
  const std::string value = std::to_string(bucket);
  const std::string suffix = bucket < 0 ? "_m" + value.substr(1) : "_" + value;
  for (auto at = sql.find('{'); at != std::string::npos; at = sql.find('{', at)) {
    const bool plain = sql.compare(at, 2, "{}") == 0;
    sql.replace(at, plain ? 2 : 3, plain ? suffix : value);
  }
  return sql;
}

std::string partition_name(Table table, std::int32_t bucket) {
  return filled_in(std::string(name_of(table)) + "{}", bucket);
}
// Nothing when it is no partition of ours: somebody else's stays.
std::optional<std::int32_t> bucket_in(Table table, const std::string& name) {
  const auto at = name.rfind('_') + 1;
  const bool negative = name.compare(at, 1, "m") == 0;
  const char *begin = name.data() + at + (negative ? 1 : 0), *end = name.data() + name.size();
  std::int32_t bucket = 0;
  if (std::from_chars(begin, end, bucket).ec != std::errc()) return {};
  if (negative) bucket = -bucket;
  if (partition_name(table, bucket) != name) return {};
  return bucket;
}
Result<bool> is_there(Transaction& tx, const std::string& name) {
  GW_ASSIGN(auto there, tx.rows("SELECT to_regclass('" + name + "') IS NOT NULL"));
  return there[0][0].as<bool>();
}

}  // namespace

Result<void> prepare_schema(Connection& db) {
  // One at a time; the lock goes with the transaction, whatever becomes of us.
  return db.transaction([&](Transaction& tx) -> Result<void> {
    GW_TRY(tx.run(std::string("SELECT pg_advisory_xact_lock(") + kMigrationLock + ")"));
    GW_ASSIGN(bool there, is_there(tx, "gateway_schema"));
    int version = 0, oldest_reader = 0;
    if (there) {
      GW_ASSIGN(auto rows, tx.rows("SELECT version, oldest_reader FROM gateway_schema"));
      if (rows.size() != 1)
        return fail(ErrorKind::kConfig, "SCHEMA_DAMAGED",
                    "gateway_schema must have one row: restore the database from a backup");
      version = rows[0][0].as<int>();
      oldest_reader = rows[0][1].as<int>();
    }
    if (oldest_reader > kSchemaVersion)
      return fail(ErrorKind::kConfig, "SCHEMA_FROM_FUTURE",
                  "the database was migrated by a newer gateway (schema " +
                      std::to_string(version) + ", this one knows " +
                      std::to_string(kSchemaVersion) + "): run that version");
    for (int step = version; step < kSchemaVersion; ++step)
      GW_TRY(tx.run(kSteps[static_cast<std::size_t>(step)]));
    return {};
  });
}

std::int32_t bucket_of(WallTime at) {
  return static_cast<std::int32_t>(
      std::chrono::floor<std::chrono::duration<std::int64_t, std::ratio<2 * 24 * 3600>>>(
          at.time_since_epoch())
          .count());
}

Result<void> make_partitions(Connection& db, std::int32_t bucket) {
  return db.transaction([&](Transaction& tx) -> Result<void> {
    GW_TRY(tx.run(std::string("SELECT pg_advisory_xact_lock(") + kMigrationLock + ")"));
    for (Table table : kPartitioned) {  // a sweep may have dropped some of them
      GW_ASSIGN(auto there, is_there(tx, partition_name(table, bucket)));
      if (!there) GW_TRY(tx.run(filled_in(partition_sql(table), bucket)));
    }
    return {};
  });
}

Result<std::vector<std::int32_t>> buckets_before(Connection& db, Table table, std::int32_t before) {
  return db.get([&](Transaction& tx) -> Result<std::vector<std::int32_t>> {
    std::vector<std::int32_t> buckets;
    GW_ASSIGN(auto rows, tx.rows(std::string("SELECT c.relname FROM pg_inherits i JOIN pg_class c"
                                             " ON c.oid=i.inhrelid WHERE i.inhparent='") +
                                 name_of(table) + "'::regclass"));
    for (const auto& row : rows) {
      auto bucket = bucket_in(table, row[0].as<std::string>());
      if (bucket && *bucket < before) buckets.push_back(*bucket);
    }
    std::sort(buckets.begin(), buckets.end());
    return buckets;
  });
}

Result<bool> drop_partition(Connection& db, Table table, std::int32_t bucket, std::int32_t today) {
  const auto name = partition_name(table, bucket);
  // False: another replica was faster.
  const auto lock = [&](Transaction& tx) -> Result<bool> {
    GW_TRY(tx.run(kDropPatience));
    GW_TRY(tx.run(std::string("SELECT pg_advisory_xact_lock(") + kMigrationLock + ")"));
    return is_there(tx, name);
  };
  const auto move_events = [&](Transaction& tx) -> Result<void> {
    GW_TRY(tx.rows(filled_in(kMoveEvents, bucket), today));
    return {};
  };
  // First by themselves: a drop that is refused every minute, for as long as somebody reads the
  // table, would leave what it moved behind as dead rows each time.
  if (table == Table::kEvent)
    GW_TRY(db.transaction([&](Transaction& tx) -> Result<void> {
      GW_ASSIGN(bool there, lock(tx));
      return there ? move_events(tx) : Result<void>();
    }));
  return db.get([&](Transaction& tx) -> Result<bool> {
    GW_ASSIGN(bool there, lock(tx));
    if (!there) return false;
    if (table == Table::kMessage) {
      GW_ASSIGN(auto left, tx.rows(filled_in(kUnsettledIn, bucket)));
      if (left[0][0].as<bool>()) return false;
    }
    if (table == Table::kEvent) GW_TRY(move_events(tx));  // what came in between
    GW_TRY(tx.run("DROP TABLE " + name));
    return true;
  });
}

}  // namespace gw::store::postgres
