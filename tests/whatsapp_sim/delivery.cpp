// The other half of the router: mailboxes to endpoints.

#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {

using stanza::Node;

namespace {
constexpr std::size_t kLowPrekeys = 5;
}

void Router::enqueue(Device& to, const Account* from, Node node) {
  auto key = Mailbox::key(node.tag, node.attr_text("id"), from ? from->lid : "");
  to.mailbox.push(std::move(key), std::move(node));
  pump(to);
}

void Router::notify(Device& to, Node notification) {
  notification.with("id", "sim-n" + std::to_string(++notifications_)).with("t", world_.now_s());
  auto from = notification.attr_jid("from");
  enqueue(to, from ? world_.directory.find(*from) : nullptr, std::move(notification));
}

void Router::notify_identity_change(Device& changed) {
  world_.far_side.forget_prekeys(changed.uid);
  for (auto* peer : changed.account.peers) {
    for (const auto& [id, device] : peer->devices) {
      Node node("notification");
      node.with("from", address_of(changed.account, changed.id, Form::kLid))
          .with("type", "encrypt")
          .add(Node("identity"));
      notify(*device, std::move(node));
    }
  }
}

void Router::notify_devices(const Account& changed) {
  for (auto* peer : changed.peers) {
    for (const auto& [id, device] : peer->devices) {
      Node node("notification");
      node.with("from", address_of(changed, 0, Form::kLid))
          .with("type", "devices")
          .add(Node("update"));
      notify(*device, std::move(node));
    }
  }
}

void Router::tell_if_low(Device& device) {
  auto count = device.keys.count();
  if (count >= kLowPrekeys) {
    device.low_told = false;
    return;
  }
  if (device.low_told || !device.keys.published()) return;
  device.low_told = true;
  Node node("notification");
  node.with("from", stanza::Jid::service())
      .with("type", "encrypt")
      .add(Node("count").with("value", static_cast<std::int64_t>(count)));
  notify(device, std::move(node));
}

void Router::attach(Device& device, Endpoint& endpoint) {
  if (device.endpoint && device.endpoint != &endpoint) {
    ++world_.stats.logins_replaced;
    auto* older = device.endpoint;
    device.endpoint = nullptr;
    older->finish(Node("stream:error").add(Node("conflict").with("type", "replaced")));
  }
  device.endpoint = &endpoint;
  device.flowing = false;
  device.mailbox.rewind();
}

void Router::detach(Device& device, const Endpoint& endpoint) {
  if (device.endpoint != &endpoint) return;
  device.endpoint = nullptr;
  device.flowing = false;
}

void Router::activate(Device& device) {
  if (!device.endpoint || device.flowing) return;
  auto& box = device.mailbox;
  bool held =
      paused_ || (!world_.faults.none() && world_.faults.set(FaultKind::kHold, &device.account));
  auto waiting = held ? 0 : static_cast<std::int64_t>(box.size());
  if (waiting > 0) {
    Node preview("offline_preview");
    preview.with("count", waiting)
        .with("message", static_cast<std::int64_t>(box.count("message")))
        .with("receipt", static_cast<std::int64_t>(box.count("receipt")))
        .with("notification", static_cast<std::int64_t>(box.count("notification")))
        .with("appdata", 0);
    device.endpoint->send(Node("ib").with("from", stanza::Jid::service()).add(std::move(preview)));
  }
  for (std::int64_t n = 0; n < waiting && device.endpoint; ++n) {
    const auto* node = box.next();
    if (!node) break;
    ++world_.stats.redelivered;
    device.endpoint->send(Node(*node).with("offline", n));
  }
  if (!device.endpoint) return;
  // Clients hold back what they have until this comes, also when nothing waited.
  device.endpoint->send(
      Node("ib").with("from", stanza::Jid::service()).add(Node("offline").with("count", waiting)));
  device.flowing = true;
  pump(device);
}

void Router::pump(Device& device) {
  if (!device.endpoint || !device.flowing || paused_) return;
  if (!world_.faults.none() && world_.faults.set(FaultKind::kHold, &device.account)) return;
  while (device.endpoint) {
    const auto* node = device.mailbox.next();
    if (!node) return;
    ++world_.stats.stanzas_delivered;
    device.endpoint->send(*node);
  }
}

void Router::pump_all() {
  for (const auto& account : world_.directory.all()) {
    for (const auto& [id, device] : account->devices) pump(*device);
  }
}

void Router::pause(bool paused) {
  paused_ = paused;
  if (!paused) pump_all();
}

}  // namespace gw::sim
