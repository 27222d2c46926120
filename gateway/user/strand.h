#pragma once

// One user's thread of control: loads, takes steps one at a time, commits, publishes; holds the
// attachment and the link. Lives on one loop, shared by nobody.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "link/backoff.h"
#include "link/endpoint.h"
#include "runtime/loop.h"
#include "store/store.h"
#include "user/login_history.h"
#include "user/step.h"
#include "user/tokens.h"
#include "user/troubles.h"
#include "user/users.h"

namespace gw::user {

// Counted over all users; read by telemetry.
struct UserProbe {
  std::atomic<std::uint64_t> accepted{0}, repeats{0}, encrypted{0}, resent{0}, sent{0},
      delivered{0}, read{0}, rejected{0}, expired{0}, unconfirmed{0}, decrypted{0}, duplicates{0},
      dropped_again{0}, undecryptable{0}, ignored{0}, retry_receipts{0}, retries_asked{0},
      retries_answered{0}, pending{0}, sessions_started{0}, throttled{0}, steps{0}, step_cpu_us{0},
      frozen{0}, lost{0}, tokens_wanted{0};
  std::atomic<std::int64_t> strands{0}, attached{0};
};

// What all strands of a deployment use; outlives them.
struct Shared {
  store::Store& store;
  const Clock& clock;
  const Limits& limits;
  link::Endpoint& endpoint;
  UserProbe& probe;
  std::map<TenantId, whatsapp::Dialect> dialects;  // the providers that there are
};

// What belongs to one loop.
struct LoopContext {
  Shared& shared;
  runtime::Loop& loop;
  signal::Engine engine;
  LoginHistory logins{LoginHistory::Bounds{}};
};

class Strand final : public link::Listener, public std::enable_shared_from_this<Strand> {
 public:
  // Who keeps the strand, told on its loop.
  struct Owner {
    std::function<void(std::shared_ptr<Strand>)> gone;   // let go of it: it does nothing any more
    std::function<void(AttachmentId)> attachment_ended;  // this id means nothing any more
  };
  Strand(LoopContext& context, Name name, Owner owner);
  ~Strand() override;

  // Finds, claims and loads the user. Calls that come before that is done wait for it; when it
  // fails they get its error and the strand goes.
  void open();

  void attach(AttachmentId id, AttachRequest request, Users::Done<void> done);
  void detach(AttachmentId id, DetachReason reason);
  void stream_lost(AttachmentId id);
  void give_token(AttachmentId id, std::string token);
  void submit(AttachmentId id, std::vector<message::Submit> messages);
  void acknowledge(AttachmentId id, EventSeq seq);
  void send(message::Submit message, Users::Done<SubmitResult> done);
  void withdraw(Users::Done<void> done);
  void query(message::Contact contact, Users::Done<ContactInfo> done);
  void mark_read(message::Contact from, std::vector<std::string> ids, Users::Done<bool> done);
  void update(std::optional<bool> read_receipts, Users::Done<bool> done);
  // Settles what is overdue of a user whom nobody attached.
  void sweep();
  void drain();

  // Through the grace as well: its client is still there, only its backend's stream is not.
  bool attached() const { return attachment_ != nullptr || in_grace_; }
  UserInfo info() const;  // precondition: loaded()
  bool loaded() const { return state_ != nullptr; }
  bool leaving() const { return leaving_; }

 private:
  void link_up(const stanza::Node& success) override;
  void link_down(link::Down why) override;
  void link_stanza(stanza::Node node) override;

  // While the rows are read calls wait behind the attach that they belong to, in order.
  bool opening() const { return !state_ && !leaving_; }
  void when_open(std::function<void(const Result<void>&)> call);
  void opened(Result<void> result);
  void load();

