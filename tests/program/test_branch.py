"""steplapse branch: steps 1 to K are the run's, and after them something is different."""

import csv
import json
import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

APPLE = ["red apple", "--steps", 6, "--seed", 3]
K = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory, start) -> Path:
    """Has the run `apple`; branches go beside it."""
    folder = tmp_path_factory.mktemp("branch")
    assert start(folder, *APPLE, "--out", "apple").code == 0
    assert start(folder, *APPLE, "--sampler", "euler_a", "--out", "noisy").code == 0
    return folder


@pytest.fixture(scope="module")
def branch(folder, start):
    """branch("name", "--at", 3, ...) makes branches of `apple` in the folder of that name."""

    def branch(name: str, *flags, run: str = "apple"):
        ended = start(folder, "branch", run, *flags, "--out", name)
        assert ended.code == 0, ended
        return ended, folder / name

    return branch


def calls(run: Path) -> list[tuple]:
    with sqlite3.connect(run / "run.sqlite") as log:
        return log.execute("SELECT call, step, sigma, latents_sha256, cond_sha256, uncond_sha256 FROM calls").fetchall()


def latents(run: Path) -> np.ndarray:
    return load_file(run / "final.safetensors")["latents"].astype(np.float64)


def settings(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def rms(x: np.ndarray) -> float:
    return math.sqrt(np.square(x).mean())


def test_its_first_steps_are_the_runs_and_then_it_asks_about_the_new_prompt(folder, branch):
    _, pear = branch("pear", "--at", K, "--prompt", "a pear")
    before, after = calls(folder / "apple"), calls(pear)
    assert after[:K] == before[:K]
    assert after[K][:4] == before[K][:4]  # the same latents, and another answer
    assert after[K][4] != before[K][4]
    assert settings(pear)["prompt"] == "a pear"
    with sqlite3.connect(pear / "run.sqlite") as log:
        told = log.execute("SELECT first_step, last_step, text FROM prompts WHERE kind = 'prompt'").fetchall()
    assert told == [(1, K, "red apple"), (K + 1, None, "a pear")]


# A second way to the same result: guidance in an interval of steps.
def test_without_guidance_from_a_step_on_it_is_the_run_with_guidance_before_it(folder, start, branch):
    guided = ["--guidance-scale", 4, *APPLE]
    assert start(folder, *guided, "--out", "guided").code == 0
    assert start(folder, *guided, "--guidance-interval", f"1..{K}", "--out", "interval").code == 0
    _, off = branch("off", "--at", K, "--guidance-scale", 1, run="guided")
    assert np.array_equal(latents(off), latents(folder / "interval"))
    assert (off / "final.png").exists()


def test_the_stream_of_noise_goes_on(folder, branch):
    """With noise of no amount nothing changes, in an ancestral sampler too."""
    _, same = branch("same", "--at", K, "--noise", 0, run="noisy")
    assert np.array_equal(latents(same), latents(folder / "noisy"))


# Euler's method is DDIM with eta 0, and neither has a history.
def test_another_sampler_goes_on_where_the_run_was(folder, start, branch):
    assert start(folder, *APPLE, "--sampler", "euler", "--schedule", "karras", "--out", "euler").code == 0
    _, ddim = branch("ddim", "--at", K, "--sampler", "ddim", run="euler")
    assert np.abs(latents(ddim) - latents(folder / "euler")).max() < 1e-4 * np.abs(latents(folder / "euler")).max()
    assert settings(ddim)["sampler"] == "ddim"


def test_steps_are_laid_out_from_its_level_to_the_end(folder, branch):
    _, finer = branch("finer", "--at", K, "--steps", 8)
    levels = settings(finer)["levels"]["levels"]
    assert settings(finer)["steps"] == K + 8 == len(levels) - 1
    assert levels[: K + 1] == settings(folder / "apple")["levels"]["levels"][: K + 1]
    ratios = [level["sigma"] / level["alpha"] for level in levels]
    assert ratios == sorted(ratios, reverse=True)
    assert len(calls(finer)) == K + 8


def test_several_have_a_table_a_csv_and_a_plot_that_are_true(folder, branch):
    ended, out = branch("several", "--at", "2,4", "--noise", "0.5,2")
    names = [f"000{i}-at-{at}-noise-{x}" for i, (at, x) in enumerate([(2, 0.5), (2, 2), (4, 0.5), (4, 2)], 1)]
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == names
    rows = list(csv.DictReader((out / "branches.csv").open()))
    assert [row["folder"] for row in rows] == names
    run = folder / "apple"
    for row in rows:
        made = out / row["folder"]
        assert float(row["latents_distance"]) == pytest.approx(rms(latents(made) - latents(run)), rel=1e-4)
        pixels = [np.asarray(Image.open(p / "final.png"), dtype=np.float64) for p in (made, run)]
        error = np.square(pixels[0] - pixels[1]).mean()
        psnr = 10 * math.log10(255**2 / error) if error else math.inf
        assert float(row["picture_psnr"]) == pytest.approx(psnr, rel=1e-6)
        assert (row["verdict"] in ("the same", "only slower")) == (psnr >= 40)
        assert row["verdict"] in ended.out
    steps = list(csv.DictReader((out / "branch-steps.csv").open()))
    assert [int(s["step"]) for s in steps if s["folder"] == names[2]] == [5, 6]
    assert "<svg" in (out / "branches.svg").read_text()
    with sqlite3.connect(out / names[0] / "run.sqlite") as log:
        assert log.execute("SELECT step, kind FROM interventions").fetchall() == [(2, "latents")]


def test_noise_in_a_region_changes_the_latents_there_alone(folder, branch, start):
    _, out = branch("region", "--at", K, "--noise", 1, "--region", "0,0,8,8")
    tensors = {}
    for run in (folder / "apple", out):
        assert start(folder, "export", run, f"{run.name}.safetensors", "--what", "xt").code == 0
        tensors[run.name] = load_file(folder / f"{run.name}.safetensors")["xt"][K]  # what step K + 1 asks about
    changed = (tensors["apple"] != tensors["region"]).any(axis=0)
    side = changed.shape[0] * 8 // 16
    assert changed[:side, :side].all()
    assert changed.sum() == side * side


def test_a_branch_is_a_run_for_all_commands(folder, branch, start):
    _, first = branch("first", "--at", K, "--prompt", "a pear", "--sampler", "heun", "--steps", 4)
    replayed = start(folder, "replay", first)
    assert replayed.code == 0 and "identical" in replayed.out, replayed
    for name, flags in {"xt": [], "uncond": []}.items():
        assert start(folder, "render", first, "--frames", name, "--out", f"frames-{name}", *flags).code == 0
    assert start(folder, "explain", first).code == 0
    assert start(folder, "compare", "apple", first).code == 0
    _, second = branch("second", "--at", K + 1, "--noise", 0.5, run="first")
    assert calls(second)[: K + 1] == calls(first)[: K + 1]
    refused = start(folder, "replay", first / "final.png")
    assert refused.code == 2 and "is of a branch" in refused.err


# As if it had been killed after its first steps; the noise may be logged by then, or not.
@pytest.mark.parametrize("noise_is_logged", [True, False])
def test_a_branch_that_was_cut_off_goes_on_to_the_same_bytes(folder, branch, start, noise_is_logged):
    _, whole = branch(f"whole-{noise_is_logged}", "--at", K, "--noise", 0.5, "--prompt", "a pear")
    final = (whole / "final.png").read_bytes()
    kept = K + 1 if noise_is_logged else K
    with sqlite3.connect(whole / "run.sqlite") as log:
        log.execute("DELETE FROM calls WHERE step > ?", (kept,))
        log.execute("DELETE FROM steps WHERE step > ?", (kept,))
        log.execute("DELETE FROM run WHERE key IN ('ended', 'ended_reason', 'frame_steps') OR key LIKE '%_seconds'")
        if not noise_is_logged:
            log.execute("DELETE FROM interventions")
    (whole / "final.png").unlink()
    resumed = start(folder, "resume", whole)
    assert resumed.code == 0, resumed
    assert (whole / "final.png").read_bytes() == final


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--at", 6, "--noise", 1], "--at 6: a branch of this run begins after a step of 1 to 5"),
        (["--at", 0, "--noise", 1], "--at"),
        (["--at", 3], "nothing changes; expected --prompt"),
        (["--at", 3, "--noise", -1], "--noise"),
        (["--at", 3, "--noise", 2, "--keep-variance"], "with --keep-variance expected at most 1"),
        (["--at", 3, "--prompt", "x", "--region", "0,0,4,4"], "--region: needs --noise"),
        (["--at", 3, "--noise", 1, "--region", "10,0,10,4"], "--region 10,0,10,4: expected X,Y,WIDTH,HEIGHT inside"),
        (["--at", 3, "--sampler", "eular"], "did you mean 'euler'?"),
        (["--at", 3, "--steps", 100000], "--steps 100000"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(folder, start, flags, said):
    ended = start(folder, "branch", "apple", *flags, "--out", "refused")
    assert ended.code == 2
    assert len(ended.lines()) == 1 and said in ended.err
    assert not (folder / "refused").exists()
