"""steplapse export: a run's log as tensors."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from harness import ROOT

APPLE = ["red apple", "--steps", 5, "--seed", 1, "--negative-prompt", "blue whale", "--frames", "none"]
NAMES = {"step", "timestep", "alpha", "sigma", "xt", "x0", "eps", "cond", "uncond", "latents"}


@pytest.fixture(scope="module")
def guided(tmp_path_factory, start) -> Path:
    folder = tmp_path_factory.mktemp("export")
    assert start(folder, *APPLE, "--out", "run").code == 0
    return folder / "run"


@pytest.fixture
def exported(run, tmp_path):
    """exported(RUN, "--at", ...) is the file's tensors."""

    def exported(folder: Path, *flags) -> dict[str, np.ndarray]:
        told = run("export", folder, "run.safetensors", "--overwrite", *flags)
        assert (told.code, told.err) == (0, "")
        return load_file(tmp_path / "run.safetensors")

    return exported


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def test_rows_belong_together(exported, guided):
    """DDIM in float64: eps by the formula of guidance, xt = alpha x0 + sigma eps, and the next xt from both."""
    tensors = exported(guided)
    assert set(tensors) == NAMES
    assert tensors["step"].tolist() == [1, 2, 3, 4, 5]
    for name in ("xt", "x0", "eps", "cond", "uncond"):
        assert (tensors[name].shape, tensors[name].dtype) == ((5, 4, 4, 4), np.float32), name
    alpha, sigma = (tensors[name].reshape(-1, 1, 1, 1) for name in ("alpha", "sigma"))
    x0, eps, xt, cond, uncond = (tensors[name].astype(np.float64) for name in ("x0", "eps", "xt", "cond", "uncond"))
    near = {"atol": 1e-5 * np.abs(xt).max()}
    np.testing.assert_allclose(eps, uncond + 5 * (cond - uncond), **near)
    np.testing.assert_allclose(alpha * x0 + sigma * eps, xt, **near)
    np.testing.assert_allclose((alpha[1:] * x0[:-1] + sigma[1:] * eps[:-1]), xt[1:], **near)
    np.testing.assert_array_equal(tensors["latents"], load_file(guided / "final.safetensors")["latents"])


def test_the_levels_are_those_of_the_table(exported, guided):
    tensors = exported(guided)
    header, *table = [line.split(",") for line in (guided / "steps.csv").read_text().splitlines()]
    for name in ("step", "timestep", "alpha", "sigma"):
        column = [float(row[header.index(name)]) for row in table]
        np.testing.assert_array_equal(tensors[name], column)
    distances = [float(row[header.index("x0_rms_to_final")]) for row in table]
    assert [rms(x0 - tensors["latents"][0]) for x0 in tensors["x0"]] == pytest.approx(distances, rel=1e-5)


def test_steps_and_names_are_chosen(exported, guided):
    every, some = exported(guided), exported(guided, "--what", "x0,uncond", "--at", "2,5")
    assert set(some) == {"step", "timestep", "alpha", "sigma", "x0", "uncond", "latents"}
    for name in set(some) - {"latents"}:
        np.testing.assert_array_equal(some[name], every[name][[1, 4]])


def test_the_files_metadata_say_how_the_run_was_made(exported, guided, tmp_path):
    exported(guided)
    with safe_open(tmp_path / "run.safetensors", framework="np") as file:
        about = file.metadata()
    assert {key: about[key] for key in ("prompt", "negative_prompt", "seed", "sampler", "model", "ended")} == {
        "prompt": "red apple",
        "negative_prompt": "blue whale",
        "seed": "1",
        "sampler": "ddim",
        "model": "tiny",
        "ended": "done",
    }
    assert (about["prediction_type"], float(about["guidance_scale"])) == ("epsilon", 5)


def test_an_answer_that_was_not_asked_is_nan_or_absent(run, exported, tmp_path):
    assert run(*APPLE, "--guidance-interval", "2..3", "--out", "some").code == 0
    uncond = exported(tmp_path / "some")["uncond"]
    assert np.isnan(uncond).all(axis=(1, 2, 3)).tolist() == [True, False, False, True, True]
    assert np.isfinite(uncond[1:3]).all()
    assert run(*APPLE, "--guidance-scale", 1, "--out", "none").code == 0
    assert set(exported(tmp_path / "none")) == NAMES - {"uncond"}
    told = run("export", "none", "other.safetensors", "--what", "uncond")
    assert (told.code, told.err) == (
        2,
        "steplapse: --what uncond: the network was not asked for uncond in these steps; leave it out\n",
    )


@pytest.mark.parametrize(
    "arguments, code, error",
    [
        (["x.pt"], 2, "'x.pt': expected a file that ends in .safetensors"),
        (["x.safetensors", "--what", "x0,noise"], 2, "--what 'noise': choose from xt, x0, eps, cond, uncond"),
        (["x.safetensors", "--at", "6"], 2, "--at 6: {run} has steps 1 to 5"),
        (
            ["there.safetensors"],
            4,
            "there.safetensors: is there already; name another file, or --overwrite to replace it",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(run, guided, tmp_path, arguments, code, error):
    (tmp_path / "there.safetensors").write_text("mine")
    told = run("export", guided, *arguments)
    assert (told.code, told.err) == (code, f"steplapse: {error.format(run=guided)}\n")
    assert {path.name for path in tmp_path.iterdir()} == {"there.safetensors"}
    assert (tmp_path / "there.safetensors").read_text() == "mine"


def test_the_pages_lines_of_python_run(run, guided, tmp_path):
    page = (ROOT / "docs/runs.md").read_text()
    assert "steplapse export RUN red-apple.safetensors" in page
    assert run("export", guided, "red-apple.safetensors").code == 0
    lines = page.split("```python\n")[1].split("```")[0]
    said = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    first, *steps = said.stdout.splitlines()
    assert first.startswith("red apple ddim worst error: ") and float(first.split()[-1]) < 1e-3
    assert [line.split()[0] for line in steps] == ["1", "2", "3", "4", "5"]


def test_no_bundle_is_needed(run, guided, tmp_path):
    shutil.copytree(guided, tmp_path / "moved")
    assert run("export", "moved", "x.safetensors", STEPLAPSE_MODEL="/nowhere").code == 0
    assert run("explain", "moved", STEPLAPSE_MODEL="/nowhere").code == 0
