#include "whatsapp_sim/router.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "crypto/crypto.h"
#include "whatsapp_sim/world.h"

namespace gw::sim {
namespace {

using stanza::Jid;
using stanza::Node;

// Receipts that do not take the message out of the queue: the receiver does not have it yet.
bool leaves_queued(const Node& receipt) {
  return receipt.attr_is("type", "retry") || receipt.attr_is("type", "server-error");
}
// Receipts between a user's own devices.
bool stays_at_home(const Node& receipt) {
  for (auto type : {"sender", "read-self", "peer_msg", "hist_sync"}) {
    if (receipt.attr_is("type", type)) return true;
  }
  return false;
}

template <class F>
void each_id(const Node& receipt, F&& f) {
  f(receipt.attr_text("id"));
  if (const auto* list = receipt.child("list")) {
    for (const auto& item : list->children()) f(item.attr_text("id"));
  }
}

}  // namespace

std::string device_hash(const Account& account) {
  std::vector<std::string> names;
  for (const auto& [id, device] : account.devices) {
    names.push_back(account.lid + ".0:" + std::to_string(id) + "@lid");
  }
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const auto& name : names) joined += name;
  auto hash = crypto::sha256(as_bytes(joined));
  return "2:" + to_base64(ByteView(hash).first(6));
}

void Router::message(Device& sender, Endpoint& link, const Node& node) {
  ++world_.stats.messages;
  auto to = node.attr_jid("to");
  if (!to || node.attr_text("id").empty()) {
    return ack_message(sender, link, node, kErrorMalformed, {});
  }
  if (!world_.faults.none()) {
    auto nack =
        world_.faults.strike(FaultKind::kNack, {&sender.account, Way::kFromClient, "message", {}});
    if (nack) return ack_message(sender, link, node, nack->code, {});
  }
  auto* target = world_.directory.find(*to);
  if (int error = refusal(sender, target)) return ack_message(sender, link, node, error, {});

  // A copy that a device of the sender's own asked for again names its chat.
  auto chat = node.attr_jid("recipient");
  const auto* in = chat ? world_.directory.find(*chat) : nullptr;
  std::vector<std::uint16_t> reached;
  for (const auto& one : envelopes(node, *to)) {
    auto* receiver = world_.directory.find_device(one.to);
    if (!receiver || receiver == &sender) continue;  // gone, or the sender itself: no echo
    bool own = &receiver->account == &sender.account;
    if (&receiver->account != target && !own) continue;
    if (&receiver->account == target) reached.push_back(receiver->id);
    if (!receiver->account.blocked.contains(&sender.account)) {
      deliver(sender, *receiver, node, one, in ? *in : *target, *to);
    }
  }
  // As real servers do, a device that was left out shows as a phash in the ack. A message to one
  // device (a retry, or the rest after a mismatch) is not a fan-out.
  bool complete = !node.child("participants") || node.attr_is("device_fanout", "false") ||
                  std::all_of(target->devices.begin(), target->devices.end(), [&](const auto& d) {
                    return d.second.get() == &sender ||
                           std::find(reached.begin(), reached.end(), d.first) != reached.end();
                  });
  ack_message(sender, link, node, 0, complete ? std::string() : device_hash(*target));
}

int Router::refusal(const Device& sender, const Account* target) const {
  if (!target) return kErrorUnknownRecipient;
  const auto& from = sender.account;
  bool to_interop = target->kind == Kind::kInterop, from_interop = from.kind == Kind::kInterop;
  if (to_interop && from_interop) return kErrorUnknownRecipient;
  if (from_interop && !target->accepts(from.integrator)) return kErrorNotOptedIn;
  if (to_interop && !from.accepts(target->integrator)) return kErrorNotOptedIn;
  return 0;
}

std::vector<Router::Envelope> Router::envelopes(const Node& node, const Jid& to) {
  std::vector<Envelope> found;
  if (const auto* participants = node.child("participants")) {
    for (const auto& one : participants->children()) {
      auto jid = one.attr_jid("jid");
      const auto* enc = one.child("enc");
      if (jid && enc) found.push_back({*jid, enc});
    }
  } else if (const auto* enc = node.child("enc")) {
    found.push_back({to, enc});
  }
  return found;
}

// What arrives is not what the sender encrypted; the far-side checks saw the true one.
Node Router::perhaps_spoilt(const Account& from, const Node& enc) {
  if (world_.faults.none() || !world_.faults.strike(FaultKind::kSpoil, {&from, Way::kBoth, {}, {}}))
    return enc;
  auto octets = to_bytes(enc.as_octets());
  if (!octets.empty()) octets[octets.size() / 2] ^= 0x10;
  return Node(enc).octets(std::move(octets));
}

