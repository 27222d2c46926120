#pragma once

// One Connect call: frames in both directions, until it ends.

#include <deque>
#include <functional>
#include <grpcpp/grpcpp.h>
#include <memory>
#include <mutex>

#include "interop/gateway/v1/gateway.grpc.pb.h"

namespace gw::backend {

namespace v1 = interop::gateway::v1;

// Lives until gRPC has let go of it. Methods may be called from any thread; callbacks come on
// gRPC's.
class Stream final : public grpc::ClientBidiReactor<v1::ConnectRequest, v1::ConnectResponse> {
 public:
  using OnFrame = std::function<void(v1::ConnectResponse)>;
  using OnEnd = std::function<void(const grpc::Status&)>;  // once; this may be gone when it returns

  static std::shared_ptr<Stream> open(std::shared_ptr<grpc::Channel> channel, OnFrame on_frame,
                                      OnEnd on_end);
  void write(v1::ConnectRequest frame);
  // What was written still leaves; then the gateway ends the call.
  void finish();
  void cancel() { context_.TryCancel(); }

 private:
  Stream(std::shared_ptr<grpc::Channel> channel, OnFrame on_frame, OnEnd on_end);
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  void write_next(std::unique_lock<std::mutex> lock);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::GatewayService::Stub> stub_;
  const OnFrame on_frame_;
  OnEnd on_end_;
  grpc::ClientContext context_;
  v1::ConnectResponse in_;

  std::mutex mutex_;
  std::deque<v1::ConnectRequest> out_;
  bool writing_ = false;  // StartWrite without OnWriteDone, or about to be called
  bool finishing_ = false;
  bool ended_ = false;  // nothing is started any more
  bool held_ = true;    // gRPC's hold, which lets us start operations from outside
};

}  // namespace gw::backend
