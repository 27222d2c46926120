#pragma once

// One unary call: who calls, by when it has to be answered, and the answer, which is given once.

#include <atomic>
#include <functional>
#include <google/protobuf/message_lite.h>
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <memory>
#include <mutex>

#include "adapter/codec.h"
#include "api/context.h"

namespace gw::api {

class Call final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<Call> {
 public:
  // Runs until it is answered or limits.unary_within is over; gRPC holds it until then.
  static std::shared_ptr<Call> begin(std::shared_ptr<Context> context,
                                     grpc::CallbackServerContext* server,
                                     grpc::ByteBuffer* response);

  Call(std::shared_ptr<Context> context, grpc::CallbackServerContext* server,
       grpc::ByteBuffer* response)
      : context_(std::move(context)), server_(server), response_(response) {}

  // Answered already, or nobody waits any more. To be asked before anything with an effect.
  bool over();
  // Any thread; the first answer counts.
  void answer(const google::protobuf::MessageLite& message);
  void refuse(grpc::Status status);
  void refuse(const Error& error);
  void refuse(const adapter::Fault& fault);

  // For Users: `write` makes the answer of a value; an error is refused as it is.
  template <class T, class Write>
  std::function<void(Result<T>)> done(Write write) {
    return [self = shared_from_this(), write = std::move(write)](Result<T> result) {
      if (self->answered_.load()) return;
      if (!result) return self->refuse(result.error());
      write(*self, *std::move(result));
    };
  }

 private:
  void OnCancel() override;
  void OnDone() override;
  bool claim() { return !answered_.exchange(true); }
  void finish(grpc::Status status);

  const std::shared_ptr<Context> context_;
  grpc::CallbackServerContext* const server_;  // valid until answered
  grpc::ByteBuffer* const response_;           // valid until answered
  std::atomic<bool> answered_{false};
  std::mutex alarm_mutex_;
  grpc::Alarm alarm_;
  std::shared_ptr<Call> self_;  // until OnDone
};

}  // namespace gw::api
