#include "whatsapp_sim/directory.h"

#include <algorithm>
#include <charconv>

namespace gw::sim {
namespace {

bool digits(std::string_view text, std::size_t least, std::size_t most) {
  return text.size() >= least && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string interop_key(std::uint16_t integrator, std::string_view user) {
  return std::to_string(integrator) + "-" + std::string(user);
}

Account* lookup(const std::unordered_map<std::string, Account*>& map, const std::string& key) {
  auto it = map.find(key);
  return it == map.end() ? nullptr : it->second;
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kClient:
      return "client";
    case Kind::kSimulated:
      return "simulated";
    case Kind::kInterop:
      return "interop";
  }
  return "";
}

Device* Account::device(std::uint16_t id) const {
  auto it = devices.find(id);
  return it == devices.end() ? nullptr : it->second.get();
}

stanza::Jid address_of(const Account& who, std::uint16_t device, Form form) {
  return form == Form::kPhone ? stanza::Jid::phone(who.number, device)
                              : stanza::Jid::lid(who.lid, device);
}

Form form_for(const Account& viewer, const stanza::Jid& used) {
  return viewer.kind != Kind::kInterop && used.server == stanza::Server::kPhone ? Form::kPhone
                                                                                : Form::kLid;
}

Account* Directory::add_phone(const NewPhone& phone, std::string& why) {
  if (!digits(phone.number, 5, 15)) {
    why = "number: 5 to 15 digits";
    return nullptr;
  }
  auto account = std::make_unique<Account>();
  account->lid = phone.lid;
  while (account->lid.empty() || (phone.lid.empty() && by_lid_.contains(account->lid))) {
    account->lid = std::to_string(100000000000000 + ++phones_);
  }
  if (!digits(account->lid, 1, 32)) {
    why = "lid: 1 to 32 digits";
    return nullptr;
  }
  if (by_number_.contains(phone.number) || by_lid_.contains(account->lid)) {
    why = "there is an account with this number or lid";
    return nullptr;
  }
  account->kind = phone.simulated ? Kind::kSimulated : Kind::kClient;
  account->number = phone.number;
  account->name = phone.name;
  account->opted_in_to_all = phone.opted_in_to_all;
  account->opted_in = phone.opted_in;
  for (auto id : phone.devices) add_device(*account, id);
  return insert(std::move(account));
}

Account& Directory::add_interop(std::uint16_t integrator, std::string_view user) {
  auto account = std::make_unique<Account>();
  account->kind = Kind::kInterop;
  account->integrator = integrator;
  account->user = user;
  account->name = user;
  ++interop_users_;
  account->lid = std::to_string(200000000000000 + interop_users_);
  account->number = std::to_string(999000000000 + interop_users_);  // +999 is nobody's prefix
  add_device(*account, 0);
  return *insert(std::move(account));
}

Device& Directory::add_device(Account& account, std::uint16_t id) {
  auto& slot = account.devices[id];
  if (!slot) slot = std::make_unique<Device>(account, id, ++last_uid_);
  return *slot;
}

Account* Directory::insert(std::unique_ptr<Account> account) {
  auto* made = account.get();
  by_number_[made->number] = made;
  by_lid_[made->lid] = made;
  if (made->kind == Kind::kInterop) by_interop_[interop_key(made->integrator, made->user)] = made;
  accounts_.push_back(std::move(account));
  return made;
}

Account* Directory::find(const stanza::Jid& jid) const {
  switch (jid.server) {
    case stanza::Server::kPhone:
      return lookup(by_number_, jid.user);
    case stanza::Server::kLid:
      return lookup(by_lid_, jid.user);
    case stanza::Server::kInterop:
      return find_interop(jid.integrator, jid.user);
    default:
      return nullptr;
  }
}

Account* Directory::find_interop(std::uint16_t integrator, std::string_view user) const {
  return lookup(by_interop_, interop_key(integrator, user));
}

Account* Directory::find_name(std::string_view name) const {
  if (name.starts_with('+')) name.remove_prefix(1);
  if (auto jid = stanza::Jid::parse(name)) return find(*jid);
  std::string key(name);
  if (auto* found = lookup(by_number_, key)) return found;
  if (auto* found = lookup(by_lid_, key)) return found;
  return lookup(by_interop_, key);
}

Device* Directory::find_device(const stanza::Jid& jid) const {
  auto* account = find(jid);
  return account ? account->device(jid.device) : nullptr;
}

}  // namespace gw::sim
