#!/usr/bin/env python3
"""Measures models/emoji-64 through the built program: does a prompt give its own emoji?

    scripts/emoji/evaluate.py build/release/steplapse
    scripts/emoji/evaluate.py build/release/steplapse --names 50 --steps 30
    scripts/emoji/evaluate.py build/release/steplapse --autoencoder training/vae

For each name the program draws one picture (DDIM, guidance 1.5, a seed of its own that never changes). The picture
counts as right when, among all taught emoji, the one nearest in pixels (L2) is the one that was asked for; top-5
when it is among the nearest five. The taught emoji come from the font, not from the model. PSNR is the picture's
against its own emoji. A bundle has no encoder, so what the autoencoder alone loses is measured where it was trained.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
from emoji import data


def draw(args, name: str, seed: int, steps: int, folder: Path) -> np.ndarray:
    """The program's picture of `name`, float32 [3, H, W] in [-1, 1]."""
    out = folder / f"{steps}-{seed}"
    command = [
        str(args.binary),
        "generate",
        name,
        "--seed",
        str(seed),
        "--steps",
        str(steps),
        "--sampler",
        "ddim",
        "--guidance-scale",
        str(args.guidance_scale),
        "--frames",
        "none",
        "--progress",
        "none",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--out",
        str(out),
        "--overwrite",
    ]
    if args.model:
        command += ["--model", str(args.model)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    with Image.open(out / "final.png") as picture:
        return np.asarray(picture.convert("RGB")).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1


def ranks(pictures: np.ndarray, taught: np.ndarray, own: list[int]) -> np.ndarray:
    """How many taught emoji are nearer to each picture than its own: 0 is right."""
    pictures, taught = pictures.reshape(len(pictures), -1), taught.reshape(len(taught), -1)
    distances = (pictures**2).sum(1)[:, None] - 2 * pictures @ taught.T + (taught**2).sum(1)[None, :]
    return (distances < distances[np.arange(len(own)), own][:, None]).sum(1)


def autoencoder_psnr(folder: Path, drawings: np.ndarray) -> float:
    """Mean PSNR in dB of the drawings, to latents and back, over all that were taught."""
    import torch
    from diffusers import AutoencoderKL

    autoencoder = AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False).eval()
    with torch.no_grad():
        back = [
            autoencoder.decode(autoencoder.encode(part).latent_dist.mean).sample.clamp(-1, 1).numpy()
            for part in torch.from_numpy(drawings).split(32)
        ]
    return psnr(np.concatenate(back), drawings).mean()


def psnr(pictures: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """In dB, of each picture [3, H, W] in [-1, 1]."""
    return 10 * np.log10(4 / ((pictures - wanted) ** 2).mean((1, 2, 3)))


def evaluate(args) -> str:
    """The table, in Markdown."""
    taught = data.load_taught()
    chosen = random.Random(0).sample(range(len(taught)), min(args.names, len(taught)))
    drawings = data.pixels(taught)
    lines = [
        f"{len(chosen)} of {len(taught)} taught names, DDIM, guidance {args.guidance_scale:g}, one picture each.",
        "",
        "| steps | top-1 | top-5 | PSNR |",
        "| ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(args.jobs) as pool:
        for steps in args.steps:
            began = time.monotonic()
            drawn = [pool.submit(draw, args, taught[i].name, args.seed + i, steps, Path(scratch)) for i in chosen]
            pictures = np.stack([picture.result() for picture in drawn])
            found = ranks(pictures, drawings, chosen)
            lines.append(
                f"| {steps} | {(found == 0).mean():.1%} | {(found < 5).mean():.1%} | "
                f"{psnr(pictures, drawings[chosen]).mean():.1f} dB |"
            )
            print(f"{lines[-1]}  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            if args.misses:
                missed = [taught[i].name for i, rank in zip(chosen, found) if rank >= 5]
                print(f"not among the nearest five: {', '.join(missed)}", file=sys.stderr)
    if args.autoencoder:
        lines += [
            "",
            f"The autoencoder alone, over all {len(taught)}: {autoencoder_psnr(args.autoencoder, drawings):.1f} dB.",
        ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the built steplapse")
    parser.add_argument("--model", type=Path, help="bundle folder (default: the program's own)")
    parser.add_argument("--names", type=int, default=300)
    parser.add_argument(
        "--steps", type=lambda text: [int(part) for part in text.split(",")], default=[5, 10, 20, 30, 50, 100]
    )
    parser.add_argument("--guidance-scale", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=1000, help="of the first name; each has its own")
    parser.add_argument("--jobs", type=int, default=2, help="programs at a time, one thread each")
    parser.add_argument("--misses", action="store_true", help="name the prompts that went wrong")
    parser.add_argument("--autoencoder", type=Path, help="folder of the AutoencoderKL, to measure it alone too")
    args = parser.parse_args()
    try:
        print(evaluate(args))
    except (OSError, RuntimeError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
