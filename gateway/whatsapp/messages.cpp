#include "whatsapp/messages.h"

namespace gw::whatsapp {
namespace {

using stanza::Node;

// Far above what clients let a user choose; it is kept with each event.
constexpr std::size_t kMaxPushName = 256;

std::optional<WallTime> time_of(const Node& node) {
  auto t = node.attr_int("t");
  // Seconds; anything beyond year 9999 is nonsense and would overflow milliseconds.
  if (!t || *t <= 0 || *t > 253402300799) return std::nullopt;
  return WallTime{std::chrono::seconds{*t}};
}

tl::unexpected<Error> incomplete() { return fail(ErrorKind::kCorrupt, "STANZA_INCOMPLETE"); }

std::string_view enc_type(signal::CipherType type) {
  return type == signal::CipherType::kPreKeyMessage ? "pkmsg" : "msg";
}

void copy_attr(const Node& from, std::string_view key, Node& to) {
  if (const auto* value = from.attr(key)) to.attrs.emplace_back(std::string(key), *value);
}

}  // namespace

Node text_stanza(std::string_view id, const stanza::Jid& to, std::vector<Recipient> recipients) {
  Node participants("participants");
  stanza::Nodes list;
  list.reserve(recipients.size());
  for (auto& r : recipients) {
    Node enc("enc");
    enc.with("v", std::int64_t{2}).with("type", enc_type(r.type)).octets(std::move(r.ciphertext));
    list.push_back(Node("to").with("jid", r.device).add(std::move(enc)));
  }
  participants.content = std::move(list);
  return Node("message")
      .with("id", id)
      .with("to", to)
      .with("type", "text")
      .add(std::move(participants));
}

Result<Inbound> read_message(const Node& node) {
  Inbound m;
  m.id = node.attr_text("id");
  auto from = node.attr_jid("from");
  if (m.id.empty() || m.id.size() > 255 || !from) return incomplete();
  m.from = *from;
  m.participant = node.attr_jid("participant");
  m.phone = node.attr_jid(m.participant ? "participant_pn" : "sender_pn");
  m.lid = node.attr_jid(m.participant ? "participant_lid" : "sender_lid");
  m.push_name = node.attr_text("notify").substr(0, kMaxPushName);
  m.type = node.attr_text("type");
  m.sent_at = time_of(node).value_or(WallTime{});
  for (const auto& child : node.children()) {
    if (child.tag != "enc") continue;
    m.encs.push_back(
        {child.attr_text("type"), child.attr_int("v").value_or(0), to_bytes(child.as_octets())});
  }
  return m;
}

Node delivered_receipt(const Inbound& message) {
  Node receipt("receipt");
  receipt.with("id", message.id).with("to", message.from);
  if (message.participant) receipt.with("participant", *message.participant);
  return receipt;
}

Node message_ack(const Inbound& message) {
  Node ack("ack");
  ack.with("class", "message").with("id", message.id).with("to", message.from);
  if (message.participant) ack.with("participant", *message.participant);
  return ack;
}

Node ack_of(const Node& node) {
  Node ack("ack");
  ack.with("class", node.tag);
  copy_attr(node, "id", ack);
  if (const auto* from = node.attr("from")) ack.attrs.emplace_back("to", *from);
  copy_attr(node, "participant", ack);
  copy_attr(node, "recipient", ack);
  copy_attr(node, "type", ack);
  return ack;
}

Result<Receipt> read_receipt(const Node& node) {
  Receipt r;
  auto from = node.attr_jid("from");
  auto id = node.attr_text("id");
  if (id.empty() || !from) return incomplete();
  r.from = *from;
  r.at = time_of(node);
  if (node.attr("type") == nullptr || node.attr_is("type", "inactive")) {
    r.kind = ReceiptKind::kDelivered;
  } else if (node.attr_is("type", "read") || node.attr_is("type", "played")) {
    r.kind = ReceiptKind::kRead;
  } else if (node.attr_is("type", "retry")) {
    r.kind = ReceiptKind::kRetry;
  } else if (node.attr_is("type", "server-error")) {
    r.kind = ReceiptKind::kServerError;
  }
  r.ids.push_back(std::move(id));
  if (const auto* list = node.child("list")) {
    for (const auto& item : list->children())
      if (auto more = item.attr_text("id"); item.tag == "item" && !more.empty())
        r.ids.push_back(std::move(more));
  }
  return r;
}

Result<Ack> read_ack(const Node& node) {
  Ack a;
  a.of = node.attr_text("class");
  a.id = node.attr_text("id");
  if (a.of.empty() || a.id.empty()) return incomplete();
  if (node.attr("error") != nullptr) {
    a.error = node.attr_int("error").value_or(0);
    if (a.error == 0) a.error = 500;
  }
  a.at = time_of(node);
  return a;
}

}  // namespace gw::whatsapp
