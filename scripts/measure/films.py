#!/usr/bin/env python3
"""The tables of docs/films.md: how large films are, and what of a film is left where a site encodes it again.

    scripts/measure/films.py --program build/release/steplapse --work DIR

A run of models/emoji-64, and one of 512 x 512 pictures by a bundle of random weights in Stable Diffusion's shape. What
is left is measured on the last picture, at the model's own 64 x 64 pixels: a larger film is averaged down to them.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
FORMATS = [
    ("`.mp4`, h264", "a.mp4", []),
    ("`.mp4`, av1", "b.mp4", ["--codec", "av1"]),
    ("`.webm`, vp9", "a.webm", []),
    ("`.mkv`, ffv1", "a.mkv", []),
    ("`.gif`", "a.gif", []),
    ("`.webp`", "a.webp", []),
    ("`.webp --quality 80`", "b.webp", ["--quality", 80]),
    ("`.png`", "a.png", []),
]
AGAIN = ["-c:v", "libx264", "-crf", "28", "-pix_fmt", "yuv420p", "-map_metadata", "-1"]
HALF = ["-vf", "scale=trunc(iw*0.35)*2:-2:flags=bicubic", *AGAIN]
POSTED = [  # what is posted, its name and flags, what the site makes of it, and how
    ("`.mp4 --scale 1`", "1.mp4", ["--scale", 1], "h264, crf 28", AGAIN),
    ("`.mp4 --scale 4`", "4.mp4", ["--scale", 4], "h264, crf 28", AGAIN),
    ("`.mp4 --scale 8`", "8.mp4", ["--scale", 8], "h264, crf 28", AGAIN),
    ("`.mp4 --scale 16`", "16.mp4", ["--scale", 16], "h264, crf 28", AGAIN),
    ("`.mp4 --scale 8`", "8.mp4", [], "h264, crf 28, 0.7 times as wide", HALF),
    ("`.webm --scale 8`", "8.webm", ["--scale", 8], "h264, crf 28", AGAIN),
    ("`.gif --scale 1`", "1.gif", ["--scale", 1], "left as it is", None),
    ("`.gif --scale 4`", "4.gif", ["--scale", 4], "left as it is", None),
    ("`.gif --scale 1`", "1.gif", [], "h264, crf 28", AGAIN),
    ("`.gif --scale 8`", "8.gif", ["--scale", 8], "h264, crf 28", AGAIN),
    ("`.webp --scale 4`", "4.webp", ["--scale", 4], "left as it is", None),
    ("`.webp --scale 4 --quality 80`", "q.webp", ["--scale", 4, "--quality", 80], "left as it is", None),
    ("`.png --scale 4`", "4.png", ["--scale", 4], "left as it is", None),
]


def call(*command) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def film(args, run: Path, name: str, flags: list) -> Path:
    path = args.work / f"{run.name}-{name}"
    if not path.exists():
        call(args.program, "film", run, path, *flags)
    return path


def last_picture(path: Path) -> np.ndarray:
    """As a player shows it."""
    if path.suffix in (".webp", ".png", ".gif"):
        with Image.open(path) as shown:
            shown.seek(shown.n_frames - 1)
            return np.asarray(shown.convert("RGB"), np.float64)
    last = path.with_suffix(".last.png")
    call("ffmpeg", "-v", "error", "-y", "-i", path, "-vf", "scale=in_color_matrix=bt709", "-update", 1, last)
    return np.asarray(Image.open(last), np.float64)


def at_64(picture: np.ndarray) -> np.ndarray:
    if picture.shape[0] % 64 == 0:
        factor = picture.shape[0] // 64
        return picture.reshape(64, factor, 64, factor, 3).mean(axis=(1, 3))
    small = Image.fromarray(picture.astype(np.uint8)).resize((64, 64), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def psnr(found: np.ndarray, wanted: np.ndarray) -> str:
    error = ((found - wanted) ** 2).mean()
    return "exact" if error == 0 else f"{10 * np.log10(255**2 / error):.1f} dB"


def size(path: Path) -> str:
    bytes_ = path.stat().st_size
    return f"{bytes_ / 1e6:.1f} MB" if bytes_ >= 1e6 else f"{bytes_ / 1e3:.0f} kB"


def sizes(args, emoji: Path, large: Path) -> None:
    print("| film | 20 steps of 64 x 64, shown as 256 x 256 | 20 steps of 512 x 512 |\n| --- | --- | --- |")
    for label, name, flags in FORMATS:
        print(f"| {label} | {size(film(args, emoji, name, flags))} | {size(film(args, large, name, flags))} |")


def posted(args, run: Path) -> None:
    print("\n| posted | size | the site's own | what is left of the last picture |\n| --- | --- | --- | --- |")
    wanted = np.asarray(Image.open(sorted((run / "frames/x0").iterdir())[-1]), np.float64)
    for label, name, flags, made, again in POSTED:
        path = shown = film(args, run, name, flags)
        if again:
            shown = args.work / f"again-{'half' if again is HALF else 'full'}-{name}.mp4"
            call("ffmpeg", "-v", "error", "-y", "-i", path, *again, shown)
        left = psnr(at_64(last_picture(shown)), wanted)
        print(f"| {label} | {size(path)} | {made}{f', {size(shown)}' if again else ''} | {left} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where runs and films go; what is there is taken")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    emoji, large, bundle = args.work / "emoji", args.work / "large", args.work / "sd1"
    usual = ["red apple", "--steps", 20, "--progress", "none"]
    if not emoji.exists():
        call(args.program, *usual, "--seed", 948574399, "--model", ROOT / "models/emoji-64", "--out", emoji)
    if not large.exists():
        export = [sys.executable, ROOT / "scripts/export_bundle.py", "--tiny", "--family", "sd1"]
        call(*export, "--sizes", "64:512:8", bundle)
        call(args.program, *usual, "--seed", 1, "--model", bundle, "--size", "512x512", "--out", large)
    sizes(args, emoji, large)
    posted(args, emoji)


if __name__ == "__main__":
    main()
