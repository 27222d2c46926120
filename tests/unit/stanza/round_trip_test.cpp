#include <gtest/gtest.h>
#include <string>

#include "stanza/codec.h"
#include "unit/stanza/random_node.h"

namespace gw::stanza {
namespace {

using testing::RandomNode;
using testing::same;
using testing::shown;

constexpr InteropForm kForms[] = {InteropForm::kWithServer, InteropForm::kWithoutServer};

class RoundTrip : public ::testing::Test {
 protected:
  const std::uint64_t seed_ = testing::seed_of_run();
  ::testing::ScopedTrace trace_{__FILE__, __LINE__, "GW_SEED=" + std::to_string(seed_)};
  RandomNode random_{seed_};
};

TEST_F(RoundTrip, RandomNodes) {
  for (int i = 0; i < 3000; ++i) {
    const Node node = random_.node();
    for (InteropForm form : kForms) {
      auto plain = encode(node, {form});
      ASSERT_TRUE(plain);
      auto decoded = decode(*plain);
      ASSERT_TRUE(decoded) << decoded.error().reason << ' ' << shown(*plain);
      ASSERT_TRUE(same(*decoded, node)) << shown(*plain);
      ASSERT_TRUE(equal(*encode(*decoded, {form}), *plain)) << shown(*plain);
    }
    auto packed = encode_compressed(node);
    ASSERT_TRUE(packed);
    ASSERT_TRUE(same(*decode(*packed), node));
  }
}

TEST_F(RoundTrip, EncodeAppends) {
  Bytes all{9};
  const Node first = random_.node();
  const Node second = random_.node();
  ASSERT_TRUE(encode(first, all));
  const std::size_t middle = all.size();
  ASSERT_TRUE(encode(second, all));
  EXPECT_EQ(all[0], 9);
  EXPECT_TRUE(same(*decode(ByteView(all).subspan(1, middle - 1)), first));
  EXPECT_TRUE(same(*decode(ByteView(all).subspan(middle)), second));
}

// Nodes full of "interop" as tag, key, value and content, around addresses in either form.
TEST_F(RoundTrip, BothFormsOfInteropAddressesAreToldApart) {
  for (int i = 0; i < 20000; ++i) {
    const Node node = random_.interop_node();
    for (InteropForm form : kForms) {
      auto plain = encode(node, {form});
      ASSERT_TRUE(plain);
      auto decoded = decode(*plain);
      ASSERT_TRUE(decoded) << shown(*plain);
      ASSERT_TRUE(same(*decoded, node)) << shown(*plain);
    }
  }
}

Bytes mutated(RandomNode& random, Bytes plain) {
  for (std::size_t n = 1 + random.below(4); n > 0 && !plain.empty(); --n) {
    const std::size_t at = random.below(plain.size());
    const auto offset = static_cast<std::ptrdiff_t>(at);
    switch (random.below(5)) {
      case 0:
        plain[at] ^= static_cast<std::uint8_t>(1u << random.below(8));
        break;
      case 1:
        plain[at] = static_cast<std::uint8_t>(240 + random.below(16));
        break;
      case 2:
        plain.insert(plain.begin() + offset, static_cast<std::uint8_t>(random.below(256)));
        break;
      case 3:
        plain.erase(plain.begin() + offset);
        break;
      default:
        plain.resize(at);
    }
  }
  return plain;
}

TEST_F(RoundTrip, MutatedStanzasAreRefusedOrKeepTheirMeaning) {
  int decoded = 0;
  for (int i = 0; i < 20000; ++i) {
    const Node node = random_.one_in(3) ? random_.interop_node() : random_.node(2);
    const Bytes plain =
        mutated(random_, random_.one_in(10) ? *encode_compressed(node) : *encode(node));
    auto read = decode(plain);
    if (!read) {
      ASSERT_EQ(read.error().kind, ErrorKind::kCorrupt);
      continue;
    }
    ++decoded;
    auto again = encode(*read);
    ASSERT_TRUE(again) << shown(plain);
    auto reread = decode(*again);
    ASSERT_TRUE(reread) << shown(plain);
    ASSERT_TRUE(same(*reread, *read)) << shown(plain);
  }
  EXPECT_GT(decoded, 100);
}

}  // namespace
}  // namespace gw::stanza
