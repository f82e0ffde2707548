"""A run goes on where its log ends, and ends in the bytes that it would have had unbroken."""

import contextlib
import csv
import fcntl
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from harness import TIMEOUT, mounted
from networks import NanAt, copy_with

# Tests of kills are as many as this; the slow test `resume_200_kills` sets it.
KILLS = int(os.environ.get("STEPLAPSE_KILLS", "10"))

LONG = ["red apple", "--steps", 300, "--schedule", "trailing", "--sampler", "euler_a", "--seed", 1]
FRAMES = ["--frames", "x0,xt", "--every", 20]
ALIKE = ["--max-batch", 1, "--threads", 1]
SHORT = ["red apple", "--steps", 6, "--sampler", "heun", "--seed", 1, "--frames", "x0,xt", *ALIKE, "--out", "out"]


def log_of(folder: Path):
    return contextlib.closing(sqlite3.connect(folder / "run.sqlite"))


def edit(folder: Path, sql: str):
    with log_of(folder) as log:
        log.executescript(sql)


def forget_after(folder: Path, step: int, call: int):
    """The log as a kill would have left it: all that was known at the run's end is gone."""
    edit(
        folder,
        f"DELETE FROM steps WHERE step > {step}; DELETE FROM calls WHERE call > {call};"
        "DELETE FROM run WHERE key IN ('ended', 'ended_reason', 'frame_steps') OR key LIKE '%_seconds';"
        "UPDATE steps SET x0_rms_to_final = NULL",
    )
    for name in ("run.json", "steps.csv", "final.png", "final.safetensors"):
        (folder / name).unlink(missing_ok=True)


