#include "store/committer.h"

#include <algorithm>
#include <pthread.h>
#include <time.h>

namespace gw::store {
namespace {

using Kind = Outcome::Kind;

constexpr std::size_t kClaimBytes = 1024;  // what one holds while it waits, amply

std::uint64_t now_us(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec) / 1000;
}

Outcome failed(Error error) {
  Outcome outcome;
  outcome.error = std::move(error);
  return outcome;
}
// "Not now" says nothing about an earlier try that may have committed.
bool any_open(const std::vector<Outcome>& outcomes) {
  return std::any_of(outcomes.begin(), outcomes.end(), [](const Outcome& o) {
    return o.kind == Kind::kFailed && o.error.kind == ErrorKind::kRetryLater;
  });
}
Outcome of_kind(Kind kind) {
  Outcome outcome;
  outcome.kind = kind;
  return outcome;
}

}  // namespace

Millis Committer::Backoff::next() {
  Millis wait = std::min(next_, most_);
  next_ = std::min(wait * 2, most_);
  auto half = static_cast<std::uint64_t>(std::max<Millis::rep>(wait.count() / 2, 1));
  return Millis(static_cast<Millis::rep>(half + crypto::random_u64() % (half + 1)));
}

Committer::Committer(Backend& backend, const StoreOptions& options, StoreProbe& probe)
    : backend_(backend), options_(options), probe_(probe), thread_([this] { run(); }) {}

void Committer::apply(Sealed change, Answer done) {
  const std::size_t bytes = change.bytes;
  Item item{bytes, Change{std::move(change), std::move(done)}};
  auto queued = push(std::move(item));
  if (queued) return;
  probe_.failed++;
  bool closed = queued.error().reason == "STORE_CLOSED";
  std::get<Change>(item.work).done(closed ? of_kind(Kind::kClosed)
                                          : failed(std::move(queued).error()));
}

void Committer::claim(Claim claim) {
  Item item{kClaimBytes, std::move(claim)};
  if (auto queued = push(std::move(item)); !queued)
    std::get<Claim>(item.work).done(fail(std::move(queued).error()));
}

// Leaves `item` as it was when it is refused. One item is always let in, however large.
Result<void> Committer::push(Item&& item) {
  {
    std::lock_guard lock(mutex_);
    if (closing_) return fail(ErrorKind::kRetryLater, "STORE_CLOSED", "the store is closing");
    const std::size_t bytes = item.bytes;
    if (bytes > 0 && bytes_ > 0 && bytes_ + bytes > options_.max_pending_bytes)
      return fail(ErrorKind::kThrottled, "STORE_BUSY", "too much waits to be committed",
                  Millis(100));
    bytes_ += bytes;
    probe_.pending++;
    probe_.pending_bytes = bytes_;
    queue_.push_back(std::move(item));
  }
  wake_.notify_one();
  return {};
}

void Committer::release(std::size_t items, std::size_t bytes) {
  std::lock_guard lock(mutex_);
  bytes_ -= bytes;
  probe_.pending -= items;
  probe_.pending_bytes = bytes_;
}

void Committer::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

void Committer::run() {
  pthread_setname_np(pthread_self(), "store-commit");
  while (take()) {
    if (call_)
      call_();
    else if (!claims_.empty())
      commit_claims();
    else
      commit_batch();
  }
}

// A batch ends before an item of another kind, and before a second one of a user that is in it: so
// what is asked for one user is done in the order of arrival.
bool Committer::take() {
  batch_.clear();
  answers_.clear();
  claims_.clear();
  users_.clear();
  call_ = {};
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
  if (queue_.empty()) return false;
  const auto kind = queue_.front().work.index();
  std::size_t bytes = 0;
  while (!queue_.empty() && users_.size() < options_.max_batch) {
    Item& item = queue_.front();
    if (item.work.index() != kind) break;
    if (!users_.empty() && bytes + item.bytes > options_.max_batch_bytes) break;
    bytes += item.bytes;
    if (!take_into_batch(item)) break;
    queue_.pop_front();
    if (call_) break;
  }
  return true;
}

// False: it is the second of its user.
bool Committer::take_into_batch(Item& item) {
  if (auto* change = std::get_if<Change>(&item.work)) {
    if (!users_.insert(change->sealed.rows.user).second) return false;
    batch_.push_back(std::move(change->sealed));
    answers_.push_back(std::move(change->done));
  } else if (auto* claim = std::get_if<Claim>(&item.work)) {
    if (!users_.insert(claim->user).second) return false;
    claims_.push_back(std::move(*claim));
  } else {
    call_ = std::move(std::get<Call>(item.work));
  }
  return true;
}

