#!/usr/bin/env python3
"""Draws runs with the built program, and takes the screenshots of their reports that docs/report.md shows.

    scripts/docs/report_screenshots.py build/release/steplapse docs/images

It needs Debian's chromium. The pictures have 128 colours, to be small.
"""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SEED = "948574399"


def make_pages(program: str, folder: Path) -> None:
    def steplapse(*arguments: str) -> None:
        subprocess.run([program, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    made = ("--progress", "none")
    steplapse("red apple", "--seed", SEED, "--frames", "x0,xt", "--out", "apple", *made)
    pictures = [
        {"prompt": prompt, "seed": 7, "guidance_scale": scale}
        for prompt in ("snowman", "octopus")
        for scale in (0, 1, 4)
    ]
    (folder / "prompts").write_text("".join(json.dumps(picture) + "\n" for picture in pictures))
    steplapse("generate", "--prompts", "prompts", "--steps", "12", "--frames", "none", "--out", "pictures", *made)
    steplapse("report", "apple")
    steplapse("report", "pictures")


def save(picture: bytes, file: Path) -> None:
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(file, optimize=True)
    print(file)


def main() -> None:
    program, out = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        make_pages(program, Path(folder))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])

        page = browser.new_page(viewport={"width": 900, "height": 1200}, color_scheme="light")
        page.goto((Path(folder) / "apple.html").as_uri())
        page.locator("#position").fill("11")
        page.locator("#position").blur()
        save(page.screenshot(), out / "report.png")

        page = browser.new_page(viewport={"width": 900, "height": 1250}, color_scheme="dark")
        page.goto((Path(folder) / "pictures.html").as_uri())
        page.get_by_label("side by side").first.check()
        page.locator("#grid button").nth(5).click()
        page.locator("#position").fill("3")
        page.locator("#position").blur()
        page.evaluate("document.querySelector('.tall').style.maxHeight = '12rem'; scrollTo(0, 0)")
        save(page.screenshot(), out / "report-grid.png")
        browser.close()


if __name__ == "__main__":
    main()
