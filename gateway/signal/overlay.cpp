#include "signal/overlay.h"

#include <curve.h>
#include <session_pre_key.h>

#include "crypto/check.h"
#include "signal/handles.h"

namespace gw::signal {
namespace {

int give(signal_buffer** out, ByteView octets) {
  *out = signal_buffer_create(octets.data(), octets.size());
  return *out ? SG_SUCCESS : SG_ERR_NOMEM;
}

int library_pair(signal_context* context, const KeyPair& keys, Ref<ec_key_pair>& pair) {
  Ref<ec_public_key> pub;
  Ref<ec_private_key> secret;
  const TypedKey point = typed(keys.pub);
  int rc = curve_decode_point(pub.out(), point.data(), point.size(), context);
  if (rc < 0) return rc;
  rc = curve_decode_private_point(secret.out(), keys.secret.data(), keys.secret.size(), context);
  if (rc < 0) return rc;
  return ec_key_pair_create(pair.out(), pub.get(), secret.get());
}

}  // namespace

// One operation concerns one remote device, so the addresses that the library passes are ignored.
struct StoreCalls {
  static OverlayStore& self(void* user) { return *static_cast<OverlayStore*>(user); }
  static Overlay& overlay(void* user) { return *self(user).overlay_; }

  static const Bytes* ratchet(void* user) {
    Overlay& now = overlay(user);
    if (now.ratchet) return &*now.ratchet;
    const Bytes* stored = now.reader.ratchet(now.remote);
    return stored && !stored->empty() ? stored : nullptr;
  }
  static int load_session(signal_buffer** record, signal_buffer** /*user_record*/,
                          const signal_protocol_address*, void* user) {
    const Bytes* stored = ratchet(user);
    if (!stored) return 0;
    const int rc = give(record, *stored);
    return rc < 0 ? rc : 1;
  }
  static int contains_session(const signal_protocol_address*, void* user) {
    return ratchet(user) ? 1 : 0;
  }
  static int store_session(const signal_protocol_address*, std::uint8_t* record, std::size_t size,
                           std::uint8_t*, std::size_t, void* user) {
    overlay(user).ratchet.emplace(record, record + size);
    return SG_SUCCESS;
  }

  static int load_prekey(signal_buffer** record, std::uint32_t id, void* user) {
    Overlay& now = overlay(user);
    const PreKey* found = now.reader.prekey(id);
    if (!found) return SG_ERR_INVALID_KEY_ID;
    Ref<ec_key_pair> pair;
    Ref<session_pre_key> prekey;
    int rc = library_pair(self(user).library_, found->keys, pair);
    if (rc < 0) return rc;
    rc = session_pre_key_create(prekey.out(), id, pair.get());
    if (rc < 0) return rc;
    now.read_prekey = id;
    return session_pre_key_serialize(record, prekey.get());
  }
  // What was read is what gets spent (Engine::decrypt): the library would keep id 2^24-1 for ever.
  static int remove_prekey(std::uint32_t, void*) { return SG_SUCCESS; }

  static int load_signed_prekey(signal_buffer** record, std::uint32_t id, void* user) {
    const SignedPreKey* found = overlay(user).reader.signed_prekey(id);
    if (!found) return SG_ERR_INVALID_KEY_ID;
    Ref<ec_key_pair> pair;
    Ref<session_signed_pre_key> prekey;
    int rc = library_pair(self(user).library_, found->keys, pair);
    if (rc < 0) return rc;
    rc = session_signed_pre_key_create(prekey.out(), id, 0, pair.get(), found->signature.data(),
                                       found->signature.size());
    if (rc < 0) return rc;
    return session_signed_pre_key_serialize(record, prekey.get());
  }

  static int identity_keys(signal_buffer** pub, signal_buffer** secret, void* user) {
    const Identity& mine = overlay(user).reader.identity();
    const int rc = give(pub, typed(mine.keys.pub));
    return rc < 0 ? rc : give(secret, mine.keys.secret);
  }
  static int registration_id(void* user, std::uint32_t* id) {
    *id = overlay(user).reader.identity().registration_id;
    return SG_SUCCESS;
  }
  // The engine reads the identity out of the new record: what the library would save here comes
  // from the unauthenticated part of a message. 1: it did not change, nothing to roll back.
  static int save_identity(const signal_protocol_address*, std::uint8_t*, std::size_t, void*) {
    return 1;
  }
  static int trusted(const signal_protocol_address*, std::uint8_t*, std::size_t, void*) {
    return 1;
  }
};

OverlayStore::OverlayStore(signal_context* context) : library_(context) {
  // Only what the library's one-to-one sessions call; the rest stays empty.
  signal_protocol_session_store sessions{};
  sessions.load_session_func = StoreCalls::load_session;
  sessions.store_session_func = StoreCalls::store_session;
  sessions.contains_session_func = StoreCalls::contains_session;
  sessions.user_data = this;
  signal_protocol_pre_key_store prekeys{};
  prekeys.load_pre_key = StoreCalls::load_prekey;
  prekeys.remove_pre_key = StoreCalls::remove_prekey;
  prekeys.user_data = this;
  signal_protocol_signed_pre_key_store signed_prekeys{};
  signed_prekeys.load_signed_pre_key = StoreCalls::load_signed_prekey;
  signed_prekeys.user_data = this;
  signal_protocol_identity_key_store identities{};
  identities.get_identity_key_pair = StoreCalls::identity_keys;
  identities.get_local_registration_id = StoreCalls::registration_id;
  identities.save_identity = StoreCalls::save_identity;
  identities.is_trusted_identity = StoreCalls::trusted;
  identities.user_data = this;
  crypto::require(
      signal_protocol_store_context_create(&store_, context) == SG_SUCCESS &&
          signal_protocol_store_context_set_session_store(store_, &sessions) == SG_SUCCESS &&
          signal_protocol_store_context_set_pre_key_store(store_, &prekeys) == SG_SUCCESS &&
          signal_protocol_store_context_set_signed_pre_key_store(store_, &signed_prekeys) ==
              SG_SUCCESS &&
          signal_protocol_store_context_set_identity_key_store(store_, &identities) == SG_SUCCESS,
      "no store context of libsignal-protocol-c");
}

OverlayStore::~OverlayStore() { signal_protocol_store_context_destroy(store_); }

}  // namespace gw::signal
