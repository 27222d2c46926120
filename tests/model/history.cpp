#include "history.h"

#include <gtest/gtest.h>

namespace gw::user::testing {
namespace {

const Error kLinkDown{ErrorKind::kRetryLater, "LINK_DOWN", "the link is down", {}};

Limits draw_limits(std::uint64_t seed) {
  std::mt19937_64 random(seed * 2 + 1);
  auto one_of = [&](auto... values) {
    const std::size_t all[] = {static_cast<std::size_t>(values)...};
    return all[random() % (sizeof(all) / sizeof(all[0]))];
  };
  Limits limits;
  limits.settled_cached = one_of(0, 2, 8, 32);
  limits.conversations_cached = one_of(0, 1, 2, 64);
  limits.ready_bytes = one_of(900, 2500, 8 << 20, 8 << 20);
  limits.unsettled_messages = one_of(6, 4096, 4096);
  limits.undecrypted = one_of(2, 256, 256);
  return limits;
}

}  // namespace

std::string History::limits_of(std::uint64_t seed) {
  auto l = draw_limits(seed);
  return "settled_cached " + std::to_string(l.settled_cached) + ", conversations_cached " +
         std::to_string(l.conversations_cached) + ", ready_bytes " + std::to_string(l.ready_bytes) +
         ", unsettled_messages " + std::to_string(l.unsettled_messages) + ", undecrypted " +
         std::to_string(l.undecrypted);
}

History::History(std::uint64_t seed, std::unique_ptr<Rows> rows, std::function<bool()> failed)
    : failed_(std::move(failed)), world_(std::move(rows)) {
  world_.limits = draw_limits(seed);
  far_.order_of = [this](const std::string& id) { return world_.ids().order_of(id); };
}

void History::run(const Operations& operations) {
  for (const auto& op : operations) {
    if (failed_() || withdrawn_) break;
    operate(op);
    if (!op.joined || queue_.size() > 16) pump(op);
  }
  if (!failed_()) quiet();
}

void History::push_stanza(stanza::Node node) {
  auto input = read_stanza(std::move(node));
  if (input) push(*std::move(input));
}

// The queue, and what comes of it, until nothing is left to do.
void History::pump(const Operation& op) {
  step(op);
  for (int round = 0; round < 50 && !failed_(); ++round) {
    if (op.answered) answer_all();
    deliver();
    if (world_.state.has_room_again(world_.limits)) push(TimerInput{});
    if (queue_.empty()) return;
    step({});
  }
}

void History::deliver() {
  if (!up_ || !active_ || withdrawn_) return;
  for (auto& node : far_.deliver()) push_stanza(std::move(node));
}

void History::step(const Operation& op) {
  if (queue_.empty() || withdrawn_) return;
  ++steps_;
  auto inputs = std::exchange(queue_, {});
  const bool timer = std::any_of(inputs.begin(), inputs.end(), [](const Input& input) {
    return std::holds_alternative<TimerInput>(input);
  });
  if (op.fate == Fate::kAgain || op.fate == Fate::kLost) (void)world_.run_and_lose(inputs);
  if (op.fate == Fate::kLost) return crash();
  hear(inputs);
  world_.last = {};
  world_.outcomes_unknown = op.fate == Fate::kFoundApplied;
  auto effects = world_.run(std::move(inputs));
  world_.outcomes_unknown = false;
  check_writes();
  check_events();
  if (failed_()) return;
  withdrawn_ = effects.withdrawn;
  if (op.fate == Fate::kUnpublished) return crash();
  check_state();
  if (timer && !withdrawn_) check_deadline();
  publish(std::move(effects), op.cut);
}

// What WhatsApp says of our messages in a step that is committed.
void History::hear(const std::vector<Input>& inputs) {
  auto heard = [&](const std::string& id) {
    const auto order = world_.ids().order_of(id);
    let_go(order);
    if (!let_go_.contains(order)) heard_in_time_.insert(id);
  };
  for (const auto& input : inputs) {
    if (const auto* ack = std::get_if<AckInput>(&input)) {
      heard(ack->ack.id);
      (ack->ack.error == 0 ? acked_well_ : acked_badly_).insert(ack->ack.id);
    }
    const auto* in = std::get_if<ReceiptInput>(&input);
    if (in == nullptr) continue;
    const bool arrived = in->receipt.kind == whatsapp::ReceiptKind::kDelivered ||
                         in->receipt.kind == whatsapp::ReceiptKind::kRead;
    for (const auto& id : in->receipt.ids) {
      if (!arrived) {
        let_go(world_.ids().order_of(id));
        continue;
      }
      heard(id);
      receipted_.insert(id);
    }
  }
  for (auto order : world_.state.profile.owed) let_go(order);
  for (auto order : world_.state.now.unacked) let_go(order);
  for (const auto& [named, list] : world_.state.now.resends)
    for (const auto& r : list) let_go(r.order);
}

// The sweep may take it, once it is settled.
bool History::is_old(Order order) {
  const auto rows = world_.rows().messages({order});
  return !rows.empty() && rows[0].created + world_.limits.retention <= world_.wall;
}

void History::let_go(Order order) {
  if (is_old(order)) let_go_.insert(order);
}

void History::publish(Effects effects, std::uint32_t cut) {
  for (const auto& reply : effects.replies) check_reply(reply);
  for (const auto& reply : effects.query_replies)
    EXPECT_EQ(queries_.erase(reply.origin), 1u) << "a question answered twice";
  const auto& now = world_.state.now;
  std::uint32_t left = 0;
  for (const auto& bytes : effects.send) {
    if (!up_ || now.link != link_) break;
    if (++left == cut) {
      link_down();
      break;
    }
    far_.take(bytes);
    check_arrivals();
  }
  for (auto& request : effects.requests) {
    if (up_ && now.link == link_) {
      requests_.push_back(std::move(request));
    } else {
      push(AnswerInput{request.kind, request.contact, fail(kLinkDown)});
    }
  }
}

void History::answer(std::size_t which, bool well) {
  auto it = requests_.begin() + static_cast<std::ptrdiff_t>(which % requests_.size());
  auto request = std::move(*it);
  requests_.erase(it);
  const bool goes_active = request.kind == RequestKind::kActive && well;
  Result<stanza::Node> node = well ? far_.answer(request) : fail(kLinkDown);
  push(AnswerInput{request.kind, request.contact, std::move(node)});
  if (goes_active) active_ = true;
}

void History::answer_all() {
  while (!requests_.empty()) answer(0, true);
}

// The strand's timer fires when something is due.
void History::pass(Millis time) {
  world_.wall += time;
  world_.mono += time;
  auto due = world_.state.next_deadline(world_.limits, world_.wall, world_.mono);
  if (due && *due <= world_.wall) push(TimerInput{});
}

// ---- the end: whatever was disturbed, undisturbed it all comes to an end ----

void History::quiet() {
  far_.calm = true;
  far_.refuse_next = 0;
  for (auto& contact : far_.contacts) contact.known = contact.opted_in = true;
  for (auto& device : far_.devices) device.keyless = false;
  pump_calm();
  if (!withdrawn_) {
    if (up_) link_down();
    link_up();
    pump_calm();
    // A provider repeats what it got no answer to.
    for (std::size_t i = 0; i < submitted_.size(); ++i)
      if (submitted_[i].message_id.empty()) push(submit_input(i));
    pump_calm();
    settle_down();
    for (auto wait : {world_.limits.waiting_timeout, world_.limits.resend_window,
                      world_.limits.retry_window, world_.limits.signed_prekey_age}) {
      pass(wait);
      pump_calm();
      settle_down();
    }
    if (!failed_()) crash();
    push(ProviderAckInput{world_.state.account.next_event - 1});
    push(FlushInput{});
    pump_calm();
    EXPECT_EQ(world_.state.account.acked_event, world_.state.account.next_event - 1);
  }
  if (!failed_()) check_end();
}

void History::settle_down() {
  for (int round = 0; round < 12 && !failed_(); ++round) {
    pass(Millis{2100});  // what is paused goes on
    while (!far_.acks.empty()) ack({});
    for (std::size_t n = far_.unread.size(); n-- > 0;) far_.ask_again(n, round % 2 == 1);
    while (!far_.rewrites.empty()) far_.rewrite(0, false);
    pump_calm();
    while (!far_.acks.empty()) ack({});
    for (std::size_t d = 0; d < far_.devices.size(); ++d) far_.receive(d, false, 100);
    pump_calm();
  }
}

}  // namespace gw::user::testing
