// What ends a link, and what it is called: each against a server that does just that.

#include "link/link.h"

#include <algorithm>
#include <functional>
#include <future>
#include <gtest/gtest.h>

#include "unit/link/whatsapp.h"
#include "whatsapp/keys.h"

namespace gw::link {
namespace {

using stanza::Node;

class LinkTest : public testing::Test {
 protected:
  LinkTest() {
    options.host = "127.0.0.1";
    options.port = server.port();
    options.root = server.party().root.pub;
  }
  ~LinkTest() override {
    on_loop([&] {
      if (link) link->abandon();
      link.reset();
    });
    loop.stop();
  }

  void on_loop(const std::function<void()>& work) {
    std::promise<void> done;
    loop.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  void open() {
    on_loop([&] {
      link = Link::open(loop, options, clock, probe, server.party().client, server.party().login,
                        heard);
    });
  }
  // Opens a link; the peer's part until it is up.
  std::unique_ptr<Peer> opened() {
    open();
    auto peer = server.accept();
    if (!peer || !peer->up() || !heard.up()) ADD_FAILURE() << "no link";
    return peer;
  }
  // Opens a link that is answered so; -> why it went down.
  Down answered(const std::function<void(Peer&)>& answer) {
    open();
    auto peer = server.accept();
    if (peer) answer(*peer);
    return heard.down();
  }
  void impatient() { options.connect_timeout = Millis{200}; }
  std::uint64_t counted(std::string_view reason) const {
    auto at = std::find(kDownReasons.begin(), kDownReasons.end(), reason) - kDownReasons.begin();
    return probe.down.at(static_cast<std::size_t>(at));
  }

  Server server;
  CertificateClock clock;
  LinkProbe probe;
  Options options;
  Heard heard;
  runtime::Loop loop{"test"};
  std::shared_ptr<Link> link;
};

// ---- on the way there ----

TEST_F(LinkTest, NobodyThere) {
  server.stop();
  open();
  auto why = heard.down();
  EXPECT_EQ(why.reason, "CONNECT_FAILED");
  EXPECT_FALSE(why.for_good);
  EXPECT_FALSE(why.login_sent);
  EXPECT_EQ(counted("CONNECT_FAILED"), 1u);
}

TEST_F(LinkTest, SilenceInsteadOfAHello) {
  impatient();
  auto why = answered([&](Peer&) { heard.down(); });
  EXPECT_EQ(why.reason, "CONNECT_TIMEOUT");
  EXPECT_FALSE(why.login_sent) << "the token may open another link";
}

TEST_F(LinkTest, SilenceInTheMiddleOfAHello) {
  impatient();
  auto why = answered([&](Peer& peer) {
    peer.write(Bytes{0, 1, 0, 7});
    heard.down();
  });
  EXPECT_EQ(why.reason, "CONNECT_TIMEOUT");
}

TEST_F(LinkTest, SilenceInsteadOfAnAnswerToTheLogin) {
  impatient();
  auto why = answered([&](Peer& peer) {
    ASSERT_TRUE(peer.hello());
    EXPECT_EQ(peer.login(), server.party().login);
    heard.down();
  });
  EXPECT_EQ(why.reason, "CONNECT_TIMEOUT");
  EXPECT_TRUE(why.login_sent);
}

TEST_F(LinkTest, OtherStanzasAreNoAnswerToTheLogin) {
  impatient();
  auto why = answered([&](Peer& peer) {
    ASSERT_TRUE(peer.hello() && peer.login());
    peer.send(Node("ib"));
    heard.down();
  });
  EXPECT_EQ(why.reason, "CONNECT_TIMEOUT");
}

TEST_F(LinkTest, ALinkThatIsUpHasNoDeadlineAnyMore) {
  impatient();
  auto peer = opened();
  options.connect_timeout = Millis{0};
  std::promise<void> later;
  on_loop(
      [&] { link->request(whatsapp::active_request(), [&](const auto&) { later.set_value(); }); });
  auto asked = peer->receive();
  ASSERT_TRUE(asked);
  peer->send(Node("iq").with("type", "result").with("id", asked->attr_text("id")));
  later.get_future().wait();
  EXPECT_EQ(heard.downs(), 0u);
}

TEST_F(LinkTest, AnotherRootsCertificate) {
  options.root[0] ^= 1;
  auto why = answered([](Peer& peer) { EXPECT_TRUE(peer.hello() && peer.closed()); });
  EXPECT_EQ(why.reason, "HANDSHAKE_FAILED");
  EXPECT_FALSE(why.for_good);
  EXPECT_FALSE(why.login_sent) << "no token for whoever that is";
}

TEST_F(LinkTest, WhatIsNoHello) {
  auto why = answered([](Peer& peer) {
    Bytes out;
    noise::put_frame(out, to_bytes("HTTP/1.1 400 Bad Request"));
    peer.write(out);
    EXPECT_TRUE(peer.closed());
  });
  EXPECT_EQ(why.reason, "HANDSHAKE_FAILED");
}

TEST_F(LinkTest, AFrameWithoutEnd) {
  options.max_frame = 1000;
  auto why = answered([](Peer& peer) {
    peer.write(to_bytes("HTTP/1.1 400 Bad Request"));
    EXPECT_TRUE(peer.closed());
  });
  EXPECT_EQ(why.reason, "BAD_FRAME");
}

TEST_F(LinkTest, ClosedInsteadOfAnAnswer) {
  EXPECT_EQ(answered([](Peer& peer) { peer.close(); }).reason, "CONNECTION_LOST");
}

TEST_F(LinkTest, AnAnswerToTheLoginThatDoesNotDecode) {
  auto why = answered([](Peer& peer) {
    ASSERT_TRUE(peer.hello() && peer.login());
    peer.send_plain(to_bytes("?"));
    EXPECT_TRUE(peer.closed());
  });
  EXPECT_EQ(why.reason, "BAD_STANZA");
}

// ---- WhatsApp's words ----

struct Words {
  Node said;
  std::string_view reason;
  bool for_good = false;
  Millis retry_after{0};
};
Node refused(std::int64_t reason) { return Node("failure").with("reason", reason); }
Node ended(std::int64_t code) { return Node("stream:error").with("code", code); }
Node conflict(std::string_view type) {
  return Node("stream:error").add(Node("conflict").with("type", type));
}

TEST_F(LinkTest, EachRefusalOfALogin) {
  const Words all[] = {
      {refused(400), "LOGIN_REFUSED"},
      {refused(401), "TOKEN_REFUSED"},
      {refused(402), "TEMPORARILY_BANNED"},
      {refused(402).with("expire", std::int64_t{90}), "TEMPORARILY_BANNED", false, Millis{90'000}},
      {refused(403), "LOCKED", true},
      {refused(405), "CLIENT_OUTDATED", true},
      {refused(406), "BANNED", true},
      {refused(409), "BAD_USER_AGENT", true},
      {refused(415), "NOT_FOUND", true},
      {refused(418), "CLIENT_UNKNOWN", true},
      {refused(500), "SERVER_UNAVAILABLE"},
      {refused(501), "SERVER_UNAVAILABLE"},
      {refused(503), "SERVER_UNAVAILABLE"},
      {refused(599), "LOGIN_REFUSED"},
      {Node("failure"), "SERVER_UNAVAILABLE"},
      {conflict("replaced"), "REPLACED"},
      {ended(503), "SERVER_GOING_AWAY"},
      {Node("xmlstreamend"), "STREAM_ENDED"},
  };
  for (const auto& words : all) {
    Heard mine;
    on_loop([&] {
      link = Link::open(loop, options, clock, probe, server.party().client, server.party().login,
                        mine);
    });
    auto peer = server.accept();
    ASSERT_TRUE(peer && peer->hello() && peer->login() && peer->send(words.said));
    auto why = mine.down();
    EXPECT_EQ(why.reason, words.reason);
    EXPECT_EQ(why.for_good, words.for_good) << words.reason;
    EXPECT_EQ(why.retry_after, words.retry_after) << words.reason;
    EXPECT_TRUE(why.login_sent);
    EXPECT_TRUE(peer->closed());
  }
  EXPECT_EQ(counted("TEMPORARILY_BANNED"), 2u);
}

TEST_F(LinkTest, EachEndOfASession) {
  const Words all[] = {
      {conflict("replaced"), "REPLACED"},
      {conflict("device_removed"), "LOGGED_OUT", true},
      {conflict("device_removed").with("code", std::int64_t{401}), "LOGGED_OUT", true},
      {conflict("of a new kind"), "REPLACED"},
      {ended(401), "LOGGED_OUT", true},
      {ended(503), "SERVER_GOING_AWAY"},
      {ended(515), "RESTART_REQUIRED"},
      {ended(516), "STREAM_ERROR"},
      {Node("stream:error"), "STREAM_ERROR"},
      {Node("xmlstreamend"), "STREAM_ENDED"},
  };
  for (const auto& words : all) {
    Heard mine;
    on_loop([&] {
      link = Link::open(loop, options, clock, probe, server.party().client, server.party().login,
                        mine);
    });
    auto peer = server.accept();
    ASSERT_TRUE(peer && peer->up() && mine.up() && peer->send(words.said));
    auto why = mine.down();
    EXPECT_EQ(why.reason, words.reason);
    EXPECT_EQ(why.for_good, words.for_good) << words.reason;
    EXPECT_TRUE(peer->closed());
    EXPECT_EQ(mine.downs(), 1u);
  }
}

TEST(DownReasons, NoCodeHasAReasonThatIsNotInTheList) {
  for (std::int64_t code = -1; code < 1000; ++code)
    for (auto reason : {whatsapp::read_failure(refused(code)).reason,
                        whatsapp::read_stream_error(ended(code)).reason})
      EXPECT_NE(std::find(kDownReasons.begin(), kDownReasons.end(), reason), kDownReasons.end())
          << reason;
}

// ---- a link that is up ----

TEST_F(LinkTest, TheEndOfTheConnection) {
  opened()->close();
  EXPECT_EQ(heard.down().reason, "CONNECTION_LOST");
}

TEST_F(LinkTest, AResetOfTheConnection) {
  opened()->reset();
  EXPECT_EQ(heard.down().reason, "CONNECTION_LOST");
}

TEST_F(LinkTest, AFrameThatDoesNotAuthenticate) {
  auto peer = opened();
  Bytes out;
  noise::put_frame(out, Bytes(40, 7));
  peer->write(out);
  EXPECT_EQ(heard.down().reason, "BAD_FRAME");
  EXPECT_EQ(probe.bad_frames, 1u);
}

TEST_F(LinkTest, SilenceIsNoticedWithinIntervalAndDeadline) {
  options.keepalive_interval = Millis{100};
  options.keepalive_deadline = Millis{100};
  auto peer = opened();  // half-open: the peer takes all and says nothing
  auto asked = peer->receive();
  ASSERT_TRUE(asked);
  EXPECT_TRUE(asked->attr_is("xmlns", "w:p"));
  EXPECT_EQ(heard.down().reason, "SILENT");
  EXPECT_EQ(probe.keepalives_lost, 1u);
  EXPECT_TRUE(peer->closed());
}

TEST_F(LinkTest, WhoAnswersKeepalivesIsNotSilent) {
  options.keepalive_interval = Millis{20};
  options.keepalive_deadline = Millis{700};
  auto peer = opened();
  for (int i = 0; i < 3; ++i) {
    auto asked = peer->receive();
    ASSERT_TRUE(asked);
    peer->send(Node("iq").with("type", "result").with("id", asked->attr_text("id")));
  }
  EXPECT_EQ(heard.downs(), 0u);
}

TEST_F(LinkTest, AnyStanzaIsLife) {
  options.keepalive_interval = Millis{20};
  options.keepalive_deadline = Millis{700};
  auto peer = opened();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(peer->receive());  // a keepalive; its answer is lost, something else comes
    peer->send(Node("notification"));
  }
  EXPECT_EQ(heard.downs(), 0u);
}

TEST_F(LinkTest, WhileReadingIsPausedKeepalivesGoOnAndNobodyIsSilent) {
  options.keepalive_interval = Millis{20};
  options.keepalive_deadline = Millis{20};
  auto peer = opened();
  on_loop([&] { link->pause_reading(true); });
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(peer->receive());
  EXPECT_EQ(heard.downs(), 0u);
  on_loop([&] { link->pause_reading(false); });
  EXPECT_EQ(heard.down().reason, "SILENT");
}

TEST_F(LinkTest, AQueueThatIsFullWhenAKeepaliveIsDue) {
  options.keepalive_interval = Millis{20};
  options.max_queued = 4;
  heard.on_down = [&] { link.reset(); };  // the last one that held it
  auto peer = opened();
  EXPECT_EQ(heard.down().reason, "QUEUE_FULL");
  EXPECT_EQ(probe.keepalives_lost, 0u);
}

TEST_F(LinkTest, ARequestThatIsNotAnsweredAndOneWhoseLinkGoes) {
  options.request_timeout = Millis{50};
  auto peer = opened();
  std::promise<std::string_view> first, second;
  auto tell = [](std::promise<std::string_view>& to) {
    return [&to](const Result<Node>& answer) {
      to.set_value(answer ? "ANSWERED" : answer.error().reason);
    };
  };
  on_loop([&] { link->request(whatsapp::active_request(), tell(first)); });
  EXPECT_EQ(first.get_future().get(), "REQUEST_TIMEOUT");
  options.request_timeout = Millis{60'000};
  on_loop([&] { link->request(whatsapp::active_request(), tell(second)); });
  peer->close();
  EXPECT_EQ(second.get_future().get(), "LINK_DOWN");
  EXPECT_EQ(heard.down().reason, "CONNECTION_LOST");
}

TEST_F(LinkTest, ClosedByUs) {
  auto peer = opened();
  on_loop([&] { link->close(); });
  EXPECT_EQ(heard.down().reason, "CLOSED");
  EXPECT_TRUE(peer->closed());
  on_loop([&] { link->close(); });
  EXPECT_EQ(heard.downs(), 1u);
}

TEST_F(LinkTest, AfterAbandonNobodyIsTold) {
  auto peer = opened();
  on_loop([&] { link->abandon(); });
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(heard.downs(), 0u);
}

}  // namespace
}  // namespace gw::link
