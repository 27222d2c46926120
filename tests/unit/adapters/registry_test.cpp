#include "adapters/registry.h"

#include <gtest/gtest.h>
#include <set>

namespace gw::adapters {
namespace {

TEST(Registry, ListsCompleteAdaptersWithNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const auto* one : all()) {
    ASSERT_NE(one, nullptr);
    EXPECT_TRUE(names.insert(one->name).second) << one->name;
    EXPECT_FALSE(one->name.empty());
    EXPECT_GT(one->version, 0U) << one->name;
    EXPECT_NE(one->codec, nullptr) << one->name;
    EXPECT_NE(one->identity, nullptr) << one->name;
    EXPECT_GT(one->capabilities.max_text, 0U) << one->name;
    EXPECT_EQ(find(one->name), one);
  }
  EXPECT_TRUE(names.contains("native"));
}

TEST(Registry, KnowsNoOthers) {
  EXPECT_EQ(find("Native"), nullptr);
  EXPECT_EQ(find(""), nullptr);
}

// Every adapter: what its identity map takes comes back.
TEST(Registry, IdentityMapsAreReversible) {
  for (const auto* one : all()) {
    auto ours = one->identity->to_ours("alice");
    if (!ours) continue;  // an adapter with ids of another form has its own test
    EXPECT_EQ(one->identity->to_native(*ours), "alice") << one->name;
    EXPECT_EQ(*one->identity->to_ours("alice"), *ours) << one->name;
  }
}

}  // namespace
}  // namespace gw::adapters
