// An interop user's link over TCP, as the gateway opens it, against the simulator in this process.

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <filesystem>
#include <future>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

#include "stanza/codec.h"
#include "whatsapp/e2e.pb.h"
#include "whatsapp/handshake.pb.h"
#include "whatsapp_sim/control/control.h"
#include "whatsapp_sim/phone_keys.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/session.h"
#include "whatsapp_sim/state.h"
#include "whatsapp_sim/testing.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using stanza::Jid;
using stanza::Node;

constexpr std::uint16_t kIntegrator = 7;
constexpr timeval kPatience{10, 0};  // for each read

// The other side of a link, blocking.
class Client {
 public:
  Client(std::uint16_t port, const crypto::Key32& root, const std::string& token,
         const std::string& address = "192.0.2.1") {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    whatsapp::ClientPayload login;
    login.set_passive(true);
    login.set_product(whatsapp::ClientPayload::INTEROP);
    login.mutable_interop_data()->set_account_id(kIntegrator);
    login.mutable_interop_data()->set_token(token);
    login.set_client_address(address);
    noise::Initiator handshake(crypto::generate_key_pair(), root);
    Bytes out(noise::kHeader.begin(), noise::kHeader.end());
    noise::put_frame(out, handshake.client_hello());
    asio::write(socket_, asio::buffer(out));
    auto hello = frame();
    auto finish = handshake.read_server_hello(hello, to_bytes(login.SerializeAsString()),
                                              SystemClock().wall());
    EXPECT_TRUE(finish);
    if (!finish) return;
    out.clear();
    noise::put_frame(out, *finish);
    asio::write(socket_, asio::buffer(out));
    transport_.emplace(handshake.split());
  }

  void send(const Node& node) {
    Bytes out;
    ASSERT_TRUE(transport_->seal_frame(*stanza::encode(node), out));
    boost::system::error_code ignored;
    asio::write(socket_, asio::buffer(out), ignored);
  }
  // Empty tag: the server closed the connection.
  Node next() {
    if (!kept_.empty()) {
      auto node = std::move(kept_.front());
      kept_.pop_front();
      return node;
    }
    return read();
  }
  Node read() {
    auto payload = frame();
    if (payload.empty()) return Node("");
    auto plain = transport_->open(payload);
    EXPECT_TRUE(plain);
    auto node = plain ? stanza::decode(*plain) : Result<Node>(Node(""));
    EXPECT_TRUE(node);
    return node ? *node : Node("");
  }
  Node next(std::string_view tag) {
    for (;;) {
      auto node = next();
      if (node.tag == tag || node.tag.empty()) return node;
    }
  }
  Node ask(Node iq) {
    auto id = std::to_string(++last_);
    iq.with("id", id);
    send(iq);
    for (;;) {
      auto node = read();
      if (node.tag.empty() || (node.tag == "iq" && node.attr_is("id", id))) return node;
      kept_.push_back(std::move(node));
    }
  }
  Node active() {
    return ask(Node("iq").with("type", "set").with("xmlns", "passive").add(Node("active")));
  }

 private:
  Bytes frame() {
    boost::system::error_code error;
    std::array<std::uint8_t, 3> head{};
    asio::read(socket_, asio::buffer(head), error);
    if (error) return {};
    Bytes payload(get_be<3>(head));
    asio::read(socket_, asio::buffer(payload), error);
    return error ? Bytes() : payload;
  }

  asio::io_context io_;
  tcp::socket socket_{io_};
  std::optional<noise::Transport> transport_;
  std::deque<Node> kept_;
  int last_ = 0;
};

class InteropTest : public ::testing::Test {
 protected:
  testing::SigningKey key_{"k1"};
  World world_;
  std::thread thread_;
  std::uint16_t port_ = 0;
  int tokens_ = 0;

