#include "base/signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace steplapse {
namespace {

using testing::ExitedWithCode;
using testing::HasSubstr;
using testing::Not;

constexpr double kLong = 1000;  // seconds; no test waits for it

/// To the process, as a terminal sends it: raise() would send it to this thread, which blocks it.
void send(int signal) { kill(getpid(), signal); }

void wait_for_signal() {
  while (noted_signal() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void say_that_it_left(int signal) { std::fprintf(stderr, "left at %s\n", name_of_signal(signal).c_str()); }

/// Each test is a program of its own, begun anew: the watchdog is there for the whole process, and ends it.
class Signals : public testing::Test {
 protected:
  Signals() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(Signals, AreNotedWhileTheWorkHasGrace) {
  EXPECT_EXIT(
      {
        watch_signals();
        SignalWatch watch(say_that_it_left);
        watch.give(kLong);
        send(SIGUSR1);
        wait_for_signal();
        std::exit(noted_signal() == SIGUSR1 ? 0 : 1);
      },
      ExitedWithCode(0), Not(HasSubstr("left")));
}

TEST_F(Signals, EndTheWorkWithoutGraceAtOnce) {
  EXPECT_EXIT(
      {
        watch_signals();
        SignalWatch watch(say_that_it_left);
        send(SIGINT);
        for (;;) pause();
      },
      ExitedWithCode(130), HasSubstr("left at SIGINT"));
}

TEST_F(Signals, EndTheWorkWhenItsGraceIsOver) {
  EXPECT_EXIT(
      {
        watch_signals();
        SignalWatch watch(say_that_it_left);
        watch.give(0.01);
        send(SIGTERM);
        for (;;) pause();
      },
      ExitedWithCode(143), HasSubstr("left at SIGTERM"));
}

TEST_F(Signals, LeaveNothingToAWatchThatIsOver) {
  EXPECT_EXIT(
      {
        watch_signals();
        {
          SignalWatch watch(say_that_it_left);
        }
        send(SIGTERM);
        for (;;) pause();
      },
      ExitedWithCode(143), Not(HasSubstr("left")));
}

TEST_F(Signals, EndTheProcessWhenASecondComesInTheGrace) {
  EXPECT_EXIT(
      {
        watch_signals();
        SignalWatch watch(say_that_it_left);
        watch.give(kLong);
        send(SIGTERM);
        wait_for_signal();
        send(SIGINT);
        for (;;) pause();
      },
      ExitedWithCode(130), Not(HasSubstr("left")));
}

TEST_F(Signals, ThatWereIgnoredStayIgnored) {
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);
        watch_signals();
        SignalWatch watch(say_that_it_left);
        watch.give(kLong);
        send(SIGHUP);
        send(SIGUSR1);
        wait_for_signal();
        std::exit(noted_signal() == SIGUSR1 ? 0 : 1);
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace steplapse
