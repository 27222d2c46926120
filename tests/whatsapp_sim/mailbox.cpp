#include "whatsapp_sim/mailbox.h"

#include <algorithm>

namespace gw::sim {

std::string Mailbox::key(std::string_view tag, std::string_view id, std::string_view peer) {
  std::string key;
  key.reserve(tag.size() + id.size() + peer.size() + 2);
  key.append(tag).append(1, '\0').append(id).append(1, '\0').append(peer);
  return key;
}

void Mailbox::push(std::string key, stanza::Node node) {
  index_.emplace(key, ++last_);
  entries_.emplace_hint(entries_.end(), last_, Entry{std::move(node), std::move(key)});
}

const stanza::Node* Mailbox::next() {
  auto it = entries_.upper_bound(cursor_);
  if (it == entries_.end()) return nullptr;
  cursor_ = it->first;
  return &it->second.node;
}

bool Mailbox::remove(const std::string& key, std::string_view type) {
  auto [first, last] = index_.equal_range(key);
  auto best = last;
  bool best_fits = false;
  for (auto it = first; it != last; ++it) {
    bool fits = !type.empty() && entries_.at(it->second).node.attr_is("type", type);
    if (best == last || fits > best_fits || (fits == best_fits && it->second < best->second)) {
      best = it;
      best_fits = fits;
    }
  }
  if (best == last) return false;
  entries_.erase(best->second);
  index_.erase(best);
  return true;
}

std::size_t Mailbox::count(std::string_view tag) const {
  return static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [&](const auto& e) { return e.second.node.tag == tag; }));
}

}  // namespace gw::sim
