#include "whatsapp_sim/control/control.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

tl::unexpected<Error> bad(std::string why) {
  return fail(ErrorKind::kRejected, "BAD_REQUEST", std::move(why));
}

bool is_number_up_to(const Json& item, std::int64_t most) {
  return item.is_number_integer() && item.get<std::int64_t>() >= 0 &&
         item.get<std::int64_t>() <= most;
}

// true, false, or the list of integrators.
Result<void> read_opt_in(const Json& wanted, bool& to_all, std::set<std::uint16_t>& list) {
  auto it = wanted.find("opted_in");
  if (it == wanted.end()) return {};
  if (it->is_boolean()) {
    to_all = it->get<bool>();
    list.clear();
    return {};
  }
  if (!it->is_array()) return bad("opted_in: true, false or a list of integrator ids");
  to_all = false;
  list.clear();
  for (const auto& item : *it) {
    if (!is_number_up_to(item, 0xffff)) {
      return bad("opted_in: an integrator id is 0 to 65535");
    }
    list.insert(item.get<std::uint16_t>());
  }
  return {};
}

void read_options(const Json& wanted, PhoneOptions& options) {
  options.auto_delivered = flag_in(wanted, "auto_delivered", options.auto_delivered);
  options.auto_read = flag_in(wanted, "auto_read", options.auto_read);
  options.receipt_batch = flag_in(wanted, "receipt_batch", options.receipt_batch);
  if (wanted.contains("auto_reply")) options.echo = text_in(wanted, "auto_reply") == "echo";
}

std::string number_of(const Json& wanted) {
  auto it = wanted.find("number");
  if (it == wanted.end()) return {};
  auto text = it->is_string() ? it->get<std::string>() : it->dump();
  return text.starts_with('+') ? text.substr(1) : text;
}

}  // namespace

Json account_json(const Account& account) {
  Json devices = Json::array();
  for (const auto& [id, device] : account.devices) {
    devices.push_back({{"id", id},
                       {"online", device->endpoint != nullptr},
                       {"flowing", device->flowing},
                       {"logins", device->logins},
                       {"prekeys", device->keys.count()},
                       {"queued", device->mailbox.size()}});
  }
  Json out = {{"number", account.number},
              {"lid", account.lid},
              {"name", account.name},
              {"kind", std::string(to_string(account.kind))},
              {"devices", std::move(devices)}};
  if (account.kind == Kind::kInterop) {
    out["integrator"] = account.integrator;
    out["user"] = account.user;
    out["client_address"] = account.device(0)->client_address;
    out["online"] = account.device(0)->endpoint != nullptr;
    out["queued"] = account.device(0)->mailbox.size();
  } else if (account.opted_in_to_all) {
    out["opted_in"] = true;
  } else {
    out["opted_in"] = account.opted_in;
  }
  return out;
}

Result<Json> make_account(World& world, const Json& wanted) {
  if (!wanted.is_object()) return bad("an account is an object with a number");
  Directory::NewPhone phone;
  phone.number = number_of(wanted);
  phone.lid = text_in(wanted, "lid");
  phone.name = text_in(wanted, "name", phone.number);
  phone.simulated = flag_in(wanted, "simulated", false);
  GW_TRY(read_opt_in(wanted, phone.opted_in_to_all, phone.opted_in));
  if (auto it = wanted.find("devices"); it != wanted.end()) {
    if (!it->is_array()) return bad("devices: a list of device numbers");
    phone.devices.clear();
    for (const auto& id : *it) {
      if (!is_number_up_to(id, 255)) {
        return bad("devices: 0 to 255");
      }
      phone.devices.push_back(id.get<std::uint16_t>());
    }
  }
  std::string why;
  auto* account = world.directory.add_phone(phone, why);
  if (!account) return bad(why);
  if (phone.simulated) {
    PhoneOptions options;
    read_options(wanted, options);
    world.phones.emplace(account, std::make_unique<Phone>(world, *account, options));
  }
  return account_json(*account);
}

