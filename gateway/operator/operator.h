#pragma once

// HTTP for those who run the gateway and for what watches it:
//   GET /metrics  Prometheus text
//   GET /healthz  200 while every loop answers within the deadline, else 503: restart the process
//   GET /readyz   200 while every check passes, else 503: send it no new work. JSON tells which
// On an address of its own; anybody who reaches it may read it, and it tells nothing of a person.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/server.h"
#include "runtime/loop.h"

namespace gw::operators {

// `reason` is a literal in UPPER_SNAKE; empty when it passed.
struct CheckResult {
  bool passed = false;
  std::string_view reason;
};

// `run` starts the check and returns; it calls back once, from any thread. No answer within the
// deadline is a failure, NO_ANSWER.
struct Check {
  std::string name;  // "store", "draining"
  std::function<void(std::function<void(CheckResult)>)> run;
};

// What the composition root wires up. Everything must outlive the server that is made of it.
struct Sources {
  std::function<std::string()> metrics;  // runs on the operator's loop; reads atomics only
  std::vector<runtime::Loop*> loops;     // those that must answer
  std::vector<Check> checks;
  Millis deadline{2'000};
};

// The routes alone, for a server that has others as well. `own` is the server's loop; the Sources
// are copied.
std::vector<http::Route> routes(runtime::Loop& own, Sources sources);

// CONFIG: as http::Server::listen.
Result<std::unique_ptr<http::Server>> listen(runtime::Loop& own, const std::string& address,
                                             std::uint16_t port, Sources sources);

}  // namespace gw::operators
