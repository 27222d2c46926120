#include <array>
#include <cstring>
#include <limits>

#include "stanza/codec.h"
#include "stanza/dictionary.h"
#include "stanza/wire.h"
#include "stanza/zlib.h"

namespace gw::stanza {
namespace {

// Which packed form a character fits in, and its value there ('-' and '.' differ from hex).
constexpr std::uint8_t kFitsNibble = 0x10;
constexpr std::uint8_t kFitsHex = 0x20;
constexpr auto kPack = [] {
  std::array<std::uint8_t, 256> table{};
  for (int digit = 0; digit < 10; ++digit) {
    table['0' + digit] = static_cast<std::uint8_t>(kFitsNibble | kFitsHex | digit);
  }
  for (int letter = 0; letter < 6; ++letter) {
    table['A' + letter] = static_cast<std::uint8_t>(kFitsHex | (10 + letter));
  }
  table['-'] = kFitsNibble | 10;
  table['.'] = kFitsNibble | 11;
  return table;
}();

std::uint8_t pack_class(std::string_view text) {
  std::uint8_t fits = kFitsNibble | kFitsHex;
  for (char c : text) {
    fits &= kPack[static_cast<unsigned char>(c)];
    if (fits == 0) break;
  }
  return fits;
}

constexpr std::size_t kRoom = 512;  // an ordinary stanza without content grows the buffer once

class Writer {
 public:
  Writer(Bytes& to, InteropForm interop)
      : to_(to), interop_(interop), start_(to.size()), used_(to.size()) {
    to_.resize(start_ + kRoom);
  }

  void octet(std::uint8_t value) {
    need(1);
    to_[used_++] = value;
  }
  bool node(const Node& node, std::size_t depth);

  void finish() { to_.resize(used_); }
  void roll_back() { to_.resize(start_); }

 private:
  void need(std::size_t more) {
    if (to_.size() - used_ < more) to_.resize(std::max(used_ + more, to_.size() * 2));
  }
  void be16(std::size_t value) {
    octet(static_cast<std::uint8_t>(value >> 8));
    octet(static_cast<std::uint8_t>(value));
  }
  void list(std::size_t size);
  bool raw(ByteView data);
  void packed(std::string_view text, std::uint8_t tag);
  bool text(std::string_view text);
  bool jid(const Jid& jid);
  bool ad_jid(std::uint8_t domain, const Jid& jid);
  bool attribute(const std::string& key, const AttrValue& value);
  bool content(const Node& node, std::size_t depth);

