#pragma once

// Message, receipt, ack and notification stanzas. Forms: observed in Baileys and whatsmeow.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "message/message.h"
#include "signal/signal.h"
#include "stanza/node.h"

namespace gw::whatsapp {

struct Recipient {
  stanza::Jid device;
  signal::CipherType type = signal::CipherType::kMessage;
  Bytes ciphertext;
};
// A text to all devices of one contact. `to` is the contact's bare address.
stanza::Node text_stanza(std::string_view id, const stanza::Jid& to,
                         std::vector<Recipient> recipients);

struct Inbound {
  std::string id;
  stanza::Jid from;                        // the sending device, or the group
  std::optional<stanza::Jid> participant;  // in a group: the sending device
  std::optional<stanza::Jid> phone;        // the sender's phone address, when told
  std::optional<stanza::Jid> lid;          // the sender's LID, when told beside a phone address
  std::string push_name;                   // as the sender calls itself
  WallTime sent_at;
  std::string type;
  struct Enc {
    std::string type;  // pkmsg, msg, skmsg, ...
    std::int64_t version = 0;
    Bytes ciphertext;
  };
  std::vector<Enc> encs;
  const stanza::Jid& sender() const { return participant ? *participant : from; }
};
// CORRUPT "STANZA_INCOMPLETE" without id or from.
Result<Inbound> read_message(const stanza::Node& node);

// "Delivered": dequeues the message at WhatsApp's server.
stanza::Node delivered_receipt(const Inbound& message);
// Takes a message off the queue that could not be read.
stanza::Node message_ack(const Inbound& message);
// Answers a receipt or notification stanza.
stanza::Node ack_of(const stanza::Node& node);

enum class ReceiptKind : std::uint8_t { kDelivered, kRead, kRetry, kServerError, kOther };
struct Receipt {
  ReceiptKind kind = ReceiptKind::kOther;
  stanza::Jid from;  // device or bare
  std::vector<std::string> ids;
  std::optional<WallTime> at;
};
Result<Receipt> read_receipt(const stanza::Node& node);

struct Ack {
  std::string of;  // class: message, receipt, ...
  std::string id;
  std::int64_t error = 0;  // 0: none
  std::optional<WallTime> at;
};
Result<Ack> read_ack(const stanza::Node& node);

}  // namespace gw::whatsapp
