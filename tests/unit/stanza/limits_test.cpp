// What a decoder refuses, and what an encoder does not write.

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "stanza/codec.h"

namespace gw::stanza {
namespace {

std::string why(ByteView plain, const Limits& limits = {}) {
  auto decoded = decode(plain, limits);
  if (decoded) return "decoded";
  EXPECT_EQ(decoded.error().kind, ErrorKind::kCorrupt);
  return std::string(decoded.error().reason);
}

std::string why(std::string hex, const Limits& limits = {}) {
  std::erase(hex, ' ');
  auto plain = from_hex(hex);
  EXPECT_TRUE(plain) << hex;
  return why(ByteView(*plain), limits);
}

TEST(Malformed, EachKindIsRefused) {
  const std::vector<std::string> malformed = {
      "",
      "00",       // no node
      "02",       // no zlib stream
      "00 00",    // node of size 0
      "00 f800",  // the same, longer
      "00 f90000",
      "00 f801",     // no tag
      "00 f801 00",  // empty tag
      "00 f801 fc00",
      "00 f801 ff00",
      "00 1a",  // not a list
      "00 fc01 30",
      "00 f8",  // the header itself is cut
      "00 f901",
      "00 f801 f8",          // a list where a string has to be
      "00 f801 fa 00 03",    // an address as tag
      "00 f801 02 00",       // one octet too many
      "00 f801 02 f801 02",  // a second node
      "00 f803 1a 08",       // no value
      "00 f803 1a",
      "00 f802 1a",              // no content
      "00 f803 1a f801 08 2d",   // a list as key
      "00 f803 1a fa 00 03 2d",  // an address as key
      "00 f803 1a 00 2d",        // an empty key
      "00 f803 1a fc00 2d",
      "00 f803 1a 08 f801 08",          // a list as value
      "00 f805 1a 08 2d 08 2d",         // a key twice
      "00 f805 1a 08 2d fc02 6964 2d",  // the same in another form
      "00 f805 1a 08 fc00 08 fc00",     // even when both are empty
      "00 f803 1a 08 f0",               // 240..244 are not assigned
      "00 f803 1a 08 f1",
      "00 f803 1a 08 f4",
      "00 f803 1a 08 ec",         // dictionary without index
      "00 f803 1a 08 ff02 12",    // packed, cut
      "00 f803 1a 08 ff02 c112",  // 12, 13, 14 and 15 are no nibbles
      "00 f803 1a 08 ff02 1d12",
      "00 f803 1a 08 ff02 12e1",
      "00 f803 1a 08 ff02 121f",  // nor is the padding, but at the end of an odd one
      "00 f803 1a 08 ff80",       // odd and empty
      "00 f803 1a 08 fb80",
      "00 f803 1a 08 fc05 3132",  // strings longer than what is left
      "00 f803 1a 08 fdffffff 30",
      "00 f803 1a 08 feffffffff 30",
      "00 f803 1a 08 fe7fffffff 30",
      "00 f803 1a 08 fd0000",
      "00 f803 1a 08 fe000000",
      "00 f802 1a fc05 3132",
      "00 f802 1a f802 f801 08",  // one child of two
      "00 f802 1a f9ffff f801 08",
      "00 f9ffff 1a 08 2d",
      "00 f802 1a f801 00",      // a child of size 0
      "00 f803 1a 08 fa 00 00",  // pair without server
      "00 f803 1a 08 fa ff0176 00",
      "00 f803 1a 08 fa fa0003 03",     // an address as user
      "00 f803 1a 08 fa f80108 03",     // a list as user
      "00 f803 1a 08 f7 02 00 ff0112",  // unknown domain
      "00 f803 1a 08 f7 82 00 ff0112",
      "00 f803 1a 08 f7 00",
      "00 f803 1a 08 f6 ff0112 0001",     // no server
      "00 f803 1a 08 f6 ff0112 0001 76",  // msgr it must be
      "00 f803 1a 08 f6 ff0112 00",
      "00 f803 1a 08 f5 ff0112 0001 00",       // cut in the integrator
      "00 f803 1a 08 f5 ff0112 0001 0003 76",  // "lid" is no server of interop
      "00 f803 1a 08 f5 ff0112 0001 0003 fc07 696e7465",
  };
  for (const auto& hex : malformed) EXPECT_EQ(why(hex), "STANZA_MALFORMED") << hex;
}

TEST(Malformed, EveryBeginningOfAStanzaIs) {
  const Node node = Node("message")
                        .with("to", Jid::interop(3, "555", 1))
                        .with("from", Jid::lid("77", 2))
                        .with("id", "3EB0ABC")
                        .with("type", "text")
                        .add(Node("enc").with("v", "2").octets(Bytes(300, 7)))
                        .add(Node("enc").with("t", "relay").text("12.5"));
  const Bytes plain = *encode(node);
  ASSERT_TRUE(decode(plain));
  for (std::size_t size = 0; size < plain.size(); ++size) {
    EXPECT_EQ(why(ByteView(plain).first(size)), "STANZA_MALFORMED") << size;
  }
}

TEST(Malformed, DuplicateKeysAmongMany) {
  Node node("t");
  for (int i = 0; i < 5000; ++i)
    node.attrs.emplace_back(std::string("k").append(std::to_string(i)), "v");
  EXPECT_TRUE(decode(*encode(node)));
  node.attrs.emplace_back("k17", "v");
  EXPECT_EQ(why(*encode(node)), "STANZA_MALFORMED");
}

Node nested(std::size_t depth) {
  Node node("t");
  for (std::size_t i = 1; i < depth; ++i) {
    Node outer("t");
    outer.add(std::move(node));
    node = std::move(outer);
  }
  return node;
}

TEST(Limits, Depth) {
  EXPECT_EQ(why(*encode(nested(32))), "decoded");
  EXPECT_EQ(why(*encode(nested(33))), "STANZA_TOO_DEEP");
  EXPECT_EQ(why(*encode(nested(3)), {.max_depth = 2}), "STANZA_TOO_DEEP");
  EXPECT_EQ(why(*encode(nested(2)), {.max_depth = 2}), "decoded");
}

TEST(Limits, DepthHasAHardBound) {
  EXPECT_EQ(why(*encode(nested(256)), {.max_depth = SIZE_MAX}), "decoded");
  auto encoded = encode(nested(257));
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().reason, "STANZA_NOT_ENCODABLE");
  Bytes plain{0};  // f8 02 1a f8 01 ... as deep as 300,000
  for (int i = 0; i < 300000; ++i) append(plain, Bytes{0xf8, 2, 0x1a, 0xf8, 1});
  append(plain, Bytes{0xf8, 1, 0x1a});
  EXPECT_EQ(why(plain, {.max_depth = SIZE_MAX, .max_nodes = SIZE_MAX}), "STANZA_TOO_DEEP");
}

TEST(Limits, NodesAndAttributesTogether) {
  Node node("t");  // 1 node, 2 attributes; 3 children with 1 attribute each: 9 in all
  node.with("a", "b").with("c", "d");
  for (int i = 0; i < 3; ++i) node.add(Node("t").with("a", "b"));
  const Bytes plain = *encode(node);
  EXPECT_EQ(why(plain, {.max_nodes = 9}), "decoded");
  EXPECT_EQ(why(plain, {.max_nodes = 8}), "STANZA_TOO_MANY_NODES");
  EXPECT_EQ(why(plain, {.max_nodes = 5}), "STANZA_TOO_MANY_NODES");
  EXPECT_EQ(why(plain, {.max_nodes = 1}), "STANZA_TOO_MANY_NODES");
  EXPECT_EQ(why(plain, {.max_nodes = 0}), "STANZA_TOO_MANY_NODES");
}

TEST(Limits, InflatedSizeIsExact) {
  const Node node = Node("t").octets(Bytes(100000, 1));
  const std::size_t body = encode(node)->size() - 1;
  const Bytes packed = *encode_compressed(node);
  EXPECT_LT(packed.size(), 500u);
  EXPECT_EQ(*decode(packed), node);
  EXPECT_EQ(why(packed, {.max_inflated = body}), "decoded");
  EXPECT_EQ(why(packed, {.max_inflated = body - 1}), "STANZA_TOO_LARGE");
  EXPECT_EQ(why(packed, {.max_inflated = 0}), "STANZA_TOO_LARGE");
}

TEST(Limits, AZlibBombIsRefused) {
  const Node bomb = Node("t").octets(Bytes(64u << 20, 0));
  const Bytes packed = *encode_compressed(bomb);
  EXPECT_LT(packed.size(), 100u << 10);
  EXPECT_EQ(why(packed), "STANZA_TOO_LARGE");
}

TEST(Limits, BrokenZlibIsMalformed) {
  const Bytes packed = *encode_compressed(Node("t").octets(Bytes(5000, 1)));
  for (std::size_t size = 0; size < packed.size(); ++size) {
    EXPECT_EQ(why(ByteView(packed).first(size)), "STANZA_MALFORMED") << size;
  }
  Bytes more = packed;
  more.push_back(0);
  EXPECT_EQ(why(more), "STANZA_MALFORMED");
  Bytes flipped = packed;
  flipped.back() ^= 1;  // the checksum
  EXPECT_EQ(why(flipped), "STANZA_MALFORMED");
  EXPECT_EQ(why("02 78bb 00000001 0000"), "STANZA_MALFORMED");  // wants a preset dictionary
}

void expect_not_encodable(const Node& node) {
  Bytes to{1, 2, 3};
  auto outcome = encode(node, to);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::kRejected);
  EXPECT_EQ(outcome.error().reason, "STANZA_NOT_ENCODABLE");
  EXPECT_EQ(to, (Bytes{1, 2, 3}));  // as it was
  EXPECT_FALSE(encode_compressed(node));
}

