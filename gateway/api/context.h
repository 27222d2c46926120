#pragma once

#include <atomic>
#include <chrono>

#include "api/server.h"

namespace gw::api {

// What every call of one server shares. Outlives them: each holds it.
struct Context {
  Context(Options given, user::Users& for_users, ApiProbe& for_probe)
      : options(std::move(given)), users(for_users), probe(for_probe) {}
  const Options options;
  user::Users& users;
  ApiProbe& probe;
  std::atomic<bool> draining{false};
  std::atomic<std::uint64_t> next_session{1};

  const Limits& limits() const { return options.limits; }
  const Clock& clock() const { return *options.clock; }
};

// Who calls, from the certificate.
struct Caller {
  std::string provider_id;
  Provider provider;
};

}  // namespace gw::api
