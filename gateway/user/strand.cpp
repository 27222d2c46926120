#include "user/strand.h"

#include <algorithm>

#include "user/blobs.h"
#include "user/concerns.h"

namespace gw::user {
namespace {

constexpr std::size_t kMostInputsAStep = 256;
constexpr std::size_t kMostBytesAStep = 1u << 20;
constexpr Millis kAckDelay{1000};
constexpr Millis kRetryFirst{50}, kRetryMost{2000};
constexpr Millis kWatchAgain{1000};
constexpr Millis kQueuePatience{3000};  // longer than kRetryMost: the next try may succeed

bool is_call(const Input& input) {
  return std::holds_alternative<SubmitInput>(input) || std::holds_alternative<QueryInput>(input) ||
         std::holds_alternative<MarkReadInput>(input) ||
         std::holds_alternative<SettingInput>(input);
}

// What WhatsApp sent: only that is held back by not reading on.
bool from_link(const Input& input) {
  return std::holds_alternative<InboundInput>(input) ||
         std::holds_alternative<ReceiptInput>(input) || std::holds_alternative<AckInput>(input) ||
         std::holds_alternative<NotificationInput>(input);
}

std::optional<std::uint64_t> call_origin(const Input& input) {
  if (const auto* in = std::get_if<MarkReadInput>(&input)) return in->origin;
  if (const auto* in = std::get_if<SettingInput>(&input)) return in->origin;
  return std::nullopt;
}

Error not_stored(ErrorKind kind) {
  return {kind == ErrorKind::kThrottled ? kind : ErrorKind::kRetryLater, "STORE_UNAVAILABLE",
          "the message could not be stored; try again with the same request_id", Millis{1000}};
}

// Where a commit may have taken place: nobody here can say.
Error outcome_open() {
  return {ErrorKind::kUnknownOutcome, "OUTCOME_UNKNOWN",
          "it is not known yet whether the message was stored; repeat the same request_id",
          Millis{1000}};
}

}  // namespace

Strand::Strand(LoopContext& context, Name name, Owner owner)
    : context_(context),
      shared_(context.shared),
      name_(std::move(name)),
      tag_(shared_.store.pseudonyms().user(name_.tenant, name_.user_id)),
      owner_(std::move(owner)),
      tokens_(context.logins, tag_),
      deadline_(context.loop),
      retry_(context.loop),
      flush_(context.loop),
      grace_(context.loop),
      reconnect_(context.loop),
      watch_(context.loop) {
  ++shared_.probe.strands;
  const auto pause = context_.logins.pause(tag_);
  backoff_ = link::Backoff(pause.until);
  pause_reason_ = pause.reason;
}

Strand::~Strand() {
  --shared_.probe.strands;
  if (link_) link_->abandon();
}

// ---- the way in ----

void Strand::push(Input input) {
  const auto size = size_of(input);
  input_bytes_ += size;
  if (from_link(input)) {
    ++link_inputs_;
    link_bytes_ += size;
  }
  if (is_call(input) && !calls_since_) calls_since_ = shared_.clock.mono();
  inputs_.push_back(std::move(input));
  schedule();
}

// One pump for whatever one turn of the loop brings.
void Strand::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  context_.loop.post([self = shared_from_this()] {
    self->scheduled_ = false;
    self->pump();
  });
}

// ---- one step after another ----

// While events fill their bound nothing is taken that would make more of them.
bool Strand::full() const {
  return events_full_ || inputs_.size() >= shared_.limits.queued_inputs ||
         input_bytes_ >= shared_.limits.queued_bytes;
}

bool Strand::take_batch() {
  std::size_t bytes = 0;
  while (!inputs_.empty() && batch_.size() < kMostInputsAStep && bytes < kMostBytesAStep) {
    const auto size = size_of(inputs_.front());
    bytes += size;
    if (from_link(inputs_.front())) {
      --link_inputs_;
      link_bytes_ -= size;
    }
    batch_.push_back(std::move(inputs_.front()));
    inputs_.pop_front();
    if (auto* ack = std::get_if<ProviderAckInput>(&batch_.back())) {
      ack->seq = newest_ack_;
      ack_queued_ = false;
    }
  }
  input_bytes_ -= bytes;
  if (inputs_.empty()) calls_since_.reset();
  return !batch_.empty();
}

