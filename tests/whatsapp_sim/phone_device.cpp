#include <boost/asio/post.hpp>

#include "whatsapp/e2e.pb.h"
#include "whatsapp_sim/handlers/handlers.h"
#include "whatsapp_sim/phone.h"
#include "whatsapp_sim/router.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

using stanza::Jid;
using stanza::Node;

constexpr std::size_t kPrekeys = 50;
constexpr int kMaxAsked = 5;  // real clients stop there as well

signal::Address signal_address(const Account& who, std::uint16_t device) {
  return {who.lid, device};
}

// The codes that real clients put into a retry receipt.
int retry_code(std::string_view reason) {
  if (reason == "SIGNAL_NO_RATCHET") return 1;
  if (reason == "SIGNAL_NO_PREKEY") return 3;
  return 4;
}

template <std::size_t N>
Node number(std::string_view tag, std::uint64_t value) {
  Bytes octets;
  put_be<N>(octets, value);
  return Node(tag).octets(std::move(octets));
}

// Acks and retries that a phone sends are answered to nobody.
class Nowhere final : public Endpoint {
 public:
  void send(const Node&) override {}
  void finish(const Node&) override {}
};

}  // namespace

PhoneDevice::PhoneDevice(Phone& phone, Device& device)
    : phone_(phone), world_(phone.world()), device_(device), keys_(std::make_unique<PhoneKeys>()) {
  publish(2 * kPrekeys);
  world_.router->attach(device_, *this);
  device_.flowing = true;
  world_.router->pump(device_);
}

void PhoneDevice::publish(std::size_t count) {
  auto outcome = device_.keys.put(keys_->more(count));
  device_.low_told = false;
  if (outcome.identity_changed) world_.router->notify_identity_change(device_);
}

void PhoneDevice::reinstall() {
  keys_ = std::make_unique<PhoneKeys>();
  publish(2 * kPrekeys);
}

void PhoneDevice::send(const Node& node) {
  in_.push_back(node);
  if (posted_) return;
  posted_ = true;
  boost::asio::post(world_.io, [this] { work(); });
}

void PhoneDevice::work() {
  posted_ = false;
  std::map<const Account*, Receipts> receipts;
  auto flush = [&] {
    for (const auto& [account, some] : receipts) {
      if (!some.delivered.empty()) report(*account, some.delivered, {});
      if (!some.read.empty()) report(*account, some.read, "read");
    }
    receipts.clear();
  };
  while (!in_.empty()) {
    auto node = std::move(in_.front());
    in_.pop_front();
    if (node.tag == "message") {
      on_message(node, receipts);
      if (!phone_.options.receipt_batch) flush();
    } else if (node.tag == "receipt") {
      on_receipt(node);
    } else if (node.tag == "notification") {
      on_notification(node);
    } else if (node.tag == "ack" && node.attr_is("class", "message")) {
      auto error = node.attr_int("error").value_or(0);
      phone_.settle(node.attr_text("id"),
                    error ? Outgoing::State::kRefused : Outgoing::State::kAcked, error);
    }
  }
  flush();
}

void PhoneDevice::on_message(const Node& node, std::map<const Account*, Receipts>& receipts) {
  auto from = node.attr_jid("from");
  const auto* who = from ? world_.directory.find(*from) : nullptr;
  const auto* enc = node.child("enc");
  if (!who || !enc || who == &phone_.account()) return;
  auto remote = signal_address(*who, from->device);
  auto type = enc->attr_is("type", "pkmsg") ? signal::CipherType::kPreKeyMessage
                                            : signal::CipherType::kMessage;
  auto plain = world_.engine.decrypt(*keys_, remote, type, enc->as_octets());
  if (plain) {
    keys_->apply(remote, std::move(plain->writes));
    ++world_.stats.phone_decrypted;
    if (!signal::unpad(plain->plaintext)) return ask_again(node, "SIGNAL_BAD_PADDING");
    on_text(*who, node, plain->plaintext);
  } else if (plain.error().reason == "SIGNAL_DUPLICATE") {
    ++world_.stats.phone_duplicates;  // it has it: only the receipt is owed
  } else {
    ++world_.stats.phone_undecryptable;
    return ask_again(node, plain.error().reason);
  }
  auto& owed = receipts[who];
  if (phone_.options.auto_delivered) owed.delivered.push_back(node.attr_text("id"));
  if (phone_.options.auto_read) owed.read.push_back(node.attr_text("id"));
}

