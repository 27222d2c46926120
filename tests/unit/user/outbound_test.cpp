#include <gtest/gtest.h>

#include "world.h"

namespace gw::user::testing {
namespace {

using message::Reason;
using message::State;

AckInput ack(const std::string& id, std::int64_t error = 0) {
  return {whatsapp::Ack{"message", id, error, std::nullopt}};
}

ReceiptInput receipt(const Phone& from, const std::string& id, whatsapp::ReceiptKind kind) {
  return {whatsapp::Receipt{kind, from.jid(), {id}, std::nullopt},
          stanza::Node("ack").with("id", id)};
}

TEST(Outbound, TextReachesThePhoneAndIsSettledStepByStep) {
  World w;
  w.link_up();
  auto out = w.send("r1", "hello");
  ASSERT_EQ(out.replies.size(), 1u);
  EXPECT_FALSE(out.replies[0].result.error);
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(w.phone.read(out.send[0]), "hello");
  auto id = w.message("r1")->message_id;
  EXPECT_EQ(w.message("r1")->state, State::kReady);
  w.run({ack(id)});
  w.run({receipt(w.phone, id, whatsapp::ReceiptKind::kDelivered)});
  w.run({receipt(w.phone, id, whatsapp::ReceiptKind::kRead)});
  EXPECT_EQ(states_of(w, "r1"), (std::vector{State::kSent, State::kDelivered, State::kRead}));
}

TEST(Outbound, KnownContactIsEncryptedAndStoredInOneCommit) {
  World w;
  w.link_up();
  w.send("r1", "one");
  auto before = w.state.account.version;
  auto out = w.run({w.submit("r2", "two")});
  EXPECT_EQ(w.state.account.version, before + 1);
  ASSERT_EQ(w.last.messages.size(), 1u);
  EXPECT_EQ(w.last.messages[0].state, State::kReady);
  EXPECT_EQ(w.last.messages[0].stanza, out.send.at(0));
  EXPECT_EQ(w.last.ratchets.size(), 1u);
  EXPECT_EQ(out.replies.at(0).result.state, State::kReady);
}

TEST(Outbound, OrderHoldsWithinTheConversationWhileItsKeysAreFetched) {
  World w;
  w.link_up();
  w.answer_lookups = false;
  auto first = w.run({w.submit("r1", "1")});
  EXPECT_TRUE(first.send.empty());
  EXPECT_TRUE(w.run({w.submit("r2", "2"), w.submit("r3", "3")}).send.empty());
  w.answer_lookups = true;
  auto out = w.answer(std::move(first));
  ASSERT_EQ(out.send.size(), 3u);
  EXPECT_EQ(w.phone.read(out.send[0]), "1");
  EXPECT_EQ(w.phone.read(out.send[1]), "2");
  EXPECT_EQ(w.phone.read(out.send[2]), "3");
}

TEST(Outbound, EveryDeviceGetsItAndOneWithoutKeysIsReported) {
  World w;
  Phone second(std::string(World::kLid), 3), keyless(std::string(World::kLid), 9);
  w.phones = {&w.phone, &second, &keyless};
  w.link_up();
  w.keyless = 9;
  auto out = w.send("r1", "to all");
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(w.phone.read(out.send[0]), "to all");
  EXPECT_EQ(second.read(out.send[0]), "to all");
  bool reported = false;
  for (const auto& event : w.events)
    if (const auto* left = std::get_if<message::DeviceLeftOut>(&event.body))
      reported = left->device == 9;
  EXPECT_TRUE(reported);
}

TEST(Outbound, UnreachableContactsAreNormalResults) {
  struct Case {
    bool known, opted_in, devices;
    Reason reason;
  };
  for (auto c : {Case{false, true, true, Reason::kContactUnknown},
                 Case{true, false, true, Reason::kContactNotOptedIn},
                 Case{true, true, false, Reason::kContactNoDevices}}) {
    World w;
    w.known = c.known;
    w.opted_in = c.opted_in;
    if (!c.devices) w.phones.clear();
    if (!c.devices) w.state.profile.uploaded = true;
    w.link_up();
    auto out = w.send("r1", "nobody");
    EXPECT_TRUE(out.send.empty());
    EXPECT_EQ(states_of(w, "r1"), std::vector{State::kRejected});
    EXPECT_EQ(w.message("r1")->reason, c.reason);
    // Known for a while: the next one ends at once, without a question.
    auto again = w.run({w.submit("r2", "nobody")});
    EXPECT_TRUE(again.requests.empty());
    EXPECT_EQ(w.message("r2")->state, State::kRejected);
    // Later it is asked again.
    w.wall += w.limits.refusal_fresh;
    EXPECT_EQ(w.run({w.submit("r3", "nobody")}).requests.size(), 1u);
  }
}

TEST(Outbound, BadBundleSignatureLeavesTheDeviceOut) {
  World w;
  w.phone.identity_keys = signal::generate_identity();  // no longer what signed the prekey
  w.link_up();
  w.send("r1", "x");
  EXPECT_EQ(w.message("r1")->state, State::kRejected);
  EXPECT_EQ(w.message("r1")->reason, Reason::kContactNoDevices);
}

TEST(Outbound, RepeatGetsTheFirstAnswerAndAnotherBodyAnError) {
  World w;
  w.link_up();
  auto first = w.send("r1", "same");
  auto again = w.run({w.submit("r1", "same")});
  ASSERT_EQ(again.replies.size(), 1u);
  EXPECT_EQ(again.replies[0].result.message_id, first.replies.at(0).result.message_id);
  EXPECT_TRUE(again.send.empty());
  auto other = w.run({w.submit("r1", "different")});
  ASSERT_TRUE(other.replies.at(0).result.error);
  EXPECT_EQ(other.replies[0].result.error->reason, "REQUEST_ID_REUSED");
  // Within one step too.
  auto both = w.run({w.submit("r2", "a"), w.submit("r2", "a"), w.submit("r2", "b")});
  ASSERT_EQ(both.replies.size(), 3u);
  EXPECT_EQ(both.replies[0].result.message_id, both.replies[1].result.message_id);
  EXPECT_TRUE(both.replies[2].result.error);
}

TEST(Outbound, BadInputIsRefusedAndStoresNothing) {
  World w;
  w.link_up();
  auto version = w.state.account.version;
  auto reason = [&](const std::string& request, const std::string& number,
                    const std::string& text) {
    auto out = w.run(
        {SubmitInput{{request, {message::Contact::Kind::kE164, number}, message::Text{text}}, 2}});
    return out.replies.at(0).result.error ? std::string(out.replies[0].result.error->reason) : "";
  };
  EXPECT_EQ(reason("", "+4915100000001", "x"), "REQUEST_ID_INVALID");
  EXPECT_EQ(reason(std::string(129, 'r'), "+4915100000001", "x"), "REQUEST_ID_INVALID");
  EXPECT_EQ(reason("r", "4915100000001", "x"), "CONTACT_INVALID");
  EXPECT_EQ(reason("r", "+0", "x"), "CONTACT_INVALID");
  EXPECT_EQ(reason("r", "+4915100000001", ""), "TEXT_EMPTY");
  EXPECT_EQ(reason("r", "+4915100000001", std::string(65537, 'x')), "TEXT_TOO_LONG");
  EXPECT_EQ(reason("r", "+4915100000001", "\xff"), "TEXT_NOT_UTF8");
  EXPECT_EQ(w.state.account.version, version);
  EXPECT_EQ(reason("r", "+4915100000001", std::string(65536, 'x')), "");
}

TEST(Outbound, TheWindowOfUnsettledMessagesIsBounded) {
  World w;
  w.limits.unsettled_messages = 3;
  for (int i = 0; i < 3; ++i) w.run({w.submit("r" + std::to_string(i), "x")});
  auto out = w.run({w.submit("r3", "x")});
  ASSERT_TRUE(out.replies.at(0).result.error);
  EXPECT_EQ(out.replies[0].result.error->kind, ErrorKind::kThrottled);
  w.limits.unsettled_messages = 100;
  w.limits.unsettled_bytes = w.state.unsettled_bytes;
  EXPECT_TRUE(w.run({w.submit("r4", "x")}).replies.at(0).result.error);
  EXPECT_EQ(w.state.unsettled, 3u);
}

TEST(Outbound, BytesAreCountedInAndOut) {
  World w;
  w.link_up();
  w.send("r1", "some text");
  auto ready = w.state.unsettled_bytes;
  EXPECT_EQ(ready, w.message("r1")->stanza.size());
  w.run({ack(w.message("r1")->message_id)});
  EXPECT_EQ(w.state.unsettled_bytes, 0u);
  EXPECT_EQ(w.state.unsettled, 0u);
}

TEST(Outbound, AfterACrashTheIdenticalBytesLeaveAgainInOrder) {
  World w;
  w.link_up();
  auto first = w.send("r1", "1").send.at(0);
  auto second = w.run({w.submit("r2", "2")}).send.at(0);
  w.reload();
  auto again = w.link_up();
  ASSERT_EQ(again.send.size(), 2u);
  EXPECT_EQ(again.send[0], first);
  EXPECT_EQ(again.send[1], second);
  EXPECT_EQ(w.phone.read(first), "1");
  EXPECT_FALSE(w.phone.read(again.send[0]).has_value()) << "a message key opened twice";
  EXPECT_EQ(w.phone.read(again.send[1]), "2");
}

TEST(Outbound, ALostCommitChangesNothingAndTheNextUsesTheSameKeyForAnotherText) {
  World w;
  w.link_up();
  w.send("r1", "1");
  auto lost = w.run_and_lose({w.submit("r2", "never published")});
  ASSERT_EQ(lost.send.size(), 1u);  // it existed, and was thrown away
  auto out = w.run({w.submit("r3", "3")});
  EXPECT_EQ(w.phone.read(w.message("r1")->stanza), "1");
  EXPECT_EQ(w.phone.read(out.send.at(0)), "3");
}

TEST(Outbound, WaitingExpiresReadyBecomesUnconfirmedAndALateAckStillCounts) {
  World w;
  w.run({w.submit("r1", "no link")});
  EXPECT_EQ(w.state.next_deadline(w.limits, w.wall, w.mono), w.wall + w.limits.waiting_timeout);
  w.wall += w.limits.waiting_timeout;
  w.run({TimerInput{}});
  EXPECT_EQ(states_of(w, "r1"), std::vector{State::kExpired});
  EXPECT_EQ(w.message("r1")->reason, Reason::kLinkTimeout);

  w.link_up();
  w.send("r2", "on the wire");
  w.wall += w.limits.resend_window;
  w.run({TimerInput{}});
  w.run({ack(w.message("r2")->message_id)});
  EXPECT_EQ(states_of(w, "r2"), (std::vector{State::kUnconfirmed, State::kSent}));
}

TEST(Outbound, AReceiptThatOvertakesTheAckSettles) {
  World w;
  w.link_up();
  w.send("r1", "x");
  auto id = w.message("r1")->message_id;
  w.run({receipt(w.phone, id, whatsapp::ReceiptKind::kRead)});
  w.run({ack(id)});
  w.run({receipt(w.phone, id, whatsapp::ReceiptKind::kDelivered)});
  EXPECT_EQ(states_of(w, "r1"), std::vector{State::kRead});
}

TEST(Outbound, ARefusedMessageIsRejectedAndTheContactAskedForAgain) {
  World w;
  w.link_up();
  w.send("r1", "x");
  w.run({ack(w.message("r1")->message_id, 403)});
  EXPECT_EQ(w.message("r1")->reason, Reason::kContactNotOptedIn);
  EXPECT_EQ(w.run({w.submit("r2", "y")}).requests.size(), 1u);
}

TEST(Outbound, AcksAndReceiptsOfStrangersAreIgnored) {
  World w;
  w.link_up();
  w.send("r1", "x");
  auto id = w.message("r1")->message_id;
  auto version = w.state.account.version;
  std::string forged = id;
  forged[5] = forged[5] == '0' ? '1' : '0';
  w.run({ack(forged), ack("3EB0"), receipt(w.phone, forged, whatsapp::ReceiptKind::kRead)});
  EXPECT_EQ(w.state.account.version, version);
}

TEST(Outbound, ALookupThatGetsNoAnswerIsTakenUpAgain) {
  World w;
  w.link_up();
  auto asked = w.run({w.submit("r1", "x")});
  auto contact = asked.requests.at(0).contact;
  w.run({AnswerInput{RequestKind::kDevices, contact,
                     fail(ErrorKind::kRetryLater, "REQUEST_TIMEOUT")}});
  auto due = w.state.next_deadline(w.limits, w.wall, w.mono);
  ASSERT_TRUE(due);
  EXPECT_EQ(*due, w.wall + w.limits.lookup_retry);
  w.mono += w.limits.lookup_retry;
  w.wall += w.limits.lookup_retry;
  auto out = w.answer(w.run({TimerInput{}}));
  EXPECT_EQ(w.phone.read(out.send.at(0)), "x");
}

TEST(Outbound, ALostLinkEndsItsLookupsAndTheNextOneAsksAgain) {
  World w;
  w.link_up();
  w.run({w.submit("r1", "x")});
  w.run({LinkDown{}});
  EXPECT_EQ(w.message("r1")->state, State::kWaiting);
  auto out = w.link_up();
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_EQ(w.phone.read(out.send[0]), "x");
}

TEST(Outbound, WithdrawalEndsEveryMessageAndForgetsTheKeys) {
  World w;
  w.link_up();
  w.send("r1", "on the wire");
  w.run({LinkDown{}});
  w.run({w.submit("r2", "waits")});
  auto out = w.run({WithdrawInput{}});
  EXPECT_TRUE(out.withdrawn);
  EXPECT_EQ(states_of(w, "r1"), std::vector{State::kUnconfirmed});
  EXPECT_EQ(states_of(w, "r2"), std::vector{State::kRejected});
  EXPECT_TRUE(w.last.erase_keys);
  EXPECT_EQ(w.state.profile.identity.registration_id, 0u);
  EXPECT_EQ(w.state.profile.user_id, "alice");
}

TEST(Outbound, AProvidersAckWaitsForCompany) {
  World w;
  w.link_up();
  w.send("r1", "x");
  w.run({ack(w.message("r1")->message_id)});
  auto version = w.state.account.version;
  w.run({ProviderAckInput{1}});
  EXPECT_EQ(w.state.account.version, version);
  w.run({FlushInput{}});
  EXPECT_EQ(w.state.account.version, version + 1);
  EXPECT_EQ(w.last.acked_event, 1);
  w.run({ProviderAckInput{500}, FlushInput{}});
  EXPECT_EQ(w.state.account.acked_event, 1) << "an event that does not exist was acknowledged";
}

TEST(Outbound, SettledMessagesAreForgottenFromMemoryAndStillFound) {
  World w;
  w.limits.settled_cached = 2;
  w.link_up();
  w.send("r0", "x");
  auto id = w.message("r0")->message_id;
  w.run({ack(id)});
  for (int i = 1; i < 6; ++i) {
    auto name = "r" + std::to_string(i);
    w.run({w.submit(name, "x")});
    w.run({ack(w.message(name)->message_id)});
  }
  EXPECT_EQ(w.message("r0"), nullptr);
  w.run({receipt(w.phone, id, whatsapp::ReceiptKind::kDelivered)});
  EXPECT_EQ(states_of(w, "r0"), (std::vector{State::kSent, State::kDelivered}));
}

}  // namespace
}  // namespace gw::user::testing
