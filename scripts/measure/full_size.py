#!/usr/bin/env python3
"""Measures Stable Diffusion at full size, with random weights, beside diffusers: the same weights, dtype and threads.

    scripts/measure/full_size.py --program build/release/steplapse --work DIR [--families sd1 sd2 sdxl]

Prints a table: how long until the denoiser is ready, how much memory at most beside the weights, how long a guided step
takes. steplapse and diffusers take turns, and each turn's first step, which warms up, is left out. DIR keeps the
exported bundles (2 GB for sd1, 3 for sd2, 7 for sdxl).
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import torch

from measure.random_pipeline import FAMILIES, make_random_pipeline
from steplapse_export.exporter import ExportOptions, export_bundle
from steplapse_export.programs import DTYPES

PREDICTION_TYPES = {"sd1": "epsilon", "sd2": "v_prediction", "sdxl": "epsilon"}
PROMPT = "a photo of a red apple on a wooden table"


def run_steplapse(args, bundle: Path) -> dict:
    """A run's figures: seconds a step after the first, and what else the table shows."""
    folder = args.work / "run"
    shutil.rmtree(folder, ignore_errors=True)
    process = subprocess.Popen(
        [
            args.program,
            PROMPT,
            "--model",
            bundle,
            "--seed",
            "1",
            "--steps",
            str(args.steps),
            "--size",
            f"{args.side}x{args.side}",
            "--frames",
            "none",
            "--out",
            folder,
            "--device",
            "cpu",
            "--threads",
            str(args.threads),
            "--progress",
            "none",
        ]
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"full_size.py: steplapse ended with {process.returncode}")
    with open(folder / "steps.csv", newline="") as file:
        steps = [float(row["denoiser_ms"]) / 1000 for row in csv.DictReader(file)]
    totals = json.loads((folder / "run.json").read_text())
    return {
        "step": statistics.mean(steps[1:]),
        "ready": totals["denoiser_load_seconds"],
        "decode": totals["frame_seconds"],
        "memory": usage.ru_maxrss * 1024,
    }


def run_diffusers(args, pipeline) -> float:
    """Seconds a step after the first."""
    ends = []

    def ended(pipeline, step, timestep, tensors):
        ends.append(time.perf_counter())
        return {}

    with torch.no_grad():
        pipeline(
            PROMPT,
            num_inference_steps=args.steps,
            height=args.side,
            width=args.side,
            output_type="latent",
            generator=torch.Generator().manual_seed(1),
            guidance_scale=7.5,
            callback_on_step_end=ended,
        )
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def measure(args, family: str) -> str:
    """A row of the table."""
    bundle = args.work / f"{family}-{args.dtype}"
    pipeline = make_random_pipeline(family, DTYPES[args.dtype], PREDICTION_TYPES[family])
    if not bundle.exists():
        export_bundle(
            pipeline,
            bundle,
            ExportOptions(
                bundle.name,
                source="random weights",
                licence="none",
                dtype=args.dtype,
                say=lambda line: print(line, file=sys.stderr, flush=True),
            ),
        )
    if pipeline.vae.config.force_upcast and family == "sdxl":
        pipeline.vae.float()
    ours, theirs = [], []
    for turn in range(args.turns):
        ours.append(run_steplapse(args, bundle))
        theirs.append(run_diffusers(args, pipeline))
        print(
            f"{family}, turn {turn + 1}: steplapse {ours[-1]['step']:.2f} s, diffusers {theirs[-1]:.2f} s a step",
            file=sys.stderr,
            flush=True,
        )

    def median(key):
        return statistics.median(run[key] for run in ours)

    weights = sum(path.stat().st_size for path in bundle.glob("*.safetensors"))
    beside = max(run["memory"] for run in ours) - weights
    step, reference = median("step"), statistics.median(theirs)
    return (
        f"| {family}, {PREDICTION_TYPES[family]} | {weights / 1e9:.2f} GB | {median('ready'):.2f} s | "
        f"{beside / 1e9:+.2f} GB | {step:.2f} s | {reference:.2f} s | {step / reference:.2f} | "
        f"{median('decode'):.1f} s |"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for bundles and runs")
    parser.add_argument("--families", nargs="+", default=FAMILIES, choices=FAMILIES)
    parser.add_argument("--dtype", default="bfloat16", choices=DTYPES)
    parser.add_argument("--side", type=int, default=512, help="pixels (default: 512)")
    parser.add_argument("--steps", type=int, default=3, help="of each turn (default: 3)")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    print(
        f"{args.dtype}, {args.side} x {args.side}, {args.threads} threads, libtorch {torch.__version__}, medians of "
        f"{args.turns} turns of {args.steps} steps\n"
    )
    print(
        "| model | weights | denoiser ready | peak memory beside weights | step, steplapse | step, diffusers | ratio | "
        "decoding one picture |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for family in args.families:
        print(measure(args, family), flush=True)


if __name__ == "__main__":
    main()
