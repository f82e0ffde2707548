"""What the tests of the program share: the program itself, and tiny bundles for it to draw with.

STEPLAPSE        the program (default: the newest one under build/)
STEPLAPSE_BUILD  its build folder, where bundles are kept between runs (default: the program's)
STEPLAPSE_MOVED  bytes by which the tiny bundles' weights lie further into their files, and so elsewhere in memory
                 (default: 0). Multiples of 8; the tests pass at each.
"""

import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import steplapse_export  # before any test imports torch
from measure.bits import accept_files, move_weights

MOVED = int(os.environ.get("STEPLAPSE_MOVED", "0"))
TIMEOUT = 600  # seconds; a tiny run needs two on an idle machine, and far more beside other programs


def find_program() -> Path:
    if os.environ.get("STEPLAPSE"):
        return Path(os.environ["STEPLAPSE"]).resolve()
    built = sorted(ROOT.glob("build/*/steplapse"), key=lambda path: path.stat().st_mtime)
    return built[-1] if built else ROOT / "build/release/steplapse"


PROGRAM = find_program()
BUNDLES = Path(os.environ.get("STEPLAPSE_BUILD", PROGRAM.parent)).resolve() / "tests" / "bundles"


def pytest_configure(config):
    if not os.access(PROGRAM, os.X_OK):
        raise pytest.UsageError(f"{PROGRAM} is no program; build steplapse, or name it with STEPLAPSE=PATH")


def make_tiny_bundle(*flags: str) -> Path:
    """The bundle that `scripts/export_bundle.py --tiny` makes: of random weights, 16 x 16 pictures, its name `tiny`.

    Made once for each version of the scripts, and kept; whoever needs it meanwhile waits for it.
    """
    recipe = hashlib.sha256(" ".join(flags).encode() + MOVED * b" ")
    for script in sorted((ROOT / "scripts/steplapse_export").rglob("*.py")):
        recipe.update(script.read_bytes())
    bundle = BUNDLES / recipe.hexdigest()[:12] / "tiny"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    with open(bundle.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not bundle.exists():
            subprocess.run([sys.executable, ROOT / "scripts/export_bundle.py", "--tiny", *flags, bundle], check=True)
            move_weights(bundle, MOVED)
    return bundle


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


def assert_readable(path: Path) -> bool:
    """A picture, JSON, safetensors or CSV file is whole. Returns whether it is one of these."""
    if path.suffix == ".png":
        Image.open(path).load()
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".safetensors":
        load_file(path)
    elif path.suffix == ".csv":
        assert path.read_text().endswith("\n")
    else:
        return False
    return True


@dataclasses.dataclass
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str

    def lines(self) -> list[str]:
        return self.err.splitlines()


def environment(model: Path, **more: str) -> dict[str, str]:
    """The tiny bundle is the model where none is named. One thread: more only wait for each other here."""
    return {**os.environ, "STEPLAPSE_MODEL": str(model), "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="session")
def start(tiny_bundle):
    """start(folder, "red apple", "--seed", 1, STEPLAPSE_MODEL="...") runs the program in `folder` until it ends."""

    def start(folder: Path, *arguments, stdin: bytes = b"", preexec_fn=None, **more: str) -> Ended:
        command = [PROGRAM, *(a if isinstance(a, bytes) else str(a) for a in arguments)]
        ended = subprocess.run(command, cwd=folder, env=environment(tiny_bundle, **more), input=stdin,
                               capture_output=True, preexec_fn=preexec_fn, timeout=TIMEOUT)
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

        process = subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=tmp_path,
                                   env=environment(tiny_bundle, **more), preexec_fn=settle_signals,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()
