// How a strand comes, holds a client and its link, and goes. The steps are in strand.cpp.

#include <algorithm>

#include "telemetry/log.h"
#include "user/blobs.h"
#include "user/strand.h"

namespace gw::user {
namespace {

using telemetry::field;
using telemetry::Level;
using telemetry::log;
using telemetry::LogName;

constexpr std::size_t kPauseReadingBytes = 1u << 20;
constexpr std::size_t kPauseReadingInputs = 1024;

Result<void> just_ending() {
  return fail(ErrorKind::kRetryLater, "USER_BUSY", "the user's session is just ending; try again",
              Millis{200});
}

}  // namespace

std::string_view to_string(DetachReason reason) {
  switch (reason) {
    case DetachReason::kRequested:
      return "REQUESTED";
    case DetachReason::kReplaced:
      return "REPLACED";
    case DetachReason::kWithdrawn:
      return "WITHDRAWN";
    case DetachReason::kLoggedOut:
      return "LOGGED_OUT";
    case DetachReason::kStreamLost:
      return "STREAM_LOST";
    case DetachReason::kStoreLost:
      return "OWNERSHIP_LOST";
    case DetachReason::kDraining:
      return "DRAINING";
  }
  return "UNKNOWN";
}

// ---- opening ----

void Strand::when_open(std::function<void(const Result<void>&)> call) {
  if (leaving_) return call(just_ending());
  if (state_) return call({});
  opening_.push_back(std::move(call));
}

void Strand::open() {
  watch_commit();
  shared_.store.find_user(
      name_.tenant, tag_, [self = shared_from_this()](Result<std::optional<store::Account>> found) {
        self->context_.loop.post([self, found = std::move(found)] {
          if (self->leaving_) return;  // too late
          if (!found) return self->opened(fail(found.error()));
          if (!*found)
            return self->opened(
                fail(ErrorKind::kRejected, "USER_UNKNOWN", "no such user; Enlist it first"));
          if ((*found)->state == store::AccountState::kWithdrawn)
            return self->opened(fail(ErrorKind::kRejected, "USER_WITHDRAWN",
                                     "the user was withdrawn; Enlist it again first"));
          // The claim and the loading are two calls: what is loaded is of the new term. The strand
          // goes along: it must not end on the store's thread.
          self->claim_wanted_ = std::make_shared<std::atomic<bool>>(true);
          self->shared_.store.claim((*found)->user,
                                    [wanted = self->claim_wanted_] { return wanted->load(); },
                                    [self](Result<Term> term) mutable {
                                      auto& loop = self->context_.loop;
                                      loop.post([self = std::move(self), term = std::move(term)] {
                                        self->claim_wanted_.reset();
                                        if (self->leaving_) return;
                                        if (!term) return self->opened(fail(term.error()));
                                        self->load();
                                      });
                                    });
        });
      });
}

void Strand::load() {
  shared_.store.find_user(name_.tenant, tag_, [self = shared_from_this()](auto found) {
    if (!found || !*found) {
      return self->context_.loop.post([self, found] {
        self->opened(
            found ? fail(ErrorKind::kRejected, "USER_UNKNOWN", "no such user; Enlist it first")
                  : fail(found.error()));
      });
    }
    self->shared_.store.load((*found)->user, [self](Result<std::optional<store::UserRows>> rows) {
      self->context_.loop.post([self, rows = std::move(rows)]() mutable {
        if (self->leaving_) return;  // too late
        if (!rows || !*rows)
          return self->opened(
              rows ? fail(ErrorKind::kRejected, "USER_UNKNOWN", "no such user; Enlist it first")
                   : fail(rows.error()));
        if (auto ok = check_name((*rows)->account, self->name_); !ok)
          return self->opened(fail(ok.error()));
        auto state = State::from_rows(std::move(**rows));
        if (!state) return self->opened(fail(state.error()));
        self->ids_ = self->shared_.store.pseudonyms().message_ids(state->account.user);
        self->state_ = std::make_unique<State>(*std::move(state));
        self->opened({});
      });
    });
  });
}

void Strand::opened(Result<void> result) {
  if (leaving_) return;  // too late: it was given up
  auto calls = std::move(opening_);
  opening_.clear();
  if (!result) {
    leaving_ = true;
    if (claim_wanted_) *claim_wanted_ = false;
  }
  // A call may make the strand leave before those behind it.
  for (auto& call : calls) call(result && leaving_ ? just_ending() : result);
  if (!result) {
    cancel_timers();
    return owner_.gone(shared_from_this());
  }
  schedule();
}

// ---- the attachment ----

void Strand::attach(AttachmentId id, AttachRequest request, Users::Done<void> done) {
  when_open([this, id, request = std::move(request),
             done = std::move(done)](const Result<void>& opened) mutable {
    auto refuse = [&](Error error) {
      owner_.attachment_ended(id);
      done(fail(std::move(error)));
    };
    if (!opened) return refuse(opened.error());
    if (draining_)
      return refuse({ErrorKind::kRetryLater, "DRAINING",
                     "this gateway is going away; use another one", Millis{500}});
    if (attachment_) attachment_->detached(DetachReason::kReplaced);
    if (!attachment_) ++shared_.probe.attached;
    forget_attachment();
    attachment_ = std::move(request.attachment);
    attachment_id_ = id;
    end_grace();
    client_address_ = std::move(request.client_address);
    done({});
    attachment_->attached(std::max(state_->account.acked_event, state_->now.provider_ack),
                          state_->account.next_event - 1);
    const auto now = shared_.clock.mono();
    const auto at = backoff_.renewed(now);
    if (link_) {
      // The client is the same, its backend's stream is another: no new login.
      attachment_->link_state(link_state_, "");
      tokens_.take(std::move(request.token), name_.user_id, shared_.clock.wall());
    } else if (take_token(std::move(request.token))) {
      // Whoever waits for a turn keeps its place.
      if (at > now && !events_full_) {
        tell_down(pause_reason_);
      } else if (events_full_ || turn_) {
        tell_down(down_reason_);
      }
      reconnect_at(at);
    }
  });
}

void Strand::detach(AttachmentId id, DetachReason reason) {
  if (opening())
    return when_open([this, id, reason](const Result<void>& ok) {
      if (ok) detach(id, reason);
    });
  if (id == attachment_id_) end_attachment(reason);
}

void Strand::stream_lost(AttachmentId id) {
  if (opening())
    return when_open([this, id](const Result<void>& ok) {
      if (ok) stream_lost(id);
    });
  if (id != attachment_id_ || !attachment_) return;
  attachment_.reset();
  --shared_.probe.attached;
  in_grace_ = true;
  grace_.after(shared_.limits.attach_grace, [this] { end_attachment(DetachReason::kStreamLost); });
}

void Strand::end_grace() {
  in_grace_ = false;
  grace_.cancel();
}

void Strand::drain() {
  draining_ = true;
  end_attachment(DetachReason::kDraining);
}

// What was submitted before is still stored and answered; only then the strand goes. Within the
// grace there is nobody to be told: whoever comes for the client then attaches it anew.
void Strand::end_attachment(DetachReason reason) {
  if (!attached()) return maybe_leave();
  end_grace();
  close_link();
  forget_attachment();
  if (auto attachment = std::exchange(attachment_, nullptr)) {
    --shared_.probe.attached;
    attachment->detached(reason);
  }
  maybe_leave();
}

void Strand::forget_attachment() {
  if (auto id = std::exchange(attachment_id_, 0); id != 0) owner_.attachment_ended(id);
}

void Strand::cancel_timers() {
  for (auto* timer : {&deadline_, &retry_, &flush_, &grace_, &reconnect_, &watch_}) timer->cancel();
}

// The rows moved on without us, or are out of reach: nothing in memory counts any more.
void Strand::lose(DetachReason reason) {
  if (leaving_) return;
  leaving_ = true;
  if (reason == DetachReason::kStoreLost) {
    ++shared_.probe.lost;
    log(Level::kWarning, "user", "ownership_lost",
        {field("user", LogName(shared_.store.pseudonyms().log_name(state_->account.user)))});
  }
  const Error away =
      reason == DetachReason::kWithdrawn
          ? Error{ErrorKind::kRejected,
                  "USER_WITHDRAWN",
                  "the user was withdrawn; Enlist it again first",
                  {}}
          : Error{ErrorKind::kRetryLater, "OWNERSHIP_LOST",
                  "this gateway let go of the user; try again with the same request_id",
                  Millis{500}};
  // What was handed to the store may have been stored: nobody here can say.
  const Error open{ErrorKind::kUnknownOutcome, "OUTCOME_UNKNOWN",
                   "this gateway let go of the user; repeat the same request_id", Millis{500}};
  const auto requests = open_requests();
  refuse_submits(batch_, draft_ ? open : away);
  draft_.reset();
  refuse_queued(away, requests);
  inputs_.clear();
  auto sends = std::move(sends_);
  sends_.clear();
  for (auto& [origin, done] : sends) done(fail(open));
  auto queries = std::move(queries_);
  queries_.clear();
  for (auto& [origin, done] : queries) done(fail(away));
  auto calls = std::move(calls_);
  calls_.clear();
  for (auto& [origin, done] : calls) done(fail(open));
  auto withdrawals = std::move(withdrawals_);
  withdrawals_.clear();
  for (auto& done : withdrawals) done(fail(away));
  close_link();
  if (auto attachment = std::move(attachment_)) {
    attachment_.reset();
    --shared_.probe.attached;
    attachment->detached(reason);
  }
  end_grace();
  forget_attachment();
  cancel_timers();
  owner_.gone(shared_from_this());
}

void Strand::maybe_leave() {
  if (leaving_ || busy_ || attachment_ || in_grace_ || !state_) return;
  if (!inputs_.empty() || !batch_.empty() || !opening_.empty() || !sends_.empty()) return;
  if (!queries_.empty() || !calls_.empty() || !withdrawals_.empty()) return;
  // What the provider stored is said for good before the user is let go.
  if (state_->now.provider_ack > state_->account.acked_event) return push(FlushInput{});
  leaving_ = true;
  forget_attachment();
  cancel_timers();
  owner_.gone(shared_from_this());
}

UserInfo Strand::info() const {
  return {true,
          attachment_ != nullptr,
          link_state_,
          std::max(state_->account.acked_event, state_->now.provider_ack),
          state_->account.next_event - 1,
          state_->profile.identity.keys.pub,
          state_->profile.read_receipts};
}

// ---- the link ----

// A turn first, then a token: one that waited for its turn might be old by then.
void Strand::open_link() {
  if (link_ || leaving_ || events_full_ || token_asked_ || (!attachment_ && !in_grace_)) return;
  if (!turn_) return ask_turn();
  if (!turn_->granted()) return;
  auto token = tokens_.offer(shared_.clock.wall());
  if (!token) return want_token();
  auto payload =
      whatsapp::login_payload(shared_.dialects.at(name_.tenant),
                              {*std::move(token), client_address_, state_->profile.read_receipts});
  ++link_number_;
  link_state_ = LinkState::kConnecting;
  if (attachment_) attachment_->link_state(link_state_, "");
  reading_paused_ = false;
  link_ = shared_.endpoint.open(std::exchange(turn_, nullptr), context_.loop, state_->profile.noise,
                                std::move(payload), *this);
}

void Strand::ask_turn() {
  const auto user = static_cast<std::uint64_t>(state_->account.user.uid);
  turn_ = shared_.endpoint.ask(context_.loop, user, [this](link::Wait wait) {
    if (wait == link::Wait::kGranted) return open_link();
    tell_down(wait == link::Wait::kEndpointDown ? "ENDPOINT_DOWN" : "RAMPING");
  });
}

void Strand::close_link() {
  reconnect_.cancel();
  turn_.reset();
  token_asked_ = false;
  tokens_.clear(shared_.clock.wall());
  backoff_.closed(pauses(), shared_.clock.mono());
  if (auto link = std::exchange(link_, nullptr)) {
    link->close();
    push(LinkDown{});
  }
  link_state_ = LinkState::kDown;
}

void Strand::tell_down(std::string_view reason) {
  link_state_ = LinkState::kDown;
  down_reason_ = reason;
  if (attachment_) attachment_->link_state(link_state_, reason);
}

void Strand::link_up(const stanza::Node& success) {
  tokens_.settled(true, shared_.clock.wall());
  push(LinkUp{link_number_, whatsapp::own_lid(success)});
}

// Logged in is not enough: messages go both ways once our keys are there and the queue flows.
void Strand::tell_when_up() {
  bool ready = state_->now.setup == Setup::kActive && state_->now.link == link_number_;
  if (!link_ || link_state_ != LinkState::kConnecting || !ready) return;
  link_state_ = LinkState::kUp;
  backoff_.up(shared_.clock.mono());
  if (attachment_) attachment_->link_state(link_state_, "");
}

void Strand::link_stanza(stanza::Node node) {
  if (auto input = read_stanza(std::move(node))) push(*std::move(input));
  watch_bounds();
}

void Strand::link_down(link::Down why) {
  if (!link_) return;  // closed by ourselves
  link_.reset();
  push(LinkDown{});
  tokens_.settled(why.login_sent, shared_.clock.wall());
  log(Level::kInfo, "user", "link_down",
      {field("user", LogName(shared_.store.pseudonyms().log_name(state_->account.user))),
       field("why", Error{ErrorKind::kRetryLater, why.reason, {}, {}}),
       field("for_good", why.for_good)});
  tell_down(why.reason);
  if (why.reason == "REPLACED") return end_attachment(DetachReason::kReplaced);
  if (why.for_good) return end_attachment(DetachReason::kLoggedOut);
  reconnect_later(why.retry_after);
}

link::Backoff::Options Strand::pauses() const {
  return {shared_.limits.reconnect_first, shared_.limits.reconnect_most,
          shared_.endpoint.options().settled};
}

// `at_least`: what WhatsApp asked for, when it told the reason that was told last.
void Strand::reconnect_later(Millis at_least) {
  const auto now = shared_.clock.mono();
  const auto at = backoff_.down(pauses(), now, at_least, crypto::random_u64());
  if (at_least > Millis{0}) {
    pause_reason_ = down_reason_;
    context_.logins.paused(tag_, {backoff_.not_before(), pause_reason_}, now);
  }
  turn_.reset();
  reconnect_at(at);
}

void Strand::reconnect_at(MonoTime at) {
  token_asked_ = false;
  if (!attachment_ && !in_grace_) return;
  const auto pause = at - shared_.clock.mono();
  if (pause > Millis{0}) return reconnect_.after(pause, [this] { open_link(); });
  reconnect_.cancel();
  open_link();
}

// Whoever has the client at hand has to give the next.
void Strand::want_token() {
  if (!attachment_) return turn_.reset();  // the attach that adopts the client brings one
  ++shared_.probe.tokens_wanted;
  token_asked_ = true;
  attachment_->token_wanted();
  reconnect_.after(shared_.limits.token_timeout, [this] {
    tell_down("TOKEN_MISSING");
    reconnect_later();
  });
}

// False: it opens no link; the provider was told, and another one is asked for later.
bool Strand::take_token(std::string token) {
  auto wrong = tokens_.take(std::move(token), name_.user_id, shared_.clock.wall());
  if (wrong.empty()) return true;
  tell_down(wrong);
  reconnect_later();
  return false;
}

void Strand::give_token(AttachmentId id, std::string token) {
  if (opening())
    return when_open([this, id, token = std::move(token)](const Result<void>& ok) mutable {
      if (ok) give_token(id, std::move(token));
    });
  if (id != attachment_id_ || !attachment_) return;
  if (!token_asked_) {  // late, or unasked: for the next link
    tokens_.take(std::move(token), name_.user_id, shared_.clock.wall());
  } else if (take_token(std::move(token))) {
    reconnect_at(shared_.clock.mono());
  }
}

// Law 7: what is queued here is bounded; above that WhatsApp is made to wait.
void Strand::watch_bounds() {
  if (link_ && link_state_ == LinkState::kUp) {
    bool much = link_bytes_ > kPauseReadingBytes || link_inputs_ > kPauseReadingInputs;
    bool low = link_bytes_ < kPauseReadingBytes / 2 && link_inputs_ < kPauseReadingInputs / 2;
    if (much != reading_paused_ && (much || low)) {
      reading_paused_ = much;
      link_->pause_reading(much);
    }
  }
  if (!state_ || leaving_) return;
  auto acked = std::max(state_->account.acked_event, state_->now.provider_ack);
  auto pending = static_cast<std::size_t>(state_->account.next_event - 1 - acked);
  if (!events_full_ && pending > shared_.limits.events_pending) {
    events_full_ = true;
    close_link();
    tell_down("EVENTS_FULL");
  } else if (events_full_ && pending < shared_.limits.events_pending / 2) {
    events_full_ = false;
    const auto now = shared_.clock.mono();
    if (backoff_.not_before() > now) tell_down(pause_reason_);
    reconnect_at(backoff_.next(now));
  }
}

}  // namespace gw::user
