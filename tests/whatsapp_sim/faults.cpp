#include "whatsapp_sim/faults.h"

#include <algorithm>
#include <array>

namespace gw::sim {
namespace {

using Json = nlohmann::json;

struct Name {
  FaultKind kind;
  std::string_view text;
  int code;
};
constexpr std::array<Name, 14> kNames = {{
    {FaultKind::kRefuseLogin, "refuse_login", 503},
    {FaultKind::kDrop, "drop", 0},
    {FaultKind::kDelay, "delay", 0},
    {FaultKind::kDuplicate, "duplicate", 0},
    {FaultKind::kReorder, "reorder", 0},
    {FaultKind::kCorrupt, "corrupt", 0},
    {FaultKind::kHold, "hold", 0},
    {FaultKind::kSwallowAck, "swallow_ack", 0},
    {FaultKind::kNack, "nack", 500},
    {FaultKind::kSwallowIq, "swallow_iq", 0},
    {FaultKind::kNoPrekey, "no_prekey", 0},
    {FaultKind::kBadBundle, "bad_bundle", 0},
    {FaultKind::kNoBundle, "no_bundle", 404},
    {FaultKind::kSpoil, "spoil", 0},
}};

template <class T>
T value_or(const Json& object, const char* key, T otherwise) {
  auto it = object.find(key);
  if (it == object.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) {
    return it->is_string() ? it->template get<std::string>() : otherwise;
  } else {
    return it->is_number() ? it->template get<T>() : otherwise;
  }
}

const Name* find_kind(std::string_view text) {
  auto it = std::find_if(kNames.begin(), kNames.end(), [&](auto& n) { return n.text == text; });
  return it == kNames.end() ? nullptr : &*it;
}

}  // namespace

Result<std::uint64_t> Faults::add(const Json& request, const Directory& directory) {
  auto reject = [](std::string why) {
    return fail(ErrorKind::kRejected, "BAD_FAULT", std::move(why));
  };
  if (!request.is_object()) return reject("an object is expected");
  const auto* name = find_kind(value_or<std::string>(request, "kind", ""));
  if (!name) return reject("kind: unknown");
  Fault fault;
  fault.kind = name->kind;
  fault.target_name = value_or<std::string>(request, "target", "all");
  if (fault.target_name != "all") {
    fault.target = directory.find_name(fault.target_name);
    if (!fault.target) return reject("target: neither \"all\" nor an account");
  }
  auto way = value_or<std::string>(request, "direction", "both");
  if (way == "to_client")
    fault.way = Way::kToClient;
  else if (way == "from_client")
    fault.way = Way::kFromClient;
  else if (way != "both")
    return reject("direction: to_client, from_client or both");
  fault.tag = value_or<std::string>(request, "tag", "");
  fault.xmlns = value_or<std::string>(request, "xmlns", "");
  fault.left = value_or<std::int64_t>(request, "count", name->kind == FaultKind::kHold ? -1 : 1);
  fault.code = value_or<int>(request, "code", name->code);
  fault.expire = value_or<std::int64_t>(request, "expire", 0);
  fault.delay = std::chrono::milliseconds(value_or<std::int64_t>(request, "ms", 100));
  fault.probability = value_or<double>(request, "probability", 1.0);
  if (request.contains("seed")) random_.seed(value_or<std::uint64_t>(request, "seed", 1));
  fault.id = ++last_;
  list_.push_back(std::move(fault));
  return last_;
}

bool Faults::remove(std::uint64_t id) {
  return std::erase_if(list_, [&](const Fault& f) { return f.id == id; }) > 0;
}

std::optional<Fault> Faults::strike(FaultKind kind, const What& what) {
  for (auto& f : list_) {
    if (f.kind != kind || f.left == 0) continue;
    if (f.target && f.target != what.account) continue;
    if (f.way != Way::kBoth && what.way != Way::kBoth && f.way != what.way) continue;
    if (!f.tag.empty() && f.tag != what.tag) continue;
    if (!f.xmlns.empty() && f.xmlns != what.xmlns) continue;
    if (f.probability < 1.0 &&
        std::uniform_real_distribution<double>(0, 1)(random_) >= f.probability) {
      continue;
    }
    if (f.left > 0) --f.left;
    ++f.hits;
    Fault struck = f;
    // A spent fault goes, so that the common path stays "there are none".
    if (f.left == 0) std::erase_if(list_, [&](const Fault& g) { return g.id == struck.id; });
    return struck;
  }
  return std::nullopt;
}

bool Faults::set(FaultKind kind, const Account* account) const {
  return std::any_of(list_.begin(), list_.end(), [&](const Fault& f) {
    return f.kind == kind && (!f.target || f.target == account);
  });
}

Json Faults::to_json() const {
  auto items = Json::array();
  for (const auto& f : list_) {
    auto name =
        std::find_if(kNames.begin(), kNames.end(), [&](auto& n) { return n.kind == f.kind; });
    items.push_back({{"id", f.id},
                     {"kind", std::string(name->text)},
                     {"target", f.target_name},
                     {"left", f.left},
                     {"hits", f.hits}});
  }
  return items;
}

}  // namespace gw::sim
