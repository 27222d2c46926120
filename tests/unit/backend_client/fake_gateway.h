#pragma once

// A gateway as the library sees it: answers what it is told to, remembers every frame, and breaks
// when a test wants it to.

#include <condition_variable>
#include <functional>
#include <grpcpp/grpcpp.h>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "interop/gateway/v1/gateway.grpc.pb.h"

namespace gw::backend {

namespace v1 = interop::gateway::v1;
using Frames = std::vector<v1::ConnectRequest>;

class FakeGateway final : public v1::GatewayService::Service {
 public:
  FakeGateway();
  ~FakeGateway() override;

  const std::string& endpoint() const { return endpoint_; }

  // Every frame of every stream, in order, once the condition holds; throws when it does not in
  // time.
  Frames until(const std::function<bool(const Frames&)>& condition);
  // All until the n-th frame of this kind.
  Frames until(v1::ConnectRequest::FrameCase kind, std::size_t n);
  Frames frames();
  // To the open stream.
  void send(const v1::ConnectResponse& frame);
  void event(const std::string& user, std::uint64_t seq);
  void detached(const std::string& user, v1::DetachReason reason);
  // Ends the stream; refuses new ones until up().
  void down();
  void up();
  // Answers no heartbeat any more.
  void be_silent();

  // What becomes of a submit; nothing: no answer. Set before the stream opens.
  std::function<std::optional<v1::SubmitResult>(const v1::OutgoingMessage&)> on_submit;
  std::function<v1::ConnectResponse(const v1::Attach&)> on_attach;
  std::uint32_t submit_window = 100;

 private:
  using Writer = grpc::ServerReaderWriter<v1::ConnectResponse, v1::ConnectRequest>;
  grpc::Status Connect(grpc::ServerContext* context, Writer* stream) override;
  void answer(const v1::ConnectRequest& frame);

  std::string endpoint_;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Frames frames_;
  grpc::ServerContext* context_ = nullptr;
  Writer* stream_ = nullptr;
  bool down_ = false, silent_ = false;
};

v1::SubmitResult accepted(const v1::OutgoingMessage& message);
v1::SubmitResult refused(const v1::OutgoingMessage& message, const std::string& reason,
                         int retry_ms = -1);
std::size_t count(const Frames& frames, v1::ConnectRequest::FrameCase kind);
// Of all Submit frames.
std::vector<std::string> submitted(const Frames& frames);

}  // namespace gw::backend
