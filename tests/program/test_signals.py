"""Signals end a run where that can be, and where it is after --grace; readers that go away end nothing."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest
import torch

from harness import PROGRAM, TIMEOUT, environment, make_tiny_bundle
from networks import copy_with

DRAW = ["red apple", "--seed", 1, "--out", "out"]
LONG = [*DRAW, "--steps", 1000, "--schedule", "trailing", "--frames", "none", "--progress", "json"]
SHORT = [*DRAW, "--steps", 3]
AS_TERM = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU]


# ---- what a run left


def log_of(folder):
    return contextlib.closing(sqlite3.connect(folder / "run.sqlite"))


def facts(folder) -> dict:
    return json.loads((folder / "run.json").read_text())


def calls_and_steps(folder) -> tuple[int, int]:
    with log_of(folder) as log:
        assert log.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        calls = [call for (call,) in log.execute("SELECT call FROM calls ORDER BY call")]
        steps = [step for (step,) in log.execute("SELECT step FROM steps ORDER BY step")]
    assert calls == list(range(1, len(calls) + 1)) and steps == list(range(1, len(steps) + 1))
    return len(calls), len(steps)


def stops_in(folder):
    with log_of(folder) as log:
        return log.execute("SELECT step, kind, reason FROM interventions").fetchall()


def assert_nothing_half_written(folder):
    assert not list(folder.rglob("*.part")) and not list(folder.rglob("*-journal"))


# ---- where a run is


def event(process, name: str, **wanted) -> dict:
    """Reads on to that event."""
    for line in process.stdout:
        found = json.loads(line)
        if found["event"] == name and wanted.items() <= found.items():
            return found
    pytest.fail(f"no event {name}: {process.communicate()[1]}")


def computing_seconds(process) -> float:
    with open(f"/proc/{process.pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def let_compute(process, seconds: float):
    """Until it has computed that much longer: then it is in the module that takes for ever."""
    end = computing_seconds(process) + seconds
    while computing_seconds(process) < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


# ---- modules that take for ever
#
# By attention over many tokens, 4 * 8 * tokens² operations: a bundle's program may have no loop, no condition, and no
# method but forward.


class Lasting(torch.nn.Module):
    def __init__(self, tokens: int):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.tokens = tokens


class LastingDenoiser(Lasting):
    def __init__(self, timestep: int, tokens: int):
        super().__init__(tokens)
        self.timestep = timestep

    def forward(self, latents: torch.Tensor, timesteps: torch.Tensor, conditioning: torch.Tensor) -> torch.Tensor:
        first = timesteps[0]
        few, many = torch.ones_like(first), torch.full_like(first, self.tokens)
        tokens = int(torch.where(first == self.timestep, many, few))
        each = latents.flatten()[:8].view(1, 1, 1, 8).expand(1, 1, tokens, 8)
        zero = torch.nn.functional.scaled_dot_product_attention(each, each, each)[:, :, 0, 0].mean() * 0
        return latents * self.scale + zero


class LastingTextEncoder(Lasting):
    def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor]:
        each = weights.flatten()[:8].view(1, 1, 1, 8).expand(1, 1, self.tokens, 8)
        zero = torch.nn.functional.scaled_dot_product_attention(each, each, each)[:, :, 0, 0].mean() * 0
        return (weights.flatten(1)[:, :, None] * self.scale + zero,)


class LastingDecoder(Lasting):
    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        each = latents.flatten()[:8].view(1, 1, 1, 8).expand(1, 1, self.tokens, 8)
        zero = torch.nn.functional.scaled_dot_product_attention(each, each, each)[:, :, 0, 0].mean() * 0
        grey = latents[:, 0:1] * self.scale * 0 + zero
        return torch.pixel_shuffle(grey.expand(-1, 48, -1, -1), 4)


FOR_EVER = 3_000_000  # tokens: 3e14 operations
TIMESTEPS = "999,750,500,250"


@pytest.fixture
def lasting_bundle(tiny_bundle, tmp_path):
    """lasting_bundle("denoiser", LastingDenoiser(500, FOR_EVER)) is a tiny bundle with that module."""

    def lasting_bundle(place: str, module):
        return copy_with(tiny_bundle, tmp_path / "lasting", place, module)

    return lasting_bundle


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript is on its way out of PyTorch


# ---- signals


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), *((number, 143) for number in AS_TERM)])
def test_each_signal_that_ends_a_run_ends_it_after_its_step_and_is_named_in_the_log(begin, tmp_path, number, code):
    process = begin(*LONG)
    event(process, "step", step=3)
    process.send_signal(number)
    done = event(process, "done")
    assert process.wait(timeout=TIMEOUT) == code
    calls, steps = calls_and_steps(tmp_path / "out")
    assert done["status"] == facts(tmp_path / "out")["ended"] == "interrupted" and "left" not in done
    assert done["steps"] == calls == steps
    assert stops_in(tmp_path / "out") == [(steps, "stop", number.name)]
    assert (tmp_path / "out/final.png").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU])
def test_a_signal_that_comes_twice_by_itself_counts_once(begin, tmp_path, number):
    process = begin(
        *LONG
    )  # `timeout` sends twice; a terminal and its shell both send SIGHUP; SIGXCPU comes each second
    event(process, "step", step=3)
    process.send_signal(number)
    process.send_signal(number)
    event(process, "done", status="interrupted")
    assert process.wait(timeout=TIMEOUT) == 143


def test_a_signal_that_was_ignored_stays_ignored(begin, tmp_path):
    process = begin(
        *DRAW,
        "--steps",
        100,
        "--schedule",
        "trailing",
        "--frames",
        "none",
        "--progress",
        "json",
        ignored=[signal.SIGHUP],
    )
    event(process, "step", step=3)
    process.send_signal(signal.SIGHUP)
    event(process, "done", status="done", steps=100)
    assert process.wait(timeout=TIMEOUT) == 0


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP])
def test_a_run_that_was_stopped_or_continued_goes_on(begin, number):
    process = begin(*DRAW, "--steps", 100, "--schedule", "trailing", "--frames", "none", "--progress", "json")
    event(process, "step", step=3)
    process.send_signal(number)
    if number == signal.SIGSTOP:
        assert os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT).si_status == number
    process.send_signal(signal.SIGCONT)
    event(process, "done", status="done", steps=100)
    assert process.wait(timeout=TIMEOUT) == 0


# ---- what takes longer than the grace


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("grace", [0, 1])
def test_a_step_that_lasts_is_left_after_the_grace_and_the_log_is_whole(
    begin, lasting_bundle, tmp_path, number, code, grace
):
    process = begin(
        *DRAW,
        "--timesteps",
        TIMESTEPS,
        "--frames",
        "x0",
        "--progress",
        "json",
        "--grace",
        grace,
        "--model",
        lasting_bundle("denoiser", LastingDenoiser(500, FOR_EVER)),
    )
    event(process, "step", step=2)
    let_compute(process, 1)
    process.send_signal(number)
    done = event(process, "done")
    assert process.wait(timeout=TIMEOUT) == code
    out = tmp_path / "out"
    assert calls_and_steps(out) == (2, 2)
    assert (done["status"], done["steps"], done["denoiser_calls"], done["frames"]) == ("interrupted", 2, 2, 2)
    assert done["left"] == ["steps 3 to 4", "final.png"]
    assert stops_in(out) == [(2, "stop", number.name)]
    assert (facts(out)["ended"], facts(out)["ended_reason"]) == ("interrupted", "a signal, in step 3")
    assert len((out / "steps.csv").read_text().splitlines()) == 3
    assert (out / "frames/x0/0002.png").exists() and not (out / "final.png").exists()
    assert_nothing_half_written(out)


def test_the_closing_line_says_what_was_left(begin, lasting_bundle, tmp_path):
    process = begin(
        *DRAW,
        "--timesteps",
        TIMESTEPS,
        "--frames",
        "x0",
        "--grace",
        0,
        "--model",
        lasting_bundle("denoiser", LastingDenoiser(250, FOR_EVER)),
    )
    while not (tmp_path / "out/frames/x0/0003.png").exists():
        time.sleep(0.02)
    let_compute(process, 1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143, err
    assert out.splitlines()[0] == "interrupted: out lacks step 4, final.png and 3 frames in out/frames"
    assert out.splitlines()[1].startswith("3 steps, 3 denoiser calls")


def test_a_second_signal_does_not_wait_for_the_grace(begin, lasting_bundle, tmp_path):
    process = begin(
        *DRAW,
        "--timesteps",
        TIMESTEPS,
        "--frames",
        "none",
        "--progress",
        "json",
        "--grace",
        10_000,
        "--model",
        lasting_bundle("denoiser", LastingDenoiser(500, FOR_EVER)),
    )
    event(process, "step", step=2)
    let_compute(process, 1)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=TIMEOUT) == 130
    assert not (tmp_path / "out/run.json").exists()
    assert calls_and_steps(tmp_path / "out")[0] <= 2


def test_of_several_runs_all_that_had_begun_are_marked(begin, lasting_bundle, tmp_path):
    process = begin(
        "red apple",
        "--seed",
        "1,2,3",
        "--max-batch",
        2,
        "--out",
        "out",
        "--timesteps",
        TIMESTEPS,
        "--frames",
        "none",
        "--progress",
        "json",
        "--grace",
        0,
        "--model",
        lasting_bundle("denoiser", LastingDenoiser(500, FOR_EVER)),
    )
    event(process, "step", step=2, run=1)
    event(process, "step", step=2, run=2)
    let_compute(process, 1)
    process.send_signal(signal.SIGTERM)
    assert [event(process, "done", status="interrupted")["run"] for _ in range(2)] == [1, 2]
    last = event(process, "batch_done")
    assert process.wait(timeout=TIMEOUT) == 143
    assert [last[key] for key in ("done", "interrupted", "failed", "not_begun")] == [0, 2, 0, 1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001-red-apple-1", "0002-red-apple-2"]
    for folder in (tmp_path / "out").iterdir():
        assert calls_and_steps(folder) == (2, 2) and stops_in(folder) == [(2, "stop", "SIGTERM")]
        assert facts(folder)["ended"] == "interrupted"
        assert_nothing_half_written(folder)


def test_a_final_picture_that_takes_too_long_is_said_to_be_left(begin, lasting_bundle, tmp_path):
    process = begin(
        *SHORT,
        "--frames",
        "x0",
        "--decoder",
        "linear",
        "--progress",
        "json",
        "--grace",
        0,
        "--model",
        lasting_bundle("full", LastingDecoder(FOR_EVER)),
    )
    event(process, "step", step=3)
    let_compute(process, 1)
    process.send_signal(signal.SIGTERM)
    done = event(process, "done")
    assert process.wait(timeout=TIMEOUT) == 143
    assert (done["status"], done["steps"], done["left"]) == ("interrupted", 3, ["final.png"])
    out = tmp_path / "out"
    assert calls_and_steps(out) == (3, 3) and stops_in(out) == []
    assert facts(out)["ended_reason"] == "a signal, before final.png was written"
    assert (out / "frames/x0/0003.png").exists()
    assert_nothing_half_written(out)


def test_frames_that_were_not_made_are_named(begin, lasting_bundle, tmp_path):
    process = begin(
        *SHORT,
        "--frames",
        "x0",
        "--progress",
        "json",
        "--grace",
        0,
        "--model",
        lasting_bundle("full", LastingDecoder(FOR_EVER)),
    )
    event(process, "start")
    let_compute(process, 1)
    process.send_signal(signal.SIGTERM)
    done = event(process, "done")
    assert process.wait(timeout=TIMEOUT) == 143
    assert done["left"] == ["steps 2 to 3", "frames/x0/0001.png", "final.png"]
    assert calls_and_steps(tmp_path / "out") == (1, 1)


@pytest.mark.parametrize("count", [[], ["--count", 3]], ids=["one", "several"])
def test_before_a_run_has_begun_a_signal_ends_all_at_once_and_nothing_is_written(
    begin, lasting_bundle, tmp_path, count
):
    process = begin(
        *DRAW,
        *count,
        "--progress",
        "json",
        "--grace",
        10_000,
        "--model",
        lasting_bundle("text_encoder", LastingTextEncoder(FOR_EVER)),
    )
    let_compute(process, 3)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143
    assert err == "steplapse: interrupted by SIGHUP before a run began; nothing is written\n"
    assert json.loads(out.splitlines()[-1]) == {
        "event": "error",
        "message": "interrupted by SIGHUP before a run began; nothing is written",
        "exit_code": 143,
    }
    assert not (tmp_path / "out").exists()


def test_a_race_that_lasts_is_left_after_the_grace(begin, lasting_bundle, tmp_path):
    process = begin(
        "race",
        "red apple",
        "--samplers",
        "euler",
        "--calls",
        4,
        "--csv",
        "race.csv",
        "--grace",
        0,
        "--model",
        lasting_bundle("denoiser", LastingDenoiser(999, FOR_EVER)),
    )
    let_compute(process, 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "steplapse: interrupted; nothing is shown or written"
    assert not (tmp_path / "race.csv").exists() and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "command", [["red apple"], ["race", "red apple", "--samplers", "euler"]], ids=["generate", "race"]
)
@pytest.mark.parametrize("grace", ["-1", "soon", "inf"])
def test_a_grace_is_a_number_of_seconds(run, command, grace):
    ended = run(*command, f"--grace={grace}", "--model", "none")
    assert ended.code == 2 and "--grace" in ended.err


# ---- sizes that take long or do not fit

LARGE = "2048x2048"


@pytest.mark.parametrize(
    "command",
    [[*DRAW, "--frames", "none"], ["race", "red apple", "--samplers", "euler", "--calls", 2]],
    ids=["generate", "race"],
)
def test_a_size_whose_step_takes_minutes_is_said_before_it_starts(begin, command):
    process = begin(
        *command, "--progress", "json", "--grace", 0, "--size", LARGE, "--model", make_tiny_bundle("--family", "sd1")
    )
    events = process.stderr if command[0] == "race" else process.stdout
    said = json.loads(events.readline())
    assert said["event"] == "warning" and f"a step at {LARGE} will take about " in said["message"]
    if command[0] != "race":
        event(process, "start")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=TIMEOUT) == 143


@pytest.mark.parametrize("size", ["32x32", "40x40", "64x64"])
def test_of_a_size_that_takes_seconds_nothing_is_said(run, size):
    ended = run(
        *SHORT, "--frames", "none", "--size", size, "--progress", "none", "--model", make_tiny_bundle("--family", "sd1")
    )
    assert (ended.code, ended.err) == (0, "")


class LargeDenoiser(Lasting):
    def forward(self, latents: torch.Tensor, timesteps: torch.Tensor, conditioning: torch.Tensor) -> torch.Tensor:
        wide = latents[:, 0:1].expand(-1, 500_000, -1, -1).contiguous()  # 2 MB for each cell
        return latents * self.scale + wide[:, 0:1] * 0


@pytest.mark.parametrize(
    "command", [DRAW, ["race", "red apple", "--samplers", "euler", "--calls", 2]], ids=["generate", "race"]
)
def test_a_size_that_does_not_fit_into_memory_is_refused_before_it_starts(run, lasting_bundle, tmp_path, command):
    bundle = lasting_bundle("denoiser", LargeDenoiser(0))
    manifest = json.loads((bundle / "model.json").read_text())
    manifest["sizes"] = {"default": [16, 16], "allowed": {"min": 8, "max": 2048, "multiple": 4}}
    (bundle / "model.json").write_text(json.dumps(manifest))
    ended = run(*command, "--size", LARGE, "--guidance-scale", 1, "--model", bundle)  # of 512 x 512 cells
    assert (ended.code, len(ended.lines())) == (5, 1)
    assert ended.err.startswith(
        f"steplapse: a step at {LARGE} takes 524.3 GB of memory beside the weights or more, and "
    )
    assert ended.err.endswith(" are free; a smaller --size or a bundle exported with a smaller dtype needs less\n")
    assert not (tmp_path / "out").exists()
    assert run(*command, "--size", "20x20", "--model", bundle).code == 0


# ---- readers that go away

LOST = "warning: the reader of standard {} went away; the run went on"


def left_by_its_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.fixture
def without_readers(tiny_bundle, tmp_path):
    """without_readers({"stdout"}, "red apple", ...) runs the program while nobody reads these streams of its."""

    def without_readers(lost: set, *arguments) -> subprocess.CompletedProcess:
        streams = {name: left_by_its_reader() if name in lost else subprocess.PIPE for name in ("stdout", "stderr")}
        ended = subprocess.run(
            [PROGRAM, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(tiny_bundle),
            text=True,
            timeout=TIMEOUT,
            **streams,
        )
        for name in lost:
            os.close(streams[name])
        return ended

    return without_readers


@pytest.mark.parametrize("lost", [{"stdout"}, {"stderr"}, {"stdout", "stderr"}], ids="+".join)
@pytest.mark.parametrize("progress", ["lines", "bar", "json"])
def test_a_run_goes_on_without_readers_and_says_so_once(without_readers, tmp_path, lost, progress):
    ended = without_readers(lost, *SHORT, "--size", "16x16", "--progress", progress)
    assert ended.returncode == 0
    assert facts(tmp_path / "out")["ended"] == "done" and (tmp_path / "out/final.png").exists()
    if lost == {"stdout"}:
        assert ended.stderr.splitlines()[-1] == "steplapse: " + LOST.format("output")
        assert ended.stderr.count("went away") == 1
    elif lost == {"stderr"} and progress != "json":  # which says nothing there
        assert ended.stdout.splitlines()[-1] == "steplapse: " + LOST.format("error")
        assert ended.stdout.count("went away") == 1


def test_of_json_a_lost_reader_of_errors_is_an_event(without_readers, tmp_path):
    ended = without_readers({"stderr"}, *SHORT, "--overwrite", "--progress", "json", "--model", "gone")
    assert ended.returncode == 3
    last = json.loads(ended.stdout.splitlines()[-1])
    assert last["event"] == "error"  # of which the line on stderr comes after all that is said on stdout


def test_a_reader_that_leaves_after_a_line_changes_nothing(begin, tmp_path):
    process = begin(*SHORT, "--progress", "json")
    assert json.loads(process.stdout.readline())["event"] == "start"
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=TIMEOUT) == 0
    assert err in ("", "steplapse: " + LOST.format("output") + "\n")  # all may have been said before it left
    assert facts(tmp_path / "out")["ended"] == "done"


def test_a_terminal_that_is_closed_is_a_reader_that_left(tiny_bundle, tmp_path):
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *map(str, SHORT)], cwd=tmp_path, env=environment(tiny_bundle), stdout=terminal, stderr=terminal
    )
    os.close(master)
    assert process.wait(timeout=TIMEOUT) == 0
    os.close(terminal)
    assert facts(tmp_path / "out")["ended"] == "done"


def test_weights_that_are_cut_short_end_the_run_and_are_named(begin, tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    process = begin(*LONG, "--model", bundle)
    event(process, "step", step=3)
    os.truncate(bundle / "denoiser.safetensors", 0)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 3
    assert said.splitlines()[-1] == (
        f"steplapse: {bundle}/denoiser.safetensors: was cut short while it was in use; fetch or export the bundle again"
    )
    assert facts(tmp_path / "out")["ended"] == "failed"


@pytest.mark.parametrize("closed, code", [("<&-", 0), (">&-", 4), ("<&- >&- 2>&-", 4)])
def test_words_for_a_closed_stream_go_into_no_file_of_the_run(tiny_bundle, tmp_path, closed, code):
    command = ["sh", "-c", f'exec "{PROGRAM}" "$@" {closed}', "sh", *map(str, SHORT)]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(tiny_bundle), stderr=subprocess.DEVNULL, timeout=TIMEOUT
    )
    assert ended.returncode == code  # 4: standard output: cannot write
    assert re.fullmatch("[0-9a-f]{64}\\s*", (tmp_path / "out/run.lock").read_text())
    assert calls_and_steps(tmp_path / "out") == (3, 3)


def test_a_closed_standard_error_is_no_file_of_the_run(tiny_bundle, tmp_path):
    command = f'exec "{PROGRAM}" "$@" 2>&-'
    ended = subprocess.run(
        ["sh", "-c", command, "sh", *map(str, SHORT), "--frames", "x0,xt"],
        cwd=tmp_path,
        env=environment(tiny_bundle),
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
    )
    assert ended.returncode == 0 and ended.stdout.startswith("done: ")
    assert calls_and_steps(tmp_path / "out") == (3, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["schedule"],
        ["schedule", "--json"],
        ["schedule", "--list"],
        ["samplers"],
        ["samplers", "--json"],
        ["tokens", "red apple"],
        ["model", "inspect"],
        ["--help"],
        ["--version"],
        ["race", "--help"],
    ],
    ids=" ".join,
)
def test_what_only_prints_ends_quietly_when_its_reader_leaves(without_readers, tiny_bundle, arguments):
    folder = [tiny_bundle] if arguments[0] == "model" else []
    ended = without_readers({"stdout"}, *arguments, *folder)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_race_says_that_its_reader_left(without_readers):
    ended = without_readers({"stdout"}, "race", "red apple", "--samplers", "euler", "--calls", 2)
    assert ended.returncode == 0
    assert ended.stderr.splitlines()[-1] == "steplapse: " + LOST.format("output")


def test_a_full_disk_is_no_reader_that_left(tiny_bundle, tmp_path):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [PROGRAM, *map(str, SHORT), "--progress", "json"],
            cwd=tmp_path,
            stdout=full,
            env=environment(tiny_bundle),
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
        )
    assert (ended.returncode, ended.stderr) == (4, "steplapse: standard output: cannot write\n")
    assert facts(tmp_path / "out")["ended"] == "done"
