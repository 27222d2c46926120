#pragma once

// A provider's backend that sends as fast, or as evenly, as a benchmark asks: one Connect stream,
// frames of 64 messages, events acknowledged for each user after 64 or two seconds.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <grpcpp/grpcpp.h>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "end_to_end/scene.h"
#include "identity/token.h"
#include "interop/gateway/v1/gateway.grpc.pb.h"

namespace gw::bench {

namespace v1 = interop::gateway::v1;
using SteadyClock = std::chrono::steady_clock;

inline constexpr std::size_t kFrame = 64;

class Backend {
 public:
  explicit Backend(Scene& scene);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  static std::string user(std::size_t i) { return "user-" + std::to_string(i); }

  void enlist(std::size_t users);
  // Attaches users [first, last) and waits until all their links are up.
  void attach(std::size_t first, std::size_t last);

  // One message of each of the users to phones[user % phones.size()], in turn.
  struct Load {
    std::size_t users = 0;
    const std::vector<std::string>& phones;
    std::size_t text_size = 200;
  };
  // As many as fit into `window` messages that are not DELIVERED yet, for so long; then waits for
  // the rest. Returns how many.
  std::uint64_t send_closed(const Load& load, std::chrono::milliseconds time, std::size_t window);
  std::uint64_t send_count(const Load& load, std::uint64_t count, std::size_t window);
  // At fixed moments, whatever comes back; returns the milliseconds from each message's moment to
  // the event that tells WhatsApp's ack, sorted.
  std::vector<double> send_open(const Load& load, std::chrono::milliseconds time,
                                double per_second);

  // Waits until so many messages of WhatsApp users have come, all in all.
  void await_received(std::uint64_t count);
  std::uint64_t received() const { return received_; }
  // Acknowledges everything that came.
  void acknowledge_all() { acknowledge(true); }

 private:
  struct Sent {
    SteadyClock::time_point due;
    std::atomic<std::int64_t> acked_ns{0};  // since `due`; 0: not yet
  };
  void write(const v1::ConnectRequest& frame);
  void read();
  void take(const v1::ConnectResponse& frame);
  void take_event(const v1::Event& event);
  bool room(std::uint64_t count, std::size_t window) const;
  void submit(const Load& load, std::size_t count, SteadyClock::time_point due);
  void acknowledge(bool all);
  // Until `done`; acknowledges meanwhile. Throws when nothing moves for 20 s.
  void await(const std::function<bool()>& done, const char* what);
  void check() const;

  Scene& scene_;
  identity::SigningKey signer_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::GatewayService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ConnectRequest, v1::ConnectResponse>> stream_;

  std::unordered_map<std::string, std::size_t> users_;
  struct User {
    std::atomic<std::uint64_t> last{0};
    std::uint64_t acked = 0;
    SteadyClock::time_point acked_at{};
  };
  std::vector<std::unique_ptr<User>> events_;

  std::size_t next_user_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t submit_window_ = 0;
  std::uint64_t first_timed_ = 0;
  std::vector<std::unique_ptr<Sent>> timed_;
  std::atomic<std::uint64_t> results_{0}, delivered_{0}, received_{0}, up_{0}, moved_{0};
  mutable std::mutex mutex_;  // guards problem_, for wake_
  std::condition_variable wake_;
  std::string problem_;
  std::thread reader_;
};

}  // namespace gw::bench
