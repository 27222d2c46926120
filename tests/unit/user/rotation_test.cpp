// Signed prekeys take turns.

#include <gtest/gtest.h>

#include "world.h"

namespace gw::user::testing {
namespace {

TEST(Rotation, AnotherSignedPrekeyAfterItsTimeAndTheOldOneStillReads) {
  World w;
  w.link_up();
  const auto old = w.state.profile.signed_prekey.id;
  auto first = w.phone.write("with the old key", "M1");
  w.wall += w.limits.signed_prekey_age;
  auto out = w.run({TimerInput{}});
  ASSERT_EQ(out.requests.size(), 1u);
  EXPECT_EQ(out.requests[0].kind, RequestKind::kRotate);
  EXPECT_EQ(w.state.profile.signed_prekey.id, old + 1);
  EXPECT_TRUE(w.state.profile.rotating);
  w.reload();  // not confirmed: it goes up with the next link
  w.phones.clear();
  auto up = w.run({LinkUp{77}});
  w.answer(std::move(up));
  EXPECT_FALSE(w.state.profile.rotating);
  w.run({inbound(first)});
  EXPECT_EQ(texts(w), std::vector<std::string>{"with the old key"});
}

TEST(Rotation, OldOnesGoInTheirTime) {
  World w;
  w.link_up();
  for (int i = 0; i < 8; ++i) {
    w.wall += w.limits.signed_prekey_age;
    w.answer(w.run({TimerInput{}}));
  }
  EXPECT_EQ(w.state.profile.old_signed_prekeys.size(), 5u);  // 7, 14, 21, 28 days and today's
}

TEST(Rotation, ARefusedOneIsTriedAgainLater) {
  World w;
  w.link_up();
  w.wall += w.limits.signed_prekey_age;
  w.run({TimerInput{}});
  w.run({AnswerInput{RequestKind::kRotate, {}, fail(ErrorKind::kRetryLater, "IQ_UNAVAILABLE")}});
  EXPECT_TRUE(w.run({TimerInput{}}).requests.empty());
  w.mono += w.limits.rotate_retry;
  auto out = w.run({TimerInput{}});
  ASSERT_EQ(out.requests.size(), 1u);
  EXPECT_EQ(out.requests[0].kind, RequestKind::kRotate);
}

}  // namespace
}  // namespace gw::user::testing
