#pragma once

// One SQLite connection and its prepared statements. Each is used by one thread at a time.
// Functions inside sqlite/ speak SQLite's result codes; error_of turns them into decisions.

#include <memory>
#include <optional>
#include <sqlite3.h>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "store/backend.h"

namespace gw::store::sqlite {

// The same failure is the operator's at the start and may pass by itself later on.
enum class Stage { kOpen, kServe };
Error error_of(sqlite3* db, int rc, Stage stage);
inline int primary(int rc) { return rc & 0xff; }

struct OrNull {  // binds NULL when empty
  ByteView bytes;
};

class Statement {
 public:
  Statement() = default;
  // Binds all parameters, ?1 first. Blobs are not copied: they must outlive the next step.
  template <class... Args>
  void bind(const Args&... args) {
    int i = 0;
    (bind_one(++i, args), ...);
  }
  int step() { return sqlite3_step(get()); }
  void reset() { sqlite3_reset(get()); }
  // For statements without rows: SQLITE_DONE or an error.
  template <class... Args>
  int run(const Args&... args) {
    bind(args...);
    int rc = step();
    reset();
    return rc;
  }

  std::int64_t integer(int column) const { return sqlite3_column_int64(get(), column); }
  Bytes blob(int column) const;
  Tag tag(int column) const;  // zeros when it is not 16 octets
  sqlite3_stmt* get() const { return statement_.get(); }

 private:
  friend class Connection;
  void bind_one(int i, std::int64_t value) { sqlite3_bind_int64(get(), i, value); }
  void bind_one(int i, ByteView blob);
  void bind_one(int i, const Tag& tag) { bind_one(i, ByteView(tag)); }
  void bind_one(int i, const Bytes& blob) { bind_one(i, ByteView(blob)); }
  void bind_one(int i, OrNull blob);
  void bind_one(int i, const std::optional<std::int64_t>& value);

  struct Finalize {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Ends a statement's row loop on every way out.
class Rows {
 public:
  template <class... Args>
  explicit Rows(Statement& statement, const Args&... args) : statement_(statement) {
    statement_.bind(args...);
  }
  ~Rows() { statement_.reset(); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  bool next() { return (rc_ = statement_.step()) == SQLITE_ROW; }
  int rc() const { return rc_; }
  bool failed() const { return rc_ != SQLITE_ROW && rc_ != SQLITE_DONE; }

 private:
  Statement& statement_;
  int rc_ = SQLITE_DONE;
};

class Connection {
 public:
  enum class Role { kMaker, kWriter, kReader };
  // The maker is a writer that makes the file when there is none. Only readers are in WAL mode
  // already: for a writer the file may turn out to be another program's.
  static Result<Connection> open(const std::string& path, Role role, const SqliteOptions& options);

  Result<void> use_wal();

  int exec(const char* sql);
  Result<void> must(const char* sql, Stage stage);
  // Reads one integer; 0 when there is no row.
  Result<std::int64_t> number(const char* sql, Stage stage);
  Result<std::string> text(const char* sql, Stage stage);
  Result<void> prepare(Statement& into, const char* sql, Stage stage);
  sqlite3* get() const { return db_.get(); }
  int changes() const { return sqlite3_changes(get()); }

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace gw::store::sqlite
