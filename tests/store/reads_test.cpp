// The named reads, and what sweep forgets.

#include "store/suite.h"

namespace gw::store::test {
namespace {

class ReadsTest : public BackendTest {
 protected:
  // `n` events of 100 octets each.
  TestUser with_events(std::string_view name, int n, EventSeq acked = 0, TenantId tenant = 1,
                       Millis apart = Millis(1000)) {
    auto user = d_.enlist(name, tenant);
    auto c = user.change();
    for (int i = 0; i < n; ++i) {
      user.add_event(c, std::string(100, static_cast<char>('a' + i % 26)));
      c.events.back().at = from_unix_ms(i * apart.count());
    }
    c.acked_event = acked;
    EXPECT_TRUE(d_.apply(user, c).applied());
    return user;
  }
  std::vector<PendingUser> pending(TenantId tenant, std::int64_t after, std::size_t limit) {
    return await<Result<std::vector<PendingUser>>>(
               [&](auto done) { d_.store().pending_users(tenant, after, limit, done); })
        .value();
  }
};
GW_FOR_ALL_BACKENDS(ReadsTest);

TEST_P(ReadsTest, NobodyIsNoError) {
  EXPECT_FALSE(d_.load({1, 77}).value().has_value());
  auto found = await<Result<std::optional<Account>>>(
      [&](auto done) { d_.store().find_user(1, tag("nobody"), done); });
  EXPECT_FALSE(found.value().has_value());
  EXPECT_TRUE(d_.events({1, 77}, 0).value().empty());
  EXPECT_TRUE(pending(1, 0, 10).empty());
  auto talk = d_.conversation({1, 77}, "x").value();
  EXPECT_EQ(talk.contact, tag("x"));
  EXPECT_TRUE(talk.blob.empty() && talk.ratchets.empty());
}

TEST_P(ReadsTest, FindsAUserWithItsProfileByTenantAndTag) {
  auto user = d_.enlist("anna", 3);
  auto find = [&](TenantId tenant) {
    return await<Result<std::optional<Account>>>(
               [&](auto done) { d_.store().find_user(tenant, tag("anna"), done); })
        .value();
  };
  ASSERT_TRUE(find(3).has_value());
  EXPECT_EQ(find(3)->user, user.ref);
  EXPECT_EQ(text(find(3)->profile), "profile of anna");
  EXPECT_FALSE(find(4).has_value());
  EXPECT_FALSE(d_.load({4, user.ref.uid}).value().has_value());
}

TEST_P(ReadsTest, LoadGivesTheUnsettledInOrderFromTheLowestOn) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  for (int i = 0; i < 5; ++i) {
    auto& m = user.add_message(c, numbered("r", i), numbered("m", i));
    m.state = i == 2       ? message::State::kSent
              : i % 2 == 0 ? message::State::kReady
                           : message::State::kWaiting;
  }
  c.lowest_unsettled = 2;
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto rows = d_.load(user.ref).value().value();
  std::vector<Order> orders;
  for (const auto& m : rows.unsettled) orders.push_back(m.order);
  EXPECT_EQ(orders, (std::vector<Order>{2, 4, 5}));
}

TEST_P(ReadsTest, FindsMessagesByRequestAndByOrder) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  user.add_message(c, "r1", "one");
  user.add_message(c, "r2", "two");
  ASSERT_TRUE(d_.apply(user, c).applied());
  auto found = await<Result<std::vector<MessageRow>>>([&](auto done) {
                 d_.store().find_messages(user.ref, {tag("r2"), tag("none"), tag("r1")}, done);
               }).value();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].order, 2);
  EXPECT_EQ(text(found[0].content), "two");
  EXPECT_EQ(found[1].order, 1);
  EXPECT_EQ(d_.messages(user.ref, {9, 2}).value().size(), 1u);
}