def state(folder: Path) -> dict[str, bytes]:
    """Each file's bytes: what a command that refuses leaves alone."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def result(folder: Path) -> dict:
    """What resuming must not change: all files, but for times and what says that the run was resumed."""
    files = {name: content for name, content in state(folder).items() if name.endswith((".png", ".safetensors"))}
    facts = json.loads((folder / "run.json").read_text())
    for key in [*facts]:
        if key.endswith("_seconds") or key in ("started", "resumed", "facts_sha256", "picture", "runs"):
            del facts[key]
    with open(folder / "steps.csv", newline="") as table:
        rows = [{key: cell for key, cell in row.items() if not key.endswith("_ms")} for row in csv.DictReader(table)]
    assert not list(folder.rglob("*.part")) and not list(folder.rglob("*-journal"))
    return {**files, "run.json": facts, "steps.csv": rows}


def pixels(path: Path) -> bytes:
    return Image.open(path).tobytes()


def assert_same(found: Path, wanted: Path):
    found, wanted = result(found), result(wanted)
    assert found.keys() == wanted.keys()
    for name, content in wanted.items():
        assert found[name] == content, name


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("resume")


@pytest.fixture(scope="module")
def short(start, module_folder) -> Path:
    ended = start(module_folder, *SHORT)
    assert ended.code == 0, ended
    return module_folder / "out"


@pytest.fixture(scope="module")
def unbroken(start, module_folder) -> Path:
    ended = start(module_folder, *LONG, *FRAMES, *ALIKE, "--count", 3, "--out", "sweep")
    assert ended.code == 0, ended
    return module_folder / "sweep"


@pytest.fixture
def cut(short, tmp_path) -> Path:
    """A copy of the short run that was cut off after step 3, with its frames up to there."""
    shutil.copytree(short, tmp_path / "out")
    forget_after(tmp_path / "out", step=3, call=7)  # of step 4 Heun's first answer is there
    for path in (tmp_path / "out/frames").rglob("*.png"):
        if int(path.stem) > 3:
            path.unlink()
    return tmp_path / "out"


# ---- the same bytes


@pytest.mark.parametrize("steps, calls", [(0, 0), (0, 1), (1, 2), (3, 6), (3, 7), (3, 8), (5, 10), (6, 11)])
def test_a_run_goes_on_from_any_call_to_the_same_bytes(short, run, tmp_path, steps, calls):
    shutil.copytree(short, tmp_path / "out")
    forget_after(tmp_path / "out", steps, calls)
    ended = run("resume", "out")
    assert ended.code == 0, ended
    assert_same(tmp_path / "out", short)


def test_it_says_first_from_which_step_it_goes_on(cut, run):
    assert run("resume", "out", "--dry-run").out == (
        "out: would go on with step 4 of 6 of 'red apple'; 3 are in the log\n"
    )
    ended = run("resume", "out")
    assert ended.lines()[0] == "out: goes on with step 4 of 6 of 'red apple'; 3 are in the log"
    assert ended.out.startswith("done: out/final.png and ")


def test_a_dry_run_changes_nothing(cut, run):
    before = state(cut)
    assert run("resume", "out", "--dry-run").code == 0
    assert state(cut) == before


def test_the_network_is_asked_only_what_the_log_lacks(cut, run):
    events = [json.loads(line) for line in run("resume", "out", "--progress", "json").out.splitlines()]
    assert [event["step"] for event in events if event["event"] == "step"] == [4, 5, 6]
    assert next(event for event in events if event["event"] == "goes_on")["logged_steps"] == 3
    frames = [(event["kind"], event["step"]) for event in events if event["event"] == "frame"]
    assert sorted(frames) == sorted([*(("x0", k) for k in (4, 5, 6)), *(("xt", k) for k in (4, 5, 6)), ("final", 6)])


def test_the_log_says_that_it_was_resumed_each_time(cut, run, short):
    assert run("resume", "out").code == 0
    (first,) = json.loads((cut / "run.json").read_text())["resumed"]
    assert (first["step"], first["ended"], first["threads"]) == (4, None, "1")
    forget_after(cut, step=5, call=10)
    assert run("resume", "out").code == 0
    assert [row["step"] for row in json.loads((cut / "run.json").read_text())["resumed"]] == [4, 6]
    assert_same(cut, short)


def test_a_frame_that_was_lost_is_made_again_with_what_follows_it(cut, run, short):
    (cut / "frames/x0/0002.png").unlink()
    assert run("resume", "out").code == 0
    assert_same(cut, short)


def test_a_picture_beside_the_folder_is_written_too(run, tmp_path):
    assert run("red apple", "--steps", 3, "--seed", 1, "--out", "apple.png").code == 0
    picture = (tmp_path / "apple.png").read_bytes()
    (tmp_path / "apple.png").unlink()
    forget_after(tmp_path / "apple", step=1, call=1)
    (tmp_path / "elsewhere").mkdir()
    assert run("resume", tmp_path / "apple").code == 0
    assert (tmp_path / "apple.png").read_bytes() == picture


def test_an_interrupted_run_goes_on(begin, run, tmp_path, unbroken):
    process = begin(*LONG, *FRAMES, *ALIKE, "--out", "out")
    wait_for((tmp_path / "out/frames/x0/0020.png").exists, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert json.loads((tmp_path / "out/run.json").read_text())["ended"] == "interrupted"
    assert run("resume", "out").code == 0
    first = next(unbroken.glob("0001-*"))
    assert_same(tmp_path / "out", first)
    (resumed,) = json.loads((tmp_path / "out/run.json").read_text())["resumed"]
    assert resumed["ended"] == "interrupted"


# ---- killed


def wait_for(condition, process: subprocess.Popen):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    pytest.fail(f"the run did not get there in {TIMEOUT} s")


def kill_after(process: subprocess.Popen, log: Path, seconds: float) -> bool:
    """Whether it was still running then. The seconds count from when its log is there."""
    wait_for(log.exists, process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def is_empty(folder: Path) -> bool:
    with log_of(folder) as log:
        return log.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


def test_a_run_killed_at_any_moment_goes_on_to_the_same_bytes(begin, run, tmp_path, unbroken):
    moment = random.Random(1)
    out, log = tmp_path / "out", tmp_path / "out/run.sqlite"
    first = next(unbroken.glob("0001-*"))
    kills = 0
    while kills < KILLS:
        shutil.rmtree(out, ignore_errors=True)
        kills += kill_after(begin(*LONG, *FRAMES, *ALIKE, "--out", "out"), log, moment.uniform(0, 1.5))
        if is_empty(out):
            assert "ended before it began" in run("resume", "out").err
            continue
        while moment.random() < 0.5:  # and again, while it goes on
            kills += kill_after(begin("resume", "out"), log, moment.uniform(0, 3))
        ended = run("resume", "out")
        assert ended.code == 0, ended
        assert_same(out, first)


def test_of_several_runs_killed_all_that_had_begun_go_on_to_the_same_bytes(begin, run, tmp_path, unbroken):
    moment = random.Random(2)
    out = tmp_path / "sweep"
    kills = 0
    while kills < KILLS:
        shutil.rmtree(out, ignore_errors=True)
        process = begin(*LONG, *FRAMES, *ALIKE, "--count", 3, "--out", "sweep")
        kills += kill_after(process, out / next(unbroken.glob("0001-*")).name / "run.sqlite", moment.uniform(0, 4))
        while moment.random() < 0.5:
            kills += kill_after(begin("resume", "sweep"), out, moment.uniform(0, 3))
        begun = [folder for folder in sorted(out.iterdir()) if (folder / "run.sqlite").exists()]
        known = [folder for folder in begun if not is_empty(folder)]
        ended = run("resume", "sweep")
        assert ended.code == (0 if known else 4), ended
        assert (len(known) < 3) == ("which never began" in ended.err) or not known
        for folder in known:
            assert_same(folder, unbroken / folder.name)


def test_runs_that_share_calls_go_on_sharing_them(begin, run, tmp_path):
    process = begin(*LONG, "--frames", "none", "--count", 3, "--max-batch", 3, "--out", "sweep")
    folders = lambda: sorted((tmp_path / "sweep").glob("000*/run.sqlite"))  # noqa: E731
    wait_for(lambda: len(folders()) == 3, process)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    events = [json.loads(line) for line in run("resume", "sweep", "--progress", "json").out.splitlines()]
    (end,) = [event for event in events if event["event"] == "batch_done"]
    assert (end["done"], end["at_once"]) == (3, 3)


# ---- runs that failed


def test_a_run_that_filled_its_disk_goes_on_once_there_is_room(run, tmp_path, start):
    disk = tmp_path / "disk"
    disk.mkdir()
    draw = ["red apple", "--steps", 100, "--frames", "x0,xt", "--seed", 1, *ALIKE]
    with mounted(disk, "-t", "tmpfs", "-o", "size=300k", "none"):
        full = run(*draw, "--out", "disk/out")
        assert full.code == 4, full
        assert run("resume", "disk/out").code == 4  # there is still no room
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        ended = run("resume", "disk/out")
        assert ended.code == 0, ended
        assert run(*draw, "--out", "unbroken").code == 0
        assert_same(disk / "out", tmp_path / "unbroken")


def test_a_network_that_fails_fails_again_and_a_mended_one_is_another(tiny_bundle, run, tmp_path):
    def bundle_that_fails_at(timestep: int, name: str) -> Path:
        return copy_with(tiny_bundle, tmp_path / name, "denoiser", NanAt(timestep))

    broken, mended = bundle_that_fails_at(500, "broken"), bundle_that_fails_at(-1, "mended")
    draw = ["red apple", "--timesteps", "999,750,500,250", "--seed", 1, "--out", "out", "--model", broken]
    failed = run(*draw)
    assert failed.code == 1 and "step 3: the denoiser answered NaN at timestep 500" in failed.err
    again = run("resume", "out")
    assert (again.code, again.lines()[-1]) == (1, failed.lines()[-1])
    assert again.lines()[0] == "out: goes on with step 3 of 4 of 'red apple'; 2 are in the log"
    before = state(tmp_path / "out")
    other = run("resume", "out", "--model", mended)
    assert other.code == 3 and "another model would draw another picture" in other.err
    assert state(tmp_path / "out") == before


# ---- nothing to go on with


def test_a_finished_run_is_left_as_it_is(short, run, tmp_path):
    shutil.copytree(short, tmp_path / "out")
    before = state(tmp_path / "out")
    ended = run("resume", "out")
    assert (ended.code, ended.out, ended.err) == (0, "out: is done; nothing is left to do\n", "")
    assert state(tmp_path / "out") == before
    edit(tmp_path / "out", "UPDATE run SET value = 'stopped' WHERE key = 'ended'")
    edit(tmp_path / "out", "UPDATE run SET value = 'enough, after step 4' WHERE key = 'ended_reason'")
    ended = run("resume", "out")
    assert (ended.code, ended.out) == (0, "out: was ended on purpose (enough, after step 4); nothing is left to do\n")


def test_a_run_told_to_stop_ends_there_also_when_it_was_cut_off_before(run, tmp_path, short):
    stop = ["--stop-at", 4, "--out", "stopped"]
    ended = run(*SHORT[:-2], *stop)
    assert ended.code == 0 and ended.out.startswith("stopped: stopped/final.png"), ended
    stopped = tmp_path / "stopped"
    facts = json.loads((stopped / "run.json").read_text())
    assert (facts["ended"], facts["ended_reason"], facts["stop_at"]) == ("stopped", "stop_at 4, after step 4", 4)
    x0 = "frames/x0/0004.png"
    assert (stopped / x0).read_bytes() == (short / x0).read_bytes()
    assert pixels(stopped / "final.png") == pixels(short / x0)
    assert run("resume", "stopped").out.startswith("stopped: was ended on purpose (stop_at 4, after step 4); ")
    shutil.copytree(stopped, tmp_path / "again")
    forget_after(tmp_path / "again", step=2, call=4)
    edit(tmp_path / "again", "DELETE FROM interventions")
    assert run("resume", "again").code == 0
    assert_same(tmp_path / "again", stopped)


def test_a_run_that_ends_when_it_has_converged_does_so_also_when_it_was_cut_off_before(run, tmp_path):
    draw = ["red apple", "--steps", 12, "--seed", 1, *ALIKE]
    for flag, out in (("--stop-when-converged", "stopped"), ("--would-stop", "would")):
        assert run(*draw, flag, 1000, "--out", out).code == 0
        again = tmp_path / f"{out}-again"
        shutil.copytree(tmp_path / out, again)
        forget_after(again, step=4, call=4)
        edit(again, "DELETE FROM interventions; DELETE FROM run WHERE key = 'would_have_stopped'")
        assert run("resume", again).code == 0
        assert_same(again, tmp_path / out)
    assert run("resume", "stopped").out == (
        "stopped: was ended on purpose (converged: x0 changed less than 1000 for 3 steps, after step 8); "
        "nothing is left to do\n"
    )


def test_a_step_to_stop_at_that_the_run_does_not_have_is_refused(run):
    assert run(*SHORT, "--stop-at", 7).lines() == ["steplapse: --stop-at 7: the run has 6 steps"]


def test_a_folder_without_a_run_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run("resume", "empty").lines() == ["steplapse: 'empty': holds no run (no run.sqlite); expected a run folder"]
    assert run("resume", "none").code == 2
    assert run("resume").code == 2


# ---- the model and the machine


def test_a_model_that_was_moved_is_named_by_the_user(cut, run, tiny_bundle, tmp_path, short):
    moved = tmp_path / "moved"
    shutil.copytree(tiny_bundle, moved)
    edit(cut, "PRAGMA user_version = 4; UPDATE run SET value = '/no/such' WHERE key = 'model_path'")
    before = state(cut)
    lost = run("resume", "out", STEPLAPSE_MODEL="/nowhere")
    assert lost.code == 3
    assert re.fullmatch(
        r"steplapse: out: its model 'tiny', model.json of SHA-256 [0-9a-f]{12}…, is not in /no/such; name its folder "
        r"with --model\n",
        lost.err,
    )
    assert state(cut) == before
    assert run("resume", "out", "--model", moved, STEPLAPSE_MODEL="/nowhere").code == 0
    found, wanted = result(cut), result(short)
    del found["run.json"], wanted["run.json"]  # whose path of the model was changed
    assert found == wanted


def test_on_other_threads_it_goes_on_and_says_so(cut, run):
    ended = run("resume", "out", "--threads", 2)
    assert ended.code == 0
    assert "threads 1, now 2: what follows may differ in its last bits" in ended.err
    (resumed,) = json.loads((cut / "run.json").read_text())["resumed"]
    assert resumed["threads"] == "2"


def test_changed_latents_are_those_of_the_log_and_a_warning_says_that_no_more_follow(cut, run):
    """The latents that the run went on with anyway, said to be its own code's: the same run."""
    edit(
        cut,
        "INSERT INTO interventions (step, kind, reason, latents, shape, latents_sha256) "
        "VALUES (2, 'latents', 'mine', zeroblob(256), '[1,4,4,4]', 'none')",
    )
    damaged = run("resume", "out")
    assert damaged.code == 4 and "the changed latents after step 2 lack their checksum" in damaged.err


