#include "whatsapp_sim/keystore.h"

#include <algorithm>

namespace gw::sim {

KeyStore::Outcome KeyStore::put(const Upload& upload) {
  Outcome outcome;
  if (ever_published_ && identity_ != upload.identity) {
    // Another installation: nothing of the old one may be handed out any more.
    outcome.identity_changed = true;
    one_time_.clear();
    waiting_ids_.clear();
    handed_.clear();
  }
  published_ = ever_published_ = true;
  registration_id_ = upload.registration_id;
  identity_ = upload.identity;
  signed_ = upload.signed_key;
  for (const auto& key : upload.one_time) {
    if (auto before = handed_.find(key.id); before != handed_.end()) {
      ++(before->second == key.key ? outcome.repeated : outcome.reused_ids);
      continue;
    }
    if (waiting_ids_.insert(key.id).second) {
      one_time_.push_back(key);
      continue;
    }
    // Baileys 6 publishes twice at a time under the same ids, and keeps the second ones.
    *std::find_if(one_time_.begin(), one_time_.end(),
                  [&](const auto& k) { return k.id == key.id; }) = key;
  }
  return outcome;
}

void KeyStore::withdraw() {
  published_ = false;
  one_time_.clear();
  waiting_ids_.clear();
}

std::optional<KeyStore::Handed> KeyStore::take(bool with_one_time) {
  if (!published_) return std::nullopt;
  Handed handed;
  auto& bundle = handed.bundle;
  bundle.registration_id = registration_id_;
  bundle.identity = identity_;
  bundle.signed_prekey_id = signed_.id;
  bundle.signed_prekey = signed_.key;
  bundle.signed_prekey_signature = signed_.signature;
  if (with_one_time && !one_time_.empty()) {
    bundle.one_time = one_time_.front();
    one_time_.pop_front();
    waiting_ids_.erase(bundle.one_time->id);
    handed.handed_before = !handed_.emplace(bundle.one_time->id, bundle.one_time->key).second;
  }
  return handed;
}

}  // namespace gw::sim
