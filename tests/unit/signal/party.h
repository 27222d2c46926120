#pragma once

// One side of a conversation: an engine and rows in memory, as a user or a phone would have them.

#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <random>
#include <string>

#include "signal/signal.h"

namespace gw::signal {

inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* given = std::getenv("GW_SEED");
    const std::uint64_t s = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "GW_SEED=" << s << std::endl;
    return s;
  }();
  return value;
}

class Party final : public Reader {
 public:
  explicit Party(std::string name, std::uint16_t device = 0, std::size_t prekey_count = 5)
      : address_{std::move(name), device},
        identity_(generate_identity()),
        signed_(generate_signed_prekey(identity_, 7)) {
    for (auto& made : generate_prekeys(1, prekey_count)) prekeys_.emplace(made.id, made);
  }

  const Identity& identity() const override { return identity_; }
  const Bytes* ratchet(const Address& remote) const override { return find(ratchets, remote); }
  const PreKey* prekey(std::uint32_t id) const override { return find(prekeys_, id); }
  const SignedPreKey* signed_prekey(std::uint32_t id) const override {
    return id == signed_.id ? &signed_ : nullptr;
  }
  const Key32* remote_identity(const Address& remote) const override {
    return find(identities, remote);
  }

  const Address& address() const { return address_; }

  // The bundle that a server would hand out: each one-time prekey once.
  Bundle bundle() {
    Bundle out = bundle_without_prekey();
    const auto& next = prekeys_.at(next_prekey_++);
    out.one_time = Bundle::OneTime{next.id, next.keys.pub};
    return out;
  }
  Bundle bundle_without_prekey() const {
    return {identity_.registration_id, identity_.keys.pub, signed_.id,
            signed_.keys.pub,          signed_.signature,  std::nullopt};
  }

  void apply(const Address& remote, const Writes& writes) {
    if (writes.ratchet) ratchets[remote] = *writes.ratchet;
    if (writes.spent_prekey) prekeys_.erase(*writes.spent_prekey);
    if (writes.remote_identity) identities[remote] = *writes.remote_identity;
  }
  void start(Party& with) { start(with, with.bundle()); }
  void start(const Party& with, const Bundle& bundle) {
    auto writes = engine.start(*this, with.address(), bundle);
    ASSERT_TRUE(writes) << writes.error().reason << writes.error().message;
    apply(with.address(), *writes);
  }

  Encrypted seal(const Party& to, std::string_view text) {
    auto sealed = engine.encrypt(*this, to.address(), as_bytes(text));
    EXPECT_TRUE(sealed) << sealed.error().reason << sealed.error().message;
    if (!sealed) return {};
    apply(to.address(), sealed->writes);
    return std::move(*sealed);
  }
  // The text, or the reason why there is none; what was written is kept.
  std::string open(const Party& from, CipherType type, ByteView ciphertext) {
    auto opened = engine.decrypt(*this, from.address(), type, ciphertext);
    if (!opened) return std::string(opened.error().reason);
    apply(from.address(), opened->writes);
    return to_string(opened->plaintext);
  }
  std::string open(const Party& from, const Encrypted& sealed) {
    return open(from, sealed.type, sealed.ciphertext);
  }

  Engine engine;
  std::map<Address, Bytes> ratchets;
  std::map<Address, Key32> identities;

  std::map<std::uint32_t, PreKey>& prekeys() { return prekeys_; }
  SignedPreKey& signed_prekey() { return signed_; }

 private:
  template <class Map>
  static const typename Map::mapped_type* find(const Map& map, const typename Map::key_type& key) {
    const auto at = map.find(key);
    return at == map.end() ? nullptr : &at->second;
  }

  Address address_;
  Identity identity_;
  SignedPreKey signed_;
  std::map<std::uint32_t, PreKey> prekeys_;
  std::uint32_t next_prekey_ = 1;
};

// Both have spoken: what follows is "msg" in both directions.
inline void converse(Party& a, Party& b) {
  a.start(b);
  ASSERT_EQ(b.open(a, a.seal(b, "hello")), "hello");
  ASSERT_EQ(a.open(b, b.seal(a, "hello yourself")), "hello yourself");
}

}  // namespace gw::signal
