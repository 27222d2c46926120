#include "floors/commit.h"

#include <filesystem>
#include <sqlite3.h>
#include <stdexcept>
#include <vector>

#include "crypto/crypto.h"
#include "floors/cpu.h"

namespace gw::bench {
namespace {

constexpr int kBatch = 100, kBatches = 60, kWarmUp = 30;

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

// What a user's rows stand at.
struct User {
  std::int64_t uid = 0, term = 0, version = 0, next_order = 0, next_event = 0;
  Bytes contact;
};

// A copy of a database that a gateway has filled, so that each page is as far from the next one as
// it is there; with its settings of the log, and nothing else of it.
struct Copy {
  Copy(const std::string& gateways, const std::string& file) : path(file) {
    remove();
    copy(gateways);
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768;"
        "PRAGMA wal_autocheckpoint=4000;");
    read_users();
  }
  ~Copy() {
    sqlite3_close(db);
    remove();
  }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;

  void run(const std::string& sql) {
    require(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK, db);
  }
  // Octets of a column's value, on average.
  std::size_t size_of(const std::string& column, const std::string& table) {
    sqlite3_stmt* row = nullptr;
    // The newest rows stand for all.
    const std::string sql = "SELECT coalesce(avg(length(" + column + ")),0) FROM (SELECT " +
                            column + " FROM " + table + " WHERE length(" + column +
                            ")>0 ORDER BY rowid DESC LIMIT 1000)";
    require(sqlite3_prepare_v2(db, sql.c_str(), -1, &row, nullptr) == SQLITE_OK &&
                sqlite3_step(row) == SQLITE_ROW,
            db);
    const auto size = static_cast<std::size_t>(sqlite3_column_double(row, 0));
    sqlite3_finalize(row);
    return size;
  }

  std::string path;
  sqlite3* db = nullptr;
  std::vector<User> users;  // in random order
  std::int64_t tenant = 0;

 private:
  void copy(const std::string& from) {
    sqlite3* source = nullptr;
    bool ok = sqlite3_open_v2(from.c_str(), &source, SQLITE_OPEN_READONLY, nullptr) == SQLITE_OK &&
              sqlite3_open(path.c_str(), &db) == SQLITE_OK;
    auto* backup = ok ? sqlite3_backup_init(db, "main", source, "main") : nullptr;
    ok = backup != nullptr && sqlite3_backup_step(backup, -1) == SQLITE_DONE;
    sqlite3_backup_finish(backup);
    sqlite3_close(source);
    if (!ok) throw std::runtime_error("commit floor: the gateway's database cannot be copied");
  }
  void read_users() {
    sqlite3_stmt* row = nullptr;
    require(sqlite3_prepare_v2(
                db,
                "SELECT a.uid, term, version, next_order, next_event, r.contact, a.tenant"
                " FROM account a JOIN ratchet r ON r.tenant=a.tenant AND"
                " r.uid=a.uid AND r.device=0 GROUP BY a.uid"
                " ORDER BY random()",
                -1, &row, nullptr) == SQLITE_OK,
            db);
    while (sqlite3_step(row) == SQLITE_ROW) {
      const auto* tag = static_cast<const std::uint8_t*>(sqlite3_column_blob(row, 5));
      users.push_back({sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
                       sqlite3_column_int64(row, 2), sqlite3_column_int64(row, 3),
                       sqlite3_column_int64(row, 4), Bytes(tag, tag + 16)});
      tenant = sqlite3_column_int64(row, 6);
    }
    sqlite3_finalize(row);
    if (users.size() < kBatch) throw std::runtime_error("commit floor: too few users");
  }
  void remove() const {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path + end);
  }
};

const char* const kCas =
    "UPDATE account SET version=version+1, change=?4, next_order=?5, lowest_unsettled=?6,"
    " next_event=?7 WHERE uid=?1 AND term=?2 AND version=?3";
const char* const kRatchet =
    "UPDATE ratchet SET record=?3 WHERE tenant=?4 AND uid=?1 AND contact=?2 AND device=0";
