#include "operator/operator.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "telemetry/metrics.h"

namespace gw::operators {
namespace {

// Collects one answer from each of several places, or what there is at the deadline.
class Round : public std::enable_shared_from_this<Round> {
 public:
  using Answers = std::vector<std::optional<CheckResult>>;
  Round(runtime::Loop& own, std::size_t places, std::function<void(const Answers&)> done)
      : timer_(own), answers_(places), missing_(places), done_(std::move(done)) {}

  // On the loop, before the first answer. The timer keeps the round until the deadline at most.
  void start(Millis deadline) {
    timer_.after(deadline, [self = shared_from_this()] { self->finish(); });
  }
  // On the loop.
  void answer(std::size_t place, CheckResult result) {
    if (!done_ || answers_[place]) return;
    answers_[place] = result;
    if (--missing_ == 0) finish();
  }
  void finish() {
    auto done = std::exchange(done_, nullptr);
    if (!done) return;
    timer_.cancel();
    done(answers_);
  }

 private:
  runtime::Timer timer_;
  Answers answers_;
  std::size_t missing_;
  std::function<void(const Answers&)> done_;
};

http::Response json_response(bool good, const nlohmann::json& body) {
  return {good ? 200 : 503, "application/json", body.dump() + "\n"};
}

// A place answers on whatever thread; the round takes it on its own loop.
std::function<void(CheckResult)> answer_for(runtime::Loop& own, const std::shared_ptr<Round>& round,
                                            std::size_t place) {
  return [&own, weak = std::weak_ptr(round), place](CheckResult result) {
    own.post([weak, place, result] {
      if (auto still = weak.lock()) still->answer(place, result);
    });
  };
}

void health(runtime::Loop& own, const Sources& sources, http::Reply reply) {
  auto round = std::make_shared<Round>(
      own, sources.loops.size(), [reply = std::move(reply)](const Round::Answers& answers) {
        auto silent = nlohmann::json::array();
        for (std::size_t i = 0; i < answers.size(); ++i)
          if (!answers[i]) silent.push_back(i);
        bool alive = silent.empty();
        reply(json_response(alive, {{"alive", alive}, {"silent_loops", silent}}));
      });
  if (sources.loops.empty()) return round->finish();
  round->start(sources.deadline);
  for (std::size_t i = 0; i < sources.loops.size(); ++i)
    sources.loops[i]->post([answer = answer_for(own, round, i)] { answer({true, {}}); });
}

void ready(runtime::Loop& own, const Sources& sources, http::Reply reply) {
  std::vector<std::string> names;
  for (const auto& check : sources.checks) names.push_back(check.name);
  auto round = std::make_shared<
      Round>(own, names.size(), [reply = std::move(reply), names](const Round::Answers& answers) {
    bool all = true;
    auto checks = nlohmann::json::array();
    for (std::size_t i = 0; i < names.size(); ++i) {
      auto result = answers[i].value_or(CheckResult{false, "NO_ANSWER"});
      all = all && result.passed;
      checks.push_back({{"name", names[i]}, {"passed", result.passed}, {"reason", result.reason}});
    }
    reply(json_response(all, {{"ready", all}, {"checks", checks}}));
  });
  if (names.empty()) return round->finish();
  round->start(sources.deadline);
  for (std::size_t i = 0; i < names.size(); ++i) sources.checks[i].run(answer_for(own, round, i));
}

}  // namespace

std::vector<http::Route> routes(runtime::Loop& own, Sources sources) {
  auto shared = std::make_shared<const Sources>(std::move(sources));
  return {
      {"GET", "/metrics",
       [shared](const http::Request&, const http::Reply& reply) {
         reply({200, std::string(telemetry::Metrics::kContentType), shared->metrics()});
       }},
      {"GET", "/healthz",
       [shared, &own](const http::Request&, http::Reply reply) {
         health(own, *shared, std::move(reply));
       }},
      {"GET", "/readyz",
       [shared, &own](const http::Request&, http::Reply reply) {
         ready(own, *shared, std::move(reply));
       }},
  };
}

Result<std::unique_ptr<http::Server>> listen(runtime::Loop& own, const std::string& address,
                                             std::uint16_t port, Sources sources) {
  http::ServerOptions options;
  options.address = address;
  options.port = port;
  // A round always ends before the server gives up on it.
  options.handler_deadline = sources.deadline + Millis(1'000);
  return http::Server::listen(own, std::move(options), routes(own, std::move(sources)));
}

}  // namespace gw::operators
