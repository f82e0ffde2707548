#include <gtest/gtest.h>

#include "steplapse/tensor.h"

TEST(Placeholder, LibtorchAnswers) { EXPECT_EQ(at::ones({2, 3}).sum().item<double>(), 6); }
