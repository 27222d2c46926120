#include "store/read_thread.h"

#include <pthread.h>

namespace gw::store {

ReadThread::ReadThread(std::size_t max_pending)
    : max_pending_(max_pending), thread_([this] { run(); }) {}

Result<void> ReadThread::post(std::function<void()> read) {
  {
    std::lock_guard lock(mutex_);
    if (closing_) return fail(ErrorKind::kRetryLater, "STORE_CLOSED", "the store is closing");
    if (queue_.size() >= max_pending_)
      return fail(ErrorKind::kThrottled, "STORE_BUSY", "too many reads wait",
                  std::chrono::milliseconds(100));
    queue_.push_back(std::move(read));
  }
  wake_.notify_one();
  return {};
}

void ReadThread::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

void ReadThread::run() {
  pthread_setname_np(pthread_self(), "store-read");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto read = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    read();
    read = nullptr;  // what it holds goes before the lock is taken again
    lock.lock();
  }
}

}  // namespace gw::store
