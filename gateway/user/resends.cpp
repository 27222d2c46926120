#include <algorithm>

#include "user/concerns.h"
#include "whatsapp/content.h"

namespace gw::user {
namespace {

constexpr std::size_t kMostPhashes = 256;
constexpr std::size_t kMostRetryPrekeys = 8;

// The conversation by LID, which holds devices and ratchets.
Tag peer_tag(const Draft& d, const Message& m) {
  const Peer& peer = d.conversation(m.contact).peer;
  return m.to.kind == message::Contact::Kind::kE164 && !peer.lid.empty() ? lid_tag(d, peer.lid)
                                                                         : m.contact;
}

bool is_contact(const stanza::Jid& jid, const Peer& peer) {
  if (jid.server == stanza::Server::kLid) return !peer.lid.empty() && jid.user == peer.lid;
  return jid.server == stanza::Server::kPhone && !peer.e164.empty() &&
         jid.user == peer.e164.substr(1);
}

Reached* find(std::vector<Reached>& reached, std::uint16_t device) {
  auto it = std::find_if(reached.begin(), reached.end(),
                         [&](const auto& r) { return r.device == device; });
  return it == reached.end() ? nullptr : &*it;
}

// The text as every device gets it; nullopt: without a usable ratchet.
std::optional<whatsapp::Recipient> encrypt_for(Draft& d, const Message& m, const Tag& tag,
                                               std::uint16_t device) {
  const Conversation& peer = d.conversation(tag);
  if (!usable_ratchet(peer, device)) return std::nullopt;
  Bytes plain = whatsapp::encode_content(message::Text{m.text});
  signal::pad(plain);
  const std::string lid = peer.peer.lid;
  auto sealed = d.env().engine.encrypt(PeerReader(d, peer), {lid, device}, plain);
  crypto::wipe(plain);
  if (!sealed) return std::nullopt;
  take_writes(d, tag, device, std::move(sealed->writes));
  return whatsapp::Recipient{stanza::Jid::lid(lid, device), sealed->type,
                             std::move(sealed->ciphertext)};
}

void answer(Draft& d, const std::optional<stanza::Node>& ack) {
  if (ack) send(d, *ack);
}

// To one device that asked. The ack of its receipt leaves behind the answer: if the link goes
// before, WhatsApp hands over the receipt again.
void resend(Draft& d, const Resend& r, const Tag& tag) {
  const Message* m = d.message(r.order);
  if (m == nullptr || m->text.empty()) return answer(d, r.ack);
  auto reached = m->reached;
  Reached* one = find(reached, *r.device);
  if (one == nullptr || one->delivered || one->retries >= d.env().limits.retries)
    return answer(d, r.ack);
  auto recipient = encrypt_for(d, *m, tag, *r.device);
  if (recipient) {
    send(d, whatsapp::retry_stanza(m->message_id, *std::move(recipient), r.count));
    ++one->retries;
    ++d.counts.retries_answered;
  } else {
    d.add_event(message::DeviceLeftOut{m->message_id, m->to, *r.device});
  }
  d.set_reached(r.order, std::move(reached));
  answer(d, r.ack);
}

// To the devices that the message did not reach; it stays READY with the new stanza until that is
// acked as well.
void send_rest(Draft& d, const Resend& r, const Resolved& found) {
  const Message* m = d.message(r.order);
  if (m == nullptr) return;
  std::vector<whatsapp::Recipient> recipients;
  std::vector<std::uint16_t> left_out;
  auto reached = m->reached;
  if (found.reach == Reach::kReady && !m->text.empty()) {
    const std::vector<Device> devices = d.conversation(found.peer).peer.devices;
    for (const auto& device : devices) {
      if (find(reached, device.id) != nullptr) continue;
      auto recipient = encrypt_for(d, *m, found.peer, device.id);
      if (!recipient) {
        left_out.push_back(device.id);
        continue;
      }
      recipients.push_back(*std::move(recipient));
      reached.push_back({device.id});
    }
  }
  for (auto device : left_out) d.add_event(message::DeviceLeftOut{m->message_id, m->to, device});
  if (recipients.empty()) {
    auto& known = d.now().phashes;
    if (known.size() >= kMostPhashes) known.clear();
    if (found.reach == Reach::kReady) known[m->contact] = r.phash;
    d.settle(r.order, message::State::kSent, message::Reason::kNone, d.env().wall);
    return forget_if_everywhere(d, r.order);
  }
  const auto lid = d.conversation(found.peer).peer.lid;
  auto bytes = stanza::encode(
      whatsapp::rest_stanza(m->message_id, stanza::Jid::lid(lid), std::move(recipients)),
      {d.env().dialect.interop_form});
  if (!bytes) return;
  d.effects.send.push_back(*bytes);
  if (m->state == message::State::kReady) {
    d.ready(r.order, *std::move(bytes), std::move(reached));
  } else {
    d.set_reached(r.order, std::move(reached));  // a receipt overtook the ack
  }
}

// Whoever asks must be a device that the message went to, and may not ask for ever.
bool may_ask(Draft& d, const Message& m, const Tag& tag, const whatsapp::Receipt& receipt) {
  if (!is_contact(receipt.from, d.conversation(tag).peer) || m.text.empty()) return false;
  auto reached = m.reached;
  Reached* one = find(reached, receipt.from.device);
  if (one == nullptr || one->delivered) return false;
  if (one->retries < d.env().limits.retries) return true;
  if (one->retries == d.env().limits.retries) {
    ++one->retries;
    d.add_event(message::DeviceLeftOut{m.message_id, m.to, receipt.from.device});
    d.set_reached(m.order, std::move(reached));
  }
  return false;
}

// WhatsApp hands a receipt over again that was followed before: its key is spent, and what it
// started is still good.
bool followed_before(const Conversation& peer, std::uint16_t device, const signal::Bundle& keys) {
  const Device* known = peer.peer.device(device);
  if (known == nullptr || !keys.one_time || known->identity != keys.identity) return false;
  const auto& used = known->retry_prekeys;
  return std::find(used.begin(), used.end(), keys.one_time->id) != used.end();
}

void note_followed(Draft& d, const Tag& tag, std::uint16_t device, std::uint32_t prekey) {
  auto& used = d.edit_conversation(tag).peer.device(device)->retry_prekeys;
  std::erase(used, prekey);
  if (used.size() >= kMostRetryPrekeys) used.erase(used.begin());
  used.push_back(prekey);
  d.contact_changed(tag);
}

// The keys that came along make a fresh session at once; else they are fetched.
void renew_session(Draft& d, const Tag& tag, const whatsapp::Receipt& receipt) {
  const auto device = receipt.from.device;
  const bool followed = receipt.keys && followed_before(d.conversation(tag), device, *receipt.keys);
  if (followed && usable_ratchet(d.conversation(tag), device)) return;
  if (receipt.keys && !followed) {
    const std::string lid = d.conversation(tag).peer.lid;
    auto writes =
        d.env().engine.start(PeerReader(d, d.conversation(tag)), {lid, device}, *receipt.keys);
    if (writes) {
      take_writes(d, tag, device, *std::move(writes));
      ++d.counts.sessions_started;
      if (const auto& key = receipt.keys->one_time) note_followed(d, tag, device, key->id);
      return renewed(d, tag, device);
    }
  }
  Peer& peer = d.edit_conversation(tag).peer;
  if (auto* known = peer.device(device)) known->renew = true;
  d.contact_changed(tag);
}

}  // namespace

void on_retry(Draft& d, const ReceiptInput& in) {
  ++d.counts.retry_receipts;
  const auto& receipt = in.receipt;
  const auto order = d.env().ids.order_of(receipt.ids.front());
  const Message* m = order == 0 ? nullptr : d.message(order);
  const Tag tag = m == nullptr ? Tag{} : peer_tag(d, *m);
  if (m == nullptr || m->message_id != receipt.ids.front() || !may_ask(d, *m, tag, receipt)) {
    ++d.counts.ignored;
    return send(d, in.ack);
  }
  const Tag named = m->contact;
  renew_session(d, tag, receipt);
  Resend wanted{order, receipt.from.device, receipt.retry_count, {}, in.ack};
  if (usable_ratchet(d.conversation(tag), receipt.from.device)) return resend(d, wanted, tag);
  d.now().resends[named].push_back(std::move(wanted));
  continue_resends(d, named);
}

bool reaches_the_rest(Draft& d, Order order, const whatsapp::Ack& ack) {
  const Message& m = *d.message(order);
  if (ack.phash.empty() || m.state != message::State::kReady || m.reached.empty()) return false;
  const Tag tag = peer_tag(d, m);
  const Conversation& conversation = d.conversation(tag);
  auto known = d.now().phashes.find(m.contact);
  if (!conversation.exists || (known != d.now().phashes.end() && known->second == ack.phash))
    return false;
  std::vector<stanza::Jid> devices;
  for (const auto& r : m.reached)
    devices.push_back(stanza::Jid::lid(conversation.peer.lid, r.device));
  if (whatsapp::participants_hash(std::move(devices)) == ack.phash) return false;
  const Tag named = m.contact;
  d.edit_conversation(tag).peer.fetched_ms = 0;
  d.contact_changed(tag);
  d.now().resends[named].push_back({order, std::nullopt, 0, ack.phash, std::nullopt});
  continue_resends(d, named);
  return true;
}

void continue_resends(Draft& d, const Tag& named) {
  auto it = d.now().resends.find(named);
  if (it == d.now().resends.end() || it->second.empty()) return;
  // One whose row is gone meanwhile is nobody's any more.
  std::erase_if(it->second, [&](const auto& r) { return d.message(r.order) == nullptr; });
  if (it->second.empty()) return void(d.now().resends.erase(it));
  const auto found = resolve(d, d.message(it->second.front().order)->to, named);
  if (found.reach == Reach::kPending) return;
  auto list = std::move(it->second);
  d.now().resends.erase(it);
  for (const auto& r : list) {
    if (!r.device) {
      send_rest(d, r, found);
    } else {
      resend(d, r, found.peer);
    }
  }
}

void continue_all_resends(Draft& d) {
  std::vector<Tag> contacts;
  for (const auto& [named, list] : d.now().resends) contacts.push_back(named);
  for (const auto& named : contacts) continue_resends(d, named);
}

void drop_resends(Draft& d) {
  const auto dropped = std::exchange(d.now().resends, {});
  for (const auto& [named, list] : dropped)
    for (const auto& r : list) forget_if_everywhere(d, r.order);
}

bool is_resending(const Draft& d, const Message& m) {
  const auto& resends = d.now().resends;
  auto it = resends.find(m.contact);
  return it != resends.end() && std::any_of(it->second.begin(), it->second.end(),
                                            [&](const auto& r) { return r.order == m.order; });
}

}  // namespace gw::user
