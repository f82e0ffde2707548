"""What a run leaves behind, as docs/run-folder.md describes it, and what stays of one that was cut off."""

import contextlib
import csv
import datetime
import fcntl
import hashlib
import json
import math
import random
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from harness import ROOT, TIMEOUT, assert_readable
from measure.bits import accept_files

DOCS = (ROOT / "docs/run-folder.md").read_text()
FIVE = ["--steps", 5, "--seed", 1]


def files_under(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def facts(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "steps.csv", newline="") as table:
        return list(csv.DictReader(table))


@contextlib.contextmanager
def log_of(folder: Path):
    with contextlib.closing(sqlite3.connect(folder / "run.sqlite")) as log:
        yield log


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=np.float64)


def settings_of(path: Path) -> dict:
    return json.loads(Image.open(path).text["steplapse"])["settings"]


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def guided(module_folder, start) -> Path:
    """A run of five steps with guidance 5 and all frames; for reading."""
    ended = start(
        module_folder, "red apple", *FIVE, "--frames", "x0,xt", "--negative-prompt", "blue whale", "--out", "guided"
    )
    assert ended.code == 0, ended
    return module_folder / "guided"


# ---- the same again


def test_a_seed_gives_the_same_bytes_again_and_another_seed_does_not(guided, start, module_folder):
    again = [*("red apple", "--steps", 5, "--frames", "x0,xt", "--negative-prompt", "blue whale")]
    assert start(module_folder, *again, "--seed", 1, "--out", "again").code == 0
    assert start(module_folder, *again, "--seed", 2, "--out", "other").code == 0
    pictures = [name for name in files_under(guided) if name.endswith((".png", ".safetensors"))]
    assert len(pictures) == 5 + 6 + 2
    for name in pictures:
        same = (guided / name).read_bytes()
        assert (module_folder / "again" / name).read_bytes() == same, name
        assert (module_folder / "other" / name).read_bytes() != same, name


def test_threads_are_as_asked_and_recorded(run, tmp_path):
    assert run("red apple", *FIVE, "--frames", "none", "--threads", 1, "--out", "one", OMP_NUM_THREADS="2").code == 0
    assert facts(tmp_path / "one")["threads"] == 1


# ---- which files


def test_the_folder_is_laid_out_as_documented(guided):
    tree = DOCS[DOCS.index("```text") :].split("```")[1]
    documented = set(re.findall(r"[\w/]+\.(?:png|json|csv|sqlite|lock|safetensors)", re.sub(r"   .*", "", tree)))
    found = {
        re.sub(r"\d{4}\.png", "0001.png", name) if "x0" in name else re.sub(r"\d{4}\.png", "0000.png", name)
        for name in files_under(guided)
    }
    assert found == documented
    assert files_under(guided) >= {f"frames/x0/{step:04}.png" for step in range(1, 6)} | {
        f"frames/xt/{step:04}.png" for step in range(6)
    }
    assert not (guided / "frames/x0/0000.png").exists()


def test_pictures_have_the_size_of_the_run(guided):
    for path in guided.rglob("*.png"):
        picture = Image.open(path)
        assert (picture.mode, picture.size) == ("RGB", (16, 16)), path


def test_the_last_latents_are_those_of_the_picture(guided):
    """The levels end near, but not at, sigma 0; without eta DDIM's last x and x0 are then nearly the same."""
    latents = load_file(guided / "final.safetensors")["latents"]
    assert (latents.shape, latents.dtype) == ((1, 4, 4, 4), np.float32)
    assert float(rows(guided)[-1]["x0_rms_to_final"]) < 0.1
    np.testing.assert_array_equal(pixels(guided / "final.png"), pixels(guided / "frames/xt/0005.png"))


@pytest.mark.parametrize(
    "flags, x0, xt",
    [
        (["--every", 2], {1, 2, 4, 5}, set()),
        (["--every", 2, "--frames", "xt"], set(), {0, 2, 4, 5}),
        (["--every", 50, "--frames", "x0,xt"], {1, 5}, {0, 5}),
        (["--at", "1,5"], {1, 5}, set()),
        (["--at", "0,3", "--frames", "xt"], set(), {0, 3}),
        (["--from", 2, "--to", 4], {2, 3, 4}, set()),
        (["--from", 3, "--every", 2, "--frames", "x0,xt"], {3, 4, 5}, {3, 4, 5}),
        (["--frames", "none"], set(), set()),
    ],
)
def test_flags_choose_the_frames_and_their_numbers_are_steps(run, tmp_path, flags, x0, xt):
    ended = run("red apple", *FIVE, *flags, "--out", "out")
    assert ended.code == 0, ended
    frames = {name for name in files_under(tmp_path / "out") if name.startswith("frames/")}
    assert frames == {f"frames/x0/{step:04}.png" for step in x0} | {f"frames/xt/{step:04}.png" for step in xt}
    for row in rows(tmp_path / "out"):
        assert (row["decode_ms"] != "") == (int(row["step"]) in x0 | xt)


def test_the_last_step_has_a_frame_whatever_the_sampler_makes_of_the_steps(run, tmp_path):
    samplers = [sampler["name"] for sampler in json.loads(run("samplers", "--json").out)]
    (tmp_path / "prompts").write_text("\n".join(json.dumps({"prompt": name, "sampler": name}) for name in samplers))
    ended = run("--prompts", "prompts", "--steps", 7, "--seed", 1, "--every", 100, "--frames", "x0,xt", "--out", "out")
    assert ended.code == 0, ended
    folders = sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert len(folders) == len(samplers)
    for folder in folders:
        last = int(rows(folder)[-1]["step"])
        assert facts(folder)["frame_steps"] == {"x0": [1, last], "xt": [0, last]}, folder.name


