#include "store/postgres/apply.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "store/postgres/arrays.h"
#include "store/postgres/schema.h"

namespace gw::store::postgres {
namespace {

using Kind = Outcome::Kind;

// What `code` says of a change set; everything below writes the rows of those with 0 alone.
enum Code { kApplies = 0, kNotHere = 1, kBackwards = 2, kThere = 3 };

// There are two statements. The first takes the batch as a whole and fails, so that nothing is
// written, when any of it does not apply: hardly ever, and it costs a tenth less. The second then
// tells which, and writes the rest.
//
// Of the second: a repeat that finds itself applied has locked its users' rows, so it commits
// after, and is as durable and as replicated as, what it found. Read from above: the users' rows
// are locked in order and looked at as they are then; `f` holds a code a user by position, so that
// each row below costs a subscript and no join; the last line refuses the whole when an update
// found no row. A wait for a lock ends with another version, and then with code 1: so the snapshot,
// which is older than the lock, misses nothing of a user whose version is right.
constexpr const char* kUsers = R"sql(
WITH c AS MATERIALIZED (
  SELECT * FROM unnest(@int4[],@int8[],@int8[],@int8[],@int8[],@int8[],@int8[],@int8[],@int8[],
    @int2[],@bytea[]) WITH ORDINALITY
    AS c(tenant,uid,term,version,change,next_order,lowest,next_event,acked,state,profile,i)))sql";
constexpr const char* kNewMessages = R"sql(,
mi AS MATERIALIZED (
  SELECT * FROM unnest(@int4[],@int4[],@int8[],@int8[],@int4[],@int8[],@int2[],@int2[],@bytea[],
    @bytea[],@bytea[],@bytea[],@bytea[],@bytea[]) WITH ORDINALITY
    AS u(i,tenant,uid,ord,bucket,created,state,reason,request,body_mac,contact,content,stanza,
    devices,n)),
xr AS MATERIALIZED (
  SELECT i, n FROM mi WHERE EXISTS (SELECT 1 FROM message t
    WHERE t.tenant=mi.tenant AND t.uid=mi.uid AND t.request=mi.request)))sql";
constexpr const char* kNewReceived = R"sql(,
vi AS MATERIALIZED (
  SELECT * FROM unnest(@int4[],@int4[],@int8[],@int4[],@bytea[],@bytea[],@int8[],@int8[],@bool[])
    WITH ORDINALITY AS u(i,tenant,uid,bucket,message,cipher_hash,seq,at,known,n)),
xv AS MATERIALIZED (
  SELECT i, n, known FROM vi WHERE EXISTS (SELECT 1 FROM received t
    WHERE t.tenant=vi.tenant AND t.uid=vi.uid AND t.message=vi.message)))sql";
constexpr const char* kAllUsers = R"sql(,
w_account AS (
  UPDATE account a SET version=a.version+1, change=c.change, next_order=c.next_order,
    lowest_unsettled=c.lowest, next_event=c.next_event, acked_event=c.acked,
    state=coalesce(c.state,a.state)
  FROM c WHERE a.tenant=c.tenant AND a.uid=c.uid AND a.term=c.term AND a.version=c.version
    AND a.next_order<=c.next_order AND a.lowest_unsettled<=c.lowest AND a.next_event<=c.next_event
    AND a.acked_event<=c.acked RETURNING 1))sql";
constexpr const char* kEachUser = R"sql(,
l AS MATERIALIZED (
  SELECT c.i, a.version, a.change, CASE
      WHEN a.term<>c.term OR a.version<>c.version THEN 1
      WHEN a.next_order>c.next_order OR a.lowest_unsettled>c.lowest OR a.next_event>c.next_event
        OR a.acked_event>c.acked THEN 2
      ELSE 0 END AS code
  FROM c JOIN account a ON a.tenant=c.tenant AND a.uid=c.uid
  ORDER BY a.tenant, a.uid FOR NO KEY UPDATE OF a),
f AS MATERIALIZED (
  SELECT CASE WHEN count(*)=(SELECT count(*) FROM c) THEN array_agg(CASE
      WHEN code<>1 AND i IN (SELECT i FROM x) THEN 3
      ELSE code END ORDER BY i) END AS g FROM l),