void PhoneDevice::on_text(const Account& from, const Node& node, ByteView plaintext) {
  auto id = node.attr_text("id");
  if (!phone_.first_time(from, id, device_.id)) {
    ++world_.stats.phone_duplicates;
    return;
  }
  InboxEntry entry;
  entry.id = id;
  entry.from = &from;
  entry.device = device_.id;
  entry.sent_s = node.attr_int("t").value_or(0);
  whatsapp::Message content;
  if (!content.ParseFromArray(plaintext.data(), static_cast<int>(plaintext.size()))) {
    entry.unsupported = "malformed";
  } else if (content.has_conversation()) {
    entry.text = content.conversation();
  } else if (content.has_extended_text_message()) {
    entry.text = content.extended_text_message().text();
  } else {
    entry.unsupported = "no text";
  }
  auto text = entry.text;
  phone_.show(std::move(entry));
  if (phone_.options.echo && !text.empty() && device_.id == 0) {
    (void)phone_.send_text(from, "echo: " + text);
  }
}

void PhoneDevice::report(const Account& to, const std::vector<std::string>& ids,
                         std::string_view type) {
  Node receipt("receipt");
  receipt.with("id", ids.front()).with("to", address_of(to, 0, Form::kLid)).with("type", type);
  if (ids.size() > 1) {
    Node list("list");
    for (std::size_t i = 1; i < ids.size(); ++i) list.add(Node("item").with("id", ids[i]));
    receipt.add(std::move(list));
  }
  Nowhere nowhere;
  world_.router->receipt(device_, nowhere, receipt);
}

void PhoneDevice::ask_again(const Node& message, std::string_view why) {
  Nowhere nowhere;
  auto id = message.attr_text("id");
  auto from = *message.attr_jid("from");
  int count = ++asked_[id];
  if (count <= kMaxAsked) {
    Node receipt("receipt");
    receipt.with("id", id).with("to", from).with("type", "retry");
    receipt.add(Node("retry")
                    .with("count", count)
                    .with("id", id)
                    .with("t", message.attr_text("t"))
                    .with("v", "1")
                    .with("error", retry_code(why)));
    receipt.add(number<4>("registration", keys_->identity().registration_id));
    if (count > 1) {
      const auto& one = keys_->private_prekey();
      const auto& skey = keys_->signed_key();
      receipt.add(
          Node("keys")
              .add(Node("type").octets(Bytes{5}))
              .add(Node("identity").octets(keys_->identity().keys.pub))
              .add(Node("key").add(number<3>("id", one.id)).add(Node("value").octets(one.keys.pub)))
              .add(Node("skey")
                       .add(number<3>("id", skey.id))
                       .add(Node("value").octets(skey.keys.pub))
                       .add(Node("signature").octets(skey.signature))));
    }
    world_.router->receipt(device_, nowhere, receipt);
  }
  world_.router->ack(
      device_,
      Node("ack").with("class", "message").with("id", id).with("to", from).with("error", 500));
}

void PhoneDevice::on_receipt(const Node& node) {
  world_.router->ack(device_, Node("ack")
                                  .with("class", "receipt")
                                  .with("id", node.attr_text("id"))
                                  .with("to", node.attr_text("from"))
                                  .with("type", node.attr_text("type")));
  if (node.attr_is("type", "retry")) return on_retry(node);
  bool read = node.attr_is("type", "read") || node.attr_is("type", "played");
  if (!read && !node.attr_text("type").empty() && !node.attr_is("type", "inactive")) return;
  auto state = read ? Outgoing::State::kRead : Outgoing::State::kDelivered;
  phone_.settle(node.attr_text("id"), state);
  if (const auto* list = node.child("list")) {
    for (const auto& item : list->children()) phone_.settle(item.attr_text("id"), state);
  }
}

