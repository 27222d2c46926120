#include <charconv>

#include "whatsapp_sim/control/control.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/session.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

using stanza::Node;

// The links of an account, or of everybody who is no simulated phone.
std::vector<Session*> links_of(const World& world, const Account* target) {
  std::vector<Session*> links;
  for (const auto& account : world.directory.all()) {
    if (target ? account.get() != target : account->kind == Kind::kSimulated) continue;
    for (const auto& [id, device] : account->devices) {
      if (auto* link = dynamic_cast<Session*>(device->endpoint)) links.push_back(link);
    }
  }
  return links;
}

Node conflict(std::string_view type) {
  return Node("stream:error").add(Node("conflict").with("type", type));
}

}  // namespace

// Faults that happen now (close, end, replace, stream_error) and those that wait for their moment.
void Control::add_fault(const HttpRequest& request, const HttpAnswer& answer) {
  auto kind = text_in(request.body, "kind");
  if (kind != "close" && kind != "end" && kind != "replace" && kind != "stream_error") {
    auto added = world_.faults.add(request.body, world_.directory);
    if (!added) return refuse(answer, 400, added.error().message);
    return answer(201, {{"id", *added}});
  }
  auto name = text_in(request.body, "target", "all");
  const auto* target = name == "all" ? nullptr : world_.directory.find_name(name);
  if (name != "all" && !target) return refuse(answer, 404, "target: no account " + name);
  auto links = links_of(world_, target);
  for (auto* link : links) {
    if (kind == "close") {
      link->cut();
    } else if (kind == "end") {
      link->finish(Node("xmlstreamend"));
    } else if (kind == "replace") {
      link->finish(conflict("replaced"));
    } else if (auto type = text_in(request.body, "conflict"); !type.empty()) {
      link->finish(conflict(type).with("code", number_in(request.body, "code", 401)));
    } else {
      link->finish(Node("stream:error").with("code", number_in(request.body, "code", 503)));
    }
  }
  answer(200, {{"links", links.size()}});
}

void Control::list_faults(const HttpRequest&, const HttpAnswer& answer) {
  answer(200, world_.faults.to_json());
}

void Control::remove_fault(const HttpRequest& request, const HttpAnswer& answer) {
  std::uint64_t id = 0;
  const auto& text = request.path[1];
  std::from_chars(text.data(), text.data() + text.size(), id);
  if (!world_.faults.remove(id)) return refuse(answer, 404, "no such fault, or it is spent");
  world_.router->pump_all();
  answer(200, Json::object());
}

void Control::clear_faults(const HttpRequest&, const HttpAnswer& answer) {
  world_.faults.clear();
  world_.router->pump_all();
  answer(200, Json::object());
}

void Control::pause(const HttpRequest&, const HttpAnswer& answer) {
  world_.router->pause(true);
  answer(200, Json::object());
}

void Control::resume(const HttpRequest&, const HttpAnswer& answer) {
  world_.router->pause(false);
  answer(200, Json::object());
}

void Control::violations(const HttpRequest&, const HttpAnswer& answer) {
  answer(200, world_.violations.to_json());
}

void Control::clear_violations(const HttpRequest&, const HttpAnswer& answer) {
  world_.violations.clear();
  answer(200, Json::object());
}

void Control::stats(const HttpRequest&, const HttpAnswer& answer) {
  answer(200, world_.stats_json());
}

void Control::settings(const HttpRequest& request, const HttpAnswer& answer) {
  world_.dedupe = flag_in(request.body, "dedupe", world_.dedupe);
  answer(200, {{"dedupe", world_.dedupe}});
}

}  // namespace gw::sim
