"""What the tests that hold our samplers against other implementations' share: `sample_levels` on our side, and the same
network (see sample_levels.cpp) as k-diffusion and diffusers ask it. Both sides start from the same x, visit the same
levels and draw the same noise, so what is left is the samplers' own arithmetic."""

import functools
import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy
import torch

from harness import BUNDLES

torch.set_num_threads(1)
torch.set_grad_enabled(False)

SAMPLE_LEVELS = BUNDLES.parent / "sample_levels"
SHAPE = (1, 2, 4, 4)
SEED = 7

# Stable Diffusion's training noise.
ALPHAS_CUMPROD = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
TABLE = ((1 - ALPHAS_CUMPROD) / ALPHAS_CUMPROD).sqrt()  # k-diffusion's sigma at each timestep


def load_sampling():
    """k-diffusion's sampling.py without the package around it, whose training half imports much more."""
    folder = Path(importlib.util.find_spec("k_diffusion").submodule_search_locations[0])
    package = types.ModuleType("k_diffusion_alone")
    package.__path__ = []
    utils = types.ModuleType("k_diffusion_alone.utils")
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    sys.modules.update({package.__name__: package, utils.__name__: utils})
    package.utils = utils
    spec = importlib.util.spec_from_file_location("k_diffusion_alone.sampling", folder / "sampling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the network -----------------------------------------------------------------------------------------------------


def network(x, t):
    return 0.9 * torch.tanh(1.1 * x + 0.2 * torch.sin(t / 100)) + 0.1 * torch.cos(3 * x)


def timestep_of(sigma: float) -> float:
    """Between the training timesteps, in log sigma, as k-diffusion's DiscreteSchedule.sigma_to_t finds it."""
    return float(numpy.interp(numpy.log(sigma), TABLE.log().numpy(), numpy.arange(1000)))


class Denoiser:
    """The network as k-diffusion asks it: x = x0 + sigma eps -> x0. Keeps the sigmas it was asked at."""

    def __init__(self):
        self.sigmas = []

    def __call__(self, x, sigma):
        s = float(sigma.reshape(-1)[0])
        self.sigmas.append(s)
        return x - s * network(x / (1 + s * s) ** 0.5, torch.tensor(timestep_of(s), dtype=torch.float32))


class FlowDenoiser:
    """The network as ComfyUI asks a flow model by k-diffusion's functions: x = (1 - sigma) x0 + sigma eps -> x0."""

    def __init__(self):
        self.sigmas = []

    def __call__(self, x, sigma):
        s = float(sigma.reshape(-1)[0])
        self.sigmas.append(s)
        return x - s * network(x, torch.tensor(1000 * s))


def draws(seed: int = SEED):
    """A noise_sampler: the stream that sample_levels draws from."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return lambda *_: torch.randn(SHAPE, generator=generator)


class BrownianPath:
    """What a Brownian tree gives for sigmas in the order they come, when our stream moves it."""

    def __init__(self, draw=None):
        self.draw = draw or draws()
        self.start = self.end = self.moved = None

    def __call__(self, start, end):
        start, end = float(start), float(end)
        if start != self.start:
            self.start, self.end, self.moved = start, start, 0
        self.moved = self.moved + (self.end - end) ** 0.5 * self.draw()
        self.end = end
        return self.moved / (start - end) ** 0.5


# --- ours ------------------------------------------------------------------------------------------------------------


@functools.cache
def running_sample_levels() -> subprocess.Popen:
    return subprocess.Popen([SAMPLE_LEVELS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def sample_levels(**asked) -> dict:
    """One that runs answers all; where it ended, its line on stderr says why, and the next question starts another."""
    process = running_sample_levels()
    print(json.dumps(asked), file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        running_sample_levels.cache_clear()
        raise RuntimeError(f"sample_levels ended with {process.wait()}")
    return json.loads(answer)


def level_of(sigma: float) -> dict:
    alpha = 1 / (1 + sigma * sigma) ** 0.5
    return {"timestep": timestep_of(sigma) if sigma > 0 else None, "alpha": alpha, "sigma": sigma * alpha}


def flow_level_of(sigma: float) -> dict:
    return {"timestep": 1000 * sigma if sigma > 0 else None, "alpha": 1 - sigma, "sigma": sigma}


def ended_at(sampler: str, sigmas, start: torch.Tensor, options: dict | None = None, **more) -> dict:
    """What sample_levels answers, with the end in k-diffusion's terms (x / alpha).

    `sigmas` and `start` are k-diffusion's too: start is x0 + sigma eps at the first of sigmas.
    """
    asked = {
        "sampler": sampler,
        "levels": [level_of(float(sigma)) for sigma in sigmas],
        "seed": SEED,
        "alphas_cumprod": ALPHAS_CUMPROD.tolist(),
        "shape": list(start.shape),
        "options": options or {},
        **more,
    }
    first, last = (asked["levels"][i]["alpha"] for i in (0, -1))
    found = sample_levels(x=(start * first).flatten().tolist(), **asked)
    return {**found, "x": torch.tensor(found["x"]).view(start.shape) / last}


def flow_ended_at(sampler: str, sigmas, start: torch.Tensor, options: dict | None = None) -> dict:
    """The same down flow levels; x is as it is, start is (1 - sigma) x0 + sigma eps."""
    found = sample_levels(
        sampler=sampler,
        levels=[flow_level_of(float(sigma)) for sigma in sigmas],
        seed=SEED,
        shape=list(start.shape),
        x=start.flatten().tolist(),
        prediction_type="flow",
        options=options or {},
    )
    return {**found, "x": torch.tensor(found["x"]).view(start.shape)}


def start_at(sigma: float) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(1)) * sigma


def spread(steps: int, first: float = 999, last: float = 0) -> list[float]:
    """k-diffusion's get_sigmas: evenly spaced timesteps, then 0."""
    timesteps = numpy.linspace(first, last, steps)
    return [*numpy.exp(numpy.interp(timesteps, numpy.arange(1000), TABLE.log().numpy())).tolist(), 0.0]


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest, as a share of max |x|."""
    assert found.shape == wanted.shape
    return ((found.double() - wanted.double()).abs().max() / wanted.abs().max()).item()
