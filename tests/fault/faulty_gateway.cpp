// The gateway as main.cpp starts it, but for the database: commits fail, hang, answer "unknown"
// before or after they took place, a fresh connection may fail too, at random by a seed; and the
// disk under it may be full. Only for tests.
//
// What a test changes while it runs it says on standard input, one command a line, each answered by
// one line of JSON: hang (the next write does), hanging (waits until one does), release, full,
// room; fail, unknown-before, unknown-after (so will the next write, or the next N), pass N (N
// writes before that go through), struck (waits until all of that took place), no-reopen N (so many
// reopens fail).

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <iostream>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "gateway.h"
#include "store/broken_disk.h"
#include "store/fault_backend.h"

namespace {

using gw::store::test::BrokenDisk;
using gw::store::test::Fault;
using gw::store::test::Faults;

bool obey(std::string_view line, Faults& faults, BrokenDisk& disk) {
  const auto space = line.find(' ');
  const auto command = line.substr(0, space);
  const int times = space == line.npos ? 1 : std::atoi(std::string(line.substr(space + 1)).c_str());
  if (command == "hang")
    faults.next(Fault::kHang);
  else if (command == "hanging")
    return faults.wait_hanging();
  else if (command == "release")
    faults.release();
  else if (command == "fail")
    faults.next(Fault::kFail, times);
  else if (command == "unknown-before")
    faults.next(Fault::kUnknownBefore, times);
  else if (command == "unknown-after")
    faults.next(Fault::kUnknownAfter, times);
  else if (command == "pass")
    faults.next(Fault::kNone, times);
  else if (command == "no-reopen")
    faults.fail_reopen(times);
  else if (command == "struck")
    return faults.wait_struck();
  else if (command == "full")
    disk.room = 0;
  else if (command == "room")
    disk.room = -1;
  else
    return false;
  return true;
}

// Until a signal comes.
void serve(const sigset_t& signals, Faults& faults, BrokenDisk& disk) {
  const int signal = signalfd(-1, &signals, SFD_CLOEXEC);
  std::array<pollfd, 2> ends{{{signal, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  for (std::string text; ends[0].revents == 0;) {
    if (poll(ends.data(), ends.size(), -1) <= 0 || ends[1].revents == 0) continue;
    std::array<char, 256> piece{};
    const auto size = read(STDIN_FILENO, piece.data(), piece.size());
    if (size <= 0) ends[1].fd = -1;  // nobody commands
    text.append(piece.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      const bool done = obey(std::string_view(text).substr(0, end), faults, disk);
      std::cout << R"({"done":)" << (done ? "true}" : "false}") << std::endl;
    }
  }
  close(signal);
}

}  // namespace

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
  BrokenDisk disk;  // before the database is opened, and longer than it
  auto faults = std::make_shared<Faults>();
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
  serve(signals, *faults, disk);
  faults->heal();
  disk.room = -1;
  (*gateway)->drain();
  (*gateway)->stop();
  return 0;
}
