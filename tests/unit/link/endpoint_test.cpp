// Breaker and ramp around real links: who waits is told why, and what links report is heard.

#include "link/endpoint.h"

#include <future>
#include <gtest/gtest.h>

#include "unit/link/whatsapp.h"

namespace gw::link {
namespace {

class EndpointTest : public testing::Test {
 protected:
  // Nothing here depends on how fast these are.
  EndpointTest() {
    options.host = "127.0.0.1";
    options.port = server.port();
    options.root = server.party().root.pub;
    admission.failures = 2;
    admission.probe_first = admission.probe_most = Millis{20};
  }
  ~EndpointTest() override {
    for (auto& user : users) on(user->loop, [&] { user->turn.reset(); });
    for (auto& user : users)
      on(user->loop, [&] {
        if (user->link) user->link->abandon();
        user->link.reset();
      });
    home.stop();
    other.stop();
  }
  void start() { endpoint.emplace(home, options, admission, clock, links, probe); }
  static void on(runtime::Loop& loop, const std::function<void()>& work) {
    std::promise<void> done;
    loop.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  struct User {
    explicit User(runtime::Loop& of) : loop(of) {}
    runtime::Loop& loop;
    std::shared_ptr<Turn> turn;
    std::shared_ptr<Link> link;
    Heard heard;
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Wait> told;

    bool was_told(Wait wait) {
      std::unique_lock lock(mutex);
      return changed.wait_for(
          lock, kPatience, [&] { return std::find(told.begin(), told.end(), wait) != told.end(); });
    }
    std::vector<Wait> all() {
      std::lock_guard lock(mutex);
      return told;
    }
  };
  // Asks for a turn, from one loop or the other.
  User& ask() {
    auto& user = *users.emplace_back(std::make_unique<User>(users.size() % 2 == 0 ? home : other));
    auto told = [&user](Wait wait) {
      std::lock_guard lock(user.mutex);
      user.told.push_back(wait);
      user.changed.notify_all();
    };
    on(user.loop, [&] { user.turn = endpoint->ask(user.loop, users.size(), told); });
    return user;
  }
  void open(User& user) {
    on(user.loop, [&] {
      user.link = endpoint->open(std::move(user.turn), user.loop, server.party().client,
                                 server.party().login, user.heard);
    });
  }
  // Users whose openings fail; then it is down.
  void break_down() {
    for (std::uint32_t i = 0; i < admission.failures; ++i) {
      auto& user = ask();
      ASSERT_TRUE(user.was_told(Wait::kGranted));
      open(user);
      server.accept()->close();
      EXPECT_EQ(user.heard.down().reason, "CONNECTION_LOST");
    }
    settle();
    ASSERT_EQ(probe.down, 1);
  }
  // What was reported up to now was heard.
  void settle() {
    on(other, [] {});
    on(home, [] {});
  }

  Server server;
  CertificateClock clock;
  LinkProbe links;
  EndpointProbe probe;
  Options options;
  Admission::Options admission;
  runtime::Loop home{"home"}, other{"other"};
  std::optional<Endpoint> endpoint;
  std::vector<std::unique_ptr<User>> users;
};

TEST_F(EndpointTest, WhenNothingIsInTheWayTheTurnComesAtOnce) {
  start();
  for (int i = 0; i < 2; ++i) {
    auto& user = ask();
    ASSERT_TRUE(user.was_told(Wait::kGranted));
    EXPECT_EQ(user.all().size(), 1u);
    open(user);
    EXPECT_TRUE(server.accept()->up());
    EXPECT_TRUE(user.heard.up());
  }
  settle();
  EXPECT_EQ(probe.waiting, 0);
  EXPECT_EQ(probe.rate, 52) << "two logins were answered";
  EXPECT_EQ(probe.down, 0);
}

TEST_F(EndpointTest, WhoWaitsForTheRampIsTold) {
  admission.first = admission.most = 1;
  start();
  ASSERT_TRUE(ask().was_told(Wait::kGranted));
  auto& second = ask();
  ASSERT_TRUE(second.was_told(Wait::kRamping));
  EXPECT_EQ(probe.waiting, 1);
  EXPECT_TRUE(second.was_told(Wait::kGranted)) << "a second later";
  EXPECT_EQ(probe.waiting, 0);
}

TEST_F(EndpointTest, AnOutageIsToldToWhoWaitsAndEndsWithAnAnswer) {
  admission.probe_first = admission.probe_most = Millis{600'000};
  start();
  auto& early = ask();
  ASSERT_TRUE(early.was_told(Wait::kGranted));
  open(early);  // hangs in the handshake all the while
  auto hanging = server.accept();
  break_down();
  EXPECT_EQ(probe.outages, 1u);
  EXPECT_EQ(probe.rate, 0);
  auto& first = ask();
  auto& second = ask();
  ASSERT_TRUE(first.was_told(Wait::kEndpointDown));
  ASSERT_TRUE(second.was_told(Wait::kEndpointDown));
  EXPECT_EQ(probe.waiting, 2);
  EXPECT_FALSE(first.turn->granted());

  EXPECT_TRUE(hanging->up());
  EXPECT_TRUE(first.was_told(Wait::kGranted));
  EXPECT_TRUE(second.was_told(Wait::kGranted));
  EXPECT_EQ(probe.down, 0);
}

TEST_F(EndpointTest, WhoWaitedForTheRampWaitsForTheEndpointWhenThatGoesDown) {
  admission.first = admission.most = 1;
  admission.probe_first = admission.probe_most = Millis{600'000};
  start();
  std::vector<User*> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(&ask());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(waiting[static_cast<std::size_t>(i)]->was_told(Wait::kGranted));
    open(*waiting[static_cast<std::size_t>(i)]);
    server.accept()->close();
  }
  for (int i = 2; i < 4; ++i) {
    auto& user = *waiting[static_cast<std::size_t>(i)];
    ASSERT_TRUE(user.was_told(Wait::kEndpointDown));
    EXPECT_EQ(user.all(), (std::vector<Wait>{Wait::kRamping, Wait::kEndpointDown}));
  }
}

TEST_F(EndpointTest, ProbesFindOutThatItIsBack) {
  start();
  break_down();
  for (int failed = 0; failed < 3; ++failed) {
    auto& user = ask();
    ASSERT_TRUE(user.was_told(Wait::kGranted));
    open(user);
    server.accept()->close();
    user.heard.down();
    settle();
    EXPECT_EQ(probe.down, 1);
  }
  auto& user = ask();
  ASSERT_TRUE(user.was_told(Wait::kGranted));
  open(user);
  EXPECT_TRUE(server.accept()->up() && user.heard.up());
  settle();
  EXPECT_EQ(probe.down, 0);
  EXPECT_EQ(probe.probes, 4u);
  EXPECT_EQ(probe.outages, 1u);
}

TEST_F(EndpointTest, ARefusalIsAnAnswerAServiceThatIsOutIsNone) {
  start();
  auto refused = [&](std::int64_t reason) {
    auto& user = ask();
    ASSERT_TRUE(user.was_told(Wait::kGranted));
    open(user);
    auto peer = server.accept();
    EXPECT_TRUE(peer->hello() && peer->login() &&
                peer->send(stanza::Node("failure").with("reason", reason)));
    user.heard.down();
    settle();
  };
  for (int i = 0; i < 5; ++i) refused(i % 2 == 0 ? 406 : 503);
  EXPECT_EQ(probe.down, 0);
  refused(503);
  EXPECT_EQ(probe.failed, 3u);
  refused(503);
  EXPECT_EQ(probe.down, 1);
  refused(401);
  EXPECT_EQ(probe.down, 0);
}

TEST_F(EndpointTest, WhatWeCallOffOurselvesSaysNothing) {
  start();
  for (int i = 0; i < 4; ++i) {
    auto& user = ask();
    ASSERT_TRUE(user.was_told(Wait::kGranted));
    open(user);
    auto peer = server.accept();
    on(user.loop, [&] { user.link->close(); });
    EXPECT_EQ(user.heard.down().reason, "CLOSED");
  }
  settle();
  EXPECT_EQ(probe.failed, 0u);
  EXPECT_EQ(probe.down, 0);
}

TEST_F(EndpointTest, WhoGivesUpIsPassed) {
  admission.probe_first = admission.probe_most = Millis{600'000};
  start();
  auto& early = ask();
  ASSERT_TRUE(early.was_told(Wait::kGranted));
  open(early);
  auto hanging = server.accept();
  break_down();
  std::vector<User*> waiting;
  for (int i = 0; i < 200; ++i) waiting.push_back(&ask());
  for (auto* user : waiting) ASSERT_TRUE(user->was_told(Wait::kEndpointDown));
  EXPECT_EQ(probe.waiting, 200);
  for (auto* user : waiting) on(user->loop, [&] { user->turn.reset(); });
  EXPECT_EQ(probe.waiting, 0);
  auto& last = ask();
  ASSERT_TRUE(last.was_told(Wait::kEndpointDown));
  EXPECT_TRUE(hanging->up());
  EXPECT_TRUE(last.was_told(Wait::kGranted)) << "the first of those who are left";
  settle();
  for (auto* user : waiting)
    EXPECT_EQ(user->all(), std::vector<Wait>{Wait::kEndpointDown}) << "after giving up nothing";
}

}  // namespace
}  // namespace gw::link
