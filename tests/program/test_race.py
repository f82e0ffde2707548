"""`steplapse race`: samplers at equal numbers of denoiser calls, by a run's own final latents and pictures."""

import csv
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from harness import ROOT, TIMEOUT

USAGE, OUTPUT = 2, 4
COLUMNS = [
    "sampler",
    "stochastic",
    "calls",
    "denoiser_calls",
    "steps",
    "network_seconds",
    "prompt",
    "seed",
    "latents_distance",
    "picture_distance",
    "reference_sampler",
    "reference_calls",
    "reference_latents_error",
    "reference_picture_error",
    "status",
    "reason",
]
FIELD = ("--samplers", "euler,heun,euler_a", "--calls", "4,9", "--reference", "dpmpp_2m:40", "--progress", "none")


@pytest.fixture
def race(run):
    """race("red apple", ...) is what a race that went well says."""

    def race(*arguments) -> str:
        ended = run("race", *arguments)
        assert ended.code == 0, ended.err
        assert ended.err == ""
        return ended.out

    return race


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(newline="")))


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x.astype(np.float64)))))


# ---- what is measured


def test_distances_are_between_the_ends_of_runs_that_generate_makes(race, draw, tmp_path):
    race("red apple", "--seed", 5, *FIELD, "--csv", "race.csv")

    def end_of(sampler: str, steps: int, *more) -> tuple[np.ndarray, np.ndarray]:
        folder = draw("red apple", "--seed", 5, "--sampler", sampler, "--steps", steps, "--schedule", "karras", *more)
        return load_file(folder / "final.safetensors")["latents"], np.asarray(Image.open(folder / "final.png"), float)

    latents, picture = end_of("dpmpp_2m", 40)
    doubled, _ = end_of("dpmpp_2m", 80)
    for row in rows_of(tmp_path / "race.csv"):
        found_latents, found_picture = end_of(row["sampler"], int(row["steps"]))
        assert float(row["latents_distance"]) == pytest.approx(rms(found_latents - latents) / rms(latents), rel=1e-3)
        assert float(row["picture_distance"]) == pytest.approx(
            rms(found_picture - picture), abs=0.5
        )  # files are rounded
        assert float(row["reference_latents_error"]) == pytest.approx(rms(doubled - latents) / rms(latents), rel=1e-2)


def test_the_runs_that_are_kept_are_those_that_the_distances_are_of(race, run, tmp_path):
    race("red apple", "--seed", "5,6", *FIELD, "--csv", "race.csv", "--out", "runs")
    folders = sorted((tmp_path / "runs").iterdir())
    facts = {folder: json.loads((folder / "run.json").read_text()) for folder in folders}
    assert len(folders) == (3 * 2 + 1) * 2, "samplers, calls and the reference, from two seeds"

    def ends(sampler: str, steps: int, seed: int) -> np.ndarray:
        (folder,) = (
            folder
            for folder, fact in facts.items()
            if (fact["sampler"], fact["steps"], fact["seed"]) == (sampler, steps, seed)
        )
        assert facts[folder]["ended"] == "done"
        return load_file(folder / "final.safetensors")["latents"]

    for row in rows_of(tmp_path / "race.csv"):
        reference = ends("dpmpp_2m", 40, int(row["seed"]))
        away = rms(ends(row["sampler"], int(row["steps"]), int(row["seed"])) - reference) / rms(reference)
        assert float(row["latents_distance"]) == pytest.approx(away, rel=1e-5)
    ended = run("report", "runs", "--out", "grid.html")
    assert (ended.code, (tmp_path / "grid.html").read_text().count('<tr data-run="')) == (0, len(folders)), ended.err


