#include "store/postgres/deadline.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

namespace gw::store::postgres {

Deadline::Deadline(int socket, Millis limit)
    : socket_(dup(socket)), limit_(limit), thread_([this] { run(); }) {}

Deadline::~Deadline() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  close(socket_);
}

// The thread looks again when the time that it waits for has come: no wake-up for each statement.
void Deadline::arm(bool on) {
  std::lock_guard lock(mutex_);
  until_ = on ? std::optional(std::chrono::steady_clock::now() + limit_) : std::nullopt;
}

void Deadline::run() {
  pthread_setname_np(pthread_self(), "store-deadline");
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto now = std::chrono::steady_clock::now();
    if (until_ && *until_ <= now) {
      shutdown(socket_, SHUT_RDWR);
      until_.reset();
    }
    changed_.wait_until(lock, until_.value_or(now + limit_));
  }
}

}  // namespace gw::store::postgres
