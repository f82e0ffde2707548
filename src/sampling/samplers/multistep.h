#pragma once

#include <cmath>
#include <cstddef>
#include <deque>
#include <utility>

#include "base/aten.h"
#include "steplapse/noise_level.h"
#include "steplapse/sampler.h"

namespace steplapse {

/// lambda = log(alpha / sigma) of Lu et al. 2022 (arXiv:2206.00927). It rises from step to step; it is minus infinity
/// at alpha 0 and infinity at sigma 0.
inline double lambda_of(const NoiseLevel& level) { return std::log(level.alpha) - std::log(level.sigma); }

/// The model's predictions at the last levels, the newest first. All lambdas are finite and different, so that one may
/// divide by their differences: a first level with alpha 0 is left out, and of equal levels only the last is kept.
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

/// The exact part of a step of the SDE that SDE-DPM-Solver++ solves (Lu et al. 2022, arXiv:2211.01095, section 5), with
/// k-diffusion's eta. h is the rise of lambda. From alpha 0 and to sigma 0 h is infinite, and exp_h is 0.
struct SdeStep {
  double exp_h;      ///< exp(-h)
  double exp_eta_h;  ///< exp(-eta h)
  double sigma_up;   ///< the standard deviation of the fresh noise

  SdeStep(const NoiseLevel& from, const NoiseLevel& to, const SamplerOptions& options)
      : exp_h((to.sigma * from.alpha) / (to.alpha * from.sigma)),
        exp_eta_h(std::pow(exp_h, options.eta)),
        sigma_up(options.s_noise * to.sigma * std::sqrt(1 - exp_eta_h * exp_eta_h)) {}
};

/// The mean of eps over the next step, extrapolated from one to four values at evenly spaced times, the newest first.
/// The order is the number of values. Source: Adams and Bashforth; Liu et al. 2022 (arXiv:2202.09778), eq. 9 and 12.
inline at::Tensor adams_bashforth(const std::deque<at::Tensor>& e) {
  switch (e.size()) {
    case 1: return e[0];
    case 2: return (3 * e[0] - e[1]) / 2;
    case 3: return (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12;
    default: return (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3]) / 24;
  }
}

}  // namespace steplapse
