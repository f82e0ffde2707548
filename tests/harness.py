"""What the tests of the program share: the program itself, and tiny bundles for it to draw with.

STEPLAPSE        the program (default: the newest one under build/)
STEPLAPSE_BUILD  its build folder, where bundles are kept between runs (default: the program's)
STEPLAPSE_MOVED  bytes by which the tiny bundles' weights lie further into their files, and so elsewhere in memory
                 (default: 0). Multiples of 8; the tests pass at each.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file

from measure.bits import move_weights

ROOT = Path(__file__).resolve().parent.parent
MOVED = int(os.environ.get("STEPLAPSE_MOVED", "0"))
TIMEOUT = 600  # seconds; a tiny run needs two on an idle machine, and far more beside other programs


def find_program() -> Path:
    if os.environ.get("STEPLAPSE"):
        return Path(os.environ["STEPLAPSE"]).resolve()
    built = sorted(ROOT.glob("build/*/steplapse"), key=lambda path: path.stat().st_mtime)
    return built[-1] if built else ROOT / "build/release/steplapse"


PROGRAM = find_program()
BUNDLES = Path(os.environ.get("STEPLAPSE_BUILD", PROGRAM.parent)).resolve() / "tests" / "bundles"


def make_tiny_bundle(*flags: str) -> Path:
    """The bundle that `scripts/export_bundle.py --tiny` makes: of random weights, 16 x 16 pictures, its name `tiny`.

    Made once for each version of the scripts, and kept; whoever needs it meanwhile waits for it.
    """
    recipe = hashlib.sha256(" ".join(flags).encode() + MOVED * b" ")
    for kernels in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"):  # others round the noise table and the fit otherwise
        recipe.update(os.environ.get(kernels, "").encode())
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
    return {
        **os.environ,
        "STEPLAPSE_MODEL": str(model),
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(BUNDLES.parent / "cache"),
        **more,
    }


def sweep_rows(sweep: Path) -> list[dict]:
    """What each cell of a sweep's folder came to, the header lines left out."""
    lines = [line for file in (sweep / "rows").glob("*.jsonl") for line in file.read_text().splitlines()]
    return [row for row in map(json.loads, lines) if "cell" in row]


@contextlib.contextmanager
def mounted(disk: Path, *how):
    """With a file system there, as `mount HOW... disk` does it."""
    done = subprocess.run(["mount", *how, disk], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
