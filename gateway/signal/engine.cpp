#include <curve.h>
#include <protocol.h>
#include <session_builder.h>
#include <session_cipher.h>
#include <session_pre_key.h>

#include "crypto/check.h"
#include "signal/curve.h"
#include "signal/handles.h"
#include "signal/overlay.h"
#include "signal/provider.h"
#include "signal/record.h"
#include "signal/signal.h"
#include "signal/wire.h"

namespace gw::signal {
namespace {

struct FreeSession {
  void operator()(session_cipher* c) const { session_cipher_free(c); }
  void operator()(session_builder* b) const { session_builder_free(b); }
};

tl::unexpected<Error> corrupt(std::string_view reason, const char* message) {
  return fail(ErrorKind::kCorrupt, reason, message);
}

tl::unexpected<Error> fault(int rc) {
  return fail(ErrorKind::kBug, "SIGNAL_FAULT",
              "libsignal-protocol-c answered " + std::to_string(rc));
}

// `weak`: a point of small order was refused meanwhile, which the library reports as unknown.
tl::unexpected<Error> decrypt_error(int rc, bool weak) {
  switch (rc) {
    case SG_ERR_DUPLICATE_MESSAGE:
      return corrupt("SIGNAL_DUPLICATE", "this message key was used before");
    case SG_ERR_NO_SESSION:
      return corrupt("SIGNAL_NO_RATCHET", "no ratchet with this device");
    case SG_ERR_INVALID_KEY_ID:
      return corrupt("SIGNAL_NO_PREKEY", "the prekey is unknown or spent");
    case SG_ERR_INVALID_MESSAGE:
    case SG_ERR_INVALID_MAC:
    case SG_ERR_INVALID_VERSION:
    case SG_ERR_LEGACY_MESSAGE:
      return corrupt("SIGNAL_BAD_MESSAGE", "does not authenticate");
    default:
      if (weak) return corrupt("SIGNAL_BAD_MESSAGE", "weak key");
      return fault(rc);
  }
}

// The second encoding of a base key would make a replayed message look like a new ratchet's first.
bool canonical(const Key32& key) {
  if (key[31] & 0x80) return false;
  for (std::size_t i = 31; i > 0; --i)
    if (key[i] != (i == 31 ? 0x7f : 0xff)) return true;
  return key[0] < 0xed;  // below 2^255 - 19
}

int decode(const Key32& key, Ref<ec_public_key>& out, signal_context* context) {
  const TypedKey point = typed(key);
  return curve_decode_point(out.out(), point.data(), point.size(), context);
}

}  // namespace

struct Engine::Impl {
  Provider provider;
  OverlayStore store{provider.context()};
  // The library keeps a pointer to the address and only hands it back to the store (overlay.cpp),
  // so one cipher and one builder serve every operation.
  signal_protocol_address nobody{"", 0, 0};
  std::unique_ptr<session_cipher, FreeSession> cipher;
  std::unique_ptr<session_builder, FreeSession> builder;

  Impl() {
    session_cipher* c = nullptr;
    session_builder* b = nullptr;
    const bool made =
        session_cipher_create(&c, store.context(), &nobody, provider.context()) == SG_SUCCESS &&
        session_builder_create(&b, store.context(), &nobody, provider.context()) == SG_SUCCESS;
    cipher.reset(c);
    builder.reset(b);
    crypto::require(made, "no session cipher of libsignal-protocol-c");
  }

