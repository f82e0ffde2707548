#pragma once

#include "steplapse/sampler.h"

namespace steplapse {

// The samplers, each in a file of its own under src/sampling/samplers. All of them
//
// - take x = [1, C, h, w] float32 on the CPU, unit noise times schedule.init_scale, and the image's own stream;
// - throw std::invalid_argument when first resumed, where check_levels does or `eta` is outside its range, 0..1 unless
//   another is named;
// - draw at most once a step unless they say more, noise scaled by `s_noise`, and nothing where its amount is 0;
// - take the first-order step, to.alpha * x0 + to.sigma * eps, from alpha 0 and to sigma 0, whatever their order.

// ---- of one step: each made from its own answers, and LMS, which k-diffusion has beside them --------------------------
//
// With training noise they walk in k = sigma / alpha and x / alpha, which k-diffusion calls sigma and x. With flow levels
// euler, heun, dpm2, dpm2_a, lms and restart walk in sigma and x, where a step is along the network's own answer, as
// ComfyUI and diffusers do; the others are the same in both.

/// Denoising diffusion implicit models, with `eta` share of fresh noise. Source: Song et al. 2021 (arXiv:2010.02502),
/// eq. 12 and 16. Asks once a step; draws once a step while eta > 0.
/// @throws std::invalid_argument  when first resumed: see check_levels; eta outside 0..1.
Trajectory sample_ddim(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// Euler steps. Source: Karras et al. 2022 (arXiv:2206.00364), algorithm 2 without its correction. `s_churn` above 0 adds
/// noise before a step: one draw where sigma / alpha lies in [s_tmin, s_tmax]; at 0 it draws nothing and is DDIM with eta 0.
Trajectory sample_euler(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// Euler steps to below the next level, and fresh noise up to it, as `eta` says: 0 is Euler. One draw a step while eta > 0,
/// none to sigma 0. Source: Song et al. 2021 (arXiv:2011.13456), appendix F, at eta 1; eta is k-diffusion's
/// (sample_euler_ancestral). diffusers has eta 1 alone. For flow levels, ComfyUI's sample_euler_ancestral_RF.
Trajectory sample_euler_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// Heun's method: each step again with the mean of the slopes at its ends. Source: Karras et al. 2022 (arXiv:2206.00364),
/// algorithm 2. Asks twice a step; noise as for Euler.
Trajectory sample_heun(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// The slope of the whole step is asked half way, in log sigma. Source: DPM-Solver-2, Lu et al. 2022 (arXiv:2206.00927),
/// algorithm 1, with the midpoint rule in place of its last line and the churn of Karras et al. 2022, as k-diffusion's
/// sample_dpm_2 has it. Asks twice a step; noise as for Euler. Web UIs give it a list of one level more and leave out
/// the last but one; that is their schedule's matter.
Trajectory sample_dpm2(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// DPM2 to below the next level, and fresh noise up to it; eta, draws and flow as for Euler ancestral. Asks twice a
/// step. Source: k-diffusion's sample_dpm_2_ancestral.
Trajectory sample_dpm2_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// Linear multistep: the polynomial through the slopes of up to four levels, integrated exactly. Asks once a step, draws
/// nothing. The first steps have fewer slopes, which makes it of order 2 from end to end; where they are among levels of much
/// noise their errors are small, and down to about 1e-6 it looks like order 4. Source: k-diffusion's sample_lms,
/// after Adams and Bashforth. The step to sigma 0 is x0, as in ComfyUI; k-diffusion and diffusers extrapolate there too.
Trajectory sample_lms(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// DPM-Solver++(2S) to below the next level, and fresh noise up to it; eta, draws and flow as for Euler ancestral. Asks
/// twice a step. Source: Lu et al. 2022 (arXiv:2211.01095), algorithm 1 with r = 1/2; k-diffusion's
/// sample_dpmpp_2s_ancestral.
Trajectory sample_dpmpp_2s_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// DPM-Solver++ for the SDE: 2S whose middle is noisy as well. The noise of the whole step goes on from that of its first
/// half. Asks twice a step; draws twice a step while eta > 0, once from alpha 0 and never to sigma 0. Source: k-diffusion's
/// sample_dpmpp_sde (r = 1/2), after Lu et al. 2022 (arXiv:2211.01095). k-diffusion and diffusers (DPMSolverSDEScheduler) draw
/// from a Brownian tree with a seed of its own: the same law, other numbers.
Trajectory sample_dpmpp_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// Heun, which goes back up and down again through the middle levels. From 20 steps on it chooses its levels itself: rho 7 of
/// Karras et al. 2022 down the schedule's range, and from sigma / alpha nearest 0.1 again from 2: once in 9 steps, or
/// twice in n / 4 from 36 steps on. n steps are n in all, as many as asked. Below 20 steps, and where the range
/// leaves no room, it is Heun on the listed levels. One draw a restart. Source: Xu et al. 2023 (arXiv:2306.14878), algorithm 1,
/// with the choices of A1111's sampler "Restart".
Trajectory sample_restart(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// DPM-Solver-fast: DPM-Solver-3 steps evenly spaced in log(sigma / alpha), the last ones of lower order so that n listed
/// steps are n calls of the denoiser; the steps it makes are about a third of that. Between the first level with alpha
/// above 0 and the last with sigma above 0, the ends beyond are plain steps of one call each. Draws once a step while eta > 0,
/// none at the end of the range. Source: Lu et al. 2022 (arXiv:2206.00927), section 3.4 and algorithm 2; eta (0 unless
/// given; A1111 gives 1) is k-diffusion's. A1111 and ComfyUI spend all n calls above sigma 0 and show x as it is there, with
/// the noise that is left in it.
Trajectory sample_dpm_fast(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// DPM-Solver-23: steps in log(sigma / alpha) as long as solutions of order 2 and 3 agree to atol 0.0078 and rtol 0.05
/// (of x / alpha). Of the schedule it takes the range alone, as DPM-Solver-fast; how many steps it makes shows at the end.
/// Three calls a step, two more for each that was too long. eta and draws as for DPM-Solver-fast. Source: Lu et al. 2022
/// (arXiv:2206.00927), appendix C, with the tolerances and the controller of k-diffusion's sample_dpm_adaptive.
Trajectory sample_dpm_adaptive(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

// ---- of several steps: what earlier answers said stands in for more calls; and those for distilled networks -----------
//
// lambda = log(alpha / sigma) is infinite at alpha 0, so a first level there stays out of their history.

/// Ancestral sampling, the way back through the noising that made x. Draws once a step but to sigma 0; clips x0, and
/// with it the noise that x is told to have. Source: Ho et al. 2020 (arXiv:2006.11239), eq. 6 and 7, with that
/// posterior's own variance (diffusers' "fixed_small"), between the levels listed.
Trajectory sample_ddpm(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// Pseudo linear multistep, "PLMS" as Stable Diffusion used it: eps as Adams and Bashforth extrapolate it from four
/// steps. The first step asks twice (its second call is at its end, after Heun; diffusers lists that timestep twice): n
/// steps are n steps, with n + 1 calls. Draws nothing. Source: Liu et al. 2022 (arXiv:2202.09778), eq. 9 and 12,
/// without Runge-Kutta steps.
Trajectory sample_pndm(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// The same with lower orders at the start in place of a second call. Draws nothing. Source: Zhang & Chen 2022
/// (arXiv:2204.13902), which names it iPNDM.
Trajectory sample_ipndm(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// DPM-Solver++(2M): x0 extrapolated to the middle of the step from two. Draws nothing. Source: Lu et al. 2022
/// (arXiv:2211.01095), algorithm 2.
Trajectory sample_dpmpp_2m(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// SDE-DPM-Solver++(2M): 2M with `eta` share of fresh noise (0 or more; 0 is 2M). Draws once a step while eta > 0, none
/// in a step to sigma 0. Source: Lu et al. 2022 (arXiv:2211.01095), section 5; eta and the names of the variants are
/// k-diffusion's. `midpoint` is k-diffusion's default; at eta 1 both are what diffusers calls sde-dpmsolver++ of order
/// 2 with its solver_type.
Trajectory sample_dpmpp_2m_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);
Trajectory sample_dpmpp_2m_sde_heun(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// SDE-DPM-Solver++(3M): x0 followed with two derivatives from three steps; `eta` and draws as for 2M SDE. Source:
/// k-diffusion's sample_dpmpp_3m_sde, which takes Lu et al. 2022 (arXiv:2211.01095), section 5, one value further.
Trajectory sample_dpmpp_3m_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// UniPC of order 2 with B2(h) = exp(h) - 1 on x0: each answer first corrects the x it was asked with, then predicts.
/// Draws nothing. Source: Zhao et al. 2023 (arXiv:2302.04867), UniPC-2 with data prediction; the last step is of order
/// 1, as diffusers has it by default (web UIs run order 3).
Trajectory sample_unipc(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// DEIS: eps extrapolated from two steps as linear in log(sigma / alpha), integrated exactly. Draws nothing. Source:
/// Zhang & Chen 2022 (arXiv:2204.13902), rho-AB-DEIS with polynomials in log rho, diffusers' "logrho".
Trajectory sample_deis(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// For latent consistency models: their x0, then fresh noise up to the next level. Draws once a step but to sigma 0.
/// Source: Luo et al. 2023 (arXiv:2310.04378), its multistep sampling, with the boundary conditions in the
/// timestep that the network is told.
Trajectory sample_lcm(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// For models of trajectory consistency distillation: a DDIM step to timestep (1 - gamma) t, then fresh noise up to t,
/// the next level's. Their gamma, 0 to 1, is `eta` here, as in diffusers: 0 is DDIM, 1 gives up all of x but x0. Draws
/// once a step while eta > 0, none to sigma 0 or timestep 0. Source: Zheng et al. 2024 (arXiv:2402.19159), strategic
/// stochastic sampling.
Trajectory sample_tcd(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// ER-SDE-Solver-3: a reverse-time SDE whose noise is set by phi(k) = k (exp(k^0.3) + 10), with k = sigma / alpha.
/// Draws once a step while s_noise > 0, none to sigma 0. Source: Cui et al. 2023 (arXiv:2309.06169), the third-order
/// solver for variance preserving data with the noise scale of its ER SDE 5.
Trajectory sample_er_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

/// RES in its multistep form: x0 followed with one derivative, by exponential integrator. Draws nothing. Source: Zhang
/// et al. 2023 (arXiv:2308.02157), its second-order multistep scheme: DPM-Solver++(2M) in k-diffusion's "heun" form.
Trajectory sample_res_multistep(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);

}  // namespace steplapse