# ---- damaged logs


def refuse(run, folder: Path, *words: str):
    """In one line with exit code 4, and no file is changed."""
    before = state(folder)
    ended = run("resume", folder.name)
    assert (ended.code, ended.out, len(ended.lines())) == (4, "", 1), ended
    assert ended.err.startswith(f"steplapse: {folder.name}"), ended.err
    assert any(word in ended.err for word in words), ended.err
    assert state(folder) == before


DAMAGE = (
    "malformed",
    "not a database",
    "damaged",
    "ended before it began",
    "another run",
    "not as this program writes it",
    "not the log of a run",
    "answer to one of the prompts is missing",
)


def test_a_log_that_was_cut_at_a_page_is_refused(cut, run):
    log = cut / "run.sqlite"
    whole = log.read_bytes()
    pages = range(0, len(whole), 4096)
    step = max(1, len(pages) // 12)
    for end in list(pages)[::step]:
        log.write_bytes(whole[:end])
        refuse(run, cut, *DAMAGE)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE run SET value = 2 WHERE key = 'guidance_scale'",
        "UPDATE calls SET cond = zeroblob(256) WHERE call = 3",
        "UPDATE calls SET cond = NULL WHERE call = 3",
        "UPDATE calls SET sigma = sigma + 1 WHERE call = 3",
        "UPDATE calls SET latents_sha256 = 'x' WHERE call = 3",
        "UPDATE calls SET call = 77 WHERE call = 3",
        "DELETE FROM calls WHERE call > 2",
        "UPDATE steps SET sigma = sigma * 1.0001 WHERE step = 2",
        "UPDATE steps SET x0_rms_change = x0_rms_change * 2 WHERE step = 2",
        "UPDATE steps SET step = 9 WHERE step = 2",
    ],
)
def test_a_log_with_a_wrong_row_is_refused(cut, run, sql):
    edit(cut, sql)
    refuse(run, cut, *DAMAGE)


