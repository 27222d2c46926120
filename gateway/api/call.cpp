#include "api/call.h"

#include <chrono>

#include "api/errors.h"

namespace gw::api {
namespace {

grpc::ByteBuffer serialise(const google::protobuf::MessageLite& message) {
  grpc::Slice bytes(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<std::uint8_t*>(bytes.begin()));
  return {&bytes, 1};
}

}  // namespace

std::shared_ptr<Call> Call::begin(std::shared_ptr<Context> context,
                                  grpc::CallbackServerContext* server, grpc::ByteBuffer* response) {
  Millis within = context->limits().unary_within;
  auto call = std::make_shared<Call>(std::move(context), server, response);
  call->self_ = call;
  // The alarm keeps what it calls, and the call keeps the alarm: not a shared pointer.
  std::lock_guard lock(call->alarm_mutex_);
  call->alarm_.Set(
      std::chrono::system_clock::now() + within, [weak = std::weak_ptr<Call>(call)](bool expired) {
        auto self = weak.lock();
        if (!expired || !self) return;
        self->refuse(to_status(grpc::StatusCode::DEADLINE_EXCEEDED,
                               {ErrorKind::kUnknownOutcome,
                                "DEADLINE_EXCEEDED",
                                "not answered in time; it may have taken place, repeat it",
                                {}}));
      });
  return call;
}

bool Call::over() {
  if (answered_.load()) return true;
  if (!server_->IsCancelled()) return false;
  refuse(to_status(grpc::StatusCode::CANCELLED,
                   {ErrorKind::kRejected, "CANCELLED", "the caller gave up", {}}));
  return true;
}

void Call::answer(const google::protobuf::MessageLite& message) {
  if (!claim()) return;
  *response_ = serialise(message);
  finish(grpc::Status::OK);
}

void Call::refuse(grpc::Status status) {
  if (claim()) finish(std::move(status));
}
void Call::refuse(const Error& error) { refuse(to_status(error)); }
void Call::refuse(const adapter::Fault& fault) { refuse(to_status(fault)); }

void Call::finish(grpc::Status status) {
  auto code = static_cast<std::size_t>(status.error_code());
  bump(context_->probe.calls[code < 17 ? code : 2]);
  {
    std::lock_guard lock(alarm_mutex_);
    alarm_.Cancel();
  }
  Finish(std::move(status));
}

void Call::OnCancel() {
  refuse(to_status(grpc::StatusCode::CANCELLED,
                   {ErrorKind::kRejected, "CANCELLED", "the caller gave up", {}}));
}

void Call::OnDone() { auto last = std::move(self_); }

}  // namespace gw::api
