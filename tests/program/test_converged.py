"""A run ends where x0 has settled, or says where it would have ended.

The rule is computed here once more, from steps.csv of a whole run: x0_rms_change, as a share of the model's x0_rms, is
below the threshold in three steps in a row, of which the last is not before two thirds of the steps.
"""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

DRAW = ["red apple", "--steps", 12, "--seed", 1, "--max-batch", 1, "--threads", 1]
HUGE = 1000


def facts_of(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def rows_of(folder: Path) -> list[dict]:
    with open(folder / "steps.csv", newline="") as table:
        return list(csv.DictReader(table))


def changes_of(folder: Path, model: Path) -> list[float]:
    """Of x0 at each step from 2 on, as a share of the rms of clean latents."""
    usual = json.loads((model / "model.json").read_text())["x0_rms"]["value"]
    return [float(row["x0_rms_change"]) / usual for row in rows_of(folder)[1:]]


def settled_at(changes: list[float], threshold: float, least: int) -> int:
    for step in range(least, len(changes) + 1):
        if all(change < threshold for change in changes[step - 4 : step - 1]):
            return step
    raise AssertionError("it does not settle before its end")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(float)


@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "heun", "dpmpp_2m_sde"])
def test_a_run_ends_where_its_x0_has_settled(run, tmp_path, tiny_bundle, sampler):
    draw = [*DRAW, "--sampler", sampler]
    assert run(*draw, "--out", "whole").code == 0
    changes = changes_of(tmp_path / "whole", tiny_bundle)
    # Just above the largest change of steps 9 to 11, so that it settles by step 11.
    threshold = 1.001 * max(changes[7:10])
    step = settled_at(changes, threshold, least=8)
    ended = run(*draw, "--stop-when-converged", threshold, "--out", "stopped")
    assert ended.code == 0 and ended.out.startswith("stopped: stopped/final.png"), ended
    facts = facts_of(tmp_path / "stopped")
    assert facts["ended"] == "stopped" and facts["stop_when_converged"] == threshold
    assert facts["ended_reason"].startswith("converged: x0 changed less than ")
    assert facts["ended_reason"].endswith(f" for 3 steps, after step {step}")
    assert ended.out.splitlines()[1] == facts["ended_reason"]
    frame = f"frames/x0/{step:04}.png"
    assert (tmp_path / "stopped" / frame).read_bytes() == (tmp_path / "whole" / frame).read_bytes()
    assert (pixels(tmp_path / "stopped/final.png") == pixels(tmp_path / "whole" / frame)).all()
    assert not (tmp_path / f"stopped/frames/x0/{step + 1:04}.png").exists()

    ended = run(*draw, "--would-stop", threshold, "--out", "would")
    assert ended.code == 0 and f"\nwould have stopped after step {step} of 12: " in ended.out, ended
    assert (tmp_path / "would/final.png").read_bytes() == (tmp_path / "whole/final.png").read_bytes()
    whole, found = facts_of(tmp_path / "would"), facts_of(tmp_path / "would")["would_have_stopped"]
    assert (whole["ended"], found["step"], found["threshold"]) == ("done", step, threshold)
    calls = [int(rows_of(tmp_path / out)[-1]["denoiser_calls"]) for out in ("would", "stopped")]
    saved = calls[0] - calls[1]
    assert found["denoiser_calls_saved"] == saved > 0
    square = ((pixels(tmp_path / "stopped/final.png") - pixels(tmp_path / "would/final.png")) ** 2).mean()
    if square == 0:
        assert found["psnr"] is None
    else:
        assert found["psnr"] == pytest.approx(10 * math.log10(255**2 / square))


@pytest.mark.parametrize("steps, last", [(12, 8), (10, 7), (5, 4), (4, 4), (3, 3)])
def test_however_large_the_threshold_two_thirds_of_the_steps_are_made(run, tmp_path, steps, last):
    """And four of them: three changes in a row. A run as short as that is done."""
    draw = ["red apple", "--seed", 1, "--steps", steps, "--frames", "none", "--out", "out"]
    assert run(*draw, "--stop-when-converged", HUGE).code == 0
    assert (len(rows_of(tmp_path / "out")), facts_of(tmp_path / "out")["ended"]) == (
        last,
        "done" if last == steps else "stopped",
    )


