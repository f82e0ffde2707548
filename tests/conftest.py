"""What the tests of the program share: the binary, tiny bundles and ways to run and to change them."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
BUILD = Path(os.environ.get("STEPLAPSE_BUILD", ROOT / "build/dev"))
PROGRAM = Path(os.environ.get("STEPLAPSE", BUILD / "steplapse"))

sys.path.insert(0, str(SCRIPTS))


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments, stdin: str = "", timeout: float = 60, **environment) -> Result:
    """Runs the program. Its exit code is negative where a signal ended it."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin.encode(), capture_output=True, timeout=timeout,
                          env={**os.environ, **environment})
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def exported(*options: str) -> Path:
    """What scripts/export_bundle.py makes of these options: once for each version of the exporter, whoever asks."""
    sources = [SCRIPTS / name for name in ("export_bundle.py", "tiny_pipeline.py", "pipeline.py", "requirements.txt",
                                           "requirements-dev.txt")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    cache = BUILD / "tests/bundles" / digest
    cache.mkdir(parents=True, exist_ok=True)
    bundle = cache / "-".join(option.lstrip("-") for option in options)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not bundle.exists():
            subprocess.run([sys.executable, SCRIPTS / "export_bundle.py", *options, bundle], check=True)
    return bundle


def changed_bundle(bundle: Path, copy: Path, change) -> Path:
    """A copy of a bundle after change(manifest) on its model.json."""
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "model.json").read_text())
    change(manifest)
    (copy / "model.json").write_text(json.dumps(manifest))
    return copy


@pytest.fixture(scope="session")
def tiny() -> Path:
    """A bundle of random weights, 16 x 16 pictures. Not to be written to: see changed_bundle."""
    return exported("--tiny")
