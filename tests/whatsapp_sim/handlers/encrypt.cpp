#include <algorithm>

#include "whatsapp_sim/handlers/handlers.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

// xmlns encrypt: keys are published, counted, handed out, rotated.

namespace gw::sim {
namespace {

using stanza::Node;

constexpr std::uint8_t kKeyType = 5;

template <class Array>
bool read_array(const Node* node, Array& to) {
  if (!node || node->as_octets().size() != to.size()) return false;
  auto from = node->as_octets();
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

template <std::size_t N>
bool read_number(const Node* node, std::uint32_t& to) {
  if (!node || node->as_octets().size() != N) return false;
  to = static_cast<std::uint32_t>(get_be<N>(node->as_octets()));
  return true;
}

template <std::size_t N>
Node number(std::string_view tag, std::uint32_t value) {
  Bytes octets;
  put_be<N>(octets, value);
  return Node(tag).octets(std::move(octets));
}

bool read_signed_key(const Node* skey, KeyStore::SignedKey& to) {
  return skey && read_number<3>(skey->child("id"), to.id) &&
         read_array(skey->child("value"), to.key) &&
         read_array(skey->child("signature"), to.signature);
}

bool signed_well(const crypto::Key32& identity, const KeyStore::SignedKey& key) {
  Bytes signed_part = {kKeyType};
  append(signed_part, key.key);
  return crypto::xeddsa_verify(identity, signed_part, key.signature);
}

Node signed_key_node(std::uint32_t id, ByteView key, ByteView signature) {
  return Node("skey")
      .add(number<3>("id", id))
      .add(Node("value").octets(key))
      .add(Node("signature").octets(signature));
}

void upload(const Request& request) {
  KeyStore::Upload up;
  const auto& iq = request.iq;
  const auto* list = iq.child("list");
  if (!read_number<4>(iq.child("registration"), up.registration_id) ||
      !read_array(iq.child("identity"), up.identity) ||
      !read_signed_key(iq.child("skey"), up.signed_key) || !list ||
      !signed_well(up.identity, up.signed_key)) {
    return request.error(400, "bad-request");
  }
  for (const auto& key : list->children()) {
    signal::Bundle::OneTime one;
    if (!read_number<3>(key.child("id"), one.id) || one.id == 0 ||
        !read_array(key.child("value"), one.key)) {
      return request.error(400, "bad-request");
    }
    up.one_time.push_back(one);
  }
  auto& device = request.device;
  auto outcome = device.keys.put(up);
  auto& world = request.world;
  world.stats.prekeys_repeated += outcome.repeated;
  if (outcome.reused_ids > 0) {
    world.violations.add("prekey_id_reused", "device " + std::to_string(device.uid) + ", " +
                                                 std::to_string(outcome.reused_ids) + " keys");
  }
  if (device.keys.count() > 0) device.low_told = false;
  request.result();
  if (outcome.identity_changed) world.router->notify_identity_change(device);
}

void rotate(const Request& request, const Node& body) {
  KeyStore::SignedKey key;
  auto& keys = request.device.keys;
  if (!keys.published() || !read_signed_key(body.child("skey"), key) ||
      !signed_well(keys.identity(), key)) {
    return request.error(400, "bad-request");
  }
  keys.rotate(key);
  request.result();
}

// What real servers put here is not public; clients look for the element alone.
void digest(const Request& request) {
  const auto& keys = request.device.keys;
  if (!keys.published()) return request.error(404, "item-not-found");
  Node list("list");
  for (const auto& key : keys.one_time()) list.add(number<3>("id", key.id));
  const auto& skey = keys.signed_key();
  request.result(Node("digest")
                     .add(number<4>("registration", keys.registration_id()))
                     .add(Node("type").octets(Bytes{kKeyType}))
                     .add(Node("identity").octets(keys.identity()))
                     .add(signed_key_node(skey.id, skey.key, skey.signature))
                     .add(std::move(list)));
}

Node bundle_node(const stanza::Jid& jid, std::int64_t now, const signal::Bundle& bundle) {
  Node user("user");
  user.with("jid", jid)
      .with("t", now)
      .add(number<4>("registration", bundle.registration_id))
      .add(Node("type").octets(Bytes{kKeyType}))
      .add(Node("identity").octets(bundle.identity))
      .add(signed_key_node(bundle.signed_prekey_id, bundle.signed_prekey,
                           bundle.signed_prekey_signature));
  if (bundle.one_time) {
    user.add(Node("key")
                 .add(number<3>("id", bundle.one_time->id))
                 .add(Node("value").octets(bundle.one_time->key)));
  }
  return user;
}

void fetch(const Request& request, const Node& asked) {
  auto& world = request.world;
  Node list("list");
  for (const auto& user : asked.children()) {
    auto jid = user.attr_jid("jid");
    auto* device = jid ? world.directory.find_device(*jid) : nullptr;
    auto bundle = device ? take_bundle(world, *device) : std::nullopt;
    if (bundle) {
      list.add(bundle_node(*jid, world.now_s(), *bundle));
    } else if (jid) {
      list.add(Node("user")
                   .with("jid", *jid)
                   .add(Node("error").with("code", 404).with("text", "item-not-found")));
    }
  }
  request.result(std::move(list));
}

}  // namespace

std::optional<signal::Bundle> take_bundle(World& world, Device& device) {
  bool with_one_time = true, spoilt = false;
  if (!world.faults.none()) {
    Faults::What what{&device.account, Way::kBoth, {}, {}};
    if (world.faults.strike(FaultKind::kNoBundle, what)) return std::nullopt;
    with_one_time = !world.faults.strike(FaultKind::kNoPrekey, what);
    spoilt = world.faults.strike(FaultKind::kBadBundle, what).has_value();
  }
  auto handed = device.keys.take(with_one_time);
  if (!handed) return std::nullopt;
  ++world.stats.bundles;
  if (!handed->bundle.one_time) ++world.stats.bundles_without_one_time;
  if (handed->handed_before) {
    world.violations.add("prekey_handed_out_twice", "device " + std::to_string(device.uid));
  }
  if (spoilt) handed->bundle.signed_prekey_signature[0] ^= 1;
  world.router->tell_if_low(device);
  return std::move(handed->bundle);
}

void handle_encrypt(const Request& request) {
  const auto& iq = request.iq;
  if (request.is_set()) {
    if (const auto* body = iq.child("rotate")) return rotate(request, *body);
    return upload(request);
  }
  if (iq.child("count")) {
    return request.result(
        Node("count").with("value", static_cast<std::int64_t>(request.device.keys.count())));
  }
  if (iq.child("digest")) return digest(request);
  if (const auto* asked = iq.child("key")) return fetch(request, *asked);
  request.error(400, "bad-request");
}

}  // namespace gw::sim
