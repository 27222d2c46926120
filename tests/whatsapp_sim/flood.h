#pragma once

#include "whatsapp_sim/phone.h"

namespace gw::sim {

// A load order at work: sends within the window and the rate until `count` are out.
struct Phone::Flood {
  Flood(boost::asio::io_context& io, FloodOrder what)
      : order(std::move(what)), timer(io), started(std::chrono::steady_clock::now()) {}
  FloodOrder order;
  boost::asio::steady_timer timer;
  std::chrono::steady_clock::time_point started;
  std::uint64_t sent = 0, settled = 0, failed = 0;
  bool posted = false;
};

}  // namespace gw::sim