def test_files_numbered_for_a_film_have_no_gaps_and_say_their_steps(run, tmp_path):
    flags = ["red apple", *FIVE, "--every", 2, "--frames", "x0,xt"]
    assert run(*flags, "--out", "steps").code == 0
    ended = run(*flags, "--number", "frames", "--out", "film", "--progress", "json")
    assert ended.code == 0, ended
    x0, xt = [1, 2, 4, 5], [0, 2, 4, 5]
    film, by_step = tmp_path / "film", tmp_path / "steps"
    wanted = {
        f"frames/{kind}/{number:04}.png": f"frames/{kind}/{step:04}.png"
        for kind, steps in (("x0", x0), ("xt", xt))
        for number, step in enumerate(steps, 1)
    }
    assert {name for name in files_under(film) if name.startswith("frames/")} == set(wanted)
    for name, same in wanted.items():  # the picture's own text has its step, so the bytes tell of it too
        assert (film / name).read_bytes() == (by_step / same).read_bytes()
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert {
        event["file"]: event["step"] for event in told if event["event"] == "frame" and event["kind"] != "final"
    } == {name: int(Path(same).stem) for name, same in wanted.items()}
    for folder, number in ((film, "frames"), (by_step, "steps")):
        assert (facts(folder)["number"], facts(folder)["frame_steps"]) == (number, {"x0": x0, "xt": xt})
        for row in rows(folder):
            for kind, steps in (("x0", x0), ("xt", xt)):
                name = row[f"{kind}_file"]
                assert (name != "") == (int(row["step"]) in steps)
                if name:
                    assert json.loads(Image.open(folder / name).text["steplapse"])["step"] == int(row["step"])
    assert run("red apple", *FIVE, "--at", "3", "--out", "film", "--overwrite").code == 0
    assert {name for name in files_under(film) if name.startswith("frames/")} == {"frames/x0/0003.png"}


def test_commands_that_begin_at_once_without_out_have_folders_of_their_own(begin, tmp_path):
    commands = [begin("red apple", "--steps", 2, "--seed", 1, "--frames", "none") for _ in range(6)]
    assert [(one.communicate()[1], one.returncode)[1] for one in commands] == [0] * 6
    assert len(list(tmp_path.glob("runs/*/final.png"))) == 6


def test_without_out_the_folder_is_named_by_date_prompt_and_seed(run, tmp_path):
    ended = run("Red Äpple!", "--steps", 3, "--frames", "none")
    assert ended.code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    seed = facts(folder)["seed"]
    assert re.fullmatch(rf"\d{{8}}-\d{{6}}-red-apple-{seed}", folder.name)
    assert f"seed {seed}," in ended.err


# ---- steps.csv


def documented_columns() -> list[str]:
    """The names in the first cells of the table under `## steps.csv`."""
    section = DOCS.split("## steps.csv")[1].split("##")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_tables_columns_are_those_documented(guided):
    header = (guided / "steps.csv").read_text().splitlines()[0].split(",")
    assert len(header) == 18 and sorted(header) == sorted(documented_columns())
    with log_of(guided) as log:
        assert [column[1] for column in log.execute("PRAGMA table_info(steps)")] == header[:16]
        assert log.execute("PRAGMA user_version").fetchone() == (5,)
        documented = {}
        for name, cell in re.findall(r"^\| `(\w+)` \|(.*)$", DOCS.split("## run.sqlite")[1], re.MULTILINE):
            documented[name] = cell
        for (table,) in log.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            assert table in documented
            if table in ("calls", "interventions", "prompts", "resumptions"):
                for column in log.execute(f"PRAGMA table_info({table})"):
                    assert column[1] == "id" or f"`{column[1]}`" in documented[table], column


def test_the_table_is_the_log(guided):
    with log_of(guided) as log:
        log.row_factory = sqlite3.Row
        logged = [dict(row) for row in log.execute("SELECT * FROM steps ORDER BY step")]
    assert len(logged) == 5
    for row, written in zip(logged, rows(guided), strict=True):
        del written["x0_file"], written["xt_file"]
        assert {key: None if text == "" else float(text) for key, text in written.items()} == row


def answers(log: sqlite3.Connection, name: str) -> list[np.ndarray]:
    return [
        np.frombuffer(blob, "<f4").astype(np.float64)
        for (blob,) in log.execute(f"SELECT {name} FROM calls ORDER BY call")
    ]


def test_the_tables_numbers_follow_from_the_answers_in_the_log(guided):
    """DDIM's formulas in float64, from the starting noise and the logged answers on (Song et al. 2021, equation 12)."""
    run = facts(guided)
    levels = run["levels"]["levels"]
    with log_of(guided) as log:
        (noise,) = log.execute("SELECT value FROM run WHERE key = 'init_noise'").fetchone()
        cond, uncond = answers(log, "cond"), answers(log, "uncond")
        asked = log.execute("SELECT step, timestep, alpha, sigma, shape, latents_sha256 FROM calls").fetchall()
    x = np.frombuffer(noise, "<f4").astype(np.float64)
    assert asked[0][5] == hashlib.sha256(noise).hexdigest()
    xs, x0s = [x], []
    for k in range(5):
        eps = uncond[k] + 5 * (cond[k] - uncond[k])
        x0s.append((xs[-1] - levels[k]["sigma"] * eps) / levels[k]["alpha"])
        xs.append(levels[k + 1]["alpha"] * x0s[-1] + levels[k + 1]["sigma"] * eps)
    final = load_file(guided / "final.safetensors")["latents"].ravel()
    np.testing.assert_allclose(final, xs[-1], atol=1e-5 * np.abs(xs[-1]).max())

    def rms(values):
        return float(np.sqrt(np.mean(np.square(values))))

    for k, row in enumerate(rows(guided)):
        assert (row["step"], row["denoiser_calls"]) == (str(k + 1), str(k + 1))
        assert [float(row[key]) for key in ("timestep", "alpha", "sigma")] == [
            levels[k][key] for key in ("timestep", "alpha", "sigma")
        ]
        assert list(asked[k][:5]) == [k + 1, *(levels[k][key] for key in ("timestep", "alpha", "sigma")), "[1,4,4,4]"]
        near = {"rel": 1e-4, "abs": 1e-6}
        assert float(row["guidance_norm"]) == pytest.approx(np.linalg.norm(cond[k] - uncond[k]), **near)
        assert float(row["latents_rms_change"]) == pytest.approx(rms(xs[k + 1] - xs[k]), **near)
        assert float(row["x0_rms_to_final"]) == pytest.approx(rms(x0s[k] - final), **near)
        if k == 0:
            assert row["x0_rms_change"] == ""
        else:
            assert float(row["x0_rms_change"]) == pytest.approx(rms(x0s[k] - x0s[k - 1]), **near)
        for key in ("denoiser_ms", "decode_ms", "encode_ms", "write_ms"):
            assert float(row[key]) > 0


