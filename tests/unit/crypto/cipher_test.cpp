#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "crypto/crypto.h"
#include "unit/crypto/hex.h"

namespace gw::crypto {
namespace {

struct GcmVector {
  std::string key, nonce, aad, plain, sealed, tag;
};
const std::string kZero32(64, '0'), kZero12(24, '0'), kZero16(32, '0');
const std::string kFeff = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const std::string kText =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const std::string kSealed =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
const GcmVector kVectors[] = {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16.
    {kZero32, kZero12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {kZero32, kZero12, "", kZero16, "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {kFeff, "cafebabefacedbaddecaf888", "", kText, kSealed, "b094dac5d93471bdec1a502270e3cc6c"},
    {kFeff, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     kText.substr(0, 120), kSealed.substr(0, 120), "76fc6ece0f4e1768cddf8853bb2d551b"},
    // NIST CAVP, gcmEncryptExtIV256: the first with no text, the first with 128 bits of it.
    {"b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4", "516c33929df5a3284ff463d7",
     "", "", "", "bdc1ac884d332457a1d2664f168c76f0"},
    {"31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22", "0d18e06c7c725ac9e362e1ce",
     "", "2db5168e932556f8089a0622981d017d", "fa4362189661d163fcd6a56d8bf0405a",
     "d636ac1bbedd5cc3ee727dc2ab4a9489"},
};

TEST(Gcm, PublicVectors) {
  for (const auto& v : kVectors) {
    const Key32 key = key32(v.key);
    const auto nonce = unhex_array<12>(v.nonce);
    const Bytes sealed = gcm_seal(key, nonce, unhex(v.aad), unhex(v.plain));
    EXPECT_EQ(to_hex(sealed), v.sealed + v.tag);
    const auto opened = gcm_open(key, nonce, unhex(v.aad), sealed);
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_hex(*opened), v.plain);
  }
}

TEST(Gcm, KeysAlternateWithoutMixing) {
  // The contexts remember the last key: the same text under changing keys and nonces.
  const Key32 one = key32(kFeff), two = key32(kVectors[5].key);
  const auto n1 = unhex_array<12>(kVectors[2].nonce), n2 = unhex_array<12>(kVectors[5].nonce);
  for (int i = 0; i < 40; ++i) {
    const bool first = (0x9ac35 >> i % 20 & 1) != 0;
    const auto& v = kVectors[first ? 2 : 5];
    const Bytes sealed = gcm_seal(first ? one : two, first ? n1 : n2, {}, unhex(v.plain));
    ASSERT_EQ(to_hex(sealed), v.sealed + v.tag);
    ASSERT_TRUE(gcm_open(first ? one : two, first ? n1 : n2, {}, sealed));
    ASSERT_FALSE(gcm_open(first ? two : one, first ? n1 : n2, {}, sealed));
    ASSERT_TRUE(gcm_open(first ? one : two, first ? n1 : n2, {}, sealed)) << "after a failure";
  }
}

TEST(Gcm, EveryFlippedBitIsSeenAndNothingIsLeft) {
  const Key32 key = key32(kFeff);
  const Nonce12 nonce{1};
  const Bytes aad = pattern(5), plain = pattern(21);
  const Bytes sealed = gcm_seal(key, nonce, aad, plain);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes bad = sealed;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    Bytes out(plain.size(), 0xee);
    const auto result = gcm_open(key, nonce, aad, bad, out);
    ASSERT_FALSE(result) << bit;
    EXPECT_EQ(result.error().kind, ErrorKind::kCorrupt);
    EXPECT_EQ(result.error().reason, "BAD_TAG");
    EXPECT_EQ(out, Bytes(plain.size())) << "unauthenticated text was left behind";
  }
  for (std::size_t bit = 0; bit < aad.size() * 8; ++bit) {
    Bytes bad = aad;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    ASSERT_FALSE(gcm_open(key, nonce, bad, sealed));
  }
  for (std::size_t size = 0; size < sealed.size(); ++size)
    ASSERT_FALSE(gcm_open(key, nonce, aad, ByteView(sealed).first(size))) << size;
  ASSERT_FALSE(gcm_open(key, Nonce12{2}, aad, sealed));
}

TEST(Gcm, InPlace) {
  const Key32 key = key32(kFeff);
  const Nonce12 nonce{9};
  for (std::size_t size : {0, 1, 15, 16, 17, 100, 1000, 70000}) {
    const Bytes plain = pattern(size);
    Bytes buffer = plain;
    buffer.resize(size + kGcmTagSize);
    gcm_seal(key, nonce, {}, ByteView(buffer).first(size), buffer);
    EXPECT_EQ(buffer, gcm_seal(key, nonce, {}, plain));
    ASSERT_TRUE(gcm_open(key, nonce, {}, buffer, std::span(buffer).first(size)));
    buffer.resize(size);
    EXPECT_EQ(buffer, plain);
  }
}

TEST(Gcm, AWrongBufferIsNoRuntimeMatter) {
  Bytes out(3);
  EXPECT_DEATH(gcm_seal(Key32{}, {}, {}, as_bytes("abc"), out), "size");
  EXPECT_DEATH((void)gcm_open(Key32{}, {}, {}, Bytes(16), out), "size");
}

TEST(Gcm, ThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &wrong] {
      Key32 key{};
      key[0] = static_cast<std::uint8_t>(t);
      const Bytes plain = pattern(100), expected = gcm_seal(key, {}, {}, plain);
      for (int i = 0; i < 2000; ++i)
        if (gcm_seal(key, {}, {}, plain) != expected || !gcm_open(key, {}, {}, expected)) ++wrong;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Aes128, Fips197) {
  const auto key = unhex_array<16>("000102030405060708090a0b0c0d0e0f");
  const auto plain = unhex_array<16>("00112233445566778899aabbccddeeff");
  const auto sealed = aes128_encrypt_block(key, plain);
  EXPECT_EQ(to_hex(sealed), "69c4e0d86a7b0430d8cdb78070b4c55a");
  EXPECT_EQ(aes128_decrypt_block(key, sealed), plain);
}

TEST(Aes128, IsAPermutationAlsoWhenRepeated) {
  const auto key = unhex_array<16>("2b7e151628aed2a6abf7158809cf4f3c");
  // NIST SP 800-38A F.1.1: four blocks under one key.
  const std::pair<std::string, std::string> blocks[] = {
      {"6bc1bee22e409f96e93d7e117393172a", "3ad77bb40d7a3660a89ecaf32466ef97"},
      {"ae2d8a571e03ac9c9eb76fac45af8e51", "f5d3d58503b9699de785895a96fdbaaf"},
      {"30c81c46a35ce411e5fbc1191a0a52ef", "43b1cd7f598ece23881b00e3ed030688"},
      {"f69f2445df4f9b17ad2b417be66c3710", "7b0c785e27e8ad3f8223207104725dd4"}};
  for (const auto& [plain, sealed] : blocks) {
    EXPECT_EQ(to_hex(aes128_encrypt_block(key, unhex_array<16>(plain))), sealed);
    EXPECT_EQ(to_hex(aes128_decrypt_block(key, unhex_array<16>(sealed))), plain);
  }
}

}  // namespace
}  // namespace gw::crypto
