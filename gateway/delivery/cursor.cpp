#include "delivery/cursor.h"

#include <algorithm>

namespace gw::delivery {
namespace {

constexpr std::size_t kPageEvents = 256;

}  // namespace

bool Cursor::keeps_live(EventSeq seq, std::size_t room) const {
  if (seq <= tail_ || seq > window_end() || bytes_left() == 0 || room == 0) return false;
  if (seq == tail_ + 1) return true;
  return reading_ && (ahead_.empty() || seq == ahead_.back().seq + 1);
}

void Cursor::live(Item item, std::size_t room) {
  missed(item.seq);
  if (!keeps_live(item.seq, room)) return;
  std::size_t size = item.bytes.size();
  if (used_bytes() > 0 && (size > bytes_left() || size > room)) return;
  if (item.seq == tail_ + 1) {
    push_ready(std::move(item));
    join_ahead();
  } else {
    ahead_bytes_ += size;
    ahead_.push(std::move(item));
  }
}

void Cursor::missed(EventSeq seq) { last_ = std::max(last_, seq); }

std::optional<Page> Cursor::wants(std::size_t room) const {
  EventSeq end = std::min(window_end(), last_);
  if (reading_ || tail_ >= end || room == 0) return std::nullopt;
  // Part of the window is free, and more than that waits: not worth a read before a quarter is
  // free.
  bool outstanding = tail_ > acked_;
  if (outstanding) {
    auto free_events = static_cast<std::size_t>(window_end() - tail_);
    if (end < last_ && free_events * 4 < window_.events) return std::nullopt;
    if (bytes_left() * 4 < window_.bytes) return std::nullopt;
  }
  std::size_t bytes = outstanding ? bytes_left() : window_.bytes;
  return Page{tail_, std::min(static_cast<std::size_t>(end - tail_), kPageEvents),
              std::min(bytes, room)};
}

bool Cursor::page(std::vector<Item> items) {
  reading_ = false;
  for (Item& item : items) {
    if (item.seq <= tail_) continue;
    if (item.seq != tail_ + 1) break;
    push_ready(std::move(item));
  }
  last_ = std::max(last_, tail_);
  join_ahead();
  forget_ahead();  // what does not follow now is read: memory never waits for a later page
  return tail_ > read_from_ || tail_ >= last_;
}

EventSeq Cursor::acknowledge(EventSeq seq) {
  seq = std::min(seq, last_);
  if (seq <= acked_) return acked_;
  for (; acked_ < std::min(seq, sent_); ++acked_) unacked_bytes_ -= unacked_.pop();
  acked_ = seq;
  while (!ready_.empty() && ready_.front().seq <= seq) ready_bytes_ -= ready_.pop().bytes.size();
  sent_ = std::max(sent_, seq);
  tail_ = std::max(tail_, seq);
  join_ahead();
  return acked_;
}

Item Cursor::take() {
  Item item = ready_.pop();
  sent_ = item.seq;
  ready_bytes_ -= item.bytes.size();
  unacked_bytes_ += item.bytes.size();
  unacked_.push(static_cast<std::uint32_t>(item.bytes.size()));
  return item;
}

void Cursor::push_ready(Item item) {
  tail_ = item.seq;
  ready_bytes_ += item.bytes.size();
  ready_.push(std::move(item));
}

void Cursor::join_ahead() {
  while (!ahead_.empty() && ahead_.front().seq <= tail_ + 1) {
    Item item = ahead_.pop();
    ahead_bytes_ -= item.bytes.size();
    if (item.seq == tail_ + 1) push_ready(std::move(item));
  }
}

}  // namespace gw::delivery
