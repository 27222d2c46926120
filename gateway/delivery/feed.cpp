#include "delivery/feed.h"

#include <algorithm>

namespace gw::delivery {

template <class Change>
auto Feed::change(Handle handle, User& user, Change&& work) {
  bool was_ready = user.cursor.ready();
  held_bytes_ -= user.cursor.held_bytes();
  auto done = work(user.cursor);
  held_bytes_ += user.cursor.held_bytes();
  bool is_ready = user.cursor.ready();
  ready_users_ += static_cast<std::size_t>(is_ready) - static_cast<std::size_t>(was_ready);
  if (is_ready && !user.has_turn) {
    user.has_turn = true;
    turns_.push(handle);
  }
  if (!user.waits && user.cursor.wants(limits_.page_bytes)) {
    user.waits = true;
    waiting_.push(handle);
  }
  return done;
}

Feed::Handle Feed::add(EventSeq acked, EventSeq last) {
  Handle handle = next_handle_++;
  User& user = users_.emplace(handle, User{Cursor(limits_.window, acked, last)}).first->second;
  change(handle, user, [](Cursor&) { return 0; });
  return handle;
}

void Feed::remove(Handle handle) {
  auto it = users_.find(handle);
  if (it == users_.end()) return;
  held_bytes_ -= it->second.cursor.held_bytes();
  ready_users_ -= it->second.cursor.ready();
  users_.erase(it);
}

bool Feed::keeps_live(Handle handle, EventSeq first) const {
  auto it = users_.find(handle);
  return it != users_.end() && it->second.cursor.keeps_live(first, room());
}

bool Feed::live(Handle handle, Item item) {
  auto it = users_.find(handle);
  if (it == users_.end()) return false;
  return change(handle, it->second, [&, free = room()](Cursor& cursor) {
    std::size_t before = cursor.held_bytes();
    cursor.live(std::move(item), free);
    return cursor.held_bytes() > before;
  });
}

void Feed::missed(Handle handle, EventSeq seq) {
  auto it = users_.find(handle);
  if (it == users_.end()) return;
  change(handle, it->second, [&](Cursor& cursor) { return cursor.missed(seq), 0; });
}

std::vector<Feed::Read> Feed::reads(MonoTime now) {
  while (!later_.empty() && later_.begin()->first <= now) {
    waiting_.push(later_.begin()->second);
    later_.erase(later_.begin());
  }
  std::vector<Read> out;
  while (!waiting_.empty() && pending_.size() < limits_.reads && room() >= limits_.page_bytes) {
    Handle handle = waiting_.pop();
    auto it = users_.find(handle);
    if (it == users_.end()) continue;
    it->second.waits = false;
    auto page = it->second.cursor.wants(limits_.page_bytes);
    if (!page) continue;
    it->second.cursor.reading();
    std::uint64_t id = next_read_++;
    pending_.emplace(id, Pending{handle, page->max_bytes});
    reserved_bytes_ += page->max_bytes;
    out.push_back({id, handle, *page});
  }
  return out;
}

bool Feed::read_done(std::uint64_t id, Result<std::vector<Item>> items, MonoTime now) {
  auto read = pending_.find(id);
  if (read == pending_.end()) return true;
  auto [handle, bytes] = read->second;
  pending_.erase(read);
  reserved_bytes_ -= bytes;
  auto it = users_.find(handle);
  if (it == users_.end()) return true;
  User& user = it->second;
  user.waits = true;  // not queued again before we know
  bool good = change(handle, user, [&](Cursor& cursor) {
    if (items) return cursor.page(*std::move(items));
    cursor.read_failed();
    return false;
  });
  if (good) {
    user.waits = false;
    change(handle, user, [](Cursor&) { return 0; });
  } else {
    later_.emplace(now + limits_.retry, handle);
  }
  return good;
}

std::optional<EventSeq> Feed::acknowledge(Handle handle, EventSeq seq) {
  auto it = users_.find(handle);
  if (it == users_.end()) return std::nullopt;
  return change(handle, it->second, [&](Cursor& cursor) { return cursor.acknowledge(seq); });
}

std::vector<Feed::Taken> Feed::take(std::size_t max_bytes) {
  std::vector<Taken> out;
  std::size_t total = 0;
  while (!turns_.empty() && total < max_bytes) {
    Handle handle = turns_.pop();
    auto it = users_.find(handle);
    if (it == users_.end()) continue;
    it->second.has_turn = false;
    change(handle, it->second, [&](Cursor& cursor) {
      std::size_t turn = 0;
      while (cursor.ready() && turn < limits_.turn_bytes && total + turn < max_bytes) {
        out.push_back({handle, cursor.take()});
        turn += out.back().item.bytes.size();
      }
      total += turn;
      return 0;
    });
  }
  return out;
}

}  // namespace gw::delivery
