// What contacts, servers and bad timing do to a user, one case each.

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "user/blobs.h"
#include "world.h"

namespace gw::user::testing {
namespace {

using message::State;

void corrupt(stanza::Node& node) {
  auto& enc = std::get<stanza::Nodes>(node.content).front();
  auto& bytes = std::get<Bytes>(enc.content);
  bytes[bytes.size() / 2] ^= 0x10;
}

message::Contact number() { return {message::Contact::Kind::kE164, std::string(World::kNumber)}; }

stanza::Node identity_changed(const stanza::Jid& from) {
  return stanza::Node("notification")
      .with("from", from)
      .with("type", "encrypt")
      .with("id", "n1")
      .add(stanza::Node("identity"));
}

TEST(Mishaps, NamesThatAreNotUtf8DoNotBreakTheStoredEvent) {
  World w;
  w.link_up();
  auto node = w.phone.write("hi", "\xff\xfe");
  for (auto& [key, value] : node.attrs)
    if (key == "notify") value = std::string("\xc3\x28");
  w.run({inbound(node)});  // World reads each event back from its row
  ASSERT_EQ(w.events.size(), 1u);
  const auto& event = std::get<message::MessageReceived>(w.events[0].body);
  EXPECT_EQ(event.message_id, "\xff\xfe");
  EXPECT_EQ(event.sender_name, "\xc3\x28");
}

TEST(Mishaps, AnotherIdentityMeansAnotherRatchetBeforeTheNextMessage) {
  for (const bool by_number : {false, true}) {
    World w;
    w.link_up();
    EXPECT_EQ(w.phone.read(w.send("r1", "before").send.at(0)), "before");
    w.phone.reinstall();
    auto jid = by_number ? stanza::Jid::phone(World::kNumber.substr(1)) : w.phone.jid();
    w.run({inbound(identity_changed(jid))});
    w.reload();
    w.link_up();
    auto out = w.send("r2", "after");
    ASSERT_EQ(out.send.size(), 1u);
    EXPECT_EQ(w.phone.read(out.send[0]), "after");
    EXPECT_EQ(count_events<message::IdentityChanged>(w), 1u);
    // Once renewed it is good for more.
    EXPECT_TRUE(w.run({w.submit("r3", "more")}).requests.empty());
  }
}

TEST(Mishaps, WhatTheOldSessionStillCarriesIsReadAfterTheNotification) {
  World w;
  w.link_up();
  w.phone.read(w.send("r1", "x").send.at(0));
  w.run({inbound(w.phone.write("first", "M1"))});
  auto late = w.phone.write("under way", "M2");
  w.run({inbound(identity_changed(w.phone.jid()))});
  w.run({inbound(late)});
  EXPECT_EQ(texts(w), (std::vector<std::string>{"first", "under way"}));
}

TEST(Mishaps, ALateFirstMessageOfTheOldSessionDoesNotPassForTheNewIdentity) {
  World w;
  w.link_up();
  w.run({inbound(w.phone.write("first", "M1"))});
  auto late = w.phone.write("under way", "M2");  // nobody answered: it opens the session again
  ASSERT_TRUE(late.child("enc")->attr_is("type", "pkmsg"));
  w.phone.reinstall();
  w.run({inbound(identity_changed(w.phone.jid()))});
  w.run({inbound(late)});
  EXPECT_EQ(texts(w), (std::vector<std::string>{"first", "under way"}));
  auto out = w.send("r1", "after");
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(w.phone.read(out.send[0]), "after");
}

TEST(Mishaps, ADeviceWhoseIdentityIsGoneAndThatHasNoKeysIsLeftOut) {
  World w;
  Phone second(std::string(World::kLid), 4);
  w.phones = {&w.phone, &second};
  w.link_up();
  w.send("r1", "x");
  w.run({inbound(identity_changed(w.phone.jid()))});
  w.keyless = 4;
  w.send("r2", "y");
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 1u);
  EXPECT_EQ(w.message("r2")->state, State::kReady);
}

TEST(Mishaps, AStepAcrossTwoLinksLeavesNothingForTheSecond) {
  World w;
  w.link_up();
  w.send("r1", "on the first link");
  // While the database was away: a submit, then the link fell and came back.
  auto out = w.run({w.submit("r2", "behind it"), LinkDown{}, LinkUp{2}});
  EXPECT_TRUE(out.send.empty()) << "before the keys are in order, and before r1";
  ASSERT_EQ(out.requests.size(), 1u);
  EXPECT_EQ(out.requests[0].kind, RequestKind::kCount);
  auto rest = w.answer(std::move(out));
  ASSERT_EQ(rest.send.size(), 2u);
  EXPECT_EQ(w.phone.read(rest.send[0]), "on the first link");
  EXPECT_EQ(w.phone.read(rest.send[1]), "behind it");
}

TEST(Mishaps, AQuestionThatMeetsAPausedLookupIsAnswered) {
  World w;
  w.link_up();
  auto asked = w.run({w.submit("r1", "x")});
  w.run({AnswerInput{RequestKind::kDevices, asked.requests.at(0).contact,
                     fail(ErrorKind::kRetryLater, "REQUEST_TIMEOUT")}});
  auto out = w.answer(w.run({QueryInput{number(), 9}}));
  ASSERT_EQ(out.query_replies.size(), 1u);
  EXPECT_TRUE(out.query_replies[0].result->reachable);
  EXPECT_EQ(w.message("r1")->state, State::kReady);
}

TEST(Mishaps, APhoneAddressWithoutLidFindsTheConversationThatTheNumberLeadsTo) {
  World w;
  w.link_up();
  w.phone.read(w.send("r1", "x").send.at(0));
  auto node = w.phone.write("answer", "M1");
  for (auto& [key, value] : node.attrs)
    if (key == "from") value = stanza::Jid::phone(World::kNumber.substr(1));
  w.run({inbound(node)});
  EXPECT_EQ(texts(w), std::vector<std::string>{"answer"});
  // The number still leads to the LID.
  EXPECT_EQ(w.phone.read(w.run({w.submit("r2", "y")}).send.at(0)), "y");
}

TEST(Mishaps, AHostedDeviceIsItsOwner) {
  World w;
  w.link_up();
  auto node = w.phone.write("from a hosted device", "M1");
  for (auto& [key, value] : node.attrs)
    if (key == "from") {
      auto jid = w.phone.jid();
      jid.server = stanza::Server::kHostedLid;
      value = jid;
    }
  w.run({inbound(node)});
  EXPECT_EQ(texts(w), std::vector<std::string>{"from a hosted device"});
}

TEST(Mishaps, WithdrawingEndsWhatBecameReadyInTheSameStep) {
  World w;
  w.link_up();
  w.send("r1", "x");
  w.run({w.submit("r2", "y"), WithdrawInput{}});
  EXPECT_EQ(states_of(w, "r2"), std::vector{State::kUnconfirmed});
  EXPECT_EQ(w.state.unsettled, 0u);
  EXPECT_EQ(w.state.unsettled_bytes, 0u);
  EXPECT_EQ(w.state.ready_bytes, 0u);
}

TEST(Mishaps, WhatIsReadyIsBoundedAndTheRestGoesWhenThereIsRoom) {
  World w;
  w.link_up();
  w.send("r0", "x");
  w.limits.ready_bytes = w.state.ready_bytes + 1;
  w.run({LinkDown{}});  // nothing is refused for what WhatsApp cannot have acknowledged
  w.run({w.submit("r1", std::string(500, 'a')), w.submit("r2", "b"), w.submit("r3", "c")});
  w.link_up();
  EXPECT_EQ(w.message("r1")->state, State::kReady);
  EXPECT_EQ(w.message("r2")->state, State::kWaiting);
  EXPECT_FALSE(w.state.has_room_again(w.limits));
  w.run({ack(w.message("r0")->message_id), ack(w.message("r1")->message_id)});
  ASSERT_TRUE(w.state.has_room_again(w.limits));
  w.limits.ready_bytes = 8u << 20;
  auto out = w.run({TimerInput{}});
  EXPECT_EQ(out.send.size(), 2u);
  EXPECT_FALSE(w.state.now.held);
  EXPECT_EQ(w.message("r3")->state, State::kReady);
}

TEST(Mishaps, WhileWhatsAppAcknowledgesNothingSubmitsAreThrottledAndDoNotExpire) {
  World w;
  w.link_up();
  w.send("r0", "x");
  w.limits.ready_bytes = w.state.ready_bytes;
  auto out = w.run({w.submit("r1", "y")});
  ASSERT_TRUE(out.replies.at(0).result.error);
  EXPECT_EQ(out.replies[0].result.error->reason, "THROTTLED");
  EXPECT_EQ(w.message("r1"), nullptr);
  w.run({ack(w.message("r0")->message_id)});
  EXPECT_FALSE(w.run({w.submit("r1", "y")}).replies.at(0).result.error);
  EXPECT_EQ(w.message("r1")->state, State::kReady);
}

TEST(Mishaps, WhatWasHeldBackUntilItExpiredHadItsKeys) {
  World w;
  w.link_up();
  w.send("r0", "x");
  w.run({LinkDown{}});
  w.limits.ready_bytes = w.state.ready_bytes;
  w.run({w.submit("r1", "y")});
  w.link_up();
  w.wall += w.limits.waiting_timeout;
  w.run({TimerInput{}});
  EXPECT_EQ(w.message("r1")->state, State::kExpired);
  EXPECT_EQ(w.message("r1")->reason, message::Reason::kLinkTimeout);
}

TEST(Mishaps, AnUnreadableIdThatComesAgainAsAnUnknownKindIsNoDelivery) {
  World w;
  w.link_up();
  auto broken = w.phone.write("text", "M1");
  corrupt(broken);
  w.run({inbound(broken)});
  auto node = w.phone.write("text", "M1");
  for (auto& [key, value] : std::get<stanza::Nodes>(node.content).front().attrs)
    if (key == "type") value = std::string("skmsg");
  w.run({inbound(node)});
  EXPECT_EQ(count_events<message::Unsupported>(w), 1u) << "receipted without having been told";
  w.run({inbound(node)});
  EXPECT_EQ(count_events<message::Unsupported>(w), 1u);
}

TEST(Mishaps, TheSameUnreadableMessageTwiceInOneStepIsNoDelivery) {
  World w;
  w.link_up();
  auto node = w.phone.write("broken", "M1");
  corrupt(node);
  auto out = w.run({inbound(node), inbound(node)});
  ASSERT_EQ(out.send.size(), 4u);
  for (std::size_t i = 0; i < 4; i += 2) {
    EXPECT_EQ(sent(out, i).attr_text("type"), "retry");
    EXPECT_EQ(sent(out, i + 1).tag, "ack");
  }
  EXPECT_EQ(count_events<message::Pending>(w), 1u);
}

TEST(Mishaps, AnIdThatWasUnreadableAndComesReadableIsToldAndThenKnown) {
  for (const bool one_step : {true, false}) {
    World w;
    w.link_up();
    auto broken = w.phone.write("text", "M1");
    corrupt(broken);
    auto good = w.phone.write("text", "M1"), more = w.phone.write("another", "M1");
    if (one_step) {
      w.run({inbound(broken), inbound(good)});
    } else {
      w.run({inbound(broken)});
      w.run({inbound(good)});
    }
    EXPECT_EQ(texts(w), std::vector<std::string>{"text"});
    auto out = w.run({inbound(more)});
    EXPECT_EQ(texts(w).size(), 1u) << "an id became two messages";
    EXPECT_EQ(sent(out).tag, "receipt");
  }
}

TEST(Mishaps, ARepeatOfWhatCouldNotBeReadIsNoDelivery) {
  World w;
  w.link_up();
  auto node = w.phone.write_plain(Bytes(20, 0x00), "M1");  // decrypts, and its padding is none
  EXPECT_EQ(sent(w.run({inbound(node)})).tag, "ack");
  w.reload();
  w.link_up();
  EXPECT_EQ(sent(w.run({inbound(node)})).tag, "ack");
  EXPECT_EQ(count_events<message::Undecryptable>(w), 1u);
}

TEST(Mishaps, ATopUpThatFailsIsTakenUpAgain) {
  World w;
  w.link_up();
  auto low = w.run({inbound(stanza::Node("notification")
                                .with("from", stanza::Jid::service())
                                .with("type", "encrypt")
                                .with("id", "n1")
                                .add(stanza::Node("count").with("value", std::int64_t{3})))});
  auto first = low.requests.at(0).iq;
  w.run({AnswerInput{RequestKind::kUpload, {}, fail(ErrorKind::kRetryLater, "REQUEST_TIMEOUT")}});
  auto due = w.state.next_deadline(w.limits, w.wall, w.mono);
  ASSERT_TRUE(due);
  w.wall = *due;
  w.mono += w.limits.lookup_retry;
  auto again = w.run({TimerInput{}});
  ASSERT_EQ(again.requests.size(), 1u);
  EXPECT_EQ(again.requests[0].kind, RequestKind::kUpload);
  EXPECT_EQ(*stanza::encode(again.requests[0].iq, {}), *stanza::encode(first, {}));
  w.answer(std::move(again));
  EXPECT_GT(*w.state.next_deadline(w.limits, w.wall, w.mono), w.wall + std::chrono::hours{1});
}

TEST(Mishaps, OneContactThatWaitsDoesNotKeepTheCacheOfOthersGrowing) {
  World w;
  w.limits.conversations_cached = 8;
  w.link_up();
  w.answer_lookups = false;
  w.run({w.submit("r0", "waits for keys")});
  for (int i = 0; i < 50; ++i) {
    message::Contact other{message::Contact::Kind::kLid, std::to_string(1000 + i)};
    w.run({SubmitInput{{"q" + std::to_string(i), other, message::Text{"x"}}, 2}});
    w.run({LinkDown{}});
    w.wall += w.limits.waiting_timeout / 2;
    w.run({TimerInput{}});
  }
  EXPECT_LE(w.state.conversations.size(), 12u);
}

TEST(Mishaps, ATokenOfAnotherUserIsNoticed) {
  auto token = [](const std::string& claims) {
    return "e30." + to_base64url(as_bytes(claims)) + ".c2ln";
  };
  EXPECT_TRUE(whatsapp::token_may_be_of(token(R"({"sub":"alice"})"), "alice"));
  EXPECT_FALSE(whatsapp::token_may_be_of(token(R"({"sub":"bob"})"), "alice"));
  // What is no such token is WhatsApp's to refuse.
  for (const auto& other : {std::string(), std::string("x"), std::string("a.b"), token("[]"),
                            token("{"), token(R"({"sub":7})"), std::string("a.*.c")})
    EXPECT_TRUE(whatsapp::token_may_be_of(other, "alice")) << other;
}

TEST(Mishaps, ARowOfAnotherUserIsNotTakenForTheOneThatWasAskedFor) {
  Profile profile;
  profile.user_id = "alice";
  store::Account account;
  account.profile = write_profile(profile);
  EXPECT_TRUE(check_name(account, {7, "alice"}).has_value());
  auto other = check_name(account, {7, "bob"});
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().kind, ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace gw::user::testing
