"""Another tool's name for a sampler gives what that tool gives: `--sampler diffusers:EulerDiscreteScheduler` and the
like, as runs of the program on the tiny bundle, against diffusers' own class, or against k-diffusion's own function
on the tool's levels, with the same network and noise. The levels asked at are compared too, by what the network is
told.

What differs on purpose is in docs/sampling.md, "Other tools' names", and here at DIFFERENT.
"""

import functools
import inspect
import json
import subprocess

import diffusers
import numpy
import pytest
import scipy.stats
import torch

from harness import PROGRAM, make_tiny_bundle
from parity.levels import BrownianPath, load_sampling
from parity.pipelines import difference, final_of, noise_of
from parity.reference import SHAPE, Reference, calls_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # how diffusers uses numpy
diffusers.logging.set_verbosity_error()  # it names each setting that a class does not know

CLOSE = 1e-4  # of max |x|
SEED = 7

# The tiny bundle's noise is Stable Diffusion's, and this is what Stable Diffusion 1.5 is published with. It has no
# timestep_spacing: each class has its own.
CONFIG = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "trained_betas": None,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}
BETAS = torch.linspace(CONFIG["beta_start"] ** 0.5, CONFIG["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
ALPHAS_CUMPROD = torch.cumprod(1 - BETAS, 0)
SIGMAS = ((1 - ALPHAS_CUMPROD) / ALPHAS_CUMPROD).sqrt().numpy()  # k-diffusion's

SAMPLERS = json.loads(
    subprocess.run([PROGRAM, "samplers", "--json"], capture_output=True, text=True, check=True).stdout
)
NAMES = [name for sampler in SAMPLERS for name in sampler["aliases"]]


def names_of(tool: str) -> list[str]:
    return [name for name in NAMES if name.startswith(tool + ":")]


class Network:
    """The tiny bundle's denoiser, told of the prompt; it keeps the timesteps it was told. What its answer is taken for,
    the bundle says."""

    def __init__(self):
        reference = tiny_reference()
        self.denoiser, self.conditioning = reference.denoiser, reference.encode("red apple")
        self.timesteps = []

    def __call__(self, x, timestep):
        self.timesteps.append(float(timestep))
        return self.denoiser(x, torch.tensor([float(timestep)]), self.conditioning)


@functools.cache
def tiny_reference() -> Reference:
    return Reference(make_tiny_bundle())


@pytest.fixture
def end_of(draw):
    """end_of("a1111:Euler", 20, "--eta", 0) is the run's last latents, and the timesteps that its network was told."""

    def end_of(name: str, steps: int, *flags):
        folder = draw("red apple", "--sampler", name, "--steps", steps, "--seed", SEED, "--guidance-scale", 1, *flags)
        return final_of(folder), [timestep for timestep, _, _ in calls_of(folder)]

    return end_of


def assert_same(found, wanted, network: Network) -> None:
    latents, timesteps = found
    assert timesteps == pytest.approx(network.timesteps, abs=2e-3)
    assert difference(latents, wanted) < CLOSE


def draws(generator):
    return lambda *_: torch.randn(SHAPE, generator=generator)


# --- diffusers -------------------------------------------------------------------------------------------------------


def ended_by(scheduler, network, steps: int):
    """diffusers' loop."""
    generator = noise_of(SEED)
    scheduler.set_timesteps(steps)
    x = torch.randn(SHAPE, generator=generator) * getattr(scheduler, "init_noise_sigma", 1)
    if isinstance(scheduler, diffusers.DPMSolverSDEScheduler):
        scheduler.noise_sampler = BrownianPath(draws(generator))  # its own is torchsde's tree, with a seed of its own
    told = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        step = scheduler.step(network(scaled, t), t, x, **told)
        x = step.prev_sample
    # The step to sigma 0 is x0 in ComfyUI's LMS and ours, where diffusers and k-diffusion extrapolate.
    return step.pred_original_sample if isinstance(scheduler, diffusers.LMSDiscreteScheduler) else x


def scheduler_of(name: str, **settings):
    """`Class`, or `Class(algorithm_type)`, as from_config makes it of the model's own config."""
    name, _, algorithm = name.removeprefix("diffusers:").removesuffix(")").partition("(")
    return getattr(diffusers, name).from_config(
        {**CONFIG, **settings, **({"algorithm_type": algorithm} if algorithm else {})}
    )


# Their own tests are below.
DIFFERENT = ("diffusers:IPNDMScheduler", "diffusers:FlowMatchEulerDiscreteScheduler")


@pytest.mark.parametrize("name", [name for name in names_of("diffusers") if name not in DIFFERENT])
def test_diffusers_names_end_where_its_classes_do(end_of, name):
    network = Network()
    wanted = ended_by(scheduler_of(name), network, 20)
    assert_same(end_of(name, 20), wanted, network)


# (PNDM is not among them: of v, diffusers averages v itself over the steps, against the paper; ours averages eps
# always. DEIS goes to diffusers' last level with order 1 where there are fewer than 15 steps; ours never does.)
@pytest.mark.parametrize(
    "name",
    [
        "DDIMScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LMSDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "DEISMultistepScheduler",
        "TCDScheduler",
    ],
)
def test_they_do_so_for_models_that_predict_v_in_few_steps(end_of, changed_bundle, name):
    settings = {"lower_order_final": False} if "DEIS" in name else {}
    network = Network()
    wanted = ended_by(scheduler_of(name, prediction_type="v_prediction", **settings), network, 7)
    bundle = changed_bundle(lambda manifest: manifest["training_noise"].update(prediction_type="v_prediction"))
    assert_same(end_of("diffusers:" + name, 7, "--model", bundle), wanted, network)


@pytest.mark.parametrize(
    "name, schedule, spacing",
    [
        ("EulerDiscreteScheduler", "leading", "leading"),
        ("EulerAncestralDiscreteScheduler", "trailing", "trailing"),
        ("DPMSolverMultistepScheduler", "leading_solver", "leading"),
        ("UniPCMultistepScheduler", "trailing", "trailing"),
        ("DEISMultistepScheduler", "leading_solver", "leading"),
        ("DDIMScheduler", "trailing", "trailing"),
    ],
)
def test_a_spacing_by_name_is_that_of_the_models_config(end_of, name, schedule, spacing):
    """As for Stable Diffusion XL, whose own config says leading."""
    network = Network()
    wanted = ended_by(scheduler_of(name, timestep_spacing=spacing), network, 20)
    assert_same(end_of("diffusers:" + name, 20, "--schedule", schedule), wanted, network)


@pytest.mark.parametrize("shift", [1, 3])
def test_its_flow_euler_ends_where_diffusers_does(end_of, changed_bundle, shift):
    def flow(manifest):
        manifest["training_noise"] = {"prediction_type": "flow", "timestep_spacing": "linspace", "shift": shift}

    network = Network()
    wanted = ended_by(diffusers.FlowMatchEulerDiscreteScheduler(shift=shift), network, 12)
    name = "diffusers:FlowMatchEulerDiscreteScheduler"
    assert_same(end_of(name, 12, "--model", changed_bundle(flow)), wanted, network)


def test_its_ipndm_has_our_levels_since_its_own_are_no_models(end_of):
    """Its levels go from alpha 0 to sigma 0 whatever the model; made of ours it ends where ours does. It wants v."""
    network = Network()
    timesteps = numpy.linspace(0, 999, 21).round()[:0:-1].astype(int).tolist()
    alphas_cumprod = [*ALPHAS_CUMPROD[timesteps].tolist(), ALPHAS_CUMPROD[0].item()]
    scheduler = diffusers.IPNDMScheduler(trained_betas=[(1 - a) ** 0.5 for a in alphas_cumprod])
    scheduler.set_timesteps(20)
    x = torch.randn(SHAPE, generator=noise_of(SEED))
    for t, told, a in zip(scheduler.timesteps[:-1], timesteps[:-1], alphas_cumprod):
        v = (network(x, told) - (1 - a) ** 0.5 * x) / a**0.5
        x = scheduler.step(v, t, x).prev_sample
    a = alphas_cumprod[-2]
    x = (x - (1 - a) ** 0.5 * network(x, timesteps[-1])) / a**0.5  # to sigma 0 with order 1
    assert_same(end_of("diffusers:IPNDMScheduler", 20), x, network)


# --- k-diffusion, and what A1111 and ComfyUI do with it ---------------------------------------------------------------

sampling = load_sampling()


class Denoiser:
    """The network as k-diffusion's CompVisDenoiser asks it: x = x0 + sigma eps -> x0."""

    def __init__(self, network):
        self.network = network

    def __call__(self, x, sigma):
        s = float(sigma.reshape(-1)[0])
        timestep = numpy.interp(numpy.log(s), numpy.log(SIGMAS), numpy.arange(1000))
        return x - s * self.network(x / (1 + s * s) ** 0.5, timestep)


def with_zero(sigmas):
    return torch.tensor([*sigmas, 0.0], dtype=torch.float32)


def at(timesteps):
    return with_zero(numpy.exp(numpy.interp(timesteps, numpy.arange(1000), numpy.log(SIGMAS))))


# The levels of n steps, as each tool's source has them.
def get_sigmas(n):
    return at(numpy.linspace(999, 0, n))


def karras(n):
    return sampling.get_sigmas_karras(n, SIGMAS[0], SIGMAS[-1])


def exponential(n):
    return sampling.get_sigmas_exponential(n, SIGMAS[0], SIGMAS[-1])


def polyexponential(n):
    return sampling.get_sigmas_polyexponential(n, SIGMAS[0], SIGMAS[-1])


def sgm_uniform(n):
    return at(numpy.linspace(999, 0, n + 1)[:-1])


def simple(n):
    return with_zero([SIGMAS[-(1 + int(i * len(SIGMAS) / n))] for i in range(n)])


def ddim_uniform(n):
    return with_zero(SIGMAS[1 :: 1000 // n][::-1])


def comfyui_beta(n):
    shares = 1 - numpy.linspace(0, 1, n, endpoint=False)
    return with_zero(SIGMAS[numpy.rint(scipy.stats.beta.ppf(shares, 0.6, 0.6) * 999).astype(int)])


def a1111_beta(n):
    shares = scipy.stats.beta.ppf(1 - numpy.linspace(0, 1, n), 0.6, 0.6)
    return with_zero(SIGMAS[0] + shares * (SIGMAS[-1] - SIGMAS[0]))


def without_penultimate(levels):
    return lambda n: torch.cat([levels(n + 1)[:-2], levels(n + 1)[-1:]])


def sampled(function: str, sigmas, network, scale, **settings):
    """What k-diffusion's function of this name makes of unit noise times `scale`."""
    function, generator = getattr(sampling, "sample_" + function), noise_of(SEED)
    asks = inspect.signature(function).parameters
    x = torch.randn(SHAPE, generator=generator) * scale
    if "noise_sampler" in asks:
        draw = draws(generator)
        settings["noise_sampler"] = BrownianPath(draw) if function is sampling.sample_dpmpp_sde else draw
    if function is sampling.sample_lms:
        return Denoiser(network)(function(Denoiser(network), x, sigmas[:-1], disable=True), sigmas[-2])
    if "sigmas" in asks:
        return function(Denoiser(network), x, sigmas, disable=True, **settings)
    # DPM fast and DPM adaptive choose the levels between the largest and the smallest, and end there. k-diffusion's x
    # is x0 + sigma eps, ours alpha times that: at sigma 0 it is the same.
    calls = {"n": len(sigmas) - 1} if "n" in asks else {}
    x = function(Denoiser(network), x, float(sigmas[-2]), float(sigmas[0]), disable=True, **calls, **settings)
    return x / (1 + sigmas[-2] ** 2) ** 0.5


def assert_as_sampled(found, function: str, sigmas, scale, **settings) -> None:
    network = Network()
    wanted = sampled(function, sigmas, network, scale, **settings)
    if function != "dpm_adaptive":
        return assert_same(found, wanted, network)
    # The lengths of its steps hang on the answers, which both sides have in float32. Where an error lies at the
    # solver's tolerance, 0.05, rounding decides whether the step is tried again: from there on both are right within
    # that.
    assert found[1][:10] == pytest.approx(network.timesteps[:10], abs=2e-3)
    alike = len(found[1]) == len(network.timesteps)
    assert difference(found[0], wanted) < (3 * CLOSE if alike else 0.05)


@pytest.mark.parametrize("name", names_of("k-diffusion"))
def test_k_diffusions_names_end_where_its_functions_do(end_of, name):
    sigmas = get_sigmas(20)
    assert_as_sampled(end_of(name, 20), name.removeprefix("k-diffusion:sample_"), sigmas, sigmas[0])


# modules/sd_samplers_kdiffusion.py and sd_schedulers.py of A1111 1.10: noise * sigmas[0], the model's own range.
A1111 = [
    ("DPM++ 2M", "dpmpp_2m", karras, {}),
    ("DPM++ 2M Karras", "dpmpp_2m", karras, {}),
    ("DPM++ 2M SGM Uniform", "dpmpp_2m", sgm_uniform, {}),
    ("DPM++ SDE", "dpmpp_sde", karras, {}),
    ("DPM++ 2M SDE", "dpmpp_2m_sde", exponential, {}),
    ("DPM++ 2M SDE Heun", "dpmpp_2m_sde", exponential, {"solver_type": "heun"}),
    ("DPM++ 2M SDE Karras", "dpmpp_2m_sde", karras, {}),
    ("DPM++ 2S a", "dpmpp_2s_ancestral", karras, {}),
    ("DPM++ 3M SDE", "dpmpp_3m_sde", without_penultimate(exponential), {}),
    ("Euler a", "euler_ancestral", get_sigmas, {}),
    ("Euler", "euler", get_sigmas, {}),
    ("Euler Polyexponential", "euler", polyexponential, {}),
    ("Euler Beta", "euler", a1111_beta, {}),
    ("Heun Simple", "heun", simple, {}),
    ("Heun DDIM", "heun", ddim_uniform, {}),
    ("LMS", "lms", get_sigmas, {}),
    ("DPM2", "dpm_2", without_penultimate(karras), {}),
    ("DPM2 a", "dpm_2_ancestral", without_penultimate(karras), {}),
    ("DPM fast", "dpm_fast", get_sigmas, {"eta": 1}),
    ("DPM adaptive", "dpm_adaptive", get_sigmas, {"eta": 1}),
]


@pytest.mark.parametrize("name, function, levels, settings", A1111, ids=[row[0] for row in A1111])
def test_a1111s_names_end_where_it_does(end_of, name, function, levels, settings):
    sigmas = levels(20)
    assert_as_sampled(end_of("a1111:" + name, 20), function, sigmas, sigmas[0], **settings)


def a1111_timesteps(steps: int) -> list[int]:
    return [t + 1 for t in range(0, 1000, 1000 // steps)][::-1]


def ddim_step(x, eps, t: int, to: int):
    a, a_to = ALPHAS_CUMPROD[t].item(), ALPHAS_CUMPROD[to].item()
    return a_to**0.5 * (x - (1 - a) ** 0.5 * eps) / a**0.5 + (1 - a_to) ** 0.5 * eps


def test_a1111s_ddim_ends_at_the_last_of_its_timesteps(end_of):
    """modules/sd_samplers_timesteps_impl.py: its loop has one turn less than there are timesteps."""
    network, x = Network(), torch.randn(SHAPE, generator=noise_of(SEED))
    timesteps = a1111_timesteps(20)
    for t, to in zip(timesteps, timesteps[1:]):
        x = ddim_step(x, network(x, t), t, to)
    assert_same(end_of("a1111:DDIM", 20), x, network)
    assert len(network.timesteps) == 19


def test_a1111s_plms_is_the_first_plms_on_the_same_timesteps(end_of):
    network, x = Network(), torch.randn(SHAPE, generator=noise_of(SEED))
    timesteps, past = a1111_timesteps(20), []
    weights = [(3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24)]
    for t, to in zip(timesteps, timesteps[1:]):
        past = [network(x, t), *past[:3]]
        if len(past) == 1:
            eps = (past[0] + network(ddim_step(x, past[0], t, to), to)) / 2
        else:
            eps = sum(w * old for w, old in zip(weights[len(past) - 2], past, strict=True))
        x = ddim_step(x, eps, t, to)
    assert_same(end_of("a1111:PLMS", 20), x, network)


# comfy/samplers.py: unit noise where the run starts at the model's largest sigma, else noise * sigmas[0]. (It tells the
# network the nearest whole timestep, ours lie between; `simple`, `ddim_uniform` and `beta` have whole ones.)
COMFYUI = [
    ("euler", "euler", simple),
    ("euler_ancestral", "euler_ancestral", simple),
    ("ddim", "euler", simple),
    ("heun ddim_uniform", "heun", ddim_uniform),
    ("dpm_2", "dpm_2", without_penultimate(simple)),
    ("dpm_2_ancestral_karras", "dpm_2_ancestral", without_penultimate(karras)),
    ("dpmpp_2m_karras", "dpmpp_2m", karras),
    ("dpmpp_2m_sgm_uniform", "dpmpp_2m", sgm_uniform),
    ("dpmpp_2m beta", "dpmpp_2m", comfyui_beta),
    ("dpm_fast", "dpm_fast", simple),
    ("dpm_adaptive", "dpm_adaptive", simple),
]


@pytest.mark.parametrize("name, function, levels", COMFYUI, ids=[row[0] for row in COMFYUI])
def test_comfyuis_names_end_where_it_does(end_of, name, function, levels):
    sigmas = levels(20)
    scale = (1 + sigmas[0] ** 2) ** 0.5 if abs(sigmas[0] - SIGMAS[-1]) < 1e-5 * SIGMAS[-1] else sigmas[0]
    assert_as_sampled(end_of("comfyui:" + name, 20), function, sigmas, scale)


# --- all --------------------------------------------------------------------------------------------------------------


HELD = {
    *names_of("diffusers"),
    *names_of("k-diffusion"),
    "a1111:DDIM",
    "a1111:PLMS",
    *("a1111:" + row[0] for row in A1111),
    *("comfyui:" + row[0] for row in COMFYUI),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HELD])
def test_the_other_names_can_be_asked_for(run, name):
    ended = run("red apple", "--sampler", name, "--dry-run")
    assert ended.code == 0, ended.err
    sampler = next(sampler["name"] for sampler in SAMPLERS if name in sampler["aliases"])
    assert f" {sampler}" in ended.out
