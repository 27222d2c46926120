#pragma once

// What the crash test writes and checks: every row of a user follows from its version, so a half
// written change set shows.

#include "store/deployment.h"

namespace gw::store::test {

inline constexpr int kCrashUsers = 16;
inline std::string crash_user(int i) { return numbered("crash-", i); }

// The change set that makes version n + 1 of a user: message n + 1, event n + 1, one ratchet.
inline ChangeSet crash_change(const Account& account) {
  TestUser user;
  user.ref = account.user;
  user.term = account.term;
  user.version = account.version;
  user.next_order = account.next_order;
  user.next_event = account.next_event;
  auto c = user.change();
  auto n = std::to_string(account.version + 1);
  user.add_message(c, named("r", n), named("content ", n) + std::string(200, '.'));
  user.add_event(c, named("event ", n));
  c.contacts.push_back({tag("contact"), to_bytes(named("contact ", n))});
  c.received.push_back({tag(named("in", n)), tag(named("cipher", n)), c.next_event - 1, {}});
  return c;
}

class CrashWorkload {
 public:
  using Report = std::function<void(std::int64_t uid, std::int64_t version)>;
  CrashWorkload(Store& store, Report report) : store_(store), report_(std::move(report)) {}

  // One change set a user in flight, the next as soon as it is answered.
  [[noreturn]] void run_for_ever() {
    for (int i = 0; i < kCrashUsers; ++i) {
      auto found = await<Result<std::optional<Account>>>(
          [&](auto done) { store_.find_user(1, tag(crash_user(i)), done); });
      auto account = std::make_shared<Account>(found.value().value());
      next(account);
    }
    std::promise<void>().get_future().wait();
    std::abort();
  }

 private:
  void next(std::shared_ptr<Account> account) {
    auto change = crash_change(*account);
    auto next_order = change.next_order, next_event = change.next_event;
    store_.apply(std::move(change), [=, this](Outcome outcome) {
      if (!outcome.applied()) std::abort();
      account->version++;
      account->next_order = next_order;
      account->next_event = next_event;
      report_(account->user.uid, account->version);
      next(account);
    });
  }

  Store& store_;
  Report report_;
};

}  // namespace gw::store::test
