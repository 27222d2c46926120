// Our Signal room behind JSON lines, for the checks against Signal's own library.
//
// In: {"op": ..., "who": name of one of our parties, "with": the remote's name, ...}, octets in
// base64. Out, a line for each: the result, or {"error": reason}. Ops:
//   init                                -> identity, registration_id; and secret, for export only
//   bundle {one_time: bool}             -> what a server would publish
//   start {bundle}                      -> {}
//   encrypt {plaintext}                 -> type ("msg" or "pkmsg"), ciphertext
//   decrypt {type, ciphertext}          -> plaintext, spent_prekey (or null), identity_changed
//   record                              -> record
//   safety_number {identity}            -> digits; the names are who and with

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/encoding.h"
#include "signal/signal.h"

namespace gw::signal {
namespace {

using Json = nlohmann::json;

template <class T>
T value(Result<T> result) {
  if (!result) throw std::runtime_error(std::string(result.error().reason));
  return *std::move(result);
}

Bytes octets(const Json& in, const char* name) {
  auto decoded = from_base64(in.at(name).get<std::string>());
  if (!decoded) throw std::runtime_error(std::string(name) + " is no base64");
  return *std::move(decoded);
}
template <class Array>
Array fixed(const Json& in, const char* name) {
  const Bytes from = octets(in, name);
  Array out;
  if (from.size() != out.size()) throw std::runtime_error(std::string(name) + " has a wrong size");
  std::copy(from.begin(), from.end(), out.begin());
  return out;
}

class Party final : public Reader {
 public:
  Party() : identity_(generate_identity()), signed_(generate_signed_prekey(identity_, 9)) {
    for (auto& made : generate_prekeys(101, 50)) prekeys_.emplace(made.id, made);
  }

  const Identity& identity() const override { return identity_; }
  const Bytes* ratchet(const Address& remote) const override { return find(ratchets_, remote); }
  const PreKey* prekey(std::uint32_t id) const override { return find(prekeys_, id); }
  const SignedPreKey* signed_prekey(std::uint32_t id) const override {
    return id == signed_.id ? &signed_ : nullptr;
  }
  const Key32* remote_identity(const Address& remote) const override {
    return find(identities_, remote);
  }

  Json bundle(bool one_time) const {
    Json out{{"registration_id", identity_.registration_id},
             {"identity", to_base64(identity_.keys.pub)},
             {"signed_prekey_id", signed_.id},
             {"signed_prekey", to_base64(signed_.keys.pub)},
             {"signature", to_base64(signed_.signature)}};
    if (one_time) {
      const PreKey& first = prekeys_.begin()->second;
      out["one_time_id"] = first.id;
      out["one_time"] = to_base64(first.keys.pub);
    }
    return out;
  }

  Json start(const Address& remote, const Json& in) {
    Bundle bundle{in.at("registration_id"),
                  fixed<Key32>(in, "identity"),
                  in.at("signed_prekey_id"),
                  fixed<Key32>(in, "signed_prekey"),
                  fixed<crypto::Signature>(in, "signature"),
                  std::nullopt};
    if (in.contains("one_time"))
      bundle.one_time = Bundle::OneTime{in.at("one_time_id"), fixed<Key32>(in, "one_time")};
    apply(remote, value(engine_.start(*this, remote, bundle)));
    return Json::object();
  }
  Json encrypt(const Address& remote, const Json& in) {
    Encrypted sealed = value(engine_.encrypt(*this, remote, octets(in, "plaintext")));
    apply(remote, sealed.writes);
    return {{"type", sealed.type == CipherType::kMessage ? "msg" : "pkmsg"},
            {"ciphertext", to_base64(sealed.ciphertext)}};
  }
  Json decrypt(const Address& remote, const Json& in) {
    const auto type = in.at("type") == "pkmsg" ? CipherType::kPreKeyMessage : CipherType::kMessage;
    Decrypted opened = value(engine_.decrypt(*this, remote, type, octets(in, "ciphertext")));
    apply(remote, opened.writes);
    Json out{{"plaintext", to_base64(opened.plaintext)},
             {"spent_prekey", nullptr},
             {"identity_changed", opened.writes.identity_changed}};
    if (opened.writes.spent_prekey) out["spent_prekey"] = *opened.writes.spent_prekey;
    return out;
  }

 private:
  template <class Map>
  static const typename Map::mapped_type* find(const Map& map, const typename Map::key_type& key) {
    const auto at = map.find(key);
    return at == map.end() ? nullptr : &at->second;
  }
  void apply(const Address& remote, const Writes& writes) {
    if (writes.ratchet) ratchets_[remote] = *writes.ratchet;
    if (writes.spent_prekey) prekeys_.erase(*writes.spent_prekey);
    if (writes.remote_identity) identities_[remote] = *writes.remote_identity;
  }

  Engine engine_;
  Identity identity_;
  SignedPreKey signed_;
  std::map<std::uint32_t, PreKey> prekeys_;
  std::map<Address, Bytes> ratchets_;
  std::map<Address, Key32> identities_;
};

Json answer(std::map<std::string, Party>& parties, const Json& in) {
  const std::string op = in.at("op"), who = in.at("who"), with = in.value("with", "");
  Party& party = parties[who];
  const Address remote{with, 1};
  if (op == "init")
    return {{"identity", to_base64(party.identity().keys.pub)},
            {"secret", to_base64(party.identity().keys.secret)},
            {"registration_id", party.identity().registration_id}};
  if (op == "bundle") return party.bundle(in.at("one_time"));
  if (op == "start") return party.start(remote, in.at("bundle"));
  if (op == "encrypt") return party.encrypt(remote, in);
  if (op == "decrypt") return party.decrypt(remote, in);
  if (op == "record") {
    const Bytes* record = party.ratchet(remote);
    if (!record) throw std::runtime_error("no record");
    return {{"record", to_base64(*record)}};
  }
  if (op == "safety_number")
    return {{"digits",
             safety_number(party.identity().keys.pub, who, fixed<Key32>(in, "identity"), with)}};
  throw std::runtime_error("unknown op");
}

}  // namespace
}  // namespace gw::signal

int main() {
  using namespace gw::signal;
  if (!curve_is_replaced()) {
    std::cerr << "the curve under the library is not ours\n";
    return 1;
  }
  std::map<std::string, Party> parties;
  for (std::string line; std::getline(std::cin, line);) {
    Json out;
    try {
      out = answer(parties, Json::parse(line));
    } catch (const std::exception& error) {
      out = {{"error", error.what()}};
    }
    std::cout << out.dump() << std::endl;
  }
}
