#pragma once

// A byte stream to one client: raw TCP, or WebSocket with binary messages whose boundaries carry no
// meaning. Everything on the one thread of the io_context.

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace gw::sim {

class Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  virtual ~Pipe() = default;
  std::function<void(std::span<std::uint8_t>)> on_data;
  std::function<void()> on_closed;  // once, not after close_now()

  virtual void start() = 0;
  // What is to be sent; leaves in one write at the end of the current handler.
  Bytes& out() { return out_; }
  void flush();
  void close_after_flush();
  void close_now();
  std::size_t queued() const { return out_.size() + writing_.size(); }

 protected:
  virtual void write(ByteView data) = 0;  // ends with written()
  virtual void post(std::function<void()> work) = 0;
  virtual void shut() = 0;
  void written(bool good);
  void got(std::span<std::uint8_t> data) {
    if (!closed_ && on_data) on_data(data);
  }
  void lost();

 private:
  void begin_write();

  Bytes out_, writing_;
  bool flush_posted_ = false, busy_ = false, closing_ = false, closed_ = false;
};

using Accept = std::function<void(std::shared_ptr<Pipe>)>;

// Both listen at once and return the port. CONFIG "LISTEN_FAILED".
Result<std::uint16_t> listen_tcp(boost::asio::io_context& io, const std::string& address,
                                 Accept accept);
Result<std::uint16_t> listen_websocket(boost::asio::io_context& io, const std::string& address,
                                       Accept accept);
// "HOST:PORT" or "PORT"; only loopback addresses are taken.
Result<boost::asio::ip::tcp::acceptor> bind_to(boost::asio::io_context& io,
                                               const std::string& address);

}  // namespace gw::sim
