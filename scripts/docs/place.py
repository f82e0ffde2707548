#!/usr/bin/env python3
"""Puts what it reads into a page, in place of what stands there between the two marks

    <!-- made by scripts/docs/refresh.sh NAME -->
    <!-- end -->

    scripts/measure/bits.py ... | scripts/docs/place.py docs/reproducibility.md bits
    scripts/measure/theory.py ... | scripts/docs/place.py docs/sampling.md "theory: orders" --table 1

With --table N it takes only the Nth Markdown table of what it reads.
"""

import argparse
import re
import sys
from pathlib import Path

END = "<!-- end -->"


def mark(name: str) -> str:
    return f"<!-- made by scripts/docs/refresh.sh {name} -->"


def placed(page: str, name: str, text: str) -> str:
    """The page with the text between its marks of this name."""
    before, begin, rest = page.partition(mark(name))
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no '{mark(name)}' and '{END}' to put it between")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def table(text: str, number: int) -> str:
    tables = re.findall(r"(?:^\|.*\n?)+", text, flags=re.M)
    if number > len(tables):
        raise ValueError(f"table {number} was asked for, and {len(tables)} came")
    return tables[number - 1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("name", help="as the mark has it")
    parser.add_argument("--table", type=int, metavar="N")
    args = parser.parse_args()
    text = sys.stdin.read()
    try:
        if not text.strip():
            raise ValueError("nothing came to put there")
        page = args.page.read_text()
        args.page.write_text(placed(page, args.name, table(text, args.table) if args.table else text))
    except (OSError, ValueError) as error:
        print(f"place.py: {args.page}: {error}", file=sys.stderr)
        return 1
    print(f"{args.page}: {args.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