void PhoneDevice::on_retry(const Node& node) {
  auto from = node.attr_jid("from");
  auto* asker = from ? world_.directory.find_device(*from) : nullptr;
  auto id = node.attr_text("id");
  auto out = phone_.outgoing_.find(id);
  const auto* retry = node.child("retry");
  auto count = retry ? retry->attr_int("count").value_or(1) : 1;
  if (!asker || out == phone_.outgoing_.end() || count > kMaxAsked) return;
  auto bundle = take_bundle(world_, *asker);
  if (!bundle) return;
  auto remote = signal_address(asker->account, asker->id);
  auto fresh = world_.engine.start(*keys_, remote, *bundle);
  if (!fresh) return;
  keys_->apply(remote, std::move(*fresh));
  (void)write(asker->account, id, out->second.text, count, asker);
}

void PhoneDevice::on_notification(const Node& node) {
  world_.router->ack(device_, Node("ack")
                                  .with("class", "notification")
                                  .with("id", node.attr_text("id"))
                                  .with("to", node.attr_text("from"))
                                  .with("type", node.attr_text("type")));
  if (node.child("count")) publish(kPrekeys);
  // An identity change needs nothing: the phone takes the new identity with the next bundle.
}

Result<Node> PhoneDevice::encrypt_for(const Device& to, ByteView padded, std::int64_t retry) {
  auto remote = signal_address(to.account, to.id);
  if (!keys_->ratchet(remote)) {
    auto bundle = take_bundle(world_, const_cast<Device&>(to));
    if (!bundle) {
      return fail(ErrorKind::kRejected, "NO_KEYS", "the receiver has published no keys yet");
    }
    GW_ASSIGN(auto started, world_.engine.start(*keys_, remote, *bundle));
    keys_->apply(remote, std::move(started));
  }
  GW_ASSIGN(auto sealed, world_.engine.encrypt(*keys_, remote, padded));
  keys_->apply(remote, std::move(sealed.writes));
  Node enc("enc");
  enc.with("v", "2").with("type",
                          sealed.type == signal::CipherType::kPreKeyMessage ? "pkmsg" : "msg");
  if (retry > 0) enc.with("count", retry);
  return std::move(enc).octets(std::move(sealed.ciphertext));
}

Result<void> PhoneDevice::waste(const Account& to) {
  Bytes plain{0};
  signal::pad(plain);
  for (const auto& [id, device] : to.devices) GW_TRY(encrypt_for(*device, plain, 0));
  return {};
}

Result<void> PhoneDevice::write(const Account& to, const std::string& id, const std::string& text,
                                std::int64_t retry, const Device* only) {
  whatsapp::Message content;
  content.set_conversation(text);
  auto plain = to_bytes(as_bytes(content.SerializeAsString()));
  signal::pad(plain);
  Node message("message");
  message.with("id", id).with("type", "text");
  if (only) {
    GW_ASSIGN(auto enc, encrypt_for(*only, plain, retry));
    message.with("to", address_of(to, only->id, Form::kLid))
        .with("device_fanout", "false")
        .add(std::move(enc));
  } else {
    Node participants("participants");
    for (const auto& [device_id, device] : to.devices) {
      GW_ASSIGN(auto enc, encrypt_for(*device, plain, retry));
      participants.add(
          Node("to").with("jid", address_of(to, device_id, Form::kLid)).add(std::move(enc)));
    }
    message.with("to", address_of(to, 0, Form::kLid)).add(std::move(participants));
  }
  world_.router->message(device_, *this, message);
  return {};
}

}  // namespace gw::sim
