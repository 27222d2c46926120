#include "http/server.h"

#include <condition_variable>
#include <future>
#include <gmock/gmock.h>
#include <random>

#include "unit/http/client.h"

namespace gw::http {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ServerTest : public testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    std::vector<Route> routes;
    routes.push_back({"GET", "/hello", [](const Request&, Reply reply) {
                        reply({200, "text/plain", "hello"});
                      }});
    routes.push_back(
        {"POST", "/echo", [](const Request& request, Reply reply) {
           reply({200, "text/plain",
                  request.query + "|" + std::string(request.header("x-one")) + "|" + request.body});
         }});
    routes.push_back({"GET", "/throw", [](const Request&, Reply) { throw 7; }});
    routes.push_back({"GET", "/never", [](const Request&, Reply) {}});
    routes.push_back({"GET", "/later", [this](const Request&, Reply reply) {
                        std::lock_guard lock(mutex_);
                        kept_.push_back(std::move(reply));
                        arrived_.notify_all();
                      }});
    routes.push_back({"GET", "/large", [](const Request&, Reply reply) {
                        reply({200, "text/plain", std::string(8u << 20, 'x')});
                      }});
    auto made = Server::listen(loop_, options, std::move(routes));
    ASSERT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
  }
  Reply kept(std::size_t i) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        arrived_.wait_for(lock, std::chrono::seconds(10), [&] { return kept_.size() > i; }));
    return kept_.at(i);
  }
  // Until what is on the loop now has run.
  void settle() {
    std::promise<void> done;
    loop_.post([&] { done.set_value(); });
    done.get_future().wait();
  }
  RawClient client() { return RawClient(server_->port()); }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Reply> kept_;
  runtime::Loop loop_{"http"};
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersByMethodAndExactPath) {
  start();
  auto c = client();
  EXPECT_THAT(c.get("/hello"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(c.get("/hello?a=b"), HasSubstr("\r\n\r\nhello"));
  EXPECT_THAT(c.get("/hello/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(c.get("/echo"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(c.get("/HELLO"), StartsWith("HTTP/1.1 404 "));
  c.send("POST /echo?q=1 HTTP/1.1\r\nHost: x\r\nX-ONE: two\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_THAT(c.answer(), HasSubstr("\r\n\r\nq=1|two|abc"));
  c.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
  EXPECT_THAT(c.answer(), HasSubstr("||abc"));
  EXPECT_EQ(server_->probe().requests, 7u);
  EXPECT_EQ(server_->probe().accepted, 1u);
}

TEST_F(ServerTest, HeadHasNoBodyAndTheSameLength) {
  start();
  auto c = client();
  c.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  auto head = c.answer(true);
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(c.get("/hello"), HasSubstr("\r\n\r\nhello"));  // nothing was left in between
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  auto c = client();
  std::string both;
  for (int i = 0; i < 50; ++i)
    both += "POST /echo?" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
  c.send(both);
  for (int i = 0; i < 50; ++i) EXPECT_THAT(c.answer(), HasSubstr(std::to_string(i) + "||"));
}

TEST_F(ServerTest, ClosesWhenAsked) {
  start();
  auto c = client();
  c.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(c.until_closed(), HasSubstr("hello"));
  EXPECT_FALSE(c.timed_out);
  auto old = client();
  old.send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.until_closed(), HasSubstr("hello"));
  EXPECT_FALSE(old.timed_out);
}

TEST_F(ServerTest, AnswersFromOtherThreadsAndOnlyOnce) {
  start();
  auto c = client();
  c.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  auto reply = kept(0);
  std::thread([&] {
    reply({200, "text/plain", "first"});
    reply({200, "text/plain", "second"});
  }).join();
  EXPECT_THAT(c.answer(), HasSubstr("first"));
  EXPECT_THAT(c.get("/hello"), HasSubstr("hello"));
  reply({200, "text/plain", "third"});  // late: belongs to no request any more
  EXPECT_THAT(c.get("/hello"), HasSubstr("hello"));
}

TEST_F(ServerTest, AHandlerThatThrowsIsAnswered) {
  start();
  auto c = client();
  EXPECT_THAT(c.get("/throw"), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(c.get("/hello"), HasSubstr("hello"));
}

TEST_F(ServerTest, AHandlerThatNeverAnswersIsAnsweredAtItsDeadline) {
  start({.handler_deadline = Millis(50)});
  auto c = client();
  EXPECT_THAT(c.get("/never"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(c.get("/hello"), HasSubstr("hello"));
  EXPECT_EQ(server_->probe().timeouts, 1u);
}

TEST_F(ServerTest, MalformedRequestsAreRefusedAndClosed) {
  start();
  for (const char* text :
       {"nonsense\r\n\r\n", "GET\r\n\r\n", "GET /hello\r\n\r\n", "GET /hello HTTP/9.9\r\n\r\n",
        "GET /hello HTTP/1.1\r\nno colon\r\n\r\n", "GET /he\tllo HTTP/1.1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}) {
    auto c = client();
    c.send(text);
    c.finish_sending();
    auto got = c.until_closed();
    EXPECT_FALSE(c.timed_out) << text;
    EXPECT_THAT(got, Not(HasSubstr(" 200 "))) << text;
    EXPECT_TRUE(got.empty() || got.starts_with("HTTP/1.1 4")) << text << got;
  }
  EXPECT_GT(server_->probe().bad_requests, 5u);
  EXPECT_THAT(client().get("/hello"), HasSubstr("hello"));
}

TEST_F(ServerTest, AHugeHeaderIsRefused) {
  start();
  auto c = client();
  c.send("GET /hello HTTP/1.1\r\nHost: x\r\nX-A: " + std::string(20'000, 'a') + "\r\n\r\n");
  EXPECT_THAT(c.until_closed(), StartsWith("HTTP/1.1 431 "));
  auto many = client();
  std::string lines;
  for (int i = 0; i < 2000; ++i) lines += "a: b\r\n";
  many.send("GET /hello HTTP/1.1\r\n" + lines + "\r\n");
  EXPECT_THAT(many.until_closed(), StartsWith("HTTP/1.1 431 "));
}

TEST_F(ServerTest, AHugeBodyIsRefusedWhetherAnnouncedOrNot) {
  start();
  auto announced = client();
  announced.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n");
  EXPECT_THAT(announced.answer(), StartsWith("HTTP/1.1 413 "));
  auto chunked = client();
  chunked.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "8000\r\n" + std::string(0x8000, 'a') + "\r\n";
  for (int i = 0; i < 4; ++i) chunked.send(chunk);
  EXPECT_THAT(chunked.answer(), StartsWith("HTTP/1.1 413 "));
  auto fits = client();
  fits.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n" +
            std::string(65536, 'b'));
  EXPECT_THAT(fits.answer(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, ASlowClientIsCutOffAtTheDeadlineHoweverSteady) {
  start({.read_deadline = Millis(150)});
  auto silent = client();
  EXPECT_EQ(silent.until_closed(), "");
  EXPECT_FALSE(silent.timed_out);
  // One octet at a time does not buy time: the deadline is for the whole request.
  auto steady = client();
  std::atomic<bool> stop{false};
  std::thread drip([&] {
    std::string text = "GET /hello HTTP/1.1\r\nX: ";
    while (!stop && steady.send(text.substr(0, 1))) {
      if (text.size() > 1) text.erase(0, 1);
      std::this_thread::yield();
    }
  });
  auto got = steady.until_closed();
  stop = true;
  drip.join();
  EXPECT_FALSE(steady.timed_out);
  EXPECT_THAT(got, Not(HasSubstr(" 200 ")));
}

TEST_F(ServerTest, AnIdleConnectionIsClosedAtItsDeadline) {
  start({.idle_deadline = Millis(50)});
  auto c = client();
  EXPECT_THAT(c.get("/hello"), HasSubstr("hello"));
  EXPECT_EQ(c.until_closed(), "");
  EXPECT_FALSE(c.timed_out);
}

TEST_F(ServerTest, AClientThatDoesNotReadIsCutOff) {
  start({.write_deadline = Millis(100)});
  auto c = client();
  for (int i = 0; i < 4; ++i) c.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  auto ended = [&] {
    return server_->probe().timeouts == 1 && server_->probe().connections_now == 0;
  };
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!ended() && std::chrono::steady_clock::now() < deadline) settle();
  EXPECT_TRUE(ended());
}

TEST_F(ServerTest, ConnectionsAreBoundedAndRoomComesBack) {
  start({.most_connections = 2});
  auto a = std::make_unique<RawClient>(server_->port());
  auto b = std::make_unique<RawClient>(server_->port());
  EXPECT_THAT(a->get("/hello"), HasSubstr("hello"));
  EXPECT_THAT(b->get("/hello"), HasSubstr("hello"));
  auto c = client();
  EXPECT_EQ(c.until_closed(), "");
  EXPECT_FALSE(c.timed_out);
  EXPECT_EQ(server_->probe().refused, 1u);
  a.reset();
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (server_->probe().connections_now == 2 && std::chrono::steady_clock::now() < deadline)
    settle();
  EXPECT_THAT(client().get("/hello"), HasSubstr("hello"));
}

TEST_F(ServerTest, NoHandlerRunsAfterTheServerHasGone) {
  start();
  auto c = client();
  c.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  auto reply = kept(0);
  server_.reset();
  reply({200, "text/plain", "late"});
  EXPECT_EQ(c.until_closed(), "");
  EXPECT_FALSE(c.timed_out);
}

TEST_F(ServerTest, TheLoopMayStopWhileClientsAreThere) {
  start();
  auto c = client(), d = client();
  c.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
  d.send("GET /hel");
  loop_.stop();
  server_.reset();
}

TEST_F(ServerTest, AnAddressThatCannotBeHadIsAnError) {
  start();
  auto taken = Server::listen(loop_, {.port = server_->port()}, {});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::kConfig);
  EXPECT_EQ(taken.error().reason, "HTTP_CANNOT_LISTEN");
  EXPECT_EQ(Server::listen(loop_, {.address = "nowhere"}, {}).error().reason,
            "HTTP_ADDRESS_INVALID");
}

TEST_F(ServerTest, RandomOctetsNeverStopIt) {
  start({.read_deadline = Millis(200)});
  const char* from_env = std::getenv("GW_SEED");
  auto seed = from_env ? std::strtoul(from_env, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("GW_SEED=" + std::to_string(seed));
  std::mt19937 random(static_cast<unsigned>(seed));
  const std::string valid =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (int i = 0; i < 300; ++i) {
    auto text = valid;
    for (unsigned n = random() % 6; n > 0; --n)
      text[random() % text.size()] = static_cast<char>(random());
    auto c = client();
    c.send(text);
    c.finish_sending();
    c.until_closed();
    ASSERT_FALSE(c.timed_out);
  }
  EXPECT_THAT(client().get("/hello"), HasSubstr("hello"));
}

}  // namespace
}  // namespace gw::http
