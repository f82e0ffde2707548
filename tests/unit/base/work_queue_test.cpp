#include "base/work_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace steplapse {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;

/// Work that begins, and goes on when it is let go.
struct Gate {
  std::promise<void> begun, open;
  std::shared_future<void> opened = open.get_future().share();

  std::function<void()> work() {
    return [this] {
      begun.set_value();
      opened.wait();
    };
  }
};

TEST(WorkQueue, DoesAllInOrder) {
  std::vector<int> done, wanted(100);
  std::iota(wanted.begin(), wanted.end(), 0);
  WorkQueue queue(3);
  for (int i = 0; i < 100; ++i) queue.push([&done, i] { done.push_back(i); });
  queue.drain();
  EXPECT_EQ(done, wanted);
  queue.push([&done] { done.clear(); });
  queue.drain();
  EXPECT_EQ(done.size(), 0u);
}

TEST(WorkQueue, CallerGoesOnWhileItWorks) {
  Gate gate;
  WorkQueue queue(1);
  queue.push(gate.work());
  gate.begun.get_future().wait();  // and push has returned: it would never, did it do the work itself
  gate.open.set_value();
  queue.drain();
}

TEST(WorkQueue, PushWaitsWhenCapacityWaits) {
  Gate gate;
  WorkQueue queue(2);
  queue.push(gate.work());
  gate.begun.get_future().wait();
  queue.push([] {});
  queue.push([] {});
  auto third = std::async(std::launch::async, [&] { queue.push([] {}); });
  EXPECT_EQ(third.wait_for(500ms), std::future_status::timeout);
  gate.open.set_value();
  third.get();
  queue.drain();
}

TEST(WorkQueue, FirstExceptionEndsItAndComesOutOfEveryCall) {
  std::vector<int> done;
  Gate gate;
  WorkQueue queue(4);
  queue.push(gate.work());
  queue.push([&] { done.push_back(1); });
  queue.push([] { throw std::runtime_error("disk full"); });
  queue.push([&] { done.push_back(2); });
  gate.open.set_value();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT([&] { queue.drain(); }, ThrowsMessage<std::runtime_error>(StrEq("disk full")));
    EXPECT_THAT([&] { queue.push([&] { done.push_back(3); }); }, ThrowsMessage<std::runtime_error>(StrEq("disk full")));
  }
  EXPECT_THAT(done, ElementsAre(1));
}

TEST(WorkQueue, ExceptionWakesAPushThatWaits) {
  Gate gate;
  WorkQueue queue(1);
  queue.push([work = gate.work()] {
    work();
    throw std::runtime_error("disk full");
  });
  gate.begun.get_future().wait();
  queue.push([] {});
  auto waiting = std::async(std::launch::async, [&] { queue.push([] {}); });
  EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout);
  gate.open.set_value();
  EXPECT_THROW(waiting.get(), std::runtime_error);
}

TEST(WorkQueue, DestructorDropsWhatWaits) {
  std::atomic<bool> leaving = false, ended = false, dropped_ran = false;
  {
    WorkQueue queue(1);
    queue.push([&] {
      while (!leaving) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(100ms);
      ended = true;
    });
    queue.push([&] { dropped_ran = true; });
    leaving = true;
  }
  EXPECT_TRUE(ended);
  EXPECT_FALSE(dropped_ran);
}

TEST(WorkQueue, DrainedWorkHasLetGoOfWhatItHeld) {
  const auto held = std::make_shared<int>();
  WorkQueue queue(1);
  queue.push([held] {});
  queue.drain();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkQueue, HasRoomForSomething) { EXPECT_THROW(WorkQueue(0), std::invalid_argument); }

}  // namespace
}  // namespace steplapse