TEST_P(ReadsTest, EventsArePagedByNumberAndByBytes) {
  auto user = with_events("anna", 20);
  EXPECT_EQ(d_.events(user.ref, 0).value().size(), 20u);
  auto page = d_.events(user.ref, 5, 3).value();
  ASSERT_EQ(page.size(), 3u);
  EXPECT_EQ(page[0].seq, 6);
  EXPECT_EQ(page[2].seq, 8);
  page = d_.events(user.ref, 0, 100, 1000).value();
  EXPECT_GE(page.size(), 5u);
  EXPECT_LE(page.size(), 10u) << "about 1000 octets of 100 each";
  EXPECT_EQ(d_.events(user.ref, 0, 100, 1).value().size(), 1u) << "at least one, or it never ends";
  EXPECT_TRUE(d_.events(user.ref, 20).value().empty());
  EventSeq after = 0;
  while (true) {
    auto next = d_.events(user.ref, after, 7, 450).value();
    if (next.empty()) break;
    for (const auto& e : next) EXPECT_EQ(e.seq, ++after);
  }
  EXPECT_EQ(after, 20);
}

TEST_P(ReadsTest, PendingUsersArePagedByUidWithinATenant) {
  std::vector<TestUser> users;
  for (int i = 0; i < 7; ++i) users.push_back(with_events(numbered("u", i), 3, i % 4));
  with_events("foreign", 3, 0, 2);
  auto all = pending(1, 0, 100);
  ASSERT_EQ(all.size(), 6u) << "u3 has acknowledged all three";
  for (const auto& p : all) EXPECT_NE(p.user, users[3].ref);
  EXPECT_EQ(text(all[1].profile), "profile of u1");
  EXPECT_EQ(all[1].acked_event, 1);
  EXPECT_EQ(all[1].last_event, 3);
  std::vector<std::int64_t> paged;
  for (std::int64_t after = 0;;) {
    auto page = pending(1, after, 2);
    if (page.empty()) break;
    for (const auto& p : page) paged.push_back(p.user.uid);
    after = paged.back();
  }
  ASSERT_EQ(paged.size(), 6u);
  EXPECT_TRUE(std::is_sorted(paged.begin(), paged.end()));
}

// Days apart, so that they lie in partitions of their own where there are partitions.
constexpr std::int64_t kDay = 24 * 3600'000;

TEST_P(ReadsTest, SweepForgetsWhatIsOldAndDone) {
  auto user = d_.enlist("anna");
  auto c = user.change();
  for (int i = 1; i <= 6; ++i) {
    auto& m = user.add_message(c, numbered("r", i), "m");
    m.created = from_unix_ms(i * 10 * kDay);
    m.state = i == 2 ? message::State::kReady : message::State::kDelivered;
    user.add_event(c, numbered("e", i));
    c.events.back().at = m.created;
    c.received.push_back({tag(numbered("i", i)), tag("c"), i, m.created});
  }
  c.acked_event = 3;
  ASSERT_TRUE(d_.apply(user, c).applied());
  // Before day 45: messages 1, 3, 4 (2 is READY), events 1 to 3 (4 is not acknowledged), received
  // 1 to 4.
  const auto before = from_unix_ms(45 * kDay);
  EXPECT_GE(d_.sweep(before, 100).value(), 3u + 3u + 4u);
  std::vector<Order> left;
  auto rows = d_.messages(user.ref, {1, 2, 3, 4, 5, 6}).value();
  for (const auto& m : rows) left.push_back(m.order);
  EXPECT_EQ(left, (std::vector<Order>{2, 5, 6}));
  auto events = d_.events(user.ref, 0).value();
  ASSERT_EQ(events.size(), 3u);
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].seq, static_cast<EventSeq>(i) + 4);
    EXPECT_EQ(events[i].at, from_unix_ms(events[i].seq * 10 * kDay));
    EXPECT_EQ(text(events[i].payload), numbered("e", events[i].seq));
  }
  auto received = await<Result<std::vector<Received>>>([&](auto done) {
    d_.store().find_received(user.ref, {tag("i4"), tag("i5")}, done);
  });
  EXPECT_EQ(received.value().size(), 1u);
  EXPECT_EQ(d_.sweep(before, 100).value(), 0u) << "nothing more";

  // What stayed is as good as it was.
  c = user.change();
  c.updates.emplace_back().order = 2;
  c.updates.back().created = from_unix_ms(20 * kDay);
  c.updates.back().state = message::State::kSent;
  c.lowest_unsettled = c.next_order;
  c.acked_event = 6;
  ASSERT_TRUE(d_.apply(user, c).applied());
  EXPECT_GE(d_.sweep(from_unix_ms(100 * kDay), 100).value(), 1u);
  EXPECT_TRUE(d_.messages(user.ref, {1, 2, 3, 4, 5, 6}).value().empty());
}

