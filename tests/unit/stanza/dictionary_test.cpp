#include <gtest/gtest.h>
#include <set>
#include <string>

#include "stanza/codec.h"

namespace gw::stanza {
namespace {

TEST(Dictionary, EachOfThe1259TokensIsFoundWhereItStands) {
  std::set<std::string_view> seen;
  for (int page = 0; page < 5; ++page) {
    const int last = page == 0 ? 235 : 255;
    for (int index = page == 0 ? 1 : 0; index <= last; ++index) {
      const Token token{static_cast<std::uint8_t>(page), static_cast<std::uint8_t>(index)};
      const std::string_view text = token_text(token);
      ASSERT_FALSE(text.empty()) << page << '/' << index;
      EXPECT_TRUE(seen.insert(text).second) << text;
      auto found = find_token(text);
      ASSERT_TRUE(found) << text;
      EXPECT_EQ(found->page, page);
      EXPECT_EQ(found->index, index);
    }
  }
  EXPECT_EQ(seen.size(), 235u + 4 * 256);
}

TEST(Dictionary, KnownPlaces) {
  EXPECT_EQ(token_text({0, 2}), "xmlstreamend");
  EXPECT_EQ(token_text({0, 4}), "type");
  EXPECT_EQ(token_text({0, 118}), "lid");
  EXPECT_EQ(token_text({0, 204}), "msgr");
  EXPECT_EQ(token_text({1, 117}), "relay");
}

TEST(Dictionary, WhatIsNoTokenIsNotFound) {
  EXPECT_FALSE(find_token(""));
  EXPECT_FALSE(find_token("interop"));
  EXPECT_FALSE(find_token("typ"));
  EXPECT_FALSE(find_token("typee"));
  EXPECT_FALSE(find_token("Type"));
  EXPECT_FALSE(find_token(std::string("type\0", 5)));
  EXPECT_FALSE(find_token(std::string(49, 'a')));
  EXPECT_FALSE(find_token(std::string(1u << 20, 'a')));
}

TEST(Dictionary, PlacesWithoutATokenAreEmpty) {
  EXPECT_EQ(token_text({0, 0}), "");
  EXPECT_EQ(token_text({0, 236}), "");
  EXPECT_EQ(token_text({0, 255}), "");
  EXPECT_EQ(token_text({5, 0}), "");
  EXPECT_EQ(token_text({255, 255}), "");
}

}  // namespace
}  // namespace gw::stanza
