#pragma once

// The library's one thread: tasks in order, and timers.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gw::backend {

class Loop {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Task = std::function<void()>;
  using Timer = std::pair<Time, std::uint64_t>;  // second 0: none

  Loop() : thread_([this] { run(); }) {}
  ~Loop() { stop(); }

  static Time now() { return std::chrono::steady_clock::now(); }
  // From any thread. After stop it is dropped.
  void post(Task task);
  // What was posted before is done first. Not from the loop itself.
  void stop();

  // On the loop only.
  Timer after(std::chrono::milliseconds wait, Task task);
  void cancel(Timer& timer);

 private:
  void run();
  void run_due();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> tasks_;  // under mutex_
  bool stopping_ = false;    // under mutex_
  std::map<Timer, Task> timers_;
  std::uint64_t next_ = 0;
  std::thread thread_;
};

}  // namespace gw::backend
