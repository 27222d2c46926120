#pragma once

#include <gtest/gtest.h>
#include <ostream>

#include "store/deployment.h"

namespace gw::store {

inline void PrintTo(Outcome::Kind kind, std::ostream* out) {
  static constexpr const char* kNames[] = {"APPLIED", "FOUND_APPLIED", "STALE",
                                           "EXISTS",  "FAILED",        "CLOSED"};
  *out << kNames[static_cast<int>(kind)];
}

}  // namespace gw::store

namespace gw::store::test {

using Kind = Outcome::Kind;

inline void PrintTo(const BackendKind& kind, std::ostream* out) { *out << kind.name; }

// A test that every backend has to pass.
class BackendTest : public testing::TestWithParam<BackendKind> {
 protected:
  Deployment d_{GetParam()};
};

inline std::string text(const Bytes& bytes) { return to_string(ByteView(bytes)); }

#define GW_FOR_ALL_BACKENDS(suite)                                        \
  INSTANTIATE_TEST_SUITE_P(Backend, suite, testing::ValuesIn(backends()), \
                           [](const auto& p) { return p.param.name; })

}  // namespace gw::store::test
