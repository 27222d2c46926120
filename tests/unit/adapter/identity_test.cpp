#include "adapter/identity.h"

#include <gtest/gtest.h>

namespace gw::adapter {
namespace {

TEST(SameIds, MapsBothWays) {
  SameIds ids;
  for (std::string_view id : {"a", "Alice_1=-", "0123456789"}) {
    auto ours = ids.to_ours(id);
    ASSERT_TRUE(ours);
    EXPECT_EQ(*ours, id);
    EXPECT_EQ(ids.to_native(*ours), id);
  }
}

TEST(SameIds, RefusesWhatDoesNotGoOnTheWire) {
  SameIds ids;
  for (const std::string& id : {std::string(), std::string("a@b"), std::string("a b"),
                                std::string("\xC3\xA4"), std::string(65, 'a')}) {
    auto ours = ids.to_ours(id);
    ASSERT_FALSE(ours) << id;
    EXPECT_EQ(ours.error().reason, "USER_ID_INVALID");
    EXPECT_EQ(ours.error().kind, ErrorKind::kRejected);
  }
}

}  // namespace
}  // namespace gw::adapter
