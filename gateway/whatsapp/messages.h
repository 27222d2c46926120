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
// The same text under the same id for those that the first one did not reach.
stanza::Node rest_stanza(std::string_view id, const stanza::Jid& to,
                         std::vector<Recipient> recipients);
// For the one device that asked again; `count` is what it asked with.
stanza::Node retry_stanza(std::string_view id, Recipient recipient, int count);
// What a sender compares with the phash of an ack: of these devices, in WhatsApp's form.
std::string participants_hash(std::vector<stanza::Jid> devices);

// The user part of our own LID, as the answer to a login tells it; empty: it does not.
std::string own_lid(const stanza::Node& success);

struct Inbound {
  std::string id;
  stanza::Jid from;                        // the sending device, or the group
  std::optional<stanza::Jid> participant;  // in a group: the sending device
  std::optional<stanza::Jid> phone;        // the sender's phone address, when told
  std::optional<stanza::Jid> lid;          // the sender's LID, when told beside a phone address
  std::optional<stanza::Jid> recipient;    // the chat, when another device of the user sent it
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

// "Delivered": dequeues the message at WhatsApp's server. To the user's own other device: "sender".
stanza::Node delivered_receipt(const Inbound& message);
// "Read": of messages of one sender, at least one.
stanza::Node read_receipt_for(const stanza::Jid& sender, const std::vector<std::string>& ids,
                              WallTime at);
// Codes of a retry receipt, as clients send them.
enum class RetryCode : std::uint8_t {
  kUnknown = 0,
  kNoSession = 1,
  kNoPrekey = 3,
  kBadMessage = 4
};
// "I could not read it, encrypt it for me anew": `count` from 1; with the keys for a fresh session
// from the second time on, or where there was none. It does not dequeue; message_ack does.
struct RetryKeys {
  const signal::PreKey& one_time;
  const signal::SignedPreKey& signed_prekey;
};
stanza::Node retry_receipt(const Inbound& message, int count, RetryCode code,
                           const signal::Identity& identity, const std::optional<RetryKeys>& keys);
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
  // kRetry: which time it is, and the keys for a fresh session when they came with it.
  int retry_count = 1;
  std::optional<signal::Bundle> keys = {};
};
Result<Receipt> read_receipt(const stanza::Node& node);

struct Ack {
  std::string of;  // class: message, receipt, ...
  std::string id;
  std::int64_t error = 0;  // 0: none
  std::optional<WallTime> at;
  std::string phash = {};  // of the devices that the server knows, when others were reached
};
Result<Ack> read_ack(const stanza::Node& node);

}  // namespace gw::whatsapp
