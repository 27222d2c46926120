#include <gmock/gmock.h>

#include "signal/wire.h"
#include "unit/signal/party.h"

namespace gw::signal {
namespace {

TEST(Curve, TheLibraryCallsOurs) { EXPECT_TRUE(curve_is_replaced()); }

class Handshake : public testing::Test {
 protected:
  Party alice{"alice"}, bob{"bob"};
};

TEST_F(Handshake, WithOneTimePreKey) {
  alice.start(bob);
  const Encrypted first = alice.seal(bob, "one");
  EXPECT_EQ(first.type, CipherType::kPreKeyMessage);
  EXPECT_EQ(read_header(first.type, first.ciphertext)->prekey_id, 1u);
  auto opened = bob.engine.decrypt(bob, alice.address(), first.type, first.ciphertext);
  ASSERT_TRUE(opened);
  EXPECT_EQ(to_string(opened->plaintext), "one");
  EXPECT_EQ(opened->writes.spent_prekey, 1u);
  EXPECT_EQ(opened->writes.remote_identity, alice.identity().keys.pub);
  EXPECT_FALSE(opened->writes.identity_changed);
  bob.apply(alice.address(), opened->writes);
  const Encrypted answer = bob.seal(alice, "two");
  EXPECT_EQ(answer.type, CipherType::kMessage);
  EXPECT_EQ(alice.open(bob, answer), "two");
  EXPECT_EQ(alice.seal(bob, "three").type, CipherType::kMessage);
}

TEST_F(Handshake, WithoutOneTimePreKey) {
  alice.start(bob, bob.bundle_without_prekey());
  const Encrypted first = alice.seal(bob, "one");
  EXPECT_EQ(read_header(first.type, first.ciphertext)->prekey_id, std::nullopt);
  auto opened = bob.engine.decrypt(bob, alice.address(), first.type, first.ciphertext);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->writes.spent_prekey, std::nullopt);
  EXPECT_EQ(bob.prekeys().size(), 5u);
}

TEST_F(Handshake, PreKeyIdZeroIsLeftOut) {
  Bundle bundle = bob.bundle();
  bundle.one_time->id = 0;
  alice.start(bob, bundle);
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "one")), "one");
}

TEST_F(Handshake, TheLargestPreKeyIdIsSpentToo) {
  PreKey last = generate_prekeys(0xffffff, 1).front();
  bob.prekeys().emplace(last.id, last);
  Bundle bundle = bob.bundle_without_prekey();
  bundle.one_time = Bundle::OneTime{last.id, last.keys.pub};
  alice.start(bob, bundle);
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "one")), "one");
  EXPECT_EQ(bob.prekey(0xffffff), nullptr);
}

TEST_F(Handshake, EveryMessageIsAPreKeyMessageUntilTheAnswer) {
  alice.start(bob);
  const Encrypted one = alice.seal(bob, "one"), two = alice.seal(bob, "two");
  EXPECT_EQ(two.type, CipherType::kPreKeyMessage);
  EXPECT_EQ(bob.open(alice, two), "two");  // whichever comes first makes the ratchet
  EXPECT_EQ(bob.open(alice, one), "one");
}

TEST_F(Handshake, RedeliveredAfterThePreKeyIsSpentIsADuplicate) {
  alice.start(bob);
  const Encrypted first = alice.seal(bob, "one");
  EXPECT_EQ(bob.open(alice, first), "one");
  EXPECT_EQ(bob.prekey(1), nullptr);
  EXPECT_EQ(bob.open(alice, first), "SIGNAL_DUPLICATE");
  EXPECT_EQ(alice.open(bob, bob.seal(alice, "two")), "two");
  EXPECT_EQ(bob.open(alice, first), "SIGNAL_DUPLICATE");
}

TEST_F(Handshake, SpentOrUnknownOneTimePreKey) {
  const Bundle bundle = bob.bundle();
  Party mallory("mallory");
  alice.start(bob, bundle);
  mallory.start(bob, bundle);
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "one")), "one");
  EXPECT_EQ(bob.open(mallory, mallory.seal(bob, "me too")), "SIGNAL_NO_PREKEY");
  EXPECT_EQ(bob.ratchet(mallory.address()), nullptr);
}

TEST_F(Handshake, UnknownSignedPreKey) {
  Bundle bundle = bob.bundle();
  bundle.signed_prekey_id = 8;
  alice.start(bob, bundle);
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "one")), "SIGNAL_NO_PREKEY");
}

