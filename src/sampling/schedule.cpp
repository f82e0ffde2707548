#include "steplapse/schedule.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "base/text.h"

namespace steplapse {
namespace {

/// Lists are published in three or four digits: as far may a sigma lie outside the table.
constexpr double kRounding = 0.01;

double shifted(double shift, double u) { return shift * u / (1 + (shift - 1) * u); }

void add_end(std::vector<NoiseLevel>& levels, const TrainingNoise& noise, RunEnd end) {
  const bool own = end == RunEnd::own && noise.final_alpha_cumprod < 1;
  if (end == RunEnd::last_listed) {
    if (levels.size() < 2) throw std::invalid_argument("the run would end at its only level; use at least 2 steps");
    return;
  }
  if (end == RunEnd::last_asked) {
    levels.push_back(levels.back());
  } else if (end == RunEnd::timestep_0 && !noise.alphas_cumprod.empty()) {
    levels.push_back(noise.level(0));
  } else if (own) {
    levels.push_back({0.0, std::sqrt(noise.final_alpha_cumprod), std::sqrt(1 - noise.final_alpha_cumprod)});
  } else {
    levels.push_back({std::nullopt, 1, 0});
  }
}

std::string in_timesteps(const TrainingNoise& noise) {
  return "the model was trained on timesteps 0 to " + std::to_string(noise.timesteps() - 1);
}

/// @param working  what may be asked; "": 1 to the number of timesteps
void check_steps(
    const TrainingNoise& noise, int64_t steps, const std::function<std::string()>& working = [] { return ""; }) {
  if (steps >= 1 && steps <= noise.timesteps()) return;
  const std::string some = working();
  throw std::invalid_argument(std::to_string(steps) + " steps asked, " + in_timesteps(noise) + ": use " +
                              (some.empty() ? "1 to " + std::to_string(noise.timesteps()) : some));
}

void check_range(const NoiseScale& scale, const ScheduleRequest& request) {
  if (request.sigma_min) check_sigma(scale, *request.sigma_min);
  if (request.sigma_max) check_sigma(scale, *request.sigma_max);
  const double least = request.sigma_min.value_or(scale.sigma_min()),
               most = request.sigma_max.value_or(scale.sigma_max());
  if (least >= most && (request.sigma_min || request.sigma_max)) {
    throw std::invalid_argument("sigma_min " + plain(least) + " is not below sigma_max " + plain(most));
  }
  if (request.rho && !(*request.rho > 0 && std::isfinite(*request.rho))) {
    throw std::invalid_argument("rho " + plain(*request.rho) + ": wanted a number above 0");
  }
}

/// The user's numbers fall, from place to place.
void check_falls(const std::vector<double>& numbers) {
  for (size_t i = 1; i < numbers.size(); ++i) {
    if (numbers[i] < numbers[i - 1]) continue;
    throw std::invalid_argument(plain(numbers[i]) + " after " + plain(numbers[i - 1]) + ": they must fall");
  }
}

std::string level_name(size_t index) { return "level " + std::to_string(index); }

}  // namespace

// ---- a model's scale --------------------------------------------------------------------------------------------------

double NoiseScale::sigma_at(double timestep) const {
  if (is_flow()) return shifted(noise_.shift, (timestep + 1) / static_cast<double>(timesteps()));
  const auto sigma = [&](double t) {
    return std::min(noise_ratio(noise_.level(static_cast<int64_t>(t))), kLargestNoiseRatio);
  };
  const double below = std::floor(timestep), share = timestep - below;
  if (share == 0) return sigma(below);
  return std::exp((1 - share) * std::log(sigma(below)) + share * std::log(sigma(below + 1)));
}

double NoiseScale::timestep_of(double sigma) const {
  if (is_flow()) return static_cast<double>(timesteps()) * sigma - 1;
  return table_.at(sigma).timestep.value_or(0);
}

NoiseLevel NoiseScale::at_sigma(double sigma) const {
  if (!is_flow()) return table_.at(sigma);
  return {static_cast<double>(timesteps()) * sigma, 1 - sigma, sigma};
}

NoiseLevel NoiseScale::at_timestep(double timestep) const {
  if (is_flow()) return at_sigma(sigma_at(timestep));
  if (timestep == std::floor(timestep)) return noise_.level(static_cast<int64_t>(timestep));
  NoiseLevel level = at_sigma(sigma_at(timestep));
  level.timestep = timestep;
  return level;
}

// ---- schedules --------------------------------------------------------------------------------------------------------

void check_sigma(const NoiseScale& scale, double sigma) {
  if (sigma >= scale.sigma_min() * (1 - kRounding) && sigma <= scale.sigma_max() * (1 + kRounding)) return;
  throw std::invalid_argument(plain(sigma) + ": the model was trained at sigmas from " + plain(scale.sigma_min()) +
                              " to " + plain(scale.sigma_max()));
}

double init_scale(StartScale start, const NoiseScale& scale, const std::vector<NoiseLevel>& levels) {
  const NoiseLevel& first = levels.front();
  const double sigma = scale.is_flow() ? first.sigma : std::min(noise_ratio(first), kLargestNoiseRatio);
  const bool at_max = sigma > scale.sigma_max() * (1 - 1e-5);
  return start == StartScale::unit || (start == StartScale::unit_at_max && at_max) ? 1 : first.sigma;
}

namespace {

Schedule made(const TrainingNoise& noise, const NoiseScale& scale, const ScheduleRule& rule,
              const ScheduleRequest& request) {
  ScheduleRequest of_rule = request;
  of_rule.steps += request.drops_penultimate;
  Schedule schedule{rule.levels(scale, of_rule), 1, noise.alphas_cumprod};
  if (request.drops_penultimate) schedule.levels.pop_back();
  StartScale start = request.start.value_or(rule.start);
  if (start == StartScale::sigma_but_leading) start = rule.name == "leading" ? StartScale::unit : StartScale::sigma;
  schedule.init_scale = init_scale(start, scale, schedule.levels);
  add_end(schedule.levels, noise, request.end == RunEnd::own && !rule.own_last_level ? RunEnd::zero : request.end);
  return schedule;
}

/// "1 to 500 or 1000": the numbers of steps that the rule makes levels for.
std::string working_steps(const TrainingNoise& noise, const NoiseScale& scale, const ScheduleRule& rule,
                          ScheduleRequest request) {
  const auto works = [&](int64_t steps) {
    request.steps = steps;
    try {
      made(noise, scale, rule, request);
      return true;
    } catch (const std::invalid_argument&) {
      return false;
    }
  };
  std::string text;
  for (int64_t first = 1; first <= noise.timesteps(); ++first) {
    if (!works(first)) continue;
    int64_t last = first;
    while (last < noise.timesteps() && works(last + 1)) ++last;
    text += (text.empty() ? "" : " or ") + std::to_string(first) + (last > first ? " to " + std::to_string(last) : "");
    first = last;
  }
  return text;
}

}  // namespace

Schedule make_schedule(const TrainingNoise& noise, const ScheduleRule& rule, const ScheduleRequest& request) {
  const NoiseScale scale(noise);
  check_steps(noise, request.steps, [&] { return working_steps(noise, scale, rule, request); });
  check_range(scale, request);
  return made(noise, scale, rule, request);
}

Schedule schedule_of_timesteps(const TrainingNoise& noise, const std::vector<double>& timesteps, RunEnd end) {
  check_steps(noise, static_cast<int64_t>(timesteps.size()));
  const NoiseScale scale(noise);
  // A flow model is told 1000 times sigma, which is never 0 where it is asked.
  const double least = scale.is_flow() ? 1000 * scale.sigma_min() * (1 - kRounding) : 0;
  const auto most = static_cast<double>(scale.is_flow() ? scale.timesteps() : scale.timesteps() - 1);
  Schedule schedule{{}, 1, noise.alphas_cumprod};
  for (const double timestep : timesteps) {
    if (!(timestep >= least && timestep <= most)) {
      throw std::invalid_argument(plain(timestep) + ": the model was trained on timesteps " + plain(least) + " to " +
                                  plain(most));
    }
    schedule.levels.push_back(scale.is_flow() ? scale.at_sigma(timestep / 1000) : scale.at_timestep(timestep));
  }
  check_falls(timesteps);
  add_end(schedule.levels, noise, end);
  return schedule;
}

Schedule schedule_of_sigmas(const TrainingNoise& noise, const std::vector<double>& sigmas) {
  if (sigmas.size() < 2) throw std::invalid_argument("at least 2 numbers wanted, the last 0");
  check_steps(noise, static_cast<int64_t>(sigmas.size()) - 1);
  const NoiseScale scale(noise);
  Schedule schedule{{}, 1, noise.alphas_cumprod};
  check_falls(sigmas);
  if (sigmas.back() != 0) {
    throw std::invalid_argument("ends at " + plain(sigmas.back()) +
                                ", which would leave noise in the picture; wanted 0 at the end");
  }
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    check_sigma(scale, sigmas[i]);
    schedule.levels.push_back(scale.at_sigma(sigmas[i]));
  }
  schedule.init_scale = init_scale(StartScale::sigma, scale, schedule.levels);
  schedule.levels.push_back({std::nullopt, 1, 0});
  return schedule;
}

