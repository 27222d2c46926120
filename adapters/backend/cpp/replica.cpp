#include "replica.h"

#include "placement.h"

namespace gw::backend {
namespace {

// A stream that stood for less did not work: the pauses before the next one go on growing.
constexpr std::chrono::seconds kStable{5};

std::string name_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "OK";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::StatusCode::UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    case grpc::StatusCode::PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case grpc::StatusCode::ABORTED:
      return "ABORTED";
    default:
      return "CODE_" + std::to_string(code);
  }
}

}  // namespace

void OpenStreams::opened(std::uint64_t id, std::shared_ptr<Stream> stream) {
  std::lock_guard lock(mutex_);
  streams_.emplace(id, std::move(stream));
}
void OpenStreams::ended(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  ended_.insert(id);
  changed_.notify_all();
}
void OpenStreams::release_ended() {
  std::vector<std::shared_ptr<Stream>> released;  // without the lock
  std::lock_guard lock(mutex_);
  std::erase_if(ended_, [&](std::uint64_t id) {
    auto it = streams_.find(id);
    if (it == streams_.end()) return false;
    released.push_back(std::move(it->second));
    streams_.erase(it);
    return true;
  });
}
void OpenStreams::wait_for_none(milliseconds patience) {
  auto none = [this] { return ended_.size() == streams_.size(); };
  std::map<std::uint64_t, std::shared_ptr<Stream>> late;
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, none)) late = streams_;
  }
  for (const auto& [id, stream] : late) stream->cancel();
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, none);
  }
  release_ended();
}

Replica::Replica(std::string its_endpoint, const Options& options, const Dial& dial,
                 std::shared_ptr<Loop> loop, std::shared_ptr<OpenStreams> streams, Owner& owner)
    : endpoint(std::move(its_endpoint)),
      options_(options),
      dial_(dial),
      loop_(std::move(loop)),
      streams_(std::move(streams)),
      owner_(owner) {}

Replica::Later Replica::later() {
  return [weak = weak_from_this(), mine = session, loop = loop_](auto task) {
    loop->post([weak, mine, task = std::move(task)] {
      auto self = weak.lock();
      if (self && self->stream_ && self->session == mine) task(*self);
    });
  };
}

void Replica::dial() {
  ++session;
  const auto id = streams_->next();
  auto on_loop = later();
  stream_ = Stream::open(
      dial_(endpoint),
      [on_loop](v1::ConnectResponse frame) {
        on_loop([frame = std::move(frame)](Replica& self) { self.take(frame); });
      },
      [on_loop, id, streams = streams_, loop = loop_](const grpc::Status& status) {
        on_loop([status](Replica& self) {
          self.lost(name_of(status.error_code()) + ": " + status.error_message());
        });
        streams->ended(id);
        loop->post([streams] { streams->release_ended(); });
      });
  streams_->opened(id, stream_);
  v1::ConnectRequest frame;
  frame.mutable_hello()->set_instance_id(options_.instance_id);
  frame.mutable_hello()->set_event_window(options_.event_window);
  write(std::move(frame));
  timer_ = loop_->after(options_.connect_timeout, [this] { lost("TIMEOUT: no Welcome"); });
}

void Replica::take(const v1::ConnectResponse& frame) {
  heard_ = Loop::now();
  auto self = shared_from_this();
  if (frame.has_heartbeat_echo()) return;
  if (!frame.has_welcome()) return owner_.on_frame(self, frame);
  loop_->cancel(timer_);
  window = frame.welcome();
  state = State::kUp;
  up_since_ = heard_;
  beat();
  owner_.on_up(self);
}

void Replica::beat() {
  timer_ = loop_->after(options_.heartbeat, [this] {
    auto asked = Loop::now();
    v1::ConnectRequest frame;
    frame.mutable_heartbeat()->set_nonce(1);
    write(std::move(frame));
    timer_ = loop_->after(options_.heartbeat_timeout, [this, asked] {
      if (heard_ < asked) return lost("TIMEOUT: no answer to a heartbeat");
      beat();
    });
  });
}

void Replica::write(v1::ConnectRequest frame) {
  if (stream_) stream_->write(std::move(frame));
}

// The stream is of no use any more.
void Replica::lost(const std::string& reason) {
  auto self = shared_from_this();
  stream_->cancel();
  if (alive() && Loop::now() - up_since_ >= kStable) attempt_ = 0;
  drop();
  state = State::kDown;
  if (!removed)
    timer_ =
        loop_->after(pause(attempt_++, options_.backoff, options_.backoff_cap), [this] { dial(); });
  owner_.on_lost(self, reason);
}

void Replica::close() {
  if (stream_) stream_->finish();
  drop();
  state = State::kClosed;
}

void Replica::drop() {
  loop_->cancel(timer_);
  loop_->cancel(seasoning);
  stream_.reset();
  ++session;  // nothing is owed by the one that was
  open = open_octets = 0;
  lingering.clear();
  ready.clear();
  acks.clear();
}

}  // namespace gw::backend
