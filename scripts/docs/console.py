#!/usr/bin/env python3
"""Runs the commands of a page's ```console blocks again, and puts what they print below them.

    STEPLAPSE=build/release/steplapse scripts/docs/console.py docs/why-steps-differ.md

A block has lines that begin with "$ " and below each what it prints, standard error too. All commands of a page run one
after another in one empty folder, with one CPU thread and the model that comes with the program.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands_in(block: str) -> list[tuple[str, str]]:
    """Each command of a block, and what stands below it."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def printed(command: str, folder: Path, program: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "STEPLAPSE_MODEL": str(ROOT / "models/emoji-64"),
        "OMP_NUM_THREADS": "1",
    }
    told = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return told.stdout


def main() -> int:
    program = Path(os.environ.get("STEPLAPSE", ROOT / "build/release/steplapse")).resolve()
    page = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:

        def again(match: re.Match) -> str:
            lines = [f"$ {command}\n{printed(command, Path(folder), program)}" for command, _ in commands_in(match[1])]
            return "```console\n" + "".join(lines) + "```"

        page.write_text(BLOCK.sub(again, page.read_text()))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