const char* const kEvent =
    "INSERT INTO event (tenant, uid, seq, at, payload) VALUES (?5,?1,?2,?3,?4)";

// CPU of `message(user)` for a batch of users, each batch one transaction; the first ones only fill
// the page cache.
template <class Message>
double in_transactions(Copy& database, Message message) {
  Statement begin(database.db, "BEGIN IMMEDIATE"), commit(database.db, "COMMIT");
  std::size_t at = 0;
  double start = 0;
  for (int batch = -kWarmUp; batch < kBatches; ++batch) {
    if (batch == 0) start = thread_cpu_us();
    begin();
    for (int i = 0; i < kBatch; ++i, ++at) message(database.users[at % database.users.size()]);
    commit();
  }
  return (thread_cpu_us() - start) / (kBatches * kBatch);
}

}  // namespace

double outbound_commit_us(const std::string& gateways, const std::string& file) {
  Copy database(gateways, file);
  Statement cas(database.db, kCas), ratchet(database.db, kRatchet), event(database.db, kEvent);
  Statement insert(database.db,
                   "INSERT INTO message (tenant, uid, ord, created, state, reason, request,"
                   " body_mac, contact, content, stanza) VALUES (?8,?1,?2,0,1,0,?3,?4,?5,?6,?7)");
  Statement settle(database.db,
                   "UPDATE message SET state=4, stanza=NULL WHERE tenant=?3 AND uid=?1 AND ord=?2");
  const Bytes record = noise(database.size_of("record", "ratchet")), mac = noise(16);
  const Bytes content = noise(database.size_of("content", "message"));
  // A stanza is the text once more and what is around it; settled ones are gone from the rows.
  const Bytes stanza = noise(content.size() + 160);
  const Bytes status = noise(database.size_of("payload", "event"));
  const std::int64_t tenant = database.tenant;
  std::vector<std::pair<User*, std::int64_t>> left;
  // What leaves, in one transaction; what WhatsApp says to it, in a later one.
  const double leave = in_transactions(database, [&](User& user) {
    cas(user.uid, user.term, user.version++, std::int64_t{7}, user.next_order + 1, user.next_order,
        user.next_event);
    ratchet(user.uid, user.contact, record, tenant);
    insert(user.uid, user.next_order, noise(16), mac, user.contact, content, stanza, tenant);
    left.emplace_back(&user, user.next_order++);
  });
  std::size_t at = 0;
  const double settled = in_transactions(database, [&](User&) {
    auto [user, order] = left[at++];
    cas(user->uid, user->term, user->version++, std::int64_t{7}, user->next_order, order + 1,
        user->next_event + 2);
    settle(user->uid, order, tenant);
    event(user->uid, user->next_event++, std::int64_t{0}, status, tenant);
    event(user->uid, user->next_event++, std::int64_t{0}, status, tenant);
  });
  return leave + settled;
}

double inbound_commit_us(const std::string& gateways, const std::string& file) {
  Copy database(gateways, file);
  Statement cas(database.db, kCas), ratchet(database.db, kRatchet), event(database.db, kEvent);
  Statement received(database.db,
                     "INSERT INTO received (tenant, uid, seq, at, message, cipher_hash)"
                     " VALUES (?5,?1,?2,0,?3,?4)");
  const Bytes record = noise(database.size_of("record", "ratchet")), hash = noise(16);
  const Bytes payload = noise(database.size_of("payload", "event"));
  const std::int64_t tenant = database.tenant;
  return in_transactions(database, [&](User& user) {
    cas(user.uid, user.term, user.version++, std::int64_t{7}, user.next_order, user.next_order,
        user.next_event + 1);
    ratchet(user.uid, user.contact, record, tenant);
    received(user.uid, user.next_event, noise(16), hash, tenant);
    event(user.uid, user.next_event++, std::int64_t{0}, payload, tenant);
  });
}

}  // namespace gw::bench
