#include "runtime/loop.h"

#include <future>
#include <gtest/gtest.h>

namespace gw::runtime {
namespace {

// What the loop did up to now is done.
void settle(Loop& loop) {
  std::promise<void> done;
  loop.post([&] { done.set_value(); });
  done.get_future().wait();
}

TEST(Loop, RunsWhatOneThreadPostsInOrderAndOnItsOwnThread) {
  Loop loop("test");
  std::vector<int> ran;
  bool on_loop = true;
  for (int i = 0; i < 1000; ++i)
    loop.post([&, i] {
      ran.push_back(i);
      on_loop = on_loop && loop.on_loop();
    });
  settle(loop);
  ASSERT_EQ(ran.size(), 1000u);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(ran[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(on_loop);
  EXPECT_FALSE(loop.on_loop());
}

TEST(Loop, LosesNothingOfWhatManyThreadsPost) {
  Loop loop("test");
  int ran = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) loop.post([&] { ++ran; });
    });
  for (auto& thread : threads) thread.join();
  settle(loop);
  EXPECT_EQ(ran, 20'000);
}

TEST(Loop, WhatIsPostedFromWithinRunsLaterAndLetsTimersIn) {
  Loop loop("test");
  std::promise<void> fired;
  bool nested = false;
  Timer timer(loop);
  std::function<void()> again;
  bool stop = false;
  loop.post([&] {
    again = [&] {
      if (!stop) loop.post(again);
    };
    loop.post([&] { nested = true; });
    EXPECT_FALSE(nested);
    timer.after(Millis{1}, [&] {
      stop = true;
      fired.set_value();
    });
    loop.post(again);
  });
  ASSERT_EQ(fired.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  settle(loop);
  EXPECT_TRUE(nested);
}

TEST(Loop, TakesWorkThatCannotBeCopied) {
  Loop loop("test");
  auto value = std::make_unique<int>(7);
  std::promise<int> got;
  loop.post([&got, value = std::move(value)] { got.set_value(*value); });
  EXPECT_EQ(got.get_future().get(), 7);
}

TEST(Loop, DropsWhatIsQueuedWhenItStops) {
  auto held = std::make_shared<int>(0);
  {
    Loop loop("test");
    std::promise<void> entered, leave;
    loop.post([&] {
      entered.set_value();
      leave.get_future().wait();
    });
    entered.get_future().wait();
    loop.post([held] { ++*held; });
    leave.set_value();
    loop.stop();
  }
  EXPECT_EQ(held.use_count(), 1) << "what was posted is gone with the loop";
}

TEST(Loop, WhatIsDroppedMayHoldTimersOfTheLoopAndPostAgain) {
  Loop loop("test");
  std::promise<void> entered, leave;
  loop.post([&] {
    entered.set_value();
    leave.get_future().wait();
  });
  entered.get_future().wait();
  struct PostsAtItsEnd {
    Loop& loop;
    std::shared_ptr<Timer> timer;
    ~PostsAtItsEnd() {
      loop.post([timer = timer] {});
    }
  };
  auto held = std::make_shared<Timer>(loop);
  loop.post([last = std::shared_ptr<PostsAtItsEnd>(new PostsAtItsEnd{loop, held})] {});
  leave.set_value();
  loop.stop();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Timer, SettingItAgainReplacesTheEarlierTime) {
  Loop loop("test");
  Timer timer(loop);
  std::promise<int> fired;
  int count = 0;
  loop.post([&] {
    timer.after(Millis{1}, [&] { ++count; });
    timer.after(Millis{2}, [&] { fired.set_value(++count); });
  });
  EXPECT_EQ(fired.get_future().get(), 1);
}

TEST(Timer, ACancelledOneDoesNotFire) {
  Loop loop("test");
  Timer cancelled(loop), other(loop);
  bool fired = false;
  std::promise<void> done;
  loop.post([&] {
    cancelled.after(Millis{1}, [&] { fired = true; });
    cancelled.cancel();
    other.after(Millis{5}, [&] { done.set_value(); });
  });
  done.get_future().wait();
  settle(loop);
  EXPECT_FALSE(fired);
}

TEST(LoopPool, SpreadsByHash) {
  LoopPool pool(3);
  ASSERT_EQ(pool.size(), 3u);
  for (std::size_t hash = 0; hash < 9; ++hash) EXPECT_EQ(&pool.of(hash), &pool.at(hash % 3));
  pool.stop();
}

}  // namespace
}  // namespace gw::runtime
