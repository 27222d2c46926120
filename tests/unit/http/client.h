#pragma once

// A client that can misbehave: raw octets over a loopback socket, with a deadline on each read.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace gw::http {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool send(std::string_view octets) {
    while (!octets.empty()) {
      auto n = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      octets.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void finish_sending() { ::shutdown(fd_, SHUT_WR); }

  // One more piece; empty when the other side closed or nothing came within 10 s.
  std::string piece() {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, 10'000) <= 0) {
      timed_out = true;
      return {};
    }
    char buffer[65536];
    auto n = ::recv(fd_, buffer, sizeof buffer, 0);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
  }
  std::string until_closed() {
    std::string all;
    for (std::string more = piece(); !more.empty(); more = piece()) all += more;
    return all;
  }
  // One answer with Content-Length; what follows it stays for the next call.
  std::string answer(bool head = false) {
    std::size_t end = 0;
    while ((end = rest_.find("\r\n\r\n")) == std::string::npos) {
      auto more = piece();
      if (more.empty()) return std::exchange(rest_, "");
      rest_ += more;
    }
    end += 4;
    auto at = rest_.find("Content-Length: ");
    if (at != std::string::npos && at < end && !head) end += std::stoul(rest_.substr(at + 16));
    while (rest_.size() < end) {
      auto more = piece();
      if (more.empty()) return std::exchange(rest_, "");
      rest_ += more;
    }
    auto out = rest_.substr(0, end);
    rest_.erase(0, end);
    return out;
  }
  std::string get(const std::string& path) {
    send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return answer();
  }

  bool connected = false;
  bool timed_out = false;

 private:
  int fd_;
  std::string rest_;
};

}  // namespace gw::http