  int make_bundle(const Bundle& from, std::uint16_t device, Ref<session_pre_key_bundle>& out) const;
  int open(CipherType type, ByteView ciphertext, Buffer& plaintext);
  Result<Writes> settle(Overlay& overlay, bool handshake) const;
};

Engine::Engine() : impl_(std::make_unique<Impl>()) {}
Engine::~Engine() = default;

int Engine::Impl::make_bundle(const Bundle& from, std::uint16_t device,
                              Ref<session_pre_key_bundle>& out) const {
  Ref<ec_public_key> identity, signed_prekey, one_time;
  int rc = decode(from.identity, identity, provider.context());
  if (rc < 0) return rc;
  rc = decode(from.signed_prekey, signed_prekey, provider.context());
  if (rc < 0) return rc;
  // Others read id 0 as "none" and would leave this key out of the agreement: so do we.
  const bool has_one_time = from.one_time && from.one_time->id != 0;
  if (has_one_time) rc = decode(from.one_time->key, one_time, provider.context());
  if (rc < 0) return rc;
  return session_pre_key_bundle_create(
      out.out(), from.registration_id, device, has_one_time ? from.one_time->id : 0, one_time.get(),
      from.signed_prekey_id, signed_prekey.get(), from.signed_prekey_signature.data(),
      from.signed_prekey_signature.size(), identity.get());
}

// What the overlay holds becomes the operation's result.
Result<Writes> Engine::Impl::settle(Overlay& overlay, bool handshake) const {
  if (!overlay.ratchet) return fault(SG_ERR_UNKNOWN);
  if (const int rc = trim_record(*overlay.ratchet, kRecordBound, provider.context()); rc < 0)
    return fault(rc);
  const auto identity = remote_identity_of(*overlay.ratchet);
  if (!identity) return fault(SG_ERR_INVALID_KEY);
  Writes writes;
  const Key32* known = overlay.reader.remote_identity(overlay.remote);
  writes.identity_changed = known && *known != *identity;
  if (handshake || !known || writes.identity_changed) writes.remote_identity = identity;
  writes.spent_prekey = overlay.read_prekey;
  writes.ratchet = std::move(overlay.ratchet);
  return writes;
}

Result<Writes> Engine::start(const Reader& reader, const Address& remote, const Bundle& bundle) {
  Ref<session_pre_key_bundle> made;
  if (const int rc = impl_->make_bundle(bundle, remote.device, made); rc < 0) return fault(rc);
  Overlay overlay{reader, remote};
  const OverlayStore::Use use(impl_->store, overlay);
  const auto weak_before = curve_calls().weak_points;
  const int rc = session_builder_process_pre_key_bundle(impl_->builder.get(), made.get());
  if (rc == SG_ERR_INVALID_KEY) return corrupt("SIGNAL_BAD_BUNDLE", "the signature does not hold");
  if (rc < 0 && curve_calls().weak_points != weak_before)
    return corrupt("SIGNAL_BAD_BUNDLE", "weak key");
  if (rc < 0) return fault(rc);
  return impl_->settle(overlay, true);
}

Result<Encrypted> Engine::encrypt(const Reader& reader, const Address& remote, ByteView plaintext) {
  const Bytes* ratchet = reader.ratchet(remote);
  if (!ratchet || ratchet->empty())
    return fail(ErrorKind::kRejected, "SIGNAL_NO_RATCHET", "start one from a bundle first");
  Overlay overlay{reader, remote};
  const OverlayStore::Use use(impl_->store, overlay);
  Ref<ciphertext_message> message;
  const int rc = session_cipher_encrypt(impl_->cipher.get(), plaintext.data(), plaintext.size(),
                                        message.out());
  if (rc < 0) return fault(rc);
  Encrypted out;
  out.type = ciphertext_message_get_type(message.get()) == CIPHERTEXT_PREKEY_TYPE
                 ? CipherType::kPreKeyMessage
                 : CipherType::kMessage;
  out.ciphertext = to_bytes(view(ciphertext_message_get_serialized(message.get())));
  GW_ASSIGN(out.writes, impl_->settle(overlay, false));
  return out;
}

int Engine::Impl::open(CipherType type, ByteView ciphertext, Buffer& plaintext) {
  signal_buffer* out = nullptr;
  int rc = 0;
  if (type == CipherType::kPreKeyMessage) {
    Ref<pre_key_signal_message> message;
    rc = pre_key_signal_message_deserialize(message.out(), ciphertext.data(), ciphertext.size(),
                                            provider.context());
    if (rc < 0) return SG_ERR_INVALID_MESSAGE;
    rc = session_cipher_decrypt_pre_key_signal_message(cipher.get(), message.get(), nullptr, &out);
  } else {
    Ref<signal_message> message;
    rc = signal_message_deserialize(message.out(), ciphertext.data(), ciphertext.size(),
                                    provider.context());
    if (rc < 0) return SG_ERR_INVALID_MESSAGE;
    rc = session_cipher_decrypt_signal_message(cipher.get(), message.get(), nullptr, &out);
  }
  if (rc >= 0) plaintext.reset(out);
  return rc;
}

Result<Decrypted> Engine::decrypt(const Reader& reader, const Address& remote, CipherType type,
                                  ByteView ciphertext) {
  std::optional<Key32> claimed_identity;
  if (type == CipherType::kPreKeyMessage) {
    GW_ASSIGN(const auto outer, parse_prekey_message(ciphertext));
    if (!canonical(outer.base_key)) return corrupt("SIGNAL_BAD_MESSAGE", "base key");
    claimed_identity = outer.identity;
  } else {
    GW_TRY(parse_message(ciphertext));
  }
  Overlay overlay{reader, remote};
  const OverlayStore::Use use(impl_->store, overlay);
  const auto weak_before = curve_calls().weak_points;
  Buffer plaintext;
  const int rc = impl_->open(type, ciphertext, plaintext);
  if (rc < 0) return decrypt_error(rc, curve_calls().weak_points != weak_before);
  Decrypted out;
  GW_ASSIGN(out.writes, impl_->settle(overlay, claimed_identity.has_value()));
  // Under a base key that is known the library does not look at the identity that goes with it.
  if (claimed_identity && out.writes.remote_identity != claimed_identity)
    return corrupt("SIGNAL_BAD_MESSAGE", "identity");
  out.plaintext = to_bytes(view(plaintext.get()));
  return out;
}

bool curve_is_replaced() {
  const Provider provider;
  const KeyPair keys = crypto::generate_key_pair();
  const CurveCalls before = curve_calls();
  Ref<ec_public_key> pub;
  Ref<ec_private_key> secret;
  if (decode(keys.pub, pub, provider.context()) < 0 ||
      curve_decode_private_point(secret.out(), keys.secret.data(), keys.secret.size(),
                                 provider.context()) < 0)
    return false;
  std::uint8_t* shared = nullptr;
  if (curve_calculate_agreement(&shared, pub.get(), secret.get()) < 0) return false;
  crypto::wipe({shared, sizeof(Key32)});
  std::free(shared);
  static constexpr std::uint8_t kMessage[] = {1, 2, 3};
  signal_buffer* signature = nullptr;
  if (curve_calculate_signature(provider.context(), &signature, secret.get(), kMessage,
                                sizeof kMessage) < 0)
    return false;
  const Buffer owned(signature);
  const bool verified = curve_verify_signature(pub.get(), kMessage, sizeof kMessage,
                                               view(signature).data(), view(signature).size()) == 1;
  const CurveCalls& now = curve_calls();
  return verified && now.agreements == before.agreements + 1 &&
         now.signatures == before.signatures + 1 && now.verifications == before.verifications + 1;
}

}  // namespace gw::signal
