#!/usr/bin/env python3
"""Measures a run on an idle machine and beside other programs that compute, as many as there are cores.

    scripts/measure/busy.py --program build/release/steplapse --work DIR [--models emoji sd1] [--turns 5]

Starts its own competitors, busy loops of Python. `before` is the program with libgomp's own spinning (GOMP_SPINCOUNT
set to libgomp's default), which is how it would run without src/spin_count.cpp; `now` is the program as it comes. They
take turns; medians are printed. Idle: nothing else should run on the machine. A run that lasts over --limit seconds is
cut there, and said to be longer. The emoji model makes 30 steps with all frames, Stable Diffusion 1.5's shape (random
weights, bfloat16, 256 x 256) makes 4. DIR keeps the exported bundle (2 GB).
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

ROOT = Path(__file__).resolve().parent.parent.parent
LIBGOMPS_DEFAULT = "300000"  # libgomp's manual: GOMP_SPINCOUNT, where OMP_WAIT_POLICY is not set
VARIANTS = {"before": {"GOMP_SPINCOUNT": LIBGOMPS_DEFAULT}, "now": {}}


def sd1_bundle(work: Path) -> Path:
    bundle = work / "sd1-bfloat16"
    if not bundle.exists():
        import torch

        from measure.random_pipeline import make_random_pipeline
        from steplapse_export.exporter import ExportOptions, export_bundle

        export_bundle(
            make_random_pipeline("sd1", torch.bfloat16),
            bundle,
            ExportOptions(bundle.name, source="random weights", licence="none", dtype="bfloat16"),
        )
    return bundle


def flags_for(model: str, work: Path) -> list:
    if model == "emoji":
        return ["--model", ROOT / "models/emoji-64", "--steps", "30"]
    return ["--model", sd1_bundle(work), "--steps", "4", "--size", "256x256"]


@contextlib.contextmanager
def busy_loops(count: int):
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def seconds_of_run(args, flags, variant: dict) -> float:
    folder = args.work / "busy-run"
    shutil.rmtree(folder, ignore_errors=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))} | variant
    command = [
        args.program,
        "red apple",
        "--seed",
        "1",
        "--frames",
        "x0,xt",
        "--progress",
        "none",
        "--out",
        folder,
        *flags,
    ]
    start = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=args.limit)
    return time.monotonic() - start


def medians(args, flags, loops: int) -> dict:
    seconds = {name: [] for name in VARIANTS}
    with busy_loops(loops):
        for _ in range(args.turns):
            for name, variant in VARIANTS.items():
                seconds[name].append(seconds_of_run(args, flags, variant))
    return {name: statistics.median(each) for name, each in seconds.items()}


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=["emoji", "sd1"], default=["emoji", "sd1"])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60, help="seconds that a run may take")
    args = parser.parse_args()
    args.program = args.program.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    return args


def main():
    args = parse_arguments()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores of {cpu_name()}, medians of {args.turns} turns\n")
    print("| model | machine | before, s | now, s | now / before | now / idle |\n| --- | --- | --- | --- | --- | --- |")
    for model in args.models:
        flags = flags_for(model, args.work)
        seconds_of_run(args, flags, {})  # reads the files
        idle = None
        for machine, loops in (("idle", 0), (f"{cores} busy loops beside", cores)):
            found = medians(args, flags, loops)
            idle = idle or found["now"]
            before = f"over {args.limit:.0f}" if found["before"] >= args.limit else f"{found['before']:.2f}"
            print(
                f"| {model} | {machine} | {before} | {found['now']:.2f} | {found['now'] / found['before']:.2f} "
                f"| {found['now'] / idle:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
