// Law 3 under a database that fails, hangs and says "unknown".

#include <numeric>
#include <random>

#include "store/suite.h"

namespace gw::store::test {
namespace {

StoreOptions quick() {
  StoreOptions options;
  options.retry_first = Millis(1);
  options.retry_most = Millis(4);
  return options;
}

class CommitterTest : public testing::TestWithParam<BackendKind> {
 protected:
  void restart(StoreOptions options = quick()) {
    d_ = std::make_unique<Deployment>(GetParam(), options);
    d_->use_faults(faults_);
    d_->reopen();
    user_ = d_->enlist("anna");
  }
  void SetUp() override { restart(); }
  void TearDown() override { faults_->heal(); }

  ChangeSet with_message(TestUser& user, std::string_view request = "r1") {
    auto c = user.change();
    user.add_message(c, request, "content");
    return c;
  }
  std::future<Outcome> send(ChangeSet change) {
    auto promise = std::make_shared<std::promise<Outcome>>();
    d_->store().apply(std::move(change),
                      [promise](Outcome o) { promise->set_value(std::move(o)); });
    return promise->get_future();
  }
  std::future<Result<Term>> claim(
      UserRef user, std::function<bool()> wanted = [] { return true; }) {
    auto promise = std::make_shared<std::promise<Result<Term>>>();
    d_->store().claim(user, std::move(wanted),
                      [promise](Result<Term> term) { promise->set_value(std::move(term)); });
    return promise->get_future();
  }
  template <class T>
  T finish(std::future<T>& future) {
    if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready)
      throw std::runtime_error("no outcome");
    return future.get();
  }
  template <class T>
  static bool ready(std::future<T>& f) {
    return f.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  // The commit thread stands still in another user's write; what is sent meanwhile is pending.
  std::future<Outcome> stop_the_thread() {
    auto blocker = d_->enlist("blocker");
    faults_->next(Fault::kHang);
    auto future = send(blocker.change());
    EXPECT_TRUE(faults_->wait_hanging());
    return future;
  }

  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::unique_ptr<Deployment> d_;
  TestUser user_;
};
GW_FOR_ALL_BACKENDS(CommitterTest);

TEST_P(CommitterTest, UnknownAndNotWrittenIsWrittenAgain) {
  faults_->next(Fault::kUnknownBefore, 3);
  auto c = with_message(user_);
  EXPECT_EQ(d_->apply(c).kind, Kind::kApplied);
  EXPECT_EQ(faults_->reopens(), 3) << "each try on a fresh connection";
  EXPECT_EQ(d_->store().probe().unknown_outcomes, 3u);
  EXPECT_EQ(d_->messages(user_.ref, {1}).value().size(), 1u);
}

TEST_P(CommitterTest, UnknownButWrittenIsFoundApplied) {
  faults_->next(Fault::kUnknownAfter);
  EXPECT_EQ(d_->apply(with_message(user_)).kind, Kind::kFoundApplied);
  EXPECT_EQ(d_->store().probe().found_applied, 1u);
  EXPECT_EQ(d_->messages(user_.ref, {1, 2}).value().size(), 1u);
}

TEST_P(CommitterTest, AnUnknownOutcomeOutlastsFailuresToReconnectAndToWrite) {
  faults_->next(Fault::kUnknownAfter);
  faults_->next(Fault::kFail, 3);  // "surely not committed" says nothing about the first try
  faults_->next(Fault::kUnknownBefore);
  faults_->fail_reopen(4);
  EXPECT_EQ(d_->apply(with_message(user_)).kind, Kind::kFoundApplied);
  EXPECT_GE(faults_->reopens(), 5 + 4);
}

TEST_P(CommitterTest, AFailureThatIsSureIsAnsweredAtOnce) {
  faults_->next(Fault::kFail);
  auto c = with_message(user_);
  auto outcome = d_->apply(c);
  EXPECT_EQ(outcome.kind, Kind::kFailed);
  EXPECT_EQ(outcome.error.kind, ErrorKind::kRetryLater);
  EXPECT_EQ(faults_->reopens(), 0);
  EXPECT_EQ(d_->apply(c).kind, Kind::kApplied) << "the same change set may be tried again";
}

TEST_P(CommitterTest, APoisonedItemFailsAloneAndTheOthersAreApplied) {
  std::vector<TestUser> users;
  for (int i = 0; i < 5; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  std::vector<std::future<Outcome>> waits;
  for (std::size_t i = 0; i < users.size(); ++i) {
    auto c = with_message(users[i]);
    if (i == 2) faults_->poison(c.change);
    waits.push_back(send(std::move(c)));
  }
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  for (std::size_t i = 0; i < waits.size(); ++i) {
    auto outcome = finish(waits[i]);
    EXPECT_EQ(outcome.kind, i == 2 ? Kind::kFailed : Kind::kApplied) << i;
    EXPECT_EQ(outcome.error.reason, i == 2 ? "POISONED" : "");
  }
  EXPECT_EQ(faults_->largest_batch(), users.size());
}

TEST_P(CommitterTest, WhatNobodyCanSayAnyMoreIsStale) {
  faults_->next(Fault::kUnknownAfter);
  faults_->next(Fault::kCorrupt);
  EXPECT_EQ(d_->apply(with_message(user_)).kind, Kind::kStale) << "reload: the rows know";
  EXPECT_EQ(d_->load(user_.ref).value()->account.version, user_.version + 1);
}

TEST_P(CommitterTest, AnUnknownBatchWithAPoisonedItemStillSettlesTheOthers) {
  std::vector<TestUser> users;
  for (int i = 0; i < 4; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  faults_->next(Fault::kUnknownAfter);
  faults_->next(Fault::kCorrupt);  // the whole batch's second try; then each alone
  faults_->next(Fault::kFail);     // the first of them: "surely not committed", this time
  std::vector<std::future<Outcome>> waits;
  for (auto& user : users) waits.push_back(send(with_message(user)));
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  for (auto& wait : waits) EXPECT_EQ(finish(wait).kind, Kind::kFoundApplied);
}

TEST_P(CommitterTest, WhatIsPendingIsOneBatchUpToTheLimit) {
  auto options = quick();
  options.max_batch = 8;
  restart(options);
  std::vector<TestUser> users;
  for (int i = 0; i < 20; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  int before = faults_->applies();
  std::vector<std::future<Outcome>> waits;
  for (auto& user : users) waits.push_back(send(with_message(user)));
  EXPECT_EQ(d_->store().probe().pending, 21u);
  faults_->release();
  finish(blocked);
  for (auto& wait : waits) EXPECT_TRUE(finish(wait).applied());
  EXPECT_EQ(faults_->largest_batch(), 8u);
  EXPECT_EQ(faults_->applies() - before, 3) << "8 + 8 + 4";
}

TEST_P(CommitterTest, TwoOfOneUserGoInTwoBatchesInOrder) {
  auto blocked = stop_the_thread();
  auto first = with_message(user_, "r1");
  auto after = user_;
  after.took(first);
  auto one = send(first), two = send(with_message(after, "r2"));
  faults_->release();
  EXPECT_EQ(finish(one).kind, Kind::kApplied);
  EXPECT_EQ(finish(two).kind, Kind::kApplied);
  EXPECT_EQ(faults_->largest_batch(), 1u);
}

TEST_P(CommitterTest, AboveTheBoundIsThrottledAtOnceAndOneAloneIsLetIn) {
  auto options = quick();
  options.max_pending_bytes = 4096;
  restart(options);
  auto big = [&](TestUser& user) {
    auto c = user.change();
    user.add_message(c, "r", std::string(8000, 'x'));
    return c;
  };
  auto other = d_->enlist("other");
  EXPECT_TRUE(d_->apply(big(other)).applied()) << "or it could never be written";
  auto blocked = stop_the_thread();
  auto refused = send(big(user_));
  ASSERT_TRUE(ready(refused)) << "answered while the thread stands still";
  auto outcome = refused.get();
  EXPECT_EQ(outcome.kind, Kind::kFailed);
  EXPECT_EQ(outcome.error.kind, ErrorKind::kThrottled);
  auto sweep = std::async(std::launch::async, [&] { return d_->sweep(from_unix_ms(1), 10); });
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  EXPECT_TRUE(sweep.get()) << "control is not throttled";
  EXPECT_EQ(d_->store().probe().pending_bytes, 0u);
}

TEST_P(CommitterTest, ClosingEndsTheWaitForAnUnknownOutcome) {
  auto options = quick();
  options.retry_first = options.retry_most = std::chrono::hours(1);
  restart(options);
  faults_->next(Fault::kUnknownBefore);
  auto open = send(with_message(user_));
  while (d_->store().probe().unknown_outcomes == 0) std::this_thread::yield();
  d_->store().close();
  EXPECT_EQ(finish(open).kind, Kind::kClosed);
  auto late = send(with_message(user_));
  ASSERT_TRUE(ready(late));
  EXPECT_EQ(late.get().kind, Kind::kClosed);
  EXPECT_EQ(d_->claim(user_.ref).error().reason, "STORE_CLOSED");
  EXPECT_EQ(d_->load(user_.ref).error().reason, "STORE_CLOSED");
}

TEST_P(CommitterTest, ClosingFinishesWhatIsPending) {
  std::vector<TestUser> users;
  for (int i = 0; i < 10; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  std::vector<std::future<Outcome>> waits;
  for (auto& user : users) waits.push_back(send(with_message(user)));
  std::thread closer([&] { d_->store().close(); });
  faults_->release();
  closer.join();
  EXPECT_TRUE(ready(blocked) && finish(blocked).applied());
  for (auto& wait : waits) EXPECT_TRUE(ready(wait) && finish(wait).applied());
}

TEST_P(CommitterTest, ACompletionMayCallTheStore) {
  auto done = std::make_shared<std::promise<Outcome>>();
  auto second = with_message(user_);
  second.version += 1;
  d_->store().apply(user_.change(), [&, done, second](Outcome first) {
    EXPECT_EQ(first.kind, Kind::kApplied);
    d_->store().apply(ChangeSet(second), [done](Outcome o) { done->set_value(std::move(o)); });
  });
  auto future = done->get_future();
  EXPECT_EQ(finish(future).kind, Kind::kApplied);
}

TEST_P(CommitterTest, EnlistingIsIdempotentUnderUnknownOutcomes) {
  auto enlist = [&](std::string_view name) {
    return await<Result<Store::Enlisted>>([&](auto done) {
      d_->store().enlist(1, tag(name), to_bytes("p"), {{1, to_bytes("k")}}, done);
    });
  };
  for (Fault fault : {Fault::kUnknownBefore, Fault::kUnknownAfter}) {
    auto name = numbered("new", static_cast<int>(fault));
    faults_->next(fault, 2);
    auto made = enlist(name).value();
    EXPECT_TRUE(made.created) << "it was this call that made it";
    EXPECT_EQ(text(d_->load(made.user).value()->account.profile), "p");
    auto again = enlist(name).value();
    EXPECT_FALSE(again.created);
    EXPECT_EQ(again.user, made.user);
  }
  faults_->next(Fault::kFail);
  EXPECT_EQ(enlist("later").error().kind, ErrorKind::kRetryLater);
  EXPECT_TRUE(enlist("later").value().created);
}

TEST_P(CommitterTest, AClaimUnderUnknownOutcomesHoldsTheNewestTerm) {
  faults_->next(Fault::kUnknownAfter, 2);
  faults_->next(Fault::kUnknownBefore, 2);
  user_.term = d_->claim(user_.ref).value();
  EXPECT_EQ(d_->load(user_.ref).value()->account.term, user_.term);
  EXPECT_EQ(d_->apply(user_.change()).kind, Kind::kApplied);
  faults_->next(Fault::kUnknownAfter);
  EXPECT_TRUE(d_->sweep(from_unix_ms(1), 10).has_value());
}

// What an attach storm makes: few of the users are there, which costs the database the same.
TEST_P(CommitterTest, AThousandClaimsThatWaitAreFewTransactions) {
  std::vector<TestUser> users;
  for (int i = 0; i < 20; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  const int before = faults_->claims();
  std::vector<std::future<Result<Term>>> terms;
  for (int i = 0; i < 1000; ++i) {
    const auto n = static_cast<std::size_t>(i / 50);
    terms.push_back(claim(i % 50 == 0 ? users[n].ref : UserRef{1, 1'000'000 - i}));
  }
  auto behind = send(with_message(user_));
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  for (int i = 0; i < 1000; ++i) {
    auto term = finish(terms[static_cast<std::size_t>(i)]);
    if (i % 50 == 0)
      EXPECT_EQ(term.value(), users[static_cast<std::size_t>(i / 50)].term + 1) << i;
    else
      EXPECT_TRUE(!term && term.error().reason == "USER_UNKNOWN") << i;
  }
  EXPECT_TRUE(finish(behind).applied());
  EXPECT_EQ(faults_->claims() - before, 4) << "256 + 256 + 256 + 232";
  EXPECT_EQ(d_->load(users[7].ref).value()->account.term, users[7].term + 1);
  EXPECT_EQ(d_->store().probe().pending_bytes, 0u);
}

TEST_P(CommitterTest, ClaimsThatWaitAreBounded) {
  auto options = quick();
  options.max_pending_bytes = 8 * 1024;
  restart(options);
  auto blocked = stop_the_thread();
  std::vector<std::future<Result<Term>>> terms;
  for (int i = 0; i < 8; ++i) terms.push_back(claim({1, 1000 + i}));
  ASSERT_TRUE(ready(terms.back())) << "answered while the thread stands still";
  auto refused = finish(terms.back());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kThrottled);
  EXPECT_EQ(refused.error().reason, "STORE_BUSY");
  terms.pop_back();
  for (auto& term : terms) EXPECT_FALSE(ready(term));
  faults_->release();
  for (auto& term : terms) EXPECT_EQ(finish(term).error().reason, "USER_UNKNOWN");
  EXPECT_TRUE(finish(blocked).applied());
  EXPECT_EQ(d_->store().probe().pending_bytes, 0u);
  EXPECT_EQ(d_->claim(user_.ref).value(), user_.term + 1);
}

TEST_P(CommitterTest, AClaimThatNobodyWantsAnyMoreIsNotMade) {
  auto other = d_->enlist("other");
  auto blocked = stop_the_thread();
  const auto before = faults_->claimed();
  auto wanted = std::make_shared<std::atomic<bool>>(true);
  auto ask = [wanted] { return wanted->load(); };
  auto first = claim(user_.ref, ask), second = claim(other.ref), third = claim({1, 999}, ask);
  *wanted = false;
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  for (auto* unwanted : {&first, &third}) {
    auto term = finish(*unwanted);
    ASSERT_FALSE(term);
    EXPECT_EQ(term.error().kind, ErrorKind::kRetryLater);
    EXPECT_EQ(term.error().reason, "NOT_WANTED");
  }
  EXPECT_EQ(finish(second).value(), other.term + 1);
  EXPECT_EQ(faults_->claimed() - before, 1u);
  EXPECT_EQ(d_->load(user_.ref).value()->account.term, user_.term);
  EXPECT_TRUE(d_->apply(with_message(user_)).applied()) << "whoever holds the user goes on";
  const int claims = faults_->claims();
  auto alone = claim(user_.ref, ask);
  EXPECT_EQ(finish(alone).error().reason, "NOT_WANTED");
  EXPECT_EQ(faults_->claims(), claims) << "no statement for nobody";
}

TEST_P(CommitterTest, ClaimsAndChangeSetsOfOneUserKeepTheirOrder) {
  auto blocked = stop_the_thread();
  auto first = with_message(user_, "r1");
  auto after = user_;
  after.took(first);
  auto one = send(first);
  auto two = claim(user_.ref), three = claim(user_.ref);
  auto four = send(with_message(after, "r2"));
  faults_->release();
  finish(blocked);
  EXPECT_EQ(finish(one).kind, Kind::kApplied);
  EXPECT_EQ(finish(two).value(), user_.term + 1);
  EXPECT_EQ(finish(three).value(), user_.term + 2);
  EXPECT_EQ(finish(four).kind, Kind::kStale);
}

TEST_P(CommitterTest, ABatchOfClaimsThatFailsDoesNotDragTheOthersAlong) {
  std::vector<TestUser> users;
  for (int i = 0; i < 3; ++i) users.push_back(d_->enlist(numbered("u", i)));
  for (Fault fault : {Fault::kCorrupt, Fault::kUnknownAfter, Fault::kFail}) {
    auto blocked = stop_the_thread();
    faults_->next(fault);
    std::vector<std::future<Result<Term>>> terms;
    for (auto& user : users) terms.push_back(claim(user.ref));
    faults_->release();
    finish(blocked);
    for (std::size_t i = 0; i < users.size(); ++i) {
      auto term = finish(terms[i]);
      const auto stored = d_->load(users[i].ref).value()->account.term;
      if (fault == Fault::kFail)
        EXPECT_EQ(term.error().reason, "FAULT_FAILED");
      else
        EXPECT_EQ(term.value(), stored);
      EXPECT_EQ(stored,
                users[i].term + (fault == Fault::kUnknownAfter ? 2 : 1 - (fault == Fault::kFail)));
      users[i].term = stored;
    }
  }
}

TEST_P(CommitterTest, ABatchThatIsTooMuchToBeAnsweredGoesOneByOne) {
  std::vector<TestUser> users;
  for (int i = 0; i < 5; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  faults_->too_much(1);
  const int before = faults_->applies();
  std::vector<std::future<Outcome>> waits;
  for (auto& user : users) waits.push_back(send(with_message(user)));
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  for (auto& wait : waits) EXPECT_EQ(finish(wait).kind, Kind::kApplied);
  EXPECT_EQ(faults_->applies() - before, 2 + 5) << "the whole twice, then each";
}

TEST_P(CommitterTest, WhatGoesOneByOneAfterUnknownOutcomesStillMayHaveCommitted) {
  std::vector<TestUser> users;
  for (int i = 0; i < 3; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  faults_->next(Fault::kUnknownBefore);
  faults_->next(Fault::kUnknownAfter);
  faults_->next(Fault::kFail);  // "surely not committed" says nothing about the tries before
  std::vector<std::future<Outcome>> waits;
  for (auto& user : users) waits.push_back(send(with_message(user)));
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  for (auto& wait : waits) EXPECT_EQ(finish(wait).kind, Kind::kFoundApplied);
}

TEST_P(CommitterTest, ABatchIsBoundedByBytesAndOneAloneIsLetIn) {
  auto options = quick();
  options.max_batch_bytes = 20'000;
  restart(options);
  std::vector<TestUser> users;
  for (int i = 0; i < 6; ++i) users.push_back(d_->enlist(numbered("u", i)));
  auto blocked = stop_the_thread();
  const int before = faults_->applies();
  std::vector<std::future<Outcome>> waits;
  for (auto& user : users) {
    auto c = user.change();
    user.add_message(c, "r", std::string(&user == &users.back() ? 50'000 : 2'500, 'x'));
    waits.push_back(send(std::move(c)));
  }
  faults_->release();
  EXPECT_TRUE(finish(blocked).applied());
  for (auto& wait : waits) EXPECT_EQ(finish(wait).kind, Kind::kApplied);
  EXPECT_EQ(faults_->largest_batch(), 2u);
  EXPECT_EQ(faults_->applies() - before, 4) << "2 + 2 + 1 + the large one";
}

// Many users, a database that does everything wrong: no outcome is a guess, nothing is written
// twice or half, and what was answered is what is stored.
TEST_P(CommitterTest, AStormOfFaultsLosesNothing) {
  constexpr int kUsers = 12, kRounds = 40;
  std::vector<TestUser> users;
  for (int i = 0; i < kUsers; ++i) users.push_back(d_->enlist(numbered("u", i)));
  faults_->seeded(seed(),
                  {.fail = 0.1, .unknown_before = 0.15, .unknown_after = 0.15, .reopen = 0.2});
  std::vector<std::vector<std::string>> told(kUsers);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::future<Outcome>> waits;
    std::vector<ChangeSet> sent;
    for (auto& user : users) {
      auto c = with_message(user, numbered("r", round));
      user.add_event(c, numbered("e", round));
      sent.push_back(c);
      waits.push_back(send(std::move(c)));
    }
    for (std::size_t i = 0; i < waits.size(); ++i) {
      auto outcome = finish(waits[i]);
      if (outcome.applied()) {
        users[i].took(sent[i]);
        told[i].push_back(numbered("e", round));
      } else {
        EXPECT_EQ(outcome.kind, Kind::kFailed);
        EXPECT_EQ(outcome.error.kind, ErrorKind::kRetryLater);
      }
    }
  }
  faults_->heal();
  for (std::size_t i = 0; i < users.size(); ++i) {
    EXPECT_EQ(d_->load(users[i].ref).value()->account.version, users[i].version);
    std::vector<std::string> stored;
    auto events = d_->events(users[i].ref, 0).value();
    for (const auto& e : events) stored.push_back(text(e.payload));
    EXPECT_EQ(stored, told[i]);
    EXPECT_EQ(d_->load(users[i].ref).value()->unsettled.size(), told[i].size());
  }
  EXPECT_GT(d_->store().probe().unknown_outcomes, 0u);
  EXPECT_GT(d_->store().probe().found_applied, 0u);
}

TEST_P(CommitterTest, ReadsHaveABoundToo) {
  auto options = quick();
  options.max_pending_reads = 2;
  restart(options);
  std::promise<void> go;
  auto gate = go.get_future().share();
  std::promise<void> inside;
  d_->store().load(user_.ref, [&](auto) {
    inside.set_value();
    gate.wait();
  });
  inside.get_future().wait();
  std::atomic<int> answered{0};
  for (int i = 0; i < 2; ++i) d_->store().load(user_.ref, [&](auto) { ++answered; });
  EXPECT_EQ(d_->load(user_.ref).error().kind, ErrorKind::kThrottled);
  go.set_value();
  d_->store().close();
  EXPECT_EQ(answered, 2);
}

}  // namespace
}  // namespace gw::store::test
