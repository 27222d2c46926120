#pragma once

// One enlisted user driven step by step, with its rows applied as a store would.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "phone.h"
#include "rows.h"
#include "user/step.h"

namespace gw::user::testing {

class World {
 public:
  using Replies = std::vector<Reply>;
  explicit World(std::unique_ptr<Rows> rows = std::make_unique<MemoryRows>());

  // Takes one step, commits it and returns what leaves, as Strand does. Ids that exist are found
  // out by the commit: requests are answered, and the step is taken again knowing them.
  Effects run(std::vector<Input> inputs);
  // The same, but the commit fails: nothing may have changed.
  Effects run_and_lose(std::vector<Input> inputs);
  // Drops the cached user and folds the rows anew, as after a crash.
  void reload();

  // Brings the link up to the point where messages flow.
  Effects link_up();
  // Submits a text to the phone's number and plays WhatsApp's answers until it leaves.
  Effects send(const std::string& request, const std::string& text);
  // Plays the answers to the requests in `effects`, from `phones`; returns all that leaves.
  Effects answer(Effects effects);

  const Message* message(std::string_view request_id) const;
  std::size_t count_prekeys() const;  // in the rows
  Rows& rows() { return *rows_; }
  const store::MessageIds& ids() const { return ids_; }
  Input submit(const std::string& request, const std::string& text, std::uint64_t origin = 2) const;

  static constexpr std::string_view kNumber = "+4915100000001";
  static constexpr std::string_view kLid = "900000000000001";
  static constexpr std::string_view kOwnLid = "900000000000500";

  std::vector<Phone*> phones;  // devices of the contact
  Phone phone{std::string(kLid)};
  bool known = true, opted_in = true, with_one_time = true, answer_lookups = true;
  std::optional<std::uint16_t> keyless;  // a device that no keys are handed out for
  std::size_t keys_at_server = 50;
  bool outcomes_unknown = false;  // each change set is written twice, and found applied
  Limits limits;
  WallTime wall = from_unix_ms(1'800'000'000'000);
  MonoTime mono{Millis{1'000'000}};
  State state;
  Existing existing;
  Counts counts;                       // summed
  store::ChangeSet last;               // of the last step that had changes
  std::vector<message::Event> events;  // all that were committed

 private:
  Env env();
  void load_needs(const std::vector<Input>& inputs);
  bool commit(const Draft& draft, std::vector<Input>& inputs, Existing& knowing, Replies& answered);
  void resolve(const store::Outcome& found, std::vector<Input>& inputs, Existing& knowing,
               Replies& answered);
  stanza::Node answer_to(const Request& request);

  std::unique_ptr<Rows> rows_;
  store::MessageIds ids_;
  whatsapp::Dialect dialect_{7, stanza::InteropForm::kWithServer};
  signal::Engine engine_;
  std::uint64_t link_ = 0;
};

// ---- what tests ask of it ----
Input inbound(stanza::Node node);                              // a stanza from the link
stanza::Node sent(const Effects& effects, std::size_t i = 0);  // the i-th that leaves
std::vector<std::string> texts(const World& w);                // received, in order
std::vector<message::State> states_of(const World& w, std::string_view request);
template <class Body>
std::size_t count_events(const World& w) {
  std::size_t n = 0;
  for (const auto& event : w.events) n += std::holds_alternative<Body>(event.body) ? 1 : 0;
  return n;
}

Input ack(const std::string& id, std::string phash = {}, int error = 0);
stanza::Node broken(stanza::Node message);  // a bit of its ciphertext flipped
// A conversation that runs both ways, so that neither side sends prekey messages any more.
void converse(World& w);
template <class Body>
const Body& last_event(const World& w) {
  return std::get<Body>(w.events.back().body);
}

}  // namespace gw::user::testing
