#include "floors/commit.h"

#include <filesystem>
#include <sqlite3.h>
#include <stdexcept>
#include <vector>

#include "crypto/crypto.h"
#include "floors/cpu.h"
#include "store/backend.h"

namespace gw::bench {
namespace {

constexpr int kUsers = 2000, kBatch = 100, kBatches = 60;

void require(bool ok, sqlite3* db) {
  if (!ok) throw std::runtime_error(std::string("commit floor: ") + sqlite3_errmsg(db));
}

Bytes noise(std::size_t size) {
  Bytes out(size);
  crypto::random_bytes(out);
  return out;
}

class Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) {
    require(sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) == SQLITE_OK, db);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  template <class... Values>
  void operator()(const Values&... values) {
    int at = 0;
    (bind(++at, values), ...);
    require(sqlite3_step(statement_) == SQLITE_DONE, db_);
    sqlite3_reset(statement_);
  }

 private:
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(statement_, at, value); }
  void bind(int at, const Bytes& value) {
    sqlite3_bind_blob(statement_, at, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  }
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
};

// The gateway's schema and settings of the log, and nothing else of it.
struct Database {
  explicit Database(const std::string& file) : path(file) {
    remove();
    if (!store::open_sqlite(path)) throw std::runtime_error("commit floor: no database");
    require(sqlite3_open(path.c_str(), &db) == SQLITE_OK, db);
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768;"
        "PRAGMA wal_autocheckpoint=4000;");
    run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<" +
        std::to_string(kUsers) +
        ") INSERT INTO account (tenant, user_tag, change, term, version, next_order,"
        " lowest_unsettled, next_event, acked_event, state)"
        " SELECT 1, randomblob(16), 0, 0, 0, 1, 1, 1, 0, 0 FROM n;"
        "INSERT INTO ratchet (tenant, uid, contact, device, record)"
        " SELECT 1, uid, zeroblob(16), 0, randomblob(480) FROM account ORDER BY random();");
  }
  ~Database() {
    sqlite3_close(db);
    remove();
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const std::string& sql) {
    require(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK, db);
  }
  void remove() const {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path + end);
  }

  std::string path;
  sqlite3* db = nullptr;
};

const char* const kCas =
    "UPDATE account SET version=version+1, change=?4, next_order=?5, lowest_unsettled=?6,"
    " next_event=?7 WHERE uid=?1 AND term=?2 AND version=?3";
const char* const kRatchet =
    "UPDATE ratchet SET record=?3 WHERE tenant=1 AND uid=?1 AND contact=?2 AND device=0";
const char* const kEvent =
    "INSERT INTO event (tenant, uid, seq, at, payload) VALUES (1,?1,?2,?3,?4)";

// CPU of `message(user, round)` for a batch of users, each batch one transaction.
template <class Message>
double in_transactions(Database& database, Message message) {
  std::vector<int> users(kUsers);
  for (int i = 0; i < kUsers; ++i) users[i] = i;
  for (std::size_t i = kUsers; i > 1; --i)  // who writes together does not lie together
    std::swap(users[i - 1], users[crypto::random_u64() % i]);
  Statement begin(database.db, "BEGIN IMMEDIATE"), commit(database.db, "COMMIT");
  std::size_t at = 0;
  const double start = thread_cpu_us();
  for (int batch = 0; batch < kBatches; ++batch) {
    begin();
    for (int i = 0; i < kBatch; ++i, ++at) message(users[at % kUsers] + 1, at / kUsers);
    commit();
  }
  return (thread_cpu_us() - start) / (kBatches * kBatch);
}

}  // namespace

double outbound_commit_us(const std::string& file, std::size_t text_size) {
  Database database(file);
  Statement cas(database.db, kCas), ratchet(database.db, kRatchet), event(database.db, kEvent);
  Statement insert(database.db,
                   "INSERT INTO message (tenant, uid, ord, created, state, reason, request,"
                   " body_mac, contact, content, stanza) VALUES (1,?1,?2,0,1,0,?3,?4,?5,?6,?7)");
  Statement settle(database.db,
                   "UPDATE message SET state=4, stanza=NULL WHERE tenant=1 AND uid=?1 AND ord=?2");
  const Bytes record = noise(480), contact(16), mac = noise(16), status = noise(130);
  const Bytes content = noise(text_size + 110), stanza = noise(text_size + 230);
  // What leaves, in one transaction; what WhatsApp says to it, in a later one.
  const double leave = in_transactions(database, [&](std::int64_t uid, std::int64_t n) {
    cas(uid, 0, n, 7, n + 2, 1, 1);
    ratchet(uid, contact, record);
    insert(uid, n + 1, noise(16), mac, contact, content, stanza);
  });
  const std::int64_t done = (kBatches * kBatch + kUsers - 1) / kUsers;
  const double settled = in_transactions(database, [&](std::int64_t uid, std::int64_t n) {
    cas(uid, 0, done + n, 7, done + 1, n + 1, 2 * n + 3);
    settle(uid, n + 1);
    event(uid, 2 * n + 1, 0, status);
    event(uid, 2 * n + 2, 0, status);
  });
  return leave + settled;
}

double inbound_commit_us(const std::string& file, std::size_t text_size) {
  Database database(file);
  Statement cas(database.db, kCas), ratchet(database.db, kRatchet), event(database.db, kEvent);
  Statement received(database.db,
                     "INSERT INTO received (tenant, uid, seq, at, message, cipher_hash)"
                     " VALUES (1,?1,?2,0,?3,?4)");
  const Bytes record = noise(640), contact(16), hash = noise(16), payload = noise(text_size + 110);
  return in_transactions(database, [&](std::int64_t uid, std::int64_t n) {
    cas(uid, 0, n, 7, 1, 1, n + 2);
    ratchet(uid, contact, record);
    received(uid, n + 1, noise(16), hash);
    event(uid, n + 1, 0, payload);
  });
}

}  // namespace gw::bench
