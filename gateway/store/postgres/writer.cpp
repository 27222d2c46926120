#include "store/postgres/writer.h"

#include <algorithm>

#include "store/postgres/apply.h"
#include "store/postgres/arrays.h"
#include "store/postgres/schema.h"

namespace gw::store::postgres {
namespace {

using Kind = Outcome::Kind;

// A plan that is made while a partition is empty reads the whole table and joins by hash, and would
// be kept while the table grows.
constexpr const char* kSession =
    "SET plan_cache_mode=force_generic_plan; SET enable_seqscan=off; SET enable_bitmapscan=off;"
    "SET enable_mergejoin=off; SET enable_hashjoin=off; SET jit=off;"
    "SET default_transaction_isolation='read committed'; SET client_min_messages=warning;";

constexpr const char* kEraseKeys = R"sql(
WITH u AS MATERIALIZED (SELECT * FROM unnest($1::int4[],$2::int8[],$3::int8[],$4::int8[])
    AS u(tenant,uid,term,version)),
l AS MATERIALIZED (SELECT a.tenant, a.uid FROM u JOIN account a ON a.tenant=u.tenant AND a.uid=u.uid
    WHERE a.term=u.term AND a.version=u.version ORDER BY a.tenant, a.uid FOR NO KEY UPDATE OF a),
r AS (DELETE FROM ratchet t USING l WHERE t.tenant=l.tenant AND t.uid=l.uid),
c AS (DELETE FROM contact t USING l WHERE t.tenant=l.tenant AND t.uid=l.uid)
DELETE FROM prekey t USING l WHERE t.tenant=l.tenant AND t.uid=l.uid)sql";

// Locks in the order of users, as apply does. A term that is null: there is no such user, or
// (there) its row was passed over.
std::string claim_sql(std::string_view wait) {
  return R"sql(
WITH u AS MATERIALIZED (SELECT * FROM unnest($1::int4[],$2::int8[]) WITH ORDINALITY
    AS u(tenant,uid,i)),
l AS MATERIALIZED (SELECT u.i, a.tenant, a.uid FROM u JOIN account a ON a.tenant=u.tenant
    AND a.uid=u.uid ORDER BY a.tenant, a.uid FOR NO KEY UPDATE OF a )sql" +
         std::string(wait) + R"sql(),
w AS (UPDATE account a SET term=a.term+1 FROM l WHERE a.tenant=l.tenant AND a.uid=l.uid
    RETURNING l.i, a.term)
SELECT w.term, EXISTS (SELECT 1 FROM account a WHERE a.tenant=u.tenant AND a.uid=u.uid)
  FROM u LEFT JOIN w ON w.i=u.i ORDER BY u.i)sql";
}

}  // namespace

// While a batch is done one by one: how often a lock may be waited for in vain, and for how long.
// Whoever holds one lock for long may hold more, and everybody waits meanwhile.
class Writer::Patience {
 public:
  explicit Patience(Writer& writer) : writer_(writer) {}
  ~Patience() {
    if (found_ > 0) wait_for(writer_.lock_timeout_);
  }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // True: the others are to be tried all the same.
  bool found_locked() {
    constexpr int kMost = 4, kShare = 10;
    if (found_ == 0) wait_for(std::max(writer_.lock_timeout_ / kShare, Millis{1}));
    return ++found_ < kMost;
  }

 private:
  // It fails with the session only.
  void wait_for(Millis timeout) {
    (void)writer_.db_.transaction([&](Transaction& tx) {
      return tx.run("SET lock_timeout=" + std::to_string(timeout.count()));
    });
  }

  Writer& writer_;
  int found_ = 0;
};

Result<std::unique_ptr<Writer>> Writer::open(const PostgresOptions& options) {
  std::string settings = kSession;
  settings += "SET statement_timeout=" + std::to_string(options.statement_timeout.count()) + ";";
  settings += "SET lock_timeout=" + std::to_string(options.lock_timeout.count()) + ";";
  GW_ASSIGN(auto db, Connection::open(options.uri, settings, options.answer_timeout));
  auto writer = std::unique_ptr<Writer>(new Writer(std::move(db), options.lock_timeout));
  GW_TRY(writer->check_durability());
  GW_TRY(prepare_schema(writer->db_));
  writer->db_.prepare("erase", kEraseKeys);
  writer->db_.prepare("claim", claim_sql(""));
  writer->db_.prepare("claim_free", claim_sql("SKIP LOCKED"));
  return writer;
}

