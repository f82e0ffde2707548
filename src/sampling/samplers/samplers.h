#pragma once

#include "steplapse/sampler.h"

// The samplers, a file each: its doc with the paper, its coroutine and its row of samplers(). All of them
//
// - take x = [1, C, h, w] float32 on the CPU, unit noise times schedule.init_scale, and the image's own stream;
// - throw std::invalid_argument when first resumed, where check_levels does or `eta` is outside its range, 0..1 unless
//   another is named;
// - draw at most once a step unless they say more, noise scaled by `s_noise`, and nothing where its amount is 0;
// - take the first-order step, to.alpha * x0 + to.sigma * eps, from alpha 0 and to sigma 0, whatever their order.
//
// With training noise they walk in k = sigma / alpha and x / alpha, which k-diffusion calls sigma and x. With flow levels
// euler, heun, dpm2, dpm2_a, lms and restart walk in sigma and x, where a step is along the network's own answer, as
// ComfyUI and diffusers do; the others are the same in both.
//
// lambda = log(alpha / sigma) is infinite at alpha 0, so a first level there stays out of their history.
namespace steplapse::sampler_rows {

Sampler ddim();
Sampler ddpm();
Sampler euler();
Sampler euler_a();
Sampler heun();
Sampler dpm2();
Sampler dpm2_a();
Sampler lms();
Sampler pndm();
Sampler ipndm();
Sampler dpmpp_2s_a();
Sampler dpmpp_sde();
Sampler dpmpp_2m();
Sampler dpmpp_2m_sde();
Sampler dpmpp_2m_sde_heun();
Sampler dpmpp_3m_sde();
Sampler unipc();
Sampler deis();
Sampler lcm();
Sampler tcd();
Sampler er_sde();
Sampler res_multistep();
Sampler restart();
Sampler dpm_fast();
Sampler dpm_adaptive();

}  // namespace steplapse::sampler_rows
