#include "store/sqlite/writer.h"

#include <array>

#include "store/sqlite/schema.h"

namespace gw::store::sqlite {
namespace {

using Kind = Outcome::Kind;

// The change set itself is at fault; not a code that a statement of ours can return.
constexpr int kRefused = SQLITE_NOTFOUND;
bool is_items_fault(int rc) { return rc == kRefused || primary(rc) == SQLITE_CONSTRAINT; }

// Counters never go back, whatever a caller says.
constexpr const char* kCas =
    "UPDATE account SET version=version+1, change=?5, next_order=?6, lowest_unsettled=?7,"
    " next_event=?8, acked_event=?9 WHERE uid=?1 AND tenant=?2 AND term=?3 AND version=?4"
    " AND next_order<=?6 AND lowest_unsettled<=?7 AND next_event<=?8 AND acked_event<=?9";

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(const std::string& path, const SqliteOptions& options,
                                             bool make) {
  auto writer = std::make_unique<Writer>();
  auto role = make ? Connection::Role::kMaker : Connection::Role::kWriter;
  GW_ASSIGN(writer->db_, Connection::open(path, role, options));
  GW_TRY(prepare_schema(writer->db_, path, make));
  GW_TRY(writer->prepare_all());
  return writer;
}

Result<void> Writer::prepare_all() {
  struct {
    Statement& into;
    const char* sql;
  } const all[] = {
      {begin_, "BEGIN IMMEDIATE"},
      {commit_, "COMMIT"},
      {cas_, kCas},
      {set_state_, "UPDATE account SET state=?2 WHERE uid=?1"},
      {set_profile_,
       "INSERT INTO profile (uid, sealed) VALUES (?1,?2)"
       " ON CONFLICT (uid) DO UPDATE SET sealed=excluded.sealed"},
      {look_account_, "SELECT term, version, change FROM account WHERE uid=?1 AND tenant=?2"},
      {find_request_, "SELECT 1 FROM message WHERE tenant=?1 AND uid=?2 AND request=?3"},
      {find_received_, "SELECT 1 FROM received WHERE tenant=?1 AND uid=?2 AND message=?3"},
      {put_ratchet_,
       "INSERT INTO ratchet (tenant, uid, contact, device, record) VALUES (?1,?2,?3,?4,?5)"
       " ON CONFLICT (tenant, uid, contact, device) DO UPDATE SET record=excluded.record"},
      {drop_ratchet_,
       "DELETE FROM ratchet WHERE tenant=?1 AND uid=?2 AND contact=?3 AND device=?4"},
      {put_contact_,
       "INSERT INTO contact (tenant, uid, contact, sealed) VALUES (?1,?2,?3,?4)"
       " ON CONFLICT (tenant, uid, contact) DO UPDATE SET sealed=excluded.sealed"},
      {drop_contact_, "DELETE FROM contact WHERE tenant=?1 AND uid=?2 AND contact=?3"},
      {put_prekey_,
       "INSERT INTO prekey (tenant, uid, first_id, sealed) VALUES (?1,?2,?3,?4)"
       " ON CONFLICT (tenant, uid, first_id) DO UPDATE SET sealed=excluded.sealed"},
      {drop_prekey_, "DELETE FROM prekey WHERE tenant=?1 AND uid=?2 AND first_id=?3"},
      {put_message_,
       "INSERT INTO message (tenant, uid, ord, created, state, reason, request, body_mac,"
       " contact, content, stanza, devices) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)"},
      {update_message_,
       "UPDATE message SET state=coalesce(?4,state), reason=coalesce(?5,reason),"
       " stanza=CASE WHEN ?6 THEN ?7 ELSE stanza END,"
       " content=CASE WHEN ?8 THEN ?9 ELSE content END,"
       " devices=CASE WHEN ?10 THEN ?11 ELSE devices END WHERE tenant=?1 AND uid=?2 AND ord=?3"},
      {put_event_, "INSERT INTO event (tenant, uid, seq, at, payload) VALUES (?1,?2,?3,?4,?5)"},
      {put_received_,
       "INSERT INTO received (tenant, uid, seq, at, message, cipher_hash)"
       " VALUES (?1,?2,?3,?4,?5,?6)"},
      {replace_received_,
       "INSERT INTO received (tenant, uid, seq, at, message, cipher_hash)"
       " VALUES (?1,?2,?3,?4,?5,?6) ON CONFLICT (tenant, uid, message)"
       " DO UPDATE SET seq=excluded.seq, cipher_hash=excluded.cipher_hash"},
      {put_undecrypted_,
       "INSERT INTO undecrypted (tenant, uid, since, message, sealed) VALUES (?1,?2,?3,?4,?5)"
       " ON CONFLICT (tenant, uid, message) DO UPDATE SET sealed=excluded.sealed"},
      {drop_undecrypted_, "DELETE FROM undecrypted WHERE tenant=?1 AND uid=?2 AND message=?3"},
      {erase_ratchets_, "DELETE FROM ratchet WHERE tenant=?1 AND uid=?2"},
      {erase_contacts_, "DELETE FROM contact WHERE tenant=?1 AND uid=?2"},
      {erase_prekeys_, "DELETE FROM prekey WHERE tenant=?1 AND uid=?2"},
      {find_tag_,
       "SELECT uid, state, version, change FROM account WHERE tenant=?1 AND user_tag=?2"},
      {make_account_,
       "INSERT INTO account (tenant, user_tag, change, term, version, next_order,"
       " lowest_unsettled, next_event, acked_event, state) VALUES (?1,?2,?3,0,0,1,1,1,0,0)"},
      {revive_, "UPDATE account SET state=0, version=version+1, change=?2 WHERE uid=?1"},
      {claim_, "UPDATE account SET term=term+1 WHERE uid=?1 AND tenant=?2 RETURNING term"},
      // Settled: state SENT and above.
      {sweep_messages_.look,
       "SELECT rowid, created, state>=2 FROM message WHERE rowid>?1 ORDER BY rowid"},
      {sweep_messages_.erase, "DELETE FROM message WHERE rowid=?1"},
      {sweep_events_.look,
       "SELECT e.rowid, e.at, e.seq<=coalesce((SELECT acked_event FROM account a"
       " WHERE a.uid=e.uid), e.seq) FROM event e WHERE e.rowid>?1 ORDER BY e.rowid"},
      {sweep_events_.erase, "DELETE FROM event WHERE rowid=?1"},
      {sweep_received_.look, "SELECT rowid, at, 1 FROM received WHERE rowid>?1 ORDER BY rowid"},
      {sweep_received_.erase, "DELETE FROM received WHERE rowid=?1"},
  };
  for (const auto& [into, sql] : all) GW_TRY(db_.prepare(into, sql, Stage::kOpen));
  return {};
}

Result<void> Writer::begin(Stage stage) {
  if (int rc = begin_.run(); rc != SQLITE_DONE) return failed(rc, stage);
  return {};
}

// A COMMIT that fails is rolled back by SQLite: locked, full and read-only are noticed before the
// commit frame counts. When writing or syncing the log itself failed, the frames may be on the disk
// and a crash would bring them back: that is an unknown outcome.
Result<void> Writer::commit(Stage stage) {
  int rc = commit_.run();
  if (rc == SQLITE_DONE) return {};
  Error error = error_of(db_.get(), rc, stage);
  rollback();
  switch (primary(rc)) {
    case SQLITE_BUSY:
    case SQLITE_FULL:
    case SQLITE_READONLY:
      break;
    default:
      error.kind = ErrorKind::kUnknownOutcome;
  }
  return fail(std::move(error));
}

Result<std::vector<Outcome>> Writer::apply(std::span<const Sealed> batch) {
  std::vector<Outcome> outcomes;
  GW_TRY(begin());
  int rc = run_pass(batch, Pass::kPlain, outcomes);
  if (is_items_fault(rc)) {
    rollback();
    GW_TRY(begin());
    rc = run_pass(batch, Pass::kSavepoints, outcomes);
  }
  if (rc != SQLITE_OK) {
    auto error = failed(rc);
    rollback();
    return error;
  }
  bool wrote = false;
  for (const Outcome& o : outcomes) wrote |= o.kind == Kind::kApplied;
  if (wrote)
    GW_TRY(commit());
  else
    rollback();
  return outcomes;
}

// The plain pass needs no savepoints (they would copy each page they touch): what is stale or
// exists is seen before the first write. Only a change set that is wrong in itself needs them.
int Writer::run_pass(std::span<const Sealed> batch, Pass pass, std::vector<Outcome>& outcomes) {
  outcomes.assign(batch.size(), Outcome{});
  for (std::size_t i = 0; i < batch.size(); ++i) {
    int rc = pass == Pass::kPlain ? apply_one(batch[i].rows, outcomes[i])
                                  : apply_guarded(batch[i].rows, outcomes[i]);
    if (rc != SQLITE_OK) return rc;
  }
  return SQLITE_OK;
}

int Writer::apply_guarded(const ChangeSet& change, Outcome& outcome) {
  if (int rc = db_.exec("SAVEPOINT item"); rc != SQLITE_OK) return rc;
  int rc = apply_one(change, outcome);
  if (is_items_fault(rc)) {
    outcome = Outcome{};
    outcome.error = rc == kRefused ? Error{ErrorKind::kBug, "ROW_MISSING",
                                           "a change set names a row that is not there, or sets "
                                           "a counter back"}
                                   : error_of(db_.get(), rc, Stage::kServe);
    rc = db_.exec("ROLLBACK TO item");
  }
  return rc == SQLITE_OK ? db_.exec("RELEASE item") : rc;
}

int Writer::apply_one(const ChangeSet& change, Outcome& outcome) {
  if (int rc = probe(change, outcome); rc != SQLITE_OK) return rc;
  if (!outcome.existing_requests.empty() || !outcome.existing_received.empty()) {
    outcome.kind = Kind::kExists;
    return judge(change, outcome);
  }
  if (int rc = cas(change); rc != SQLITE_OK) return rc;
  if (db_.changes() != 1) {
    outcome.kind = Kind::kFailed;
    int rc = judge(change, outcome);
    return rc == SQLITE_OK && outcome.kind == Kind::kFailed ? kRefused : rc;
  }
  int rc = write_keys(change);
  if (rc == SQLITE_OK) rc = write_messages(change);
  if (rc == SQLITE_OK) rc = update_messages(change);
  if (rc == SQLITE_OK) rc = write_events(change);
  outcome.kind = Kind::kApplied;
  return rc;
}

int Writer::probe(const ChangeSet& c, Outcome& outcome) {
  for (const auto& m : c.messages) {
    Rows rows(find_request_, c.user.tenant, c.user.uid, m.request);
    if (rows.next()) outcome.existing_requests.push_back(m.request);
    if (rows.failed()) return rows.rc();
  }
  for (const auto& r : c.received) {
    if (r.known) continue;
    Rows rows(find_received_, c.user.tenant, c.user.uid, r.message);
    if (rows.next()) outcome.existing_received.push_back(r.message);
    if (rows.failed()) return rows.rc();
  }
  return SQLITE_OK;
}

// Leaves `outcome` when the account stands where the change set expects it; else says what it is.
int Writer::judge(const ChangeSet& c, Outcome& outcome) {
  Rows rows(look_account_, c.user.uid, c.user.tenant);
  bool there = rows.next();
  if (rows.failed()) return rows.rc();
  if (there && look_account_.integer(0) == c.term && look_account_.integer(1) == c.version)
    return SQLITE_OK;
  bool ours = there && look_account_.integer(1) == c.version + 1 &&
              static_cast<std::uint64_t>(look_account_.integer(2)) == c.change;
  outcome = Outcome{};
  outcome.kind = ours ? Kind::kFoundApplied : Kind::kStale;
  return SQLITE_OK;
}

int Writer::cas(const ChangeSet& c) {
  int rc =
      cas_.run(c.user.uid, c.user.tenant, c.term, c.version, static_cast<std::int64_t>(c.change),
               c.next_order, c.lowest_unsettled, c.next_event, c.acked_event);
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int Writer::erase_keys(UserRef user) {
  for (Statement* s : {&erase_ratchets_, &erase_contacts_, &erase_prekeys_})
    if (int rc = s->run(user.tenant, user.uid); rc != SQLITE_DONE) return rc;
  return SQLITE_OK;
}

int Writer::write_keys(const ChangeSet& c) {
  const auto [tenant, uid] = c.user;
  int rc = SQLITE_DONE;
  if (c.state) rc = set_state_.run(uid, static_cast<int>(*c.state));
  if (rc == SQLITE_DONE && c.profile) rc = set_profile_.run(uid, *c.profile);
  if (rc != SQLITE_DONE) return rc;
  if (c.erase_keys)
    if (rc = erase_keys(c.user); rc != SQLITE_OK) return rc;
  for (const auto& r : c.ratchets) {
    rc = r.record.empty() ? drop_ratchet_.run(tenant, uid, r.contact, r.device)
                          : put_ratchet_.run(tenant, uid, r.contact, r.device, r.record);
    if (rc != SQLITE_DONE) return rc;
  }
  for (const auto& row : c.contacts) {
    rc = row.blob.empty() ? drop_contact_.run(tenant, uid, row.contact)
                          : put_contact_.run(tenant, uid, row.contact, row.blob);
    if (rc != SQLITE_DONE) return rc;
  }
  for (const auto& p : c.prekeys) {
    rc = p.blob.empty() ? drop_prekey_.run(tenant, uid, p.first_id)
                        : put_prekey_.run(tenant, uid, p.first_id, p.blob);
    if (rc != SQLITE_DONE) return rc;
  }
  return SQLITE_OK;
}

int Writer::write_messages(const ChangeSet& c) {
  for (const auto& m : c.messages) {
    int rc = put_message_.run(c.user.tenant, c.user.uid, m.order, unix_ms(m.created),
                              static_cast<int>(m.state), static_cast<int>(m.reason), m.request,
                              m.body_mac, m.contact, OrNull{m.content}, OrNull{m.stanza},
                              OrNull{m.devices});
    if (rc != SQLITE_DONE) return rc;
  }
  return SQLITE_OK;
}

int Writer::update_messages(const ChangeSet& c) {
  for (const auto& u : c.updates) {
    std::optional<std::int64_t> state, reason;
    if (u.state) state = static_cast<std::int64_t>(*u.state);
    if (u.reason) reason = static_cast<std::int64_t>(*u.reason);
    int rc =
        update_message_.run(c.user.tenant, c.user.uid, u.order, state, reason, u.stanza.has_value(),
                            OrNull{u.stanza ? *u.stanza : ByteView()}, u.content.has_value(),
                            OrNull{u.content ? *u.content : ByteView()}, u.devices.has_value(),
                            OrNull{u.devices ? *u.devices : ByteView()});
    if (rc != SQLITE_DONE) return rc;
    if (db_.changes() != 1) return kRefused;
  }
  return SQLITE_OK;
}

int Writer::write_events(const ChangeSet& c) {
  for (const auto& e : c.events) {
    int rc = put_event_.run(c.user.tenant, c.user.uid, e.seq, unix_ms(e.at), e.payload);
    if (rc != SQLITE_DONE) return rc;
  }
  for (const auto& r : c.received) {
    auto& put = r.known ? replace_received_ : put_received_;
    int rc = put.run(c.user.tenant, c.user.uid, r.seq, unix_ms(r.at), r.message, r.cipher_hash);
    if (rc != SQLITE_DONE) return rc;
  }
  for (const auto& u : c.undecrypted) {
    int rc = u.blob.empty() ? drop_undecrypted_.run(c.user.tenant, c.user.uid, u.message)
                            : put_undecrypted_.run(c.user.tenant, c.user.uid, unix_ms(u.since),
                                                   u.message, u.blob);
    if (rc != SQLITE_DONE) return rc;
  }
  return SQLITE_OK;
}

}  // namespace gw::store::sqlite