Schedule schedule_of_levels(const TrainingNoise& noise, Schedule schedule) {
  check_levels(schedule);
  check_steps(noise, schedule.steps());
  if (!(std::isfinite(schedule.init_scale) && schedule.init_scale > 0)) {
    throw std::invalid_argument("init_scale is " + plain(schedule.init_scale) + ", wanted a number above 0");
  }
  const bool flow = noise.alphas_cumprod.empty();
  const auto most = static_cast<double>(flow ? noise.timesteps() : noise.timesteps() - 1);
  for (size_t i = 0; i < schedule.levels.size(); ++i) {
    const auto& [timestep, alpha, sigma] = schedule.levels[i];
    const bool asked = i + 1 < schedule.levels.size();
    if (asked && !timestep)
      throw std::invalid_argument(level_name(i) + " has no timestep, and the network is asked there");
    if (asked && sigma == 0) throw std::invalid_argument(level_name(i) + " has sigma 0, which only the last may have");
    if (timestep && !(*timestep >= 0 && *timestep <= most)) {
      throw std::invalid_argument(level_name(i) + " has timestep " + plain(*timestep) +
                                  ": the model was trained on timesteps 0 to " + plain(most));
    }
    const double sum = flow ? alpha + sigma : alpha * alpha + sigma * sigma;
    if (std::abs(sum - 1) > 1e-3) {
      throw std::invalid_argument(level_name(i) + " has alpha " + plain(alpha) + " and sigma " + plain(sigma) +
                                  (flow ? ", whose sum should be 1" : ", the sum of whose squares should be 1"));
    }
  }
  schedule.alphas_cumprod = noise.alphas_cumprod;
  return schedule;
}

