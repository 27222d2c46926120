// Law 6, looked at from outside: what lies in the file says nothing, and what was moved, changed or
// set back there is noticed. And the keys: wrapped, one a start, the root for ever.

#include <filesystem>
#include <set>

#include "base/encoding.h"
#include "store/sqlite_file.h"
#include "store/suite.h"

namespace gw::store::test {
namespace {

const BackendKind kSqlite = backends().front();

class SealingTest : public testing::Test {
 protected:
  std::string file() const { return d_.folder() + "store.db"; }

  // A user with two of every kind of row.
  TestUser fill(std::string_view name) {
    auto user = d_.enlist(name);
    auto c = user.change();
    for (const char* text : {"one", "two"}) {
      user.add_message(c, text, named(name, text));
      user.add_event(c, named(name, text));
      c.contacts.push_back({tag(text), to_bytes(named(name, text))});
    }
    c.ratchets = {{tag("one"), 0, to_bytes("one 0")},
                  {tag("one"), 1, to_bytes("one 1")},
                  {tag("two"), 0, to_bytes("two 0")}};
    EXPECT_TRUE(d_.apply(user, c).applied());
    return user;
  }

  // Every read of the user; the first error.
  Result<void> read_all(UserRef user) {
    GW_TRY(d_.load(user));
    GW_TRY(read_prekeys(user));
    GW_TRY(read_conversation(user, "one"));
    GW_TRY(read_conversation(user, "two"));
    GW_TRY(d_.events(user, 0));
    GW_TRY(d_.messages(user, {1, 2}));
    return {};
  }
  // A damaged blob in a conversation or of a prekey batch counts as none, and is counted.
  Result<void> read_conversation(UserRef user, const char* contact) {
    const auto before = d_.store().probe().damaged_rows.load();
    GW_ASSIGN(auto rows, d_.conversation(user, contact));
    std::size_t empty = rows.blob.empty() ? 1 : 0;
    for (const auto& ratchet : rows.ratchets) empty += ratchet.record.empty() ? 1 : 0;
    const auto damaged = d_.store().probe().damaged_rows.load() - before;
    EXPECT_EQ(damaged, empty);
    if (damaged > 0) return fail(ErrorKind::kCorrupt, "ROW_DAMAGED");
    return {};
  }
  Result<void> read_prekeys(UserRef user) {
    const auto before = d_.store().probe().damaged_rows.load();
    GW_ASSIGN(auto batches, d_.prekeys(user));
    const auto damaged = d_.store().probe().damaged_rows.load() - before;
    EXPECT_EQ(batches.size() + damaged, 2u) << "each is given or counted";
    if (damaged == 0) return {};
    return fail(ErrorKind::kCorrupt, "ROW_DAMAGED");
  }
  void expect_damage(UserRef user, const std::string& what,
                     std::string_view reason = "ROW_DAMAGED") {
    d_.reopen();
    auto read = read_all(user);
    ASSERT_FALSE(read) << what;
    EXPECT_EQ(read.error().kind, ErrorKind::kCorrupt) << what;
    EXPECT_EQ(read.error().reason, reason) << what;
  }