// What the server is set to decides what "committed" means. What a session may change is changed
// here; what it may not is refused where a crash would lose what was accepted.
Result<void> Writer::check_durability() {
  return db_.transaction([&](Transaction& tx) -> Result<void> {
    GW_ASSIGN(auto rows,
              tx.rows("SELECT current_setting('server_version'), current_setting('fsync'),"
                      " current_setting('full_page_writes'), current_setting('synchronous_commit'),"
                      " current_setting('synchronous_standby_names'),"
                      " current_setting('server_version_num')::int"));
    const auto text = [&](int column) { return rows[0][column].as<std::string>(); };
    if (rows[0][5].as<int>() < 140000)
      return fail(ErrorKind::kConfig, "POSTGRES_TOO_OLD", "PostgreSQL 14 or newer is needed");
    if (text(1) != "on")
      return fail(ErrorKind::kConfig, "POSTGRES_UNSAFE",
                  "the server runs with fsync=off and loses what was committed when the machine "
                  "stops: set fsync=on");
    std::string commit = text(3);
    durability_ = "PostgreSQL " + text(0) + ": fsync on, full_page_writes " + text(2);
    const bool weak = commit != "on" && commit != "remote_apply";
    // Set even where it is so already: the server's default may change under the session.
    GW_TRY(tx.run("SET SESSION synchronous_commit=" + (weak ? std::string("on") : commit)));
    if (weak) commit = "on (the server's own setting, " + commit + ", is not used)";
    durability_ += ", synchronous_commit " + commit;
    durability_ += text(4).empty()
                       ? ", no synchronous standby: the loss of this server's disk loses "
                         "what was committed"
                       : ", synchronous standby " + text(4);
    return {};
  });
}

Result<std::vector<Outcome>> Writer::apply(std::span<const Sealed> batch) {
  // Users are locked in one order by everybody.
  std::vector<std::size_t> order(batch.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return batch[a].rows.user < batch[b].rows.user; });
  Batch sorted;
  for (auto i : order) sorted.push_back(&batch[i].rows);
  const bool erases =
      std::any_of(sorted.begin(), sorted.end(), [](auto* c) { return c->erase_keys; });
  Patience patience(*this);
  // What erases takes two statements, and is rolled back when it does not apply: alone, then.
  auto found = erases && sorted.size() > 1 ? one_by_one(sorted, patience) : apply_sorted(sorted);
  // One change set that is wrong in itself, or whose row is locked, fails the statement for all.
  const bool locked = !found && sorted.size() > 1 && found.error().reason == kLocked;
  if (locked) patience.found_locked();
  if (locked || (!found && found.error().kind == ErrorKind::kBug))
    found = one_by_one(sorted, patience);
  if (!found) return found;
  std::vector<Outcome> outcomes(batch.size());
  for (std::size_t i = 0; i < order.size(); ++i) outcomes[order[i]] = std::move((*found)[i]);
  return outcomes;
}

Result<std::vector<Outcome>> Writer::apply_sorted(const Batch& batch) {
  constexpr int kTries = 4;
  GW_TRY(make_room(buckets_of(batch)));
  for (int tries = 1;; ++tries) {
    auto outcomes = batch.front()->erase_keys ? apply_erasing(batch) : apply_plain(batch);
    // A deadlock, or a serialization failure: rolled back, and the next try sees the other's work.
    if (outcomes || outcomes.error().reason != "POSTGRES_CONFLICT" || tries == kTries)
      return outcomes;
  }
}

Result<std::vector<Outcome>> Writer::apply_plain(const Batch& batch) {
  const unsigned parts = parts_of(batch);
  const auto parameters = apply_parameters(batch, parts);
  auto all = db_.statement(prepared(parts, Form::kAll), parameters);
  if (all) {
    Outcome applied;
    applied.kind = Kind::kApplied;
    return std::vector<Outcome>(batch.size(), applied);
  }
  if (all.error().kind != ErrorKind::kBug) return fail(std::move(all).error());
  GW_ASSIGN(auto answer, db_.statement(prepared(parts, Form::kEach), parameters));
  return apply_outcomes(batch, answer);
}

// Its name; the session knows it from now on.
std::string Writer::prepared(unsigned parts, Form form) {
  const bool all = form == Form::kAll;
  std::string name = (all ? "apply_all_" : "apply_each_") + std::to_string(parts);
  if (prepared_.insert(name).second)
    db_.prepare(name, all ? apply_all_sql(parts) : apply_each_sql(parts));
  return name;
}

