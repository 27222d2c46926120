#include <array>

#include "whatsapp_sim/handlers/handlers.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

using stanza::Node;

struct Entry {
  std::string_view xmlns;
  void (*handle)(const Request&);
};
constexpr std::array<Entry, 9> kNamespaces = {{
    {"encrypt", handle_encrypt},
    {"usync", handle_usync},
    {"passive", handle_passive},
    {"privacy", handle_privacy},
    {"blocklist", handle_blocklist},
    {"abt", handle_abt},
    {"w:p", handle_ping},
    {"w:m", handle_media_conn},
    {"w:g2", handle_groups},
}};

void dispatch_iq(World& world, Device& device, Endpoint& link, const Node& iq) {
  auto xmlns = iq.attr_text("xmlns");
  if (!world.faults.none() &&
      world.faults.strike(FaultKind::kSwallowIq,
                          {&device.account, Way::kFromClient, "iq", xmlns})) {
    return;
  }
  Request request{world, device, link, iq};
  for (const auto& entry : kNamespaces) {
    if (entry.xmlns == xmlns) return entry.handle(request);
  }
  request.error(501, "feature-not-implemented");
}

}  // namespace

void Request::result() const {
  link.send(Node("iq")
                .with("from", stanza::Jid::service())
                .with("type", "result")
                .with("id", iq.attr_text("id")));
}

void Request::result(Node child) const {
  link.send(Node("iq")
                .with("from", stanza::Jid::service())
                .with("type", "result")
                .with("id", iq.attr_text("id"))
                .add(std::move(child)));
}

void Request::error(int code, std::string_view text) const {
  link.send(Node("iq")
                .with("from", stanza::Jid::service())
                .with("type", "error")
                .with("id", iq.attr_text("id"))
                .add(Node("error").with("code", code).with("text", text)));
}

void dispatch(World& world, Device& device, Endpoint& link, const Node& node) {
  if (node.tag == "message") return world.router->message(device, link, node);
  if (node.tag == "receipt") return world.router->receipt(device, link, node);
  if (node.tag == "ack") return world.router->ack(device, node);
  if (node.tag == "chatstate") return world.router->chatstate(device, node);
  if (node.tag == "iq") {
    // An iq of type result answers a request of the server's; it has none that matter.
    if (node.attr_is("type", "get") || node.attr_is("type", "set")) {
      dispatch_iq(world, device, link, node);
    }
    return;
  }
  // presence and ib: nobody subscribes here, and offline_batch and unified_session need no answer.
}

}  // namespace gw::sim
