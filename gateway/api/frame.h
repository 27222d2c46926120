#pragma once

// Octets of Connect frames. Batches are put together from entries that are encoded already: a batch
// of a repeated field is the entries one behind the other.

#include <deque>
#include <google/protobuf/arena.h>
#include <grpcpp/support/byte_buffer.h>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "interop/gateway/v1/gateway.pb.h"

namespace gw::api {

namespace v1 = ::interop::gateway::v1;

enum class FrameFault {
  kMalformed,        // no ConnectRequest, or a string that is not UTF-8
  kTooManyMessages,  // more than a Submit may hold; not parsed
};
// The frame lives in `arena`.
tl::expected<v1::ConnectRequest*, FrameFault> parse_frame(grpc::ByteBuffer& from,
                                                          google::protobuf::Arena& arena);

inline constexpr int kMaxMessages = 256;  // a Submit

// A batch of SubmitResult or Event entries.
class Batch {
 public:
  void add(const google::protobuf::MessageLite& entry);
  void add_encoded(std::string_view entry);
  bool empty() const { return bytes_.empty(); }
  std::size_t size() const { return bytes_.size(); }
  std::size_t count() const { return ends_.size(); }
  // The n-th entry with its tag and length.
  std::string_view entry(std::size_t n) const;
  std::string release() && { return std::move(bytes_); }
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

// A frame that waits. `field`: 0: `bytes` is a ConnectResponse; else they are the entries of this
// field's repeated message.
struct Frame {
  int field = 0;
  std::string bytes;
};
Frame events_frame(Batch batch);
grpc::ByteBuffer to_buffer(Frame frame);

// What is not an event and waits to be written, in order; results that follow each other share
// frames. Pure.
class Outbox {
 public:
  explicit Outbox(std::size_t batch_bytes) : batch_bytes_(batch_bytes) {}
  void push(const v1::ConnectResponse& frame);
  void push(const Batch& results);
  bool empty() const { return frames_.empty(); }
  std::size_t bytes() const { return bytes_; }
  Frame pop();

 private:
  std::size_t batch_bytes_;
  std::size_t bytes_ = 0;
  std::deque<Frame> frames_;
};

}  // namespace gw::api
