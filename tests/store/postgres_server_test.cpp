// What only a PostgreSQL server can do to a commit: a wait for the standby that is given up, a
// server that dies in the commit, locks, a restart, somebody else's partitions and schema.

#include <algorithm>
#include <pqxx/connection>
#include <pqxx/transaction>
#include <set>
#include <signal.h>
#include <thread>

#include "store/private_postgres.h"
#include "store/suite.h"

namespace gw::store::test {
namespace {

// A server for all of them: it is killed and set differently, and the shared one is not to be.
class PostgresServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { own_ = std::make_unique<PrivatePostgres>(); }
  static void TearDownTestSuite() { own_.reset(); }
  static inline std::unique_ptr<PrivatePostgres> own_;
  // A test that failed in the middle leaves no commit waiting, nor the next test.
  void TearDown() override {
    if (server_.pid() == 0) server_.start();
    nobody_is_awaited();
  }
  static BackendKind kind(PrivatePostgres& server) {
    return {"postgres", [&server](const std::string& folder) {
              PostgresOptions options;
              options.uri = server.uri(database_of(folder));
              options.lock_timeout = Millis(200);
              return open_postgres(options);
            }};
  }
  std::string database() const { return database_of(d_.folder()); }
  std::string value(const std::string& sql) { return server_.value(database(), sql); }
  void set(const std::string& setting) {
    server_.run("postgres", "ALTER SYSTEM " + setting);
    server_.run("postgres", "SELECT pg_reload_conf()");
  }

  // Commits wait for a standby that does not come, until nobody_is_awaited(). The change set is the
  // next one's of a user.
  void await_a_standby() {
    user_ = d_.enlist("anna");
    // Its partition is there, so that the wait is the change set's own.
    auto first = user_.change();
    user_.add_event(first, "e");
    ASSERT_TRUE(d_.apply(user_, first).applied());
    auto second = user_.change();
    user_.add_message(second, "r0", "zero");
    ASSERT_TRUE(d_.apply(user_, second).applied());
    change_ = user_.change();
    user_.add_message(change_, "r1", "one");
    set("SET synchronous_standby_names='nobody'");
    wait_until_commits_wait();
  }
  // The server's checkpointer takes the setting over in its own time: commits of our own are made
  // until one waits, which is given up.
  void wait_until_commits_wait() {
    for (;;) {
      auto commit = std::async(std::launch::async, [&] {
        server_.run("postgres", "SELECT pg_logical_emit_message(true, 'a', 'commit')");
      });
      std::string pid;
      while (pid.empty() && commit.wait_for(Millis(5)) == std::future_status::timeout)
        pid = value("SELECT pid FROM pg_stat_activity WHERE wait_event='SyncRep'");
      if (!pid.empty()) return server_.run("postgres", "SELECT pg_cancel_backend(" + pid + ")");
    }
  }
  void nobody_is_awaited() { set("RESET synchronous_standby_names"); }
  // The session that waits for the standby in its commit, once there is one other than `before`.
  // The server has no signal for that, so it is asked until it says so.
  std::string in_commit(const std::string& before = "0") {
    for (int tries = 0; tries < 2000; ++tries) {
      auto pid =
          value("SELECT pid FROM pg_stat_activity WHERE wait_event='SyncRep' AND pid<>" + before);
      if (!pid.empty()) return pid;
      std::this_thread::sleep_for(Millis(5));
    }
    throw std::runtime_error("no commit waits");
  }
  std::future<Outcome> send() {
    auto promise = std::make_shared<std::promise<Outcome>>();
    d_.store().apply(ChangeSet(change_),
                     [promise](Outcome o) { promise->set_value(std::move(o)); });
    return promise->get_future();
  }

