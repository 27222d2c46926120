#pragma once

#include <cstdio>
#include <cstdlib>

namespace gw::crypto {

// For what can only be a programming error or a broken machine: going on could leak or reuse a key.
inline void require(bool holds, const char* what) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "crypto: %s\n", what);
  std::abort();
}

}  // namespace gw::crypto
