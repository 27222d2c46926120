#pragma once

// WhatsApp's side of one connection, played step by step by the test on its own thread; and the
// listener that remembers what a link told.

#include <arpa/inet.h>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/link.h"
#include "stanza/codec.h"
#include "unit/noise/party.h"

namespace gw::link {

inline constexpr auto kPatience = std::chrono::seconds(20);

// One accepted connection. A step that finds the link gone throws nothing: it returns false.
class Peer {
 public:
  Peer(int fd, const noise::Party& party) : fd_(fd), responder_(party.responder()) {}
  ~Peer() { close(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void reset() {  // RST instead of FIN
    linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }

  // The client's hello, answered.
  bool hello() {
    Bytes header;
    if (!read(header, noise::kHeader.size())) return false;
    auto frame = next_frame();
    if (!frame) return false;
    auto answer = responder_.read_client_hello(*frame);
    if (!answer) return false;
    Bytes out;
    noise::put_frame(out, *answer);
    return write(out);
  }
  // The client's finish; what it logs in with.
  std::optional<Bytes> login() {
    auto frame = next_frame();
    if (!frame) return std::nullopt;
    auto client = responder_.read_client_finish(*frame);
    if (!client) return std::nullopt;
    transport_.emplace(responder_.split());
    return client->login;
  }
  bool up() { return hello() && login() && send(stanza::Node("success")); }

  bool send(const stanza::Node& node) { return send_plain(*stanza::encode(node)); }
  bool send_plain(ByteView plain) {
    Bytes out;
    return transport_->seal_frame(plain, out) && write(out);
  }
  std::optional<stanza::Node> receive() {
    auto frame = next_frame();
    if (!frame) return std::nullopt;
    auto plain = transport_->open(*frame);
    if (!plain) return std::nullopt;
    auto node = stanza::decode(*plain);
    return node ? std::optional(*node) : std::nullopt;
  }
  bool write(ByteView octets) {
    return ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(octets.size());
  }
  // The link closed its end, after whatever it still said.
  bool closed() {
    Bytes octets;
    while (read(octets, 1)) octets.clear();
    return gone_;
  }

 private:
  bool read(Bytes& to, std::size_t size) {
    while (to.size() < size) {
      pollfd wait{fd_, POLLIN, 0};
      const auto patience = std::chrono::milliseconds(kPatience).count();
      if (::poll(&wait, 1, static_cast<int>(patience)) != 1) return false;
      std::uint8_t octet;
      if (::recv(fd_, &octet, 1, 0) != 1) {
        gone_ = true;
        return false;
      }
      to.push_back(octet);
    }
    return true;
  }
  std::optional<Bytes> next_frame() {
    Bytes length, body;
    if (!read(length, 3) || !read(body, get_be<3>(length))) return std::nullopt;
    return body;
  }

  int fd_;
  noise::Responder responder_;
  std::optional<noise::Transport> transport_;
  bool gone_ = false;
};

class Server {
 public:
  Server() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd_, 16) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      std::abort();
    port_ = ntohs(address.sin_port);
  }
  ~Server() { stop(); }
  std::uint16_t port() const { return port_; }
  void stop() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  std::unique_ptr<Peer> accept() {
    pollfd wait{fd_, POLLIN, 0};
    const auto patience = std::chrono::milliseconds(kPatience).count();
    if (::poll(&wait, 1, static_cast<int>(patience)) != 1) return nullptr;
    return std::make_unique<Peer>(::accept(fd_, nullptr, nullptr), party_);
  }
  noise::Party& party() { return party_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
  noise::Party party_;
};

// Remembers, and lets another thread wait.
class Heard final : public Listener {
 public:
  void link_up(const stanza::Node&) override {
    change([&] { up_ = true; });
  }
  void link_down(Down why) override {
    if (on_down) on_down();
    change([&] { downs_.push_back(why); });
  }
  void link_stanza(stanza::Node node) override {
    change([&] { stanzas_.push_back(std::move(node)); });
  }

  std::function<void()> on_down;

  bool up() {
    return wait([&] { return up_; });
  }
  Down down() {
    return wait([&] { return !downs_.empty(); }) ? downs_.front() : Down{"NOT_DOWN"};
  }
  bool stanza(std::string_view tag) {
    return wait([&] { return !stanzas_.empty() && stanzas_.back().tag == tag; });
  }
  std::size_t downs() {
    std::lock_guard lock(mutex_);
    return downs_.size();
  }

 private:
  template <class F>
  void change(F&& apply) {
    std::lock_guard lock(mutex_);
    apply();
    changed_.notify_all();
  }
  template <class F>
  bool wait(F&& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, condition);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool up_ = false;
  std::vector<Down> downs_;
  std::vector<stanza::Node> stanzas_;
};

// The wall stands within the certificates' time; the rest is real.
class CertificateClock final : public Clock {
 public:
  WallTime wall() const override { return noise::kNow; }
  MonoTime mono() const override { return real_.mono(); }

 private:
  SystemClock real_;
};

}  // namespace gw::link
