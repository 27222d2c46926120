#pragma once

// The cursors of one sink, and what they share: memory for events that wait, reads of the store,
// the turn. Pure: no I/O, no lock; the time is handed in.

#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "delivery/cursor.h"

namespace gw::delivery {

struct FeedLimits {
  Window window;                        // a user
  std::size_t held_bytes = 4u << 20;    // events that wait in memory, all users
  std::size_t page_bytes = 256u << 10;  // one read; also kept free for it
  std::size_t reads = 8;                // under way at once
  std::size_t turn_bytes = 32u << 10;   // of one user before the next has its turn
  Millis retry{500};                    // after a read that failed
};

class Feed {
 public:
  using Handle = std::uint64_t;  // a user at this sink, from add to remove; never given twice
  struct Read {
    std::uint64_t id = 0;
    Handle handle = 0;
    Page page;
  };

  explicit Feed(FeedLimits limits) : limits_(limits) {}

  Handle add(EventSeq acked, EventSeq last);
  void remove(Handle handle);

  // Whether live events from `first` on would be kept; asked before they are encoded.
  bool keeps_live(Handle handle, EventSeq first) const;
  // True: kept. False: it is read from the store later.
  bool live(Handle handle, Item item);
  void missed(Handle handle, EventSeq seq);

  // Reads that are to be made now. Each is ended by read_done, also when its user was removed.
  std::vector<Read> reads(MonoTime now);
  // False: it failed, or did not go on where the cursor stands; tried again after limits.retry.
  bool read_done(std::uint64_t id, Result<std::vector<Item>> items, MonoTime now);

  // The acknowledged number that is in force; nullopt: no such user.
  std::optional<EventSeq> acknowledge(Handle handle, EventSeq seq);

  bool ready() const { return ready_users_ > 0; }
  // Up to about `max_bytes`, at least one when ready(); users take turns.
  struct Taken {
    Handle handle = 0;
    Item item;
  };
  std::vector<Taken> take(std::size_t max_bytes);

  std::size_t held_bytes() const { return held_bytes_ + reserved_bytes_; }
  std::size_t users() const { return users_.size(); }

 private:
  struct User {
    Cursor cursor;
    bool has_turn = false;  // stands in turns_
    bool waits = false;     // stands in waiting_ or later_
  };
  struct Pending {
    Handle handle;
    std::size_t bytes;
  };
  std::size_t room() const {
    return held_bytes() < limits_.held_bytes ? limits_.held_bytes - held_bytes() : 0;
  }
  // Every change of a cursor runs in here, so that the sums and the queues stay right.
  template <class Change>
  auto change(Handle handle, User& user, Change&& work);

  FeedLimits limits_;
  std::unordered_map<Handle, User> users_;
  std::unordered_map<std::uint64_t, Pending> pending_;
  Queue<Handle> turns_;    // may hold users that are gone
  Queue<Handle> waiting_;  // want a read; may hold users that are gone
  std::multimap<MonoTime, Handle> later_;
  std::size_t held_bytes_ = 0, reserved_bytes_ = 0, ready_users_ = 0;
  Handle next_handle_ = 1;
  std::uint64_t next_read_ = 1;
};

}  // namespace gw::delivery
