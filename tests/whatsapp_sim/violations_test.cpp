#include "whatsapp_sim/violations.h"

#include <gtest/gtest.h>

#include "whatsapp_sim/keystore.h"
#include "whatsapp_sim/mailbox.h"
#include "whatsapp_sim/phone_keys.h"

namespace gw::sim {
namespace {

using Verdict = FarSide::Verdict;

class FarSideTest : public ::testing::Test {
 protected:
  Violations violations_;
  FarSide far_side_{violations_};
  signal::Engine engine_;
  PhoneKeys alice_, bob_;
  const signal::Address bob_name_{"bob", 0};

  void SetUp() override {
    KeyStore published;
    published.put(bob_.more(2));
    start(published);
  }
  void start(KeyStore& published) {
    auto writes = engine_.start(alice_, bob_name_, published.take()->bundle);
    ASSERT_TRUE(writes);
    alice_.apply(bob_name_, std::move(*writes));
  }
  signal::Encrypted encrypt(std::string_view text, bool keep = true) {
    auto padded = to_bytes(text);
    signal::pad(padded);
    auto made = engine_.encrypt(alice_, bob_name_, padded);
    EXPECT_TRUE(made);
    if (keep) alice_.apply(bob_name_, signal::Writes(made->writes));
    return *made;
  }
  Verdict see(const signal::Encrypted& made, std::string_view id, std::uint32_t sender = 1) {
    return far_side_.observe({sender, 2, id, made.type, made.ciphertext});
  }
  std::vector<std::string> kinds() const {
    std::vector<std::string> all;
    for (const auto& v : violations_.list()) all.push_back(v.kind);
    return all;
  }
};

TEST_F(FarSideTest, SeesNothingWrongInOrdinaryTraffic) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(see(encrypt("text"), std::string("m").append(std::to_string(i))), Verdict::kNew);
  }
  EXPECT_TRUE(kinds().empty());
}

TEST_F(FarSideTest, TheSameBytesAgainAreARepeatAndNoViolation) {
  auto made = encrypt("text");
  EXPECT_EQ(see(made, "m"), Verdict::kNew);
  EXPECT_EQ(see(made, "m"), Verdict::kRepeat);
  EXPECT_TRUE(kinds().empty());
}

TEST_F(FarSideTest, FindsAMessageKeyUsedForTwoTexts) {
  auto first = encrypt("one", false);  // as if the ratchet had not been kept
  auto second = encrypt("two");
  see(first, "m1");
  see(second, "m2");
  EXPECT_EQ(kinds(), std::vector<std::string>{"message_key_used_twice"});
}

TEST_F(FarSideTest, FindsAnIdWithTwoContents) {
  see(encrypt("one"), "m");
  EXPECT_EQ(see(encrypt("two"), "m"), Verdict::kContradicts);
  EXPECT_EQ(kinds(), std::vector<std::string>{"id_with_two_contents"});
}

TEST_F(FarSideTest, ARetryThatWasAskedForMayHaveAnotherCiphertextOnce) {
  see(encrypt("one"), "m");
  far_side_.retry_asked(1, 2, "m");
  EXPECT_EQ(see(encrypt("one"), "m"), Verdict::kNew);
  EXPECT_TRUE(kinds().empty());
  EXPECT_EQ(see(encrypt("one"), "m"), Verdict::kContradicts);
}

TEST_F(FarSideTest, FindsAPrekeyThatTwoSendersUsed) {
  auto made = encrypt("one");
  see(made, "m1");
  see(made, "m1", 7);
  EXPECT_EQ(kinds(), std::vector<std::string>{"prekey_used_by_two"});
  far_side_.forget_prekeys(2);
  see(made, "m2", 8);
  EXPECT_EQ(kinds().size(), 1u);
}

TEST(KeyStore, HandsOutEachKeyOnce) {
  PhoneKeys phone;
  auto upload = phone.more(3);
  KeyStore store;
  EXPECT_FALSE(store.take());
  store.put(upload);
  EXPECT_EQ(store.take()->bundle.one_time->id, upload.one_time[0].id);
  // An upload that is repeated after a lost answer brings nothing back.
  auto outcome = store.put(upload);
  EXPECT_EQ(outcome.repeated, 1u);
  EXPECT_FALSE(outcome.identity_changed);
  EXPECT_EQ(store.count(), 2u);
  EXPECT_FALSE(store.take(false)->bundle.one_time);
  store.take();
  auto last = store.take();
  EXPECT_FALSE(last->handed_before);
  EXPECT_FALSE(store.take()->bundle.one_time);
}

TEST(KeyStore, AnotherIdentityReplacesEverything) {
  PhoneKeys first, second;
  KeyStore store;
  store.put(first.more(5));
  store.take();
  EXPECT_TRUE(store.put(second.more(2)).identity_changed);
  EXPECT_EQ(store.count(), 2u);
  EXPECT_EQ(store.take()->bundle.identity, second.identity().keys.pub);
}

TEST(KeyStore, WithdrawnItHandsOutNothingAndTheNextIdentityIsAChange) {
  PhoneKeys first, second;
  KeyStore store;
  store.put(first.more(2));
  store.withdraw();
  EXPECT_FALSE(store.take());
  EXPECT_EQ(store.count(), 0u);
  EXPECT_TRUE(store.put(second.more(2)).identity_changed);
}

TEST(KeyStore, AKeyPublishedAgainBeforeItWentOutTakesTheNewValue) {
  PhoneKeys phone;
  KeyStore store;
  auto upload = phone.more(2);
  store.put(upload);
  upload.one_time[1].key[0] ^= 1;
  store.put(upload);
  EXPECT_EQ(store.count(), 2u);
  store.take();
  EXPECT_EQ(store.take()->bundle.one_time->key, upload.one_time[1].key);
}

TEST(KeyStore, TellsIdsThatComeBackWithAnotherKey) {
  PhoneKeys phone;
  KeyStore store;
  auto upload = phone.more(1);
  store.put(upload);
  store.take();
  upload.one_time[0].key[0] ^= 1;
  EXPECT_EQ(store.put(upload).reused_ids, 1u);
}

TEST(Mailbox, KeepsOrderAndForgetsWhatIsAnswered) {
  Mailbox box;
  for (auto id : {"a", "b", "c"}) {
    box.push(Mailbox::key("message", id, "1"), stanza::Node("message").with("id", id));
  }
  EXPECT_EQ(box.next()->attr_text("id"), "a");
  EXPECT_EQ(box.next()->attr_text("id"), "b");
  EXPECT_TRUE(box.remove(Mailbox::key("message", "a", "1")));
  EXPECT_FALSE(box.remove(Mailbox::key("message", "a", "1")));
  EXPECT_FALSE(box.remove(Mailbox::key("message", "b", "2")));
  box.rewind();
  EXPECT_EQ(box.next()->attr_text("id"), "b");
  EXPECT_EQ(box.next()->attr_text("id"), "c");
  EXPECT_EQ(box.next(), nullptr);
  EXPECT_EQ(box.count("message"), 2u);
}

TEST(Mailbox, AnAckTakesTheReceiptOfItsType) {
  Mailbox box;
  auto key = Mailbox::key("receipt", "a", "1");
  box.push(key, stanza::Node("receipt").with("id", "a"));
  box.push(key, stanza::Node("receipt").with("id", "a").with("type", "read"));
  EXPECT_TRUE(box.remove(key, "read"));
  EXPECT_EQ(box.next()->attr_text("type"), "");
  EXPECT_TRUE(box.remove(key));
  EXPECT_EQ(box.size(), 0u);
}

}  // namespace
}  // namespace gw::sim
