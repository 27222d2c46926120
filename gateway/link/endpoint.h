#pragma once

// WhatsApp's address, shared by the loops of a gateway: who opens a link asks for a turn here
// first. So an outage is noticed once and not by every user, and tens of thousands of them do not
// log in within the same second after it. What is decided, and when: Admission. First asked, first
// served.
//
//   turn = endpoint.ask(loop, user, told)     told: ENDPOINT_DOWN or RAMPING while it waits
//   told(kGranted)                            on `loop`; at once when nothing is in the way
//   link = endpoint.open(turn, ...)           the link reports what came of it
//
// A turn is given up by letting go of it. A granted one that is not used costs a place, no more.

#include <atomic>
#include <deque>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "link/admission.h"
#include "link/link.h"
#include "runtime/loop.h"

namespace gw::link {

// Read by telemetry.
struct EndpointProbe {
  std::atomic<std::uint64_t> outages{0}, probes{0}, failed{0};
  std::atomic<std::int64_t> waiting{0}, down{0}, rate{0};
};

enum class Wait : std::uint8_t { kGranted, kEndpointDown, kRamping };

// Of one opening; lives on the loop of who asked.
class Turn {
 public:
  using Told = std::function<void(Wait)>;
  Turn(class Endpoint& endpoint, runtime::Loop& loop, std::uint64_t user, Told told);
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool granted() const { return pass_.has_value(); }
  // What came of the opening; the first call counts. None: it was called off.
  void reached();
  void failed();

 private:
  friend class Endpoint;
  void tell(Wait wait, std::optional<Admission::Pass> pass);
  void stop_waiting();

  Endpoint& endpoint_;
  runtime::Loop& loop_;
  const std::uint64_t user_;
  Told told_;
  std::optional<Admission::Pass> pass_;
  bool waiting_ = true, reported_ = false;
};

// ask() and open() from any loop. `home` and what the constructor takes by reference outlive it;
// the loops have stopped before it goes.
class Endpoint {
 public:
  Endpoint(runtime::Loop& home, const Options& options, const Admission::Options& admission,
           const Clock& clock, LinkProbe& links, EndpointProbe& probe);

  // `user` tells users apart and means nothing else. `told` runs on `loop`, later; kGranted is its
  // last call.
  std::shared_ptr<Turn> ask(runtime::Loop& loop, std::uint64_t user, Turn::Told told);
  // Precondition: turn->granted(). As Link::open.
  std::shared_ptr<Link> open(std::shared_ptr<Turn> turn, runtime::Loop& loop,
                             const crypto::KeyPair& noise_key, Bytes login_payload,
                             Listener& listener);
  const Options& options() const { return options_; }

 private:
  friend class Turn;
  struct Place {
    std::weak_ptr<Turn> turn;
    runtime::Loop* loop;
  };

  // On `home`.
  void join(Place place);
  void serve();
  void tell(const Place& place, Wait wait, std::optional<Admission::Pass> pass = {}) const;
  Wait why() const;
  void reached();
  void failed(Admission::Pass pass, std::uint64_t user);
  void note_change(Admission::State before);

  runtime::Loop& home_;
  const Options& options_;
  const Clock& clock_;
  LinkProbe& links_;
  EndpointProbe& probe_;
  Admission admission_;
  std::deque<Place> queue_;
  runtime::Timer timer_;
};

}  // namespace gw::link
