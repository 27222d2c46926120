// What decodes must encode, and decode again to the same node.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "stanza/codec.h"
#include "unit/stanza/random_node.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gw::stanza;
  const Limits limits{.max_inflated = 1u << 20};  // enough to reach the bound, and quick
  auto node = decode({data, size}, limits);
  if (!node) return 0;
  for (InteropForm form : {InteropForm::kWithServer, InteropForm::kWithoutServer}) {
    auto plain = encode(*node, {form});
    if (!plain) std::abort();
    auto again = decode(*plain);
    if (!again || !testing::same(*node, *again)) std::abort();
    auto stable = encode(*again, {form});
    if (!stable || *stable != *plain) std::abort();
  }
  for (const auto& attr : node->attrs) {
    auto jid = node->attr_jid(attr.first);
    if (jid && Jid::parse(jid->to_string()) != jid) std::abort();
  }
  return 0;
}
