#pragma once

// One thread that runs the store's reads, in order of arrival.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "base/error.h"

namespace gw::store {

class ReadThread {
 public:
  explicit ReadThread(std::size_t max_pending);
  ~ReadThread() { close(); }
  ReadThread(const ReadThread&) = delete;
  ReadThread& operator=(const ReadThread&) = delete;

  // THROTTLED "STORE_BUSY", RETRY_LATER "STORE_CLOSED": `read` will not run.
  Result<void> post(std::function<void()> read);
  // Runs what is pending, then ends the thread. Idempotent.
  void close();

 private:
  void run();

  const std::size_t max_pending_;
  std::mutex mutex_;  // guards queue_, closing_
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool closing_ = false;
  std::mutex join_mutex_;
  std::thread thread_;
};

}  // namespace gw::store