def test_a_log_with_a_flipped_bit_is_refused_or_its_picture_is_right(cut, run, short):
    """Some bits mean nothing for the picture: times, free pages."""
    log = cut / "run.sqlite"
    whole, frames = log.read_bytes(), state(cut)
    where = random.Random(3)
    refused = 0
    for _ in range(20):
        damaged = bytearray(whole)
        damaged[where.randrange(len(whole))] ^= 1 << where.randrange(8)
        log.write_bytes(damaged)
        before = state(cut)
        ended = run("resume", "out")
        if ended.code == 0:
            pictures = {name: value for name, value in result(cut).items() if name.endswith(".png")}
            assert pictures == {name: value for name, value in result(short).items() if name.endswith(".png")}
            shutil.rmtree(cut)
            for name, content in frames.items():
                (cut / name).parent.mkdir(parents=True, exist_ok=True)
                (cut / name).write_bytes(content)
        else:
            refused += 1
            assert ended.code == 4 and len(ended.lines()) == 1, ended
            assert state(cut) == before
    assert refused > 5


def test_the_log_of_another_run_is_refused(cut, run, tmp_path):
    assert run("blue whale", "--steps", 2, "--seed", 2, "--out", "other").code == 0
    forget_after(tmp_path / "other", 1, 1)
    shutil.copy(tmp_path / "other/run.sqlite", cut / "run.sqlite")
    refuse(run, cut, "is not the log of the run that was made here")


