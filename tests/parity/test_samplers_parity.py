"""Samplers against k-diffusion's functions and diffusers' schedulers of the same name, on the same levels, with the
same network and the same noise. The multistep ones have test_multistep_parity.py."""

import diffusers
import numpy
import pytest
import torch

from parity.levels import (
    SEED,
    SHAPE,
    BrownianPath,
    Denoiser,
    FlowDenoiser,
    difference,
    draws,
    ended_at,
    flow_ended_at,
    load_sampling,
    network,
    spread,
    start_at,
    timestep_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # how diffusers uses numpy
sampling = load_sampling()
CLOSE = 1e-4  # of max |x|


# --- k-diffusion -----------------------------------------------------------------------------------------------------


def asked_of(function, sigmas, **settings):
    """k-diffusion's answer, and how often it asked."""
    denoiser = Denoiser()
    x = function(denoiser, start_at(sigmas[0]), torch.tensor(sigmas), disable=True, **settings)
    return x, len(denoiser.sigmas)


def karras(steps: int) -> list[float]:
    return sampling.get_sigmas_karras(steps, 0.03, 14.6).tolist()


# (From 14.6 to 0.03 in one step, float32 leaves k-diffusion four digits of the ancestral level below.)
SCHEDULES = {"spread 1": spread(1), "spread 3": spread(3), "spread 12": spread(12), "karras 25": karras(25)}
DETERMINISTIC = {"euler": sampling.sample_euler, "heun": sampling.sample_heun, "dpm2": sampling.sample_dpm_2}
ANCESTRAL = {
    "euler_a": sampling.sample_euler_ancestral,
    "dpm2_a": sampling.sample_dpm_2_ancestral,
    "dpmpp_2s_a": sampling.sample_dpmpp_2s_ancestral,
    "dpmpp_sde": sampling.sample_dpmpp_sde,
}


def assert_as_k_diffusion(sampler, wanted, found):
    x, calls = wanted
    assert difference(found["x"], x) < CLOSE, sampler
    assert len(found["timesteps"]) == calls


@pytest.mark.parametrize("sigmas", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_deterministic_samplers_are_k_diffusions(sampler, sigmas):
    wanted = asked_of(DETERMINISTIC[sampler], sigmas)
    assert_as_k_diffusion(sampler, wanted, ended_at(sampler, sigmas, start_at(sigmas[0])))


@pytest.mark.parametrize("window", [(0, 999), (0.5, 5)])
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_churn_is_k_diffusions(sampler, window, monkeypatch):
    sigmas = spread(10)
    options = {"s_churn": 3, "s_tmin": window[0], "s_tmax": window[1], "s_noise": 1.01}
    draw, steps = draws(), iter(sigmas)

    def randn_like(x):
        # k-diffusion draws in every step, and uses it where it churns.
        return draw() if window[0] <= next(steps) <= window[1] else torch.full_like(x, torch.nan)

    monkeypatch.setattr(sampling.torch, "randn_like", randn_like)
    wanted = asked_of(DETERMINISTIC[sampler], sigmas, **options)
    assert_as_k_diffusion(sampler, wanted, ended_at(sampler, sigmas, start_at(sigmas[0]), options))


@pytest.mark.parametrize("eta, s_noise", [(0, 1), (0.6, 1), (1, 1), (1, 1.02)])
@pytest.mark.parametrize("sigmas", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("sampler", ANCESTRAL)
def test_samplers_with_fresh_noise_are_k_diffusions(sampler, sigmas, eta, s_noise):
    options = {"eta": eta, "s_noise": s_noise}
    noise = BrownianPath() if sampler == "dpmpp_sde" else draws()
    wanted = asked_of(ANCESTRAL[sampler], sigmas, noise_sampler=noise, **options)
    assert_as_k_diffusion(sampler, wanted, ended_at(sampler, sigmas, start_at(sigmas[0]), options))


@pytest.mark.parametrize("sigmas", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_lms_is_k_diffusions_but_for_the_step_to_zero(sigmas):
    above_zero = sigmas[:-1]
    start = start_at(sigmas[0])
    if len(above_zero) > 1:
        wanted = asked_of(sampling.sample_lms, above_zero)
        assert_as_k_diffusion("lms", wanted, ended_at("lms", above_zero, start))
    found = ended_at("lms", sigmas, start)
    last = found["steps"][-1]
    assert last["x"] == last["x0"]  # there k-diffusion would extrapolate


@pytest.mark.parametrize("eta", [0, 1])
@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5, 6, 16, 30])
def test_dpm_fast_is_k_diffusions_with_as_many_calls_as_steps(calls, eta):
    sigmas = spread(calls + 1)[:-1]
    denoiser = Denoiser()
    wanted = sampling.sample_dpm_fast(
        denoiser, start_at(sigmas[0]), sigmas[-1], sigmas[0], calls, disable=True, eta=eta, noise_sampler=draws()
    )
    found = ended_at("dpm_fast", sigmas, start_at(sigmas[0]), {"eta": eta})
    assert_as_k_diffusion("dpm_fast", (wanted, len(denoiser.sigmas)), found)
    assert len(found["timesteps"]) == calls

    to_zero = ended_at("dpm_fast", [*sigmas, 0], start_at(sigmas[0]), {"eta": eta})
    assert to_zero["steps"][:-1] == found["steps"]
    assert to_zero["steps"][-1]["x"] == to_zero["steps"][-1]["x0"]


@pytest.mark.parametrize("eta", [0, 1])
def test_dpm_adaptive_is_k_diffusions(eta):
    sigmas = [spread(2)[0], spread(2)[1]]
    denoiser = Denoiser()
    wanted, info = sampling.sample_dpm_adaptive(
        denoiser,
        start_at(sigmas[0]),
        sigmas[-1],
        sigmas[0],
        disable=True,
        eta=eta,
        noise_sampler=draws(),
        return_info=True,
    )
    found = ended_at("dpm_adaptive", sigmas, start_at(sigmas[0]), {"eta": eta})
    assert difference(found["x"], wanted) < CLOSE
    assert len(found["steps"]) == info["n_accept"]
    # k-diffusion asks again at the start of a step that was too long.
    assert len(found["timesteps"]) == info["nfe"] - info["n_reject"]
    assert info["n_reject"] > 0


def heun_leg(denoiser, x, start, end):
    return sampling.sample_heun(denoiser, x, torch.tensor([start, end]), disable=True)


@pytest.mark.parametrize("steps", [10, 20, 35, 36, 50])
def test_restart_goes_back_up_as_a1111s_does(steps):
    """The levels of A1111's defaults, in legs of k-diffusion's Heun."""
    sigmas = spread(steps)
    restarts, length = (0, 0) if steps < 20 else (1, 9) if steps < 36 else (2, steps // 4)
    down = (
        sigmas if steps < 20 else sampling.get_sigmas_karras(steps - restarts * length, sigmas[-2], sigmas[0]).tolist()
    )
    low, high = (int(numpy.abs(numpy.array(down) - k).argmin()) for k in (0.1, 2))
    again = sampling.get_sigmas_karras(length + 1, down[low], down[high]).tolist()[:-1]

    denoiser, draw, x = Denoiser(), draws(), start_at(sigmas[0])
    for i in range(len(down) - 1):
        x = heun_leg(denoiser, x, down[i], down[i + 1])
        for _ in range(restarts if i + 1 == low else 0):
            x = x + (again[0] ** 2 - again[-1] ** 2) ** 0.5 * draw()
            for start, end in zip(again, again[1:]):
                x = heun_leg(denoiser, x, start, end)

    found = ended_at("restart", sigmas, start_at(sigmas[0]))
    assert_as_k_diffusion("restart", (x, len(denoiser.sigmas)), found)
    assert len(found["steps"]) == steps


# --- diffusers -------------------------------------------------------------------------------------------------------


def scheduler_of(kind, **settings):
    return kind(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **settings)


def drawn_by(scheduler, start, takes_generator: bool):
    """Its end, and how often it asked. All of these walk in k-diffusion's terms."""
    generator = torch.Generator("cpu").manual_seed(SEED)
    x, calls = start, 0
    for t in scheduler.timesteps:
        answer = network(scheduler.scale_model_input(x, t), t.float())
        x = scheduler.step(answer, t, x, **({"generator": generator} if takes_generator else {})).prev_sample
        calls += 1
    return x, calls


def levels_of(sigmas, timesteps) -> list[dict]:
    return [
        {"timestep": t, "alpha": 1 / (1 + s * s) ** 0.5, "sigma": s / (1 + s * s) ** 0.5}
        for s, t in zip(sigmas, [*timesteps, None], strict=True)
    ]


TWICE = ("heun", "dpm2", "dpm2_a", "dpmpp_sde")  # their lists hold each level twice
SCHEDULERS = {
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler_a": (diffusers.EulerAncestralDiscreteScheduler, {"eta": 1}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "dpm2": (diffusers.KDPM2DiscreteScheduler, {}),
    "dpm2_a": (diffusers.KDPM2AncestralDiscreteScheduler, {"eta": 1}),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "dpmpp_sde": (diffusers.DPMSolverSDEScheduler, {"eta": 1}),
}


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_samplers_are_diffusers(sampler, spacing):
    kind, options = SCHEDULERS[sampler]
    scheduler = scheduler_of(kind, timestep_spacing=spacing)
    scheduler.set_timesteps(12)
    twice = sampler in TWICE
    timesteps = scheduler.timesteps.tolist()[:: 2 if twice else 1]
    sigmas = scheduler.sigmas.double().tolist()
    sigmas = [sigmas[0], *sigmas[1 :: 2 if twice else 1][: len(timesteps) - 1], 0.0]
    if sampler == "dpmpp_sde":
        scheduler.noise_sampler = BrownianPath()

    start = start_at(sigmas[0])
    if sampler == "lms":
        # diffusers extrapolates to sigma 0 as well; its steps before that are ours.
        found = ended_at(sampler, sigmas, start, options, levels=levels_of(sigmas, timesteps))
        scheduler.timesteps = scheduler.timesteps[:-1]
        wanted, calls = drawn_by(scheduler, start, False)
        last = found["steps"][-2]
        assert difference(torch.tensor(last["x"]).view(SHAPE) / last["alpha"], wanted) < CLOSE
        return
    wanted, calls = drawn_by(scheduler, start, sampler in ("euler_a", "dpm2_a"))
    found = ended_at(sampler, sigmas, start, options, levels=levels_of(sigmas, timesteps))
    assert difference(found["x"], wanted) < CLOSE
    assert len(found["timesteps"]) == calls


def test_dpmpp_2s_is_diffusers_singlestep():
    """Its steps of order 2 have their middle on the list: with levels evenly spaced in log sigma, where we put it."""
    scheduler = scheduler_of(
        diffusers.DPMSolverSinglestepScheduler,
        solver_order=2,
        algorithm_type="dpmsolver++",
        solver_type="midpoint",
        use_exponential_sigmas=True,
    )
    scheduler.set_timesteps(13)  # six steps of order 2 and one to sigma 0
    assert scheduler.order_list == [1, 2] * 6 + [1]
    sigmas = scheduler.sigmas.double().tolist()
    start = start_at(sigmas[0])
    x = start / (1 + sigmas[0] ** 2) ** 0.5
    scheduler._step_index = 0
    for t, sigma in zip(scheduler.timesteps, sigmas):
        # It rounds timesteps down; ours are not rounded.
        x = scheduler.step(network(x, torch.tensor(timestep_of(sigma))), t, x).prev_sample
    found = ended_at("dpmpp_2s_a", [*sigmas[:-1:2], 0], start, {"eta": 0})
    assert difference(found["x"], x) < CLOSE


# --- flow ------------------------------------------------------------------------------------------------------------


def shifted(steps: int, first: float = 1) -> list[float]:
    """ComfyUI's `simple` levels with SD3's shift of 3."""
    return [3 * s / (1 + 2 * s) for s in numpy.linspace(first, 0, steps + 1).tolist()]


def test_euler_is_diffusers_for_flow():
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3)
    scheduler.set_timesteps(8)
    x = start_at(1)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t), t, x).prev_sample
    assert difference(flow_ended_at("euler", scheduler.sigmas.tolist(), start_at(1))["x"], x) < CLOSE


