#include "store/sealer.h"

#include <algorithm>
#include <array>

namespace gw::store {
namespace {

constexpr std::size_t kKekIdSize = 8;
constexpr std::size_t kWrappedSize = kKekIdSize + 12 + 32 + crypto::kGcmTagSize;
constexpr std::size_t kHeaderSize = 4 + 8 + 8;
constexpr std::size_t kOverhead = kHeaderSize + crypto::kGcmTagSize;

Bytes kek_id(const crypto::Key32& kek) {
  auto tag = crypto::tag16(kek, as_bytes("interop-gateway/kek-id"));
  return {tag.begin(), tag.begin() + kKekIdSize};
}

Bytes wrap_aad(KeyUse use, ByteView id) {
  Bytes aad = to_bytes(id);
  aad.push_back(static_cast<std::uint8_t>(use));
  return aad;
}

template <std::size_t N>
void store_be(std::uint8_t* to, std::uint64_t value) {
  for (std::size_t i = 0; i < N; ++i) to[i] = static_cast<std::uint8_t>(value >> (8 * (N - 1 - i)));
}

crypto::Nonce12 nonce_of(std::uint64_t counter) {
  crypto::Nonce12 nonce{};
  store_be<8>(nonce.data() + 4, counter);
  return nonce;
}

constexpr std::string_view kRowDamaged = "ROW_DAMAGED";

tl::unexpected<Error> damaged() {
  return fail(ErrorKind::kCorrupt, kRowDamaged,
              "a stored row is not what was written for its place: the database was changed from "
              "outside or is damaged; restore it from a backup");
}

}  // namespace

bool is_damaged_row(const Error& error) { return error.reason == kRowDamaged; }

Bytes wrap_key(const crypto::Key32& kek, KeyUse use, const crypto::Key32& key) {
  Bytes out = kek_id(kek);
  Bytes aad = wrap_aad(use, out);
  crypto::Nonce12 nonce;
  crypto::random_bytes(nonce);
  append(out, nonce);
  append(out, crypto::gcm_seal(kek, nonce, aad, key));
  return out;
}

Result<crypto::Secret32> unwrap_key(const crypto::Key32& kek, KeyUse use, ByteView wrapped) {
  if (wrapped.size() != kWrappedSize)
    return fail(ErrorKind::kCorrupt, "KEY_DAMAGED",
                "a stored key has the wrong size: restore the database from a backup");
  Bytes id = kek_id(kek);
  if (!equal(wrapped.first(kKekIdSize), id))
    return fail(ErrorKind::kConfig, "KEK_WRONG",
                "the database was written under another key-encryption key: configure that key; "
                "without it nothing that is stored can be read");
  crypto::Nonce12 nonce;
  std::copy_n(wrapped.begin() + kKekIdSize, nonce.size(), nonce.begin());
  crypto::Secret32 key;
  auto opened = crypto::gcm_open(kek, nonce, wrap_aad(use, id),
                                 wrapped.subspan(kKekIdSize + nonce.size()), key.get());
  if (!opened)
    return fail(ErrorKind::kCorrupt, "KEY_DAMAGED",
                "a stored key does not authenticate: restore the database from a backup");
  return key;
}

// Where a blob belongs: the associated data, and the version that goes into the header.
class Sealer::Place {
 public:
  Place(RowKind kind, UserRef user, Version at) {
    data_[0] = static_cast<std::uint8_t>(kind);
    store_be<2>(&data_[1], user.tenant);
    store_be<8>(&data_[3], static_cast<std::uint64_t>(user.uid));
    set_version(at);
  }
  Place&& with(const Tag& tag) && {
    std::copy(tag.begin(), tag.end(), data_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += tag.size();
    return std::move(*this);
  }
  Place&& with(std::int64_t number) && {
    store_be<8>(&data_[size_], static_cast<std::uint64_t>(number));
    size_ += 8;
    return std::move(*this);
  }
  void set_version(Version at) {
    version_ = at;
    store_be<8>(&data_[11], static_cast<std::uint64_t>(at));
  }
  Version version() const { return version_; }
  ByteView aad() const { return ByteView(data_).first(size_); }

 private:
  std::array<std::uint8_t, 19 + 16 + 8> data_{};
  std::size_t size_ = 19;
  Version version_ = 0;
};

Sealer::Sealer(const crypto::Key32& kek, std::uint64_t seals_per_key, FetchKey fetch)
    : kek_(kek), seals_per_key_(seals_per_key), fetch_(std::move(fetch)) {}

std::pair<crypto::Secret32, Bytes> Sealer::new_key() const {
  crypto::Secret32 key;
  crypto::random_bytes(key.get());
  return {key, wrap_key(kek_.get(), KeyUse::kData, key.get())};
}

void Sealer::use_key(std::uint32_t id, const crypto::Secret32& key) {
  auto live = std::make_unique<LiveKey>();
  live->id = id;
  live->key = key;
  std::lock_guard lock(mutex_);
  current_ = live.get();
  keys_.insert_or_assign(id, std::move(live));
}

Result<void> Sealer::seal_blob(const Place& place, Bytes& blob) {
  if (blob.empty()) return {};
  LiveKey& key = *current_.load();
  std::uint64_t counter = key.next.fetch_add(1, std::memory_order_relaxed);
  if (counter >= seals_per_key_ - seals_per_key_ / 4) wants_key_ = true;
  if (counter >= seals_per_key_) {
    crypto::wipe(blob);
    return fail(ErrorKind::kRetryLater, "DATA_KEY_SPENT", "another data key is on its way");
  }
  Bytes sealed(blob.size() + kOverhead);
  store_be<4>(&sealed[0], key.id);
  store_be<8>(&sealed[4], counter);
  store_be<8>(&sealed[12], static_cast<std::uint64_t>(place.version()));
  crypto::gcm_seal(key.key.get(), nonce_of(counter), place.aad(), blob,
                   std::span(sealed).subspan(kHeaderSize));
  crypto::wipe(blob);
  blob = std::move(sealed);
  return {};
}

Result<void> Sealer::seal(ChangeSet& c) {
  const UserRef u = c.user;
  const Version v = c.version + 1;
  // Goes through all of them even after a failure: the rest must be wiped all the same.
  Result<void> result;
  auto seal = [&](const Place& place, Bytes& blob) {
    if (auto done = result ? seal_blob(place, blob) : result; !done) {
      result = std::move(done);
      crypto::wipe(blob);
    }
  };
  if (c.profile) seal(Place(RowKind::kProfile, u, v), *c.profile);
  for (auto& r : c.ratchets)
    seal(Place(RowKind::kRatchet, u, v).with(r.contact).with(r.device), r.record);
  for (auto& r : c.contacts) seal(Place(RowKind::kContact, u, v).with(r.contact), r.blob);
  for (auto& p : c.prekeys) seal(Place(RowKind::kPrekeys, u, v).with(p.first_id), p.blob);
  for (auto& m : c.messages) {
    seal(Place(RowKind::kContent, u, v).with(m.order), m.content);
    seal(Place(RowKind::kStanza, u, v).with(m.order), m.stanza);
  }
  for (auto& m : c.updates) {
    if (m.content) seal(Place(RowKind::kContent, u, v).with(m.order), *m.content);
    if (m.stanza) seal(Place(RowKind::kStanza, u, v).with(m.order), *m.stanza);
  }
  for (auto& e : c.events) seal(Place(RowKind::kEvent, u, v).with(e.seq), e.payload);
  for (auto& r : c.undecrypted) seal(Place(RowKind::kUndecrypted, u, v).with(r.message), r.blob);
  return result;
}

Result<void> Sealer::seal(UserRef user, Version version, EnlistRows& rows) {
  ChangeSet change;
  change.user = user;
  change.version = version - 1;
  change.profile = std::move(rows.profile);
  change.prekeys = std::move(rows.prekeys);
  auto result = seal(change);
  rows.profile = std::move(*change.profile);
  rows.prekeys = std::move(change.prekeys);
  return result;
}

Result<const crypto::Key32*> Sealer::key_of(std::uint32_t id) {
  {
    std::lock_guard lock(mutex_);
    if (auto found = keys_.find(id); found != keys_.end()) return &found->second->key.get();
  }
  GW_ASSIGN(auto stored, fetch_(id));
  if (!stored)
    return fail(ErrorKind::kCorrupt, "KEY_DAMAGED",
                "a stored data key is missing: restore the database from a backup");
  GW_ASSIGN(auto key, unwrap_key(kek_.get(), KeyUse::kData, stored->wrapped));
  auto live = std::make_unique<LiveKey>();
  live->id = id;
  live->key = key;
  std::lock_guard lock(mutex_);
  return &keys_.emplace(id, std::move(live)).first->second->key.get();
}

Result<void> Sealer::open_blob(Place place, Bytes& blob, Version newest) {
  if (blob.empty()) return {};
  if (blob.size() < kOverhead) return damaged();
  ByteView view(blob);
  auto id = static_cast<std::uint32_t>(get_be<4>(view));
  auto counter = get_be<8>(view.subspan(4));
  auto version = static_cast<Version>(get_be<8>(view.subspan(12)));
  if (newest >= 0 && version > newest) return damaged();
  GW_ASSIGN(auto* key, key_of(id));
  place.set_version(version);
  Bytes plain(blob.size() - kOverhead);
  if (!crypto::gcm_open(*key, nonce_of(counter), place.aad(), view.subspan(kHeaderSize), plain))
    return damaged();
  blob = std::move(plain);
  return {};
}

Result<void> Sealer::open_profile(UserRef user, Bytes& blob, Version newest) {
  return open_blob(Place(RowKind::kProfile, user, 0), blob, newest);
}
Result<void> Sealer::open(UserRef user, PrekeyBatch& row, Version newest) {
  return open_blob(Place(RowKind::kPrekeys, user, 0).with(row.first_id), row.blob, newest);
}
Result<void> Sealer::open(UserRef user, MessageRow& row, Version newest) {
  GW_TRY(open_blob(Place(RowKind::kContent, user, 0).with(row.order), row.content, newest));
  return open_blob(Place(RowKind::kStanza, user, 0).with(row.order), row.stanza, newest);
}
Result<void> Sealer::open(UserRef user, Undecrypted& row, Version newest) {
  return open_blob(Place(RowKind::kUndecrypted, user, 0).with(row.message), row.blob, newest);
}
Result<std::size_t> Sealer::open(UserRef user, Conversation& row) {
  std::size_t damaged = 0;
  auto open = [&](const Place& place, Bytes& blob) -> Result<void> {
    auto opened = open_blob(place, blob, -1);
    if (opened || !is_damaged_row(opened.error())) return opened;
    ++damaged;
    blob.clear();
    return {};
  };
  GW_TRY(open(Place(RowKind::kContact, user, 0).with(row.contact), row.blob));
  for (auto& r : row.ratchets)
    GW_TRY(open(Place(RowKind::kRatchet, user, 0).with(r.contact).with(r.device), r.record));
  return damaged;
}
Result<void> Sealer::open(UserRef user, EventRow& row) {
  return open_blob(Place(RowKind::kEvent, user, 0).with(row.seq), row.payload, -1);
}

}  // namespace gw::store