void Strand::pump() {
  while (!busy_ && state_ && !leaving_) {
    if (batch_.empty()) {
      tried_tags_.clear();
      tried_orders_.clear();
      existing_ = {};
      if (!take_batch()) return after_step();
    }
    env_.emplace(Env{shared_.clock.wall(), shared_.clock.mono(), shared_.limits,
                     shared_.store.pseudonyms(), *ids_, shared_.dialects.at(name_.tenant),
                     context_.engine});
    if (fetch_needs()) return;
    run_step();
  }
}

// True when something has to be loaded first: one kind after the other, until nothing is missing.
bool Strand::fetch_needs() {
  auto need = needs(*state_, batch_, *env_);
  std::erase_if(need.conversations, [&](const Tag& t) { return !tried_tags_.insert(t).second; });
  if (!need.conversations.empty()) {
    busy_ = true;
    shared_.store.load_conversations(
        state_->account.user, std::move(need.conversations),
        loaded<std::vector<store::Conversation>>([](State& state, auto rows) -> Result<void> {
          for (auto& row : rows) GW_TRY(state.add_conversation(std::move(row)));
          return {};
        }));
    return true;
  }
  std::erase_if(need.messages, [&](Order o) { return !tried_orders_.insert(o).second; });
  if (!need.messages.empty()) {
    busy_ = true;
    shared_.store.load_messages(
        state_->account.user, std::move(need.messages),
        loaded<std::vector<store::MessageRow>>([](State& state, auto rows) -> Result<void> {
          for (auto& row : rows) GW_TRY(state.add_message(std::move(row)));
          return {};
        }));
    return true;
  }
  if (!need.prekeys) return false;
  busy_ = true;
  shared_.store.load_prekeys(state_->account.user,
                             loaded<std::vector<store::PrekeyBatch>>([](State& state, auto rows) {
                               return state.add_prekeys(std::move(rows));
                             }));
  return true;
}

// What a read completes with: folds the rows into the state, and goes on with the step.
template <class Rows, class Fold>
std::function<void(Result<Rows>)> Strand::loaded(Fold fold) {
  watch_commit();
  return [self = shared_from_this(), fold](Result<Rows> rows) mutable {
    auto& loop = self->context_.loop;
    loop.post([self = std::move(self), fold, rows = std::move(rows)]() mutable {
      self->busy_ = false;
      if (self->leaving_) return;
      auto folded = rows ? fold(*self->state_, *std::move(rows)) : Result<void>(fail(rows.error()));
      if (!folded) return self->not_committed(folded.error());
      self->pump();
    });
  };
}

void Strand::run_step() {
  draft_ = std::make_unique<Draft>(step(*state_, batch_, existing_, *env_));
  ++shared_.probe.steps;
  if (!draft_->has_changes()) return committed({store::Outcome::Kind::kApplied, {}, {}, {}});
  busy_ = true;
  watch_commit();
  // The strand goes along: it must not end on the store's thread.
  shared_.store.apply(draft_->change_set(crypto::random_u64()),
                      [self = shared_from_this()](store::Outcome outcome) mutable {
                        auto& loop = self->context_.loop;
                        loop.post([self = std::move(self), outcome = std::move(outcome)]() mutable {
                          self->busy_ = false;
                          self->committed(std::move(outcome));
                          self->pump();
                        });
                      });
}

// A commit whose outcome stays open, or rows that do not come, keep nobody waiting for ever: what
// is queued behind is refused, what is in flight is not touched. One timer for many commits.
void Strand::watch_commit() {
  if (failures_ == 0) waiting_since_ = shared_.clock.mono();
  if (std::exchange(watching_, true)) return;
  watch_.after(shared_.limits.refuse_after, [this] { watched(); });
}

