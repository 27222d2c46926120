// What a PostgreSQL server answers in the middle of life, and what a change set is told of it:
// rights that are taken away, a full disk in the middle of a batch, a session that forgets, a sweep
// beside a read, settings that change.

#include <mutex>
#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/transaction>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "store/postgres/connection.h"
#include "store/private_postgres.h"
#include "store/suite.h"

namespace gw::store::test {
namespace {

using postgres::Connection;
using postgres::Transaction;

constexpr const char* kOwner = "limited";  // owns its database and is no superuser

class PostgresOutcomesTest : public testing::Test {
 protected:
  BackendKind kind() {
    return {"postgres", [this](const std::string& folder) {
              PostgresOptions options;
              const auto database = database_of(folder);
              if (server_.value("postgres", "SELECT 1 FROM pg_roles WHERE rolname='limited'") == "")
                server_.run("postgres", "CREATE ROLE limited LOGIN");
              server_.uri(database);
              server_.run("postgres", "ALTER DATABASE \"" + database + "\" OWNER TO " + kOwner);
              options.uri = "host=" + server_.folder() + " user=" + kOwner + " dbname=" + database;
              options.lock_timeout = Millis(200);
              options.trouble = [this](const Error& error) {
                std::lock_guard lock(mutex_);
                troubles_.emplace_back(error.reason);
              };
              return open_postgres(options);
            }};
  }
  void run(const std::string& sql) { server_.run(database_of(d_.folder()), sql); }
  std::string value(const std::string& sql) { return server_.value(database_of(d_.folder()), sql); }
  std::vector<std::string> troubles() {
    std::lock_guard lock(mutex_);
    return troubles_;
  }
  // The server has no signal for what a session waits for, so it is asked until it says so.
  void wait_until(const std::string& sql) {
    for (int tries = 0; tries < 2000; ++tries) {
      if (value(sql) == "t") return;
      std::this_thread::sleep_for(Millis(5));
    }
    FAIL() << "never true: " << sql;
  }
  // The next event that is inserted for this user finds the disk full.
  void fill_the_disk_once(UserRef user) {
    run("CREATE SEQUENCE inserted; GRANT ALL ON SEQUENCE inserted TO limited;"
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.uid=" +
        std::to_string(user.uid) +
        " AND nextval('inserted')=1 THEN"
        " RAISE EXCEPTION 'full' USING ERRCODE='53100'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION "
        "full_disk()");
  }
  // Of one with a fault, one that is wrong in itself, and one whose event finds the disk full when
  // the batch is done again one by one.
  std::vector<ChangeSet> batch_with_a_bug() {
    for (const char* name : {"anna", "bert", "carl"}) users_.push_back(d_.enlist(name));
    std::vector<ChangeSet> all;
    for (auto& user : users_) {
      // The partitions are there, and prepared for.
      auto first = user.change();
      user.add_event(first, "first");
      EXPECT_TRUE(d_.apply(user, first).applied());
      all.push_back(user.change());
      user.add_event(all.back(), "second");
    }
    all[1].updates.emplace_back().order = 99;
    fill_the_disk_once(users_[2].ref);
    return all;
  }

  std::mutex mutex_;  // guards troubles_
  std::vector<std::string> troubles_;
  PrivatePostgres& server_ = PrivatePostgres::shared();
  Deployment d_{kind()};
  std::vector<TestUser> users_;
};

TEST_F(PostgresOutcomesTest, ARightThatIsTakenAwayIsRetriedLaterAndToldOnce) {
  auto user = d_.enlist("anna");
  for (int round = 1; round <= 2; ++round) {
    run("REVOKE UPDATE ON account FROM limited");
    for (int tries = 0; tries < 3; ++tries) {
      auto outcome = d_.apply(user.change());
      ASSERT_EQ(outcome.kind, Kind::kFailed);
      EXPECT_EQ(outcome.error.kind, ErrorKind::kRetryLater);
      EXPECT_EQ(outcome.error.reason, "POSTGRES_NO_RIGHT");
      auto claimed = d_.claim(user.ref);
      ASSERT_FALSE(claimed);
      EXPECT_EQ(claimed.error().kind, ErrorKind::kRetryLater);
    }
    EXPECT_EQ(troubles(), std::vector<std::string>(round, "POSTGRES_NO_RIGHT"));
    run("GRANT UPDATE ON account TO limited");
    EXPECT_TRUE(d_.apply(user, user.change()).applied());
  }
}

TEST_F(PostgresOutcomesTest, ARightToReadThatIsTakenAwayIsRetriedLaterAndToldOnce) {
  auto user = d_.enlist("anna");
  run("REVOKE SELECT ON message FROM limited");
  for (int tries = 0; tries < 3; ++tries) {
    auto loaded = d_.load(user.ref);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::kRetryLater);
  }
  EXPECT_EQ(troubles(), std::vector<std::string>{"POSTGRES_NO_RIGHT"});
  run("GRANT SELECT ON message TO limited");
  EXPECT_TRUE(d_.load(user.ref));
}

TEST_F(PostgresOutcomesTest, WhatIsMissingAtTheStartIsSaidAsSuch) {
  d_.close();
  run("REVOKE SELECT ON root_key FROM limited");
  auto opened = d_.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kConfig);
}