def test_a_race_keeps_no_runs_where_some_are_or_where_there_are_too_many(run, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").write_text("mine")
    ended = run("race", "x", *FIELD, "--out", "runs")
    said = "steplapse: runs: is there already; name another --out, or --overwrite to replace its runs"
    assert (ended.code, ended.lines()) == (OUTPUT, [said])
    ended = run("race", "x", *FIELD, "--count", 100, "--out", "more")
    assert (ended.code, ended.lines()[0]) == (
        USAGE,
        "steplapse: --out: the race has 700 runs, and at most 200 are kept; fewer --samplers, --calls or seeds will do",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_csv_has_a_row_for_each_sampler_calls_prompt_and_seed(race, tmp_path):
    race("red apple", 'a "hot", beverage', "--seed", "3,1", *FIELD, "--csv", "race.csv")
    rows = rows_of(tmp_path / "race.csv")
    assert list(rows[0]) == COLUMNS
    assert [(row["sampler"], row["calls"], row["prompt"], row["seed"]) for row in rows] == [
        (sampler, calls, prompt, seed)
        for calls in ("4", "9")
        for sampler in ("euler", "heun", "euler_a")
        for prompt in ("red apple", 'a "hot", beverage')
        for seed in ("3", "1")
    ]
    cost = {
        ("euler", "4"): ("4", "4"),
        ("euler", "9"): ("9", "9"),
        ("euler_a", "4"): ("4", "4"),
        ("euler_a", "9"): ("9", "9"),
        ("heun", "4"): ("2", "3"),
        ("heun", "9"): ("5", "9"),
    }
    for row in rows:
        assert (row["steps"], row["denoiser_calls"]) == cost[row["sampler"], row["calls"]]
        assert row["stochastic"] == str(int(row["sampler"] == "euler_a"))
        assert (row["reference_sampler"], row["reference_calls"]) == ("dpmpp_2m", "40")


def test_json_and_table_have_the_means_of_the_csv(race, tmp_path):
    arguments = ("red apple", "castle", "--count", 2, *FIELD)
    found = json.loads(race(*arguments, "--json", "--csv", "race.csv"))
    table = race(*arguments).splitlines()
    assert [(lane["prompt"], lane["seed"]) for lane in found["lanes"]] == [
        ("red apple", 0),
        ("red apple", 1),
        ("castle", 0),
        ("castle", 1),
    ]
    for contender in found["contenders"]:
        distances = [
            float(row["latents_distance"])
            for row in rows_of(tmp_path / "race.csv")
            if (row["sampler"], row["calls"]) == (contender["sampler"], str(contender["calls"]))
        ]
        assert len(distances) == 4
        assert contender["latents_distance"]["mean"] == pytest.approx(np.mean(distances))
        assert contender["latents_distance"]["deviation"] == pytest.approx(np.std(distances, ddof=1))
        assert contender["distinguishable"] == (np.mean(distances) >= 4 * found["reference"]["latents_error"]["mean"])
        (row,) = [
            line.replace(" ~", "").replace("= ", "").split()
            for line in block_of(table, contender["calls"])
            if line.split()[0] == contender["sampler"]
        ]
        del row[3]  # seconds: the table is of another race
        assert [float(number) for number in row[1:5]] == pytest.approx(
            [
                contender["steps"],
                contender["denoiser_calls"],
                contender["latents_distance"]["mean"],
                contender["latents_distance"]["deviation"],
            ],
            rel=0.05,
        )


def block_of(table: list[str], calls: int) -> list[str]:
    """The rows under `-- at most N calls`."""
    first = table.index(f"-- at most {calls} calls") + 1
    last = next(i for i in range(first, len(table)) if not table[i] or table[i].startswith("--"))
    return table[first:last]


def test_the_columns_are_those_of_the_documentation(race, tmp_path):
    race("red apple", "--samplers", "euler", "--calls", 1, "--csv", "race.csv", "--progress", "none")
    documentation = (ROOT / "docs/race.md").read_text().split("## race.csv")[1]
    documented = [name for line in documentation.splitlines() for name in re.findall(r"`(\w+)`", line.split(" | ")[0])]
    assert (tmp_path / "race.csv").read_text().splitlines()[0] == ",".join(documented)


# ---- what is shown


def test_the_table_is_sorted_marked_and_at_most_100_columns_wide(race):
    table = race(
        "red apple",
        "--samplers",
        "euler_a,euler,heun,dpmpp_2m,dpm_adaptive",
        "--calls",
        "5,40",
        "--reference",
        "dpmpp_2m:40",
        "--progress",
        "none",
    ).splitlines()
    assert max(map(len, table)) <= 100
    assert table[0] == "1 prompt, seed 0 on tiny 16x16, schedule karras, guidance scale 5"
    assert table[1].startswith("Reference: dpmpp_2m, 40 calls in 40 steps. Its own error: latents ")
    for calls in (5, 40):
        rows = block_of(table, calls)
        assert [row.split()[0] for row in rows][-1] == "euler_a" and " ~ " in rows[-1]
        distances = [float(row.replace("= ", "").split()[4]) for row in rows[:-1]]
        assert distances == sorted(distances)
    first = block_of(table, 40)[0].split()
    assert first[:3] + first[4:] == ["dpmpp_2m", "40", "40", "=", "0", "-", "0", "-"]  # the reference itself
    assert float(first[3]) > 0
    assert table[table.index("-- as many calls as it likes") + 1].startswith("dpm_adaptive ")
    assert any(line.startswith("= less than 4 times the reference's own error") for line in table)
    assert any(line.startswith("~ draws fresh noise") for line in table)


def without_seconds(kind: str, text: str) -> str:
    if kind == "csv":
        rows = list(csv.reader(text.splitlines()))
        return str([[*row[:5], *row[6:]] for row in rows])
    if kind == "json":
        return re.sub(r'"network_seconds": *[^,}]+,?', "", text)
    return re.sub(r"^(\S+ ~? +\S+ +\S+) +\S+", r"\1", text, flags=re.MULTILINE) if kind == "txt" else text


def test_the_same_race_has_the_same_result_but_for_the_seconds(race, tmp_path):
    for name in ("a", "b"):
        files = ("--csv", f"{name}.csv", "--plot", f"{name}.svg", "--strip", f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(race("red apple", *FIELD, *files))
    for kind in ("txt", "csv", "svg"):
        a, b = (without_seconds(kind, (tmp_path / f"{name}.{kind}").read_text()) for name in ("a", "b"))
        assert a == b
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_seconds_are_those_of_the_network(race, tmp_path):
    found = json.loads(race("red apple", "--count", 2, *FIELD, "--json", "--csv", "race.csv", "--max-batch", 1))
    rows = rows_of(tmp_path / "race.csv")
    seconds = {(row["sampler"], row["calls"]): 0.0 for row in rows}
    for row in rows:
        assert float(row["network_seconds"]) > 0
        seconds[row["sampler"], row["calls"]] += float(row["network_seconds"]) / 2
    for contender in found["contenders"]:
        mean = seconds[contender["sampler"], str(contender["calls"])]
        assert contender["network_seconds"] == pytest.approx(mean)


# ---- the answer


def answer_of(distances: dict[str, dict[int, float]], levels: float) -> str:
    """The closing line, from the mean distances of pictures by sampler and calls."""
    from_calls = {}
    for sampler, by_calls in distances.items():
        near = None
        for calls in sorted(by_calls, reverse=True):
            if by_calls[calls] > levels:
                break
            near = calls
        from_calls[sampler] = near
    near = sorted((calls, distances[name][calls], name) for name, calls in from_calls.items() if calls)
    far = sorted((distances[name][max(distances[name])], name) for name, calls in from_calls.items() if not calls)
    texts = [f"{name} from {calls}" + (" calls" if i == 0 else "") for i, (calls, _, name) in enumerate(near)]
    said = f"within {levels:g} level{'' if levels == 1 else 's'} of 255: "
    if not near:
        return said + "none of " + ", ".join(name for _, name in far)
    return said + ", ".join(texts) + ("; not " + ", ".join(name for _, name in far) if far else "")


@pytest.mark.parametrize("levels", [1, 4, 20, 60])
def test_it_closes_with_the_calls_from_which_on_each_sampler_is_near(race, levels):
    arguments = ("red apple", "--count", 2, "--samplers", "euler,heun,unipc,euler_a", "--calls", "3,6,12,24")
    arguments += ("--reference", "dpmpp_2m:200", "--progress", "none", "--within", levels)
    found = json.loads(race(*arguments, "--json"))
    distances: dict[str, dict[int, float]] = {}
    for contender in found["contenders"]:
        if not contender["stochastic"]:
            distances.setdefault(contender["sampler"], {})[contender["calls"]] = contender["picture_distance"]["mean"]
    closing = race(*arguments).split("\n\n")[-1]
    assert " ".join(closing.split()) == answer_of(distances, levels)
    assert found["within"]["levels"] == levels
    from_calls = {row["sampler"]: row["from_calls"] for row in found["within"]["samplers"]}
    for sampler, calls in from_calls.items():
        assert (calls is None) == (distances[sampler][24] > levels)


def test_nearer_than_the_reference_is_exact_nothing_can_be_told(race):
    closing = race("red apple", *FIELD, "--within", "0.001").split("\n\n")[-1]
    assert " ".join(closing.split()).startswith(
        "within 0.001 levels of 255: can't be told, that is less than 4 times the reference's own error; "
        "a --reference of more calls can"
    )


# ---- who races


def test_without_samplers_the_usual_ones_race(race):
    found = json.loads(race("red apple", "--calls", 4, "--json", "--progress", "none"))
    assert [row["sampler"] for row in found["contenders"]] == ["euler", "heun", "dpmpp_2m", "unipc"]


def listed_samplers(run) -> list[str]:
    return [line.split()[0] for line in run("samplers").out.splitlines()[1:] if line[0] not in " \n"]


def test_all_are_all_that_make_sense_for_the_model(run, race, changed_bundle):
    ended = run("race", "red apple", "--samplers", "all", "--calls", 3, "--json", "--progress", "none")
    assert (ended.code, len(ended.lines())) == (0, 1), ended.err
    assert ended.lines()[0].startswith("steplapse: warning: left out of --samplers all: lcm and tcd, which are for ")
    names = [row["sampler"] for row in json.loads(ended.out)["contenders"]]
    assert sorted(names) == sorted(set(listed_samplers(run)) - {"lcm", "tcd"})
    assert len(names) > 20

    distilled = changed_bundle(lambda manifest: manifest["defaults"].update(sampler="lcm"))
    found = json.loads(
        race("red apple", "--samplers", "all", "--calls", 3, "--json", "--progress", "none", "--model", distilled)
    )
    assert {"lcm", "tcd"} < {row["sampler"] for row in found["contenders"]}


# ---- the strip


def test_the_strip_shows_the_results_by_sampler_and_calls(race, draw, tmp_path):
    race("red apple", "--seed", 5, *FIELD, "--strip", "strip.png", "--out", "runs")
    strip = np.asarray(Image.open(tmp_path / "strip.png").convert("RGB"))
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 7
    for folder in folders:
        picture = np.asarray(Image.open(folder / "final.png").convert("RGB"))
        shown = picture.repeat(8, axis=0).repeat(8, axis=1)  # 16 pixels become 128
        assert is_in(strip, shown), folder.name


def is_in(whole: np.ndarray, part: np.ndarray) -> bool:
    height, width = part.shape[:2]
    corners = np.argwhere((whole[: 1 - height, : 1 - width] == part[0, 0]).all(axis=2))
    return any((whole[y : y + height, x : x + width] == part).all() for y, x in corners)


def test_a_strip_that_would_be_too_large_is_refused_before_anything_runs(run, tmp_path):
    arguments = ("--samplers", "all", "--count", 40, "--calls", 3, "--strip", "strip.png", "--progress", "none")
    ended = run("race", "red apple", *arguments)
    assert ended.code == USAGE
    (line,) = ended.lines()
    assert re.fullmatch(
        r"steplapse: a sheet of \d+ x \d+ pixels is too large, at most 32767 a side can be drawn; "
        "a --strip wants fewer --samplers, --calls, prompts or seeds",
        line,
    )
    assert list(tmp_path.iterdir()) == []


def test_the_plot_has_a_line_a_sampler_and_dashes_for_stochastic_ones(race, tmp_path):
    race("red apple", "castle", *FIELD, "--plot", "race.svg")
    svg = (tmp_path / "race.svg").read_text()
    for text in ("euler", "heun", "euler_a", "denoiser calls", "latents: distance to dpmpp_2m, 40 calls", "4", "9"):
        assert f">{text}</text>" in svg
    hollow = [line for line in svg.splitlines() if line.startswith("<circle") and 'fill="white"' in line]
    assert len(hollow) == 2 + 1  # euler_a's two points, and its sign in the legend
    race("red apple", *FIELD, "--plot", "race.png")
    assert Image.open(tmp_path / "race.png").size == (720, 360)


def test_without_csv_and_plot_nothing_is_written(race, tmp_path):
    race("red apple", *FIELD)
    assert list(tmp_path.iterdir()) == []


def test_progress_goes_to_stderr(run):
    ended = run("race", "red apple", *FIELD[:-1], "json", "--json")
    events = [json.loads(line) for line in ended.lines()]
    of = 4 + 3 + 4 + 9 + 9 + 9 + 40 + 80
    assert events[-2:] == [{"event": "answer", "answers": of, "of": of}, {"event": "done"}]
    assert json.loads(ended.out)["reference"]["doubled_denoiser_calls"] == 80


# ---- names and schedules


def test_other_tools_names_race_on_the_schedule_of_all(run, race):
    arguments = ("--calls", 6, "--reference", "a1111:DPM++ 2M:40", "--progress", "none", "--json")
    found = run("race", "red apple", "--samplers", "a1111:DPM++ 2M Karras,comfyui:euler", *arguments)
    assert found.code == 0
    assert found.lines() == [
        "steplapse: warning: comfyui:euler races as euler on --schedule karras, not on its tool's own levels"
    ]
    ours = race("red apple", "--samplers", "dpmpp_2m,euler", *arguments)
    assert (
        json.loads(without_seconds("json", found.out))["contenders"]
        == json.loads(without_seconds("json", ours))["contenders"]
    )


@pytest.mark.parametrize("schedule", ["normal", "trailing", "exponential", "ays", "linspace", "beta", "lcm", "laplace"])
def test_schedules_that_always_start_at_the_same_level_are_raced_on(race, schedule):
    found = json.loads(
        race(
            "red apple",
            "--samplers",
            "ddim,pndm,heun",
            "--calls",
            "5",
            "--reference",
            "dpmpp_2m:12",
            "--schedule",
            schedule,
            "--json",
            "--progress",
            "none",
        )
    )
    assert len(found["contenders"]) == 3


# From alpha 0 the first step is of first order in every sampler: there Heun and PLMS ask once.
def test_a_flow_model_is_raced_from_alpha_zero(race, changed_bundle):
    flow = {"prediction_type": "flow", "timestep_spacing": "linspace", "shift": 3.0}
    bundle = changed_bundle(lambda manifest: manifest.update(training_noise=flow))
    found = json.loads(
        race("red apple", "--model", bundle, "--samplers", "heun,pndm", "--calls", "4", "--json", "--progress", "none")
    )
    assert found["schedule"] == "normal"
    assert [(row["steps"], row["denoiser_calls"]) for row in found["contenders"]] == [(3, 4), (4, 4)]


# DDIM ends at the model's own last alpha in a drawing; in a race it ends where all do, and is Euler's method.
def test_all_end_at_sigma_zero(race, tmp_path):
    race(
        "red apple",
        "--samplers",
        "ddim,euler",
        "--calls",
        7,
        "--schedule",
        "trailing",
        "--csv",
        "race.csv",
        "--progress",
        "none",
    )
    ddim, euler = rows_of(tmp_path / "race.csv")
    assert float(ddim["latents_distance"]) == pytest.approx(float(euler["latents_distance"]), rel=1e-4)


# ---- what is refused

CALLS = "expected an integer from 1 to 1000000"
LEADING = "; a race needs one start for all, as karras, normal or trailing have"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["--samplers", "euler"],
            "no PROMPT; see steplapse race --help (to draw the prompt 'race': steplapse generate race)",
        ),
        (["x", "--samplers", "all,euler"], "--samplers all,euler: all stands alone, as --samplers all"),
        (["x", "--within", "-1"], "--within '-1': expected a number from 0 to 255"),
        (["x", "--strip", "race.jpg"], "race.jpg: expected a file's name that ends in .png"),
        (["x", "--csv", "r.png", "--strip", "r.png"], "--csv and --strip both name r.png; expected two files"),
        (["x", "--samplers", "eulr"], "--samplers 'eulr': did you mean 'euler'? choose from "),
        (["x", "--samplers", ""], "--samplers '': choose from "),
        (["x", "--samplers", "euler,"], "--samplers '': choose from "),
        (["x", "--samplers", "a1111:Eular"], "unknown sampler 'a1111:Eular', did you mean 'a1111:Euler'?"),
        (["x", "--samplers", "euler,heun,euler"], "--samplers: 'euler' is given twice"),
        (["x", "--samplers", "euler,a1111:Euler"], "--samplers: 'euler' and 'a1111:Euler' are the same, euler"),
        (["x", "--samplers", "euler", "--calls", "10,x"], f"--calls 'x': {CALLS}"),
        (["x", "--samplers", "euler", "--calls", "2.5"], f"--calls '2.5': {CALLS}"),
        (["x", "--samplers", "euler", "--calls", "nan"], f"--calls 'nan': {CALLS}"),
        (["x", "--samplers", "euler", "--calls", "0"], f"--calls '0': {CALLS}"),
        (["x", "--samplers", "euler", "--calls", ""], f"--calls '': {CALLS}"),
        (["x", "--samplers", "euler", "--calls", "5,5"], "--calls: 5 is given twice"),
        (
            ["x", "--samplers", "euler", "--calls", "1001", "--reference", "dpmpp_2m:50"],
            "--calls 1001: euler asks 1000 times in the 1000 steps that the schedule has",
        ),
        (
            ["x", "--samplers", "euler", "--calls", "501"],
            "--calls 501: --schedule karras has too few levels for dpmpp_2m to be a "
            "reference of twice as many; name another with --reference SAMPLER:CALLS",
        ),
        (["x", "--samplers", "euler", "--seed", "1,1"], "--seed: 1 is given twice"),
        (
            ["x", "--samplers", "euler", "--seed", "-2"],
            "--seed '-2': expected an integer from 0 to 18446744073709551615",
        ),
        (
            ["x", "--samplers", "euler", "--seed", "1,2", "--count", "2"],
            "--count and several --seed both say how many; leave one out",
        ),
        (
            ["x", "--samplers", "euler", "--seed", "18446744073709551615", "--count", "2"],
            "--count 2: seeds from 18446744073709551615 up would pass the largest, 2^64 - 1",
        ),
        (["x", "--samplers", "euler", "--count", "0"], "--count '0': expected an integer from 1 to 100000"),
        (["x", "x", "--samplers", "euler"], "PROMPT: 'x' is given twice"),
        (
            ["x", "--samplers", "euler", "--guidance-scale", "inf"],
            "--guidance-scale 'inf': expected a number of 0 or more",
        ),
        (["x", "--samplers", "euler", "--schedule", "leading"], "--schedule leading: starts at sigma "),
        (["x", "--samplers", "euler", "--schedule", "ddim_uniform"], "--schedule ddim_uniform: starts at sigma "),
        (
            ["x", "--samplers", "euler", "--schedule", "simple", "--rho", "3"],
            "--rho: the schedule 'simple' does not take it; those that do: karras, polyexponential",
        ),
        (
            ["x", "--samplers", "euler", "--reference", "euler_a"],
            "--reference 'euler_a': draws fresh noise, and ends elsewhere each time; "
            "expected one of: ddim, euler, heun, ",
        ),
        (
            ["x", "--samplers", "euler", "--reference", "dpm_adaptive"],
            "--reference 'dpm_adaptive': has no number of calls to double; expected one of: ddim, euler, heun, ",
        ),
        (["x", "--samplers", "euler", "--reference", "heun:0"], f"--reference heun:0, calls '0': {CALLS}"),
        (
            ["x", "--samplers", "euler", "--reference", "heun:1200"],
            "--reference heun:1200, doubled to know its own error: "
            "asks 1999 times in the 1000 steps that the schedule has",
        ),
        (
            ["x", "--samplers", "euler", "--plot", "race.jpg"],
            "race.jpg: expected a file's name that ends in .svg or .png",
        ),
        (["x", "--samplers", "euler", "--csv", ""], "--csv '': expected a file's name"),
        (
            ["x", "--samplers", "euler", "--csv", "r.svg", "--plot", "r.svg"],
            "--csv and --plot both name r.svg; expected two files",
        ),
        (
            ["x", "--samplers", "euler", "--overwrite"],
            "--overwrite: without --csv, --plot, --strip and --out no file is written",
        ),
        (["x", "--samplers", "euler", "--steps", "3"], "unknown flag '--steps', "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_answered_in_one_line(run, tmp_path, arguments, message):
    ended = run("race", *arguments)
    assert (ended.code, ended.out) == (USAGE, "")
    (line,) = ended.lines()
    assert line.startswith(f"steplapse: {message}")
    if ": starts at" in line:
        assert line.endswith(LEADING)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["--csv", "--plot"])
def test_files_that_cant_be_written_are_refused_before_anything_runs(run, tmp_path, flag):
    (tmp_path / "there.svg").write_text("mine")
    (tmp_path / "folder.svg").mkdir()
    for name, message in [
        ("there.svg", "is there already; name another file, or --overwrite to replace it"),
        ("gone/race.svg", "cannot write: No such file or directory"),
        ("folder.svg", "is there already; name another file, or --overwrite to replace it"),
    ]:
        ended = run("race", "x", "--samplers", "euler", flag, name, "--model", "no-such-model")
        assert (ended.code, ended.lines()) == (OUTPUT, [f"steplapse: {name}: {message}"])
    assert (tmp_path / "there.svg").read_text() == "mine"
    assert run("race", "x", *FIELD, flag, "there.svg", "--overwrite").code == 0
    assert (tmp_path / "there.svg").read_text() != "mine"


def test_ctrl_c_ends_a_race_with_130_and_nothing_half_written(begin, tmp_path):
    process = begin(
        "race",
        "red apple",
        "--count",
        50,
        "--samplers",
        "euler,heun",
        "--calls",
        "100,200",
        "--csv",
        "race.csv",
        "--plot",
        "race.svg",
        "--progress",
        "json",
    )
    line = process.stderr.readline()  # it has begun
    assert json.loads(line)["event"] == "answer"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "steplapse: interrupted; nothing is shown or written"
    assert list(tmp_path.iterdir()) == []
