#include <algorithm>
#include <utility>

#include "user/concerns.h"

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

void answer(Draft& d, const std::optional<stanza::Node>& ack) {
  if (ack) send(d, *ack);
}

// Told once of a message and a device.
void leave_out(Draft& d, Order order, std::uint16_t device) {
  const Message* m = d.message(order);
  if (m == nullptr || is_swept(d, *m)) return;
  auto reached = m->reached;
  Reached* one = find(reached, device);
  if (one == nullptr || std::exchange(one->told, true)) return;
  d.add_event(message::DeviceLeftOut{m->message_id, m->to, device});
  d.set_reached(order, std::move(reached));
}

// To one device that asked. The ack of its receipt leaves behind the answer: if the link goes
// before, WhatsApp hands over the receipt again.
void resend(Draft& d, const Resend& r, const Tag& tag) {
  const Message* m = d.message(r.order);
  if (m == nullptr || is_swept(d, *m) || m->text.empty() || d.conversation(tag).peer.lid != r.lid)
    return answer(d, r.ack);
  auto reached = m->reached;
  Reached* one = find(reached, *r.device);
  if (one == nullptr || one->delivered || one->retries >= d.env().limits.retries)
    return answer(d, r.ack);
  ++one->retries;
  auto recipient = encrypt_for(d, *m, tag, *r.device);
  if (recipient) {
    send(d, whatsapp::retry_stanza(m->message_id, *std::move(recipient), r.count));
    ++d.counts.retries_answered;
  }
  d.set_reached(r.order, std::move(reached));
  if (!recipient) leave_out(d, r.order, *r.device);
  answer(d, r.ack);
}

void owe_no_more(Draft& d, Order order) {
  const Message* m = d.message(order);
  if (m != nullptr && is_swept(d, *m)) m = nullptr;
  if (m != nullptr && !m->stanza.empty()) d.set_rest(order, {});
  std::erase(d.edit_profile().owed, order);
  if (m != nullptr) forget_if_delivered(d, order);
}

void remember_hash(Draft& d, const Tag& named, const std::string& phash) {
  auto& known = d.now().phashes;
  if (known.size() >= kMostPhashes) known.clear();
  known[named] = phash;
}

// To the devices that the message did not reach. The bytes stay with the row until they are acked.
void send_rest(Draft& d, const Resend& r, const Resolved& found) {
  const Message* m = d.message(r.order);
  if (m == nullptr || is_swept(d, *m) || m->text.empty() || found.reach != Reach::kReady ||
      d.conversation(found.peer).peer.lid != r.lid)
    return owe_no_more(d, r.order);
  std::vector<whatsapp::Recipient> recipients;
  std::vector<std::uint16_t> left_out;
  auto reached = m->reached;
  const std::vector<Device> devices = d.conversation(found.peer).peer.devices;
  for (const auto& device : devices) {
    if (find(reached, device.id) != nullptr) continue;
    auto recipient = encrypt_for(d, *m, found.peer, device.id);
    Reached& one = reached.emplace_back(Reached{device.id});
    one.rest = recipient.has_value();
    if (recipient) {
      recipients.push_back(*std::move(recipient));
    } else {
      left_out.push_back(device.id);
    }
  }
  if (reached.size() == m->reached.size()) {
    remember_hash(d, m->contact, r.phash);
    return owe_no_more(d, r.order);
  }
  const std::string id = m->message_id;
  d.set_reached(r.order, std::move(reached));
  for (auto device : left_out) leave_out(d, r.order, device);
  if (recipients.empty()) return owe_no_more(d, r.order);
  auto bytes =
      stanza::encode(whatsapp::rest_stanza(id, stanza::Jid::lid(r.lid), std::move(recipients)),
                     {d.env().dialect.interop_form});
  if (!bytes) return owe_no_more(d, r.order);
  d.effects.send.push_back(*bytes);
  d.set_rest(r.order, *std::move(bytes));
}