  Bytes& to_;
  const InteropForm interop_;
  const std::size_t start_;
  std::size_t used_;
};

void Writer::list(std::size_t size) {
  if (size == 0) {
    octet(wire::kListEmpty);
  } else if (size < 256) {
    octet(wire::kList8);
    octet(static_cast<std::uint8_t>(size));
  } else {
    octet(wire::kList16);
    be16(size);
  }
}

bool Writer::raw(ByteView data) {
  const std::size_t size = data.size();
  if (size > std::numeric_limits<std::uint32_t>::max()) return false;
  need(size + 5);
  if (size < 256) {
    octet(wire::kBinary8);
  } else if (size < 1u << 20) {
    octet(wire::kBinary20);
    octet(static_cast<std::uint8_t>(size >> 16));
    octet(static_cast<std::uint8_t>(size >> 8));
  } else {
    octet(wire::kBinary32);
    be16(size >> 16);
    octet(static_cast<std::uint8_t>(size >> 8));
  }
  octet(static_cast<std::uint8_t>(size));
  if (size != 0) std::memcpy(to_.data() + used_, data.data(), size);
  used_ += size;
  return true;
}

void Writer::packed(std::string_view text, std::uint8_t tag) {
  const std::size_t octets = (text.size() + 1) / 2;
  need(octets + 2);
  std::uint8_t* at = to_.data() + used_;
  *at++ = tag;
  *at++ = static_cast<std::uint8_t>(octets | (text.size() % 2 != 0 ? wire::kOddLength : 0));
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const unsigned high = kPack[static_cast<unsigned char>(text[i])] & 0x0f;
    const unsigned low =
        i + 1 < text.size() ? kPack[static_cast<unsigned char>(text[i + 1])] & 0x0f : 0x0f;
    *at++ = static_cast<std::uint8_t>(high << 4 | low);
  }
  used_ += octets + 2;
}

bool Writer::text(std::string_view text) {
  if (const std::uint16_t code = token_code(text); code != 0) {
    if (code > wire::kLastToken) octet(static_cast<std::uint8_t>(code >> 8));
    octet(static_cast<std::uint8_t>(code));
    return true;
  }
  if (!text.empty() && text.size() <= wire::kMaxPacked) {
    const std::uint8_t fits = pack_class(text);
    if (fits != 0) {
      packed(text, (fits & kFitsNibble) != 0 ? wire::kNibble8 : wire::kHex8);
      return true;
    }
  }
  return raw(as_bytes(text));
}

bool Writer::ad_jid(std::uint8_t domain, const Jid& jid) {
  if (jid.device > 255) return false;
  octet(wire::kAdJid);
  octet(domain);
  octet(static_cast<std::uint8_t>(jid.device));
  return text(jid.user);
}

bool Writer::jid(const Jid& jid) {
  if (!jid.user.empty()) {
    switch (jid.server) {
      case Server::kPhone:
        if (jid.device != 0) return ad_jid(wire::kDomainPhone, jid);
        break;
      case Server::kLid:
        if (jid.device != 0) return ad_jid(wire::kDomainLid, jid);
        break;
      case Server::kHosted:
        return ad_jid(wire::kDomainHosted, jid);
      case Server::kHostedLid:
        return ad_jid(wire::kDomainHostedLid, jid);
      case Server::kMessenger:
        octet(wire::kFbJid);
        if (!text(jid.user)) return false;
        be16(jid.device);
        return text(server_name(jid));
      case Server::kInterop:
        octet(wire::kInteropJid);
        if (!text(jid.user)) return false;
        be16(jid.device);
        be16(jid.integrator);
        return interop_ == InteropForm::kWithoutServer || text(server_name(jid));
      default:
        break;
    }
  }
  const std::string_view server = server_name(jid);
  if (jid.device != 0 || server.empty()) return false;  // a pair has no place for a device
  octet(wire::kJidPair);
  if (jid.user.empty()) {
    octet(wire::kListEmpty);
  } else if (!text(jid.user)) {
    return false;
  }
  return text(server);
}

bool is_written(const AttrValue& value) {
  auto* text = std::get_if<std::string>(&value);
  return text == nullptr || !text->empty();
}

bool Writer::attribute(const std::string& key, const AttrValue& value) {
  if (key.empty() || !text(key)) return false;
  if (auto* address = std::get_if<Jid>(&value)) return jid(*address);
  return text(std::get<std::string>(value));
}

bool Writer::content(const Node& node, std::size_t depth) {
  if (auto* octets = std::get_if<Bytes>(&node.content)) return raw(*octets);
  if (auto* words = std::get_if<std::string>(&node.content)) return text(*words);
  const Nodes& children = node.children();
  if (children.size() > wire::kMaxList) return false;
  list(children.size());
  for (const Node& child : children) {
    if (!this->node(child, depth + 1)) return false;
  }
  return true;
}

bool Writer::node(const Node& node, std::size_t depth) {
  if (node.tag.empty() || depth > wire::kMaxNesting) return false;
  std::size_t attrs = 0;
  for (const auto& attr : node.attrs) attrs += is_written(attr.second) ? 1 : 0;
  const bool has_content = !std::holds_alternative<std::monostate>(node.content);
  const std::size_t size = 1 + 2 * attrs + (has_content ? 1 : 0);
  if (size > wire::kMaxList) return false;
  list(size);
  if (!text(node.tag)) return false;
  for (const auto& [key, value] : node.attrs) {
    if (is_written(value) && !attribute(key, value)) return false;
  }
  return !has_content || content(node, depth);
}

}  // namespace

Result<void> encode(const Node& node, Bytes& to, const EncodeOptions& options) {
  Writer writer(to, options.interop);
  writer.octet(wire::kFlagRaw);
  if (!writer.node(node, 1)) {
    writer.roll_back();
    return fail(ErrorKind::kRejected, "STANZA_NOT_ENCODABLE");
  }
  writer.finish();
  return {};
}

Result<Bytes> encode(const Node& node, const EncodeOptions& options) {
  Bytes plain;
  GW_TRY(encode(node, plain, options));
  return plain;
}

Result<Bytes> encode_compressed(const Node& node, const EncodeOptions& options) {
  GW_ASSIGN(const Bytes plain, encode(node, options));
  Bytes packed{wire::kFlagZlib};
  GW_TRY(deflate_whole(ByteView(plain).subspan(1), packed));
  return packed;
}

}  // namespace gw::stanza
