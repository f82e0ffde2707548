#!/usr/bin/env python3
"""Draws prompts with the built program and lays their x0 frames out as a strip, a row a prompt: docs/strip.png.

    scripts/emoji/strip.py build/release/steplapse docs/strip.png "red apple" "hot beverage"

Columns are steps of a run of 30. All rows have the same seed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

STEPS = (1, 4, 8, 12, 16, 20, 24, 27, 30)
SIDE, GAP, LABEL = 64, 4, 96
SEED = "948574399"


def main() -> None:
    program, out, *prompts = sys.argv[1:]
    font = ImageFont.load_default(11)
    strip = Image.new("RGB", (LABEL + len(STEPS) * (SIDE + GAP), 16 + len(prompts) * (SIDE + GAP)), "white")
    draw = ImageDraw.Draw(strip)
    for column, step in enumerate(STEPS):
        draw.text((LABEL + column * (SIDE + GAP) + SIDE // 2, 8), str(step), "gray", font, anchor="mm")
    for row, prompt in enumerate(prompts):
        top = 16 + row * (SIDE + GAP)
        draw.text((4, top + SIDE // 2), prompt, "black", font, anchor="lm")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [
                    program,
                    "generate",
                    prompt,
                    "--seed",
                    SEED,
                    "--steps",
                    "30",
                    "--out",
                    folder,
                    "--at",
                    ",".join(map(str, STEPS)),
                    "--progress",
                    "none",
                ],
                check=True,
            )
            for column, step in enumerate(STEPS):
                with Image.open(Path(folder) / f"frames/x0/{step:04d}.png") as frame:
                    strip.paste(frame, (LABEL + column * (SIDE + GAP), top))
    strip.save(out, optimize=True)


if __name__ == "__main__":
    main()
