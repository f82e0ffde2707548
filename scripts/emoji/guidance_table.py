#!/usr/bin/env python3
"""Shows at which guidance scales the samplers hold on models/emoji-64: a table for the model's page.

    scripts/emoji/guidance_table.py build/release/steplapse

At each scale every sampler (all but lcm and tcd, which are for distilled networks) draws each prompt in 5, 10, 20 and
30 steps on its usual levels. A picture is garbage when its PSNR to 100 steps of DDIM, at the same scale and seed, is
under 15 dB. Right names: of 36 taught names, how many give a picture whose nearest taught emoji is their own (DDIM, 30
steps).
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
from emoji import data
from emoji.evaluate import psnr, ranks

FEW_STEP_SAMPLERS = ("lcm", "tcd")
STEPS = (5, 10, 20, 30)
GARBAGE = 15  # dB


def draw(program: Path, lines: list[dict]) -> np.ndarray:
    """A picture for each line of a prompts file, float32 [N, 3, H, W] in [-1, 1]."""
    with tempfile.TemporaryDirectory() as scratch:
        prompts, out = Path(scratch) / "prompts.txt", Path(scratch) / "out"
        prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run(
            [
                program,
                "generate",
                "--prompts",
                prompts,
                "--frames",
                "none",
                "--progress",
                "none",
                "--device",
                "cpu",
                "--max-batch",
                "16",
                "--out",
                out,
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        pictures = []
        for number in range(1, len(lines) + 1):
            with Image.open(next(out.glob(f"{number:04d}-*")) / "final.png") as picture:
                pictures.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
        shutil.rmtree(out)
    return np.stack(pictures).astype(np.float32) / 127.5 - 1


def samplers_of(program: Path) -> list[dict]:
    told = json.loads(subprocess.run([program, "samplers", "--json"], check=True, capture_output=True).stdout)
    return [sampler for sampler in told if sampler["name"] not in FEW_STEP_SAMPLERS]


def measure(args, scale: float, samplers: list[dict]) -> tuple[dict, dict]:
    """Garbage pictures by number of steps (None: the adaptive sampler's own), and by sampler."""
    common = {"seed": args.seed, "guidance_scale": scale}
    runs = [
        (sampler["name"], steps, i)
        for sampler in samplers
        for steps in ([None] if sampler["adaptive"] else STEPS)
        for i in range(len(args.prompts))
    ]
    references = draw(
        args.program, [{**common, "prompt": prompt, "sampler": "ddim", "steps": 100} for prompt in args.prompts]
    )
    lines = [
        {**common, "prompt": args.prompts[i], "sampler": name} | ({"steps": steps} if steps else {})
        for name, steps, i in runs
    ]
    pictures = draw(args.program, lines)
    bad = psnr(pictures, references[[i for _, _, i in runs]]) < GARBAGE
    by_steps, by_sampler = {}, {}
    for (name, steps, _), garbage in zip(runs, bad):
        by_steps.setdefault(steps, []).append(garbage)
        by_sampler[name] = by_sampler.get(name, 0) + int(garbage)
    return by_steps, by_sampler


def right_names(args, scale: float) -> str:
    taught = data.load_taught()
    chosen = random.Random(0).sample(range(len(taught)), args.names)
    pictures = draw(
        args.program,
        [
            {"prompt": taught[i].name, "seed": args.seed + i, "guidance_scale": scale, "sampler": "ddim", "steps": 30}
            for i in chosen
        ],
    )
    return f"{(ranks(pictures, data.pixels(taught), chosen) == 0).sum()} of {args.names}"


def table(args) -> str:
    samplers = samplers_of(args.program)
    each = len([sampler for sampler in samplers if not sampler["adaptive"]]) * len(args.prompts)
    lines = [
        f"{len(samplers)} samplers, {len(args.prompts)} prompts ({', '.join(args.prompts)}): pictures that are "
        f"garbage, of {each} in each column.",
        "",
        "| guidance scale | 5 steps | 10 | 20 | 30 | most by | right names |",
        "| ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for scale in args.scales:
        by_steps, by_sampler = measure(args, scale, samplers)
        worst = sorted((count, name) for name, count in by_sampler.items() if count)[::-1][:3]
        cells = [f"{sum(by_steps[steps])}" for steps in STEPS]
        most_by = ", ".join(f"`{name}` {count}" for count, name in worst) or "-"
        lines.append(f"| {scale:g} | {' | '.join(cells)} | {most_by} | {right_names(args, scale)} |")
        print(lines[-1], f" adaptive: {sum(by_steps.get(None, []))}", by_sampler, file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, help="the built steplapse")
    parser.add_argument(
        "--scales", type=lambda text: [float(part) for part in text.split(",")], default=[1, 1.5, 2, 3, 5]
    )
    parser.add_argument("--prompts", type=lambda text: text.split(","), default=["hot beverage", "castle", "red apple"])
    parser.add_argument("--names", type=int, default=36)
    parser.add_argument("--seed", type=int, default=1000)
    args = parser.parse_args()
    try:
        print(table(args))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"guidance_table.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
