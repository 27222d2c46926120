#include <algorithm>
#include <deque>

#include "signal/provider.h"
#include "signal/record.h"
#include "unit/signal/party.h"

namespace gw::signal {
namespace {

class Ratchet : public testing::Test {
 protected:
  void SetUp() override { converse(alice, bob); }
  Party alice{"alice"}, bob{"bob"};
};

TEST_F(Ratchet, OutOfOrderAndDuplicates) {
  std::vector<Encrypted> sent;
  for (int i = 0; i < 10; ++i) sent.push_back(alice.seal(bob, std::to_string(i)));
  for (const std::size_t i : {7u, 0u, 9u, 3u}) {
    EXPECT_EQ(bob.open(alice, sent[i]), std::to_string(i));
    EXPECT_EQ(bob.open(alice, sent[i]), "SIGNAL_DUPLICATE");
  }
  EXPECT_EQ(alice.open(bob, bob.seal(alice, "turn")), "turn");
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "next chain")), "next chain");
  for (const std::size_t i : {1u, 8u}) EXPECT_EQ(bob.open(alice, sent[i]), std::to_string(i));
  for (const std::size_t i : {1u, 7u}) EXPECT_EQ(bob.open(alice, sent[i]), "SIGNAL_DUPLICATE");
}

TEST_F(Ratchet, TwoThousandAheadAndNotOneMore) {
  Encrypted at_2000, at_2001;
  for (int i = 0; i <= 2001; ++i) {
    at_2000 = std::move(at_2001);
    at_2001 = alice.seal(bob, "far");
  }
  EXPECT_EQ(bob.open(alice, at_2001), "SIGNAL_BAD_MESSAGE");
  EXPECT_EQ(bob.open(alice, at_2000), "far");
  EXPECT_EQ(bob.open(alice, at_2001), "far");
}

TEST_F(Ratchet, NoRatchet) {
  Party stranger("stranger");
  const Encrypted message = alice.seal(bob, "for bob");
  auto opened =
      stranger.engine.decrypt(stranger, alice.address(), message.type, message.ciphertext);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().reason, "SIGNAL_NO_RATCHET");
  EXPECT_EQ(opened.error().kind, ErrorKind::kCorrupt);
  auto sealed = stranger.engine.encrypt(stranger, alice.address(), as_bytes("x"));
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().reason, "SIGNAL_NO_RATCHET");
  EXPECT_EQ(sealed.error().kind, ErrorKind::kRejected);
}

TEST_F(Ratchet, AnyChangedOctetIsRefused) {
  const Encrypted message = alice.seal(bob, "x");
  ASSERT_EQ(message.type, CipherType::kMessage);
  const auto before = bob.ratchets;
  for (std::size_t at = 0; at < message.ciphertext.size(); ++at) {
    for (int mask = 1; mask < 256; mask <<= 1) {
      Bytes changed = message.ciphertext;
      changed[at] ^= static_cast<std::uint8_t>(mask);
      const auto opened = bob.engine.decrypt(bob, alice.address(), message.type, changed);
      ASSERT_FALSE(opened) << at;
      // A lower counter names a key that is gone, and its MAC cannot be checked any more.
      EXPECT_TRUE(opened.error().reason == "SIGNAL_BAD_MESSAGE" ||
                  opened.error().reason == "SIGNAL_DUPLICATE")
          << at << opened.error().reason;
    }
  }
  EXPECT_EQ(bob.ratchets, before);
  EXPECT_EQ(bob.open(alice, message), "x");
}

TEST_F(Ratchet, AnyCutIsRefused) {
  const Encrypted message = alice.seal(bob, "some text");
  alice.start(bob);
  const Encrypted prekey_message = alice.seal(bob, "some text");
  for (const Encrypted& whole : {message, prekey_message}) {
    for (std::size_t size = 0; size < whole.ciphertext.size(); ++size)
      EXPECT_EQ(bob.open(alice, whole.type, ByteView(whole.ciphertext).first(size)),
                "SIGNAL_BAD_MESSAGE");
    EXPECT_EQ(bob.open(alice, whole), "some text");
  }
}

// Only the registration id and unknown fields are outside of what a "pkmsg" authenticates.
TEST_F(Ratchet, AChangedPreKeyMessageNeverYieldsAnotherText) {
  Party carol("carol");
  carol.start(bob);
  const Encrypted first = carol.seal(bob, "x");
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < first.ciphertext.size(); ++at) {
    for (int mask = 1; mask < 256; mask <<= 1) {
      Bytes changed = first.ciphertext;
      changed[at] ^= static_cast<std::uint8_t>(mask);
      const auto opened = bob.engine.decrypt(bob, carol.address(), first.type, changed);
      if (!opened) {
        EXPECT_NE(opened.error().reason, "SIGNAL_FAULT") << at << opened.error().message;
        continue;
      }
      ++accepted;
      EXPECT_EQ(to_string(opened->plaintext), "x");
      EXPECT_EQ(opened->writes.remote_identity, carol.identity().keys.pub);
    }
  }
  // The version's low half (4 bits), the id's 14 bits, and its tag's where it becomes unknown.
  EXPECT_LT(accepted, 32u);
  EXPECT_EQ(bob.open(carol, first), "x");
}

