#include "whatsapp_sim/world.h"

#include "whatsapp_sim/phone.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/session.h"

namespace gw::sim {

World::World() : router(std::make_unique<Router>(*this)) {}
World::~World() {
  for (auto& [raw, session] : sessions) session->abandon();
}

Phone* World::phone(const Account* account) const {
  auto it = phones.find(account);
  return it == phones.end() ? nullptr : it->second.get();
}

nlohmann::json World::stats_json() const {
  std::size_t queued = 0, interop_online = 0, interop_users = 0;
  for (const auto& account : directory.all()) {
    if (account->kind == Kind::kInterop) ++interop_users;
    for (const auto& [id, device] : account->devices) {
      queued += device->mailbox.size();
      if (account->kind == Kind::kInterop && device->endpoint) ++interop_online;
    }
  }
  return {{"links_opened", stats.links_opened},
          {"links_open", stats.links_open},
          {"handshakes_failed", stats.handshakes_failed},
          {"logins", stats.logins},
          {"logins_refused", stats.logins_refused},
          {"logins_replaced", stats.logins_replaced},
          {"messages", stats.messages},
          {"repeats_dropped", stats.repeats_dropped},
          {"nacks", stats.nacks},
          {"acks_swallowed", stats.acks_swallowed},
          {"receipts", stats.receipts},
          {"retry_receipts", stats.retry_receipts},
          {"stanzas_delivered", stats.stanzas_delivered},
          {"redelivered", stats.redelivered},
          {"refused_from_older_link", stats.refused_from_older_link},
          {"bundles", stats.bundles},
          {"bundles_without_one_time", stats.bundles_without_one_time},
          {"prekeys_repeated", stats.prekeys_repeated},
          {"phone_decrypted", stats.phone_decrypted},
          {"phone_duplicates", stats.phone_duplicates},
          {"phone_undecryptable", stats.phone_undecryptable},
          {"phone_sent", stats.phone_sent},
          {"client_frames_bad", stats.client_frames_bad},
          {"queued", queued},
          {"interop_users", interop_users},
          {"interop_online", interop_online},
          {"violations", violations.list().size()}};
}

}  // namespace gw::sim