void Strand::watched() {
  watching_ = false;
  if (leaving_ || (state_ && !busy_)) return;
  watching_ = true;
  auto waited = shared_.clock.mono() - waiting_since_;
  if (waited < shared_.limits.refuse_after)
    return watch_.after(shared_.limits.refuse_after - waited, [this] { watched(); });
  if (!state_)
    return opened(fail(ErrorKind::kRetryLater, "STORE_UNAVAILABLE",
                       "the user's rows could not be read in time; try again", Millis{1000}));
  refuse_overdue(not_stored(ErrorKind::kRetryLater));
  watch_.after(kWatchAgain, [this] { watched(); });
}

void Strand::committed(store::Outcome outcome) {
  using Kind = store::Outcome::Kind;
  if (leaving_) return maybe_leave();
  switch (outcome.kind) {
    case Kind::kApplied:
    case Kind::kFoundApplied: {
      auto draft = std::move(draft_);
      bool wrote = draft->has_changes();
      auto effects = std::move(draft->effects);
      auto counts = std::move(draft->counts);
      std::move(*draft).absorb_into(*state_, wrote);
      state_->trim(shared_.limits);
      batch_.clear();
      failures_ = 0;
      publish(std::move(effects), counts);
      if (leaving_) return;
      if (state_->has_room_again(shared_.limits)) push(TimerInput{});
      // With nothing queued, after_step comes next and does the same.
      if (inputs_.empty()) return;
      watch_bounds();
      return arm_deadline();
    }
    case Kind::kExists:
      return resolve_existing(std::move(outcome));
    case Kind::kFailed:
      return not_committed(outcome.error);
    case Kind::kStale:
    case Kind::kClosed:
      return lose(DetachReason::kStoreLost);
  }
}

// Somebody used these ids before. The first answer of each request is read, and the step is taken
// again without them.
void Strand::resolve_existing(store::Outcome outcome) {
  draft_.reset();
  busy_ = true;
  auto user = state_->account.user;
  auto fail_back = [self = shared_from_this()](const Error& error) {
    self->busy_ = false;
    self->not_committed(error);
  };
  shared_.store.find_messages(
      user, std::move(outcome.existing_requests),
      [self = shared_from_this(), fail_back, user,
       received = std::move(outcome.existing_received)](auto rows) mutable {
        if (!rows) return self->context_.loop.post([fail_back, e = rows.error()] { fail_back(e); });
        // One that was swept meanwhile is new.
        self->shared_.store.find_received(
            user, std::move(received), [self, fail_back, rows = std::move(*rows)](auto ids) {
              self->context_.loop.post([self, fail_back, rows, ids = std::move(ids)]() mutable {
                if (!ids) return fail_back(ids.error());
                self->busy_ = false;
                for (auto& row : *ids) self->existing_.received.emplace(row.message, row);
                self->answer_existing(std::move(rows));
                self->pump();
              });
            });
      });
}

void Strand::answer_existing(std::vector<store::MessageRow> rows) {
  if (!state_ || leaving_) return;
  std::map<Tag, Message> found;
  for (auto& row : rows) {
    Message m;
    m.body_mac = row.body_mac;
    m.state = row.state;
    if (!row.content.empty() && !read_message(row.content, m))
      return not_committed({ErrorKind::kCorrupt, "ROW_MALFORMED", {}, {}});
    existing_.requests.insert(row.request);
    found.emplace(row.request, std::move(m));
  }
  std::vector<Reply> replies;
  auto user = state_->account.user;
  std::erase_if(batch_, [&](const Input& input) {
    const auto* in = std::get_if<SubmitInput>(&input);
    if (in == nullptr) return false;
    auto it = found.find(env_->names.request(user, in->submit.request_id));
    if (it == found.end()) return false;
    ++shared_.probe.repeats;
    replies.push_back(
        {in->origin, answer_repeat(in->submit.request_id, it->second.message_id, it->second.state,
                                   it->second.body_mac == body_mac(*env_, user, in->submit))});
    return true;
  });
  publish_replies(std::move(replies));
}

