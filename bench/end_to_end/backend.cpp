#include "end_to_end/backend.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <stdexcept>

namespace gw::bench {
namespace {

constexpr std::chrono::milliseconds kAckEvery{50};
constexpr std::chrono::milliseconds kAckAfter{2000};
constexpr std::uint64_t kAckEvents = 64;

std::string read_file(const std::string& name) {
  std::ifstream in(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::uint64_t number_of(const std::string& request_id) {
  std::uint64_t number = 0;
  std::from_chars(request_id.data() + 1, request_id.data() + request_id.size(), number);
  return number;
}

}  // namespace

Backend::Backend(Scene& scene)
    : scene_(scene),
      signer_(
          identity::SigningKey::from_pem(read_file(scene.file("keys/signing_key.pem"))).value()) {
  const std::string own = scene.file(std::string("certificates/") + kProvider);
  channel_ = grpc::CreateChannel(
      scene.target(), grpc::SslCredentials({read_file(scene.file("certificates/ca.pem")),
                                            read_file(own + ".key"), read_file(own + ".pem")}));
  stub_ = v1::GatewayService::NewStub(channel_);
  stream_ = stub_->Connect(&context_);
  v1::ConnectRequest hello;
  hello.mutable_hello()->set_instance_id("bench");
  write(hello);
  v1::ConnectResponse welcome;
  if (!stream_->Read(&welcome) || !welcome.has_welcome()) throw std::runtime_error("no Welcome");
  submit_window_ = welcome.welcome().submit_window();
  reader_ = std::thread([this] { read(); });
}

Backend::~Backend() {
  context_.TryCancel();
  reader_.join();
}

void Backend::write(const v1::ConnectRequest& frame) {
  if (!stream_->Write(frame)) throw std::runtime_error("the stream to the gateway ended");
}

void Backend::enlist(std::size_t users) {
  std::atomic<std::size_t> next{0}, failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      for (std::size_t i; (i = next++) < users;) {
        grpc::ClientContext context;
        v1::EnlistRequest request;
        v1::EnlistResponse response;
        request.set_user_id(user(i));
        if (!stub_->Enlist(&context, request, &response).ok()) ++failed;
      }
    });
  for (auto& thread : threads) thread.join();
  if (failed > 0) throw std::runtime_error("users were not enlisted");
  for (std::size_t i = 0; i < users; ++i) {
    users_[user(i)] = i;
    events_.push_back(std::make_unique<User>());
  }
}

void Backend::attach(std::size_t first, std::size_t last) {
  const std::uint64_t goal = up_ + (last - first);
  const auto now = std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());
  for (std::size_t i = first; i < last; ++i) {
    v1::ConnectRequest frame;
    auto& attach = *frame.mutable_attach();
    attach.set_user_id(user(i));
    attach.set_client_address("192.0.2.1");
    attach.set_token(
        signer_.sign({kIssuer, user(i), "whatsapp", now, now + std::chrono::minutes(10), {}})
            .value());
    write(frame);
  }
  await([&] { return up_ >= goal; }, "links up");
}

void Backend::submit(const Load& load, std::size_t count, SteadyClock::time_point due) {
  v1::ConnectRequest frame;
  auto& messages = *frame.mutable_submit()->mutable_messages();
  for (std::size_t i = 0; i < count; ++i, ++sent_) {
    const std::size_t from = next_user_++ % load.users;
    auto& message = *messages.Add();
    message.set_user_id(user(from));
    message.set_request_id("r" + std::to_string(sent_));
    message.mutable_to()->set_e164("+" + load.phones[from % load.phones.size()]);
    std::string text = "message " + std::to_string(sent_) + " ";
    text.resize(std::max(text.size(), load.text_size), '.');
    message.mutable_content()->mutable_text()->set_body(std::move(text));
    if (sent_ - first_timed_ < timed_.size()) timed_[sent_ - first_timed_]->due = due;
  }
  write(frame);
}

// Within the load's own window, and within what the stream may have without a result.
bool Backend::room(std::uint64_t count, std::size_t window) const {
  return sent_ - delivered_ + count <= window && sent_ - results_ + count <= submit_window_;
}

std::uint64_t Backend::send_closed(const Load& load, std::chrono::milliseconds time,
                                   std::size_t window) {
  const std::uint64_t before = sent_;
  const auto end = SteadyClock::now() + time;
  while (SteadyClock::now() < end) {
    await([&] { return room(kFrame, window); }, "messages delivered");
    submit(load, kFrame, {});
  }
  await([&] { return delivered_ >= sent_; }, "messages delivered");
  return sent_ - before;
}

std::uint64_t Backend::send_count(const Load& load, std::uint64_t count, std::size_t window) {
  for (std::uint64_t left = count; left > 0;) {
    const auto frame = std::min<std::uint64_t>(left, kFrame);
    await([&] { return room(frame, window); }, "messages delivered");
    submit(load, frame, {});
    left -= frame;
  }
  await([&] { return delivered_ >= sent_; }, "messages delivered");
  return count;
}

