#pragma once

// Group commit: one thread takes whatever change sets are pending into one Backend::apply, or
// whatever claims into one Backend::claim, and answers each. Other writing calls run on the same
// thread between batches; all in order of arrival.
// Law 3: while an outcome is unknown, the same is written again on a fresh connection.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_set>
#include <variant>
#include <vector>

#include "store/store.h"

namespace gw::store {

class Committer {
 public:
  using Answer = std::function<void(Outcome)>;
  template <class T>
  using Done = std::function<void(Result<T>)>;

  Committer(Backend& backend, const StoreOptions& options, StoreProbe& probe);
  ~Committer() { close(); }
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  struct Claim {
    UserRef user;
    std::function<bool()> wanted;  // asked on the commit thread as the claim is taken
    Done<Term> done;
  };

  // `done` runs on the commit thread; on the caller's, at once, when over the bound or closed.
  void apply(Sealed change, Answer done);
  void claim(Claim claim);

  // `call` must be safe to repeat: it is, on a fresh connection, while its outcome is unknown.
  template <class T>
  void call(std::size_t bytes, std::function<Result<T>(Backend&)> call, Done<T> done) {
    auto shared = std::make_shared<Done<T>>(std::move(done));
    Item item{bytes, [this, bytes, call = std::move(call), shared] {
                auto result = until_known<T>(call);
                release(1, bytes);
                (*shared)(std::move(result));
              }};
    if (auto queued = push(std::move(item)); !queued) (*shared)(fail(std::move(queued).error()));
  }

  // Finishes what is pending; waits for unknown outcomes end at once. Idempotent.
  void close();

 private:
  struct Change {
    Sealed sealed;
    Answer done;
  };
  using Call = std::function<void()>;
  struct Item {
    std::size_t bytes = 0;
    std::variant<Change, Claim, Call> work;
  };
  class Backoff;

  Result<void> push(Item&& item);
  void run();
  // Fills the batch, the claims or the call; false: closed and nothing left.
  bool take();
  bool take_into_batch(Item& item);
  void commit_batch();
  void commit_claims();
  Claimed settle_claims(std::span<const UserRef> users);
  std::vector<Outcome> settle(std::span<const Sealed> batch, bool unknown);
  std::vector<Outcome> one_by_one(std::span<const Sealed> batch, bool unknown);
  void count(const Outcome& outcome);
  void release(std::size_t items, std::size_t bytes);
  // Waits and opens a fresh connection, again and again; false: the store is closing.
  bool reconnect(Backoff& backoff);
  bool pause(Millis delay);

  template <class T>
  Result<T> until_known(const std::function<Result<T>(Backend&)>& call);

  Backend& backend_;
  const StoreOptions options_;
  StoreProbe& probe_;

  std::mutex mutex_;  // guards queue_, bytes_, closing_
  std::condition_variable wake_;
  std::deque<Item> queue_;
  std::size_t bytes_ = 0;  // queued and in flight
  bool closing_ = false;

  // The commit thread's.
  std::vector<Sealed> batch_;
  std::vector<Answer> answers_;
  std::vector<Claim> claims_;
  Call call_;
  std::unordered_set<UserRef> users_;  // in the batch, or of the claims

  std::mutex join_mutex_;
  std::thread thread_;
};

class Committer::Backoff {
 public:
  Backoff(Millis first, Millis most) : next_(first), most_(most) {}
  Millis next();  // doubles up to the cap; between half and the whole of it

 private:
  Millis next_, most_;
};

template <class T>
Result<T> Committer::until_known(const std::function<Result<T>(Backend&)>& call) {
  Backoff backoff(options_.retry_first, options_.retry_most);
  for (bool unknown = false;;) {
    auto result = call(backend_);
    if (result) return result;
    ErrorKind kind = result.error().kind;
    if (kind == ErrorKind::kUnknownOutcome) {
      probe_.unknown_outcomes++;
      unknown = true;
    } else if (!unknown || kind != ErrorKind::kRetryLater) {
      return result;
    }
    if (!reconnect(backoff))
      return fail(ErrorKind::kUnknownOutcome, "STORE_CLOSED", "the store closed meanwhile");
  }
}

}  // namespace gw::store
