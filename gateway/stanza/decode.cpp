#include <algorithm>
#include <array>
#include <vector>

#include "stanza/address.h"
#include "stanza/codec.h"
#include "stanza/wire.h"
#include "stanza/zlib.h"

namespace gw::stanza {
namespace {

enum class Fault { kNone, kMalformed, kTooDeep, kTooMany };

// How tag 245 is read, see README.md: the server string "interop" may or may not follow it.
enum class InteropReading { kTakeServer, kLeaveServer };

constexpr std::string_view kInterop = "interop";
constexpr std::size_t kSmallestNode = 3;       // list header of two octets, tag
constexpr std::size_t kSmallestAttribute = 2;  // two tokens
constexpr std::size_t kFewAttributes = 16;     // up to here, comparing all pairs is quickest

class Reader {
 public:
  Reader(ByteView from, const Limits& limits, InteropReading interop)
      : at_(from.data()),
        end_(at_ + from.size()),
        max_depth_(std::min(limits.max_depth, wire::kMaxNesting)),
        room_(limits.max_nodes),
        interop_(interop) {}

  bool stanza(Node& out) {
    if (!charge(1) || !node(out, 1)) return false;
    return at_ == end_ || malformed();
  }
  Fault fault() const { return fault_; }
  bool took_interop_server() const { return took_interop_server_; }

 private:
  // Where the characters of a packed string go; long enough for any of them.
  using Scratch = std::array<char, 2 * wire::kMaxPacked>;

  bool stop(Fault fault) {
    fault_ = fault;
    return false;
  }
  bool malformed() { return stop(Fault::kMalformed); }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  // Nodes and attributes are counted when they are announced, so that what is reserved for them
  // stays within the bound, too.
  bool charge(std::size_t entries) {
    if (entries > room_) return stop(Fault::kTooMany);
    room_ -= entries;
    return true;
  }

  template <std::size_t N>
  bool number(std::size_t& out) {
    if (left() < N) return malformed();
    out = get_be<N>({at_, N});
    at_ += N;
    return true;
  }
  bool octet(std::uint8_t& out) {
    if (at_ == end_) return malformed();
    out = *at_++;
    return true;
  }
  bool view(std::size_t size, ByteView& out) {
    if (left() < size) return malformed();
    out = {at_, size};
    at_ += size;
    return true;
  }

