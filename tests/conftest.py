"""The program as a fixture: started, drawn with, left running. What tests import by name is in harness.py."""

import steplapse_export  # noqa: F401  before any test imports torch: it sets how long OpenMP's threads spin

# isort: split
import functools
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import PROGRAM, TIMEOUT, Ended, environment, make_tiny_bundle


def pytest_configure(config):
    if not os.access(PROGRAM, os.X_OK):
        raise pytest.UsageError(f"{PROGRAM} is no program; build steplapse, or name it with STEPLAPSE=PATH")


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """A bundle for reading; a test that changes one copies it."""
    return make_tiny_bundle()


@pytest.fixture
def changed_bundle(tiny_bundle, tmp_path):
    """changed_bundle(change) is a copy of the tiny bundle after change(manifest) on what its model.json says."""

    def changed_bundle(change) -> Path:
        copy = tmp_path / "changed_bundle"
        shutil.copytree(tiny_bundle, copy)
        manifest = json.loads((copy / "model.json").read_text())
        change(manifest)
        (copy / "model.json").write_text(json.dumps(manifest))
        return copy

    return changed_bundle


@pytest.fixture(scope="session")
def start(tiny_bundle):
    """start(folder, "red apple", "--seed", 1, STEPLAPSE_MODEL="...") runs the program in `folder` until it ends."""

    def start(folder: Path, *arguments, stdin: bytes = b"", preexec_fn=None, **more: str) -> Ended:
        command = [PROGRAM, *(a if isinstance(a, bytes) else str(a) for a in arguments)]
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment(tiny_bundle, **more),
            input=stdin,
            capture_output=True,
            preexec_fn=preexec_fn,
            timeout=TIMEOUT,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    return start


@pytest.fixture
def run(start, tmp_path):
    """run("red apple", ...) is start() in the test's own empty folder."""
    return functools.partial(start, tmp_path)


@pytest.fixture
def draw(run, tmp_path):
    """draw("red apple", "--steps", 3) is the folder of a run that went well."""
    folders = (tmp_path / f"run{i}" for i in range(100))

    def draw(*arguments, frames: str = "none") -> Path:
        folder = next(folders)
        ended = run(*arguments, "--out", folder, "--frames", frames, "--progress", "none")
        assert ended.code == 0, ended.err
        return folder

    return draw


@pytest.fixture
def begin(tiny_bundle, tmp_path):
    """begin("red apple", ...) starts the program and goes on: a Popen. What still runs at the test's end is killed."""
    begun = []

    def begin(*arguments, ignored=(), **more: str) -> subprocess.Popen:
        def settle_signals():  # the tests themselves may be run where some are ignored
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        process = subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(tiny_bundle, **more),
            preexec_fn=settle_signals,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()