def test_without_guidance_there_is_no_second_answer(run, tmp_path):
    assert run("red apple", *FIVE, "--frames", "none", "--guidance-scale", 1, "--out", "out").code == 0
    assert [row["guidance_norm"] for row in rows(tmp_path / "out")] == [""] * 5
    with log_of(tmp_path / "out") as log:
        assert log.execute("SELECT count(*), count(uncond), count(uncond_sha256) FROM calls").fetchone() == (5, 0, 0)


def test_x0_pictures_are_compared_with_the_last_one_made(run, tmp_path):
    assert run("red apple", *FIVE, "--at", "1,2,5", "--out", "out").code == 0
    table = {int(row["step"]): row for row in rows(tmp_path / "out")}
    compared = ("x0_mean_abs_change", "x0_psnr_change", "x0_compared_step")
    for step in (1, 3, 4):
        assert [table[step][key] for key in compared] == ["", "", ""]
    for step, before in ((2, 1), (5, 2)):
        now, then = (pixels(tmp_path / f"out/frames/x0/{number:04}.png") for number in (step, before))
        difference = now - then
        assert table[step]["x0_compared_step"] == str(before)
        assert float(table[step]["x0_mean_abs_change"]) == pytest.approx(np.abs(difference).mean())
        psnr = 10 * math.log10(255**2 / np.mean(difference**2))
        assert float(table[step]["x0_psnr_change"]) == pytest.approx(psnr)


def test_equal_pictures_differ_by_nothing_and_their_psnr_is_inf(run, changed_bundle, tmp_path):
    bundle = changed_bundle(lambda manifest: None)
    weights = load_file(bundle / "decoder_full.safetensors")
    weights["decoder.conv_out.weight"] *= 0  # all pictures are of one colour
    save_file(weights, bundle / "decoder_full.safetensors")
    accept_files(bundle)
    assert run("red apple", *FIVE, "--model", bundle, "--at", "1,2,4", "--out", "out").code == 0
    compared = ("x0_mean_abs_change", "x0_psnr_change", "x0_compared_step")
    assert [[row[key] for key in compared] for row in rows(tmp_path / "out")] == [
        ["", "", ""],
        ["0.0", "inf", "1"],
        ["", "", ""],
        ["0.0", "inf", "2"],
        ["", "", ""],
    ]


# ---- run.json


def test_run_json_says_what_fixes_the_result_and_how_it_went(guided, tiny_bundle):
    run = facts(guided)
    expected = {
        "prompt": "red apple",
        "negative_prompt": "blue whale",
        "prompt_syntax": "weights",
        "seed": 1,
        "rng": "cpu",
        "steps": 5,
        "sampler": "ddim",
        "schedule": "leading",
        "sigma_min": None,
        "sigma_max": None,
        "rho": None,
        "eta": 0,
        "s_churn": 0,
        "s_tmin": 0,
        "s_tmax": None,
        "s_noise": 1,
        "guidance_scale": 5,
        "guidance_first_step": 1,
        "guidance_last_step": None,
        "guidance_sigma_low": 0,
        "guidance_sigma_high": None,
        "guidance_rescale": 0,
        "shift": None,
        "clip_sample_range": None,
        "prediction_type": "epsilon",
        "width": 16,
        "height": 16,
        "init_noise_shape": [1, 4, 4, 4],
        "init_noise_given": False,
        "model": "tiny",
        "device": "cpu",
        "decoder": "full",
        "ended": "done",
        "model_sha256": hashlib.sha256((tiny_bundle / "model.json").read_bytes()).hexdigest(),
    }
    assert {key: run[key] for key in expected} == expected
    assert run["network_seconds"] > 0 and run["frame_seconds"] > 0
    assert 0 <= run["hidden_seconds"] <= run["frame_seconds"]
    assert run["network_seconds"] <= run["total_seconds"]
    assert len(run["levels"]["levels"]) == 6


def test_run_json_begins_with_what_people_look_for_and_ends_with_the_levels(guided):
    keys = list(facts(guided))
    assert keys[:4] == ["prompt", "negative_prompt", "seed", "sampler"]
    assert keys.index("ended") < 12 and keys[-1] == "levels"


def test_a_run_says_when_it_began_and_its_pictures_do_not(run, tmp_path):
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    assert run("red apple", *FIVE, "--frames", "none", "--out", "out", TZ="Asia/Kolkata").code == 0
    after = datetime.datetime.now(datetime.UTC)
    text = facts(tmp_path / "out")["started"]
    started = datetime.datetime.fromisoformat(text)
    assert before <= started <= after
    assert started.utcoffset() == datetime.timedelta(hours=5, minutes=30)
    for value in Image.open(tmp_path / "out/final.png").text.values():
        assert text[:10] not in value


def test_every_key_of_run_json_is_documented(guided):
    for key in facts(guided):
        assert f"`{key}`" in DOCS, key


def test_what_was_not_asked_is_null_and_what_was_asked_is_kept(run, tmp_path):
    start = np.random.default_rng(0).standard_normal((1, 4, 4, 4)).astype(np.float32)
    save_file({"latents": start}, tmp_path / "start.safetensors")
    seed = 2**64 - 1
    ended = run(
        "red apple",
        "--steps",
        3,
        "--seed",
        seed,
        "--rng",
        "philox",
        "--latents",
        "start.safetensors",
        "--eta",
        0.5,
        "--schedule",
        "linspace",
        "--frames",
        "none",
        "--out",
        "out",
        "--progress",
        "none",
    )
    assert (ended.code, ended.err) == (0, "")
    run = facts(tmp_path / "out")
    expected = {
        "negative_prompt": None,
        "seed": seed,
        "rng": "philox",
        "eta": 0.5,
        "schedule": "linspace",
        "init_noise_given": True,
    }
    assert {key: run[key] for key in expected} == expected
    with log_of(tmp_path / "out") as log:
        assert log.execute("SELECT value FROM run WHERE key = 'init_noise'").fetchone() == (start.tobytes(),)


