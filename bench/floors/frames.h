#pragma once

#include <cstddef>
#include <initializer_list>

namespace gw::bench {

// AES-256-GCM as Noise uses it, over frames of these sizes; microseconds of CPU for all of them.
double frames_us(std::initializer_list<std::size_t> sizes);

}  // namespace gw::bench
