// sample_levels: runs one sampler down levels given by the caller, over a network that is a formula, so that another
// implementation can be put beside it, number by number. Reads one JSON object on stdin, or several, and prints one for
// each, on a line of its own.
//
//   {"sampler": "euler",                     as on the command line
//    "levels": [{"timestep": 999, "alpha": 0.07, "sigma": 0.99}, ..., {"timestep": null, "alpha": 1, "sigma": 0}],
//    "alphas_cumprod": [...],                the training noise, for levels between; left out for a flow model
//    "shape": [1, 1, 4, 4], "x": [...],      the start, x = alpha x0 + sigma eps at levels[0], flat
//    "prediction_type": "epsilon",           what the formula's answer is taken for; the default
//    "seed": 7,                              of the sampler's noise: randn of torch.Generator("cpu").manual_seed(7)
//    "options": {"eta": 1, "s_churn": 0, "s_tmin": 0, "s_tmax": 999, "s_noise": 1, "clip_sample_range": 1}}  any of them
//
//   {"x": [...],                             the end
//    "timesteps": [999, ...],                that the network was told, one a call
//    "steps": [{"x": [...], "x0": [...], "alpha": 0.9, "sigma": 0.4}, ...]}
//
// The network at x and timestep t answers 0.9 tanh(1.1 x + 0.2 sin(t / 100)) + 0.1 cos(3 x): smooth, bounded, not linear
// in x, and never the same at two timesteps.

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/aten.h"
#include "steplapse/engine.h"

namespace {

using nlohmann::json;
using namespace steplapse;

Schedule schedule_of(const json& asked) {
  Schedule schedule;
  for (const json& level : asked.at("levels")) {
    const json& timestep = level.at("timestep");
    schedule.levels.push_back({timestep.is_null() ? std::nullopt : std::optional(timestep.get<double>()),
                               level.at("alpha").get<double>(), level.at("sigma").get<double>()});
  }
  schedule.alphas_cumprod = asked.value("alphas_cumprod", std::vector<double>{});
  return schedule;
}

SamplerOptions options_of(const json& asked) {
  SamplerOptions options;
  options.eta = asked.value("eta", options.eta);
  options.s_churn = asked.value("s_churn", options.s_churn);
  options.s_tmin = asked.value("s_tmin", options.s_tmin);
  options.s_tmax = asked.value("s_tmax", options.s_tmax);
  options.s_noise = asked.value("s_noise", options.s_noise);
  if (asked.contains("clip_sample_range")) options.clip_sample_range = asked["clip_sample_range"].get<double>();
  return options;
}

Tensor answer(const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>&) {
  const Tensor t = timesteps.view({-1, 1, 1, 1});
  return 0.9 * (1.1 * x + 0.2 * (t / 100).sin()).tanh() + 0.1 * (3 * x).cos();
}

json numbers(const Tensor& x) {
  const Tensor flat = x.contiguous();
  return std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
}

struct Listener : Watcher {
  json timesteps = json::array(), steps = json::array();

  void answered(const Question& question, const Answer&) override {
    timesteps.push_back(question.level.timestep.value());
  }
  Verdict stepped(const Step& step) override {
    steps.push_back(
        {{"x", numbers(step.x)}, {"x0", numbers(step.x0)}, {"alpha", step.level.alpha}, {"sigma", step.level.sigma}});
    return {};
  }
};

json sample(const json& asked) {
  const auto values = asked.at("x").get<std::vector<float>>();
  const auto shape = asked.at("shape").get<std::vector<int64_t>>();
  const Tensor x = at::tensor(at::ArrayRef<float>(values), at::kFloat).view(shape);

  Engine engine(answer, prediction_type_named(asked.value("prediction_type", "epsilon")));
  Listener listener;
  engine.add(sampler_named(asked.at("sampler").get<std::string>())
                 .start(x, schedule_of(asked), options_of(asked.value("options", json::object())),
                        Noise(Rng::cpu, asked.value("seed", uint64_t{0}))),
             {}, &listener);
  const Outcome outcome = engine.run().front();
  if (outcome.error) std::rethrow_exception(outcome.error);
  return {{"x", numbers(outcome.latents)}, {"timesteps", listener.timesteps}, {"steps", listener.steps}};
}

}  // namespace

int main() try {
  while (std::cin >> std::ws && !std::cin.eof()) {
    json asked;
    std::cin >> asked;
    std::cout << sample(asked) << std::endl;
  }
} catch (const std::exception& error) {
  std::cerr << "sample_levels: " << error.what() << '\n';
  return 1;
}
