"""steplapse explain: what a log says of how its picture came about."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

APPLE = ["red apple", "--steps", 8, "--seed", 1, "--negative-prompt", "blue whale", "--frames", "none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(scope="module")
def guided(folder, start) -> Path:
    assert start(folder, *APPLE, "--guidance-scale", 3, "--out", "guided").code == 0
    return folder / "guided"


@pytest.fixture
def explained(run):
    """explained(RUN, ...) is what --json says."""

    def explained(*arguments) -> dict:
        told = run("explain", *arguments, "--json")
        assert (told.code, told.err) == (0, "")
        return json.loads(told.out)

    return explained


def rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=np.float64)))))


def first_that_holds(near: list[bool]) -> int | None:
    """The step, from 1, from which on all hold."""
    steps = [k for k in range(1, len(near) + 1) if all(near[k - 1 :])]
    return steps[0] if steps else None


def test_the_numbers_follow_from_the_exported_tensors(run, explained, guided, tmp_path):
    said = explained(guided)
    assert run("export", guided, "run.safetensors").code == 0
    tensors = {name: value.astype(np.float64) for name, value in load_file(tmp_path / "run.safetensors").items()}
    x0, end = tensors["x0"], tensors["latents"][0]
    near = {"rel": 1e-4, "abs": 1e-6}
    for k, step in enumerate(said["steps"]):
        cond, uncond = tensors["cond"][k].ravel(), tensors["uncond"][k].ravel()
        cosine = cond @ uncond / np.linalg.norm(cond) / np.linalg.norm(uncond)
        assert step["cosine"] == pytest.approx(cosine, **near)
        assert step["angle"] == pytest.approx(np.degrees(np.arccos(cosine)), rel=1e-3)
        # x0 = (x - sigma eps) / alpha, and with guidance eps is cond + 2 (cond - uncond)
        moved = tensors["sigma"][k] / tensors["alpha"][k] * 2 * (cond - uncond)
        assert step["guidance_x0_rms"] == pytest.approx(rms(moved), rel=1e-3)
        assert step["x0_rms_to_final"] == pytest.approx(rms(x0[k] - end), **near)
        if k > 0:
            assert step["x0_rms_change"] == pytest.approx(rms(x0[k] - x0[k - 1]), **near)
        if k > 1:
            assert step["x0_second_difference"] == pytest.approx(rms(x0[k] - 2 * x0[k - 1] + x0[k - 2]), **near)
    assert said["steps"][0]["x0_rms_change"] is None and said["steps"][1]["x0_second_difference"] is None
    assert said["final_rms"] == pytest.approx(rms(end), **near)


def test_settling_is_as_the_page_defines_it(run, explained, guided, tmp_path):
    said = explained(guided)
    assert run("export", guided, "run.safetensors").code == 0
    tensors = {name: value.astype(np.float64) for name, value in load_file(tmp_path / "run.safetensors").items()}
    x0, end = tensors["x0"], tensors["latents"][0]
    contrast = rms(end - end.mean(axis=(1, 2), keepdims=True))
    colours = [rms((each - end).mean(axis=(1, 2))) <= 0.1 * contrast for each in x0]
    assert said["settled"]["colours"] == first_that_holds(colours)
    # 4 x 4 latents have frequencies of 1/4 and 1/2, half of the finest and the finest.
    rows, columns = np.meshgrid(np.fft.fftfreq(4), np.fft.fftfreq(4), indexing="ij")
    radius = np.hypot(rows, columns) / 0.5
    assert set(said["settled"]) == {"colours", "middle", "details"}
    for name, inside in (("middle", (radius > 0.25) & (radius <= 0.5)), ("details", radius > 0.5)):

        def size(image, inside=inside):
            return np.linalg.norm(np.abs(np.fft.fft2(image))[:, inside])

        assert said["settled"][name] == first_that_holds([size(each - end) <= 0.1 * size(end) for each in x0])


def test_the_rules_name_the_steps_that_the_page_says(explained, guided):
    said = explained(guided)
    steps, rules = said["steps"], said["leaving_out"]
    alike = first_that_holds([step["cosine"] >= 0.99 for step in steps])
    little = first_that_holds([step["left_out_final_rms"] <= 0.05 * said["final_rms"] for step in steps])
    for name, first in (("alike", alike), ("little", little)):
        assert (rules[name]["from"] if name in rules else None) == first
        if name in rules:
            assert rules[name]["spared"] == 8 - first + 1
            assert rules[name]["estimated_final_rms"] == steps[first - 1]["left_out_final_rms"]
            assert rules[name]["asked"] is None


def test_what_leaving_out_changes_is_asked_and_is_the_picture_of_an_interval(run, explained, guided, tmp_path):
    rules = explained(guided, "--ask")["leaving_out"]
    assert rules
    for name, rule in rules.items():
        first = rule["from"]
        flags = ["--guidance-interval", f"1..{first - 1}", "--guidance-scale", 3]
        assert run(*APPLE, *(flags if first > 1 else ["--guidance-scale", 1]), "--out", name).code == 0
        ended, without = (load_file(path / "final.safetensors")["latents"] for path in (guided, tmp_path / name))
        assert rule["asked"]["final_rms"] == pytest.approx(rms(ended - without), rel=1e-3, abs=1e-6)
        one, other = (np.asarray(Image.open(path / "final.png"), dtype=float) for path in (guided, tmp_path / name))
        assert rule["asked"]["mean_abs"] == pytest.approx(np.abs(one - other).mean(), abs=0.02)


def test_words_and_json_say_the_same(run, explained, guided):
    told, said = run("explain", guided), explained(guided)
    assert (told.code, told.err) == (0, "")
    assert max(map(len, told.out.splitlines())) <= 80
    text = " ".join(told.out.split())
    assert text.startswith("'red apple', seed 1: 8 steps of ddim, guidance scale 3 (done)")
    for part, step in said["settled"].items():
        line = next(line for line in told.out.splitlines() if line.startswith(f"  {part} "))
        assert line.endswith("not before the end" if step is None else f"from step {step} on")
    assert f"the one at {said['last_region']['name']} (" in text
    for rule in said["leaving_out"].values():
        assert f"From step {rule['from']} on the second answer could have been left out" in text
        assert f"Estimate: the end moves by {rule['estimated_final_rms']:.4f}" in text and "--ask asks" in text
    lines = [line.split() for line in told.out.splitlines()]
    table = [cells for cells in lines if len(cells) == 8 and cells[0].isdigit()]
    assert [row[0] for row in table] == [str(step) for step in range(1, 9)]
    for row, step in zip(table, said["steps"], strict=True):
        assert float(row[2]) == pytest.approx(step["angle"], abs=0.006)
        assert float(row[3]) == pytest.approx(step["guidance_x0_rms"], abs=6e-5)


def test_a_run_with_one_answer_says_so(run, explained, tmp_path):
    assert run(*APPLE, "--guidance-scale", 1, "--out", "one").code == 0
    text = " ".join(run("explain", "one", "--ask").out.split())
    assert "The network gave one answer a step (guidance scale 1), so there is no second one to leave out." in text
    said = explained("one")
    assert said["guided_steps"] == 0 and said["leaving_out"] == {}
    assert {step["cosine"] for step in said["steps"]} == {None}


def test_a_decoder_measures_on_its_pictures(run, explained, guided, tiny_bundle, tmp_path):
    said = explained(guided, "--decoder", "linear")
    assert said["measured_on"] == "pictures by the decoder 'linear'"
    assert "coarse form" in said["settled"]  # which 16 x 16 pixels have, and 4 x 4 latents do not
    shutil.copytree(tiny_bundle, tmp_path / "decoders")
    for path in (tmp_path / "decoders").iterdir():
        if path.name != "model.json" and "decoder_linear" not in path.name:
            path.unlink()
    assert explained(guided, "--decoder", "linear", "--model", tmp_path / "decoders") == said


def test_a_run_without_an_end_is_compared_with_its_last_x0(run, explained, guided, tmp_path):
    shutil.copytree(guided, tmp_path / "cut")
    with contextlib.closing(sqlite3.connect(tmp_path / "cut/run.sqlite")) as log:
        log.execute("DELETE FROM calls WHERE step > 4")
        log.execute("DELETE FROM steps WHERE step > 4")
        log.execute("DELETE FROM run WHERE key IN ('ended', 'ended_reason')")
        log.commit()
    told = run("explain", "cut", "--json")
    assert told.code == 0
    assert told.err == "steplapse: warning: cut: was cut off; the end is the last x0 of its log, at step 4\n"
    said = json.loads(told.out)
    assert len(said["steps"]) == 4 and said["steps"][-1]["x0_rms_to_final"] == 0
