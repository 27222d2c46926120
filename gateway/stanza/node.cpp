#include "stanza/node.h"

#include <algorithm>
#include <charconv>

namespace gw::stanza {
namespace {

// Sets or replaces: an attribute occurs once.
void set(Node& node, std::string_view key, AttrValue value) {
  for (auto& [name, old] : node.attrs) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  node.attrs.emplace_back(std::string(key), std::move(value));
}

bool eat(std::string_view& text, std::string_view part) {
  if (!text.starts_with(part)) return false;
  text.remove_prefix(part.size());
  return true;
}

bool eat(std::string_view& text, std::uint16_t number) {
  char digits[5];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  return eat(text, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

// jid.to_string() == text, without making it.
bool reads_as(const Jid& jid, std::string_view text) {
  if (jid.server == Server::kInterop && !jid.user.empty()) {
    if (!eat(text, jid.integrator) || !eat(text, "-")) return false;
  }
  if (!eat(text, jid.user)) return false;
  if (jid.device != 0 && (!eat(text, ":") || !eat(text, jid.device))) return false;
  return eat(text, "@") && text == server_name(jid);
}

}  // namespace

Node::Node(std::string_view tag_name) : tag(tag_name) {}

Node& Node::with(std::string_view key, std::string_view value) & {
  if (value.empty()) {
    std::erase_if(attrs, [key](const auto& attr) { return attr.first == key; });
  } else {
    set(*this, key, std::string(value));
  }
  return *this;
}
Node& Node::with(std::string_view key, const Jid& value) & {
  set(*this, key, value);
  return *this;
}
Node& Node::with(std::string_view key, std::int64_t value) & {
  set(*this, key, std::to_string(value));
  return *this;
}
Node& Node::add(Node child) & {
  if (!std::holds_alternative<Nodes>(content)) content = Nodes{};
  std::get<Nodes>(content).push_back(std::move(child));
  return *this;
}
Node& Node::octets(ByteView data) & { return octets(to_bytes(data)); }
Node& Node::octets(Bytes&& data) & {
  content = std::move(data);
  return *this;
}
Node& Node::text(std::string_view data) & {
  content = std::string(data);
  return *this;
}

Node&& Node::with(std::string_view key, std::string_view value) && {
  return std::move(with(key, value));
}
Node&& Node::with(std::string_view key, const Jid& value) && { return std::move(with(key, value)); }
Node&& Node::with(std::string_view key, std::int64_t value) && {
  return std::move(with(key, value));
}
Node&& Node::add(Node child) && { return std::move(add(std::move(child))); }
Node&& Node::octets(ByteView data) && { return std::move(octets(data)); }
Node&& Node::octets(Bytes&& data) && { return std::move(octets(std::move(data))); }
Node&& Node::text(std::string_view data) && { return std::move(text(data)); }

const AttrValue* Node::attr(std::string_view key) const {
  auto it = std::find_if(attrs.begin(), attrs.end(), [key](auto& a) { return a.first == key; });
  return it == attrs.end() ? nullptr : &it->second;
}

std::string Node::attr_text(std::string_view key) const {
  const AttrValue* value = attr(key);
  if (value == nullptr) return {};
  if (auto* text = std::get_if<std::string>(value)) return *text;
  return std::get<Jid>(*value).to_string();
}

std::optional<Jid> Node::attr_jid(std::string_view key) const {
  const AttrValue* value = attr(key);
  if (value == nullptr) return {};
  if (auto* jid = std::get_if<Jid>(value)) return *jid;
  return Jid::parse(std::get<std::string>(*value));
}

std::optional<std::int64_t> Node::attr_int(std::string_view key) const {
  const AttrValue* value = attr(key);
  auto* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
  if (text == nullptr) return {};
  std::int64_t number = 0;
  const char* end = text->data() + text->size();
  auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc{} || stop != end) return {};
  return number;
}

bool Node::attr_is(std::string_view key, std::string_view value) const {
  const AttrValue* held = attr(key);
  if (held == nullptr) return false;
  if (auto* text = std::get_if<std::string>(held)) return *text == value;
  return reads_as(std::get<Jid>(*held), value);
}

const Nodes& Node::children() const {
  static const Nodes kNone;
  auto* nodes = std::get_if<Nodes>(&content);
  return nodes == nullptr ? kNone : *nodes;
}

const Node* Node::child(std::string_view name) const {
  for (const Node& node : children()) {
    if (node.tag == name) return &node;
  }
  return nullptr;
}

ByteView Node::as_octets() const {
  if (auto* bytes = std::get_if<Bytes>(&content)) return *bytes;
  if (auto* text = std::get_if<std::string>(&content)) return as_bytes(*text);
  return {};
}

std::string Node::as_text() const { return to_string(as_octets()); }

}  // namespace gw::stanza
