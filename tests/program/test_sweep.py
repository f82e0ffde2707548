"""What a sweep is: axes from flags and plans, what is said before it begins, and what is refused."""

import itertools
import json
import re
from pathlib import Path

import pytest

from harness import ROOT, mounted

DONE, USAGE, OUTPUT = 0, 2, 4


@pytest.fixture
def planned(run, tmp_path):
    """planned("red apple", "--steps", "2,4") is the plan that `sweep plan` writes, and what it says besides."""
    numbers = itertools.count()

    def planned(*arguments) -> tuple[dict, str]:
        file = tmp_path / f"plan{next(numbers)}.json"
        told = run("sweep", "plan", *arguments, "--out", file)
        assert told.code == DONE, told.err
        return json.loads(file.read_text()), told.err

    return planned


def axes(plan: dict) -> dict[str, list]:
    return {axis["name"]: axis.get("values") or axis["points"] for axis in plan["axes"]}


@pytest.fixture
def refused(run, tmp_path):
    """refused("red apple", ...) is the one line that a sweep is refused with, before it writes anything."""

    def refused(*arguments, command=("sweep",)) -> str:
        told = run(*command, *arguments, *(("--out", "out") if "--out" not in arguments else ()))
        assert (told.code, told.out) == (USAGE, "")
        assert not (tmp_path / "out").exists()
        lines = told.err.splitlines()
        assert lines[-1].startswith("steplapse: ")
        return lines[-1].removeprefix("steplapse: ")

    return refused


# ---- room


