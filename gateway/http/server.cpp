#include "http/server.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <mutex>
#include <optional>
#include <set>

namespace gw::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using asio::ip::tcp;
using Code = boost::system::error_code;

Response plain(int status, std::string text) {
  return {status, "text/plain; charset=utf-8", std::move(text) + "\n"};
}

Request to_request(const wire::request<wire::string_body>& from) {
  auto text = [](auto view) { return std::string(view.data(), view.size()); };
  Request to;
  to.method = text(from.method_string());
  auto target = text(from.target());
  auto mark = std::min(target.find('?'), target.size());
  to.path = target.substr(0, mark);
  if (mark < target.size()) to.query = target.substr(mark + 1);
  for (const auto& field : from) {
    auto name = text(field.name_string());
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    to.headers.emplace_back(std::move(name), text(field.value()));
  }
  to.body = from.body();
  return to;
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

class Connection;

// Everything but what `handlers_` guards belongs to the loop.
class Server::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(runtime::Loop& loop, ServerOptions options, std::vector<Route> routes)
      : loop_(loop),
        options_(std::move(options)),
        routes_(std::move(routes)),
        acceptor_(loop.io()),
        pause_(loop) {}

  Result<void> open();
  void accept();
  void close();
  std::uint16_t port() const { return port_; }

  runtime::Loop& loop() { return loop_; }
  const ServerOptions& options() const { return options_; }
  void handle(const Request& request, bool head, const Reply& reply);
  void gone(Connection* connection);
  ServerProbe probe;

 private:
  const Route* route(const std::string& method, const std::string& path, bool& path_known) const;

  runtime::Loop& loop_;
  const ServerOptions options_;
  std::vector<Route> routes_;
  tcp::acceptor acceptor_;
  runtime::Timer pause_;
  std::uint16_t port_ = 0;
  std::set<Connection*> connections_;
  std::mutex handlers_;  // held while one runs, so that close() can wait for it
  bool closed_ = false;  // under handlers_
};

// Owned by the operation that is pending on it: there always is exactly one, a read, a write, or
// the timer that waits for a handler.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<Server::Listener> listener)
      : stream_(std::move(socket)), listener_(std::move(listener)), timer_(listener_->loop()) {}
  ~Connection() { listener_->gone(this); }

  void read(bool first);
  void shut();

 private:
  void wait_for_request();
  void read_request();
  void have_request(Code error);
  void dispatch();
  void answer(std::uint64_t request, Response response);
  void refuse(Response response);
  void write(Response response, bool keep);
  template <class Body>
  void send(std::shared_ptr<wire::response<Body>> message, bool keep);
  void drain(std::size_t most);

  beast::tcp_stream stream_;
  std::shared_ptr<Server::Listener> listener_;
  runtime::Timer timer_;
  beast::flat_buffer buffer_;
  std::optional<wire::request_parser<wire::string_body>> parser_;
  std::uint64_t request_ = 0;  // counts requests: an answer to an older one is late
  bool waiting_ = false;       // for the handler's answer
  bool refused_ = false;
  bool keep_ = false, head_ = false;
  unsigned version_ = 11;
};

Result<void> Server::Listener::open() {
  Code error;
  auto address = asio::ip::make_address(options_.address, error);
  if (error)
    return fail(ErrorKind::kConfig, "HTTP_ADDRESS_INVALID",
                "expected an IP address to listen on, such as 127.0.0.1");
  tcp::endpoint endpoint(address, options_.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) port_ = acceptor_.local_endpoint(error).port();
  if (error)
    return fail(ErrorKind::kConfig, "HTTP_CANNOT_LISTEN",
                "cannot listen on " + options_.address + " port " + std::to_string(options_.port) +
                    ": " + error.message());
  return {};
}

void Server::Listener::accept() {
  acceptor_.async_accept([self = shared_from_this()](Code error, tcp::socket socket) {
    if (!self->acceptor_.is_open()) return;
    if (error) {
      // Out of descriptors, most likely: the next one may fit.
      self->pause_.after(Millis(100), [weak = std::weak_ptr(self)] {
        if (auto listener = weak.lock()) listener->accept();
      });
      return;
    }
    if (self->connections_.size() >= self->options_.most_connections) {
      ++self->probe.refused;
      Code ignored;
      socket.close(ignored);
    } else {
      ++self->probe.accepted;
      ++self->probe.connections_now;
      auto connection = std::make_shared<Connection>(std::move(socket), self);
      self->connections_.insert(connection.get());
      connection->read(true);
    }
    self->accept();
  });
}

void Server::Listener::close() {
  {
    std::lock_guard lock(handlers_);
    closed_ = true;
    routes_.clear();
  }
  loop_.post([self = shared_from_this()] {
    Code ignored;
    self->acceptor_.close(ignored);
    self->pause_.cancel();
    for (auto* connection : self->connections_) connection->shut();
  });
}

void Server::Listener::gone(Connection* connection) {
  connections_.erase(connection);
  --probe.connections_now;
}

const Route* Server::Listener::route(const std::string& method, const std::string& path,
                                     bool& path_known) const {
  for (const auto& route : routes_) {
    if (route.path != path) continue;
    path_known = true;
    if (route.method == method) return &route;
  }
  return nullptr;
}

