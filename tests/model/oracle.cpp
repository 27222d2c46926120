// What holds of a history, whatever happens in it.

#include <algorithm>
#include <gtest/gtest.h>

#include "history.h"
#include "user/blobs.h"

namespace gw::user::testing {
namespace {

using message::State;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

// ---- the provider's answers ----

void History::check_reply(const Reply& reply) {
  auto it = origins_.find(reply.origin);
  ASSERT_NE(it, origins_.end()) << "an answer that nobody waits for, or the second one";
  const auto [request, other_body] = it->second;
  origins_.erase(it);
  const auto& result = reply.result;
  EXPECT_EQ(result.request_id, "r" + std::to_string(request));
  if (result.error) {
    const auto& limits = world_.limits;
    const bool small = limits.unsettled_messages < 10 || limits.ready_bytes < 10'000;
    if (result.error->reason == "THROTTLED") {
      // A repeat of what is not in memory any more may be told to come again later.
      EXPECT_TRUE(small);
      EXPECT_TRUE(submitted_[request].message_id.empty() || states_.contains(result.request_id));
    } else {
      EXPECT_EQ(result.error->reason, "REQUEST_ID_REUSED");
      EXPECT_TRUE(other_body);
    }
    return;
  }
  EXPECT_FALSE(other_body) << "another body was taken for a repeat";
  belongs(result.message_id, request);
}

// A request has one message id for ever, and the id no other request.
void History::belongs(const std::string& message_id, std::size_t request) {
  ASSERT_LT(request, submitted_.size());
  auto& known = submitted_[request].message_id;
  if (known.empty()) known = message_id;
  EXPECT_EQ(known, message_id) << "a request under two ids";
  auto [it, fresh] = request_of_.emplace(message_id, request);
  EXPECT_EQ(it->second, request) << "an id for two requests";
}

// ---- events ----

void History::check_events() {
  for (; events_seen_ < world_.events.size(); ++events_seen_) {
    const auto& event = world_.events[events_seen_];
    std::visit(
        Overloaded{
            [&](const message::MessageStatus& e) { check_status(e); },
            [&](const message::MessageReceived& e) { check_received(e); },
            [&](const message::Pending& e) {
              check_not_read(e.message_id, event.seq, 0);
              pending_[event.seq] = e.message_id;
            },
            [&](const message::Undecryptable& e) {
              check_not_read(e.message_id, event.seq, e.earlier);
              pending_.erase(e.earlier);
              EXPECT_TRUE(given_up_.insert(e.message_id).second) << "given up twice";
            },
            [&](const message::DeviceLeftOut& e) { left_out_.emplace(e.message_id, e.device); },
            [&](const message::IdentityChanged&) {
              EXPECT_TRUE(std::any_of(far_.devices.begin(), far_.devices.end(),
                                      [](const auto& d) { return d.installs > 1; }));
            },
            [&](const auto&) { ADD_FAILURE() << "an event of a kind that nobody caused"; }},
        event.body);
  }
}

// Law 5: forwards only, each with what WhatsApp said of it.
void History::check_status(const message::MessageStatus& e) {
  const auto request = static_cast<std::size_t>(std::stoul(e.request_id.substr(1)));
  belongs(e.message_id, request);
  EXPECT_TRUE(message::is_settled(e.state));
  auto [it, first] = states_.try_emplace(e.request_id, e.state);
  EXPECT_TRUE(first || message::may_follow(it->second, e.state))
      << e.request_id << ": " << to_string(e.state) << " after " << to_string(it->second);
  it->second = e.state;
  const bool arrived = far_.refused.contains(e.message_id);
  switch (e.state) {
    case State::kSent:
      EXPECT_TRUE(acked_well_.contains(e.message_id)) << e.request_id << " was not acked";
      break;
    case State::kDelivered:
    case State::kRead:
      EXPECT_TRUE(receipted_.contains(e.message_id)) << e.request_id << " has no receipt";
      break;
    case State::kRejected:
      EXPECT_TRUE(!arrived || far_.refused.at(e.message_id)) << e.request_id;
      break;
    case State::kExpired:
      EXPECT_FALSE(arrived) << e.request_id << " left, and expired";
      break;
    default:
      break;
  }
}

void History::check_received(const message::MessageReceived& e) {
  auto it = far_.written.find(e.message_id);
  ASSERT_NE(it, far_.written.end());
  EXPECT_EQ(std::get<message::Text>(e.content).body, it->second.text);
  EXPECT_EQ(std::count(received_.begin(), received_.end(), e.message_id), 0)
      << e.message_id << " twice";
  received_.push_back(e.message_id);
  auto first = first_event_.find(e.message_id);
  EXPECT_EQ(e.earlier, first == first_event_.end() ? 0 : first->second) << e.message_id;
  pending_.erase(e.earlier);
}

void History::check_not_read(const std::string& id, EventSeq seq, EventSeq earlier) {
  auto it = far_.written.find(id);
  ASSERT_NE(it, far_.written.end());
  // The ratchets of what is no device any more are forgotten; what it wrote before may still come.
  if (far_.devices[it->second.device].was_unlinked) it->second.troubled = true;
  EXPECT_TRUE(it->second.troubled) << id << " came whole";
  auto [first, fresh] = first_event_.emplace(id, seq);
  EXPECT_EQ(earlier, fresh ? 0 : first->second) << id;
  EXPECT_EQ(std::count(received_.begin(), received_.end(), id), 0) << id << " was read before";
}

// ---- what arrives at WhatsApp ----

void History::check_arrivals() {
  for (; arrivals_seen_ < far_.arrivals.size(); ++arrivals_seen_) {
    const auto& id = far_.arrivals[arrivals_seen_];
    const auto order = world_.ids().order_of(id);
    const auto rows = world_.rows().messages({order});
    Message m;
    ASSERT_TRUE(!rows.empty() && read_message(rows[0].content, m)) << "a message of nobody's";
    const auto request = static_cast<std::size_t>(std::stoul(m.request_id.substr(1)));
    belongs(id, request);
    auto& latest = latest_[submitted_[request].name];
    EXPECT_GT(order, latest) << m.request_id << " was overtaken";
    latest = std::max(latest, order);
  }
  for (; reads_seen_ < far_.reads.size(); ++reads_seen_) check_read(far_.reads[reads_seen_]);
}

void History::check_read(const FarSide::Read& read) {
  auto it = request_of_.find(read.id);
  ASSERT_NE(it, request_of_.end());
  const auto& submitted = submitted_[it->second];
  EXPECT_EQ(read.text, submitted.text);
  EXPECT_EQ(far_.devices[read.device].contact, kNames[submitted.name].index);
}

// ---- the state ----

void History::check_state() {
  const auto& state = world_.state;
  std::size_t unsettled = 0, bytes = 0, ready = 0, waiting = 0;
  for (const auto& [order, m] : state.messages) {
    if (message::is_settled(m.state)) continue;
    EXPECT_GE(order, state.account.lowest_unsettled);
    ++unsettled;
    bytes += m.bytes();
    if (m.state == State::kReady) ready += m.bytes();
    if (m.state == State::kWaiting) ++waiting;
  }
  EXPECT_EQ(state.unsettled, unsettled);
  EXPECT_EQ(state.unsettled_bytes, bytes);
  EXPECT_EQ(state.ready_bytes, ready);
  for (const auto& [tag, orders] : state.now.waiting) {
    EXPECT_TRUE(std::is_sorted(orders.begin(), orders.end()));
    for (auto order : orders) {
      auto m = state.messages.find(order);
      ASSERT_NE(m, state.messages.end());
      EXPECT_EQ(m->second.state, State::kWaiting);
      EXPECT_EQ(m->second.contact, tag);
      --waiting;
    }
  }
  EXPECT_EQ(waiting, 0u) << "a message waits for nothing";
  EXPECT_EQ(state.undecrypted.size(), pending_.size());
}

// Of a row that the sweep may have taken nothing is written. Before the step's events are seen.
void History::check_writes() {
  for (const auto& update : world_.last.updates) {
    if (!is_old(update.order)) continue;
    Message m;
    const auto rows = world_.rows().messages({update.order});
    ASSERT_TRUE(read_message(rows.at(0).content, m).has_value());
    EXPECT_FALSE(states_.contains(m.request_id)) << m.request_id << " is written, and may be swept";
  }
}

// The state is the fold of committed rows.
void History::check_fold(const user::State& before) {
  const auto& after = world_.state;
  EXPECT_EQ(write_profile(before.profile), write_profile(after.profile));
  EXPECT_EQ(before.account.version, after.account.version);
  EXPECT_EQ(before.account.next_order, after.account.next_order);
  EXPECT_EQ(before.account.lowest_unsettled, after.account.lowest_unsettled);
  EXPECT_EQ(before.account.next_event, after.account.next_event);
  EXPECT_EQ(before.account.acked_event, after.account.acked_event);
  EXPECT_EQ(before.unsettled, after.unsettled);
  EXPECT_EQ(before.unsettled_bytes, after.unsettled_bytes);
  EXPECT_EQ(before.ready_bytes, after.ready_bytes);
  for (const auto& [order, m] : after.messages) {
    auto it = before.messages.find(order);
    ASSERT_NE(it, before.messages.end());
    EXPECT_EQ(it->second.state, m.state);
    EXPECT_EQ(it->second.stanza, m.stanza);
    if (m.state == State::kWaiting) {
      EXPECT_EQ(it->second.text, m.text);
    }
    EXPECT_EQ(it->second.forgotten, m.forgotten);
    EXPECT_EQ(write_reached(it->second.reached), write_reached(m.reached));
  }
  ASSERT_EQ(before.undecrypted.size(), after.undecrypted.size());
  for (const auto& [tag, one] : after.undecrypted)
    EXPECT_EQ(write_undecrypted(before.undecrypted.at(tag)), write_undecrypted(one));
  if (withdrawn_) return;  // the strand ends
  std::vector<Tag> tags;
  for (const auto& [tag, c] : before.conversations) tags.push_back(tag);
  for (const auto& row : world_.rows().conversations(tags)) {
    const auto& c = before.conversations.at(row.contact);
    EXPECT_EQ(c.exists, !row.blob.empty());
    if (c.exists) {
      EXPECT_EQ(write_peer(c.peer), row.blob);
    }
    std::map<std::uint16_t, Bytes> ratchets;
    for (const auto& r : row.ratchets) ratchets[r.device] = r.record;
    auto cached = c.ratchets;
    std::erase_if(cached, [](const auto& r) { return r.second.empty(); });
    EXPECT_EQ(cached, ratchets);
  }
}

// A deadline that stays in the past would have the timer fire for ever.
void History::check_deadline() {
  auto next = world_.state.next_deadline(world_.limits, world_.wall, world_.mono);
  EXPECT_TRUE(!next || *next > world_.wall) << "the timer has nothing to do, and fires";
}

// ---- the end ----

void History::check_end() {
  EXPECT_EQ(world_.state.unsettled, 0u);
  EXPECT_EQ(world_.state.unsettled_bytes, 0u);
  EXPECT_EQ(world_.state.ready_bytes, 0u);
  EXPECT_TRUE(world_.state.now.resends.empty());
  EXPECT_TRUE(pending_.empty()) << "neither read nor given up: " << pending_.begin()->second;
  EXPECT_TRUE(withdrawn_ || queries_.empty()) << "a question without an answer";
  EXPECT_TRUE(withdrawn_ || origins_.empty()) << "a submit without an answer";
  check_messages();
  check_texts();
  check_prekeys();
  if (!withdrawn_) check_inbound();
}

void History::check_messages() {
  for (std::size_t n = 0; n < submitted_.size(); ++n) {
    const auto request = "r" + std::to_string(n);
    const auto& id = submitted_[n].message_id;
    auto state = states_.find(request);
    if (id.empty()) {
      EXPECT_EQ(state, states_.end()) << request << " was never accepted";
      continue;
    }
    ASSERT_NE(state, states_.end()) << request << " was accepted, and has no end";
    auto arrived = far_.refused.find(id);
    if (arrived == far_.refused.end()) {
      EXPECT_TRUE(state->second == State::kExpired || state->second == State::kRejected ||
                  state->second == State::kUnconfirmed)
          << request << " never left and is " << to_string(state->second);
    } else {
      const bool heard = heard_in_time_.contains(id);
      const bool ended = arrived->second ? state->second == State::kRejected
                                         : state->second == State::kSent ||
                                               state->second == State::kDelivered ||
                                               state->second == State::kRead;
      EXPECT_TRUE(ended || withdrawn_ || (!heard && state->second == State::kUnconfirmed))
          << request << " arrived and is " << to_string(state->second);
    }
  }
  // What a device could not read it got anew, if it asked, and as often as it may.
  if (withdrawn_) return;
  for (const auto& [device, id, count] : far_.unread) {
    const auto& d = far_.devices[device];
    const bool told = left_out_.contains({id, d.phone->jid().device});
    EXPECT_TRUE(told || d.was_unlinked || d.unknown || let_go_.contains(far_.order_of(id)))
        << id << " was asked for in vain by device " << device;
  }
}

void History::check_texts() {
  std::vector<Order> orders;
  for (Order o = 1; o < world_.state.account.next_order; ++o) orders.push_back(o);
  for (const auto& row : world_.rows().messages(orders)) {
    Message m;
    ASSERT_TRUE(read_message(row.content, m).has_value());
    auto reached = read_reached(row.devices);
    const bool all = !reached.empty() && std::all_of(reached.begin(), reached.end(),
                                                     [](const auto& r) { return r.delivered; });
    if (let_go_.contains(row.order)) continue;
    if (all && !interrupted_.contains(row.order)) {
      EXPECT_EQ(m.text, "") << m.request_id << " is everywhere, and its text is kept";
    }
    EXPECT_TRUE(row.stanza.empty());
  }
}

// Once each; what came whole in the order in which it was written.
void History::check_inbound() {
  EXPECT_EQ(far_.pending(), 0u) << "WhatsApp still has something for us";
  std::map<std::size_t, std::vector<std::string>> told, whole;
  for (const auto& id : received_)
    if (const auto& w = far_.written.at(id); !w.troubled) told[w.device].push_back(id);
  for (const auto& id : far_.written_ids) {
    const auto& w = far_.written.at(id);
    const bool read = std::count(received_.begin(), received_.end(), id) != 0;
    EXPECT_TRUE(read || given_up_.contains(id)) << id << " is lost";
    if (!w.troubled) whole[w.device].push_back(id);
  }
  EXPECT_EQ(told, whole);
}

// No key is published that is not ours, and none is kept that nobody can use.
void History::check_prekeys() {
  std::set<std::uint32_t> ours;
  for (const auto& row : world_.rows().prekeys()) {
    auto batch = read_prekeys(row.first_id, row.blob);
    ASSERT_TRUE(batch.has_value());
    for (const auto& key : batch->keys) {
      ours.insert(key.id);
      EXPECT_TRUE(!batch->uploaded || far_.uploaded.contains(key.id))
          << "prekey " << key.id << " is nobody's";
    }
  }
  if (withdrawn_) {
    EXPECT_TRUE(ours.empty());
    return;
  }
  for (const auto& key : far_.one_time_keys)
    EXPECT_TRUE(ours.contains(key.id)) << "prekey " << key.id << " is published and not ours";
}

}  // namespace gw::user::testing
