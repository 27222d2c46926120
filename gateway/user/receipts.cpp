#include <algorithm>

#include "user/concerns.h"

namespace gw::user {

namespace {

void reached_device(Draft& d, Order order, std::uint16_t device) {
  auto reached = d.message(order)->reached;
  auto it = std::find_if(reached.begin(), reached.end(),
                         [&](const auto& r) { return r.device == device; });
  if (it == reached.end() || it->delivered) return;
  it->delivered = true;
  d.set_reached(order, std::move(reached));
  forget_if_delivered(d, order);
}

// A receipt may overtake the ack, which may still say that devices were missing.
void note_state(Draft& d, Order order, const Message& before, message::State state, WallTime at) {
  if (before.state == message::State::kReady) d.now().unacked.insert(order);
  d.settle(order, state, message::Reason::kNone, at);
}

}  // namespace

// Whether the receipt's sender is the message's contact is not asked: the id is unguessable, and
// only that contact and WhatsApp's server ever saw it. Who asks for the text again is looked at.
void on_receipt(Draft& d, const ReceiptInput& in) {
  const auto& receipt = in.receipt;
  if (receipt.kind == whatsapp::ReceiptKind::kRetry) return on_retry(d, in);
  auto at = receipt.at.value_or(d.env().wall);
  for (const auto& id : receipt.ids) {
    auto order = d.env().ids.order_of(id);
    const Message* m = order == 0 ? nullptr : d.message(order);
    if (m == nullptr || m->message_id != id || is_swept(d, *m)) {
      ++d.counts.ignored;
      continue;
    }
    switch (receipt.kind) {
      case whatsapp::ReceiptKind::kDelivered:
        note_state(d, order, *m, message::State::kDelivered, at);
        reached_device(d, order, receipt.from.device);
        break;
      case whatsapp::ReceiptKind::kRead:
        note_state(d, order, *m, message::State::kRead, at);
        reached_device(d, order, receipt.from.device);
        break;
      case whatsapp::ReceiptKind::kRetry:
      case whatsapp::ReceiptKind::kServerError:
      case whatsapp::ReceiptKind::kOther:
        ++d.counts.ignored;
        break;
    }
  }
  send(d, in.ack);
}

// Not kept for a link that is down: whoever reads now has a client that is there, and may say it
// again.
void on_mark_read(Draft& d, const MarkReadInput& in) {
  auto reply = [&](Result<bool> result) {
    d.effects.call_replies.push_back({in.origin, std::move(result)});
  };
  if (!d.profile().read_receipts) return reply(false);
  if (d.now().setup != Setup::kActive)
    return reply(fail(ErrorKind::kRetryLater, "LINK_DOWN", "the user's link to WhatsApp is down",
                      Millis{2000}));
  const bool by_number = in.from.kind == message::Contact::Kind::kE164;
  const auto& known = d.conversation(d.env().names.contact(d.user(), in.from)).peer.lid;
  const auto lid = by_number ? known : in.from.value;
  send(d, whatsapp::read_receipt_for(
              lid.empty() ? stanza::Jid::phone(in.from.value.substr(1)) : stanza::Jid::lid(lid),
              in.ids, d.env().wall));
  reply(true);
}

void on_setting(Draft& d, const SettingInput& in) {
  if (in.read_receipts && d.profile().read_receipts != *in.read_receipts)
    d.edit_profile().read_receipts = *in.read_receipts;
  d.effects.call_replies.push_back({in.origin, d.profile().read_receipts});
}

}  // namespace gw::user
