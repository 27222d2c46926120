#pragma once

// How the gateway's CPU time divides over its rooms: Linux perf samples call stacks, and each
// sample belongs to the room whose code stands nearest to the top. The ground floor's helpers
// (crypto, base, runtime) count for whoever called them; what has no room of ours above it counts
// for its library.

#include <map>
#include <memory>
#include <string>
#include <sys/types.h>

namespace gw::bench {

class RoomsProfile {
 public:
  // Samples `pid` from now on. Where perf is missing or not permitted: available() is false.
  RoomsProfile(pid_t pid, std::string file);
  ~RoomsProfile();
  RoomsProfile(const RoomsProfile&) = delete;
  RoomsProfile& operator=(const RoomsProfile&) = delete;

  // Stops, and says each room's share of the samples (sum 1); empty: no profile to be had.
  std::map<std::string, double> finish();

 private:
  std::string file_;
  pid_t perf_ = -1;
};

}  // namespace gw::bench
