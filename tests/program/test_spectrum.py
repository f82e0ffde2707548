"""`steplapse spectrum` and `steplapse paths`: what numpy makes of the run's own tensors and pictures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from harness import make_tiny_bundle

DONE, USAGE, OUTPUT = 0, 2, 4
APPLE = ("red apple", "--seed", 3, "--steps", 5, "--guidance-scale", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("spectrum")


@pytest.fixture(scope="module")
def apple(folder, start) -> Path:
    assert start(folder, *APPLE, "--frames", "x0,xt", "--out", "apple").code == DONE
    return folder / "apple"


@pytest.fixture(scope="module")
def tensors(folder, apple, start) -> dict[str, np.ndarray]:
    assert start(folder, "export", apple, "apple.safetensors").code == DONE
    return {name: value.astype(np.float64) for name, value in load_file(folder / "apple.safetensors").items()}


def rows_in(file: Path) -> list[dict]:
    return list(csv.DictReader(file.open(newline="")))


# ---- spectrum


def spectrum_by_numpy(image: np.ndarray) -> dict[int, tuple[float, int]]:
    """Mean power and number of waves by ring of an image, [C, h, w]."""
    height, width = image.shape[1:]
    power = (np.abs(np.fft.fft2(image)) ** 2).mean(axis=0) / (height * width)
    rows, columns = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    ring = np.floor(np.hypot(rows, columns) * max(height, width) + 0.5 + 1e-9).astype(int)
    return {int(k): (power[ring == k].mean(), int((ring == k).sum())) for k in np.unique(ring)}


def assert_is_spectrum(rows: list[dict], image: np.ndarray) -> None:
    expected = spectrum_by_numpy(image)
    assert [int(row["frequency"]) for row in rows] == sorted(expected)
    for row in rows:
        power, waves = expected[int(row["frequency"])]
        assert int(row["waves"]) == waves
        assert float(row["power"]) == pytest.approx(power, rel=1e-5, abs=1e-9)
    waves = np.array([int(row["waves"]) for row in rows])
    power = np.array([float(row["power"]) for row in rows])
    assert (power * waves).sum() / waves.sum() == pytest.approx((image**2).mean())  # Parseval


def test_the_spectrum_of_latents_is_numpys(run, apple, tensors, tmp_path):
    assert run("spectrum", apple, "--csv", "spectrum.csv", STEPLAPSE_MODEL="nowhere").code == DONE
    rows = rows_in(tmp_path / "spectrum.csv")
    after = [*tensors["xt"], tensors["latents"][0]]  # what a step ends with, the next one asks about
    for kind, images in (("x0", dict(enumerate(tensors["x0"], 1))), ("xt", dict(enumerate(after)))):
        assert {int(row["step"]) for row in rows if row["kind"] == kind} == set(images)
        for step, image in images.items():
            assert_is_spectrum([row for row in rows if row["kind"] == kind and int(row["step"]) == step], image)
    sigma = {int(row["step"]): float(row["sigma"]) for row in rows if row["kind"] == "x0"}
    assert list(sigma.values()) == pytest.approx(tensors["sigma"])


def test_that_of_pictures_is_of_their_luminance(run, apple, tmp_path):
    assert run("spectrum", apple, "--decoder", "full", "--at", "0,2", "--csv", "spectrum.csv").code == DONE
    rows = rows_in(tmp_path / "spectrum.csv")
    assert {(row["kind"], row["step"]) for row in rows} == {("x0", "2"), ("xt", "0"), ("xt", "2")}
    for kind, step in (("x0", 2), ("xt", 2)):
        pixels = np.asarray(Image.open(apple / f"frames/{kind}/{step:04}.png"), dtype=np.float64)
        luminance = pixels @ np.array([0.2126, 0.7152, 0.0722])
        assert_is_spectrum([row for row in rows if (row["kind"], row["step"]) == (kind, str(step))], luminance[None])


def test_bands_are_those_of_the_page_and_all_outputs_say_the_same(run, apple, tensors, tmp_path):
    told = json.loads(run("spectrum", apple, "--json", "--csv", "spectrum.csv").out)
    rows, columns = np.meshgrid(np.fft.fftfreq(4), np.fft.fftfreq(4), indexing="ij")
    share = np.hypot(rows, columns) / 0.5
    bands = {
        "colours": share == 0,
        "coarse form": (share > 0) & (share <= 0.25),
        "middle": (share > 0.25) & (share <= 0.5),
    }
    bands["details"] = share > 0.5
    for step, image in zip(told["x0"], tensors["x0"], strict=True):
        for name, inside in bands.items():
            part = np.fft.ifft2(np.fft.fft2(image) * inside)
            assert step["rms"][name] == pytest.approx(np.sqrt((np.abs(part) ** 2).mean()), rel=1e-5, abs=1e-7)
    from_json = [
        (kind, step["step"], ring["power"]) for kind in ("x0", "xt") for step in told[kind] for ring in step["spectrum"]
    ]
    assert from_json == [
        (row["kind"], int(row["step"]), float(row["power"])) for row in rows_in(tmp_path / "spectrum.csv")
    ]
    lines = [line.split() for line in run("spectrum", apple).out.splitlines()]
    last = next(line for line in lines if line and line[0] == "5")
    details = [f"{value:.3g}" for value in (told["x0"][-1]["rms"]["details"], told["xt"][-1]["rms"]["details"])]
    assert [last[5], last[9]] == details


def test_the_words_say_from_which_step_on_each_band_is_there(run, apple):
    told = json.loads(run("spectrum", apple, "--json").out)
    text = " ".join(run("spectrum", apple).out.split())
    for name in ("colours", "middle", "details"):
        sizes = [step["rms"][name] for step in told["x0"]]
        first = min(k for k in range(1, 6) if all(size >= 0.9 * sizes[-1] for size in sizes[k - 1 :]))
        assert f"{name} from step {first} on" in text


def test_the_plot_has_a_line_for_each_step_that_is_asked_for(run, apple, tmp_path):
    assert run("spectrum", apple, "--at", "1,3,5", "--out", "spectrum.svg").code == DONE
    plot = (tmp_path / "spectrum.svg").read_text()
    assert [plot.count(f">step {step}, sigma") for step in range(6)] == [0, 3, 0, 3, 0, 3]  # x0 twice, and xt
    assert run("spectrum", apple, "--out", "spectrum.png").code == DONE
    Image.open(tmp_path / "spectrum.png").load()


# ---- paths


def paths_by_numpy(runs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Places along two principal components, [n, 2], in rms; and the shares of variance."""
    rows = np.concatenate([run.reshape(len(run), -1) for run in runs])
    u, s, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    places = (u * s)[:, :2] / np.sqrt(rows.shape[1])
    places *= np.sign(places[len(runs[0]) - 1] - places[0])
    return places, (s**2 / (s**2).sum())[:2]