Result<std::vector<Outcome>> Writer::one_by_one(const Batch& batch, Patience& patience) {
  buckets_.clear();  // perhaps it was a partition that somebody dropped
  std::vector<Outcome> outcomes;
  for (const ChangeSet* change : batch) {
    auto found = apply_sorted({change});
    if (found) {
      outcomes.push_back(std::move((*found)[0]));
    } else if (found.error().reason == kLocked && patience.found_locked()) {
      outcomes.emplace_back().error = std::move(found).error();
    } else if (found.error().kind == ErrorKind::kRetryLater ||
               found.error().kind == ErrorKind::kConfig) {
      // Those before it are committed and have their answers; those behind it would fare no better.
      Outcome failed;
      failed.error = std::move(found).error();
      failed.error.kind = ErrorKind::kRetryLater;
      outcomes.resize(batch.size(), failed);
      break;
    } else if (found.error().kind != ErrorKind::kBug) {
      return fail(std::move(found).error());  // what is done already is found applied next time
    } else if (found.error().reason == kUserMissing) {
      outcomes.emplace_back().kind = Kind::kStale;
    } else {
      outcomes.emplace_back().error = std::move(found).error();
    }
  }
  return outcomes;
}

Result<void> Writer::make_room(const std::set<std::int32_t>& buckets) {
  for (auto bucket : buckets) {
    if (buckets_.contains(bucket)) continue;
    GW_TRY(make_partitions(db_, bucket));
    buckets_.insert(bucket);
  }
  return {};
}

// Of one change set. What it deletes goes first: one statement cannot delete a row and insert it
// anew. What then does not apply must not have deleted anything.
Result<std::vector<Outcome>> Writer::apply_erasing(const Batch& one) {
  std::vector<Outcome> refused;
  auto done = db_.get([&](Transaction& tx) -> Result<std::vector<Outcome>> {
    GW_TRY(tx.statement("erase", erase_parameters(one)));
    const unsigned parts = parts_of(one);
    GW_ASSIGN(auto answer,
              tx.statement(prepared(parts, Form::kEach), apply_parameters(one, parts)));
    GW_ASSIGN(auto outcomes, apply_outcomes(one, answer));
    const Kind kind = outcomes.front().kind;
    if (kind != Kind::kExists && kind != Kind::kFailed) return outcomes;
    refused = std::move(outcomes);
    return fail(ErrorKind::kRejected, "ROLLED_BACK");
  });
  if (!done && !refused.empty()) return refused;
  return done;
}

Result<std::pair<UserRef, bool>> Writer::enlist(const Enlistment& e) {
  return db_.get([&](Transaction& tx) -> Result<std::pair<UserRef, bool>> {
    std::pair<UserRef, bool> made;
    GW_ASSIGN(made.second, write_enlisted(tx, e, made.first));
    return made;
  });
}

// True: this enlistment made or revived the row.
Result<bool> Writer::write_enlisted(Transaction& tx, const Enlistment& e, UserRef& user) {
  const auto change = static_cast<std::int64_t>(e.change);
  // Makes the row, or waits for whoever makes it; then it is there, locked, and as it is now.
  GW_TRY(
      tx.rows("INSERT INTO account (tenant,uid,term,version,change,next_order,lowest_unsettled,"
              "next_event,acked_event,state,user_tag)"
              " VALUES ($1,nextval('account_uid'),0,0,$2,1,1,1,0,0,$3)"
              " ON CONFLICT (tenant,user_tag) DO NOTHING",
              int{e.tenant}, change, binary(e.user_tag)));
  GW_ASSIGN(auto rows,
            tx.rows("SELECT a.uid, a.state, a.version, a.change,"
                    " EXISTS (SELECT 1 FROM profile p WHERE p.tenant=a.tenant AND p.uid=a.uid)"
                    " FROM account a WHERE a.tenant=$1 AND a.user_tag=$2 FOR UPDATE",
                    int{e.tenant}, binary(e.user_tag)));
  if (rows.size() != 1) return fail(ErrorKind::kRetryLater, "POSTGRES_CONFLICT");
  const auto& row = rows[0];
  user = {e.tenant, row[0].as<std::int64_t>()};
  auto version = row[2].as<Version>();
  const bool ours = row[3].as<std::int64_t>() == change;
  const bool enlisted = row[1].as<int>() == static_cast<int>(AccountState::kEnlisted);
  if (enlisted && row[4].as<bool>()) return ours;  // there already, perhaps by an earlier try
  if (!enlisted) {
    // The version rises, so whoever still holds the withdrawn user finds itself stale.
    ++version;
    GW_TRY(tx.rows("UPDATE account SET state=0, version=$3, change=$4 WHERE tenant=$1 AND uid=$2",
                   int{user.tenant}, user.uid, version, change));
    for (const char* table : {"ratchet", "contact", "prekey"})
      GW_TRY(tx.rows(std::string("DELETE FROM ") + table + " WHERE tenant=$1 AND uid=$2",
                     int{user.tenant}, user.uid));
  }
  GW_ASSIGN(auto sealed, e.seal(user, version));
  GW_TRY(
      tx.rows("INSERT INTO profile (tenant,uid,sealed) VALUES ($1,$2,$3)"
              " ON CONFLICT (tenant,uid) DO UPDATE SET sealed=excluded.sealed",
              int{user.tenant}, user.uid, binary(sealed.profile)));
  for (const auto& p : sealed.prekeys)
    GW_TRY(tx.rows("INSERT INTO prekey (tenant,uid,first_id,sealed) VALUES ($1,$2,$3,$4)",
                   int{user.tenant}, user.uid, std::int64_t{p.first_id}, binary(p.blob)));
  return true;
}

