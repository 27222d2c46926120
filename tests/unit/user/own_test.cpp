// What concerns the user itself: its other devices, what it read, its signed prekey.

#include <gtest/gtest.h>

#include "whatsapp/keys.h"
#include "world.h"

namespace gw::user::testing {
namespace {

// ---- the user's own other device ----

std::string field(std::string_view key, std::string_view value) {
  return std::string(key) + static_cast<char>(value.size()) + std::string(value);
}

// Message{deviceSentMessage=31{destinationJid=1, message=2{conversation=1}}}
Bytes device_sent(std::string_view destination, std::string_view text) {
  Bytes plain =
      to_bytes(field("\xfa\x01", field("\x0a", destination) + field("\x12", field("\x0a", text))));
  signal::pad(plain);
  return plain;
}

TEST(OtherDevices, WhatOneOfTheUsersOwnSentIsTold) {
  World w;
  Phone own(std::string(World::kOwnLid), 2);
  w.phones.push_back(&own);
  w.link_up();
  auto node = own.write_plain(device_sent("900000000000001@lid", "from my desk"), "M1");
  node.with("recipient", stanza::Jid::lid(World::kLid));
  auto out = w.run({inbound(node)});
  const auto& event = last_event<message::SentElsewhere>(w);
  EXPECT_EQ(event.contact.value, World::kLid);
  EXPECT_EQ(std::get<message::Text>(event.content).body, "from my desk");
  EXPECT_EQ(sent(out).attr_text("type"), "sender");
}

TEST(OtherDevices, AContactCannotWriteInTheUsersName) {
  World w;
  w.link_up();
  for (const bool with_recipient : {false, true}) {
    auto node = w.phone.write_plain(device_sent("900000000000009@lid", "pay him"),
                                    with_recipient ? "M1" : "M2");
    if (with_recipient) node.with("recipient", stanza::Jid::lid("900000000000009"));
    w.run({inbound(node)});
    EXPECT_EQ(count_events<message::SentElsewhere>(w), 0u);
    EXPECT_EQ(last_event<message::Unsupported>(w).kind, "deviceSentMessage");
  }
}

TEST(OtherDevices, ATextOverTheRuleIsToldAsSuch) {
  World w;
  w.link_up();
  w.run({inbound(w.phone.write(std::string(message::kMaxText + 1, 'x'), "M1"))});
  EXPECT_EQ(last_event<message::Unsupported>(w).kind, "oversizedText");
}

// ---- what the user read ----

TEST(Reads, AreToldIfTheUserWantsItAndTheLinkIsUp) {
  World w;
  auto ask = [&](std::uint64_t origin) {
    return w.run({MarkReadInput{
        {message::Contact::Kind::kE164, std::string(World::kNumber)}, {"M1", "M2"}, origin}});
  };
  auto down = ask(1);
  EXPECT_EQ(down.call_replies.at(0).result.error().reason, "LINK_DOWN");
  converse(w);
  auto out = ask(3);
  EXPECT_EQ(out.call_replies.at(0).origin, 3u);
  EXPECT_TRUE(out.call_replies.at(0).result.value());
  EXPECT_EQ(sent(out).attr_text("type"), "read");
  EXPECT_EQ(sent(out).attr_text("id"), "M1");
  EXPECT_EQ(sent(out).attr_jid("to"), stanza::Jid::lid(World::kLid));
  EXPECT_EQ(sent(out).child("list")->children().at(0).attr_text("id"), "M2");
  w.run({SettingInput{false, 5}});
  w.reload();
  w.link_up();
  out = ask(7);
  EXPECT_FALSE(out.call_replies.at(0).result.value());
  EXPECT_TRUE(out.send.empty());
}

// ---- signed prekeys ----

TEST(Rotation, AnotherSignedPrekeyAfterItsTimeAndTheOldOneStillReads) {
  World w;
  w.link_up();
  const auto old = w.state.profile.signed_prekey.id;
  auto first = w.phone.write("with the old key", "M1");
  w.wall += w.limits.signed_prekey_age;
  auto out = w.run({TimerInput{}});
  ASSERT_EQ(out.requests.size(), 1u);
  EXPECT_EQ(out.requests[0].kind, RequestKind::kRotate);
  EXPECT_EQ(w.state.profile.signed_prekey.id, old + 1);
  EXPECT_TRUE(w.state.profile.rotating);
  w.reload();  // not confirmed: it goes up with the next link
  w.phones.clear();
  auto up = w.run({LinkUp{77, {}}});
  w.answer(std::move(up));
  EXPECT_FALSE(w.state.profile.rotating);
  w.run({inbound(first)});
  EXPECT_EQ(texts(w), std::vector<std::string>{"with the old key"});
}

TEST(Rotation, AnAnswerThatComesWhenTheNextIsDueLeavesNoDeadlineInThePast) {
  World w;
  w.link_up();
  w.wall += w.limits.signed_prekey_age;
  auto asked = w.run({TimerInput{}});
  w.wall += w.limits.signed_prekey_age;
  auto next = w.answer(std::move(asked));
  EXPECT_GT(*w.state.next_deadline(w.limits, w.wall, w.mono), w.wall);
}

TEST(Rotation, OldOnesGoInTheirTime) {
  World w;
  w.link_up();
  for (int i = 0; i < 8; ++i) {
    w.wall += w.limits.signed_prekey_age;
    w.answer(w.run({TimerInput{}}));
  }
  EXPECT_EQ(w.state.profile.old_signed_prekeys.size(), 5u);  // 7, 14, 21, 28 days and today's
}

TEST(Rotation, ARefusedOneIsTriedAgainLater) {
  World w;
  w.link_up();
  w.wall += w.limits.signed_prekey_age;
  w.run({TimerInput{}});
  w.run({AnswerInput{RequestKind::kRotate, {}, fail(ErrorKind::kRetryLater, "IQ_UNAVAILABLE")}});
  EXPECT_TRUE(w.run({TimerInput{}}).requests.empty());
  w.mono += w.limits.rotate_retry;
  auto out = w.run({TimerInput{}});
  ASSERT_EQ(out.requests.size(), 1u);
  EXPECT_EQ(out.requests[0].kind, RequestKind::kRotate);
}

}  // namespace
}  // namespace gw::user::testing