def test_a_sweep_that_the_disk_has_no_room_for_is_refused_before_it_begins(run, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=1m", "none"):
        told = run("sweep", "red apple", "--seed", "1..200", "--steps", 2, "--out", "disk/out")
        assert (told.code, told.out) == (OUTPUT, "")
        assert re.fullmatch(
            r"steplapse: disk/out: the sweep takes about \S+ MB, and 1 MB are free there; "
            r"sweep over less, or name an --out on another disk",
            told.lines()[-1],
        )
        assert not list(disk.iterdir())


# ---- axes


def test_axes_are_in_the_order_of_the_command_line_after_the_prompts(planned):
    plan, _ = planned(
        "--seed", "1..3", "--steps", "2,4..8:2", "red apple", "--eta", "0", "heart", "--sampler", "ddim,euler_a"
    )
    assert axes(plan) == {
        "prompt": ["red apple", "heart"],
        "seed": ["1", "2", "3"],
        "steps": ["2", "4", "6", "8"],
        "sampler": ["ddim", "euler_a"],
    }
    assert plan["fixed"] == {"eta": "0", "schedule": "bundle"}


def test_what_is_a_list_itself_is_repeated(planned):
    flags = ("--timesteps", "900,500,100", "--timesteps", "900,100")
    guidance = ("--guidance-interval", "none", "--guidance-interval", "1..2", "--guidance-scale", "3")
    plan, _ = planned("red apple", *flags, *guidance, "--negative-prompt", "a, b", "--negative-prompt", "none")
    assert axes(plan) == {
        "timesteps": ["900,500,100", "900,100"],
        "guidance_interval": ["none", "1..2"],
        "negative_prompt": ["a, b", "none"],
    }


def test_help_says_which_flags_split_and_which_are_repeated(run):
    told = run("sweep", "--help-all").out
    split = told.split("several values with commas")[1].split("a flag for each value")[0]
    whole = told.split("a flag for each value")[1].split("Axes of words")[0]
    for flag in ("--steps", "--sampler", "--guidance-scale", "--seed", "--schedule", "--eta", "--stop-at", "--size"):
        assert f"  {flag} " in split
    for flag in ("--negative-prompt", "--timesteps", "--sigmas", "--guidance-interval", "--guidance-sigmas"):
        assert f"  {flag} " in whole


def test_every_flag_of_generate_that_names_the_picture_or_the_sampling_is_an_axis(run):
    def flags(command: str) -> dict[str, set]:
        groups, group = {}, None
        for line in run(command, "--help-all").out.splitlines():
            if re.match(r"\S.*:$", line):
                group = groups.setdefault(line[:-1], set())
            elif found := re.match(r"  (?:-\w,)?(--[a-z-]+)", line):
                group.add(found[1])
        return groups

    generate = flags("generate")
    asked = generate["The picture"] | generate["Sampling (defaults are the bundle's)"] | {"--decoder", "--stop-at"}
    assert asked - set().union(*flags("sweep").values()) == {"--from-png"}


def test_lines_of_a_prompts_file_are_points_with_their_own_settings(planned, tmp_path):
    (tmp_path / "p.txt").write_text('red apple\n{"prompt": "heart", "steps": 3, "seed": [4, 5]}\n')
    plan, _ = planned("--prompts", "p.txt", "--eta", "0,1")
    assert [*axes(plan).values()] == [
        [{"prompt": "red apple"}, *({"prompt": "heart", "steps": "3", "seed": seed} for seed in ("4", "5"))],
        ["0", "1"],
    ]


def test_joined_axes_go_together(planned):
    plan, _ = planned(
        "red apple", "--steps", "2,4", "--seed", "1,2", "--guidance-scale", "3,5", "--zip", "steps,guidance-scale"
    )
    assert axes(plan) == {
        "steps,guidance_scale": [{"steps": "2", "guidance_scale": "3"}, {"steps": "4", "guidance_scale": "5"}],
        "seed": ["1", "2"],
    }


def test_words_are_replaced_weighted_and_repeated(planned):
    words = ("--replace", 'apple=pear,"plum, ripe"', "--weight", "red=0.6..1:0.2", "--repeat", "red=0..1")
    plan, _ = planned("red apple", *words, "--replace", "red,green")
    assert axes(plan) == {
        "replace:apple": [{"replace": "apple=pear"}, {"replace": "apple=plum, ripe"}],
        "weight:red": [{"weight": "red=0.6"}, {"weight": "red=0.8"}, {"weight": "red=1"}],
        "repeat:red": [{"repeat": "red=0"}, {"repeat": "red=1"}],
        "replace:red": [{"replace": "red=red"}, {"replace": "red=green"}],
    }


def test_several_samplers_share_the_bundles_levels_unless_told_otherwise(planned):
    plan, said = planned("red apple", "--sampler", "ddim,heun")
    assert plan["fixed"]["schedule"] == "bundle"
    assert said == "steplapse: the 2 samplers share the bundle's levels; --schedule auto takes each one's usual ones\n"
    for own in (("--schedule", "auto"), ("--schedule", "auto,karras"), ("--timesteps", "900,100")):
        plan, said = planned("red apple", "--sampler", "ddim,heun", *own)
        assert plan["fixed"].get("schedule") != "bundle" and said == ""
    assert "schedule" not in planned("red apple", "--sampler", "heun", "--steps", "2,3")[0]["fixed"]


def test_the_usual_schedule_is_what_generate_takes(run, draw, tmp_path):
    told = run(
        "sweep", "red apple", "--sampler", "ddim,heun", "--schedule", "auto,trailing", "--steps", 3, "--out", "out"
    )
    assert told.code == DONE, told.err
    found = [json.loads(line)["schedule"] for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    usual = [
        json.loads((draw("red apple", "--sampler", sampler, "--steps", 3) / "run.json").read_text())["schedule"]
        for sampler in ("ddim", "heun")
    ]
    assert found == [usual[0], "trailing", usual[1], "trailing"]


# ---- before it starts

SWEEPS = {
    "samplers": ("--sampler", "ddim,euler,heun,dpmpp_2m,euler_a", "--steps", "2,4"),
    "guidance": (
        "--guidance-scale",
        "3,5",
        *(f"--guidance-interval={each}" for each in ("none", "1..2", "3..4")),
        "--steps",
        4,
    ),
    "stops": ("--stop-at", "2,3,none", "--steps", 4, "--decoder", "full,linear", "--seed", "1,2"),
    "prompts": (
        "heart",
        "--weight",
        "red=1,1.2",
        "--negative-prompt=",
        "--negative-prompt=leaves",
        "--guidance-interval=2..3",
    ),
    "churn": ("--sampler", "euler", "--s-churn", "0,1", "--eta", "none", "--steps", 3, "--guidance-scale", "1,4"),
}


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("max_batch", [(), ("--max-batch", 1)], ids=["batches", "alone"])
def test_the_calls_that_are_foretold_are_those_that_are_made(run, name, max_batch):
    sweep = ("sweep", "red apple", *SWEEPS[name], *max_batch, "--progress", "none", "--json")
    told, made = run(*sweep, "--dry-run"), run(*sweep, "--out", "out")
    assert (told.code, made.code) == (DONE, DONE), told.err + made.err
    foretold, found = json.loads(told.out), json.loads(made.out)
    assert foretold["calls_to_ask"] == found["asked_calls"]
    assert foretold["denoiser_calls"] == found["asked_calls"] + found["shared_calls"]
    assert (found["shared_calls"] > 0) == (name != "churn")  # whose answers are shared by rows alone
    assert (foretold["calls_are_at_most"], foretold["calls_are_guessed"]) == (False, False)


def test_files_and_megabytes_are_foretold(run, tmp_path):
    sweep = (
        "sweep",
        "red apple",
        "--steps",
        "2,4",
        "--seed",
        "1,2",
        "--frames",
        "x0,xt",
        "--progress",
        "none",
        "--json",
    )
    foretold = json.loads(run(*sweep, "--dry-run").out)
    assert not [*tmp_path.iterdir()]
    assert run(*sweep, "--out", "out").code == DONE
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert foretold["files"] == len(files) - len([*tmp_path.glob("out/grid-*.png")])  # pages, the first is counted
    bytes_there = sum(file.stat().st_size for file in files)
    assert bytes_there <= foretold["bytes"] < 10 * bytes_there
    assert foretold["decodes"] == sum(file.suffix == ".png" for file in files) - 1  # the grid
    assert foretold["seconds"] > 0 and foretold["cells"] == 4


def test_a_dry_run_says_it_in_lines(run, tmp_path):
    told = run(
        "sweep", "red apple", "heart", "--steps", "2,4", "--sampler", "ddim,heun", "--dry-run", "--progress", "none"
    )
    assert told.code == DONE
    cells, calls, files, time = told.out.splitlines()
    assert cells == "8 cells (2 prompt x 2 steps x 2 sampler)"
    assert re.fullmatch(r"32 denoiser calls, \d+ to ask: \d+ are shared", calls)
    assert re.fullmatch(r"8 pictures to decode, about 55 files and \d+ MB of the \d.* that are free", files)
    assert re.fullmatch(r"about .* on cpu, by a few calls of its networks", time)
    assert not [*tmp_path.iterdir()]


def test_a_hundred_thousand_cells_are_looked_through_at_once(run):
    told = run(
        "sweep",
        "red apple",
        "--sampler",
        "ddim,euler,heun,dpmpp_2m",
        "--steps",
        "2..6",
        "--seed",
        "1..5000",
        "--dry-run",
        "--json",
    )
    foretold = json.loads(told.out)
    assert foretold["cells"] == 100_000
    one = json.loads(
        run("sweep", "red apple", "--sampler", "ddim,euler,heun,dpmpp_2m", "--steps", "2..6", "--dry-run", "--json").out
    )
    assert foretold["calls_to_ask"] == 5000 * one["calls_to_ask"]  # seeds share nothing


# ---- cells that are refused


def test_cells_that_a_sampler_refuses_refuse_the_sweep_before_it_begins(refused):
    said = refused("red apple", "--sampler", "ddim,heun", "--eta", "0,0.5", "--seed", "1..3")
    assert said.startswith(
        "6 of 12 cells can't be made: cell 7 (sampler heun, eta 0, seed 1): --eta: the sampler 'heun'"
    )
    assert said.endswith("; --skip-invalid leaves them out")
    assert refused("red apple", "--steps", "0,2") == "--steps '0': expected an integer of 1 or more"
    assert "none is left" in refused("red apple", "--sampler", "heun", "--eta", "0,1", "--skip-invalid")


def test_or_are_left_out_and_counted(run, tmp_path):
    sweep = ("sweep", "red apple", "--sampler", "ddim,heun", "--eta", "none,0.5", "--steps", 2, "--skip-invalid")
    told = run(*sweep, "--out", "out")
    assert told.code == DONE, told.err
    rows = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["done", "done", "done", "skipped"]
    assert "knows no eta" in rows[3]["reason"]
    assert "1 skipped" in told.out
    dry = json.loads(run(*sweep, "--dry-run", "--json").out)
    assert (dry["cells"], dry["left_out"]) == (4, 1)


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stps", "5"), "unknown flag '--stps', did you mean '--steps'?"),
        (("--sampler", "ddim,eular"), "--sampler 'eular': did you mean 'euler'?"),
        (("--steps", "5,"), "--steps '5,': an empty value; expected one between commas"),
        (("--steps", "9..5"), "--steps '9..5': is empty: it begins above its end, and ranges count up; write 5..9"),
        (("--steps", "5..9:0"), "--steps '5..9:0': a step of 0 never comes to the end; expected one above 0"),
        (("--steps", "5,6,5"), "--steps: '5' is given twice"),
        (("--steps", "5,5.5"), "--steps '5.5': expected an integer of 1 or more"),
        (("--seed", "-1"), "--seed -1: a sweep names its seeds, so that the same command goes on with it; as 1..4"),
        (
            ("--steps", "2,3", "--eta", "0,0.5,1", "--zip", "steps,eta"),
            "--zip 'steps,eta': steps has 2 values and eta 3; expected as many",
        ),
        (
            ("--steps", "2,3", "--eta", "0", "--zip", "steps,eta"),
            "--zip 'steps,eta': 'eta' has one value, and no axis; axes are steps",
        ),
        (("--steps", "2,3", "--zip", "steps,et"), "--zip 'steps,et': no axis 'et'; axes are steps"),
        (("--steps", "2,3", "--zip", "steps"), "--zip 'steps': expected two or more axes, each once"),
        (("--replace", "pear=plum"), "--replace 'pear=...': no prompt has the word 'pear'"),
        (("--replace", "pple=ear"), "--replace 'pple=...': no prompt has the word 'pple'"),
        (("--weight", "red=x"), "--weight 'red=x': expected WORD=NUMBER, as apple=1.2"),
        (("--repeat", "red=1..x"), "--repeat '1..x': expected a range A..B or A..B:STEP of plain numbers, as 5..50:5"),
        (("--weight", "red"), "--weight 'red': expected WORD=VALUE"),
        (
            ("--seed", "1..4000000", "--steps", "1..3"),
            "4000000 seed x 3 steps are more cells than 10000000; sweep over less at once",
        ),
        (("--size", "16x16", "--width", "16,24"), "--size and --width both say how large; leave one out"),
        (("--prompts", "p.txt"), "PROMPT and --prompts both say what to draw; leave one out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_axes_are_named(refused, arguments, message):
    assert refused("red apple", *arguments).startswith(message)


def test_a_setting_of_the_command_line_and_of_a_line_is_refused(refused, tmp_path):
    (tmp_path / "p.txt").write_text('red apple\n{"prompt": "heart", "steps": 3}\n')
    said = refused("--prompts", "p.txt", "--steps", "5")
    assert said == "p.txt:2: has its own 'steps', and --steps is given too; leave one out"
    (tmp_path / "p.txt").write_text('{"prompt": "heart", "steps": "x"}\n')
    assert refused("--prompts", "p.txt") == "p.txt:1: --steps 'x': expected an integer of 1 or more"


def test_a_sweep_wants_a_prompt_and_a_folder(run):
    told = run("sweep", "red apple", "--steps", "2,3")
    assert (told.code, told.err) == (
        USAGE,
        "steplapse: no --out; a sweep's folder has a name, so that the same command goes on with it\n",
    )
    assert run("sweep", "--steps", "2").err.startswith("steplapse: no PROMPT; see steplapse sweep --help")


def test_another_sweep_in_the_same_folder_is_refused_with_what_differs(run, tmp_path):
    assert run("sweep", "red apple", "--steps", "2,3", "--out", "out").code == DONE
    before = sorted((file, file.stat().st_mtime_ns) for file in (tmp_path / "out").rglob("*"))
    told = run("sweep", "red apple", "--steps", "2,4", "--eta", "0", "--out", "out")
    assert (told.code, told.err) == (
        USAGE,
        "steplapse: out: holds another sweep: steps is 2,3 there and 2,4 here; eta 0 is not there; the first that "
        "differs is cell 1 (steps 2); name another --out\n",
    )
    assert before == sorted((file, file.stat().st_mtime_ns) for file in (tmp_path / "out").rglob("*"))


# ---- plan files


def test_a_plan_runs_as_its_command_would(run, tmp_path):
    axes = ("red apple", "--steps", "2,3", "--seed", "1,2")
    assert run("sweep", "plan", *axes, "--out", "plan.json").out == (
        "plan.json: a plan of 4 cells; steplapse sweep run plan.json --out DIR runs it\n"
    )
    told = run("sweep", "run", "plan.json", "--out", "a")
    assert told.code == DONE
    assert told.err.startswith("steplapse: 'plan.json': a plan of 4 cells: 2 steps x 2 seed\n")
    assert run("sweep", *axes, "--out", "b").code == DONE
    assert (tmp_path / "a/plan.json").read_bytes() == (tmp_path / "b/plan.json").read_bytes()
    assert (tmp_path / "a/plan.json").read_bytes() == (tmp_path / "plan.json").read_bytes()
    pictures = [sorted((tmp_path / out).rglob("final.png")) for out in "ab"]
    assert [file.read_bytes() for file in pictures[0]] == [file.read_bytes() for file in pictures[1]]


def test_a_plan_is_replaced_only_where_that_is_asked_for(run, tmp_path):
    (tmp_path / "plan.json").write_text("mine")
    told = run("sweep", "plan", "red apple", "--out", "plan.json")
    assert told.code == 4 and (tmp_path / "plan.json").read_text() == "mine"
    assert run("sweep", "plan", "red apple", "--out", "plan.json", "--overwrite").code == DONE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sweep_plan": 2, "cells": 3}, "is a sweep plan of version 2, and this steplapse reads up to version 1; "),
        ({"axis": []}, "unknown key 'axis', did you mean 'axes'?"),
        (
            {"axes": [{"name": "stps", "values": [5]}]},
            "axes[0] 'stps', value 1: unknown setting 'stps', did you mean 'steps'?",
        ),
        (
            {"axes": [{"name": "steps", "values": [5, "x"]}]},
            "axes[0] 'steps', value 2: --steps 'x': expected an integer",
        ),
        ({"axes": [{"name": "steps", "values": []}]}, "axes[0].values: is a list of 0, expected a list of one or more"),
        ({"fixed": {"prompt": "a", "eta": "2"}}, "fixed: --eta '2': expected a number from 0 to 1"),
        (
            {"axes": [{"name": "replace", "values": ["pear=plum"]}]},
            "--replace 'pear=...': no prompt has the word 'pear'",
        ),
        (
            {"fixed": {"prompt": "a", "steps": 3}, "axes": [{"name": "steps", "values": [5]}]},
            "--steps is set by what all cells have and by the axis 'steps'",
        ),
        ({"model_sha256": "12"}, "is for a model with model.json 12, "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_plans_are_named_with_their_place(run, tmp_path, tiny_bundle, change, message):
    plan = {"sweep_plan": 1, "model": str(tiny_bundle), "fixed": {"prompt": "red apple"}, "axes": []}
    (tmp_path / "plan.json").write_text(json.dumps(plan | change))
    told = run("sweep", "run", "plan.json", "--out", "out")
    assert told.code == USAGE
    assert told.err.startswith("steplapse: 'plan.json': " + message), told.err
    assert not (tmp_path / "out").exists()


def test_the_plan_of_the_page_is_one(run, tmp_path, tiny_bundle):
    page = (ROOT / "docs/sweeps.md").read_text()
    plan = json.loads(re.search(r"<!-- plan -->\n```json\n(.*?)```", page, re.DOTALL)[1])
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    told = run("sweep", "run", "plan.json", "--model", tiny_bundle, "--dry-run", "--json")
    assert told.code == DONE, told.err
    assert json.loads(told.out)["cells"] == 48


def test_a_part_of_a_slurm_array_does_its_part(run, tmp_path):
    assert run("sweep", "plan", "red apple", "--steps", 2, "--seed", "1..5", "--out", "plan.json").code == DONE
    array = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "3"}
    assert run("sweep", "run", "plan.json", "--out", "out", **array).code == DONE  # the third of 3
    assert [folder.name[:4] for folder in Path(tmp_path / "out/runs").iterdir()] == ["0003"]
    for shard, message in {"0/3": "expected an integer from 1 to 3", "4/3": "from 1 to 3", "x": "expected I/N"}.items():
        told = run("sweep", "run", "plan.json", "--out", "out", "--shard", shard)
        assert told.code == USAGE and message in told.err
