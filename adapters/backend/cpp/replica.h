#pragma once

// One stream to one replica: dialled until it stands, greeted, kept alive, dialled again when it is
// lost. What its frames mean for users is Core's business. Belongs to the loop.

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>

#include "backend_client.h"
#include "loop.h"
#include "stream.h"

namespace gw::backend {

struct User;
class Replica;
using ReplicaPtr = std::shared_ptr<Replica>;
using Dial = std::function<std::shared_ptr<grpc::Channel>(const std::string& endpoint)>;

// Keeps the streams until gRPC has let go of them, and releases them on a thread of ours.
class OpenStreams {
 public:
  void opened(std::uint64_t id, std::shared_ptr<Stream> stream);
  void ended(std::uint64_t id);
  std::uint64_t next() { return ++next_; }
  // Not on a thread of gRPC's.
  void release_ended();
  // Cancels those that do not end within the time.
  void wait_for_none(milliseconds patience);

 private:
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, std::shared_ptr<Stream>> streams_;
  std::set<std::uint64_t> ended_;  // may be told before it is known as open
};

class Replica : public std::enable_shared_from_this<Replica> {
 public:
  enum class State { kStarting, kUp, kDraining, kDown, kClosed };  // kStarting: the first try

  // Told on the loop.
  class Owner {
   public:
    virtual void on_up(const ReplicaPtr& replica) = 0;
    virtual void on_frame(const ReplicaPtr& replica, const v1::ConnectResponse& frame) = 0;
    virtual void on_lost(const ReplicaPtr& replica, const std::string& reason) = 0;

   protected:
    ~Owner() = default;
  };

  Replica(std::string its_endpoint, const Options& options, const Dial& dial,
          std::shared_ptr<Loop> loop, std::shared_ptr<OpenStreams> streams, Owner& owner);
  void dial();
  void write(v1::ConnectRequest frame);
  // What was written still leaves.
  void close();

  bool alive() const { return state == State::kUp || state == State::kDraining; }
  bool takes_users() const { return state == State::kUp && !removed; }
  // Up for long enough to be trusted with users that are well where they are.
  bool seasoned() const { return takes_users() && Loop::now() - up_since_ >= options_.settle; }

  const std::string endpoint;
  State state = State::kStarting;
  bool removed = false;                   // the endpoint is on the list no more
  std::set<std::shared_ptr<User>> users;  // whose place is here
  std::unordered_set<std::string>
      lingering;  // who moved away, until Detached of their old attachment
  std::deque<std::shared_ptr<User>> ready;  // users with something to submit
  std::set<std::shared_ptr<User>> acks;     // users with something to acknowledge
  v1::Welcome window;
  std::uint64_t session = 0;              // counts the streams
  std::size_t open = 0, open_octets = 0;  // submits without a result
  bool submitting = false;                // a task that submits is on its way
  Loop::Timer seasoning;

 private:
  void take(const v1::ConnectResponse& frame);
  void beat();
  void lost(const std::string& reason);
  void drop();
  // Runs on the loop if the stream is still this one then.
  using Later = std::function<void(std::function<void(Replica&)>)>;
  Later later();

  const Options& options_;
  const Dial& dial_;
  const std::shared_ptr<Loop> loop_;
  const std::shared_ptr<OpenStreams> streams_;
  Owner& owner_;
  std::shared_ptr<Stream> stream_;
  Loop::Timer timer_;
  Loop::Time heard_{}, up_since_{};
  unsigned attempt_ = 0;
};

}  // namespace gw::backend
