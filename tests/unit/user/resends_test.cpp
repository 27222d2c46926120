// What is owed to devices of a contact when several things go wrong at once.

#include <gtest/gtest.h>

#include "whatsapp/keys.h"
#include "world.h"

namespace gw::user::testing {
namespace {

using message::State;

Input delivered(const std::string& id, const Phone& from) {
  return inbound(stanza::Node("receipt").with("id", id).with("from", from.jid()));
}

std::size_t messages(const Effects& effects) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < effects.send.size(); ++i) n += sent(effects, i).tag == "message";
  return n;
}

// A conversation, a text in it, and a second device of the contact that nobody told us of.
struct Linked {
  World w;
  Phone second{std::string(World::kLid), 7};
  std::string id;

  explicit Linked(bool with_second = true) {
    w.link_up();
    w.phone.read(w.send("hello", "hello").send.at(0));
    w.run({ack(w.message("hello")->message_id)});
    w.run({inbound(w.phone.write("hi", "M0"))});
    w.send("r1", "secret");
    id = w.message("r1")->message_id;
    if (with_second) w.phones.push_back(&second);
  }
};

// Other messages move on: enough of them push a settled one out of memory.
void others(World& w, int n) {
  w.known = false;
  for (int i = 0; i < n; ++i) {
    auto in = w.submit("o" + std::to_string(i), "x");
    std::get<SubmitInput>(in).submit.contact.value = "+49151888000" + std::to_string(10 + i);
    w.answer(w.run({in}));
  }
  w.known = true;
}

TEST(Resends, TwoDevicesThatAskAtTheSameTimeAreBothAnswered) {
  World w;
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  w.link_up();
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  auto first = w.run({inbound(w.phone.ask_again(id, 1, false))});
  w.run({inbound(second.ask_again(id, 1, false))});
  auto out = w.answer(std::move(first));
  EXPECT_EQ(messages(out), 2u);
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 0u);
  EXPECT_EQ(sent(w.send("r2", "next")).child("participants")->children().size(), 2u);
}

TEST(Resends, AMessageThatLeftMemoryMeanwhileIsReadAgain) {
  Linked l(false);
  auto& w = l.w;
  w.run({ack(l.id)});
  auto asked = w.run({inbound(w.phone.ask_again(l.id, 1, false))});
  others(w, 40);
  ASSERT_EQ(w.message("r1"), nullptr);
  auto out = w.answer(std::move(asked));
  ASSERT_EQ(messages(out), 1u);
  EXPECT_EQ(w.phone.read(out.send.at(0)), "secret");
}

TEST(Resends, AReceiptThatOvertakesTheAckTakesNothingFromTheMissingDevice) {
  Linked l;
  auto& w = l.w;
  w.run({delivered(l.id, w.phone)});
  EXPECT_FALSE(w.message("r1")->forgotten) << "the ack may still say that somebody was missing";
  auto out = w.answer(w.run({ack(l.id, "2:abcdefgh")}));
  ASSERT_EQ(messages(out), 1u);
  EXPECT_EQ(l.second.read(out.send.at(0)), "secret");
  w.run({ack(l.id)});
  w.run({delivered(l.id, l.second)});
  EXPECT_TRUE(w.message("r1")->forgotten);
}

TEST(Resends, AReceiptThatOvertakesAPlainAckForgetsTheTextWithTheAck) {
  Linked l(false);
  auto& w = l.w;
  w.run({delivered(l.id, w.phone)});
  w.run({ack(l.id)});
  EXPECT_TRUE(w.message("r1")->forgotten);
}

TEST(Resends, ALinkThatGoesBeforeTheRestIsEncryptedLosesNothing) {
  Linked l;
  auto& w = l.w;
  w.run({ack(l.id, "2:abcdefgh")});
  w.run({delivered(l.id, w.phone)});
  w.run({LinkDown{}});
  w.reload();
  auto out = w.link_up();
  ASSERT_EQ(messages(out), 1u);
  EXPECT_EQ(l.second.read(out.send.at(0)), "secret");
}

TEST(Resends, ALinkThatGoesBeforeTheRestIsAckedHasTheSameBytesLeaveAgain) {
  Linked l;
  auto& w = l.w;
  auto asked = w.run({ack(l.id, "2:abcdefgh")});
  w.run({delivered(l.id, w.phone)});
  auto out = w.answer(std::move(asked));
  ASSERT_EQ(messages(out), 1u);
  w.reload();
  auto again = w.link_up();
  ASSERT_EQ(messages(again), 1u);
  EXPECT_EQ(again.send.at(0), out.send.at(0));
  w.run({ack(l.id)});
  w.reload();
  EXPECT_EQ(messages(w.link_up()), 0u);
}

TEST(Resends, ARestThatIsRefusedLeavesTheDeviceOutAndNotTheMessage) {
  Linked l;
  auto& w = l.w;
  w.answer(w.run({ack(l.id, "2:abcdefgh")}));
  w.run({ack(l.id, "", 479)});
  w.run({delivered(l.id, w.phone)});
  EXPECT_EQ(states_of(w, "r1"), (std::vector{State::kSent, State::kDelivered}));
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 1u);
  w.reload();
  EXPECT_EQ(messages(w.link_up()), 0u);
}

