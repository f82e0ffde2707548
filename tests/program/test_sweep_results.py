"""What is read from a sweep: its tables, grids, summary, and the merging of shards, by the runs that its folder has."""

import csv
import hashlib
import itertools
import json
import os
import re
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from harness import ROOT

DONE, FAILED, USAGE, OUTPUT = 0, 1, 2, 4
HARD = 'say "a, b"\nand 7'
AXES = {
    "prompt": ["red apple", HARD],
    "seed": ["3", "4"],
    "sampler": ["ddim", "heun", "euler_a"],
    "steps": ["2", "5"],
}
CELLS = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
PLAN = {
    "sweep_plan": 1,
    "model": "",
    "model_sha256": "",
    "fixed": {"schedule": "trailing"},
    "axes": [{"name": name, "values": values} for name, values in AXES.items()],
    "skip_invalid": False,
}
MEASURED = {"settles": None, "would_stop": None, "high_frequency_power": 0.25, "decode_seconds": 0.5, "peak_memory": 9}


def plan_text(plan: dict) -> str:
    return json.dumps(plan, indent=1, ensure_ascii=False) + "\n"


def row_of(cell: int, run: Path) -> dict:
    facts = json.loads((run / "run.json").read_text())
    names = list(facts)
    return {
        "cell": cell,
        "status": facts["ended"],
        "reason": "",
        "folder": f"runs/{run.name}",
        "settings": {name: facts[name] for name in names[: names.index("height") + 1]},
        "steps": facts["steps"],
        "denoiser_calls": int(list(csv.DictReader((run / "steps.csv").open()))[-1]["denoiser_calls"]),
        "shared_calls": 0,
        "first_timestep": 999.0,
        **MEASURED,
        "network_seconds": facts["network_seconds"],
        "final_sha256": hashlib.sha256((run / "final.png").read_bytes()).hexdigest(),
        "stochastic": facts["sampler"] == "euler_a",
        "written": 1.0,
    }


def write_rows(sweep: Path, rows: list[dict], shard=None, plan: dict = PLAN, name: str = "here-1") -> None:
    (sweep / "rows").mkdir(parents=True, exist_ok=True)
    (sweep / "plan.json").write_text(plan_text(plan))
    header = {"shard": shard, "plan_sha256": hashlib.sha256(plan_text({**plan, "model": ""}).encode()).hexdigest()}
    lines = [json.dumps(line) + "\n" for line in [header, *rows]]
    (sweep / "rows" / f"{name}.jsonl").write_text("".join(lines))


def rows_of(sweep: Path) -> list[dict]:
    (file,) = (sweep / "rows").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()[1:]]


def results(sweep: Path) -> list[dict]:
    return list(csv.DictReader((sweep / "results.csv").open(newline="")))


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, start) -> Path:
    """A sweep's folder whose runs `generate` drew."""
    folder = tmp_path_factory.mktemp("sweep")
    lines = [{**cell, "seed": int(cell["seed"]), "steps": int(cell["steps"]), "schedule": "trailing"} for cell in CELLS]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended = start(folder, "--prompts", "prompts.jsonl", "--frames", "none", "--progress", "none", "--out", "made/runs")
    assert ended.code == DONE, ended.err
    made = folder / "made"
    write_rows(made, [row_of(i, run) for i, run in enumerate(sorted((made / "runs").iterdir()))])
    ended = start(folder, "sweep", "merge", "made")
    assert (ended.code, ended.out, ended.err) == (DONE, "made: 24 cells: 24 made\n", "")
    return made


@pytest.fixture
def sweep(made, tmp_path) -> Path:
    """A copy, for a test that changes it, without its results."""
    shutil.copytree(made, tmp_path / "sweep", ignore=shutil.ignore_patterns("results.*", "grid*.png"))
    return tmp_path / "sweep"


@pytest.fixture
def shard(made, tmp_path):
    """shard(1, 3, "a") is a folder with the cells of the first of three shards."""

    def shard(number: int, of: int, name: str, change=lambda rows: rows) -> Path:
        rows = [row for row in rows_of(made) if row["cell"] % of == number - 1]
        for row in rows:
            shutil.copytree(made / row["folder"], tmp_path / name / row["folder"])
        write_rows(tmp_path / name, change(rows), [number, of])
        return tmp_path / name

    return shard


