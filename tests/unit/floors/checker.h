#pragma once

// Holds a source tree to the table of rooms and to the project's other rules of shape: short files,
// a README a room, nothing in gateway/ that knows of the tests.

#include <filesystem>

#include "unit/floors/table.h"

namespace gw::floors {

inline constexpr int kMaxCodeLines = 600;
inline constexpr int kMaxReadmeLines = 80;

// Every breach found under root, in a stable order; empty when the tree keeps the rules.
Problems check(const std::filesystem::path& root);

}  // namespace gw::floors