def test_a_schedule_is_named_as_web_uis_do(draw):
    folder = draw("red apple", "--steps", 3, "--schedule", "karras", "--sigma-max", 10, "--rho", 5, "--eta", 0.25)
    run = facts(folder)
    expected = {"schedule": "karras", "sigma_min": None, "sigma_max": 10, "rho": 5, "eta": 0.25}
    assert {key: run[key] for key in expected} == expected
    text = Image.open(folder / "final.png").text
    for words in (", Schedule type: Karras, Schedule max sigma: 10, Schedule rho: 5, ", ", Eta: 0.25, "):
        assert words in text["parameters"]
    settings = json.loads(text["steplapse"])["settings"]
    assert {key: settings[key] for key in expected} == expected


def test_a_run_guided_in_some_steps_asks_one_row_in_the_others(draw):
    folder = draw("red apple", "--steps", 5, "--guidance-interval", "2..3", "--guidance-rescale", 0.7)
    run = facts(folder)
    assert (run["guidance_first_step"], run["guidance_last_step"], run["guidance_rescale"]) == (2, 3, 0.7)
    with log_of(folder) as log:
        assert log.execute("SELECT uncond IS NULL FROM calls ORDER BY call").fetchall() == [
            (1,),
            (0,),
            (0,),
            (1,),
            (1,),
        ]
    assert [row["guidance_norm"] != "" for row in rows(folder)] == [False, True, True, False, False]
    assert ", CFG scale: 5, CFG steps: 2-3, CFG rescale: 0.7, " in Image.open(folder / "final.png").text["parameters"]


# ---- the seed


def test_a_seed_that_was_not_given_is_drawn_printed_and_recorded(run, tmp_path):
    seeds = set()
    for name in ("one", "two"):
        ended = run("red apple", "--steps", 3, "--frames", "none", "--out", name)
        assert ended.code == 0
        seed = facts(tmp_path / name)["seed"]
        assert f"seed {seed}," in ended.err
        assert f"Seed: {seed}," in Image.open(tmp_path / name / "final.png").text["parameters"]
        seeds.add(seed)
    assert len(seeds) == 2
    again = run("red apple", "--steps", 3, "--frames", "none", "--seed", seed, "--out", "again")
    assert again.code == 0
    assert (tmp_path / "again/final.safetensors").read_bytes() == (tmp_path / "two/final.safetensors").read_bytes()


def test_a_seed_beyond_32_bits_is_told_apart_by_philox_alone(run, tmp_path):
    def latents(name, *flags):
        ended = run("red apple", "--steps", 3, "--frames", "none", "--progress", "none", "--out", name, *flags)
        assert ended.code == 0, ended
        return ended.err, (tmp_path / name / "final.safetensors").read_bytes()

    seed = 2**32 + 7
    warning, large = latents("a", "--seed", seed)
    assert warning == (f"steplapse: warning: seed {seed} is beyond 32 bits: the cpu generator uses its low 32, 7\n")
    assert latents("b", "--seed", 7) == ("", large)
    quiet, large = latents("c", "--seed", seed, "--rng", "philox")
    assert quiet == ""
    assert latents("d", "--seed", 7, "--rng", "philox")[1] != large


# ---- prompts and what pictures say of them

PROMPTS = {
    "accents": "pomme rouge très mûre, crème brûlée",
    "CJK": "赤いりんご 和 红苹果",
    "emoji": "🍎👩‍🚀❤️",
    "commas": 'a, b: "c", Steps: 3, Seed: 4',
    "newlines": "red apple\nblue whale\n\tcastle",
    "mark-up": "<apple & pear> \\ {x} %s",
    "empty": "",
}


def exiftool(path: Path) -> dict[str, str]:
    """The text chunks as exiftool reads them, by their names in lower case; as Pillow does, where there is none."""
    if not shutil.which("exiftool"):
        return Image.open(path).text
    said = subprocess.run(["exiftool", "-j", "-charset", "UTF8", "-PNG:all", path], capture_output=True, check=True)
    return {key.lower(): value for key, value in json.loads(said.stdout)[0].items()}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_a_prompt_is_kept_as_it_was_written(run, tmp_path, prompt):
    ended = run(prompt, "--steps", 3, "--seed", 1, "--at", "2", "--out", "out", "--negative-prompt", prompt + " not")
    assert ended.code == 0, ended
    with log_of(tmp_path / "out") as log:
        assert log.execute("SELECT value FROM run WHERE key = 'prompt'").fetchone() == (prompt,)
    assert facts(tmp_path / "out")["prompt"] == prompt
    path = tmp_path / "out/frames/x0/0002.png"
    assert settings_of(path)["prompt"] == prompt
    assert settings_of(path)["negative_prompt"] == prompt + " not"
    parameters = Image.open(path).text["parameters"]
    assert parameters.startswith(f"{prompt}\nNegative prompt: {prompt} not\nSteps: 3, Sampler: DDIM, CFG scale: 5, ")
    assert exiftool(path)["parameters"] == parameters
    assert json.loads(exiftool(path)["steplapse"])["settings"]["prompt"] == prompt


def test_one_look_is_one_prompt(run, tmp_path):
    """What a Mac's file dialogue writes with loose accents is the same prompt as what a keyboard writes."""
    loose = unicodedata.normalize("NFD", "crème brûlée")
    assert run(loose, *FIVE, "--frames", "none", "--out", "out").code == 0
    assert facts(tmp_path / "out")["prompt"] == "crème brûlée"
    assert loose != "crème brûlée"


def test_a_prompt_is_read_from_standard_input(run, tmp_path):
    assert run("-", *FIVE, "--frames", "none", "--out", "out", stdin="rød æble\nblue\n".encode()).code == 0
    assert facts(tmp_path / "out")["prompt"] == "rød æble\nblue"


