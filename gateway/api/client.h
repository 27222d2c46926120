#pragma once

// One attached client of a stream: what its user's strand tells goes to the session, as long as
// that lives.

#include <memory>
#include <string>
#include <vector>

#include "delivery/queue.h"
#include "delivery/subscription.h"
#include "user/users.h"

namespace gw::api {

class Session;

class Client final : public user::Attachment {
 public:
  Client(std::weak_ptr<Session> session, std::string native, user::Name its_name, EventSeq resume)
      : native_user(std::move(native)),
        name(std::move(its_name)),
        resume_seq(resume),
        session_(std::move(session)) {}

  void attached(EventSeq acked, EventSeq last) override;
  void detached(user::DetachReason reason) override;
  void link_state(user::LinkState state, std::string_view reason) override;
  void token_wanted() override;
  void submitted(std::vector<user::SubmitResult> results) override;
  void events(std::vector<message::Event> events) override;

  const std::string native_user;
  const user::Name name;
  const EventSeq resume_seq;

  // A submit without a result.
  struct Open {
    std::string request_id;
    std::size_t bytes = 0;
  };

  // Guarded by the session's lock.
  user::AttachmentId id = 0;  // 0: attach has not returned yet
  bool answered = false;      // attached() came
  bool detach_once_known = false;
  EventSeq acknowledge_once_known = 0;
  delivery::Subscription::Handle feed = 0;
  std::vector<Open> open;  // in order; results nearly always come so
  std::size_t open_head = 0;

  // Adds to and takes from `open`.
  void opened(std::string request_id, std::size_t bytes);
  bool closed(std::string_view request_id, std::size_t& bytes);

  // Only on the thread that reads the stream.
  std::vector<message::Submit> batch;

 private:
  const std::weak_ptr<Session> session_;
};

}  // namespace gw::api
