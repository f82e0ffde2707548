#include "runs/batch_memory.h"

#include <gtest/gtest.h>

#include "base/machine.h"

namespace steplapse {
namespace {

constexpr int64_t kGigabyte = 1'000'000'000;

TEST(BatchThatFits, TakesHalfOfTheMemoryThatIsLeft) {
  EXPECT_EQ(batch_that_fits(kGigabyte, 10 * kGigabyte), 5);
  EXPECT_EQ(batch_that_fits(kGigabyte, 1000 * kGigabyte), kMostAtOnce);
}

TEST(BatchThatFits, IsOneWhereNotEvenThatIsSure) { EXPECT_EQ(batch_that_fits(kGigabyte, kGigabyte / 2), 1); }

TEST(BatchThatFits, IsTheMostWhereTheKernelDoesNotSay) { EXPECT_EQ(batch_that_fits(0, kGigabyte), kMostAtOnce); }

TEST(MemoryTakenBy, CountsWhatIsFreedAgain) {
  constexpr size_t kBytes = 200 << 20;
  const int64_t taken = memory_taken_by([] {
    std::vector<char> big(kBytes);
    for (size_t i = 0; i < kBytes; i += 4096) big[i] = 1;
    volatile char seen = big[kBytes / 2];
    (void)seen;
  });
  EXPECT_GT(taken, static_cast<int64_t>(kBytes) * 9 / 10);
  EXPECT_LT(taken, static_cast<int64_t>(kBytes) * 12 / 10);  // under the sanitizer there is an eighth more
}

}  // namespace
}  // namespace steplapse
