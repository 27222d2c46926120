#include <gtest/gtest.h>

#include "unit/noise/party.h"
#include "whatsapp/handshake.pb.h"

namespace gw::noise {
namespace {

using whatsapp::HandshakeMessage;

Bytes encode(const HandshakeMessage& m) {
  return to_bytes(std::string_view(m.SerializeAsString()));
}
HandshakeMessage decode(const Bytes& bytes) {
  HandshakeMessage m;
  if (!m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) std::abort();
  return m;
}

// The three messages of one handshake under fixed keys, to be damaged one by one.
class Handshake : public testing::Test {
 protected:
  Party p_;
  Initiator initiator_ = p_.initiator();
  Responder responder_ = p_.responder();
  Bytes hello_ = initiator_.client_hello();
  Responder answered_ = responder_;
  Bytes server_hello_ = answered_.read_client_hello(hello_).value();
  Initiator finished_ = initiator_;
  Bytes finish_ = finished_.read_server_hello(server_hello_, p_.login, kNow).value();

  std::string_view give_initiator(const Bytes& message) const {
    Initiator fresh = initiator_;
    return reason(fresh.read_server_hello(message, p_.login, kNow));
  }
  std::string_view give_responder(const Bytes& message) const {
    Responder waiting = answered_;
    return reason(waiting.read_client_finish(message));
  }
};

TEST_F(Handshake, MeetsAndTalks) {
  const auto client = answered_.read_client_finish(finish_);
  ASSERT_TRUE(client);
  EXPECT_EQ(client->static_key, p_.client.pub);
  EXPECT_EQ(client->login, p_.login);
  Transport up = finished_.split(), down = answered_.split();
  for (int i = 0; i < 100; ++i) {
    Bytes wire;
    ASSERT_TRUE(up.seal_frame(as_bytes("up"), wire));
    EXPECT_EQ(as_text(down.open(std::span(wire).subspan(3)).value()), "up");
    wire.clear();
    ASSERT_TRUE(down.seal_frame(as_bytes("down"), wire));
    EXPECT_EQ(as_text(up.open(std::span(wire).subspan(3)).value()), "down");
  }
}

TEST_F(Handshake, FreshEphemeralsEachTime) {
  Initiator a(p_.client, p_.root.pub), b(p_.client, p_.root.pub);
  EXPECT_NE(a.client_hello(), b.client_hello());
  EXPECT_EQ(a.client_hello(), a.client_hello()) << "asking twice changes nothing";
  Responder r(p_.server, p_.chain());
  auto answer = r.read_client_hello(a.client_hello());
  ASSERT_TRUE(answer);
  auto finish = a.read_server_hello(*answer, {}, kNow);
  ASSERT_TRUE(finish);
  auto client = r.read_client_finish(*finish);
  ASSERT_TRUE(client);
  EXPECT_TRUE(client->login.empty());
}

TEST_F(Handshake, EveryFlippedBitOfTheClientHelloIsSeen) {
  for (std::size_t bit = 0; bit < hello_.size() * 8; ++bit) {
    Responder r = responder_;
    const auto answer = r.read_client_hello(flipped(hello_, bit));
    if (!answer) continue;
    ASSERT_EQ(give_initiator(*answer), "BAD_TAG") << bit;
  }
}

TEST_F(Handshake, EveryFlippedBitOfTheServerHelloIsSeen) {
  for (std::size_t bit = 0; bit < server_hello_.size() * 8; ++bit)
    ASSERT_NE(give_initiator(flipped(server_hello_, bit)), "OK") << bit;
}

TEST_F(Handshake, EveryFlippedBitOfTheClientFinishIsSeen) {
  for (std::size_t bit = 0; bit < finish_.size() * 8; ++bit)
    ASSERT_NE(give_responder(flipped(finish_, bit)), "OK") << bit;
}

TEST_F(Handshake, TruncatedMessagesAreRefused) {
  auto head = [](const Bytes& b, std::size_t n) {
    return Bytes(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(n));
  };
  for (std::size_t n = 0; n < hello_.size(); ++n) {
    Responder r = responder_;
    EXPECT_EQ(reason(r.read_client_hello(head(hello_, n))), "NOISE_MALFORMED") << n;
  }
  for (std::size_t n = 0; n < server_hello_.size(); ++n)
    EXPECT_EQ(give_initiator(head(server_hello_, n)), "NOISE_MALFORMED") << n;
  for (std::size_t n = 0; n < finish_.size(); ++n)
    EXPECT_EQ(give_responder(head(finish_, n)), "NOISE_MALFORMED") << n;
}

TEST_F(Handshake, FieldsMissingOrOfTheWrongLength) {
  for (std::size_t size : {0, 31, 33, 64}) {
    HandshakeMessage m;
    m.mutable_client_hello()->set_ephemeral(std::string(size, 'e'));
    Responder r = responder_;
    EXPECT_EQ(reason(r.read_client_hello(encode(m))), "NOISE_MALFORMED");
    m = decode(server_hello_);
    m.mutable_server_hello()->set_ephemeral(std::string(size, 'e'));
    EXPECT_EQ(give_initiator(encode(m)), "NOISE_MALFORMED");
  }
  for (std::size_t size : {0, 32, 47, 49}) {
    auto m = decode(server_hello_);
    m.mutable_server_hello()->mutable_static_()->resize(size);
    EXPECT_EQ(give_initiator(encode(m)), "NOISE_MALFORMED");
    m = decode(finish_);
    m.mutable_client_finish()->mutable_static_()->resize(size);
    EXPECT_EQ(give_responder(encode(m)), "NOISE_MALFORMED");
  }
  for (std::size_t size : {0, 15}) {
    auto m = decode(server_hello_);
    m.mutable_server_hello()->mutable_payload()->resize(size);
    EXPECT_EQ(give_initiator(encode(m)), "NOISE_MALFORMED");
    m = decode(finish_);
    m.mutable_client_finish()->mutable_payload()->resize(size);
    EXPECT_EQ(give_responder(encode(m)), "NOISE_MALFORMED");
  }
}

TEST_F(Handshake, AnotherPatternIsRefused) {
  // A static and a payload in the first message would be IK.
  for (bool payload : {false, true}) {
    auto m = decode(hello_);
    if (payload)
      m.mutable_client_hello()->set_payload("x");
    else
      m.mutable_client_hello()->set_static_(std::string(48, 's'));
    Responder r = responder_;
    EXPECT_EQ(reason(r.read_client_hello(encode(m))), "NOISE_MALFORMED");
  }
}

TEST_F(Handshake, AMessageOfAnotherStepIsRefused) {
  EXPECT_EQ(give_initiator(hello_), "NOISE_MALFORMED");
  EXPECT_EQ(give_initiator(finish_), "NOISE_MALFORMED");
  EXPECT_EQ(give_responder(hello_), "NOISE_MALFORMED");
  EXPECT_EQ(give_responder(server_hello_), "NOISE_MALFORMED");
}

TEST_F(Handshake, AKeyThatMakesEverySecretZeroIsRefused) {
  HandshakeMessage m;
  m.mutable_client_hello()->set_ephemeral(std::string(32, '\0'));
  Responder r = responder_;
  EXPECT_EQ(reason(r.read_client_hello(encode(m))), "WEAK_PUBLIC_KEY");
  m = decode(server_hello_);
  m.mutable_server_hello()->set_ephemeral(std::string(32, '\0'));
  EXPECT_EQ(give_initiator(encode(m)), "WEAK_PUBLIC_KEY");

  // A static of zero, properly encrypted: only somebody who takes part can send it.
  crypto::KeyPair zero = p_.client;
  zero.pub.fill(0);
  Initiator hostile(zero, p_.root.pub, p_.client_ephemeral);
  const auto finish = hostile.read_server_hello(server_hello_, p_.login, kNow);
  ASSERT_TRUE(finish);
  EXPECT_EQ(give_responder(*finish), "WEAK_PUBLIC_KEY");
}

TEST_F(Handshake, AClientThatDoesNotOwnItsStaticIsSeen) {
  crypto::KeyPair stolen = p_.client;
  stolen.secret = pair_of(77).secret;
  Initiator hostile(stolen, p_.root.pub, p_.client_ephemeral);
  const auto finish = hostile.read_server_hello(server_hello_, p_.login, kNow);
  ASSERT_TRUE(finish);
  EXPECT_EQ(give_responder(*finish), "BAD_TAG");
}

TEST_F(Handshake, AServerThatDoesNotOwnItsStaticIsSeen) {
  // It shows a rightful chain and the rightful public key, without the secret.
  crypto::KeyPair stolen = p_.server;
  stolen.secret = pair_of(77).secret;
  Responder hostile(stolen, p_.chain(), p_.server_ephemeral);
  EXPECT_EQ(give_initiator(hostile.read_client_hello(hello_).value()), "BAD_TAG");
}

TEST_F(Handshake, TheChainIsJudgedStrictly) {
  auto judged = [&](Party p) {
    Responder r = p.responder();
    return give_initiator(r.read_client_hello(hello_).value());
  };
  EXPECT_EQ(judged(p_), "OK");
  Party other = p_;
  other.server = pair_of(50);  // a rightful chain, for another server's key
  EXPECT_EQ(judged(other), "CERT_LEAF_KEY");
  other = p_;
  other.root = pair_of(51);
  EXPECT_EQ(judged(other), "CERT_INTERMEDIATE_SIGNATURE");
  other = p_;
  other.leaf.not_after = kNowSeconds - 1;
  EXPECT_EQ(judged(other), "CERT_EXPIRED");
  Responder r(p_.server, to_bytes("no chain"), p_.server_ephemeral);
  EXPECT_EQ(give_initiator(r.read_client_hello(hello_).value()), "CERT_MALFORMED");
}

TEST_F(Handshake, UnknownFieldsAreIgnored) {
  // Servers may send fields of newer versions (padding); they are outside the hash.
  auto m = decode(server_hello_);
  m.mutable_server_hello()->mutable_unknown_fields()->append("\x2a\x03pad", 5);
  EXPECT_EQ(give_initiator(encode(m)), "OK");
}

TEST_F(Handshake, AFailedOneStaysFailed) {
  Initiator i = initiator_;
  EXPECT_EQ(reason(i.read_server_hello({}, p_.login, kNow)), "NOISE_MALFORMED");
  EXPECT_EQ(reason(i.read_server_hello(server_hello_, p_.login, kNow)), "NOISE_OUT_OF_ORDER");
  EXPECT_EQ(reason(finished_.read_server_hello(server_hello_, p_.login, kNow)),
            "NOISE_OUT_OF_ORDER");

  Responder r = responder_;
  EXPECT_EQ(reason(r.read_client_finish(finish_)), "NOISE_OUT_OF_ORDER");
  EXPECT_EQ(reason(r.read_client_hello(hello_)), "NOISE_OUT_OF_ORDER");
  EXPECT_EQ(reason(answered_.read_client_hello(hello_)), "NOISE_OUT_OF_ORDER");
}

TEST_F(Handshake, NoKeysBeforeTheEnd) {
  EXPECT_DEATH((void)initiator_.split(), "");
  EXPECT_DEATH((void)answered_.split(), "");
  Initiator refused = initiator_;
  EXPECT_FALSE(refused.read_server_hello(flipped(server_hello_, 400), p_.login, kNow));
  EXPECT_DEATH((void)refused.split(), "");
  (void)finished_.split();
  EXPECT_DEATH((void)finished_.split(), "") << "the same keys and counters twice";
}

}  // namespace
}  // namespace gw::noise
