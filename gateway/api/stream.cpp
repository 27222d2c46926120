#include "api/stream.h"

#include "adapters/native/convert.h"
#include "api/errors.h"

namespace gw::api {
namespace {

// A write that hangs when the stream is to end: the peer does not read. Then the call is cut.
constexpr Millis kCutAfter{2000};

constexpr std::size_t kBlock = 16u
                               << 10;  // most frames are parsed without asking the heap for more

google::protobuf::ArenaOptions arena_options(char* block) {
  google::protobuf::ArenaOptions options;
  options.initial_block = block;
  options.initial_block_size = kBlock;
  options.max_block_size = 64u << 10;
  return options;
}

class Refusal final : public RawReactor {
 public:
  explicit Refusal(grpc::Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

grpc::Status status_of(grpc::StatusCode code, std::string_view reason, std::string message) {
  return to_status(code, {ErrorKind::kRejected, reason, std::move(message), Millis{0}});
}

}  // namespace

RawReactor* refuse_stream(grpc::Status status) { return new Refusal(std::move(status)); }

RawReactor* Stream::open(std::shared_ptr<Context> context, const std::shared_ptr<Streams>& streams,
                         grpc::CallbackServerContext* call, Caller caller) {
  auto stream = std::make_shared<Stream>(context, streams, call, std::move(caller));
  if (!streams->add(stream)) {
    bump(context->probe.streams_refused);
    return refuse_stream(
        to_status(Error{ErrorKind::kRetryLater, "DRAINING",
                        "this gateway is going away; connect to another one", Millis{1000}}));
  }
  bump(context->probe.streams);
  stream->self_ = stream;
  stream->session_.open(std::shared_ptr<Session>(stream, &stream->session_));
  stream->StartRead(&stream->in_);
  return stream.get();
}

Stream::Stream(std::shared_ptr<Context> context, std::weak_ptr<Streams> streams,
               grpc::CallbackServerContext* call, Caller caller)
    : context_(std::move(context)),
      streams_(std::move(streams)),
      call_(call),
      provider_id_(caller.provider_id),
      opened_(context_->clock().mono()),
      session_(context_, std::move(caller), *this),
      block_(std::make_unique<char[]>(kBlock)),
      arena_(arena_options(block_.get())),
      outbox_(context_->limits().batch_bytes) {}

// ---- reading
// -------------------------------------------------------------------------------------

void Stream::OnReadDone(bool ok) {
  if (!ok) return half_closed();
  take_frame();
  read_on();
}

void Stream::take_frame() {
  ApiProbe& probe = context_->probe;
  bump(probe.frames_in);
  bump(probe.bytes_in, in_.Length());
  if (in_.Length() > context_->limits().max_frame)
    return end(status_of(
        grpc::StatusCode::RESOURCE_EXHAUSTED, "FRAME_TOO_LARGE",
        "a frame holds at most " + std::to_string(context_->limits().max_frame) + " octets"));
  auto frame = parse_frame(in_, arena_);
  in_.Clear();
  if (frame) {
    if (auto outcome = session_.on_frame(**frame); !outcome) end(std::move(outcome).error());
  } else if (frame.error() == FrameFault::kTooManyMessages) {
    end(to_status(Error{ErrorKind::kRejected, "SUBMIT_SIZE_INVALID",
                        "submit.messages: must be 1 to 256 messages", Millis{0}},
                  {{"submit.messages", "must be 1 to 256 messages"}}));
  } else {
    end(status_of(grpc::StatusCode::INVALID_ARGUMENT, "FRAME_MALFORMED",
                  "not a ConnectRequest: the octets do not parse, or a string is not UTF-8"));
  }
  arena_.Reset();
}

// On the reading thread, or in OnWriteDone after a pause: inside a callback, so the call is alive.
void Stream::read_on() {
  {
    std::lock_guard lock(mutex_);
    if (ending_) return;
    if (outbox_.bytes() > context_->limits().control_bytes) {
      read_paused_ = true;
      bump(context_->probe.reads_paused);
      return;
    }
  }
  StartRead(&in_);
}

void Stream::half_closed() {
  {
    std::lock_guard lock(mutex_);
    if (!half_closed_since_) half_closed_since_ = context_->clock().mono();
  }
  if (call_->IsCancelled()) return end(grpc::Status::CANCELLED);
  if (!session_.greeted())
    return end(status_of(grpc::StatusCode::FAILED_PRECONDITION, "HELLO_MISSING",
                         "the first frame must be hello"));
  flush();
}

// ---- writing
// -------------------------------------------------------------------------------------

void Stream::push(const v1::ConnectResponse& frame) {
  std::lock_guard lock(mutex_);
  if (ending_) return;
  outbox_.push(frame);
  note_size();
}

void Stream::push(const Batch& results) {
  std::lock_guard lock(mutex_);
  if (ending_) return;
  outbox_.push(results);
  note_size();
}

void Stream::note_size() {
  std::size_t limit = context_->limits().control_bytes;
  if (outbox_.bytes() > limit) {
    if (!over_since_) over_since_ = context_->clock().mono();
  } else if (outbox_.bytes() <= limit / 2) {
    over_since_.reset();
  }
}

std::optional<Frame> Stream::next() {
  if (!outbox_.empty()) {
    Frame frame = outbox_.pop();
    note_size();
    return frame;
  }
  delivery::Subscription* events = session_.events();
  if (events == nullptr) return std::nullopt;
  std::vector<std::string> encoded;
  events->take(context_->limits().batch_bytes, encoded);
  if (encoded.empty()) return std::nullopt;
  Batch batch;
  std::size_t size = 0;
  for (const std::string& event : encoded) size += event.size() + 6;
  batch.reserve(size);
  for (const std::string& event : encoded) batch.add_encoded(event);
  return events_frame(std::move(batch));
}

void Stream::flush() {
  std::optional<Frame> frame;
  bool more = false, all_said = false;
  {
    std::lock_guard lock(mutex_);
    if (writing_ || ending_) return;
    // Asked before next(): an answer is pushed first, and no longer due after that.
    all_said = half_closed_since_.has_value() && session_.due() == 0;
    frame = next();
    writing_ = frame.has_value();
    more = !outbox_.empty();
  }
  if (!frame) {
    if (all_said) end(grpc::Status::OK);
    return;
  }
  bump(context_->probe.frames_out);
  bump(context_->probe.bytes_out, frame->bytes.size());
  bool was_events = frame->field == v1::ConnectResponse::kEventsFieldNumber;
  out_ = to_buffer(*std::move(frame));
  // With more behind it the transport may wait and send both at once. Answers are never taken back,
  // so there will be a write without the hint.
  grpc::WriteOptions options;
  if (more) options.set_buffer_hint();
  StartWrite(&out_, options);
  if (was_events) session_.events()->pump();
}

void Stream::OnWriteDone(bool ok) {
  bool resume = false;
  {
    std::lock_guard lock(mutex_);
    out_.Clear();
    writing_ = false;
    if (read_paused_ && !ending_ && outbox_.bytes() <= context_->limits().control_bytes / 2) {
      read_paused_ = false;
      resume = true;
    }
  }
  if (!ok) end(grpc::Status::CANCELLED);
  if (resume) read_on();
  flush();
  finish_if_idle();
}

// ---- ending
// --------------------------------------------------------------------------------------

void Stream::end(grpc::Status status) {
  {
    std::lock_guard lock(mutex_);
    if (ending_) return;
    auto code = static_cast<std::size_t>(status.error_code());
    bump(context_->probe.streams_ended[code < 17 ? code : 2]);
    ending_ = std::move(status);
    ending_since_ = context_->clock().mono();
  }
  session_.close();
  finish_if_idle();
}

void Stream::finish_if_idle() {
  {
    std::lock_guard lock(mutex_);
    if (!ending_ || finished_ || writing_) return;
    finished_ = true;
  }
  Finish(*ending_);
}

void Stream::OnCancel() { end(grpc::Status::CANCELLED); }

void Stream::OnDone() {
  session_.close();
  if (auto streams = streams_.lock()) streams->remove(this);
  auto last = std::move(self_);
}

void Stream::tick(MonoTime now) {
  const Limits& limits = context_->limits();
  bool slow = false, overdue = false;
  {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    if (ending_) {
      // Under the lock: until finished_ is set the call cannot go away.
      if (writing_ && now - ending_since_ > kCutAfter) call_->TryCancel();
      return;
    }
    slow = over_since_ && now - *over_since_ > limits.read_answers_within;
    overdue = half_closed_since_ && now - *half_closed_since_ > limits.close_within;
  }
  if (overdue)
    return end(status_of(grpc::StatusCode::DEADLINE_EXCEEDED, "RESULTS_OVERDUE",
                         "results were still to come; submit again with the same request_ids"));
  if (slow)
    return end(status_of(grpc::StatusCode::RESOURCE_EXHAUSTED, "RESPONSES_NOT_READ",
                         "answers wait for too long; read the stream while you write to it"));
  if (!session_.greeted() && now - opened_ > limits.hello_within)
    return end(status_of(grpc::StatusCode::DEADLINE_EXCEEDED, "HELLO_MISSING",
                         "no hello came within 10 seconds"));
  if (auto* events = session_.events()) events->pump();
  flush();
}

void Stream::tell_draining(WallTime deadline) {
  v1::ConnectResponse frame;
  adapters::native::to_proto(deadline, *frame.mutable_draining()->mutable_deadline());
  push(frame);
  flush();
}

void Stream::take_name(const std::string& instance_id) {
  auto streams = streams_.lock();
  if (!streams) return;
  auto before = streams->take_name(provider_id_, instance_id, shared_from_this());
  if (!before || before.get() == this) return;
  bump(context_->probe.streams_taken_over);
  before->end(status_of(grpc::StatusCode::ABORTED, "SESSION_TAKEN_OVER",
                        "a newer stream of the same instance_id is open"));
}

}  // namespace gw::api
