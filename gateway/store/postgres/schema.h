#pragma once

// The tables, and how they come and change. A migration only adds, and what it makes superfluous
// goes with the one after it, so that version N and N-1 of the gateway work on the same schema.
// From 1 to 2 they do not: a gateway of schema 1 cannot read the events that came with 2 and is
// shut out.

#include "store/postgres/connection.h"

namespace gw::store::postgres {

inline constexpr int kSchemaVersion = 2;
// The oldest gateway, by the schema that it knows, which still works on this one.
inline constexpr int kOldestReader = 2;

// Makes or migrates the schema under an advisory lock. CONFIG SCHEMA_FROM_FUTURE when a newer
// gateway made it and this one can no longer work on it.
Result<void> prepare_schema(Connection& db);

// Messages, events and received ids lie in partitions of so long a time, which retention drops
// whole.
inline constexpr Millis kPartition{2 * 24 * 3600'000};
std::int32_t bucket_of(WallTime at);
// Makes the three tables' partitions of a bucket, those that are not there.
Result<void> make_partitions(Connection& db, std::int32_t bucket);

enum class Table : std::uint8_t { kMessage, kEvent, kReceived };
inline constexpr Table kPartitioned[] = {Table::kMessage, Table::kEvent, Table::kReceived};
// The buckets below `before` for which the table has a partition, in order.
Result<std::vector<std::int32_t>> buckets_before(Connection& db, Table table, std::int32_t before);
// Events that nobody acknowledged move to the partition of `today`. False: the partition stays,
// because a message in it is not settled. RETRY_LATER when somebody reads the table for so long
// that the drop would keep everybody waiting.
Result<bool> drop_partition(Connection& db, Table table, std::int32_t bucket, std::int32_t today);

}  // namespace gw::store::postgres