TEST_F(Ratchet, AnErrorLeavesNothingBehind) {
  // A message two ahead with a bad MAC makes the library derive and keep keys before it checks.
  alice.seal(bob, "lost");
  alice.start(bob);
  const Encrypted good = alice.seal(bob, "good");
  Bytes bad = good.ciphertext;
  const std::size_t id_size = alice.identity().registration_id < 128 ? 1 : 2;
  bad[bad.size() - 4 - id_size] ^= 1;  // the MAC: two short fields follow it
  const auto ratchets = bob.ratchets;
  const auto identities = bob.identities;
  const auto prekeys = bob.prekeys().size();
  EXPECT_EQ(bob.open(alice, good.type, bad), "SIGNAL_BAD_MESSAGE");
  EXPECT_EQ(bob.ratchets, ratchets);
  EXPECT_EQ(bob.identities, identities);
  EXPECT_EQ(bob.prekeys().size(), prekeys);
  // The engine carries nothing over either: the next operation writes its own things only.
  const auto sealed = bob.engine.encrypt(bob, alice.address(), as_bytes("x"));
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->writes.spent_prekey, std::nullopt);
  EXPECT_EQ(sealed->writes.remote_identity, std::nullopt);
  EXPECT_EQ(bob.open(alice, good), "good");
}

TEST_F(Ratchet, ResultsThatAreDroppedCanBeMadeAgain) {
  const Encrypted message = alice.seal(bob, "once");
  const auto before = bob.ratchets;
  for (int i = 0; i < 2; ++i) {
    const auto opened = bob.engine.decrypt(bob, alice.address(), message.type, message.ciphertext);
    ASSERT_TRUE(opened);
    EXPECT_EQ(bob.ratchets, before);
    EXPECT_NE(opened->writes.ratchet, before.at(alice.address()));
    EXPECT_EQ(opened->writes.remote_identity, std::nullopt);  // nothing new
  }
}

TEST_F(Ratchet, WeakRatchetKeyIsABadMessage) {
  Encrypted message = alice.seal(bob, "x");
  const Key32 key = read_header(message.type, message.ciphertext)->ratchet_key;
  const auto at =
      std::search(message.ciphertext.begin(), message.ciphertext.end(), key.begin(), key.end());
  std::fill_n(at, key.size(), 0);
  EXPECT_EQ(bob.open(alice, message), "SIGNAL_BAD_MESSAGE");
}

TEST_F(Ratchet, ABrokenRecordIsAFault) {
  const Encrypted message = alice.seal(bob, "x");
  for (Bytes broken : {Bytes{0xff, 0xff, 0xff}, Bytes{0x0a, 0x02, 0x12, 0x00}}) {
    bob.ratchets[alice.address()] = broken;
    EXPECT_EQ(bob.open(alice, message), "SIGNAL_FAULT");
    const auto sealed = bob.engine.encrypt(bob, alice.address(), as_bytes("x"));
    ASSERT_FALSE(sealed);
    EXPECT_EQ(sealed.error().reason, "SIGNAL_FAULT");
    EXPECT_EQ(sealed.error().kind, ErrorKind::kBug);
  }
}

TEST_F(Ratchet, LongAndEmptyTexts) {
  std::string text(65536, '\0');
  std::mt19937_64 random(seed());
  for (char& c : text) c = static_cast<char>(random());
  for (const std::string& t : {text, std::string(), text.substr(1), std::string("y")}) {
    EXPECT_EQ(bob.open(alice, alice.seal(bob, t)), t);
    EXPECT_EQ(alice.open(bob, bob.seal(alice, t)), t);
  }
}

TEST_F(Ratchet, HeaderCountsUpInOneChain) {
  const Encrypted one = alice.seal(bob, "1"), two = alice.seal(bob, "2");
  const auto first = read_header(one.type, one.ciphertext);
  const auto second = read_header(two.type, two.ciphertext);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->counter + 1, second->counter);
  EXPECT_EQ(first->ratchet_key, second->ratchet_key);
  EXPECT_EQ(first->prekey_id, std::nullopt);
}

// A record that would grow without end loses archived ratchets, never the current one.
TEST_F(Ratchet, ARecordIsBounded) {
  for (int i = 0; i < 4; ++i) {
    alice.start(bob, bob.bundle_without_prekey());
    Encrypted last;
    for (int k = 0; k <= 1500; ++k) last = alice.seal(bob, "gap");
    ASSERT_EQ(bob.open(alice, last), "gap");
    EXPECT_LE(bob.ratchets.at(alice.address()).size(), kRecordBound);
  }
  EXPECT_EQ(alice.open(bob, bob.seal(alice, "still here")), "still here");
}

