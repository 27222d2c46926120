#include "whatsapp_sim/pipe.h"

#include <array>
#include <boost/asio/write.hpp>
#include <charconv>
#include <utility>

namespace gw::sim {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

class TcpPipe final : public Pipe {
 public:
  explicit TcpPipe(tcp::socket socket) : socket_(std::move(socket)) {}

  void start() override { read(); }

 private:
  void read() {
    auto self = shared_from_this();
    socket_.async_read_some(asio::buffer(in_), [this, self](auto error, std::size_t size) {
      if (error) return lost();
      got(std::span(in_).first(size));
      if (socket_.is_open()) read();
    });
  }
  void write(ByteView data) override {
    auto self = shared_from_this();
    asio::async_write(socket_, asio::buffer(data.data(), data.size()),
                      [this, self](auto error, std::size_t) { written(!error); });
  }
  void post(std::function<void()> work) override {
    asio::post(socket_.get_executor(), std::move(work));
  }
  void shut() override {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  tcp::socket socket_;
  std::array<std::uint8_t, 4096> in_{};
};

void accept_next(const std::shared_ptr<tcp::acceptor>& acceptor, const Accept& accept) {
  acceptor->async_accept([acceptor, accept](auto error, tcp::socket socket) {
    if (!error) {
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      accept(std::make_shared<TcpPipe>(std::move(socket)));
    }
    if (acceptor->is_open()) accept_next(acceptor, accept);
  });
}

}  // namespace

void Pipe::flush() {
  if (flush_posted_ || busy_ || closed_ || out_.empty()) return;
  flush_posted_ = true;
  post([this, self = shared_from_this()] {
    flush_posted_ = false;
    if (!busy_ && !closed_) begin_write();
  });
}

void Pipe::begin_write() {
  if (out_.empty()) return;
  busy_ = true;
  writing_.swap(out_);
  write(writing_);
}

void Pipe::written(bool good) {
  busy_ = false;
  writing_.clear();
  if (writing_.capacity() > 64 * 1024) writing_ = {};
  if (closed_) return;
  if (!good) return lost();
  if (!out_.empty()) return begin_write();
  if (closing_) lost();
}

void Pipe::close_after_flush() {
  if (closed_) return;
  closing_ = true;
  if (!busy_ && out_.empty()) return lost();
  flush();
}

void Pipe::close_now() {
  if (std::exchange(closed_, true)) return;
  shut();
}

void Pipe::lost() {
  if (std::exchange(closed_, true)) return;
  shut();
  if (on_closed) on_closed();
}

Result<tcp::acceptor> bind_to(asio::io_context& io, const std::string& address) {
  auto bad = [&](std::string why) {
    return fail(ErrorKind::kConfig, "LISTEN_FAILED", address + ": " + std::move(why));
  };
  auto colon = address.rfind(':');
  auto host = colon == std::string::npos ? std::string("127.0.0.1") : address.substr(0, colon);
  auto digits = colon == std::string::npos ? address : address.substr(colon + 1);
  std::uint16_t port = 0;
  auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (code != std::errc() || end != digits.data() + digits.size()) return bad("no port number");
  boost::system::error_code error;
  auto ip = asio::ip::make_address(host, error);
  if (error || !ip.is_loopback()) return bad("not a loopback address");
  tcp::acceptor acceptor(io);
  tcp::endpoint endpoint(ip, port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return bad(error.message());
  return acceptor;
}

Result<std::uint16_t> listen_tcp(asio::io_context& io, const std::string& address, Accept accept) {
  GW_ASSIGN(auto acceptor, bind_to(io, address));
  auto port = acceptor.local_endpoint().port();
  accept_next(std::make_shared<tcp::acceptor>(std::move(acceptor)), accept);
  return port;
}

}  // namespace gw::sim
