#pragma once

// What waits for one device until the device answers for it: messages, receipts, notifications.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "stanza/node.h"

namespace gw::sim {

class Mailbox {
 public:
  struct Entry {
    stanza::Node node;
    std::string key;
  };

  // `tag`: message, receipt or notification; `peer`: the LID of whom it is from, "" for the server.
  static std::string key(std::string_view tag, std::string_view id, std::string_view peer);

  void push(std::string key, stanza::Node node);
  // The next entry that this link was not given yet; nullptr: none.
  const stanza::Node* next();
  // Everything that is still here goes out again (a new link).
  void rewind() { cursor_ = 0; }
  // Removes the oldest entry under that key; with a `type`, the oldest of that type if there is
  // one.
  bool remove(const std::string& key, std::string_view type = {});
  std::size_t size() const { return entries_.size(); }
  std::size_t count(std::string_view tag) const;

 private:
  std::map<std::uint64_t, Entry> entries_;
  std::unordered_multimap<std::string, std::uint64_t> index_;
  std::uint64_t last_ = 0;
  std::uint64_t cursor_ = 0;  // entries up to here were given to the link
};

}  // namespace gw::sim
