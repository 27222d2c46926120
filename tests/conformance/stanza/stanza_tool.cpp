// The stanza codec for tests in other languages: one JSON request a line in, one answer a line out.
//   {"encode": NODE} {"compress": NODE}   -> {"hex": "00f8.."} or {"error": "STANZA_.."}
//   {"decode": "00f8.."}                  -> {"node": NODE} or {"error": "STANZA_.."}
//   {"token": [page, index]}              -> {"text": ".."}
// "interop": false beside "encode" leaves the server string of tag 245 out.
// NODE: {"tag", "attrs": [[key, text or {"jid": text}]..], and "text", "octets" (hex) or
// "children"}

#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "base/encoding.h"
#include "stanza/codec.h"

namespace {

using gw::stanza::Jid;
using gw::stanza::Node;
using gw::stanza::Nodes;
using Json = nlohmann::json;

Jid jid_from(const std::string& text) {
  auto jid = Jid::parse(text);
  if (!jid) throw std::invalid_argument("not an address: " + text);
  return *jid;
}

gw::Bytes octets_from(const std::string& hex) {
  auto octets = gw::from_hex(hex);
  if (!octets) throw std::invalid_argument("not hex: " + hex);
  return *std::move(octets);
}

Node node_from(const Json& json) {
  Node node(json.at("tag").get<std::string>());
  for (const Json& attr : json.at("attrs")) {
    const auto key = attr.at(0).get<std::string>();
    if (attr.at(1).is_object()) {
      node.with(key, jid_from(attr.at(1).at("jid").get<std::string>()));
    } else {
      node.with(key, attr.at(1).get<std::string>());
    }
  }
  if (json.contains("text")) node.text(json["text"].get<std::string>());
  if (json.contains("octets")) node.octets(octets_from(json["octets"].get<std::string>()));
  if (json.contains("children")) {
    node.content = Nodes{};
    for (const Json& child : json["children"]) node.add(node_from(child));
  }
  return node;
}

Json json_from(const Node& node) {
  Json json{{"tag", node.tag}, {"attrs", Json::array()}};
  for (const auto& [key, value] : node.attrs) {
    Json held;
    if (auto* jid = std::get_if<Jid>(&value)) {
      held["jid"] = jid->to_string();
    } else {
      held = std::get<std::string>(value);
    }
    json["attrs"].push_back(Json::array({key, held}));
  }
  if (auto* text = std::get_if<std::string>(&node.content)) json["text"] = *text;
  if (auto* octets = std::get_if<gw::Bytes>(&node.content)) json["octets"] = gw::to_hex(*octets);
  if (auto* children = std::get_if<Nodes>(&node.content)) {
    json["children"] = Json::array();
    for (const Node& child : *children) json["children"].push_back(json_from(child));
  }
  return json;
}

Json encoded(const gw::Result<gw::Bytes>& plain) {
  if (!plain) return {{"error", plain.error().reason}};
  return {{"hex", gw::to_hex(*plain)}};
}

Json answer(const Json& request) {
  if (request.contains("encode")) {
    gw::stanza::EncodeOptions options;
    if (!request.value("interop", true)) options.interop = gw::stanza::InteropForm::kWithoutServer;
    return encoded(gw::stanza::encode(node_from(request["encode"]), options));
  }
  if (request.contains("compress")) {
    return encoded(gw::stanza::encode_compressed(node_from(request["compress"])));
  }
  if (request.contains("decode")) {
    auto node = gw::stanza::decode(octets_from(request["decode"].get<std::string>()));
    if (!node) return {{"error", node.error().reason}};
    return {{"node", json_from(*node)}};
  }
  const Json& place = request.at("token");
  return {{"text", gw::stanza::token_text(
                       {place.at(0).get<std::uint8_t>(), place.at(1).get<std::uint8_t>()})}};
}

}  // namespace

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) {
      // Text that is not UTF-8 is shown with replacement characters.
      std::cout << answer(Json::parse(line)).dump(-1, ' ', false, Json::error_handler_t::replace)
                << '\n';
    }
    return 0;
  } catch (const std::exception& problem) {
    std::cerr << "stanza_tool: " << problem.what() << '\n';
    return 1;
  }
}
