#include "adapters/native/native.h"

#include <cstdlib>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>
#include <random>

#include "adapters/native/convert.h"
#include "base/encoding.h"

namespace gw::adapters::native {
namespace {

std::uint64_t seed() {
  const char* given = std::getenv("GW_SEED");
  std::uint64_t value =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("GW_SEED=%llu\n", static_cast<unsigned long long>(value));
  return value;
}

message::Contact contact_of(message::Contact::Kind kind, std::string value) {
  message::Contact contact;
  contact.kind = kind;
  contact.value = std::move(value);
  return contact;
}

message::Submit submit_of(std::string request_id, std::string body) {
  message::Submit submit;
  submit.request_id = std::move(request_id);
  submit.contact = contact_of(message::Contact::Kind::kE164, "+4915112345678");
  submit.content = message::Text{std::move(body)};
  return submit;
}

struct Random {
  std::mt19937_64 engine{seed()};
  std::uint64_t below(std::uint64_t n) { return engine() % n; }
  std::string digits(std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += static_cast<char>('0' + below(10));
    return out;
  }
  std::string text(std::size_t most) {
    static const char* const pieces[] = {
        "a", "Z", " ", "\n", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    std::string out;
    for (std::size_t n = 1 + below(most); out.size() < n;) out += pieces[below(7)];
    return out;
  }
  message::Contact contact() {
    if (below(2) == 0)
      return contact_of(
          message::Contact::Kind::kE164,
          std::string("+").append(1, static_cast<char>('1' + below(9))) + digits(6 + below(9)));
    return contact_of(message::Contact::Kind::kLid, digits(1 + below(32)));
  }
  WallTime time() { return from_unix_ms(static_cast<std::int64_t>(below(4'000'000'000'000))); }
  message::State state() { return static_cast<message::State>(below(8)); }
  message::Reason reason() { return static_cast<message::Reason>(below(8)); }

  EventSeq seq() { return static_cast<EventSeq>(below(9)); }

  message::Event event() {
    message::Event out;
    out.seq = static_cast<EventSeq>(1 + below(1u << 30));
    out.at = time();
    switch (below(8)) {
      case 0:
        out.body = message::MessageReceived{
            digits(20), contact(), text(30), time(), message::Text{text(3000)}, seq()};
        break;
      case 1:
        out.body =
            message::MessageStatus{digits(32), text(100), contact(), state(), reason(), time()};
        break;
      case 2:
        out.body = message::Undecryptable{digits(20), contact(), time(), "NO_SESSION", seq()};
        break;
      case 3:
        out.body = message::IdentityChanged{contact()};
        break;
      case 4:
        out.body = message::Unsupported{digits(20), contact(), time(), "imageMessage", seq()};
        break;
      case 5:
        out.body =
            message::DeviceLeftOut{digits(32), contact(), static_cast<std::uint16_t>(below(65536))};
        break;
      case 6:
        out.body = message::Pending{digits(20), contact(), time()};
        break;
      case 7:
        out.body =
            message::SentElsewhere{digits(20), contact(), time(), message::Text{text(300)}, seq()};
        break;
    }
    return out;
  }
};

v1::Event parsed(const std::string& octets) {
  v1::Event event;
  EXPECT_TRUE(event.ParseFromString(octets));
  return event;
}

TEST(Native, EventsComeBackAsTheyWere) {
  Random random;
  const auto& codec = *descriptor().codec;
  for (int i = 0; i < 3000; ++i) {
    message::Event event = random.event();
    std::string octets = "before";
    codec.encode("alice", event, octets);
    ASSERT_EQ(octets.substr(0, 6), "before");
    v1::Event in = parsed(octets.substr(6));
    EXPECT_EQ(in.user_id(), "alice");
    auto back = from_proto(in);
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, event);
  }
}

TEST(Native, SubmitsComeBackAsTheyWere) {
  Random random;
  for (int i = 0; i < 3000; ++i) {
    message::Submit submit = submit_of(random.text(100), random.text(3000));
    submit.contact = random.contact();
    v1::OutgoingMessage out;
    to_proto(submit, "alice", out);
    auto back = descriptor().codec->decode(as_bytes(out.SerializeAsString()));
    ASSERT_TRUE(back) << back.error().error.message;
    EXPECT_EQ(back->native_user, "alice");
    EXPECT_EQ(back->submit.request_id, submit.request_id);
    EXPECT_EQ(back->submit.contact, submit.contact);
    EXPECT_EQ(back->submit.content, submit.content);
  }
}

// Walks over the numbers, so that a value which is added on one side only fails here.
TEST(Native, EveryStateHasANameOnBothSides) {
  int ours = 0;
  for (int i = 0; i < 256; ++i) {
    auto state = static_cast<message::State>(i);
    if (message::to_string(state) == "UNKNOWN") continue;
    ++ours;
    v1::MessageState theirs = to_proto(state);
    EXPECT_NE(theirs, v1::MESSAGE_STATE_UNSPECIFIED) << i;
    EXPECT_EQ(from_proto(theirs), state) << i;
    EXPECT_EQ(v1::MessageState_Name(theirs),
              "MESSAGE_STATE_" + std::string(message::to_string(state)));
  }
  EXPECT_EQ(ours, v1::MessageState_descriptor()->value_count() - 1);  // UNSPECIFIED
}

TEST(Native, EveryReasonHasANameOnBothSides) {
  int ours = 0;
  for (int i = 0; i < 256; ++i) {
    auto reason = static_cast<message::Reason>(i);
    if (message::to_string(reason) == "UNKNOWN") continue;
    ++ours;
    v1::RejectReason theirs = to_proto(reason);
    EXPECT_EQ(from_proto(theirs), reason) << i;
    if (reason == message::Reason::kNone) continue;
    EXPECT_EQ(v1::RejectReason_Name(theirs),
              "REJECT_REASON_" + std::string(message::to_string(reason)));
  }
  EXPECT_EQ(ours, v1::RejectReason_descriptor()->value_count());
}

TEST(Native, EveryKindOfEventHasABody) {
  int bodies = v1::Event::descriptor()->FindOneofByName("body")->field_count();
  EXPECT_EQ(static_cast<std::size_t>(bodies), std::variant_size_v<decltype(message::Event::body)>);
}

struct Bad {
  const char* reason;
  const char* field;
  void (*spoil)(v1::OutgoingMessage&);
};

TEST(Native, SaysWhichFieldIsAtFault) {
  const Bad cases[] = {
      {"USER_ID_INVALID", "user_id", [](auto& m) { m.set_user_id("a@b"); }},
      {"REQUEST_ID_INVALID", "request_id", [](auto& m) { m.clear_request_id(); }},
      {"REQUEST_ID_INVALID", "request_id",
       [](auto& m) { m.set_request_id(std::string(129, 'x')); }},
      {"CONTACT_MISSING", "to", [](auto& m) { m.clear_to(); }},
      {"CONTACT_MISSING", "to", [](auto& m) { m.mutable_to()->clear_name(); }},
      {"CONTACT_INVALID", "to.e164", [](auto& m) { m.mutable_to()->set_e164("0151"); }},
      {"CONTACT_INVALID", "to.lid", [](auto& m) { m.mutable_to()->set_lid("12x"); }},
      {"CONTENT_MISSING", "content", [](auto& m) { m.clear_content(); }},
      {"CONTENT_MISSING", "content", [](auto& m) { m.mutable_content()->clear_kind(); }},
      {"TEXT_EMPTY", "content.text.body",
       [](auto& m) { m.mutable_content()->mutable_text()->clear_body(); }},
      {"TEXT_TOO_LONG", "content.text.body",
       [](auto& m) { m.mutable_content()->mutable_text()->set_body(std::string(65537, 'x')); }},
  };
  for (const Bad& bad : cases) {
    v1::OutgoingMessage message;
    to_proto(submit_of("r1", "secret"), "alice", message);
    bad.spoil(message);
    auto result = descriptor().codec->decode(as_bytes(message.SerializeAsString()));
    ASSERT_FALSE(result) << bad.reason;
    EXPECT_EQ(result.error().error.reason, bad.reason);
    EXPECT_EQ(result.error().field, bad.field);
    EXPECT_EQ(result.error().error.kind, ErrorKind::kRejected);
    EXPECT_EQ(result.error().error.message.find("secret"), std::string::npos);
    EXPECT_EQ(result.error().error.message.find("0151"), std::string::npos);
  }
}

TEST(Native, TakesTheLongestText) {
  v1::OutgoingMessage message;
  to_proto(submit_of(std::string(128, 'r'), std::string(65536, 'x')), "alice", message);
  EXPECT_TRUE(descriptor().codec->decode(as_bytes(message.SerializeAsString())));
}

TEST(Native, OctetsThatAreNoMessageAreAFault) {
  google::protobuf::SetLogHandler(nullptr);  // it says so for each of them
  Random random;
  v1::OutgoingMessage message;
  to_proto(submit_of("r1", "hello"), "alice", message);
  std::string good = message.SerializeAsString();
  std::string not_utf8 = good;
  not_utf8[good.find("hello")] = static_cast<char>(0xC3);
  auto result = descriptor().codec->decode(as_bytes(not_utf8));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.reason, "REQUEST_MALFORMED");
  for (int i = 0; i < 5000; ++i) {
    std::string octets = good.substr(0, random.below(good.size() + 1));
    for (std::uint64_t n = random.below(4); n-- > 0 && !octets.empty();)
      octets[random.below(octets.size())] = static_cast<char>(random.below(256));
    auto decoded = descriptor().codec->decode(as_bytes(octets));
    if (!decoded) {
      EXPECT_FALSE(decoded.error().error.reason.empty());
    }
  }
}

// WhatsApp's side chooses these; one that is not UTF-8 must not spoil the frame it travels in.
TEST(Native, WhatCameFromOutsideIsMadeReadable) {
  message::Event event;
  event.seq = 1;
  message::MessageReceived received;
  received.message_id = "id\xFF";
  received.sender = contact_of(message::Contact::Kind::kLid, "1");
  received.sender_name = "Bob\xC3";
  received.content = message::Text{"a\x80z"};
  event.body = received;
  std::string octets;
  descriptor().codec->encode("alice", event, octets);
  v1::Event out = parsed(octets);
  EXPECT_EQ(out.message_received().sender_name(), "Bob\xEF\xBF\xBD");
  EXPECT_EQ(out.message_received().content().text().body(), "a\xEF\xBF\xBDz");
  EXPECT_TRUE(is_valid_utf8(out.message_received().message_id()));
}

TEST(Native, TimesBeforeTheEpochKeepTheirMilliseconds) {
  google::protobuf::Timestamp stamp;
  to_proto(from_unix_ms(-1), stamp);
  EXPECT_EQ(stamp.seconds(), -1);
  EXPECT_EQ(stamp.nanos(), 999'000'000);
  EXPECT_EQ(from_proto(stamp), from_unix_ms(-1));
}

}  // namespace
}  // namespace gw::adapters::native
