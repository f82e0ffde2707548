"""`steplapse sweep parallel`: its lines with GNU parallel itself, killed and run again."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

import slurm
from harness import environment, sweep_rows

USAGE = 2
FOLDER = 'it\'s a "test" #1'


def is_gnu_parallel() -> bool:
    if not shutil.which("parallel"):
        return False
    return "GNU parallel" in subprocess.run(["parallel", "--version"], capture_output=True, text=True).stdout


GNU_PARALLEL = pytest.mark.skipif(not is_gnu_parallel(), reason="no GNU parallel: scripts/setup.sh test installs it")


@pytest.fixture
def place(tmp_path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    return folder


@pytest.fixture
def lines(start, place):
    """lines("--jobs", 2, axes=(...)) is what it prints for a sweep in sweep/."""

    def lines(*arguments, axes=("--steps", "2,3")) -> list[str]:
        ended = start(place, "sweep", "plan", "red apple", *axes, "--out", "plan.json", "--overwrite")
        assert ended.code == 0, ended.err
        ended = start(place, "sweep", "parallel", "plan.json", "--out", "sweep", *arguments)
        assert ended.code == 0, ended.err
        return ended.out.splitlines()

    return lines


@pytest.fixture
def shell(tiny_bundle, tmp_path):
    """shell(line) starts it in another folder than the sweep's. What still runs at the test's end is killed."""
    begun = []

    def shell(line: str) -> subprocess.Popen:
        process = subprocess.Popen(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=environment(tiny_bundle, HOME=str(tmp_path)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield shell
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@GNU_PARALLEL
def test_two_slots_share_a_sweep_which_goes_on_after_a_kill(lines, shell, place):
    parallel, merge = lines("--jobs", 2, "--shards", 4, axes=("--steps", "40", "--seed", "1..12"))
    first = shell("exec " + parallel)
    slurm.wait_for("it has begun", lambda: len(sweep_rows(place / "sweep")) > 1, 120)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert len(sweep_rows(place / "sweep")) < 12, "it was to be cut short"
    cut = shell(merge)
    assert "missing" in cut.communicate(timeout=120)[0] and cut.returncode != 0

    again = shell(parallel)
    out, _ = again.communicate(timeout=300)
    assert again.returncode == 0, out
    assert Counter(row["cell"] for row in sweep_rows(place / "sweep") if row["status"] == "done") == Counter(range(12))
    assert len(list((place / "sweep" / "runs").glob("*/final.png"))) == 12
    merged = shell(merge)
    out, _ = merged.communicate(timeout=120)
    assert merged.returncode == 0, out
    assert len((place / "sweep" / "results.csv").read_text().splitlines()) == 13


@GNU_PARALLEL
def test_terminated_it_ends_its_shards_cleanly(lines, shell, place):
    parallel, _ = lines("--jobs", 2, axes=("--steps", "40", "--seed", "1..12"))
    first = shell("exec " + parallel)
    slurm.wait_for("it has begun", lambda: len(sweep_rows(place / "sweep")) > 1, 120)
    os.kill(first.pid, signal.SIGTERM)  # begin no more
    time.sleep(1)  # two at once are one
    os.kill(first.pid, signal.SIGTERM)  # end what runs
    first.communicate(timeout=60)
    done = {row["cell"] for row in sweep_rows(place / "sweep") if row["status"] == "done"}
    assert 0 < len(done) < 12
    again = shell(parallel)
    out, _ = again.communicate(timeout=300)
    assert again.returncode == 0, out
    assert Counter(row["cell"] for row in sweep_rows(place / "sweep") if row["status"] == "done") == Counter(range(12))


@GNU_PARALLEL
def test_each_gpu_has_one_shard_at_a_time(lines, shell, place):
    parallel, _ = lines("--gpus", 2, axes=("--steps", "2", "--seed", "1..4"))
    dry = shell(parallel.replace("parallel ", "parallel --dry-run ", 1))
    out, _ = dry.communicate(timeout=60)
    slots = {line[: line.index("))") + 2] for line in out.splitlines()}
    assert slots and slots <= {"CUDA_VISIBLE_DEVICES=$((1 - 1))", "CUDA_VISIBLE_DEVICES=$((2 - 1))"}
    assert sorted(line.split()[-1] for line in out.splitlines()) == ["1/2", "2/2"]


def test_machines_are_reached_by_ssh(lines, tmp_path):
    parallel, merge = lines("--ssh", "alpha,me@beta", "--jobs", 2, axes=("--steps", "2", "--seed", "1..9"))
    assert " --jobs 2 " in parallel and " --sshlogin 'alpha,me@beta' --workdir " in parallel
    assert parallel.endswith("/4' ::: $(seq 4)")  # two machines, two at once on each
    assert " sweep merge " in merge


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["--gpus", "2", "--ssh", "a"],
            "--gpus and --ssh: parallel numbers the slots of all machines together, so they can't stand for GPUs; "
            "call one for each machine, with shards of its own",
        ),
        (["--gpus", "2", "--jobs", "2"], "--jobs and --gpus: each GPU has one shard at a time; leave --jobs out"),
        (["--ssh", "a,,b"], "--ssh: expected names of machines, as alpha,beta"),
        (["--shards", "3"], "--shards 3: the sweep has 2 cells, and a shard needs one or more"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_answered_in_one_line(start, place, arguments, message):
    assert start(place, "sweep", "plan", "x", "--steps", "2,3", "--out", "plan.json").code == 0
    ended = start(place, "sweep", "parallel", "plan.json", "--out", "sweep", *arguments)
    assert (ended.code, ended.lines()) == (USAGE, [f"steplapse: {message}"])


def test_braces_are_refused_since_parallel_replaces_them(start, tmp_path):
    place = tmp_path / "a{}b"
    place.mkdir()
    assert start(place, "sweep", "plan", "x", "--steps", "2,3", "--out", "plan.json").code == 0
    ended = start(place, "sweep", "parallel", "plan.json", "--out", "sweep")
    assert (ended.code, len(ended.lines())) == (USAGE, 1)
    assert ended.err.endswith("parallel would replace what stands in braces; rename it\n")
