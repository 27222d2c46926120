#include "user/concerns.h"

namespace gw::user {

const Bytes* PeerReader::ratchet(const signal::Address& remote) const {
  auto it = peer_.ratchets.find(remote.device);
  return it == peer_.ratchets.end() || it->second.empty() ? nullptr : &it->second;
}

const signal::SignedPreKey* PeerReader::signed_prekey(std::uint32_t id) const {
  const auto& profile = draft_.profile();
  if (profile.signed_prekey.id == id) return &profile.signed_prekey;
  for (const auto& old : profile.old_signed_prekeys)
    if (old.key.id == id) return &old.key;
  return nullptr;
}

const crypto::Key32* PeerReader::remote_identity(const signal::Address& remote) const {
  const Device* device = peer_.peer.device(remote.device);
  return device == nullptr || !device->identity ? nullptr : &*device->identity;
}

message::Contact name_of(const Peer& peer) {
  if (!peer.e164.empty()) return {message::Contact::Kind::kE164, peer.e164};
  return {message::Contact::Kind::kLid, peer.lid};
}

void renewed(Draft& d, const Tag& peer, std::uint16_t device) {
  const Device* known = d.conversation(peer).peer.device(device);
  if (known == nullptr || !known->renew) return;
  d.edit_conversation(peer).peer.device(device)->renew = false;
  d.contact_changed(peer);
}

void take_writes(Draft& d, const Tag& peer, std::uint16_t device, signal::Writes writes) {
  if (writes.ratchet) d.put_ratchet(peer, device, *std::move(writes.ratchet));
  if (writes.spent_prekey) d.spend_prekey(*writes.spent_prekey);
  if (!writes.remote_identity) return;
  const Device* known = d.conversation(peer).peer.device(device);
  if (known != nullptr && known->identity == writes.remote_identity) return;
  Peer& p = d.edit_conversation(peer).peer;
  if (known == nullptr) p.devices.push_back({device, {}});
  p.device(device)->identity = writes.remote_identity;
  d.contact_changed(peer);
  if (writes.identity_changed) d.add_event(message::IdentityChanged{name_of(p)});
}

}  // namespace gw::user
