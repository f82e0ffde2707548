"""`steplapse sweep slurm`: its batch file in a Slurm of the tests' own.

Whatever ends a task, no cell is lost or done twice.

STEPLAPSE_SLOW=1 has the tests too that wait for Slurm's clock.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest

import slurm
from harness import PROGRAM, environment, sweep_rows

USAGE, OUTPUT, TERMINATED = 2, 4, 143
MANY = 96  # cells: those of a shard are made 16 at once, and when the first ones end others must be left
FOLDER = 'it\'s a "test" #1'  # of the sweep, its plan and the batch file
SLOW = pytest.mark.skipif(not os.environ.get("STEPLAPSE_SLOW"), reason="it takes minutes: ctest -L slow")


@pytest.fixture(scope="module")
def cluster(tiny_bundle):
    reason = slurm.why_not()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # a short path: munge's socket wants one
    started = None
    try:
        started = slurm.Slurm(folder)
        started.environment |= environment(tiny_bundle, SLURM_CONF=str(started.configuration))
        started.environment["PATH"] += ":/usr/sbin"
        yield started
    finally:
        if started:
            started.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place(tmp_path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    return folder


@pytest.fixture
def planned(start, place):
    """planned("--steps", "2,3", shards=2) writes plan.json and plan.sbatch, for a sweep in sweep/."""

    def planned(*axes, shards: int, sbatch=()) -> Path:
        ended = start(place, "sweep", "plan", "red apple", *axes, "--out", "plan.json")
        assert ended.code == 0, ended.err
        ended = start(place, "sweep", "slurm", "plan.json", "--out", "sweep", "--shards", shards, "--", *sbatch)
        assert ended.code == 0, ended.err
        return place / "plan.sbatch"

    return planned


def log_of(place: Path, job: int | str) -> str:
    return (place / f"slurm-{job}.out").read_text()


def merges(place: Path, array: int) -> list[str]:
    """What each merge said after this array was submitted."""
    files = place.glob("slurm-*.out")
    jobs = sorted(int(path.stem[6:]) for path in files if path.stem[6:].isdigit())
    return [log_of(place, job) for job in jobs if job > array]


def assert_each_once(place: Path, cells: int) -> None:
    done = Counter(row["cell"] for row in sweep_rows(place / "sweep") if row["status"] == "done")
    assert done == Counter(range(cells))
    finals = list((place / "sweep" / "runs").glob("*/final.png"))
    assert len(finals) == cells
    table = (place / "sweep" / "results.csv").read_text().splitlines()
    assert len(table) == cells + 1


def process_of(cluster, task: int) -> int | None:
    """The program that this task of an array runs."""
    ours = {f"SLURM_CONF={cluster.configuration}".encode(), f"SLURM_ARRAY_TASK_ID={task}".encode()}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if ours < set((process / "environ").read_bytes().split(b"\0")) and b"--shard" in command:
                return int(process.name)
    return None


def run_to_its_end(cluster, file: Path, seconds: float = 300) -> int:
    job = cluster.submit(file, folder=file.parent)
    slurm.wait_for("the sweep ends", cluster.is_empty, seconds)
    return job


# ---- the batch file


def test_the_batch_file_runs_a_sweep_to_its_end_and_the_merge_finds_all(cluster, planned, place):
    file = planned("--steps", "2,3", "--seed", "1..4", shards=3, sbatch=("--comment=it's 1 # of", "-t", "30"))
    job = run_to_its_end(cluster, file)
    assert_each_once(place, 8)
    by_shard = {tuple(row["shard"]) for row in headers(place)}
    assert by_shard == {(1, 3), (2, 3), (3, 3)}
    (said,) = merges(place, job)
    assert "8 cells" in said and "missing" not in said


def headers(place: Path) -> list[dict]:
    files = (place / "sweep" / "rows").glob("*.jsonl")
    return [json.loads(file.read_text().splitlines()[0]) for file in files]


def test_killed_and_cancelled_tasks_lose_nothing(cluster, planned, place):
    file = planned("--steps", "60", "--seed", f"1..{MANY}", shards=2)
    job = cluster.submit(file, folder=place)
    slurm.wait_for("both shards have begun", lambda: len(shards_with_rows(place)) == 2, 120)
    os.kill(process_of(cluster, 1), signal.SIGKILL)
    cluster.run("scancel", f"{job}_2")
    slurm.wait_for("the merge ends", cluster.is_empty, 120)
    assert len(sweep_rows(place / "sweep")) < MANY, "it was to be cut short"
    (said,) = merges(place, job)
    assert "missing" in said

    again = run_to_its_end(cluster, file)
    assert_each_once(place, MANY)
    assert "missing" not in merges(place, again)[-1]


def shards_with_rows(place: Path) -> set[int]:
    found = set()
    for file in (place / "sweep" / "rows").glob("*.jsonl"):
        lines = file.read_text().splitlines()
        if len(lines) > 1:
            found.add(json.loads(lines[0])["shard"][0])
    return found


def test_a_requeued_task_goes_on_with_what_is_missing(cluster, planned, place):
    file = planned("--steps", "60", "--seed", f"1..{MANY}", shards=2)
    job = cluster.submit(file, folder=place)
    slurm.wait_for("both shards have begun", lambda: len(shards_with_rows(place)) == 2, 120)
    cluster.run("scontrol", "requeue", f"{job}_1")
    slurm.wait_for("it is queued again", lambda: cluster.states().get(f"{job}_1") == "PENDING", 60)
    begins = ("scontrol", "update", f"JobId={job}_1", "StartTime=now")  # else it waits two minutes
    slurm.wait_for("it may begin", lambda: cluster.answers(*begins), 60)
    slurm.wait_for("the sweep ends", cluster.is_empty, 300)
    assert_each_once(place, MANY)
    assert len(merges(place, job)) == 1, "a task that begins again submits no second merge"


# Slurm looks at time limits every half minute; a limit of 1 minute strikes after about 80 s.
@SLOW
def test_the_time_limit_loses_nothing(cluster, planned, place):
    cells = ("--steps", "900", "--schedule", "trailing", "--seed", "1..200")
    file = planned(*cells, shards=2, sbatch=("--time=1", "--signal=B:TERM@1"))
    job = run_to_its_end(cluster, file)
    done = [row["cell"] for row in sweep_rows(place / "sweep")]
    assert 0 < len(done) < 200, "it was to be cut short"
    assert len(set(done)) == len(done), "a cell was made twice"
    (said,) = merges(place, job)
    assert "missing" in said


# ---- the file itself


def test_it_goes_where_it_is_asked_to(start, place, planned):
    planned("--steps", "2,3", shards=2)
    at_plan = (place / "plan.sbatch").read_text()
    arguments = ("sweep", "slurm", "plan.json", "--out", "sweep", "--shards", 2)
    assert start(place, *arguments, "--to", "-").out == at_plan
    ended = start(place, *arguments)
    said = "steplapse: plan.sbatch: is there already; name another file, or --overwrite to replace it"
    assert (ended.code, ended.lines()) == (OUTPUT, [said])
    assert start(place, *arguments, "--overwrite").code == 0
    ended = start(place, *arguments, "--to", "other.sh", "--at-once", 1)
    assert ended.out == "other.sh: 2 cells in 2 shards, and a merge; submit it with: sbatch other.sh\n"
    assert "#SBATCH --array=1-2%1\n" in (place / "other.sh").read_text()
    assert subprocess.run(["sh", "-n", place / "other.sh"]).returncode == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--shards", "3"], "--shards 3: the sweep has 2 cells, and a shard needs one or more"),
        (["--shards", "0"], "--shards '0': expected an integer from 1 to 4000000"),
        (["--shards", "1", "x"], "unexpected 'x'; options of sbatch stand after --, as -- --time=1:00:00"),
        (
            ["--shards", "1", "--", "--array=1-9"],
            "'--array=1-9': --shards and --at-once make the array; leave it out",
        ),
        (
            ["--shards", "1", "--", "--dependency=afterok:1"],
            "'--dependency=afterok:1': the batch file has its own; give it to sbatch when you submit the file",
        ),
        (["--shards", "1", "--", "--comment=a\nb"], "'--comment=a\\nb': has a line break, which a batch file can't"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_answered_in_one_line(start, place, arguments, message):
    assert start(place, "sweep", "plan", "x", "--steps", "2,3", "--out", "plan.json").code == 0
    ended = start(place, "sweep", "slurm", "plan.json", "--out", "sweep", *arguments)
    assert (ended.code, ended.lines()) == (USAGE, [f"steplapse: {message}"])
    assert [path.name for path in place.iterdir()] == ["plan.json"]


def test_a_file_that_is_no_plan_is_refused(start, place):
    (place / "plan.json").write_text("{}")
    ended = start(place, "sweep", "slurm", "plan.json", "--out", "sweep", "--shards", 1)
    assert (ended.code, len(ended.lines())) == (USAGE, 1)
    assert "plan.json" in ended.err
    assert PROGRAM.exists()