// Nothing of the step took place. The user freezes and the same is tried again: a short trouble of
// the database costs time and not order. Who waits for an answer gets an error when it lasts, and
// so does all that is queued behind.
void Strand::not_committed(const Error& error) {
  draft_.reset();
  auto now = shared_.clock.mono();
  if (failures_++ == 0) failing_since_ = waiting_since_;  // the wait for the failure counts
  if (now - failing_since_ >= shared_.limits.refuse_after) {
    refuse_submits(batch_, not_stored(error.kind));
    refuse_overdue(not_stored(error.kind));
  }
  if (remedy(error.kind, Stage::kCommit) == Remedy::kLetGo) return lose(DetachReason::kStoreLost);
  // Whoever waited was told: what comes next is a trouble of its own.
  if (batch_.empty()) failures_ = 0;
  ++shared_.probe.frozen;
  busy_ = true;
  tried_tags_.clear();
  tried_orders_.clear();
  retry_.after(backoff(kRetryFirst, kRetryMost, failures_ - 1), [this] {
    busy_ = false;
    pump();
  });
}

// What came just now has the next try to hope for.
void Strand::refuse_overdue(const Error& told) {
  if (calls_since_ && shared_.clock.mono() - *calls_since_ >= kQueuePatience)
    refuse_queued(told, open_requests());
}

// What a commit holds whose outcome is open: a repeat of it may have been stored.
std::set<std::string> Strand::open_requests() const {
  std::set<std::string> open;
  if (!draft_) return open;
  for (const auto& input : batch_)
    if (auto* in = std::get_if<SubmitInput>(&input)) open.insert(in->submit.request_id);
  return open;
}

void Strand::refuse_queued(const Error& told, const std::set<std::string>& open) {
  std::vector<Input> queued(std::make_move_iterator(inputs_.begin()),
                            std::make_move_iterator(inputs_.end()));
  inputs_.clear();
  input_bytes_ = link_inputs_ = link_bytes_ = 0;
  calls_since_.reset();
  refuse_submits(queued, told, open);
  for (auto& input : queued) push(std::move(input));
}

// Takes submits, questions and calls out of `inputs` and answers them so.
void Strand::refuse_submits(std::vector<Input>& inputs, const Error& told,
                            const std::set<std::string>& open) {
  std::vector<Reply> replies;
  std::vector<Users::Done<ContactInfo>> questions;
  std::vector<Users::Done<bool>> calls;
  std::erase_if(inputs, [&](Input& input) {
    if (auto* in = std::get_if<SubmitInput>(&input)) {
      auto& id = in->submit.request_id;
      Error why = open.contains(id) ? outcome_open() : told;
      replies.push_back({in->origin, {std::move(id), {}, message::State::kRejected, why}});
      return true;
    }
    if (auto* in = std::get_if<QueryInput>(&input)) {
      if (auto it = queries_.find(in->origin); it != queries_.end()) {
        questions.push_back(std::move(it->second));
        queries_.erase(it);
      }
      return true;
    }
    if (auto origin = call_origin(input)) {
      calls.push_back(take_call(*origin));
      return true;
    }
    return false;
  });
  publish_replies(std::move(replies));
  for (auto& done : questions) done(fail(told));
  for (auto& done : calls)
    if (done) done(fail(told));
}

// Deadlines mostly move away: a timer that fires too early looks again, and costs less than setting
// it anew after each step.
void Strand::arm_deadline() {
  const auto wall = shared_.clock.wall();
  auto next = state_->next_deadline(shared_.limits, wall, shared_.clock.mono());
  if (!next || (armed_for_ && *armed_for_ <= *next)) return;
  armed_for_ = next;
  deadline_.after(std::max(*next - wall, Millis{1}), [this] {
    armed_for_.reset();
    if (leaving_ || !state_) return;
    auto due = state_->next_deadline(shared_.limits, shared_.clock.wall(), shared_.clock.mono());
    if (due && *due <= shared_.clock.wall()) return push(TimerInput{});
    arm_deadline();
  });
}