  template <class In>
  void call(In input, Users::Done<bool> done);
  Users::Done<bool> take_call(std::uint64_t origin);
  void push(Input input);
  void schedule();
  void pump();
  bool take_batch();
  bool fetch_needs();
  template <class Rows, class Fold>
  std::function<void(Result<Rows>)> loaded(Fold fold);
  void run_step();
  void committed(store::Outcome outcome);
  void resolve_existing(store::Outcome outcome);
  void answer_existing(std::vector<store::MessageRow> rows);
  void not_committed(const Error& error);
  void publish(Effects effects, const Counts& counts);
  void publish_requests(std::vector<Request> requests, bool same_link);
  void publish_replies(std::vector<Reply> replies);
  void refuse_submits(std::vector<Input>& inputs, const Error& told,
                      const std::set<std::string>& open = {});
  void refuse_queued(const Error& told, const std::set<std::string>& open);
  std::set<std::string> open_requests() const;
  void refuse_overdue(const Error& told);
  bool full() const;
  void watch_commit();
  void watched();
  void arm_deadline();
  void count(const Counts& counts);
  void after_step();

  void open_link();
  void close_link();
  void tell_when_up();
  void ask_turn();
  void tell_down(std::string_view reason);
  void reconnect_at(MonoTime at);
  void reconnect_later(Millis at_least = Millis{0});
  link::Backoff::Options pauses() const;
  void want_token();
  bool take_token(std::string token);
  void watch_bounds();
  void end_attachment(DetachReason reason);
  void forget_attachment();
  void end_grace();
  void cancel_timers();
  void lose(DetachReason reason);
  void maybe_leave();

  LoopContext& context_;
  Shared& shared_;
  Name name_;
  Tag tag_;  // Pseudonyms::user
  Owner owner_;
  std::vector<std::function<void(const Result<void>&)>> opening_;

  std::unique_ptr<State> state_;
  std::optional<store::MessageIds> ids_;  // with state_
  std::deque<Input> inputs_;
  std::size_t input_bytes_ = 0;
  std::size_t link_inputs_ = 0, link_bytes_ = 0;  // of those, what came from WhatsApp
  EventSeq newest_ack_ = 0;                       // of the provider; one input for any number
  bool ack_queued_ = false;
  std::vector<Input> batch_;
  Existing existing_;
  std::set<Tag> tried_tags_;
  std::set<Order> tried_orders_;
  std::optional<Env> env_;
  std::unique_ptr<Draft> draft_;
  int failures_ = 0;  // of commits, in a row
  MonoTime failing_since_{};
  std::optional<MonoTime> calls_since_;  // a submit or a question waits in inputs_ since
  MonoTime waiting_since_{};             // for the answer to a commit or to the loading of the rows
  bool watching_ = false;
  bool busy_ = false, scheduled_ = false, leaving_ = false, ack_waits_ = false;
  std::shared_ptr<std::atomic<bool>> claim_wanted_;  // set while a claim waits; the store asks it

  std::shared_ptr<Attachment> attachment_;
  AttachmentId attachment_id_ = 0;
  bool in_grace_ = false, draining_ = false;
  std::string client_address_;
  Tokens tokens_;
  std::map<std::uint64_t, Users::Done<SubmitResult>> sends_;
  std::map<std::uint64_t, Users::Done<ContactInfo>> queries_;
  std::map<std::uint64_t, Users::Done<bool>> calls_;
  std::vector<Users::Done<void>> withdrawals_;
  std::uint64_t next_origin_ = 1;  // odd ones are ours; attachment ids are even

  std::shared_ptr<link::Link> link_;
  std::uint64_t link_number_ = 0;  // of link_; raised at each opening
  LinkState link_state_ = LinkState::kDown;
  std::string_view down_reason_;  // as told last; with LinkState::kDown
  std::shared_ptr<link::Turn> turn_;
  link::Backoff backoff_;
  std::string_view pause_reason_;  // WhatsApp's, for the pause that it asked for last
  bool token_asked_ = false;       // reconnect_ runs until it is too late for an answer
  bool reading_paused_ = false, events_full_ = false;
  std::optional<WallTime> armed_for_;  // deadline_
  runtime::Timer deadline_, retry_, flush_, grace_, reconnect_, watch_;
};

}  // namespace gw::user
