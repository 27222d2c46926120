#pragma once

// A Backend for tests that does wrong what databases do wrong. Wrap a real one, keep the Faults and
// script them. Thread-safe.
//
//   auto faults = std::make_shared<Faults>();
//   auto backend = with_faults(std::move(real), faults);
//   faults->next(Fault::kUnknownAfter);         // the next write says "unknown", and took place
//   faults->seeded(42, {.unknown_after = 0.1}); // or at random

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>

#include "store/backend.h"

namespace gw::store::test {

enum class Fault {
  kNone,           // the write goes through
  kFail,           // RETRY_LATER, nothing written
  kHang,           // stops in the write until release(); then it goes through
  kUnknownBefore,  // UNKNOWN_OUTCOME, nothing written
  kUnknownAfter,   // UNKNOWN_OUTCOME, written
  kCorrupt,        // CORRUPT, nothing written
};

// How often each happens, 0 to 1; the rest of the writes go through.
struct FaultRates {
  double fail = 0;
  double unknown_before = 0;
  double unknown_after = 0;
  double reopen = 0;  // a reopen fails
};

class Faults {
 public:
  ~Faults() { release(); }

  // For the next writing call that nothing is scripted for yet; `times` of them.
  void next(Fault fault, int times = 1);
  void seeded(std::uint64_t seed, FaultRates rates);
  void fail_reopen(int times);
  // Batches of more change sets are never answered: UNKNOWN_OUTCOME, nothing written.
  void too_much(std::size_t more_than);
  // Batches with this change set (this user) fail as a whole, BUG "POISONED", and it fails alone.
  void poison(std::uint64_t change);
  void poison(UserRef user);
  // Nothing goes wrong from now on; hanging calls go on.
  void heal();
  // Hanging calls go on, and none hangs any more.
  void release();
  // Waits until a call hangs; false when none does in time.
  bool wait_hanging(std::chrono::milliseconds most = std::chrono::seconds(20));
  // Waits until nothing is scripted any more.
  bool wait_struck(std::chrono::milliseconds most = std::chrono::seconds(20));
  bool wait_applies(int at_least, std::chrono::milliseconds most = std::chrono::seconds(20));

  int applies() const;  // calls of Backend::apply so far, and of reopen
  int reopens() const;
  std::size_t largest_batch() const;
  int claims() const;           // calls of Backend::claim so far
  std::size_t claimed() const;  // users in them

 private:
  friend class FaultBackend;
  Fault draw();
  bool draw_reopen();
  bool is_too_much(std::size_t size);
  bool poisoned(std::span<const Sealed> batch);
  void saw_apply(std::size_t size);
  void saw_claim(std::size_t size);
  void hang();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Fault> script_;
  int failing_reopens_ = 0, applies_ = 0, reopens_ = 0, hanging_ = 0, claims_ = 0;
  std::size_t largest_ = 0, claimed_ = 0, most_ = SIZE_MAX;
  bool released_ = false;
  std::uint64_t releases_ = 0;
  std::set<std::uint64_t> poisoned_changes_;
  std::set<UserRef> poisoned_users_;
  FaultRates rates_;
  std::optional<std::mt19937_64> random_;
};

std::unique_ptr<Backend> with_faults(std::unique_ptr<Backend> under,
                                     std::shared_ptr<Faults> faults);

}  // namespace gw::store::test
