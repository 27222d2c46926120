#include "api/frame.h"

#include <array>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

namespace gw::api {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

// A frame as small as this cannot hold so many empty messages that parsing them matters.
constexpr std::size_t kSmallFrame = 64u << 10;

constexpr std::uint32_t tag(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

// Skips over the frame and counts what would become objects: an empty message is 2 octets here and
// 60 once it is parsed, so that a frame of 4 MiB could take 100 MiB.
bool too_many_messages(grpc::ByteBuffer& from) {
  grpc::ProtoBufferReader reader(&from);
  CodedInputStream in(&reader);
  int messages = 0;
  while (std::uint32_t outer = in.ReadTag()) {
    if (outer != tag(v1::ConnectRequest::kSubmitFieldNumber)) {
      if (!WireFormatLite::SkipField(&in, outer)) return false;
      continue;
    }
    int length = 0;
    if (!in.ReadVarintSizeAsInt(&length)) return false;
    auto limit = in.PushLimit(length);
    while (std::uint32_t inner = in.ReadTag()) {
      if (inner == tag(v1::Submit::kMessagesFieldNumber) && ++messages > kMaxMessages) return true;
      if (!WireFormatLite::SkipField(&in, inner)) return false;
    }
    in.PopLimit(limit);
  }
  return false;
}

grpc::Slice own(std::string bytes) {
  auto* kept = new std::string(std::move(bytes));
  return {kept->data(), kept->size(), [](void* at) { delete static_cast<std::string*>(at); }, kept};
}

}  // namespace

tl::expected<v1::ConnectRequest*, FrameFault> parse_frame(grpc::ByteBuffer& from,
                                                          google::protobuf::Arena& arena) {
  if (from.Length() > kSmallFrame && too_many_messages(from))
    return tl::unexpected(FrameFault::kTooManyMessages);
  auto* frame = google::protobuf::Arena::CreateMessage<v1::ConnectRequest>(&arena);
  grpc::ProtoBufferReader reader(&from);
  if (!frame->ParseFromZeroCopyStream(&reader) || !reader.status().ok())
    return tl::unexpected(FrameFault::kMalformed);
  return frame;
}

void Batch::add(const google::protobuf::MessageLite& entry) {
  std::size_t size = entry.ByteSizeLong(), before = bytes_.size();
  bytes_.resize(before + 1 + CodedOutputStream::VarintSize32(static_cast<std::uint32_t>(size)) +
                size);
  auto* at = reinterpret_cast<std::uint8_t*>(bytes_.data()) + before;
  *at++ = static_cast<std::uint8_t>(tag(1));
  at = CodedOutputStream::WriteVarint32ToArray(static_cast<std::uint32_t>(size), at);
  entry.SerializeWithCachedSizesToArray(at);
  ends_.push_back(bytes_.size());
}

void Batch::add_encoded(std::string_view entry) {
  std::array<std::uint8_t, 5> length;
  auto* end = CodedOutputStream::WriteVarint32ToArray(static_cast<std::uint32_t>(entry.size()),
                                                      length.data());
  bytes_.push_back(static_cast<char>(tag(1)));
  bytes_.append(reinterpret_cast<const char*>(length.data()),
                static_cast<std::size_t>(end - length.data()));
  bytes_.append(entry);
  ends_.push_back(bytes_.size());
}

std::string_view Batch::entry(std::size_t n) const {
  std::size_t begin = n == 0 ? 0 : ends_[n - 1];
  return std::string_view(bytes_).substr(begin, ends_[n] - begin);
}

static_assert(v1::SubmitResults::kResultsFieldNumber == 1 && v1::Events::kEventsFieldNumber == 1);

Frame events_frame(Batch batch) {
  return {v1::ConnectResponse::kEventsFieldNumber, std::move(batch).release()};
}

grpc::ByteBuffer to_buffer(Frame frame) {
  if (frame.field == 0) {
    grpc::Slice whole = own(std::move(frame.bytes));
    return {&whole, 1};
  }
  std::array<std::uint8_t, 16> head;
  auto* end = CodedOutputStream::WriteTagToArray(tag(frame.field), head.data());
  end =
      CodedOutputStream::WriteVarint32ToArray(static_cast<std::uint32_t>(frame.bytes.size()), end);
  std::array slices = {grpc::Slice(head.data(), static_cast<std::size_t>(end - head.data())),
                       own(std::move(frame.bytes))};
  return {slices.data(), slices.size()};
}

void Outbox::push(const v1::ConnectResponse& frame) {
  frames_.push_back({0, frame.SerializeAsString()});
  bytes_ += frames_.back().bytes.size();
}

void Outbox::push(const Batch& results) {
  bytes_ += results.size();
  for (std::size_t i = 0; i < results.count(); ++i) {
    std::string_view entry = results.entry(i);
    if (frames_.empty() || frames_.back().field == 0 ||
        frames_.back().bytes.size() + entry.size() > batch_bytes_)
      frames_.push_back({v1::ConnectResponse::kSubmitResultsFieldNumber, {}});
    frames_.back().bytes.append(entry);
  }
}

Frame Outbox::pop() {
  Frame frame = std::move(frames_.front());
  frames_.pop_front();
  bytes_ -= frame.bytes.size();
  return frame;
}

}  // namespace gw::api