void Server::Listener::handle(const Request& request, bool head, const Reply& reply) {
  std::lock_guard lock(handlers_);
  if (closed_) return reply(plain(503, "closing"));
  bool path_known = false;
  const auto* found = route(head ? "GET" : request.method, request.path, path_known);
  if (!found) return reply(path_known ? plain(405, "method not allowed") : plain(404, "not found"));
  try {
    found->handler(request, reply);
  } catch (...) {
    reply(plain(500, "internal error"));
  }
}

void Connection::read(bool first) {
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(listener_->options().most_header));
  parser_->body_limit(listener_->options().most_body);
  // A client that says nothing at first is as slow as one that stops in the middle.
  if (first || buffer_.size() > 0)
    read_request();
  else
    wait_for_request();
}

void Connection::wait_for_request() {
  stream_.expires_after(listener_->options().idle_deadline);
  stream_.async_read_some(buffer_.prepare(1024),
                          [self = shared_from_this()](Code error, std::size_t size) {
                            self->buffer_.commit(size);
                            if (error)
                              self->shut();
                            else
                              self->read_request();
                          });
}

void Connection::read_request() {
  stream_.expires_after(listener_->options().read_deadline);
  wire::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](Code error, std::size_t) { self->have_request(error); });
}

void Connection::have_request(Code error) {
  if (!error) return dispatch();
  auto& probe = listener_->probe;
  if (error == beast::error::timeout) {
    ++probe.timeouts;
    shut();
  } else if (error == wire::error::header_limit) {
    refuse(plain(431, "the header is too large"));
  } else if (error == wire::error::body_limit) {
    refuse(plain(413, "the body is too large"));
  } else if (error.category() == make_error_code(wire::error::bad_method).category() &&
             error != wire::error::end_of_stream && error != wire::error::partial_message) {
    refuse(plain(400, "this is no HTTP/1.1 request"));
  } else {
    shut();
  }
}

void Connection::dispatch() {
  stream_.expires_never();
  ++listener_->probe.requests;
  auto& message = parser_->get();
  keep_ = message.keep_alive();
  head_ = message.method() == wire::verb::head;
  version_ = message.version();
  waiting_ = true;
  auto number = ++request_;
  timer_.after(listener_->options().handler_deadline, [self = shared_from_this(), number] {
    ++self->listener_->probe.timeouts;
    self->answer(number, plain(503, "no answer in time"));
  });
  auto& loop = listener_->loop();
  // A handler may keep its Reply for ever: that must not keep the connection.
  Reply reply = [weak = weak_from_this(), number, &loop](Response response) {
    if (!weak.expired())
      loop.post([weak, number, response = std::move(response)]() mutable {
        if (auto connection = weak.lock()) connection->answer(number, std::move(response));
      });
  };
  listener_->handle(to_request(message), head_, reply);
}

void Connection::answer(std::uint64_t request, Response response) {
  if (!waiting_ || request != request_) return;
  write(std::move(response), keep_);
}

void Connection::refuse(Response response) {
  ++listener_->probe.bad_requests;
  refused_ = true;
  write(std::move(response), false);
}

void Connection::write(Response response, bool keep) {
  waiting_ = false;
  auto fill = [&](auto& message) {
    message.result(static_cast<unsigned>(response.status));
    message.version(version_);
    message.set(wire::field::content_type, response.content_type);
    message.set(wire::field::cache_control, "no-store");
    message.keep_alive(keep);
    message.content_length(response.body.size());
  };
  if (head_ && !refused_) {
    auto message = std::make_shared<wire::response<wire::empty_body>>();
    fill(*message);
    send(std::move(message), keep);
  } else {
    auto message = std::make_shared<wire::response<wire::string_body>>();
    fill(*message);
    message->body() = std::move(response.body);
    send(std::move(message), keep);
  }
}

template <class Body>
void Connection::send(std::shared_ptr<wire::response<Body>> message, bool keep) {
  stream_.expires_after(listener_->options().write_deadline);
  auto& sent = *message;
  wire::async_write(
      stream_, sent,
      [self = shared_from_this(), message = std::move(message), keep](Code error, std::size_t) {
        if (error) {
          if (error == beast::error::timeout) ++self->listener_->probe.timeouts;
          self->shut();
        } else if (keep) {
          self->read(false);
        } else if (self->refused_) {
          Code ignored;
          self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
          self->stream_.expires_after(Millis(2000));
          self->drain(1u << 20);
        } else {
          self->shut();
        }
      });
  timer_.cancel();
}

// Reads what a refused client still sends: closing over unread octets would reset the connection,
// and the client might never see why.
void Connection::drain(std::size_t most) {
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(16 * 1024),
                          [self = shared_from_this(), most](Code error, std::size_t size) {
                            if (error || size >= most)
                              self->shut();
                            else
                              self->drain(most - size);
                          });
}

void Connection::shut() {
  waiting_ = false;
  timer_.cancel();
  Code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  stream_.close();
}

Result<std::unique_ptr<Server>> Server::listen(runtime::Loop& loop, ServerOptions options,
                                               std::vector<Route> routes) {
  auto listener = std::make_shared<Listener>(loop, std::move(options), std::move(routes));
  GW_TRY(listener->open());
  loop.post([listener] { listener->accept(); });
  return std::unique_ptr<Server>(new Server(std::move(listener)));
}

Server::~Server() { listener_->close(); }

std::uint16_t Server::port() const { return listener_->port(); }
const ServerProbe& Server::probe() const { return listener_->probe; }

}  // namespace gw::http
