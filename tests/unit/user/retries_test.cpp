// What cannot be read is asked for again, and what somebody could not read is encrypted again.

#include <gtest/gtest.h>

#include "whatsapp/keys.h"
#include "world.h"

namespace gw::user::testing {
namespace {

// ---- inbound ----

TEST(Retries, WhatCannotBeReadIsPendingThenAskedForThenAcked) {
  World w;
  converse(w);
  auto out = w.run({inbound(broken(w.phone.write("text", "M1")))});
  const auto& pending = last_event<message::Pending>(w);
  EXPECT_EQ(pending.message_id, "M1");
  EXPECT_EQ(pending.sender.value, World::kNumber);
  ASSERT_EQ(out.send.size(), 2u);
  auto retry = sent(out, 0);
  EXPECT_EQ(retry.tag, "receipt");
  EXPECT_EQ(retry.attr_text("type"), "retry");
  EXPECT_EQ(retry.child("retry")->attr_int("count"), 1);
  EXPECT_EQ(retry.child("retry")->attr_int("error"), 4);
  EXPECT_NE(retry.child("registration"), nullptr);
  EXPECT_EQ(retry.child("keys"), nullptr) << "the sender's session may be whole";
  EXPECT_EQ(sent(out, 1).tag, "ack");
}

TEST(Retries, TheAnswerBecomesAnEventThatNamesThePendingOne) {
  World w;
  converse(w);
  w.run({inbound(broken(w.phone.write("text", "M1")))});
  const auto pending = w.events.back().seq;
  w.run({inbound(w.phone.write("later", "M2"))});
  EXPECT_EQ(last_event<message::MessageReceived>(w).earlier, 0) << "nobody waits";
  auto out = w.run({inbound(w.phone.write("text", "M1"))});
  EXPECT_EQ(last_event<message::MessageReceived>(w).earlier, pending);
  EXPECT_EQ(sent(out).attr("type"), nullptr) << "delivered";
  EXPECT_EQ(texts(w), (std::vector<std::string>{"hi", "later", "text"}));
  EXPECT_TRUE(w.state.undecrypted.empty());
  w.run({inbound(w.phone.write("text", "M1"))});
  EXPECT_EQ(texts(w).size(), 3u) << "once";
}

TEST(Retries, TheSecondTimeTheKeysGoAlongAndMakeAFreshSession) {
  World w;
  converse(w);
  const auto before = w.count_prekeys();
  w.run({inbound(broken(w.phone.write("text", "M1")))});
  w.reload();  // a crash in between loses nothing of it
  w.link_up();
  auto out = w.run({inbound(broken(w.phone.write("text", "M1")))});
  auto retry = sent(out);
  EXPECT_EQ(retry.child("retry")->attr_int("count"), 2);
  ASSERT_NE(retry.child("keys"), nullptr);
  EXPECT_EQ(w.count_prekeys(), before + 1) << "one that is for nobody else";
  EXPECT_EQ(count_events<message::Pending>(w), 1u);
  w.phone.renew(retry);
  w.run({inbound(w.phone.write("text", "M1"))});
  EXPECT_EQ(texts(w).back(), "text");
  EXPECT_EQ(w.count_prekeys(), before) << "spent";
  EXPECT_EQ(count_events<message::IdentityChanged>(w), 0u);
}

TEST(Retries, WithoutARatchetTheKeysGoAlongAtOnce) {
  World w;
  converse(w);
  const auto before = w.count_prekeys();
  Phone stranger("900000000000077");
  auto node = w.phone.write("text", "M1");
  for (auto& [key, value] : node.attrs)
    if (key == "from") value = stranger.jid();
  auto out = w.run({inbound(node)});
  EXPECT_EQ(sent(out).child("retry")->attr_int("error"), 1);
  EXPECT_NE(sent(out).child("keys"), nullptr);
  EXPECT_EQ(w.count_prekeys(), before + 1);
}

TEST(Retries, AfterTheLastOneItIsUndecryptableAndTheKeyIsGone) {
  World w;
  converse(w);
  const auto before = w.count_prekeys();
  for (int i = 1; i <= w.limits.retries; ++i) {
    auto out = w.run({inbound(broken(w.phone.write("text", "M1")))});
    EXPECT_EQ(sent(out).child("retry")->attr_int("count"), i);
  }
  const auto pending = w.events.back().seq;
  auto out = w.run({inbound(broken(w.phone.write("text", "M1")))});
  const auto& given_up = last_event<message::Undecryptable>(w);
  EXPECT_EQ(given_up.message_id, "M1");
  EXPECT_EQ(given_up.earlier, pending);
  EXPECT_EQ(given_up.why, "SIGNAL_BAD_MESSAGE");
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(sent(out).tag, "ack");
  EXPECT_EQ(w.count_prekeys(), before);
  EXPECT_TRUE(w.state.undecrypted.empty());
  // And again: nothing more is told or asked.
  const auto events = w.events.size();
  out = w.run({inbound(broken(w.phone.write("text", "M1")))});
  EXPECT_EQ(w.events.size(), events);
  EXPECT_EQ(sent(out).tag, "ack");
  // If it can be read after all, it is told.
  w.run({inbound(w.phone.write("text", "M1"))});
  EXPECT_EQ(last_event<message::MessageReceived>(w).earlier, pending);
}

TEST(Retries, WhoeverNeverAnswersIsGivenUpInTime) {
  World w;
  converse(w);
  w.run({inbound(broken(w.phone.write("text", "M1")))});
  w.reload();
  auto deadline = w.state.next_deadline(w.limits, w.wall, w.mono);
  ASSERT_TRUE(deadline);
  EXPECT_EQ(*deadline, w.wall + w.limits.retry_window);
  w.wall = *deadline - Millis{1};
  w.run({TimerInput{}});
  EXPECT_EQ(count_events<message::Undecryptable>(w), 0u);
  w.wall = *deadline;
  w.run({TimerInput{}});
  EXPECT_EQ(last_event<message::Undecryptable>(w).why, "NO_RETRY");
  EXPECT_TRUE(w.state.undecrypted.empty());
}

TEST(Retries, TooManyAtATimeAreUndecryptableAtOnce) {
  World w;
  w.limits.undecrypted = 2;
  converse(w);
  for (auto id : {"M1", "M2", "M3"}) w.run({inbound(broken(w.phone.write("text", id)))});
  EXPECT_EQ(count_events<message::Pending>(w), 2u);
  EXPECT_EQ(last_event<message::Undecryptable>(w).message_id, "M3");
}

TEST(Retries, AWithdrawnUsersOpenQuestionsEnd) {
  World w;
  converse(w);
  w.run({inbound(broken(w.phone.write("text", "M1")))});
  w.run({WithdrawInput{}});
  EXPECT_EQ(last_event<message::Undecryptable>(w).why, "WITHDRAWN");
}

TEST(Retries, SkippedTwoThousandAndOneAheadIsAskedForAgain) {
  World w;
  converse(w);
  for (int i = 0; i < 2001; ++i) (void)w.phone.write("lost", "L");
  auto out = w.run({inbound(w.phone.write("far ahead", "M1"))});
  EXPECT_EQ(count_events<message::Pending>(w), 1u);
  EXPECT_EQ(sent(out).attr_text("type"), "retry");
}

TEST(Retries, ASpentPrekeyIsAskedForAgain) {
  World w;
  w.link_up();
  Phone other(std::string(World::kLid), 3);
  auto upload = whatsapp::key_upload(w.state.profile.identity, w.state.profile.signed_prekey,
                                     {signal::generate_prekeys(4'000, 1)});
  other.learn(upload);  // a key that is spent, or was never ours
  auto out = w.run({inbound(other.write("text", "M1"))});
  EXPECT_EQ(count_events<message::Pending>(w), 1u);
  EXPECT_EQ(sent(out).child("retry")->attr_int("error"), 3);
}

// ---- outbound ----

TEST(Retries, ADeviceThatAsksIsGivenTheTextAnewUnderItsId) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  w.state.trim(w.limits);
  auto out = w.run({inbound(w.phone.ask_again(id, 2, true))});
  ASSERT_EQ(out.send.size(), 2u);
  auto again = sent(out);
  EXPECT_EQ(again.tag, "message");
  EXPECT_EQ(again.attr_text("id"), id);
  EXPECT_EQ(again.attr_text("device_fanout"), "false");
  EXPECT_EQ(again.child("enc")->attr_int("count"), 2);
  EXPECT_EQ(again.child("enc")->attr_text("type"), "pkmsg") << "a fresh session";
  EXPECT_EQ(sent(out, 1).tag, "ack") << "behind the answer";
  EXPECT_EQ(w.phone.read(out.send[0]), "secret");
  EXPECT_EQ(states_of(w, "r1"), (std::vector{message::State::kSent}));
}

TEST(Retries, AnAckAndTheQuestionInOneStepAreBothAnswered) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  auto out = w.run({ack(id), inbound(w.phone.ask_again(id, 2, true))});
  EXPECT_EQ(w.phone.read(out.send.at(0)), "secret");
}

TEST(Retries, WithoutKeysInTheReceiptTheyAreFetched) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  auto asked = w.run({inbound(w.phone.ask_again(id, 1, false))});
  EXPECT_TRUE(asked.send.empty()) << "the receipt is acked when its answer has left";
  ASSERT_EQ(asked.requests.size(), 1u);
  EXPECT_EQ(asked.requests[0].kind, RequestKind::kKeys);
  auto out = w.answer(std::move(asked));
  ASSERT_EQ(out.send.size(), 2u);
  EXPECT_EQ(w.phone.read(out.send[0]), "secret");
}

TEST(Retries, ALinkThatGoesBeforeTheKeysComeLosesNothing) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  w.run({inbound(w.phone.ask_again(id, 1, false))});
  w.run({LinkDown{}});
  w.link_up();  // WhatsApp hands the receipt over again, for nobody acked it
  auto out = w.answer(w.run({inbound(w.phone.ask_again(id, 1, false))}));
  EXPECT_EQ(w.phone.read(out.send.at(0)), "secret");
}

TEST(Retries, AfterACrashTheTextIsStillThere) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  w.reload();
  w.link_up();
  auto out = w.run({inbound(w.phone.ask_again(id, 2, true))});
  EXPECT_EQ(w.phone.read(out.send.at(0)), "secret");
}

