#include "user/troubles.h"

#include <gtest/gtest.h>

namespace gw::user {
namespace {

struct Row {
  ErrorKind kind;
  Remedy load, commit, lookup, link;
};

// The whole table, once more, by hand.
constexpr Row kRows[] = {
    {ErrorKind::kRetryLater, Remedy::kRefuse, Remedy::kRetry, Remedy::kRetry, Remedy::kRetry},
    {ErrorKind::kThrottled, Remedy::kRefuse, Remedy::kRetry, Remedy::kRetry, Remedy::kRetry},
    {ErrorKind::kRejected, Remedy::kRefuse, Remedy::kRefuse, Remedy::kRetry, Remedy::kRetry},
    {ErrorKind::kUnknownOutcome, Remedy::kRetry, Remedy::kConfirm, Remedy::kRetry, Remedy::kRetry},
    {ErrorKind::kStaleOwner, Remedy::kLetGo, Remedy::kLetGo, Remedy::kLetGo, Remedy::kLetGo},
    {ErrorKind::kLoggedOut, Remedy::kLetGo, Remedy::kLetGo, Remedy::kLetGo, Remedy::kLetGo},
    {ErrorKind::kCorrupt, Remedy::kRefuse, Remedy::kLetGo, Remedy::kRetry, Remedy::kRetry},
    {ErrorKind::kConfig, Remedy::kRefuse, Remedy::kRetry, Remedy::kRetry, Remedy::kRetry},
    {ErrorKind::kBug, Remedy::kRefuse, Remedy::kLetGo, Remedy::kLetGo, Remedy::kLetGo},
};

TEST(Troubles, EveryKindHasARemedyAtEveryStage) {
  for (const auto& row : kRows) {
    EXPECT_EQ(remedy(row.kind, Stage::kLoad), row.load) << to_string(row.kind);
    EXPECT_EQ(remedy(row.kind, Stage::kCommit), row.commit) << to_string(row.kind);
    EXPECT_EQ(remedy(row.kind, Stage::kLookup), row.lookup) << to_string(row.kind);
    EXPECT_EQ(remedy(row.kind, Stage::kLink), row.link) << to_string(row.kind);
  }
}

TEST(Troubles, BackoffDoublesIsCappedAndJittered) {
  for (int tries = 0; tries < 40; ++tries) {
    auto limit = std::min<std::int64_t>(100LL << std::min(tries, 20), 5000);
    for (int i = 0; i < 20; ++i) {
      auto wait = backoff(Millis{100}, Millis{5000}, tries).count();
      EXPECT_GE(wait, limit / 2);
      EXPECT_LE(wait, limit);
    }
  }
}

}  // namespace
}  // namespace gw::user
