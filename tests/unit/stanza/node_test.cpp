#include "stanza/node.h"

#include <gtest/gtest.h>

#include "stanza/codec.h"

namespace gw::stanza {
namespace {

TEST(Node, IsBuiltInOneExpression) {
  const Node node = Node("iq")
                        .with("to", Jid::service())
                        .with("t", std::int64_t{1700000000})
                        .with("type", "get")
                        .add(Node("count").text("7"))
                        .add(Node("key").octets(Bytes{1, 2}));
  EXPECT_EQ(node.tag, "iq");
  EXPECT_EQ(node.attr_jid("to"), Jid::service());
  EXPECT_EQ(node.attr_text("to"), "@s.whatsapp.net");
  EXPECT_EQ(node.attr_int("t"), 1700000000);
  EXPECT_EQ(node.attr_text("type"), "get");
  ASSERT_EQ(node.children().size(), 2u);
  EXPECT_EQ(node.child("count")->as_text(), "7");
  EXPECT_TRUE(equal(node.child("key")->as_octets(), Bytes{1, 2}));
}

TEST(Node, AnAttributeOccursOnceAndNeverEmpty) {
  Node node("iq");
  node.with("type", "get").with("type", "set").with("id", "");
  EXPECT_EQ(node.attrs.size(), 1u);
  EXPECT_EQ(node.attr_text("type"), "set");
  node.with("type", Jid::lid("5"));
  EXPECT_EQ(node.attr_jid("type"), Jid::lid("5"));
  node.with("type", "");
  EXPECT_TRUE(node.attrs.empty());
}

TEST(Node, MissingOrOfAnotherKindIsNothing) {
  Node node = Node("x").with("text", "five").with("jid", Jid::lid("5"));
  EXPECT_EQ(node.attr("none"), nullptr);
  EXPECT_EQ(node.attr_text("none"), "");
  EXPECT_EQ(node.attr_jid("none"), std::nullopt);
  EXPECT_EQ(node.attr_jid("text"), std::nullopt);
  EXPECT_EQ(node.attr_int("none"), std::nullopt);
  EXPECT_EQ(node.attr_int("text"), std::nullopt);
  EXPECT_EQ(node.attr_int("jid"), std::nullopt);
  EXPECT_FALSE(node.attr_is("none", ""));
  EXPECT_TRUE(node.children().empty());
  EXPECT_EQ(node.child("none"), nullptr);
  EXPECT_TRUE(node.as_octets().empty());
  EXPECT_EQ(Node("x").add(Node("y")).as_text(), "");
}

TEST(Node, NumbersAreReadWhole) {
  const auto read = [](std::string_view text) { return Node("x").with("n", text).attr_int("n"); };
  EXPECT_EQ(read("0"), 0);
  EXPECT_EQ(read("-5"), -5);
  EXPECT_EQ(read("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(read("9223372036854775808"), std::nullopt);
  EXPECT_EQ(read("5 "), std::nullopt);
  EXPECT_EQ(read(" 5"), std::nullopt);
  EXPECT_EQ(read("+5"), std::nullopt);
  EXPECT_EQ(read("0x5"), std::nullopt);
}

TEST(Node, AddressesAreReadFromTextToo) {
  EXPECT_EQ(Node("x").with("from", "5:2@lid").attr_jid("from"), Jid::lid("5", 2));
}

TEST(Node, AnAddressIsComparedByItsTextForm) {
  const std::vector<Jid> jids = {Jid::service(),
                                 Jid::phone("1", 2),
                                 Jid::lid("5"),
                                 Jid::interop(3, "555", 1),
                                 Jid::interop(0, "x"),
                                 Jid::interop(0, ""),
                                 {Server::kOther, "9", 0, 0, "bot"}};
  for (const Jid& held : jids) {
    const Node node = Node("x").with("jid", held);
    for (const Jid& other : jids) {
      EXPECT_EQ(node.attr_is("jid", other.to_string()), held == other) << other.to_string();
    }
    EXPECT_FALSE(node.attr_is("jid", held.to_string() + "x"));
    EXPECT_FALSE(node.attr_is("jid", ""));
  }
  EXPECT_TRUE(Node("x").with("type", "get").attr_is("type", "get"));
  EXPECT_FALSE(Node("x").with("type", "get").attr_is("type", "gets"));
}

TEST(Node, TextAndOctetsAreReadAlike) {
  EXPECT_EQ(Node("x").text("ab").as_text(), "ab");
  EXPECT_EQ(Node("x").octets(as_bytes("ab")).as_text(), "ab");
  EXPECT_NE(Node("x").text("ab"), Node("x").octets(as_bytes("ab")));
}

TEST(Node, EndOfStream) {
  EXPECT_TRUE(is_stream_end(Node("xmlstreamend")));
  EXPECT_FALSE(is_stream_end(Node("xmlstreamstart")));
  EXPECT_FALSE(is_stream_end(Node("xmlstreamend").with("a", "b")));
  EXPECT_FALSE(is_stream_end(Node("xmlstreamend").text("a")));
}

}  // namespace
}  // namespace gw::stanza
