"""What scripts/measure/theory.py draws stands on: the closed forms of scripts/measure/known_data.py, the bundle made of
them, and a run of the program on it whose error falls as the sampler's order says."""

import math

import numpy
import pytest
import scipy.integrate
import torch

from harness import PROGRAM
from measure import known_data, theory
from steplapse_export.programs import load_program

LEVELS = [(1, 0.01), (0.9, 0.436), (0.6, 0.8), (0.07, 0.9975)]  # alpha, sigma


def at_timestep(t: float) -> tuple[float, float]:
    """alpha and sigma where log(sigma / alpha) is interpolated, as k-diffusion tells a network between timesteps."""
    table = known_data.ALPHAS_CUMPROD.double().numpy()
    ratio = math.exp(numpy.interp(t, numpy.arange(1000), numpy.log((1 - table) / table) / 2))
    return 1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio)


@pytest.fixture
def one_mode(monkeypatch):
    """Both modes are one: the data is N(0.5, 0.3²)."""
    monkeypatch.setattr(known_data, "MODES", (0.5, 0.5))


# --- closed forms ----------------------------------------------------------------------------------------------------


def test_of_a_single_gaussian_the_ode_scales_the_distance_from_the_mean(one_mode):
    """For N(m, s²) it is linear: x = alpha m + (x' - alpha' m) * sqrt(alpha² s² + sigma²) / the same at the start."""
    for start in LEVELS:
        x = start[0] * 0.5 + math.hypot(start[0] * 0.3, start[1]) * numpy.linspace(-3, 3, 7)
        for end in LEVELS:
            wanted = end[0] * 0.5 + math.hypot(end[0] * 0.3, end[1]) * numpy.linspace(-3, 3, 7)
            assert known_data.carried(x, start, end) == pytest.approx(wanted, abs=1e-9)


def test_of_a_single_gaussian_the_posterior_mean_is_wieners(one_mode):
    """Of N(m, s²): m + alpha s² / (alpha² s² + sigma²) * (x - alpha m)."""
    x = numpy.linspace(-3, 3, 13)
    for alpha, sigma in LEVELS:
        wanted = 0.5 + alpha * 0.09 / (alpha**2 * 0.09 + sigma**2) * (x - alpha * 0.5)
        assert known_data.posterior_mean(x, alpha, sigma) == pytest.approx(wanted, rel=1e-12)


def test_what_is_carried_solves_the_probability_flow_ode():
    """In y = x / alpha over k = sigma / alpha: dy/dk = (y - E[x0 | x]) / k (Karras et al. 2022, eq. 1 and 3)."""

    def level(k):
        return 1 / math.hypot(1, k), k / math.hypot(1, k)

    def slope(k, y):
        alpha, sigma = level(k)
        return (y - known_data.posterior_mean(alpha * y, alpha, sigma)) / k

    y = numpy.array([-12.0, -1, 0.1, 0.3, 4])
    solved = scipy.integrate.solve_ivp(slope, (10, 0.1), y, rtol=1e-10, atol=1e-12).y[:, -1]
    (start, _), (end, _) = level(10), level(0.1)
    assert known_data.carried(start * y, level(10), level(0.1)) / end == pytest.approx(solved, abs=1e-7)


@pytest.mark.parametrize("alpha, sigma", LEVELS)
def test_density_mean_and_posterior_are_of_one_distribution(alpha, sigma):
    """Sums over a fine grid: all of the mass, its share below each x, and the mean of x0 by Tweedie's formula,
    alpha E[x0 | x] = x + sigma² d log(density) / dx."""
    x = numpy.linspace(-8, 8, 160001)
    p = known_data.density(x, alpha, sigma)
    below = scipy.integrate.cumulative_trapezoid(p, x, initial=0)
    assert below[-1] == pytest.approx(1, abs=1e-9)
    assert below == pytest.approx(known_data.share_below(x, alpha, sigma), abs=1e-7)
    near = (x > -1.5) & (x < 2)
    score = numpy.gradient(numpy.log(p[near]), x[near])
    assert alpha * known_data.posterior_mean(x[near], alpha, sigma) == pytest.approx(
        x[near] + sigma**2 * score, abs=1e-3
    )


def test_the_named_moments_are_those_of_the_data():
    x = numpy.linspace(-4, 5, 90001)
    p = known_data.density(x)

    def mean_of(values):
        return numpy.trapezoid(p * values, x)

    assert mean_of(x) == pytest.approx(known_data.MEAN)
    assert mean_of((x - known_data.MEAN) ** 2) == pytest.approx(known_data.VARIANCE)
    assert mean_of((x - known_data.MEAN) ** 4) == pytest.approx(known_data.FOURTH_MOMENT)


# --- the bundle and the program ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return theory.Program(PROGRAM, tmp_path_factory.mktemp("theory"))


@pytest.mark.parametrize("timestep", [0, 0.5, 20.25, 500, 731.7, 999])
def test_the_bundles_denoiser_is_the_posterior_mean(program, timestep):
    denoiser = load_program(program.bundle / "denoiser.pt", [program.bundle / "denoiser.safetensors"], torch.float32)
    x = torch.linspace(-3, 3, 50).view(1, 1, 5, 10)
    alpha, sigma = at_timestep(timestep)
    eps = denoiser(x, torch.tensor([float(timestep)]), torch.zeros(1, 1, 1)).double().numpy().ravel()
    x = x.double().numpy().ravel()
    wanted = (x - alpha * known_data.posterior_mean(x, alpha, sigma)) / sigma
    assert eps == pytest.approx(wanted, abs=2e-6 * abs(wanted).max())


def test_the_program_takes_the_bundle(program):
    assert "ok   programs: only allowed operators" in program("model", "verify", program.bundle)


# Between 40 and 80 steps to sigma 0.1, where the error is what the order leaves: docs/sampling.md has all of them.
@pytest.mark.parametrize(
    "name, order", [("ddim", 1), ("heun", 2), ("dpm2", 2), ("dpmpp_2m", 2), ("res_multistep", 2), ("unipc", 2)]
)
def test_errors_fall_with_the_order_of_the_sampler(program, name, order):
    sampler = next(row for row in program.samplers() if row["name"] == name)
    assert sampler["order"] == order
    line = theory.measured_line(program, sampler, (40, 80), theory.SMALLEST_SIGMA)
    assert line.slope() == pytest.approx(order, abs=0.25)


def test_a_whole_runs_error_is_that_of_its_last_step(program):
    heun = next(row for row in program.samplers() if row["name"] == "heun")
    line = theory.measured_line(program, heun, (160,), None)
    assert line.errors[-1] == pytest.approx(theory.last_step_error(), rel=0.05)
