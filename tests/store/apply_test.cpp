// Law 3: what one change set does, and what becomes of the others in its batch.

#include <algorithm>

#include "store/suite.h"

namespace gw::store::test {
namespace {

class ApplyTest : public BackendTest {};
GW_FOR_ALL_BACKENDS(ApplyTest);

TEST_P(ApplyTest, WritesEveryKindOfRow) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  auto& m = user.add_message(c, "r1", "hello");
  m.state = message::State::kWaiting;
  user.add_event(c, "event one");
  user.add_event(c, "event two");
  c.acked_event = 1;
  c.profile = to_bytes("new profile");
  c.contacts.push_back({tag("contact"), to_bytes("contact blob")});
  c.prekeys.push_back({1, to_bytes("prekeys 1 again")});
  c.prekeys.push_back({51, {}});
  c.received.push_back({tag("in"), tag("cipher"), 2, from_unix_ms(5)});
  ASSERT_EQ(d_.apply(user, c).kind, Kind::kApplied);

  d_.reopen();
  auto rows = d_.load(user.ref).value().value();
  EXPECT_EQ(rows.account.user, user.ref);
  EXPECT_EQ(rows.account.user_tag, tag("anna"));
  EXPECT_EQ(rows.account.state, AccountState::kEnlisted);
  EXPECT_EQ(rows.account.term, user.term);
  EXPECT_EQ(rows.account.version, user.version);
  EXPECT_EQ(rows.account.change, c.change);
  EXPECT_EQ(rows.account.next_order, 2);
  EXPECT_EQ(rows.account.next_event, 3);
  EXPECT_EQ(rows.account.acked_event, 1);
  EXPECT_EQ(text(rows.account.profile), "new profile");
  auto prekeys = d_.prekeys(user.ref).value();
  ASSERT_EQ(prekeys.size(), 1u);
  EXPECT_EQ(prekeys[0].first_id, 1u);
  EXPECT_EQ(text(prekeys[0].blob), "prekeys 1 again");
  ASSERT_EQ(rows.unsettled.size(), 1u);
  EXPECT_EQ(rows.unsettled[0].order, 1);
  EXPECT_EQ(rows.unsettled[0].request, tag("r1"));
  EXPECT_EQ(rows.unsettled[0].body_mac, m.body_mac);
  EXPECT_EQ(rows.unsettled[0].contact, tag("contact"));
  EXPECT_EQ(rows.unsettled[0].created, m.created);
  EXPECT_EQ(text(rows.unsettled[0].content), "hello");
  EXPECT_EQ(text(rows.unsettled[0].stanza), "stanza of hello");
  auto talk = d_.conversation(user.ref, "contact").value();
  EXPECT_EQ(text(talk.blob), "contact blob");
  ASSERT_EQ(talk.ratchets.size(), 1u);
  EXPECT_EQ(text(talk.ratchets[0].record), "ratchet at hello");
  auto events = d_.events(user.ref, 0).value();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(text(events[1].payload), "event two");
  EXPECT_EQ(events[1].at, from_unix_ms(2000));
  auto received = await<Result<std::vector<Received>>>([&](auto done) {
                    d_.store().find_received(user.ref, {tag("in"), tag("other")}, done);
                  }).value();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].cipher_hash, tag("cipher"));
  EXPECT_EQ(received[0].seq, 2);
  EXPECT_EQ(received[0].at, from_unix_ms(5));
}

TEST_P(ApplyTest, DevicesOfAMessageAreKeptUntilTheyAreSetAnew) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one").devices = {0, 0, 0};
  user.add_message(c, "r2", "two");
  ASSERT_TRUE(d_.apply(user, c).applied());
  c = user.change();
  c.updates.emplace_back().order = 1;
  c.updates.back().created = from_unix_ms(1'000);
  c.updates.back().state = message::State::kSent;
  c.updates.emplace_back().order = 2;
  c.updates.back().created = from_unix_ms(2'000);
  c.updates.back().devices = Bytes{0, 1, 7};
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto rows = d_.messages(user.ref, {1, 2}).value();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].devices, (Bytes{0, 0, 0}));
  EXPECT_EQ(rows[1].devices, (Bytes{0, 1, 7}));
}

