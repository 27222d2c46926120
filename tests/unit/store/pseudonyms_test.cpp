#include <gtest/gtest.h>
#include <set>

#include "base/encoding.h"
#include "store/store.h"

namespace gw::store {
namespace {

crypto::Key32 root(std::uint8_t fill = 1) {
  crypto::Key32 key;
  key.fill(fill);
  return key;
}
const Pseudonyms kNames(root());
constexpr UserRef kAnna{1, 10}, kBert{1, 11}, kForeign{2, 10};
message::Contact phone(std::string number) {
  return {message::Contact::Kind::kE164, std::move(number)};
}

TEST(PseudonymsTest, SameInputSameTagAndAnotherRootAnotherTag) {
  EXPECT_EQ(kNames.user(1, "anna"), Pseudonyms(root()).user(1, "anna"));
  EXPECT_NE(kNames.user(1, "anna"), Pseudonyms(root(2)).user(1, "anna"));
}

// Row tags must never move: they are how rows are found. HKDF-SHA256 and HMAC-SHA256 computed
// beside this code, from the encodings that the README gives.
TEST(PseudonymsTest, StaysAsItIs) {
  EXPECT_EQ(to_hex(kNames.user(1, "anna")), "e9412f15b6af5a775b8f6cc65ae202fd");
  EXPECT_EQ(to_hex(kNames.contact(kAnna, phone("+491701234567"))),
            "df0dc7a7c236ff071c6789a3058cd7fc");
  EXPECT_EQ(to_hex(kNames.received(kAnna, "1@lid", "ABC")), "a709bc7f6090fb82222d5c5588d978cc");
  EXPECT_EQ(kNames.log_name(kAnna), "bb79222dff0b3005");
  EXPECT_EQ(kNames.message_ids(kAnna).order_of("9F2ECF396BBB47EACDB89DA3B3A2FB58"), 4711);
}

TEST(PseudonymsTest, TenantsAndUsersNeverShareATag) {
  EXPECT_NE(kNames.user(1, "anna"), kNames.user(2, "anna"));
  std::set<Tag> tags;
  for (UserRef user : {kAnna, kBert, kForeign}) {
    tags.insert(kNames.contact(user, phone("+491701234567")));
    tags.insert(kNames.request(user, "x"));
    tags.insert(kNames.body(user, as_bytes("x")));
    tags.insert(kNames.ciphertext(user, as_bytes("x")));
    tags.insert(kNames.received(user, "x", ""));
  }
  EXPECT_EQ(tags.size(), 15u) << "nor do the purposes";
  EXPECT_NE(kNames.log_name(kAnna), kNames.log_name(kBert));
}

TEST(PseudonymsTest, EncodingsAreUnambiguous) {
  EXPECT_NE(kNames.received(kAnna, "ab", "c"), kNames.received(kAnna, "a", "bc"));
  EXPECT_NE(kNames.received(kAnna, "", "abc"), kNames.received(kAnna, "abc", ""));
  auto lid = phone("123");
  lid.kind = message::Contact::Kind::kLid;
  EXPECT_NE(kNames.contact(kAnna, lid), kNames.contact(kAnna, phone("123")));
}

TEST(PseudonymsTest, AMessageIdGivesItsOrderToItsUserOnly) {
  for (Order order : {Order{1}, Order{77}, (Order{1} << 48) - 1}) {
    auto id = kNames.message_ids(kAnna).message_id(order);
    EXPECT_EQ(id.size(), 32u);
    EXPECT_EQ(id.find_first_not_of("0123456789ABCDEF"), std::string::npos);
    EXPECT_EQ(kNames.message_ids(kAnna).order_of(id), order);
    EXPECT_EQ(kNames.message_ids(kBert).order_of(id), 0);
    EXPECT_EQ(kNames.message_ids(kForeign).order_of(id), 0);
    EXPECT_EQ(Pseudonyms(root(2)).message_ids(kAnna).order_of(id), 0);
  }
}

TEST(PseudonymsTest, TwoIdsOfOneOrderDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(kNames.message_ids(kAnna).message_id(5));
  EXPECT_EQ(ids.size(), 100u);
}

TEST(PseudonymsTest, WhatIsNoIdOfOursHasNoOrder) {
  auto id = kNames.message_ids(kAnna).message_id(5);
  for (std::string bad : {std::string(), std::string("3EB0"), id + "00", id.substr(1) + "G",
                          std::string(32, '0'), std::string(32, 'F'), to_hex(*from_hex(id))})
    EXPECT_EQ(kNames.message_ids(kAnna).order_of(bad), 0) << bad;
  for (std::size_t i = 0; i < id.size(); ++i) {
    auto other = id;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(kNames.message_ids(kAnna).order_of(other), 0) << i;
  }
}

}  // namespace
}  // namespace gw::store