// The batch is done again one by one, and in the middle of that the disk is full: what was
// committed is told as such.
TEST_F(PostgresOutcomesTest, ADiskThatIsFullInTheMiddleOfABatchFailsOnlyWhatItHits) {
  auto changes = batch_with_a_bug();
  d_.close();
  auto backend = d_.raw();
  std::vector<Sealed> batch;
  for (const auto& c : changes) batch.push_back({c, 0});
  auto outcomes = backend->apply(batch);
  ASSERT_TRUE(outcomes) << outcomes.error().reason;
  EXPECT_EQ((*outcomes)[0].kind, Kind::kApplied);
  EXPECT_EQ((*outcomes)[1].kind, Kind::kFailed);
  EXPECT_EQ((*outcomes)[1].error.kind, ErrorKind::kBug);
  EXPECT_EQ((*outcomes)[2].kind, Kind::kFailed);
  EXPECT_EQ((*outcomes)[2].error.kind, ErrorKind::kRetryLater);
  EXPECT_EQ(backend->load(changes[0].user).value()->account.version, changes[0].version + 1);
  EXPECT_EQ(backend->load(changes[2].user).value()->account.version, changes[2].version);
}

// The same after a try whose outcome nobody knows: then "full" is no answer for anybody.
TEST_F(PostgresOutcomesTest, AFullDiskIsNoAnswerToAnUnknownOutcome) {
  auto faults = std::make_shared<Faults>();
  d_.use_faults(faults);
  d_.reopen();
  auto changes = batch_with_a_bug();
  auto blocker = d_.enlist("dora");
  faults->next(Fault::kHang);
  faults->next(Fault::kUnknownBefore);
  auto hangs = std::async(std::launch::async, [&] { return d_.apply(blocker.change()); });
  ASSERT_TRUE(faults->wait_hanging());
  std::vector<std::future<Outcome>> answers;
  for (const auto& c : changes) {
    auto promise = std::make_shared<std::promise<Outcome>>();
    answers.push_back(promise->get_future());
    d_.store().apply(ChangeSet(c), [promise](Outcome o) { promise->set_value(std::move(o)); });
  }
  faults->release();
  EXPECT_EQ(hangs.get().kind, Kind::kApplied);
  EXPECT_EQ(answers[0].get().kind, Kind::kFoundApplied);
  EXPECT_EQ(answers[1].get().error.kind, ErrorKind::kBug);
  EXPECT_EQ(answers[2].get().kind, Kind::kApplied);
}

// Another gateway's sweep moves the events of a partition that it drops, while a read waits for it.
TEST_F(PostgresOutcomesTest, AReadThatWaitsForASweepSeesTheEventsThatMoved) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  for (const char* text : {"one", "two", "three"}) user.add_event(c, text);
  ASSERT_TRUE(d_.apply(user, c).applied());
  ASSERT_EQ(d_.events(user.ref, 0).value().size(), 3u);
  c = user.change();
  user.add_event(c, "four");
  c.events.back().at = from_unix_ms(10 * 24 * 3600'000);
  ASSERT_TRUE(d_.apply(user, c).applied());

  pqxx::connection other(server_.uri_of(database_of(d_.folder())));
  pqxx::work sweep(other);
  sweep.exec("INSERT INTO event SELECT tenant, uid, seq, 5, at, payload FROM event_0");
  sweep.exec("DROP TABLE event_0");
  auto events = std::async(std::launch::async, [&] { return d_.events(user.ref, 0); });
  wait_until(
      "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type='Lock' AND"
      " datname=current_database())");
  sweep.commit();
  EXPECT_EQ(events.get().value().size(), 4u);
}

