#pragma once

// The database file as an attacker, an accident or another program sees it.

#include <fstream>
#include <iterator>
#include <sqlite3.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace gw::store::test {

class RawFile {
 public:
  explicit RawFile(const std::string& path) {
    if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK) throw std::runtime_error("raw open");
  }
  ~RawFile() { sqlite3_close(db_); }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  // Runs one statement; ?1.. are the blobs. Returns the first column of each row.
  std::vector<Bytes> run(const std::string& sql, const std::vector<Bytes>& blobs = {}) {
    sqlite3_stmt* s = nullptr;
    if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &s, nullptr) != SQLITE_OK) fail();
    int i = 0;
    for (const Bytes& b : blobs)
      sqlite3_bind_blob(s, ++i, b.data(), static_cast<int>(b.size()), SQLITE_TRANSIENT);
    std::vector<Bytes> column;
    int rc = sqlite3_step(s);
    for (; rc == SQLITE_ROW; rc = sqlite3_step(s)) {
      auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(s, 0));
      column.emplace_back(data, data + sqlite3_column_bytes(s, 0));
    }
    sqlite3_finalize(s);
    if (rc != SQLITE_DONE) fail();
    return column;
  }
  Bytes one(const std::string& sql) { return run(sql).at(0); }

 private:
  [[noreturn]] void fail() { throw std::runtime_error(sqlite3_errmsg(db_)); }
  sqlite3* db_ = nullptr;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_file(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
}

}  // namespace gw::store::test
