#include <algorithm>

#include "user/concerns.h"

namespace gw::user {

namespace {

void reached_device(Draft& d, Order order, std::uint16_t device) {
  const Message& m = *d.message(order);
  auto reached = m.reached;
  auto it = std::find_if(reached.begin(), reached.end(),
                         [&](const auto& r) { return r.device == device; });
  if (it == reached.end() || it->delivered) return;
  it->delivered = true;
  d.set_reached(order, std::move(reached));
  forget_if_everywhere(d, order);
}

}  // namespace

void forget_if_everywhere(Draft& d, Order order) {
  const Message* m = d.message(order);
  if (m == nullptr || m->forgotten || m->reached.empty() || is_resending(d, *m)) return;
  if (std::all_of(m->reached.begin(), m->reached.end(), [](const auto& r) { return r.delivered; }))
    d.forget_text(order);
}

// Whether the receipt's sender is the message's contact is not asked: the id is unguessable, and
// only that contact and WhatsApp's server ever saw it. Who asks for the text again is looked at.
void on_receipt(Draft& d, const ReceiptInput& in) {
  const auto& receipt = in.receipt;
  if (receipt.kind == whatsapp::ReceiptKind::kRetry) return on_retry(d, in);
  auto at = receipt.at.value_or(d.env().wall);
  for (const auto& id : receipt.ids) {
    auto order = d.env().ids.order_of(id);
    const Message* m = order == 0 ? nullptr : d.message(order);
    if (m == nullptr || m->message_id != id) {
      ++d.counts.ignored;
      continue;
    }
    switch (receipt.kind) {
      case whatsapp::ReceiptKind::kDelivered:
        d.settle(order, message::State::kDelivered, message::Reason::kNone, at);
        reached_device(d, order, receipt.from.device);
        break;
      case whatsapp::ReceiptKind::kRead:
        d.settle(order, message::State::kRead, message::Reason::kNone, at);
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

}  // namespace gw::user