  void SetUp() override {
    ASSERT_TRUE(load_state(world_, ""));
    ASSERT_TRUE(make_provider(
        world_,
        {{"integrator", kIntegrator}, {"issuer", "https://example.test"}, {"jwks", key_.jwks()}}));
    ASSERT_TRUE(make_account(
        world_,
        {{"number", "4915700000001"}, {"simulated", true}, {"lid", "1001"}, {"auto_read", true}}));
    ASSERT_TRUE(make_account(world_, {{"number", "4915700000002"},
                                      {"simulated", true},
                                      {"lid", "1002"},
                                      {"opted_in", nlohmann::json::array({8})}}));
    port_ = *listen_tcp(world_.io, "127.0.0.1:0",
                        [this](auto pipe) { Session::open(world_, std::move(pipe)); });
    thread_ = std::thread([this] {
      auto guard = asio::make_work_guard(world_.io);
      world_.io.run();
    });
  }
  void TearDown() override {
    world_.io.stop();
    if (thread_.joinable()) thread_.join();
    EXPECT_EQ(world_.violations.to_json()["count"], 0) << world_.violations.to_json();
  }
  std::string token(std::string user = "alice") {
    return key_.sign(key_.header(),
                     testing::claims(world_.now_s(), std::move(user), std::to_string(++tokens_)));
  }
  std::unique_ptr<Client> login(std::string user = "alice") {
    auto client = std::make_unique<Client>(port_, world_.keys.root.pub, token(std::move(user)));
    EXPECT_EQ(client->next().tag, "success");
    return client;
  }
  std::string refusal(const std::string& text, const std::string& address = "192.0.2.1") {
    Client client(port_, world_.keys.root.pub, text, address);
    auto node = client.next();
    EXPECT_EQ(node.tag, "failure");
    EXPECT_EQ(client.next().tag, "");
    return node.attr_text("reason") + " " + node.attr_text("message");
  }
  // Runs on the simulator's thread, and waits.
  template <class F>
  auto on_sim(F&& f) {
    std::promise<decltype(f())> done;
    asio::post(world_.io, [&] { done.set_value(f()); });
    return done.get_future().get();
  }
};

template <std::size_t N>
Node number(std::string_view tag, std::uint32_t value) {
  Bytes octets;
  put_be<N>(octets, value);
  return Node(tag).octets(std::move(octets));
}

Node upload_of(const KeyStore::Upload& up) {
  Node list("list");
  for (const auto& key : up.one_time) {
    list.add(Node("key").add(number<3>("id", key.id)).add(Node("value").octets(key.key)));
  }
  return Node("iq")
      .with("type", "set")
      .with("xmlns", "encrypt")
      .add(number<4>("registration", up.registration_id))
      .add(Node("type").octets(Bytes{5}))
      .add(Node("identity").octets(up.identity))
      .add(std::move(list))
      .add(Node("skey")
               .add(number<3>("id", up.signed_key.id))
               .add(Node("value").octets(up.signed_key.key))
               .add(Node("signature").octets(up.signed_key.signature)));
}

Node text_message(std::string_view id, const Jid& to, const signal::Encrypted& sealed) {
  auto type = sealed.type == signal::CipherType::kPreKeyMessage ? "pkmsg" : "msg";
  return Node("message")
      .with("id", id)
      .with("to", to)
      .with("type", "text")
      .add(Node("participants")
               .add(Node("to").with("jid", to).add(
                   Node("enc").with("v", "2").with("type", type).octets(sealed.ciphertext))));
}

Bytes padded_text(std::string_view text) {
  whatsapp::Message content;
  content.set_conversation(std::string(text));
  auto plain = to_bytes(content.SerializeAsString());
  signal::pad(plain);
  return plain;
}

TEST_F(InteropTest, RefusesWhoHasNoGoodToken) {
  auto good = token();
  EXPECT_EQ(refusal(good, "nowhere"), "400 CLIENT_ADDRESS_MISSING");
  {
    Client first(port_, world_.keys.root.pub, good);
    EXPECT_EQ(first.next().tag, "success");
  }
  EXPECT_EQ(refusal(good), "401 TOKEN_USED");
  EXPECT_EQ(refusal("rubbish"), "401 TOKEN_MALFORMED");
}

TEST_F(InteropTest, TellsDevicesLidAndOptIn) {
  auto client = login();
  Node list("list");
  for (auto digits : {"4915700000001", "4915700000002", "4915799999999"}) {
    list.add(Node("user").with("jid", Jid::phone(digits)));
  }
  auto answer = client->ask(Node("iq")
                                .with("type", "get")
                                .with("xmlns", "usync")
                                .add(Node("usync")
                                         .with("sid", "s")
                                         .with("mode", "query")
                                         .with("context", "message")
                                         .add(Node("query")
                                                  .add(Node("devices").with("version", "2"))
                                                  .add(Node("lid"))
                                                  .add(Node("interop")))
                                         .add(std::move(list))));
  const auto& users = answer.child("usync")->child("list")->children();
  ASSERT_EQ(users.size(), 3u);
  EXPECT_EQ(users[0].child("lid")->attr_text("val"), "1001@lid");
  EXPECT_TRUE(users[0].child("interop")->attr_is("opted_in", "true"));
  EXPECT_EQ(users[0].child("devices")->child("device-list")->children().size(), 1u);
  EXPECT_TRUE(users[1].child("interop")->attr_is("opted_in", "false"));
  EXPECT_TRUE(users[2].children().empty());
}