TEST_F(PostgresOutcomesTest, WhatIsHalfSweptIsMadeAnewAndForeignPartitionsStay) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one").state = message::State::kSent;
  user.add_event(c, "e1");
  c.acked_event = 1;
  ASSERT_TRUE(d_.apply(user, c).applied());
  run("CREATE TABLE message_archive PARTITION OF message FOR VALUES IN (-77)");
  const auto before = from_unix_ms(10 * 24 * 3600'000);
  {
    // Who reads the messages holds up their partitions, and no others.
    pqxx::connection other(server_.uri_of(database_of(d_.folder())));
    pqxx::work tx(other);
    tx.exec("SELECT count(*) FROM message");
    auto swept = d_.sweep(before, 100);
    ASSERT_FALSE(swept);
    EXPECT_EQ(swept.error().kind, ErrorKind::kRetryLater);
    EXPECT_EQ(value("SELECT to_regclass('event_0') IS NULL AND to_regclass('received_0') IS NULL"
                    " AND to_regclass('message_0') IS NOT NULL"),
              "t");
  }
  d_.reopen();
  c = user.change();
  user.add_event(c, "e2");
  EXPECT_TRUE(d_.apply(user, c).applied());
  EXPECT_EQ(d_.sweep(before, 100).value(), 3u);
  EXPECT_EQ(d_.events(user.ref, 1).value().size(), 1u) << "nobody acknowledged it";
  EXPECT_EQ(value("SELECT to_regclass('message_archive') IS NOT NULL"), "t");
}