void Router::deliver(Device& sender, Device& receiver, const Node& node, const Envelope& one,
                     const Account& chat, const Jid& used) {
  auto id = node.attr_text("id");
  FarSide::Seen seen;
  seen.sender = sender.uid;
  seen.receiver = receiver.uid;
  seen.message_id = id;
  seen.type = one.enc->attr_is("type", "pkmsg") ? signal::CipherType::kPreKeyMessage
                                                : signal::CipherType::kMessage;
  seen.ciphertext = one.enc->as_octets();
  auto verdict = world_.far_side.observe(seen);
  if (world_.dedupe && verdict != FarSide::Verdict::kNew) {
    ++world_.stats.repeats_dropped;
    return;
  }
  auto& from = sender.account;
  auto form = form_for(receiver.account, used);
  Node out("message");
  out.with("from", address_of(from, sender.id, form))
      .with("id", id)
      .with("t", world_.now_s())
      .with("type", node.attr_text("type"))
      .with("notify", from.name)
      .with("edit", node.attr_text("edit"))
      .with("category", node.attr_text("category"));
  if (form == Form::kLid) {
    out.with("addressing_mode", "lid").with("sender_pn", address_of(from, 0, Form::kPhone));
  } else {
    out.with("addressing_mode", "pn").with("sender_lid", address_of(from, 0, Form::kLid));
  }
  if (&receiver.account == &from) out.with("recipient", address_of(chat, 0, form));
  out.add(perhaps_spoilt(from, *one.enc));
  if (const auto* proof = node.child("device-identity")) out.add(*proof);
  if (&receiver.account != &from) {
    from.peers.insert(&receiver.account);
    receiver.account.peers.insert(&from);
  }
  enqueue(receiver, &from, std::move(out));
}

void Router::ack_message(Device& sender, Endpoint& link, const Node& node, int error,
                         std::string_view hash) {
  if (error) ++world_.stats.nacks;
  if (!world_.faults.none() &&
      world_.faults.strike(FaultKind::kSwallowAck,
                           {&sender.account, Way::kToClient, "message", {}})) {
    ++world_.stats.acks_swallowed;
    return;
  }
  Node ack("ack");
  ack.with("class", "message").with("id", node.attr_text("id"));
  if (auto to = node.attr_jid("to")) ack.with("from", *to);
  ack.with("t", world_.now_s()).with("phash", hash);
  if (error) ack.with("error", error);
  link.send(ack);
}

void Router::receipt(Device& sender, Endpoint& link, const Node& node) {
  ++world_.stats.receipts;
  auto to = node.attr_jid("to");
  auto* target = to ? world_.directory.find(*to) : nullptr;
  if (target) {
    if (!leaves_queued(node)) {
      each_id(node, [&](const std::string& id) {
        // What it could not read and did not ack goes with it: Baileys 6 only asks again.
        while (sender.mailbox.remove(Mailbox::key("message", id, target->lid))) {
        }
      });
    }
    bool retry = node.attr_is("type", "retry");
    if (retry) allow_retry(sender, *target, *to, node);
    // What a user's own devices tell each other is no contact's affair; a retry is the other
    // device's.
    if ((target != &sender.account || retry) && !stays_at_home(node) &&
        !target->blocked.contains(&sender.account)) {
      for (const auto& [id, device] : target->devices) {
        // Only the device that encrypted can do it again.
        if (!retry || id == to->device) forward_receipt(sender, *device, node, *to);
      }
    }
  }
  Node ack("ack");
  ack.with("class", "receipt").with("id", node.attr_text("id"));
  if (to) ack.with("from", *to);
  ack.with("type", node.attr_text("type"));
  link.send(ack);
}

// A Baileys that is asked by device 0 sends to all devices again, those of its own account and of
// the chat among them; the gateway only to the asker.
void Router::allow_retry(const Device& asker, const Account& target, const Jid& to,
                         const Node& receipt) {
  ++world_.stats.retry_receipts;
  const auto* origin = target.device(to.device);
  if (!origin) return;
  auto id = receipt.attr_text("id");
  if (target.kind != Kind::kClient) return world_.far_side.retry_asked(origin->uid, asker.uid, id);
  auto chat = receipt.attr_jid("recipient");
  std::set<const Account*> everybody = {&asker.account, &target};
  if (const auto* contact = chat ? world_.directory.find(*chat) : nullptr)
    everybody.insert(contact);
  for (const auto* account : everybody) {
    for (const auto& [device_id, device] : account->devices)
      world_.far_side.retry_asked(origin->uid, device->uid, id);
  }
}

void Router::forward_receipt(Device& sender, Device& to, const Node& node, const Jid& used) {
  // Real clients match a delivered or read receipt to the chat by the bare user; who asks for a
  // retry, and who reports to the gateway, is a device.
  auto form = form_for(to.account, used);
  bool by_device = to.account.kind == Kind::kInterop || node.attr_is("type", "retry");
  Node out("receipt");
  out.with("from", address_of(sender.account, by_device ? sender.id : 0, form))
      .with("id", node.attr_text("id"))
      .with("type", node.attr_text("type"))
      .with("t", world_.now_s());
  if (&to.account == &sender.account) out.with("recipient", node.attr_text("recipient"));
  for (const auto& child : node.children()) out.add(child);
  enqueue(to, &sender.account, std::move(out));
}

void Router::ack(Device& sender, const Node& node) {
  auto to = node.attr_jid("to");
  auto* from = to ? world_.directory.find(*to) : nullptr;
  auto key = Mailbox::key(node.attr_text("class"), node.attr_text("id"), from ? from->lid : "");
  sender.mailbox.remove(key, node.attr_text("type"));
}

void Router::chatstate(Device& sender, const Node& node) {
  auto to = node.attr_jid("to");
  auto* target = to ? world_.directory.find(*to) : nullptr;
  if (refusal(sender, target) || target->blocked.contains(&sender.account)) return;
  for (const auto& [id, device] : target->devices) {
    if (!device->endpoint || !device->flowing) continue;
    Node out("chatstate");
    out.with("from", address_of(sender.account, 0, form_for(*target, *to)));
    for (const auto& child : node.children()) out.add(child);
    device->endpoint->send(out);
  }
}

}  // namespace gw::sim
