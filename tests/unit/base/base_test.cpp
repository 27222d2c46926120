#include <gtest/gtest.h>
#include <set>
#include <unordered_set>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"

namespace gw {
namespace {

TEST(Bytes, BigEndian) {
  Bytes out;
  put_be<3>(out, 0x01a2b3);
  put_be<1>(out, 0x1ff);  // the low octets only
  put_be<8>(out, 0x0123456789abcdef);
  EXPECT_EQ(out, (Bytes{0x01, 0xa2, 0xb3, 0xff, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}));
  EXPECT_EQ(get_be<3>(out), 0x01a2b3u);
  EXPECT_EQ(get_be<8>(ByteView(out).subspan(4)), 0x0123456789abcdefu);
}

TEST(Bytes, TextAndBack) {
  const std::string_view text("a\0\xff", 3);
  EXPECT_EQ(to_bytes(text), (Bytes{'a', 0, 0xff}));
  EXPECT_EQ(as_text(as_bytes(text)), text);
  EXPECT_EQ(to_string(as_bytes(text)), text);
  Bytes joined = to_bytes("x");
  append(joined, as_bytes("yz"));
  append(joined, {});
  EXPECT_EQ(joined, to_bytes("xyz"));
}

TEST(Bytes, Equal) {
  EXPECT_TRUE(equal({}, {}));
  EXPECT_TRUE(equal(as_bytes("ab"), as_bytes("ab")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("ac")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("a")));
}

TEST(Error, EveryKindHasItsOwnName) {
  std::set<std::string_view> names;
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kBug); ++kind)
    names.insert(to_string(static_cast<ErrorKind>(kind)));
  EXPECT_EQ(names,
            (std::set<std::string_view>{"RETRY_LATER", "THROTTLED", "REJECTED", "UNKNOWN_OUTCOME",
                                        "STALE_OWNER", "LOGGED_OUT", "CORRUPT", "CONFIG", "BUG"}));
}

Result<int> half(int n) {
  if (n % 2 != 0)
    return fail(ErrorKind::kThrottled, "ODD", "halve an even one", std::chrono::milliseconds(7));
  return n / 2;
}
Result<void> check(int n) {
  GW_TRY(half(n));
  return {};
}
Result<int> quarter(int n) {
  GW_ASSIGN(const int h, half(n));
  GW_ASSIGN(const int q, half(h));
  return q;
}

TEST(Error, PassesThroughTheMacrosWhole) {
  EXPECT_TRUE(check(2));
  EXPECT_EQ(quarter(12).value(), 3);
  for (const Error& error : {check(1).error(), quarter(3).error(), quarter(6).error()}) {
    EXPECT_EQ(error.kind, ErrorKind::kThrottled);
    EXPECT_EQ(error.reason, "ODD");
    EXPECT_EQ(error.message, "halve an even one");
    EXPECT_EQ(error.retry_after, std::chrono::milliseconds(7));
  }
}

TEST(Ids, UsersOfTwoTenantsAreDifferent) {
  const UserRef a{1, 7}, b{2, 7}, c{1, 8};
  EXPECT_LT(a, b);
  EXPECT_LT(a, c);
  std::unordered_set<UserRef> all{a, b, c, {1, 7}};
  EXPECT_EQ(all.size(), 3u);
}

TEST(Ids, HashSpreads) {
  std::unordered_set<std::size_t> low;
  for (std::int64_t uid = 1; uid <= 4096; ++uid) low.insert(std::hash<UserRef>{}({1, uid}) & 0xfff);
  EXPECT_GT(low.size(), 2000u);
}

TEST(Clock, UnixMillisecondsRoundTrip) {
  EXPECT_EQ(unix_ms(from_unix_ms(1764000000123)), 1764000000123);
  EXPECT_EQ(unix_ms(from_unix_ms(-1)), -1);
}

TEST(Clock, TheSystemsOneMoves) {
  SystemClock clock;
  EXPECT_GT(clock.wall(), from_unix_ms(1'600'000'000'000));
  const auto before = clock.mono();
  EXPECT_LE(before, clock.mono());
}

}  // namespace
}  // namespace gw
