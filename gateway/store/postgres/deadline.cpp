#include "store/postgres/deadline.h"

#include <cerrno>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace gw::store::postgres {

Deadline::Socket::Socket(int socket) : fd_(fcntl(socket, F_DUPFD_CLOEXEC, 0)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "F_DUPFD_CLOEXEC");
}
Deadline::Socket::~Socket() { close(fd_); }
void Deadline::Socket::cut() { shutdown(fd_, SHUT_RDWR); }

Deadline::Deadline(int socket, Millis limit)
    : socket_(socket), limit_(limit), thread_([this] { run(); }) {}

Deadline::~Deadline() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
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
      socket_.cut();
      until_.reset();
    }
    changed_.wait_until(lock, until_.value_or(now + limit_));
  }
}

}  // namespace gw::store::postgres
