#pragma once

// One user's life, operation by operation, and what holds of it whatever happens. Failures are
// GoogleTest's.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "far_side.h"
#include "operation.h"
#include "world.h"

namespace gw::user::testing {

class History {
 public:
  // `seed` chooses the limits; `failed` says whether something was found already.
  History(std::uint64_t seed, std::unique_ptr<Rows> rows, std::function<bool()> failed);

  void run(const Operations& operations);
  static std::string limits_of(std::uint64_t seed);
  std::size_t steps() const { return steps_; }

 private:
  struct Named {
    message::Contact contact;
    std::size_t index = 0;  // in FarSide::contacts
  };
  static const std::array<Named, 4> kNames;
  struct Submitted {
    std::size_t name = 0;  // of the contact, as the provider says it
    std::string text;
    std::string message_id;  // once accepted
  };

  // history_operations.cpp
  void operate(const Operation& op);
  void submit(const Operation& op);
  void repeat(const Operation& op);
  void link_up();
  void link_down();
  void detach();
  void crash();
  void ack(const Operation& op);
  void stray(const Operation& op);
  void write(const Operation& op);
  void device(const Operation& op);
  void contact(const Operation& op);
  void time(const Operation& op);
  void provider_ack(const Operation& op);
  void duplicate(const Operation& op);
  Input submit_input(std::size_t request, bool other_body = false);

  // history.cpp: steps
  void push(Input input) { queue_.push_back(std::move(input)); }
  void push_stanza(stanza::Node node);
  void pump(const Operation& op);
  void pump_calm() { pump(Operation{}); }
  void step(const Operation& op);
  void hear(const std::vector<Input>& inputs);
  bool is_old(Order order);
  void let_go(Order order);
  void publish(Effects effects, std::uint32_t cut);
  void answer(std::size_t which, bool well);
  void answer_all();
  void deliver();
  void pass(Millis time);
  void quiet();
  void settle_down();

  // oracle.cpp: what holds
  void check_reply(const Reply& reply);
  void check_events();
  void check_status(const message::MessageStatus& status);
  void check_received(const message::MessageReceived& received);
  void check_not_read(const std::string& id, EventSeq seq, EventSeq earlier);
  void check_writes();
  void check_state();
  void check_fold(const State& before);
  void check_arrivals();
  void check_read(const FarSide::Read& read);
  void belongs(const std::string& message_id, std::size_t request);
  void check_deadline();
  void check_end();
  void check_messages();
  void check_texts();
  void check_inbound();
  void check_prekeys();

  std::function<bool()> failed_;
  World world_;
  FarSide far_;
  std::size_t steps_ = 0;

  std::vector<Input> queue_;  // for the next step
  std::vector<Request> requests_;
  std::uint64_t link_ = 0;
  bool up_ = false, active_ = false, withdrawn_ = false;

  std::vector<Submitted> submitted_;
  // By a crash, while devices were asked for that it did not reach, or the ack was still to come
  // that might have told of such.
  std::set<Order> interrupted_;
  std::map<std::uint64_t, std::pair<std::size_t, bool>> origins_;  // request, other body
  std::uint64_t next_origin_ = 1;
  std::set<std::uint64_t> queries_;  // open
  EventSeq acked_ = 0;

  std::size_t events_seen_ = 0, arrivals_seen_ = 0, reads_seen_ = 0;
  std::map<std::string, message::State> states_;  // by request id, as told last
  std::map<std::string, EventSeq> first_event_;   // of a received id that was not read at once
  std::map<EventSeq, std::string> pending_;       // open ones
  std::vector<std::string> received_;
  std::set<std::string> given_up_;
  std::set<std::pair<std::string, std::uint16_t>> left_out_;    // (message id, device)
  std::map<std::string, std::size_t> request_of_;               // by message id
  std::map<std::size_t, Order> latest_;                         // arrival, by name
  std::set<std::string> acked_well_, acked_badly_, receipted_;  // by message id
  std::set<std::string> heard_in_time_;                         // of those
  // Older than the retention when something was heard of them, or still owed.
  std::set<Order> let_go_;
};

}  // namespace gw::user::testing
