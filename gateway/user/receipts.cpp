#include "user/concerns.h"

namespace gw::user {

// Whether the receipt's sender is the message's contact is not asked: the id is unguessable, and
// only that contact and WhatsApp's server ever saw it.
void on_receipt(Draft& d, const ReceiptInput& in) {
  const auto& receipt = in.receipt;
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
        break;
      case whatsapp::ReceiptKind::kRead:
        d.settle(order, message::State::kRead, message::Reason::kNone, at);
        break;
      case whatsapp::ReceiptKind::kRetry:
        ++d.counts.retry_receipts;
        break;
      case whatsapp::ReceiptKind::kServerError:
      case whatsapp::ReceiptKind::kOther:
        ++d.counts.ignored;
        break;
    }
  }
  send(d, in.ack);
}

}  // namespace gw::user