TEST(Resends, AMissingDeviceAndOneThatAsksAreBothServed) {
  Linked l;
  auto& w = l.w;
  auto asked = w.run({ack(l.id, "2:abcdefgh")});
  w.run({inbound(w.phone.ask_again(l.id, 1, false))});
  auto out = w.answer(std::move(asked));
  EXPECT_EQ(messages(out), 2u);
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 0u);
}

TEST(Resends, ADeviceWithoutKeysMakesOneEventHoweverOftenItAsks) {
  World w;
  Phone second(std::string(World::kLid), 7);
  w.phones.push_back(&second);
  w.link_up();
  w.send("r1", "secret");
  const auto id = w.message("r1")->message_id;
  w.run({ack(id)});
  w.keyless = 7;
  for (int i = 0; i < 50; ++i) w.answer(w.run({inbound(second.ask_again(id, 1, false))}));
  EXPECT_EQ(count_events<message::DeviceLeftOut>(w), 1u);
}

TEST(Resends, AQuestionThatIsRepeatedWaitsOnce) {
  Linked l(false);
  auto& w = l.w;
  w.run({ack(l.id)});
  std::size_t acks = 0;
  for (int i = 0; i < 100; ++i)
    acks += w.run({inbound(w.phone.ask_again(l.id, 1, false))}).send.size();
  ASSERT_EQ(w.state.now.resends.size(), 1u);
  EXPECT_EQ(w.state.now.resends.begin()->second.size(), 1u);
  EXPECT_EQ(acks, 99u);
}

TEST(Resends, AnAnswerWithoutContentIsTold) {
  Linked l(false);
  auto& w = l.w;
  w.run({inbound(broken(w.phone.write("x", "M1")))});
  const auto pending = w.events.back().seq;
  Bytes plain = to_bytes("\x12\x01k");  // a key alone
  signal::pad(plain);
  w.run({inbound(w.phone.write_plain(plain, "M1"))});
  const auto& told = std::get<message::Unsupported>(w.events.back().body);
  EXPECT_EQ(told.kind, "noContent");
  EXPECT_EQ(told.earlier, pending);
}

TEST(Resends, TheSameKeysASecondTimeMakeNoSecondSession) {
  Linked l(false);
  auto& w = l.w;
  w.run({ack(l.id)});
  const auto question = w.phone.ask_again(l.id, 2, true);
  auto first = w.run({inbound(question)});
  EXPECT_EQ(w.phone.read(first.send.at(0)), "secret");
  w.run({LinkDown{}});
  w.link_up();  // the ack got lost: WhatsApp hands it over again
  auto second = w.run({inbound(question)});
  EXPECT_EQ(w.phone.read(second.send.at(0)), "secret");
  EXPECT_EQ(w.phone.read(w.send("r2", "next").send.at(0)), "next");
}

TEST(Resends, ALookupThatIsRefusedIsGivenUpInTime) {
  Linked l;
  auto& w = l.w;
  auto asked = w.run({ack(l.id, "2:abcdefgh")});
  EXPECT_EQ(states_of(w, "r1"), std::vector{State::kSent}) << "WhatsApp has it";
  int lookups = 0;
  for (; !asked.requests.empty() && lookups < 1000; ++lookups) {
    w.run({AnswerInput{asked.requests[0].kind, asked.requests[0].contact,
                       fail(ErrorKind::kRejected, "IQ_NOT_FOUND")}});
    w.wall += Millis{2000};
    w.mono += Millis{2000};
    asked = w.run({TimerInput{}});
  }
  EXPECT_LE(lookups, 31);
  EXPECT_TRUE(w.state.now.resends.empty());
  EXPECT_TRUE(w.state.profile.owed.empty());
}

TEST(Resends, OfWhatTheSweepMayHaveTakenNothingIsWrittenAnyMore) {
  for (const bool owed : {false, true}) {
    Linked l;
    auto& w = l.w;
    if (owed) {
      w.answer(w.run({ack(l.id, "2:abcdefgh")}));
    } else {
      w.run({ack(l.id)});
    }
    w.wall += w.limits.retention;
    w.last = {};
    w.run({delivered(l.id, w.phone), inbound(w.phone.ask_again(l.id, 2, true)), ack(l.id)});
    EXPECT_TRUE(w.state.profile.owed.empty());
    w.run({LinkDown{}});
    w.link_up();
    EXPECT_TRUE(w.last.updates.empty()) << owed;
    EXPECT_TRUE(w.state.profile.owed.empty());
    EXPECT_EQ(states_of(w, "r1"), std::vector{State::kSent});
  }
}

TEST(Resends, AnotherPersonBehindTheNumberGetsNothingOfIt) {
  Linked l(false);
  auto& w = l.w;
  w.run({ack(l.id)});
  auto asked = w.run({inbound(w.phone.ask_again(l.id, 1, false))});
  auto& resend = w.state.now.resends.begin()->second.front();
  resend.lid = "900000000000042";  // whose device it was
  auto out = w.answer(std::move(asked));
  EXPECT_EQ(messages(out), 0u);
}

TEST(Resends, OneSenderDoesNotTakeAllThePlaces) {
  Linked l(false);
  auto& w = l.w;
  w.limits.undecrypted_of_one = 2;
  for (auto id : {"M1", "M2", "M3"}) {
    w.run({inbound(broken(w.phone.write("x", id)))});
  }
  EXPECT_EQ(w.state.undecrypted.size(), 2u);
  EXPECT_EQ(count_events<message::Undecryptable>(w), 1u);
}

}  // namespace
}  // namespace gw::user::testing