def test_a_log_of_a_newer_program_is_refused(cut, run):
    edit(cut, "PRAGMA user_version = 99")
    refuse(run, cut, "a log of version 99, this program reads up to 5; use a newer steplapse")


def test_a_run_that_is_being_written_is_refused(cut, run):
    with open(cut / "run.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refuse(run, cut, "another steplapse is writing this run now")


def test_on_a_disk_for_reading_nothing_is_done_and_the_runs_are_listed(cut, run, tmp_path):
    with mounted(tmp_path / "out", "--bind", "-o", "ro", cut):
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path / "out"], check=True)
        refuse(run, cut, "run.sqlite: cannot write: Read-only file system")
        assert run("resume", "out", "--dry-run").code == 0
        assert "cut off" in run("runs", "out").out


def test_of_several_runs_a_damaged_one_leaves_the_others_alone(cut, run, tmp_path, short):
    (tmp_path / "sweep").mkdir()
    shutil.copytree(cut, tmp_path / "sweep/0001-good")
    shutil.copytree(cut, tmp_path / "sweep/0002-bad")
    shutil.copytree(short, tmp_path / "sweep/0003-done")
    edit(tmp_path / "sweep/0002-bad", "UPDATE run SET value = 2 WHERE key = 'guidance_scale'")
    ended = run("resume", "sweep")
    assert ended.code == 4
    assert "steplapse: sweep/0002-bad/run.sqlite: its settings lack their checksum" in ended.err
    assert "sweep/0003-done: is done; nothing is left to do" in ended.out
    assert_same(tmp_path / "sweep/0001-good", short)