TEST_P(ApplyTest, WhatWasAskedForAgainComesWithTheUserAndBecomesOverdue) {
  auto user = d_.enlist("anna");
  auto other = d_.enlist("bert");
  auto c = user.change();
  c.undecrypted = {{tag("m2"), from_unix_ms(200), to_bytes("second")},
                   {tag("m1"), from_unix_ms(100), to_bytes("first")}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  c = user.change();
  c.undecrypted = {{tag("m1"), from_unix_ms(900), to_bytes("first, asked again")},
                   {tag("m3"), from_unix_ms(300), to_bytes("third")}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto rows = d_.load(user.ref).value()->undecrypted;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].message, tag("m1"));
  EXPECT_EQ(rows[0].since, from_unix_ms(100)) << "the first writing counts";
  EXPECT_EQ(text(rows[0].blob), "first, asked again");
  EXPECT_EQ(text(rows[2].blob), "third");
  EXPECT_TRUE(d_.load(other.ref).value()->undecrypted.empty());
  auto overdue = [&](std::int64_t before) {
    return await<Result<std::vector<PendingUser>>>([&](auto done) {
             d_.store().overdue_users({{}, {}, from_unix_ms(before)}, 0, 10, done);
           })
        .value();
  };
  EXPECT_TRUE(overdue(100).empty());
  ASSERT_EQ(overdue(101).size(), 1u);
  EXPECT_EQ(overdue(101)[0].user, user.ref);

  c = user.change();
  c.undecrypted = {{tag("m1"), {}, {}}, {tag("m2"), {}, {}}, {tag("m3"), {}, {}}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  EXPECT_TRUE(d_.load(user.ref).value()->undecrypted.empty());
  EXPECT_TRUE(overdue(10'000).empty());
}

TEST_P(ApplyTest, UpdatesAndDeletesRows) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  user.add_message(c, "r2", "two");
  c.contacts.push_back({tag("contact"), to_bytes("blob")});
  ASSERT_TRUE(d_.apply(user, c).applied());

  c = user.change();
  MessageUpdate sent;
  sent.order = 1;
  sent.state = message::State::kSent;
  sent.stanza = Bytes{};
  MessageUpdate refused;
  refused.order = 2;
  refused.state = message::State::kRejected;
  refused.reason = message::Reason::kRefused;
  refused.content = Bytes{};
  c.updates = {sent, refused};
  c.ratchets = {{tag("contact"), 0, to_bytes("later")}, {tag("contact"), 1, {}}};
  c.contacts = {{tag("contact"), {}}};
  ASSERT_TRUE(d_.apply(user, c).applied());

  auto rows = d_.messages(user.ref, {1, 2, 3}).value();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].state, message::State::kSent);
  EXPECT_EQ(rows[0].reason, message::Reason::kNone);
  EXPECT_EQ(text(rows[0].content), "one");
  EXPECT_TRUE(rows[0].stanza.empty());
  EXPECT_EQ(rows[1].state, message::State::kRejected);
  EXPECT_EQ(rows[1].reason, message::Reason::kRefused);
  EXPECT_TRUE(rows[1].content.empty());
  EXPECT_EQ(text(rows[1].stanza), "stanza of two");
  auto talk = d_.conversation(user.ref, "contact").value();
  EXPECT_TRUE(talk.blob.empty());
  ASSERT_EQ(talk.ratchets.size(), 1u);
  EXPECT_EQ(text(talk.ratchets[0].record), "later");
  EXPECT_TRUE(d_.load(user.ref).value()->unsettled.empty());
}

TEST_P(ApplyTest, IsACompareAndSetOnTermAndVersion) {
  auto user = d_.enlist("anna");
  auto first = user.change();
  ASSERT_EQ(d_.apply(first).kind, Kind::kApplied);
  auto other = user.change();  // the same version again, another change
  user.add_message(other, "r", "x");
  EXPECT_EQ(d_.apply(other).kind, Kind::kStale);
  user.took(first);
  auto ahead = user.change();
  ahead.version += 1;
  EXPECT_EQ(d_.apply(ahead).kind, Kind::kStale);
  ASSERT_EQ(d_.claim(user.ref).value(), user.term + 1);
  EXPECT_EQ(d_.apply(user.change()).kind, Kind::kStale) << "the term moved on";
  auto unknown = user.change();
  unknown.user.uid += 1000;
  EXPECT_EQ(d_.apply(unknown).kind, Kind::kStale);
  auto foreign = user.change();
  foreign.user.tenant += 1;
  foreign.term += 1;
  EXPECT_EQ(d_.apply(foreign).kind, Kind::kStale) << "tenants never meet";
  EXPECT_TRUE(d_.messages(user.ref, {1}).value().empty());
}

