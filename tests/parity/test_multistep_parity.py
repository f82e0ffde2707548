"""Multistep and distilled samplers end where diffusers' and k-diffusion's do: same network, levels, start and noise.

diffusers' schedulers make their own levels here, and ours go over those. Where the last of them is not at sigma 0, that
is said with it. Differences are a share of max |x|; both sides count in float32.
"""

import inspect
import json
import subprocess

import diffusers
import pytest
import torch

from harness import TIMEOUT
from parity.levels import (
    ALPHAS_CUMPROD,
    SAMPLE_LEVELS,
    SEED,
    SHAPE,
    Denoiser,
    difference,
    draws,
    ended_at,
    load_sampling,
    network,
    spread,
    start_at,
)

TOLERANCE = 1e-4
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}  # of ALPHAS_CUMPROD

# k-diffusion draws its noise in the order that ours does. (Its SDE samplers know no single step: they fail at it.)
K_DIFFUSION = [
    ("dpmpp_2m", {}, {}),
    ("dpmpp_2m_sde", {"eta": 1}, {}),
    ("dpmpp_2m_sde", {"eta": 0.5, "s_noise": 0.9}, {}),
    ("dpmpp_2m_sde", {"eta": 0}, {}),
    ("dpmpp_2m_sde_heun", {"eta": 1}, {"solver_type": "heun"}),
    ("dpmpp_2m_sde_heun", {"eta": 0.5}, {"solver_type": "heun"}),
    ("dpmpp_3m_sde", {"eta": 1}, {}),
    ("dpmpp_3m_sde", {"eta": 0.5, "s_noise": 0.9}, {}),
    ("dpmpp_3m_sde", {"eta": 0}, {}),
]


@pytest.mark.parametrize("sampler, options, more", K_DIFFUSION)
@pytest.mark.parametrize("steps", [2, 4, 20])
def test_ends_where_k_diffusion_does(sampler, options, more, steps):
    sample = getattr(load_sampling(), "sample_" + sampler.removesuffix("_heun"))
    if "noise_sampler" in inspect.signature(sample).parameters:
        more = {**more, **options, "noise_sampler": draws()}
    sigmas = spread(steps)
    start = start_at(sigmas[0])
    wanted = sample(Denoiser(), start, torch.tensor(sigmas), disable=True, **more)
    assert difference(ended_at(sampler, sigmas, start, options)["x"], wanted) < TOLERANCE


# --- diffusers -------------------------------------------------------------------------------------------------------


def level(timestep, alpha, sigma) -> dict:
    return {"timestep": timestep, "alpha": float(alpha), "sigma": float(sigma)}


def level_at(timestep: int) -> dict:
    alpha_squared = ALPHAS_CUMPROD[timestep]
    return level(float(timestep), alpha_squared.sqrt(), (1 - alpha_squared).sqrt())


def levels_of(scheduler) -> list[dict]:
    """Of schedulers that work on k-diffusion's sigmas."""
    sigmas = scheduler.sigmas.double()
    alphas = 1 / (1 + sigmas**2).sqrt()
    timesteps = [*scheduler.timesteps.tolist(), 0]
    levels = [level(float(t), alpha, sigma * alpha) for t, sigma, alpha in zip(timesteps, sigmas, alphas, strict=True)]
    if levels[-1]["sigma"] == 0:
        levels[-1]["timestep"] = None
    return levels


END = level(None, 1, 0)


def start_of() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(1))


def answer(x, timestep, prediction: str = "epsilon"):
    return network(x, torch.as_tensor(timestep, dtype=torch.float32))


def diffusers_end(scheduler, **settings) -> torch.Tensor:
    """diffusers' own loop, from unit noise. Noise is drawn where `step` draws it, from the seed's stream."""
    x = start_of() * scheduler.init_noise_sigma
    if "generator" in inspect.signature(scheduler.step).parameters:
        settings["generator"] = torch.Generator("cpu").manual_seed(SEED)
    for t in scheduler.timesteps:
        x = scheduler.step(answer(scheduler.scale_model_input(x, t), t), t, x, **settings).prev_sample
    return x


def our_end(sampler: str, levels: list[dict], prediction: str = "epsilon", **options) -> torch.Tensor:
    asked = {
        "sampler": sampler,
        "levels": levels,
        "alphas_cumprod": ALPHAS_CUMPROD.tolist(),
        "shape": SHAPE,
        "x": start_of().flatten().tolist(),
        "seed": SEED,
        "options": options,
        "prediction_type": prediction,
    }
    ended = subprocess.run([SAMPLE_LEVELS], input=json.dumps(asked), capture_output=True, text=True, timeout=TIMEOUT)
    assert ended.returncode == 0, ended.stderr
    return torch.tensor(json.loads(ended.stdout)["x"]).view(SHAPE)


def scheduler_of(name: str, steps: int, **settings):
    scheduler = getattr(diffusers, name)(**BETAS, **settings)
    scheduler.set_timesteps(steps)
    return scheduler


