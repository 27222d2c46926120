#include "telemetry/log.h"

#include <cmath>
#include <memory>
#include <mutex>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace gw::telemetry {
namespace {

std::array<std::atomic<std::uint64_t>, 4> lines_written{};

using Logger = std::shared_ptr<spdlog::logger>;

// Our lines are whole already; spdlog carries them to the sink.
Logger make_logger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("gateway", std::move(sink));
  logger->set_pattern("%v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  // A full disk must not end the process, nor fill stderr.
  logger->set_error_handler([](const std::string&) {});
  return logger;
}

// The logger outlives main's static destructors on purpose: threads may still log while they end.
struct Current {
  std::mutex mutex;
  Logger logger = make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
};
Current& current() {
  static auto* instance = new Current;
  return *instance;
}
Logger logger() {
  std::lock_guard lock(current().mutex);
  return current().logger;
}

void append_quoted(std::string& to, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  to += '"';
  for (char c : text) {
    auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (u < 0x20 || u >= 0x7f) {
      // Octets above ASCII become U+0080..U+00FF: the line stays valid JSON whatever a path holds.
      to += "\\u00";
      to += kHex[u >> 4];
      to += kHex[u & 15];
    } else {
      to += c;
    }
  }
  to += '"';
}

struct AppendValue {
  std::string& to;
  void operator()(bool v) const { to += v ? "true" : "false"; }
  void operator()(std::int64_t v) const { to += std::to_string(v); }
  void operator()(std::uint64_t v) const { to += std::to_string(v); }
  void operator()(double v) const {
    if (std::isfinite(v))
      fmt::format_to(std::back_inserter(to), "{}", v);
    else
      to += "null";
  }
  void operator()(std::string_view v) const { append_quoted(to, v); }
  void operator()(const LogName& v) const { append_quoted(to, v.text()); }
  void operator()(const Error* error) const {
    to += R"({"kind":)";
    append_quoted(to, gw::to_string(error->kind));
    to += R"(,"reason":)";
    append_quoted(to, error->reason);
    if (error->kind == ErrorKind::kConfig) {
      to += R"(,"message":)";
      append_quoted(to, error->message);
    }
    to += '}';
  }
};

void append_time(std::string& to) {
  using namespace std::chrono;
  auto now = time_point_cast<Millis>(system_clock::now());
  auto day = floor<days>(now);
  year_month_day date(day);
  hh_mm_ss time(now - day);
  fmt::format_to(std::back_inserter(to), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                 int(date.year()), unsigned(date.month()), unsigned(date.day()),
                 time.hours().count(), time.minutes().count(), time.seconds().count(),
                 time.subseconds().count());
}

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

LogName::LogName(std::string_view pseudonym) {
  bool valid = pseudonym.size() == text_.size() &&
               pseudonym.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!valid) pseudonym = "invalid";
  size_ = static_cast<std::uint8_t>(pseudonym.copy(text_.data(), text_.size()));
}

Result<void> open_log(const LogOptions& options) {
  try {
    Logger fresh =
        make_logger(options.file.empty()
                        ? spdlog::sink_ptr(std::make_shared<spdlog::sinks::stderr_sink_mt>())
                        : std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file, false));
    std::lock_guard lock(current().mutex);
    current().logger = std::move(fresh);
  } catch (const std::exception&) {
    return fail(ErrorKind::kConfig, "LOG_FILE_CANNOT_OPEN",
                "cannot open the log file " + options.file +
                    ": give a file in a folder that this process may write to");
  }
  internal::least.store(options.level, std::memory_order_relaxed);
  return {};
}

void internal::write(Level level, std::string_view room, std::string_view event,
                     std::initializer_list<Field> fields) {
  std::string line;
  line.reserve(256);
  line += R"({"time":")";
  append_time(line);
  line += R"(","level":)";
  append_quoted(line, to_string(level));
  line += R"(,"room":)";
  append_quoted(line, room);
  line += R"(,"event":)";
  append_quoted(line, event);
  for (const auto& f : fields) {
    line += ',';
    append_quoted(line, f.name);
    line += ':';
    std::visit(AppendValue{line}, f.value);
  }
  line += '}';
  lines_written[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  logger()->log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

std::uint64_t log_lines(Level level) {
  return lines_written[static_cast<std::size_t>(level)].load(std::memory_order_relaxed);
}

}  // namespace gw::telemetry
