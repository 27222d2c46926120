#include <algorithm>
#include <cstdlib>
#include <utility>

#include "noise/noise.h"
#include "whatsapp/handshake.pb.h"

namespace gw::noise {
namespace {

using crypto::Key32;
using whatsapp::HandshakeMessage;

constexpr std::size_t kSealedKey = 32 + crypto::kGcmTagSize;

tl::unexpected<Error> malformed() { return fail(ErrorKind::kCorrupt, "NOISE_MALFORMED"); }

bool parse(HandshakeMessage& message, ByteView from) {
  return from.size() <= kMaxFrame &&
         message.ParseFromArray(from.data(), static_cast<int>(from.size()));
}

Bytes encode(const HandshakeMessage& message) {
  Bytes out(message.ByteSizeLong());
  message.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}

std::string text(ByteView bytes) { return to_string(bytes); }

// The caller has checked that there are 32 octets.
Key32 to_key(ByteView bytes) {
  Key32 key;
  std::copy_n(bytes.begin(), key.size(), key.begin());
  return key;
}

Result<void> mix_dh(SymmetricState& state, const Key32& secret, const Key32& pub) {
  auto shared = crypto::x25519(secret, pub);
  if (!shared) return fail(std::move(shared).error());
  state.mix_key(*shared);
  crypto::wipe(*shared);
  return {};
}

Result<Key32> read_static(SymmetricState& state, ByteView sealed) {
  GW_ASSIGN(Bytes plain, state.decrypt(sealed));
  return to_key(plain);
}

void require(bool holds) {
  if (!holds) std::abort();  // keys of an unfinished handshake would protect nothing
}

Transport make_transport(SymmetricState& state, bool initiator) {
  auto keys = state.split();
  state.wipe();
  Transport transport(initiator ? keys.initiator_to_responder : keys.responder_to_initiator,
                      initiator ? keys.responder_to_initiator : keys.initiator_to_responder);
  crypto::wipe(keys.initiator_to_responder);
  crypto::wipe(keys.responder_to_initiator);
  return transport;
}

}  // namespace

Initiator::Initiator(const crypto::KeyPair& static_key, const Key32& trusted_root)
    : Initiator(static_key, trusted_root, crypto::generate_key_pair()) {}

Initiator::Initiator(const crypto::KeyPair& static_key, const Key32& trusted_root,
                     const crypto::KeyPair& ephemeral)
    : static_(static_key), ephemeral_(ephemeral), root_(trusted_root), state_(kHeader) {
  state_.mix_hash(ephemeral_.pub);
}

Initiator::~Initiator() {
  crypto::wipe(static_.secret);
  crypto::wipe(ephemeral_.secret);
}

Bytes Initiator::client_hello() {
  HandshakeMessage message;
  message.mutable_client_hello()->set_ephemeral(text(ephemeral_.pub));
  return encode(message);
}

Result<Bytes> Initiator::read_server_hello(ByteView message, ByteView login, WallTime now) {
  if (std::exchange(step_, Step::kFailed) != Step::kFresh)
    return fail(ErrorKind::kBug, "NOISE_OUT_OF_ORDER");
  HandshakeMessage parsed;
  if (!parse(parsed, message)) return malformed();
  const auto& hello = parsed.server_hello();
  if (hello.ephemeral().size() != sizeof(Key32) || hello.static_().size() != kSealedKey ||
      hello.payload().size() < crypto::kGcmTagSize)
    return malformed();

  const Key32 their_ephemeral = to_key(as_bytes(hello.ephemeral()));
  state_.mix_hash(their_ephemeral);
  GW_TRY(mix_dh(state_, ephemeral_.secret, their_ephemeral));
  GW_ASSIGN(const Key32 their_static, read_static(state_, as_bytes(hello.static_())));
  GW_TRY(mix_dh(state_, ephemeral_.secret, their_static));
  GW_ASSIGN(const Bytes chain, state_.decrypt(as_bytes(hello.payload())));
  GW_TRY(verify_chain(chain, root_, their_static, now));

  HandshakeMessage answer;
  auto& finish = *answer.mutable_client_finish();
  finish.set_static_(text(state_.encrypt(static_.pub)));
  GW_TRY(mix_dh(state_, static_.secret, their_ephemeral));
  finish.set_payload(text(state_.encrypt(login)));
  step_ = Step::kDone;
  return encode(answer);
}

Transport Initiator::split() {
  require(std::exchange(step_, Step::kFailed) == Step::kDone);
  return make_transport(state_, true);
}

Responder::Responder(const crypto::KeyPair& static_key, Bytes chain)
    : Responder(static_key, std::move(chain), crypto::generate_key_pair()) {}

Responder::Responder(const crypto::KeyPair& static_key, Bytes chain,
                     const crypto::KeyPair& ephemeral)
    : static_(static_key), ephemeral_(ephemeral), chain_(std::move(chain)), state_(kHeader) {}

Responder::~Responder() {
  crypto::wipe(static_.secret);
  crypto::wipe(ephemeral_.secret);
}

Result<Bytes> Responder::read_client_hello(ByteView message) {
  if (std::exchange(step_, Step::kFailed) != Step::kFresh)
    return fail(ErrorKind::kBug, "NOISE_OUT_OF_ORDER");
  HandshakeMessage parsed;
  if (!parse(parsed, message)) return malformed();
  const auto& hello = parsed.client_hello();
  // A static or a payload this early is the IK pattern, whose hash would have to cover them.
  if (hello.ephemeral().size() != sizeof(Key32) || hello.has_static_() || hello.has_payload())
    return malformed();

  const Key32 their_ephemeral = to_key(as_bytes(hello.ephemeral()));
  state_.mix_hash(their_ephemeral);
  state_.mix_hash(ephemeral_.pub);
  GW_TRY(mix_dh(state_, ephemeral_.secret, their_ephemeral));
  HandshakeMessage answer;
  auto& server = *answer.mutable_server_hello();
  server.set_ephemeral(text(ephemeral_.pub));
  server.set_static_(text(state_.encrypt(static_.pub)));
  GW_TRY(mix_dh(state_, static_.secret, their_ephemeral));
  server.set_payload(text(state_.encrypt(chain_)));
  step_ = Step::kAnswered;
  return encode(answer);
}

Result<Responder::Client> Responder::read_client_finish(ByteView message) {
  if (std::exchange(step_, Step::kFailed) != Step::kAnswered)
    return fail(ErrorKind::kBug, "NOISE_OUT_OF_ORDER");
  HandshakeMessage parsed;
  if (!parse(parsed, message)) return malformed();
  const auto& finish = parsed.client_finish();
  if (finish.static_().size() != kSealedKey || finish.payload().size() < crypto::kGcmTagSize)
    return malformed();

  Client client;
  GW_ASSIGN(client.static_key, read_static(state_, as_bytes(finish.static_())));
  GW_TRY(mix_dh(state_, ephemeral_.secret, client.static_key));
  GW_ASSIGN(client.login, state_.decrypt(as_bytes(finish.payload())));
  step_ = Step::kDone;
  return client;
}

Transport Responder::split() {
  require(std::exchange(step_, Step::kFailed) == Step::kDone);
  return make_transport(state_, false);
}

}  // namespace gw::noise
