#pragma once

// Metrics: rooms count in plain atomics, the composition root registers how to read them, a scrape
// reads. Nothing is locked or formatted on the way of a message.
//
// A room's probe is a struct of atomics and histograms that the room owns:
//   struct LinkProbe { std::atomic<std::uint64_t> opened{0}; Histogram login_seconds{kSeconds}; };
// and the composition root says:
//   metrics.counter("interop_gateway_link_opened_total", "Links opened.", {}, read(probe.opened));
//
// Labels name what the operator chose (a provider) or the source has (a state), never a person.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace prometheus {
struct MetricFamily;
}

namespace gw::telemetry {

using Labels = std::vector<std::pair<std::string, std::string>>;
// Runs on the scraping thread: reads atomics, does not block. What it reads must live until the
// last scrape, so stop the operator's server before the rooms.
using Read = std::function<double()>;

inline Read read(const std::atomic<std::uint64_t>& value, double unit = 1) {
  return
      [&value, unit] { return static_cast<double>(value.load(std::memory_order_relaxed)) * unit; };
}

// Only ever rises.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Upper bounds, rising; one more bucket takes what is above.
// 50 us to 10 s, for waits and latencies.
inline constexpr double kSeconds[] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                      0.005,   0.01,   0.025,   0.05,   0.1,   0.25,
                                      0.5,     1,      2.5,     5,      10};
// 64 octets to 4 MiB.
inline constexpr double kOctets[] = {64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304};

// Lock-free. A scrape may see an observation in its bucket and not yet in the sum.
class Histogram {
 public:
  static constexpr std::size_t kMostBounds = 24;
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);

  struct Snapshot {
    std::vector<std::pair<double, std::uint64_t>> cumulative;  // (upper bound, count); last: +Inf
    double sum = 0;
  };
  Snapshot snapshot() const;

 private:
  std::array<double, kMostBounds> bounds_{};
  std::size_t count_ = 0;
  std::array<std::atomic<std::uint64_t>, kMostBounds + 1> buckets_{};
  std::atomic<double> sum_{0};
};

// The metrics of a process. Registration is for the start; it and text() are thread-safe.
class Metrics {
 public:
  Metrics();  // with build information and log line counts
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name may come again with other values of the same labels.
  void counter(std::string_view name, std::string_view help, Labels labels, Read value);
  void gauge(std::string_view name, std::string_view help, Labels labels, Read value);
  void histogram(std::string_view name, std::string_view help, Labels labels,
                 const Histogram& histogram);

  // For those who have no probe: these live as long as Metrics.
  Counter& new_counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& new_gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& new_histogram(std::string_view name, std::string_view help,
                           std::span<const double> bounds, Labels labels = {});

  // BUG METRIC_INVALID with the first mistake of a registration: a name without the prefix
  // interop_gateway_ or process_, a counter without _total, no help, other labels or another type
  // than the family has, a series twice. Such a series is left out. Ask once, after registering.
  Result<void> check() const;

  // Prometheus text format 0.0.4.
  std::string text() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  // "name type {label,label}" of each family, sorted: what a golden file freezes.
  std::vector<std::string> catalogue() const;

 private:
  enum class Type : std::uint8_t { kCounter, kGauge, kHistogram };
  struct Series {
    Labels labels;
    Read value;
    const Histogram* histogram = nullptr;
  };
  struct Family {
    std::string name, help;
    Type type;
    std::vector<Series> series;
  };
  void add(std::string_view name, std::string_view help, Type type, Series series);
  static std::string mistake(std::string_view name, std::string_view help, Type type,
                             const Series& series, const Family* family);
  static ::prometheus::MetricFamily collect(const Family& family);

  mutable std::mutex mutex_;
  std::vector<Family> families_;
  std::string first_mistake_;
  std::vector<std::unique_ptr<Counter>> counters_;
  std::vector<std::unique_ptr<Gauge>> gauges_;
  std::vector<std::unique_ptr<Histogram>> histograms_;
};

// Registers process_* for this process (Linux, from /proc/self).
void register_process_metrics(Metrics& metrics);

}  // namespace gw::telemetry
