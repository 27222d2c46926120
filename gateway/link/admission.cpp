#include "link/admission.h"

#include <algorithm>
#include <cmath>

#include "link/backoff.h"

namespace gw::link {
namespace {

double seconds(Millis time) { return static_cast<double>(time.count()) / 1000; }

}  // namespace

Admission::Admission(const Options& options, MonoTime now, Random random)
    : options_(options), random_(std::move(random)) {
  start_ramp(now);
}

void Admission::start_ramp(MonoTime now) {
  rate_ = options_.first;
  tokens_ = burst();
  filled_at_ = now;
  state_ = options_.first < options_.most ? State::kRamping : State::kSteady;
}

// So many at once after a quiet time: a tenth of a second's.
double Admission::burst() const { return std::max(1.0, rate_ / 10); }

double Admission::filled(MonoTime now) const {
  return std::min(burst(), tokens_ + rate_ * seconds(std::max(now - filled_at_, Millis{0})));
}

std::optional<Admission::Pass> Admission::take(MonoTime now) {
  if (state_ == State::kDown) {
    if (now < probe_at_) return std::nullopt;
    probe_at_ = next_probe(now);
    return Pass{era_};
  }
  tokens_ = filled(now);
  filled_at_ = now;
  if (tokens_ < 1) return std::nullopt;
  tokens_ -= 1;
  return Pass{era_};
}

MonoTime Admission::next(MonoTime now) const {
  if (state_ == State::kDown) return std::max(now, probe_at_);
  auto missing = 1 - filled(now);
  return missing <= 0 ? now : now + Millis{static_cast<int>(std::ceil(missing / rate_ * 1000))};
}

// Whether the last one found anybody is not waited for: it may hang as long as a connection may.
MonoTime Admission::next_probe(MonoTime now) {
  return now + jittered(options_.probe_first, options_.probe_most, probes_++, random_());
}

void Admission::reached(MonoTime now) {
  failing_.clear();
  if (state_ == State::kDown) {
    ++era_;
    return start_ramp(now);
  }
  if (state_ == State::kSteady) return;
  rate_ = std::min<double>(rate_ + 1, options_.most);
  if (rate_ >= options_.most) state_ = State::kSteady;
}

void Admission::failed(Pass pass, std::uint64_t user, MonoTime now) {
  if (state_ == State::kDown || pass.era != era_) return;
  failing_.insert(user);
  if (failing_.size() < options_.failures) return;
  failing_.clear();
  ++era_;
  state_ = State::kDown;
  probes_ = 0;
  probe_at_ = next_probe(now);
}

std::uint32_t Admission::rate() const {
  return state_ == State::kDown ? 0 : static_cast<std::uint32_t>(rate_);
}

}  // namespace gw::link