TEST(Retries, AReceiptThatComesAgainStartsNoSecondSessionFromItsKey) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  const auto receipt = w.phone.ask_again(id, 1, true);
  EXPECT_EQ(w.phone.read(w.run({inbound(receipt)}).send.at(0)), "secret");
  w.reload();  // our ack of it did not arrive
  w.link_up();
  EXPECT_EQ(w.phone.read(w.run({inbound(receipt)}).send.at(0)), "secret") << "the key is spent";
  EXPECT_EQ(w.phone.read(w.send("r2", "next").send.at(0)), "next");
  // With a key of its own, another one is started, and still the first one is known again.
  auto second = w.phone.ask_again(w.message("r2")->message_id, 1, true);
  EXPECT_EQ(w.phone.read(w.run({inbound(second)}).send.at(0)), "next");
  EXPECT_EQ(w.phone.read(w.run({inbound(receipt)}).send.at(0)), "secret");
  EXPECT_EQ(w.counts.sessions_started, 3u);
}

TEST(Retries, NeitherWhereThatSessionIsNoMoreToBeUsed) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  const auto receipt = w.phone.ask_again(id, 1, true);
  EXPECT_EQ(w.phone.read(w.run({inbound(receipt)}).send.at(0)), "secret");
  w.answer_lookups = false;
  w.answer(w.run({inbound(w.phone.ask_again(id, 2, false))}));  // its keys are asked for
  auto out = w.run({inbound(receipt)});
  for (std::size_t i = 0; i < out.send.size(); ++i)
    EXPECT_EQ(sent(out, i).tag, "ack") << "it waits for them as well";
}

