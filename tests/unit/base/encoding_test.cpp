#include "base/encoding.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

namespace gw {
namespace {

std::uint64_t seed() {
  const char* given = std::getenv("GW_SEED");  // NOLINT(concurrency-mt-unsafe)
  const std::uint64_t value = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("GW_SEED=%llu\n", static_cast<unsigned long long>(value));
  return value;
}

TEST(Hex, KnownValues) {
  EXPECT_EQ(to_hex({}), "");
  const Bytes bytes = {0x00, 0x0f, 0xa5, 0xff};
  EXPECT_EQ(to_hex(bytes), "000fa5ff");
  EXPECT_EQ(to_hex_upper(bytes), "000FA5FF");
  EXPECT_EQ(from_hex("000fa5ff"), bytes);
  EXPECT_EQ(from_hex("000FA5fF"), bytes);
  EXPECT_EQ(from_hex(""), Bytes{});
}

TEST(Hex, MalformedIsRefused) {
  for (auto text : {"0", "000", "0g", "g0", " 00", "0x00", "00\n", "0 "})
    EXPECT_EQ(from_hex(text), std::nullopt) << text;
}

TEST(Base64, Rfc4648Section10) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (auto [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    EXPECT_EQ(from_base64(encoded), to_bytes(plain));
    std::string unpadded(encoded.substr(0, encoded.find('=')));
    EXPECT_EQ(to_base64url(as_bytes(plain)), unpadded);
    EXPECT_EQ(from_base64url(unpadded), to_bytes(plain));
  }
}

TEST(Base64, AlphabetsDiffer) {
  const Bytes bytes = {0xfb, 0xff, 0xbf};
  EXPECT_EQ(to_base64(bytes), "+/+/");
  EXPECT_EQ(to_base64url(bytes), "-_-_");
  EXPECT_EQ(from_base64("-_-_"), std::nullopt);
  EXPECT_EQ(from_base64url("+/+/"), std::nullopt);
}

TEST(Base64, OnlyOneSpellingOfAValue) {
  // Padding that is missing, too much or inside; stray bits; white space; foreign letters.
  for (auto text : {"Zg", "Zg=", "Zg===", "Zm9v====", "A===", "====", "=", "Zm=v", "=Zm9",
                    "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm9v Zm9v", "Zm9v!AAA", "Zg==Zg=="})
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  for (auto text : {"Zg==", "Zm8=", "Z", "Zm9vZ", "Zh", "Zm9", "Zm 8"})
    EXPECT_EQ(from_base64url(text), std::nullopt) << text;
}

TEST(Encoding, RandomRoundTrips) {
  std::mt19937_64 random(seed());
  for (int i = 0; i < 2000; ++i) {
    Bytes bytes(random() % 70);
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
    ASSERT_EQ(from_hex(to_hex(bytes)), bytes);
    ASSERT_EQ(from_hex(to_hex_upper(bytes)), bytes);
    ASSERT_EQ(from_base64(to_base64(bytes)), bytes);
    ASSERT_EQ(from_base64url(to_base64url(bytes)), bytes);
  }
}

// The definition, by decoding: slower and by another way than the code under test.
bool decodes(const std::string& s) {
  std::size_t i = 0;
  while (i < s.size()) {
    const auto lead = static_cast<unsigned char>(s[i++]);
    int more = 0;
    std::uint32_t point = lead;
    if (lead >= 0x80) {
      if ((lead & 0xe0) == 0xc0)
        more = 1, point = lead & 0x1f;
      else if ((lead & 0xf0) == 0xe0)
        more = 2, point = lead & 0x0f;
      else if ((lead & 0xf8) == 0xf0)
        more = 3, point = lead & 0x07;
      else
        return false;
    }
    for (int k = 0; k < more; ++k) {
      if (i >= s.size() || (static_cast<unsigned char>(s[i]) & 0xc0) != 0x80) return false;
      point = point << 6 | (static_cast<unsigned char>(s[i++]) & 0x3f);
    }
    const std::uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      return false;
  }
  return true;
}

TEST(Utf8, Examples) {
  for (std::string_view text : {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80", "\x7f"})
    EXPECT_TRUE(is_valid_utf8(text)) << to_hex(as_bytes(text));
  EXPECT_TRUE(is_valid_utf8(std::string_view("a\0b", 3)));
  for (std::string_view text : {"\x80",
                                "\xbf",
                                "\xc3",
                                "\xc3(",
                                "\xc0\x80",
                                "\xc1\xbf",
                                "\xe0\x80\x80",
                                "\xe0\x9f\xbf",
                                "\xed\xa0\x80",
                                "\xed\xbf\xbf",
                                "\xf0\x80\x80\x80",
                                "\xf0\x8f\xbf\xbf",
                                "\xf4\x90\x80\x80",
                                "\xf5\x80\x80\x80",
                                "\xff",
                                "\xfe",
                                "\xe2\x82",
                                "\xf0\x9f\x98",
                                "ok\xf0\x9f\x98",
                                "\xe2\x82\xac\xac"})
    EXPECT_FALSE(is_valid_utf8(text)) << to_hex(as_bytes(text));
}

TEST(Utf8, AllOfOneAndTwoAndTheEdgesOfThreeAndFourOctets) {
  auto check = [](const std::string& s) {
    ASSERT_EQ(is_valid_utf8(s), decodes(s)) << to_hex(as_bytes(s));
  };
  for (int a = 0; a < 256; ++a) {
    check({static_cast<char>(a)});
    for (int b = 0; b < 256; ++b) {
      check({static_cast<char>(a), static_cast<char>(b)});
      for (int c : {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff}) {
        check({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)});
        for (int d : {0x7f, 0x80, 0xbf, 0xc0})
          check({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c),
                 static_cast<char>(d)});
      }
    }
  }
}

}  // namespace
}  // namespace gw