TEST_F(InteropTest, TextsGoBothWaysWithReceipts) {
  auto client = login();
  PhoneKeys keys;
  signal::Engine engine;
  EXPECT_TRUE(client->ask(upload_of(keys.more(5))).attr_is("type", "result"));
  client->active();
  EXPECT_EQ(client->next("ib").child("offline")->attr_text("count"), "0");

  auto phone = Jid::lid("1001");
  auto answer = client->ask(Node("iq")
                                .with("type", "get")
                                .with("xmlns", "encrypt")
                                .add(Node("key").add(Node("user").with("jid", phone))));
  const auto& user = answer.child("list")->children().at(0);
  signal::Bundle bundle;
  auto copy = [](const Node* from, auto& to) {
    auto octets = from->as_octets();
    ASSERT_EQ(octets.size(), to.size());
    std::copy(octets.begin(), octets.end(), to.begin());
  };
  copy(user.child("identity"), bundle.identity);
  copy(user.child("skey")->child("value"), bundle.signed_prekey);
  copy(user.child("skey")->child("signature"), bundle.signed_prekey_signature);
  bundle.signed_prekey_id =
      static_cast<std::uint32_t>(get_be<3>(user.child("skey")->child("id")->as_octets()));
  bundle.registration_id =
      static_cast<std::uint32_t>(get_be<4>(user.child("registration")->as_octets()));
  signal::Address remote{"1001", 0};
  auto started = engine.start(keys, remote, bundle);
  ASSERT_TRUE(started);
  keys.apply(remote, std::move(*started));
  auto sealed = engine.encrypt(keys, remote, padded_text("hello phone"));
  ASSERT_TRUE(sealed);
  keys.apply(remote, std::move(sealed->writes));
  auto message = text_message("m1", phone, *sealed);
  client->send(message);

  auto ack = client->next("ack");
  EXPECT_EQ(ack.attr_text("id"), "m1");
  EXPECT_EQ(ack.attr_text("error"), "");
  EXPECT_EQ(ack.attr_text("phash"), "");
  auto delivered = client->next("receipt");
  EXPECT_EQ(delivered.attr_text("from"), "1001@lid");
  EXPECT_EQ(delivered.attr_text("type"), "");
  EXPECT_EQ(client->next("receipt").attr_text("type"), "read");
  auto inbox =
      on_sim([&] { return world_.phone(world_.directory.find_name("1001"))->inbox_json(0, 0); });
  ASSERT_EQ(inbox.size(), 1u);
  EXPECT_EQ(inbox[0]["text"], "hello phone");
  EXPECT_EQ(inbox[0]["from"]["user"], "alice");

  // The identical stanza again, as after a lost ack: acknowledged, not delivered.
  client->send(message);
  EXPECT_EQ(client->next("ack").attr_text("id"), "m1");

  on_sim([&] {
    auto* account = world_.directory.find_name("1001");
    return world_.phone(account)
        ->send_text(*world_.directory.find_interop(kIntegrator, "alice"), "hello alice")
        .has_value();
  });
  auto inbound = client->next("message");
  EXPECT_EQ(inbound.attr_text("from"), "1001@lid");
  EXPECT_EQ(inbound.attr_text("sender_pn"), "4915700000001@s.whatsapp.net");
  auto plain =
      engine.decrypt(keys, remote, signal::CipherType::kMessage, inbound.child("enc")->as_octets());
  ASSERT_TRUE(plain);
  keys.apply(remote, std::move(plain->writes));
  ASSERT_TRUE(signal::unpad(plain->plaintext));
  whatsapp::Message content;
  content.ParseFromArray(plain->plaintext.data(), static_cast<int>(plain->plaintext.size()));
  EXPECT_EQ(content.conversation(), "hello alice");

  // Not receipted yet: it comes again on the next link, and then no more.
  auto second = login();
  second->active();
  auto preview = second->next("ib");
  ASSERT_TRUE(preview.child("offline_preview"));
  EXPECT_EQ(preview.child("offline_preview")->attr_text("message"), "1");
  auto again = second->next("message");
  EXPECT_EQ(again.attr_text("id"), inbound.attr_text("id"));
  EXPECT_NE(again.attr("offline"), nullptr);
  second->send(Node("receipt").with("id", again.attr_text("id")).with("to", Jid::lid("1001")));
  EXPECT_TRUE(second->next("ack").attr_is("class", "receipt"));
  EXPECT_EQ(on_sim([&] {
              return world_.directory.find_interop(kIntegrator, "alice")
                  ->device(0)
                  ->mailbox.count("message");
            }),
            0u);
}