  bool node(Node& out, std::size_t depth);
  bool list_size(std::uint8_t tag, std::size_t& out);
  bool binary(std::uint8_t tag, ByteView& out);
  bool text(std::uint8_t tag, std::string_view& out, Scratch& scratch);
  bool next_text(std::string_view& out, Scratch& scratch);
  bool packed(std::uint8_t tag, std::string_view& out, Scratch& scratch);
  bool address(std::uint8_t tag, AttrValue& out);
  void take_interop_server();
  bool attributes(Node& out, std::size_t count);
  bool content(Node& out, std::size_t depth);

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  const std::size_t max_depth_;
  std::size_t room_;
  const InteropReading interop_;
  bool took_interop_server_ = false;
  Fault fault_ = Fault::kNone;
  Scratch first_;
  Scratch second_;
};

bool is_list(std::uint8_t tag) {
  return tag == wire::kListEmpty || tag == wire::kList8 || tag == wire::kList16;
}
bool is_binary(std::uint8_t tag) {
  return tag == wire::kBinary8 || tag == wire::kBinary20 || tag == wire::kBinary32;
}
bool is_address(std::uint8_t tag) {
  return tag == wire::kJidPair || (tag >= wire::kInteropJid && tag <= wire::kAdJid);
}

bool Reader::list_size(std::uint8_t tag, std::size_t& out) {
  switch (tag) {
    case wire::kListEmpty:
      out = 0;
      return true;
    case wire::kList8:
      return number<1>(out);
    case wire::kList16:
      return number<2>(out);
    default:
      return malformed();
  }
}

bool Reader::binary(std::uint8_t tag, ByteView& out) {
  std::size_t size = 0;
  if (tag == wire::kBinary8) {
    if (!number<1>(size)) return false;
  } else if (tag == wire::kBinary20) {
    if (!number<3>(size)) return false;
    size &= 0xfffff;  // the upper four bits mean nothing
  } else if (!number<4>(size)) {
    return false;
  }
  return view(size, out);
}

bool Reader::packed(std::uint8_t tag, std::string_view& out, Scratch& scratch) {
  static constexpr std::array<char, 17> kNibbles{"0123456789-."};  // 12 to 15 are nothing
  static constexpr std::array<char, 17> kHex{"0123456789ABCDEF"};
  const auto& alphabet = tag == wire::kNibble8 ? kNibbles : kHex;
  std::uint8_t head = 0;
  ByteView pairs;
  if (!octet(head) || !view(head & 0x7f, pairs)) return false;
  const bool odd = (head & wire::kOddLength) != 0;
  if (odd && pairs.empty()) return malformed();
  const std::size_t size = 2 * pairs.size() - (odd ? 1 : 0);
  char* to = scratch.data();
  bool good = true;
  bool good_low = true;  // of the pair before; the last one's is padding when odd
  for (const std::uint8_t pair : pairs) {
    const char high = alphabet[pair >> 4];
    const char low = alphabet[pair & 0x0f];
    good = good && good_low && high != '\0';
    good_low = low != '\0';
    *to++ = high;
    *to++ = low;
  }
  if (!good || (!odd && !good_low)) return malformed();
  out = {scratch.data(), size};
  return true;
}

// Any string but an address. The view is into the input, the dictionary or the scratch.
bool Reader::text(std::uint8_t tag, std::string_view& out, Scratch& scratch) {
  if (tag >= wire::kFirstToken && tag <= wire::kLastToken) {
    out = token_text({0, tag});
    return true;
  }
  if (tag >= wire::kDictionary0 && tag <= wire::kDictionary3) {
    std::uint8_t index = 0;
    if (!octet(index)) return false;
    out = token_text({static_cast<std::uint8_t>(tag - wire::kDictionary0 + 1), index});
    return true;
  }
  if (is_binary(tag)) {
    ByteView data;
    if (!binary(tag, data)) return false;
    out = as_text(data);
    return true;
  }
  if (tag == wire::kNibble8 || tag == wire::kHex8) return packed(tag, out, scratch);
  if (tag == wire::kListEmpty) {
    out = {};
    return true;
  }
  return malformed();
}

bool Reader::next_text(std::string_view& out, Scratch& scratch) {
  std::uint8_t tag = 0;
  return octet(tag) && text(tag, out, scratch);
}

// Consumes the server string of tag 245 when it is there.
void Reader::take_interop_server() {
  if (interop_ == InteropReading::kLeaveServer || at_ == end_ || !is_binary(*at_)) return;
  const std::uint8_t* const before = at_;
  std::uint8_t tag = 0;
  ByteView data;
  if (octet(tag) && binary(tag, data) && as_text(data) == kInterop) {
    took_interop_server_ = true;
  } else {
    at_ = before;
    fault_ = Fault::kNone;
  }
}

// What no Jid can stand for (a user with a colon or white space, say) stays readable as text: one
// odd address must not cost the stanza.
std::string as_written(std::string_view user, std::string_view server, std::size_t device) {
  std::string text(user);
  if (device != 0) text += ':' + std::to_string(device);
  text += '@';
  text += server;
  return text;
}

bool Reader::address(std::uint8_t tag, AttrValue& out) {
  std::string_view user;
  std::string_view server;
  std::size_t device = 0;
  std::size_t integrator = 0;
  std::string spelled;  // an interop user with its integrator, only for the odd case
  if (tag == wire::kAdJid) {
    std::size_t domain = 0;
    if (!number<1>(domain) || !number<1>(device) || !next_text(user, first_)) return false;
    switch (domain) {
      case wire::kDomainPhone:
        server = "s.whatsapp.net";
        break;
      case wire::kDomainLid:
        server = "lid";
        break;
      case wire::kDomainHosted:
        server = "hosted";
        break;
      case wire::kDomainHostedLid:
        server = "hosted.lid";
        break;
      default:
        return malformed();  // a guess would name somebody else
    }
    // Baileys writes 3-555:1@interop with domain 0. Phone numbers have no '-'.
    auto inside = domain == wire::kDomainPhone ? split_interop_user(user) : std::nullopt;
    if (inside && !inside->malformed && !inside->user.empty()) server = kInterop;
  } else if (tag == wire::kJidPair) {
    if (!next_text(user, first_) || !next_text(server, second_)) return false;
    if (server.empty()) return malformed();
  } else {
    if (!next_text(user, first_) || !number<2>(device)) return false;
    if (tag == wire::kFbJid) {
      if (!next_text(server, second_)) return false;
      if (server != "msgr") return malformed();
    } else {
      if (!number<2>(integrator)) return false;
      take_interop_server();
      server = kInterop;
    }
  }
  auto jid = make_jid(user, server, static_cast<std::uint16_t>(device),
                      static_cast<std::uint16_t>(integrator));
  if (jid) {
    out = *std::move(jid);
    return true;
  }
  if (tag == wire::kInteropJid) {
    spelled = std::to_string(integrator) + '-' + std::string(user);
    user = spelled;
  }
  out = as_written(user, server, device);
  return true;
}

bool has_duplicates(const Node& node) {
  const auto& attrs = node.attrs;
  if (attrs.size() <= kFewAttributes) {
    for (std::size_t i = 1; i < attrs.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (attrs[i].first == attrs[j].first) return true;
      }
    }
    return false;
  }
  std::vector<std::string_view> keys;
  keys.reserve(attrs.size());
  for (const auto& attr : attrs) keys.push_back(attr.first);
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

bool is_empty_text(const AttrValue& value) {
  auto* text = std::get_if<std::string>(&value);
  return text != nullptr && text->empty();
}

bool Reader::attributes(Node& out, std::size_t count) {
  if (count > left() / kSmallestAttribute) return malformed();
  if (!charge(count)) return false;
  out.attrs.reserve(count);
  bool any_empty = false;
  for (std::size_t i = 0; i < count; ++i) {
    std::string_view key;
    if (!next_text(key, first_)) return false;
    if (key.empty()) return malformed();
    auto& [name, value] = out.attrs.emplace_back();
    name = key;
    std::uint8_t tag = 0;
    if (!octet(tag)) return false;
    if (is_address(tag)) {
      if (!address(tag, value)) return false;
      continue;
    }
    std::string_view words;
    if (!text(tag, words, first_)) return false;
    std::get<std::string>(value) = words;
    any_empty = any_empty || words.empty();
  }
  if (has_duplicates(out)) return malformed();
  // Empty and absent are the same; an encoder does not write it either.
  if (any_empty) std::erase_if(out.attrs, [](auto& attr) { return is_empty_text(attr.second); });
  return true;
}

bool Reader::content(Node& out, std::size_t depth) {
  std::uint8_t tag = 0;
  if (!octet(tag)) return false;
  if (is_binary(tag)) {
    ByteView data;
    if (!binary(tag, data)) return false;
    out.content.emplace<Bytes>(data.begin(), data.end());
    return true;
  }
  if (is_address(tag)) {
    AttrValue value;
    if (!address(tag, value)) return false;
    auto* jid = std::get_if<Jid>(&value);
    out.content = jid != nullptr ? jid->to_string() : std::get<std::string>(std::move(value));
    return true;
  }
  if (!is_list(tag)) {
    std::string_view words;
    if (!text(tag, words, first_)) return false;
    out.content.emplace<std::string>(words);
    return true;
  }
  std::size_t count = 0;
  if (!list_size(tag, count)) return false;
  if (count > left() / kSmallestNode) return malformed();
  if (!charge(count)) return false;
  Nodes& children = out.content.emplace<Nodes>();
  children.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!node(children.emplace_back(), depth + 1)) return false;
  }
  return true;
}

