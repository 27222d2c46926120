#include "whatsapp_sim/flood.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cmath>

#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {
constexpr std::uint64_t kTurn = 32;  // messages before the other work gets its turn
}

void Phone::flood(FloodOrder order) {
  flood_ = std::make_unique<Flood>(world_.io, std::move(order));
  flood_step();
}

nlohmann::json Phone::flood_json() const {
  if (!flood_) return {{"count", 0}, {"sent", 0}, {"settled", 0}, {"failed", 0}};
  return {{"count", flood_->order.count},
          {"sent", flood_->sent},
          {"settled", flood_->settled},
          {"failed", flood_->failed}};
}

// Posts one turn; many settled messages ask for it, one turn answers them all.
void Phone::flood_step() {
  if (!flood_ || flood_->posted || flood_->sent >= flood_->order.count) return;
  flood_->posted = true;
  boost::asio::post(world_.io, [this] {
    if (!flood_) return;
    auto& f = *flood_;
    f.posted = false;
    const auto& order = f.order;
    for (std::uint64_t turn = 0; turn < kTurn && f.sent < order.count; ++turn) {
      if (order.window > 0 && f.sent - f.settled - f.failed >= order.window) return;
      if (order.rate > 0) {
        auto due = f.started + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::duration<double>(double(f.sent) / order.rate));
        if (due > std::chrono::steady_clock::now()) {
          f.timer.expires_at(due);
          f.timer.async_wait([this](auto error) {
            if (!error) flood_step();
          });
          return;
        }
      }
      auto text = "flood " + std::to_string(f.sent) + " ";
      text.resize(std::max(text.size(), order.text_size), '.');
      const auto& to = *order.to[f.sent % order.to.size()];
      ++f.sent;
      if (!send_text(to, text, true)) ++f.failed;
    }
    flood_step();
  });
}

}  // namespace gw::sim
