"""The first minutes: what scripts/setup.sh says before it fetches, and the commands of docs/ci.md."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from harness import PROGRAM, ROOT

DOCS = (ROOT / "docs/ci.md").read_text()


def block(language: str) -> str:
    return DOCS.split(f"```{language}\n")[1].split("```")[0]


def commands(text: str) -> list[str]:
    lines = (re.sub(r" +#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def test_the_commands_of_the_ci_page_draw_offline(tmp_path):
    """In a network of their own, where that is allowed."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    script = block("sh").replace(".venv/bin/python", sys.executable)
    offline = ["unshare", "-rn"]
    if subprocess.run([*offline, "true"], capture_output=True).returncode:
        offline = []
    ended = subprocess.run(
        [*offline, "bash", "-euc", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    assert '"ended": "done"' in (tmp_path / "ci/run/run.json").read_text()
    assert len(list((tmp_path / "ci/run/frames/x0").iterdir())) == 3


def test_the_workflow_runs_the_commands_of_the_page():
    yaml = pytest.importorskip("yaml")
    (job,) = yaml.safe_load(block("yaml"))["jobs"].values()
    drawn = commands(job["steps"][-1]["run"])
    assert drawn[:-1] == commands(block("sh"))
    assert job["steps"][-2]["run"].splitlines()[0] == "scripts/setup.sh export"


@pytest.fixture
def set_up(tmp_path):
    """set_up(free) runs a setup that finds nothing installed, and `free` megabytes on the disk. It may not fetch."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    tools = tmp_path / "bin"
    tools.mkdir()

    def set_up(free: int) -> subprocess.CompletedProcess:
        answers = {"df": f"echo Filesystem; echo /dev/vda 1 1 {free} 1% /", "apt-get": "exit 1", "python3": "exit 1"}
        for name, answer in answers.items():
            (tools / name).write_text(f"#!/bin/sh\n{answer}\n")
            (tools / name).chmod(0o755)
        return subprocess.run(
            [tmp_path / "scripts/setup.sh"],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        )

    return set_up


def test_setup_says_what_it_takes_before_it_fetches(set_up):
    lines = set_up(free=10000).stdout.splitlines()
    torch = (
        "setup: libtorch: 200 MB to fetch and 0.9 GB on disk for the CPU build, 2.7 GB and 4.8 GB for the CUDA build"
    )
    told = next(i for i, line in enumerate(lines) if line.startswith("setup: all: at least "))
    assert torch in lines[:told] and "(10000 MB are free)" in lines[told]
    assert not any("installs" in line for line in lines[: told + 1])


def test_setup_does_not_begin_what_the_disk_has_no_room_for(set_up):
    ended = set_up(free=500)
    assert ended.returncode == 1
    assert "setup: the CUDA build would not fit: 500 MB are free\n" in ended.stdout
    assert re.fullmatch(r"setup: .* has 500 MB free, \d+ MB are needed\n", ended.stderr)
    assert "installs" not in ended.stdout
