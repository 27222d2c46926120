#pragma once

// Our curve operations in the place of the library's own (curve.cpp). Counted per thread, so that a
// probe can tell that a call of the library arrived here.

#include <cstdint>

namespace gw::signal {

struct CurveCalls {
  std::uint64_t agreements = 0;
  std::uint64_t signatures = 0;
  std::uint64_t verifications = 0;
  // Points of small order: the agreement was refused. The library then only says "unknown error".
  std::uint64_t weak_points = 0;
};
const CurveCalls& curve_calls();

}  // namespace gw::signal
