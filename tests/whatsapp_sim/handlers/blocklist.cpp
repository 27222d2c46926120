#include "whatsapp_sim/handlers/handlers.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {

// xmlns blocklist: <item action="block|unblock" jid/>; what a blocked user sends is acked and lost.
void handle_blocklist(const Request& request) {
  auto& mine = request.device.account.blocked;
  if (request.is_set()) {
    for (const auto& item : request.iq.children()) {
      auto jid = item.attr_jid("jid");
      const auto* who = jid ? request.world.directory.find(*jid) : nullptr;
      if (!who) continue;
      if (item.attr_is("action", "block"))
        mine.insert(who);
      else
        mine.erase(who);
    }
  }
  stanza::Node list("list");
  for (const auto* who : mine) {
    list.add(stanza::Node("item").with("jid", address_of(*who, 0, Form::kLid)));
  }
  request.result(std::move(list));
}

}  // namespace gw::sim
