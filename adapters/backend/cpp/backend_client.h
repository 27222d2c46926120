#pragma once

// What a provider's backend embeds to speak with the replicas of a gateway. One stream to each; a
// user is attached at one of them, and attached anew at another when that one goes. The application
// gives idempotent request ids, tokens, and a place to store events; ../README.md says what the
// library does.
//
// Threading: every method may be called from any thread and returns at once. Callbacks come one at
// a time, on the library's own thread, and must not block; they may call the library. The
// destructor waits for a callback that runs, so it must not be called from one; no callback comes
// after it.

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "interop/gateway/v1/gateway.pb.h"

namespace gw::backend {

namespace v1 = interop::gateway::v1;
using std::chrono::milliseconds;

// Paths of PEM files, read again for each new connection; the name in the gateways' certificate,
// when it is not the endpoint's.
struct Tls {
  std::string ca, certificate, key, server_name;
};

// Says that an event is stored (true), or could not be (false: the same event is handed over again
// after a pause). To be called once, from any thread, now or later.
using Done = std::function<void(bool stored)>;

struct Status {
  enum class Kind {
    kAttached,  // at `endpoint`
    kWaiting,   // for a replica; the library goes on trying
    kEnded,     // nothing is tried until attach is called again; see `reason`
    kLink,      // the connection to WhatsApp: `link`
  };
  Kind kind = Kind::kWaiting;
  std::string endpoint{};
  // UPPER_SNAKE. Of kEnded: REPLACED (somebody else attached the user), WITHDRAWN, LOGGED_OUT, or
  // REFUSED, with `error`.
  std::string reason{};
  v1::Problem error{};
  v1::LinkState link = v1::LINK_STATE_UNSPECIFIED;
};

struct ReplicaStatus {
  enum class Kind { kUp, kDraining, kDown };
  Kind kind = Kind::kDown;
  std::string reason{};  // of kDown
};

struct Answer {
  enum class Outcome {
    kAccepted,  // stored; it ends in one state, which an event tells
    kRefused,   // nothing is stored or sent; see `reason`
    kUnknown,   // nobody said in time; submit again with the same id to learn
  };
  Outcome outcome = Outcome::kUnknown;
  std::string message_id{};                                // of kAccepted
  v1::MessageState state = v1::MESSAGE_STATE_UNSPECIFIED;  // of kAccepted
  // The gateway's, or the library's own: NO_CLIENT, DETACHED, REPLACED and the like, CLOSED,
  // DEADLINE, QUEUE_FULL, REQUEST_ID_PENDING, REQUEST_ID_INVALID, CONTENT_INVALID (not UTF-8, or
  // too long).
  std::string reason{};
  std::string message{};
};

struct Options {
  std::vector<std::string> endpoints;  // host:port of each replica
  Tls tls;
  std::string instance_id;  // see Hello in gateway.proto

  // An event of a user, in order, one at a time for each user: the next one, and the
  // acknowledgement, come when `done` was called.
  std::function<void(const std::string& user, const v1::Event& event, Done done)> on_event;
  std::function<void(const std::string& user, const Status&)> on_status;  // may be empty
  std::function<void(const std::string& endpoint, const ReplicaStatus&)>
      on_replica;  // may be empty

  std::uint32_t event_window =
      0;  // events without an acknowledgement, a user; 0: the gateway's choice
  std::size_t max_queued = 10'000;  // submits without an answer; one more is refused, QUEUE_FULL
  std::size_t max_queued_octets = 64u << 20;
  milliseconds deadline{60'000};        // of a submit that names none
  milliseconds connect_timeout{5'000};  // dial to Welcome
  // Attach to Attached: a gateway may wait 15 s until the claim of one that died runs out.
  milliseconds attach_timeout{30'000};
  milliseconds heartbeat{30'000}, heartbeat_timeout{10'000};
  milliseconds backoff{100}, backoff_cap{5'000};  // the first pause and the longest
  milliseconds settle{5'000};    // a replica is up for so long before users move back to it
  double moves_per_second = 50;  // and so fast they do
};

// A user's client that is connected to the backend.
struct Attachment {
  std::string client_address{};        // IPv4 or IPv6
  std::function<std::string()> token;  // a fresh one for each attach; empty: there is none now
  // The last event that the application has stored, if it knows; 0: events follow the acknowledged
  // ones.
  std::uint64_t resume_seq = 0;
};

class BackendClient {
 public:
  explicit BackendClient(Options options);
  // Ends the streams; submits without an answer get CLOSED. Users stay attached for the gateway's
  // grace.
  ~BackendClient();
  BackendClient(const BackendClient&) = delete;
  BackendClient& operator=(const BackendClient&) = delete;

  // Users of an endpoint that is no longer named move; those of others stay where they are.
  void set_endpoints(std::vector<std::string> endpoints);
  // A client of the user is connected; it takes the place of one that was attached before. False:
  // the user's id or the address is none.
  bool attach(const std::string& user, Attachment client);
  // The client is gone. Submits without an answer end now; an event that is not done may come
  // again.
  void detach(const std::string& user);
  // Sends a message (user_id, request_id, to, content) of an attached user; again by itself, under
  // the same id, while no final answer came. `done` comes once; within the call when it is refused
  // at once.
  void submit(v1::OutgoingMessage message, std::function<void(Answer)> done, milliseconds deadline);
  void submit(v1::OutgoingMessage message, std::function<void(Answer)> done);
  std::future<Answer> submit(v1::OutgoingMessage message);

 private:
  std::unique_ptr<class Core> core_;
  const milliseconds deadline_;
};

}  // namespace gw::backend
