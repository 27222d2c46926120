// Octets written by hand from the description of the format, both ways.

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "stanza/codec.h"
#include "unit/stanza/random_node.h"

namespace gw::stanza {
namespace {

// Spaces are for the reader; the flag octet 00 is left out.
Bytes octets(std::string hex) {
  std::erase(hex, ' ');
  auto plain = from_hex("00" + hex);
  EXPECT_TRUE(plain) << hex;
  return plain.value_or(Bytes{});
}

struct Golden {
  std::string hex;
  Node node;
};

void expect_both_ways(const Golden& golden, const EncodeOptions& options = {}) {
  SCOPED_TRACE(golden.hex);
  auto encoded = encode(golden.node, options);
  ASSERT_TRUE(encoded);
  EXPECT_EQ(to_hex(*encoded), to_hex(octets(golden.hex)));
  auto decoded = decode(octets(golden.hex));
  ASSERT_TRUE(decoded) << decoded.error().reason;
  EXPECT_EQ(*decoded, golden.node);
}

Node a(std::string_view value) { return Node("t").with("id", value); }
Node a(const Jid& value) { return Node("t").with("id", value); }
// <t id=...>: list of 3, token "t" (26), token "id" (8).
const std::string kA = "f803 1a 08 ";

TEST(Golden, Structure) {
  const std::vector<Golden> all = {
      {"f801 02", Node("xmlstreamend")},
      {"f802 1a 00",
       [] {
         Node n("t");
         n.content = Nodes{};
         return n;
       }()},
      {"f802 1a f801 f801 08", Node("t").add(Node("id"))},
      {"f802 1a f802 f801 08 f802 08 2d", Node("t").add(Node("id")).add(Node("id").text("0"))},
      {"f806 1a 08 2d 04 14 fc01 ff",
       Node("t").with("id", "0").with("type", "result").octets(Bytes{0xff})},
      {"f802 1a fc00", Node("t").octets(Bytes{})},
      {"f802 1a fc04 74657874", Node("t").octets(as_bytes("text"))},  // octets stay octets
      {"f802 1a 38", Node("t").text("text")},
      {"f801 fc02 7a7a", Node("zz")},
  };
  for (const auto& golden : all) expect_both_ways(golden);
}

TEST(Golden, StringsTakeTheShortestForm) {
  const std::vector<Golden> all = {
      {kA + "03", a("s.whatsapp.net")},  // a token stays text
      {kA + "ec75", a("relay")},         // dictionary 0, index 117
      {kA + "eb", Node("t").with("id", token_text({0, 235}))},
      {kA + "ef00", a(token_text({4, 0}))},
      {kA + "efff", a(token_text({4, 255}))},
      {kA + "ff02 7654", a("7654")},      // nibbles, even
      {kA + "ff82 765f", a("765")},       // odd: padded with f
      {kA + "ff03 1a2b59", a("1-2.59")},  // '-' is a, '.' is b
      {kA + "ff82 abaf", a("-.-")},
      {kA + "fb02 3eb0", a("3EB0")},      // hex, even
      {kA + "fb82 abcf", a("ABC")},       // odd
      {kA + "fc04 33656230", a("3eb0")},  // lower case is raw
      {kA + "fc03 412d42", a("A-B")},     // neither alphabet holds both
      {kA + "fc03 352040", a("5 @")},
      {kA + "fc05 35406c6964", a("5@lid")},  // text with an '@' is still text
      {kA + "ffc0 " + std::string(126, '9') + "9f", a(std::string(127, '9'))},
      {kA + "fbc0 " + std::string(126, 'a') + "af", a(std::string(127, 'A'))},
      {kA + "ff3f " + std::string(126, '9'), a(std::string(126, '9'))},
      {kA + "fc80 " +
           [] {
             std::string s;
             for (int i = 0; i < 128; ++i) s += "39";
             return s;
           }(),
       a(std::string(128, '9'))},
  };
  for (const auto& golden : all) expect_both_ways(golden);
}

TEST(Golden, Addresses) {
  const std::vector<Golden> all = {
      {kA + "fa 00 03", a(Jid::service())},
      {kA + "fa ff02 7654 03", a(Jid::phone("7654"))},
      {kA + "fa ff02 7654 76", a(Jid::lid("7654"))},
      {kA + "fa ff82 1a2f 1c", a(Jid{Server::kGroup, "1-2", 0, 0, {}})},
      {kA + "fa 0b 0d", a(Jid{Server::kBroadcast, "status", 0, 0, {}})},
      {kA + "fa 00 1c", a(Jid{Server::kGroup, "", 0, 0, {}})},
      {kA + "fa ff02 7654 fc03 626f74", a(Jid{Server::kOther, "7654", 0, 0, "bot"})},
      {kA + "fa 00 fc07 696e7465726f70", a(Jid::interop(0, ""))},
      {kA + "f7 00 01 ff02 7654", a(Jid::phone("7654", 1))},
      {kA + "f7 01 ff ff02 7654", a(Jid::lid("7654", 255))},
      {kA + "f7 80 00 ff02 7654", a(Jid{Server::kHosted, "7654", 0, 0, {}})},
      {kA + "f7 81 07 ff02 7654", a(Jid{Server::kHostedLid, "7654", 7, 0, {}})},
      {kA + "f6 ff02 7654 0000 cc", a(Jid{Server::kMessenger, "7654", 0, 0, {}})},
      {kA + "f6 ff02 7654 0102 cc", a(Jid{Server::kMessenger, "7654", 258, 0, {}})},
      {kA + "f5 ff02 7654 0000 0003 fc07 696e7465726f70", a(Jid::interop(3, "7654"))},
      {kA + "f5 ff02 7654 0102 fffe fc07 696e7465726f70", a(Jid::interop(65534, "7654", 258))},
  };
  for (const auto& golden : all) expect_both_ways(golden);
  expect_both_ways({kA + "f5 ff02 7654 0102 fffe", a(Jid::interop(65534, "7654", 258))},
                   {InteropForm::kWithoutServer});
}

// What others write and we read, though we write it differently.
TEST(Golden, OtherSpellings) {
  const std::string server = "fc07 696e7465726f70";
  const std::vector<Golden> all = {
      // The integrator inside the user: a pair, tag 245 with integrator 0, and domain 0.
      {kA + "fa ff83 3a555f " + server, a(Jid::interop(3, "555"))},
      {kA + "f5 ff83 3a555f 0000 0000 " + server, a(Jid::interop(3, "555"))},
      {kA + "f5 ff83 3a555f 0000 0000", a(Jid::interop(3, "555"))},
      {kA + "f7 00 01 ff83 3a555f", a(Jid::interop(3, "555", 1))},
      {kA + "f5 ff83 3a555f 0000 0007", a(Jid::interop(7, "3-555"))},
      {kA + "fa ff02 7654 " + server, a(Jid::interop(0, "7654"))},
      {kA + "f7 00 00 ff02 7654", a(Jid::phone("7654"))},
      {kA + "f7 01 00 ff02 7654", a(Jid::lid("7654"))},
      {kA + "fa ff02 7654 fc06 686f73746564", a(Jid{Server::kHosted, "7654", 0, 0, {}})},
      {kA + "fa ff02 7654 cc", a(Jid{Server::kMessenger, "7654", 0, 0, {}})},
      {kA + "fa ff02 7654 fc04 632e7573", a(Jid::phone("7654"))},  // c.us
      {kA + "f5 ff02 7654 0000 0003 fd000007 696e7465726f70", a(Jid::interop(3, "7654"))},
      {kA + "f5 ff02 7654 0000 0003 fe00000007 696e7465726f70", a(Jid::interop(3, "7654"))},
      // Strings in a longer form than need be.
      {"f90003 1a 08 2d", a("0")},
      {kA + "fc01 30", a("0")},
      {kA + "fd f00001 30", a("0")},  // the upper four bits mean nothing
      {kA + "fe 00000001 30", a("0")},
      {kA + "fb81 3f", a("3")},
      {kA + "ff81 30", a("3")},  // nor does the padding
      {kA + "fc05 35406c6964", a("5@lid")},
      // Empty is absent.
      {kA + "fc00", Node("t")},
      {kA + "00", Node("t")},
      {kA + "ff00", Node("t")},
      // An address as content is text.
      {"f802 1a fa ff02 7654 76", Node("t").text("7654@lid")},
      {"f802 1a f5 ff02 7654 0000 0003", Node("t").text("3-7654@interop")},
  };
  for (const auto& golden : all) {
    SCOPED_TRACE(golden.hex);
    auto decoded = decode(octets(golden.hex));
    ASSERT_TRUE(decoded) << decoded.error().reason;
    EXPECT_EQ(*decoded, golden.node);
  }
}

// An address that no Jid can stand for is kept as text; the stanza is not lost for it.
TEST(Golden, OddAddressesStayText) {
  const std::vector<Golden> all = {
      {kA + "fa fc03 352035 76", a("5 5@lid")},
      {kA + "fa fc03 353a35 76", a("5:5@lid")},
      {kA + "fa fc03 354035 76", a("5@5@lid")},
      {kA + "fa ff02 7654 fc03 612062", a("7654@a b")},
      {kA + "f7 01 05 00", a(":5@lid")},
      {kA + "f7 01 05 fc02 3520", a("5 :5@lid")},
      {kA + "f6 00 0005 cc", a(":5@msgr")},
      {kA + "f5 00 0005 0003", a("3-:5@interop")},
      {kA + "f5 fc02 3520 0000 0003 fc07 696e7465726f70", a("3-5 @interop")},
      {kA + "fa ff84 70000a5f fc07 696e7465726f70", a("70000-5@interop")},
      {kA + "f5 ff84 70000a5f 0000 0000", a("0-70000-5@interop")},
  };
  for (const auto& golden : all) {
    SCOPED_TRACE(golden.hex);
    auto decoded = decode(octets(golden.hex));
    ASSERT_TRUE(decoded) << decoded.error().reason;
    EXPECT_EQ(*decoded, golden.node);
  }
  const Bytes long_user = octets("f803 1a 08 fa fd000100 " + std::string(512, '3') + " 76");
  auto decoded = decode(long_user);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->attr_text("id"), std::string(256, '3') + "@lid");
  EXPECT_EQ(decoded->attr_jid("id"), std::nullopt);
}

TEST(Golden, ListsOf256AndMore) {
  Node children("t");
  for (int i = 0; i < 255; ++i) children.add(Node("id"));
  EXPECT_EQ(to_hex(*encode(children)).substr(0, 12), "00f8021af8ff");
  children.add(Node("id"));
  EXPECT_EQ(to_hex(*encode(children)).substr(0, 14), "00f8021af90100");
  EXPECT_EQ(*decode(*encode(children)), children);

  Node attrs("t");
  for (int i = 0; i < 127; ++i)
    attrs.with(std::string("k").append(std::to_string(i)), std::int64_t{i});
  EXPECT_EQ(to_hex(*encode(attrs)).substr(0, 6), "00f8ff");
  attrs.with("last", std::int64_t{1});
  EXPECT_EQ(to_hex(*encode(attrs)).substr(0, 8), "00f90101");
  EXPECT_EQ(*decode(*encode(attrs)), attrs);
}

TEST(Golden, ContentSizes) {
  const std::vector<std::pair<std::size_t, std::string>> heads = {
      {255, "fcff"},
      {256, "fd000100"},
      {(1u << 20) - 1, "fd0fffff"},
      {1u << 20, "fe00100000"},
  };
  for (const auto& [size, head] : heads) {
    const Node node = Node("t").octets(Bytes(size, 0x5a));
    auto encoded = encode(node);
    ASSERT_TRUE(encoded);
    const std::string hex = to_hex(ByteView(*encoded).first(20));
    EXPECT_EQ(hex.substr(0, 8 + head.size()), "00f8021a" + head);
    EXPECT_EQ(encoded->size(), 4 + head.size() / 2 + size);
    EXPECT_EQ(*decode(*encoded), node);
    const Node text = Node("t").with("id", std::string(size, 'z'));
    EXPECT_EQ(*decode(*encode(text)), text);
  }
}

TEST(Golden, ZlibBody) {
  // One stored block, written by hand: header, block head, the end of the stream, Adler-32.
  const Bytes plain = *from_hex("027801010300fcfff8010202ef00fc");
  auto decoded = decode(plain);
  ASSERT_TRUE(decoded) << decoded.error().reason;
  EXPECT_TRUE(is_stream_end(*decoded));
  EXPECT_EQ(to_hex(*encode(Node("xmlstreamend"))), "00f80102");
}

TEST(Golden, OtherFlagBitsMeanNothing) { EXPECT_TRUE(decode(*from_hex("fdf80102")).has_value()); }

}  // namespace
}  // namespace gw::stanza