@pytest.mark.parametrize("sampler", [*DETERMINISTIC, "lms"])
def test_deterministic_samplers_walk_flow_levels_as_in_comfyui(sampler):
    """Which gives k-diffusion's functions the flow's own sigma and x. The first step, from alpha 0, is Euler's here."""
    function = {**DETERMINISTIC, "lms": sampling.sample_lms}[sampler]
    sigmas, denoiser = shifted(9)[:-1], FlowDenoiser()
    if sampler == "lms":
        x = function(denoiser, start_at(1), torch.tensor(sigmas), disable=True)
    else:
        x = sampling.sample_euler(denoiser, start_at(1), torch.tensor(sigmas[:2]), disable=True)
        x = function(denoiser, x, torch.tensor(sigmas[1:]), disable=True)
    assert_as_k_diffusion(sampler, (x, len(denoiser.sigmas)), flow_ended_at(sampler, sigmas, start_at(1)))


def in_ratios(sampler, x, start: float, end: float, denoiser, **settings):
    """A step of k-diffusion's from flow sigma `start` to `end`, in its terms: sigma / (1 - sigma), x / (1 - sigma)."""

    def told(y, k):
        s = k / (1 + k)
        return denoiser(y * (1 - s), s)

    ratios = torch.tensor([start / (1 - start), end / (1 - end)])
    return ANCESTRAL[sampler](told, x / (1 - start), ratios, disable=True, **settings) * (1 - end)


