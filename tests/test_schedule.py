"""`steplapse schedule` lists what diffusers' DDIMScheduler.set_timesteps lists: both work on the same training noise."""

import json
import math

import pytest
from diffusers import DDIMScheduler

# (steps, schedule, steps_offset, set_alpha_to_one). Where a timestep lies at a half, or near it, the ways to compute a
# list part: trailing at 48 and 96, linspace at 27. At 61 diffusers' trailing is odd (below).
SCHEDULES = [
    *((steps, "leading", 1, False) for steps in (1, 3, 30, 333, 999)),
    *((steps, "linspace", 1, False) for steps in (2, 10, 27, 1000)),
    *((steps, "trailing", 1, False) for steps in (1, 30, 48, 61, 96, 1000)),
    *((steps, "leading", 0, True) for steps in (7, 500, 1000)),
    (50, "linspace", 0, True),
    (100, "trailing", 0, True),
]


def scheduler_of(schedule: str, offset: int, set_alpha_to_one: bool) -> DDIMScheduler:
    """As scripts/tiny_pipeline.py has it, but for these."""
    return DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
                         timestep_spacing=schedule, steps_offset=offset, set_alpha_to_one=set_alpha_to_one)


def timesteps_of(scheduler: DDIMScheduler, steps: int) -> list[int]:
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.tolist()
    # At 61 steps and some others, arange(1000, 0, -1000 / steps) goes one too far, to 1e-13, and trailing ends with
    # timestep -1, which no network knows.
    return timesteps[:-1] if timesteps[-1] == -1 else timesteps


@pytest.fixture
def bundle_of(changed_bundle):
    def bundle_of(scheduler: DDIMScheduler):
        def change(manifest):
            manifest["training_noise"]["steps_offset"] = scheduler.config.steps_offset
            manifest["training_noise"]["final_alpha_cumprod"] = float(scheduler.final_alpha_cumprod)

        return changed_bundle(change)

    return bundle_of


@pytest.mark.parametrize("steps, schedule, offset, set_alpha_to_one", SCHEDULES)
def test_levels_are_those_of_diffusers(run, bundle_of, steps, schedule, offset, set_alpha_to_one):
    scheduler = scheduler_of(schedule, offset, set_alpha_to_one)
    ended = run("schedule", "--json", "--steps", steps, "--schedule", schedule, "--model", bundle_of(scheduler))
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["init_scale"] == scheduler.init_noise_sigma

    *levels, last = found["levels"]
    timesteps = timesteps_of(scheduler, steps)
    assert [level["timestep"] for level in levels] == timesteps
    alphas_cumprod = scheduler.alphas_cumprod.double()[timesteps].tolist()
    assert [level["alpha"] for level in levels] == pytest.approx([math.sqrt(a) for a in alphas_cumprod], abs=1e-12)
    assert [level["sigma"] for level in levels] == pytest.approx([math.sqrt(1 - a) for a in alphas_cumprod], abs=1e-12)

    final = float(scheduler.final_alpha_cumprod)
    assert last["timestep"] == (None if set_alpha_to_one else 0)
    assert (last["alpha"], last["sigma"]) == pytest.approx((math.sqrt(final), math.sqrt(1 - final)), abs=1e-12)


def test_a_table_has_a_row_a_level(run, tiny_bundle):
    ended = run("schedule", "--steps", 4, "--schedule", "trailing")
    assert (ended.code, ended.err) == (0, "")
    header, *rows = ended.out.splitlines()
    assert header.split() == ["step", "timestep", "alpha", "sigma", "sigma/alpha"]
    table = json.loads((tiny_bundle / "model.json").read_text())["training_noise"]["alphas_cumprod"]
    wanted = [(step, timestep, math.sqrt(table[timestep]), math.sqrt(1 - table[timestep]),
               math.sqrt(1 / table[timestep] - 1)) for step, timestep in enumerate([999, 749, 499, 249, 0])]
    assert [tuple(map(float, row.split())) for row in rows] == [pytest.approx(row, abs=1e-6) for row in wanted]


def test_a_last_level_without_a_timestep_has_a_dash(run, bundle_of):
    model = bundle_of(scheduler_of("leading", 0, True))
    rows = run("schedule", "--steps", 1, "--schedule", "trailing", "--model", model).out.splitlines()
    assert rows[2].split() == ["1", "-", "1.000000", "0.000000", "0.000000"]


def test_steps_and_schedule_are_the_bundles_where_none_are_named(run):
    said = run("schedule", "--json", "--steps", 30, "--schedule", "leading")
    assert run("schedule", "--json").out == said.out


REFUSALS = [
    (501, "leading with 501 steps would start at timestep 501, not at the noisiest, 999; use at most 500 steps, or "
          "trailing or linspace"),
    (998, "leading with 998 steps would start at timestep 998, not at the noisiest, 999; use at most 500 steps, or "
          "trailing or linspace"),
    (1000, "leading with offset 1 and 1000 steps would start at timestep 1000, outside the model's 0 to 999; use "
           "trailing or linspace"),
    (1001, "1001 steps asked, the model was trained on timesteps 0 to 999: use 1 to 1000"),
]


@pytest.mark.parametrize("steps, reason", REFUSALS)
def test_leading_is_refused_where_it_would_not_start_in_noise(run, steps, reason):
    ended = run("schedule", "--steps", steps)
    assert (ended.code, ended.out) == (2, "")
    assert ended.lines() == [f"steplapse: --steps {steps}: {reason}"]


@pytest.mark.parametrize("schedule, steps, first", [("leading", 1, 1), ("linspace", 1, 0)])
def test_a_start_with_little_noise_gets_a_warning(run, schedule, steps, first):
    ended = run("schedule", "--json", "--steps", steps, "--schedule", schedule)
    assert ended.code == 0
    assert json.loads(ended.out)["levels"][0]["timestep"] == first
    assert ended.lines() == [f"steplapse: warning: --schedule {schedule} with 1 step starts at timestep {first} of 1000, "
                             "where the network expects little noise; --schedule trailing starts at the noisiest"]
