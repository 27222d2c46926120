#include "whatsapp_sim/phone_keys.h"

namespace gw::sim {
namespace {

template <class Map, class Key>
auto pointer_to(const Map& map, const Key& key) {
  auto it = map.find(key);
  return it == map.end() ? nullptr : &it->second;
}

}  // namespace

PhoneKeys::PhoneKeys()
    : identity_(signal::generate_identity()),
      signed_(signal::generate_signed_prekey(identity_, 1)) {}

const Bytes* PhoneKeys::ratchet(const signal::Address& remote) const {
  return pointer_to(ratchets_, remote);
}
const signal::PreKey* PhoneKeys::prekey(std::uint32_t id) const { return pointer_to(prekeys_, id); }
const signal::SignedPreKey* PhoneKeys::signed_prekey(std::uint32_t id) const {
  return id == signed_.id ? &signed_ : nullptr;
}
const crypto::Key32* PhoneKeys::remote_identity(const signal::Address& remote) const {
  return pointer_to(identities_, remote);
}

void PhoneKeys::apply(const signal::Address& remote, signal::Writes&& writes) {
  if (writes.ratchet) ratchets_[remote] = std::move(*writes.ratchet);
  if (writes.spent_prekey) prekeys_.erase(*writes.spent_prekey);
  if (writes.remote_identity) identities_[remote] = *writes.remote_identity;
}

KeyStore::Upload PhoneKeys::more(std::size_t count) {
  KeyStore::Upload upload;
  upload.registration_id = identity_.registration_id;
  upload.identity = identity_.keys.pub;
  upload.signed_key = {signed_.id, signed_.keys.pub, signed_.signature};
  for (auto& key : signal::generate_prekeys(next_id_, count)) {
    upload.one_time.push_back({key.id, key.keys.pub});
    prekeys_.emplace(key.id, std::move(key));
  }
  next_id_ += static_cast<std::uint32_t>(count);
  return upload;
}

const signal::PreKey& PhoneKeys::private_prekey() {
  auto keys = signal::generate_prekeys(next_id_, 1);
  ++next_id_;
  auto id = keys.front().id;
  return prekeys_.emplace(id, std::move(keys.front())).first->second;
}

}  // namespace gw::sim
