#include "whatsapp_sim/handlers/handlers.h"

namespace gw::sim {

// xmlns w:g2: nobody is in a group.
void handle_groups(const Request& request) {
  if (request.is_set()) return request.error(501, "feature-not-implemented");
  if (request.iq.child("participating")) return request.result(stanza::Node("groups"));
  request.error(404, "item-not-found");
}

}  // namespace gw::sim
