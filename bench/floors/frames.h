#pragma once

#include <cstddef>
#include <vector>

namespace gw::bench {

// Frames as Noise has them, each on one of many TCP connections: sealed with AES-256-GCM and
// written, and read and opened, with one system call each and nothing around it. Microseconds of
// CPU of the calling thread for all of these sizes; the other end is another thread.
double frames_us(const std::vector<std::size_t>& written, const std::vector<std::size_t>& read);

}  // namespace gw::bench