# ---- older logs


@pytest.mark.parametrize("version", [3, 4])
def test_an_older_log_goes_on_with_the_frames_that_are_there(cut, run, short, version):
    edit(
        cut,
        "DROP TABLE prompts; DROP TABLE resumptions; DELETE FROM run WHERE key IN ('facts_sha256', 'model_path', "
        "'frames', 'number', 'picture', 'compute_dtype', 'compiler', 'cpu', 'cpu_capability', 'aten_cpu_capability', "
        f"'onednn_max_cpu_isa'); PRAGMA user_version = {version}",
    )
    ended = run("resume", "out")
    assert ended.code == 0, ended
    assert (
        f"a log of version {version} does not say which frames were asked for; going by its folder, it gets x0 and xt"
    )
    found, wanted = result(cut), result(short)
    del found["run.json"], wanted["run.json"]
    assert found == wanted


# ---- the list of runs


def test_runs_are_listed_with_how_they_ended(cut, run, short, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(cut, runs / "a cut")
    shutil.copytree(short, runs / "b")
    shutil.copytree(short, runs / "sweep/0001-c")
    shutil.copytree(short, runs / "sweep/0002-d")
    edit(runs / "sweep/0001-c", "UPDATE run SET value = 'failed' WHERE key = 'ended'")
    (runs / "sweep/0002-d/run.sqlite").write_bytes(b"x" * 5000)
    ended = run("runs")
    assert (ended.code, ended.err) == (0, "")
    assert [re.sub("  +", " | ", line) for line in ended.out.splitlines()] == [
        "runs/a cut | cut off | 3/6 | heun | 'red apple'",
        ' | steplapse resume "runs/a cut"'.replace(" | ", " | ", 1),
        "runs/b | done | 6/6 | heun | 'red apple'",
        "runs/sweep/0001-c | failed | 6/6 | heun | 'red apple'",
        " | steplapse resume runs/sweep/0001-c",
        "runs/sweep/0002-d | damaged: runs/sweep/0002-d/run.sqlite: file is not a database",
    ]
    listed = json.loads(run("runs", "runs", "--json").out)
    assert [line["how"] for line in listed] == ["cut off", "done", "failed", "damaged"]
    assert listed[0]["resume"] == 'steplapse resume "runs/a cut"'
    assert (listed[1]["steps"], listed[1]["planned_steps"], listed[1]["seed"]) == (6, 6, 1)
    with open(runs / "b/run.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "going on" in run("runs", "runs/b").out


def test_a_folder_without_runs_is_an_empty_list(run, tmp_path):
    assert run("runs").out == "no run is in runs\n"
    (tmp_path / "runs").mkdir()
    assert run("runs").out == "no run is in runs\n"
    assert run("runs", "--json").out == "[]\n"
    assert run("runs", "none").code == 2
