#include "runtime/loop.h"

#include <boost/asio/post.hpp>
#include <pthread.h>

namespace gw::runtime {

Loop::Loop(std::string thread_name) : work_(io_.get_executor()) {
  thread_ = std::thread([this, name = thread_name.substr(0, 15)] {
    pthread_setname_np(pthread_self(), name.c_str());
    io_.run();
  });
}

Loop::~Loop() { stop(); }

void Loop::add(std::unique_ptr<Posted> work) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    wake = posted_.empty();
    posted_.push_back(std::move(work));
  }
  if (wake) boost::asio::post(io_, [this] { run_posted(); });
}

// What is posted meanwhile comes after what sockets and timers have to say.
void Loop::run_posted() {
  std::vector<std::unique_ptr<Posted>> now;
  {
    std::lock_guard lock(mutex_);
    now.swap(posted_);
  }
  for (auto& work : now) {
    work->run();
    work.reset();
  }
}

void Loop::stop() {
  work_.reset();
  io_.stop();
  if (thread_.joinable()) thread_.join();
  // What is dropped may hold timers and sockets of the loop, and may post once more when it goes.
  for (;;) {
    std::vector<std::unique_ptr<Posted>> dropped;
    {
      std::lock_guard lock(mutex_);
      dropped.swap(posted_);
    }
    if (dropped.empty()) return;
  }
}

void Timer::after(Millis delay, std::function<void()> work) {
  // The generation tells a handler that was already queued when the timer was set again.
  auto mine = std::make_shared<int>(0);
  generation_ = mine;
  timer_.expires_after(delay);
  timer_.async_wait([weak = std::weak_ptr<int>(mine), work = std::move(work)](auto error) {
    if (!error && !weak.expired()) work();
  });
}

void Timer::cancel() {
  generation_.reset();
  timer_.cancel();
}

LoopPool::LoopPool(std::size_t loops) {
  for (std::size_t i = 0; i < loops; ++i)
    loops_.push_back(std::make_unique<Loop>("loop-" + std::to_string(i)));
}

void LoopPool::stop() {
  for (auto& loop : loops_) loop->stop();
}

}  // namespace gw::runtime