w_account AS (
  UPDATE account a SET version=a.version+1, change=c.change, next_order=c.next_order,
    lowest_unsettled=c.lowest, next_event=c.next_event, acked_event=c.acked,
    state=coalesce(c.state,a.state)
  FROM c WHERE a.tenant=c.tenant AND a.uid=c.uid AND (SELECT g FROM f)[c.i]=0))sql";
constexpr const char* kPutRatchets = R"sql(,
w_ratchet AS (
  INSERT INTO ratchet (tenant,uid,contact,device,record) SELECT tenant,uid,contact,device,record
  FROM unnest(@int4[],@int4[],@int8[],@bytea[],@int4[],@bytea[]) AS
    u(i,tenant,uid,contact,device,record) WHERE %i
  ON CONFLICT (tenant,uid,contact,device) DO UPDATE SET record=excluded.record))sql";
constexpr const char* kSeldom = R"sql(,
w_profile AS (
  INSERT INTO profile (tenant,uid,sealed) SELECT tenant,uid,profile FROM c
  WHERE profile IS NOT NULL AND %i
  ON CONFLICT (tenant,uid) DO UPDATE SET sealed=excluded.sealed),
d_ratchet AS (
  DELETE FROM ratchet t USING unnest(@int4[],@int4[],@int8[],@bytea[],@int4[])
    AS u(i,tenant,uid,contact,device)
  WHERE %u.i AND t.tenant=u.tenant AND t.uid=u.uid AND t.contact=u.contact
    AND t.device=u.device),
w_contact AS (
  INSERT INTO contact (tenant,uid,contact,sealed) SELECT tenant,uid,contact,sealed
  FROM unnest(@int4[],@int4[],@int8[],@bytea[],@bytea[]) AS u(i,tenant,uid,contact,sealed)
  WHERE %i
  ON CONFLICT (tenant,uid,contact) DO UPDATE SET sealed=excluded.sealed),
d_contact AS (
  DELETE FROM contact t USING unnest(@int4[],@int4[],@int8[],@bytea[]) AS u(i,tenant,uid,contact)
  WHERE %u.i AND t.tenant=u.tenant AND t.uid=u.uid AND t.contact=u.contact),
w_prekey AS (
  INSERT INTO prekey (tenant,uid,first_id,sealed) SELECT tenant,uid,first_id,sealed
  FROM unnest(@int4[],@int4[],@int8[],@int8[],@bytea[]) AS u(i,tenant,uid,first_id,sealed)
  WHERE %i
  ON CONFLICT (tenant,uid,first_id) DO UPDATE SET sealed=excluded.sealed),
d_prekey AS (
  DELETE FROM prekey t USING unnest(@int4[],@int4[],@int8[],@int8[]) AS u(i,tenant,uid,first_id)
  WHERE %u.i AND t.tenant=u.tenant AND t.uid=u.uid AND t.first_id=u.first_id),
w_undecrypted AS (
  INSERT INTO undecrypted (tenant,uid,message,since,sealed) SELECT tenant,uid,message,since,sealed
  FROM unnest(@int4[],@int4[],@int8[],@bytea[],@int8[],@bytea[])
    AS u(i,tenant,uid,message,since,sealed) WHERE %i
  ON CONFLICT (tenant,uid,message) DO UPDATE SET sealed=excluded.sealed),
d_undecrypted AS (
  DELETE FROM undecrypted t USING unnest(@int4[],@int4[],@int8[],@bytea[])
    AS u(i,tenant,uid,message)
  WHERE %u.i AND t.tenant=u.tenant AND t.uid=u.uid AND t.message=u.message))sql";
constexpr const char* kPutMessages = R"sql(,
w_message AS (
  INSERT INTO message (tenant,uid,ord,bucket,created,request,body_mac,contact,content,state,reason,
    stanza,devices)
  SELECT tenant,uid,ord,bucket,created,request,body_mac,contact,content,state,reason,stanza,devices
  FROM mi
  WHERE %i))sql";
constexpr const char* kSettle = R"sql(,
ki AS MATERIALIZED (
  SELECT * FROM unnest(@int4[],@int4[],@int8[],@int8[],@int4[],@int2[],@int2[],@bool[],@bytea[],
    @bool[],@bytea[],@bytea[])
    AS u(i,tenant,uid,ord,bucket,state,reason,set_stanza,stanza,set_content,content,devices)),