TEST_P(ApplyTest, ARepeatIsFoundAppliedAndWritesNothing) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  user.add_event(c, "e");
  c.received.push_back({tag("in"), tag("cipher"), 1, {}});
  ASSERT_EQ(d_.apply(c).kind, Kind::kApplied);
  EXPECT_EQ(d_.apply(c).kind, Kind::kFoundApplied) << "not EXISTS, though its request is there";
  EXPECT_EQ(d_.events(user.ref, 0).value().size(), 1u);
  user.took(c);
  ASSERT_EQ(d_.apply(user.change()).kind, Kind::kApplied);
  EXPECT_EQ(d_.apply(c).kind, Kind::kStale) << "a later change set came";
}

TEST_P(ApplyTest, ExistsNamesAllThatExistAndAppliesNothing) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  user.add_message(c, "r2", "two");
  c.received = {{tag("i1"), tag("c1"), 0, {}}, {tag("i2"), tag("c2"), 0, {}}};
  ASSERT_TRUE(d_.apply(user, c).applied());

  c = user.change();
  user.add_message(c, "r0", "new");
  user.add_message(c, "r2", "two");
  user.add_message(c, "r1", "one");
  auto outcome = d_.apply(c);
  EXPECT_EQ(outcome.kind, Kind::kExists);
  EXPECT_EQ(outcome.existing_requests, (std::vector{tag("r2"), tag("r1")}));
  EXPECT_TRUE(outcome.existing_received.empty());

  c = user.change();
  c.received = {{tag("i2"), tag("c9"), 0, {}}, {tag("i9"), tag("c9"), 0, {}}};
  user.add_event(c, "e");
  outcome = d_.apply(c);
  EXPECT_EQ(outcome.kind, Kind::kExists);
  EXPECT_TRUE(outcome.existing_requests.empty());
  EXPECT_EQ(outcome.existing_received, std::vector{tag("i2")});

  user.add_message(c, "r1", "one");
  outcome = d_.apply(c);
  EXPECT_EQ(outcome.kind, Kind::kExists);
  EXPECT_EQ(outcome.existing_requests, std::vector{tag("r1")});
  EXPECT_EQ(outcome.existing_received, std::vector{tag("i2")});

  EXPECT_TRUE(d_.events(user.ref, 0).value().empty());
  EXPECT_EQ(d_.load(user.ref).value()->account.version, user.version);
  EXPECT_EQ(d_.messages(user.ref, {1, 2, 3, 4}).value().size(), 2u);
  auto other = d_.enlist("bert");
  c = other.change();
  other.add_message(c, "r1", "bert's own");
  EXPECT_TRUE(d_.apply(other, c).applied()) << "ids are unique within a user only";
}

// One that is known is replaced, or written anew when it was swept meanwhile: never lost.
TEST_P(ApplyTest, AKnownIdIsReplacedOrWrittenAnew) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  c.received = {{tag("i1"), tag("c1"), 0, from_unix_ms(5)}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  c = user.change();
  c.received = {{tag("i1"), tag("c2"), 7, from_unix_ms(5), true},
                {tag("i2"), tag("c3"), 8, from_unix_ms(5), true},
                {tag("i3"), tag("c4"), 9, from_unix_ms(5)}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto received = await<Result<std::vector<Received>>>([&](auto done) {
                    d_.store().find_received(user.ref, {tag("i1"), tag("i2"), tag("i3")}, done);
                  }).value();
  ASSERT_EQ(received.size(), 3u);
  std::sort(received.begin(), received.end(), [](auto& a, auto& b) { return a.seq < b.seq; });
  EXPECT_EQ(received[0].cipher_hash, tag("c2"));
  EXPECT_EQ(received[1].message, tag("i2"));
  EXPECT_EQ(received[2].message, tag("i3"));
}

TEST_P(ApplyTest, ACounterNeverGoesBack) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  user.add_event(c, "e");
  c.acked_event = 1;
  ASSERT_TRUE(d_.apply(user, c).applied());
  for (auto field : {&ChangeSet::next_order, &ChangeSet::next_event, &ChangeSet::acked_event}) {
    c = user.change();
    c.*field -= 1;
    auto outcome = d_.apply(c);
    EXPECT_EQ(outcome.kind, Kind::kFailed);
    EXPECT_EQ(outcome.error.kind, ErrorKind::kBug);
  }
  c = user.change();
  c.acked_event = c.next_event;  // acknowledges what is not there
  EXPECT_EQ(d_.apply(c).error.kind, ErrorKind::kBug);
  c = user.change();
  c.lowest_unsettled = c.next_order + 1;
  EXPECT_EQ(d_.apply(c).error.kind, ErrorKind::kBug);
  EXPECT_TRUE(d_.apply(user, user.change()).applied());
}