  PrivatePostgres& server_ = *own_;
  Deployment d_{kind(server_)};
  TestUser user_;
  ChangeSet change_;
};

TEST_F(PostgresServerTest, CommittedLocallyIsNotYetCommitted) {
  await_a_standby();
  auto outcome = send();
  auto pid = in_commit();
  server_.run(database(), "SELECT pg_cancel_backend(" + pid + ")");
  // The server says that all went well, with a warning. It is asked again, and waits again.
  in_commit(pid);
  EXPECT_EQ(outcome.wait_for(Millis(0)), std::future_status::timeout) << "nobody was told yet";
  EXPECT_EQ(d_.store().probe().unknown_outcomes, 1u);
  nobody_is_awaited();
  EXPECT_EQ(outcome.get().kind, Kind::kFoundApplied);
  EXPECT_EQ(d_.messages(user_.ref, {1, 2, 3}).value().size(), 2u);
}

TEST_F(PostgresServerTest, ASessionThatIsEndedInTheCommitLeavesItUnknown) {
  await_a_standby();
  auto outcome = send();
  auto pid = in_commit();
  server_.run(database(), "SELECT pg_terminate_backend(" + pid + ")");
  in_commit(pid);
  EXPECT_EQ(outcome.wait_for(Millis(0)), std::future_status::timeout);
  nobody_is_awaited();
  EXPECT_EQ(outcome.get().kind, Kind::kFoundApplied);
}

TEST_F(PostgresServerTest, AServerThatDiesInTheCommitLeavesItUnknown) {
  await_a_standby();
  auto outcome = send();
  in_commit();
  kill(server_.pid(), SIGKILL);
  server_.stop(SIGKILL);
  EXPECT_EQ(outcome.wait_for(Millis(100)), std::future_status::timeout) << "nobody is there to ask";
  server_.start();
  nobody_is_awaited();
  auto kind = outcome.get().kind;
  EXPECT_TRUE(kind == Kind::kFoundApplied || kind == Kind::kApplied);
  EXPECT_GE(d_.store().probe().unknown_outcomes, 1u);
  EXPECT_EQ(d_.messages(user_.ref, {1, 2, 3}).value().size(), 2u);
}

TEST_F(PostgresServerTest, ALockedUserIsRetriedLaterAndReadsGoOn) {
  auto user = d_.enlist("anna");
  pqxx::connection other(server_.uri_of(database()));
  {
    pqxx::work tx(other);
    tx.exec("SELECT * FROM account FOR UPDATE");
    auto outcome = d_.apply(user.change());
    EXPECT_EQ(outcome.kind, Kind::kFailed);
    EXPECT_EQ(outcome.error.kind, ErrorKind::kRetryLater);
    EXPECT_EQ(outcome.error.reason, "POSTGRES_LOCKED");
    EXPECT_TRUE(d_.load(user.ref).value().has_value());
  }
  EXPECT_TRUE(d_.apply(user, user.change()).applied());
}

// Ten users, of whom others hold the first few: what became of each.
class LockedUsersTest : public PostgresServerTest {
 protected:
  void SetUp() override {
    for (int i = 0; i < 10; ++i) users_.push_back(d_.enlist(numbered("u", i)));
    d_.close();
    backend_ = d_.raw();
  }
  void lock(std::size_t from, std::size_t to) {
    tx_.exec("SELECT * FROM account WHERE uid>=" + std::to_string(users_[from].ref.uid) +
             " AND uid<=" + std::to_string(users_[to].ref.uid) + " FOR UPDATE");
  }
  std::vector<Outcome> apply() {
    std::vector<Sealed> batch;
    for (auto& user : users_) batch.push_back({user.change(), 0});
    return backend_->apply(batch).value();
  }
  static void expect_locked(const Error& error) {
    EXPECT_EQ(error.kind, ErrorKind::kRetryLater);
    EXPECT_EQ(error.reason, "POSTGRES_LOCKED");
  }

