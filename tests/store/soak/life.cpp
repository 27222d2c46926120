#include "store/soak/life.h"

#include <latch>

namespace gw::store::test {
namespace {

constexpr int kContacts = 4, kDevices = 2;

WallTime midnight(Millis before_today) {
  const auto now = std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());
  return WallTime(now.time_since_epoch() / kDay * kDay) - before_today;
}

}  // namespace

std::uint64_t Sizes::total() const {
  std::uint64_t sum = 0;
  for (auto part : bytes) sum += part;
  return sum - (*this)[Part::kFree];
}

Life::Life(Deployment& deployment, int users, int days)
    : d_(deployment), first_(midnight(kDay * (days - 1))), random_(seed()) {
  for (int i = 0; i < users; ++i) {
    Person p;
    p.number = i;
    p.user = d_.enlist(numbered("user-", i));
    people_.push_back(std::move(p));
  }
}

void Life::live_a_day() {
  ++day_;
  ticks_ = 0;
  for (Step step : {&Life::send, &Life::settle, &Life::hear, &Life::acknowledge}) round(step);
}

// All users at once, as they would be: the store makes batches of them.
void Life::round(Step step) {
  std::vector<ChangeSet> changes;
  for (auto& p : people_) (this->*step)(p, changes.emplace_back(p.user.change()));
  std::vector<Outcome> outcomes(people_.size());
  std::latch all(static_cast<std::ptrdiff_t>(people_.size()));
  for (std::size_t i = 0; i < people_.size(); ++i)
    d_.store().apply(ChangeSet(changes[i]), [&, i](Outcome outcome) {
      outcomes[i] = std::move(outcome);
      all.count_down();
    });
  all.wait();
  for (std::size_t i = 0; i < people_.size(); ++i) {
    if (!outcomes[i].applied())
      throw std::runtime_error("not applied: " + std::string(outcomes[i].error.reason));
    people_[i].user.took(changes[i]);
  }
}

void Life::send(Person& p, ChangeSet& c) {
  rewrite_ratchets(p, c);
  for (auto n = 1 + random_() % 3; n > 0; --n) {
    MessageInsert m;
    m.order = c.next_order++;
    m.request = tag(numbered("request-", m.order));
    m.body_mac = tag("body");
    m.contact = c.ratchets.front().contact;
    m.state = message::State::kReady;
    m.created = now();
    m.content = blob(200);
    m.stanza = blob(600);
    MessageUpdate settled;
    settled.order = m.order;
    settled.created = m.created;
    if (leaves_unsettled(p) && !p.unsettled)
      p.unsettled = settled;
    else
      p.open.push_back(settled);
    c.messages.push_back(std::move(m));
  }
}

void Life::settle(Person& p, ChangeSet& c) {
  c.updates = p.open;
  if (p.unsettled && !leaves_unsettled(p)) {
    c.updates.push_back(*p.unsettled);
    p.unsettled.reset();
  }
  for (auto& u : c.updates) {
    u.state = message::State::kSent;
    u.stanza = Bytes();
    u.devices = Bytes(8, 1);
    add_event(c, 60);
  }
  c.lowest_unsettled = p.unsettled ? p.unsettled->order : c.next_order;
}

void Life::hear(Person& p, ChangeSet& c) {
  deliver(p, c);
  receive(p, c);
}

// Receipts: the text is forgotten.
void Life::deliver(Person& p, ChangeSet& c) {
  c.updates = std::move(p.open);
  p.open.clear();
  for (auto& u : c.updates) {
    u.state = message::State::kDelivered;
    u.content = Bytes();
    u.devices = Bytes(8, 2);
    add_event(c, 60);
  }
}

void Life::receive(Person& p, ChangeSet& c) {
  rewrite_ratchets(p, c);
  for (auto n = 1 + random_() % 3; n > 0; --n) {
    c.received.push_back(
        {tag(numbered("received-", c.next_event)), tag("ciphertext"), c.next_event, now(), false});
    add_event(c, 200);
  }
  c.contacts.push_back({c.ratchets.front().contact, blob(100)});
  // A few prekeys of a batch are spent; every four days the batch is followed by another.
  if ((day_ + p.number) % 4 == 0) {
    c.prekeys.push_back({p.first_prekey, {}});
    p.first_prekey += 50;
    c.profile = blob(1200);
  }
  c.prekeys.push_back({p.first_prekey, blob(1500)});
  if (p.asked_for) {
    p.asked_for->blob.clear();
    c.undecrypted.push_back(*p.asked_for);
    p.asked_for.reset();
  } else if ((day_ + p.number) % 5 == 0) {
    p.asked_for = {tag(numbered("lost-", day_)), now(), blob(300)};
    c.undecrypted.push_back(*p.asked_for);
  }
}

void Life::acknowledge(Person& p, ChangeSet& c) {
  const bool was_silent = p.silent;
  p.silent = is_silent(p);
  if (p.silent) return;
  if (was_silent) read_before_acknowledging(p);
  c.acked_event = c.next_event - 1;
}

// The contact of the day, with all its devices.
void Life::rewrite_ratchets(Person& p, ChangeSet& c) {
  const auto contact = tag(numbered("contact-", (day_ + p.number) % kContacts));
  for (int device = 0; device < kDevices; ++device)
    c.ratchets.push_back({contact, static_cast<std::uint16_t>(device), blob(600)});
}

void Life::add_event(ChangeSet& c, std::size_t least) {
  c.events.push_back({c.next_event++, now(), blob(least)});
}

// Whoever was silent for days finds every event, in order, wherever sweeps have moved it.
void Life::read_before_acknowledging(const Person& p) {
  EventSeq next = p.user.acked_event + 1;
  while (next < p.user.next_event) {
    auto rows = d_.events(p.user.ref, next - 1);
    if (!rows || rows->empty()) throw std::runtime_error("events are gone");
    for (const auto& row : *rows) {
      if (row.seq != next++) throw std::runtime_error("an event is gone");
      if (row.at < kept_since()) ++found_late_;
    }
  }
}

bool Life::is_silent(const Person& p) const {
  const int day = (day_ + kTurn - 3) % kTurn;
  return p.number % 20 == 0 && day < 12;
}
bool Life::leaves_unsettled(const Person& p) const {
  const int day = (day_ + kTurn - 2) % kTurn;
  return p.number == 1 && day < 10;
}

WallTime Life::now() { return first_ + kDay * (day_ - 1) + Millis(ticks_++); }

WallTime Life::kept_since() const { return first_ + kDay * (day_ - kRetentionDays); }

Bytes Life::blob(std::size_t least) { return Bytes(least + random_() % (least / 2), 7); }

Result<std::size_t> Life::sweep() {
  std::size_t all = 0;
  for (;;) {
    GW_ASSIGN(auto some, d_.sweep(kept_since(), 5'000));
    if (some == 0) return all;
    all += some;
  }
}

Sizes Life::sizes() {
  d_.store().measure();
  // The reads are done in order: behind this one the probe says what was measured.
  if (!d_.load(people_.front().user.ref)) throw std::runtime_error("a user does not load");
  Sizes sizes;
  const auto& probe = d_.store().probe();
  for (std::size_t i = 0; i < sizes.bytes.size(); ++i)
    sizes.bytes[i] = probe.bytes[i] + probe.index_bytes[i];
  return sizes;
}

}  // namespace gw::store::test
