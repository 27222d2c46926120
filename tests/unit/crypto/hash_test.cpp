#include <gtest/gtest.h>

#include "crypto/crypto.h"
#include "unit/crypto/hex.h"

namespace gw::crypto {
namespace {

TEST(Sha256, Fips180) {
  EXPECT_EQ(to_hex(sha256(ByteView{})),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(to_hex(sha256(Bytes(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfTwoPartsIsOfTheirJoin) {
  const Bytes all = pattern(200);
  for (std::size_t cut = 0; cut <= all.size(); ++cut)
    ASSERT_EQ(sha256(ByteView(all).first(cut), ByteView(all).subspan(cut)), sha256(all)) << cut;
}

struct HmacVector {
  Bytes key, data;
  std::string tag;
};
const HmacVector kRfc4231[] = {
    {Bytes(20, 0x0b), to_bytes("Hi There"),
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {to_bytes("Jefe"), to_bytes("what do ya want for nothing?"),
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {Bytes(20, 0xaa), Bytes(50, 0xdd),
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {unhex("0102030405060708090a0b0c0d0e0f10111213141516171819"), Bytes(50, 0xcd),
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {Bytes(20, 0x0c), to_bytes("Test With Truncation"), "a3b6167473100ee06e0c796c2955552b"},
    {Bytes(131, 0xaa), to_bytes("Test Using Larger Than Block-Size Key - Hash Key First"),
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {Bytes(131, 0xaa),
     to_bytes("This is a test using a larger than block-size key and a larger than block-size "
              "data. The key needs to be hashed before being used by the HMAC algorithm."),
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

TEST(Hmac, Rfc4231) {
  for (const auto& v : kRfc4231)
    EXPECT_EQ(to_hex(hmac_sha256(v.key, v.data)).substr(0, v.tag.size()), v.tag);
}

TEST(Hmac, KeysAroundTheBlockSize) {
  // A key of exactly one block is used as it is; one octet more and it is hashed.
  const Bytes key64 = pattern(64), key65 = pattern(65);
  EXPECT_EQ(hmac_sha256(key65, as_bytes("x")), hmac_sha256(sha256(key65), as_bytes("x")));
  EXPECT_NE(hmac_sha256(key64, as_bytes("x")), hmac_sha256(sha256(key64), as_bytes("x")));
}

TEST(Tag16, IsTheHeadOfTheHmac) {
  const Key32 key = key32("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  EXPECT_EQ(to_hex(tag16(key, as_bytes("somebody"))),
            to_hex(hmac_sha256(key, as_bytes("somebody"))).substr(0, 32));
}

struct HkdfVector {
  Bytes ikm, salt, info;
  std::string okm;
};
Bytes range(int from, int to) {
  Bytes out;
  for (int i = from; i <= to; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}
const HkdfVector kRfc5869[] = {
    // A.1 to A.3: all that use SHA-256
    {Bytes(22, 0x0b), range(0x00, 0x0c), range(0xf0, 0xf9),
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {range(0x00, 0x4f), range(0x60, 0xaf), range(0xb0, 0xff),
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e59"
     "0e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {Bytes(22, 0x0b),
     {},
     {},
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

TEST(Hkdf, Rfc5869) {
  for (const auto& v : kRfc5869)
    EXPECT_EQ(to_hex(hkdf_sha256(v.ikm, v.salt, v.info, v.okm.size() / 2)), v.okm);
}

TEST(Hkdf, EverySizeIsAPrefixOfTheLongest) {
  const Bytes ikm = pattern(32);
  const Bytes all = hkdf_sha256(ikm, {}, as_bytes("info"), 255 * 32);
  ASSERT_EQ(all.size(), 8160u);
  for (std::size_t size : {0, 1, 31, 32, 33, 64, 80, 8159})
    EXPECT_TRUE(equal(hkdf_sha256(ikm, {}, as_bytes("info"), size), ByteView(all).first(size)));
  EXPECT_DEATH(hkdf_sha256(ikm, {}, {}, 8161), "8160");
}

TEST(Compare, ConstantTime) {
  EXPECT_TRUE(equal_constant_time({}, {}));
  const Bytes a = pattern(33);
  for (std::size_t i = 0; i < a.size(); ++i) {
    Bytes b = a;
    EXPECT_TRUE(equal_constant_time(a, b));
    b[i] ^= 0x80;
    EXPECT_FALSE(equal_constant_time(a, b));
  }
  EXPECT_FALSE(equal_constant_time(a, ByteView(a).first(32)));
}

TEST(Random, Differs) {
  Bytes a(32), b(32);
  random_bytes(a);
  random_bytes(b);
  EXPECT_NE(a, b);
  EXPECT_NE(random_u64(), random_u64());
  random_bytes({});
}

TEST(Wipe, LeavesZeros) {
  Bytes secret = pattern(100);
  wipe(secret);
  EXPECT_EQ(secret, Bytes(100));
  wipe(std::span<std::uint8_t>{});
}

}  // namespace
}  // namespace gw::crypto