def test_a_command_can_be_drawn(run, tmp_path):
    assert run("generate", "model", *FIVE, "--frames", "none", "--out", "out").code == 0
    assert facts(tmp_path / "out")["prompt"] == "model"


def test_a_picture_says_how_it_was_made(guided, tiny_bundle):
    model_hash = hashlib.sha256((tiny_bundle / "model.json").read_bytes()).hexdigest()
    levels = facts(guided)["levels"]["levels"]
    version = facts(guided)["version"]
    text = Image.open(guided / "frames/xt/0003.png").text
    assert text["parameters"] == (
        "red apple\nNegative prompt: blue whale\nSteps: 5, Sampler: DDIM, CFG scale: 5, Seed: 1, Size: 16x16, "
        f"Model hash: {model_hash[:10]}, Model: tiny, RNG: CPU, Step: 3, Version: steplapse {version}"
    )
    settings = {
        "prompt": "red apple",
        "negative_prompt": "blue whale",
        "prompt_syntax": "weights",
        "seed": 1,
        "rng": "cpu",
        "steps": 5,
        "sampler": "ddim",
        "schedule": "leading",
        "sigma_min": None,
        "sigma_max": None,
        "rho": None,
        "eta": 0,
        "s_churn": 0,
        "s_tmin": 0,
        "s_tmax": None,
        "s_noise": 1,
        "guidance_scale": 5,
        "guidance_first_step": 1,
        "guidance_last_step": None,
        "guidance_sigma_low": 0,
        "guidance_sigma_high": None,
        "guidance_rescale": 0,
        "shift": None,
        "width": 16,
        "height": 16,
        "latents_given": False,
        "model": "tiny",
        "model_sha256": model_hash,
    }
    for file, step, kind, level in (
        ("frames/x0/0003.png", 3, "x0", levels[2]),
        ("frames/xt/0003.png", 3, "xt", levels[3]),
        ("frames/xt/0000.png", 0, "xt", levels[0]),
        ("final.png", 5, "final", levels[5]),
    ):
        assert json.loads(Image.open(guided / file).text["steplapse"]) == {
            "version": version,
            "step": step,
            "kind": kind,
            **level,
            "decoder": "full",
            "settings": settings,
            "levels": facts(guided)["levels"],
        }


@pytest.mark.skipif(not shutil.which("exiftool"), reason="there is no exiftool")
def test_exiftool_reads_what_pillow_reads(guided):
    for path in guided.rglob("*.png"):
        text, found = Image.open(path).text, exiftool(path)
        assert {key: found[key] for key in text} == text


def test_sd_parsers_reads_what_web_uis_write(guided):
    sd_parsers = pytest.importorskip("sd_parsers")
    info = sd_parsers.ParserManager().parse(guided / "frames/x0/0003.png")
    assert info is not None
    assert [prompt.value for prompt in info.prompts] == ["red apple"]
    assert [prompt.value for prompt in info.negative_prompts] == ["blue whale"]
    (sampler,) = info.samplers
    assert (sampler.name, sampler.parameters["seed"], sampler.parameters["steps"]) == ("DDIM", "1", "5")
    assert [model.name for model in info.models] == ["tiny"]


def test_a_frame_names_its_decoder_and_the_last_picture_is_by_the_full_one(run, tmp_path):
    assert run("red apple", *FIVE, "--at", "5", "--decoder", "linear", "--out", "out").code == 0
    decoder = {
        name: json.loads(Image.open(tmp_path / "out" / name).text["steplapse"])["decoder"]
        for name in ("frames/x0/0005.png", "final.png")
    }
    assert decoder == {"frames/x0/0005.png": "linear", "final.png": "full"}


# ---- what is there already


def test_a_dry_run_writes_nothing(run, tmp_path):
    ended = run("red apple", "--steps", 20, "--every", 5, "--frames", "x0,xt", "--seed", 3, "--out", "out", "--dry-run")
    assert (ended.code, ended.err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    assert ended.out == (
        "would draw 'red apple', seed 3, 20 steps of ddim, tiny 16x16 -> out\n"
        "schedule leading, guidance scale 5, eta 0: 20 denoiser calls of 2 rows, 10 frames\n"
    )


def test_a_folder_that_holds_a_run_is_refused_and_untouched(run, tmp_path):
    assert run("red apple", *FIVE, "--out", "out").code == 0
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files_under(tmp_path / "out")}
    ended = run("red apple", *FIVE, "--out", "out", "--progress", "none")
    assert (ended.code, ended.out, ended.err) == (
        4,
        "",
        "steplapse: out: holds a run already (run.sqlite); name another --out, or --overwrite to replace it\n",
    )
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files_under(tmp_path / "out")} == before


def test_overwriting_deletes_only_what_a_run_wrote(run, tmp_path):
    out = tmp_path / "out"
    assert run("red apple", "--steps", 6, "--seed", 1, "--frames", "x0,xt", "--out", "out").code == 0
    strangers = {
        "notes.txt": b"mine",
        "frames/strip.png": b"mine too",
        "frames/x0/best.png": b"and mine",
        "frames/x0/01.png": b"this too",
        "frames/run.json": b"{}",
    }
    for name, content in strangers.items():
        (out / name).write_bytes(content)
    assert run("blue whale", "--steps", 3, "--seed", 2, "--out", "out", "--overwrite").code == 0
    assert {name: (out / name).read_bytes() for name in strangers} == strangers
    assert facts(out)["prompt"] == "blue whale"
    assert files_under(out) - set(strangers) == {
        "run.sqlite",
        "run.lock",
        "run.json",
        "steps.csv",
        "final.png",
        "final.safetensors",
        *(f"frames/x0/{step:04}.png" for step in (1, 2, 3)),
    }


def test_overwriting_an_empty_or_missing_folder_is_a_run(run, tmp_path):
    assert run("red apple", *FIVE, "--frames", "none", "--out", "a/b/out", "--overwrite").code == 0
    assert (tmp_path / "a/b/out/final.png").exists()


