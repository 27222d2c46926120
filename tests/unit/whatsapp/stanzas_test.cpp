// What stanzas mean: those that come, read; those that leave, built. The forms are those of Baileys
// and whatsmeow.

#include <gtest/gtest.h>

#include "whatsapp/content.h"
#include "whatsapp/keys.h"
#include "whatsapp/messages.h"

namespace gw::whatsapp {
namespace {

using stanza::Jid;
using stanza::Node;

Node octets(std::string_view tag, Bytes bytes) { return Node(tag).octets(std::move(bytes)); }

TEST(Messages, ReadsWhoWroteWhatAndWhen) {
  auto m = read_message(Node("message")
                            .with("from", Jid::lid("111", 3))
                            .with("id", "A1")
                            .with("t", std::int64_t{1'700'000'000})
                            .with("notify", std::string(300, 'n'))
                            .with("sender_pn", Jid::phone("4915"))
                            .add(Node("enc").with("v", std::int64_t{2}).with("type", "msg"))
                            .add(Node("other")));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->sender(), Jid::lid("111", 3));
  EXPECT_EQ(m->phone, Jid::phone("4915"));
  EXPECT_EQ(m->sent_at, from_unix_ms(1'700'000'000'000));
  EXPECT_EQ(m->push_name.size(), 256u) << "kept with each event: bounded";
  ASSERT_EQ(m->encs.size(), 1u);
  EXPECT_EQ(m->encs[0].version, 2);
}

TEST(Messages, InAGroupTheParticipantIsTheSender) {
  auto group = *Jid::parse("123-456@g.us");
  auto m = read_message(Node("message")
                            .with("from", group)
                            .with("participant", Jid::lid("222"))
                            .with("participant_pn", Jid::phone("49"))
                            .with("id", "A1"));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->sender(), Jid::lid("222"));
  EXPECT_EQ(m->phone, Jid::phone("49"));
  auto receipt = delivered_receipt(*m);
  EXPECT_EQ(receipt.attr_jid("to"), group);
  EXPECT_EQ(receipt.attr_jid("participant"), Jid::lid("222"));
}

TEST(Messages, WithoutIdOrSenderThereIsNone) {
  EXPECT_FALSE(read_message(Node("message").with("from", Jid::lid("1"))));
  EXPECT_FALSE(read_message(Node("message").with("id", "A")));
  EXPECT_FALSE(
      read_message(Node("message").with("from", Jid::lid("1")).with("id", std::string(256, 'a'))));
}

TEST(Messages, TimesThatMakeNoSenseAreNone) {
  for (std::int64_t t : {std::int64_t{0}, std::int64_t{-5}, std::int64_t{1} << 62}) {
    auto m = read_message(Node("message").with("from", Jid::lid("1")).with("id", "A").with("t", t));
    ASSERT_TRUE(m);
    EXPECT_EQ(m->sent_at, WallTime{});
  }
}

TEST(Messages, TheStanzaHasAnEncForEachDevice) {
  std::vector<Recipient> devices;
  devices.push_back({Jid::lid("1"), signal::CipherType::kPreKeyMessage, Bytes{1}});
  devices.push_back({Jid::lid("1", 4), signal::CipherType::kMessage, Bytes{2}});
  auto node = text_stanza("ID", Jid::lid("1"), std::move(devices));
  EXPECT_EQ(node.attr_jid("to"), Jid::lid("1"));
  const auto& list = node.child("participants")->children();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1].attr_jid("jid"), Jid::lid("1", 4));
  EXPECT_TRUE(list[0].child("enc")->attr_is("type", "pkmsg"));
  EXPECT_TRUE(list[1].child("enc")->attr_is("type", "msg"));
  EXPECT_EQ(list[0].child("enc")->attr_int("v"), 2);
}

TEST(Receipts, KindsAndListsOfIds) {
  auto receipt = [](Node node) {
    return read_receipt(node.with("from", Jid::lid("1")).with("id", "A"));
  };
  EXPECT_EQ(receipt(Node("receipt"))->kind, ReceiptKind::kDelivered);
  EXPECT_EQ(receipt(Node("receipt").with("type", "inactive"))->kind, ReceiptKind::kDelivered);
  EXPECT_EQ(receipt(Node("receipt").with("type", "read"))->kind, ReceiptKind::kRead);
  EXPECT_EQ(receipt(Node("receipt").with("type", "played"))->kind, ReceiptKind::kRead);
  EXPECT_EQ(receipt(Node("receipt").with("type", "retry"))->kind, ReceiptKind::kRetry);
  EXPECT_EQ(receipt(Node("receipt").with("type", "server-error"))->kind, ReceiptKind::kServerError);
  EXPECT_EQ(receipt(Node("receipt").with("type", "sender"))->kind, ReceiptKind::kOther);
  auto many = receipt(Node("receipt").add(Node("list")
                                              .add(Node("item").with("id", "B"))
                                              .add(Node("item"))
                                              .add(Node("x").with("id", "C"))));
  EXPECT_EQ(many->ids, (std::vector<std::string>{"A", "B"}));
  EXPECT_FALSE(read_receipt(Node("receipt").with("id", "A")));
}

