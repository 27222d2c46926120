#include "stanza/dictionary.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "stanza/codec.h"
#include "stanza/wire.h"

namespace gw::stanza {
namespace {

constexpr std::string_view kTokens[] = {
#include "stanza/tokens_v3.inc"
};

constexpr std::size_t kSingle = wire::kLastToken + 1;
constexpr std::size_t kPage = 256;
static_assert(std::size(kTokens) == kSingle + 4 * kPage);
static_assert(kTokens[0].empty());
static_assert(kTokens[1] == "xmlstreamstart" && kTokens[3] == "s.whatsapp.net");

constexpr std::size_t kLongest =
    std::max_element(std::begin(kTokens), std::end(kTokens),
                     [](auto a, auto b) { return a.size() < b.size(); }) -> size();

// Written out octet by octet so that it runs at compile time; compilers make one load of it.
constexpr std::uint64_t load4(const char* p) {
  auto at = [p](int i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])); };
  return at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24;
}
constexpr std::uint64_t load8(const char* p) { return load4(p) | load4(p + 4) << 32; }

// Head, tail and length tell almost all tokens apart. `text` is not empty.
constexpr std::uint32_t hash(std::string_view text) {
  const char* p = text.data();
  const std::size_t n = text.size();
  std::uint64_t head = 0;
  std::uint64_t tail = 0;
  if (n >= 8) {
    head = load8(p);
    tail = load8(p + n - 8);
    if (n > 16) head ^= load8(p + n / 2 - 4) * 0x9fb21c651e98df25ULL;
  } else if (n >= 4) {
    head = load4(p);
    tail = load4(p + n - 4);
  } else {
    auto at = [p](std::size_t i) {
      return static_cast<std::uint64_t>(static_cast<unsigned char>(p[i]));
    };
    head = at(0) | at(n / 2) << 8 | at(n - 1) << 16;
  }
  head = (head ^ n) * 0x9e3779b97f4a7c15ULL;
  tail = (tail + n) * 0xc2b2ae3d27d4eb4fULL;
  const std::uint64_t mixed = (head ^ (tail << 32 | tail >> 32)) * 0x9e3779b97f4a7c15ULL;
  return static_cast<std::uint32_t>(mixed >> 32);
}

// Open addressing with linear probing, load 0.31. A slot holds an index into kTokens; 0 is free.
constexpr std::size_t kSlots = 4096;
struct Table {
  std::array<std::uint16_t, kSlots> slots{};
  std::size_t longest_probe = 0;
};

constexpr Table make_table() {
  Table table;
  for (std::size_t i = 1; i < std::size(kTokens); ++i) {
    std::size_t slot = hash(kTokens[i]) % kSlots;
    std::size_t probe = 1;
    for (; table.slots[slot] != 0; ++probe) slot = (slot + 1) % kSlots;
    table.slots[slot] = static_cast<std::uint16_t>(i);
    table.longest_probe = std::max(table.longest_probe, probe);
  }
  return table;
}

constexpr Table kTable = make_table();
static_assert(kTable.longest_probe <= 16);

}  // namespace

std::uint16_t token_code(std::string_view text) {
  if (text.empty() || text.size() > kLongest) return 0;
  for (std::size_t slot = hash(text) % kSlots; kTable.slots[slot] != 0;
       slot = (slot + 1) % kSlots) {
    const std::size_t i = kTable.slots[slot];
    if (kTokens[i] != text) continue;
    return static_cast<std::uint16_t>(i < kSingle ? i : i - kSingle + wire::kDictionary0 * kPage);
  }
  return 0;
}

std::optional<Token> find_token(std::string_view text) {
  const std::uint16_t code = token_code(text);
  if (code == 0) return std::nullopt;
  const std::size_t page = code < kPage ? 0 : code / kPage - wire::kDictionary0 + 1;
  return Token{static_cast<std::uint8_t>(page), static_cast<std::uint8_t>(code % kPage)};
}

std::string_view token_text(Token token) {
  if (token.page == 0) return token.index < kSingle ? kTokens[token.index] : std::string_view();
  if (token.page > 4) return {};
  return kTokens[kSingle + (token.page - 1) * kPage + token.index];
}

}  // namespace gw::stanza
