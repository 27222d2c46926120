#pragma once

// Owners for libsignal-protocol-c's reference-counted objects and buffers.

#include <memory>
#include <signal_protocol.h>

#include "base/bytes.h"
#include "crypto/crypto.h"

namespace gw::signal {

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  ~Ref() { signal_type_unref(reinterpret_cast<signal_type_base*>(object_)); }
  T* get() const { return object_; }
  T** out() { return &object_; }  // for a constructor of the library; at most once

 private:
  T* object_ = nullptr;
};

struct WipeBuffer {
  void operator()(signal_buffer* buffer) const { signal_buffer_bzero_free(buffer); }
};
using Buffer = std::unique_ptr<signal_buffer, WipeBuffer>;

inline ByteView view(const signal_buffer* buffer) {
  return {signal_buffer_const_data(buffer), signal_buffer_len(buffer)};
}

// On the wire and inside the library a public key carries a type octet.
inline constexpr std::uint8_t kKeyType = 0x05;
using TypedKey = std::array<std::uint8_t, 33>;

inline TypedKey typed(const crypto::Key32& key) {
  TypedKey out;
  out[0] = kKeyType;
  std::copy(key.begin(), key.end(), out.begin() + 1);
  return out;
}

}  // namespace gw::signal
