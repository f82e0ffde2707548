"""scripts/docs: the figures that are made again, and where they go."""

import re
import subprocess
from pathlib import Path

import pytest

from docs import place

ROOT = Path(__file__).resolve().parent.parent.parent
REFRESH = ROOT / "scripts/docs/refresh.sh"


def marked_pages():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "models").glob("*/README.md")]:
        for name in re.findall(r"<!-- made by scripts/docs/refresh\.sh (.+) -->", page.read_text()):
            yield str(page.relative_to(ROOT)), name


def test_each_mark_is_one_that_refresh_fills():
    filled = re.findall(r'^  place (\S+) "?([^"\n]+?)"? (?:--table \d )?<', REFRESH.read_text(), flags=re.M)
    assert sorted(marked_pages()) == sorted(filled)


def test_what_is_between_the_marks_is_replaced_and_the_rest_stays():
    page = f"before\n{place.mark('x')}\nold\n{place.END}\nafter\n{place.mark('y')}\nother\n{place.END}\n"
    assert place.placed(page, "x", "new\n") == page.replace("old", "new")


def test_a_page_without_the_mark_is_refused():
    with pytest.raises(ValueError, match="no '<!-- made by scripts/docs/refresh.sh x -->' and '<!-- end -->'"):
        place.placed("text\n", "x", "new\n")


def test_one_table_of_several_is_taken():
    assert place.table("words\n| a |\n| --- |\n\n| b |\n| --- |\nwords\n", 2) == "| b |\n| --- |\n"


def test_an_unknown_part_is_refused_before_anything_is_made():
    told = subprocess.run([REFRESH, "film", "straps"], capture_output=True, text=True, env={"STEPLAPSE": "/bin/true"})
    assert told.returncode == 2
    known = "film films evaluation guidance race bits replays steps_differ looking theory sweeps report"
    assert told.stderr == f"refresh.sh: unknown part 'straps'; known: {known}\n"