// ---- the table --------------------------------------------------------------------------------------------------------

const std::vector<ScheduleRule>& schedules() {
  constexpr ScheduleKnows kBoth{.sigma_min = true, .sigma_max = true};
  static const std::vector<ScheduleRule> table{
      {.name = "leading",
       .label = "",
       .about = "whole strides up from the model's offset; starts a little below the noisiest",
       .source = "Lin et al. 2023, arXiv:2305.08891, table 2; diffusers' timestep_spacing",
       .levels = leading_levels,
       .start = StartScale::unit,
       .own_last_level = true,
       .also = {"diffusers:leading"}},
      {.name = "linspace",
       .label = "",
       .about = "evenly from the noisiest timestep to 0, rounded",
       .source = "Lin et al. 2023, arXiv:2305.08891, table 2; diffusers' timestep_spacing",
       .levels = linspace_levels,
       .start = StartScale::unit,
       .own_last_level = true,
       .also = {"diffusers:linspace"}},
      {.name = "trailing",
       .label = "",
       .about = "strides down from the noisiest timestep",
       .source = "Lin et al. 2023, arXiv:2305.08891, table 2; diffusers' timestep_spacing",
       .levels = trailing_levels,
       .start = StartScale::unit,
       .own_last_level = true,
       .also = {"diffusers:trailing"}},
      {.name = "linspace_sigma",
       .label = "",
       .about = "linspace without the rounding; sigma is interpolated, not its logarithm",
       .source = "diffusers' EulerDiscreteScheduler and its kin",
       .levels = linspace_sigma_levels},
      {.name = "linspace_solver",
       .label = "",
       .about = "linspace for one step more, without its last",
       .source = "diffusers' DPMSolverMultistepScheduler and its kin",
       .levels = linspace_solver_levels,
       .start = StartScale::unit},
      {.name = "leading_solver",
       .label = "",
       .about = "leading with the strides of one step more",
       .source = "diffusers' DPMSolverMultistepScheduler and its kin",
       .levels = leading_solver_levels,
       .start = StartScale::unit},
      {.name = "normal",
       .label = "Normal",
       .about = "evenly over timesteps, both ends among them",
       .source = "k-diffusion's DiscreteSchedule; ComfyUI",
       .levels = normal_levels,
       .knows = kBoth,
       .also = {"a1111:Normal", "a1111:Uniform", "a1111:Automatic", "comfyui:normal", "sd.cpp:discrete",
                "k-diffusion:get_sigmas"}},
      {.name = "simple",
       .label = "Simple",
       .about = "every so manyth timestep, from the noisiest",
       .source = "ComfyUI",
       .levels = simple_levels,
       .also = {"a1111:Simple", "comfyui:simple", "sd.cpp:simple"}},
      {.name = "sgm_uniform",
       .label = "SGM Uniform",
       .about = "evenly over timesteps, as normal for one step more without its last",
       .source = "Stability's generative-models; ComfyUI",
       .levels = sgm_uniform_levels,
       .knows = kBoth,
       .also = {"a1111:SGM Uniform", "a1111:SGMUniform", "comfyui:sgm_uniform", "sd.cpp:sgm_uniform"}},
      {.name = "ddim_uniform",
       .label = "DDIM",
       .about = "whole strides up from timestep 1; of some numbers of steps it makes more",
       .source = "CompVis' latent-diffusion, make_ddim_timesteps; ComfyUI",
       .levels = ddim_uniform_levels,
       .own_last_level = true,
       .also = {"a1111:DDIM", "comfyui:ddim_uniform"}},
      {.name = "karras",
       .label = "Karras",
       .about = "even in sigma to the power 1 / rho (7): short steps near the end",
       .source = "Karras et al. 2022, arXiv:2206.00364, eq. 5",
       .levels = karras_levels,
       .knows = {.sigma_min = true, .sigma_max = true, .rho = 7},
       .also = {"a1111:Karras", "comfyui:karras", "sd.cpp:karras", "k-diffusion:get_sigmas_karras",
                "diffusers:use_karras_sigmas"}},
      {.name = "exponential",
       .label = "Exponential",
       .about = "even in log sigma",
       .source = "k-diffusion",
       .levels = exponential_levels,
       .knows = kBoth,
       .also = {"a1111:Exponential", "comfyui:exponential", "sd.cpp:exponential", "k-diffusion:get_sigmas_exponential",
                "diffusers:use_exponential_sigmas"}},
      {.name = "polyexponential",
       .label = "Polyexponential",
       .about = "log sigma falls as the power rho (1) of the steps that are left",
       .source = "k-diffusion",
       .levels = polyexponential_levels,
       .knows = {.sigma_min = true, .sigma_max = true, .rho = 1},
       .also = {"a1111:Polyexponential", "k-diffusion:get_sigmas_polyexponential"}},
      {.name = "beta",
       .label = "Beta",
       .about = "timesteps at a beta distribution's quantiles: more steps near both ends",
       .source = "Lee et al. 2024, arXiv:2407.12173; ComfyUI",
       .levels = beta_levels,
       .also = {"comfyui:beta"}},
      {.name = "beta_sigma",
       .label = "Beta",
       .about = "sigmas at the same quantiles",
       .source = "diffusers' use_beta_sigmas; A1111's Beta",
       .levels = beta_sigma_levels,
       .knows = kBoth,
       .also = {"a1111:Beta", "diffusers:use_beta_sigmas"}},
      {.name = "kl_optimal",
       .label = "KL Optimal",
       .about = "even in arctan sigma",
       .source = "Sabour et al. 2024, arXiv:2404.14507, theorem 3.1; ComfyUI",
       .levels = kl_optimal_levels,
       .knows = kBoth,
       .also = {"a1111:KL Optimal", "comfyui:kl_optimal", "sd.cpp:kl_optimal"}},
      {.name = "ays_sd1",
       .label = "Align Your Steps",
       .about = "Align Your Steps, the list for Stable Diffusion 1; between its 11 sigmas log sigma is interpolated",
       .source = "Sabour et al. 2024, arXiv:2404.14507",
       .levels = ays_sd1_levels,
       .also = {"diffusers:StableDiffusionSigmas"}},
      {.name = "ays_sdxl",
       .label = "Align Your Steps",
       .about = "Align Your Steps, the list for Stable Diffusion XL",
       .source = "Sabour et al. 2024, arXiv:2404.14507",
       .levels = ays_sdxl_levels,
       .also = {"diffusers:StableDiffusionXLSigmas"}},
      {.name = "laplace",
       .label = "Laplace",
       .about = "log sigma at a Laplace distribution's quantiles: most steps near sigma 1",
       .source = "Hang et al. 2024, arXiv:2407.03297; ComfyUI",
       .levels = laplace_levels,
       .knows = kBoth,
       .also = {"comfyui:laplace"}},
      {.name = "linear_quadratic",
       .label = "Linear Quadratic",
       .about = "half of the steps evenly through the first 2.5 %, then a parabola down to 0",
       .source = "Genmo's Mochi; ComfyUI",
       .levels = linear_quadratic_levels,
       .knows = {.sigma_max = true},
       .also = {"comfyui:linear_quadratic"}},
      {.name = "lcm",
       .label = "LCM",
       .about = "some of the 50 timesteps that latent consistency models were distilled at",
       .source = "Luo et al. 2023, arXiv:2310.04378; diffusers' LCMScheduler",
       .levels = lcm_levels,
       .start = StartScale::unit,
       .also = {"diffusers:LCMScheduler", "sd.cpp:lcm"}},
  };
  return table;
}

const ScheduleRule& schedule_named(std::string_view name) {
  std::vector<std::string> names;
  for (const ScheduleRule& rule : schedules()) {
    if (rule.name == name) return rule;
    names.emplace_back(rule.name);
  }
  const auto meant = nearest(std::string(name), names);
  throw std::invalid_argument(
      "unknown schedule " + in_quotes(std::string(name)) +
      (meant ? ", did you mean " + in_quotes(*meant) + "?" : ", see steplapse schedule --list"));
}

}  // namespace steplapse
