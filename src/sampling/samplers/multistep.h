#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstddef>
#include <deque>
#include <utility>

#include "steplapse/noise_level.h"
#include "steplapse/sampler.h"

namespace steplapse {

/// log(alpha / sigma), the lambda of Lu et al. 2022 (arXiv:2206.00927): rises from step to step; minus infinity at
/// alpha 0, infinity at sigma 0.
inline double lambda_of(const NoiseLevel& level) { return std::log(level.alpha) - std::log(level.sigma); }

/// What the model said at the last levels, newest first. No lambda in it is infinite, and none is there twice, so that
/// differences may be divided by: a first level with alpha 0 is left out, and of equal levels the last one stays.
class History {
 public:
  struct Past {
    double lambda;
    at::Tensor value;
  };

  explicit History(size_t length) : length_(length) {}

  void add(const NoiseLevel& level, at::Tensor value) {
    const double lambda = lambda_of(level);
    if (std::isinf(lambda)) return;
    if (!past_.empty() && past_.front().lambda == lambda) past_.pop_front();
    past_.push_front({lambda, std::move(value)});
    if (past_.size() > length_) past_.pop_back();
  }

  size_t size() const { return past_.size(); }
  const Past& operator[](size_t i) const { return past_[i]; }

 private:
  size_t length_;
  std::deque<Past> past_;
};

/// A step of the SDE that DPM-Solver++ solves, as far as it is exact: sigma / alpha decays by exp(-h), of which fresh noise
/// takes exp(-eta h). To sigma 0 and from alpha 0 the one is 0, and the other where eta is above 0.
struct SdeStep {
  double decay, kept, fresh;

  SdeStep(const NoiseLevel& from, const NoiseLevel& to, const SamplerOptions& options)
      : decay((to.sigma * from.alpha) / (to.alpha * from.sigma)),
        kept(std::pow(decay, options.eta)),
        fresh(options.s_noise * to.sigma * std::sqrt(1 - kept * kept)) {}
};

/// The mean of what changes over a step to come, from its values at up to four evenly spaced times, newest first:
/// the formulas of Adams and Bashforth, of the order of their number.
inline at::Tensor adams_bashforth(const std::deque<at::Tensor>& e) {
  switch (e.size()) {
    case 1: return e[0];
    case 2: return (3 * e[0] - e[1]) / 2;
    case 3: return (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12;
    default: return (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3]) / 24;
  }
}

}  // namespace steplapse
