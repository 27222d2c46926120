#include <limits>
#include <utility>

#include "noise/noise.h"
#include "noise/nonce.h"

namespace gw::noise {
namespace {

constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();

tl::unexpected<Error> exhausted() {
  return fail(ErrorKind::kRejected, "NOISE_EXHAUSTED", "open a new connection");
}

}  // namespace

Transport::Transport(const crypto::Key32& send, const crypto::Key32& receive, std::uint32_t sent,
                     std::uint32_t received)
    : send_key_(send), receive_key_(receive), sent_(sent), received_(received) {}

Transport::~Transport() { close(); }

Transport::Transport(Transport&& from) noexcept
    : send_key_(from.send_key_),
      receive_key_(from.receive_key_),
      sent_(from.sent_),
      received_(from.received_) {
  from.close();
}

Transport& Transport::operator=(Transport&& from) noexcept {
  if (this == &from) return *this;
  send_key_ = from.send_key_;
  receive_key_ = from.receive_key_;
  sent_ = from.sent_;
  received_ = from.received_;
  from.close();
  return *this;
}

// A wiped key must never be used: the counters of what is closed are at their end.
void Transport::close() {
  crypto::wipe(send_key_);
  crypto::wipe(receive_key_);
  sent_ = received_ = kEnd;
}

Result<void> Transport::seal_frame(ByteView plain, Bytes& to) {
  if (sent_ == kEnd) return exhausted();
  if (plain.size() > kMaxFrame - crypto::kGcmTagSize)
    return fail(ErrorKind::kRejected, "FRAME_TOO_LONG");
  const std::size_t size = plain.size() + crypto::kGcmTagSize;
  put_be<3>(to, size);
  const std::size_t at = to.size();
  to.resize(at + size);
  crypto::gcm_seal(send_key_, nonce(sent_), {}, plain, std::span(to).subspan(at));
  ++sent_;
  return {};
}

Result<ByteView> Transport::open(std::span<std::uint8_t> payload) {
  if (received_ == kEnd) return exhausted();
  if (payload.size() < crypto::kGcmTagSize) return fail(ErrorKind::kCorrupt, "BAD_TAG");
  const auto plain = payload.first(payload.size() - crypto::kGcmTagSize);
  GW_TRY(crypto::gcm_open(receive_key_, nonce(received_), {}, payload, plain));
  ++received_;
  return ByteView(plain);
}

}  // namespace gw::noise
