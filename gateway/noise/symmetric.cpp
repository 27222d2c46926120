#include <algorithm>

#include "noise/noise.h"
#include "noise/nonce.h"

namespace gw::noise {
namespace {

constexpr std::string_view kName = "Noise_XX_25519_AESGCM_SHA256";

// Two keys of one HKDF: what both MixKey and Split do.
void derive(const crypto::Key32& salt, ByteView ikm, crypto::Key32& first, crypto::Key32& second) {
  Bytes out = crypto::hkdf_sha256(ikm, salt, {}, 64);
  std::copy_n(out.begin(), 32, first.begin());
  std::copy_n(out.begin() + 32, 32, second.begin());
  crypto::wipe(out);
}

}  // namespace

SymmetricState::SymmetricState(ByteView prologue) {
  std::copy(kName.begin(), kName.end(), h_.begin());  // the rest stays zero: exactly 32 octets
  ck_ = k_ = h_;
  mix_hash(prologue);
}

SymmetricState::~SymmetricState() { wipe(); }

void SymmetricState::wipe() {
  crypto::wipe(ck_);
  crypto::wipe(k_);
}

void SymmetricState::mix_hash(ByteView data) { h_ = crypto::sha256(h_, data); }

void SymmetricState::mix_key(ByteView ikm) {
  derive(ck_, ikm, ck_, k_);
  n_ = 0;
}

Bytes SymmetricState::encrypt(ByteView plain) {
  Bytes sealed = crypto::gcm_seal(k_, nonce(n_++), h_, plain);
  mix_hash(sealed);
  return sealed;
}

Result<Bytes> SymmetricState::decrypt(ByteView sealed) {
  GW_ASSIGN(Bytes plain, crypto::gcm_open(k_, nonce(n_), h_, sealed));
  ++n_;
  mix_hash(sealed);
  return plain;
}

SymmetricState::Split SymmetricState::split() const {
  Split keys;
  derive(ck_, {}, keys.initiator_to_responder, keys.responder_to_initiator);
  return keys;
}

}  // namespace gw::noise
