// A SQLite file that is locked, read-only, full, damaged, newer or somebody else's: a clear error,
// and nothing lost.

#include "store/sqlite_file.h"

#include <fcntl.h>
#include <filesystem>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/broken_disk.h"
#include "store/suite.h"

namespace gw::store::test {
namespace {

BackendKind sqlite(SqliteOptions options) {
  return {"sqlite", [options](const std::string& folder) {
            return open_sqlite(folder + "/store.db", options);
          }};
}
BackendKind impatient() { return sqlite({.busy_timeout = Millis(20)}); }
std::string file(const Deployment& d) { return d.folder() + "store.db"; }

std::string reason(const Result<std::unique_ptr<Backend>>& opened) {
  return opened ? "" : std::string(opened.error().reason);
}

TEST(SqliteFileTest, LockedWhileItRunsIsRetriedLater) {
  Deployment d(impatient());
  auto user = d.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r", "x");
  {
    RawFile other(file(d));
    other.run("BEGIN IMMEDIATE");
    auto outcome = d.apply(c);
    EXPECT_EQ(outcome.kind, Kind::kFailed);
    EXPECT_EQ(outcome.error.kind, ErrorKind::kRetryLater);
    EXPECT_EQ(outcome.error.reason, "SQLITE_LOCKED");
    EXPECT_EQ(d.claim(user.ref).error().reason, "SQLITE_LOCKED");
    EXPECT_TRUE(d.load(user.ref)) << "reading goes on";
  }
  EXPECT_EQ(d.apply(c).kind, Kind::kApplied);
}

TEST(SqliteFileTest, LockedAtTheStart) {
  Deployment d(impatient());
  d.close();
  {
    RawFile other(file(d));
    other.run("BEGIN IMMEDIATE");
    EXPECT_EQ(d.open().error().reason, "SQLITE_LOCKED");
  }
  {
    RawFile other(file(d));
    other.run("PRAGMA locking_mode=EXCLUSIVE");
    other.run("BEGIN EXCLUSIVE");
    auto opened = open_sqlite(file(d), {.busy_timeout = Millis(20)});
    EXPECT_EQ(reason(opened), "SQLITE_LOCKED");
    EXPECT_EQ(opened.error().kind, ErrorKind::kRetryLater);
  }
  EXPECT_TRUE(d.open());
}

// Permissions mean nothing to root, so the file is opened by a child that has no capabilities: it
// may go where it is, in a home that is closed to others too, and is held to the owner's bits.
bool give_up_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0;
}
std::string reason_as_owner(const std::string& path) {
  int ends[2];
  if (pipe(ends) != 0) return "pipe";
  pid_t child = fork();
  if (child == 0) {
    if (!give_up_capabilities()) _exit(1);
    auto opened = open_sqlite(path);
    std::string text = opened ? "OPENED" : std::string(opened.error().reason);
    if (opened) {
      auto added = (*opened)->add_data_key(Bytes(3, 1));
      text = added ? "WRITTEN" : std::string(added.error().reason);
    }
    _exit(write(ends[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  close(ends[1]);
  char text[100] = {};
  ssize_t size = read(ends[0], text, sizeof text - 1);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return size < 0 ? "read" : text;
}

TEST(SqliteFileTest, ReadOnly) {
  Deployment d(impatient());
  d.close();
  namespace fs = std::filesystem;
  fs::permissions(d.folder(), fs::perms(0777));
  fs::permissions(file(d), fs::perms(0444));
  EXPECT_EQ(reason_as_owner(file(d)), "SQLITE_READ_ONLY");
  fs::permissions(file(d), fs::perms(0666));
  EXPECT_EQ(reason_as_owner(file(d)), "WRITTEN");
  fs::permissions(file(d), fs::perms(0000));
  EXPECT_EQ(reason_as_owner(file(d)), "SQLITE_CANNOT_OPEN");
  fs::permissions(file(d), fs::perms(0666));
  for (const char* end : {"-wal", "-shm"}) fs::remove(named(file(d), end));
  fs::permissions(d.folder(), fs::perms(0555));
  auto folder = reason_as_owner(file(d));
  EXPECT_TRUE(folder == "SQLITE_READ_ONLY" || folder == "SQLITE_CANNOT_OPEN") << folder;
  fs::permissions(d.folder(), fs::perms(0700));
}

TEST(SqliteFileTest, CannotBeOpened) {
  Folder folder;
  EXPECT_EQ(reason(open_sqlite(folder.path("no/such/folder.db"))), "SQLITE_CANNOT_OPEN");
  EXPECT_EQ(reason(open_sqlite(folder.path())), "SQLITE_CANNOT_OPEN") << "a folder";
}

TEST(SqliteFileTest, FullIsRetriedLaterAndLosesNothing) {
  Deployment d(sqlite({.busy_timeout = Millis(20), .max_pages = 80}));
  auto user = d.enlist("anna");
  auto big = [&](int i) {
    auto c = user.change();
    user.add_message(c, numbered("r", i), std::string(9000, 'x'));
    return c;
  };
  int applied = 0;
  Outcome outcome;
  for (; applied < 1000; ++applied)
    if (!(outcome = d.apply(user, big(applied))).applied()) break;
  EXPECT_GT(applied, 3);
  EXPECT_EQ(outcome.kind, Kind::kFailed);
  EXPECT_EQ(outcome.error.kind, ErrorKind::kRetryLater);
  EXPECT_EQ(outcome.error.reason, "SQLITE_FULL");
  auto c = user.change();
  c.acked_event = 0;
  EXPECT_TRUE(d.apply(user, c).applied()) << "what needs no room goes on";
  EXPECT_EQ(d.load(user.ref).value()->unsettled.size(), static_cast<std::size_t>(applied));
  // Forgetting makes room.
  c = user.change();
  for (Order order = 1; order <= applied; ++order) {
    auto& update = c.updates.emplace_back();
    update.order = order;
    update.content = update.stanza = Bytes{};
  }
  EXPECT_TRUE(d.apply(user, c).applied());
  EXPECT_TRUE(d.apply(user, big(applied)).applied());
}

TEST(SqliteFileTest, ADiskThatFillsUpInTheCommitIsSureNotToHaveCommitted) {
  BrokenDisk disk;
  Deployment d(impatient());
  auto user = d.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r", "x");
  for (long long room : {0LL, 100LL, 5000LL, 10000LL}) {
    disk.room = room;
    auto outcome = d.apply(c);
    EXPECT_EQ(outcome.kind, Kind::kFailed);
    EXPECT_EQ(outcome.error.reason, "SQLITE_FULL");
    disk.room = -1;
    EXPECT_TRUE(d.messages(user.ref, {1}).value().empty());
  }
  EXPECT_EQ(d.apply(c).kind, Kind::kApplied);
  d.close();
}

TEST(SqliteFileTest, ACommitThatCannotBeSyncedIsUnknownAndWrittenAgain) {
  BrokenDisk disk;
  StoreOptions options;
  options.retry_first = options.retry_most = Millis(1);
  Deployment d(impatient(), options);
  auto user = d.enlist("anna");
  for (auto* failing : {&disk.failing_syncs, &disk.failing_writes}) {
    auto c = user.change();
    user.add_message(c, numbered("r", user.next_order), "x");
    *failing = 2;
    auto unknown = d.store().probe().unknown_outcomes.load();
    EXPECT_TRUE(d.apply(user, c).applied());
    EXPECT_GT(d.store().probe().unknown_outcomes, unknown);
    EXPECT_EQ(*failing, 0);
  }
  d.reopen();
  EXPECT_EQ(d.load(user.ref).value()->unsettled.size(), 2u);
  EXPECT_EQ(d.load(user.ref).value()->account.version, user.version);
  d.close();
}

TEST(SqliteFileTest, ADamagedFileIsRefusedAtTheStart) {
  Deployment d(impatient());
  auto user = d.enlist("anna");
  for (int i = 0; i < 40; ++i) {
    auto c = user.change();
    user.add_message(c, numbered("r", i), std::string(3000, 'x'));
    ASSERT_TRUE(d.apply(user, c).applied());
  }
  d.close();
  const std::string good = read_file(file(d));
  ASSERT_GT(good.size(), 100'000u);
  auto refused = [&](std::string bad, const char* what) {
    write_file(file(d), bad);
    auto opened = open_sqlite(file(d));
    ASSERT_FALSE(opened) << what;
    EXPECT_EQ(opened.error().kind, ErrorKind::kConfig) << what;
    EXPECT_EQ(opened.error().reason, "SQLITE_DAMAGED") << what;
    EXPECT_NE(opened.error().message.find("backup"), std::string::npos);
  };
  refused(std::string(100'000, 'z'), "garbage");
  refused(named("x", good.substr(1)), "a wrong first octet");
  refused(good.substr(0, good.size() / 2), "cut in half");
  refused(good.substr(0, good.size() - 100), "the end is missing");
  refused(good.substr(0, 4096) + std::string(good.size() - 4096, '\0'), "zeros behind the header");
  refused(good.substr(0, 100) + std::string(3996, 'z') + good.substr(4096), "a broken first page");
  write_file(file(d), good);
  d.reopen();
  EXPECT_EQ(d.load(user.ref).value()->unsettled.size(), 40u);
}

TEST(SqliteFileTest, DamageInTheMiddleIsSaidWhenItIsReached) {
  Deployment d(impatient());
  auto user = d.enlist("anna");
  for (int i = 0; i < 300; ++i) {
    auto c = user.change();
    user.add_message(c, numbered("r", i), std::string(1500, 'x'));
    ASSERT_TRUE(d.apply(user, c).applied());
  }
  d.close();
  std::string bytes = read_file(file(d));
  std::size_t middle = bytes.size() / 2 / 4096 * 4096;
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(middle), 40 * 4096, '\xff');
  write_file(file(d), bytes);
  ASSERT_TRUE(d.open());
  auto loaded = d.load(user.ref);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().kind, ErrorKind::kCorrupt);
  EXPECT_TRUE(loaded.error().reason == "SQLITE_DAMAGED" || loaded.error().reason == "ROW_DAMAGED");
  EXPECT_FALSE(loaded.error().message.empty());
}

TEST(SqliteFileTest, AFileOfTheFirstSchemaIsMigratedAndKeepsItsRows) {
  Deployment d(impatient());
  auto user = d.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  ASSERT_TRUE(d.apply(user, c).applied());
  d.close();
  {
    RawFile old(file(d));
    old.run("DROP TABLE undecrypted");
    old.run("ALTER TABLE message DROP COLUMN devices");
    old.run("PRAGMA user_version=1");
  }
  ASSERT_TRUE(d.open());
  EXPECT_EQ(d.load(user.ref).value()->unsettled.size(), 1u);
  c = user.change();
  user.add_message(c, "r2", "two").devices = {0, 0, 0};
  c.undecrypted = {{tag("m"), from_unix_ms(1), to_bytes("asked")}};
  ASSERT_TRUE(d.apply(user, c).applied());
  EXPECT_EQ(d.load(user.ref).value()->undecrypted.size(), 1u);
}

TEST(SqliteFileTest, ASchemaFromTheFutureIsRefused) {
  Deployment d(impatient());
  d.close();
  RawFile(file(d)).run("PRAGMA user_version=99");
  auto opened = d.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(opened.error().reason, "SCHEMA_FROM_FUTURE");
}

TEST(SqliteFileTest, SomebodyElsesDatabaseIsLeftAlone) {
  Folder folder;
  {
    RawFile other(folder.path("other.db"));
    other.run("CREATE TABLE theirs (x)");
  }
  auto before = read_file(folder.path("other.db"));
  auto opened = open_sqlite(folder.path("other.db"));
  EXPECT_EQ(reason(opened), "SQLITE_CANNOT_OPEN");
  EXPECT_EQ(opened.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(read_file(folder.path("other.db")), before);
}

TEST(SqliteFileTest, NobodyElseMayReadIt) {
  const auto before = umask(0);
  Deployment d(impatient());
  umask(before);
  d.enlist("anna");
  for (const char* end : {"", "-wal", "-shm"}) {
    const auto mode = std::filesystem::status(named(file(d), end)).permissions();
    EXPECT_EQ(mode, std::filesystem::perms(0600)) << end;
  }
}

TEST(SqliteFileTest, AnEmptyFileBecomesADatabase) {
  Folder folder;
  write_file(folder.path("empty.db"), "");
  EXPECT_TRUE(open_sqlite(folder.path("empty.db")).has_value());
}

TEST(SqliteFileTest, AFileThatWasTakenAwayIsNotReplacedByAnEmptyOne) {
  Folder folder;
  auto backend = open_sqlite(folder.path("store.db")).value();
  for (const char* end : {"", "-wal", "-shm"})
    std::filesystem::remove(folder.path(named("store.db", end)));
  EXPECT_FALSE(backend->reopen());
  EXPECT_FALSE(std::filesystem::exists(folder.path("store.db")));
  EXPECT_EQ(backend->claim(std::vector<UserRef>{{1, 1}}).error().kind, ErrorKind::kRetryLater);
}

}  // namespace
}  // namespace gw::store::test
