#include "store/postgres/reader.h"

#include <algorithm>

#include "store/postgres/arrays.h"

namespace gw::store::postgres {
namespace {

// Partitions are many and small for a user: index scans, whatever the planner thinks of empty ones.
constexpr const char* kSession =
    "SET enable_seqscan=off; SET jit=off; SET default_transaction_read_only=on;"
    "SET default_transaction_isolation='repeatable read'; SET client_min_messages=warning;";

#define GW_ACCOUNT_COLUMNS                                                                         \
  "a.tenant, a.uid, a.term, a.version, a.change, a.next_order, a.lowest_unsettled,"                \
  " a.next_event, a.acked_event, a.state, a.user_tag, p.sealed FROM account a LEFT JOIN profile p" \
  " ON p.tenant=a.tenant AND p.uid=a.uid"
#define GW_MESSAGE_COLUMNS                                                                      \
  "t.ord, t.created, t.state, t.reason, t.request, t.body_mac, t.contact, t.content, t.stanza," \
  " t.devices"

Tag tag_of(const pqxx::field& field) {
  Tag tag{};
  Bytes value = octets(field);
  if (value.size() == tag.size()) std::copy(value.begin(), value.end(), tag.begin());
  return tag;
}

Account account_of(const pqxx::row& row) {
  Account a;
  a.user = {static_cast<TenantId>(row[0].as<int>()), row[1].as<std::int64_t>()};
  a.term = row[2].as<Term>();
  a.version = row[3].as<Version>();
  a.change = static_cast<std::uint64_t>(row[4].as<std::int64_t>());
  a.next_order = row[5].as<Order>();
  a.lowest_unsettled = row[6].as<Order>();
  a.next_event = row[7].as<EventSeq>();
  a.acked_event = row[8].as<EventSeq>();
  a.state = static_cast<AccountState>(row[9].as<int>());
  a.user_tag = tag_of(row[10]);
  a.profile = octets(row[11]);
  return a;
}

MessageRow message_of(const pqxx::row& row) {
  MessageRow m;
  m.order = row[0].as<Order>();
  m.created = from_unix_ms(row[1].as<std::int64_t>());
  m.state = static_cast<message::State>(row[2].as<int>());
  m.reason = static_cast<message::Reason>(row[3].as<int>());
  m.request = tag_of(row[4]);
  m.body_mac = tag_of(row[5]);
  m.contact = tag_of(row[6]);
  m.content = octets(row[7]);
  m.stanza = octets(row[8]);
  m.devices = octets(row[9]);
  return m;
}

PendingUser pending_of(const pqxx::row& row) {
  return {{static_cast<TenantId>(row[0].as<int>()), row[1].as<std::int64_t>()},
          octets(row[4]),
          row[2].as<EventSeq>(),
          row[3].as<EventSeq>()};
}

pqxx::binarystring tags(std::span<const Tag> all) {
  Array array(Type::kBytea);
  for (const Tag& tag : all) array.add(tag);
  return array.parameter();
}

}  // namespace

Result<void> Reader::connect() {
  if (db_) return {};
  auto settings = std::string(kSession) +
                  "SET statement_timeout=" + std::to_string(options_.statement_timeout.count());
  auto opened = Connection::open(options_.uri, settings, options_.answer_timeout);
  if (!opened) return fail(not_now(std::move(opened).error()));
  db_.emplace(*std::move(opened));
  return {};
}

Error Reader::not_now(Error error) {
  if (error.kind == ErrorKind::kUnknownOutcome) error.kind = ErrorKind::kRetryLater;
  return troubles_.not_now(std::move(error));
}

Result<std::optional<DataKey>> Reader::data_key(std::uint32_t id) {
  return read([&](Transaction& tx) -> Result<std::optional<DataKey>> {
    std::optional<DataKey> key;
    GW_ASSIGN(auto rows, tx.rows("SELECT wrapped FROM data_key WHERE id=$1", std::int64_t{id}));
    if (!rows.empty()) key = DataKey{id, octets(rows[0][0])};
    return key;
  });
}

Result<std::optional<Account>> Reader::find_user(TenantId tenant, const Tag& user_tag) {
  return read([&](Transaction& tx) -> Result<std::optional<Account>> {
    std::optional<Account> account;
    GW_ASSIGN(auto rows,
              tx.rows("SELECT " GW_ACCOUNT_COLUMNS " WHERE a.tenant=$1 AND a.user_tag=$2",
                      int{tenant}, binary(user_tag)));
    if (!rows.empty()) account = account_of(rows[0]);
    return account;
  });
}

Result<std::optional<UserRows>> Reader::load(UserRef user) {
  return read([&](Transaction& tx) -> Result<std::optional<UserRows>> {
    std::optional<UserRows> loaded;
    GW_ASSIGN(auto rows, tx.rows("SELECT " GW_ACCOUNT_COLUMNS " WHERE a.tenant=$1 AND a.uid=$2",
                                 int{user.tenant}, user.uid));
    if (rows.empty()) return loaded;
    loaded.emplace();
    loaded->account = account_of(rows[0]);
    GW_ASSIGN(auto unsettled,
              tx.rows("SELECT " GW_MESSAGE_COLUMNS " FROM message t WHERE tenant=$1 AND uid=$2"
                      " AND ord>=$3 AND state<2 ORDER BY ord",
                      int{user.tenant}, user.uid, loaded->account.lowest_unsettled));
    for (const auto& row : unsettled) loaded->unsettled.push_back(message_of(row));
    GW_ASSIGN(auto undecrypted, tx.rows("SELECT message, since, sealed FROM undecrypted"
                                        " WHERE tenant=$1 AND uid=$2 ORDER BY since, message",
                                        int{user.tenant}, user.uid));
    for (const auto& row : undecrypted)
      loaded->undecrypted.push_back(
          {tag_of(row[0]), from_unix_ms(row[1].as<std::int64_t>()), octets(row[2])});
    return loaded;
  });
}

Result<std::vector<PrekeyBatch>> Reader::load_prekeys(UserRef user) {
  return read([&](Transaction& tx) -> Result<std::vector<PrekeyBatch>> {
    std::vector<PrekeyBatch> loaded;
    GW_ASSIGN(auto rows, tx.rows("SELECT first_id, sealed FROM prekey WHERE tenant=$1 AND uid=$2"
                                 " ORDER BY first_id",
                                 int{user.tenant}, user.uid));
    for (const auto& row : rows) loaded.push_back({row[0].as<std::uint32_t>(), octets(row[1])});
    return loaded;
  });
}

Result<std::vector<Conversation>> Reader::load_conversations(UserRef user,
                                                             std::span<const Tag> contacts) {
  return read([&](Transaction& tx) -> Result<std::vector<Conversation>> {
    std::vector<Conversation> loaded;
    const auto wanted = tags(contacts);
    GW_ASSIGN(auto rows, tx.rows("SELECT contact, sealed FROM contact WHERE tenant=$1 AND uid=$2"
                                 " AND contact=ANY($3::bytea[])",
                                 int{user.tenant}, user.uid, wanted));
    GW_ASSIGN(auto ratchets,
              tx.rows("SELECT contact, device, record FROM ratchet WHERE tenant=$1 AND uid=$2"
                      " AND contact=ANY($3::bytea[]) ORDER BY device",
                      int{user.tenant}, user.uid, wanted));
    for (const Tag& contact : contacts) {
      auto& c = loaded.emplace_back();
      c.contact = contact;
      for (const auto& row : rows)
        if (tag_of(row[0]) == contact) c.blob = octets(row[1]);
      for (const auto& row : ratchets)
        if (tag_of(row[0]) == contact)
          c.ratchets.push_back(
              {contact, static_cast<std::uint16_t>(row[1].as<int>()), octets(row[2])});
    }
    return loaded;
  });
}

Result<std::vector<MessageRow>> Reader::find_messages(UserRef user, std::span<const Tag> requests) {
  return read([&](Transaction& tx) -> Result<std::vector<MessageRow>> {
    std::vector<MessageRow> found;
    GW_ASSIGN(auto rows, tx.rows("SELECT " GW_MESSAGE_COLUMNS " FROM message t WHERE tenant=$1"
                                 " AND uid=$2 AND request=ANY($3::bytea[])"
                                 " ORDER BY array_position($3::bytea[], request)",
                                 int{user.tenant}, user.uid, tags(requests)));
    for (const auto& row : rows) found.push_back(message_of(row));
    return found;
  });
}

Result<std::vector<MessageRow>> Reader::load_messages(UserRef user, std::span<const Order> orders) {
  Array wanted(Type::kInt8);
  for (Order order : orders) wanted.add(order);
  return read([&](Transaction& tx) -> Result<std::vector<MessageRow>> {
    std::vector<MessageRow> found;
    GW_ASSIGN(auto rows, tx.rows("SELECT " GW_MESSAGE_COLUMNS " FROM message t WHERE tenant=$1"
                                 " AND uid=$2 AND ord=ANY($3::int8[]) ORDER BY ord",
                                 int{user.tenant}, user.uid, wanted.parameter()));
    for (const auto& row : rows) found.push_back(message_of(row));
    return found;
  });
}

Result<std::vector<Received>> Reader::find_received(UserRef user, std::span<const Tag> messages) {
  return read([&](Transaction& tx) -> Result<std::vector<Received>> {
    std::vector<Received> found;
    GW_ASSIGN(auto rows, tx.rows("SELECT message, cipher_hash, seq, at FROM received"
                                 " WHERE tenant=$1 AND uid=$2 AND message=ANY($3::bytea[])",
                                 int{user.tenant}, user.uid, tags(messages)));
    for (const auto& row : rows)
      found.push_back({tag_of(row[0]), tag_of(row[1]), row[2].as<EventSeq>(),
                       from_unix_ms(row[3].as<std::int64_t>())});
    return found;
  });
}

// A sweep moves events from a partition that it drops. Whoever has to wait for that, with a
// snapshot from before it, would see them in neither place: so the lock comes before the snapshot.
// The database counts the octets, so that a page of large events is not sent in vain.
Result<std::vector<EventRow>> Reader::load_events(UserRef user, EventSeq after, std::size_t limit,
                                                  std::size_t max_bytes) {
  return read([&](Transaction& tx) -> Result<std::vector<EventRow>> {
    std::vector<EventRow> page;
    GW_TRY(tx.run("LOCK TABLE ONLY event IN ACCESS SHARE MODE"));
    GW_ASSIGN(auto rows,
              tx.rows("SELECT seq, at, payload FROM (SELECT seq, at, payload,"
                      " sum(length(payload)) OVER (ORDER BY seq) - length(payload) AS before"
                      " FROM (SELECT seq, at, payload FROM event WHERE tenant=$1 AND uid=$2"
                      " AND seq>$3 ORDER BY seq LIMIT $4) e) s WHERE before<$5 ORDER BY seq",
                      int{user.tenant}, user.uid, after, static_cast<std::int64_t>(limit),
                      static_cast<std::int64_t>(max_bytes)));
    for (const auto& row : rows)
      page.push_back(
          {row[0].as<EventSeq>(), from_unix_ms(row[1].as<std::int64_t>()), octets(row[2])});
    return page;
  });
}

Result<std::vector<PendingUser>> Reader::pending_users(TenantId tenant, std::int64_t after,
                                                       std::size_t limit) {
  return read([&](Transaction& tx) -> Result<std::vector<PendingUser>> {
    std::vector<PendingUser> found;
    GW_ASSIGN(auto rows,
              tx.rows("SELECT a.tenant, a.uid, a.acked_event, a.next_event-1, p.sealed"
                      " FROM account a LEFT JOIN profile p ON p.tenant=a.tenant AND p.uid=a.uid"
                      " WHERE a.tenant=$1 AND a.uid>$2 AND a.next_event-1>a.acked_event"
                      " ORDER BY a.uid LIMIT $3",
                      int{tenant}, after, static_cast<std::int64_t>(limit)));
    for (const auto& row : rows) found.push_back(pending_of(row));
    return found;
  });
}

// Most users have nothing unsettled and cost one comparison.
Result<std::vector<PendingUser>> Reader::overdue_users(const Overdue& before, std::int64_t after,
                                                       std::size_t limit) {
  return read([&](Transaction& tx) -> Result<std::vector<PendingUser>> {
    std::vector<PendingUser> found;
    GW_ASSIGN(auto rows,
              tx.rows("SELECT a.tenant, a.uid, a.acked_event, a.next_event-1, p.sealed"
                      " FROM account a LEFT JOIN profile p ON p.tenant=a.tenant AND p.uid=a.uid"
                      " WHERE a.uid>$5 AND a.state=0 AND (a.lowest_unsettled<a.next_order"
                      " AND EXISTS (SELECT 1 FROM message m WHERE m.tenant=a.tenant"
                      " AND m.uid=a.uid AND m.ord>=a.lowest_unsettled"
                      " AND ((m.state=0 AND m.created<$1) OR (m.state=1 AND m.created<$2)))"
                      " OR a.uid IN (SELECT uid FROM undecrypted WHERE since<$3))"
                      " ORDER BY a.uid LIMIT $4",
                      unix_ms(before.waiting), unix_ms(before.ready), unix_ms(before.undecrypted),
                      static_cast<std::int64_t>(limit), after));
    for (const auto& row : rows) found.push_back(pending_of(row));
    return found;
  });
}

// A partitioned table has nothing of its own.
Result<std::vector<Size>> Reader::sizes() {
  std::string names;
  for (std::size_t i = 0; i < kTables; ++i)
    names += (i == 0 ? "" : ",") + std::string(kPartNames[i]);
  return read([&](Transaction& tx) -> Result<std::vector<Size>> {
    std::vector<Size> sizes;
    GW_ASSIGN(auto rows,
              tx.rows("SELECT t.n, coalesce(sum(pg_table_size(c.oid)),0)::int8,"
                      " coalesce(sum(pg_indexes_size(c.oid)),0)::int8"
                      " FROM unnest(string_to_array($1,',')) WITH ORDINALITY AS t(name,n)"
                      " LEFT JOIN pg_class c ON c.oid=to_regclass(t.name) OR c.oid IN"
                      " (SELECT inhrelid FROM pg_inherits WHERE inhparent=to_regclass(t.name))"
                      " GROUP BY t.n ORDER BY t.n",
                      names));
    for (const auto& row : rows)
      sizes.push_back({static_cast<Part>(row[0].as<int>() - 1), row[1].as<std::uint64_t>(),
                       row[2].as<std::uint64_t>()});
    return sizes;
  });
}

}  // namespace gw::store::postgres
