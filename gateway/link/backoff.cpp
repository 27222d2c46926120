#include "link/backoff.h"

#include <algorithm>

namespace gw::link {
namespace {

constexpr Millis kLongestAdvice{24 * 3600'000};  // whoever says more is asked again after a day

}  // namespace

Millis jittered(Millis first, Millis most, int tries, std::uint64_t random) {
  auto limit = std::min(first.count() << std::clamp(tries, 0, 20), most.count());
  auto half = limit / 2;
  return Millis{half + static_cast<std::int64_t>(random % static_cast<std::uint64_t>(half + 1))};
}

void Backoff::closed(const Options& options, MonoTime now) {
  if (up_since_ != MonoTime{} && now - up_since_ >= options.settled) tries_ = 0;
  up_since_ = {};
}

MonoTime Backoff::down(const Options& options, MonoTime now, Millis at_least,
                       std::uint64_t random) {
  closed(options, now);
  if (at_least > Millis{0})
    not_before_ = std::max(not_before_, now + std::min(at_least, kLongestAdvice));
  at_ = now + jittered(options.first, options.most, tries_, random);
  tries_ = std::min(tries_ + 1, 1000);
  return next(now);
}

MonoTime Backoff::renewed(MonoTime now) {
  tries_ = 0;
  at_ = {};
  return next(now);
}

}  // namespace gw::link
