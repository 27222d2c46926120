// A WhatsApp server that is none: for tests, benchmarks and trying the gateway out. See README.md.

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <iostream>
#include <string>
#include <unistd.h>
#include <vector>

#include "base/encoding.h"
#include "whatsapp_sim/control/control.h"
#include "whatsapp_sim/pipe.h"
#include "whatsapp_sim/session.h"
#include "whatsapp_sim/state.h"
#include "whatsapp_sim/world.h"

namespace {

using namespace gw;

struct Options {
  std::string tcp = "127.0.0.1:0", ws = "127.0.0.1:0", http = "127.0.0.1:0", state_dir;
  std::vector<std::string> providers, phones;
  bool no_dedupe = false;
};

int complain(const Error& error) {
  std::cerr << "whatsapp_sim: " << error.reason << ": " << error.message << "\n";
  return 2;
}

// INTEGRATOR=ISSUER=FILE
Result<void> add_provider(sim::World& world, const std::string& text) {
  auto first = text.find('='), last = text.rfind('=');
  auto digits = text.substr(0, first);
  if (first == std::string::npos || first == last || digits.empty() || digits.size() > 5 ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    return fail(ErrorKind::kConfig, "BAD_PROVIDER", "--provider takes INTEGRATOR=ISSUER=JWKS_FILE");
  }
  return sim::make_provider(world, {{"integrator", std::stol(digits)},
                                    {"issuer", text.substr(first + 1, last - first - 1)},
                                    {"jwks_file", text.substr(last + 1)}});
}

Result<void> prepare(sim::World& world, const Options& options) {
  GW_TRY(sim::load_state(world, options.state_dir));
  world.dedupe = !options.no_dedupe;
  for (const auto& provider : options.providers) GW_TRY(add_provider(world, provider));
  for (const auto& number : options.phones) {
    if (world.directory.find_name(number)) continue;  // kept from an earlier run
    GW_TRY(sim::make_account(world, {{"number", number}, {"simulated", true}}));
  }
  return {};
}

Result<void> serve(sim::World& world, const Options& options) {
  auto save = [&] {
    if (options.state_dir.empty()) return;
    if (auto saved = sim::save_state(world, options.state_dir); !saved) complain(saved.error());
  };
  auto accept = [&world](std::shared_ptr<sim::Pipe> pipe) {
    sim::Session::open(world, std::move(pipe));
  };
  sim::Control control(world, save);
  GW_ASSIGN(auto tcp_port, sim::listen_tcp(world.io, options.tcp, accept));
  GW_ASSIGN(auto ws_port, sim::listen_websocket(world.io, options.ws, accept));
  GW_ASSIGN(auto http_port,
            sim::listen_http(world.io, options.http,
                             [&](const sim::HttpRequest& request, sim::HttpAnswer answer) {
                               control.handle(request, std::move(answer));
                             }));
  boost::asio::signal_set signals(world.io, SIGINT, SIGTERM);
  signals.async_wait([&](auto, int) { world.io.stop(); });
  nlohmann::json ready = {{"tcp_port", tcp_port},
                          {"ws_port", ws_port},
                          {"http_port", http_port},
                          {"root_key", to_hex(world.keys.root.pub)}};
  std::cout << ready.dump() << std::endl;
  world.io.run();
  save();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{
      "A simulated WhatsApp server with simulated phones. It prints one line of JSON when it is "
      "ready: the ports, and the root key that its Noise certificates hang on. Listens on loopback "
      "only. SIGTERM ends it."};
  app.add_option("--tcp", options.tcp, "Noise over TCP: [127.0.0.1:]PORT, 0 for any")
      ->capture_default_str();
  app.add_option("--ws", options.ws, "Noise over WebSocket, at /ws/chat")->capture_default_str();
  app.add_option("--http", options.http, "the control API")->capture_default_str();
  app.add_option("--state-dir", options.state_dir,
                 "keeps root key and accounts there; without it everything is made anew");
  app.add_option("--provider", options.providers,
                 "INTEGRATOR=ISSUER=JWKS_FILE, may be repeated: whose tokens are good");
  app.add_option("--phone", options.phones,
                 "a number, may be repeated: a simulated phone that accepts every integrator");
  app.add_flag("--no-dedupe", options.no_dedupe,
               "deliver a message again when the sender repeats it");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;  // --help and --version are no errors
  }

  gw::sim::World world;
  if (auto good = prepare(world, options); !good) return complain(good.error());
  if (auto good = serve(world, options); !good) return complain(good.error());
  return 0;
}