Result<void> make_provider(World& world, const Json& wanted) {
  auto integrator = number_in(wanted, "integrator", -1);
  auto issuer = text_in(wanted, "issuer");
  if (integrator < 0 || integrator > 0xffff) return bad("integrator: 0 to 65535");
  if (issuer.empty()) return bad("issuer: missing");
  auto file = text_in(wanted, "jwks_file");
  if (file.empty() && !wanted.contains("jwks")) return bad("jwks or jwks_file: missing");
  auto provider = file.empty() ? Provider::from_json(issuer, wanted["jwks"])
                               : Provider::from_file(issuer, file);
  if (!provider) return fail(provider.error());
  world.providers.insert_or_assign(static_cast<std::uint16_t>(integrator), std::move(*provider));
  return {};
}

void Control::add_accounts(const HttpRequest& request, const HttpAnswer& answer) {
  if (!request.body.is_array()) {
    auto made = make_account(world_, request.body);
    if (!made) return refuse(answer, 400, made.error().message);
    changed_();
    return answer(201, *made);
  }
  Json all = Json::array();
  for (const auto& wanted : request.body) {
    auto made = make_account(world_, wanted);
    if (!made) {
      return refuse(answer, 400,
                    "item " + std::to_string(all.size()) + ": " + made.error().message);
    }
    all.push_back(std::move(*made));
  }
  changed_();
  answer(201, all);
}

void Control::list_accounts(const HttpRequest&, const HttpAnswer& answer) {
  Json all = Json::array();
  for (const auto& account : world_.directory.all()) all.push_back(account_json(*account));
  answer(200, all);
}

void Control::change_account(const HttpRequest& request, const HttpAnswer& answer) {
  auto* account = account_of(request, answer);
  if (!account) return;
  if (!request.body.is_object()) return refuse(answer, 400, "an object is expected");
  auto good = read_opt_in(request.body, account->opted_in_to_all, account->opted_in);
  if (!good) return refuse(answer, 400, good.error().message);
  account->name = text_in(request.body, "name", account->name);
  if (auto* phone = world_.phone(account)) read_options(request.body, phone->options);
  changed_();
  answer(200, account_json(*account));
}

// A companion that contacts learn of by their next query, by the phash in an ack, or by a
// notification if `notify` is set.
void Control::add_device(const HttpRequest& request, const HttpAnswer& answer) {
  auto* phone = phone_of(request, answer);
  if (!phone) return;
  auto id = number_in(request.body, "id", -1);
  if (id < 0 || id > 255) return refuse(answer, 400, "id: 0 to 255");
  phone->add_device(static_cast<std::uint16_t>(id));
  if (flag_in(request.body, "notify", false)) world_.router->notify_devices(phone->account());
  answer(201, account_json(phone->account()));
}

// The next client that logs in as this account, or as this device of it, is believed, as after a
// new phone was registered or a companion linked anew. The keys of the old one go.
void Control::unbind(const HttpRequest& request, const HttpAnswer& answer) {
  auto* account = account_of(request, answer);
  if (!account) return;
  auto only = number_in(request.body, "device", -1);
  for (const auto& [id, device] : account->devices) {
    if (only >= 0 && only != id) continue;
    device->noise_key.reset();
    device->keys.withdraw();
  }
  changed_();
  answer(200, account_json(*account));
}

// The one-time keys go to nobody, as if so many others had fetched them.
void Control::spend(const HttpRequest& request, const HttpAnswer& answer) {
  auto* account = account_of(request, answer);
  if (!account) return;
  auto leave = number_in(request.body, "leave", 0);
  if (leave < 0) return refuse(answer, 400, "leave: 0 or more");
  for (const auto& [id, device] : account->devices) {
    while (device->keys.count() > static_cast<std::size_t>(leave)) (void)device->keys.take(true);
    world_.router->tell_if_low(*device);
  }
  answer(200, account_json(*account));
}

void Control::add_provider(const HttpRequest& request, const HttpAnswer& answer) {
  auto made = make_provider(world_, request.body);
  if (!made) return refuse(answer, 400, made.error().message);
  answer(201, Json::object());
}

void Control::list_interop(const HttpRequest&, const HttpAnswer& answer) {
  Json all = Json::array();
  for (const auto& account : world_.directory.all()) {
    if (account->kind == Kind::kInterop) all.push_back(account_json(*account));
  }
  answer(200, all);
}

}  // namespace gw::sim
