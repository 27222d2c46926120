#include "whatsapp_sim/phone.h"

#include "base/encoding.h"
#include "crypto/crypto.h"
#include "whatsapp_sim/flood.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

std::string new_message_id() {
  std::array<std::uint8_t, 12> random;
  crypto::random_bytes(random);
  return "3EB0" + to_hex_upper(random);
}

}  // namespace

Phone::Phone(World& world, Account& account, const PhoneOptions& wanted)
    : options(wanted), world_(world), account_(account) {
  for (const auto& [id, device] : account.devices) {
    devices_.emplace(id, std::make_unique<PhoneDevice>(*this, *device));
  }
}
Phone::~Phone() = default;

void Phone::add_device(std::uint16_t id) {
  auto& device = world_.directory.add_device(account_, id);
  if (!devices_.contains(id)) devices_.emplace(id, std::make_unique<PhoneDevice>(*this, device));
}

PhoneDevice* Phone::device(std::uint16_t id) {
  auto it = devices_.find(id);
  return it == devices_.end() ? nullptr : it->second.get();
}

Result<std::string> Phone::send_text(const Account& to, const std::string& text, bool flood) {
  if (devices_.empty()) return fail(ErrorKind::kRejected, "NO_DEVICE", "the phone has no device");
  auto id = new_message_id();
  outgoing_.emplace(id, Outgoing{&to, text, Outgoing::State::kSent, 0, flood});
  auto written = devices_.begin()->second->write(to, id, text);
  if (!written) {
    outgoing_.erase(id);
    return fail(written.error());
  }
  ++world_.stats.phone_sent;
  return id;
}

std::size_t Phone::read_up_to(std::uint64_t n) {
  std::map<std::pair<const Account*, std::uint16_t>, std::vector<std::string>> ids;
  std::size_t count = 0;
  for (const auto& entry : inbox_) {
    if (entry.n > n || entry.device != 0) continue;
    ids[{entry.from, entry.device}].push_back(entry.id);
    ++count;
  }
  for (const auto& [key, list] : ids) device(key.second)->report(*key.first, list, "read");
  return count;
}

nlohmann::json Phone::inbox_json(std::uint64_t after, std::uint16_t device_id) const {
  auto list = nlohmann::json::array();
  for (std::size_t i = after; i < inbox_.size(); ++i) {
    const auto& e = inbox_[i];
    if (e.device != device_id) continue;
    nlohmann::json from = {{"lid", e.from->lid}, {"number", e.from->number}};
    if (e.from->kind == Kind::kInterop) {
      from["integrator"] = e.from->integrator;
      from["user"] = e.from->user;
    }
    list.push_back({{"n", e.n},
                    {"id", e.id},
                    {"from", std::move(from)},
                    {"text", e.text},
                    {"unsupported", e.unsupported},
                    {"device", e.device},
                    {"at", e.at_ms}});
  }
  return list;
}

void Phone::wait(std::chrono::milliseconds patience, std::function<void()> then) {
  auto waiter = std::make_shared<Waiter>(
      Waiter{boost::asio::steady_timer(world_.io, patience), std::move(then)});
  waiters_.push_back(waiter);
  waiter->timer.async_wait([this, waiter](auto) {
    std::erase(waiters_, waiter);
    waiter->then();
  });
}

bool Phone::first_time(const Account& from, const std::string& id, std::uint16_t device) {
  return shown_.insert(from.lid + "/" + std::to_string(device) + "/" + id).second;
}

void Phone::show(InboxEntry entry) {
  entry.n = inbox_.size() + 1;
  entry.at_ms = world_.now_ms();
  inbox_.push_back(std::move(entry));
  for (auto& waiter : waiters_) waiter->timer.cancel();
}

void Phone::settle(const std::string& id, Outgoing::State state, std::int64_t error) {
  auto it = outgoing_.find(id);
  if (it == outgoing_.end()) return;
  auto& out = it->second;
  bool was_open = out.state < Outgoing::State::kDelivered;
  if (state > out.state) out.state = state;
  if (error) out.error = error;
  bool open = out.state < Outgoing::State::kDelivered;
  if (out.flood && was_open && !open && flood_) {
    ++flood_->settled;
    flood_step();
  }
}

}  // namespace gw::sim
