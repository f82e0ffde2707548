"""A sweep's cells: each is made once, whoever is killed; what is left goes on, and what failed is told."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from harness import TIMEOUT
from networks import NanAt, copy_with

SWEEP = ("sweep", "red apple", "heart", "--steps", "2,4", "--sampler", "ddim,euler", "--out", "out")
CELLS = 8
# One call takes milliseconds: enough cells and steps to be in the middle of.
LONG = ("sweep", "red apple", "--steps", "200,201,202", "--seed", "1..3", "--schedule", "trailing", "--out", "out")
LONG_CELLS = 9

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript is on its way out of PyTorch


# ---- what a sweep left


def all_rows(out: Path) -> list[dict]:
    rows = []
    for file in sorted((out / "rows").glob("*.jsonl")):
        header, *lines = file.read_text().splitlines()
        assert "plan_sha256" in json.loads(header)
        rows += [json.loads(line) for line in lines]
    return rows


def assert_each_cell_is_made_once(out: Path, cells: int):
    rows = all_rows(out)
    assert sorted(row["cell"] for row in rows) == list(range(cells))
    for row in rows:
        assert row["status"] == "done"
        assert hashlib.sha256((out / row["folder"] / "final.png").read_bytes()).hexdigest() == row["final_sha256"]
    assert len(list((out / "runs").iterdir())) == cells
    assert not list(out.rglob("*.part")) and not list(out.rglob("*-journal"))


def pictures(out: Path) -> dict[str, bytes]:
    return {folder.name: (folder / "final.png").read_bytes() for folder in sorted((out / "runs").iterdir())}


def calls_in_logs(out: Path) -> tuple[int, int]:
    """Answers in all logs, and those that took no time: that were known."""
    calls = shared = 0
    for log in out.glob("runs/*/run.sqlite"):
        with contextlib.closing(sqlite3.connect(log)) as rows, contextlib.suppress(sqlite3.OperationalError):
            calls += rows.execute("SELECT count(*) FROM calls").fetchone()[0]
            shared += rows.execute("SELECT count(*) FROM calls WHERE denoiser_ms = 0").fetchone()[0]
    return calls, shared


def closing(ended) -> dict:
    return json.loads(ended.out)


def event(process, name: str) -> dict:
    for line in process.stdout:
        found = json.loads(line)
        if found["event"] == name:
            return found
    pytest.fail(f"no event {name}: {process.communicate()[1]}")


@pytest.fixture
def bundle_of(tiny_bundle, tmp_path):
    """bundle_of(module) is a tiny bundle with that denoiser."""

    def bundle_of(module: torch.nn.Module) -> Path:
        return copy_with(tiny_bundle, tmp_path / "bundle", "denoiser", module)

    return bundle_of


# ---- its runs


def test_a_cell_is_the_run_that_generate_makes(run, tmp_path):
    assert run(*SWEEP, "--max-batch", 1).code == 0
    assert_each_cell_is_made_once(tmp_path / "out", CELLS)
    alone = run("red apple", "--steps", 4, "--sampler", "euler", "--seed", 0, "--schedule", "bundle", "--out", "alone")
    assert alone.code == 0
    wanted = {"prompt": "red apple", "steps": 4, "sampler": "euler"}
    (row,) = (row for row in all_rows(tmp_path / "out") if wanted.items() <= row["settings"].items())
    assert (tmp_path / "out" / row["folder"] / "final.png").read_bytes() == (tmp_path / "alone/final.png").read_bytes()


def test_a_cell_among_others_is_nearly_the_run_alone(run, tmp_path):
    assert run(*SWEEP).code == 0
    assert run(*SWEEP[:-1], "each", "--max-batch", 1).code == 0
    for folder in (tmp_path / "out/runs").iterdir():
        here = load_file(folder / "final.safetensors")["latents"]
        alone = load_file(tmp_path / "each/runs" / folder.name / "final.safetensors")["latents"]
        assert np.abs(here - alone).max() < 1e-4


@pytest.mark.parametrize("at_once", [(), ("--max-batch", 1)])
def test_the_calls_that_it_says_were_saved_are_those_that_the_logs_have_for_nothing(run, tmp_path, at_once):
    # Guidance stops after step 1, 2 or 3: the steps before are asked once.
    intervals = [flag for end in (1, 2, 3) for flag in ("--guidance-interval", f"1..{end}")]
    sweep = ("sweep", "red apple", "--steps", 6, "--guidance-scale", 3, *intervals, "--out", "out", *at_once, "--json")
    end = closing(run(*sweep))
    calls, shared = calls_in_logs(tmp_path / "out")
    assert calls == 18
    assert (end["asked_calls"], end["shared_calls"]) == (calls - shared, shared)
    # Step 1 is the same in all three, and step 2 in two.
    assert shared == 3
    assert sum(row["shared_calls"] for row in all_rows(tmp_path / "out")) == shared
    people = run(*(word if word != "out" else "told" for word in sweep[:-1]))
    assert f"{calls - shared} denoiser calls asked, {shared} saved" in people.out


# ---- going on


def test_the_same_command_again_does_nothing(run, tmp_path):
    assert run(*SWEEP).code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*")}
    again = run(*SWEEP, "--json")
    assert (again.code, closing(again)["made"], closing(again)["made_here"]) == (0, CELLS, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").rglob("*")} == before
    assert len(all_rows(tmp_path / "out")) == CELLS


def test_one_that_was_killed_goes_on_and_nothing_is_lost_or_made_twice(begin, run, tmp_path):
    for kill in range(3):
        process = begin(*LONG, "--max-batch", 2, "--progress", "json")
        event(process, "cell")
        process.kill()
        process.wait()
        assert kill < len(all_rows(tmp_path / "out")) < LONG_CELLS
    assert run(*LONG, "--max-batch", 4).code == 0
    assert_each_cell_is_made_once(tmp_path / "out", LONG_CELLS)


def test_a_cell_that_was_cut_goes_on_from_its_log(begin, run, tmp_path):
    sweep = ("sweep", "red apple", "--steps", 700, "--seed", "1,2", "--schedule", "trailing", "--max-batch", 1, "--out")
    process = begin(*sweep, "out", "--progress", "json")
    started = event(process, "cell_started")
    while calls_in_logs(tmp_path / "out")[0] == 0:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    cut = event(process, "cell_cut")
    assert process.wait(timeout=TIMEOUT) == 143
    assert cut["folder"] == started["folder"]
    assert 0 < calls_in_logs(tmp_path / "out")[0] < 700 and not (tmp_path / cut["folder"] / "final.png").exists()
    assert run(*sweep, "out").code == 0
    assert_each_cell_is_made_once(tmp_path / "out", 2)
    facts = json.loads((tmp_path / cut["folder"] / "run.json").read_text())
    assert len(facts["resumed"]) == 1 and facts["ended"] == "done"
    assert run(*sweep, "unbroken").code == 0
    assert pictures(tmp_path / "out") == pictures(tmp_path / "unbroken")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_with_cells_left_and_none_half_believed(begin, run, tmp_path, number):
    process = begin(*LONG, "--max-batch", 4, "--progress", "json")
    event(process, "cell")
    process.send_signal(number)
    end = event(process, "sweep_done")
    assert process.wait(timeout=TIMEOUT) == (130 if number == signal.SIGINT else 143)
    rows = all_rows(tmp_path / "out")
    assert end["made"] == len(rows) and end["left"] == LONG_CELLS - len(rows) > 0
    assert not (tmp_path / "out/results.csv").exists()
    finals = {path.parent.name for path in (tmp_path / "out").glob("runs/*/final.png")}
    assert finals == {Path(row["folder"]).name for row in rows}
    assert run(*LONG).code == 0
    assert_each_cell_is_made_once(tmp_path / "out", LONG_CELLS)


def test_what_is_damaged_is_made_again(run, tmp_path):
    assert run(*SWEEP, "--max-batch", 1).code == 0
    out = tmp_path / "out"
    before = pictures(out)
    damaged, without_picture, without_log, gone = sorted(out.glob("runs/*"))[:4]
    (damaged / "final.png").write_bytes(b"no picture")
    (without_picture / "final.png").unlink()
    (without_log / "run.sqlite").unlink()
    shutil.rmtree(gone)
    again = run(*SWEEP, "--max-batch", 1)
    assert again.code == 0, again
    assert f"runs/{damaged.name}: final.png is not as its row says; it is made again" in again.lines()
    assert pictures(out) == before
    assert len(all_rows(out)) == CELLS + 4
    assert "2 cells" not in again.out and "; 4 cells in" in again.out


def test_a_row_that_was_cut_off_does_not_count(run, tmp_path):
    assert run(*SWEEP).code == 0
    (file,) = (tmp_path / "out/rows").iterdir()
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:50])
    again = run(*SWEEP, "--json")
    assert (again.code, closing(again)["made"], closing(again)["asked_calls"]) == (0, CELLS, 0)  # its run was there


def test_another_plan_is_refused(run, tmp_path):
    assert run(*SWEEP).code == 0
    other = run(*SWEEP[:-1], "out", "--eta", 0.5)
    assert other.code == 2 and other.err.startswith("steplapse: ") and "out" in other.err


def let_compute(process, seconds: float):
    """Until it has computed that much longer: then it is in the call that takes for ever."""

    def computing_seconds() -> float:
        with open(f"/proc/{process.pid}/stat") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    end = computing_seconds() + seconds
    while computing_seconds() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


class Lasting(torch.nn.Module):
    """Takes for ever at timestep 500, by attention over many tokens: a program has no loop and no condition."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, latents: torch.Tensor, timesteps: torch.Tensor, conditioning: torch.Tensor) -> torch.Tensor:
        first = timesteps[0]
        tokens = int(torch.where(first == 500, torch.full_like(first, 3_000_000), torch.ones_like(first)))
        each = latents.flatten()[:8].view(1, 1, 1, 8).expand(1, 1, tokens, 8)
        attended = torch.nn.functional.scaled_dot_product_attention(each, each, each)
        return latents * self.scale + attended[:, :, 0, 0].mean() * 0


