#include "ownership/single.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gw::ownership {
namespace {

class SingleTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "gw-owner-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ / "store.db.lock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Another process that takes the lock and holds it until it is killed.
  pid_t holder() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
      auto owner = SingleOwner::take(path_);
      char told = owner ? 'y' : 'n';
      if (write(ends[1], &told, 1) != 1) _exit(1);
      for (;;) pause();
    }
    char told = 0;
    EXPECT_EQ(read(ends[0], &told, 1), 1);
    EXPECT_EQ(told, 'y');
    close(ends[0]);
    close(ends[1]);
    return child;
  }

  std::filesystem::path folder_, path_;
};

TEST_F(SingleTest, ASecondProcessIsRefusedUntilTheFirstIsGone) {
  pid_t first = holder();
  auto second = SingleOwner::take(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(second.error().reason, "ANOTHER_GATEWAY_RUNS");
  EXPECT_NE(second.error().message.find("process " + std::to_string(first)), std::string::npos);
  EXPECT_NE(second.error().message.find("stop it"), std::string::npos);
  kill(first, SIGKILL);
  waitpid(first, nullptr, 0);
  EXPECT_TRUE(SingleOwner::take(path_)) << "kill -9 leaves nothing to clean up";
}

TEST_F(SingleTest, TheSameProcessCannotTakeItTwiceEither) {
  auto first = SingleOwner::take(path_);
  ASSERT_TRUE(first);
  EXPECT_EQ(SingleOwner::take(path_).error().reason, "ANOTHER_GATEWAY_RUNS");
  first->reset();
  EXPECT_TRUE(SingleOwner::take(path_));
}

TEST_F(SingleTest, TwoDatabasesAreTwoOwners) {
  auto first = SingleOwner::take(path_);
  EXPECT_TRUE(SingleOwner::take(folder_ / "other.db.lock"));
}

TEST_F(SingleTest, AFolderThatIsNotThere) {
  auto owner = SingleOwner::take(folder_ / "none" / "lock");
  ASSERT_FALSE(owner);
  EXPECT_EQ(owner.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(owner.error().reason, "LOCK_FILE_CANNOT_OPEN");
}

}  // namespace
}  // namespace gw::ownership