w_settle AS (
  UPDATE message t SET state=coalesce(u.state,t.state), reason=coalesce(u.reason,t.reason),
    stanza=CASE WHEN u.set_stanza THEN u.stanza ELSE t.stanza END,
    content=CASE WHEN u.set_content THEN u.content ELSE t.content END,
    devices=coalesce(u.devices,t.devices)
  FROM ki u WHERE %u.i AND t.tenant=u.tenant AND t.uid=u.uid AND t.ord=u.ord
    AND t.bucket=u.bucket RETURNING 1))sql";
constexpr const char* kPutEvents = R"sql(,
w_event AS (
  INSERT INTO event (tenant,uid,seq,bucket,at,payload) SELECT tenant,uid,seq,bucket,at,payload
  FROM unnest(@int4[],@int4[],@int8[],@int8[],@int4[],@int8[],@bytea[])
    AS u(i,tenant,uid,seq,bucket,at,payload) WHERE %i))sql";
constexpr const char* kPutReceived = R"sql(,
w_received AS (
  INSERT INTO received (tenant,uid,message,bucket,cipher_hash,seq,at)
  SELECT tenant,uid,message,bucket,cipher_hash,seq,at FROM vi
  WHERE %i AND n NOT IN (SELECT n FROM xv)))sql";
// Of ids that are known; one that was swept meanwhile is written anew above.
constexpr const char* kReplaceReceived = R"sql(,
u_received AS (
  UPDATE received t SET cipher_hash=u.cipher_hash, seq=u.seq FROM vi u
  WHERE u.known AND %u.i AND t.tenant=u.tenant AND t.uid=u.uid
    AND t.message=u.message))sql";
constexpr const char* kAnswer = R"sql(
SELECT (SELECT g FROM f),
  (SELECT array_agg(i ORDER BY i) FROM l WHERE code=1),
  (SELECT array_agg(version ORDER BY i) FROM l WHERE code=1),
  (SELECT array_agg(change ORDER BY i) FROM l WHERE code=1),
  )sql";
constexpr const char* kGuard = R"sql(
  1/CASE WHEN (SELECT count(*) FROM w_settle)=(SELECT count(*) FROM ki WHERE %i)
    THEN 1 ELSE 0 END)sql";

// Each part costs its start-up even when it has nothing to do, about as much as a change set: a
// batch runs the statement of the parts that it has rows for. What comes seldom is one part, so
// that there are few statements.
enum Part : unsigned {
  kHasMessages = 1,
  kHasUpdates = 2,
  kHasEvents = 4,
  kHasReceived = 8,
  kHasRatchets = 16,
  kHasSeldom = 32,
};

std::string looked_up(unsigned parts) {
  const bool messages = parts & kHasMessages, received = parts & kHasReceived;
  std::string sql = kUsers;
  if (messages) sql += kNewMessages;
  if (received) sql += kNewReceived;
  sql += ",\nx AS MATERIALIZED (";
  if (messages) sql += "SELECT i FROM xr";
  if (messages && received) sql += " UNION ALL ";
  if (received) sql += "SELECT i FROM xv WHERE NOT known";
  if (!messages && !received) sql += "SELECT 0::bigint AS i WHERE false";
  return sql + ")";
}

std::string written(unsigned parts) {
  const bool messages = parts & kHasMessages, received = parts & kHasReceived;
  std::string sql;
  if (parts & kHasRatchets) sql += kPutRatchets;
  if (parts & kHasSeldom) sql += kSeldom;
  if (messages) sql += kPutMessages;
  if (parts & kHasUpdates) sql += kSettle;
  if (parts & kHasEvents) sql += kPutEvents;
  if (received) sql += kPutReceived;
  if (received && (parts & kHasSeldom)) sql += kReplaceReceived;
  return sql;
}

std::string answered(unsigned parts) {
  const bool messages = parts & kHasMessages, received = parts & kHasReceived;
  std::string sql = kAnswer;
  sql += messages ? "(SELECT array_agg(n ORDER BY n) FROM xr), " : "NULL, ";
  sql += received ? "(SELECT array_agg(n ORDER BY n) FROM xv WHERE NOT known)" : "NULL";
  if (parts & kHasUpdates) sql += std::string(",") + kGuard;
  return sql;
}

