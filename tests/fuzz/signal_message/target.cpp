// Octets from anybody, as a "msg" of a known device, as a "pkmsg" of it and of a stranger, as a
// header to read and as a padded text. Nothing may crash, and nothing that comes from outside is a
// fault of the library.
//
// Corpus and record were made together: a sender with random keys started from this receiver's
// bundle, both spoke, and then the sender wrote the samples.

#include <cstdlib>

#include "base/encoding.h"
#include "signal/signal.h"

namespace gw::signal {
namespace {

constexpr std::string_view kRecord =
    "0af5030803122105a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a2091a2105776d28"
    "bd45d50c982a49e8a73b7dd922ece73a797ad8ccfba2c5be494c84df162220686a8c8bb1346198240830625533e1"
    "a6f8abbbe5fb64fd94c4d7ac0aaa442eb92800326b0a2105272581ee3884c38a10630ff81e8af2a5a43f7241601a"
    "d92e2ce56a6eb7e43752122090177a91362000fbb1aed41dade0c7100c5e73588e8b29f00bdf81e2e996777b1a24"
    "080112204351b1a6ec4f0d7265f7624144127133bd4392d27bd35b3df7c982bc487f0b293a490a210515fe062318"
    "4684f4397c865db6c4fd1e2a97421b7598e1e7bc665e7d9456ef6c1a2408011220c59b88a191e2bee21325726506"
    "88b683f1a0727d15a020b17939d3e8a4e174003aa3010a2105c194eb9ce38b06cb174d8749950f9cc3f5cd3e6b25"
    "27be402ff922f01ce3160d1a2408031220f062b693896e92fecdbbc7aadf14a53c77673917d4b9ce35847c497e4f"
    "407466225808011220f9f3a50992f5f353b12fc023ce366c09e8f318ff3b98f4c9ee3e16863c9673ec1a207e3a3e"
    "d7b1c625c2358a28809025be1946b733c93a4a6acd379a268667042feb2210fd2f9d114c48762af5a1d9159428f1"
    "c750c04158d20960006a210512ba1c4ea76db3e284ddf76482f54b0df936755fce56729a3ac46d687925b936";

class Receiver final : public Reader {
 public:
  Receiver()
      : identity_{pair(1), 1234},
        prekey_{5, pair(2)},
        signed_{7, pair(3), {}},
        record_(from_hex(kRecord).value()) {}

  const Identity& identity() const override { return identity_; }
  const Bytes* ratchet(const Address& remote) const override {
    return remote.name == "known" ? &record_ : nullptr;
  }
  const PreKey* prekey(std::uint32_t id) const override {
    return id == prekey_.id ? &prekey_ : nullptr;
  }
  const SignedPreKey* signed_prekey(std::uint32_t id) const override {
    return id == signed_.id ? &signed_ : nullptr;
  }
  const Key32* remote_identity(const Address&) const override { return nullptr; }

 private:
  static KeyPair pair(std::uint8_t fill) {
    Key32 secret;
    secret.fill(fill);
    return {secret, crypto::public_key(secret)};
  }

  Identity identity_;
  PreKey prekey_;
  SignedPreKey signed_;
  Bytes record_;
};

void require(bool holds) {
  if (!holds) std::abort();
}

void decrypt(Engine& engine, const Receiver& receiver, const Address& from, CipherType type,
             ByteView octets) {
  const auto opened = engine.decrypt(receiver, from, type, octets);
  if (!opened) {
    require(opened.error().kind == ErrorKind::kCorrupt);
    return;
  }
  require(opened->writes.ratchet.has_value());
  require(read_header(type, octets).has_value());
  // A pkmsg that was accepted spends what it names, unless its ratchet was there already.
  if (opened->writes.spent_prekey)
    require(read_header(type, octets)->prekey_id == opened->writes.spent_prekey);
}

}  // namespace
}  // namespace gw::signal

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gw;
  using namespace gw::signal;
  static const Receiver receiver;
  static Engine engine;
  const ByteView octets(data, size);
  const Address known{"known", 0}, stranger{"stranger", 0};
  for (const auto type : {CipherType::kMessage, CipherType::kPreKeyMessage}) {
    (void)read_header(type, octets);
    decrypt(engine, receiver, known, type, octets);
    decrypt(engine, receiver, stranger, type, octets);
  }
  Bytes padded = to_bytes(octets);
  if (unpad(padded)) require(size - padded.size() >= 1 && size - padded.size() <= 16);
  return 0;
}