TEST(NotEncodable, LeavesTheBufferAsItWas) {
  expect_not_encodable(Node());
  expect_not_encodable(Node("t").add(Node("id").octets(Bytes(4000, 1))).add(Node()));
  Node empty_key("t");
  empty_key.attrs.emplace_back("", "v");
  expect_not_encodable(empty_key);
}

TEST(NotEncodable, ListsLongerThan65535) {
  Node attrs("t");
  for (int i = 0; i < 32767; ++i)
    attrs.attrs.emplace_back(std::string("k").append(std::to_string(i)), "v");
  EXPECT_EQ(*decode(*encode(attrs)), attrs);
  attrs.text("x");  // 2 * 32,767 + 2
  expect_not_encodable(attrs);
  Node children("t");
  children.content = Nodes(65535, Node("id"));
  EXPECT_EQ(decode(*encode(children), {.max_nodes = 65536})->children().size(), 65535u);
  children.add(Node("id"));
  expect_not_encodable(children);
}

TEST(NotEncodable, AddressesWithoutAPlaceForTheirParts) {
  const std::vector<Jid> jids = {
      Jid::phone("5", 256),
      Jid::lid("5", 256),
      {Server::kHosted, "5", 256, 0, {}},
      {Server::kGroup, "5", 1, 0, {}},
      {Server::kOther, "5", 1, 0, "bot"},
      {Server::kOther, "5", 0, 0, {}},
      Jid::phone("", 1),
      Jid::interop(0, "", 1),
  };
  for (const Jid& jid : jids) expect_not_encodable(Node("t").with("id", jid));
}

}  // namespace
}  // namespace gw::stanza
