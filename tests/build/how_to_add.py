#!/usr/bin/env python3
"""docs/how-to-add.md, done: its code goes into a copy of the tree, which is built, and its commands are run with that.

tests/build/how_to_add.py                        whether the code of the page still finds its place
tests/build/how_to_add.py --work DIR --torch DIR    builds and runs it too; DIR is kept, so that another time is shorter
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/how-to-add.md"
COPIED = ("CMakeLists.txt", "LICENSE", "cmake", "include", "src")


class Misfit(Exception):
    """The page and the tree do not go together."""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)


def copied_tree() -> dict[str, bytes]:
    """By path from the root."""
    paths = [path for name in COPIED for path in [ROOT / name, *sorted((ROOT / name).rglob("*"))]]
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in paths if path.is_file()}


def with_new_file(tree: dict[str, bytes], block: str) -> None:
    first, text = block.split("\n", 1)
    name = first.removeprefix("// ")
    if not re.fullmatch(r"(src|include)/[\w/]+\.(h|cpp)", name):
        raise Misfit(f"'{first}': a block of C++ begins with the name of its file, as // src/cli/mine.cpp")
    if name in tree:
        raise Misfit(f"{name}: is there already")
    tree[name] = text.encode()


def with_hunk(tree: dict[str, bytes], name: str, hunk: list[str]) -> None:
    """Lines of a diff: those with a blank or a minus before them stand in the file, once and together."""
    if name not in tree:
        raise Misfit(f"{name}: is not there")
    old = "".join(line[1:] + "\n" for line in hunk if line[0] != "+")
    new = "".join(line[1:] + "\n" for line in hunk if line[0] != "-")
    text = "\n" + tree[name].decode()
    found = text.count("\n" + old)
    if found != 1:
        raise Misfit(f"{name}: has {found} times what the page changes there:\n{old}")
    tree[name] = text.replace("\n" + old, "\n" + new)[1:].encode()


def with_diff(tree: dict[str, bytes], block: str) -> None:
    name = None
    for part in re.split(r"^(?=@@)", block, flags=re.M)[1:]:
        head, *hunk = part.splitlines()
        name = head.strip("@ ") or name
        with_hunk(tree, name, hunk)


def changed_tree() -> dict[str, bytes]:
    tree = copied_tree()
    for block in blocks("cpp"):
        with_new_file(tree, block)
    for block in blocks("diff"):
        with_diff(tree, block)
    return tree


def write_tree(tree: dict[str, bytes], folder: Path) -> None:
    """What is the same keeps its date, so only what changed is compiled."""
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in tree:
            path.unlink()
    for name, content in tree.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def run(*command, **options) -> None:
    print("$", *command, flush=True)
    subprocess.run(command, check=True, **options)


def build(work: Path, torch: Path) -> None:
    """Without optimization, which is the shortest; warnings are errors."""
    options = {
        "CMAKE_BUILD_TYPE": "None",
        "CMAKE_CXX_FLAGS": "-O0",
        "STEPLAPSE_TORCH": torch,
        "STEPLAPSE_TESTS": "OFF",
        "STEPLAPSE_WERROR": "ON",
    }
    settings = [f"-D{name}={value}" for name, value in options.items()]
    run("cmake", "-S", work / "tree", "-B", work / "build", "-G", "Ninja", *settings)
    run("cmake", "--build", work / "build", "--target", "steplapse")


def run_commands(work: Path) -> None:
    runs = work / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir()
    environment = os.environ | {
        "PATH": f"{work / 'build'}:{os.environ['PATH']}",
        "STEPLAPSE_MODEL": str(ROOT / "models/emoji-64"),
    }
    for block in blocks("sh"):
        run("bash", "-euxo", "pipefail", "-c", block, cwd=runs, env=environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, metavar="DIR")
    parser.add_argument("--torch", type=Path, metavar="DIR")
    args = parser.parse_args()
    try:
        tree = changed_tree()
        if args.work:
            work = args.work.resolve()
            write_tree(tree, work / "tree")
            build(work, args.torch.resolve())
            run_commands(work)
    except (Misfit, subprocess.CalledProcessError) as error:
        print(f"{PAGE.relative_to(ROOT)}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
