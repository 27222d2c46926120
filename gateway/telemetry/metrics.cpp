#include "telemetry/metrics.h"

#include <algorithm>
#include <limits>
#include <prometheus/check_names.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sstream>

#include "telemetry/log.h"

namespace gw::telemetry {

Histogram::Histogram(std::span<const double> bounds)
    : count_(std::min(bounds.size(), kMostBounds)) {
  std::copy_n(bounds.begin(), count_, bounds_.begin());
}

void Histogram::observe(double value) {
  auto end = bounds_.begin() + static_cast<std::ptrdiff_t>(count_);
  auto at =
      static_cast<std::size_t>(std::lower_bound(bounds_.begin(), end, value) - bounds_.begin());
  buckets_[at].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot out;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= count_; ++i) {
    total += buckets_[i].load(std::memory_order_relaxed);
    out.cumulative.emplace_back(i < count_ ? bounds_[i] : std::numeric_limits<double>::infinity(),
                                total);
  }
  out.sum = sum_.load(std::memory_order_relaxed);
  return out;
}

Metrics::Metrics() {
  gauge("interop_gateway_build_info", "Constant 1; the labels say which build runs.",
        {{"version", GW_VERSION}, {"compiler", __VERSION__}}, [] { return 1.0; });
  for (auto level : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError})
    counter("interop_gateway_log_lines_total", "Log lines written.",
            {{"level", std::string(to_string(level))}},
            [level] { return static_cast<double>(log_lines(level)); });
}

Metrics::~Metrics() = default;

void Metrics::counter(std::string_view name, std::string_view help, Labels labels, Read value) {
  add(name, help, Type::kCounter, {std::move(labels), std::move(value), nullptr});
}
void Metrics::gauge(std::string_view name, std::string_view help, Labels labels, Read value) {
  add(name, help, Type::kGauge, {std::move(labels), std::move(value), nullptr});
}
void Metrics::histogram(std::string_view name, std::string_view help, Labels labels,
                        const Histogram& histogram) {
  add(name, help, Type::kHistogram, {std::move(labels), {}, &histogram});
}

Counter& Metrics::new_counter(std::string_view name, std::string_view help, Labels labels) {
  auto owned = std::make_unique<Counter>();
  auto& made = *owned;
  {
    std::lock_guard lock(mutex_);
    counters_.push_back(std::move(owned));
  }
  counter(name, help, std::move(labels), [&made] { return static_cast<double>(made.value()); });
  return made;
}

Gauge& Metrics::new_gauge(std::string_view name, std::string_view help, Labels labels) {
  auto owned = std::make_unique<Gauge>();
  auto& made = *owned;
  {
    std::lock_guard lock(mutex_);
    gauges_.push_back(std::move(owned));
  }
  gauge(name, help, std::move(labels), [&made] { return static_cast<double>(made.value()); });
  return made;
}

Histogram& Metrics::new_histogram(std::string_view name, std::string_view help,
                                  std::span<const double> bounds, Labels labels) {
  auto owned = std::make_unique<Histogram>(bounds);
  auto& made = *owned;
  {
    std::lock_guard lock(mutex_);
    histograms_.push_back(std::move(owned));
  }
  histogram(name, help, std::move(labels), made);
  return made;
}

std::string Metrics::mistake(std::string_view name, std::string_view help, Type type,
                             const Series& series, const Family* family) {
  if (!prometheus::CheckMetricName(std::string(name))) return "is no metric name";
  if (!name.starts_with("interop_gateway_") && !name.starts_with("process_"))
    return "must start with interop_gateway_";
  if ((type == Type::kCounter) != name.ends_with("_total"))
    return "counters, and they alone, end in _total";
  if (help.empty()) return "has no help";
  for (const auto& [label, value] : series.labels)
    if (!prometheus::CheckLabelName(label) || (type == Type::kHistogram && label == "le"))
      return "has a label with an invalid name";
  if (!family) return {};
  if (family->type != type || family->help != help) return "is registered as something else";
  for (const auto& other : family->series) {
    if (other.labels == series.labels) return "has a series twice";
    if (!std::equal(other.labels.begin(), other.labels.end(), series.labels.begin(),
                    series.labels.end(),
                    [](const auto& a, const auto& b) { return a.first == b.first; }))
      return "has series with different labels";
  }
  return {};
}

void Metrics::add(std::string_view name, std::string_view help, Type type, Series series) {
  std::lock_guard lock(mutex_);
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const Family& f) { return f.name == name; });
  auto wrong = mistake(name, help, type, series, family == families_.end() ? nullptr : &*family);
  if (!wrong.empty()) {
    if (first_mistake_.empty()) first_mistake_ = "metric " + std::string(name) + " " + wrong;
    return;
  }
  if (family == families_.end())
    family = families_.insert(families_.end(), {std::string(name), std::string(help), type, {}});
  family->series.push_back(std::move(series));
}

Result<void> Metrics::check() const {
  std::lock_guard lock(mutex_);
  if (!first_mistake_.empty()) return fail(ErrorKind::kBug, "METRIC_INVALID", first_mistake_);
  return {};
}

prometheus::MetricFamily Metrics::collect(const Family& family) {
  prometheus::MetricFamily out{family.name, family.help, prometheus::MetricType::Untyped, {}};
  out.type = family.type == Type::kCounter ? prometheus::MetricType::Counter
             : family.type == Type::kGauge ? prometheus::MetricType::Gauge
                                           : prometheus::MetricType::Histogram;
  for (const auto& series : family.series) {
    prometheus::ClientMetric metric;
    for (const auto& [name, value] : series.labels) metric.label.push_back({name, value});
    if (series.histogram) {
      auto snapshot = series.histogram->snapshot();
      for (const auto& [bound, count] : snapshot.cumulative)
        metric.histogram.bucket.push_back({count, bound});
      metric.histogram.sample_count = snapshot.cumulative.back().second;
      metric.histogram.sample_sum = snapshot.sum;
    } else if (family.type == Type::kCounter) {
      metric.counter.value = series.value();
    } else {
      metric.gauge.value = series.value();
    }
    out.metric.push_back(std::move(metric));
  }
  return out;
}

std::string Metrics::text() const {
  std::vector<prometheus::MetricFamily> collected;
  {
    std::lock_guard lock(mutex_);
    collected.reserve(families_.size());
    for (const auto& family : families_) collected.push_back(collect(family));
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, collected);
  return std::move(out).str();
}

std::vector<std::string> Metrics::catalogue() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& family : families_) {
    std::string line = family.name;
    line += family.type == Type::kCounter ? " counter"
            : family.type == Type::kGauge ? " gauge"
                                          : " histogram";
    std::string labels;
    for (const auto& [label, value] : family.series.front().labels)
      labels += (labels.empty() ? "" : ",") + label;
    if (!labels.empty()) line += " {" + labels + "}";
    out.push_back(std::move(line));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace gw::telemetry
