#pragma once

// What one sink is to get next of one user's events. Pure: no I/O, no clock, no lock.
//
// Events come from two sides: live, each once and in order, as the user's strand commits them; and
// in pages, read from the store. A live event that does not fit is forgotten, for it is in the
// store. What leaves is every event above the acknowledged number, in order, without a gap.

#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "delivery/queue.h"

namespace gw::delivery {

// An event in the sink's format.
struct Item {
  EventSeq seq = 0;
  std::string bytes;
};

// How much may be at the sink, or ready for it, without an acknowledgement.
struct Window {
  std::size_t events = 256;
  std::size_t bytes = 4u << 20;  // one event may always be on its way, whatever its size
};

// A read of the store: events above `after`.
struct Page {
  EventSeq after = 0;
  std::size_t limit = 0;      // events
  std::size_t max_bytes = 0;  // about
};

class Cursor {
 public:
  // Events up to `acked` are done with; `last` is the newest that there is.
  Cursor(Window window, EventSeq acked, EventSeq last)
      : window_(window), acked_(acked), sent_(acked), tail_(acked), last_(last) {}

  // Live events. `room` is how many octets the sink has left for events that wait.
  bool keeps_live(EventSeq seq, std::size_t room) const;
  void live(Item item, std::size_t room);
  // A live event that nobody has encoded: it will be read.
  void missed(EventSeq seq);

  // The next page to read, if one is needed and fits. At most one is under way: reading() tells the
  // cursor that it is, page() or read_failed() end it.
  std::optional<Page> wants(std::size_t room) const;
  void reading() {
    reading_ = true;
    read_from_ = tail_;
  }
  // False: what came does not go on where the cursor stands (nothing, or a gap). Read again later.
  bool page(std::vector<Item> items);
  void read_failed() {
    reading_ = false;
    forget_ahead();
  }

  // Cumulative, also for events that were not sent (the provider read them by itself). Above the
  // newest event: the newest. Answers the number that is in force.
  EventSeq acknowledge(EventSeq seq);

  bool ready() const { return !ready_.empty(); }
  Item take();  // only when ready()

  EventSeq acked() const { return acked_; }
  EventSeq sent() const { return sent_; }
  EventSeq last() const { return last_; }
  std::size_t held_bytes() const { return ready_bytes_ + ahead_bytes_; }
  std::size_t unacked_bytes() const { return unacked_bytes_; }

 private:
  std::size_t used_bytes() const { return unacked_bytes_ + held_bytes(); }
  std::size_t bytes_left() const {
    return used_bytes() < window_.bytes ? window_.bytes - used_bytes() : 0;
  }
  EventSeq window_end() const { return acked_ + static_cast<EventSeq>(window_.events); }
  void push_ready(Item item);
  void join_ahead();
  void forget_ahead() {
    ahead_ = {};
    ahead_bytes_ = 0;
  }

  Window window_;
  EventSeq acked_;
  EventSeq sent_;  // everything up to here left, or was acknowledged
  EventSeq tail_;  // ready_ holds sent_ + 1 .. tail_
  EventSeq last_;
  bool reading_ = false;
  EventSeq read_from_ = 0;
  Queue<Item> ready_;
  Queue<Item> ahead_;             // only while reading: live events behind the page, without gaps
  Queue<std::uint32_t> unacked_;  // sizes of acked_ + 1 .. sent_
  std::size_t ready_bytes_ = 0, ahead_bytes_ = 0, unacked_bytes_ = 0;
};

}  // namespace gw::delivery
