#pragma once

// A small HTTP/1.1 server on one loop, for short answers: bounded in connections, in octets and in
// time. No TLS, no chunked answers. Nothing that a peer sends makes it throw or wait for ever.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "runtime/loop.h"

namespace gw::http {

struct Request {
  std::string method;  // "GET"
  std::string path;    // as it came, without the query, not decoded
  std::string query;   // behind the '?', not decoded
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string_view header(std::string_view lower_case_name) const;  // the first one; empty: none
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Answers one request. From any thread, now or later, while the loops run; what comes after the
// first answer, or after the connection has gone, is passed over.
using Reply = std::function<void(Response)>;
// Runs on the server's loop and must not block. One that throws is answered with 500.
using Handler = std::function<void(const Request&, Reply)>;

struct Route {
  std::string method;
  std::string path;  // exactly. A GET route answers HEAD too
  Handler handler;
};

struct ServerOptions {
  std::string address = "127.0.0.1";  // IPv4 or IPv6
  std::uint16_t port = 0;             // 0: a free one
  std::size_t most_connections = 64;  // one more is closed at once
  std::size_t most_header = 8 * 1024;
  std::size_t most_body = 64 * 1024;
  Millis read_deadline{10'000};  // from the first octet of a request, or the connection, to its end
  Millis idle_deadline{60'000};  // between two requests
  Millis handler_deadline{10'000};  // then 503
  Millis write_deadline{10'000};
};

// Monotonic but the last.
struct ServerProbe {
  std::atomic<std::uint64_t> accepted{0}, refused{0}, requests{0}, bad_requests{0}, timeouts{0};
  std::atomic<std::uint64_t> connections_now{0};
};

class Server {
 public:
  // CONFIG: HTTP_ADDRESS_INVALID, HTTP_CANNOT_LISTEN (in use, or not allowed). The loop must
  // outlive the server.
  static Result<std::unique_ptr<Server>> listen(runtime::Loop& loop, ServerOptions options,
                                                std::vector<Route> routes);
  // Closes everything. Waits for a handler that is running; none runs afterwards. Not from one.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  const ServerProbe& probe() const;

  class Listener;

 private:
  explicit Server(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
  std::shared_ptr<Listener> listener_;
};

}  // namespace gw::http
