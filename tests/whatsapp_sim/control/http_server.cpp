#include "whatsapp_sim/control/http_server.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>

#include "base/encoding.h"
#include "whatsapp_sim/pipe.h"

namespace gw::sim {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      if (auto octet = from_hex(text.substr(i + 1, 2))) {
        out.append(as_text(*octet));
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

template <class F>
void split(std::string_view text, char at, F&& f) {
  while (!text.empty()) {
    auto end = text.find(at);
    auto part = text.substr(0, end);
    if (!part.empty()) f(part);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

HttpRequest read_target(std::string_view method, std::string_view target) {
  HttpRequest request;
  request.method = method;
  auto question = target.find('?');
  split(target.substr(0, question), '/',
        [&](auto part) { request.path.push_back(percent_decode(part)); });
  if (question != std::string_view::npos) {
    split(target.substr(question + 1), '&', [&](std::string_view part) {
      auto equals = part.find('=');
      auto value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
      request.query.emplace_back(percent_decode(part.substr(0, equals)), percent_decode(value));
    });
  }
  return request;
}

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<HttpHandler> handler)
      : socket_(std::move(socket)), handler_(std::move(handler)) {}

  void read() {
    parser_.emplace();
    parser_->body_limit(32u << 20);
    http::async_read(socket_, buffer_, *parser_, [self = shared_from_this()](auto error, auto) {
      if (!error) self->handle();
    });
  }

 private:
  void handle() {
    const auto& raw = parser_->get();
    keep_alive_ = raw.keep_alive();
    auto method = raw.method_string(), target = raw.target();
    auto request = read_target({method.data(), method.size()}, {target.data(), target.size()});
    if (!raw.body().empty()) {
      request.body = Json::parse(raw.body(), nullptr, false);
      if (request.body.is_discarded()) return write(400, {{"error", "the body is not JSON"}});
    }
    (*handler_)(request, [self = shared_from_this()](unsigned status, Json body) {
      self->write(status, body);
    });
  }
  void write(unsigned status, const Json& body) {
    response_ = {};
    response_.result(status);
    response_.set(http::field::content_type, "application/json");
    response_.keep_alive(keep_alive_);
    response_.body() = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    response_.prepare_payload();
    http::async_write(socket_, response_, [self = shared_from_this()](auto error, auto) {
      if (!error && self->keep_alive_) return self->read();
      boost::system::error_code ignored;
      self->socket_.shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  tcp::socket socket_;
  std::shared_ptr<HttpHandler> handler_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  bool keep_alive_ = false;
};

void accept_next(const std::shared_ptr<tcp::acceptor>& acceptor,
                 const std::shared_ptr<HttpHandler>& handler) {
  acceptor->async_accept([acceptor, handler](auto error, tcp::socket socket) {
    if (!error) {
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      std::make_shared<Connection>(std::move(socket), handler)->read();
    }
    if (acceptor->is_open()) accept_next(acceptor, handler);
  });
}

}  // namespace

std::string HttpRequest::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

Result<std::uint16_t> listen_http(asio::io_context& io, const std::string& address,
                                  HttpHandler handler) {
  GW_ASSIGN(auto acceptor, bind_to(io, address));
  auto port = acceptor.local_endpoint().port();
  accept_next(std::make_shared<tcp::acceptor>(std::move(acceptor)),
              std::make_shared<HttpHandler>(std::move(handler)));
  return port;
}

}  // namespace gw::sim