// A sweep comes every minute; a backup that reads the table may take hours.
TEST_F(PostgresOutcomesTest, SweepsThatAreRefusedLeaveNothingBehind) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  for (int i = 0; i < 100; ++i) user.add_event(c, std::string(1000, 'e'));
  ASSERT_TRUE(d_.apply(user, c).applied());
  const auto before = from_unix_ms(10 * 24 * 3600'000);
  const auto size = [&] {
    return std::stoll(
        value("SELECT sum(pg_table_size(inhrelid)) FROM pg_inherits"
              " WHERE inhparent='event'::regclass"));
  };
  {
    pqxx::connection other(server_.uri_of(database_of(d_.folder())));
    pqxx::work tx(other);
    tx.exec("SELECT count(*) FROM event");
    ASSERT_FALSE(d_.sweep(before, 100));
    const auto once = size();
    for (int tries = 0; tries < 3; ++tries) ASSERT_FALSE(d_.sweep(before, 100));
    EXPECT_LE(size(), once + 16'384);
  }
  EXPECT_EQ(d_.events(user.ref, 0).value().size(), 100u);
  EXPECT_GE(d_.sweep(before, 100).value(), 1u);
  EXPECT_EQ(d_.events(user.ref, 0).value().size(), 100u) << "nobody acknowledged them";
}

// Without a session of our own there is nobody to ask what it is set to: a trigger looks.
TEST_F(PostgresOutcomesTest, ACommitStaysSynchronousWhenTheServersDefaultChanges) {
  auto user = d_.enlist("anna");
  run("CREATE TABLE seen (commits text); GRANT ALL ON seen TO limited;"
      "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      " INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;"
      "CREATE TRIGGER look BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION look()");
  server_.run("postgres", "ALTER SYSTEM SET synchronous_commit=off");
  server_.run("postgres", "SELECT pg_reload_conf()");
  // Our session gets the same signal, and acts on it before its next statement or so.
  wait_until("SELECT current_setting('synchronous_commit')='off'");
  const auto applied = [&] { return d_.apply(user, user.change()).applied(); };
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(applied());
  server_.run("postgres", "ALTER SYSTEM RESET synchronous_commit");
  server_.run("postgres", "SELECT pg_reload_conf()");
  EXPECT_EQ(value("SELECT string_agg(DISTINCT commits, ' ') FROM seen"), "on");
}

TEST_F(PostgresOutcomesTest, ASessionThatForgetsOurStatementsIsOpenedAnew) {
  auto db = Connection::open(server_.uri_of("postgres"), "SET jit=off", Millis{15'000}).value();
  db.prepare("one", "SELECT 1");
  ASSERT_TRUE(db.statement("one", {}));
  ASSERT_TRUE(db.transaction([](Transaction& tx) { return tx.run("DEALLOCATE ALL"); }));
  auto forgotten = db.statement("one", {});
  ASSERT_FALSE(forgotten);
  EXPECT_EQ(forgotten.error().kind, ErrorKind::kRetryLater);
  EXPECT_TRUE(db.spent());
}

TEST_F(PostgresOutcomesTest, ATransactionThatTheServerEndsForBeingIdleWasNotCommitted) {
  auto db = Connection::open(server_.uri_of("postgres"), "SET jit=off", Millis{15'000}).value();
  auto ended = db.transaction([&](Transaction& tx) -> Result<void> {
    GW_ASSIGN(auto rows, tx.rows("SELECT pg_backend_pid()"));
    GW_TRY(tx.run("SET idle_in_transaction_session_timeout=1"));
    wait_until("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid=" +
               rows[0][0].as<std::string>() + ")");
    return {};
  });
  ASSERT_FALSE(ended);
  EXPECT_TRUE(db.spent());
  EXPECT_NE(ended.error().kind, ErrorKind::kBug);
}

// Whatever the server itself is set to.
TEST_F(PostgresOutcomesTest, ASessionWhoseClientIsGoneIsSetToBeLetGo) {
  auto db = Connection::open(server_.uri_of("postgres"), "SET jit=off", Millis{15'000}).value();
  auto set = db.get([&](Transaction& tx) {
    // Over a socket of files the server shows 0 for what is TCP's.
    return tx.rows(
        "SELECT current_setting('idle_in_transaction_session_timeout'), count(*)"
        " FROM pg_settings WHERE source='session' AND name IN ('tcp_keepalives_idle',"
        "'tcp_keepalives_interval','tcp_keepalives_count','tcp_user_timeout')");
  });
  ASSERT_TRUE(set) << set.error().reason;
  EXPECT_EQ((*set)[0][0].as<std::string>(), "10s");
  EXPECT_EQ((*set)[0][1].as<int>(), 4);
}

TEST_F(PostgresOutcomesTest, WithoutADescriptorForItsDeadlineASessionIsNotOpened) {
  EXPECT_THROW(postgres::Deadline(-1, Millis{15'000}), std::system_error);
  // Once each way with descriptors to spare: a sanitizer needs some when it meets a type first.
  const auto uri = server_.uri_of("postgres");
  const auto open = [&uri] { return Connection::open(uri, "SET jit=off", Millis{15'000}); };
  ASSERT_TRUE(open());
  ASSERT_FALSE(Connection::open("host=/nowhere", "", Millis{15'000}));
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  const int free = dup(0);
  close(free);
  std::vector<std::optional<Error>> errors;
  for (int more : {0, 1, 2}) {  // none, the session's, and the deadline's
    rlimit few = usual;
    few.rlim_cur = static_cast<rlim_t>(free + more);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    auto opened = open();
    setrlimit(RLIMIT_NOFILE, &usual);
    errors.push_back(opened ? std::nullopt : std::optional(opened.error()));
  }
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(errors[i]) << i;
    EXPECT_EQ(errors[i]->kind, ErrorKind::kRetryLater) << i;
  }
  EXPECT_NE(errors[0]->reason, errors[1]->reason) << "the second had its session";
  EXPECT_FALSE(errors[2]);
}

// libpqxx has a class of its own for some, and leaves out the state of one.
TEST_F(PostgresOutcomesTest, WhatTheServerRaisesIsDecidedByItsState) {
  auto db = Connection::open(server_.uri_of("postgres"), "SET jit=off", Millis{15'000}).value();
  const std::pair<const char*, ErrorKind> all[] = {
      {"22012", ErrorKind::kBug},           {"23505", ErrorKind::kBug},
      {"25006", ErrorKind::kRetryLater},    {"26000", ErrorKind::kRetryLater},
      {"3D000", ErrorKind::kConfig},        {"40001", ErrorKind::kRetryLater},
      {"40P01", ErrorKind::kRetryLater},    {"42501", ErrorKind::kConfig},
      {"42P01", ErrorKind::kBug},           {"53100", ErrorKind::kRetryLater},
      {"53200", ErrorKind::kRetryLater},    {"55P03", ErrorKind::kRetryLater},
      {"57014", ErrorKind::kRetryLater},    {"58030", ErrorKind::kRetryLater},
      {"XX001", ErrorKind::kCorrupt},       {"XX002", ErrorKind::kCorrupt},
      {"40003", ErrorKind::kUnknownOutcome}};
  for (const auto& [state, kind] : all) {
    std::optional<ErrorKind> found;
    auto done = db.transaction([&](Transaction& tx) -> Result<void> {
      auto raised = tx.run(std::string("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE='") + state +
                           "'; END $$");
      if (!raised) found = raised.error().kind;
      return raised;
    });
    ASSERT_FALSE(done);
    EXPECT_TRUE(found == kind) << state;
  }
}

// Only what surely did not reach the server is a bug of ours.
TEST(PostgresErrorsTest, AnAnswerThatCannotBeTakenInLeavesTheOutcomeUnknown) {
  auto decide = [](auto thrown) {
    try {
      throw thrown;
    } catch (...) {
      return postgres::caught().kind;
    }
  };
  EXPECT_EQ(decide(pqxx::failure("no result")), ErrorKind::kUnknownOutcome);
  EXPECT_EQ(decide(std::bad_alloc()), ErrorKind::kUnknownOutcome);
  EXPECT_EQ(decide(pqxx::broken_connection()), ErrorKind::kUnknownOutcome);
  EXPECT_EQ(decide(pqxx::usage_error("no such statement")), ErrorKind::kBug);
  EXPECT_EQ(decide(pqxx::sql_error("x", "y", "25P03")), ErrorKind::kUnknownOutcome);
  EXPECT_EQ(decide(pqxx::sql_error("x", "y", "53100")), ErrorKind::kRetryLater);
}

}  // namespace
}  // namespace gw::store::test
