#include "unit/backend_client/fake_gateway.h"

#include <algorithm>
#include <stdexcept>

namespace gw::backend {
namespace {
constexpr std::chrono::seconds kPatience{20};
}

v1::SubmitResult accepted(const v1::OutgoingMessage& message) {
  v1::SubmitResult result;
  result.set_user_id(message.user_id());
  result.set_request_id(message.request_id());
  result.mutable_accepted()->set_message_id("id-of-" + message.request_id());
  result.mutable_accepted()->set_state(v1::MESSAGE_STATE_READY);
  return result;
}

v1::SubmitResult refused(const v1::OutgoingMessage& message, const std::string& reason,
                         int retry_ms) {
  v1::SubmitResult result;
  result.set_user_id(message.user_id());
  result.set_request_id(message.request_id());
  result.mutable_error()->set_reason(reason);
  if (retry_ms >= 0) result.mutable_error()->mutable_retry_after()->set_nanos(retry_ms * 1'000'000);
  return result;
}

std::size_t count(const Frames& frames, v1::ConnectRequest::FrameCase kind) {
  return static_cast<std::size_t>(std::count_if(
      frames.begin(), frames.end(), [&](const auto& frame) { return frame.frame_case() == kind; }));
}

std::vector<std::string> submitted(const Frames& frames) {
  std::vector<std::string> ids;
  for (const auto& frame : frames)
    for (const auto& message : frame.submit().messages()) ids.push_back(message.request_id());
  return ids;
}

FakeGateway::FakeGateway() {
  on_submit = [](const v1::OutgoingMessage& message) { return accepted(message); };
  on_attach = [](const v1::Attach& attach) {
    v1::ConnectResponse frame;
    frame.mutable_attached()->set_user_id(attach.user_id());
    frame.mutable_attached()->set_acked_seq(attach.resume_seq());
    return frame;
  };
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  endpoint_ = "127.0.0.1:" + std::to_string(port);
}

FakeGateway::~FakeGateway() {
  down();
  server_->Shutdown(std::chrono::system_clock::now());
}

grpc::Status FakeGateway::Connect(grpc::ServerContext* context, Writer* stream) {
  {
    std::lock_guard lock(mutex_);
    if (down_) return {grpc::StatusCode::UNAVAILABLE, "down"};
    context_ = context;
    stream_ = stream;
  }
  for (v1::ConnectRequest frame; stream->Read(&frame);) {
    std::lock_guard lock(mutex_);
    frames_.push_back(frame);
    answer(frame);
    changed_.notify_all();
  }
  std::lock_guard lock(mutex_);
  if (stream_ == stream) {
    context_ = nullptr;
    stream_ = nullptr;
  }
  changed_.notify_all();
  return {grpc::StatusCode::UNAVAILABLE, "over"};
}

void FakeGateway::answer(const v1::ConnectRequest& frame) {
  v1::ConnectResponse out;
  if (frame.has_hello()) {
    out.mutable_welcome()->set_submit_window(submit_window);
    out.mutable_welcome()->set_submit_window_octets(1u << 20);
    out.mutable_welcome()->set_max_frame(1u << 20);
  } else if (frame.has_attach()) {
    out = on_attach(frame.attach());
  } else if (frame.has_detach()) {
    out.mutable_detached()->set_user_id(frame.detach().user_id());
    out.mutable_detached()->set_reason(v1::DETACH_REASON_REQUESTED);
  } else if (frame.has_heartbeat() && !silent_) {
    out.mutable_heartbeat_echo()->set_nonce(frame.heartbeat().nonce());
  }
  for (const auto& message : frame.submit().messages())
    if (auto result = on_submit(message)) *out.mutable_submit_results()->add_results() = *result;
  if (out.frame_case() != v1::ConnectResponse::FRAME_NOT_SET) stream_->Write(out);
}

Frames FakeGateway::until(const std::function<bool(const Frames&)>& condition) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&] { return condition(frames_); }))
    throw std::runtime_error("the library did not write what was waited for");
  return frames_;
}

Frames FakeGateway::until(v1::ConnectRequest::FrameCase kind, std::size_t n) {
  return until([&](const Frames& frames) { return count(frames, kind) >= n; });
}

Frames FakeGateway::frames() {
  std::lock_guard lock(mutex_);
  return frames_;
}

void FakeGateway::send(const v1::ConnectResponse& frame) {
  std::lock_guard lock(mutex_);
  if (stream_ == nullptr) throw std::runtime_error("no stream is open");
  stream_->Write(frame);
}

void FakeGateway::event(const std::string& user, std::uint64_t seq) {
  v1::ConnectResponse frame;
  auto& event = *frame.mutable_events()->add_events();
  event.set_user_id(user);
  event.set_seq(seq);
  send(frame);
}

void FakeGateway::detached(const std::string& user, v1::DetachReason reason) {
  v1::ConnectResponse frame;
  frame.mutable_detached()->set_user_id(user);
  frame.mutable_detached()->set_reason(reason);
  send(frame);
}

void FakeGateway::down() {
  std::unique_lock lock(mutex_);
  down_ = true;
  if (context_ != nullptr) context_->TryCancel();
  changed_.wait_for(lock, kPatience, [this] { return stream_ == nullptr; });
}

void FakeGateway::be_silent() {
  std::lock_guard lock(mutex_);
  silent_ = true;
}

void FakeGateway::up() {
  std::lock_guard lock(mutex_);
  down_ = false;
}

}  // namespace gw::backend
