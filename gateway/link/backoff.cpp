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

MonoTime Backoff::down(const Options& options, MonoTime now, Millis at_least,
                       std::uint64_t random) {
  if (up_since_ != MonoTime{} && now - up_since_ >= options.settled) tries_ = 0;
  up_since_ = {};
  if (at_least > Millis{0})
    not_before_ = std::max(not_before_, now + std::min(at_least, kLongestAdvice));
  auto at = now + jittered(options.first, options.most, tries_, random);
  tries_ = std::min(tries_ + 1, 1000);
  return std::max(at, not_before_);
}

MonoTime Backoff::renewed(MonoTime now) {
  tries_ = 0;
  return std::max(now, not_before_);
}

}  // namespace gw::link
