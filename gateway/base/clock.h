#pragma once

#include <chrono>

namespace gw {

using Millis = std::chrono::milliseconds;
using WallTime = std::chrono::sys_time<Millis>;                               // UTC
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Millis>;  // for waits

// The only source of time; tests bring their own. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual MonoTime mono() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override {
    return std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());
  }
  MonoTime mono() const override {
    return std::chrono::time_point_cast<Millis>(std::chrono::steady_clock::now());
  }
};

inline std::int64_t unix_ms(WallTime t) { return t.time_since_epoch().count(); }
inline WallTime from_unix_ms(std::int64_t ms) { return WallTime{Millis{ms}}; }

}  // namespace gw
