#include "api/streams.h"

#include "api/errors.h"
#include "api/stream.h"

namespace gw::api {
namespace {

constexpr Millis kTick{100};

grpc::Status going_away() {
  return to_status(Error{ErrorKind::kRetryLater, "DRAINING",
                         "this gateway is going away; connect to another one", Millis{1000}});
}

}  // namespace

Streams::Streams(std::shared_ptr<Context> context) : context_(std::move(context)) {
  ticker_ = std::thread([this] { run(); });
}

Streams::~Streams() {
  close();
  wake_.notify_all();
  ticker_.join();
}

bool Streams::add(const std::shared_ptr<Stream>& stream) {
  std::lock_guard lock(mutex_);
  if (closed_ || drain_until_) return false;
  streams_.emplace(stream.get(), stream);
  bump(context_->probe.streams_now);
  return true;
}

void Streams::remove(Stream* stream) {
  std::lock_guard lock(mutex_);
  if (streams_.erase(stream) == 0) return;
  lower(context_->probe.streams_now);
  std::erase_if(names_, [&](const auto& entry) { return entry.second == stream; });
}

std::shared_ptr<Stream> Streams::take_name(const std::string& provider,
                                           const std::string& instance_id,
                                           const std::shared_ptr<Stream>& stream) {
  std::lock_guard lock(mutex_);
  Stream* before = std::exchange(names_[{provider, instance_id}], stream.get());
  auto it = streams_.find(before);
  return it == streams_.end() ? nullptr : it->second.lock();
}

std::vector<std::shared_ptr<Stream>> Streams::all() {
  std::vector<std::shared_ptr<Stream>> out;
  std::lock_guard lock(mutex_);
  out.reserve(streams_.size());
  for (auto& [raw, weak] : streams_)
    if (auto stream = weak.lock()) out.push_back(std::move(stream));
  return out;
}

void Streams::drain(Millis grace) {
  {
    std::lock_guard lock(mutex_);
    if (drain_until_) return;
    drain_until_ = context_->clock().mono() + grace;
  }
  for (auto& stream : all()) stream->tell_draining(context_->clock().wall() + grace);
}

void Streams::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (auto& stream : all()) stream->end(going_away());
}

void Streams::run() {
  std::unique_lock lock(mutex_);
  while (!closed_ || !streams_.empty()) {
    bool over = drain_until_ && context_->clock().mono() >= *drain_until_;
    lock.unlock();
    for (auto& stream : all()) {
      if (over) stream->end(going_away());
      stream->tick(context_->clock().mono());
    }
    lock.lock();
    wake_.wait_for(lock, kTick, [this] { return closed_ && streams_.empty(); });
  }
}

}  // namespace gw::api