def test_a_folder_that_another_writes_to_is_refused(run, tmp_path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out/run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for flags in ([], ["--overwrite"]):
            ended = run("red apple", *FIVE, "--out", "out", "--progress", "none", *flags)
            assert (ended.code, ended.out, ended.err) == (
                4,
                "",
                "steplapse: out: another steplapse is writing a run there; name another --out\n",
            )
    assert files_under(tmp_path / "out") == {"run.lock"}
    assert run("red apple", *FIVE, "--out", "out").code == 0


# ---- runs that are cut off

LONG = ["red apple", "--steps", 1000, "--schedule", "trailing", "--seed", 1, "--frames", "x0,xt", "--out", "out"]


def wait_for(condition, process: subprocess.Popen):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    pytest.fail(f"the run did not get there in {TIMEOUT} s")


def assert_whole(folder: Path) -> int:
    """All files with final names are whole, and the log up to some call. Returns its calls."""
    for path in folder.rglob("*"):
        if not assert_readable(path) and path.is_file():
            assert path.name in ("run.sqlite", "run.sqlite-journal", "run.lock") or path.suffix == ".part", path
    if not (folder / "run.sqlite").exists():
        return 0
    with log_of(folder) as log:
        assert log.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if log.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            return 0
        assert log.execute("SELECT value FROM run WHERE key = 'prompt'").fetchone() == ("red apple",)
        calls = log.execute(
            "SELECT call, step, cond, cond_sha256, uncond, uncond_sha256 FROM calls ORDER BY call"
        ).fetchall()
        steps = [step for (step,) in log.execute("SELECT step FROM steps ORDER BY step")]
    for number, (call, step, cond, cond_sha256, uncond, uncond_sha256) in enumerate(calls, start=1):
        assert (call, step) == (number, number)
        assert hashlib.sha256(cond).hexdigest() == cond_sha256
        assert hashlib.sha256(uncond).hexdigest() == uncond_sha256
    assert steps == list(range(1, len(steps) + 1))
    assert len(calls) - 1 <= len(steps) <= len(calls)
    return len(calls)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_its_step_and_leaves_a_valid_folder(begin, tmp_path, number, code):
    out = tmp_path / "out"
    process = begin(*LONG)
    wait_for((out / "frames/x0/0003.png").exists, process)
    process.send_signal(number)
    said, warned = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code, (said, warned)
    assert said.startswith("interrupted: out/final.png and ")
    calls = assert_whole(out)
    table = rows(out)
    steps = len(table)
    assert 3 <= steps == calls < 1000
    assert facts(out)["ended"] == "interrupted"
    assert facts(out)["ended_reason"] == f"a signal, after step {steps}"
    assert {name for name in files_under(out) if "frames" in name} == {
        *(f"frames/x0/{step:04}.png" for step in range(1, steps + 1)),
        *(f"frames/xt/{step:04}.png" for step in range(steps + 1)),
    }
    assert files_under(out) >= {"run.sqlite", "run.json", "steps.csv", "final.png", "final.safetensors"}
    assert float(table[-1]["x0_rms_to_final"]) == 0
    np.testing.assert_array_equal(pixels(out / "final.png"), pixels(out / f"frames/x0/{steps:04}.png"))
    about = json.loads(Image.open(out / "final.png").text["steplapse"])
    assert (about["kind"], about["step"]) == ("final", steps)
    with log_of(out) as log:
        assert log.execute("SELECT step, kind, reason FROM interventions").fetchall() == [
            (steps, "stop", signal.Signals(number).name)
        ]


def test_a_second_signal_ends_the_run_at_once(begin, tmp_path):
    out = tmp_path / "out"
    process = begin(*LONG)
    wait_for((out / "frames/x0/0003.png").exists, process)
    # While it is stopped both signals gather; the second finds the first one noted, and no step is finished.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode in (130, 143)
    assert not (out / "final.png").exists() and not (out / "run.json").exists()
    assert_whole(out)


def test_a_reader_of_the_log_makes_the_run_wait_and_does_not_end_it(begin, tmp_path):
    process = begin(
        "red apple", "--steps", 1000, "--schedule", "trailing", "--seed", 1, "--frames", "none", "--out", "out"
    )
    log = tmp_path / "out/run.sqlite"
    wait_for(lambda: log.exists() and log.stat().st_size > 0, process)
    reader = sqlite3.connect(log)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM calls").fetchone()  # from here nobody can commit
    time.sleep(3)
    assert process.poll() is None
    reader.close()
    assert process.wait() == 0, process.communicate()
    assert facts(tmp_path / "out")["ended"] == "done"


def test_overwriting_takes_nothing_where_no_log_says_that_a_run_was_there(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/final.png").write_text("the user's own")
    ended = run("red apple", *FIVE, "--out", "out", "--overwrite")
    assert ended.lines() == [
        "steplapse: out: holds final.png without a run's log, so it is not ours to replace; name another --out"
    ]
    assert ended.code == 4 and (tmp_path / "out/final.png").read_text() == "the user's own"


def test_a_run_killed_anywhere_leaves_no_half_file_and_can_be_replaced(begin, run, tmp_path):
    out = tmp_path / "out"
    moment = random.Random(0)
    longest = 0
    for last in [False] * 5 + [True]:
        process = begin(*LONG, "--overwrite")
        wait_for((out / "run.sqlite").exists, process)
        time.sleep(moment.uniform(0, 1))
        if last:  # on a busy machine none may have come so far
            wait_for((out / "frames/x0/0001.png").exists, process)
        process.kill()
        process.wait()
        assert process.returncode == -signal.SIGKILL
        longest = max(longest, assert_whole(out))
        assert not (out / "run.json").exists() and not (out / "final.png").exists()
    assert longest > 0
    (out / "frames/x0").mkdir(parents=True, exist_ok=True)
    (out / "frames/x0/0009.png.part").write_bytes(b"half a picture")
    refused = run("red apple", *FIVE, "--out", "out", "--progress", "none")
    assert refused.code == 4 and "--overwrite" in refused.err
    assert run("red apple", *FIVE, "--out", "out", "--overwrite").code == 0
    assert assert_whole(out) == 5
    assert facts(out)["ended"] == "done"
    assert not list(out.rglob("*.part"))


# ---- progress


def test_with_json_progress_all_of_the_output_is_json(run):
    ended = run("red apple", "--steps", 3, "--seed", 2**32, "--dry-run", "--progress", "json")
    assert (ended.code, ended.err) == (0, "")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert events[0] == {
        "event": "warning",
        "message": f"seed {2**32} is beyond 32 bits: the cpu generator uses its low 32, 0",
    }


def test_json_progress_is_one_object_a_line(run, tmp_path):
    ended = run("red apple", *FIVE, "--at", "1,4,5", "--frames", "x0,xt", "--out", "out", "--progress", "json")
    assert (ended.code, ended.err) == (0, "")
    events = [json.loads(line) for line in ended.out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start" and kinds[-1] == "done" and set(kinds) == {"start", "step", "frame", "done"}
    first, last = events[0], events[-1]
    asked = {
        "prompt": "red apple",
        "seed": 1,
        "steps": 5,
        "sampler": "ddim",
        "schedule": "leading",
        "guidance_scale": 5,
        "width": 16,
        "height": 16,
        "model": "tiny",
        "folder": "out",
    }
    assert first == {"event": "start", "run": 1, **asked}
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5]
    for event, row in zip(steps, rows(tmp_path / "out"), strict=True):
        for key in event.keys() - {"event", "run", "x0_rms_change"}:
            assert event[key] == float(row[key]), key
        assert event["x0_rms_change"] == (float(row["x0_rms_change"]) if row["x0_rms_change"] else None)
    frames = [event for event in events if event["event"] == "frame"]
    pictures = {name for name in files_under(tmp_path / "out") if name.endswith(".png")}
    assert {event["file"] for event in frames} == pictures
    by_file = {event["file"]: event for event in frames}
    assert by_file["frames/x0/0004.png"]["x0_compared_step"] == 1
    totals = {"status": "done", "folder": "out", "steps": 5, "denoiser_calls": 5, "frames": 6}
    assert {key: last[key] for key in totals} == totals
    assert last["network_seconds"] == facts(tmp_path / "out")["network_seconds"]


def test_lines_are_few_and_end_with_where_the_files_are(run):
    began = time.monotonic()
    ended = run("red apple", *FIVE, "--out", "out", "--progress", "lines")
    assert ended.code == 0
    assert ended.lines()[0] == "'red apple', seed 1, 5 steps of ddim, tiny 16x16 -> out"
    assert len(ended.lines()) <= 1 + (time.monotonic() - began) / 10
    assert "\r" not in ended.err
    done, totals = ended.out.splitlines()
    assert done == "done: out/final.png and 5 frames in out/frames"
    assert re.fullmatch(
        r"5 steps, 5 denoiser calls, [\d.]+ s in all: network [\d.]+ s, frames [\d.]+ s "
        r"\(\d+% of it hidden behind the network\)",
        totals,
    )


def test_no_progress_says_nothing(run):
    ended = run("red apple", *FIVE, "--out", "out", "--progress", "none")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_a_bar_is_drawn_in_place(run):
    ended = run("red apple", *FIVE, "--out", "out", "--progress", "bar")
    assert ended.code == 0
    assert "step 5/5" in ended.err and ended.err.count("\r") >= 5
    assert ended.err.endswith("\n")


# ---- the page's examples


def test_the_pages_commands_run(guided, tmp_path):
    commands = DOCS.split("```sh\n")[1].split("```")[0].strip().splitlines()
    assert len(commands) == 2
    sql, python = commands
    if shutil.which("sqlite3"):
        said = subprocess.run(sql, shell=True, cwd=guided, capture_output=True, text=True, check=True).stdout
        assert [line.split("|")[0] for line in said.splitlines()] == ["1", "2", "3", "4", "5"]
    with log_of(guided) as log:
        assert len(log.execute(shlex.split(sql)[2]).fetchall()) == 5
        (cond,) = log.execute("SELECT cond FROM calls WHERE call = 1").fetchone()
    said = subprocess.run([sys.executable, *shlex.split(python)[1:]], cwd=guided, capture_output=True, text=True)
    assert (said.stdout.strip(), said.stderr) == (str(np.frombuffer(cond, "<f4")), "")


def test_the_pages_lines_of_pandas_run(guided):
    lines = DOCS.split("```python\n")[1].split("```")[0]
    said = subprocess.run([sys.executable, "-c", lines], cwd=guided.parent, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "red apple" in said.stdout and "done" in said.stdout and "ddim" in said.stdout


def test_samplers_with_steps_of_their_own_say_how_many_before(run, tmp_path):
    ended = run(
        "red apple", "--seed", 1, "--sampler", "dpm_fast", "--steps", 30, "--out", "fast", "--progress", "lines"
    )
    assert ended.lines()[0] == "steplapse: warning: the sampler dpm_fast makes 11 steps and asks the network 30 times"
    assert [row["step"] for row in rows(tmp_path / "fast")] == [str(step) for step in range(1, 12)]
    assert facts(tmp_path / "fast")["steps"] == 30
    ended = run("red apple", "--seed", 1, "--sampler", "dpm_fast", "--steps", 30, "--at", "20", "--out", "late")
    assert (ended.code, ended.lines()[-1]) == (2, "steplapse: --at 20: a run of 11 steps has frames 1 to 11")


def test_guidance_of_an_adaptive_sampler_goes_on_to_its_end(run, tmp_path):
    ended = run(
        "red apple",
        "--seed",
        1,
        "--sampler",
        "dpm_adaptive",
        "--guidance-interval",
        "2..",
        "--steps",
        3,
        "--frames",
        "none",
        "--out",
        "out",
        "--progress",
        "none",
    )
    assert ended.code == 0, ended.err
    made = rows(tmp_path / "out")
    assert len(made) > 3 and [bool(row["guidance_norm"]) for row in made] == [False] + [True] * (len(made) - 1)
    assert facts(tmp_path / "out")["guidance_last_step"] is None


def test_a_sampler_that_places_its_steps_itself_says_what_it_takes_of_a_list(run):
    ended = run("red apple", "--seed", 1, "--sampler", "dpm_fast", "--sigmas", "10,5,1,0", "--dry-run")
    assert "the sampler dpm_fast takes the ends of --sigmas and places its steps between them itself" in ended.err


def test_guidance_at_sigmas_the_run_never_has_is_warned_of(run):
    ended = run("red apple", "--seed", 1, "--guidance-sigmas", "100..200", "--dry-run")
    assert "--guidance-sigmas: none of the run's levels lies there, so there is no guidance" in ended.err


def test_a_dry_run_counts_the_calls_that_a_run_makes(run, tmp_path):
    for sampler, calls in {"ddim": 5, "heun": 9, "pndm": 6}.items():
        flags = ("red apple", "--seed", 1, "--sampler", sampler, "--steps", 5, "--out", sampler)
        assert f": {calls} denoiser calls of 2 rows, " in run(*flags, "--dry-run").out
        assert run(*flags, "--frames", "none").code == 0
        assert rows(tmp_path / sampler)[-1]["denoiser_calls"] == str(calls)


# ---- a run whose x0 leaves the range that the decoder knows

EMOJI = ROOT / "models/emoji-64"
WIDE = ["red apple", "--model", EMOJI, "--seed", 1, "--steps", 8, "--guidance-scale", "1e9", "--frames", "none"]


def test_a_run_whose_x0_leaves_the_decoders_range_ends_with_a_warning(run, tmp_path):
    ended = run(*WIDE, "--out", "out", "--progress", "json")
    assert ended.code == 0
    said = [event["message"] for event in map(json.loads, ended.out.splitlines()) if event["event"] == "warning"]
    assert said == [facts(tmp_path / "out")["warning"]]
    # of 8 steps, the last quarter are 7 and 8
    assert re.fullmatch(
        r"step 7: x0 has rms [\d.e+]+, more than 2.5 times the 0.994 of clean latents, so the picture may be broken; a "
        r"lower guidance scale, guidance rescale, more steps or another sampler may help",
        said[0],
    )


def test_the_rms_in_the_warning_is_that_of_x0(run, tmp_path):
    # one step from all noise down to sigma 0, where x is x0
    ended = run(
        *("1" if flag == 8 else flag for flag in WIDE), "--sampler", "euler", "--schedule", "trailing", "--out", "out"
    )
    assert ended.code == 0
    told = float(re.search(r"^step 1: x0 has rms ([\d.e+]+),", facts(tmp_path / "out")["warning"])[1])
    latents = load_file(tmp_path / "out/final.safetensors")["latents"].astype(np.float64)
    assert told == pytest.approx(np.sqrt(np.mean(latents**2)), rel=1e-4)  # float32, and printed with few digits


def test_of_several_runs_the_warning_names_the_one(run, tmp_path):
    (tmp_path / "list.txt").write_text(
        '{"prompt": "red apple", "guidance_scale": 1e9}\n{"prompt": "red apple", "guidance_scale": 1}\n'
    )
    ended = run(
        "--prompts", "list.txt", "--model", EMOJI, "--seed", 1, "--steps", 4, "--frames", "none", "--out", "out"
    )
    wide, usual = sorted(path.parent for path in (tmp_path / "out").glob("*/run.json"))
    assert f"warning: {wide.name}: step 4: x0 has rms " in ended.err
    assert "warning" in facts(wide) and "warning" not in facts(usual)


def test_no_sampler_leaves_the_range_in_an_ordinary_run(run, tmp_path):
    names = [sampler["name"] for sampler in json.loads(run("samplers", "--json").out)]
    (tmp_path / "list.txt").write_text(
        "".join(json.dumps({"prompt": "castle", "sampler": name}) + "\n" for name in names)
    )
    ended = run(
        "--prompts",
        "list.txt",
        "--model",
        EMOJI,
        "--seed",
        1,
        "--steps",
        30,
        "--guidance-scale",
        1.5,
        "--frames",
        "none",
        "--out",
        "out",
    )
    assert ended.code == 0 and "x0 has rms" not in ended.err
    assert len(list((tmp_path / "out").glob("*/run.json"))) == len(names)


def test_a_bundle_that_does_not_say_its_rms_is_assumed_to_have_1(run, changed_bundle):
    silent = changed_bundle(lambda manifest: manifest.pop("x0_rms", None))
    ended = run(*(silent if flag == EMOJI else flag for flag in WIDE), "--out", "out")
    assert "more than 2.5 times the 1 of clean latents (assumed: the bundle does not say), so " in ended.err


def test_overwrite_deletes_no_picture_that_is_not_a_frame_of_ours(run, tmp_path):
    flags = ["red apple", *FIVE, "--out", "out"]
    assert run(*flags).code == 0
    mine = tmp_path / "out/frames/x0/0077.png"
    Image.new("RGB", (8, 8), "red").save(mine)
    bytes_before = mine.read_bytes()
    assert run(*flags, "--overwrite").code == 0
    assert mine.read_bytes() == bytes_before


@pytest.mark.parametrize("link", ["frames", "frames/x0"])
def test_overwrite_follows_no_link(run, tmp_path, link):
    flags = ["red apple", *FIVE, "--out", "out"]
    assert run(*flags).code == 0
    assert run("red apple", *FIVE, "--out", "other").code == 0
    elsewhere = tmp_path / "other" / link
    before = files_under(tmp_path / "other")
    shutil.rmtree(tmp_path / "out" / link)
    (tmp_path / "out" / link).symlink_to(elsewhere)
    run(*flags, "--frames", "none", "--overwrite")
    assert files_under(tmp_path / "other") == before


def test_a_link_in_the_place_of_the_lock_is_refused(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.lock").symlink_to(tmp_path / "elsewhere")
    ended = run("red apple", *FIVE, "--out", "out")
    assert (ended.code, ended.err) == (
        4,
        "steplapse: out/run.lock: is a symbolic link, expected a regular file or none\n",
    )
    assert not (tmp_path / "elsewhere").exists()


def test_standard_input_that_is_too_long_or_unreadable_is_refused(run, tmp_path):
    ended = run("-", *FIVE, "--out", "out", stdin=b"a" * (2 << 20))
    assert ended.code == 2
    assert "standard input: more than 1048576 bytes" in ended.err
    assert not (tmp_path / "out").exists()
