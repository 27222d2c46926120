#include "whatsapp_sim/state.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "whatsapp_sim/control/control.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kDay = 86400;

std::string file_in(const std::string& folder) {
  return (fs::path(folder) / "whatsapp_sim.json").string();
}

bool read_key(const Json& from, const char* name, crypto::KeyPair& to) {
  auto octets = from_hex(text_in(from, name));
  if (!octets || octets->size() != to.secret.size()) return false;
  std::copy(octets->begin(), octets->end(), to.secret.begin());
  to.pub = crypto::public_key(to.secret);
  return true;
}

// The chain is made at each start: what clients trust is the root.
void make_chain(World& world) {
  auto& keys = world.keys;
  auto now = static_cast<std::uint64_t>(world.now_s());
  noise::Certificate intermediate{1, 0, keys.intermediate.pub, now - kDay, now + 3650 * kDay};
  noise::Certificate leaf{2, 1, keys.leaf.pub, now - kDay, now + 3650 * kDay};
  keys.chain = noise::make_chain(keys.root.secret, keys.intermediate.secret, intermediate, leaf);
}

void restore_devices(World& world, const Json& saved) {
  auto* account = world.directory.find_name(text_in(saved, "lid"));
  if (!account || !saved.contains("noise_keys") || !saved["noise_keys"].is_object()) return;
  for (const auto& [id, hex] : saved["noise_keys"].items()) {
    auto octets = hex.is_string() ? from_hex(hex.get<std::string>()) : std::nullopt;
    if (!octets || octets->size() != 32) continue;
    auto number = static_cast<std::uint16_t>(std::strtoul(id.c_str(), nullptr, 10));
    auto& device = world.directory.add_device(*account, number);
    device.noise_key.emplace();
    std::copy(octets->begin(), octets->end(), device.noise_key->begin());
  }
}

Json account_to_save(const World& world, const Account& account) {
  Json out = account_json(account);
  if (account.kind != Kind::kInterop) out["simulated"] = account.kind == Kind::kSimulated;
  Json ids = Json::array(), noise_keys = Json::object();
  for (const auto& [id, device] : account.devices) {
    ids.push_back(id);
    if (device->noise_key) noise_keys[std::to_string(id)] = to_hex(*device->noise_key);
  }
  out["devices"] = std::move(ids);
  out["noise_keys"] = std::move(noise_keys);
  if (const auto* phone = world.phone(&account)) {
    out["auto_delivered"] = phone->options.auto_delivered;
    out["auto_read"] = phone->options.auto_read;
    out["receipt_batch"] = phone->options.receipt_batch;
    out["auto_reply"] = phone->options.echo ? "echo" : "off";
  }
  return out;
}

}  // namespace

Result<void> load_state(World& world, const std::string& folder) {
  auto& keys = world.keys;
  std::ifstream in;
  if (!folder.empty()) in.open(file_in(folder), std::ios::binary);
  if (folder.empty() || !in) {
    keys.root = crypto::generate_key_pair();
    keys.intermediate = crypto::generate_key_pair();
    keys.leaf = crypto::generate_key_pair();
    make_chain(world);
    return folder.empty() ? Result<void>{} : save_state(world, folder);
  }
  auto saved = Json::parse(in, nullptr, false);
  if (!saved.is_object() || !read_key(saved, "root", keys.root) ||
      !read_key(saved, "intermediate", keys.intermediate) || !read_key(saved, "leaf", keys.leaf) ||
      !saved.contains("accounts") || !saved["accounts"].is_array()) {
    return fail(ErrorKind::kConfig, "STATE_UNREADABLE",
                file_in(folder) + ": not a state of this simulator");
  }
  make_chain(world);
  for (const auto& account : saved["accounts"]) {
    if (account.contains("integrator")) {
      auto integrator = static_cast<std::uint16_t>(number_in(account, "integrator", 0));
      world.directory.add_interop(integrator, text_in(account, "user"));
      continue;  // in the order of saving, so each gets its old LID
    }
    auto made = make_account(world, account);
    if (!made) return fail(made.error());
    restore_devices(world, account);
  }
  return {};
}

Result<void> save_state(const World& world, const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  Json accounts = Json::array();
  for (const auto& account : world.directory.all()) {
    accounts.push_back(account_to_save(world, *account));
  }
  Json state = {{"root", to_hex(world.keys.root.secret)},
                {"intermediate", to_hex(world.keys.intermediate.secret)},
                {"leaf", to_hex(world.keys.leaf.secret)},
                {"accounts", std::move(accounts)}};
  auto path = file_in(folder);
  {
    std::ofstream out(path + ".new", std::ios::binary | std::ios::trunc);
    out << state.dump(1) << "\n";
    if (!out.flush()) return fail(ErrorKind::kConfig, "STATE_UNWRITABLE", "cannot write " + path);
  }
  fs::permissions(path + ".new", fs::perms::owner_read | fs::perms::owner_write, error);
  fs::rename(path + ".new", path, error);
  if (error) return fail(ErrorKind::kConfig, "STATE_UNWRITABLE", "cannot write " + path);
  return {};
}

}  // namespace gw::sim
