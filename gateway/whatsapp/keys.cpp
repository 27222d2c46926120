#include "whatsapp/keys.h"

#include <algorithm>

namespace gw::whatsapp {
namespace {

using stanza::Jid;
using stanza::Node;
using stanza::Nodes;

Node iq(std::string_view type, std::string_view xmlns) {
  return Node("iq").with("xmlns", xmlns).with("type", type).with("to", Jid::service());
}

Node number(std::string_view tag, std::uint32_t value, int octets) {
  Bytes b;
  if (octets == 3) put_be<3>(b, value);
  if (octets == 4) put_be<4>(b, value);
  return Node(tag).octets(std::move(b));
}

Node key_node(std::string_view tag, std::uint32_t id, ByteView value) {
  return Node(tag).add(number("id", id, 3)).add(Node("value").octets(value));
}

bool read_key(const Node* holder, std::string_view tag, signal::Key32& to) {
  const Node* node = holder == nullptr ? nullptr : holder->child(tag);
  if (node == nullptr) return false;
  auto bytes = node->as_octets();
  if (bytes.size() == 33 && bytes[0] == 0x05) bytes = bytes.subspan(1);  // with its type octet
  if (bytes.size() != to.size()) return false;
  std::copy(bytes.begin(), bytes.end(), to.begin());
  return true;
}

template <std::size_t N>
std::optional<std::uint32_t> read_number(const Node* holder, std::string_view tag) {
  const Node* node = holder == nullptr ? nullptr : holder->child(tag);
  if (node == nullptr || node->as_octets().size() != N) return std::nullopt;
  return static_cast<std::uint32_t>(get_be<N>(node->as_octets()));
}

tl::unexpected<Error> incomplete() { return fail(ErrorKind::kCorrupt, "STANZA_INCOMPLETE"); }

constexpr std::int64_t kLongestBan = 366 * 86'400;  // seconds

// Codes of public clients; one that none of them knows is the last row's.
struct CodeEnding {
  std::int64_t code;
  Ending ending;
};
constexpr CodeEnding kLoginEndings[] = {
    // For a device 401 means logged out. An interop user has no pairing to lose: the token it was
    // (INVENTED), and a fresh one may do.
    {401, {"TOKEN_REFUSED"}},
    {402, {"TEMPORARILY_BANNED"}},
    {403, {"LOCKED", true}},
    {405, {"CLIENT_OUTDATED", true}},
    {406, {"BANNED", true}},
    {409, {"BAD_USER_AGENT", true}},
    {415, {"NOT_FOUND", true}},
    {418, {"CLIENT_UNKNOWN", true}},
    {500, {"SERVER_UNAVAILABLE", false, true}},
    {501, {"SERVER_UNAVAILABLE", false, true}},
    {503, {"SERVER_UNAVAILABLE", false, true}},
    {0, {"LOGIN_REFUSED"}},  // 400 as well: something in the login, perhaps the token
};
constexpr CodeEnding kStreamEndings[] = {
    {401, {"LOGGED_OUT", true}},
    {503, {"SERVER_GOING_AWAY", false, true}},
    {515, {"RESTART_REQUIRED"}},
    {0, {"STREAM_ERROR", false, true}},
};

template <std::size_t N>
Ending find(const CodeEnding (&table)[N], std::int64_t code) {
  auto row = std::find_if(table, table + N - 1, [&](const auto& r) { return r.code == code; });
  return row->ending;
}

Node signed_key_node(const signal::SignedPreKey& key) {
  return key_node("skey", key.id, key.keys.pub)
      .add(Node("signature").octets(ByteView(key.signature)));
}

Node type_node() {
  const std::uint8_t key_type[] = {0x05};
  return Node("type").octets(ByteView(key_type));
}

}  // namespace

std::optional<signal::Bundle> read_bundle(const Node& user) {
  // Some servers nest the parts in <keys>.
  const Node* at = user.child("keys") != nullptr ? user.child("keys") : &user;
  signal::Bundle b;
  auto registration = read_number<4>(&user, "registration");
  if (!registration) registration = read_number<4>(at, "registration");
  const Node* skey = at->child("skey");
  auto skey_id = read_number<3>(skey, "id");
  const Node* signature = skey == nullptr ? nullptr : skey->child("signature");
  if (!registration || !skey_id || signature == nullptr ||
      signature->as_octets().size() != b.signed_prekey_signature.size() ||
      !read_key(at, "identity", b.identity) || !read_key(skey, "value", b.signed_prekey))
    return std::nullopt;
  b.registration_id = *registration;
  b.signed_prekey_id = *skey_id;
  auto s = signature->as_octets();
  std::copy(s.begin(), s.end(), b.signed_prekey_signature.begin());
  if (const Node* key = at->child("key")) {
    signal::Bundle::OneTime one;
    auto id = read_number<3>(key, "id");
    if (!id || *id == 0 || !read_key(key, "value", one.key)) return std::nullopt;
    one.id = *id;
    b.one_time = one;
  }
  return b;
}

Node device_query(const std::vector<Jid>& contacts, std::string_view sid) {
  Node query("query");
  query.add(Node("devices").with("version", std::int64_t{2})).add(Node("lid")).add(opt_in_query());
  Nodes users;
  for (const auto& jid : contacts) users.push_back(Node("user").with("jid", jid));
  Node list("list");
  list.content = std::move(users);
  return iq("get", "usync")
      .add(Node("usync")
               .with("sid", sid)
               .with("mode", "query")
               .with("context", "message")
               .with("last", "true")
               .with("index", std::int64_t{0})
               .add(std::move(query))
               .add(std::move(list)));
}

Result<std::vector<ContactDevices>> read_devices(const Node& answer) {
  const Node* usync = answer.child("usync");
  const Node* list = usync == nullptr ? nullptr : usync->child("list");
  if (list == nullptr) return incomplete();
  std::vector<ContactDevices> out;
  for (const auto& user : list->children()) {
    auto jid = user.attr_jid("jid");
    if (user.tag != "user" || !jid) continue;
    ContactDevices c;
    c.asked = *jid;
    if (const Node* lid = user.child("lid")) {
      auto value = lid->attr_jid("val");
      if (value && value->server == stanza::Server::kLid) c.lid = value->user;
    }
    if (c.lid.empty() && jid->server == stanza::Server::kLid && user.child("devices") != nullptr)
      c.lid = jid->user;
    c.opted_in = opted_in(user);
    const Node* devices = user.child("devices");
    const Node* device_list = devices == nullptr ? nullptr : devices->child("device-list");
    if (device_list != nullptr) {
      for (const auto& device : device_list->children()) {
        auto id = device.attr_int("id");
        if (device.tag == "device" && id && *id >= 0 && *id <= 255)
          c.devices.push_back(static_cast<std::uint16_t>(*id));
      }
    }
    std::sort(c.devices.begin(), c.devices.end());
    c.devices.erase(std::unique(c.devices.begin(), c.devices.end()), c.devices.end());
    out.push_back(std::move(c));
  }
  return out;
}

Node key_query(const std::vector<Jid>& devices) {
  Nodes users;
  for (const auto& jid : devices) users.push_back(Node("user").with("jid", jid));
  Node key("key");
  key.content = std::move(users);
  return iq("get", "encrypt").add(std::move(key));
}

Result<std::vector<DeviceKeys>> read_keys(const Node& answer) {
  const Node* list = answer.child("list");
  if (list == nullptr) return incomplete();
  std::vector<DeviceKeys> out;
  for (const auto& user : list->children()) {
    auto jid = user.attr_jid("jid");
    if (user.tag != "user" || !jid) continue;
    out.push_back({*jid, user.child("error") != nullptr ? std::nullopt : read_bundle(user)});
  }
  return out;
}

Node key_count_query() { return iq("get", "encrypt").add(Node("count")); }

Result<std::size_t> read_key_count(const Node& answer) {
  const Node* count = answer.child("count");
  auto value = count == nullptr ? std::nullopt : count->attr_int("value");
  if (!value || *value < 0) return incomplete();
  return static_cast<std::size_t>(*value);
}

Node key_upload(const signal::Identity& identity, const signal::SignedPreKey& signed_prekey,
                const std::vector<signal::PreKey>& prekeys) {
  Nodes keys;
  for (const auto& k : prekeys) keys.push_back(key_node("key", k.id, k.keys.pub));
  Node list("list");
  list.content = std::move(keys);
  return iq("set", "encrypt")
      .add(registration_node(identity))
      .add(type_node())
      .add(Node("identity").octets(ByteView(identity.keys.pub)))
      .add(std::move(list))
      .add(signed_key_node(signed_prekey));
}

Node signed_prekey_rotation(const signal::SignedPreKey& signed_prekey) {
  return iq("set", "encrypt").add(Node("rotate").add(signed_key_node(signed_prekey)));
}

Node registration_node(const signal::Identity& identity) {
  return number("registration", identity.registration_id, 4);
}

Node session_keys(const signal::Identity& identity, const signal::PreKey& one_time,
                  const signal::SignedPreKey& signed_prekey) {
  return Node("keys")
      .add(type_node())
      .add(Node("identity").octets(ByteView(identity.keys.pub)))
      .add(key_node("key", one_time.id, one_time.keys.pub))
      .add(signed_key_node(signed_prekey));
}

std::optional<std::size_t> low_keys(const Node& notification) {
  if (!notification.attr_is("type", "encrypt")) return std::nullopt;
  auto count = read_key_count(notification);
  if (!count) return std::nullopt;
  return *count;
}

Node active_request() { return iq("set", "passive").add(Node("active")); }

Node keepalive_request() { return iq("get", "w:p").add(Node("ping")); }

Ending read_failure(const Node& failure) {
  auto ending = find(kLoginEndings, failure.attr_int("reason").value_or(500));
  auto seconds = failure.attr_int("expire").value_or(0);
  if (ending.reason == "TEMPORARILY_BANNED" && seconds > 0)
    ending.retry_after = Millis{std::min<std::int64_t>(seconds, kLongestBan) * 1000};
  return ending;
}

Ending read_stream_error(const Node& error) {
  auto code = error.attr_int("code");
  if (const Node* conflict = error.child("conflict")) {
    // Of whatever other kind it is, coming back at once would only take the link from its new
    // owner.
    bool removed = conflict->attr_is("type", "device_removed") || code == 401;
    return removed ? Ending{"LOGGED_OUT", true} : Ending{"REPLACED"};
  }
  return find(kStreamEndings, code.value_or(500));
}

std::optional<Error> iq_error(const Node& answer) {
  if (!answer.attr_is("type", "error")) return std::nullopt;
  const Node* child = answer.child("error");
  auto code = child == nullptr ? 500 : child->attr_int("code").value_or(500);
  switch (code) {
    case 401:
    case 403:
      return Error{ErrorKind::kRejected, "IQ_FORBIDDEN", {}, {}};
    case 404:
      return Error{ErrorKind::kRejected, "IQ_NOT_FOUND", {}, {}};
    case 419:
    case 429:
      return Error{ErrorKind::kRetryLater, "IQ_RATE_LIMITED", {}, Millis{5000}};
    case 500:
    case 503:
    case 530:
      return Error{ErrorKind::kRetryLater, "IQ_UNAVAILABLE", {}, Millis{1000}};
    default:
      return Error{ErrorKind::kRejected, "IQ_REFUSED", {}, {}};
  }
}

}  // namespace gw::whatsapp