TEST_F(Ratchet, TrimmingKeepsTheNewest) {
  std::vector<Encrypted> unread;
  for (int i = 0; i < 4; ++i) {
    alice.start(bob, bob.bundle_without_prekey());
    unread.push_back(alice.seal(bob, std::to_string(i)));
    ASSERT_EQ(bob.open(alice, alice.seal(bob, "now")), "now");
  }
  const Provider provider;
  Bytes& record = bob.ratchets.at(alice.address());
  const std::size_t size = record.size();
  ASSERT_EQ(trim_record(record, size, provider.context()), 0);
  ASSERT_EQ(record.size(), size);
  // Four archived ratchets: half go, which is enough here.
  ASSERT_EQ(trim_record(record, size - 1, provider.context()), 0);
  EXPECT_LT(record.size(), size);
  EXPECT_EQ(bob.open(alice, unread[3]), "3");
  EXPECT_EQ(bob.open(alice, unread[2]), "2");
  ASSERT_EQ(trim_record(record, 1, provider.context()), 0);
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "on")), "on");
}

// Two parties over a network that drops, reorders and repeats. Every message is read once or not at
// all, whatever happens, and only for one of the reasons that the protocol has.
class Network {
 public:
  Network(Party& a, Party& b, std::uint64_t seed_value)
      : side_{Side{&a, {}, {}}, Side{&b, {}, {}}} {
    random_.seed(seed_value);
  }

  void step() {
    const std::size_t at = pick(2);
    switch (pick(8)) {
      case 0:
      case 1:
      case 2:
        return send(at);
      case 3:
        if (!side_[at].inbox.empty()) side_[at].inbox.erase(choose(at));
        return;
      default:
        return deliver(at, pick(4) == 0);
    }
  }
  std::size_t read = 0, repeated = 0, too_old = 0;

 private:
  struct InFlight {
    Encrypted sealed;
    std::string text;
    bool was_read = false;
  };
  struct Side {
    Party* party;
    std::deque<InFlight> inbox;
    std::vector<Key32> chains;  // sender's ratchet keys, as they were first accepted here
  };

  std::size_t pick(std::size_t below) { return random_() % below; }
  std::deque<InFlight>::iterator choose(std::size_t at) {
    auto& inbox = side_[at].inbox;
    return inbox.begin() +
           static_cast<std::ptrdiff_t>(pick(2) == 0 ? 0 : pick(inbox.size()));  // mostly in order
  }

  void send(std::size_t from) {
    Party& sender = *side_[from].party;
    Party& receiver = *side_[1 - from].party;
    if (!sender.ratchet(receiver.address())) sender.start(receiver);
    std::string text = std::to_string(count_++) + std::string(pick(100), 'x');
    Encrypted sealed = sender.seal(receiver, text);
    side_[1 - from].inbox.push_back({std::move(sealed), std::move(text)});
  }

  void deliver(std::size_t at, bool keep) {
    Side& side = side_[at];
    if (side.inbox.empty()) return;
    const auto chosen = choose(at);
    const Key32 chain = read_header(chosen->sealed.type, chosen->sealed.ciphertext)->ratchet_key;
    const auto seen = std::find(side.chains.begin(), side.chains.end(), chain);
    // The library keeps five receiving chains; the initiator's first is the signed prekey's own.
    const bool remembered = seen == side.chains.end() || side.chains.end() - seen <= 5;
    const auto before = side.party->ratchets;
    const std::string got = side.party->open(*side_[1 - at].party, chosen->sealed);
    if (got == chosen->text) {
      ASSERT_FALSE(chosen->was_read);
      if (seen == side.chains.end()) side.chains.push_back(chain);
      chosen->was_read = true;
      ++read;
    } else if (remembered) {
      ASSERT_TRUE(chosen->was_read) << got;
      ASSERT_EQ(got, "SIGNAL_DUPLICATE");
      ++repeated;
    } else {
      ASSERT_EQ(got, "SIGNAL_BAD_MESSAGE");
      ++too_old;
    }
    if (got != chosen->text) {
      ASSERT_EQ(side.party->ratchets, before);
    }
    if (!keep) side.inbox.erase(chosen);
  }

  std::array<Side, 2> side_;
  std::mt19937_64 random_;
  std::size_t count_ = 0;
};

TEST(Property, RandomConversations) {
  for (std::uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(testing::Message() << "GW_SEED=" << seed() << " round " << round);
    Party alice("alice"), bob("bob");
    // One side begins; both at once is a case of its own (handshake_test).
    converse(alice, bob);
    Network network(alice, bob, seed() + round);
    for (int i = 0; i < 800 && !testing::Test::HasFatalFailure(); ++i) network.step();
    EXPECT_GT(network.read, 100u);
    EXPECT_GT(network.repeated, 10u);
  }
}

}  // namespace
}  // namespace gw::signal