def test_a_signal_in_a_call_that_lasts_ends_it_after_the_grace(begin, bundle_of, run, tmp_path):
    sweep = ("sweep", "red apple", "--timesteps", "900,700,500,100", "--seed", "1,2,3", "--out", "out")
    flags = ("--max-batch", 2, "--grace", 1, "--progress", "json", "--model", bundle_of(Lasting()))
    process = begin(*sweep, *flags)
    event(process, "cell_started")
    event(process, "cell_started")
    let_compute(process, 2)
    process.send_signal(signal.SIGTERM)
    end = event(process, "sweep_done")
    assert process.wait(timeout=TIMEOUT) == 143
    assert (end["made"], end["left"]) == (0, 3)
    assert all_rows(tmp_path / "out") == [] and not list((tmp_path / "out").rglob("final.png"))
    for folder in (tmp_path / "out/runs").iterdir():
        facts = json.loads((folder / "run.json").read_text())
        assert (facts["ended"], facts["ended_reason"]) == ("interrupted", "a signal, in step 3")
    state = json.loads(run("sweep", "status", "out", "--json").out)
    assert (state["made"], state["running"], state["left"]) == (0, [], 3)


# ---- several at once


def test_two_at_once_share_the_cells(begin, tmp_path):
    both = [begin(*LONG, "--max-batch", 2, "--progress", "json") for _ in range(2)]
    ends = [json.loads(process.communicate(timeout=TIMEOUT)[0].splitlines()[-1]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert_each_cell_is_made_once(tmp_path / "out", LONG_CELLS)
    assert sum(end["made_here"] for end in ends) == LONG_CELLS
    assert (tmp_path / "out/results.csv").exists()


def test_the_number_of_shards_may_change(run, tmp_path):
    assert run("sweep", "plan", *SWEEP[1:-1], "plan.json").code == 0
    sweep = ("sweep", "run", "plan.json", "--out", "out")
    assert run(*sweep, "--shard", "1/2").code == 0
    assert {row["cell"] for row in all_rows(tmp_path / "out")} == set(range(0, CELLS, 2))
    assert not (tmp_path / "out/results.csv").exists()
    for shard in (1, 2, 3):
        assert run(*sweep, "--shard", f"{shard}/3").code == 0
    assert_each_cell_is_made_once(tmp_path / "out", CELLS)
    assert (tmp_path / "out/results.csv").exists()


def test_a_task_of_a_slurm_array_does_its_part(run, tmp_path):
    assert run("sweep", "plan", *SWEEP[1:-1], "plan.json").code == 0
    task = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "4"}
    ended = run("sweep", "run", "plan.json", "--out", "out", **task)
    assert ended.code == 0 and "shard 2/4: 2 cells -> out" in ended.lines()
    assert {row["cell"] for row in all_rows(tmp_path / "out")} == {1, 5}
    (file,) = (tmp_path / "out/rows").iterdir()
    assert json.loads(file.read_text().splitlines()[0])["shard"] == [2, 4]
    beyond = run("sweep", "run", "plan.json", "--out", "out", **{**task, "SLURM_ARRAY_TASK_ID": "8"})
    assert beyond.code == 2 and "SLURM_ARRAY_TASK_ID" in beyond.err


# ---- what fails


def test_a_cell_that_fails_is_told_and_the_others_go_on(run, bundle_of, tmp_path):
    levels = ("--timesteps", "900,500,100", "--timesteps", "900,400", "--timesteps", "900,300")
    sweep = ("sweep", "red apple", *levels, "--out", "out", "--model", bundle_of(NanAt(500)))
    ended = run(*sweep)
    assert ended.code == 1
    assert "3 cells" in ended.out and "1 failed" in ended.out
    assert "step 2: the denoiser answered NaN at timestep 500" in ended.out
    assert "--retry-failed" in ended.out
    rows = {row["cell"]: row for row in all_rows(tmp_path / "out")}
    assert [rows[cell]["status"] for cell in range(3)] == ["failed", "done", "done"]
    assert "NaN" in rows[0]["reason"] and rows[0]["final_sha256"] == ""

    again = run(*sweep, "--json")
    assert again.code == 1 and closing(again)["made_here"] == 0 and len(closing(again)["failed"]) == 1
    assert len(all_rows(tmp_path / "out")) == 3
    retried = run(*sweep, "--retry-failed")
    assert retried.code == 1
    assert [row["cell"] for row in all_rows(tmp_path / "out")].count(0) == 2


# ---- the state of it


def test_status_tells_what_is_made_running_and_left(begin, run, tmp_path):
    process = begin(*LONG, "--max-batch", 2, "--progress", "json")
    event(process, "cell_started")
    event(process, "cell_started")
    process.send_signal(signal.SIGSTOP)  # it keeps its claims
    state = json.loads(run("sweep", "status", "out", "--json").out)
    assert (state["cells"], state["made"], state["left"]) == (LONG_CELLS, 0, LONG_CELLS - 2)
    assert all((tmp_path / "out" / cell["folder"] / "run.sqlite").exists() for cell in state["running"])
    process.kill()
    process.wait()
    dead = run("sweep", "status", "out")
    assert dead.code == 0 and "running        0" in dead.out and "nobody works on it" in dead.out
    assert run(*LONG).code == 0
    assert json.loads(run("sweep", "status", "out", "--json").out)["made"] == LONG_CELLS
    nothing = run("sweep", "status", tmp_path)
    assert nothing.code == 2 and "no plan.json" in nothing.err


# ---- other disks


def test_runs_made_on_scratch_are_the_same_and_leave_it_clean(begin, run, tmp_path):
    sweep = (*LONG, "--max-batch", 2, "--scratch", "scratch")
    process = begin(*sweep, "--progress", "json")
    event(process, "cell")
    assert list((tmp_path / "scratch").iterdir())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=TIMEOUT) == 143
    assert list((tmp_path / "scratch").iterdir()) == []
    process = begin(*sweep, "--progress", "json")
    event(process, "cell")
    process.kill()
    process.wait()
    assert run(*sweep).code == 0
    assert list((tmp_path / "scratch").iterdir()) == []
    assert_each_cell_is_made_once(tmp_path / "out", LONG_CELLS)
    assert run(*LONG[:-1], "there", "--max-batch", 2).code == 0
    assert pictures(tmp_path / "out").keys() == pictures(tmp_path / "there").keys()


