#pragma once

// Noise_XX_25519_AESGCM_SHA256 as WhatsApp's clients speak it, and the frames around it.
// Source: public clients (Baileys 7.0.0-rc14, whatsmeow 2026-08), see README.md. Pure; one object
// belongs to one connection and one thread.
//
//   initiator:  h.client_hello() -> hello;  h.read_server_hello(message, login, now) -> finish
//   responder:  h.read_client_hello(message) -> server hello;  h.read_client_finish(message)
//   both:       h.split() -> Transport
//
// A handshake object that failed stays failed; a call out of order is BUG "NOISE_OUT_OF_ORDER".

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "crypto/crypto.h"

namespace gw::noise {

// 'W' 'A' 6 3: once, before a client's first frame; mixed into the hash as the prologue.
inline constexpr std::array<std::uint8_t, 4> kHeader = {0x57, 0x41, 0x06, 0x03};
inline constexpr std::size_t kMaxFrame = (1u << 24) - 1;

// Cuts a byte stream into frames: 3 octets of big-endian length, then the payload.
class FrameReader {
 public:
  explicit FrameReader(std::size_t max_frame = kMaxFrame) : max_frame_(max_frame) {}
  // Takes what the socket gave. Buffers only an unfinished frame.
  // CORRUPT "FRAME_TOO_LONG" / "FRAME_EMPTY": the connection is to be closed; it stays that way,
  // and only the whole frames before the bad length can still be read.
  Result<void> feed(ByteView data);
  // The next whole frame's payload, valid until the next call of feed or next; nullopt: none yet.
  std::optional<std::span<std::uint8_t>> next();
  std::size_t buffered() const { return buffer_.size() - at_; }
  std::size_t memory() const { return buffer_.capacity(); }

 private:
  void let_go();

  std::size_t max_frame_;
  Bytes buffer_;
  std::size_t at_ = 0;       // everything before it was given out
  std::size_t checked_ = 0;  // where the next length to be checked begins; may lie behind the end
  std::string_view bad_;
};
// Appends length and payload. Precondition: payload.size() <= kMaxFrame.
void put_frame(Bytes& to, ByteView payload);

// The certificate chain a server shows. Times are unix seconds.
struct Certificate {
  std::uint32_t serial = 0;
  std::uint32_t issuer_serial = 0;
  crypto::Key32 key{};
  std::uint64_t not_before = 0;
  std::uint64_t not_after = 0;
};
// Encoded CertChain{leaf, intermediate}; for whoever plays the server.
Bytes make_chain(const crypto::Key32& root_secret, const crypto::Key32& intermediate_secret,
                 const Certificate& intermediate, const Certificate& leaf);
// The strict rules: both signatures 64 octets and valid, intermediate.issuer_serial 0,
// leaf.issuer_serial == intermediate.serial, leaf.key == server_static, both windows hold `now`.
// CORRUPT, in the order of checking; never accepts partly:
//   CERT_MALFORMED               no protobuf, a certificate or its 32-octet key is missing
//   CERT_SIGNATURE_SIZE          one of the signatures has not 64 octets
//   CERT_INTERMEDIATE_SIGNATURE  the root did not sign the intermediate
//   CERT_LEAF_SIGNATURE          the intermediate did not sign the leaf
//   CERT_INTERMEDIATE_ISSUER     intermediate.issuer_serial is not 0
//   CERT_LEAF_ISSUER             leaf.issuer_serial is not intermediate.serial
//   CERT_LEAF_KEY                leaf.key is not the static key of the handshake
//   CERT_NOT_YET_VALID           `now` is before one of the windows
//   CERT_EXPIRED                 `now` is behind one of the windows
Result<void> verify_chain(ByteView chain, const crypto::Key32& root,
                          const crypto::Key32& server_static, WallTime now);

// After the handshake. One counter a direction; 2^32 - 1 messages, then seal/open fail with
// REJECTED "NOISE_EXHAUSTED". A bad tag is CORRUPT "BAD_TAG": close the connection.
class Transport {
 public:
  // The counters are for tests; they begin at 0.
  Transport(const crypto::Key32& send, const crypto::Key32& receive, std::uint32_t sent = 0,
            std::uint32_t received = 0);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  Transport(Transport&&) noexcept;
  Transport& operator=(Transport&&) noexcept;
  // Appends a whole frame (length, ciphertext, tag) to `to`; `plain` must not lie in it.
  // REJECTED "FRAME_TOO_LONG" when it fits no frame.
  Result<void> seal_frame(ByteView plain, Bytes& to);
  // Opens a frame's payload in place; the view lies inside `payload`, which is wiped on BAD_TAG.
  Result<ByteView> open(std::span<std::uint8_t> payload);

