#include <algorithm>

#include "user/concerns.h"
#include "whatsapp/keys.h"

namespace gw::user {
namespace {

using Kind = message::Contact::Kind;

// What allows sending is trusted longer than what forbids it.
bool fresh(const Peer& peer, std::int64_t now_ms, const Limits& limits) {
  bool usable = peer.known && peer.opted_in && !peer.devices.empty();
  auto keep = usable ? limits.devices_fresh : limits.refusal_fresh;
  return peer.fetched_ms > 0 && now_ms - peer.fetched_ms < keep.count();
}

void ask_devices(Draft& d, const message::Contact& contact, const Tag& named) {
  auto& lookup = d.now().lookups[named];
  lookup.stage = Lookup::Stage::kDevices;
  lookup.contact = contact;
  auto jid = contact.kind == Kind::kLid ? stanza::Jid::lid(contact.value)
                                        : stanza::Jid::phone(contact.value.substr(1));
  auto sid = std::to_string(crypto::random_u64());
  d.effects.requests.push_back({RequestKind::kDevices, named, whatsapp::device_query({jid}, sid)});
}

bool was_left_out(Draft& d, const Tag& peer, std::uint16_t device) {
  auto it = d.now().left_out.find({peer, device});
  return it != d.now().left_out.end() &&
         unix_ms(d.env().wall) - it->second < d.env().limits.refusal_fresh.count();
}

void ask_keys(Draft& d, const message::Contact& contact, const Tag& named, const std::string& lid,
              const std::vector<std::uint16_t>& devices) {
  auto& lookup = d.now().lookups[named];
  lookup.stage = Lookup::Stage::kKeys;
  lookup.contact = contact;
  lookup.devices = devices;
  std::vector<stanza::Jid> jids;
  for (auto device : devices) jids.push_back(stanza::Jid::lid(lid, device));
  d.effects.requests.push_back({RequestKind::kKeys, named, whatsapp::key_query(jids)});
}

Error link_down() {
  return {ErrorKind::kRetryLater, "LINK_DOWN", "the user's link to WhatsApp is down", Millis{2000}};
}

// Takes the old ratchet's place; it stays in the record for what is still under way.
void start_ratchet(Draft& d, const Tag& tag, const std::string& lid,
                   const whatsapp::DeviceKeys& keys) {
  auto id = keys.device.device;
  if (!keys.bundle || keys.device.user != lid || !d.now().left_out.contains({tag, id})) return;
  auto writes = d.env().engine.start(PeerReader(d, d.conversation(tag)), {lid, id}, *keys.bundle);
  if (!writes) return;
  take_writes(d, tag, id, *std::move(writes));
  renewed(d, tag, id);
  d.now().left_out.erase({tag, id});
  ++d.counts.sessions_started;
}

void pause(Draft& d, const Tag& named, const Error& why) {
  auto it = d.now().lookups.find(named);
  if (it == d.now().lookups.end()) return;
  for (auto origin : it->second.queries) d.effects.query_replies.push_back({origin, fail(why)});
  it->second.queries.clear();
  if (!d.now().waiting.contains(named) && !d.now().resends.contains(named)) {
    d.now().lookups.erase(it);
    return;
  }
  it->second.stage = Lookup::Stage::kPaused;
  it->second.retry_at = d.env().mono + d.env().limits.lookup_retry;
}

ContactInfo info(const Draft& d, const message::Contact& asked, const Peer& peer) {
  ContactInfo out;
  out.contact = asked;
  out.lid = peer.lid;
  out.reachable = peer.known;
  out.opted_in = peer.opted_in;
  out.devices = static_cast<std::uint32_t>(peer.devices.size());
  const Device* main = peer.device(0);
  if (main != nullptr && main->identity) {
    const auto& profile = d.profile();
    out.safety_number = signal::safety_number(profile.identity.keys.pub, profile.user_id,
                                              *main->identity, peer.lid);
  }
  return out;
}

// The row that answers for a contact as named; nullptr when it has to be asked for.
const Peer* fresh_peer(Draft& d, const message::Contact& contact, const Tag& named, Tag& peer_tag) {
  auto now_ms = unix_ms(d.env().wall);
  const auto& limits = d.env().limits;
  peer_tag = named;
  if (contact.kind == Kind::kE164) {
    const Conversation& alias = d.conversation(named);
    if (!alias.exists || alias.peer.fetched_ms == 0) return nullptr;
    if (alias.peer.lid.empty())
      return now_ms - alias.peer.fetched_ms < limits.refusal_fresh.count() ? &alias.peer : nullptr;
    peer_tag = lid_tag(d, alias.peer.lid);
  }
  const Conversation& peer = d.conversation(peer_tag);
  return peer.exists && fresh(peer.peer, now_ms, limits) ? &peer.peer : nullptr;
}

void forget_removed_devices(Draft& d, const Tag& tag, const std::vector<std::uint16_t>& devices) {
  std::vector<std::uint16_t> gone;
  for (const auto& [device, record] : d.conversation(tag).ratchets)
    if (!record.empty() && !std::binary_search(devices.begin(), devices.end(), device))
      gone.push_back(device);
  for (auto device : gone) d.put_ratchet(tag, device, {});
}

void note_devices(Draft& d, const message::Contact& contact, const Tag& named,
                  const whatsapp::ContactDevices& found) {
  auto now_ms = unix_ms(d.env().wall);
  if (contact.kind == Kind::kE164) {
    Peer& alias = d.edit_conversation(named).peer;
    alias.lid = found.lid;
    alias.e164 = contact.value;
    alias.known = !found.lid.empty();
    alias.fetched_ms = now_ms;
    d.contact_changed(named);
  }
  if (found.lid.empty() && contact.kind == Kind::kE164) return;
  Tag tag = contact.kind == Kind::kLid ? named : lid_tag(d, found.lid);
  Peer& peer = d.edit_conversation(tag).peer;
  peer.lid = contact.kind == Kind::kLid ? contact.value : found.lid;
  if (contact.kind == Kind::kE164) peer.e164 = contact.value;
  peer.known = !found.lid.empty();
  peer.opted_in = found.opted_in;
  peer.fetched_ms = now_ms;
  std::vector<Device> devices;
  for (auto id : found.devices) {
    const Device* known = peer.device(id);
    devices.push_back(known != nullptr ? *known : Device{id, {}});
  }
  peer.devices = std::move(devices);
  forget_removed_devices(d, tag, found.devices);
  d.contact_changed(tag);
}

}  // namespace

Tag lid_tag(const Draft& d, const std::string& lid) {
  return d.env().names.contact(d.user(), {Kind::kLid, lid});
}

Resolved resolve(Draft& d, const message::Contact& contact, const Tag& named) {
  if (d.now().setup != Setup::kActive || d.now().lookups.contains(named)) return {};
  Tag tag{};
  const Peer* peer = fresh_peer(d, contact, named, tag);
  if (peer == nullptr) {
    ask_devices(d, contact, named);
    return {};
  }
  if (!peer->known) return {Reach::kUnknown};
  if (!peer->opted_in) return {Reach::kNotOptedIn};
  const Conversation& conversation = d.conversation(tag);
  std::vector<std::uint16_t> missing;
  bool any = false;
  for (const auto& device : peer->devices) {
    if (usable_ratchet(conversation, device.id)) {
      any = true;
    } else if (!was_left_out(d, tag, device.id)) {
      missing.push_back(device.id);
    }
  }
  if (!missing.empty()) {
    ask_keys(d, contact, named, peer->lid, missing);
    return {};
  }
  return {any ? Reach::kReady : Reach::kNoDevices, tag};
}

void on_query(Draft& d, const QueryInput& in) {
  auto named = d.env().names.contact(d.user(), in.contact);
  Tag tag{};
  if (const Peer* peer = fresh_peer(d, in.contact, named, tag))
    return d.effects.query_replies.push_back({in.origin, info(d, in.contact, *peer)});
  if (d.now().setup != Setup::kActive)
    return d.effects.query_replies.push_back({in.origin, fail(link_down())});
  // One that is paused does not let somebody wait who asks now.
  auto lookup = d.now().lookups.find(named);
  if (lookup == d.now().lookups.end() || lookup->second.stage == Lookup::Stage::kPaused)
    ask_devices(d, in.contact, named);
  d.now().lookups[named].queries.push_back(in.origin);
}

void on_devices(Draft& d, const Tag& named, const Result<stanza::Node>& answer) {
  auto it = d.now().lookups.find(named);
  if (it == d.now().lookups.end() || it->second.stage != Lookup::Stage::kDevices) return;
  if (!answer) return pause(d, named, answer.error());
  auto users = whatsapp::read_devices(*answer);
  if (!users) return pause(d, named, users.error());
  // One was asked for. An answer without it says that nobody has the number.
  auto found = users->empty() ? whatsapp::ContactDevices{} : users->front();
  Lookup lookup = std::move(it->second);
  d.now().lookups.erase(it);
  note_devices(d, lookup.contact, named, found);
  Tag tag{};
  const Peer* peer = fresh_peer(d, lookup.contact, named, tag);
  for (auto origin : lookup.queries)
    d.effects.query_replies.push_back(
        {origin, info(d, lookup.contact, peer != nullptr ? *peer : Peer{})});
  continue_resends(d, named);
  advance(d, named);
}

void on_keys(Draft& d, const Tag& named, const Result<stanza::Node>& answer) {
  auto it = d.now().lookups.find(named);
  if (it == d.now().lookups.end() || it->second.stage != Lookup::Stage::kKeys) return;
  if (!answer) return pause(d, named, answer.error());
  auto keys = whatsapp::read_keys(*answer);
  if (!keys) return pause(d, named, keys.error());
  Lookup lookup = std::move(it->second);
  d.now().lookups.erase(it);
  Tag tag{};
  const Peer* peer = fresh_peer(d, lookup.contact, named, tag);
  if (peer != nullptr) {
    const std::string lid = peer->lid;
    auto now_ms = unix_ms(d.env().wall);
    // Whoever was asked for and is still without a ratchet afterwards was not answered, or not
    // validly. One that came to need keys meanwhile is asked for next.
    for (auto device : lookup.devices)
      if (!usable_ratchet(d.conversation(tag), device)) d.now().left_out[{tag, device}] = now_ms;
    for (const auto& entry : *keys) start_ratchet(d, tag, lid, entry);
  }
  std::vector<std::uint64_t> queries = std::move(lookup.queries);
  peer = fresh_peer(d, lookup.contact, named, tag);
  for (auto origin : queries)
    d.effects.query_replies.push_back(
        {origin, info(d, lookup.contact, peer != nullptr ? *peer : Peer{})});
  continue_resends(d, named);
  advance(d, named);
}

void retry_lookups(Draft& d) {
  std::vector<Tag> due;
  for (const auto& [named, lookup] : d.now().lookups)
    if (lookup.stage == Lookup::Stage::kPaused && lookup.retry_at <= d.env().mono)
      due.push_back(named);
  for (const auto& named : due) {
    d.now().lookups.erase(named);
    continue_resends(d, named);
    advance(d, named);
  }
}

bool usable_ratchet(const Conversation& peer, std::uint16_t device) {
  auto it = peer.ratchets.find(device);
  if (it == peer.ratchets.end() || it->second.empty()) return false;
  const Device* known = peer.peer.device(device);
  return known == nullptr || !known->renew;
}

void forget_left_out(Draft& d) {
  auto now_ms = unix_ms(d.env().wall);
  std::erase_if(d.now().left_out, [&](const auto& entry) {
    return now_ms - entry.second >= d.env().limits.refusal_fresh.count();
  });
}

void drop_lookups(Draft& d) {
  for (auto& [named, lookup] : d.now().lookups)
    for (auto origin : lookup.queries)
      d.effects.query_replies.push_back({origin, fail(link_down())});
  d.now().lookups.clear();
}

}  // namespace gw::user
