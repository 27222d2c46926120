#include "stream.h"

#include <utility>

namespace gw::backend {

Stream::Stream(std::shared_ptr<grpc::Channel> channel, OnFrame on_frame, OnEnd on_end)
    : channel_(std::move(channel)),
      stub_(v1::GatewayService::NewStub(channel_)),
      on_frame_(std::move(on_frame)),
      on_end_(std::move(on_end)) {}

std::shared_ptr<Stream> Stream::open(std::shared_ptr<grpc::Channel> channel, OnFrame on_frame,
                                     OnEnd on_end) {
  std::shared_ptr<Stream> stream(
      new Stream(std::move(channel), std::move(on_frame), std::move(on_end)));
  stream->stub_->async()->Connect(&stream->context_, stream.get());
  stream->AddHold();
  stream->StartRead(&stream->in_);
  stream->StartCall();
  return stream;
}

void Stream::write(v1::ConnectRequest frame) {
  std::unique_lock lock(mutex_);
  if (ended_ || finishing_) return;
  out_.push_back(std::move(frame));
  if (!writing_) write_next(std::move(lock));
}

void Stream::finish() {
  std::unique_lock lock(mutex_);
  if (ended_ || std::exchange(finishing_, true)) return;
  if (!writing_) write_next(std::move(lock));
}

// With nothing under way. StartWrite may call back at once, so it is called without the lock;
// writing_ keeps the hold, and with it this object, until then.
void Stream::write_next(std::unique_lock<std::mutex> lock) {
  writing_ = false;
  if (ended_) {
    if (!std::exchange(held_, false)) return;
    lock.unlock();
    return RemoveHold();
  }
  if (!out_.empty()) {
    writing_ = true;
    const v1::ConnectRequest& frame = out_.front();
    lock.unlock();
    return StartWrite(&frame);
  }
  if (!finishing_ || !std::exchange(held_, false)) return;
  lock.unlock();
  StartWritesDone();
  RemoveHold();
}

void Stream::OnWriteDone(bool ok) {
  std::unique_lock lock(mutex_);
  out_.pop_front();
  if (!ok) {
    ended_ = true;
    out_.clear();
  }
  write_next(std::move(lock));
}

void Stream::OnReadDone(bool ok) {
  if (ok) {
    on_frame_(std::exchange(in_, {}));
    return StartRead(&in_);
  }
  std::unique_lock lock(mutex_);
  ended_ = true;
  if (!writing_) write_next(std::move(lock));
}

void Stream::OnDone(const grpc::Status& status) {
  auto on_end = std::move(on_end_);
  on_end(status);
}

}  // namespace gw::backend
