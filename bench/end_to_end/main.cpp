// The gateway's main job under load, as a whole: the real program on SQLite and on PostgreSQL, the
// simulator as WhatsApp's server with phones that hold Signal keys, this process as the provider's
// backend; all on one machine. Each figure that has a floor is measured in rounds beside that
// floor, and the median round counts.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "end_to_end/backend.h"
#include "end_to_end/report.h"
#include "end_to_end/rooms.h"
#include "end_to_end/scene.h"
#include "floors/floors.h"

namespace gw::bench {
namespace {

using std::chrono::milliseconds;

struct Options {
  std::string build = "build/release", folder = "build/bench", json;
  std::string store = "both";
  bool quick = false;
};

constexpr std::size_t kUsers = 2000, kPhones = 50, kText = 200, kWindow = 1024;

void say(const char* text) {
  std::printf("== %s\n", text);
  std::fflush(stdout);
}

template <class T, class Less>
T median(std::vector<T> rounds, Less less) {
  std::sort(rounds.begin(), rounds.end(), less);
  return rounds[rounds.size() / 2];
}

// The report, each name with what was measured in front.
class Prefixed {
 public:
  Prefixed(Report& report, std::string prefix) : report_(report), prefix_(std::move(prefix)) {}
  void add(const std::string& name, double value, const std::string& unit) {
    report_.add(prefix_ + name, value, unit);
  }
  void gate(const std::string& name, double value, const std::string& unit,
            const std::string& against, double reference, double most) {
    report_.gate(prefix_ + name, value, unit, prefix_ + against, reference, most);
  }
  void bound(const std::string& name, double value, const std::string& unit, double most) {
    report_.bound(prefix_ + name, value, unit, most);
  }

 private:
  Report& report_;
  std::string prefix_;
};

// One direction in one round.
struct Round {
  double per_second = 0, simulator_us = 0;
  double gateway_us = 0, database_us = 0;  // database: a server's; SQLite's is the gateway's
  double change_sets = 0;                  // a message
  double batch = 0;                        // change sets a commit
  double commit_cpu_us = 0;                // of the committing thread, a message
  Floor floor;
  double cpu_us() const { return gateway_us + database_us; }
  double ratio() const { return cpu_us() / floor.sum(); }
};
bool by_ratio(const Round& a, const Round& b) { return a.ratio() < b.ratio(); }

class Run {
 public:
  Run(const Options& options, bool postgres, Report& report)
      : options_(options),
        postgres_(postgres),
        report_(report, postgres ? "postgres_" : ""),
        rounds_(options_.quick ? 3 : 5),
        phase_(options_.quick ? 3000 : 8000) {}

  void all() {
    say(postgres_ ? "PostgreSQL: server, simulator and gateway start"
                  : "SQLite: simulator and gateway start");
    Scene scene(options_.build, options_.folder, postgres_);
    scene_ = &scene;
    phones_ = scene.add_phones(kPhones);
    Backend backend(scene);
    backend_ = &backend;
    links();
    throughput();
    latency();
    split();
    check_far_side();
  }

 private:
  Backend::Load load() const { return {kUsers, phones_, kText}; }

  void links() {
    say("2,000 users enlist, attach, and exchange a first message each way");
    backend_->enlist(kUsers);
    const auto before = settled_memory();
    backend_->attach(0, kUsers);
    report_.bound("memory_per_link", double(settled_memory() - before) / double(kUsers), "KiB", 16);
    backend_->send_count(load(), kUsers, kWindow);
    flood(1);
  }

  // Resident, once the allocator has given back what only the way there needed.
  std::size_t settled_memory() {
    auto least = scene_->gateway().resident_kib();
    auto since = SteadyClock::now();
    const auto end = since + std::chrono::seconds(10);
    while (SteadyClock::now() < end && SteadyClock::now() - since < std::chrono::seconds(3)) {
      std::this_thread::sleep_for(milliseconds(100));
      if (const auto now = scene_->gateway().resident_kib(); now < least) {
        least = now;
        since = SteadyClock::now();
      }
    }
    return least;
  }

  // Each phone writes `each` messages to each user that it talks to.
  std::uint64_t flood(std::uint64_t each) {
    const std::uint64_t goal = backend_->received() + each * kUsers;
    for (std::size_t phone = 0; phone < kPhones; ++phone) {
      nlohmann::json to = nlohmann::json::array();
      for (std::size_t user = phone; user < kUsers; user += kPhones)
        to.push_back({{"integrator", kIntegrator}, {"user", Backend::user(user)}});
      scene_->control("POST", "/phones/" + phones_[phone] + "/flood",
                      {{"to", to},
                       {"count", each * to.size()},
                       {"text_size", kText},
                       {"window", kWindow / kPhones}});
    }
    backend_->await_received(goal);
    backend_->acknowledge_all();
    return each * kUsers;
  }

