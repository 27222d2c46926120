#pragma once

// The binary XML codec, dictionary version 3. Source: Baileys 7.0.0-rc14 and whatsmeow 2026-08
// (tags 0, 1..235, 236..239, 245..255), listed in README.md. Pure and thread-safe.

#include "base/bytes.h"
#include "base/error.h"
#include "stanza/node.h"

namespace gw::stanza {

// What a decoder accepts. A violation is CORRUPT "STANZA_<WHAT>": malformed, too deep, too large,
// too many nodes.
struct Limits {
  std::size_t max_depth = 32;            // nested nodes
  std::size_t max_nodes = 65536;         // nodes and attributes in one stanza
  std::size_t max_inflated = 16u << 20;  // octets after zlib
};

enum class InteropForm { kWithServer, kWithoutServer };  // tag 245 with or without server string

struct EncodeOptions {
  InteropForm interop = InteropForm::kWithServer;
};

// Appends the flag octet 0x00 and the node.
// REJECTED "STANZA_NOT_ENCODABLE": empty tag, too many attributes or children (65,535), content
// over 2^32 - 1.
Result<void> encode(const Node& node, Bytes& to, const EncodeOptions& options = {});
Result<Bytes> encode(const Node& node, const EncodeOptions& options = {});
// As a server may send it: flag 0x02 and a zlib body.
Result<Bytes> encode_compressed(const Node& node, const EncodeOptions& options = {});

// Reads flag octet, perhaps inflates, and one node that fills the rest exactly.
Result<Node> decode(ByteView plain, const Limits& limits = {});

// `f8 01 02`: the end of the stream, a node "xmlstreamend" without attributes.
bool is_stream_end(const Node& node);

// The token dictionary. Single tokens are 1..235, double ones (dictionary 0..3, index 0..255).
struct Token {
  std::uint8_t page;  // 0: single; 1..4: dictionary page - 1
  std::uint8_t index;
};
std::optional<Token> find_token(std::string_view text);
std::string_view token_text(Token token);  // "" when there is none

}  // namespace gw::stanza