# The prediction type is what the network's answer is taken for. DEIS ends at timestep 0's level, and goes there with
# order 1 below 15 steps by default; the others end at sigma 0, where the order is 1 in any case.
BY_SIGMAS = [
    ("dpmpp_2m", "DPMSolverMultistepScheduler", {}, {}),
    ("dpmpp_2m", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True}, {}),
    ("dpmpp_2m", "DPMSolverMultistepScheduler", {"final_sigmas_type": "sigma_min", "lower_order_final": False}, {}),
    ("res_multistep", "DPMSolverMultistepScheduler", {"solver_type": "heun"}, {}),
    ("dpmpp_2m_sde", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, {"eta": 1}),
    (
        "dpmpp_2m_sde_heun",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
        {"eta": 1},
    ),
    ("unipc", "UniPCMultistepScheduler", {}, {}),
    ("unipc", "UniPCMultistepScheduler", {"use_karras_sigmas": True}, {}),
    ("unipc", "UniPCMultistepScheduler", {"final_sigmas_type": "sigma_min"}, {}),
    ("deis", "DEISMultistepScheduler", {"lower_order_final": False}, {}),
]


@pytest.mark.parametrize("sampler, name, settings, options", BY_SIGMAS)
@pytest.mark.parametrize(
    "steps, prediction", [(1, "epsilon"), (3, "v_prediction"), (20, "epsilon"), (20, "v_prediction")]
)
def test_ends_where_diffusers_does(sampler, name, settings, options, steps, prediction):
    scheduler = scheduler_of(name, steps, prediction_type=prediction, **settings)
    found = our_end(sampler, levels_of(scheduler), prediction, **options)
    assert difference(found, diffusers_end(scheduler)) < TOLERANCE


def test_dpmpp_3m_sde_without_noise_ends_where_diffusers_third_order_does():
    # From 15 steps on: below that diffusers lowers the order of the last but one. (With noise its second difference has
    # the wrong factor: (1 - exp(-2h) - 2h) / (2h)² - 1/2, where h to 0 should give 0; k-diffusion has + 1/2.)
    scheduler = scheduler_of("DPMSolverMultistepScheduler", 20, solver_order=3, solver_type="heun")
    assert difference(our_end("dpmpp_3m_sde", levels_of(scheduler)), diffusers_end(scheduler)) < TOLERANCE


def final_level(scheduler) -> dict:
    final = scheduler.final_alpha_cumprod.double()
    return level(0.0, final.sqrt(), (1 - final).sqrt())


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 20, 50])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_pndm_ends_where_plms_does(steps, spacing):
    # Of v, diffusers averages v itself over the steps, against the paper and the first PLMS; ours averages eps always.
    # It steps to t - 1000 // steps, which is the next level of `trailing` where 1000 is a multiple.
    if spacing == "trailing" and 1000 % steps:
        pytest.skip("diffusers leaves its own list")
    scheduler = scheduler_of("PNDMScheduler", steps, skip_prk_steps=True, steps_offset=1, timestep_spacing=spacing)
    timesteps = list(dict.fromkeys(scheduler.timesteps.tolist()))  # one is listed twice
    assert (len(timesteps), len(scheduler.timesteps)) == (steps, steps + (steps > 1))
    levels = [*map(level_at, timesteps), final_level(scheduler)]
    assert difference(our_end("pndm", levels), diffusers_end(scheduler)) < TOLERANCE


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 20])
def test_ipndm_ends_where_diffusers_does(steps):
    # With levels of ours, since its own go from alpha 0 to sigma 0 (see ipndm.cpp). It wants answers of v.
    timesteps = torch.linspace(999, 20, steps + 1).round().int().tolist()
    levels = [*map(level_at, timesteps)]
    scheduler = diffusers.IPNDMScheduler(trained_betas=[one["sigma"] for one in levels])
    scheduler.set_timesteps(steps)
    x = start_of()
    for t, told in zip(scheduler.timesteps, timesteps[:-1], strict=True):
        x = scheduler.step(answer(x, told), t, x).prev_sample
    assert difference(our_end("ipndm", levels, "v_prediction"), x) < TOLERANCE


@pytest.mark.parametrize("steps", [1, 4, 20])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_ddpm_ends_where_diffusers_does(steps, clip):
    # Its last step goes to sigma 0, whatever set_alpha_to_one would say.
    scheduler = scheduler_of("DDPMScheduler", steps, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
    levels = [*map(level_at, scheduler.timesteps.tolist()), END]
    options = {} if clip is None else {"clip_sample_range": clip}
    assert difference(our_end("ddpm", levels, **options), diffusers_end(scheduler)) < TOLERANCE


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_lcm_ends_where_diffusers_does(steps, prediction):
    scheduler = scheduler_of("LCMScheduler", steps, prediction_type=prediction)
    levels = [*map(level_at, scheduler.timesteps.tolist()), END]
    assert difference(our_end("lcm", levels, prediction), diffusers_end(scheduler)) < TOLERANCE


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
@pytest.mark.parametrize("gamma", [0, 0.3, 1])
def test_tcd_ends_where_diffusers_does(steps, gamma):
    scheduler = scheduler_of("TCDScheduler", steps)
    levels = [*map(level_at, scheduler.timesteps.tolist()), level_at(0)]  # it ends at timestep 0
    assert difference(our_end("tcd", levels, eta=gamma), diffusers_end(scheduler, eta=gamma)) < TOLERANCE