std::vector<double> Backend::send_open(const Load& load, std::chrono::milliseconds time,
                                       double per_second) {
  const auto count =
      static_cast<std::size_t>(per_second * std::chrono::duration<double>(time).count());
  first_timed_ = sent_;
  timed_.clear();
  for (std::size_t i = 0; i < count; ++i) timed_.push_back(std::make_unique<Sent>());
  const auto start = SteadyClock::now();
  auto acknowledged = start;
  for (std::size_t i = 0; i < count; ++i) {
    const auto due = start + std::chrono::duration_cast<SteadyClock::duration>(
                                 std::chrono::duration<double>(double(i) / per_second));
    std::this_thread::sleep_until(due);
    submit(load, 1, due);
    if (SteadyClock::now() - acknowledged < kAckEvery) continue;
    acknowledged = SteadyClock::now();
    acknowledge(false);
    check();
  }
  await([&] { return delivered_ >= sent_; }, "messages delivered");
  std::vector<double> ms;
  for (const auto& sent : timed_) ms.push_back(double(sent->acked_ns) / 1e6);
  std::sort(ms.begin(), ms.end());
  timed_.clear();
  return ms;
}

void Backend::await_received(std::uint64_t count) {
  await([&] { return received_ >= count; }, "messages received");
}

void Backend::await(const std::function<bool()>& done, const char* what) {
  auto moved = moved_.load();
  auto since = SteadyClock::now(), acknowledged = since;
  while (!done()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(1), [&] { return !problem_.empty(); });
    }
    check();
    const auto now = SteadyClock::now();
    if (now - acknowledged >= kAckEvery) {
      acknowledged = now;
      acknowledge(false);
    }
    if (moved != moved_) {
      moved = moved_;
      since = now;
    } else if (now - since > std::chrono::seconds(20)) {
      throw std::runtime_error(std::string("nothing moves while waiting for ") + what);
    }
  }
}

void Backend::acknowledge(bool all) {
  const auto now = SteadyClock::now();
  for (std::size_t i = 0; i < events_.size(); ++i) {
    auto& user_events = *events_[i];
    const std::uint64_t last = user_events.last;
    if (last == user_events.acked) continue;
    if (!all && last - user_events.acked < kAckEvents && now - user_events.acked_at < kAckAfter)
      continue;
    user_events.acked = last;
    user_events.acked_at = now;
    v1::ConnectRequest frame;
    frame.mutable_acknowledge()->set_user_id(user(i));
    frame.mutable_acknowledge()->set_seq(last);
    write(frame);
  }
}

void Backend::check() const {
  std::lock_guard lock(mutex_);
  if (!problem_.empty()) throw std::runtime_error(problem_);
}

// ---- the reading thread ----

void Backend::read() {
  v1::ConnectResponse frame;
  while (stream_->Read(&frame)) {
    take(frame);
    ++moved_;
    std::lock_guard lock(mutex_);
    wake_.notify_one();
  }
}

void Backend::take(const v1::ConnectResponse& frame) {
  auto problem = [&](const std::string& text) {
    std::lock_guard lock(mutex_);
    if (problem_.empty()) problem_ = text;
  };
  switch (frame.frame_case()) {
    case v1::ConnectResponse::kSubmitResults:
      for (const auto& result : frame.submit_results().results())
        if (result.has_error()) problem("a message was refused: " + result.error().reason());
      results_ += static_cast<std::uint64_t>(frame.submit_results().results_size());
      break;
    case v1::ConnectResponse::kEvents:
      for (const auto& event : frame.events().events()) take_event(event);
      break;
    case v1::ConnectResponse::kLinkStatus:
      if (frame.link_status().state() == v1::LINK_STATE_UP) ++up_;
      // So many clients at once wait for their turn.
      if (frame.link_status().state() == v1::LINK_STATE_DOWN &&
          frame.link_status().reason() != "RAMPING")
        problem("a link went down: " + frame.link_status().reason());
      break;
    case v1::ConnectResponse::kDetached:
      problem("a user was detached: " + frame.detached().error().reason());
      break;
    default:
      break;
  }
}

void Backend::take_event(const v1::Event& event) {
  auto& last = events_[users_.at(event.user_id())]->last;
  if (event.seq() <= last) return;  // again
  last = event.seq();
  if (event.has_message_received()) {
    ++received_;
    return;
  }
  const auto& status = event.message_status();
  const bool acked = status.state() == v1::MESSAGE_STATE_SENT;
  const bool delivered = status.state() == v1::MESSAGE_STATE_DELIVERED;
  if (!acked && !delivered) {
    std::lock_guard lock(mutex_);
    problem_ = "a message ended as " + v1::MessageState_Name(status.state());
    return;
  }
  // A receipt may overtake the ack, and then stands for it.
  const auto index = number_of(status.request_id()) - first_timed_;
  if (index < timed_.size() && timed_[index]->acked_ns == 0)
    timed_[index]->acked_ns = (SteadyClock::now() - timed_[index]->due).count();
  if (delivered) ++delivered_;
}

}  // namespace gw::bench