// `@` stands for the next parameter, cast to the type that follows; `%i` for what has to hold of
// change set i for its rows to be written.
std::string numbered(const std::string& sql, const std::function<std::string(std::string)>& holds) {
  std::string out;
  int n = 0;
  for (std::string_view rest = sql; !rest.empty();) {
    const auto at = rest.find_first_of("@%");
    out.append(rest.substr(0, at));
    if (at == std::string_view::npos) break;
    const bool parameter = rest[at] == '@';
    rest.remove_prefix(at + 1);
    if (parameter) {
      out += "$" + std::to_string(++n) + "::";
      continue;
    }
    const auto name = rest.substr(0, rest.find('i') + 1);  // i, or u.i
    out += holds(std::string(name));
    rest.remove_prefix(name.size());
  }
  return out;
}

// Empty octets as they are; elsewhere they stand for what is forgotten, and are NULL.
struct Exactly {
  const std::optional<Bytes>& value;
};

// The arrays of one list, in the order of their columns.
class Columns {
 public:
  explicit Columns(std::initializer_list<Type> types) : arrays_(types.begin(), types.end()) {}
  template <class... Values>
  void row(const Values&... values) {
    std::size_t at = 0;
    (put(arrays_[at++], values), ...);
  }
  void to(Parameters& parameters) {
    for (auto& array : arrays_) parameters.push_back(array.parameter());
  }

 private:
  template <std::integral T>
  static void put(Array& array, T value) {
    array.add(static_cast<std::int64_t>(value));
  }
  static void put(Array& array, const Tag& value) { array.add(value); }
  static void put(Array& array, const Bytes& value) { array.add_or_null(ByteView(value)); }
  static void put(Array& array, const Exactly& exactly) {
    if (exactly.value)
      array.add(ByteView(*exactly.value));
    else
      array.add_null();
  }
  static void put(Array& array, const std::optional<Bytes>& value) {
    array.add_or_null(value ? ByteView(*value) : ByteView());
  }
  template <class T>
  requires(std::is_enum_v<T>) static void put(Array& array, T value) {
    array.add(static_cast<std::int64_t>(value));
  }
  template <class T>
  requires(std::is_enum_v<T>) static void put(Array& array, const std::optional<T>& value) {
    if (value)
      array.add(static_cast<std::int64_t>(*value));
    else
      array.add_null();
  }
  std::vector<Array> arrays_;
};

using T = Type;

struct BatchColumns {
  Columns users{T::kInt4, T::kInt8, T::kInt8, T::kInt8, T::kInt8, T::kInt8,
                T::kInt8, T::kInt8, T::kInt8, T::kInt2, T::kBytea};
  Columns messages{T::kInt4, T::kInt4,  T::kInt8,  T::kInt8,  T::kInt4,  T::kInt8,  T::kInt2,
                   T::kInt2, T::kBytea, T::kBytea, T::kBytea, T::kBytea, T::kBytea, T::kBytea};
  Columns received{T::kInt4,  T::kInt4, T::kInt8, T::kInt4, T::kBytea,
                   T::kBytea, T::kInt8, T::kInt8, T::kBool};
  Columns ratchets{T::kInt4, T::kInt4, T::kInt8, T::kBytea, T::kInt4, T::kBytea};
  Columns no_ratchets{T::kInt4, T::kInt4, T::kInt8, T::kBytea, T::kInt4};
  Columns contacts{T::kInt4, T::kInt4, T::kInt8, T::kBytea, T::kBytea};
  Columns no_contacts{T::kInt4, T::kInt4, T::kInt8, T::kBytea};
  Columns prekeys{T::kInt4, T::kInt4, T::kInt8, T::kInt8, T::kBytea};
  Columns no_prekeys{T::kInt4, T::kInt4, T::kInt8, T::kInt8};
  Columns updates{T::kInt4, T::kInt4, T::kInt8,  T::kInt8, T::kInt4,  T::kInt2,
                  T::kInt2, T::kBool, T::kBytea, T::kBool, T::kBytea, T::kBytea};
  Columns events{T::kInt4, T::kInt4, T::kInt8, T::kInt8, T::kInt4, T::kInt8, T::kBytea};
  Columns undecrypted{T::kInt4, T::kInt4, T::kInt8, T::kBytea, T::kInt8, T::kBytea};
  Columns no_undecrypted{T::kInt4, T::kInt4, T::kInt8, T::kBytea};