// A row that stays locked is passed over the second time, so that the others do not wait for it.
Result<Claimed> Writer::claim(std::span<const UserRef> users) {
  Array tenants(Type::kInt4), uids(Type::kInt8);
  for (const UserRef& user : users) {
    tenants.add(std::int64_t{user.tenant});
    uids.add(user.uid);
  }
  const Parameters parameters{tenants.parameter(), uids.parameter()};
  // A transaction, so that a session that is lost before the commit leaves nothing unknown.
  const auto run = [&](const char* statement) {
    return db_.get([&](Transaction& tx) { return tx.statement(statement, parameters); });
  };
  auto answer = run("claim");
  if (!answer && answer.error().reason == kLocked && users.size() > 1) answer = run("claim_free");
  if (!answer) return fail(std::move(answer).error());
  Claimed claimed;
  for (const auto& row : *answer) {
    if (!row[0].is_null())
      claimed.emplace_back(row[0].as<Term>());
    else if (row[1].as<bool>())
      claimed.push_back(fail(ErrorKind::kRetryLater, kLocked, "another session holds a lock"));
    else
      claimed.push_back(fail(ErrorKind::kRejected, "USER_UNKNOWN"));
  }
  return claimed;
}

Result<std::optional<Bytes>> Writer::root_key() {
  return db_.get([&](Transaction& tx) -> Result<std::optional<Bytes>> {
    GW_ASSIGN(auto rows, tx.rows("SELECT wrapped FROM root_key"));
    if (rows.empty()) return std::optional<Bytes>();
    return octets(rows[0][0]);
  });
}

Result<Bytes> Writer::put_root_key(ByteView wrapped) {
  return db_.get([&](Transaction& tx) -> Result<Bytes> {
    GW_TRY(tx.rows("INSERT INTO root_key (id,wrapped) VALUES (1,$1) ON CONFLICT DO NOTHING",
                   binary(wrapped)));
    GW_ASSIGN(auto rows, tx.rows("SELECT wrapped FROM root_key"));
    if (rows.empty()) return fail(ErrorKind::kRetryLater, "POSTGRES_CONFLICT");
    return octets(rows[0][0]);
  });
}

Result<std::uint32_t> Writer::add_data_key(ByteView wrapped) {
  return db_.get([&](Transaction& tx) -> Result<std::uint32_t> {
    GW_ASSIGN(auto rows,
              tx.rows("INSERT INTO data_key (wrapped) VALUES ($1) RETURNING id", binary(wrapped)));
    return rows[0][0].as<std::uint32_t>();
  });
}

// Whole partitions, the oldest first; what has to stay keeps its partition or moves on to today's.
Result<std::size_t> Writer::sweep(WallTime before, std::size_t limit) {
  const auto today =
      bucket_of(std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now()));
  GW_TRY(make_room({today, today + 1}));  // tomorrow's is there before anybody needs it
  std::size_t dropped = 0;
  std::optional<Error> kept;
  for (Table table : kPartitioned) {
    GW_ASSIGN(auto buckets, buckets_before(db_, table, bucket_of(before)));
    std::size_t here = 0;
    for (auto bucket : buckets) {
      if (here == limit) break;
      buckets_.erase(bucket);
      auto gone = drop_partition(db_, table, bucket, today);
      if (!gone && gone.error().kind != ErrorKind::kRetryLater)
        return fail(std::move(gone).error());
      if (!gone) {
        // Somebody reads this table; the others need not wait for that.
        kept = std::move(gone).error();
        break;
      }
      if (*gone) ++here;
    }
    dropped += here;
  }
  if (kept) return fail(*std::move(kept));
  return dropped;
}

}  // namespace gw::store::postgres
