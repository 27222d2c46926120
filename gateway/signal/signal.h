#pragma once

// The Signal protocol (version 3: X3DH and Double Ratchet, no Kyber) over libsignal-protocol-c.
//
// Pure: an operation reads through a Reader and returns what it wrote; on error nothing was
// written. Records are opaque octets (libsignal's serialised session record). An Engine belongs to
// one thread. Each operation concerns one remote device.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/crypto.h"

namespace gw::signal {

using crypto::Key32;
using crypto::KeyPair;

// The remote device that a ratchet is with. `name` only has to be unique (a LID's user part).
struct Address {
  std::string name;
  std::uint16_t device = 0;
  auto operator<=>(const Address&) const = default;
};

struct Identity {
  KeyPair keys;
  std::uint32_t registration_id = 0;  // 1..16380
};
inline constexpr std::uint32_t kMaxPrekeyId = 0xffffff;

struct PreKey {
  std::uint32_t id = 0;  // 1..2^24-1; 0 reads as absent in other implementations
  KeyPair keys;
};
struct SignedPreKey {
  std::uint32_t id = 0;
  KeyPair keys;
  crypto::Signature signature{};  // XEdDSA by the identity over 0x05 || public key
};

// What a remote device publishes. Public keys without the 0x05 type octet.
struct Bundle {
  std::uint32_t registration_id = 0;
  Key32 identity{};
  std::uint32_t signed_prekey_id = 0;
  Key32 signed_prekey{};
  crypto::Signature signed_prekey_signature{};
  struct OneTime {
    std::uint32_t id = 0;
    Key32 key{};
  };
  std::optional<OneTime> one_time;
};

enum class CipherType : std::uint8_t { kMessage, kPreKeyMessage };  // enc type "msg", "pkmsg"

// What the caller has. References stay valid for the operation.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual const Identity& identity() const = 0;
  virtual const Bytes* ratchet(const Address& remote) const = 0;  // nullptr: none
  virtual const PreKey* prekey(std::uint32_t id) const = 0;       // nullptr: unknown or spent
  virtual const SignedPreKey* signed_prekey(std::uint32_t id) const = 0;
  virtual const Key32* remote_identity(const Address& remote) const = 0;  // nullptr: first contact
};

// What an operation wrote: to be committed with its result, or dropped with it.
struct Writes {
  std::optional<Bytes> ratchet;               // the remote's new record
  std::optional<std::uint32_t> spent_prekey;  // one-time prekey to delete
  // As now known. Always there after start() and a "pkmsg", else only when Reader had another.
  std::optional<Key32> remote_identity;
  bool identity_changed = false;  // differs from what Reader had
};

struct Encrypted {
  CipherType type = CipherType::kMessage;
  Bytes ciphertext;
  Writes writes;
};
struct Decrypted {
  Bytes plaintext;
  Writes writes;
};

// Reasons of errors (kind CORRUPT unless said otherwise):
//   SIGNAL_DUPLICATE   this message key was used before: acknowledge again, never ask for a retry.
//                      Older than the remote's last five chains, a repeat reads as BAD_MESSAGE:
//                      only the caller's hashes of ciphertexts know it for what it is
//   SIGNAL_NO_RATCHET  a "msg" from a device that we have no ratchet with
//   SIGNAL_NO_PREKEY   the one-time or signed prekey that it names is unknown or spent
//   SIGNAL_BAD_MESSAGE malformed, bad MAC, wrong version, or more than 2,000 ahead
//   SIGNAL_BAD_BUNDLE  the bundle's signature or keys do not hold
//   SIGNAL_FAULT       (BUG) the library failed otherwise
class Engine {
 public:
  Engine();
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // A fresh ratchet from a fetched bundle (initiator). Verifies the signature. An older ratchet
  // with that device is archived in the record.
  Result<Writes> start(const Reader& reader, const Address& remote, const Bundle& bundle);
  // REJECTED SIGNAL_NO_RATCHET when there is none.
  Result<Encrypted> encrypt(const Reader& reader, const Address& remote, ByteView plaintext);
  Result<Decrypted> decrypt(const Reader& reader, const Address& remote, CipherType type,
                            ByteView ciphertext);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Identity generate_identity();
std::vector<PreKey> generate_prekeys(std::uint32_t first_id, std::size_t count);
SignedPreKey generate_signed_prekey(const Identity& identity, std::uint32_t id);
bool verify_signed_prekey(const Bundle& bundle);

// 60 digits in groups of five, the same on both sides: two users compare it to know that nobody is
// in between. `stable` names are compared byte for byte (their order does not matter).
std::string safety_number(const Key32& our_identity, std::string_view our_stable_name,
                          const Key32& their_identity, std::string_view their_stable_name);

// A ratchet message's public header, for whoever checks from the far side that no message key is
// used twice. CORRUPT SIGNAL_BAD_MESSAGE when malformed.
struct Header {
  Key32 ratchet_key{};
  std::uint32_t counter = 0;
  std::optional<std::uint32_t> prekey_id;  // of a "pkmsg" that names one
};
Result<Header> read_header(CipherType type, ByteView ciphertext);

// Padding of every E2E plaintext (enc v="2"): 1 to 16 octets, each holding their number.
void pad(Bytes& plaintext);
// CORRUPT SIGNAL_BAD_PADDING.
Result<void> unpad(Bytes& plaintext);

// True when the curve operations under libsignal-protocol-c are ours (libsodium), not its own.
bool curve_is_replaced();

}  // namespace gw::signal