bool Reader::node(Node& out, std::size_t depth) {
  if (depth > max_depth_) return stop(Fault::kTooDeep);
  std::uint8_t header = 0;
  std::size_t size = 0;
  std::string_view tag;
  if (!octet(header) || !list_size(header, size)) return false;
  if (size == 0) return malformed();
  if (!next_text(tag, first_)) return false;
  if (tag.empty()) return malformed();
  out.tag = tag;
  if (!attributes(out, (size - 1) / 2)) return false;
  return size % 2 != 0 || content(out, depth);
}

std::string_view reason(Fault fault) {
  switch (fault) {
    case Fault::kTooDeep:
      return "STANZA_TOO_DEEP";
    case Fault::kTooMany:
      return "STANZA_TOO_MANY_NODES";
    default:
      return "STANZA_MALFORMED";
  }
}

// With the server string taken wherever it could be one; when that makes no sense, once more with
// none taken. README.md says why this tells the two forms of tag 245 apart.
Result<Node> decode_body(ByteView body, const Limits& limits) {
  Fault fault = Fault::kNone;
  for (auto interop : {InteropReading::kTakeServer, InteropReading::kLeaveServer}) {
    Node node;
    Reader reader(body, limits, interop);
    if (reader.stanza(node)) return node;
    fault = reader.fault();
    if (fault != Fault::kMalformed || !reader.took_interop_server()) break;
  }
  return fail(ErrorKind::kCorrupt, reason(fault));
}

}  // namespace

Result<Node> decode(ByteView plain, const Limits& limits) {
  if (plain.empty()) return fail(ErrorKind::kCorrupt, "STANZA_MALFORMED");
  const ByteView body = plain.subspan(1);
  if ((plain[0] & wire::kFlagZlib) == 0) return decode_body(body, limits);
  GW_ASSIGN(const Bytes inflated, inflate_whole(body, limits.max_inflated));
  return decode_body(inflated, limits);
}

bool is_stream_end(const Node& node) {
  return node.tag == "xmlstreamend" && node.attrs.empty() &&
         std::holds_alternative<std::monostate>(node.content);
}

}  // namespace gw::stanza
