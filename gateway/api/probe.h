#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "delivery/subscription.h"

namespace gw::api {

// Counted by the API, read by telemetry. Monotonic but for those that say "now". Per frame or call,
// never per message, so that counting costs nothing.
struct ApiProbe {
  using Count = std::atomic<std::uint64_t>;
  Count streams_now{0}, clients_now{0};
  Count streams{0}, streams_refused{0}, streams_taken_over{0};
  // Streams that ended, by status code (0 to 16).
  std::array<Count, 17> streams_ended{};
  Count frames_in{0}, frames_out{0}, bytes_in{0}, bytes_out{0};
  // Messages submitted on streams, by what became of them.
  Count submits{0}, submits_accepted{0}, submits_rejected{0}, submits_throttled{0},
      submits_unknown{0};
  Count attaches{0}, attaches_refused{0}, acknowledges{0};
  Count reads_paused{0};  // a backend did not read its results
  // Unary calls that ended, by status code.
  std::array<Count, 17> calls{};
  delivery::DeliveryProbe delivery;
};

inline void bump(std::atomic<std::uint64_t>& count, std::uint64_t n = 1) {
  count.fetch_add(n, std::memory_order_relaxed);
}
inline void lower(std::atomic<std::uint64_t>& count, std::uint64_t n = 1) {
  count.fetch_sub(n, std::memory_order_relaxed);
}

}  // namespace gw::api