TEST_F(Handshake, WrongSignatureInTheBundle) {
  Bundle bundle = bob.bundle();
  for (const std::size_t at : {0u, 31u, 32u, 62u}) {
    Bundle broken = bundle;
    broken.signed_prekey_signature[at] ^= 1;
    EXPECT_FALSE(verify_signed_prekey(broken));
    const auto writes = alice.engine.start(alice, bob.address(), broken);
    ASSERT_FALSE(writes);
    EXPECT_EQ(writes.error().reason, "SIGNAL_BAD_BUNDLE");
    EXPECT_EQ(writes.error().kind, ErrorKind::kCorrupt);
  }
  bundle.identity = Party("other").identity().keys.pub;
  EXPECT_EQ(alice.engine.start(alice, bob.address(), bundle).error().reason, "SIGNAL_BAD_BUNDLE");
}

TEST_F(Handshake, WeakKeysInTheBundle) {
  Bundle bundle = bob.bundle();
  bundle.one_time->key.fill(0);
  EXPECT_EQ(alice.engine.start(alice, bob.address(), bundle).error().reason, "SIGNAL_BAD_BUNDLE");
  bundle = bob.bundle();
  bundle.identity.fill(0);
  EXPECT_EQ(alice.engine.start(alice, bob.address(), bundle).error().reason, "SIGNAL_BAD_BUNDLE");
}

TEST_F(Handshake, IdentityChangeIsReported) {
  converse(alice, bob);
  Party reinstalled("alice");
  reinstalled.start(bob);
  const Encrypted first = reinstalled.seal(bob, "new phone");
  auto opened = bob.engine.decrypt(bob, reinstalled.address(), first.type, first.ciphertext);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->writes.identity_changed);
  EXPECT_EQ(opened->writes.remote_identity, reinstalled.identity().keys.pub);
  bob.apply(alice.address(), opened->writes);
  // A straggler of the old phone brings the old identity back: that is a change as well.
  const Encrypted late = alice.seal(bob, "old phone");
  auto straggler = bob.engine.decrypt(bob, alice.address(), late.type, late.ciphertext);
  ASSERT_TRUE(straggler);
  EXPECT_TRUE(straggler->writes.identity_changed);
  EXPECT_EQ(straggler->writes.remote_identity, alice.identity().keys.pub);
}

TEST_F(Handshake, IdentityChangeIsReportedAtStart) {
  converse(alice, bob);
  Party reinstalled("bob");
  auto writes = alice.engine.start(alice, bob.address(), reinstalled.bundle());
  ASSERT_TRUE(writes);
  EXPECT_TRUE(writes->identity_changed);
  EXPECT_EQ(writes->remote_identity, reinstalled.identity().keys.pub);
}

// The identity in the envelope of a later "pkmsg" is not covered by the MAC.
TEST_F(Handshake, ForgedIdentityUnderAKnownBaseKeyIsRefused) {
  alice.start(bob);
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "one")), "one");
  Encrypted second = alice.seal(bob, "two");
  const auto& mine = alice.identity().keys.pub;
  const auto at =
      std::search(second.ciphertext.begin(), second.ciphertext.end(), mine.begin(), mine.end());
  ASSERT_NE(at, second.ciphertext.end());
  Encrypted forged = second;
  const Key32 other = crypto::generate_key_pair().pub;
  std::copy(other.begin(), other.end(),
            forged.ciphertext.begin() + (at - second.ciphertext.begin()));
  EXPECT_EQ(bob.open(alice, forged), "SIGNAL_BAD_MESSAGE");
  EXPECT_EQ(*bob.remote_identity(alice.address()), mine);
  EXPECT_EQ(bob.open(alice, second), "two");
}

// X25519 ignores the top bit: without a check the same message opens a second ratchet.
TEST_F(Handshake, BaseKeyInItsSecondEncodingIsRefused) {
  alice.start(bob, bob.bundle_without_prekey());
  Encrypted first = alice.seal(bob, "one");
  EXPECT_EQ(bob.open(alice, first), "one");
  const Key32 base = parse_prekey_message(first.ciphertext)->base_key;
  const auto at =
      std::search(first.ciphertext.begin(), first.ciphertext.end(), base.begin(), base.end());
  ASSERT_NE(at, first.ciphertext.end());
  *(at + 31) ^= 0x80;
  EXPECT_EQ(bob.open(alice, first), "SIGNAL_BAD_MESSAGE");
}

