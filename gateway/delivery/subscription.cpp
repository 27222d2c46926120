#include "delivery/subscription.h"

#include <optional>
#include <utility>

namespace gw::delivery {

Subscription::Subscription(user::Users& users, std::shared_ptr<const Clock> clock,
                           FeedLimits limits, Encode encode, DeliveryProbe& probe,
                           std::function<void()> wake)
    : users_(users),
      clock_(std::move(clock)),
      encode_(std::move(encode)),
      probe_(probe),
      wake_(std::move(wake)),
      feed_(limits) {}

Subscription::Handle Subscription::add(user::Name name, std::string native_user, EventSeq acked,
                                       EventSeq last) {
  auto who =
      std::make_shared<const Subscriber>(Subscriber{std::move(name), std::move(native_user)});
  std::lock_guard lock(mutex_);
  Handle handle = feed_.add(acked, last);
  subscribers_.emplace(handle, std::move(who));
  return handle;
}

void Subscription::remove(Handle handle) {
  std::lock_guard lock(mutex_);
  feed_.remove(handle);
  subscribers_.erase(handle);
  report();
}

void Subscription::live(Handle handle, const std::vector<message::Event>& events) {
  if (events.empty()) return;
  std::shared_ptr<const Subscriber> who;
  {
    std::lock_guard lock(mutex_);
    auto it = subscribers_.find(handle);
    if (it == subscribers_.end()) return;
    if (feed_.keeps_live(handle, events.front().seq)) {
      who = it->second;
    } else {
      feed_.missed(handle, events.back().seq);
    }
  }
  if (!who) {
    probe_.live_left.fetch_add(events.size(), std::memory_order_relaxed);
    return;
  }
  std::vector<Item> items(events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    items[i].seq = events[i].seq;
    encode_(who->native_user, events[i], items[i].bytes);
  }
  std::size_t kept = 0;
  {
    std::lock_guard lock(mutex_);
    for (Item& item : items) kept += feed_.live(handle, std::move(item));
    report();
  }
  probe_.live_kept.fetch_add(kept, std::memory_order_relaxed);
  probe_.live_left.fetch_add(events.size() - kept, std::memory_order_relaxed);
}

std::optional<EventSeq> Subscription::acknowledge(Handle handle, EventSeq seq) {
  std::lock_guard lock(mutex_);
  auto in_force = feed_.acknowledge(handle, seq);
  report();
  return in_force;
}

void Subscription::pump() {
  using Due = std::pair<Feed::Read, std::shared_ptr<const Subscriber>>;
  for (;;) {
    std::vector<Due> due;
    bool ready = false;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return;
      ready = feed_.ready();
      if (!pumping_) {
        for (const Feed::Read& read : feed_.reads(clock_->mono()))
          due.emplace_back(read, subscribers_.at(read.handle));
        pumping_ = !due.empty();
        report();
      }
    }
    for (auto& [read, who] : due) start(read, std::move(who));
    if (due.empty()) {
      if (ready) wake_();
      return;
    }
    std::lock_guard lock(mutex_);
    pumping_ = false;
  }
}

void Subscription::start(const Feed::Read& read, std::shared_ptr<const Subscriber> who) {
  probe_.pages.fetch_add(1, std::memory_order_relaxed);
  users_.read_events(
      who->name, read.page.after, read.page.limit, read.page.max_bytes,
      [self = shared_from_this(), id = read.id, who](Result<std::vector<message::Event>> events) {
        self->finish(id, *who, std::move(events));
      });
}

void Subscription::finish(std::uint64_t id, const Subscriber& who,
                          Result<std::vector<message::Event>> events) {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
  }
  Result<std::vector<Item>> items;
  if (events) {
    items->resize(events->size());
    for (std::size_t i = 0; i < events->size(); ++i) {
      (*items)[i].seq = (*events)[i].seq;
      encode_(who.native_user, (*events)[i], (*items)[i].bytes);
    }
  } else {
    items = fail(std::move(events).error());
  }
  bool good;
  {
    std::lock_guard lock(mutex_);
    good = feed_.read_done(id, std::move(items), clock_->mono());
    report();
  }
  if (!good) probe_.pages_failed.fetch_add(1, std::memory_order_relaxed);
  pump();
}

bool Subscription::ready() const {
  std::lock_guard lock(mutex_);
  return !closed_ && feed_.ready();
}

void Subscription::take(std::size_t max_bytes, std::vector<std::string>& out) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  auto taken = feed_.take(max_bytes);
  for (auto& [handle, item] : taken) out.push_back(std::move(item.bytes));
  probe_.taken.fetch_add(taken.size(), std::memory_order_relaxed);
  report();
}

std::size_t Subscription::held_bytes() const {
  std::lock_guard lock(mutex_);
  return feed_.held_bytes();
}

void Subscription::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  feed_ = Feed({});
  subscribers_.clear();
  report();
}

void Subscription::report() {
  std::size_t now = feed_.held_bytes();
  probe_.held_bytes.fetch_add(now - reported_bytes_,
                              std::memory_order_relaxed);  // wraps: a difference
  reported_bytes_ = now;
}

}  // namespace gw::delivery
