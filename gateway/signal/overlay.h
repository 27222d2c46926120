#pragma once

// What the library may read and write during one operation: reads go through the caller's Reader,
// writes stay here until the operation succeeded.

#include <optional>
#include <signal_protocol.h>

#include "signal/signal.h"

namespace gw::signal {

struct Overlay {
  const Reader& reader;
  const Address& remote;
  std::optional<Bytes> ratchet{};
  std::optional<std::uint32_t> read_prekey{};
};

// The library's store context. It outlives operations; `use` says which one is under way.
class OverlayStore {
 public:
  explicit OverlayStore(signal_context* context);
  ~OverlayStore();
  OverlayStore(const OverlayStore&) = delete;
  OverlayStore& operator=(const OverlayStore&) = delete;

  signal_protocol_store_context* context() const { return store_; }

  class Use {
   public:
    Use(OverlayStore& store, Overlay& overlay) : store_(store) { store_.overlay_ = &overlay; }
    ~Use() { store_.overlay_ = nullptr; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    OverlayStore& store_;
  };

 private:
  friend struct StoreCalls;
  Overlay* overlay_ = nullptr;
  signal_context* library_;
  signal_protocol_store_context* store_ = nullptr;
};

}  // namespace gw::signal
