// A seeded random run of one user against an oracle: a server that loses the link at any stanza, a
// phone that really decrypts, crashes, commits that are lost. GW_SEED replays a run; a failure says
// which operation it was.

#include <cstdlib>
#include <deque>
#include <gtest/gtest.h>
#include <random>

#include "world.h"

namespace gw::user::testing {
namespace {

using message::State;

std::uint64_t seed() {
  const char* text = std::getenv("GW_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

class Model {
 public:
  explicit Model(std::uint64_t s) : random_(s) {
    world_.limits.settled_cached = 8;
    world_.limits.conversations_cached = 1;
  }

  void run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("operation " + std::to_string(i));
      operate();
    }
    finish();
  }

 private:
  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }
  int below(int n) { return std::uniform_int_distribution<>(0, n - 1)(random_); }

  void operate() {
    switch (below(12)) {
      case 0:
      case 1:
      case 2:
        return submit();
      case 3:
        return repeat();
      case 4:
      case 5:
        return phone_writes();
      case 6:
        return deliver();
      case 7:
        return settle_some();
      case 8:
        return up_ ? link_lost() : link_up();
      case 9:
        return chance(0.3) ? crash() : link_up();
      case 10:
        return lost_commit();
      case 11:
        world_.wall += Millis{below(3000)};
        return step({TimerInput{}});
    }
  }

  // ---- the provider ----

  Input submit_input(int n) const { return world_.submit("r" + std::to_string(n), text(n)); }
  static std::string text(int n) { return "text " + std::to_string(n); }

  void submit() {
    std::vector<Input> inputs;
    for (int k = 1 + below(3); k > 0; --k) inputs.push_back(submit_input(submitted_++));
    step(std::move(inputs));
  }

  void repeat() {
    if (submitted_ == 0) return;
    int n = below(submitted_);
    // One that is not in memory is the store's to find; here it only would be a double.
    if (world_.message("r" + std::to_string(n)) == nullptr) return;
    auto before = world_.state.account.next_order;
    step({submit_input(n)});
    EXPECT_EQ(world_.state.account.next_order, before);
  }

  // ---- WhatsApp's server ----

  void link_up() {
    if (up_) return;
    up_ = true;
    take(world_.link_up());
    auto waiting = mailbox_;  // what is receipted leaves it meanwhile
    for (const auto& [id, node] : waiting) push(node);
  }

  void link_lost() {
    up_ = false;
    world_.run({LinkDown{}});
  }

  void crash() {
    up_ = false;
    world_.reload();
  }

  // Its effects are thrown away with it, as when the process died before the commit.
  void lost_commit() {
    world_.run_and_lose({submit_input(submitted_)});
    if (up_ && !mailbox_.empty()) world_.run_and_lose({*read_stanza(mailbox_.front().second)});
    crash();
  }

  void step(std::vector<Input> inputs) { take(world_.answer(world_.run(std::move(inputs)))); }

  // What left; the link may be lost at any stanza of it.
  void take(Effects effects) {
    for (const auto& bytes : effects.send) {
      if (!up_) return;
      if (!calm_ && chance(0.02)) return link_lost();
      server_takes(bytes);
    }
  }

  void server_takes(const Bytes& bytes) {
    auto node = stanza::decode(bytes);
    ASSERT_TRUE(node.has_value());
    auto id = node->attr_text("id");
    if (node->tag == "message") {
      auto [it, fresh] = wire_.emplace(id, bytes);
      if (!fresh) {
        EXPECT_EQ(it->second, bytes) << "an id with two contents";
      } else {
        auto read = world_.phone.read(bytes);
        ASSERT_TRUE(read.has_value()) << "the phone cannot read it";
        at_phone_.push_back(*read);
        unacked_.push_back(id);
      }
      return;
    }
    if (node->tag == "receipt" || node->tag == "ack")
      std::erase_if(mailbox_, [&](const auto& entry) { return entry.first == id; });
  }

  void settle_some() {
    if (!up_ || unacked_.empty()) return;
    auto id = unacked_.front();
    unacked_.pop_front();
    if (chance(0.2)) return;  // swallowed: it is sent again on the next link
    std::vector<Input> inputs;
    if (chance(0.8)) inputs.push_back(AckInput{whatsapp::Ack{"message", id, 0, std::nullopt}});
    if (chance(0.5))
      inputs.push_back(ReceiptInput{
          whatsapp::Receipt{whatsapp::ReceiptKind::kDelivered, world_.phone.jid(), {id}, {}},
          stanza::Node("ack").with("id", id)});
    if (!inputs.empty()) step(std::move(inputs));
  }

  // ---- the phone ----

  void phone_writes() {
    if (!world_.phone.knows_user()) return;
    auto id = "M" + std::to_string(written_);
    mailbox_.emplace_back(id, world_.phone.write("in " + std::to_string(written_), id));
    ++written_;
    if (up_) push(mailbox_.back().second);
  }

  void deliver() {
    if (!up_ || mailbox_.empty()) return;
    push(mailbox_.front().second);  // once more: a duplicate is receipted again
  }

  void push(stanza::Node node) {
    if (up_) step({*read_stanza(std::move(node))});
  }

  // ---- the oracle ----

  void finish() {
    calm_ = true;
    if (up_) link_lost();
    link_up();
    EXPECT_TRUE(mailbox_.empty()) << "what was queued was not taken";
    auto wire = wire_;
    for (const auto& [id, bytes] : wire)
      step({AckInput{whatsapp::Ack{"message", id, 0, std::nullopt}}});
    std::vector<std::string> in;
    std::map<std::string, State> last;
    for (const auto& event : world_.events) {
      if (const auto* m = std::get_if<message::MessageReceived>(&event.body))
        in.push_back(std::get<message::Text>(m->content).body);
      if (const auto* s = std::get_if<message::MessageStatus>(&event.body))
        last[s->request_id] = s->state;
      EXPECT_FALSE(std::holds_alternative<message::Undecryptable>(event.body));
    }
    std::vector<std::string> expected_in;
    for (int n = 0; n < written_; ++n) expected_in.push_back("in " + std::to_string(n));
    EXPECT_EQ(in, expected_in) << "inbound: once and in order";
    std::vector<std::string> expected_out;
    for (int n = 0; n < submitted_; ++n) {
      auto state = last["r" + std::to_string(n)];
      if (state == State::kExpired) continue;  // never left
      EXPECT_GE(state, State::kSent) << n;
      expected_out.push_back(text(n));
    }
    EXPECT_EQ(at_phone_, expected_out) << "outbound: once and in order";
    EXPECT_EQ(world_.state.unsettled, 0u);
    EXPECT_EQ(world_.state.unsettled_bytes, 0u);
  }

  std::mt19937_64 random_;
  World world_;
  bool up_ = false, calm_ = false;
  int submitted_ = 0, written_ = 0;
  std::deque<std::pair<std::string, stanza::Node>> mailbox_;
  std::map<std::string, Bytes> wire_;
  std::deque<std::string> unacked_;
  std::vector<std::string> at_phone_;
};

TEST(StepModel, ARandomLifeLosesDoublesAndReordersNothing) {
  auto first = seed();
  for (std::uint64_t i = 0; i < 40; ++i) {
    SCOPED_TRACE("GW_SEED=" + std::to_string(first + i));
    Model(first + i).run(250);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace gw::user::testing
