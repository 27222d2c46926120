#pragma once

// A provider's octets to and from the canonical forms. Pure: no I/O, no clock, no state.

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "message/message.h"

namespace gw::adapter {

// Why a provider's message was not understood. `field` is the path in that message, for example
// "to.e164"; empty: the message as a whole. Neither part repeats what the provider wrote.
struct Fault {
  Error error;
  std::string field;
};
template <class T>
using Decoded = tl::expected<T, Fault>;

inline tl::unexpected<Fault> fault(Error error, std::string field) {
  return tl::unexpected<Fault>(Fault{std::move(error), std::move(field)});
}

// A message that a provider's user wants to send.
struct Outgoing {
  std::string native_user;
  message::Submit submit;
};

// Thread-safe.
class Codec {
 public:
  virtual ~Codec() = default;
  // One message in the adapter's format. What it answers passes message::validate.
  virtual Decoded<Outgoing> decode(ByteView native) const = 0;
  // Appends one event of the user to `out`, in the adapter's format.
  virtual void encode(std::string_view native_user, const message::Event& event,
                      std::string& out) const = 0;
};

}  // namespace gw::adapter