TEST(Acks, AnErrorThatIsNoNumberIsAnErrorAllTheSame) {
  auto ack = [](Node node) { return read_ack(node.with("class", "message").with("id", "A")); };
  EXPECT_EQ(ack(Node("ack"))->error, 0);
  EXPECT_EQ(ack(Node("ack").with("error", "403"))->error, 403);
  EXPECT_EQ(ack(Node("ack").with("error", "what"))->error, 500);
  EXPECT_FALSE(read_ack(Node("ack").with("id", "A")));
}

TEST(Acks, AnswerWhatCameWithWhatItHad) {
  auto ack = ack_of(Node("notification")
                        .with("id", "N")
                        .with("from", Jid::service())
                        .with("type", "devices")
                        .with("t", "5"));
  EXPECT_EQ(ack.tag, "ack");
  EXPECT_EQ(ack.attr_text("class"), "notification");
  EXPECT_EQ(ack.attr_text("id"), "N");
  EXPECT_EQ(ack.attr_jid("to"), Jid::service());
  EXPECT_EQ(ack.attr_text("type"), "devices");
  EXPECT_EQ(ack.attr("t"), nullptr);
}

TEST(Keys, ABundleThatDoesNotParseIsNone) {
  auto identity = signal::generate_identity();
  auto signed_prekey = signal::generate_signed_prekey(identity, 9);
  auto user = [&](std::size_t key_octets) {
    return Node("user")
        .with("jid", Jid::lid("1", 2))
        .add(octets("registration", {0, 0, 1, 2}))
        .add(octets("identity", Bytes(key_octets, 7)))
        .add(Node("skey")
                 .add(octets("id", {0, 0, 9}))
                 .add(octets("value", to_bytes(ByteView(signed_prekey.keys.pub))))
                 .add(octets("signature", to_bytes(ByteView(signed_prekey.signature)))));
  };
  auto answer = [](Node node) {
    return Node("iq").with("type", "result").add(Node("list").add(std::move(node)));
  };
  auto good = read_keys(answer(user(32)));
  ASSERT_TRUE(good);
  ASSERT_EQ(good->size(), 1u);
  ASSERT_TRUE(good->at(0).bundle);
  EXPECT_EQ(good->at(0).bundle->registration_id, 0x0102u);
  EXPECT_FALSE(good->at(0).bundle->one_time);
  EXPECT_FALSE(read_keys(answer(user(31)))->at(0).bundle);
  auto refused = read_keys(
      answer(Node("user").with("jid", Jid::lid("1", 2)).add(Node("error").with("code", "404"))));
  EXPECT_FALSE(refused->at(0).bundle);
}

// The whole table stands in tests/unit/link/link_test.cpp, where a server says these words.
TEST(Endings, WhatIsTheUsersAndWhatIsWhatsAppsOwnTrouble) {
  auto refused = [](std::int64_t code) {
    return read_failure(Node("failure").with("reason", code));
  };
  auto ended = [](std::int64_t code) {
    return read_stream_error(Node("stream:error").with("code", code));
  };
  for (int code : {400, 401, 402, 403, 405, 406, 409, 415, 418, 499})
    EXPECT_FALSE(refused(code).service) << code;
  for (int code : {500, 501, 503}) {
    EXPECT_TRUE(refused(code).service) << code;
    EXPECT_FALSE(refused(code).for_good) << code;
  }
  EXPECT_TRUE(ended(503).service);
  EXPECT_FALSE(ended(401).service);
  EXPECT_FALSE(ended(515).service);
}

TEST(Endings, OnlyABanHasATimeAndItIsWithinReason) {
  auto refused = [](std::int64_t code, std::string_view expire) {
    return read_failure(Node("failure").with("reason", code).with("expire", expire)).retry_after;
  };
  EXPECT_EQ(refused(402, "3600"), Millis{3'600'000});
  EXPECT_EQ(refused(402, "0"), Millis{0});
  EXPECT_EQ(refused(402, "-5"), Millis{0});
  EXPECT_EQ(refused(402, "soon"), Millis{0});
  EXPECT_EQ(refused(402, "9223372036854775807"), Millis{366ll * 86'400'000});
  EXPECT_EQ(refused(503, "3600"), Millis{0});
}

TEST(IqErrors, SayWhetherAnotherTryHelps) {
  auto error = [](std::string_view code) {
    return iq_error(Node("iq").with("type", "error").add(Node("error").with("code", code)));
  };
  EXPECT_FALSE(iq_error(Node("iq").with("type", "result")));
  EXPECT_EQ(error("429")->kind, ErrorKind::kRetryLater);
  EXPECT_EQ(error("503")->kind, ErrorKind::kRetryLater);
  EXPECT_EQ(error("404")->kind, ErrorKind::kRejected);
  EXPECT_EQ(error("nonsense")->kind, ErrorKind::kRetryLater);
}

TEST(Contents, TextGoesThereAndBack) {
  auto back = decode_content(encode_content(message::Text{"Grüße"}));
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<message::Text>(std::get<message::Content>(*back)).body, "Grüße");
  EXPECT_FALSE(decode_content(Bytes{0xff, 0xff, 0xff}));
}

}  // namespace
}  // namespace gw::whatsapp
