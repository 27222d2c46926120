#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>

#include "gateway.h"
#include "settings.h"
#include "telemetry/log.h"

// jemalloc reads this at its start: few arenas, so that memory is reused by whoever needs it next,
// and a thread that gives back to the kernel what has not been used for a while.
extern "C" const char* malloc_conf;
const char* malloc_conf = "narenas:4,background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0";

namespace {

int print_problems(const std::vector<gw::settings::Problem>& problems) {
  for (const auto& problem : problems) std::cerr << problem.text() << "\n";
  std::cerr << problems.size() << (problems.size() == 1 ? " problem" : " problems")
            << " in the settings; nothing was started\n";
  return 2;
}

// Blocks until the process is told to end; a SIGHUP opens the log file anew.
int wait_for_end(const sigset_t& signals, const gw::settings::Settings& settings) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) return signal;
    if (auto ok = gw::telemetry::open_log(settings.log); !ok)
      gw::telemetry::log(gw::telemetry::Level::kError, "main", "log_not_reopened",
                         {gw::telemetry::field("error", ok.error())});
  }
}

int serve(const gw::settings::Settings& settings) {
  if (auto ok = gw::telemetry::open_log(settings.log); !ok) {
    std::cerr << ok.error().message << "\n";
    return 2;
  }
  // Before any thread starts, so that all of them leave these to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto gateway = gw::Gateway::start(settings);
  if (!gateway) {
    std::cerr << gateway.error().reason << ": " << gateway.error().message << "\n";
    return gateway.error().kind == gw::ErrorKind::kConfig ? 2 : 1;
  }
  auto api = settings.listen.api;
  api.port = static_cast<std::uint16_t>((*gateway)->api_port());
  auto operators = settings.operators.listen;
  operators.port = static_cast<std::uint16_t>((*gateway)->operator_port());
  std::cout << R"({"ready":true,"api":")" << api.text() << R"(","operator":")" << operators.text()
            << "\"}" << std::endl;
  wait_for_end(signals, settings);
  (*gateway)->drain();
  (*gateway)->stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "The interop gateway: lets a messaging provider's users write to WhatsApp users.\n"
      "SIGTERM and SIGINT drain it and end it; SIGHUP opens the log file anew.\n"
      "When it serves it prints one JSON line with its addresses on standard output.",
      "interop-gateway"};
  std::string config;
  bool check_only = false;
  app.add_option("-c,--config", config, "the settings, YAML; see config/gateway.example.yaml")
      ->required();
  app.add_flag("--check", check_only, "only check the settings, and say all that is wrong");
  app.set_version_flag("--version", GW_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;  // --help and --version are no errors
  }

  auto settings = gw::settings::load(config);
  if (!settings) return print_problems(settings.error());
  if (check_only) {
    std::cout << "the settings are in order\n";
    return 0;
  }
  return serve(*settings);
}