whatsapp::Receipt delivered_by(const Phone& phone, const std::string& id) {
  whatsapp::Receipt receipt;
  receipt.kind = whatsapp::ReceiptKind::kDelivered;
  receipt.from = phone.jid();
  receipt.ids = {id};
  return receipt;
}

TEST(Retries, ASettledMessageThatIsNotInMemoryIsEncryptedAgainAllTheSame) {
  World w;
  w.limits.settled_cached = 0;
  converse(w);
  const auto id = sent(w.send("r1", "secret")).attr_text("id");
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  auto for_the_rest = w.run({ack(id, "2:of two")});
  w.run({ReceiptInput{delivered_by(w.phone, id), stanza::Node("ack")}});
  EXPECT_EQ(w.message("r1"), nullptr);
  EXPECT_EQ(second.read(w.answer(std::move(for_the_rest)).send.at(0)), "secret");

  auto for_its_keys = w.run({inbound(second.ask_again(id, 1, false))});
  EXPECT_EQ(second.read(w.answer(std::move(for_its_keys)).send.at(0)), "secret");
}

TEST(Retries, NorDoesItTakeThoseBehindItAlong) {
  World w;
  w.limits.settled_cached = 0;
  converse(w);
  const auto first = sent(w.send("r1", "one")).attr_text("id");
  const auto next = sent(w.send("r2", "two")).attr_text("id");
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  auto asked = w.run({ack(first, "2:of two")});
  w.run({ReceiptInput{delivered_by(w.phone, first), stanza::Node("ack")}});
  w.run({ack(next, "2:of two")});
  auto out = w.answer(std::move(asked));
  ASSERT_EQ(out.send.size(), 2u);
  EXPECT_EQ(second.read(out.send[0]), "one");
  EXPECT_EQ(second.read(out.send[1]), "two");
}

