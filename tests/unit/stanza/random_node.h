#pragma once

// Seeded random nodes for the tests of the codec, and the sameness that a round trip keeps.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "base/bytes.h"
#include "base/encoding.h"
#include "stanza/codec.h"

namespace gw::stanza::testing {

// GW_SEED, or a fresh seed; printed, so that a failure can be run again.
inline std::uint64_t seed_of_run() {
  static const std::uint64_t kSeed = [] {
    const char* given = std::getenv("GW_SEED");  // NOLINT(concurrency-mt-unsafe)
    const std::uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "GW_SEED=" << seed << std::endl;
    return seed;
  }();
  return kSeed;
}

class RandomNode {
 public:
  explicit RandomNode(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  bool one_in(std::size_t n) { return below(n) == 0; }

  Node node(std::size_t depth = 5) {
    Node made(one_in(3) ? characters(1 + below(20)) : token());
    const std::size_t attrs = one_in(40) ? 20 + below(140) : below(6);
    for (std::size_t i = 0; i < attrs; ++i) {
      const std::string key = one_in(2) ? token() : characters(1 + below(12));
      if (one_in(3)) {
        made.with(key, jid());
      } else {
        made.with(key, text());
      }
    }
    switch (below(depth == 0 ? 3 : 5)) {
      case 0:
        break;
      case 1:
        made.octets(octets());
        break;
      case 2:
        made.text(text());
        break;
      default: {
        made.content = Nodes{};
        const bool wide = one_in(60);  // a list that needs two octets for its length
        for (std::size_t i = wide ? 250 + below(20) : below(4); i > 0; --i) {
          made.add(wide ? Node(token()) : node(depth - 1));
        }
      }
    }
    return made;
  }

  // Interop addresses, and "interop" wherever it could be mistaken for their server string.
  Node interop_node(std::size_t depth = 3) {
    const auto word = [this] {
      return one_in(3) ? std::string("x").append(std::to_string(below(3))) : "interop";
    };
    Node made(word());
    for (std::size_t i = below(4); i > 0; --i) {
      if (one_in(4)) {
        made.with(word(), word());
      } else {
        made.with(word(), Jid::interop(static_cast<std::uint16_t>(1 + below(9)), "u"));
      }
    }
    switch (below(depth == 0 ? 2 : 4)) {
      case 0:
        break;
      case 1:
        made.octets(as_bytes(word()));
        break;
      default:
        made.content = Nodes{};
        for (std::size_t i = below(4); i > 0; --i) made.add(interop_node(depth - 1));
    }
    return made;
  }

  Jid jid() {
    const std::string user = one_in(3) ? letters(1 + below(12)) : digits(1 + below(18));
    const auto device = static_cast<std::uint16_t>(one_in(2) ? 0 : below(256));
    switch (below(9)) {
      case 0:
        return Jid::service();
      case 1:
        return Jid::lid(user, device);
      case 2:
        return {Server::kGroup, digits(9) + "-" + digits(10), 0, 0, {}};
      case 3:
        return {Server::kHosted, user, device, 0, {}};
      case 4:
        return {Server::kHostedLid, user, device, 0, {}};
      case 5:
        return {Server::kMessenger, user, number(), 0, {}};
      case 6:
        return {Server::kOther, user, 0, 0, one_in(2) ? "newsletter" : letters(5)};
      case 7:
        return Jid::interop(number(), user, number());
      default:
        return Jid::phone(user, device);
    }
  }

  std::string text() {
    switch (below(6)) {
      case 0:
        return token();
      case 1:
        return digits(below(140));
      case 2:
        return pick("0123456789-.", below(140));
      case 3:
        return pick("0123456789ABCDEF", below(140));
      case 4:
        return characters(below(300));
      default:
        return letters(below(30));
    }
  }

  std::string token() {
    const auto page = static_cast<std::uint8_t>(below(5));
    const auto index = static_cast<std::uint8_t>(page == 0 ? 1 + below(235) : below(256));
    return std::string(token_text({page, index}));
  }

  Bytes octets() {
    Bytes data(one_in(20) ? below(3000) : below(40));
    for (auto& octet : data) octet = static_cast<std::uint8_t>(below(256));
    return data;
  }

 private:
  std::uint16_t number() { return static_cast<std::uint16_t>(below(65536)); }
  std::string digits(std::size_t n) { return pick("0123456789", n); }
  std::string letters(std::size_t n) { return pick("abcdefghijklmnopqrstuvwxyz", n); }
  std::string characters(std::size_t n) { return pick("abcXYZ019-._ @:/\xc3\xa4\n", n); }
  std::string pick(std::string_view alphabet, std::size_t n) {
    std::string made(n, ' ');
    for (char& c : made) c = alphabet[below(alphabet.size())];
    return made;
  }

  std::mt19937_64 random_;
};

inline std::string shown(ByteView plain) {
  return to_hex(plain.first(std::min<std::size_t>(plain.size(), 2000)));
}

// Text content that fits no token and no packed form goes out as octets: content is compared by
// its octets. Nothing else may differ.
inline bool same(const Node& a, const Node& b) {
  if (a.tag != b.tag || a.attrs != b.attrs) return false;
  const bool lists = std::holds_alternative<Nodes>(a.content);
  if (lists != std::holds_alternative<Nodes>(b.content)) return false;
  const bool nothing = std::holds_alternative<std::monostate>(a.content);
  if (nothing != std::holds_alternative<std::monostate>(b.content)) return false;
  if (!lists) return equal(a.as_octets(), b.as_octets());
  const Nodes& ours = a.children();
  const Nodes& theirs = b.children();
  if (ours.size() != theirs.size()) return false;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!same(ours[i], theirs[i])) return false;
  }
  return true;
}

}  // namespace gw::stanza::testing
