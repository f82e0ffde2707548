#include <deque>

#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

constexpr size_t kOrder = 4;

struct Slope {
  double sigma;
  Tensor value;
};

/// The integral from a to b of the polynomial that is 1 at the j-th sigma and 0 at the others. Its degree is at most 3,
/// for which Simpson's rule is exact.
double weight(const std::deque<Slope>& slopes, size_t j, double a, double b) {
  const auto basis = [&](double sigma) {
    double product = 1;
    for (size_t k = 0; k < slopes.size(); ++k) {
      if (k != j) product *= (sigma - slopes[k].sigma) / (slopes[j].sigma - slopes[k].sigma);
    }
    return product;
  };
  return (b - a) / 6 * (basis(a) + 4 * basis((a + b) / 2) + basis(b));
}

/// Linear multistep: integrates the polynomial through the slopes of up to four levels exactly. Asks once per step;
/// draws nothing. The first steps have fewer slopes, so the order of the whole run is 2. Where these steps are at
/// levels of much noise, their errors are small, and the order looks like 4 down to errors of about 1e-6. Source:
/// k-diffusion's sample_lms, after Adams and Bashforth. The step to sigma 0 gives x0, as in ComfyUI. (k-diffusion and
/// diffusers extrapolate there.)
Trajectory sample_lms(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const Path path(schedule);
  const auto& levels = schedule.levels;
  std::deque<Slope> slopes;  // newest first, at different sigmas, all finite
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);

    const double sigma = path.sigma(from);
    if (!slopes.empty() && slopes.front().sigma == sigma) slopes.pop_front();
    if (std::isfinite(sigma)) slopes.push_front({sigma, path.slope(p)});
    if (slopes.size() > kOrder) slopes.pop_back();

    Tensor next = straight_to(to, p);
    if (!is_first_order(from, to)) {
      const double length = path.sigma(to) - sigma;
      Tensor mean = at::zeros_like(x);
      for (size_t j = 0; j < slopes.size(); ++j) {
        mean = mean + weight(slopes, j, sigma, path.sigma(to)) / length * slopes[j].value;
      }
      next = path.follow(x, from, to, mean);
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::lms() {
  return {.name = "lms",
          .label = "LMS",
          .start = sample_lms,
          .order = 2,
          .aliases = {"k-diffusion:sample_lms", "diffusers:LMSDiscreteScheduler", "a1111:LMS", "a1111:k_lms",
                      "comfyui:lms"}};
}

}  // namespace steplapse
