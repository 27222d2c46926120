#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include "crypto/crypto.h"
#include "floors/commit.h"
#include "floors/cpu.h"
#include "store/postgres/arrays.h"

namespace gw::bench {
namespace {

using store::postgres::Array;
using store::postgres::Type;
using store::test::PrivatePostgres;

constexpr int kBatch = 100, kBatches = 60, kWarmUp = 30;

Bytes noise(std::size_t size) {
  Bytes out(size);
  crypto::random_bytes(out);
  return out;
}

struct User {
  std::int64_t uid = 0, version = 0, next_order = 0, next_event = 0;
  Bytes contact;
};

// The rows that change are copied, so that each lies as far from the next as in the gateway's
// tables; what is inserted goes into empty tables with the one index that they cannot do without.
constexpr const char* kMake = R"sql(
SET client_min_messages=warning;
DROP SCHEMA IF EXISTS floor CASCADE; CREATE SCHEMA floor;
CREATE TABLE floor.account (LIKE account INCLUDING ALL) WITH (fillfactor=50);
CREATE TABLE floor.ratchet (LIKE ratchet INCLUDING ALL) WITH (fillfactor=50);
CREATE TABLE floor.message (LIKE message INCLUDING STORAGE) WITH (fillfactor=70);
CREATE TABLE floor.event (LIKE event INCLUDING STORAGE);
CREATE TABLE floor.received (LIKE received INCLUDING STORAGE);
INSERT INTO floor.account SELECT * FROM account;
INSERT INTO floor.ratchet SELECT * FROM ratchet;
CREATE UNIQUE INDEX ON floor.message (tenant,uid,ord);
CREATE UNIQUE INDEX ON floor.event (tenant,uid,seq);
CREATE UNIQUE INDEX ON floor.received (tenant,uid,message);
ANALYZE floor.account, floor.ratchet;
SET plan_cache_mode=force_generic_plan; SET enable_seqscan=off; SET enable_bitmapscan=off;
SET enable_mergejoin=off; SET enable_hashjoin=off; SET jit=off; SET search_path=floor;
)sql";

#define GW_FLOOR_ACCOUNT                                                                     \
  "WITH a AS (UPDATE account t SET version=t.version+1, change=7, next_order=u.o, "          \
  "next_event=u.e FROM unnest($1::int8[],$2::int8[],$3::int8[],$4::int8[]) AS u(uid,v,o,e) " \
  "WHERE t.tenant=1001 AND t.uid=u.uid AND t.version=u.v)"
#define GW_FLOOR_RATCHET                                                                     \
  ", r AS (UPDATE ratchet t SET record=u.r FROM unnest($1::int8[],$5::bytea[],$6::bytea[]) " \
  "AS u(uid,c,r) WHERE t.tenant=1001 AND t.uid=u.uid AND t.contact=u.c AND t.device=0)"

class Floors {
 public:
  Floors(PrivatePostgres& server, const std::string& database)
      : server_(server), db_(server.uri_of(database)) {
    run(kMake);
    db_.prepare(
        "leave", GW_FLOOR_ACCOUNT GW_FLOOR_RATCHET
        " INSERT INTO message (tenant,uid,ord,bucket,created,request,body_mac,contact,content,"
        "state,reason,stanza) SELECT 1001,u.uid,u.o,0,0,u.q,u.m,u.c,u.t,1,0,u.s FROM"
        " unnest($1::int8[],$3::int8[],$7::bytea[],$8::bytea[],$5::bytea[],$9::bytea[],"
        "$10::bytea[]) AS u(uid,o,q,m,c,t,s)");
    db_.prepare(
        "settle", GW_FLOOR_ACCOUNT
        ", m AS (UPDATE message t SET state=4, stanza=NULL FROM"
        " unnest($1::int8[],$3::int8[]) AS u(uid,o) WHERE t.tenant=1001 AND t.uid=u.uid AND"
        " t.ord=u.o)"
        " INSERT INTO event (tenant,uid,seq,bucket,at,payload) SELECT 1001,u.uid,u.e-i,0,0,u.p"
        " FROM unnest($1::int8[],$4::int8[],$5::bytea[]) AS u(uid,e,p),"
        " generate_series(1,2) AS i");
    db_.prepare(
        "receive", GW_FLOOR_ACCOUNT GW_FLOOR_RATCHET
        ", v AS (INSERT INTO received (tenant,uid,message,bucket,cipher_hash,seq,at) SELECT"
        " 1001,u.uid,u.m,0,u.h,u.e,0 FROM"
        " unnest($1::int8[],$4::int8[],$7::bytea[],$8::bytea[]) AS u(uid,e,m,h))"
        " INSERT INTO event (tenant,uid,seq,bucket,at,payload) SELECT 1001,u.uid,u.e-1,0,0,u.p"
        " FROM unnest($1::int8[],$4::int8[],$9::bytea[]) AS u(uid,e,p)");
    read_users();
  }
  ~Floors() {
    try {
      run("DROP SCHEMA floor CASCADE");
    } catch (const std::exception&) {
    }
  }

