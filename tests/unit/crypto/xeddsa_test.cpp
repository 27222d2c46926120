#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sodium.h>

#include "crypto/crypto.h"
#include "unit/crypto/hex.h"

namespace gw::crypto {
namespace {

TEST(Xeddsa, RoundTrip) {
  for (std::size_t i = 0; i < 40; ++i) {
    const KeyPair pair = generate_key_pair();
    const Bytes message = pattern(i * 5);
    const Signature signature = xeddsa_sign(pair.secret, message);
    EXPECT_EQ(signature[63] & 0x80, 0) << "the sign bit of the specification's signer is 0";
    EXPECT_TRUE(xeddsa_verify(pair.pub, message, signature));
    EXPECT_FALSE(xeddsa_verify(generate_key_pair().pub, message, signature));
  }
}

TEST(Xeddsa, IsRandomised) {
  const KeyPair pair = generate_key_pair();
  EXPECT_NE(xeddsa_sign(pair.secret, as_bytes("m")), xeddsa_sign(pair.secret, as_bytes("m")));
}

TEST(Xeddsa, UnclampedSecretsSignForTheSamePublicKey) {
  KeyPair pair = generate_key_pair();
  pair.secret[0] |= 7;
  pair.secret[31] |= 0x80;
  EXPECT_TRUE(xeddsa_verify(pair.pub, as_bytes("m"), xeddsa_sign(pair.secret, as_bytes("m"))));
}

TEST(Xeddsa, TamperingIsSeen) {
  const KeyPair pair = generate_key_pair();
  const Bytes message = pattern(40);
  const Signature signature = xeddsa_sign(pair.secret, message);
  for (std::size_t bit = 0; bit < 512; ++bit) {
    Signature bad = signature;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(xeddsa_verify(pair.pub, message, bad)) << "signature bit " << bit;
  }
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    Bytes bad = message;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(xeddsa_verify(pair.pub, bad, signature)) << "message bit " << bit;
  }
  for (std::size_t bit = 0; bit < 256; ++bit) {
    Key32 bad = pair.pub;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(xeddsa_verify(bad, message, signature)) << "key bit " << bit;
  }
  EXPECT_FALSE(xeddsa_verify(pair.pub, ByteView(message).first(39), signature));
}

TEST(Xeddsa, OnlySixtyFourOctets) {
  const KeyPair pair = generate_key_pair();
  const Signature signature = xeddsa_sign(pair.secret, {});
  Bytes sized = to_bytes(ByteView(signature));
  for (std::size_t size : {0, 1, 32, 63}) {
    sized.resize(size);
    EXPECT_FALSE(xeddsa_verify(pair.pub, {}, sized));
  }
  sized = to_bytes(ByteView(signature));
  sized.push_back(0);
  EXPECT_FALSE(xeddsa_verify(pair.pub, {}, sized));
}

TEST(Xeddsa, AScalarThatIsNotReducedIsRefused) {
  // s + q verifies the same equation; accepting it would make signatures malleable.
  const KeyPair pair = generate_key_pair();
  Signature signature = xeddsa_sign(pair.secret, as_bytes("m"));
  const auto q =
      unhex_array<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += signature[32 + i] + q[i];
    signature[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(xeddsa_verify(pair.pub, as_bytes("m"), signature));
}

TEST(Xeddsa, KeysThatAreNoKeysAreRefused) {
  const KeyPair pair = generate_key_pair();
  const Signature signature = xeddsa_sign(pair.secret, as_bytes("m"));
  for (auto u : {"0000000000000000000000000000000000000000000000000000000000000000",  // small order
                 "0100000000000000000000000000000000000000000000000000000000000000",
                 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // -1
                 "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // the prime
                 "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}) {
    EXPECT_FALSE(xeddsa_verify(key32(u), as_bytes("m"), signature)) << u;
    EXPECT_FALSE(xeddsa_verify(key32(u), as_bytes("m"), Signature{})) << u;
  }
  // The same point with the unused top bit set: another spelling, which no honest key has.
  Key32 high = pair.pub;
  high[31] |= 0x80;
  EXPECT_FALSE(xeddsa_verify(high, as_bytes("m"), signature));
}

TEST(Xeddsa, AnotherSpellingOfARealKeyIsRefused) {
  // 5q - 1 is a clamped secret whose public key is the base point, u = 9; p + 9 fits in 255 bits.
  const Key32 secret = key32("a023cdd083ef5bb82f10d62e59e15a6800000000000000000000000000000050");
  const Signature signature = xeddsa_sign(secret, as_bytes("m"));
  const Key32 nine = {9};
  ASSERT_EQ(public_key(secret), nine);
  EXPECT_TRUE(xeddsa_verify(nine, as_bytes("m"), signature));
  EXPECT_FALSE(
      xeddsa_verify(key32("f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
                    as_bytes("m"), signature));
}

TEST(Xeddsa, TheResultIsAnEd25519Signature) {
  // Independent of to_edwards(): the birational map, by way of libsodium's opposite direction.
  unsigned char ed_public[32], ed_secret[64];
  ASSERT_EQ(crypto_sign_keypair(ed_public, ed_secret), 0);
  Key32 secret, pub;
  ASSERT_EQ(crypto_sign_ed25519_sk_to_curve25519(secret.data(), ed_secret), 0);
  ASSERT_EQ(crypto_sign_ed25519_pk_to_curve25519(pub.data(), ed_public), 0);
  const Signature signature = xeddsa_sign(secret, as_bytes("m"));
  EXPECT_TRUE(xeddsa_verify(pub, as_bytes("m"), signature));
  ed_public[31] &= 0x7f;
  EXPECT_EQ(crypto_sign_verify_detached(signature.data(), as_bytes("m").data(), 1, ed_public), 0);
}

TEST(Xeddsa, ASignatureOfAnOlderSigner) {
  // From the tests that Signal's libraries share: an identity key over an ephemeral key, and the
  // sign of the Edwards key in the top bit.
  const Key32 pub = key32("ab7e717d4a163b7d9a1d8071dfe9dcf8cdcd1cea3339b6356be84d887e322c64");
  const Bytes message = unhex("05edce9d9c415ca78cb7252e72c2c4a554d3eb29485a0e1d503118d1a82d99fb4a");
  const Bytes signature = unhex(
      "5de88ca9a89b4a115da79109c67c9c7464a3e4180274f1cb8c63c2984e286dfb"
      "ede82deb9dcd9fae0bfbb821569b3d9001bd8130cd11d486cef047bd60b86e88");
  ASSERT_NE(signature[63] & 0x80, 0);
  EXPECT_TRUE(xeddsa_verify(pub, message, signature));
  for (std::size_t bit = 0; bit < 512; ++bit) {
    Bytes bad = signature;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(xeddsa_verify(pub, message, bad)) << bit;
  }
}

// What curve_calculate_signature and curve_verify_signature of libsignal-protocol-c call. Loaded by
// hand, because this room's binary does not link that library.
struct Libsignal {
  using Sign = int (*)(unsigned char* out, const unsigned char* secret,
                       const unsigned char* message, unsigned long size,
                       const unsigned char* random64);
  using Verify = int (*)(const unsigned char* signature, const unsigned char* pub,
                         const unsigned char* message, unsigned long size);
  Sign sign = nullptr;
  Verify verify = nullptr;

  Libsignal() {
    void* library = dlopen("libsignal-protocol-c.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    sign = reinterpret_cast<Sign>(dlsym(library, "curve25519_sign"));
    verify = reinterpret_cast<Verify>(dlsym(library, "curve25519_verify"));
  }
};

TEST(Xeddsa, LibsignalVerifiesOursAndWeVerifyIts) {
  const Libsignal libsignal;
  ASSERT_TRUE(libsignal.sign && libsignal.verify) << "libsignal-protocol-c is not installed";
  int with_bit = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    const KeyPair pair = generate_key_pair();
    const Bytes message = pattern(i * 7);
    const Signature ours = xeddsa_sign(pair.secret, message);
    EXPECT_EQ(libsignal.verify(ours.data(), pair.pub.data(), message.data(), message.size()), 0);

    std::array<std::uint8_t, 64> random;
    random_bytes(random);
    Signature its;
    ASSERT_EQ(libsignal.sign(its.data(), pair.secret.data(), message.data(), message.size(),
                             random.data()),
              0);
    EXPECT_TRUE(xeddsa_verify(pair.pub, message, its));
    with_bit += its[63] >> 7;
    its[40] ^= 1;
    EXPECT_FALSE(xeddsa_verify(pair.pub, message, its));
    EXPECT_NE(libsignal.verify(its.data(), pair.pub.data(), message.data(), message.size()), 0);
  }
  // It is one of the older signers: both signs occur (all alike: a chance of 2^-39).
  EXPECT_GT(with_bit, 0);
  EXPECT_LT(with_bit, 40);
}

}  // namespace
}  // namespace gw::crypto