void Committer::commit_batch() {
  std::uint64_t wall = now_us(CLOCK_MONOTONIC), cpu = now_us(CLOCK_THREAD_CPUTIME_ID);
  auto outcomes = settle(batch_, false);
  probe_.commit_us += now_us(CLOCK_MONOTONIC) - wall;
  probe_.commit_cpu_us += now_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
  probe_.commits++;
  std::size_t bytes = 0;
  for (const Sealed& sealed : batch_) bytes += sealed.bytes;
  release(batch_.size(), bytes);
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    count(outcomes[i]);
    answers_[i](std::move(outcomes[i]));
  }
}

// One that nobody waits for any more would only take the user from whoever has it now.
void Committer::commit_claims() {
  const auto unwanted = std::stable_partition(claims_.begin(), claims_.end(),
                                              [](const Claim& claim) { return claim.wanted(); });
  std::vector<UserRef> users;
  for (auto claim = claims_.begin(); claim != unwanted; ++claim) users.push_back(claim->user);
  auto terms = users.empty() ? Claimed() : settle_claims(users);
  terms.resize(claims_.size(),
               fail(ErrorKind::kRetryLater, "NOT_WANTED", "nobody waited for the user any more"));
  release(claims_.size(), claims_.size() * kClaimBytes);
  for (std::size_t i = 0; i < claims_.size(); ++i) claims_[i].done(std::move(terms[i]));
}

// A claim that may have taken place is simply made again: nobody ever acted under a term that
// nobody was told, and the newest counts.
Claimed Committer::settle_claims(std::span<const UserRef> users) {
  auto claimed = until_known<Claimed>([users](Backend& backend) { return backend.claim(users); });
  if (claimed && claimed->size() == users.size()) return *std::move(claimed);
  Error error =
      claimed ? Error{ErrorKind::kBug, "OUTCOMES_MISSING", {}} : std::move(claimed).error();
  const bool all_alike =
      error.kind == ErrorKind::kRetryLater || error.kind == ErrorKind::kUnknownOutcome;
  if (all_alike || users.size() == 1) return Claimed(users.size(), fail(std::move(error)));
  // The reason may be one user's: the others are not to suffer for it.
  Claimed each;
  for (std::size_t i = 0; i < users.size(); ++i)
    each.push_back(std::move(settle_claims(users.subspan(i, 1)).front()));
  return each;
}

void Committer::count(const Outcome& outcome) {
  probe_.change_sets++;
  switch (outcome.kind) {
    case Kind::kApplied:
      break;
    case Kind::kFoundApplied:
      probe_.found_applied++;
      break;
    case Kind::kStale:
      probe_.stale++;
      break;
    case Kind::kExists:
      probe_.exists++;
      break;
    case Kind::kFailed:
    case Kind::kClosed:
      probe_.failed++;
      break;
  }
}

// `unknown`: an earlier try may have committed. Then only an outcome of each counts, or a reload.
std::vector<Outcome> Committer::settle(std::span<const Sealed> batch, bool unknown) {
  Backoff backoff(options_.retry_first, options_.retry_most);
  for (int unknowns = 0;;) {
    auto result = backend_.apply(batch);
    if (result && result->size() == batch.size()) {
      if (!unknown || !any_open(*result)) return *std::move(result);
      if (!reconnect(backoff)) return std::vector<Outcome>(batch.size(), of_kind(Kind::kClosed));
      continue;
    }
    Error error =
        result ? Error{ErrorKind::kBug, "OUTCOMES_MISSING", {}} : std::move(result).error();
    if (error.kind == ErrorKind::kUnknownOutcome) {
      probe_.unknown_outcomes++;
      unknown = true;
      ++unknowns;
    } else if (error.kind != ErrorKind::kRetryLater) {
      // The reason may be one item's: the others are not to suffer for it.
      if (batch.size() > 1) return one_by_one(batch, unknown);
      // Nobody can say any more whether it took place: whoever holds the user is to reload it.
      if (unknown) return {of_kind(Kind::kStale)};
    }
    if (!unknown) return std::vector<Outcome>(batch.size(), failed(error));
    if (!reconnect(backoff)) return std::vector<Outcome>(batch.size(), of_kind(Kind::kClosed));
    // Perhaps it is too much to be answered in time, and would be for ever.
    if (unknowns == 2 && batch.size() > 1) return one_by_one(batch, unknown);
  }
}

std::vector<Outcome> Committer::one_by_one(std::span<const Sealed> batch, bool unknown) {
  std::vector<Outcome> outcomes;
  outcomes.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i)
    outcomes.push_back(std::move(settle(batch.subspan(i, 1), unknown).front()));
  return outcomes;
}

bool Committer::reconnect(Backoff& backoff) {
  do {
    if (!pause(backoff.next())) return false;
  } while (!backend_.reopen());
  return true;
}

bool Committer::pause(Millis delay) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, delay, [this] { return closing_; });
}

}  // namespace gw::store
