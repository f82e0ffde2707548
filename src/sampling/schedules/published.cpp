// Schedules that papers publish as lists.

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "sampling/schedules/even.h"
#include "sampling/schedules/schedules.h"

namespace steplapse {
namespace {

// Align Your Steps, Sabour et al. 2024 (arXiv:2404.14507): the authors' sigmas for 10 steps of each model, to three
// places. For other numbers of steps the authors interpolate log sigma. The last sigma is replaced by 0.
constexpr std::array<double, 11> kStableDiffusion1{14.615, 6.475, 3.861, 2.697, 1.886, 1.396,
                                                   0.963,  0.652, 0.399, 0.152, 0.029};
constexpr std::array<double, 11> kStableDiffusionXl{14.615, 6.315, 3.771, 2.181, 1.342, 0.862,
                                                    0.555,  0.380, 0.234, 0.113, 0.029};

std::vector<NoiseLevel> stretched(const std::array<double, 11>& list, const NoiseScale& scale, int64_t steps) {
  if (scale.is_flow())
    throw std::invalid_argument("ays is a list for Stable Diffusion's noise, not for flow models; use simple");
  std::vector<double> sigmas;
  for (double place : even(0, static_cast<double>(list.size() - 1), steps + 1)) {
    const auto before = std::min(static_cast<size_t>(place), list.size() - 2);
    const double share = place - static_cast<double>(before);
    sigmas.push_back(share == 0 ? list[before]
                                : std::exp((1 - share) * std::log(list[before]) + share * std::log(list[before + 1])));
  }
  sigmas.pop_back();
  return at_sigmas(scale, sigmas);
}

}  // namespace

static std::vector<NoiseLevel> ays_sd1_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  return stretched(kStableDiffusion1, scale, request.steps);
}

ScheduleRule schedule_rows::ays_sd1() {
  return {.name = "ays_sd1",
          .label = "Align Your Steps",
          .about = "Align Your Steps, the list for Stable Diffusion 1; between its 11 sigmas log sigma is interpolated",
          .source = "Sabour et al. 2024, arXiv:2404.14507",
          .levels = ays_sd1_levels,
          .aliases = {"diffusers:StableDiffusionSigmas"}};
}

static std::vector<NoiseLevel> ays_sdxl_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  return stretched(kStableDiffusionXl, scale, request.steps);
}

ScheduleRule schedule_rows::ays_sdxl() {
  return {.name = "ays_sdxl",
          .label = "Align Your Steps",
          .about = "Align Your Steps, the list for Stable Diffusion XL",
          .source = "Sabour et al. 2024, arXiv:2404.14507",
          .levels = ays_sdxl_levels,
          .aliases = {"diffusers:StableDiffusionXLSigmas"}};
}

}  // namespace steplapse
