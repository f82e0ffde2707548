#include <cmath>

#include "sampling/schedules/even.h"

namespace steplapse {
namespace {

/// The continued fraction of the incomplete beta function with both shapes a, for x up to 1/2, by Lentz's method.
/// Source: NIST's DLMF, 8.17.22.
double continued_fraction(double a, double x) {
  constexpr double kTiny = 1e-300;
  const auto not_zero = [&](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double numerator = 1, denominator = 0, value = 1;
  for (int j = 0; j < 500; ++j) {
    const double m = j / 2;
    const double d = j == 0       ? 1
                     : j % 2 == 0 ? m * (a - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                  : -(a + m) * (2 * a + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    denominator = 1 / not_zero(1 + d * denominator);
    numerator = not_zero(1 + d / numerator);
    const double change = numerator * denominator;
    value *= change;
    if (std::abs(change - 1) < 1e-16) break;
  }
  return value - 1;  // Lentz's method starts from 1, not 0
}

double share_below(double a, double x) {
  const double log_front = a * std::log(x) + a * std::log1p(-x) - (2 * std::lgamma(a) - std::lgamma(2 * a));
  return std::exp(log_front) / a * continued_fraction(a, x);
}

}  // namespace

double beta_quantile(double shape, double share) {
  if (share <= 0) return 0;
  if (share > 0.5) return 1 - beta_quantile(shape, 1 - share);
  double low = 0, high = 0.5;
  for (int halvings = 0; halvings < 200; ++halvings) {
    const double middle = (low + high) / 2;
    if (middle == low || middle == high) break;
    if (share_below(shape, middle) < share) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return high;
}

}  // namespace steplapse