TEST_P(ReadsTest, TheSizeOfTheDatabaseIsTold) {
  auto total = [&] {
    std::uint64_t bytes = 0;
    // The answer comes on the read thread, before that of a read behind it.
    d_.store().measure();
    (void)d_.events(UserRef{0, 0}, 0);
    for (const auto& part : d_.store().probe().bytes) bytes += part;
    for (const auto& part : d_.store().probe().index_bytes) bytes += part;
    return bytes;
  };
  const auto before = total();
  EXPECT_GT(before, 4096u);
  with_events("large", 600, 0, 1, Millis(1));
  EXPECT_GT(total(), before + 600 * 20);
}

TEST_P(ReadsTest, SweepTakesAtMostTheLimitAndComesToAnEnd) {
  auto kept = with_events("waits", 60, 0, 1, Millis(2 * kDay));  // passed over by every call
  auto user = with_events("reads", 60, 60, 1, Millis(2 * kDay));
  for (int calls = 0; calls < 100 && !d_.events(user.ref, 0).value().empty(); ++calls)
    EXPECT_LE(d_.sweep(from_unix_ms(200 * kDay), 5).value(), 3u * 5u) << "5 a table";
  EXPECT_TRUE(d_.events(user.ref, 0).value().empty());
  EXPECT_EQ(d_.events(kept.ref, 0).value().size(), 60u);
}

TEST_P(ReadsTest, ManyUsersFromManyThreads) {
  constexpr int kThreads = 4, kUsers = 8, kRounds = 25;
  std::vector<TestUser> users;
  for (int i = 0; i < kThreads * kUsers; ++i) users.push_back(d_.enlist(numbered("u", i)));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        std::vector<std::pair<TestUser*, std::future<Outcome>>> waits;
        std::vector<ChangeSet> sent;
        for (int i = 0; i < kUsers; ++i) {
          auto& user = users[static_cast<std::size_t>(t * kUsers + i)];
          auto c = user.change();
          user.add_message(c, numbered("r", round), numbered("m", round));
          user.add_event(c, numbered("e", round));
          auto promise = std::make_shared<std::promise<Outcome>>();
          waits.emplace_back(&user, promise->get_future());
          sent.push_back(c);
          d_.store().apply(std::move(c),
                           [promise](Outcome o) { promise->set_value(std::move(o)); });
        }
        EXPECT_TRUE(d_.load(waits[0].first->ref).value().has_value());
        for (std::size_t i = 0; i < waits.size(); ++i) {
          EXPECT_EQ(waits[i].second.get().kind, Kind::kApplied);
          waits[i].first->took(sent[i]);
        }
      }
    });
  for (auto& thread : threads) thread.join();
  for (auto& user : users) {
    auto rows = d_.load(user.ref).value().value();
    EXPECT_EQ(rows.account.version, kRounds);
    ASSERT_EQ(rows.unsettled.size(), static_cast<std::size_t>(kRounds));
    EXPECT_EQ(text(rows.unsettled.back().content), numbered("m", kRounds - 1));
    EXPECT_EQ(d_.events(user.ref, 0).value().size(), static_cast<std::size_t>(kRounds));
  }
  EXPECT_EQ(d_.store().probe().change_sets, kThreads * kUsers * kRounds);
  EXPECT_LT(d_.store().probe().commits, d_.store().probe().change_sets) << "group commit";
  EXPECT_EQ(d_.store().probe().pending, 0u);
  EXPECT_EQ(d_.store().probe().pending_bytes, 0u);
}

}  // namespace
}  // namespace gw::store::test
