#pragma once

// Event loops: one thread each. What belongs to a loop is touched on its thread only; other threads
// post. Blocking on a loop is forbidden.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace gw::runtime {

class Loop {
 public:
  explicit Loop(std::string thread_name);
  ~Loop();  // stops and joins
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  boost::asio::io_context& io() { return io_; }
  // From any thread; runs later on the loop's thread, in order of posting. What is posted while the
  // loop is busy shares one wake-up.
  template <class F>
  void post(F&& work) {
    add(std::make_unique<Work<std::decay_t<F>>>(std::forward<F>(work)));
  }
  bool on_loop() const { return std::this_thread::get_id() == thread_.get_id(); }
  // Ends the thread after the handler that runs now; what is still queued is dropped.
  void stop();

 private:
  struct Posted {
    virtual ~Posted() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct Work final : Posted {
    explicit Work(F w) : work(std::move(w)) {}
    void run() override { work(); }
    F work;
  };
  void add(std::unique_ptr<Posted> work);
  void run_posted();

  std::mutex mutex_;  // guards posted_
  std::vector<std::unique_ptr<Posted>> posted_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

// A one-shot timer on a loop; setting it again replaces the earlier time. Use on the loop only.
class Timer {
 public:
  explicit Timer(Loop& loop) : timer_(loop.io()) {}
  void after(Millis delay, std::function<void()> work);
  void cancel();

 private:
  boost::asio::steady_timer timer_;
  std::shared_ptr<int> generation_;
};

class LoopPool {
 public:
  explicit LoopPool(std::size_t loops);
  Loop& of(std::size_t hash) { return *loops_[hash % loops_.size()]; }
  std::size_t size() const { return loops_.size(); }
  Loop& at(std::size_t i) { return *loops_[i]; }
  void stop();

 private:
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace gw::runtime
