#include "model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/aten.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::StrEq;
using testing::ThrowsMessage;

/// Weights of 4 billion numbers in all, which take up one.
NamedTensors large(at::ScalarType dtype) {
  const Tensor half = at::zeros({1}, dtype).expand({2'000'000'000});
  return {{"a", half}, {"b", half}, {"ids", at::zeros({1}, at::kLong).expand({2'000'000'000})}};
}

TEST(CastMemory, IsThatOfTheCopies) {
  check_cast("m.pt", large(at::kHalf), at::kFloat, 16'000'000'000);
  EXPECT_THAT([] { check_cast("m.pt", large(at::kHalf), at::kFloat, 15'999'999'999); },
              ThrowsMessage<MemoryError>(StrEq("m.pt: its weights need 16 GB of memory as Float, there are 16; export "
                                               "the model with a smaller dtype")));
  EXPECT_THAT([] { check_cast("m.pt", large(at::kFloat), at::kHalf, 1'230'000'000); },
              ThrowsMessage<MemoryError>(StrEq("m.pt: its weights need 8 GB of memory as Half, there are 1.23; export "
                                               "the model with a smaller dtype")));
}

TEST(CastMemory, IsNotNeededForWeightsThatAreMapped) { check_cast("m.pt", large(at::kFloat), at::kFloat, 0); }

}  // namespace
}  // namespace steplapse
