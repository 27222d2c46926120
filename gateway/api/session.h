#pragma once

// What a Connect stream means: Hello, the clients attached over it, their submits and events. Knows
// nothing of gRPC's calls; the stream that carries it is a Carrier.
//
// on_frame runs on one thread at a time; everything else on any. Order of locks: session, carrier,
// subscription. Users is called with no lock held, for it may call back at once.

#include <atomic>
#include <grpcpp/support/status.h>
#include <memory>
#include <mutex>
#include <string>
#include <tl/expected.hpp>
#include <unordered_map>

#include "api/client.h"
#include "api/context.h"
#include "api/frame.h"
#include "delivery/subscription.h"

namespace gw::api {

// Takes what is to be written. push only notes it; flush writes and is called without a lock.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual void push(const v1::ConnectResponse& frame) = 0;
  virtual void push(const Batch& results) = 0;
  virtual void flush() = 0;
  // This stream is the one of (provider, instance_id) now; ends the one before.
  virtual void take_name(const std::string& instance_id) = 0;
};

class Session {
 public:
  Session(std::shared_ptr<Context> context, Caller caller, Carrier& carrier);

  // `self` shares the lifetime of the carrier.
  void open(const std::weak_ptr<Session>& self) { self_ = self; }
  // The status with which the stream is to end, if the frame breaks the rules.
  tl::expected<void, grpc::Status> on_frame(v1::ConnectRequest& frame);
  bool greeted() const { return greeted_.load(std::memory_order_acquire); }
  // The stream ended: its clients may be adopted. Nothing is pushed any more.
  void close();
  // Answers that are still to come: results and attaches.
  std::size_t due() const { return due_.load(); }
  // Null before Hello.
  delivery::Subscription* events() { return greeted() ? events_.get() : nullptr; }

  // From Client, on the user's loop.
  void on_refused(Client& client, const Error& error);
  void on_attached(Client& client, EventSeq acked, EventSeq last);
  void on_detached(Client& client, user::DetachReason reason);
  void on_link_state(Client& client, user::LinkState state, std::string_view reason);
  void on_token_wanted(Client& client);
  void on_submitted(Client& client, std::vector<user::SubmitResult> results);
  void on_events(Client& client, const std::vector<message::Event>& events);

 private:
  using Outcome = tl::expected<void, grpc::Status>;
  void send(const v1::ConnectResponse& frame);
  void write_soon(user::AttachmentId at);
  void write_now();
  Outcome hello(const v1::Hello& hello);
  void subscribe(const delivery::FeedLimits& limits);
  void attach(v1::Attach& attach);
  void start_attach(v1::Attach& attach, std::string our_id);
  bool admit_client(const std::shared_ptr<Client>& client);  // false: too many
  void detach(const v1::Detach& detach);
  void fresh_token(v1::FreshToken& token);
  Outcome submit(v1::Submit& submit);
  void acknowledge(const v1::Acknowledge& acknowledge);
  void resume_ahead(Client& client);
  void refuse_attach(const std::string& user_id, const Error& error, std::string_view where);

  // The rest with the lock held.
  std::shared_ptr<Client> find(const std::string& native_user) const;
  bool is_current(const Client& client) const;
  std::string_view admit(Client* client, std::size_t bytes) const;  // empty: yes; else the reason
  // Takes the client out, with results for what it has none yet. Answers how much of due_ that
  // settles, to be taken off once everything is pushed.
  std::size_t drop(Client& client, const Error& for_open_submits);
  void let_go(const std::shared_ptr<Client>& keep, const v1::ConnectResponse& detached,
              const Error& for_open_submits);

  const std::shared_ptr<Context> context_;
  const Caller caller_;
  Carrier& carrier_;
  std::weak_ptr<Session> self_;
  std::shared_ptr<delivery::Subscription> events_;  // set once, before greeted_
  std::atomic<bool> greeted_{false};
  std::atomic<std::size_t> due_{0};
  std::atomic<bool> write_due_{false};

  mutable std::mutex mutex_;
  bool closed_ = false;
  std::unordered_map<std::string, std::shared_ptr<Client>> clients_;  // by native user id
  std::size_t open_submits_ = 0, open_bytes_ = 0;
};

}  // namespace gw::api