TEST_P(ApplyTest, AnUpdateOfAMissingRowIsABugAndAppliesNothing) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  c.updates.emplace_back();
  c.updates.back().order = 7;
  c.updates.back().state = message::State::kSent;
  auto outcome = d_.apply(c);
  EXPECT_EQ(outcome.kind, Kind::kFailed);
  EXPECT_EQ(outcome.error.kind, ErrorKind::kBug);
  EXPECT_TRUE(d_.messages(user.ref, {1}).value().empty());
  EXPECT_EQ(d_.load(user.ref).value()->account.version, user.version);
}

// Straight at the backend, so that all of it is surely one batch.
TEST_P(ApplyTest, EachOfABatchHasItsOwnOutcome) {
  std::vector<TestUser> users;
  for (const char* name : {"good", "stale", "exists", "found", "bug", "good too"})
    users.push_back(d_.enlist(name));
  auto first = users[2].change();
  users[2].add_message(first, "r", "x");
  ASSERT_TRUE(d_.apply(users[2], first).applied());
  d_.close();

  auto backend = d_.raw();
  auto batch = [&] {
    std::vector<Sealed> all;
    for (auto& user : users) {
      Sealed s{user.change(), 0};
      user.add_message(s.rows, "r", "x");
      all.push_back(std::move(s));
    }
    return all;
  }();
  batch[1].rows.version += 5;
  batch[4].rows.updates.emplace_back().order = 99;
  ASSERT_EQ(backend->apply(std::span(batch).subspan(3, 1)).value()[0].kind, Kind::kApplied);
  auto outcomes = backend->apply(batch).value();
  ASSERT_EQ(outcomes.size(), batch.size());
  EXPECT_EQ(outcomes[0].kind, Kind::kApplied);
  EXPECT_EQ(outcomes[1].kind, Kind::kStale);
  EXPECT_EQ(outcomes[2].kind, Kind::kExists);
  EXPECT_EQ(outcomes[2].existing_requests, std::vector{tag("r")});
  EXPECT_EQ(outcomes[3].kind, Kind::kFoundApplied);
  EXPECT_EQ(outcomes[4].kind, Kind::kFailed);
  EXPECT_EQ(outcomes[5].kind, Kind::kApplied);
  for (std::size_t i : {0u, 5u}) {
    auto rows = backend->load(users[i].ref).value().value();
    EXPECT_EQ(rows.account.version, users[i].version + 1);
    EXPECT_EQ(rows.unsettled.size(), 1u);
  }
  for (std::size_t i : {1u, 4u})
    EXPECT_TRUE(backend->load(users[i].ref).value()->unsettled.empty());
  auto again = backend->apply(batch).value();
  EXPECT_EQ(again[0].kind, Kind::kFoundApplied);
  EXPECT_EQ(again[4].kind, Kind::kFailed);
  EXPECT_EQ(again[5].kind, Kind::kFoundApplied);
}

TEST_P(ApplyTest, WithdrawalErasesKeysAndReenlistingStartsAnewWithTheOldCounters) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  user.add_event(c, "e1");
  c.contacts.push_back({tag("contact"), to_bytes("blob")});
  ASSERT_TRUE(d_.apply(user, c).applied());
  c = user.change();
  c.state = AccountState::kWithdrawn;
  c.erase_keys = true;
  c.profile = Bytes{};
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto rows = d_.load(user.ref).value().value();
  EXPECT_EQ(rows.account.state, AccountState::kWithdrawn);
  EXPECT_TRUE(rows.account.profile.empty());
  EXPECT_TRUE(d_.prekeys(user.ref).value().empty());
  EXPECT_EQ(rows.unsettled.size(), 1u);
  auto talk = d_.conversation(user.ref, "contact").value();
  EXPECT_TRUE(talk.blob.empty());
  EXPECT_TRUE(talk.ratchets.empty());

  auto again =
      await<Result<Store::Enlisted>>([&](auto done) {
        d_.store().enlist(1, tag("anna"), to_bytes("second"), {{101, to_bytes("p")}}, done);
      }).value();
  EXPECT_TRUE(again.created);
  EXPECT_EQ(again.user, user.ref);
  rows = d_.load(user.ref).value().value();
  EXPECT_EQ(rows.account.state, AccountState::kEnlisted);
  EXPECT_EQ(text(rows.account.profile), "second");
  auto prekeys = d_.prekeys(user.ref).value();
  ASSERT_EQ(prekeys.size(), 1u);
  EXPECT_EQ(prekeys[0].first_id, 101u);
  EXPECT_EQ(rows.account.next_order, 2);
  EXPECT_EQ(rows.account.next_event, 2);
  EXPECT_EQ(d_.apply(user.change()).kind, Kind::kStale) << "who still holds it must reload";
}

