#include <ATen/ATen.h>

#include <stdexcept>

#include "base/text.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {

const std::vector<Sampler>& samplers() {
  static const std::vector<Sampler> table{
      // clang-format off
      {.name = "ddim", .label = "DDIM", .start = sample_ddim, .eta = 0, .own_last_level = true,
       .also = {"diffusers:DDIMScheduler", "a1111:DDIM", "a1111:ddim", "comfyui:ddim"}},
      {.name = "ddpm", .label = "DDPM", .start = sample_ddpm, .fresh_noise = true,
       .also = {"diffusers:DDPMScheduler", "comfyui:ddpm"}},
      {.name = "euler", .label = "Euler", .start = sample_euler, .churns = true,
       .also = {"k-diffusion:sample_euler", "diffusers:EulerDiscreteScheduler",
                "diffusers:FlowMatchEulerDiscreteScheduler", "a1111:Euler", "a1111:k_euler", "comfyui:euler",
                "sd.cpp:euler"}},
      {.name = "euler_a", .label = "Euler a", .start = sample_euler_a, .eta = 1,
       .also = {"k-diffusion:sample_euler_ancestral", "diffusers:EulerAncestralDiscreteScheduler", "a1111:Euler a",
                "a1111:k_euler_a", "comfyui:euler_ancestral", "sd.cpp:euler_a"}},
      {.name = "heun", .label = "Heun", .start = sample_heun, .order = 2, .calls_a_step = 2, .churns = true,
       .usual_schedule = "karras",
       .also = {"k-diffusion:sample_heun", "diffusers:HeunDiscreteScheduler", "a1111:Heun", "a1111:k_heun",
                "comfyui:heun", "sd.cpp:heun"}},
      {.name = "dpm2", .label = "DPM2", .start = sample_dpm2, .order = 2, .calls_a_step = 2, .churns = true,
       .usual_schedule = "karras",
       .also = {"k-diffusion:sample_dpm_2", "diffusers:KDPM2DiscreteScheduler", "a1111:DPM2", "a1111:k_dpm_2",
                "comfyui:dpm_2", "sd.cpp:dpm2"}},
      {.name = "dpm2_a", .label = "DPM2 a", .start = sample_dpm2_a, .order = 2, .calls_a_step = 2, .eta = 1,
       .usual_schedule = "karras",
       .also = {"k-diffusion:sample_dpm_2_ancestral", "diffusers:KDPM2AncestralDiscreteScheduler", "a1111:DPM2 a",
                "a1111:k_dpm_2_a", "comfyui:dpm_2_ancestral"}},
      {.name = "lms", .label = "LMS", .start = sample_lms, .order = 2,
       .also = {"k-diffusion:sample_lms", "diffusers:LMSDiscreteScheduler", "a1111:LMS", "a1111:k_lms",
                "comfyui:lms"}},
      {.name = "pndm", .label = "PLMS", .start = sample_pndm, .order = 2, .own_last_level = true,
       .also = {"diffusers:PNDMScheduler", "a1111:PLMS"}},
      {.name = "ipndm", .label = "IPNDM", .start = sample_ipndm, .order = 2,
       .also = {"diffusers:IPNDMScheduler", "comfyui:ipndm", "sd.cpp:ipndm"}},
      {.name = "dpmpp_2s_a", .label = "DPM++ 2S a", .start = sample_dpmpp_2s_a, .order = 2, .calls_a_step = 2, .eta = 1,
       .usual_schedule = "karras",
       .also = {"k-diffusion:sample_dpmpp_2s_ancestral", "a1111:DPM++ 2S a", "a1111:k_dpmpp_2s_a",
                "comfyui:dpmpp_2s_ancestral", "sd.cpp:dpm++2s_a"}},
      {.name = "dpmpp_sde", .label = "DPM++ SDE", .start = sample_dpmpp_sde, .order = 2, .calls_a_step = 2, .eta = 1,
       .usual_schedule = "karras",
       .also = {"k-diffusion:sample_dpmpp_sde", "diffusers:DPMSolverSDEScheduler", "a1111:DPM++ SDE",
                "a1111:k_dpmpp_sde", "comfyui:dpmpp_sde"}},
      {.name = "dpmpp_2m", .label = "DPM++ 2M", .start = sample_dpmpp_2m, .order = 2,
       .usual_schedule = "karras",
       .also = {"diffusers:DPMSolverMultistepScheduler", "a1111:DPM++ 2M", "a1111:k_dpmpp_2m",
                "k-diffusion:sample_dpmpp_2m", "comfyui:dpmpp_2m", "sd.cpp:dpm++2m"}},
      {.name = "dpmpp_2m_sde", .label = "DPM++ 2M SDE", .start = sample_dpmpp_2m_sde, .order = 2, .eta = 1,
       .usual_schedule = "exponential",
       .also = {"diffusers:DPMSolverMultistepScheduler(sde-dpmsolver++)", "a1111:DPM++ 2M SDE",
                "a1111:k_dpmpp_2m_sde", "k-diffusion:sample_dpmpp_2m_sde", "comfyui:dpmpp_2m_sde"}},
      {.name = "dpmpp_2m_sde_heun", .label = "DPM++ 2M SDE Heun", .start = sample_dpmpp_2m_sde_heun, .order = 2, .eta = 1,
       .usual_schedule = "exponential",
       .also = {"a1111:DPM++ 2M SDE Heun", "a1111:k_dpmpp_2m_sde_heun", "comfyui:dpmpp_2m_sde_heun"}},
      {.name = "dpmpp_3m_sde", .label = "DPM++ 3M SDE", .start = sample_dpmpp_3m_sde, .order = 2, .eta = 1,
       .usual_schedule = "exponential",
       .also = {"a1111:DPM++ 3M SDE", "a1111:k_dpmpp_3m_sde", "k-diffusion:sample_dpmpp_3m_sde",
                "comfyui:dpmpp_3m_sde"}},
      {.name = "unipc", .label = "UniPC", .start = sample_unipc, .order = 2,
       .also = {"diffusers:UniPCMultistepScheduler", "a1111:UniPC"}},
      {.name = "deis", .label = "DEIS", .start = sample_deis, .order = 2,
       .also = {"diffusers:DEISMultistepScheduler"}},
      {.name = "lcm", .label = "LCM", .start = sample_lcm, .fresh_noise = true,
       .also = {"diffusers:LCMScheduler", "a1111:LCM", "a1111:k_lcm", "comfyui:lcm", "sd.cpp:lcm"}},
      {.name = "tcd", .label = "TCD", .start = sample_tcd, .eta = 0.3,
       .also = {"diffusers:TCDScheduler", "sd.cpp:tcd"}},
      {.name = "er_sde", .label = "ER SDE", .start = sample_er_sde, .order = 2, .fresh_noise = true,
       .also = {"comfyui:er_sde", "sd.cpp:er_sde"}},
      {.name = "res_multistep", .label = "Res Multistep", .start = sample_res_multistep, .order = 2,
       .also = {"comfyui:res_multistep", "sd.cpp:res_multistep"}},
      {.name = "restart", .label = "Restart", .start = sample_restart, .order = 2, .calls_a_step = 2, .fresh_noise = true, .own_steps = true,
       .usual_schedule = "karras",
       .also = {"a1111:Restart", "a1111:restart"}},
      {.name = "dpm_fast", .label = "DPM fast", .start = sample_dpm_fast, .order = 2, .eta = 0, .own_steps = true,
       .also = {"k-diffusion:sample_dpm_fast", "a1111:DPM fast", "a1111:k_dpm_fast", "comfyui:dpm_fast"}},
      {.name = "dpm_adaptive", .label = "DPM adaptive", .start = sample_dpm_adaptive, .order = 3, .calls_a_step = 3, .eta = 0, .own_steps = true, .adaptive = true,
       .also = {"k-diffusion:sample_dpm_adaptive", "a1111:DPM adaptive", "a1111:k_dpm_ad", "comfyui:dpm_adaptive"}},
      // clang-format on
  };
  return table;
}

const Sampler& sampler_named(std::string_view name) {
  std::vector<std::string> names;
  for (const Sampler& sampler : samplers()) {
    if (sampler.name == name) return sampler;
    names.emplace_back(sampler.name);
  }
  const auto meant = nearest(std::string(name), names);
  throw std::invalid_argument("unknown sampler " + in_quotes(std::string(name)) +
                              (meant ? ", did you mean " + in_quotes(*meant) + "?" : ", see steplapse samplers"));
}

Walk walk(const Sampler& sampler, const SamplerOptions& options, const Schedule& schedule) {
  Trajectory trajectory = sampler.start(at::zeros({1, 1, 1, 1}), schedule, options, Noise(Rng::cpu, 0));
  Walk walk;
  for (trajectory.resume(); !trajectory.finished(); trajectory.resume()) {
    if (const auto* question = trajectory.question()) {
      const Tensor x = question->x;
      walk.questions.push_back({walk.steps + 1, question->level});
      trajectory.answer({x, x});
    } else {
      walk.steps = trajectory.step()->number;
    }
  }
  return walk;
}

}  // namespace steplapse
