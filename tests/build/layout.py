#!/usr/bin/env python3
"""Which room of src/ may include which: docs/architecture.md has the table, and this keeps it true.

tests/build/layout.py        prints what breaks the rules, a line each, and ends with 1 where there is any
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SRC, PUBLIC = ROOT / "src", ROOT / "include/steplapse"

USES = {  # room: the rooms that it may use, all of them above it in this list
    "base": "",
    "sampling": "base",
    "record": "base sampling",
    "model": "base sampling",
    "prompt": "base sampling model",
    "views": "base sampling record model",
    "plan": "base sampling record model prompt",
    "runs": "base sampling record model prompt views plan",
    "studies": "base sampling record model prompt views plan runs",
    "cli": "base sampling record model prompt views plan runs studies",
}
WITHOUT_SOURCE = {"tensor.h": "base", "step_row.h": "record"}  # public headers that have no .cpp of their name


def room_of_source(path: Path) -> str | None:
    """None for main.cpp and its like, which lie above the rooms."""
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else None


def rooms_of_headers() -> dict[str, str]:
    """By the name that an include line has."""
    rooms = {str(header.relative_to(SRC)): room_of_source(header) for header in SRC.rglob("*.h")}
    of_sources = {source.stem: room_of_source(source) for source in SRC.rglob("*.cpp")}
    for header in PUBLIC.glob("*.h"):
        rooms[f"steplapse/{header.name}"] = WITHOUT_SOURCE.get(header.name) or of_sources[header.stem]
    return rooms


def included(path: Path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if found := re.match(r'#include "([^"]+)"', line):
            yield number, found[1]


def documented_uses() -> dict[str, str]:
    """The table of docs/architecture.md, in the form of USES."""
    uses = {}
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        if row := re.fullmatch(r"\| `(\w+)` \| [^|]+ \| ([a-z, ]+) \|", line):
            words = {"nothing": "", "all rooms above": " ".join(uses)}
            uses[row[1]] = words.get(row[2], row[2].replace(",", ""))
        elif uses:
            break
    return uses


def flags_named(path: Path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if found := re.search(r'"[^"]*(--[a-z][a-z-]+)', line.split("//")[0]):
            yield number, found[1]


def broken_rules() -> list[str]:
    rooms = rooms_of_headers()
    broken = [] if documented_uses() == USES else ["docs/architecture.md: its table of rooms is not this one"]
    for path in sorted([*SRC.rglob("*.h"), *SRC.rglob("*.cpp"), *PUBLIC.glob("*.h")]):
        is_public = path.is_relative_to(PUBLIC)
        own = rooms[f"steplapse/{path.name}"] if is_public else room_of_source(path)
        if own not in (None, "cli"):
            broken += [
                f"{path.relative_to(ROOT)}:{number}: names a flag, {flag}; write its setting in backticks"
                for number, flag in flags_named(path)
            ]
        for number, name in included(path):
            place = f"{path.relative_to(ROOT)}:{number}"
            if is_public and not name.startswith("steplapse/"):
                broken.append(f"{place}: a public header includes {name}, which is private")
            room = rooms.get(name)
            if own and room and room != own and room not in USES[own].split():
                broken.append(f"{place}: {own} may not use {room} ({name})")
            if not room and not (ROOT / "cmake" / f"{Path(name).name}.in").exists():
                broken.append(f"{place}: {name} is no header of src/ or include/, as paths from there")
    for room in sorted({room_of_source(path) for path in SRC.rglob("*.cpp")} - {None} - USES.keys()):
        broken.append(f"src/{room}: a room that the table does not have")
    return broken


if __name__ == "__main__":
    found = broken_rules()
    print(*found, sep="\n")
    sys.exit(bool(found))