// Whoever asks must be a device that the message went to, and may not ask for ever.
bool may_ask(Draft& d, const Message& m, const Tag& tag, const whatsapp::Receipt& receipt) {
  if (!is_contact(receipt.from, d.conversation(tag).peer) || m.text.empty()) return false;
  auto reached = m.reached;
  const Reached* one = find(reached, receipt.from.device);
  if (one == nullptr || one->delivered) return false;
  if (one->retries < d.env().limits.retries) return true;
  leave_out(d, m.order, receipt.from.device);
  return false;
}

// WhatsApp hands a receipt over again whose ack got lost: its one-time key is spent.
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

// The keys that came along make a fresh session at once, if they did not before: then that one is
// still good. Else keys are fetched.
void renew_session(Draft& d, const Tag& tag, const whatsapp::Receipt& receipt) {
  const auto device = receipt.from.device;
  const bool again = receipt.keys && followed_before(d.conversation(tag), device, *receipt.keys);
  if (again && usable_ratchet(d.conversation(tag), device)) return;
  if (receipt.keys && !again) {
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

// One question of a device about a message at a time; the newest counts.
void forget_older(Draft& d, const Tag& named, Order order, std::optional<std::uint16_t> device) {
  auto it = d.now().resends.find(named);
  if (it == d.now().resends.end()) return;
  std::erase_if(it->second, [&](const Resend& r) {
    const bool same = r.order == order && r.device == device;
    if (same) answer(d, r.ack);
    return same;
  });
  if (it->second.empty()) d.now().resends.erase(it);
}

bool has_room(const Draft& d) {
  std::size_t n = 0;
  for (const auto& [named, list] : d.now().resends) n += list.size();
  return n < d.env().limits.resends;
}

}  // namespace

void on_retry(Draft& d, const ReceiptInput& in) {
  ++d.counts.retry_receipts;
  const auto& receipt = in.receipt;
  const auto order = d.env().ids.order_of(receipt.ids.front());
  const Message* m = order == 0 ? nullptr : d.message(order);
  const Tag tag = m == nullptr ? Tag{} : peer_tag(d, *m);
  if (m == nullptr || m->message_id != receipt.ids.front() || is_swept(d, *m) ||
      !may_ask(d, *m, tag, receipt)) {
    ++d.counts.ignored;
    return send(d, in.ack);
  }
  const Tag named = m->contact;
  const auto device = receipt.from.device;
  Resend wanted{order,        m->to,  d.conversation(tag).peer.lid,
                d.env().mono, device, receipt.retry_count,
                {},           in.ack};
  renew_session(d, tag, receipt);
  forget_older(d, named, order, device);
  if (usable_ratchet(d.conversation(tag), device)) return resend(d, wanted, tag);
  if (!has_room(d)) {
    ++d.counts.ignored;
    return send(d, in.ack);
  }
  d.now().resends[named].push_back(std::move(wanted));
  continue_resends(d, named);
}

bool is_owed(const Draft& d, Order order) {
  const auto& owed = d.profile().owed;
  return std::find(owed.begin(), owed.end(), order) != owed.end();
}

namespace {

void wait_for_the_rest(Draft& d, const Message& m, std::string phash) {
  const Tag named = m.contact;
  d.now().resends[named].push_back({m.order, m.to, d.conversation(peer_tag(d, m)).peer.lid,
                                    d.env().mono, std::nullopt, 0, std::move(phash), std::nullopt});
}

}  // namespace

void owe_the_rest(Draft& d, Order order, const whatsapp::Ack& ack) {
  const Message& m = *d.message(order);
  if (ack.phash.empty() || m.reached.empty() || m.text.empty()) return;
  const Tag tag = peer_tag(d, m);
  const Conversation& conversation = d.conversation(tag);
  auto known = d.now().phashes.find(m.contact);
  if (!conversation.exists || (known != d.now().phashes.end() && known->second == ack.phash))
    return;
  std::vector<stanza::Jid> devices;
  for (const auto& r : m.reached)
    devices.push_back(stanza::Jid::lid(conversation.peer.lid, r.device));
  if (whatsapp::participants_hash(std::move(devices)) == ack.phash) return;
  if (d.profile().owed.size() >= d.env().limits.resends || !has_room(d)) return;
  d.edit_profile().owed.push_back(order);
  d.edit_conversation(tag).peer.fetched_ms = 0;
  d.contact_changed(tag);
  wait_for_the_rest(d, m, ack.phash);
  continue_resends(d, m.contact);
}

// Other acks of the same id are those of answers to single devices; before the rest has left there
// is nothing to settle.
void rest_acked(Draft& d, Order order, const whatsapp::Ack& ack) {
  const Message& m = *d.message(order);
  if (m.stanza.empty()) return;
  if (is_swept(d, m)) return owe_no_more(d, order);
  if (ack.error != 0) {
    for (const auto& r : std::vector<Reached>(m.reached))
      if (r.rest && !r.delivered) leave_out(d, order, r.device);
  }
  auto reached = d.message(order)->reached;
  for (auto& r : reached) r.rest = false;
  d.set_reached(order, std::move(reached));
  owe_no_more(d, order);
}

void pay_what_is_owed(Draft& d) {
  for (auto order : std::vector<Order>(d.profile().owed)) {
    const Message* m = d.message(order);
    if (m != nullptr && is_swept(d, *m)) m = nullptr;
    if (m != nullptr && !m->stanza.empty()) {
      d.effects.send.push_back(m->stanza);
      ++d.counts.resent;
    } else if (m != nullptr && !m->text.empty()) {
      wait_for_the_rest(d, *m, {});
    } else {
      owe_no_more(d, order);
    }
  }
}

void continue_resends(Draft& d, const Tag& named) {
  auto it = d.now().resends.find(named);
  if (it == d.now().resends.end()) return;
  const auto found = resolve(d, it->second.front().to, named);
  if (found.reach == Reach::kPending) return;
  auto list = std::move(it->second);
  d.now().resends.erase(it);
  for (const auto& r : list) {
    if (!r.device) {
      send_rest(d, r, found);
    } else if (found.reach == Reach::kReady) {
      resend(d, r, found.peer);
    } else {
      leave_out(d, r.order, *r.device);
      answer(d, r.ack);
    }
  }
}

void continue_all_resends(Draft& d) {
  std::vector<Tag> contacts;
  for (const auto& [named, list] : d.now().resends) contacts.push_back(named);
  for (const auto& named : contacts) continue_resends(d, named);
}

// Whose keys do not come within the time is left out.
void expire_resends(Draft& d) {
  const auto before = d.env().mono - d.env().limits.waiting_timeout;
  for (auto it = d.now().resends.begin(); it != d.now().resends.end();) {
    std::vector<Resend> late;
    std::erase_if(it->second, [&](Resend& r) {
      if (r.since > before) return false;
      late.push_back(std::move(r));
      return true;
    });
    it = it->second.empty() ? d.now().resends.erase(it) : std::next(it);
    for (const auto& r : late) {
      if (r.device) {
        leave_out(d, r.order, *r.device);
        answer(d, r.ack);
      } else {
        owe_no_more(d, r.order);
      }
    }
  }
}

// Receipts come again on the next link; what is owed stands in the profile.
void drop_resends(Draft& d) { d.now().resends.clear(); }

bool is_swept(const Draft& d, const Message& m) {
  return message::is_settled(m.state) && m.created + d.env().limits.retention <= d.env().wall;
}

void drop_owed(Draft& d) {
  for (auto order : std::vector<Order>(d.profile().owed)) owe_no_more(d, order);
}

void drop_unacked(Draft& d) {
  for (auto order : std::exchange(d.now().unacked, {}))
    if (d.message(order) != nullptr) forget_if_delivered(d, order);
}

void forget_if_delivered(Draft& d, Order order) {
  const Message& m = *d.message(order);
  const bool all =
      !m.reached.empty() && std::all_of(m.reached.begin(), m.reached.end(),
                                        [](const auto& r) { return r.delivered || r.told; });
  if (!all || m.forgotten || is_swept(d, m) || !message::is_settled(m.state) ||
      d.now().unacked.contains(order) || is_owed(d, order))
    return;
  d.forget_text(order);
}

}  // namespace gw::user