  void add(std::int64_t i, const ChangeSet& c);
  Parameters of(unsigned parts);
};

void BatchColumns::add(std::int64_t i, const ChangeSet& c) {
  const auto [tenant, uid] = c.user;
  users.row(tenant, uid, c.term, c.version, static_cast<std::int64_t>(c.change), c.next_order,
            c.lowest_unsettled, c.next_event, c.acked_event, c.state, Exactly{c.profile});
  for (const auto& m : c.messages)
    messages.row(i, tenant, uid, m.order, bucket_of(m.created), unix_ms(m.created), m.state,
                 m.reason, m.request, m.body_mac, m.contact, m.content, m.stanza, m.devices);
  for (const auto& r : c.received)
    received.row(i, tenant, uid, bucket_of(r.at), r.message, r.cipher_hash, r.seq, unix_ms(r.at),
                 r.known);
  for (const auto& r : c.ratchets) {
    if (r.record.empty())
      no_ratchets.row(i, tenant, uid, r.contact, r.device);
    else
      ratchets.row(i, tenant, uid, r.contact, r.device, r.record);
  }
  for (const auto& row : c.contacts) {
    if (row.blob.empty())
      no_contacts.row(i, tenant, uid, row.contact);
    else
      contacts.row(i, tenant, uid, row.contact, row.blob);
  }
  for (const auto& p : c.prekeys) {
    if (p.blob.empty())
      no_prekeys.row(i, tenant, uid, p.first_id);
    else
      prekeys.row(i, tenant, uid, p.first_id, p.blob);
  }
  for (const auto& u : c.updates)
    updates.row(i, tenant, uid, u.order, bucket_of(u.created), u.state, u.reason,
                u.stanza.has_value(), u.stanza, u.content.has_value(), u.content, u.devices);
  for (const auto& e : c.events)
    events.row(i, tenant, uid, e.seq, bucket_of(e.at), unix_ms(e.at), e.payload);
  for (const auto& u : c.undecrypted) {
    if (u.blob.empty())
      no_undecrypted.row(i, tenant, uid, u.message);
    else
      undecrypted.row(i, tenant, uid, u.message, unix_ms(u.since), u.blob);
  }
}

// In the order in which the statement names them.
Parameters BatchColumns::of(unsigned parts) {
  Parameters out;
  out.reserve(96);
  users.to(out);
  if (parts & kHasMessages) messages.to(out);
  if (parts & kHasReceived) received.to(out);
  if (parts & kHasRatchets) ratchets.to(out);
  if (parts & kHasSeldom)
    for (auto* list : {&no_ratchets, &contacts, &no_contacts, &prekeys, &no_prekeys, &undecrypted,
                       &no_undecrypted})
      list->to(out);
  if (parts & kHasUpdates) updates.to(out);
  if (parts & kHasEvents) events.to(out);
  return out;
}

unsigned parts_of(const ChangeSet& c) {
  unsigned parts = 0;
  if (!c.messages.empty()) parts |= kHasMessages;
  if (!c.updates.empty()) parts |= kHasUpdates;
  if (!c.events.empty()) parts |= kHasEvents;
  if (!c.received.empty()) parts |= kHasReceived;
  if (!c.ratchets.empty()) parts |= kHasRatchets;
  const bool forgets = std::any_of(c.ratchets.begin(), c.ratchets.end(),
                                   [](const Ratchet& r) { return r.record.empty(); });
  const bool replaces =
      std::any_of(c.received.begin(), c.received.end(), [](const Received& r) { return r.known; });
  if (c.profile || !c.contacts.empty() || !c.prekeys.empty() || !c.undecrypted.empty() || forgets ||
      replaces)
    parts |= kHasSeldom;
  return parts;
}

// "{1,-2,3}" -> numbers; null: none.
std::vector<std::int64_t> numbers(const pqxx::field& field) {
  std::vector<std::int64_t> out;
  if (field.is_null()) return out;
  const char *at = field.c_str(), *end = at + field.size();
  while (at != end) {
    std::int64_t value = 0;
    auto [next, code] = std::from_chars(at, end, value);
    if (code == std::errc()) out.push_back(value);
    at = code == std::errc() ? next : at + 1;
  }
  return out;
}

}  // namespace

unsigned parts_of(const std::vector<const ChangeSet*>& batch) {
  unsigned parts = 0;
  for (const ChangeSet* change : batch) parts |= parts_of(*change);
  return parts;
}

