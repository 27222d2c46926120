#pragma once

// Group commit: one thread takes whatever change sets are pending into one Backend::apply and
// answers each. Other writing calls run on the same thread between batches, in order of arrival.
// Law 3: while an outcome is unknown, the same change sets are written again on a fresh connection.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_set>
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

  // `done` runs on the commit thread; on the caller's, at once, when over the bound or closed.
  void apply(Sealed change, Answer done);

  // `call` must be safe to repeat: it is, on a fresh connection, while its outcome is unknown.
  template <class T>
  void call(std::size_t bytes, std::function<Result<T>(Backend&)> call, Done<T> done) {
    Item item;
    item.sealed.bytes = bytes;
    auto shared = std::make_shared<Done<T>>(std::move(done));
    item.job = [this, call = std::move(call), shared](Item& mine) {
      auto result = until_known<T>(call);
      release(1, mine.sealed.bytes);
      (*shared)(std::move(result));
    };
    if (auto queued = push(std::move(item)); !queued) (*shared)(fail(std::move(queued).error()));
  }

  // Finishes what is pending; waits for unknown outcomes end at once. Idempotent.
  void close();

 private:
  struct Item {
    Sealed sealed;
    Answer done;
    std::function<void(Item&)> job;  // set: no change set but a call
  };
  class Backoff;

  Result<void> push(Item&& item);
  void run();
  // Fills the batch or the job; false: closed and nothing left.
  bool take(std::optional<Item>& job);
  void commit_batch();
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
  std::unordered_set<UserRef> users_;

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
