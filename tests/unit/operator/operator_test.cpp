#include "operator/operator.h"

#include <future>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "telemetry/metrics.h"
#include "unit/http/client.h"

namespace gw::operators {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

class OperatorTest : public testing::Test {
 protected:
  void start() {
    auto made = listen(own_, "127.0.0.1", 0, sources_);
    ASSERT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
  }
  std::string get(const std::string& path) { return http::RawClient(server_->port()).get(path); }
  static json body(const std::string& answer) {
    return json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  }

  telemetry::Metrics metrics_;
  Sources sources_{[this] { return metrics_.text(); }, {}, {}, Millis(100)};
  runtime::Loop own_{"operator"}, other_{"other"};
  std::unique_ptr<http::Server> server_;
};

TEST_F(OperatorTest, MetricsAreInPrometheusForm) {
  telemetry::register_process_metrics(metrics_);
  metrics_.new_counter("interop_gateway_x_total", "X.").add(3);
  start();
  auto answer = get("/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("\ninterop_gateway_x_total 3\n"));
  EXPECT_THAT(answer, HasSubstr("\nprocess_resident_memory_bytes "));
}

TEST_F(OperatorTest, HealthyWhileAllLoopsAnswer) {
  sources_.loops = {&own_, &other_};
  start();
  auto answer = get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_EQ(body(answer), (json{{"alive", true}, {"silent_loops", json::array()}}));
}

TEST_F(OperatorTest, ALoopThatHangsIsNamedAndItsReturnIsSeen) {
  sources_.loops = {&own_, &other_};
  start();
  std::promise<void> release;
  other_.post([&] { release.get_future().wait(); });
  auto answer = get("/healthz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(body(answer)["silent_loops"], json{1});
  release.set_value();
  EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(OperatorTest, ReadyWhenEveryCheckPasses) {
  sources_.checks = {{"store", [this](auto done) { other_.post([done] {
                                                     done({true, {}});
                                                   }); }},
                     {"draining", [](auto done) {
                        done({true, {}});
                      }}};
  start();
  auto answer = get("/readyz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(body(answer)["ready"], true);
  EXPECT_EQ(body(answer)["checks"].size(), 2u);
}

TEST_F(OperatorTest, WhatFailsAndWhatDoesNotAnswerAreTold) {
  sources_.checks = {{"store", [](auto) {}},
                     {"draining",
                      [](auto done) {
                        done({false, "DRAINING"});
                      }},
                     {"fine", [](auto done) {
                        done({true, {}});
                        done({false, "TWICE"});  // the first answer counts
                      }}};
  start();
  auto answer = get("/readyz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(body(answer)["ready"], false);
  auto checks = body(answer)["checks"];
  EXPECT_EQ(checks[0], (json{{"name", "store"}, {"passed", false}, {"reason", "NO_ANSWER"}}));
  EXPECT_EQ(checks[1], (json{{"name", "draining"}, {"passed", false}, {"reason", "DRAINING"}}));
  EXPECT_EQ(checks[2], (json{{"name", "fine"}, {"passed", true}, {"reason", ""}}));
}

TEST_F(OperatorTest, AnAnswerThatComesAfterTheServerHasGoneHarmsNothing) {
  std::promise<std::function<void(CheckResult)>> taken;
  sources_.checks = {{"late", [&](auto done) { taken.set_value(done); }}};
  start();
  http::RawClient client(server_->port());
  client.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
  auto late = taken.get_future().get();
  server_.reset();
  late({true, {}});
  client.until_closed();
  EXPECT_FALSE(client.timed_out);
}

TEST_F(OperatorTest, NothingElseIsThere) {
  start();
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 404 "));
  http::RawClient client(server_->port());
  client.send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(client.answer(), StartsWith("HTTP/1.1 405 "));
}

}  // namespace
}  // namespace gw::operators