TEST(Retries, WhatIsEverywhereWhenNobodyTurnsOutToBeMissingIsForgotten) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  auto asked = w.run({ack(id, "2:somebody")});
  ASSERT_EQ(asked.requests.size(), 1u);
  w.run({ReceiptInput{delivered_by(w.phone, id), stanza::Node("ack")}});
  EXPECT_FALSE(w.message("r1")->forgotten);
  w.answer(std::move(asked));
  ASSERT_FALSE(w.last.updates.empty());
  ASSERT_TRUE(w.last.updates.back().content);
  const auto& content = *w.last.updates.back().content;
  EXPECT_EQ(std::string(content.begin(), content.end()).find("secret"), std::string::npos);
}

TEST(Retries, OneDeviceAsksAndTheOtherHearsNothing) {
  World w;
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  w.link_up();
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  auto out = w.run({inbound(second.ask_again(id, 2, true))});
  EXPECT_EQ(sent(out).attr_jid("to"), second.jid());
  EXPECT_EQ(second.read(out.send.at(0)), "secret");
}

TEST(Retries, ADeviceThatAsksWhileAnothersKeysAreFetchedIsAnsweredAsWell) {
  World w;
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  w.link_up();
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  auto asked = w.run({inbound(w.phone.ask_again(id, 1, false))});
  EXPECT_TRUE(w.run({inbound(second.ask_again(id, 1, false))}).requests.empty());
  auto out = w.answer(std::move(asked));
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 0u);
  ASSERT_EQ(out.send.size(), 4u);
  EXPECT_EQ(w.phone.read(out.send[0]), "secret");
  EXPECT_EQ(second.read(out.send[2]), "secret");
}

TEST(Retries, AskingIsBoundedAndTheProviderHearsOfTheDevice) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  for (int i = 1; i <= w.limits.retries; ++i)
    EXPECT_EQ(w.run({inbound(w.phone.ask_again(id, 2, true))}).send.size(), 2u);
  w.reload();
  w.link_up();
  auto out = w.run({inbound(w.phone.ask_again(id, 2, true))});
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(sent(out).tag, "ack");
  EXPECT_EQ(last_event<message::DeviceLeftOut>(w).message_id, id);
  w.run({inbound(w.phone.ask_again(id, 2, true))});
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 1u);
}

TEST(Retries, WhoHasItCannotAskForItAnyMore) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  whatsapp::Receipt delivered;
  delivered.kind = whatsapp::ReceiptKind::kDelivered;
  delivered.from = w.phone.jid();
  delivered.ids = {id};
  w.run({ReceiptInput{delivered, stanza::Node("ack")}});
  ASSERT_EQ(w.last.updates.size(), 1u);
  ASSERT_TRUE(w.last.updates[0].content);
  const auto& content = *w.last.updates[0].content;
  EXPECT_EQ(std::string(content.begin(), content.end()).find("secret"), std::string::npos)
      << "the text is forgotten";
  w.reload();
  w.link_up();
  auto out = w.run({inbound(w.phone.ask_again(id, 2, true))});
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(sent(out).tag, "ack");
}

TEST(Retries, TheTextStaysUntilEveryDeviceHasIt) {
  World w;
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  w.link_up();
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  whatsapp::Receipt delivered;
  delivered.kind = whatsapp::ReceiptKind::kDelivered;
  delivered.from = w.phone.jid();
  delivered.ids = {id};
  w.run({ReceiptInput{delivered, stanza::Node("ack")}});
  EXPECT_FALSE(w.last.updates.at(0).content);
  w.reload();
  w.link_up();
  auto out = w.run({inbound(second.ask_again(id, 2, true))});
  EXPECT_EQ(second.read(out.send.at(0)), "secret");
  delivered.from = second.jid();
  w.run({ReceiptInput{delivered, stanza::Node("ack")}});
  EXPECT_TRUE(w.last.updates.at(0).content);
}

