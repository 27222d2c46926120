#include "whatsapp_sim/violations.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "crypto/crypto.h"

namespace gw::sim {
namespace {

std::uint64_t short_hash(ByteView data) {
  auto full = crypto::sha256(data);
  return get_be<8>(full);
}

std::array<std::uint8_t, 16> digest_of(ByteView data) {
  auto full = crypto::sha256(data);
  std::array<std::uint8_t, 16> digest;
  std::copy_n(full.begin(), digest.size(), digest.begin());
  return digest;
}

}  // namespace

void Violations::add(std::string_view kind, std::string detail) {
  auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  list_.push_back({std::string(kind), std::move(detail), now.count()});
}

nlohmann::json Violations::to_json() const {
  auto items = nlohmann::json::array();
  for (const auto& v : list_) {
    items.push_back({{"kind", v.kind}, {"detail", v.detail}, {"at", v.at_ms}});
  }
  return {{"count", list_.size()}, {"violations", std::move(items)}};
}

std::size_t FarSide::DigestHash::operator()(const Digest& d) const {
  std::size_t h;
  std::memcpy(&h, d.data(), sizeof h);
  return h;
}

FarSide::Verdict FarSide::observe(const Seen& seen) {
  auto content = short_hash(seen.ciphertext);
  // A header that cannot be read is the receiver's affair: to a server the content is opaque.
  if (auto header = signal::read_header(seen.type, seen.ciphertext)) {
    check_key(seen, *header, content);
    if (header->prekey_id) check_prekey(seen, *header->prekey_id);
  }
  auto name = name_of(seen);
  auto [it, fresh] = contents_.emplace(name, content);
  if (fresh) return Verdict::kNew;
  if (it->second == content) return Verdict::kRepeat;
  if (auto asked = retries_.find(name); asked != retries_.end()) {
    if (--asked->second == 0) retries_.erase(asked);
    it->second = content;
    return Verdict::kNew;
  }
  violations_.add("id_with_two_contents", "device " + std::to_string(seen.sender) + " to " +
                                              std::to_string(seen.receiver) + ", id " +
                                              std::string(seen.message_id));
  return Verdict::kContradicts;
}

FarSide::Digest FarSide::name_of(const Seen& seen) {
  Bytes name;
  put_be<4>(name, seen.sender);
  put_be<4>(name, seen.receiver);
  append(name, as_bytes(seen.message_id));
  return digest_of(name);
}

void FarSide::retry_asked(std::uint32_t sender, std::uint32_t receiver,
                          std::string_view message_id) {
  Seen seen;
  seen.sender = sender;
  seen.receiver = receiver;
  seen.message_id = message_id;
  ++retries_[name_of(seen)];
}

void FarSide::check_key(const Seen& seen, const signal::Header& header, std::uint64_t content) {
  Bytes name;
  put_be<4>(name, seen.sender);
  put_be<4>(name, seen.receiver);
  put_be<4>(name, header.counter);
  append(name, header.ratchet_key);
  auto [it, fresh] = keys_.emplace(digest_of(name), content);
  if (fresh || it->second == content) return;
  violations_.add("message_key_used_twice", "device " + std::to_string(seen.sender) + " to " +
                                                std::to_string(seen.receiver) + ", counter " +
                                                std::to_string(header.counter) + ", id " +
                                                std::string(seen.message_id));
}

void FarSide::check_prekey(const Seen& seen, std::uint32_t prekey) {
  auto [it, fresh] = prekeys_.emplace(std::uint64_t{seen.receiver} << 32 | prekey, seen.sender);
  if (fresh || it->second == seen.sender) return;
  violations_.add("prekey_used_by_two", "prekey " + std::to_string(prekey) + " of device " +
                                            std::to_string(seen.receiver));
}

void FarSide::forget_prekeys(std::uint32_t receiver) {
  std::erase_if(prekeys_, [&](const auto& item) { return item.first >> 32 == receiver; });
}

}  // namespace gw::sim
