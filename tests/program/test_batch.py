"""Many pictures in one call of the program: each is the one it would be alone."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness import TIMEOUT, assert_readable

QUICK = ("--steps", 4, "--frames", "none", "--progress", "none")


def latents(folder: Path) -> np.ndarray:
    return load_file(folder / "final.safetensors")["latents"]


def facts(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def folders(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def lines_of(path: Path, *lines: str | dict) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_count_draws_seeds_from_the_first_up(run, tmp_path):
    ended = run("red apple", "--seed", 2**32 - 2, "--count", 3, "--out", "out", *QUICK)
    assert (ended.code, ended.err.count("\n")) == (0, 1)  # the last seed is beyond 32 bits
    names = [f"000{i + 1}-red-apple-{2**32 - 2 + i}" for i in range(3)]
    assert folders(tmp_path / "out") == names
    assert [facts(tmp_path / "out" / name)["seed"] for name in names] == [2**32 - 2 + i for i in range(3)]


def test_without_a_seed_count_begins_at_a_random_one(run, tmp_path):
    assert run("red apple", "--count", 2, "--out", "out", *QUICK).code == 0
    first, second = (facts(tmp_path / "out" / name)["seed"] for name in folders(tmp_path / "out"))
    assert second == first + 1


def test_seeds_may_be_listed_or_given_one_by_one(run, tmp_path):
    for name, flags in {"list": ("--seed", "7,3"), "each": ("--seed", 7, "--seed", 3)}.items():
        assert run(*flags, "red apple", "--out", name, *QUICK).code == 0
        assert folders(tmp_path / name) == ["0001-red-apple-7", "0002-red-apple-3"]


def test_what_many_lines_have_is_warned_of_once_with_the_first(run, tmp_path):
    lines_of(
        tmp_path / "list.txt",
        "apple",
        {"prompt": "red apple", "guidance_scale": 0.5},
        {"prompt": "apple", "guidance_scale": 0.5},
    )
    ended = run("--prompts", "list.txt", "--dry-run")
    warnings = [line for line in ended.err.splitlines() if "what diffusers calls 0.5 is 1 here" in line]
    assert len(warnings) == 1 and warnings[0].startswith("steplapse: warning: list.txt:2: ")


@pytest.fixture(scope="module")
def together(start, tmp_path_factory):
    """Runs of different prompts, step counts, samplers and guidance, made together; and the flags of each alone."""
    folder = tmp_path_factory.mktemp("together")
    lines_of(
        folder / "list.txt",
        "red apple",
        {"prompt": "apple", "steps": 6, "seed": [5, 6]},
        {"prompt": "red apple", "sampler": "heun", "schedule": "karras", "negative_prompt": "apple"},
        {"prompt": "apple", "sampler": "euler_a", "guidance_interval": "2..3"},
        {"prompt": "red", "guidance_scale": 1},
    )
    alone = [
        ("red apple", "--seed", 1),
        ("apple", "--steps", 6, "--seed", 5),
        ("apple", "--steps", 6, "--seed", 6),
        ("red apple", "--sampler", "heun", "--schedule", "karras", "--negative-prompt", "apple", "--seed", 1),
        ("apple", "--sampler", "euler_a", "--guidance-interval", "2..3", "--seed", 1),
        ("red", "--guidance-scale", 1, "--seed", 1),
    ]
    common = ("--steps", 4, "--frames", "x0", "--progress", "none")
    for max_batch in (1, 16):
        ended = start(
            folder,
            "--prompts",
            "list.txt",
            "--seed",
            1,
            *common,
            "--max-batch",
            max_batch,
            "--out",
            f"at_once_{max_batch}",
        )
        assert (ended.code, ended.err) == (0, "")
    for i, flags in enumerate(alone):
        more = tuple(flag for flag in common if not ("--steps" in flags and flag in ("--steps", 4)))
        ended = start(folder, *flags, *more, "--out", f"alone_{i + 1}")
        assert ended.code == 0, ended.err
    return folder, len(alone)


def test_each_is_the_one_it_would_be_alone(together):
    folder, count = together
    made = sorted((folder / "at_once_16").iterdir())
    assert len(made) == count
    for i, path in enumerate(made):
        alone = latents(folder / f"alone_{i + 1}")
        assert abs(latents(path) - alone).max() <= 1e-4 * abs(alone).max(), path.name


def test_each_has_the_bits_it_would_have_alone_where_each_is_asked_alone(together):
    folder, count = together
    for i, path in enumerate(sorted((folder / "at_once_1").iterdir())):
        alone = folder / f"alone_{i + 1}"
        files = sorted(file.relative_to(path) for file in path.rglob("*") if file.suffix in (".png", ".safetensors"))
        assert len(files) >= 5
        for file in files:
            assert (path / file).read_bytes() == (alone / file).read_bytes(), (path.name, file)


def test_the_log_of_each_is_whole_and_its_time_is_its_share(together):
    folder, _ = together
    runs = [facts(path) for path in sorted((folder / "at_once_16").iterdir())]
    assert all((run["ended"], run["runs"], run["max_batch"]) == ("done", 6, "16") for run in runs)
    assert sum(run["network_seconds"] for run in runs) < max(run["total_seconds"] for run in runs)


def test_events_name_the_run(run):
    ended = run(
        "red apple", "--count", 2, "--seed", 1, "--steps", 3, "--frames", "none", "--out", "out", "--progress", "json"
    )
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert events[0] == {"event": "batch", "runs": 2, "steps": 6, "folder": "out"}
    for kind, count in {"start": 1, "step": 3, "frame": 1, "done": 1}.items():
        assert sorted(event["run"] for event in events if event["event"] == kind) == [1] * count + [2] * count
    last = events[-1]
    assert last["event"] == "batch_done" and (last["done"], last["denoiser_calls"], last["at_once"]) == (2, 6, 2)


def test_lines_end_with_what_all_came_to(run):
    ended = run("red apple", "--count", 3, "--seed", 1, "--steps", 2, "--out", "out", "--progress", "lines")
    assert ended.lines()[0] == "3 runs -> out"
    done, totals = ended.out.splitlines()
    assert done == "3 runs done, 6 frames in out"
    assert totals.startswith("6 denoiser calls, up to 3 shared, ")


def test_a_dry_run_says_each_and_writes_nothing(run, tmp_path):
    lines_of(tmp_path / "list.txt", "red apple", {"prompt": "apple", "steps": 3, "count": 2, "seed": 8})
    ended = run("--prompts", "list.txt", "--seed", 1, "--steps", 2, "--out", "out", "--dry-run")
    starts = [line for line in ended.out.splitlines() if line.startswith("would draw")]
    assert [line.split(" -> ")[1] for line in starts] == [
        "out/0001-red-apple-1",
        "out/0002-apple-8",
        "out/0003-apple-9",
    ]
    assert folders(tmp_path) == ["list.txt"]


def test_prompts_come_from_standard_input_too(run, tmp_path):
    assert run("--prompts", "-", "--seed", 1, "--out", "out", *QUICK, stdin=b"red apple\napple\n").code == 0
    assert folders(tmp_path / "out") == ["0001-red-apple-1", "0002-apple-1"]


def test_what_a_line_says_goes_before_what_the_command_line_says(run, tmp_path):
    lines_of(
        tmp_path / "list.txt",
        "red apple",
        {"prompt": "apple", "negative_prompt": "", "guidance_scale": 3, "steps": 5},
        {"prompt": "apple", "negative_prompt": None, "count": 2},
        {"prompt": "apple", "seed": 7},
        {"prompt": "apple", "sigmas": [10, 1, 0], "steps": None},
    )
    assert run("--prompts", "list.txt", "--seed", 4, "--negative-prompt", "red", "--out", "out", *QUICK).code == 0
    said = [facts(tmp_path / "out" / name) for name in folders(tmp_path / "out")]
    assert [run["seed"] for run in said] == [4, 4, 4, 5, 7, 4]
    assert [run["negative_prompt"] for run in said] == ["red", "", None, None, "red", "red"]
    assert [(run["steps"], run["guidance_scale"]) for run in said[:2]] == [(4, 5), (5, 3)]
    assert (said[5]["schedule"], said[5]["steps"]) == ("sigmas", 2)


@pytest.mark.parametrize("flags", [("--negative-prompt=", "--steps", 3), ("--negative-prompt", "", "--steps", 3)])
def test_an_empty_value_does_not_take_the_next_flag_for_its_own(draw, flags):
    said = facts(draw("apple", "--seed", 1, *flags))
    assert (said["negative_prompt"], said["steps"]) == ("", 3)


BAD = [
    (["a", {"prompt": "b", "steps": 0}], "list.txt:2: --steps '0': expected an integer of 1 or more"),
    (
        ["a", {"prompt": "b", "steps": 2000}],
        "list.txt:2: --steps 2000: the model has 1000 timesteps; expected 1 to 500 or 999",
    ),
    (["a", {"prompt": "b", "sampler": "eulr"}], "list.txt:2: --sampler 'eulr': did you mean 'euler'?"),
    (["a", {"prompt": "b", "sampler": "euler", "eta": 0.5}], "list.txt:2: --eta: the sampler 'euler' knows no eta"),
    (["a", {"prompt": "b", "stpes": 3}], "list.txt:2: unknown key 'stpes', did you mean 'steps'?"),
    (["a", "{b}"], "list.txt:2: is not JSON: wrong at byte 2 of 3; a line that begins with { is taken for JSON"),
    (["a", {"prompt": "b", "seed": [1, 2], "count": 2}], "list.txt:2: --count and several --seed both say how many"),
    ([], "--prompts 'list.txt': no prompt in it; expected one a line"),
]


@pytest.mark.parametrize("lines, message", BAD)
def test_a_bad_line_is_named_before_anything_runs(run, tmp_path, lines, message):
    lines_of(tmp_path / "list.txt", *lines)
    ended = run("--prompts", "list.txt", "--out", "out", "--frames", "none")
    assert ended.code == 2 and len(ended.lines()) == 1
    assert ended.err.startswith("steplapse: " + message)
    assert folders(tmp_path) == ["list.txt"]


@pytest.mark.parametrize(
    "flags, message",
    [
        (("red apple", "--prompts", "list.txt"), "PROMPT and --prompts both say what to draw; leave one out"),
        (("--prompts", "none.txt"), "--prompts none.txt: cannot read: No such file or directory"),
        (("red apple", "--count", "0"), "--count '0': expected an integer from 1 to 100000"),
        (("red apple", "--seed", "1,2", "--count", "3"), "--count and several --seed both say how many; leave one out"),
        (
            ("red apple", "--seed", "1,,2"),
            "--seed '': expected an integer from 0 to 18446744073709551615, or -1 for a random one",
        ),
        (("red apple", "--seed", "1,2", "--seed", "1"), "--seed: 1 is given twice"),
        (
            ("red apple", "--seed", "1,x"),
            "--seed 'x': expected an integer from 0 to 18446744073709551615, or -1 for a random one",
        ),
        (
            ("red apple", "--seed", str(2**64 - 1), "--count", "2"),
            f"--count 2: seeds from {2**64 - 1} up would pass the largest, 2^64 - 1",
        ),
        (("red apple", "--max-batch", "0"), "--max-batch '0': expected an integer from 1 to 100000"),
    ],
)
def test_flags_that_contradict_or_are_wrong_are_refused(run, tmp_path, flags, message):
    ended = run(*flags)
    assert (ended.code, ended.err) == (2, f"steplapse: {message}\n")
    assert folders(tmp_path) == []


def test_a_run_that_fails_leaves_the_others_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/0002-red-apple-2").write_text("a file where its folder should be")
    ended = run("red apple", "--seed", 1, "--count", 3, "--out", "out", *QUICK)
    assert ended.code == 4
    assert ended.lines() == [
        "steplapse: out/0002-red-apple-2: cannot make the folder: Not a directory",
        "steplapse: 1 of 3 runs failed, see above",
    ]
    assert [facts(tmp_path / "out" / name)["ended"] for name in ("0001-red-apple-1", "0003-red-apple-3")] == [
        "done",
        "done",
    ]


def test_a_run_that_is_there_is_kept_and_nothing_is_begun(run, tmp_path):
    assert run("red apple", "--seed", 2, "--out", "out/0002-red-apple-2", *QUICK).code == 0
    ended = run("red apple", "--seed", 1, "--count", 3, "--out", "out", *QUICK)
    assert ended.code == 4 and "out/0002-red-apple-2: holds a run already" in ended.err
    assert folders(tmp_path / "out") == ["0002-red-apple-2"]
    assert run("red apple", "--seed", 1, "--count", 3, "--out", "out", "--overwrite", *QUICK).code == 0


def test_a_signal_ends_those_begun_and_begins_no_more(begin, tmp_path):
    process = begin(
        "red apple",
        "--seed",
        1,
        "--count",
        40,
        "--steps",
        1000,
        "--schedule",
        "trailing",
        "--frames",
        "none",
        "--max-batch",
        2,
        "--out",
        "out",
        "--progress",
        "json",
    )
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (130, "")
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["done"], last["interrupted"], last["not_begun"]) == ("batch_done", 0, 2, 38)
    for name in folders(tmp_path / "out"):
        assert facts(tmp_path / "out" / name)["ended"] == "interrupted"
        for path in (tmp_path / "out" / name).iterdir():
            assert_readable(path)


def test_more_than_fit_at_once_follow_as_others_end(run, tmp_path):
    ended = run(
        "red apple",
        "--seed",
        1,
        "--count",
        20,
        "--steps",
        3,
        "--max-batch",
        3,
        "--frames",
        "none",
        "--out",
        "out",
        "--progress",
        "json",
    )
    events = [json.loads(line) for line in ended.out.splitlines()]
    begun = 0
    for event in events:
        begun += {"start": 1, "done": -1}.get(event["event"], 0)
        assert begun <= 3
    assert len(folders(tmp_path / "out")) == 20