  std::vector<TestUser> users_;
  std::unique_ptr<Backend> backend_;
  pqxx::connection other_{server_.uri_of(database())};
  pqxx::work tx_{other_};
};

TEST_F(LockedUsersTest, AreRetriedLaterAndTheOthersAreApplied) {
  lock(3, 4);
  auto outcomes = apply();
  for (std::size_t i = 0; i < users_.size(); ++i) {
    if (i < 3 || i > 4) {
      EXPECT_EQ(outcomes[i].kind, Kind::kApplied) << i;
    } else {
      EXPECT_EQ(outcomes[i].kind, Kind::kFailed) << i;
      expect_locked(outcomes[i].error);
    }
    const auto version = backend_->load(users_[i].ref).value()->account.version;
    EXPECT_EQ(version, users_[i].version + (outcomes[i].applied() ? 1 : 0)) << i;
  }
}

// Somebody who holds that many holds the table: nobody waits for each of them.
TEST_F(LockedUsersTest, AreGivenUpWhenTheyAreMany) {
  lock(1, 8);
  auto outcomes = apply();
  EXPECT_EQ(outcomes[0].kind, Kind::kApplied);
  for (std::size_t i = 1; i < users_.size(); ++i) {
    EXPECT_EQ(outcomes[i].kind, Kind::kFailed) << i;
    expect_locked(outcomes[i].error);
  }
  // From now on a lock is waited for as long as ever.
  const auto start = std::chrono::steady_clock::now();
  std::vector<Sealed> one;
  one.push_back({users_[1].change(), 0});
  expect_locked(backend_->apply(one).error());
  EXPECT_GE(std::chrono::steady_clock::now() - start, Millis(200));
  tx_.abort();
  outcomes = apply();
  for (std::size_t i = 0; i < users_.size(); ++i)
    EXPECT_EQ(outcomes[i].kind, i == 0 ? Kind::kStale : Kind::kApplied) << i;
}

TEST_F(LockedUsersTest, AreClaimedLaterAndTheOthersAreClaimed) {
  lock(1, 8);
  std::vector<UserRef> refs = {{1, 999}};
  for (auto& user : users_) refs.push_back(user.ref);
  auto claimed = backend_->claim(refs).value();
  EXPECT_EQ(claimed[0].error().reason, "USER_UNKNOWN");
  EXPECT_EQ(claimed[1].value(), users_[0].term + 1);
  for (std::size_t i = 2; i < 10; ++i) expect_locked(claimed[i].error());
  EXPECT_EQ(claimed[10].value(), users_[9].term + 1);
}

// Two replicas take the same users in different orders.
TEST_F(LockedUsersTest, AreClaimedByTwoInTurn) {
  constexpr int kRounds = 50;
  auto second = d_.raw();
  auto claims = [&](Backend& backend, bool backwards) {
    std::vector<UserRef> refs;
    for (auto& user : users_) refs.push_back(user.ref);
    if (backwards) std::reverse(refs.begin(), refs.end());
    std::set<std::pair<UserRef, Term>> all;
    for (int i = 0; i < kRounds; ++i) {
      auto claimed = backend.claim(refs).value();
      for (std::size_t k = 0; k < refs.size(); ++k) all.emplace(refs[k], claimed[k].value());
    }
    return all;
  };
  auto theirs = std::async(std::launch::async, [&] { return claims(*second, true); });
  auto all = claims(*backend_, false);
  all.merge(theirs.get());
  EXPECT_EQ(all.size(), users_.size() * 2 * kRounds) << "no term is given twice";
  for (auto& user : users_)
    EXPECT_EQ(backend_->load(user.ref).value()->account.term, user.term + 2 * kRounds);
}

TEST_F(PostgresServerTest, ReadsSurviveARestart) {
  auto user = d_.enlist("anna");
  for (int signal : {SIGINT, SIGQUIT}) {
    server_.stop(signal);
    auto away = d_.load(user.ref);
    ASSERT_FALSE(away);
    EXPECT_EQ(away.error().kind, ErrorKind::kRetryLater);
    server_.start();
    EXPECT_TRUE(d_.load(user.ref).value().has_value());
    EXPECT_TRUE(d_.apply(user, user.change()).applied());
  }
}

TEST_F(PostgresServerTest, AServerThatTakesNoWritesIsRetriedLater) {
  auto user = d_.enlist("anna");
  server_.run("postgres",
              "ALTER DATABASE \"" + database() + "\" SET default_transaction_read_only=on");
  server_.run("postgres",
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
              " application_name='interop-gateway'");
  auto claimed = d_.claim(user.ref);
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().kind, ErrorKind::kRetryLater);
  server_.run("postgres",
              "ALTER DATABASE \"" + database() + "\" RESET default_transaction_read_only");
  EXPECT_TRUE(d_.claim(user.ref));
}

