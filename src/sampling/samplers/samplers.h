#pragma once

#include "steplapse/sampler.h"

// One file per sampler has its doc with the paper, its coroutine and its row of samplers(). Each sampler
//
// - takes x = [1, C, h, w] float32 on the CPU, unit noise times schedule.init_scale, and the image's own stream;
// - throws std::invalid_argument when first resumed, where check_levels does or eta is outside its range (0 to 1 unless
// its doc says otherwise);
// - draws at most once per step unless its doc says otherwise; the noise is multiplied by s_noise, and none is drawn
// where its amount is 0;
// - takes the first-order step, to.alpha * x0 + to.sigma * eps, from alpha 0 and to sigma 0, whatever its order.
//
// With training noise the samplers work in k = sigma / alpha and x / alpha, which k-diffusion calls sigma and x. With
// flow levels euler, heun, dpm2, dpm2_a, lms and restart work in sigma and x, where a step follows the network's
// output, as in ComfyUI and diffusers. The formulas of the others hold for both.
//
// lambda = log(alpha / sigma) is infinite at alpha 0, so a multistep sampler keeps no prediction of such a first level.
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
