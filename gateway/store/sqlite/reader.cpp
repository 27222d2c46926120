#include "store/sqlite/reader.h"

#include <filesystem>

namespace gw::store::sqlite {
namespace {

#define GW_ACCOUNT_COLUMNS                                                                         \
  "a.tenant, a.uid, a.term, a.version, a.change, a.next_order, a.lowest_unsettled,"                \
  " a.next_event, a.acked_event, a.state, a.user_tag, p.sealed FROM account a LEFT JOIN profile p" \
  " ON p.uid=a.uid"
#define GW_MESSAGE_COLUMNS \
  "ord, created, state, reason, request, body_mac, contact, content, stanza, devices FROM message"

}  // namespace

// A read transaction around reads of more than one statement.
class Reader::Snapshot {
 public:
  explicit Snapshot(Reader& reader) : reader_(reader), rc_(reader.begin_.run()) {}
  ~Snapshot() { reader_.end_.run(); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  int rc() const { return rc_; }

 private:
  Reader& reader_;
  int rc_;
};

Result<std::unique_ptr<Reader>> Reader::open(const std::string& path,
                                             const SqliteOptions& options) {
  auto reader = std::make_unique<Reader>();
  reader->path_ = path;
  GW_ASSIGN(reader->db_, Connection::open(path, Connection::Role::kReader, options));
  GW_TRY(reader->prepare_all());
  return reader;
}

Result<void> Reader::prepare_all() {
  struct {
    Statement& into;
    const char* sql;
  } const all[] = {
      {begin_, "BEGIN"},
      {end_, "COMMIT"},
      {data_key_, "SELECT wrapped FROM data_key WHERE id=?1"},
      {find_user_, "SELECT " GW_ACCOUNT_COLUMNS " WHERE a.tenant=?1 AND a.user_tag=?2"},
      {account_, "SELECT " GW_ACCOUNT_COLUMNS " WHERE a.uid=?2 AND a.tenant=?1"},
      {prekeys_,
       "SELECT first_id, sealed FROM prekey WHERE tenant=?1 AND uid=?2 ORDER BY first_id"},
      {unsettled_, "SELECT " GW_MESSAGE_COLUMNS
                   " WHERE tenant=?1 AND uid=?2 AND ord>=?3 AND state<2 ORDER BY ord"},
      {undecrypted_,
       "SELECT message, since, sealed FROM undecrypted WHERE tenant=?1 AND uid=?2"
       " ORDER BY since, rowid"},
      {contact_, "SELECT sealed FROM contact WHERE tenant=?1 AND uid=?2 AND contact=?3"},
      {ratchets_,
       "SELECT device, record FROM ratchet WHERE tenant=?1 AND uid=?2 AND contact=?3"
       " ORDER BY device"},
      {by_request_, "SELECT " GW_MESSAGE_COLUMNS " WHERE tenant=?1 AND uid=?2 AND request=?3"},
      {by_order_, "SELECT " GW_MESSAGE_COLUMNS " WHERE tenant=?1 AND uid=?2 AND ord=?3"},
      {received_,
       "SELECT message, cipher_hash, seq, at FROM received"
       " WHERE tenant=?1 AND uid=?2 AND message=?3"},
      {events_,
       "SELECT seq, at, payload FROM event WHERE tenant=?1 AND uid=?2 AND seq>?3"
       " ORDER BY seq LIMIT ?4"},
      {pending_,
       "SELECT a.uid, a.acked_event, a.next_event-1, p.sealed FROM account a"
       " LEFT JOIN profile p ON p.uid=a.uid"
       " WHERE a.uid>?2 AND a.tenant=?1 AND a.next_event-1>a.acked_event ORDER BY a.uid LIMIT ?3"},
      // Most users have nothing unsettled and cost one comparison.
      {overdue_,
       "SELECT a.tenant, a.uid, a.acked_event, a.next_event-1, p.sealed FROM account a"
       " LEFT JOIN profile p ON p.uid=a.uid"
       " WHERE a.uid>?5 AND a.state=0 AND (a.lowest_unsettled<a.next_order AND EXISTS ("
       "SELECT 1 FROM message m WHERE m.tenant=a.tenant AND m.uid=a.uid"
       " AND m.ord>=a.lowest_unsettled"
       " AND ((m.state=0 AND m.created<?1) OR (m.state=1 AND m.created<?2)))"
       " OR a.uid IN (SELECT uid FROM undecrypted WHERE since<?3)) ORDER BY a.uid LIMIT ?4"},
  };
  for (const auto& [into, sql] : all) GW_TRY(db_.prepare(into, sql, Stage::kOpen));
  return {};
}

Account Reader::account_row(Statement& row) const {
  Account a;
  a.user = {static_cast<TenantId>(row.integer(0)), row.integer(1)};
  a.term = row.integer(2);
  a.version = row.integer(3);
  a.change = static_cast<std::uint64_t>(row.integer(4));
  a.next_order = row.integer(5);
  a.lowest_unsettled = row.integer(6);
  a.next_event = row.integer(7);
  a.acked_event = row.integer(8);
  a.state = static_cast<AccountState>(row.integer(9));
  a.user_tag = row.tag(10);
  a.profile = row.blob(11);
  return a;
}

MessageRow Reader::message_row(Statement& row) const {
  MessageRow m;
  m.order = row.integer(0);
  m.created = from_unix_ms(row.integer(1));
  m.state = static_cast<message::State>(row.integer(2));
  m.reason = static_cast<message::Reason>(row.integer(3));
  m.request = row.tag(4);
  m.body_mac = row.tag(5);
  m.contact = row.tag(6);
  m.content = row.blob(7);
  m.stanza = row.blob(8);
  m.devices = row.blob(9);
  return m;
}

Result<std::optional<DataKey>> Reader::data_key(std::uint32_t id) {
  Rows rows(data_key_, std::int64_t{id});
  std::optional<DataKey> key;
  if (rows.next()) key = DataKey{id, data_key_.blob(0)};
  if (rows.failed()) return failed(rows.rc());
  return key;
}

Result<std::optional<Account>> Reader::find_user(TenantId tenant, const Tag& user_tag) {
  Rows rows(find_user_, tenant, user_tag);
  std::optional<Account> account;
  if (rows.next()) account = account_row(find_user_);
  if (rows.failed()) return failed(rows.rc());
  return account;
}

Result<std::optional<UserRows>> Reader::load(UserRef user) {
  Snapshot snapshot(*this);
  if (snapshot.rc() != SQLITE_DONE) return failed(snapshot.rc());
  UserRows loaded;
  {
    Rows rows(account_, user.tenant, user.uid);
    if (rows.next()) loaded.account = account_row(account_);
    if (rows.failed()) return failed(rows.rc());
    if (loaded.account.user != user) return std::nullopt;
  }
  {
    Rows rows(unsettled_, user.tenant, user.uid, loaded.account.lowest_unsettled);
    while (rows.next()) loaded.unsettled.push_back(message_row(unsettled_));
    if (rows.failed()) return failed(rows.rc());
  }
  Rows rows(undecrypted_, user.tenant, user.uid);
  while (rows.next())
    loaded.undecrypted.push_back(
        {undecrypted_.tag(0), from_unix_ms(undecrypted_.integer(1)), undecrypted_.blob(2)});
  if (rows.failed()) return failed(rows.rc());
  return loaded;
}

Result<std::vector<PrekeyBatch>> Reader::load_prekeys(UserRef user) {
  Rows rows(prekeys_, user.tenant, user.uid);
  std::vector<PrekeyBatch> loaded;
  while (rows.next())
    loaded.push_back({static_cast<std::uint32_t>(prekeys_.integer(0)), prekeys_.blob(1)});
  if (rows.failed()) return failed(rows.rc());
  return loaded;
}

Result<std::vector<Conversation>> Reader::load_conversations(UserRef user,
                                                             std::span<const Tag> contacts) {
  Snapshot snapshot(*this);
  if (snapshot.rc() != SQLITE_DONE) return failed(snapshot.rc());
  std::vector<Conversation> loaded;
  loaded.reserve(contacts.size());
  for (const Tag& contact : contacts) {
    Conversation& c = loaded.emplace_back();
    c.contact = contact;
    {
      Rows rows(contact_, user.tenant, user.uid, contact);
      if (rows.next()) c.blob = contact_.blob(0);
      if (rows.failed()) return failed(rows.rc());
    }
    Rows rows(ratchets_, user.tenant, user.uid, contact);
    while (rows.next())
      c.ratchets.push_back(
          {contact, static_cast<std::uint16_t>(ratchets_.integer(0)), ratchets_.blob(1)});
    if (rows.failed()) return failed(rows.rc());
  }
  return loaded;
}

Result<std::vector<MessageRow>> Reader::find_messages(UserRef user, std::span<const Tag> requests) {
  Snapshot snapshot(*this);
  if (snapshot.rc() != SQLITE_DONE) return failed(snapshot.rc());
  std::vector<MessageRow> found;
  for (const Tag& request : requests) {
    Rows rows(by_request_, user.tenant, user.uid, request);
    if (rows.next()) found.push_back(message_row(by_request_));
    if (rows.failed()) return failed(rows.rc());
  }
  return found;
}

Result<std::vector<MessageRow>> Reader::load_messages(UserRef user, std::span<const Order> orders) {
  Snapshot snapshot(*this);
  if (snapshot.rc() != SQLITE_DONE) return failed(snapshot.rc());
  std::vector<MessageRow> found;
  for (Order order : orders) {
    Rows rows(by_order_, user.tenant, user.uid, order);
    if (rows.next()) found.push_back(message_row(by_order_));
    if (rows.failed()) return failed(rows.rc());
  }
  return found;
}

Result<std::vector<Received>> Reader::find_received(UserRef user, std::span<const Tag> messages) {
  Snapshot snapshot(*this);
  if (snapshot.rc() != SQLITE_DONE) return failed(snapshot.rc());
  std::vector<Received> found;
  for (const Tag& message : messages) {
    Rows rows(received_, user.tenant, user.uid, message);
    if (rows.next())
      found.push_back({received_.tag(0), received_.tag(1), received_.integer(2),
                       from_unix_ms(received_.integer(3))});
    if (rows.failed()) return failed(rows.rc());
  }
  return found;
}

Result<std::vector<EventRow>> Reader::load_events(UserRef user, EventSeq after, std::size_t limit,
                                                  std::size_t max_bytes) {
  Rows rows(events_, user.tenant, user.uid, after, static_cast<std::int64_t>(limit));
  std::vector<EventRow> loaded;
  std::size_t bytes = 0;
  while ((loaded.empty() || bytes < max_bytes) && rows.next()) {
    loaded.push_back({events_.integer(0), from_unix_ms(events_.integer(1)), events_.blob(2)});
    bytes += loaded.back().payload.size();
  }
  if (rows.failed()) return failed(rows.rc());
  return loaded;
}

Result<std::vector<PendingUser>> Reader::pending_users(TenantId tenant, std::int64_t after,
                                                       std::size_t limit) {
  Rows rows(pending_, tenant, after, static_cast<std::int64_t>(limit));
  std::vector<PendingUser> found;
  while (rows.next())
    found.push_back({{tenant, pending_.integer(0)},
                     pending_.blob(3),
                     pending_.integer(1),
                     pending_.integer(2)});
  if (rows.failed()) return failed(rows.rc());
  return found;
}

Result<std::vector<PendingUser>> Reader::overdue_users(const Overdue& before, std::int64_t after,
                                                       std::size_t limit) {
  Rows rows(overdue_, unix_ms(before.waiting), unix_ms(before.ready), unix_ms(before.undecrypted),
            static_cast<std::int64_t>(limit), after);
  std::vector<PendingUser> found;
  while (rows.next())
    found.push_back({{static_cast<TenantId>(overdue_.integer(0)), overdue_.integer(1)},
                     overdue_.blob(4),
                     overdue_.integer(2),
                     overdue_.integer(3)});
  if (rows.failed()) return failed(rows.rc());
  return found;
}

// By table it would take a walk through all pages.
Result<std::vector<Size>> Reader::sizes() {
  GW_ASSIGN(auto page, db_.number("PRAGMA page_size", Stage::kServe));
  GW_ASSIGN(auto pages, db_.number("PRAGMA page_count", Stage::kServe));
  GW_ASSIGN(auto free, db_.number("PRAGMA freelist_count", Stage::kServe));
  std::error_code none;
  const auto log = std::filesystem::file_size(path_ + "-wal", none);
  return std::vector<Size>{{Part::kDatabase, static_cast<std::uint64_t>(page * pages), 0},
                           {Part::kFree, static_cast<std::uint64_t>(page * free), 0},
                           {Part::kLog, none ? 0 : static_cast<std::uint64_t>(log), 0}};
}

}  // namespace gw::store::sqlite
