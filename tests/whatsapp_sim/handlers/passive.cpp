#include "whatsapp_sim/handlers/handlers.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {

// xmlns passive: <active/> starts the flow, <passive/> does not stop it.
void handle_passive(const Request& request) {
  request.result();
  if (request.iq.child("active")) request.world.router->activate(request.device);
}

}  // namespace gw::sim