std::string apply_all_sql(unsigned parts) {
  std::string sql = looked_up(parts) + kAllUsers + written(parts);
  sql +=
      "\nSELECT 1/CASE WHEN (SELECT count(*) FROM w_account)=(SELECT count(*) FROM c)"
      " AND NOT EXISTS (SELECT 1 FROM x) THEN 1 ELSE 0 END";
  if (parts & kHasUpdates) sql += std::string(",") + kGuard;
  return numbered(sql, [](const std::string&) { return "true"; });
}

std::string apply_each_sql(unsigned parts) {
  return numbered(looked_up(parts) + kEachUser + written(parts) + answered(parts),
                  [](const std::string& i) { return "(SELECT g FROM f)[" + i + "]=0"; });
}

std::set<std::int32_t> buckets_of(const std::vector<const ChangeSet*>& batch) {
  std::set<std::int32_t> buckets;
  for (const ChangeSet* change : batch) {
    for (const auto& m : change->messages) buckets.insert(bucket_of(m.created));
    for (const auto& e : change->events) buckets.insert(bucket_of(e.at));
    for (const auto& r : change->received) buckets.insert(bucket_of(r.at));
  }
  return buckets;
}

Parameters apply_parameters(const std::vector<const ChangeSet*>& batch, unsigned parts) {
  BatchColumns parameters;
  for (std::size_t i = 0; i < batch.size(); ++i)
    parameters.add(static_cast<std::int64_t>(i) + 1, *batch[i]);
  return parameters.of(parts);
}

Parameters erase_parameters(const std::vector<const ChangeSet*>& batch) {
  Columns users{T::kInt4, T::kInt8, T::kInt8, T::kInt8};
  for (const ChangeSet* c : batch)
    if (c->erase_keys) users.row(c->user.tenant, c->user.uid, c->term, c->version);
  Parameters out;
  users.to(out);
  return out;
}

Result<std::vector<Outcome>> apply_outcomes(const std::vector<const ChangeSet*>& batch,
                                            const pqxx::result& answer) {
  const auto& row = answer[0];
  const auto codes = numbers(row[0]);
  if (codes.size() != batch.size())
    return fail(ErrorKind::kBug, kUserMissing, "a user of the batch has no row");
  std::vector<Outcome> outcomes(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    switch (codes[i]) {
      case kApplies:
        outcomes[i].kind = Kind::kApplied;
        break;
      case kBackwards:
        outcomes[i].error = {
            ErrorKind::kBug, "ROW_MISSING", "a change set sets a counter back", {}};
        break;
      case kThere:
        outcomes[i].kind = Kind::kExists;
        break;
      default:
        outcomes[i].kind = Kind::kStale;
    }
  }
  const auto at = numbers(row[1]), versions = numbers(row[2]), changes = numbers(row[3]);
  for (std::size_t k = 0; k < at.size(); ++k) {
    const auto i = static_cast<std::size_t>(at[k] - 1);
    const ChangeSet& c = *batch[i];
    if (versions[k] == c.version + 1 && changes[k] == static_cast<std::int64_t>(c.change))
      outcomes[i].kind = Kind::kFoundApplied;
  }
  // Positions among all messages and all received ids of the batch.
  auto name = [&](const std::vector<std::int64_t>& found, auto list, auto tag, auto into) {
    std::vector<std::pair<std::size_t, Tag>> all;
    for (std::size_t i = 0; i < batch.size(); ++i)
      for (const auto& item : list(*batch[i])) all.emplace_back(i, tag(item));
    for (auto n : found) {
      auto& [i, value] = all.at(static_cast<std::size_t>(n - 1));
      if (outcomes[i].kind == Kind::kExists) into(outcomes[i]).push_back(value);
    }
  };
  name(
      numbers(row[4]), [](const ChangeSet& c) -> const auto& { return c.messages; },
      [](const MessageInsert& m) { return m.request; },
      [](Outcome & o) -> auto& { return o.existing_requests; });
  name(
      numbers(row[5]), [](const ChangeSet& c) -> const auto& { return c.received; },
      [](const Received& r) { return r.message; },
      [](Outcome & o) -> auto& { return o.existing_received; });
  return outcomes;
}

}  // namespace gw::store::postgres
