#pragma once

// Law 6: what leaves for a backend is sealed, what comes back is opened. AES-256-GCM under data
// keys that are wrapped by the key-encryption key.
//
// A sealed blob:  data key id u32 | counter u64 | version i64 | ciphertext | tag 16   (big-endian)
// nonce:          0 u32 | counter u64: each counter is used once under its key
// associated:     row kind u8 | tenant u16 | uid i64 | version i64 | the row's key fields
// An empty blob stays empty: it means "delete" or "forget".
// A wrapped key:  key-encryption key's id 8 | nonce 12 | ciphertext 32 | tag 16

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "crypto/crypto.h"
#include "store/backend.h"
#include "store/rows.h"

namespace gw::store {

// What a wrapped key is for; part of its associated data.
enum class KeyUse : std::uint8_t { kRoot = 1, kData = 2 };
Bytes wrap_key(const crypto::Key32& kek, KeyUse use, const crypto::Key32& key);
// CONFIG "KEK_WRONG" under another key-encryption key; CORRUPT "KEY_DAMAGED".
Result<crypto::Secret32> unwrap_key(const crypto::Key32& kek, KeyUse use, ByteView wrapped);

// That one row is not what was sealed for its place. A data key that cannot be had is another
// matter: under it every row may be whole.
bool is_damaged_row(const Error& error);

enum class RowKind : std::uint8_t {  // stored (in associated data): append only
  kProfile = 1,
  kRatchet = 2,
  kContact = 3,
  kPrekeys = 4,
  kContent = 5,
  kStanza = 6,
  kEvent = 7,
  kUndecrypted = 8,
};

// Seals on any thread; opens on one thread at a time (it may ask the backend for an older key).
class Sealer {
 public:
  using FetchKey = std::function<Result<std::optional<DataKey>>(std::uint32_t id)>;
  Sealer(const crypto::Key32& kek, std::uint64_t seals_per_key, FetchKey fetch);

  // A new data key, wrapped for the backend; use_key makes it the one to seal with.
  std::pair<crypto::Secret32, Bytes> new_key() const;
  void use_key(std::uint32_t id, const crypto::Secret32& key);
  // True once for each time that the data key in use nears its end: the caller brings another.
  bool wants_key() {
    return wants_key_.load(std::memory_order_relaxed) && wants_key_.exchange(false);
  }
  void still_wants_key() { wants_key_ = true; }

  // Seal every blob in place, for the version that the change set makes; the plaintexts are wiped,
  // on failure too. RETRY_LATER "DATA_KEY_SPENT".
  Result<void> seal(ChangeSet& change);
  Result<void> seal(UserRef user, Version version, EnlistRows& rows);

  // Open in place. CORRUPT "ROW_DAMAGED": not what was sealed for this place; those of
  // unwrap_key, when the data key cannot be had.
  // `newest`: no blob may be younger than that version of its user; < 0: unknown.
  Result<void> open_profile(UserRef user, Bytes& blob, Version newest);
  Result<void> open(UserRef user, PrekeyBatch& row, Version newest);
  Result<void> open(UserRef user, MessageRow& row, Version newest);
  Result<void> open(UserRef user, Undecrypted& row, Version newest);
  // Blobs that are damaged become empty; says how many.
  Result<std::size_t> open(UserRef user, Conversation& row);
  Result<void> open(UserRef user, EventRow& row);

 private:
  struct LiveKey {
    std::uint32_t id = 0;
    crypto::Secret32 key;
    std::atomic<std::uint64_t> next{0};
  };
  class Place;
  Result<void> seal_blob(const Place& place, Bytes& blob);
  Result<void> open_blob(Place place, Bytes& blob, Version newest);
  Result<const crypto::Key32*> key_of(std::uint32_t id);

  const crypto::Secret32 kek_;
  const std::uint64_t seals_per_key_;
  const FetchKey fetch_;
  std::atomic<LiveKey*> current_{nullptr};
  std::atomic<bool> wants_key_{false};
  std::mutex mutex_;  // guards keys_; keys are never taken out
  std::unordered_map<std::uint32_t, std::unique_ptr<LiveKey>> keys_;
};

}  // namespace gw::store