def test_an_adaptive_sampler_makes_four_steps_at_least(run, tmp_path):
    draw = ["red apple", "--seed", 1, "--sampler", "dpm_adaptive"]
    assert run(*draw, "--stop-when-converged", HUGE, "--out", "out").code == 0
    assert (
        facts_of(tmp_path / "out")["ended_reason"] == "converged: x0 changed less than 1000 for 3 steps, after step 4"
    )
    assert (pixels(tmp_path / "out/final.png") == pixels(tmp_path / "out/frames/x0/0004.png")).all()
    ended = run(*draw, "--would-stop", HUGE, "--frames", "none", "--out", "would")
    steps = len(rows_of(tmp_path / "would"))
    assert f"\nwould have stopped after step 4 of {steps}: " in ended.out


def test_below_0_nothing_changes_so_the_run_is_made_whole(run, tmp_path):
    assert run(*DRAW, "--out", "whole").code == 0
    assert run(*DRAW, "--stop-when-converged", 0, "--out", "zero").code == 0
    assert facts_of(tmp_path / "zero")["ended"] == "done"
    assert (tmp_path / "zero/final.png").read_bytes() == (tmp_path / "whole/final.png").read_bytes()
    ended = run(*DRAW, "--would-stop", 0, "--out", "would")
    assert "\nwould not have stopped before its end: x0 did not change less than 0 for 3 steps\n" in ended.out
    found = facts_of(tmp_path / "would")["would_have_stopped"]
    assert found == {"threshold": 0, "step": None, "denoiser_calls_saved": 0, "psnr": None}


def test_the_number_may_be_left_out_also_before_the_prompt(run, tmp_path):
    for place, words in enumerate(
        (
            ["--stop-when-converged", *DRAW],
            [*DRAW, "--stop-when-converged"],
            ["--stop-when-converged", 0.02, *DRAW],
            ["--stop-when-converged=0.02", *DRAW],
        )
    ):
        ended = run(*words, "--frames", "none", "--out", f"{place}")
        assert ended.code == 0, ended
        facts = facts_of(tmp_path / f"{place}")
        assert (facts["prompt"], facts["stop_when_converged"], facts["would_stop"]) == ("red apple", 0.02, None)


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--stop-when-converged", -1], "--stop-when-converged '-1': expected a number of 0 or more"),
        (["--would-stop", "nan"], "--would-stop 'nan': expected a number of 0 or more"),
        (["--would-stop=much"], "--would-stop 'much': expected a number of 0 or more"),
        (
            ["--would-stop", "--stop-when-converged"],
            "--would-stop: can't be together with --stop-when-converged; leave one out",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(run, tmp_path, flags, line):
    ended = run(*DRAW, *flags, "--out", "out")
    assert (ended.code, ended.lines()) == (2, [f"steplapse: {line}"])
    assert not (tmp_path / "out").exists()


def test_several_runs_say_together_what_would_have_been(run, tmp_path):
    draw = [*DRAW, "--count", 3, "--frames", "none"]
    ended = run(*draw, "--would-stop", HUGE, "--out", "would")
    found = [facts_of(folder)["would_have_stopped"] for folder in sorted((tmp_path / "would").iterdir())]
    worst = min(each["psnr"] for each in found)
    assert ended.out.splitlines()[1] == (
        "3 of 3 runs would have stopped before their end, with 12 denoiser calls fewer; "
        f"the worst x0 is {worst:.1f} dB from its final picture"
    )
    ended = run(*draw, "--stop-when-converged", HUGE, "--out", "stopped", "--progress", "json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    done = [event for event in events if event["event"] == "done"]
    assert {event["status"] for event in done} == {"stopped"}
    assert {event["reason"] for event in done} == {"converged: x0 changed less than 1000 for 3 steps, after step 8"}
    assert (events[-1]["done"], events[-1]["stopped"]) == (3, 3)
    latents = load_file(tmp_path / "stopped/0001-red-apple-1/final.safetensors")["latents"]
    assert latents.shape[0] == 1 and np.isfinite(latents).all()