TEST_F(Handshake, SimultaneousInitiationSettles) {
  alice.start(bob);
  bob.start(alice);
  const Encrypted from_alice = alice.seal(bob, "a1"), from_bob = bob.seal(alice, "b1");
  EXPECT_EQ(bob.open(alice, from_alice), "a1");
  EXPECT_EQ(alice.open(bob, from_bob), "b1");
  EXPECT_EQ(bob.open(alice, from_alice), "SIGNAL_DUPLICATE");
  EXPECT_EQ(alice.open(bob, from_bob), "SIGNAL_DUPLICATE");
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(bob.open(alice, alice.seal(bob, "ping")), "ping");
    EXPECT_EQ(alice.open(bob, bob.seal(alice, "pong")), "pong");
  }
  EXPECT_EQ(alice.seal(bob, "on").type, CipherType::kMessage);
}

// The library remembers five receiving chains; what is older does not even authenticate. The hash
// of each ciphertext, which the caller keeps, recognises it.
TEST_F(Handshake, ARedeliveryFromLongAgoIsABadMessage) {
  alice.start(bob);
  const Encrypted first = alice.seal(bob, "one");
  EXPECT_EQ(bob.open(alice, first), "one");
  for (int turn = 0; turn < 6; ++turn) {
    EXPECT_EQ(bob.open(alice, first), turn < 5 ? "SIGNAL_DUPLICATE" : "SIGNAL_BAD_MESSAGE");
    EXPECT_EQ(alice.open(bob, bob.seal(alice, "pong")), "pong");
    EXPECT_EQ(bob.open(alice, alice.seal(bob, "ping")), "ping");
  }
}

TEST_F(Handshake, AFreshStartArchivesTheOlderRatchet) {
  converse(alice, bob);
  const Encrypted old = bob.seal(alice, "on the old ratchet");
  alice.start(bob);
  EXPECT_EQ(alice.open(bob, old), "on the old ratchet");
  const Encrypted fresh = alice.seal(bob, "again");
  EXPECT_EQ(bob.open(alice, fresh), "again");
}

TEST_F(Handshake, TwoDevicesHaveTwoRatchets) {
  Party phone("bob", 0), desktop("bob", 3);
  alice.start(phone);
  alice.start(desktop);
  const Encrypted to_phone = alice.seal(phone, "both"), to_desktop = alice.seal(desktop, "both");
  EXPECT_NE(to_phone.ciphertext, to_desktop.ciphertext);
  EXPECT_EQ(phone.open(alice, to_desktop), "SIGNAL_BAD_MESSAGE");
  EXPECT_EQ(phone.open(alice, to_phone), "both");
  EXPECT_EQ(desktop.open(alice, to_desktop), "both");
  EXPECT_EQ(alice.open(desktop, desktop.seal(alice, "from the desktop")), "from the desktop");
  EXPECT_EQ(alice.open(phone, phone.seal(alice, "from the phone")), "from the phone");
}

TEST(Generated, KeysAreInTheirRanges) {
  for (int i = 0; i < 200; ++i) {
    const Identity made = generate_identity();
    EXPECT_GE(made.registration_id, 1u);
    EXPECT_LE(made.registration_id, 16380u);
    EXPECT_EQ(crypto::public_key(made.keys.secret), made.keys.pub);
  }
  const auto prekeys = generate_prekeys(0xfffffe, 4);
  std::vector<std::uint32_t> ids;
  for (const auto& made : prekeys) ids.push_back(made.id);
  EXPECT_THAT(ids, testing::ElementsAre(0xfffffe, 0xffffff, 1, 2));
  EXPECT_NE(prekeys[0].keys.secret, prekeys[1].keys.secret);
}

TEST(SafetyNumber, IsTheSameOnBothSides) {
  const Key32 ours = generate_identity().keys.pub, theirs = generate_identity().keys.pub;
  const std::string number = safety_number(ours, "us", theirs, "them");
  EXPECT_THAT(number, testing::MatchesRegex("([0-9]{5} ){11}[0-9]{5}"));
  EXPECT_EQ(number, safety_number(theirs, "them", ours, "us"));
  EXPECT_NE(number, safety_number(ours, "us", theirs, "others"));
  EXPECT_NE(number, safety_number(ours, "us", generate_identity().keys.pub, "them"));
}

}  // namespace
}  // namespace gw::signal
