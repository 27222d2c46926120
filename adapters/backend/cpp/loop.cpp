#include "loop.h"

namespace gw::backend {

void Loop::post(Task task) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void Loop::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Loop::Timer Loop::after(std::chrono::milliseconds wait, Task task) {
  Timer timer{now() + wait, ++next_};
  timers_.emplace(timer, std::move(task));
  return timer;
}

void Loop::cancel(Timer& timer) {
  timers_.erase(timer);
  timer = {};
}

void Loop::run_due() {
  while (!timers_.empty() && timers_.begin()->first.first <= now()) {
    Task task = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    task();
  }
}

void Loop::run() {
  for (std::unique_lock lock(mutex_);;) {
    if (tasks_.empty()) {
      if (stopping_) break;
      if (timers_.empty()) {
        wake_.wait(lock);
      } else {
        wake_.wait_until(lock, timers_.begin()->first.first);
      }
    }
    auto tasks = std::exchange(tasks_, {});
    lock.unlock();
    for (auto& task : tasks) task();
    tasks.clear();
    run_due();
    lock.lock();
  }
  timers_.clear();
}

}  // namespace gw::backend
