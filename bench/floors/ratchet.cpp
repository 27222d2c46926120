#include "floors/ratchet.h"

#include <map>
#include <protocol.h>
#include <session_cipher.h>
#include <signal_protocol.h>
#include <stdexcept>
#include <vector>

#include "floors/cpu.h"
#include "signal/provider.h"
#include "signal/signal.h"

namespace gw::bench {
namespace {

constexpr int kMessages = 4000;
constexpr std::size_t kRecipient = 1;

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("ratchet floor: ") + what);
}

// The library's stores around one record in memory.
struct Party {
  signal::Identity identity = signal::generate_identity();
  Bytes record;

  static Party& self(void* user) { return *static_cast<Party*>(user); }
  static int load(signal_buffer** out, signal_buffer**, const signal_protocol_address*,
                  void* user) {
    const Bytes& record = self(user).record;
    *out = signal_buffer_create(record.data(), record.size());
    return 1;
  }
  static int store(const signal_protocol_address*, std::uint8_t* data, std::size_t size,
                   std::uint8_t*, std::size_t, void* user) {
    self(user).record.assign(data, data + size);
    return SG_SUCCESS;
  }
  static int contains(const signal_protocol_address*, void*) { return 1; }
  static int save_identity(const signal_protocol_address*, std::uint8_t*, std::size_t, void*) {
    return SG_SUCCESS;
  }
  static int trusted(const signal_protocol_address*, std::uint8_t*, std::size_t, void*) {
    return 1;
  }
};

class Cipher {
 public:
  Cipher(signal_context* context, Party& party) {
    signal_protocol_session_store sessions{};
    sessions.load_session_func = Party::load;
    sessions.store_session_func = Party::store;
    sessions.contains_session_func = Party::contains;
    sessions.user_data = &party;
    signal_protocol_identity_key_store identities{};
    identities.save_identity = Party::save_identity;
    identities.is_trusted_identity = Party::trusted;
    identities.user_data = &party;
    require(signal_protocol_store_context_create(&store_, context) == SG_SUCCESS &&
                signal_protocol_store_context_set_session_store(store_, &sessions) == SG_SUCCESS &&
                signal_protocol_store_context_set_identity_key_store(store_, &identities) ==
                    SG_SUCCESS &&
                session_cipher_create(&cipher_, store_, &address_, context) == SG_SUCCESS,
            "no cipher");
  }
  ~Cipher() {
    session_cipher_free(cipher_);
    signal_protocol_store_context_destroy(store_);
  }
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;
  session_cipher* get() const { return cipher_; }

 private:
  signal_protocol_address address_{"peer", 4, static_cast<std::int32_t>(kRecipient)};
  signal_protocol_store_context* store_ = nullptr;
  session_cipher* cipher_ = nullptr;
};

// Reads one side's keys and record for our own engine, which sets the conversation up.
class Side final : public signal::Reader {
 public:
  explicit Side(Party& party)
      : party_(party),
        signed_(signal::generate_signed_prekey(party.identity, 1)),
        prekey_(signal::generate_prekeys(1, 1).front()) {}
  const signal::Identity& identity() const override { return party_.identity; }
  const Bytes* ratchet(const signal::Address&) const override {
    return party_.record.empty() ? nullptr : &party_.record;
  }
  const signal::PreKey* prekey(std::uint32_t) const override { return &prekey_; }
  const signal::SignedPreKey* signed_prekey(std::uint32_t) const override { return &signed_; }
  const crypto::Key32* remote_identity(const signal::Address&) const override { return nullptr; }
  signal::Bundle bundle() const {
    return {party_.identity.registration_id,
            party_.identity.keys.pub,
            signed_.id,
            signed_.keys.pub,
            signed_.signature,
            signal::Bundle::OneTime{prekey_.id, prekey_.keys.pub}};
  }
  void take(signal::Writes writes) const {
    if (writes.ratchet) party_.record = *std::move(writes.ratchet);
  }

 private:
  Party& party_;
  signal::SignedPreKey signed_;
  signal::PreKey prekey_;
};

void converse(Party& a, Party& b) {
  signal::Engine engine;
  const signal::Address peer{"peer", 0};
  Side left(a), right(b);
  left.take(engine.start(left, peer, right.bundle()).value());
  for (auto [from, to] : {std::pair{&left, &right}, std::pair{&right, &left}}) {
    auto sealed = engine.encrypt(*from, peer, Bytes(10)).value();
    from->take(std::move(sealed.writes));
    to->take(engine.decrypt(*to, peer, sealed.type, sealed.ciphertext).value().writes);
  }
}

}  // namespace

RatchetFloor ratchet_floor(std::size_t text_size) {
  Party a, b;
  converse(a, b);
  signal::Provider provider;
  Cipher sender(provider.context(), a), receiver(provider.context(), b);
  const Bytes text(text_size + 16, 0x61);  // with WhatsApp's padding and protobuf
  std::vector<Bytes> sealed;
  sealed.reserve(kMessages);
  RatchetFloor floor;

  double start = thread_cpu_us();
  for (int i = 0; i < kMessages; ++i) {
    ciphertext_message* message = nullptr;
    require(session_cipher_encrypt(sender.get(), text.data(), text.size(), &message) == SG_SUCCESS,
            "not encrypted");
    const signal_buffer* bytes = ciphertext_message_get_serialized(message);
    sealed.emplace_back(signal_buffer_const_data(bytes),
                        signal_buffer_const_data(bytes) + signal_buffer_len(bytes));
    SIGNAL_UNREF(message);
  }
  floor.encrypt_us = (thread_cpu_us() - start) / kMessages;

  start = thread_cpu_us();
  for (const Bytes& bytes : sealed) {
    signal_message* message = nullptr;
    signal_buffer* plain = nullptr;
    require(signal_message_deserialize(&message, bytes.data(), bytes.size(), provider.context()) ==
                    SG_SUCCESS &&
                session_cipher_decrypt_signal_message(receiver.get(), message, nullptr, &plain) ==
                    SG_SUCCESS,
            "not decrypted");
    signal_buffer_free(plain);
    SIGNAL_UNREF(message);
  }
  floor.decrypt_us = (thread_cpu_us() - start) / kMessages;
  return floor;
}

}  // namespace gw::bench
