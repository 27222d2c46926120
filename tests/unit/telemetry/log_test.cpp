#include "telemetry/log.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>
#include <unistd.h>

namespace gw::telemetry {
namespace {

using nlohmann::json;
using testing::HasSubstr;

enum class Colour { kRed };
std::string_view to_string(Colour) { return "RED"; }

template <class T>
concept Loggable = requires(T value) {
  field("x", value);
};

// What would let a person's data into a log does not compile.
static_assert(!Loggable<std::string>);
static_assert(!Loggable<std::string_view>);
static_assert(!Loggable<const char*>);
static_assert(!Loggable<char>);
static_assert(!Loggable<std::vector<std::uint8_t>>);
static_assert(!Loggable<Result<int>>);
static_assert(Loggable<int> && Loggable<bool> && Loggable<double> && Loggable<Colour>);
static_assert(Loggable<LogName> && Loggable<OperatorText> && Loggable<Error>);

class LogTest : public testing::Test {
 protected:
  LogTest() : file_(testing::TempDir() + "gw_log_" + std::to_string(getpid())) {
    std::filesystem::remove(file_);
    open(Level::kInfo);
  }
  ~LogTest() override {
    EXPECT_TRUE(open_log({}));
    std::filesystem::remove(file_);
  }
  void open(Level level) { ASSERT_TRUE(open_log({level, file_})); }
  std::vector<json> lines() const {
    std::vector<json> out;
    std::ifstream in(file_);
    for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
    return out;
  }
  std::string file_;
};

TEST_F(LogTest, ALineIsOneJsonObjectWithTimeLevelRoomEventAndFields) {
  log(Level::kWarning, "link", "login_refused",
      {field("user", LogName("00c0ffee00c0ffee")), field("tries", 3), field("below", -7L),
       field("most", ~std::uint64_t{0}), field("ok", true), field("share", 0.5),
       field("colour", Colour::kRed), field("word", "a \"literal\"\n"),
       field("took_ms", Millis(12)), field("file", OperatorText("/etc/\xc3\xa4.yaml"))});
  auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  const auto& l = all[0];
  EXPECT_TRUE(std::regex_match(l["time"].get<std::string>(),
                               std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
  EXPECT_EQ(l["level"], "warning");
  EXPECT_EQ(l["room"], "link");
  EXPECT_EQ(l["event"], "login_refused");
  EXPECT_EQ(l["user"], "00c0ffee00c0ffee");
  EXPECT_EQ(l["tries"], 3);
  EXPECT_EQ(l["below"], -7);
  EXPECT_EQ(l["most"], ~std::uint64_t{0});
  EXPECT_EQ(l["ok"], true);
  EXPECT_EQ(l["share"], 0.5);
  EXPECT_EQ(l["colour"], "RED");
  EXPECT_EQ(l["word"], "a \"literal\"\n");
  EXPECT_EQ(l["took_ms"], 12);
  EXPECT_THAT(l["file"].get<std::string>(), HasSubstr("/etc/"));
}

TEST_F(LogTest, WhatIsNoPseudonymDoesNotShow) {
  for (auto text : {"+4915112345678", "alice", "00C0FFEE00C0FFEE", "00c0ffee00c0ffee0", ""})
    EXPECT_EQ(LogName(text).text(), "invalid");
}

TEST_F(LogTest, AnErrorShowsItsMessageOnlyToTheOneWhoCanActOnIt) {
  log(Level::kError, "store", "failed",
      {field("error", Error{ErrorKind::kConfig, "SQLITE_READ_ONLY", "make it writable"})});
  log(Level::kError, "store", "failed",
      {field("error", Error{ErrorKind::kCorrupt, "BAD_TAG", "made from input"})});
  auto all = lines();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["error"]["kind"], "CONFIG");
  EXPECT_EQ(all[0]["error"]["message"], "make it writable");
  EXPECT_EQ(all[1]["error"]["reason"], "BAD_TAG");
  EXPECT_FALSE(all[1]["error"].contains("message"));
}

TEST_F(LogTest, LinesBelowTheLevelAreNotWrittenAndNotCounted) {
  auto before = log_lines(Level::kDebug);
  log(Level::kDebug, "x", "y");
  EXPECT_TRUE(lines().empty());
  EXPECT_EQ(log_lines(Level::kDebug), before);
  open(Level::kDebug);
  log(Level::kDebug, "x", "y");
  EXPECT_EQ(lines().size(), 1u);
  EXPECT_EQ(log_lines(Level::kDebug), before + 1);
}

TEST_F(LogTest, AFileThatWasMovedAwayIsOpenedAnew) {
  log(Level::kInfo, "x", "first");
  std::filesystem::rename(file_, file_ + ".1");
  open(Level::kInfo);
  log(Level::kInfo, "x", "second");
  auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["event"], "second");
  std::filesystem::remove(file_ + ".1");
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsAnErrorAndTheOldOneGoesOn) {
  std::ofstream(file_ + ".plain") << "x";
  auto opened = open_log({Level::kInfo, file_ + ".plain/log"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(opened.error().reason, "LOG_FILE_CANNOT_OPEN");
  log(Level::kInfo, "x", "still");
  EXPECT_EQ(lines().size(), 1u);
  std::filesystem::remove(file_ + ".plain");
}

TEST_F(LogTest, LinesOfManyThreadsDoNotMix) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i)
        log(Level::kInfo, "x", "many", {field("thread", t), field("n", i)});
    });
  for (int i = 0; i < 20; ++i) open(Level::kInfo);
  for (auto& thread : threads) thread.join();
  std::map<int, int> next;
  for (const auto& l : lines()) EXPECT_EQ(l["n"], next[l["thread"]]++);
  for (int t = 0; t < 4; ++t) EXPECT_EQ(next[t], 500);
}

}  // namespace
}  // namespace gw::telemetry
