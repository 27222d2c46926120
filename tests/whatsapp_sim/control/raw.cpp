#include "base/encoding.h"
#include "whatsapp_sim/control/control.h"
#include "whatsapp_sim/session.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {

// {"target": A, "hex": octets}: one transport frame with these octets, whatever they are, to
// device 0. What a server would send by mistake, or somebody in its place on purpose.
void Control::send_raw(const HttpRequest& request, const HttpAnswer& answer) {
  auto* account = world_.directory.find_name(text_in(request.body, "target"));
  auto* device = account ? account->device(0) : nullptr;
  auto* link = device ? dynamic_cast<Session*>(device->endpoint) : nullptr;
  if (!link) return refuse(answer, 404, "target: nobody there, or without a link");
  auto octets = from_hex(text_in(request.body, "hex"));
  if (!octets) return refuse(answer, 400, "hex: pairs of hex digits");
  link->put_octets(*octets);
  answer(200, {{"octets", octets->size()}});
}

}  // namespace gw::sim
