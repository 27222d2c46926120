#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket.hpp>

#include "whatsapp_sim/pipe.h"

namespace gw::sim {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr std::string_view kPath = "/ws/chat";

class WebSocketPipe final : public Pipe {
 public:
  WebSocketPipe(tcp::socket socket, Accept accept)
      : stream_(std::move(socket)), accept_(std::move(accept)) {}

  // The HTTP request comes first; only then is there a stream to hand on.
  void upgrade() {
    auto self = shared_from_this();
    http::async_read(stream_.next_layer(), buffer_, request_, [this, self](auto error, auto) {
      if (error) return;
      if (request_.target() != kPath || !beast::websocket::is_upgrade(request_)) {
        return refuse();
      }
      stream_.binary(true);
      stream_.read_message_max(64u << 20);
      stream_.async_accept(request_, [this, self](auto accept_error) {
        if (!accept_error) accept_(self);
      });
    });
  }
  void start() override { read(); }

 private:
  void refuse() {
    auto self = shared_from_this();
    response_.result(http::status::not_found);
    response_.body() = "this is a WhatsApp simulator: WebSocket at /ws/chat\n";
    response_.prepare_payload();
    http::async_write(stream_.next_layer(), response_, [this, self](auto, auto) { shut(); });
  }
  void read() {
    auto self = shared_from_this();
    stream_.async_read_some(buffer_, 16 * 1024, [this, self](auto error, std::size_t) {
      if (error) return lost();
      auto data = buffer_.data();
      got({static_cast<std::uint8_t*>(data.data()), data.size()});
      buffer_.consume(buffer_.size());
      if (stream_.next_layer().is_open()) read();
    });
  }
  void write(ByteView data) override {
    auto self = shared_from_this();
    stream_.async_write(asio::buffer(data.data(), data.size()),
                        [this, self](auto error, std::size_t) { written(!error); });
  }
  void post(std::function<void()> work) override {
    asio::post(stream_.get_executor(), std::move(work));
  }
  void shut() override {
    boost::system::error_code ignored;
    stream_.next_layer().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.next_layer().close(ignored);
  }

  beast::websocket::stream<tcp::socket> stream_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response<http::string_body> response_;
  Accept accept_;
};

void accept_next(const std::shared_ptr<tcp::acceptor>& acceptor, const Accept& accept) {
  acceptor->async_accept([acceptor, accept](auto error, tcp::socket socket) {
    if (!error) std::make_shared<WebSocketPipe>(std::move(socket), accept)->upgrade();
    if (acceptor->is_open()) accept_next(acceptor, accept);
  });
}

}  // namespace

Result<std::uint16_t> listen_websocket(asio::io_context& io, const std::string& address,
                                       Accept accept) {
  GW_ASSIGN(auto acceptor, bind_to(io, address));
  auto port = acceptor.local_endpoint().port();
  accept_next(std::make_shared<tcp::acceptor>(std::move(acceptor)), accept);
  return port;
}

}  // namespace gw::sim
