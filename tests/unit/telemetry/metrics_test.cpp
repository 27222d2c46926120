#include "telemetry/metrics.h"

#include <gmock/gmock.h>
#include <map>
#include <sstream>
#include <thread>

namespace gw::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

// The value behind "name{labels} " in the exposition text.
double value_of(const std::string& text, const std::string& series) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(series + " ")) return std::strtod(line.c_str() + series.size(), nullptr);
  ADD_FAILURE() << series << " is not there";
  return -1;
}

TEST(Metrics, ReadsAtomicsAtTheScrape) {
  std::atomic<std::uint64_t> commits{0}, micros{0};
  Metrics metrics;
  metrics.counter("interop_gateway_store_commits_total", "Commits.", {{"provider", "a"}},
                  read(commits));
  metrics.counter("interop_gateway_store_commit_seconds_total", "Time.", {}, read(micros, 1e-6));
  EXPECT_EQ(value_of(metrics.text(), "interop_gateway_store_commits_total{provider=\"a\"}"), 0);
  commits += 5;
  micros += 2'500'000;
  EXPECT_EQ(value_of(metrics.text(), "interop_gateway_store_commits_total{provider=\"a\"}"), 5);
  EXPECT_EQ(value_of(metrics.text(), "interop_gateway_store_commit_seconds_total"), 2.5);
  EXPECT_THAT(metrics.text(), HasSubstr("# TYPE interop_gateway_store_commits_total counter"));
  EXPECT_THAT(metrics.text(), HasSubstr("# HELP interop_gateway_store_commits_total Commits."));
  EXPECT_TRUE(metrics.check());
}

TEST(Metrics, HandlesCount) {
  Metrics metrics;
  auto& counter = metrics.new_counter("interop_gateway_x_total", "X.");
  auto& gauge = metrics.new_gauge("interop_gateway_y", "Y.", {{"state", "up"}});
  counter.add();
  counter.add(2);
  gauge.set(5);
  gauge.add(-7);
  EXPECT_EQ(value_of(metrics.text(), "interop_gateway_x_total"), 3);
  EXPECT_EQ(value_of(metrics.text(), "interop_gateway_y{state=\"up\"}"), -2);
}

TEST(Metrics, HistogramsHaveCumulativeBucketsWithBoundsInclusive) {
  Metrics metrics;
  const double bounds[] = {1, 10};
  auto& h = metrics.new_histogram("interop_gateway_h_seconds", "H.", bounds);
  for (double v : {0.5, 1.0, 1.5, 10.0, 11.0}) h.observe(v);
  auto text = metrics.text();
  EXPECT_EQ(value_of(text, "interop_gateway_h_seconds_bucket{le=\"1\"}"), 2);
  EXPECT_EQ(value_of(text, "interop_gateway_h_seconds_bucket{le=\"10\"}"), 4);
  EXPECT_EQ(value_of(text, "interop_gateway_h_seconds_bucket{le=\"+Inf\"}"), 5);
  EXPECT_EQ(value_of(text, "interop_gateway_h_seconds_count"), 5);
  EXPECT_EQ(value_of(text, "interop_gateway_h_seconds_sum"), 24);
}

TEST(Metrics, HistogramsLoseNothingBetweenThreads) {
  Histogram h(kSeconds);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&h] {
      for (int i = 0; i < 10000; ++i) h.observe(0.5);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(h.snapshot().cumulative.back().second, 40000u);
  EXPECT_EQ(h.snapshot().sum, 20000);
}

TEST(Metrics, AWrongRegistrationIsReportedAndLeftOut) {
  auto zero = [] { return 0.0; };
  std::map<std::string, std::function<void(Metrics&)>> wrong{
      {"must start with", [&](Metrics& m) { m.gauge("other_x", "X.", {}, zero); }},
      {"is no metric name", [&](Metrics& m) { m.gauge("interop_gateway_x y", "X.", {}, zero); }},
      {"end in _total", [&](Metrics& m) { m.counter("interop_gateway_x", "X.", {}, zero); }},
      {"they alone", [&](Metrics& m) { m.gauge("interop_gateway_x_total", "X.", {}, zero); }},
      {"no help", [&](Metrics& m) { m.gauge("interop_gateway_x", "", {}, zero); }},
      {"invalid name",
       [&](Metrics& m) {
         m.gauge("interop_gateway_x", "X", {{"a-b", ""}}, zero);
       }},
      {"series twice",
       [&](Metrics& m) {
         m.gauge("interop_gateway_x", "X.", {{"a", "1"}}, zero);
         m.gauge("interop_gateway_x", "X.", {{"a", "1"}}, zero);
       }},
      {"different labels",
       [&](Metrics& m) {
         m.gauge("interop_gateway_x", "X.", {{"a", "1"}}, zero);
         m.gauge("interop_gateway_x", "X.", {{"b", "1"}}, zero);
       }},
      {"something else",
       [&](Metrics& m) {
         m.gauge("interop_gateway_x", "X.", {}, zero);
         m.new_histogram("interop_gateway_x", "X.", kSeconds);
       }},
  };
  for (const auto& [message, act] : wrong) {
    Metrics metrics;
    ASSERT_TRUE(metrics.check());
    act(metrics);
    ASSERT_FALSE(metrics.check()) << message;
    EXPECT_EQ(metrics.check().error().reason, "METRIC_INVALID");
    EXPECT_THAT(metrics.check().error().message, HasSubstr(message));
  }
}

TEST(Metrics, LabelValuesAreEscaped) {
  Metrics metrics;
  metrics.gauge("interop_gateway_x", "X.", {{"a", "q\"b\\n\n"}}, [] { return 1.0; });
  EXPECT_THAT(metrics.text(), HasSubstr(R"(interop_gateway_x{a="q\"b\\n\n"} 1)"));
}

TEST(Metrics, ProcessAndBuildAreThere) {
  Metrics metrics;
  register_process_metrics(metrics);
  EXPECT_TRUE(metrics.check());
  auto text = metrics.text();
  EXPECT_GT(value_of(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(value_of(text, "process_virtual_memory_bytes"), 1e6);
  EXPECT_GT(value_of(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(value_of(text, "process_open_fds"), 2);
  EXPECT_GE(value_of(text, "process_max_fds"), value_of(text, "process_open_fds"));
  EXPECT_GE(value_of(text, "process_threads"), 1);
  auto now = static_cast<double>(::time(nullptr));
  EXPECT_NEAR(value_of(text, "process_start_time_seconds"), now, 3600);
  EXPECT_THAT(text, HasSubstr("interop_gateway_build_info{version=\"" GW_VERSION "\""));
}

TEST(Metrics, TheCatalogueNamesFamiliesOnce) {
  Metrics metrics;
  metrics.new_counter("interop_gateway_zz_total", "Z.", {{"a", "1"}, {"b", "1"}});
  metrics.new_counter("interop_gateway_zz_total", "Z.", {{"a", "2"}, {"b", "1"}});
  auto all = metrics.catalogue();
  EXPECT_EQ(std::count(all.begin(), all.end(), "interop_gateway_zz_total counter {a,b}"), 1);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

}  // namespace
}  // namespace gw::telemetry
