// kill -9 in the middle of a stream of commits: everything that was reported is there, and every
// user's rows are those of one version.

#include <map>
#include <random>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/crash_workload.h"
#include "store/suite.h"

namespace gw::store::test {
namespace {

class CrashTest : public BackendTest {};
GW_FOR_ALL_BACKENDS(CrashTest);

// Runs the child until it has reported `lines` lines, kills it, and returns the last version
// reported of each user.
std::map<std::int64_t, Version> run_and_kill(const std::string& folder, const std::string& backend,
                                             int lines) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe");
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl(GW_CRASH_CHILD, GW_CRASH_CHILD, folder.c_str(), backend.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::map<std::int64_t, Version> reported;
  FILE* in = fdopen(ends[0], "r");
  long long uid = 0, version = 0;
  for (int seen = 0; fscanf(in, "%lld %lld\n", &uid, &version) == 2;) {
    reported[uid] = std::max<Version>(reported[uid], version);
    if (++seen == lines) kill(child, SIGKILL);  // and read on: what was reported before counts
  }
  fclose(in);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "status " << status;
  return reported;
}

void expect_whole(Deployment& d, const Account& account) {
  const auto n = static_cast<std::size_t>(account.version);
  const auto last = std::to_string(n);
  EXPECT_EQ(account.next_order, account.version + 1);
  EXPECT_EQ(account.next_event, account.version + 1);
  auto rows = d.load(account.user).value().value();
  ASSERT_EQ(rows.unsettled.size(), n);
  auto events = d.events(account.user, 0, 1'000'000, 1 << 30).value();
  ASSERT_EQ(events.size(), n);
  std::vector<Tag> received;
  for (std::size_t i = 0; i < n; ++i) {
    auto number = std::to_string(i + 1);
    EXPECT_EQ(rows.unsettled[i].request, tag(named("r", number)));
    EXPECT_EQ(text(rows.unsettled[i].content), named("content ", number) + std::string(200, '.'));
    EXPECT_EQ(text(events[i].payload), named("event ", number));
    received.push_back(tag(named("in", number)));
  }
  auto found = await<Result<std::vector<Received>>>(
      [&](auto done) { d.store().find_received(account.user, received, done); });
  EXPECT_EQ(found.value().size(), n);
  if (n == 0) return;
  auto talk = d.conversation(account.user, "contact").value();
  EXPECT_EQ(text(talk.blob), named("contact ", last));
  ASSERT_EQ(talk.ratchets.size(), 1u);
  EXPECT_EQ(text(talk.ratchets[0].record), "ratchet at content " + last + std::string(200, '.'));
}

TEST_P(CrashTest, NothingReportedIsLostAndEveryUserIsWhole) {
  for (int i = 0; i < kCrashUsers; ++i) d_.enlist(crash_user(i));
  std::mt19937_64 random(seed());
  for (int round = 0; round < 10; ++round) {
    d_.close();
    int lines = std::uniform_int_distribution<>(1, 400)(random);
    SCOPED_TRACE(numbered("round ", round) + ", killed after " + std::to_string(lines));
    auto reported = run_and_kill(d_.folder(), GetParam().name, lines);
    d_.reopen();
    for (int i = 0; i < kCrashUsers; ++i) {
      auto account = await<Result<std::optional<Account>>>(
                         [&](auto done) { d_.store().find_user(1, tag(crash_user(i)), done); })
                         .value()
                         .value();
      EXPECT_GE(account.version, reported[account.user.uid]);
      expect_whole(d_, account);
    }
  }
}

}  // namespace
}  // namespace gw::store::test