  template <class Work>
  Round measure(const Floor& floor, Work work) {
    auto metrics = scene_->metrics();
    const double gateway = scene_->gateway().cpu_us(), simulator = scene_->simulator().cpu_us();
    const double database = scene_->database_cpu_us();
    const auto start = SteadyClock::now();
    const auto count = static_cast<double>(work());
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
    Round round;
    round.per_second = count / seconds;
    round.gateway_us = (scene_->gateway().cpu_us() - gateway) / count;
    round.database_us = (scene_->database_cpu_us() - database) / count;
    round.simulator_us = (scene_->simulator().cpu_us() - simulator) / count;
    round.floor = floor;
    auto later = scene_->metrics();
    auto rise = [&](const std::string& name) {
      return later["interop_gateway_store_" + name] - metrics["interop_gateway_store_" + name];
    };
    const double applied = rise("change_sets_total{outcome=\"applied\"}");
    round.change_sets = applied / count;
    round.batch = applied / rise("commits_total");
    round.commit_cpu_us = rise("commit_cpu_seconds_total") * 1e6 / count;
    return round;
  }

  void throughput() {
    std::vector<Round> out, in;
    std::uint64_t each = 4;
    for (int i = 0; i < rounds_; ++i) {
      std::printf("== round %d of %d: floors, outbound, inbound\n", i + 1, rounds_);
      std::fflush(stdout);
      // After the other direction's messages each ratchet turns once: not what is measured here.
      backend_->send_count(load(), kUsers, kWindow);
      out.push_back(measure(outbound_floor(scene_->database(), kText),
                            [&] { return backend_->send_closed(load(), phase_, kWindow); }));
      flood(1);
      in.push_back(measure(inbound_floor(scene_->database(), kText), [&] { return flood(each); }));
      // As long as the outbound phase, from the second round on.
      each = std::max<std::uint64_t>(
          2, static_cast<std::uint64_t>(in.back().per_second * phase_.count() / 1000 / kUsers));
    }
    direction("outbound", median(out, by_ratio));
    direction("inbound", median(in, by_ratio));
    per_second_ = median(out, by_ratio).per_second;
  }

  void direction(const std::string& name, const Round& round) {
    report_.add(name + "_throughput", round.per_second, "messages/s");
    report_.gate(name + "_cpu", round.cpu_us(), "us/message", name + "_floor", round.floor.sum(),
                 3);
    if (postgres_) {
      report_.add(name + "_cpu_gateway", round.gateway_us, "us/message");
      report_.add(name + "_cpu_database", round.database_us, "us/message");
    }
    report_.add(name + "_floor_signal", round.floor.signal_us, "us/message");
    report_.add(name + "_floor_commit", round.floor.commit_us, "us/message");
    report_.add(name + "_floor_frame", round.floor.frame_us, "us/message");
    report_.add(name + "_change_sets", round.change_sets, "a message");
    report_.add(name + "_commit_batch", round.batch, "change sets");
    report_.add(name + "_commit_cpu", round.commit_cpu_us, "us/message");
    report_.add(name + "_simulator_cpu", round.simulator_us, "us/message");
  }

  void latency() {
    say("latency at half of the measured throughput, at fixed moments");
    const auto ms = backend_->send_open(load(), phase_ * 2, per_second_ / 2);
    report_.add("submit_to_ack_p50", ms[ms.size() / 2], "ms");
    report_.add("submit_to_ack_p99", ms[ms.size() * 99 / 100], "ms");
  }

  void split() {
    say("where the gateway's CPU time goes (perf)");
    RoomsProfile profile(scene_->gateway().pid(), scene_->file("perf.data"));
    backend_->send_closed(load(), milliseconds(options_.quick ? 3000 : 6000), kWindow);
    const auto shares = profile.finish();
    if (shares.empty()) say("no split over the rooms: perf is missing or not permitted here");
    for (const auto& [room, share] : shares)
      if (share >= 0.002) report_.add("outbound_cpu_share_" + room, share * 100, "%");
  }

  void check_far_side() {
    const auto violations = scene_->control("GET", "/violations");
    if (violations.at("count") == 0) return;
    throw std::runtime_error("the far side saw " + violations.dump().substr(0, 500));
  }

  const Options& options_;
  const bool postgres_;
  Prefixed report_;
  const int rounds_;
  const milliseconds phase_;
  Scene* scene_ = nullptr;
  Backend* backend_ = nullptr;
  std::vector<std::string> phones_;
  double per_second_ = 0;
};

}  // namespace
}  // namespace gw::bench

int main(int argc, char** argv) {
  gw::bench::Options options;
  CLI::App app{"Measures the gateway end to end; bench/run builds and calls it"};
  app.add_option("--build", options.build, "folder of the release build")->capture_default_str();
  app.add_option("--folder", options.folder, "made anew: keys, database, logs")
      ->capture_default_str();
  app.add_option("--json", options.json, "also write the figures to this file");
  app.add_option("--store", options.store, "the gateway's database")
      ->check(CLI::IsMember({"sqlite", "postgres", "both"}))
      ->capture_default_str();
  app.add_flag("--quick", options.quick, "shorter phases");
  CLI11_PARSE(app, argc, argv);
  try {
    gw::bench::Report report;
    for (bool postgres : {false, true})
      if (options.store != (postgres ? "sqlite" : "postgres"))
        gw::bench::Run(options, postgres, report).all();
    report.print();
    if (!options.json.empty()) report.write_json(options.json);
    return report.all_met() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 2;
  }
}
