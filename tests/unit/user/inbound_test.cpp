#include <gtest/gtest.h>

#include "world.h"

namespace gw::user::testing {
namespace {

TEST(Inbound, TextBecomesOneEventAndThenAReceipt) {
  World w;
  w.link_up();
  auto out = w.run({inbound(w.phone.write("hi", "M1"))});
  EXPECT_EQ(texts(w), std::vector<std::string>{"hi"});
  ASSERT_EQ(out.send.size(), 1u);
  auto receipt = sent(out);
  EXPECT_EQ(receipt.tag, "receipt");
  EXPECT_EQ(receipt.attr_text("id"), "M1");
  EXPECT_EQ(receipt.attr("type"), nullptr);
  const auto& event = std::get<message::MessageReceived>(w.events.front().body);
  EXPECT_EQ(event.sender.kind, message::Contact::Kind::kLid);
  EXPECT_EQ(event.sender.value, World::kLid);
  EXPECT_EQ(event.sender_name, "Wanda");
  EXPECT_EQ(event.sent_at, from_unix_ms(1'800'000'000'000));
  // The one-time prekey is spent in the same change set.
  ASSERT_EQ(w.last.prekeys.size(), 1u);
  EXPECT_EQ(w.count_prekeys(), 49u);
}

TEST(Inbound, ASenderThatTheProviderKnowsByNumberIsNamedSo) {
  World w;
  w.link_up();
  w.phone.read(w.send("r1", "first").send.at(0));
  w.run({inbound(w.phone.write("answer", "M1"))});
  const auto& event = std::get<message::MessageReceived>(w.events.back().body);
  EXPECT_EQ(event.sender.kind, message::Contact::Kind::kE164);
  EXPECT_EQ(event.sender.value, World::kNumber);
}

TEST(Inbound, TheSameCiphertextAgainIsReceiptedAgainAndNoSecondEvent) {
  World w;
  w.link_up();
  auto node = w.phone.write("once", "M1");
  w.run({inbound(node)});
  auto out = w.run({inbound(node)});
  EXPECT_EQ(texts(w).size(), 1u);
  EXPECT_EQ(sent(out).tag, "receipt");
  EXPECT_EQ(w.counts.duplicates, 1u);
  w.reload();
  w.link_up();
  EXPECT_EQ(sent(w.run({inbound(node)})).tag, "receipt");
  EXPECT_EQ(texts(w).size(), 1u);
}

TEST(Inbound, ANewCiphertextUnderAKnownIdAdvancesTheRatchetAndIsDropped) {
  World w;
  w.link_up();
  w.run({inbound(w.phone.write("first", "M1"))});
  auto tag = w.last.received.at(0).message;
  auto row = w.last.received.at(0);
  auto second = w.phone.write("other", "M1");
  // The store says that the id exists; the step is taken again knowing that.
  w.existing.received.emplace(tag, row);
  auto out = w.run({inbound(second)});
  EXPECT_EQ(sent(out).tag, "receipt");
  EXPECT_EQ(w.counts.dropped_again, 1u);
  EXPECT_EQ(w.last.ratchets.size(), 1u);
  EXPECT_TRUE(w.last.received.empty());
  w.existing = {};
  w.run({inbound(w.phone.write("third", "M3"))});
  EXPECT_EQ(texts(w), (std::vector<std::string>{"first", "third"}));
}

TEST(Inbound, UnreadableIsToldOnceAndNeverReceiptedAsDelivered) {
  World w;
  w.link_up();
  auto node = w.phone.write("broken", "M1");
  auto& enc = std::get<stanza::Nodes>(node.content).front();
  auto& bytes = std::get<Bytes>(enc.content);
  bytes[bytes.size() / 2] ^= 0x10;
  auto out = w.run({inbound(node)});
  ASSERT_EQ(w.events.size(), 1u);
  EXPECT_EQ(std::get<message::Pending>(w.events[0].body).message_id, "M1");
  EXPECT_EQ(sent(out, 0).attr_text("type"), "retry");
  EXPECT_EQ(sent(out, 1).tag, "ack");
  EXPECT_TRUE(w.last.ratchets.empty());
  EXPECT_EQ(w.count_prekeys(), 50u) << "a message that failed spent a prekey";
  auto again = w.run({inbound(node)});
  EXPECT_EQ(sent(again, 1).tag, "ack");
  EXPECT_EQ(w.events.size(), 1u);
}

TEST(Inbound, KindsThatAreNotCarriedAreTold) {
  World w;
  w.link_up();
  stanza::Node node = w.phone.write("x", "M1");
  node.content = stanza::Nodes{};
  w.run({inbound(node)});
  EXPECT_EQ(std::get<message::Unsupported>(w.events.at(0).body).kind, "none");
}

TEST(Inbound, ManyInOneStepKeepTheirOrder) {
  World w;
  w.link_up();
  std::vector<Input> inputs;
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    expected.push_back("text " + std::to_string(i));
    inputs.push_back(inbound(w.phone.write(expected.back(), "M" + std::to_string(i))));
  }
  auto out = w.run(std::move(inputs));
  EXPECT_EQ(texts(w), expected);
  EXPECT_EQ(out.send.size(), 50u);
  EXPECT_EQ(w.last.ratchets.size(), 1u);
}

TEST(Inbound, BothDirectionsOverManyTurnsSurviveReloads) {
  World w;
  w.link_up();
  for (int i = 0; i < 30; ++i) {
    auto name = std::to_string(i);
    auto out = w.send("r" + name, "out " + name);
    ASSERT_EQ(w.phone.read(out.send.at(0)), "out " + name);
    w.run({AckInput{whatsapp::Ack{"message", w.message("r" + name)->message_id, 0, {}}}});
    w.run({inbound(w.phone.write("in " + name, "M" + name))});
    ASSERT_EQ(texts(w).back(), "in " + name);
    if (i % 7 == 3) {
      w.reload();
      w.link_up();
    }
  }
}

TEST(Inbound, AnIdentityThatChangedIsToldAndTheConversationGoesOn) {
  World w;
  w.link_up();
  w.phone.read(w.send("r1", "x").send.at(0));
  w.run({inbound(w.phone.write("old phone", "M1"))});
  Phone renewed{std::string(World::kLid)};
  w.phones = {&renewed};
  w.state.profile.uploaded = false;
  w.link_up();
  ASSERT_TRUE(renewed.knows_user());
  w.run({inbound(renewed.write("new phone", "M2"))});
  bool told = false;
  for (const auto& event : w.events)
    if (std::holds_alternative<message::IdentityChanged>(event.body)) told = true;
  EXPECT_TRUE(told);
  EXPECT_EQ(texts(w).back(), "new phone");
  auto out = w.send("r2", "to the new phone");
  EXPECT_EQ(renewed.read(out.send.at(0)), "to the new phone");
}

TEST(Setup, KeysAreCommittedBeforeTheyAreUploadedAndUploadedBeforeTheQueueFlows) {
  World w;
  auto counting = w.run({LinkUp{1}});
  ASSERT_EQ(counting.requests.size(), 1u);
  EXPECT_EQ(counting.requests[0].kind, RequestKind::kCount);
  auto uploading = w.run({AnswerInput{RequestKind::kCount, {}, [] {
                                        return stanza::Node("iq").add(
                                            stanza::Node("count").with("value", std::int64_t{0}));
                                      }()}});
  ASSERT_EQ(uploading.requests.size(), 1u);
  EXPECT_EQ(uploading.requests[0].kind, RequestKind::kUpload);
  EXPECT_EQ(uploading.requests[0].iq.child("list")->children().size(), 50u);
  auto activating = w.run({AnswerInput{RequestKind::kUpload, {}, stanza::Node("iq")}});
  ASSERT_EQ(activating.requests.size(), 1u);
  EXPECT_EQ(activating.requests[0].kind, RequestKind::kActive);
  EXPECT_TRUE(w.state.profile.uploaded);
  EXPECT_NE(w.state.now.setup, Setup::kActive);
  w.run({AnswerInput{RequestKind::kActive, {}, stanza::Node("iq")}});
  EXPECT_EQ(w.state.now.setup, Setup::kActive);
}

TEST(Setup, LowKeysAreToppedUpByFifty) {
  World w;
  w.link_up();
  auto low = w.run({inbound(stanza::Node("notification")
                                .with("from", stanza::Jid::service())
                                .with("type", "encrypt")
                                .with("id", "n1")
                                .add(stanza::Node("count").with("value", std::int64_t{3})))});
  ASSERT_EQ(low.requests.size(), 1u);
  EXPECT_EQ(low.requests[0].kind, RequestKind::kUpload);
  EXPECT_EQ(w.last.prekeys.size(), 1u);
  EXPECT_EQ(w.count_prekeys(), 100u);
  EXPECT_EQ(sent(low).tag, "ack");
  EXPECT_EQ(sent(low).attr_text("class"), "notification");
  w.answer(std::move(low));
  w.keys_at_server = 60;
  EXPECT_EQ(w.link_up().send.size(), 0u);
  EXPECT_EQ(w.count_prekeys(), 100u);
}

TEST(Setup, ARequestThatFailsIsTakenUpAgain) {
  World w;
  w.run({LinkUp{1}});
  w.run({AnswerInput{RequestKind::kCount, {}, fail(ErrorKind::kRetryLater, "REQUEST_TIMEOUT")}});
  EXPECT_EQ(w.state.now.setup, Setup::kPaused);
  w.mono += w.limits.lookup_retry;
  w.answer(w.run({TimerInput{}}));
  EXPECT_EQ(w.state.now.setup, Setup::kActive);
}

TEST(Contacts, AQueryIsAnsweredFromRowsOrFromWhatsApp) {
  World w;
  message::Contact contact{message::Contact::Kind::kE164, std::string(World::kNumber)};
  auto down = w.run({QueryInput{contact, 1}});
  ASSERT_EQ(down.query_replies.size(), 1u);
  EXPECT_EQ(down.query_replies[0].result.error().reason, "LINK_DOWN");
  w.link_up();
  auto out = w.answer(w.run({QueryInput{contact, 3}}));
  ASSERT_EQ(out.query_replies.size(), 1u);
  const auto& info = *out.query_replies[0].result;
  EXPECT_TRUE(info.reachable);
  EXPECT_TRUE(info.opted_in);
  EXPECT_EQ(info.devices, 1u);
  EXPECT_EQ(info.lid, World::kLid);
  EXPECT_TRUE(info.safety_number.empty()) << "no key was fetched for a mere question";
  w.send("r1", "x");
  auto known = w.run({QueryInput{contact, 5}});
  EXPECT_TRUE(known.requests.empty());
  EXPECT_EQ(known.query_replies.at(0).result->safety_number.size(), 71u);
}

}  // namespace
}  // namespace gw::user::testing