TEST_F(PostgresServerTest, ManyMayMakeTheSchemaAtOnce) {
  const auto uri = server_.uri("made_by_many");
  std::vector<std::thread> threads;
  std::atomic<int> opened{0};
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&] {
      PostgresOptions options;
      options.uri = uri;
      opened += open_postgres(options).has_value() ? 1 : 0;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(opened, 6);
}

TEST_F(PostgresServerTest, ANewerSchemaIsWorkedOnAsLongAsItSaysSo) {
  server_.run(database(), "UPDATE gateway_schema SET version=99");
  auto user = d_.enlist("anna");
  d_.reopen();
  EXPECT_TRUE(d_.claim(user.ref));
  server_.run(database(), "UPDATE gateway_schema SET oldest_reader=99");
  d_.close();
  auto refused = d_.open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(refused.error().reason, "SCHEMA_FROM_FUTURE");
}

TEST_F(PostgresServerTest, TheFirstSchemaIsMigratedAndKeepsItsRows) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  ASSERT_TRUE(d_.apply(user, c).applied());
  d_.close();
  server_.run(database(),
              "DROP TABLE undecrypted; ALTER TABLE message DROP COLUMN devices;"
              "UPDATE gateway_schema SET version=1, oldest_reader=1");
  ASSERT_TRUE(d_.open());
  server_.run(database(),
              "INSERT INTO message (tenant,uid,ord,bucket,created,request,body_mac,contact,content,"
              "state,reason,stanza) SELECT tenant,uid,77,bucket,created,decode(repeat('07',16),"
              "'hex'),body_mac,contact,NULL,2,reason,NULL FROM message");
  auto rows = d_.messages(user.ref, {1, 77}).value();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(rows[1].devices.empty());
  c = user.change();
  user.add_message(c, "r2", "two").devices = {0, 0, 0};
  c.undecrypted = {{tag("m"), from_unix_ms(1), to_bytes("asked")}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  EXPECT_EQ(d_.load(user.ref).value()->undecrypted.size(), 1u);
}

// Two replicas: one drops what the other still believes to be there.
TEST_F(PostgresServerTest, APartitionThatIsGoneIsMadeAnew) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one").state = message::State::kSent;
  user.add_event(c, "e1");
  c.acked_event = 1;
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto other = d_.raw();
  EXPECT_EQ(other->sweep(from_unix_ms(10 * 24 * 3600'000), 100).value(), 3u);
  c = user.change();
  user.add_event(c, "e2");
  ASSERT_TRUE(d_.apply(user, c).applied());
  EXPECT_EQ(d_.events(user.ref, 0).value().size(), 1u);
}

TEST_F(PostgresServerTest, APartitionThatSomebodyReadsIsDroppedLater) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_event(c, "e1");
  c.acked_event = 1;
  ASSERT_TRUE(d_.apply(user, c).applied());
  const auto before = from_unix_ms(10 * 24 * 3600'000);
  {
    pqxx::connection other(server_.uri_of(database()));
    pqxx::work tx(other);
    tx.exec("SELECT count(*) FROM event");
    auto swept = d_.sweep(before, 100);
    ASSERT_FALSE(swept);
    EXPECT_EQ(swept.error().kind, ErrorKind::kRetryLater);
    EXPECT_TRUE(d_.apply(user, user.change()).applied());
  }
  EXPECT_GE(d_.sweep(before, 100).value(), 1u);
}

}  // namespace
}  // namespace gw::store::test
