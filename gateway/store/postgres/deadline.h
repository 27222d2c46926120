#pragma once

// Ends a session's socket when an answer does not come in time. libpq waits for one without an end:
// the server's own timeouts and TCP's help only while the server runs and the network says so.
//
//   Deadline deadline(fd, limit);
//   { auto waiting = deadline.wait(); ... deadline.again(); ... }
//
// Longer than `limit` without again(): the socket is shut down, and libpq finds the connection
// lost. One wait at a time; the socket is cut from a thread of the deadline's own.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"

namespace gw::store::postgres {

class Deadline {
 public:
  // Throws std::system_error when there is no descriptor, or no thread, to be had.
  Deadline(int socket, Millis limit);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  class Wait {
   public:
    explicit Wait(Deadline& deadline) : deadline_(deadline) { deadline_.arm(true); }
    ~Wait() { deadline_.arm(false); }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

   private:
    Deadline& deadline_;
  };
  [[nodiscard]] Wait wait() { return Wait(*this); }
  void again() { arm(true); }  // another answer is waited for, within the same wait

 private:
  // Of our own: libpq may close its one at any time.
  class Socket {
   public:
    explicit Socket(int socket);
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    void cut();

   private:
    const int fd_;
  };
  using Time = std::chrono::steady_clock::time_point;
  void arm(bool on);
  void run();

  Socket socket_;
  const Millis limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Time> until_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace gw::store::postgres