# ---- tables


def test_a_row_a_cell_with_its_distances_to_the_most_calls(made):
    rows = results(made)
    assert [row["cell"] for row in rows] == [str(i + 1) for i in range(len(CELLS))]
    for row, cell in zip(rows, CELLS, strict=True):
        assert {name: row[name] for name in AXES} == cell
        stochastic = row["sampler"] == "euler_a"
        best = max(
            (
                other
                for other in rows
                if (other["prompt"], other["seed"]) == (row["prompt"], row["seed"])
                and (other["sampler"] == "euler_a" if stochastic else other["sampler"] != "euler_a")
            ),
            key=lambda other: int(other["denoiser_calls"]),
        )
        assert (row["reference"], row["stochastic"]) == (best["cell"], "~" if stochastic else "")
        ends = [load_file(made / each["folder"] / "final.safetensors")["latents"] for each in (row, best)]
        rms = np.sqrt(np.mean((ends[0].astype(float) - ends[1]) ** 2))
        assert float(row["latents_rms"]) == pytest.approx(rms, rel=1e-5)
        pictures = [pixels(made / each["folder"] / "final.png").astype(float) for each in (row, best)]
        mean_square = np.mean((pictures[0] - pictures[1]) ** 2)
        if mean_square == 0:
            assert row["psnr"] == "inf"
        else:
            assert float(row["psnr"]) == pytest.approx(10 * np.log10(255**2 / mean_square), rel=1e-9)
    assert {row["cell"] for row in rows if row["latents_rms"] == "0"} >= {row["reference"] for row in rows}


