#pragma once

// A deployment's days, one after the other, for soak tests: users who send and get messages, take
// their events, rewrite their ratchets and spend their prekeys, with a sweep at the end of each day
// as the gateway makes it. The days are dated so that the last one is today: the store itself makes
// today's partitions and moves events there, whatever the rows say.

#include <random>
#include <vector>

#include "store/deployment.h"

namespace gw::store::test {

inline constexpr Millis kDay{24 * 3600'000};
inline constexpr int kRetentionDays = 7;
// What lasts for days (users who do not acknowledge, a message that nobody settles) comes at the
// same days of each turn, so that days a turn apart may be compared. A whole number of partitions.
inline constexpr int kTurn = 20;

// Of the disk, by part; tables with their indexes.
struct Sizes {
  std::array<std::uint64_t, kPartNames.size()> bytes{};
  std::uint64_t operator[](Part part) const { return bytes[static_cast<std::size_t>(part)]; }
  std::uint64_t total() const;  // what is taken of the disk: SQLite's free pages lie in its file
};

class Life {
 public:
  Life(Deployment& deployment, int users, int days);

  // The next day's change sets. Ends in a throw when the store refuses one, or has lost an event.
  void live_a_day();
  // As the gateway does after this day, until nothing is left; what was forgotten, or the error.
  Result<std::size_t> sweep();
  WallTime kept_since() const;      // what is older goes with the sweep after this day
  Sizes sizes();                    // as the metrics tell it
  int day() const { return day_; }  // those lived
  int events_found_late() const { return found_late_; }  // older than retention, acknowledged then

 private:
  struct Person {
    TestUser user;
    int number = 0;
    bool silent = false;                     // does not acknowledge, since yesterday or longer
    std::vector<MessageUpdate> open;         // of today's messages
    std::optional<MessageUpdate> unsettled;  // one that nobody settles for days
    std::optional<Undecrypted> asked_for;
    std::uint32_t first_prekey = 1;
  };
  using Step = void (Life::*)(Person&, ChangeSet&);
  void round(Step step);
  void send(Person& p, ChangeSet& c);
  void settle(Person& p, ChangeSet& c);
  void hear(Person& p, ChangeSet& c);
  void deliver(Person& p, ChangeSet& c);
  void receive(Person& p, ChangeSet& c);
  void acknowledge(Person& p, ChangeSet& c);
  void rewrite_ratchets(Person& p, ChangeSet& c);
  void add_event(ChangeSet& c, std::size_t least);
  void read_before_acknowledging(const Person& p);
  bool is_silent(const Person& p) const;
  bool leaves_unsettled(const Person& p) const;
  WallTime now();                 // some time of this day, later than any before
  Bytes blob(std::size_t least);  // half as much again at most

  Deployment& d_;
  const WallTime first_;
  int day_ = 0;
  std::int64_t ticks_ = 0;  // of this day
  int found_late_ = 0;
  std::mt19937_64 random_;
  std::vector<Person> people_;
};

}  // namespace gw::store::test
