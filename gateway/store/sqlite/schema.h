#pragma once

// The tables, and what is checked of a file before it is trusted.

#include "store/sqlite/connection.h"

namespace gw::store::sqlite {

inline constexpr std::int64_t kApplicationId = 0x49475753;  // "IGWS"
inline constexpr std::int64_t kSchemaVersion = 2;           // PRAGMA user_version

// Makes the tables in an empty file if it may, refuses what is not ours, newer, or visibly damaged;
// turns the WAL mode on.
Result<void> prepare_schema(Connection& db, const std::string& path, bool may_make);

}  // namespace gw::store::sqlite
