#pragma once

// Whether a link may be opened now: a breaker and a ramp for one endpoint, over all users. Pure:
// time and chance come from outside; lives on one loop (Endpoint).
//
//   kRamping  at the start and after an outage: `first` openings a second, one more for each login
//             that WhatsApp answers, so that the rate doubles about every 0.7 s while all are
//             answered
//   kSteady   `most` openings a second
//   kDown     openings of `failures` different users in a row failed for a reason that is not the
//             user's: nothing but probes, at growing distances. One answer ends it.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>

#include "base/clock.h"

namespace gw::link {

class Admission {
 public:
  struct Options {
    std::uint32_t failures = 5;
    Millis probe_first{1'000}, probe_most{30'000};
    std::uint32_t first = 50, most = 500;  // openings a second; first <= most
  };
  enum class State : std::uint8_t { kRamping, kSteady, kDown };
  // One opening. What comes of those from before the last change to or from kDown says nothing of
  // the endpoint as it is now; an answer always does.
  struct Pass {
    std::uint64_t era = 0;
  };
  using Random = std::function<std::uint64_t()>;

  Admission(const Options& options, MonoTime now, Random random);

  // For whoever waited longest; nullopt: not now, ask again at `next`.
  std::optional<Pass> take(MonoTime now);
  MonoTime next(MonoTime now) const;
  // WhatsApp answered the login, whatever it said of the user.
  void reached(MonoTime now);
  // Nobody there, no handshake, no answer, or WhatsApp out of service.
  void failed(Pass pass, std::uint64_t user, MonoTime now);

  State state() const { return state_; }
  std::uint32_t rate() const;  // openings a second that are allowed now; 0: probes only

 private:
  double burst() const;
  double filled(MonoTime now) const;
  void start_ramp(MonoTime now);
  MonoTime next_probe(MonoTime now);

  Options options_;
  Random random_;
  State state_ = State::kRamping;
  std::uint64_t era_ = 0;
  double rate_ = 0, tokens_ = 0;
  MonoTime filled_at_;
  std::set<std::uint64_t> failing_;  // users whose openings failed since the last answer
  int probes_ = 0;
  MonoTime probe_at_{};
};

}  // namespace gw::link
