#include "message/message.h"

#include <gtest/gtest.h>
#include <set>

namespace gw::message {
namespace {

template <class T>
std::string_view reason(const Result<T>& result) {
  if (result) return "OK";
  EXPECT_EQ(result.error().kind, ErrorKind::kRejected);
  EXPECT_FALSE(result.error().message.empty());
  return result.error().reason;
}

std::string_view e164(std::string value) {
  return reason(validate(Contact{Contact::Kind::kE164, std::move(value)}));
}
std::string_view lid(std::string value) {
  return reason(validate(Contact{Contact::Kind::kLid, std::move(value)}));
}

TEST(Contact, E164) {
  for (auto ok : {"+1234567", "+491701234567", "+123456789012345"}) EXPECT_EQ(e164(ok), "OK") << ok;
  for (auto bad : {"", "+", "1234567", "+123456", "+1234567890123456", "+0123456789", "+49 170123",
                   "+49-1701234", "++4917012345", "+49170123456x", "00491701234567",
                   "+\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5"})
    EXPECT_EQ(e164(bad), "CONTACT_INVALID") << bad;
  EXPECT_EQ(e164(std::string("+1234567\0", 9)), "CONTACT_INVALID");
}

TEST(Contact, Lid) {
  EXPECT_EQ(lid("1"), "OK");
  EXPECT_EQ(lid("012345678901234"), "OK");
  EXPECT_EQ(lid(std::string(32, '9')), "OK");
  for (const std::string& bad : {std::string(), std::string(33, '9'), std::string("12a"),
                                 std::string("+123"), std::string("1@lid"), std::string("1:2")})
    EXPECT_EQ(lid(bad), "CONTACT_INVALID") << bad;
}

TEST(Contact, TheErrorDoesNotRepeatTheAddress) {
  const auto result = validate(Contact{Contact::Kind::kE164, "+4917012345678901"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message.find("4917"), std::string::npos);
}

TEST(UserId, Alphabet) {
  EXPECT_EQ(reason(validate_user_id("a")), "OK");
  EXPECT_EQ(reason(validate_user_id("AZaz09_=-")), "OK");
  EXPECT_EQ(reason(validate_user_id(std::string(64, 'x'))), "OK");
  EXPECT_EQ(reason(validate_user_id("")), "USER_ID_INVALID");
  EXPECT_EQ(reason(validate_user_id(std::string(65, 'x'))), "USER_ID_INVALID");
  for (int c = 0; c < 256; ++c) {
    const bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '_' || c == '=' || c == '-';
    EXPECT_EQ(reason(validate_user_id(std::string(1, static_cast<char>(c)))),
              ok ? "OK" : "USER_ID_INVALID")
        << c;
  }
}

TEST(Text, Limits) {
  EXPECT_EQ(reason(validate(Text{"x"})), "OK");
  EXPECT_EQ(reason(validate(Text{std::string(1, '\0')})), "OK");
  EXPECT_EQ(reason(validate(Text{std::string(65536, 'x')})), "OK");
  EXPECT_EQ(reason(validate(Text{std::string(65537, 'x')})), "TEXT_TOO_LONG");
  EXPECT_EQ(reason(validate(Text{""})), "TEXT_EMPTY");
  EXPECT_EQ(reason(validate(Text{"caf\xe9"})), "TEXT_NOT_UTF8");
  // 65536 octets that end inside a character are no UTF-8, although they are short enough.
  EXPECT_EQ(reason(validate(Text{std::string(65535, 'x') + "\xc3"})), "TEXT_NOT_UTF8");
}

constexpr State kStates[] = {State::kWaiting,   State::kReady,      State::kSent,
                             State::kDelivered, State::kRead,       State::kRejected,
                             State::kExpired,   State::kUnconfirmed};

TEST(State, WhatMayFollow) {
  // Law 5, row = from, column = to, in the order of kStates.
  //   WAITING READY SENT DELIVERED READ REJECTED EXPIRED UNCONFIRMED
  constexpr bool table[8][8] = {
      {false, true, false, false, false, true, true, false},  // WAITING
      {false, false, true, true, true, true, false, true},    // READY: never EXPIRED, it may be out
      {false, false, false, true, true, false, false, false},    // SENT
      {false, false, false, false, true, false, false, false},   // DELIVERED
      {false, false, false, false, false, false, false, false},  // READ
      {false, false, false, false, false, false, false, false},  // REJECTED
      {false, false, false, false, false, false, false, false},  // EXPIRED
      {false, false, true, true, true, true, false, false},      // UNCONFIRMED: a late ack
  };
  for (int from = 0; from < 8; ++from)
    for (int to = 0; to < 8; ++to)
      EXPECT_EQ(may_follow(kStates[from], kStates[to]), table[from][to])
          << to_string(kStates[from]) << " -> " << to_string(kStates[to]);
}

TEST(State, NoWayIsEndless) {
  // From every state, steps end: at most six of them, because nothing goes back.
  std::set<State> reached{State::kWaiting};
  for (int step = 0; step < 7; ++step) {
    std::set<State> further;
    for (State from : reached)
      for (State to : kStates)
        if (may_follow(from, to)) further.insert(to);
    reached = further;
  }
  EXPECT_TRUE(reached.empty());
}

TEST(State, SettledMeansThatNothingIsOwedAnyMore) {
  for (State s : kStates) EXPECT_EQ(is_settled(s), s != State::kWaiting && s != State::kReady);
}

TEST(Names, AreDistinctAndStoredValuesStay) {
  std::set<std::string_view> names;
  for (State s : kStates) names.insert(to_string(s));
  EXPECT_EQ(names, (std::set<std::string_view>{"WAITING", "READY", "SENT", "DELIVERED", "READ",
                                               "REJECTED", "EXPIRED", "UNCONFIRMED"}));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(static_cast<int>(kStates[i]), i);

  const std::string_view reasons[] = {
      "NONE",    "CONTACT_UNKNOWN", "CONTACT_NOT_OPTED_IN", "CONTACT_NO_DEVICES",
      "REFUSED", "LINK_TIMEOUT",    "KEYS_TIMEOUT",         "WITHDRAWN"};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(to_string(static_cast<Reason>(i)), reasons[i]);
}

}  // namespace
}  // namespace gw::message