TEST_F(InteropTest, ANewerLoginReplacesTheOlder) {
  auto older = login();
  auto newer = login();
  auto error = older->next("stream:error");
  ASSERT_TRUE(error.child("conflict"));
  EXPECT_TRUE(error.child("conflict")->attr_is("type", "replaced"));
  EXPECT_EQ(older->next().tag, "");
  EXPECT_TRUE(
      newer->ask(Node("iq").with("type", "get").with("xmlns", "w:p")).attr_is("type", "result"));
}

TEST_F(InteropTest, SaysWhoCannotBeWrittenTo) {
  auto client = login();
  signal::Encrypted any;
  any.ciphertext = Bytes{0x33, 1, 2, 3};
  auto error_for = [&](const Jid& to) {
    client->send(text_message(to.user, to, any));
    return client->next("ack").attr_text("error");
  };
  EXPECT_EQ(error_for(Jid::lid("1002")), "403");
  EXPECT_EQ(error_for(Jid::lid("9999")), "404");
}

TEST_F(InteropTest, ClosesOnGarbageAndGoesOn) {
  const std::vector<Bytes> garbage = {
      Bytes(5000, 0xaa),                      // no header
      {'W', 'A', 6, 3, 0, 0, 0},              // an empty frame
      {'W', 'A', 6, 3, 0, 0, 4, 1, 2, 3, 4},  // no handshake message
      {'E', 'D', 0, 1, 0xff, 0xff, 0xff, 0},  // endless routing
      {'W', 'A', 5, 3, 0, 0, 1, 0},           // another version
  };
  for (const auto& octets : garbage) {
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect({asio::ip::address_v4::loopback(), port_});
    setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    asio::write(socket, asio::buffer(octets));
    boost::system::error_code error;
    std::array<std::uint8_t, 1> any{};
    asio::read(socket, asio::buffer(any), error);
    EXPECT_TRUE(error && error != asio::error::try_again) << error.message();
  }
  EXPECT_TRUE(
      login()->ask(Node("iq").with("type", "get").with("xmlns", "w:p")).attr_is("type", "result"));
}

TEST(State, SurvivesARestart) {
  auto folder =
      (std::filesystem::path(::testing::TempDir()) / ("whatsapp_sim_" + std::to_string(getpid())))
          .string();
  crypto::Key32 root{};
  {
    World world;
    ASSERT_TRUE(load_state(world, folder));
    root = world.keys.root.pub;
    ASSERT_TRUE(make_account(world, {{"number", "4915700000001"}, {"simulated", true}}));
    auto client = make_account(world, {{"number", "4915700000002"}});
    ASSERT_TRUE(client);
    world.directory.find_name("4915700000002")->device(0)->noise_key = root;
    world.directory.add_interop(kIntegrator, "alice");
    ASSERT_TRUE(save_state(world, folder));
  }
  World world;
  ASSERT_TRUE(load_state(world, folder));
  EXPECT_EQ(world.keys.root.pub, root);
  EXPECT_NE(world.phone(world.directory.find_name("4915700000001")), nullptr);
  EXPECT_EQ(world.directory.find_name("4915700000002")->device(0)->noise_key, root);
  EXPECT_NE(world.directory.find_interop(kIntegrator, "alice"), nullptr);
  EXPECT_TRUE(make_account(world, {{"number", "4915700000003"}}));  // a LID that is still free
  std::filesystem::remove_all(folder);
}

TEST_F(InteropTest, TellsWhenPrekeysRunLow) {
  auto client = login();
  PhoneKeys keys;
  client->ask(upload_of(keys.more(5)));
  client->active();
  on_sim([&] {
    return world_.phone(world_.directory.find_name("1001"))
        ->send_text(*world_.directory.find_interop(kIntegrator, "alice"), "x")
        .has_value();
  });
  auto low = client->next("notification");
  EXPECT_EQ(low.attr_text("from"), "@s.whatsapp.net");
  EXPECT_EQ(low.child("count")->attr_text("value"), "4");
}

}  // namespace
}  // namespace gw::sim
