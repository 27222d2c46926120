#pragma once

// Events of many users to one sink: a Feed, the reads that it asks for, and the lock around both.
// Thread-safe. Its lock is taken last and held briefly: nothing is called from under it.
//
// add, remove, live and acknowledge only note; call pump() afterwards, holding no lock.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "delivery/feed.h"
#include "user/users.h"

namespace gw::delivery {

// Counted here, read by telemetry. Monotonic but for the last.
struct DeliveryProbe {
  std::atomic<std::uint64_t> taken{0};         // events that a sink took
  std::atomic<std::uint64_t> live_kept{0};     // came live and had room
  std::atomic<std::uint64_t> live_left{0};     // came live without room: read later
  std::atomic<std::uint64_t> pages{0};         // reads of the store
  std::atomic<std::uint64_t> pages_failed{0};  // failed, or did not go on where they should
  std::atomic<std::uint64_t> held_bytes{0};    // now: events in memory, with those being read
};

class Subscription : public std::enable_shared_from_this<Subscription> {
 public:
  using Handle = Feed::Handle;
  // Appends the event to `out` in the sink's format. Runs on any thread, at several at once.
  using Encode = std::function<void(std::string_view native_user, const message::Event& event,
                                    std::string& out)>;

  // `wake` runs, on any thread, when there may be something to take. `users` and `probe` outlive
  // the subscription and its reads.
  Subscription(user::Users& users, std::shared_ptr<const Clock> clock, FeedLimits limits,
               Encode encode, DeliveryProbe& probe, std::function<void()> wake);

  // Events above `acked`. `native_user` is how the sink calls the user.
  Handle add(user::Name name, std::string native_user, EventSeq acked, EventSeq last);
  void remove(Handle handle);
  void live(Handle handle, const std::vector<message::Event>& events);
  // The acknowledged number that is in force; nullopt: no such user.
  std::optional<EventSeq> acknowledge(Handle handle, EventSeq seq);

  // Makes the reads that are due; wakes the sink when they, or what came before, bring something.
  // Also to be called every now and then, for reads that failed.
  void pump();

  bool ready() const;
  // Events for the sink, encoded; appended to `out`. Call pump() afterwards.
  void take(std::size_t max_bytes, std::vector<std::string>& out);
  std::size_t held_bytes() const;

  // Nothing is read or woken any more.
  void close();

 private:
  struct Subscriber {
    user::Name name;
    std::string native_user;
  };
  void start(const Feed::Read& read, std::shared_ptr<const Subscriber> who);
  void report();  // lock held
  void finish(std::uint64_t id, const Subscriber& who, Result<std::vector<message::Event>> events);

  user::Users& users_;
  const std::shared_ptr<const Clock> clock_;
  const Encode encode_;
  DeliveryProbe& probe_;
  const std::function<void()> wake_;

  mutable std::mutex mutex_;
  Feed feed_;
  std::unordered_map<Handle, std::shared_ptr<const Subscriber>> subscribers_;
  std::size_t reported_bytes_ = 0;
  bool closed_ = false;
  bool pumping_ = false;  // reads may be answered inside read_events: no recursion
};

}  // namespace gw::delivery
