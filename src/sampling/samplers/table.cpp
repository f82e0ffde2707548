
#include "base/aten.h"
#include "base/names.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {

const std::vector<Sampler>& samplers() {
  using namespace sampler_rows;
  static const std::vector<Sampler> table{
      ddim(),         ddpm(),          euler(),    euler_a(),      heun(),
      dpm2(),         dpm2_a(),        lms(),      pndm(),         ipndm(),
      dpmpp_2s_a(),   dpmpp_sde(),     dpmpp_2m(), dpmpp_2m_sde(), dpmpp_2m_sde_heun(),
      dpmpp_3m_sde(), unipc(),         deis(),     lcm(),          tcd(),
      er_sde(),       res_multistep(), restart(),  dpm_fast(),     dpm_adaptive(),
  };
  return table;
}

const Sampler& sampler_named(std::string_view name) {
  return find_named(samplers(), name, "sampler", "see samplers()");
}

SamplerOutline outline(const Sampler& sampler, const SamplerOptions& options, const Schedule& schedule) {
  Trajectory trajectory = sampler.start(at::zeros({1, 1, 1, 1}), schedule, options, Noise(Rng::cpu, 0));
  SamplerOutline outline;
  for (trajectory.resume(); !trajectory.finished(); trajectory.resume()) {
    if (const auto* question = trajectory.question()) {
      const Tensor x = question->x;
      outline.questions.push_back({outline.steps + 1, question->level});
      trajectory.answer({x, x});
    } else {
      outline.steps = trajectory.step()->number;
    }
  }
  return outline;
}

}  // namespace steplapse
