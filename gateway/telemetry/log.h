#pragma once

// Logs: one JSON object a line. What may be written is decided by type, so that nothing of a person
// gets in by accident (law 8): numbers, booleans, enum names, literals, pseudonyms, and what the
// operator put into the settings. There is no way to pass a std::string.
//
//   log(Level::kInfo, "link", "link_up", {field("user", LogName(name)), field("tries", 3)});
//   {"time":"2026-01-31T12:00:00.123Z","level":"info","room":"link","event":"link_up",
//    "user":"00c0ffee00c0ffee","tries":3}
//
// Thread-safe. A level that is off costs one relaxed load and the building of plain values.

#include <array>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/clock.h"
#include "base/error.h"

namespace gw::telemetry {

enum class Level : std::uint8_t { kDebug, kInfo, kWarning, kError };
std::string_view to_string(Level level);

// A word of the source: a literal of a-z, 0-9 and _, checked by the compiler.
class Word {
 public:
  template <std::size_t N>
  consteval Word(const char (&text)[N]) : text_(text, N - 1) {  // NOLINT(google-explicit-*)
    if (N < 2) throw "a word is not empty";
    for (char c : text_)
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
        throw "a word has a-z, 0-9 and _";
  }
  constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

// A field's name; those of every line are taken.
class FieldName : public Word {
 public:
  template <std::size_t N>
  consteval FieldName(const char (&text)[N]) : Word(text) {  // NOLINT(google-explicit-*)
    std::string_view t(text, N - 1);
    if (t == "time" || t == "level" || t == "room" || t == "event") throw "the name is taken";
  }
};

// A literal of the source.
class Literal {
 public:
  template <std::size_t N>
  consteval Literal(const char (&text)[N]) : text_(text, N - 1) {}  // NOLINT(google-explicit-*)
  constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

// The keyed pseudonym of a user (store::Pseudonyms::log_name): exactly 16 lower-case hex digits.
// Anything else becomes "invalid", so that a user id passed by mistake does not show.
class LogName {
 public:
  explicit LogName(std::string_view pseudonym);
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 16> text_{};
  std::uint8_t size_ = 0;
};

// Text that the operator wrote or that the build has: addresses to listen on, files, provider ids,
// versions. Saying so is the caller's promise. The text is not copied.
class OperatorText {
 public:
  explicit constexpr OperatorText(std::string_view text) : text_(text) {}
  constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

struct Field {
  std::string_view name;
  std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view, LogName, const Error*>
      value;
};

template <std::same_as<bool> T>
Field field(FieldName name, T value) {
  return {name.text(), value};
}
template <class T>
requires(std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>) Field
    field(FieldName name, T value) {
  if constexpr (std::is_signed_v<T>)
    return {name.text(), std::int64_t{value}};
  else
    return {name.text(), std::uint64_t{value}};
}
template <std::floating_point T>
Field field(FieldName name, T value) {
  return {name.text(), static_cast<double>(value)};
}
// Any enum with a to_string that returns a view of a literal.
template <class T>
requires(std::is_enum_v<T>) Field field(FieldName name, T value) {
  static_assert(std::same_as<decltype(to_string(value)), std::string_view>);
  return {name.text(), to_string(value)};
}
inline Field field(FieldName name, Literal value) { return {name.text(), value.text()}; }
inline Field field(FieldName name, LogName value) { return {name.text(), value}; }
inline Field field(FieldName name, OperatorText value) { return {name.text(), value.text()}; }
// Milliseconds; let the name end in _ms.
inline Field field(FieldName name, Millis value) {
  return {name.text(), std::int64_t{value.count()}};
}
// Kind and reason; the message too when it is the operator's to act on (kConfig).
inline Field field(FieldName name, const Error& error) { return {name.text(), &error}; }
// A temporary error lives to the end of the call of log().
template <class T>
Field field(FieldName, const Result<T>&) = delete;

struct LogOptions {
  Level level = Level::kInfo;
  std::string file;  // empty: stderr
};
// Until the first call lines go to stderr from kInfo on. May be called again, also while others
// log: a file that was moved away is opened anew (SIGHUP). CONFIG: LOG_FILE_CANNOT_OPEN; then
// nothing changes.
Result<void> open_log(const LogOptions& options);

namespace internal {
inline std::atomic<Level> least{Level::kInfo};
void write(Level level, std::string_view room, std::string_view event,
           std::initializer_list<Field> fields);
}  // namespace internal

inline bool log_enabled(Level level) {
  return level >= internal::least.load(std::memory_order_relaxed);
}

inline void log(Level level, Word room, Word event, std::initializer_list<Field> fields = {}) {
  if (log_enabled(level)) internal::write(level, room.text(), event.text(), fields);
}

// Lines written at this level since the start; for metrics.
std::uint64_t log_lines(Level level);

}  // namespace gw::telemetry
