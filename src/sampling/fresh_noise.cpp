#include "sampling/fresh_noise.h"

#include <cmath>

#include "base/aten.h"

namespace steplapse {
namespace {

/// 1 inside the region, 0 outside; [h, w].
Tensor mask_of(const FreshNoise::Region& region, const Tensor& x) {
  Tensor mask = at::zeros({x.size(2), x.size(3)});
  mask.narrow(0, region.y, region.height).narrow(1, region.x, region.width).fill_(1);
  return mask;
}

}  // namespace

Tensor with_fresh_noise(const Step& step, const FreshNoise& fresh) {
  const double alpha = step.level.alpha, sigma = step.level.sigma;
  if (sigma == 0) return step.x;
  const Tensor noise = Noise(fresh.rng, fresh.seed).like(step.x);
  Tensor change = fresh.amount * sigma * noise;
  if (fresh.keep_variance) {
    const double kept = std::sqrt(1 - fresh.amount * fresh.amount);
    change = change + (kept - 1) * (step.x - alpha * step.x0);
  }
  if (fresh.region) change = change * mask_of(*fresh.region, step.x);
  return step.x + change;
}

}  // namespace steplapse
