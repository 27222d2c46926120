#pragma once

// One Connect call: reads frames, writes what the session has, ends in order.

#include <atomic>
#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>
#include <memory>
#include <mutex>
#include <optional>

#include "api/context.h"
#include "api/session.h"
#include "api/streams.h"

namespace gw::api {

using RawReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// A call that is refused before it begins.
RawReactor* refuse_stream(grpc::Status status);

class Stream final : public RawReactor,
                     public Carrier,
                     public std::enable_shared_from_this<Stream> {
 public:
  static RawReactor* open(std::shared_ptr<Context> context, const std::shared_ptr<Streams>& streams,
                          grpc::CallbackServerContext* call, Caller caller);

  Stream(std::shared_ptr<Context> context, std::weak_ptr<Streams> streams,
         grpc::CallbackServerContext* call, Caller caller);

  // Any thread. The first end counts.
  void end(grpc::Status status);
  void tick(MonoTime now);
  void tell_draining(WallTime deadline);

  // Carrier
  void push(const v1::ConnectResponse& frame) override;
  void push(const Batch& results) override;
  void flush() override;
  void take_name(const std::string& instance_id) override;

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void take_frame();
  void read_on();
  void finish_if_idle();
  void half_closed();
  void note_size();             // lock held
  std::optional<Frame> next();  // lock held

  const std::shared_ptr<Context> context_;
  const std::weak_ptr<Streams> streams_;
  grpc::CallbackServerContext* const call_;  // valid until OnDone
  const std::string provider_id_;
  const MonoTime opened_;
  Session session_;
  std::shared_ptr<Stream> self_;  // until OnDone

  // The reading thread's.
  grpc::ByteBuffer in_;
  const std::unique_ptr<char[]> block_;
  google::protobuf::Arena arena_;

  // The writer's: whoever set writing_.
  grpc::ByteBuffer out_;

  std::mutex mutex_;
  Outbox outbox_;
  bool writing_ = false;
  bool read_paused_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> ending_;
  MonoTime ending_since_{};
  std::optional<MonoTime> over_since_;  // more answers wait than may
  std::optional<MonoTime> half_closed_since_;
};

}  // namespace gw::api
