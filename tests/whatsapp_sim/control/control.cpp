#include "whatsapp_sim/control/control.h"

#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

bool fits(std::string_view pattern, const std::vector<std::string>& path) {
  for (const auto& part : path) {
    auto end = pattern.find('/');
    auto want = pattern.substr(0, end);
    if (want != "*" && want != part) return false;
    pattern = end == std::string_view::npos ? std::string_view() : pattern.substr(end + 1);
  }
  return pattern.empty();
}

}  // namespace

void refuse(const HttpAnswer& answer, unsigned status, std::string text) {
  answer(status, {{"error", std::move(text)}});
}

std::string text_in(const Json& object, const char* key, std::string otherwise) {
  if (!object.is_object()) return otherwise;
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : otherwise;
}
bool flag_in(const Json& object, const char* key, bool otherwise) {
  if (!object.is_object()) return otherwise;
  auto it = object.find(key);
  return it != object.end() && it->is_boolean() ? it->get<bool>() : otherwise;
}
std::int64_t number_in(const Json& object, const char* key, std::int64_t otherwise) {
  if (!object.is_object()) return otherwise;
  auto it = object.find(key);
  return it != object.end() && it->is_number_integer() ? it->get<std::int64_t>() : otherwise;
}

std::initializer_list<Control::Route> Control::routes() {
  static const std::initializer_list<Route> table = {
      {"POST", "accounts", &Control::add_accounts},
      {"GET", "accounts", &Control::list_accounts},
      {"POST", "accounts/*", &Control::change_account},
      {"POST", "accounts/*/devices", &Control::add_device},
      {"POST", "accounts/*/unbind", &Control::unbind},
      {"POST", "accounts/*/spend", &Control::spend},
      {"POST", "providers", &Control::add_provider},
      {"GET", "interop", &Control::list_interop},
      {"GET", "phones/*/inbox", &Control::inbox},
      {"GET", "phones/*/outbox", &Control::outbox},
      {"POST", "phones/*/send", &Control::send},
      {"POST", "phones/*/read", &Control::read},
      {"POST", "phones/*/options", &Control::change_account},
      {"POST", "phones/*/reinstall", &Control::reinstall},
      {"POST", "phones/*/skip", &Control::skip},
      {"POST", "phones/*/flood", &Control::start_flood},
      {"GET", "phones/*/flood", &Control::flood_state},
      {"POST", "faults", &Control::add_fault},
      {"GET", "faults", &Control::list_faults},
      {"DELETE", "faults", &Control::clear_faults},
      {"DELETE", "faults/*", &Control::remove_fault},
      {"POST", "pause", &Control::pause},
      {"POST", "resume", &Control::resume},
      {"GET", "violations", &Control::violations},
      {"DELETE", "violations", &Control::clear_violations},
      {"GET", "stats", &Control::stats},
      {"POST", "settings", &Control::settings},
      {"POST", "raw", &Control::send_raw},
  };
  return table;
}

void Control::handle(const HttpRequest& request, HttpAnswer answer) {
  bool path_known = false;
  for (const auto& route : routes()) {
    if (!fits(route.pattern, request.path)) continue;
    path_known = true;
    if (route.method == request.method) return (this->*route.run)(request, answer);
  }
  if (path_known) return refuse(answer, 405, "this path does not take " + request.method);
  refuse(answer, 404, "unknown path; the README of the simulator lists them");
}

Account* Control::account_of(const HttpRequest& request, const HttpAnswer& answer) {
  auto* account = world_.directory.find_name(request.path[1]);
  if (!account) refuse(answer, 404, "no account " + request.path[1]);
  return account;
}

Phone* Control::phone_of(const HttpRequest& request, const HttpAnswer& answer) {
  auto* account = account_of(request, answer);
  if (!account) return nullptr;
  auto* phone = world_.phone(account);
  if (!phone) refuse(answer, 409, "this account is no simulated phone");
  return phone;
}

const Account* Control::recipient(const Json& to) const {
  if (to.is_string()) return world_.directory.find_name(to.get<std::string>());
  if (!to.is_object()) return nullptr;
  if (to.contains("integrator")) {
    auto integrator = number_in(to, "integrator", -1);
    if (integrator < 0 || integrator > 0xffff) return nullptr;
    return world_.directory.find_interop(static_cast<std::uint16_t>(integrator),
                                         text_in(to, "user"));
  }
  auto lid = text_in(to, "lid");
  return world_.directory.find_name(lid.empty() ? text_in(to, "number") : lid);
}

}  // namespace gw::sim