@pytest.fixture
def without_locks(tmp_path):
    """A library that makes the file system of files named claims one without locks."""
    source = tmp_path / "without_locks.c"
    source.write_text(
        """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static int is_of_claims(int file) {
  char name[64], path[4096];
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  ssize_t length = readlink(name, path, sizeof path - 1);
  if (length < 7) return 0;
  path[length] = 0;
  return strcmp(path + length - 7, "/claims") == 0;
}
static int act(const char* name, int file, int command, void* argument) {
  if ((command == F_SETLK || command == F_SETLKW) && is_of_claims(file)) {
    errno = ENOLCK;
    return -1;
  }
  int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
  return real(file, command, argument);
}
int fcntl(int file, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  return act("fcntl", file, command, argument);
}
int fcntl64(int file, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  return act("fcntl64", file, command, argument);
}
"""
    )
    library = tmp_path / "without_locks.so"
    built = subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True)
    if built.returncode != 0:
        pytest.skip("no C compiler")
    return library


def test_where_nothing_can_be_locked_it_says_so_and_goes_on(run, without_locks, tmp_path):
    ended = run(*SWEEP, LD_PRELOAD=str(without_locks))
    assert ended.code == 0
    (line,) = (line for line in ended.lines() if "locks" in line)
    assert "warning: out: this file system has no locks (No locks available)" in line
    assert "folder of its own" in line and "sweep merge" in line and "--scratch" in line
    assert_each_cell_is_made_once(tmp_path / "out", CELLS)
