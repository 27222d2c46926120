#include <gtest/gtest.h>

#include "crypto/crypto.h"
#include "unit/crypto/hex.h"

namespace gw::crypto {
namespace {

const Key32 kNine = {9};

TEST(X25519, Rfc7748Section52) {
  const auto a = x25519(key32("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                        key32("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
  ASSERT_TRUE(a);
  EXPECT_EQ(to_hex(*a), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  // The top bit of this u is set and has to be ignored.
  const auto b = x25519(key32("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                        key32("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"));
  ASSERT_TRUE(b);
  EXPECT_EQ(to_hex(*b), "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(X25519, Rfc7748ThousandIterations) {
  Key32 k = kNine, u = kNine;
  for (int i = 1; i <= 1000; ++i) {
    const auto next = x25519(k, u);
    ASSERT_TRUE(next);
    u = k;
    k = *next;
    if (i == 1) {
      EXPECT_EQ(to_hex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(to_hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(X25519, Rfc7748Section61) {
  const Key32 alice = key32("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const Key32 bob = key32("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(to_hex(public_key(alice)),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(public_key(bob)),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const std::string shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  EXPECT_EQ(to_hex(x25519(alice, public_key(bob)).value()), shared);
  EXPECT_EQ(to_hex(x25519(bob, public_key(alice)).value()), shared);
}

TEST(X25519, GeneratedPairsAgreeAndAreClamped) {
  for (int i = 0; i < 20; ++i) {
    const KeyPair a = generate_key_pair(), b = generate_key_pair();
    EXPECT_NE(a.secret, b.secret);
    EXPECT_EQ(a.secret[0] & 7, 0);
    EXPECT_EQ(a.secret[31] & 0xc0, 0x40);
    EXPECT_EQ(public_key(a.secret), a.pub);
    EXPECT_EQ(x25519(a.secret, b.pub).value(), x25519(b.secret, a.pub).value());
    EXPECT_EQ(x25519(a.secret, kNine).value(), a.pub);
    // Whoever stored an unclamped secret gets the same key.
    Key32 loose = a.secret;
    loose[0] |= 5;
    loose[31] |= 0x80;
    EXPECT_EQ(public_key(loose), a.pub);
  }
}

TEST(X25519, PointsOfSmallOrderAreRefused) {
  const Key32 secret = generate_key_pair().secret;
  for (auto u : {"0000000000000000000000000000000000000000000000000000000000000000",
                 "0100000000000000000000000000000000000000000000000000000000000000",
                 "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                 "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                 "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                 "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    const auto shared = x25519(secret, key32(u));
    ASSERT_FALSE(shared) << u;
    EXPECT_EQ(shared.error().kind, ErrorKind::kCorrupt);
    EXPECT_EQ(shared.error().reason, "WEAK_PUBLIC_KEY");
  }
}

}  // namespace
}  // namespace gw::crypto
