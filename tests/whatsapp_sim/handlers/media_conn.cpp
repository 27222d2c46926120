#include "whatsapp_sim/handlers/handlers.h"

namespace gw::sim {

// xmlns w:m: clients ask for a media host at login. The simulator has none: the name
// resolves nowhere, and an upload fails at the client.
void handle_media_conn(const Request& request) {
  request.result(stanza::Node("media_conn")
                     .with("auth", "simulated")
                     .with("ttl", 3600)
                     .with("auth_ttl", 3600)
                     .with("max_buckets", 12)
                     .add(stanza::Node("host").with("hostname", "media.invalid")));
}

}  // namespace gw::sim