 private:
  void close();

  crypto::Key32 send_key_, receive_key_;
  std::uint32_t sent_, received_;
};

// The symmetric state both sides share; used by them and by the test vectors.
class SymmetricState {
 public:
  explicit SymmetricState(ByteView prologue);
  ~SymmetricState();
  SymmetricState(const SymmetricState&) = default;
  SymmetricState& operator=(const SymmetricState&) = default;
  void mix_hash(ByteView data);
  void mix_key(ByteView ikm);
  Bytes encrypt(ByteView plain);
  Result<Bytes> decrypt(ByteView sealed);
  struct Split {
    crypto::Key32 initiator_to_responder, responder_to_initiator;
  };
  Split split() const;
  const crypto::Sha256& hash() const { return h_; }
  void wipe();  // the keys; the state is of no further use

 private:
  crypto::Sha256 h_{};
  crypto::Key32 ck_{}, k_{};
  std::uint32_t n_ = 0;
};

class Initiator {
 public:
  Initiator(const crypto::KeyPair& static_key, const crypto::Key32& trusted_root);
  // For tests: a chosen ephemeral.
  Initiator(const crypto::KeyPair& static_key, const crypto::Key32& trusted_root,
            const crypto::KeyPair& ephemeral);
  // The ClientHello message (no frame, no header around it).
  Bytes client_hello();
  // Checks the server's chain, then makes ClientFinish around `login`.
  // CORRUPT: NOISE_MALFORMED, WEAK_PUBLIC_KEY, BAD_TAG, CERT_*.
  Result<Bytes> read_server_hello(ByteView message, ByteView login, WallTime now);
  Transport split();  // once, after read_server_hello succeeded; anything else aborts

  ~Initiator();
  Initiator(const Initiator&) = default;
  Initiator& operator=(const Initiator&) = default;

 private:
  enum class Step : std::uint8_t { kFresh, kDone, kFailed };
  crypto::KeyPair static_, ephemeral_;
  crypto::Key32 root_;
  SymmetricState state_;
  Step step_ = Step::kFresh;
};

class Responder {
 public:
  Responder(const crypto::KeyPair& static_key, Bytes chain);
  Responder(const crypto::KeyPair& static_key, Bytes chain, const crypto::KeyPair& ephemeral);
  // -> the ServerHello message. CORRUPT: NOISE_MALFORMED, WEAK_PUBLIC_KEY.
  Result<Bytes> read_client_hello(ByteView message);
  struct Client {
    crypto::Key32 static_key{};
    Bytes login;
  };
  // CORRUPT: NOISE_MALFORMED, WEAK_PUBLIC_KEY, BAD_TAG.
  Result<Client> read_client_finish(ByteView message);
  Transport split();  // once, after read_client_finish succeeded; anything else aborts

  ~Responder();
  Responder(const Responder&) = default;
  Responder& operator=(const Responder&) = default;

 private:
  enum class Step : std::uint8_t { kFresh, kAnswered, kDone, kFailed };
  crypto::KeyPair static_, ephemeral_;
  Bytes chain_;
  SymmetricState state_;
  Step step_ = Step::kFresh;
};

}  // namespace gw::noise