TEST(Retries, AnUnknownMessageOrAnotherContactIsAckedAndGivenNothing) {
  World w;
  converse(w);
  auto unknown = w.run({inbound(w.phone.ask_again("3EB0FFFFFFFFFFFFFFFF", 2, true))});
  ASSERT_EQ(unknown.send.size(), 1u);
  EXPECT_EQ(sent(unknown).tag, "ack");
  EXPECT_EQ(w.counts.ignored, 1u);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  Phone thief("900000000000066");
  for (const auto& node :
       {thief.ask_again(id, 2, true), Phone(std::string(World::kLid), 9).ask_again(id, 2, true)}) {
    auto out = w.run({inbound(node)});
    ASSERT_EQ(out.send.size(), 1u);
    EXPECT_EQ(sent(out).tag, "ack");
  }
  EXPECT_EQ(w.counts.ignored, 3u);
}

TEST(Retries, AnotherIdentityInTheReceiptIsTold) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  w.phone.reinstall();
  auto out = w.run({inbound(w.phone.ask_again(id, 2, true))});
  EXPECT_EQ(w.phone.read(out.send.at(0)), "secret");
  EXPECT_EQ(count_events<message::IdentityChanged>(w), 1u);
}

TEST(Retries, ABundleWithAnotherIdentityIsToldBeforeTheTextLeaves) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  w.phone.reinstall();  // and WhatsApp's server told nobody
  auto out = w.answer(w.run({inbound(w.phone.ask_again(id, 1, false))}));
  ASSERT_EQ(count_events<message::IdentityChanged>(w), 1u);
  EXPECT_EQ(last_event<message::IdentityChanged>(w).contact.value, World::kNumber);
  EXPECT_EQ(w.phone.read(out.send.at(0)), "secret");
}

// ---- devices that were missing ----

TEST(Retries, AnAckWithAnotherHashSendsToTheMissingDevicesOnly) {
  World w;
  converse(w);
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  const auto first = w.message("r1")->stanza;
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  auto out = w.answer(w.run({ack(id, "2:abcdefgh")}));
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(sent(out).attr_text("id"), id);
  EXPECT_EQ(sent(out).attr_text("device_fanout"), "false");
  ASSERT_EQ(sent(out).child("participants")->children().size(), 1u);
  EXPECT_EQ(second.read(out.send[0]), "secret");
  EXPECT_EQ(states_of(w, "r1"), (std::vector{message::State::kSent}));
  // Lost with the link: the same bytes leave again, and not the first ones.
  w.reload();
  auto again = w.link_up();
  ASSERT_EQ(again.send.size(), 1u);
  EXPECT_EQ(again.send[0], out.send[0]);
  EXPECT_NE(again.send[0], first);
  w.run({ack(id)});
  EXPECT_EQ(states_of(w, "r1"), (std::vector{message::State::kSent}));
}

TEST(Retries, AHashThatMissesNobodyIsAskedAboutOnce) {
  World w;
  converse(w);
  w.send("r1", "one");
  auto asked = w.run({ack(w.message("r1")->message_id, "2:whatever")});
  EXPECT_EQ(asked.requests.size(), 1u);
  w.answer(std::move(asked));
  EXPECT_EQ(states_of(w, "r1"), (std::vector{message::State::kSent}));
  w.send("r2", "two");
  EXPECT_TRUE(w.run({ack(w.message("r2")->message_id, "2:whatever")}).requests.empty());
  EXPECT_EQ(states_of(w, "r2"), (std::vector{message::State::kSent}));
}

TEST(Retries, OurOwnHashInTheAckAsksNothing) {
  World w;
  converse(w);
  w.send("r1", "one");
  auto hash = whatsapp::participants_hash({w.phone.jid()});
  EXPECT_TRUE(w.run({ack(w.message("r1")->message_id, hash)}).requests.empty());
  EXPECT_EQ(states_of(w, "r1"), (std::vector{message::State::kSent}));
}

TEST(Retries, AMissingDeviceWithoutKeysIsToldAndTheMessageIsSent) {
  World w;
  converse(w);
  w.send("r1", "one");
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  w.keyless = 7;
  w.answer(w.run({ack(w.message("r1")->message_id, "2:abcdefgh")}));
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 1u);
  EXPECT_EQ(states_of(w, "r1"), (std::vector{message::State::kSent}));
}

}  // namespace
}  // namespace gw::user::testing