def test_paths_are_numpys_principal_components(run, draw, apple, tensors, tmp_path):
    other = draw("blue whale", "--seed", 4, "--steps", 3, "--sampler", "heun")
    assert run("export", other, "other.safetensors").code == DONE
    x0 = [tensors["x0"], load_file(tmp_path / "other.safetensors")["x0"].astype(np.float64)]
    places, shares = paths_by_numpy(x0)
    ended = run("paths", apple, other, "--csv", "paths.csv", "--json", "--out", "paths.svg", STEPLAPSE_MODEL="nowhere")
    assert (ended.code, ended.err) == (DONE, "")
    told, rows = json.loads(ended.out), rows_in(tmp_path / "paths.csv")
    assert told["shares_of_variance"] == pytest.approx(shares)
    steps = [(str(number), step) for number, each in enumerate(told["runs"], 1) for step in each["steps"]]
    assert [(row["run"], int(row["step"])) for row in rows] == [(number, step["step"]) for number, step in steps]
    for row, (_, step), place in zip(rows, steps, places, strict=True):
        assert (float(row["first"]), float(row["second"])) == (step["first"], step["second"])
        assert (step["first"], step["second"]) == pytest.approx(tuple(place), abs=1e-5)
    assert (tmp_path / "paths.svg").read_text().count('r="5"') == 4  # both ends of both runs
    words = " ".join(run("paths", apple, other).out.split())
    assert f"which carry {100 * shares[0]:.1f} % and {100 * shares[1]:.1f} % of the variance" in words


def test_a_run_alone_has_its_path(run, draw):
    told = json.loads(run("paths", draw("red apple", "--steps", 1), "--json").out)
    assert told["shares_of_variance"] == [0, 0]
    assert [(step["first"], step["second"]) for step in told["runs"][0]["steps"]] == [(0, 0)]


# ---- bad input


def test_what_cannot_be_shown_is_one_line_and_leaves_no_file(run, draw, apple, tmp_path):
    def refused(*arguments, code=USAGE, **more) -> str:
        ended = run(*arguments, **more)
        assert (ended.code, ended.out, len(ended.lines())) == (code, "", 1), ended
        return ended.err

    (tmp_path / "mine.csv").write_text("mine")
    for command in ("spectrum", "paths"):
        assert "ends in .svg or .png" in refused(command, apple, "--out", "plot.jpg", "--csv", "new.csv")
        assert "mine.csv: is there already" in refused(command, apple, "--csv", "mine.csv", code=OUTPUT)
        assert "nowhere" in refused(command, "nowhere")
    assert "--at 6: " in (told := refused("spectrum", apple, "--at", "2,6")) and "has steps 0 to 5" in told
    assert "--decoder" in refused("spectrum", apple, "--decoder", "best")
    wide = draw("red apple", "--steps", 2, "--model", make_tiny_bundle("--family", "sd1"))
    assert "only latents of one shape lie in one space" in refused("paths", apple, wide)
    assert [path.name for path in tmp_path.glob("*.csv")] == ["mine.csv"]
    assert (tmp_path / "mine.csv").read_text() == "mine"
