#pragma once

// The provider's door: gRPC with mTLS. See README.md and proto/interop/gateway/v1.

#include <map>
#include <memory>
#include <string>

#include "adapter/descriptor.h"
#include "api/probe.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"
#include "user/users.h"

namespace gw::api {

struct Provider {
  TenantId tenant = 0;
  const adapter::AdapterDescriptor* adapter = nullptr;  // never null
};

struct Limits {
  std::size_t max_frame = 4u << 20;  // octets; a request of a unary call too
  std::size_t submit_window = 4096;  // messages without a result, a stream
  std::size_t submit_window_bytes = 16u << 20;
  std::size_t event_window = 256;  // when Hello names none; a user
  std::size_t event_window_bytes = 4u << 20;
  std::size_t held_events_bytes = 4u << 20;  // events waiting in memory, a stream
  std::size_t control_bytes = 1u << 20;      // answers waiting; above it nothing is read
  std::size_t batch_bytes = 256u << 10;      // about the largest frame that is sent
  std::size_t clients = 100'000;             // a stream
  int streams_per_connection = 1024;         // calls at once
  Millis hello_within{10'000};
  Millis read_answers_within{10'000};  // then RESPONSES_NOT_READ
  Millis close_within{10'000};         // results still due after a half-close
  Millis unary_within{10'000};
  Millis min_ping_interval{10'000};
  Millis keepalive{30'000}, keepalive_timeout{10'000};
};

struct Options {
  std::string listen;  // "host:port"; port 0: any
  // PEM texts. `client_ca_pem` signs the certificates of providers' backends; each backend must
  // show one, with exactly one SAN URI "interop:provider:<id>".
  std::string certificate_pem, key_pem, client_ca_pem;
  std::map<std::string, Provider> providers;  // by id
  Limits limits;
  std::shared_ptr<const Clock> clock = std::make_shared<SystemClock>();
};

class Server {
 public:
  // CONFIG: LISTEN_FAILED, TLS_INVALID, PROVIDER_INVALID. `users` and `probe` outlive the server
  // and every callback that it gave to `users`.
  static Result<std::unique_ptr<Server>> start(Options options, user::Users& users,
                                               ApiProbe& probe);
  virtual ~Server() = default;  // stop(2 s)

  virtual int port() const = 0;
  // Health says NOT_SERVING, streams are told Draining, new streams and attaches are refused.
  // Streams that are left at the deadline end with UNAVAILABLE DRAINING. Returns at once.
  virtual void drain(Millis grace) = 0;
  // Ends every stream and call and stops listening; waits at most `grace` for the calls.
  virtual void stop(Millis grace) = 0;
};

}  // namespace gw::api
