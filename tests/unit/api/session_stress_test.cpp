// A session from all sides at once, without gRPC in between: its frames, its users' threads, and
// the writer. Made for ThreadSanitizer, which cannot see how gRPC's own library synchronises.
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

#include "adapters/native/native.h"
#include "api/session.h"
#include "unit/api/fake_users.h"

namespace gw::api {
namespace {

using test::FakeUsers;

// Reads what a backend would get, and holds it to the rules.
class Backend final : public Carrier {
 public:
  void push(const v1::ConnectResponse& frame) override {
    std::lock_guard lock(mutex_);
    outbox_.push(frame);
  }
  void push(const Batch& results) override {
    std::lock_guard lock(mutex_);
    outbox_.push(results);
  }
  void flush() override {
    bool took = false;
    {
      std::lock_guard lock(mutex_);
      while (!outbox_.empty()) read(outbox_.pop());
      auto* events = session_ != nullptr ? session_->events() : nullptr;
      if (events == nullptr) return;
      std::vector<std::string> encoded;
      events->take(20'000, encoded);
      Batch batch;
      for (const auto& one : encoded) batch.add_encoded(one);
      took = !encoded.empty();
      if (took) read(events_frame(std::move(batch)));
    }
    if (took) session_->events()->pump();
  }
  void take_name(const std::string&) override {}

  void serve(Session* session) { session_ = session; }
  void submitted(const std::string& request_id) {
    std::lock_guard lock(mutex_);
    ++submitted_[request_id];
  }
  // What it may acknowledge now: all that it has.
  std::uint64_t newest(const std::string& user) {
    std::lock_guard lock(mutex_);
    return acknowledged_[user] = std::max(acknowledged_[user], last_[user]);
  }
  void check_results() {
    std::lock_guard lock(mutex_);
    EXPECT_EQ(results_, submitted_);
    EXPECT_GT(events_, 0);
  }

 private:
  void read(Frame waiting) {
    std::vector<grpc::Slice> slices;
    std::string octets;
    ASSERT_TRUE(to_buffer(std::move(waiting)).Dump(&slices).ok());
    for (auto& slice : slices)
      octets.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    v1::ConnectResponse frame;
    ASSERT_TRUE(frame.ParseFromString(octets));
    for (const auto& one : frame.submit_results().results()) ++results_[one.request_id()];
    if (frame.has_attached()) {
      attached_.insert(frame.attached().user_id());
      last_[frame.attached().user_id()] = frame.attached().acked_seq();
    }
    if (frame.has_detached()) attached_.erase(frame.detached().user_id());
    for (const auto& event : frame.events().events()) {
      ++events_;
      ASSERT_TRUE(attached_.contains(event.user_id()));
      // In order; without a gap, but for what was acknowledged from an attachment before this one.
      std::uint64_t& last = last_[event.user_id()];
      ASSERT_GT(event.seq(), last);
      ASSERT_LE(event.seq(), std::max(last, acknowledged_[event.user_id()]) + 1);
      last = event.seq();
    }
  }

  std::mutex mutex_;
  Session* session_ = nullptr;
  Outbox outbox_{1000};
  std::set<std::string> attached_;
  std::map<std::string, std::uint64_t> last_, acknowledged_;
  std::map<std::string, int> submitted_, results_;
  int events_ = 0;
};

struct Stage {
  Stage(std::shared_ptr<Context> context, Caller caller)
      : session(std::move(context), std::move(caller), backend) {
    backend.serve(&session);
  }
  Backend backend;
  Session session;
};

std::string user_name(std::uint64_t n) { return std::string("user") + std::to_string(n); }

v1::ConnectRequest random_frame(std::mt19937_64& random, Backend& backend, int& requests) {
  v1::ConnectRequest frame;
  std::string user = user_name(random() % 6);
  switch (random() % 8) {
    case 0:
    case 1:
      frame.mutable_attach()->set_user_id(user);
      frame.mutable_attach()->set_client_address("192.0.2.1");
      frame.mutable_attach()->set_token("token");
      break;
    case 2:
      frame.mutable_detach()->set_user_id(user);
      break;
    case 3:
    case 4:
      frame.mutable_acknowledge()->set_user_id(user);
      frame.mutable_acknowledge()->set_seq(backend.newest(user));
      break;
    case 5:
      frame.mutable_heartbeat()->set_nonce(1);
      break;
    default:
      for (std::uint64_t n = 1 + random() % 20; n > 0; --n) {
        auto& message = *frame.mutable_submit()->add_messages();
        message.set_user_id(user_name(random() % 6));
        message.set_request_id(std::string("request") + std::to_string(requests++));
        if (random() % 10 != 0) message.mutable_to()->set_e164("+4915112345678");
        message.mutable_content()->mutable_text()->set_body("hello");
        backend.submitted(message.request_id());
      }
  }
  return frame;
}

TEST(SessionStress, EverySubmitHasOneResultAndEventsComeInOrder) {
  const char* given = std::getenv("GW_SEED");
  std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("GW_SEED=%llu\n", static_cast<unsigned long long>(seed));

  ApiProbe probe;
  FakeUsers users;
  for (int n = 0; n < 6; ++n) users.add(7, user_name(static_cast<std::uint64_t>(n)));
  Options options;
  options.limits.submit_window = 64;
  auto context = std::make_shared<Context>(std::move(options), users, probe);
  auto stage =
      std::make_shared<Stage>(context, Caller{"acme", {7, &adapters::native::descriptor()}});
  Session& session = stage->session;
  session.open(std::shared_ptr<Session>(stage, &session));
  v1::ConnectRequest hello;
  hello.mutable_hello()->set_instance_id("b1");
  hello.mutable_hello()->set_event_window(30);
  ASSERT_TRUE(session.on_frame(hello));

  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, random = std::mt19937_64(seed + 1 + t)]() mutable {
      while (!over.load()) {
        FakeUsers::Key key{7, user_name(random() % 6)};
        users.commit_text(key, std::string(random() % 500, 'x'));
        if (random() % 50 == 0) users.end(key, user::DetachReason::kLoggedOut);
        if (random() % 20 == 0)
          users.tell(key, [](auto& to) { to.link_state(user::LinkState::kDown, "LOST"); });
        users.settle();
      }
    });
  }
  threads.emplace_back([&] {
    while (!over.load()) {
      session.events()->pump();
      stage->backend.flush();
    }
  });
  std::mt19937_64 random(seed);
  int requests = 0;
  for (int i = 0; i < 3000; ++i) {
    auto frame = random_frame(random, stage->backend, requests);
    ASSERT_TRUE(session.on_frame(frame));
  }
  over.store(true);
  for (auto& thread : threads) thread.join();
  users.settle();
  users.settle();  // what the first round of answers brought
  stage->backend.flush();
  EXPECT_EQ(session.due(), 0U);
  stage->backend.check_results();

  std::thread other([&] { session.close(); });
  session.close();
  other.join();
  EXPECT_EQ(probe.clients_now.load(), 0U);
  EXPECT_EQ(probe.delivery.held_bytes.load(), 0U);
}

}  // namespace
}  // namespace gw::api
