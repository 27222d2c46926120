// The gateway as main.cpp starts it, but for the database: commits fail, answer "unknown" before or
// after they took place, and a fresh connection may fail too, at random by a seed. Only for tests.

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "gateway.h"
#include "store/fault_backend.h"

int main(int argc, char** argv) {
  CLI::App app{"The gateway with a faulty database, for tests", "faulty_gateway"};
  std::string config;
  std::uint64_t seed = 1;
  gw::store::test::FaultRates rates;
  app.add_option("--config", config)->required();
  app.add_option("--seed", seed);
  app.add_option("--fail", rates.fail);
  app.add_option("--unknown-before", rates.unknown_before);
  app.add_option("--unknown-after", rates.unknown_after);
  app.add_option("--reopen", rates.reopen);
  CLI11_PARSE(app, argc, argv);
  auto settings = gw::settings::load(config);
  if (!settings) {
    for (const auto& problem : settings.error()) std::cerr << problem.text() << "\n";
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  auto faults = std::make_shared<gw::store::test::Faults>();
  auto gateway = gw::Gateway::start(*settings, [&](std::unique_ptr<gw::store::Backend> real) {
    return gw::store::test::with_faults(std::move(real), faults);
  });
  if (!gateway) {
    std::cerr << gateway.error().reason << ": " << gateway.error().message << "\n";
    return 1;
  }
  faults->seeded(seed, rates);
  std::cout << R"({"ready":true,"api":"127.0.0.1:)" << (*gateway)->api_port()
            << R"(","operator":"127.0.0.1:)" << (*gateway)->operator_port() << "\"}" << std::endl;
  int signal = 0;
  sigwait(&signals, &signal);
  faults->heal();
  (*gateway)->drain();
  (*gateway)->stop();
  return 0;
}
