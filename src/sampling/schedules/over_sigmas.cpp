// Schedules that spread their steps over a function of sigma and end at sigma 0. The timesteps follow from the sigmas.

#include <algorithm>
#include <cmath>

#include "sampling/schedules/even.h"
#include "sampling/schedules/schedules.h"

namespace steplapse {
namespace {

/// request.steps sigmas from the largest to the smallest, evenly spaced in function(sigma).
template <typename Function, typename Inverse>
std::vector<double> even_in(const NoiseScale& scale, const ScheduleRequest& request, Function function,
                            Inverse inverse) {
  const double largest = request.sigma_max.value_or(scale.sigma_max());
  const double smallest = request.sigma_min.value_or(scale.sigma_min());
  std::vector<double> sigmas = even(function(largest), function(smallest), request.steps);
  for (double& sigma : sigmas) sigma = inverse(sigma);
  return sigmas;
}

}  // namespace

// Karras et al. 2022 (arXiv:2206.00364), eq. 5.
static std::vector<NoiseLevel> karras_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  const double rho = request.rho.value_or(7);
  return at_sigmas(scale, even_in(
                              scale, request, [&](double sigma) { return std::pow(sigma, 1 / rho); },
                              [&](double root) { return std::pow(root, rho); }));
}

ScheduleRule schedule_rows::karras() {
  return {.name = "karras",
          .label = "Karras",
          .about = "even in sigma to the power 1 / rho (7): short steps near the end",
          .source = "Karras et al. 2022, arXiv:2206.00364, eq. 5",
          .levels = karras_levels,
          .honours = {.sigma_min = true, .sigma_max = true, .rho = 7},
          .aliases = {"a1111:Karras", "comfyui:karras", "sd.cpp:karras", "k-diffusion:get_sigmas_karras",
                      "diffusers:use_karras_sigmas"}};
}

// k-diffusion's get_sigmas_exponential: even in log sigma.
static std::vector<NoiseLevel> exponential_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  return at_sigmas(scale, even_in(
                              scale, request, [](double sigma) { return std::log(sigma); },
                              [](double log_sigma) { return std::exp(log_sigma); }));
}

ScheduleRule schedule_rows::exponential() {
  return {.name = "exponential",
          .label = "Exponential",
          .about = "even in log sigma",
          .source = "k-diffusion",
          .levels = exponential_levels,
          .honours = {.sigma_min = true, .sigma_max = true},
          .aliases = {"a1111:Exponential", "comfyui:exponential", "sd.cpp:exponential",
                      "k-diffusion:get_sigmas_exponential", "diffusers:use_exponential_sigmas"}};
}

// k-diffusion's get_sigmas_polyexponential: log sigma follows a power of the step.
static std::vector<NoiseLevel> polyexponential_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  const double largest = std::log(request.sigma_max.value_or(scale.sigma_max()));
  const double smallest = std::log(request.sigma_min.value_or(scale.sigma_min()));
  std::vector<double> sigmas;
  for (const double ramp : even(1, 0, request.steps)) {
    sigmas.push_back(std::exp(smallest + std::pow(ramp, request.rho.value_or(1)) * (largest - smallest)));
  }
  return at_sigmas(scale, sigmas);
}

ScheduleRule schedule_rows::polyexponential() {
  return {.name = "polyexponential",
          .label = "Polyexponential",
          .about = "log sigma falls as the power rho (1) of the steps that are left",
          .source = "k-diffusion",
          .levels = polyexponential_levels,
          .honours = {.sigma_min = true, .sigma_max = true, .rho = 1},
          .aliases = {"a1111:Polyexponential", "k-diffusion:get_sigmas_polyexponential"}};
}

// ComfyUI's kl_optimal. Sabour et al. 2024 (arXiv:2404.14507), theorem 3.1: for normal data, sigmas even in arctan
// sigma minimize the KL divergence.
static std::vector<NoiseLevel> kl_optimal_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  return at_sigmas(scale, even_in(
                              scale, request, [](double sigma) { return std::atan(sigma); },
                              [](double angle) { return std::tan(angle); }));
}

