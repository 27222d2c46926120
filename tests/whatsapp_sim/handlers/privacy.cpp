#include "whatsapp_sim/handlers/handlers.h"

namespace gw::sim {

// xmlns privacy: the settings (nothing is hidden), and the tokens that clients leave; not kept.
void handle_privacy(const Request& request) {
  if (request.is_set()) return request.result();
  stanza::Node privacy("privacy");
  for (auto name : {"readreceipts", "last", "online", "profile", "status", "groupadd"}) {
    privacy.add(stanza::Node("category").with("name", name).with("value", "all"));
  }
  request.result(std::move(privacy));
}

}  // namespace gw::sim
