#include <cstdlib>

#include "noise/noise.h"

namespace gw::noise {
namespace {

constexpr std::size_t kLengthSize = 3;
// What an idle link may keep; a larger buffer is given back as soon as it is empty.
constexpr std::size_t kKeep = 1024;

}  // namespace

void FrameReader::let_go() {
  if (at_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
    checked_ -= at_;
    at_ = 0;
  }
  if (buffer_.empty() && buffer_.capacity() > kKeep) Bytes().swap(buffer_);
}

Result<void> FrameReader::feed(ByteView data) {
  if (!bad_.empty()) return fail(ErrorKind::kCorrupt, bad_);
  let_go();
  // Grows with what really came, never with what a length announces.
  append(buffer_, data);
  while (checked_ < buffer_.size() && buffer_.size() - checked_ >= kLengthSize) {
    const auto size = get_be<kLengthSize>(ByteView(buffer_).subspan(checked_));
    if (size == 0) bad_ = "FRAME_EMPTY";
    if (size > max_frame_) bad_ = "FRAME_TOO_LONG";
    if (!bad_.empty()) {
      buffer_.resize(checked_);  // the whole frames before it can still be read
      return fail(ErrorKind::kCorrupt, bad_);
    }
    checked_ += kLengthSize + size;
  }
  return {};
}

std::optional<std::span<std::uint8_t>> FrameReader::next() {
  const std::size_t rest = buffer_.size() - at_;
  if (rest >= kLengthSize) {
    const auto size = get_be<kLengthSize>(ByteView(buffer_).subspan(at_));
    if (rest - kLengthSize >= size) {
      const auto payload = std::span(buffer_).subspan(at_ + kLengthSize, size);
      at_ += kLengthSize + size;
      return payload;
    }
  }
  let_go();
  return std::nullopt;
}

void put_frame(Bytes& to, ByteView payload) {
  if (payload.size() > kMaxFrame) std::abort();  // a length that does not fit would desynchronise
  put_be<kLengthSize>(to, payload.size());
  append(to, payload);
}

}  // namespace gw::noise