ScheduleRule schedule_rows::kl_optimal() {
  return {.name = "kl_optimal",
          .label = "KL Optimal",
          .about = "even in arctan sigma",
          .source = "Sabour et al. 2024, arXiv:2404.14507, theorem 3.1; ComfyUI",
          .levels = kl_optimal_levels,
          .honours = {.sigma_min = true, .sigma_max = true},
          .aliases = {"a1111:KL Optimal", "comfyui:kl_optimal", "sd.cpp:kl_optimal"}};
}

// Hang et al. 2024 (arXiv:2407.03297): log sigma at the quantiles of a Laplace distribution around mu. With ComfyUI's
// mu 0 and beta 0.5, and its small number inside the logarithm, which would otherwise be infinite at both ends.
static std::vector<NoiseLevel> laplace_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  constexpr double kMu = 0, kBeta = 0.5, kLittle = 1e-5;
  std::vector<double> sigmas;
  for (const double share : even(0, 1, request.steps)) {
    const double below = std::log(1 - 2 * std::abs(0.5 - share) + kLittle);
    const double log_sigma = kMu + (share < 0.5 ? -kBeta : share > 0.5 ? kBeta : 0) * below;
    sigmas.push_back(std::clamp(std::exp(log_sigma), request.sigma_min.value_or(scale.sigma_min()),
                                request.sigma_max.value_or(scale.sigma_max())));
  }
  sigmas.erase(std::unique(sigmas.begin(), sigmas.end()), sigmas.end());
  return at_sigmas(scale, sigmas);
}

ScheduleRule schedule_rows::laplace() {
  return {.name = "laplace",
          .label = "Laplace",
          .about = "log sigma at a Laplace distribution's quantiles: most steps near sigma 1",
          .source = "Hang et al. 2024, arXiv:2407.03297; ComfyUI",
          .levels = laplace_levels,
          .honours = {.sigma_min = true, .sigma_max = true},
          .aliases = {"comfyui:laplace"}};
}

// The quantiles of `beta`, taken for sigma instead of the timestep: diffusers' use_beta_sigmas and A1111's Beta.
static std::vector<NoiseLevel> beta_sigma_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  const double largest = request.sigma_max.value_or(scale.sigma_max());
  const double smallest = request.sigma_min.value_or(scale.sigma_min());
  std::vector<double> sigmas;
  for (const double share : even(1, 0, request.steps)) {
    sigmas.push_back(smallest + beta_quantile(kBetaShape, share) * (largest - smallest));
  }
  return at_sigmas(scale, sigmas);
}

ScheduleRule schedule_rows::beta_sigma() {
  return {.name = "beta_sigma",
          .label = "Beta",
          .about = "sigmas at a beta distribution's quantiles",
          .source = "diffusers' use_beta_sigmas; A1111's Beta",
          .levels = beta_sigma_levels,
          .honours = {.sigma_min = true, .sigma_max = true},
          .aliases = {"a1111:Beta", "diffusers:use_beta_sigmas"}};
}

// Genmo's Mochi and ComfyUI's linear_quadratic. The first half of the steps takes sigma evenly down by 2.5 % of the
// largest sigma. The second half follows the parabola that continues with this slope and reaches 0 with the last step.
static std::vector<NoiseLevel> linear_quadratic_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  constexpr double kSlowPart = 0.025;
  const auto steps = static_cast<double>(request.steps), slow = std::floor(steps / 2), fast = steps - slow;
  const double slope = slow > 0 ? kSlowPart / slow : 0;
  const double curve = (1 - kSlowPart - slope * fast) / (fast * fast);
  std::vector<double> sigmas;
  for (int64_t i = 0; i < request.steps; ++i) {
    const double past = std::max(0.0, static_cast<double>(i) - slow);
    const double gone = slope * static_cast<double>(i) + curve * past * past;
    sigmas.push_back((1 - gone) * request.sigma_max.value_or(scale.sigma_max()));
  }
  return at_sigmas(scale, sigmas);
}

ScheduleRule schedule_rows::linear_quadratic() {
  return {.name = "linear_quadratic",
          .label = "Linear Quadratic",
          .about = "half of the steps evenly through the first 2.5 %, then a parabola down to 0",
          .source = "Genmo's Mochi; ComfyUI",
          .levels = linear_quadratic_levels,
          .honours = {.sigma_max = true},
          .aliases = {"comfyui:linear_quadratic"}};
}

}  // namespace steplapse