void Strand::after_step() {
  state_->prekeys.reset();
  watch_bounds();
  arm_deadline();
  if (state_->now.provider_ack > state_->account.acked_event && !ack_waits_) {
    ack_waits_ = true;
    flush_.after(kAckDelay, [this] {
      ack_waits_ = false;
      push(FlushInput{});
    });
  }
  maybe_leave();
}

// ---- the way out ----

void Strand::publish(Effects effects, const Counts& counts) {
  count(counts);
  publish_replies(std::move(effects.replies));
  // A step that was taken over an earlier link says nothing on this one: what is READY goes again
  // when its turn comes, in order; what was received comes again.
  bool same_link = link_ && state_->now.link == link_number_;
  if (same_link)
    for (const auto& stanza : effects.send)
      if (!link_->send(stanza)) break;
  publish_requests(std::move(effects.requests), same_link);
  tell_when_up();
  if (!effects.events.empty() && attachment_) attachment_->events(std::move(effects.events));
  for (auto& reply : effects.query_replies) {
    auto it = queries_.find(reply.origin);
    if (it == queries_.end()) continue;
    auto done = std::move(it->second);
    queries_.erase(it);
    done(std::move(reply.result));
  }
  for (auto& reply : effects.call_replies)
    if (auto done = take_call(reply.origin)) done(std::move(reply.result));
  if (!effects.withdrawn) return;
  auto done = std::move(withdrawals_);
  withdrawals_.clear();
  lose(DetachReason::kWithdrawn);
  for (auto& each : done) each({});
}

void Strand::publish_requests(std::vector<Request> requests, bool same_link) {
  for (auto& request : requests) {
    auto answer = [weak = weak_from_this(), kind = request.kind,
                   contact = request.contact](Result<stanza::Node> node) {
      if (auto self = weak.lock()) self->push(AnswerInput{kind, contact, std::move(node)});
    };
    if (same_link && link_) {
      link_->request(std::move(request.iq), std::move(answer));
    } else {
      answer(fail(ErrorKind::kRetryLater, "LINK_DOWN", "the link to WhatsApp is down"));
    }
  }
}

void Strand::publish_replies(std::vector<Reply> replies) {
  std::vector<SubmitResult> results;
  for (auto& reply : replies) {
    if (reply.origin == attachment_id_) {
      results.push_back(std::move(reply.result));
    } else if (auto it = sends_.find(reply.origin); it != sends_.end()) {
      auto done = std::move(it->second);
      sends_.erase(it);
      done(std::move(reply.result));
    }
  }
  if (!results.empty() && attachment_) attachment_->submitted(std::move(results));
}

void Strand::count(const Counts& counts) {
  auto& p = shared_.probe;
  p.accepted += counts.accepted;
  p.repeats += counts.repeats;
  p.encrypted += counts.encrypted;
  p.resent += counts.resent;
  p.decrypted += counts.decrypted;
  p.duplicates += counts.duplicates;
  p.dropped_again += counts.dropped_again;
  p.undecryptable += counts.undecryptable;
  p.ignored += counts.ignored;
  p.pending += counts.pending;
  p.retry_receipts += counts.retry_receipts;
  p.retries_asked += counts.retries_asked;
  p.retries_answered += counts.retries_answered;
  p.sessions_started += counts.sessions_started;
  for (const auto& [state, n] : counts.states) {
    switch (state) {
      case message::State::kSent:
        p.sent += n;
        break;
      case message::State::kDelivered:
        p.delivered += n;
        break;
      case message::State::kRead:
        p.read += n;
        break;
      case message::State::kRejected:
        p.rejected += n;
        break;
      case message::State::kExpired:
        p.expired += n;
        break;
      case message::State::kUnconfirmed:
        p.unconfirmed += n;
        break;
      case message::State::kWaiting:
      case message::State::kReady:
        break;
    }
  }
}

}  // namespace gw::user
