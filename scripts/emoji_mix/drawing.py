"""Pictures by the built program."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


def read(path: Path) -> np.ndarray:
    """float32 [3, H, W] in [-1, 1]."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1


def draw(program: Path, model: Path, lines: list[dict], decoder: str | None = None) -> np.ndarray:
    """A picture for each line of a prompts file, [N, 3, H, W] in [-1, 1]; by the named decoder, or as it is kept."""
    with tempfile.TemporaryDirectory() as scratch:
        prompts, out = Path(scratch) / "prompts.txt", Path(scratch) / "out"
        prompts.write_text("".join(json.dumps({"sampler": "ddim", **line}) + "\n" for line in lines))
        frames = (
            ["--frames", "none"] if decoder is None else ["--frames", "x0", "--every", "1000", "--decoder", decoder]
        )
        done = subprocess.run(
            [
                *(program, "generate", "--prompts", prompts, "--model", model, "--out", out, *frames),
                *("--progress", "none", "--device", "cpu", "--max-batch", "16"),
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with exit code {done.returncode}: {done.stderr.strip()}")
        runs = [next(out.glob(f"{number:04d}-*")) for number in range(1, len(lines) + 1)]
        return np.stack([read(run / "final.png" if decoder is None else last_frame(run)) for run in runs])


def last_frame(run: Path) -> Path:
    return max(run.glob("frames/x0/*.png"))
