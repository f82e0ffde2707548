#!/usr/bin/env python3
"""Measures what the bits of a picture depend on: CPU, alignment of the weights, threads, batch.

    scripts/measure/bits.py --program build/release/steplapse --work DIR [--model models/emoji-64]

The same pictures are drawn again with one thing changed at a time. Printed is the largest difference from the first
ones: of the final latents as a share of the largest latent, and of the final pictures in levels of 255. Below the table
stands what it was measured on.
"""

import argparse
import datetime
import functools
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy
from PIL import Image
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent.parent
PROMPTS = ["red apple", "hot beverage", "castle"]
SEEDS = range(100, 104)

# libtorch's own kernels, oneDNN's and MKL's each ask the CPU by themselves.
CAPABILITIES = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "SSE": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}


def move_weights(bundle: Path, by: int) -> None:
    """Puts each tensor `by` bytes further into its file, and so into a page of memory: more blanks end the header."""
    if by == 0:
        return
    for path in bundle.glob("*.safetensors"):
        content = path.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        path.write_bytes((end - 8 + by).to_bytes(8, "little") + content[8:end] + by * b" " + content[end:])
    accept_files(bundle)


def accept_files(bundle: Path) -> None:
    """model.json asks for the files as they now are: sizes and hashes are right again."""
    manifest = json.loads((bundle / "model.json").read_text())
    for name, entry in manifest["files"].items():
        content = (bundle / name).read_bytes()
        entry.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    (bundle / "model.json").write_text(json.dumps(manifest))


def draw(args, model: Path, threads: int = 1, at_once: int = 1, **environment) -> tuple[numpy.ndarray, numpy.ndarray]:
    """[pictures, C, h, w] final latents, and [pictures, H, W, 3] levels."""
    out = args.work / "out"
    shutil.rmtree(out, ignore_errors=True)
    prompts = args.work / "prompts.txt"
    prompts.write_text("".join(f"{prompt}\n" for prompt in PROMPTS))
    subprocess.run(
        [
            args.program,
            "--prompts",
            prompts,
            "--seed",
            ",".join(map(str, SEEDS)),
            "--model",
            model,
            "--steps",
            str(args.steps),
            "--sampler",
            args.sampler,
            "--frames",
            "none",
            "--threads",
            str(threads),
            "--max-batch",
            str(at_once),
            "--out",
            out,
            "--progress",
            "none",
        ],
        check=True,
        env={**os.environ, **environment},
    )
    folders = sorted(path.parent for path in out.glob("*/final.png"))
    return (
        numpy.concatenate([load_file(folder / "final.safetensors")["latents"] for folder in folders]),
        numpy.stack([numpy.asarray(Image.open(folder / "final.png")).astype(int) for folder in folders]),
    )


def draw_moved(args, by: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    copy = args.work / f"moved-{by}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(args.model, copy)
    move_weights(copy, by)
    return draw(args, copy)


def changes(args):
    """What is changed, and how the pictures then are drawn."""
    yield "nothing: drawn again", functools.partial(draw, args, args.model)
    for name, environment in CAPABILITIES.items():
        yield f"CPU: no more than {name}", functools.partial(draw, args, args.model, **environment)
    for by in (8, 16, 32):
        yield f"alignment: weights {by} bytes further on", functools.partial(draw_moved, args, by)
    for threads in (2, 4):
        yield f"threads: {threads}", functools.partial(draw, args, args.model, threads=threads)
    for at_once in (2, 4, 12):
        yield f"batch: {at_once} pictures at once", functools.partial(draw, args, args.model, at_once=at_once)


def measured_on(program: Path) -> str:
    told = json.loads(subprocess.run([program, "doctor", "--json"], check=True, capture_output=True).stdout)
    libtorch, kernels = told["libtorch"].split(",")[0], told["instruction sets"].split(" uses ")[1]
    return (
        f"Measured on {os.cpu_count()} cores ({told['cpu']}, {kernels}), libtorch {libtorch}, "
        f"{datetime.date.today()}, by `scripts/measure/bits.py`."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="a folder for bundles and runs")
    parser.add_argument("--model", type=Path, default=ROOT / "models/emoji-64")
    parser.add_argument("--sampler", default="ddim")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    latents, pictures = draw(args, args.model)
    print("| changed | latents | pixels, of 255 | pixels that differ |\n| --- | --- | --- | --- |")
    for name, drawn in changes(args):
        other, painted = drawn()
        largest = abs(latents).max(axis=(1, 2, 3), keepdims=True)
        off = abs(painted - pictures)
        print(
            f"| {name} | {(abs(other - latents) / largest).max():.1e} | {off.max()} | "
            f"{(off > 0).any(axis=-1).mean():.2%} |",
            flush=True,
        )
    print(f"\n{measured_on(args.program)}")


if __name__ == "__main__":
    main()