TEST_P(ApplyTest, EraseKeysComesBeforeWhatTheSameChangeSetWrites) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  ASSERT_TRUE(d_.apply(user, c).applied());
  c = user.change();
  c.erase_keys = true;
  c.ratchets.push_back({tag("contact"), 5, to_bytes("kept")});
  c.prekeys.push_back({201, to_bytes("kept")});
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto talk = d_.conversation(user.ref, "contact").value();
  ASSERT_EQ(talk.ratchets.size(), 1u);
  EXPECT_EQ(talk.ratchets[0].device, 5);
  ASSERT_EQ(d_.prekeys(user.ref).value().size(), 1u);
}

TEST_P(ApplyTest, WhatDoesNotApplyErasesNothing) {
  auto user = d_.enlist("anna"), other = d_.enlist("bert");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  c.received = {{tag("in"), tag("cipher"), 0, {}}};
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto exists = user.change();
  exists.erase_keys = true;
  exists.received = {{tag("in"), tag("cipher"), 0, {}}};
  EXPECT_EQ(d_.apply(exists).kind, Kind::kExists);
  auto backwards = user.change();
  backwards.erase_keys = true;
  --backwards.next_order;
  EXPECT_EQ(d_.apply(backwards).kind, Kind::kFailed);
  auto backend = d_.raw();
  std::vector<Sealed> batch = {{exists, 0}, {other.change(), 0}};
  batch[1].rows.erase_keys = true;
  auto outcomes = backend->apply(batch).value();
  EXPECT_EQ(outcomes[0].kind, Kind::kExists);
  EXPECT_EQ(outcomes[1].kind, Kind::kApplied);
  EXPECT_EQ(d_.conversation(user.ref, "contact").value().ratchets.size(), 1u);
  EXPECT_EQ(d_.prekeys(user.ref).value().size(), 2u);
  EXPECT_TRUE(d_.prekeys(other.ref).value().empty());
}

TEST_P(ApplyTest, EnlistingAnEnlistedUserChangesNothing) {
  auto user = d_.enlist("anna");
  auto again = await<Result<Store::Enlisted>>([&](auto done) {
                 d_.store().enlist(1, tag("anna"), to_bytes("other"), {}, done);
               }).value();
  EXPECT_FALSE(again.created);
  EXPECT_EQ(again.user, user.ref);
  auto rows = d_.load(user.ref).value().value();
  EXPECT_EQ(text(rows.account.profile), "profile of anna");
  EXPECT_EQ(d_.prekeys(user.ref).value().size(), 2u);
  auto elsewhere = d_.enlist("anna", 2);
  EXPECT_NE(elsewhere.ref.uid, user.ref.uid);
  EXPECT_GT(user.ref.uid, 0);
}

TEST_P(ApplyTest, EachClaimRaisesTheTermByOne) {
  auto user = d_.enlist("anna");
  EXPECT_EQ(d_.claim(user.ref).value(), user.term + 1);
  EXPECT_EQ(d_.claim(user.ref).value(), user.term + 2);
  auto claimed = d_.claim({1, 999});
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().reason, "USER_UNKNOWN");
  EXPECT_FALSE(d_.claim({2, user.ref.uid}));
}

TEST_P(ApplyTest, ABatchOfClaimsHasAnOutcomeEach) {
  auto anna = d_.enlist("anna"), bert = d_.enlist("bert"), carl = d_.enlist("carl", 2);
  d_.close();
  auto backend = d_.raw();
  const std::vector<UserRef> users = {carl.ref, {1, 999}, bert.ref, {1, carl.ref.uid}, anna.ref};
  for (int round = 1; round <= 2; ++round) {
    auto claimed = backend->claim(users).value();
    ASSERT_EQ(claimed.size(), users.size());
    EXPECT_EQ(claimed[0].value(), carl.term + round);
    EXPECT_EQ(claimed[1].error().reason, "USER_UNKNOWN");
    EXPECT_EQ(claimed[2].value(), bert.term + round);
    EXPECT_EQ(claimed[3].error().kind, ErrorKind::kRejected) << "tenants never meet";
    EXPECT_EQ(claimed[4].value(), anna.term + round);
    EXPECT_EQ(backend->load(bert.ref).value()->account.term, bert.term + round);
  }
}

}  // namespace
}  // namespace gw::store::test
