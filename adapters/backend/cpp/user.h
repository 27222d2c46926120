#pragma once

// One attached user: the events that wait for the application, and the submits that wait for an
// answer. Belongs to the loop.

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "backend_client.h"
#include "loop.h"
#include "replica.h"

namespace gw::backend {

struct User;

// One message until its answer is known.
struct Submit {
  v1::OutgoingMessage message;
  std::size_t octets = 0;
  std::function<void(Answer)> done;
  std::shared_ptr<Replica> on;  // owes a result, on its stream number `session`
  std::uint64_t session = 0;
  bool settled = false;
  bool in_doubt = false;  // it may be stored
  Loop::Timer deadline;
};
using SubmitPtr = std::shared_ptr<Submit>;

struct User {
  enum class State { kWaiting, kAttaching, kAttached, kEnded };

  std::string name;
  Attachment client;
  State state = State::kWaiting;
  std::shared_ptr<Replica> replica;   // where the user is, or is being attached
  std::shared_ptr<Replica> previous;  // has an attachment that ends once the next one is in force
  std::shared_ptr<Replica> avoid;     // the attachment before failed there
  Loop::Timer timer;                  // of the attach, or of the pause before it
  unsigned failures = 0;
  Loop::Time attached_at{};

  std::uint64_t finished = 0;  // the application has stored events up to here
  std::uint64_t received = 0;  // and these are here
  std::deque<v1::Event> events;
  bool handling = false;  // the application has the first of them
  unsigned handle_failures = 0;

  std::list<SubmitPtr> submits;  // without an answer, in order
  std::unordered_map<std::string, std::list<SubmitPtr>::iterator> by_id;
  std::deque<SubmitPtr> queue;        // of these, what is to be sent, in order
  const Replica* ready_at = nullptr;  // whose `ready` has it; an entry elsewhere is an old one
  std::size_t in_flight = 0;
  bool retrying = false;  // nothing new is sent until what is to be sent again was
  Loop::Time retry_at{};
  Loop::Timer retry_timer;

  // No result is waited for any more; true: one was.
  bool release(Submit& submit) {
    if (!submit.on) return false;
    if (submit.on->session == submit.session) {
      --submit.on->open;
      submit.on->open_octets -= submit.octets;
    }
    submit.on.reset();
    --in_flight;
    return true;
  }
  void take_back(Submit& submit) { submit.in_doubt = release(submit) || submit.in_doubt; }

  // Keeps only what the application has in its hands.
  void drop_events() {
    events.resize(handling ? 1 : 0);
    received = handling ? events.front().seq() : finished;
  }
};
using UserPtr = std::shared_ptr<User>;

}  // namespace gw::backend