def test_json_lines_say_the_same_as_csv(made):
    lines = [json.loads(line) for line in (made / "results.jsonl").read_text().splitlines()]
    rows = results(made)
    assert [list(line) for line in lines] == [list(row) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        for name, text in row.items():
            value = line[name]
            if isinstance(value, bool):
                assert text == ("~" if value else "")
            elif value is None:
                assert text == ("inf" if name == "psnr" else "")
            else:
                assert text == value if isinstance(value, str) else float(text) == value


@pytest.mark.parametrize("library", ["pandas", "duckdb"])
def test_the_page_shows_how_they_are_read(library, made, tmp_path, monkeypatch, capsys):
    pytest.importorskip(library)
    page = (ROOT / "docs/sweeps.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if f"import {library}" in block)
    shutil.copytree(made, tmp_path / "DIR")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/sweeps.md", "exec"), {})
    out = capsys.readouterr().out
    finite = [
        float(row["psnr"])
        for row in results(made)
        if (row["sampler"], row["steps"]) == ("ddim", "2") and row["stochastic"] == ""
    ]
    assert f"{statistics.mean(finite):.2f}" in out
    assert "euler_a" not in out


def test_cells_without_a_picture_have_a_row_too(sweep, run):
    rows = rows_of(sweep)
    rows[5].update(status="failed", reason="out of, memory", folder="", final_sha256="", settings=None)
    write_rows(sweep, rows[:-1])
    assert run("sweep", "grid", "sweep").code == DONE
    ended = run("sweep", "merge", "sweep")
    assert (ended.code, ended.out) == (FAILED, "missing: 1 cell: 24\n")
    write_rows(sweep, [*rows[:-1], {**rows[5], "cell": 23}])
    ended = run("sweep", "merge", "sweep")
    assert (ended.code, ended.out) == (DONE, "sweep: 24 cells: 22 made, 2 failed\n")
    row = results(sweep)[5]
    assert (row["status"], row["reason"], row["sampler"], row["steps"]) == ("failed", "out of, memory", "euler_a", "5")


def test_a_sweep_ends_with_its_tables_and_its_grid(run, tmp_path):
    axes = ("--steps", "4,2", "--weight", "red=0.5,1.5", "--stop-at", "1,none")
    ended = run("sweep", "red apple", *axes, "--seed", 3, "--out", "out", "--progress", "none")
    assert ended.code == DONE, ended.err
    rows = results(tmp_path / "out")
    found = [(row["prompt"], row["weight"], row["steps"], row["stop_at"], row["status"]) for row in rows]
    wanted = {
        (f"({word.split('=')[0]}:{word.split('=')[1]}) apple", word, steps, stop, "stopped" if stop == "1" else "done")
        for word, steps, stop in itertools.product(["red=0.5", "red=1.5"], ["4", "2"], ["1", "none"])
    }
    assert (len(found), set(found)) == (8, wanted)
    for row in rows:
        reference = rows[int(row["reference"]) - 1]
        assert (reference["steps"], reference["stop_at"], reference["weight"]) == ("4", "none", row["weight"])
    assert len(list((tmp_path / "out").glob("grid*.png"))) == 2
    text = " ".join(run("sweep", "summary", "out", "--within", 1).out.split())
    assert "stop_at 1 " in text and "stop_at none" in text


# ---- grids


def shown(picture: np.ndarray, grid: np.ndarray, factor: int) -> list[tuple[int, int]]:
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    height, width = picture.shape[:2]
    corner = (grid[: -height + 1, : -width + 1] == picture[0, 0]).all(axis=2)
    found = [(int(x), int(y)) for y, x in np.argwhere(corner)]
    return [(x, y) for x, y in found if (grid[y : y + height, x : x + width] == picture).all()]


def final_of(made: Path, **wanted) -> np.ndarray:
    cells = [i for i, cell in enumerate(CELLS) if wanted.items() <= cell.items()]
    (run,) = [made / row["folder"] for row in rows_of(made) if row["cell"] in cells]
    return pixels(run / "final.png")


def test_a_grid_has_steps_across_samplers_down_and_a_page_for_each_prompt_and_seed(made):
    assert sorted(file.name for file in made.glob("grid*")) == ["grid-2.png", "grid-3.png", "grid-4.png", "grid.png"]
    for page, (prompt, seed) in enumerate(itertools.product(AXES["prompt"], AXES["seed"]), 1):
        grid = pixels(made / ("grid.png" if page == 1 else f"grid-{page}.png"))
        columns, rows = set(), set()
        for column, steps in enumerate(AXES["steps"]):
            for row, sampler in enumerate(AXES["sampler"]):
                ((x, y),) = shown(final_of(made, prompt=prompt, seed=seed, sampler=sampler, steps=steps), grid, 8)
                columns.add((column, x))
                rows.add((row, y))
        assert (len(columns), len(rows)) == (2, 3)
        assert sorted(columns) == sorted(columns, key=lambda place: place[1])
        assert sorted(rows) == sorted(rows, key=lambda place: place[1])


def test_other_axes_sizes_and_files(made, run, tmp_path):
    ended = run("sweep", "grid", made, "--x", "seed", "--y", "prompt", "--cell-size", 32, "--out", "small.png")
    names = ["small.png", *(f"small-{page}.png" for page in range(2, 7))]
    assert (ended.code, ended.out.split(), ended.err) == (DONE, names, "")
    (tmp_path / "small.png").unlink()
    ended = run("sweep", "grid", made, "--x", "seed", "--y", "prompt", "--out", "small.png")
    assert (ended.code, (tmp_path / "small.png").exists()) == (OUTPUT, False), "small-2.png is there"
    grid = pixels(tmp_path / "small-2.png")  # of ddim and 5 steps, the last axis changing first
    for prompt, seed in itertools.product(AXES["prompt"], AXES["seed"]):
        assert len(shown(final_of(made, prompt=prompt, seed=seed, sampler="ddim", steps="5"), grid, 2)) == 1


def test_cells_without_a_picture_are_shown_as_such(sweep, run, tmp_path):
    rows = rows_of(sweep)
    rows[0].update(status="failed", reason="out of memory", folder="", settings=None)
    write_rows(sweep, rows[:-1])
    assert run("sweep", "grid", "sweep").code == DONE
    grey = (pixels(sweep / "grid.png") == 238).all(axis=2).sum()
    assert 0.8 * 128 * 128 < grey < 128 * 128, "one cell, but for the text on it"
    assert (pixels(sweep / "grid-4.png") == 238).all(axis=2).sum() > 0.8 * 128 * 128


def test_what_a_grid_refuses(made, run, tmp_path):
    def said(*arguments) -> str:
        ended = run("sweep", "grid", made, "--out", "grid.png", *arguments)
        assert (ended.code, ended.out) == (USAGE, "")
        return ended.err

    assert said("--x", "stepz") == "steplapse: --x 'stepz': is no axis of this sweep, did you mean 'steps'?\n"
    assert "its axes: prompt; seed; sampler; steps" in said("--y", "guidance_scale")
    assert said("--x", "seed", "--y", "seed") == "steplapse: --x and --y are both 'seed'; expected two axes\n"
    assert run("sweep", "grid", made, "--out", "grid.jpg").code == USAGE
    (tmp_path / "empty").mkdir()
    assert "holds no sweep" in run("sweep", "grid", "empty").err
    assert not list(tmp_path.glob("*.png"))


# ---- which N to use


def test_a_summary_is_of_the_rows_of_results(made, run, tmp_path):
    ended = run("sweep", "summary", made, "--within", 20, "--json", "--csv", "summary.csv", "--plot", "cost.svg")
    assert (ended.code, ended.err) == (DONE, "")
    summary = json.loads(ended.out)
    assert (summary["left_out"], summary["cells"], summary["missing"]) == (["euler_a"], 24, 0)
    lines = list(csv.DictReader((tmp_path / "summary.csv").open(newline="")))
    assert [(line["sampler"], line["steps"]) for line in lines] == list(itertools.product(["ddim", "heun"], ["2", "5"]))
    for line in lines:
        rows = [row for row in results(made) if (row["sampler"], row["steps"]) == (line["sampler"], line["steps"])]
        finite = [float(row["psnr"]) for row in rows if row["psnr"] != "inf"]
        assert int(line["pictures"]) == len(rows) == 4
        assert int(line["within"]) == sum(float(row["psnr"]) >= 20 for row in rows)
        assert float(line["denoiser_calls"]) == statistics.mean(int(row["denoiser_calls"]) for row in rows)
        assert float(line["network_seconds"]) == pytest.approx(
            statistics.mean(float(row["network_seconds"]) for row in rows)
        )
        if finite:
            assert float(line["psnr_mean"]) == pytest.approx(statistics.mean(finite))
            assert float(line["psnr_deviation"]) == pytest.approx(statistics.stdev(finite))
        else:
            assert (line["psnr_mean"], line["references"]) == ("", "4")
    assert (tmp_path / "cost.svg").read_text().count("<polyline") > 2
    for answer in summary["answers"]:
        of_sampler = [line for line in lines if line["sampler"] == answer["sampler"]]
        enough = [int(line["steps"]) for line in of_sampler if int(line["within"]) == 4]
        assert answer["steps"] == (min(enough) if enough else None)


def test_a_summary_says_the_answer_first_and_what_is_missing(sweep, run):
    def summary(*arguments) -> str:
        return " ".join(run("sweep", "summary", "sweep", *arguments).out.split())

    text = summary("--within", 1)
    assert text.startswith("Use ddim on trailing with 2 steps: the fewest calls within 1 dB of the reference for 95 %")
    assert "end at other pictures on purpose: euler_a" in text
    write_rows(sweep, rows_of(sweep)[:20])
    text = summary("--within", 1)
    assert text.startswith("So far: Use ddim")
    assert "24 cells, 4 of them missing" in text
    text = summary("--sampler", "euler_a")
    assert "euler_a on trailing ~" in text
    assert run("sweep", "summary", "sweep", "--sampler", "eulr").err == (
        "steplapse: --sampler 'eulr': no picture of the sweep is by it; there are ddim, euler_a, heun\n"
    )
    assert run("sweep", "summary", "sweep", "--within", 0).code == USAGE


# ---- merging


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_shards_become_the_sweep_that_one_process_makes(made, shard, run, tmp_path):
    shards = [shard(number, 3, f"shard{number}") for number in (1, 2, 3)]
    before = [everything_in(folder) for folder in shards]
    ended = run("sweep", "merge", *shards, "--out", "whole")
    assert (ended.code, ended.out, ended.err) == (DONE, "whole: 24 cells: 24 made\n", "")
    whole = tmp_path / "whole"
    for name in ("results.csv", "results.jsonl", "grid.png", "grid-4.png", "plan.json"):
        assert (whole / name).read_bytes() == (made / name).read_bytes()
    assert everything_in(whole / "runs") == everything_in(made / "runs")
    assert [everything_in(folder) for folder in shards] == before
    run_folder = rows_of(made)[0]["folder"]
    assert os.path.samefile(whole / run_folder / "final.png", shards[0] / run_folder / "final.png")
    assert not os.path.samefile(whole / run_folder / "run.sqlite", shards[0] / run_folder / "run.sqlite")
    ended = run("sweep", "merge", *shards, "--out", "whole")
    assert (ended.code, ended.err) == (
        OUTPUT,
        "steplapse: whole: is there already; name another --out, or delete it\n",
    )


def test_a_merge_names_what_is_missing_and_writes_nothing(shard, run, tmp_path):
    shard(1, 3, "a")
    shard(2, 3, "b", lambda rows: rows[:-2])

    def problems(*folders) -> list[str]:
        ended = run("sweep", "merge", *folders, "--out", "whole")
        assert (ended.code, ended.lines()) == (
            FAILED,
            ["steplapse: the sweep is not whole: see the list above; nothing is written"],
        )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
        return ended.out.splitlines()

    assert problems("a", "b") == [
        "missing: 2 cells of shard 2 of 3: 20, 23",
        "shard 3 of 3 is missing: 8 cells, 3, 6, 9, 12, 15, 18, 21, 24",
    ]
    run_folder = tmp_path / "b" / rows_of(tmp_path / "b")[0]["folder"]
    (run_folder / "final.png").write_bytes(b"torn")
    assert problems("a", "b")[0] == (f"damaged: cell 2: b/runs/{run_folder.name}: final.png is not as its row says")


def test_a_merge_says_where_two_shards_differ_and_where_they_are_equal(made, shard, run, tmp_path):
    for number in (1, 2):
        shard(number, 2, f"shard{number}")
    shutil.copytree(tmp_path / "shard2", tmp_path / "again")
    ended = run("sweep", "merge", "shard1", "shard2", "again", "--out", "whole")
    assert ended.out == "whole: 24 cells: 24 made, 12 of them twice, with equal pictures\n"
    rows = rows_of(tmp_path / "again")
    other = tmp_path / "again" / rows[3]["folder"] / "final.png"
    other.write_bytes((made / rows_of(made)[0]["folder"] / "final.png").read_bytes())
    rows[3]["final_sha256"] = hashlib.sha256(other.read_bytes()).hexdigest()
    write_rows(tmp_path / "again", rows, [2, 2])
    ended = run("sweep", "merge", "shard1", "shard2", "again", "--out", "other")
    assert (ended.code, ended.out) == (FAILED, "different pictures of 1 cell in 'shard2' and 'again': 8\n")


def test_a_merge_refuses_shards_that_do_not_belong_together(shard, run, tmp_path):
    first = shard(1, 2, "a")
    write_rows(shard(1, 3, "b"), [], [1, 3])

    def said(*folders) -> str:
        ended = run("sweep", "merge", *folders)
        assert (ended.code, ended.out) == (USAGE, "")
        return ended.err

    assert said("a", "b", "--out", "c") == (
        "steplapse: 'b': is shard 1 of 3, but 'a' is one of 2; expected the shards of one number\n"
    )
    write_rows(tmp_path / "b", [], [2, 2], {**PLAN, "fixed": {"schedule": "leading"}})
    assert "'b': its plan is not that of 'a'" in said("a", "b", "--out", "c")
    assert said("a", "a", "--out", "c") == "steplapse: 'a': is named twice\n"
    assert said("a", "b") == "steplapse: no --out: several folders are merged into a new one; name it\n"
    assert first.exists() and not (tmp_path / "c").exists()
