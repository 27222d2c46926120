#include "whatsapp_sim/handlers/handlers.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

// xmlns usync: who is behind an address, and with which devices.

namespace gw::sim {
namespace {

using stanza::Node;

Node devices_of(const Account& account) {
  Node list("device-list");
  list.with("hash", device_hash(account));
  for (const auto& [id, device] : account.devices) {
    Node one("device");
    one.with("id", id);
    if (id != 0) one.with("key-index", id);  // clients ignore a companion without one
    list.add(std::move(one));
  }
  return Node("devices").add(std::move(list));
}

struct Asked {
  const Account* account = nullptr;
  stanza::Jid jid;
  std::string number;  // asked by <contact>+number</contact>
};

Asked read_user(const World& world, const Node& user) {
  Asked asked;
  if (auto jid = user.attr_jid("jid")) {
    asked.jid = jid->bare();
    asked.account = world.directory.find(*jid);
    return asked;
  }
  const auto* contact = user.child("contact");
  asked.number = contact ? contact->as_text() : "";
  auto digits = asked.number.starts_with('+') ? asked.number.substr(1) : asked.number;
  asked.jid = stanza::Jid::phone(digits);
  asked.account = world.directory.find(asked.jid);
  return asked;
}

Node answer(const Request& request, const Node& query, const Asked& asked) {
  Node user("user");
  user.with("jid", asked.jid);
  const auto* who = asked.account;
  if (query.child("contact")) {
    Node contact("contact");
    contact.with("type", who ? "in" : "out");
    if (!asked.number.empty()) contact.text(asked.number);
    user.add(std::move(contact));
  }
  if (!who) return user;
  if (query.child("devices")) user.add(devices_of(*who));
  if (query.child("lid")) {
    user.add(Node("lid").with("val", address_of(*who, 0, Form::kLid)));
  }
  // INVENTED: how an interop user learns whether a contact takes messages from its service.
  const auto& asker = request.device.account;
  if (query.child("interop") && asker.kind == Kind::kInterop) {
    bool accepts = who->kind != Kind::kInterop && who->accepts(asker.integrator);
    user.add(Node("interop").with("opted_in", accepts ? "true" : "false"));
  }
  return user;
}

}  // namespace

void handle_usync(const Request& request) {
  const auto* usync = request.iq.child("usync");
  const auto* query = usync ? usync->child("query") : nullptr;
  const auto* list = usync ? usync->child("list") : nullptr;
  if (!query || !list) return request.error(400, "bad-request");
  Node users("list");
  for (const auto& user : list->children()) {
    users.add(answer(request, *query, read_user(request.world, user)));
  }
  Node out("usync");
  out.with("sid", usync->attr_text("sid"))
      .with("mode", usync->attr_text("mode"))
      .with("context", usync->attr_text("context"))
      .with("last", "true")
      .with("index", "0")
      .add(Node("result"))
      .add(std::move(users));
  request.result(std::move(out));
}

}  // namespace gw::sim