@pytest.mark.parametrize("eta", [0, 0.5, 1])
@pytest.mark.parametrize("sampler", ["euler_a", "dpm2_a", "dpmpp_2s_a"])
def test_ancestral_samplers_renew_the_noise_of_flow_levels_as_in_comfyui(sampler, eta):
    """Down to sigma_down, then back up with sqrt(sigma² - (alpha sigma_down / alpha_down)²) of fresh noise."""
    sigmas, denoiser, draw, x = shifted(9, 0.98)[:-1], FlowDenoiser(), draws(), start_at(1)
    for start, end in zip(sigmas, sigmas[1:]):
        down = end * (1 + (end / start - 1) * eta)
        if sampler == "dpmpp_2s_a":
            x = in_ratios(sampler, x, start, down, denoiser, eta=0, noise_sampler=lambda *_: 0)
        else:
            plain = {"euler_a": sampling.sample_euler, "dpm2_a": sampling.sample_dpm_2}[sampler]
            x = plain(denoiser, x, torch.tensor([start, down]), disable=True)
        kept = (1 - end) / (1 - down)
        if eta > 0:
            x = kept * x + (end**2 - (kept * down) ** 2) ** 0.5 * draw()
    found = flow_ended_at(sampler, sigmas, start_at(1), {"eta": eta})
    assert_as_k_diffusion(sampler, (x, len(denoiser.sigmas)), found)


@pytest.mark.parametrize("eta", [0, 1])
def test_dpmpp_sde_walks_flow_levels_as_in_comfyui(eta):
    """In log(sigma / alpha), with noise that is a Brownian path in the flow's own sigma."""
    sigmas, denoiser, noise, x = shifted(9, 0.98)[:-1], FlowDenoiser(), BrownianPath(), start_at(1)

    def noise_sampler(start, end):
        return noise(start / (1 + start), end / (1 + end))

    for start, end in zip(sigmas, sigmas[1:]):
        x = in_ratios("dpmpp_sde", x, start, end, denoiser, eta=eta, noise_sampler=noise_sampler)
    found = flow_ended_at("dpmpp_sde", sigmas, start_at(1), {"eta": eta})
    assert_as_k_diffusion("dpmpp_sde", (x, len(denoiser.sigmas)), found)
