#!/usr/bin/env python3
"""Measures a sweep against a run a cell, each a process of its own, and against diffusers, all cells in one process.

    scripts/measure/sweep.py --program build/release/steplapse --work DIR [--models emoji sd1] [--turns 3]

For the emoji model (64 x 64, the one that comes with us) 5, 10, 20, 50 steps x 4 samplers x 4 seeds; for Stable
Diffusion 1.5's UNet with random weights in --dtype (256 x 256) 4, 8 steps x 2 samplers. All draw the same prompt at
the same guidance, and write final pictures alone. The three take turns; medians are printed. Of steplapse whole
processes are timed, loading included; of diffusers the pictures alone. DIR keeps the exported bundle (2 GB).
"""

import argparse
import csv
import dataclasses
import itertools
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import diffusers
import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image

from measure.batch import MODELS, PROMPT, ROOT

GUIDANCE = "3"
SCHEDULERS = {
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
}


@dataclasses.dataclass
class Axes:
    steps: list[int]
    samplers: list[str]
    seeds: list[int]

    def cells(self) -> list[tuple[int, str, int]]:
        return list(itertools.product(self.steps, self.samplers, self.seeds))


WHOLE = {
    "emoji": Axes([5, 10, 20, 50], list(SCHEDULERS), [1, 2, 3, 4]),
    "sd1": Axes([4, 8], ["euler", "dpmpp_2m"], [1]),
}
SMALL = {"emoji": Axes([2, 4], ["ddim", "euler"], [1]), "sd1": Axes([1, 2], ["euler"], [1])}


@dataclasses.dataclass
class Taken:
    """What making all cells took."""

    seconds: float
    answers: int  # of the network, one a guided step
    loads: int  # of the model


def finished(command: list) -> None:
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"sweep.py: steplapse ended with {ended.returncode}: {ended.stderr}")


def common_flags(args, bundle: Path, flags) -> list:
    return ["--model", bundle, "--guidance-scale", GUIDANCE, "--device", "cpu", "--threads", args.threads, *flags]


def as_sweep(args, axes: Axes, bundle: Path, flags) -> Taken:
    folder = args.work / "sweep"
    shutil.rmtree(folder, ignore_errors=True)
    lists = {"--steps": axes.steps, "--sampler": axes.samplers, "--seed": axes.seeds}
    varied = [word for flag, values in lists.items() for word in (flag, ",".join(map(str, values)))]
    start = time.perf_counter()
    finished(
        [args.program, "sweep", PROMPT, *varied, *common_flags(args, bundle, flags), "--out", folder]
        + ["--progress", "none"]
    )
    seconds = time.perf_counter() - start
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != len(axes.cells()) or any(row["status"] != "done" for row in rows):
        raise SystemExit(f"sweep.py: {folder}/results.csv has not every cell done")
    return Taken(seconds, sum(int(row["denoiser_calls"]) - int(row["shared_calls"] or 0) for row in rows), 1)


def calls_in(steps: Path) -> int:
    with open(steps, newline="") as file:
        return int(list(csv.DictReader(file))[-1]["denoiser_calls"])  # it counts on


def as_runs(args, axes: Axes, bundle: Path, flags) -> Taken:
    folder = args.work / "runs"
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    for steps, sampler, seed in axes.cells():
        finished(
            [args.program, PROMPT, *common_flags(args, bundle, flags), "--schedule", "bundle", "--frames", "none"]
            + ["--steps", steps, "--sampler", sampler, "--seed", seed, "--progress", "none"]
            + ["--out", folder / f"{steps}-{sampler}-{seed}"]
        )
    seconds = time.perf_counter() - start
    calls = [calls_in(path) for path in folder.glob("*/steps.csv")]
    return Taken(seconds, sum(calls), len(calls))


def in_diffusers(args, axes: Axes, pipeline, arguments) -> Taken:
    folder = args.work / "diffusers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    calls = 0

    def count(*_) -> None:
        nonlocal calls
        calls += 1

    counting = pipeline.unet.register_forward_hook(count)
    config = pipeline.scheduler.config
    start = time.perf_counter()
    for steps, sampler, seed in axes.cells():
        pipeline.scheduler = SCHEDULERS[sampler].from_config(config)
        with torch.no_grad():
            drawn = pipeline(
                **arguments,
                num_inference_steps=steps,
                guidance_scale=float(GUIDANCE),
                generator=torch.Generator().manual_seed(seed),
            )
        drawn.images[0].save(folder / f"{steps}-{sampler}-{seed}.png")
    seconds = time.perf_counter() - start
    counting.remove()
    return Taken(seconds, calls, 1)


def farthest(args, axes: Axes) -> int:
    """The largest difference of a pixel between the sweep's pictures and those of separate runs, of 255."""

    def pixels(folder: Path) -> np.ndarray:
        return np.asarray(Image.open(folder / "final.png")).astype(int)

    with open(args.work / "sweep" / "results.csv", newline="") as file:
        rows = {(int(row["steps"]), row["sampler"], int(row["seed"])): row["folder"] for row in csv.DictReader(file)}

    def difference(cell) -> int:
        run = args.work / "runs" / "-".join(map(str, cell))
        return int(np.abs(pixels(args.work / "sweep" / rows[cell]) - pixels(run)).max())

    return max(difference(cell) for cell in axes.cells())


def measure(args, name: str) -> str:
    """Rows of the table."""
    axes = (SMALL if args.small else WHOLE)[name]
    bundle, pipeline, arguments, flags = MODELS[name](args)
    taken: dict[str, list[Taken]] = {"sweep": [], "separate runs": [], "diffusers": []}
    in_diffusers(args, Axes(axes.steps[:1], axes.samplers[:1], axes.seeds[:1]), pipeline, arguments)  # warms up
    for turn in range(args.turns):
        taken["sweep"].append(as_sweep(args, axes, bundle, flags))
        taken["separate runs"].append(as_runs(args, axes, bundle, flags))
        taken["diffusers"].append(in_diffusers(args, axes, pipeline, arguments))
        said = ", ".join(f"{way} {turns[-1].seconds:.2f} s" for way, turns in taken.items())
        print(f"{name}, turn {turn + 1}: {said}", file=sys.stderr, flush=True)
    print(f"{name}: a pixel differs from that of the separate run by at most {farthest(args, axes)}", file=sys.stderr)
    seconds = {way: statistics.median(turn.seconds for turn in turns) for way, turns in taken.items()}
    shape = f"{name}, {len(axes.steps)} x {len(axes.samplers)} x {len(axes.seeds)} cells"
    return "\n".join(
        f"| {shape} | {way} | {seconds[way]:.2f} | {seconds['sweep'] / seconds[way]:.2f} | {turns[-1].answers} | "
        f"{turns[-1].loads} |"
        for way, turns in taken.items()
    )


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(": ", 1)[1]
    return platform.processor() or platform.machine()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the bundle, sweeps and runs")
    parser.add_argument("--emoji", type=Path, default=ROOT / "models" / "emoji-64")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument(
        "--dtype",
        default="bfloat16",
        choices=["bfloat16", "float32"],
        help="of sd1's network; CPUs without bfloat16 take far longer with it",
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--small", action="store_true", help="few cells and steps, to try the script")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    args.program = args.program.resolve()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    print(
        f"{cpu()}, {args.threads} threads, libtorch {torch.__version__}, diffusers {diffusers.__version__}, medians of "
        f"{args.turns} turns\n\n"
        "| steps x samplers x seeds | way | seconds | sweep / this | network answers | model loads |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for name in args.models:
        print(measure(args, name), flush=True)


if __name__ == "__main__":
    main()
