#include "whatsapp_sim/handlers/handlers.h"

namespace gw::sim {

// xmlns abt: experiment settings; there are none.
void handle_abt(const Request& request) { request.result(stanza::Node("props")); }

}  // namespace gw::sim
