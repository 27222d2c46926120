// What each operation does: see operation.h.

#include "history.h"

namespace gw::user::testing {
namespace {

using message::Contact;
using stanza::Jid;
using stanza::Node;

}  // namespace

// How the provider names contacts: the first one has two names.
const std::array<History::Named, 4> History::kNames{{
    {{Contact::Kind::kE164, "+4915100000001"}, 0},
    {{Contact::Kind::kE164, "+4915100000002"}, 1},
    {{Contact::Kind::kLid, "900000000000003"}, 2},
    {{Contact::Kind::kLid, "900000000000001"}, 0},
}};

void History::operate(const Operation& op) {
  switch (op.kind) {
    case Kind::kSubmit:
      return submit(op);
    case Kind::kRepeat:
    case Kind::kReuse:
      return repeat(op);
    case Kind::kLinkUp:
      return link_up();
    case Kind::kLinkDown:
      return link_down();
    case Kind::kDetach:
      return detach();
    case Kind::kCrash:
      return crash();
    case Kind::kAnswer:
      if (!requests_.empty()) answer(op.a, op.b % 5 != 0);
      return;
    case Kind::kAck:
      return ack(op);
    case Kind::kReceipt:
      return far_.receive(op.a % far_.devices.size(), op.b % 3 == 0, 1 + op.b / 3 % 4);
    case Kind::kStray:
      return stray(op);
    case Kind::kWrite:
    case Kind::kWriteAgain:
    case Kind::kSkip:
      return write(op);
    case Kind::kRewrite:
      return far_.rewrite(op.a, op.b % 3 == 0);
    case Kind::kAskAgain:
      return far_.ask_again(op.a, op.b % 2 == 0);
    case Kind::kSpoil:
    case Kind::kAddDevice:
    case Kind::kRemoveDevice:
    case Kind::kReinstall:
      return device(op);
    case Kind::kContact:
      return contact(op);
    case Kind::kRefuse:
      far_.refuse_next = op.a % 3 == 0 ? 403 : op.a % 3 == 1 ? 404 : 500;
      return;
    case Kind::kTime:
      return time(op);
    case Kind::kProviderAck:
      return provider_ack(op);
    case Kind::kQuery:
      queries_.insert(next_origin_);
      return push(QueryInput{kNames[op.a % kNames.size()].contact, next_origin_++});
    case Kind::kKeysLow:
      far_.lose_keys(op.a % 12);
      return far_.queue(far_.low_keys());
    case Kind::kDuplicate:
      return duplicate(op);
    case Kind::kWithdraw:
      return push(WithdrawInput{});
  }
}

Input History::submit_input(std::size_t request, bool other_body) {
  const auto& s = submitted_[request];
  origins_[next_origin_] = {request, other_body};
  return SubmitInput{{"r" + std::to_string(request), kNames[s.name].contact,
                      message::Text{s.text + (other_body ? " and more" : "")}},
                     next_origin_++};
}

void History::submit(const Operation& op) {
  for (std::uint32_t n = 1 + op.b % 3; n > 0; --n) {
    auto text = "text " + std::to_string(submitted_.size());
    if (op.b % 7 == 0) text += std::string(300, '.');
    submitted_.push_back({op.a % kNames.size(), std::move(text), {}});
    push(submit_input(submitted_.size() - 1));
  }
}

void History::repeat(const Operation& op) {
  if (submitted_.empty()) return;
  const auto request = op.a % submitted_.size();
  const bool reuse = op.kind == Kind::kReuse;
  if (reuse && submitted_[request].message_id.empty()) return;
  push(submit_input(request, reuse));
}

void History::link_up() {
  if (up_) return;
  up_ = true;
  active_ = false;
  push(LinkUp{++link_});
  far_.redeliver();
}

// What was asked over it is answered with an error, before or behind.
void History::link_down() {
  if (!up_) return;
  up_ = active_ = false;
  far_.link_lost();
  const bool before = link_ % 2 == 0;
  if (!before) push(LinkDown{});
  for (auto& request : std::exchange(requests_, {}))
    push(AnswerInput{request.kind, request.contact,
                     fail(ErrorKind::kRetryLater, "LINK_DOWN", "the link is down")});
  if (before) push(LinkDown{});
}

// The client goes; what was submitted before is still stored.
void History::detach() {
  link_down();
  pump_calm();
  if (!failed_()) crash();
}

void History::crash() {
  up_ = active_ = false;
  far_.link_lost();
  requests_.clear();
  queue_.clear();
  origins_.clear();
  queries_.clear();
  auto before = std::move(world_.state);
  for (const auto& [named, list] : before.now.resends)
    for (const auto& r : list) interrupted_.insert(r.order);
  interrupted_.insert(before.now.unacked.begin(), before.now.unacked.end());
  world_.reload();
  check_fold(before);
}

void History::ack(const Operation& op) {
  if (!up_ || far_.acks.empty()) return;
  auto it = far_.acks.begin() + static_cast<std::ptrdiff_t>(op.a % far_.acks.size());
  auto ack = std::move(*it);
  far_.acks.erase(it);
  if (op.b % 8 == 7) return;  // swallowed
  push_stanza(std::move(ack.node));
}

void History::stray(const Operation& op) {
  if (!up_) return;
  const auto id = op.b % 2 == 0 ? world_.ids().message_id(1 + op.b % 5) : std::string(32, 'F');
  const auto from = far_.devices[op.a % far_.devices.size()].phone->jid();
  switch (op.a % 4) {
    case 0:
      return push_stanza(Node("receipt").with("id", id).with("from", from));
    case 1:
      return push_stanza(Node("ack").with("class", "message").with("id", id));
    case 2:
      return push_stanza(Node("receipt")
                             .with("id", id)
                             .with("from", from)
                             .with("type", "retry")
                             .add(Node("retry").with("count", "1").with("id", id)));
    case 3:
      return push_stanza(Node("notification").with("id", "S1").with("from", from));
  }
}

void History::write(const Operation& op) {
  const auto device = op.a % far_.devices.size();
  if (op.kind == Kind::kSkip) return far_.skip(device);
  if (op.kind == Kind::kWriteAgain) {
    if (!far_.written_ids.empty())
      far_.write_again(far_.written_ids[op.a % far_.written_ids.size()]);
    return;
  }
  const int spoilt = op.b % 6 == 0 ? 1 + static_cast<int>(op.b / 6 % 7) : 0;
  far_.write(device, spoilt, op.b % 5 == 0, op.b % 2 == 0);
}

void History::device(const Operation& op) {
  const auto index = op.a % far_.devices.size();
  auto& device = far_.devices[index];
  const bool tell = op.b % 2 == 0;
  switch (op.kind) {
    case Kind::kSpoil:
      device.spoil = 1 + static_cast<int>(op.b % 7);
      return;
    case Kind::kReinstall:
      return far_.reinstall(index, tell);
    case Kind::kAddDevice:
      if (!device.linked) {
        device.linked = true;
        return far_.reinstall(index, tell);
      } else if (far_.devices.size() < 8) {
        far_.add_device(op.a % far_.contacts.size());
      }
      break;
    default:
      if (device.phone->jid().device == 0) return;  // the phone itself
      device.linked = false;
      device.was_unlinked = true;
  }
  if (tell) far_.notify(op.a % far_.devices.size(), false);
}

void History::contact(const Operation& op) {
  auto& contact = far_.contacts[op.a % far_.contacts.size()];
  switch (op.b % 3) {
    case 0:
      contact.known = !contact.known;
      return far_.doubt(op.a % far_.contacts.size());
    case 1:
      contact.opted_in = !contact.opted_in;
      return;
    default:
      auto& device = far_.devices[op.a % far_.devices.size()];
      device.keyless = !device.keyless;
  }
}

void History::time(const Operation& op) {
  static constexpr Millis kSteps[] = {
      Millis{300},    Millis{2'100},     Millis{2'100},          Millis{31'000},
      Millis{61'000}, Millis{3'600'000}, Millis{25 * 3'600'000}, std::chrono::days{8}};
  pass(kSteps[op.a % std::size(kSteps)]);
}

void History::provider_ack(const Operation& op) {
  const auto last = world_.state.account.next_event - 1;
  acked_ = std::max(acked_, op.a % 2 == 0 ? last : last * (op.a % 100) / 100);
  push(ProviderAckInput{acked_});
  if (op.b % 2 == 0) push(FlushInput{});
}

// WhatsApp hands over once more what was taken off.
void History::duplicate(const Operation& op) {
  if (up_ && active_ && far_.has_sent()) push_stanza(far_.send_again(op.a));
}

}  // namespace gw::user::testing
