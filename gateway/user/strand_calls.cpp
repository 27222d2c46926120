// The way in: what the doors ask of a user becomes inputs, in order.

#include "user/strand.h"

namespace gw::user {
namespace {

Error queue_full() {
  return {ErrorKind::kThrottled, "THROTTLED",
          "more waits for this user than its queue holds; send on later", Millis{1000}};
}

}  // namespace

void Strand::submit(AttachmentId id, std::vector<message::Submit> messages) {
  if (opening()) {
    return when_open([this, id, messages = std::move(messages)](const Result<void>& ok) mutable {
      if (ok) submit(id, std::move(messages));
    });
  }
  if (id != attachment_id_ || !attachment_) return;
  std::vector<SubmitResult> refused;
  for (auto& m : messages) {
    if (full()) {
      refused.push_back({std::move(m.request_id), {}, message::State::kRejected, queue_full()});
    } else {
      push(SubmitInput{std::move(m), id});
    }
  }
  shared_.probe.throttled += refused.size();
  if (!refused.empty()) attachment_->submitted(std::move(refused));
}

void Strand::acknowledge(AttachmentId id, EventSeq seq) {
  if (opening())
    return when_open([this, id, seq](const Result<void>& ok) {
      if (ok) acknowledge(id, seq);
    });
  if (id != attachment_id_) return;
  newest_ack_ = std::max(newest_ack_, seq);
  if (std::exchange(ack_queued_, true)) return;
  push(ProviderAckInput{});
}

void Strand::send(message::Submit message, Users::Done<SubmitResult> done) {
  if (!attachment_ && !in_grace_)
    return done(fail(ErrorKind::kRejected, "NO_CLIENT",
                     "no client of this user is attached; attach one, then send"));
  if (full()) return done(fail(queue_full()));
  auto origin = next_origin_ += 2;
  sends_.emplace(origin, std::move(done));
  push(SubmitInput{std::move(message), origin});
}

void Strand::withdraw(Users::Done<void> done) {
  when_open([this, done = std::move(done)](const Result<void>& opened) mutable {
    if (!opened) return done(fail(opened.error()));
    withdrawals_.push_back(std::move(done));
    push(WithdrawInput{});
  });
}

void Strand::query(message::Contact contact, Users::Done<ContactInfo> done) {
  when_open([this, contact = std::move(contact),
             done = std::move(done)](const Result<void>& opened) mutable {
    if (!opened) return done(fail(opened.error()));
    if (queries_.size() >= shared_.limits.open_queries) return done(fail(queue_full()));
    auto origin = next_origin_ += 2;
    queries_.emplace(origin, std::move(done));
    push(QueryInput{std::move(contact), origin});
  });
}

// A call that is answered when its step is committed.
template <class In>
void Strand::call(In input, Users::Done<bool> done) {
  when_open(
      [this, input = std::move(input), done = std::move(done)](const Result<void>& opened) mutable {
        if (!opened) return done(fail(opened.error()));
        if (full() || calls_.size() >= shared_.limits.open_queries) return done(fail(queue_full()));
        input.origin = next_origin_ += 2;
        calls_.emplace(input.origin, std::move(done));
        push(std::move(input));
      });
}

void Strand::mark_read(message::Contact from, std::vector<std::string> ids,
                       Users::Done<bool> done) {
  call(MarkReadInput{std::move(from), std::move(ids)}, std::move(done));
}

void Strand::update(std::optional<bool> read_receipts, Users::Done<bool> done) {
  call(SettingInput{read_receipts}, std::move(done));
}

Users::Done<bool> Strand::take_call(std::uint64_t origin) {
  auto it = calls_.find(origin);
  if (it == calls_.end()) return nullptr;
  auto done = std::move(it->second);
  calls_.erase(it);
  return done;
}

void Strand::sweep() {
  when_open([this](const Result<void>& opened) {
    if (opened) push(TimerInput{});
  });
}

}  // namespace gw::user
