#pragma once

// HTTP/1.1 with JSON on loopback, on the simulator's own thread. Answers may come later.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gw::sim {

using Json = nlohmann::json;

struct HttpRequest {
  std::string method;
  std::vector<std::string> path;  // "/phones/49/inbox" -> phones, 49, inbox; percent-decoded
  std::vector<std::pair<std::string, std::string>> query;
  Json body;  // null when there is none
  std::string parameter(std::string_view name) const;
};
// To be called once.
using HttpAnswer = std::function<void(unsigned status, Json body)>;
using HttpHandler = std::function<void(const HttpRequest&, HttpAnswer)>;

Result<std::uint16_t> listen_http(boost::asio::io_context& io, const std::string& address,
                                  HttpHandler handler);

}  // namespace gw::sim
