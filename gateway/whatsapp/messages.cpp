#include "whatsapp/messages.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/crypto.h"
#include "whatsapp/keys.h"

namespace gw::whatsapp {
namespace {

using stanza::Node;

// Far above what clients let a user choose; it is kept with each event.
constexpr std::size_t kMaxPushName = 256;
constexpr std::size_t kMaxPhash = 64;
// Echoed in an answer; clients stop far below.
constexpr std::int64_t kMostRetryCount = 100;

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

Node enc_node(Recipient& r) {
  Node enc("enc");
  enc.with("v", std::int64_t{2}).with("type", enc_type(r.type)).octets(std::move(r.ciphertext));
  return enc;
}

}  // namespace

Node text_stanza(std::string_view id, const stanza::Jid& to, std::vector<Recipient> recipients) {
  Node participants("participants");
  stanza::Nodes list;
  list.reserve(recipients.size());
  for (auto& r : recipients) list.push_back(Node("to").with("jid", r.device).add(enc_node(r)));
  participants.content = std::move(list);
  return Node("message")
      .with("id", id)
      .with("to", to)
      .with("type", "text")
      .add(std::move(participants));
}

Node rest_stanza(std::string_view id, const stanza::Jid& to, std::vector<Recipient> recipients) {
  return text_stanza(id, to, std::move(recipients)).with("device_fanout", "false");
}

Node retry_stanza(std::string_view id, Recipient recipient, int count) {
  auto to = recipient.device;
  return Node("message")
      .with("id", id)
      .with("to", to)
      .with("type", "text")
      .with("device_fanout", "false")
      .add(enc_node(recipient).with("count", std::int64_t{count}));
}

// As whatsmeow does it: SHA-256 over the sorted device addresses, the first six octets.
std::string participants_hash(std::vector<stanza::Jid> devices) {
  std::vector<std::string> names;
  for (const auto& jid : devices)
    names.push_back(jid.user + ".0:" + std::to_string(jid.device) + "@" +
                    std::string(stanza::server_name(jid)));
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const auto& name : names) joined += name;
  const auto hash = crypto::sha256(as_bytes(joined));
  return "2:" + to_base64(ByteView(hash).first(6));
}

std::string own_lid(const Node& success) {
  auto lid = success.attr_jid("lid");
  return lid && lid->server == stanza::Server::kLid ? lid->user : std::string();
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
  m.recipient = node.attr_jid("recipient");
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
  if (message.recipient) receipt.with("recipient", *message.recipient).with("type", "sender");
  return receipt;
}

Node read_receipt_for(const stanza::Jid& sender, const std::vector<std::string>& ids, WallTime at) {
  Node receipt("receipt");
  receipt.with("id", ids.front())
      .with("to", sender)
      .with("type", "read")
      .with("t", unix_ms(at) / 1000);
  if (ids.size() > 1) {
    Node list("list");
    for (std::size_t i = 1; i < ids.size(); ++i) list.add(Node("item").with("id", ids[i]));
    receipt.add(std::move(list));
  }
  return receipt;
}

Node retry_receipt(const Inbound& message, int count, RetryCode code,
                   const signal::Identity& identity, const std::optional<RetryKeys>& keys) {
  Node receipt("receipt");
  receipt.with("id", message.id).with("to", message.from).with("type", "retry");
  if (message.participant) receipt.with("participant", *message.participant);
  if (message.recipient) receipt.with("recipient", *message.recipient);
  Node retry("retry");
  retry.with("count", std::int64_t{count}).with("id", message.id);
  if (message.sent_at != WallTime{}) retry.with("t", unix_ms(message.sent_at) / 1000);
  retry.with("v", std::int64_t{1});
  if (code != RetryCode::kUnknown) retry.with("error", static_cast<std::int64_t>(code));
  receipt.add(std::move(retry)).add(registration_node(identity));
  if (keys) receipt.add(session_keys(identity, keys->one_time, keys->signed_prekey));
  return receipt;
}

Node message_ack(const Inbound& message) {
  Node ack("ack");
  ack.with("class", "message").with("id", message.id).with("to", message.from);
  if (message.participant) ack.with("participant", *message.participant);
  if (message.recipient) ack.with("recipient", *message.recipient);
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
    if (const auto* retry = node.child("retry"))
      r.retry_count = static_cast<int>(
          std::clamp<std::int64_t>(retry->attr_int("count").value_or(1), 1, kMostRetryCount));
    if (node.child("keys") != nullptr) r.keys = read_bundle(node);
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
  a.phash = node.attr_text("phash").substr(0, kMaxPhash);
  a.at = time_of(node);
  return a;
}

}  // namespace gw::whatsapp
