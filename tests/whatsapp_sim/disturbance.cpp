// What faults do to a link's outgoing stanzas.

#include "whatsapp_sim/session.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {

using stanza::Node;

namespace {
constexpr std::chrono::milliseconds kSwapPatience{200};  // then it goes without a successor
}

bool Session::disturb(const Node& node) {
  if (!late_.empty()) {  // order is kept behind what is delayed
    put_later(node, std::chrono::milliseconds(0));
    return true;
  }
  Faults::What what{&device_->account, Way::kToClient, node.tag, {}};
  if (swapped_) {
    auto first = std::move(*swapped_);
    swapped_.reset();
    put(node);
    put(first);
    return true;
  }
  if (world_.faults.strike(FaultKind::kDrop, what)) return true;
  if (auto fault = world_.faults.strike(FaultKind::kDelay, what)) {
    put_later(node, fault->delay);
    return true;
  }
  if (world_.faults.strike(FaultKind::kDuplicate, what)) put(node);  // and once more as usual
  if (world_.faults.strike(FaultKind::kReorder, what)) {
    swapped_ = node;
    auto timer = std::make_shared<boost::asio::steady_timer>(world_.io, kSwapPatience);
    timer->async_wait([self = shared_from_this(), timer](auto) {
      if (!self->swapped_ || self->phase_ != Phase::kLive) return;
      self->put(*self->swapped_);
      self->swapped_.reset();
    });
    return true;
  }
  return false;
}

void Session::put_later(const Node& node, std::chrono::milliseconds delay) {
  auto due = std::chrono::steady_clock::now() + delay;
  if (!late_.empty()) due = std::max(due, late_.back().due);
  late_.push_back({due, node});
  if (late_.size() == 1) arm_late();
}

void Session::arm_late() {
  late_timer_ = std::make_unique<boost::asio::steady_timer>(world_.io, late_.front().due);
  late_timer_->async_wait([weak = weak_from_this()](auto error) {
    auto self = weak.lock();
    if (error || !self || self->phase_ != Phase::kLive) return;
    auto now = std::chrono::steady_clock::now();
    while (!self->late_.empty() && self->late_.front().due <= now) {
      self->put(self->late_.front().node);
      self->late_.pop_front();
    }
    if (!self->late_.empty()) self->arm_late();
  });
}

}  // namespace gw::sim
