#pragma once

// A stanza: tag, attributes, and nothing, text, octets or children.
// Values own their data. Not thread-safe; no I/O.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "stanza/jid.h"

namespace gw::stanza {

struct Node;
using Nodes = std::vector<Node>;
// An address is kept as such: it has an encoding of its own. Anything else is text.
using AttrValue = std::variant<std::string, Jid>;

struct Node {
  std::string tag;
  std::vector<std::pair<std::string, AttrValue>> attrs;
  // monostate: no content. Text and octets differ on the wire; a reader takes either (as_octets).
  std::variant<std::monostate, std::string, Bytes, Nodes> content;

  // Building; each returns *this. An empty text value is not written at all.
  explicit Node(std::string_view tag_name = {});
  Node& with(std::string_view key, std::string_view value) &;
  Node&& with(std::string_view key, std::string_view value) &&;
  Node& with(std::string_view key, const Jid& value) &;
  Node&& with(std::string_view key, const Jid& value) &&;
  Node& with(std::string_view key, std::int64_t value) &;
  Node&& with(std::string_view key, std::int64_t value) &&;
  Node& add(Node child) &;
  Node&& add(Node child) &&;
  Node& octets(ByteView data) &;
  Node&& octets(ByteView data) &&;
  Node& octets(Bytes&& data) &;
  Node&& octets(Bytes&& data) &&;
  Node& text(std::string_view data) &;
  Node&& text(std::string_view data) &&;

  // Reading. Missing or of another kind: nullopt, empty or nullptr; never an exception.
  const AttrValue* attr(std::string_view key) const;
  std::string attr_text(std::string_view key) const;  // an address in its text form; "" if missing
  std::optional<Jid> attr_jid(std::string_view key) const;  // parses text when need be
  std::optional<std::int64_t> attr_int(std::string_view key) const;
  bool attr_is(std::string_view key, std::string_view value) const;  // without a copy
  const Nodes& children() const;                                     // empty when there are none
  const Node* child(std::string_view name) const;                    // the first one
  ByteView as_octets() const;                                        // text or octets content
  std::string as_text() const;

  bool operator==(const Node&) const = default;
};

}  // namespace gw::stanza
