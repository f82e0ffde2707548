"""`steplapse sheet`: the steps of runs in one picture, and when pixels settled, by the frames of these runs."""

import csv
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from harness import make_tiny_bundle

DONE, USAGE, REFUSED, OUTPUT = 0, 2, 3, 4
APPLE = ("red apple", "--seed", 3, "--sampler", "ddim", "--schedule", "trailing")
WHITE = 255


def pixels_of(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    return picture.repeat(factor, 0).repeat(factor, 1)


def places_of(picture: np.ndarray, sheet: np.ndarray) -> list[tuple[int, int]]:
    """Where the picture stands in the sheet, pixel for pixel: left and top, row by row."""
    height, width = picture.shape[:2]
    corner = (sheet[: -height + 1, : -width + 1] == picture[0, 0]).all(axis=2)
    found = [(x, y) for y, x in np.argwhere(corner) if (sheet[y : y + height, x : x + width] == picture).all()]
    return [(int(x), int(y)) for x, y in found]


def place_of(picture: np.ndarray, sheet: np.ndarray) -> tuple[int, int]:
    places = places_of(picture, sheet)
    assert len(places) == 1
    return places[0]


def frame(folder: Path, kind: str, step: int) -> np.ndarray:
    return pixels_of(folder / f"frames/{kind}/{step:04}.png")


def rows_of(folder: Path) -> list[dict]:
    return list(csv.DictReader((folder / "steps.csv").open(newline="")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sheet")


@pytest.fixture(scope="module")
def framed(folder, start) -> Path:
    """A run of six steps with all its frames."""
    kinds = "x0,xt,diff,signed_diff,cond,uncond"
    assert start(folder, *APPLE, "--steps", 6, "--guidance-scale", 3, "--frames", kinds, "--out", "framed").code == DONE
    return folder / "framed"


@pytest.fixture
def bare(framed, tmp_path) -> Path:
    """The same run without any picture."""
    shutil.copytree(framed, tmp_path / "bare", ignore=shutil.ignore_patterns("*.png", "frames"))
    return tmp_path / "bare"


@pytest.fixture
def sheet(run, tmp_path):
    """sheet(RUN, "--columns", 3) is what the command draws."""

    def sheet(*arguments) -> np.ndarray:
        ended = run("sheet", arguments[0], "sheet.png", *arguments[1:], "--overwrite")
        assert (ended.code, ended.out, ended.err) == (DONE, "sheet.png\n", "")
        return pixels_of(tmp_path / "sheet.png")

    return sheet


# ---- pictures


def test_a_row_has_the_frames_of_its_kind_from_left_to_right(framed, sheet):
    drawn = sheet(framed, "--rows", "x0,xt,diff,signed_diff,cond,uncond")
    tops = []
    for kind, first in (("x0", 1), ("xt", 1), ("diff", 2), ("signed_diff", 2), ("cond", 1), ("uncond", 1)):
        places = [place_of(enlarged(frame(framed, kind, step), 8), drawn) for step in range(first, 7)]
        assert [left for left, _ in places] == [8 + 136 * (step - 1) for step in range(first, 7)]
        assert len({top for _, top in places}) == 1
        tops.append(places[0][1])
    assert tops == sorted(tops)


def test_a_run_without_frames_is_rendered_and_gives_the_same_bytes(framed, bare, run, tmp_path):
    for name, folder in (("framed", framed), ("bare", bare)):
        assert run("sheet", folder, f"{name}.png", "--rows", "x0,diff,cond").code == DONE
    assert (tmp_path / "framed.png").read_bytes() == (tmp_path / "bare.png").read_bytes()


def test_an_unfinished_run_is_shown_as_far_as_its_log_goes(bare, sheet, framed):
    with sqlite3.connect(bare / "run.sqlite") as log:
        log.execute("DELETE FROM calls WHERE step > 3")
        log.execute("DELETE FROM steps WHERE step > 3")
        log.execute("DELETE FROM run WHERE key IN ('ended', 'ended_reason', 'frame_steps')")
    log.close()
    drawn = sheet(bare, "--rows", "x0")
    assert place_of(enlarged(frame(framed, "x0", 3), 8), drawn)[0] == 8 + 2 * 136
    assert not places_of(enlarged(frame(framed, "x0", 4), 8), drawn)


def test_pictures_are_shown_at_the_scale_that_is_asked_for(framed, sheet):
    place_of(enlarged(frame(framed, "x0", 6), 3), sheet(framed, "--rows", "x0", "--scale", 3))
    squares = frame(framed, "x0", 6).astype(int).reshape(8, 2, 8, 2, 3).sum(axis=(1, 3))
    place_of(((squares + 2) // 4).astype(np.uint8), sheet(framed, "--rows", "x0", "--scale", "1/2"))


# What the page says: divided by sqrt(alpha² + sigma²), -3 is black and 3 white.
def test_latents_are_a_grey_picture_for_each_channel(framed, sheet):
    drawn = sheet(framed, "--rows", "latents", "--columns", 2)
    for channel in load_file(framed / "final.safetensors")["latents"][0]:
        grey = np.floor(np.clip(channel / 3, -1, 1) * 127.5 + 128).clip(0, 255).astype(np.uint8)
        assert place_of(enlarged(np.stack([grey] * 3, axis=2), 32), drawn)[0] == 8 + 136


# ---- which steps


def steps_in(drawn: np.ndarray, folder: Path, steps: int) -> list[int]:
    return [step for step in range(1, steps + 1) if places_of(enlarged(frame(folder, "x0", step), 8), drawn)]


def test_columns_lie_evenly_in_what_is_asked_for(framed, sheet):
    rows = rows_of(framed)
    change = np.cumsum([float(row["x0_rms_change"] or 0) for row in rows])
    sigma = -np.log([float(row["sigma"]) / float(row["alpha"]) for row in rows])
    for pace, places in (("step", np.arange(6.0)), ("sigma", sigma), ("change", change)):
        middle = 2 + int(np.argmin(np.abs(places[1:5] - (places[0] + places[5]) / 2)))
        assert steps_in(sheet(framed, "--rows", "x0", "--columns", 3, "--pace", pace), framed, 6) == [1, middle, 6]


def test_there_are_no_more_columns_than_steps_and_of_one_the_last_is_shown(framed, sheet):
    assert steps_in(sheet(framed, "--rows", "x0", "--columns", 50), framed, 6) == [1, 2, 3, 4, 5, 6]
    assert steps_in(sheet(framed, "--rows", "x0", "--columns", 1), framed, 6) == [6]


# `trailing` with 3 steps visits every second level of 6.
def test_other_runs_are_shown_at_the_same_noise(framed, draw, sheet):
    few = draw(*APPLE, "--steps", 3, frames="x0")
    drawn = sheet(few, "--runs", framed, "--rows", "x0")
    for own, other in ((1, 1), (2, 3), (3, 5)):
        left, top = place_of(enlarged(frame(few, "x0", own), 8), drawn)
        beside = place_of(enlarged(frame(framed, "x0", other), 8), drawn)
        assert beside[0] == left and beside[1] > top


# ---- bars and texts


def test_a_bar_beneath_each_picture_is_as_long_as_the_change_of_its_step(framed, sheet):
    drawn, rows = sheet(framed), rows_of(framed)
    for kind, column in (("x0", "x0_rms_change"), ("xt", "latents_rms_change")):
        changes = [float(row[column] or 0) for row in rows]
        for step in range(1, 7):
            left, top = place_of(enlarged(frame(framed, kind, step), 8), drawn)
            blue = drawn[top + 128 + 3, left : left + 128, 2]  # the bar has none, its track is a light grey
            if step == 1 and kind == "x0":
                assert (blue == WHITE).all()  # nothing to compare with
                continue
            length = round(128 * changes[step - 1] / max(changes))
            assert (blue[:length] == 0).all() and ((blue[length:] > 200) & (blue[length:] < WHITE)).all()


def test_the_picture_says_how_its_run_is_made_again(framed, run, tmp_path):
    assert run("sheet", framed, "sheet.png").code == run("sheet", framed, "map.png", "--map", "settled").code == DONE
    final = Image.open(framed / "final.png").text
    for name, kind in (("sheet", "sheet"), ("map", "settled")):
        texts = Image.open(tmp_path / f"{name}.png").text
        assert texts["parameters"] == final["parameters"]
        assert json.loads(texts["steplapse"]) == json.loads(final["steplapse"]) | {"kind": kind}
    assert run("sheet", framed, "two.png", "--runs", framed).code == DONE
    assert Image.open(tmp_path / "two.png").text == {}


# ---- the settled map


@pytest.mark.parametrize("near", [None, 40])
def test_the_map_has_the_step_from_which_on_each_pixel_stays_near(framed, sheet, near):
    frames = np.stack([frame(framed, "x0", step).astype(int) for step in range(1, 7)])
    away = np.abs(frames - frames[-1]).max(axis=3) > (16 if near is None else near)
    place = (np.arange(1, 7)[:, None, None] * away).max(
        axis=0
    ) / 5  # the last step that is away, of five before the end
    heat = [np.floor(255 * np.clip(3 * place - colour, 0, 1) + 0.5) for colour in range(3)]
    drawn = sheet(framed, "--map", "settled", *([] if near is None else ["--threshold", near]))
    left, top = place_of(enlarged(np.stack(heat, axis=2).astype(np.uint8), 16), drawn)
    assert place_of(enlarged(frame(framed, "x0", 6), 16), drawn) == (left - 256 - 8, top)


# ---- large pictures


def test_large_pictures_are_shown_smaller(run, tmp_path):
    bundle = make_tiny_bundle("--family", "sd1")
    drawn = run("red apple", "--steps", 2, "--size", "272x272", "--model", bundle, "--frames", "x0", "--out", "large")
    assert drawn.code == DONE, drawn.err
    assert run("sheet", "large", "sheet.png", "--rows", "x0,latents").code == DONE
    squares = frame(tmp_path / "large", "x0", 2).astype(int).reshape(136, 2, 136, 2, 3).sum(axis=(1, 3))
    assert place_of(((squares + 2) // 4).astype(np.uint8), pixels_of(tmp_path / "sheet.png"))[0] == 8 + 144


# ---- bad input


def test_what_cannot_be_drawn_is_one_line_and_leaves_no_file(framed, bare, run, tmp_path):
    def refused(*arguments, code=USAGE, **more) -> str:
        ended = run("sheet", *arguments, **more)
        assert (ended.code, ended.out, len(ended.lines())) == (code, "", 1), ended
        return ended.err

    assert "'sheet.jpg': expected a file that ends in .png" in refused(framed, "sheet.jpg")
    assert "no/sheet.png" in refused(framed, "no/sheet.png", code=OUTPUT)
    assert "did you mean 'latents'" in refused(framed, "sheet.png", "--rows", "x0,latent")
    assert "--pace 'time': choose from step, sigma, change" in refused(framed, "sheet.png", "--pace", "time")
    assert "--columns '0': expected an integer from 1 to 200" in refused(framed, "sheet.png", "--columns", 0)
    assert "--scale '1/x': expected an integer from 1 to 64, or 1/2" in refused(framed, "sheet.png", "--scale", "1/x")
    assert "--rows: --map shows one run" in refused(framed, "sheet.png", "--map", "settled", "--rows", "x0")
    assert "--threshold: is about --map settled" in refused(framed, "sheet.png", "--threshold", 3)
    assert "nowhere" in refused("nowhere", "sheet.png")
    assert "nowhere" in refused(framed, "sheet.png", "--runs", "nowhere")
    many = ("--scale", 64, "--rows", ",".join(["x0"] * 40))
    assert "choose a smaller --scale, fewer --columns or fewer --rows" in refused(framed, "sheet.png", *many)
    assert "--decoder" in refused(bare, "sheet.png", "--decoder", "best")
    assert "--model" in refused(bare, "sheet.png", "--model", "nowhere", code=REFUSED)
    empty = tmp_path / "fonts.conf"
    empty.write_text("<fontconfig></fontconfig>")
    told = refused(framed, "sheet.png", code=OUTPUT, FONTCONFIG_FILE=str(empty))
    assert told.endswith("no font is installed, so nothing can be written into pictures; install fonts-dejavu-core\n")
    assert not list(tmp_path.glob("sheet*"))


def test_a_row_that_the_run_has_not_is_refused(draw, run):
    plain = draw(*APPLE, "--steps", 1, "--guidance-scale", 1)
    reasons = {"uncond": "the network was not asked for that answer", "diff": "compares two steps, and there is one"}
    for row, reason in reasons.items():
        assert f"--rows {row}: {reason}" in run("sheet", plain, "sheet.png", "--rows", row).err


def test_a_damaged_log_is_refused(bare, run, tmp_path):
    log = sqlite3.connect(bare / "run.sqlite")
    log.execute("UPDATE calls SET cond = zeroblob(length(cond)) WHERE step = 3")
    log.commit()
    log.close()
    for command in (["sheet", bare, "sheet.png"], ["spectrum", bare], ["paths", bare]):
        ended = run(*command)
        assert ended.code not in (DONE, USAGE) and len(ended.lines()) == 1
    assert not (tmp_path / "sheet.png").exists()


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(framed, run, tmp_path):
    (tmp_path / "sheet.png").write_text("mine")
    ended = run("sheet", framed, "sheet.png")
    assert ended.code == OUTPUT and "sheet.png: is there already" in ended.err
    assert (tmp_path / "sheet.png").read_text() == "mine"
    assert run("sheet", framed, "sheet.png", "--overwrite").code == DONE
