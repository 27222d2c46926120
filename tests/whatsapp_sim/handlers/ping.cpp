#include "whatsapp_sim/handlers/handlers.h"

namespace gw::sim {

// xmlns w:p: keepalive, with or without a <ping/>.
void handle_ping(const Request& request) { request.result(); }

}  // namespace gw::sim