  Deployment d_{kSqlite};
};

struct Column {
  const char* table;
  const char* name;
};
constexpr Column kSealed[] = {{"profile", "sealed"}, {"ratchet", "record"},  {"contact", "sealed"},
                              {"prekey", "sealed"},  {"message", "content"}, {"message", "stanza"},
                              {"event", "payload"}};
std::string select(const Column& c, const std::string& where) {
  return named("SELECT ", c.name) + " FROM " + c.table + " WHERE " + where;
}
std::string update(const Column& c, const std::string& where) {
  return named("UPDATE ", c.table) + " SET " + c.name + "=?1 WHERE " + where;
}

TEST_F(SealingTest, NothingReadableIsInTheFiles) {
  const std::vector<std::string> secrets = {
      "+491701234567",           "123456789012345@lid", "see you at eight tonight",
      "kSecretPrivateKeyBytes!", "provider-user-17",    "request-id-0815"};
  const auto& names = d_.store().pseudonyms();
  auto made = await<Result<Store::Enlisted>>([&](auto done) {
                d_.store().enlist(1, names.user(1, secrets[4]), to_bytes(secrets[3]),
                                  {{1, to_bytes(secrets[3])}}, done);
              }).value();
  TestUser user;
  user.ref = made.user;
  user.term = d_.claim(user.ref).value();
  auto c = user.change();
  user.add_message(c, "r", secrets[2]).request = names.request(user.ref, secrets[5]);
  c.messages[0].stanza = to_bytes(secrets[1]);
  c.messages[0].contact = names.contact(user.ref, {message::Contact::Kind::kE164, secrets[0]});
  user.add_event(c, secrets[2]);
  c.ratchets = {{c.messages[0].contact, 0, to_bytes(secrets[3])}};
  c.contacts = {{c.messages[0].contact, to_bytes(secrets[0])}};
  c.profile = to_bytes(secrets[3]);
  c.received = {{names.received(user.ref, secrets[1], "id"), {}, 1, {}}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto look = [&](const char* when) {
    std::size_t octets = 0;
    for (const auto& entry : std::filesystem::directory_iterator(d_.folder())) {
      std::string all = read_file(entry.path());
      octets += all.size();
      auto kek = test_kek();
      for (const auto& secret : secrets)
        EXPECT_EQ(all.find(secret), std::string::npos) << when << entry.path() << secret;
      EXPECT_EQ(all.find(to_string(ByteView(kek))), std::string::npos) << when << entry.path();
    }
    EXPECT_GT(octets, 4096u);
  };
  look("in the log: ");
  d_.close();
  look("in the database: ");
}

TEST_F(SealingTest, ADamagedUserHidesNobodyElseFromTheLists) {
  fill("anna");
  auto bert = fill("bert");
  d_.close();
  RawFile(file()).run("UPDATE profile SET sealed=?1 WHERE uid=1", {Bytes(60, 1)});
  d_.reopen();
  auto pending = await<Result<std::vector<PendingUser>>>(
      [&](auto done) { d_.store().pending_users(bert.ref.tenant, 0, 10, done); });
  ASSERT_TRUE(pending);
  ASSERT_EQ(pending->size(), 2u);
  EXPECT_TRUE(pending->at(0).profile.empty());
  EXPECT_FALSE(pending->at(1).profile.empty());
  const auto late = from_unix_ms(std::int64_t{1} << 45);
  auto overdue = [&](std::int64_t after, std::size_t limit) {
    return await<Result<std::vector<PendingUser>>>([&](auto done) {
             d_.store().overdue_users({late, late, late}, after, limit, done);
           })
        .value();
  };
  ASSERT_EQ(overdue(0, 10).size(), 2u);
  // Page by page: nobody stands before the others for ever.
  ASSERT_EQ(overdue(0, 1).size(), 1u);
  EXPECT_EQ(overdue(overdue(0, 1)[0].user.uid, 1).at(0).user, bert.ref);
}

TEST_F(SealingTest, EveryChangedOctetIsNoticed) {
  auto user = fill("anna");
  for (const Column& column : kSealed) {
    d_.close();
    Bytes good = RawFile(file()).one(select(column, "uid=1") + " ORDER BY rowid");
    for (std::size_t at : {std::size_t{0}, std::size_t{4}, std::size_t{11}, std::size_t{19},
                           std::size_t{20}, good.size() - 1}) {
      Bytes bad = good;
      bad[at] ^= 1;
      d_.close();
      RawFile(file()).run(update(column, named(column.name, "=?2")), {bad, good});
      // The first four name the data key: then it is that key which cannot be had.
      expect_damage(user.ref, named(column.table, numbered(" octet ", static_cast<int>(at))),
                    at < 4 ? "KEY_DAMAGED" : "ROW_DAMAGED");
      d_.close();
      RawFile(file()).run(update(column, named(column.name, "=?2")), {good, bad});
    }
    RawFile(file()).run(update(column, named(column.name, "=?2")), {Bytes(10, 1), good});
    expect_damage(user.ref, "too short");
    d_.close();
    RawFile(file()).run(update(column, named(column.name, "=?2")), {good, Bytes(10, 1)});
  }
  d_.reopen();
  EXPECT_TRUE(read_all(user.ref));
}

TEST_F(SealingTest, ARowInAnothersPlaceIsNoticed) {
  auto anna = fill("anna");
  fill("bert");
  ASSERT_EQ(anna.ref.uid, 1);
  d_.close();
  auto try_one = [&](const Column& column, const std::string& place, const Bytes& from,
                     const std::string& what) {
    Bytes good = RawFile(file()).one(select(column, place));
    ASSERT_NE(good, from);
    RawFile(file()).run(update(column, place), {from});
    expect_damage(anna.ref, what);
    d_.close();
    RawFile(file()).run(update(column, place), {good});
  };
  for (const Column& column : kSealed) {
    std::string first = named("rowid=(SELECT min(rowid) FROM ", column.table) + " WHERE uid=1)";
    auto rows = RawFile(file()).run(select(column, "uid=1") + " ORDER BY rowid");
    for (std::size_t i = 1; i < rows.size(); ++i)
      try_one(column, first, rows[i], named(column.table, ": another row of the user"));
    try_one(column, first, RawFile(file()).one(select(column, "uid=2") + " ORDER BY rowid"),
            named(column.table, ": the same row of another user"));
  }
  auto stanza = RawFile(file()).one("SELECT stanza FROM message WHERE uid=1 AND ord=1");
  try_one({"message", "content"}, "uid=1 AND ord=1", stanza, "a stanza as content");
  RawFile(file()).run("UPDATE account SET tenant=9 WHERE uid=1");
  d_.reopen();
  EXPECT_FALSE(d_.load({9, 1})) << "a user moved to another tenant";
}

TEST_F(SealingTest, AnAccountSetBackBelowItsRowsIsNoticed) {
  auto user = fill("anna");
  ASSERT_TRUE(d_.apply(user, user.change()).applied());
  d_.close();
  RawFile(file()).run("UPDATE account SET version=version-1");
  d_.reopen();
  EXPECT_TRUE(d_.load(user.ref)) << "no row is younger than that";
  d_.close();
  RawFile(file()).run("UPDATE account SET version=version-1");
  expect_damage(user.ref, "rows of version 1, an account of version 0");
}

TEST_F(SealingTest, ABlobCarriesTheVersionThatWroteIt) {
  auto user = fill("anna");
  auto versions = [&] {
    d_.close();
    std::set<std::uint64_t> all;
    RawFile raw(file());
    for (const char* sql : {"SELECT sealed FROM profile", "SELECT sealed FROM prekey"})
      for (const Bytes& blob : raw.run(sql)) all.insert(get_be<8>(ByteView(blob).subspan(12)));
    d_.reopen();
    return all;
  };
  EXPECT_EQ(versions(), std::set<std::uint64_t>{0});
  auto c = user.change();
  c.state = AccountState::kWithdrawn;
  c.erase_keys = true;
  ASSERT_TRUE(d_.apply(user, c).applied());
  d_.enlist("anna");
  EXPECT_EQ(versions(), std::set<std::uint64_t>{static_cast<std::uint64_t>(user.version) + 1});
}

// Nothing may be taken for lost, and written over, that another backup's keys would open.
TEST_F(SealingTest, ADataKeyThatCannotBeHadMakesNoRowEmpty) {
  auto user = fill("anna");
  for (const char* harm : {"UPDATE data_key SET wrapped=substr(wrapped,1,length(wrapped)-1)",
                           "DELETE FROM data_key"}) {
    d_.close();
    RawFile(file()).run(harm);
    expect_damage(user.ref, harm, "KEY_DAMAGED");
    EXPECT_EQ(d_.conversation(user.ref, "one").error().reason, "KEY_DAMAGED") << harm;
    EXPECT_EQ(d_.prekeys(user.ref).error().reason, "KEY_DAMAGED") << harm;
    EXPECT_EQ(d_.store().probe().damaged_rows.load(), 0u) << harm;
  }
}

TEST_F(SealingTest, AnotherKeyEncryptionKeyIsRefusedWithWhatToDo) {
  auto user = fill("anna");
  d_.close();
  auto opened = d_.open(test_kek(8));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(opened.error().reason, "KEK_WRONG");
  EXPECT_NE(opened.error().message.find("configure"), std::string::npos);
  d_.reopen();
  EXPECT_TRUE(read_all(user.ref)) << "the refused start changed nothing";
}

TEST_F(SealingTest, ADamagedRootKeyIsCorrupt) {
  d_.close();
  Bytes wrapped = RawFile(file()).one("SELECT wrapped FROM root_key");
  wrapped.back() ^= 1;
  RawFile(file()).run("UPDATE root_key SET wrapped=?1", {wrapped});
  EXPECT_EQ(d_.open().error().reason, "KEY_DAMAGED");
}

TEST_F(SealingTest, PseudonymsOutliveTheProcessAndDifferBetweenDeployments) {
  auto before = d_.store().pseudonyms().user(1, "anna");
  auto id = d_.store().pseudonyms().message_ids({1, 1}).message_id(5);
  d_.reopen();
  EXPECT_EQ(d_.store().pseudonyms().user(1, "anna"), before);
  EXPECT_EQ(d_.store().pseudonyms().message_ids({1, 1}).order_of(id), 5);
  Deployment other(kSqlite);
  EXPECT_NE(other.store().pseudonyms().user(1, "anna"), before);
}

TEST_F(SealingTest, EachStartHasItsOwnDataKeyAndOlderRowsStayReadable) {
  auto user = fill("anna");
  for (int start = 0; start < 3; ++start) {
    d_.reopen();
    EXPECT_TRUE(read_all(user.ref));
    auto c = user.change();
    user.add_event(c, numbered("start ", start));
    ASSERT_TRUE(d_.apply(user, c).applied());
  }
  EXPECT_EQ(d_.events(user.ref, 0).value().size(), 5u);
  d_.close();
  RawFile raw(file());
  EXPECT_EQ(raw.run("SELECT wrapped FROM data_key").size(), 4u);
  std::set<std::uint64_t> used;
  for (const Bytes& blob : raw.run("SELECT payload FROM event"))
    used.insert(get_be<4>(ByteView(blob)));
  EXPECT_EQ(used.size(), 4u);
}

// A data key is good for 64 blobs here: thousands of blobs from several threads use many keys, and
// no key sees a counter twice.
TEST(SealingKeysTest, NoNonceIsUsedTwiceUnderADataKey) {
  StoreOptions options;
  options.seals_per_data_key = 64;
  Deployment d(kSqlite, options);
  constexpr int kThreads = 4, kRounds = 60;
  std::vector<TestUser> users;
  for (int i = 0; i < kThreads; ++i) users.push_back(d.enlist(numbered("u", i)));
  std::vector<std::thread> threads;
  for (auto& user : users)
    threads.emplace_back([&d, &user] {
      for (int round = 0; round < kRounds;) {
        auto c = user.change();
        user.add_message(c, numbered("r", round), "content");
        user.add_event(c, "event");
        auto outcome = d.apply(user, c);
        if (outcome.applied())
          ++round;
        else
          ASSERT_EQ(outcome.error.reason, "DATA_KEY_SPENT");
      }
    });
  for (auto& thread : threads) thread.join();
  for (auto& user : users)
    EXPECT_EQ(d.load(user.ref).value()->unsettled.size(), static_cast<std::size_t>(kRounds));
  d.close();
  RawFile raw(d.folder() + "store.db");
  std::set<std::string> nonces;
  std::set<std::uint64_t> keys;
  std::size_t blobs = 0;
  for (const char* sql :
       {"SELECT payload FROM event", "SELECT content FROM message", "SELECT stanza FROM message",
        "SELECT record FROM ratchet", "SELECT sealed FROM prekey", "SELECT sealed FROM profile"})
    for (const Bytes& blob : raw.run(sql)) {
      ++blobs;
      keys.insert(get_be<4>(ByteView(blob)));
      nonces.insert(to_hex(ByteView(blob).first(12)));
      EXPECT_LT(get_be<8>(ByteView(blob).subspan(4)), 64u);
    }
  EXPECT_EQ(nonces.size(), blobs);
  EXPECT_GT(keys.size(), 5u);
}

}  // namespace
}  // namespace gw::store::test
