#include "signal/wire.h"

#include "base/encoding.h"
#include "unit/signal/party.h"

namespace gw::signal {
namespace {

Bytes field(std::uint8_t tag, ByteView octets) {
  Bytes out;
  out.reserve(2 + octets.size());
  out.push_back(tag);
  out.push_back(static_cast<std::uint8_t>(octets.size()));
  append(out, octets);
  return out;
}
Bytes join(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const auto& part : parts) append(out, part);
  return out;
}

class Wire : public testing::Test {
 protected:
  Bytes key = [] {
    Bytes k(33, 0x42);
    k[0] = 5;
    return k;
  }();
  Bytes mac = Bytes(8, 0xaa);
  Bytes body = Bytes(16, 0xbb);

  static std::string_view refusal(CipherType type, const Bytes& octets) {
    const auto header = read_header(type, octets);
    return header ? "" : header.error().reason;
  }
  void refuse(const Bytes& octets) {
    EXPECT_EQ(refusal(CipherType::kMessage, octets), "SIGNAL_BAD_MESSAGE") << to_hex(octets);
  }
};

TEST_F(Wire, ReadsTheFieldsOfAMessage) {
  const Bytes message = join({{0x33},
                              field(0x0a, key),
                              {0x10, 0xac, 0x02},  // counter 300
                              {0x18, 0x07},
                              field(0x22, body),
                              field(0x7a, Bytes{1, 2, 3}),  // field 15, unknown
                              mac});
  const auto header = read_header(CipherType::kMessage, message);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->counter, 300u);
  EXPECT_TRUE(equal(header->ratchet_key, ByteView(key).subspan(1)));
  EXPECT_EQ(header->prekey_id, std::nullopt);

  const Bytes outer = join({{0x34},
                            {0x08, 0x09},
                            field(0x12, key),
                            field(0x1a, key),
                            {0x22, static_cast<std::uint8_t>(message.size())},
                            message,
                            {0x28, 0x63, 0x30, 0x07}});
  const auto prekey_header = read_header(CipherType::kPreKeyMessage, outer);
  ASSERT_TRUE(prekey_header);
  EXPECT_EQ(prekey_header->counter, 300u);
  EXPECT_EQ(prekey_header->prekey_id, 9u);
}

TEST_F(Wire, RefusesWhatIsNoMessage) {
  const Bytes counter{0x10, 0x01};
  refuse({});
  refuse({0x33});
  refuse(join({{0x33}, mac}));
  refuse(join({{0x23}, field(0x0a, key), counter, field(0x22, body), mac}));  // version 2
  refuse(join({{0x44}, field(0x0a, key), counter, field(0x22, body), mac}));  // version 4
  refuse(join({{0x33}, counter, field(0x22, body), mac}));
  refuse(join({{0x33}, field(0x0a, key), field(0x22, body), mac}));
  refuse(join({{0x33}, field(0x0a, key), counter, mac}));
  Bytes other_type = key;
  other_type[0] = 6;
  refuse(join({{0x33}, field(0x0a, other_type), counter, field(0x22, body), mac}));
  refuse(join(
      {{0x33}, field(0x0a, Bytes(key.begin(), key.end() - 1)), counter, field(0x22, body), mac}));
  refuse(join({{0x33}, field(0x0a, key), counter, counter, field(0x22, body), mac}));   // twice
  refuse(join({{0x33}, field(0x0a, key), field(0x12, body), field(0x22, body), mac}));  // wire type
  refuse(join({{0x33},
               field(0x0a, key),
               {0x10, 0xff, 0xff, 0xff, 0xff, 0x1f},
               field(0x22, body),
               mac}));  // 33 bits
  refuse(join({{0x33}, field(0x0a, key), {0x10}, Bytes(11, 0x80), field(0x22, body), mac}));
  refuse(join({{0x33}, field(0x0a, key), counter, {0x22, 0xff, 0xff, 0xff, 0xff, 0x0f}, mac}));
  refuse(join({{0x33}, field(0x0a, key), counter, field(0x22, body), {0x7b}, mac}));  // a group
  refuse(join({{0x33}, field(0x0a, key), counter, field(0x22, body), {0x00, 0x00}, mac}));
}

TEST_F(Wire, RefusesCutPreKeyMessages) {
  Party alice("alice"), bob("bob");
  alice.start(bob);
  const Encrypted first = alice.seal(bob, "text");
  for (std::size_t size = 0; size < first.ciphertext.size(); ++size)
    EXPECT_FALSE(read_header(first.type, ByteView(first.ciphertext).first(size)));
  EXPECT_TRUE(read_header(first.type, first.ciphertext));
  EXPECT_FALSE(read_header(CipherType::kMessage, first.ciphertext));
}

TEST_F(Wire, RecordsNameTheRemoteIdentity) {
  Party alice("alice"), bob("bob");
  alice.start(bob);
  EXPECT_EQ(remote_identity_of(alice.ratchets.at(bob.address())), bob.identity().keys.pub);
  EXPECT_EQ(remote_identity_of({}), std::nullopt);
  EXPECT_EQ(remote_identity_of(Bytes{0x0a, 0x7f, 0x00}), std::nullopt);
}

TEST(Padding, ComesOffAgain) {
  std::array<int, 17> seen{};
  for (int i = 0; i < 2000; ++i) {
    Bytes text(static_cast<std::size_t>(i % 40), 0x10);
    const Bytes before = text;
    pad(text);
    const std::size_t count = text.size() - before.size();
    ASSERT_GE(count, 1u);
    ASSERT_LE(count, 16u);
    ++seen[count];
    ASSERT_TRUE(unpad(text));
    ASSERT_EQ(text, before);
  }
  for (std::size_t count = 1; count <= 16; ++count) EXPECT_GT(seen[count], 0) << count;
}

TEST(Padding, IsCheckedOctetByOctet) {
  for (Bytes bad : {Bytes{}, Bytes{0}, Bytes{2}, Bytes{1, 2}, Bytes{3, 2, 3}, Bytes(20, 17),
                    Bytes(15, 16), Bytes{9, 9, 255}}) {
    const Bytes before = bad;
    const auto result = unpad(bad);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().reason, "SIGNAL_BAD_PADDING");
    EXPECT_EQ(result.error().kind, ErrorKind::kCorrupt);
    EXPECT_EQ(bad, before);
  }
  Bytes all(16, 16);
  ASSERT_TRUE(unpad(all));
  EXPECT_TRUE(all.empty());
}

}  // namespace
}  // namespace gw::signal
