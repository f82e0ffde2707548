"""`steplapse compare`: where runs part, by the latents and pictures that the runs themselves wrote."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from harness import make_tiny_bundle

DONE, FAILED, USAGE, OUTPUT = 0, 1, 2, 4
SEED = ("--seed", 3, "--sampler", "ddim", "--schedule", "trailing")


@pytest.fixture
def compared(run):
    """compared(a, b, ...) is what `compare --json` says of runs."""

    def compared(*arguments) -> dict:
        ended = run("compare", *arguments, "--json")
        assert (ended.code, ended.err) == (DONE, "")
        return json.loads(ended.out)

    return compared


def latents_of(folder) -> np.ndarray:
    return load_file(folder / "final.safetensors")["latents"].astype(np.float64)


def pixels_of(file) -> np.ndarray:
    return np.asarray(Image.open(file), np.float64)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def test_the_ends_are_as_far_apart_as_the_files_of_the_runs(draw, compared):
    a, b = draw("red apple", "--steps", 3, *SEED), draw("red apple", "--steps", 6, *SEED)
    other = compared(a, b)["others"][0]
    assert other["final_latents_distance"] == pytest.approx(rms(latents_of(a) - latents_of(b)), rel=1e-5)
    pictures = rms(pixels_of(a / "final.png") - pixels_of(b / "final.png"))
    assert other["final_picture_distance"] == pytest.approx(pictures)


def test_a_run_does_not_part_from_itself(draw, run, compared):
    folder = draw("red apple", "--steps", 3, *SEED)
    told = compared(folder, folder)
    assert told["settings"] == {}
    assert told["others"][0] == {
        "run": 2,
        "parts_at_step": None,
        "final_latents_distance": 0,
        "final_picture_distance": 0,
    }
    assert [point["others"][0]["x0_distance"] for point in told["points"]] == [0, 0, 0]
    text = run("compare", folder, folder).out
    assert "Their settings are the same." in text and "1 and 2 do not part" in text


def test_settings_that_differ_are_listed_and_no_others(draw, compared):
    a = draw("red apple", "--steps", 3, *SEED)
    b = draw("red apple", "--steps", 3, "--guidance-scale", 4, *SEED)
    assert compared(a, b)["settings"] == {"guidance_scale": [default_scale(a), "4"]}


def default_scale(folder) -> str:
    return f"{json.loads((folder / 'run.json').read_text())['guidance_scale']:g}"


# `trailing` with 3 steps visits every second level of 6: the others lie between.
def test_at_equal_sigma_steps_of_one_s_own_are_taken_and_others_interpolated(draw, compared):
    few, many = draw("red apple", "--steps", 3, *SEED), draw("red apple", "--steps", 6, *SEED)
    own = [(point["others"][0]["step"], point["others"][0]["interpolated"]) for point in compared(few, many)["points"]]
    assert own == [(1, False), (3, False), (5, False)]
    between = [point["others"][0] for point in compared(many, few)["points"]]
    assert [point and point["interpolated"] for point in between] == [False, True, False, True, False, None]
    assert 1 < between[1]["step"] < 2 < between[3]["step"] < 3


def test_at_equal_steps_step_k_stands_beside_step_k(draw, compared):
    few, many = draw("red apple", "--steps", 3, *SEED), draw("red apple", "--steps", 6, *SEED)
    told = compared(many, few, "--align", "step")["points"]
    assert [point["others"][0] and point["others"][0]["step"] for point in told] == [1, 2, 3, None, None, None]


def test_frames_that_are_there_are_compared_and_others_decoded_where_a_decoder_is_named(draw, compared):
    a, b = (draw("red apple", "--steps", steps, *SEED, frames="x0") for steps in (3, 6))
    told = [point["others"][0]["picture_distance"] for point in compared(a, b)["points"]]
    expected = [
        rms(pixels_of(a / f"frames/x0/000{i}.png") - pixels_of(b / f"frames/x0/000{j}.png"))
        for i, j in ((1, 1), (2, 3), (3, 5))
    ]
    assert told == pytest.approx(expected)
    decoded = [point["others"][0]["picture_distance"] for point in compared(a, b, "--decoder", "full")["points"]]
    assert decoded == pytest.approx(expected, abs=0.5)


def test_the_strip_has_a_row_a_run_and_is_decoded_where_frames_are_missing(draw, run, tmp_path):
    framed, bare = draw("red apple", "--steps", 3, *SEED, frames="x0"), draw("red apple", "--steps", 6, *SEED)
    ended = run("compare", framed, bare, "--out", "strip.png", "--csv", "points.csv")
    assert (ended.code, ended.err) == (DONE, "")
    strip = Image.open(tmp_path / "strip.png")
    one = pixels_of(framed / "frames/x0/0002.png").repeat(8, 0).repeat(8, 1)  # 16 pixels are shown as 128
    left, top = 8 + 136, 8 + 22
    assert np.array_equal(pixels_of(tmp_path / "strip.png")[top : top + 128, left : left + 128], one)
    assert strip.size == (8 + 4 * 136, 8 + 2 * (22 + 128 + 20))  # three steps and the final picture
    rows = list(csv.DictReader((tmp_path / "points.csv").open(newline="")))
    assert [row["step"] for row in rows] == ["1", "2", "3", "end"]
    again = run("compare", framed, bare, "--out", "strip.png")
    assert again.code == OUTPUT and "strip.png: is there already" in again.err
    assert run("compare", framed, bare, "--out", "strip.png", "--overwrite").code == DONE


def test_too_far_apart_is_exit_code_1(draw, run, compared):
    a, b = draw("red apple", "--steps", 3, *SEED), draw("red apple", "--steps", 6, *SEED)
    distance = compared(a, b)["others"][0]["final_latents_distance"]
    assert run("compare", a, b, "--max-distance", distance * 0.99).code == FAILED
    assert run("compare", a, b, "--max-distance", distance * 1.01).code == DONE


def test_of_different_models_the_pictures_count(draw, run, changed_bundle, compared):
    def rename(manifest):
        manifest["name"] = "other"

    a, b = (
        draw("red apple", "--steps", 3, *SEED),
        draw("red apple", "--steps", 3, *SEED, "--model", changed_bundle(rename)),
    )
    text = run("compare", a, b, "--max-distance", "0.5")
    assert text.code == DONE and "Their models differ" in text.out
    assert run("compare", a, b, "--decoder", "full").code == USAGE


def test_a_run_settles_at_the_step_after_which_its_x0_stays_near_its_end(draw, compared):
    folder = draw("red apple", "--steps", 6, *SEED)
    to_final = [float(row["x0_rms_to_final"]) for row in csv.DictReader((folder / "steps.csv").open())]
    end = rms(latents_of(folder))
    for share in (0.5, 0.1, 0.02):
        steps = [k + 1 for k in range(6) if all(distance <= share * end for distance in to_final[k:])]
        told = compared(folder, folder, "--threshold", share)["runs"][0]["settles_at_step"]
        assert told == (min(steps) if steps else None)


def test_what_cannot_be_compared_is_one_line(draw, run, tmp_path):
    a = draw("red apple", "--steps", 2, *SEED)
    wide = draw("red apple", "--steps", 2, *SEED, "--model", make_tiny_bundle("--family", "sd1"))
    lone = run("compare", a)
    assert (lone.code, lone.lines()) == (USAGE, ["steplapse: one RUN is nothing to compare; name two or more"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/run.sqlite").write_bytes(b"no database" * 100)
    for other, said in (
        ("empty", "holds no run"),
        (wide, "only latents of one shape"),
        ("damaged", "damaged/run.sqlite"),
    ):
        ended = run("compare", a, other)
        assert ended.code != DONE and ended.out == "" and len(ended.lines()) == 1 and said in ended.err
