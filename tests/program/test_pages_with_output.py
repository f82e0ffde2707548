"""Pages that show what commands print: the commands are run, and print that. Numbers may differ in their last digits,
since CPUs round differently."""

import re
import sys

import pytest

from harness import PROGRAM, ROOT

sys.path.insert(0, str(ROOT / "scripts/docs"))
from console import BLOCK, commands_in, printed  # noqa: E402

NUMBER = re.compile(r"\d+\.\d+(?:e[+-]\d+)?")


def words(text: str) -> list[str]:
    return NUMBER.sub("N", text).split()


@pytest.mark.parametrize("page", ["docs/why-steps-differ.md", "docs/looking.md"])
def test_commands_print_what_the_page_shows(page, tmp_path):
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    for block in blocks:
        for command, shown in commands_in(block):
            found = printed(command, tmp_path, PROGRAM)
            assert words(found) == words(shown), command
            numbers = [float(number) for number in NUMBER.findall(found)]
            assert numbers == pytest.approx([float(n) for n in NUMBER.findall(shown)], rel=0.02, abs=1e-4), command