  std::size_t size_of(const std::string& column, const std::string& table) {
    auto rows = pqxx::nontransaction(db_).exec(
        "SELECT coalesce(avg(n),0)::int8 FROM (SELECT length(" + column + ") AS n FROM public." +
        table + " WHERE length(" + column + ")>0 LIMIT 1000) s");
    return rows[0][0].as<std::size_t>();
  }

  // CPU of statement `name`, a message; the first batches only fill the caches. `fill` adds a row
  // to the arrays and moves the user on; what all have in common is there already.
  template <class Fill>
  double in_statements(const char* name, std::vector<Type> types, Fill fill) {
    std::size_t at = 0;
    double start = 0;
    const auto cpu = [&] { return thread_cpu_us() + server_.cpu_us(); };
    for (int batch = -kWarmUp; batch < kBatches; ++batch) {
      if (batch == 0) start = cpu();
      std::vector<Array> arrays(types.begin(), types.end());
      for (int i = 0; i < kBatch; ++i, ++at) fill(arrays, users_[at % users_.size()]);
      std::vector<pqxx::binarystring> parameters;
      for (auto& array : arrays) parameters.push_back(array.parameter());
      pqxx::nontransaction(db_).exec_prepared(name, pqxx::prepare::make_dynamic_params(parameters));
    }
    return (cpu() - start) / (kBatches * kBatch);
  }

 private:
  void run(const std::string& sql) { pqxx::nontransaction(db_).exec(sql); }
  void read_users() {
    auto rows = pqxx::nontransaction(db_).exec(
        "SELECT DISTINCT ON (md5(a.uid::text)) a.uid, a.version, a.next_order, a.next_event, "
        "r.contact"
        " FROM account a JOIN ratchet r ON r.tenant=a.tenant AND r.uid=a.uid AND r.device=0"
        " ORDER BY md5(a.uid::text)");
    for (const auto& row : rows) {
      pqxx::binarystring contact(row[4]);
      users_.push_back({row[0].as<std::int64_t>(), row[1].as<std::int64_t>(),
                        row[2].as<std::int64_t>(), row[3].as<std::int64_t>(),
                        Bytes(contact.data(), contact.data() + contact.size())});
    }
    if (users_.size() < kBatch) throw std::runtime_error("commit floor: too few users");
  }

  PrivatePostgres& server_;
  pqxx::connection db_;
  std::vector<User> users_;  // in random order
};

}  // namespace

double outbound_commit_us(PrivatePostgres& server, const std::string& database) {
  Floors floors(server, database);
  const Bytes record = noise(floors.size_of("record", "ratchet")), mac = noise(16);
  const Bytes content = noise(floors.size_of("content", "message"));
  const Bytes stanza = noise(content.size() + 160);
  const Bytes status = noise(floors.size_of("payload", "event"));
  std::vector<std::pair<User*, std::int64_t>> left;
  using T = Type;
  const double leave = floors.in_statements(
      "leave",
      {T::kInt8, T::kInt8, T::kInt8, T::kInt8, T::kBytea, T::kBytea, T::kBytea, T::kBytea,
       T::kBytea, T::kBytea},
      [&](std::vector<Array>& a, User& user) {
        left.emplace_back(&user, ++user.next_order);
        a[0].add(user.uid), a[1].add(user.version++), a[2].add(user.next_order),
            a[3].add(user.next_event);
        a[4].add(ByteView(user.contact)), a[5].add(ByteView(record)), a[6].add(ByteView(noise(16)));
        a[7].add(ByteView(mac)), a[8].add(ByteView(content)), a[9].add(ByteView(stanza));
      });
  std::size_t at = 0;
  const double settle = floors.in_statements(
      "settle", {T::kInt8, T::kInt8, T::kInt8, T::kInt8, T::kBytea},
      [&](std::vector<Array>& a, User&) {
        auto [user, order] = left[at++];
        user->next_event += 2;
        a[0].add(user->uid), a[1].add(user->version++), a[2].add(order), a[3].add(user->next_event);
        a[4].add(ByteView(status));
      });
  return leave + settle;
}

double inbound_commit_us(PrivatePostgres& server, const std::string& database) {
  Floors floors(server, database);
  const Bytes record = noise(floors.size_of("record", "ratchet")), hash = noise(16);
  const Bytes payload = noise(floors.size_of("payload", "event"));
  using T = Type;
  return floors.in_statements("receive",
                              {T::kInt8, T::kInt8, T::kInt8, T::kInt8, T::kBytea, T::kBytea,
                               T::kBytea, T::kBytea, T::kBytea},
                              [&](std::vector<Array>& a, User& user) {
                                ++user.next_event;
                                a[0].add(user.uid), a[1].add(user.version++),
                                    a[2].add(user.next_order), a[3].add(user.next_event);
                                a[4].add(ByteView(user.contact)), a[5].add(ByteView(record)),
                                    a[6].add(ByteView(noise(16)));
                                a[7].add(ByteView(hash)), a[8].add(ByteView(payload));
                              });
}

}  // namespace gw::bench
