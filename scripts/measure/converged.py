#!/usr/bin/env python3
"""Measures when x0 has settled, and what it costs to end a run there.

    scripts/measure/converged.py --program build/release/steplapse --work DIR

Draws 100 prompts of models/emoji-64 with each of six samplers, at 30 and at 50 steps, and exports each step's x0 from
their logs. From these the rule of `--stop-when-converged` is computed here once more, for several thresholds: in how
many runs it fires, which share of the steps is saved, and the PSNR of the picture (by the full decoder) at the stop to
that of the whole run. The rule itself may look at the latents, at the linear decoder's picture, or at the full
decoder's; the last table compares the three where they save equally much.

DIR keeps the runs and what was exported, so a second call only computes. `--in-a-row` and `--least` try other rules.
"""

import argparse
import datetime
import functools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import torch
from safetensors.torch import load_file

from steplapse_export.programs import load_program

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "models/emoji-64"
SAMPLERS = ["ddim", "euler_a", "heun", "dpmpp_2m", "dpmpp_2m_sde", "unipc"]
STEPS = [30, 50]
MEASURES = ["latents", "linear", "full"]


def draw(args, folder: Path, steps: int) -> None:
    """All runs of so many steps."""
    names = [row["name"] for row in json.loads((MODEL / "prompts.json").read_text())]
    chosen = names[:: len(names) // args.prompts][: args.prompts]
    lines = [
        json.dumps({"prompt": name, "sampler": sampler, "seed": seed})
        for seed, name in enumerate(chosen)
        for sampler in SAMPLERS
    ]
    prompts = args.work / "prompts.txt"
    prompts.write_text("\n".join(lines) + "\n")
    command = [args.program, "--model", MODEL, "--prompts", prompts, "--steps", str(steps), "--frames", "none"]
    subprocess.run([*command, "--progress", "none", "--threads", "1", "--out", folder, "--overwrite"], check=True)


def exported(args, run: Path) -> dict:
    file = run / "x0.safetensors"
    if not file.exists():
        subprocess.run([args.program, "export", run, file, "--what", "x0"], check=True, stdout=subprocess.DEVNULL)
    tensors = load_file(file)
    about = json.loads((run / "run.json").read_text())
    return {"sampler": about["sampler"], "x0": tensors["x0"], "latents": tensors["latents"], "psnr": {}, "changes": {}}


def runs_of(args, steps: int) -> list[dict]:
    """Sampler, x0 of each step, and the final latents of each run."""
    folder = args.work / f"runs-{steps}"
    wanted = args.prompts * len(SAMPLERS)
    found = sorted(path.parent for path in folder.glob("*/run.json"))
    if len(found) < wanted:
        draw(args, folder, steps)
        found = sorted(path.parent for path in folder.glob("*/run.json"))
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda run: exported(args, run), found[:wanted]))


def rms(x: torch.Tensor) -> np.ndarray:
    """Of each row."""
    return x.double().square().flatten(1).mean(1).sqrt().numpy()


@functools.cache
def decoder(name: str):
    return load_program(MODEL / f"decoder_{name}.pt", [MODEL / f"decoder_{name}.safetensors"], torch.float32)


@torch.no_grad()
def decoded(name: str, latents: torch.Tensor) -> torch.Tensor:
    return decoder(name)(latents).clamp(-1, 1)


@torch.no_grad()
def pixels(latents: torch.Tensor) -> torch.Tensor:
    """0 to 255, rounded as in a PNG."""
    return ((decoded("full", latents) + 1) * 127.5).round().double()


def psnr_at(run: dict, step: int) -> float:
    """Of the picture of a step's x0, to the final picture."""
    if "pixels" not in run:
        run["pixels"] = pixels(run["latents"])
    if step not in run["psnr"]:
        square = (pixels(run["x0"][step - 1 : step]) - run["pixels"]).square().mean().item()
        run["psnr"][step] = 10 * np.log10(255**2 / max(square, 1e-9))
    return run["psnr"][step]


def add_changes(runs: list[dict], measures: list[str]) -> None:
    """How much x0 changed at each step from 2 on, by each measure."""
    usual = json.loads((MODEL / "model.json").read_text())["x0_rms"]["value"]
    for run in runs:
        for name in measures:
            what = run["x0"] / usual if name == "latents" else decoded(name, run["x0"])
            run["changes"][name] = rms(what[1:] - what[:-1])


def stop_of(changes: np.ndarray, threshold: float, args) -> int:
    """The step that the run ends after; that of the whole run where the rule does not hold before it."""
    steps, held = len(changes) + 1, 0
    least = max(args.in_a_row + 1, int(np.ceil(args.least * steps - 1e-9)))
    for step in range(2, steps):
        held = held + 1 if changes[step - 2] < threshold else 0
        if held >= args.in_a_row and step >= least:
            return step
    return steps


def saved(runs: list[dict], measure: str, threshold: float, args) -> float:
    """The mean share of the steps that are not made."""
    return float(np.mean([1 - stop_of(run["changes"][measure], threshold, args) / len(run["x0"]) for run in runs]))


def row(name: str, runs: list[dict], measure: str, threshold: float, args) -> str:
    stops = [(run, stop_of(run["changes"][measure], threshold, args)) for run in runs]
    psnr = np.array([psnr_at(run, step) for run, step in stops if step < len(run["x0"])])
    seen = f"{psnr.mean():.1f} | {np.percentile(psnr, 5):.1f} | {psnr.min():.1f}" if len(psnr) else "| |"
    share, spared = len(psnr) / len(runs), saved(runs, measure, threshold, args)
    return f"| {name} | {100 * share:.0f} % | {100 * spared:.0f} % | {seen} |"


def saving_as_much(runs: list[dict], measure: str, wanted: float, args) -> float:
    """The threshold with which this measure saves that share of the steps."""
    low, high = 1e-6, 10.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        if saved(runs, measure, middle, args) < wanted:
            low = middle
        else:
            high = middle
    return high


def ranks(x: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(x))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs and what is kept of them")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.01, 0.02, 0.05])
    parser.add_argument("--default", type=float, default=0.02, help="the threshold whose runs are shown by sampler")
    parser.add_argument("--in-a-row", type=int, default=3, help="steps in a row below the threshold")
    parser.add_argument("--least", type=float, default=2 / 3, help="the share of the steps that are made at least")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    args.program = args.program.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    by_steps = {steps: runs_of(args, steps) for steps in STEPS}
    every = [run for runs in by_steps.values() for run in runs]
    add_changes(every, ["latents"])
    print(f"{datetime.date.today()}: {len(every)} runs; {args.in_a_row} in a row, {args.least:.2g} of all at least\n")

    heads = "runs that stop | steps saved | PSNR, mean | 5 % are below | worst"
    rule = "| --- | --- | --- | --- | --- | --- |"
    print(f"| threshold, steps | {heads} |", rule, sep="\n")
    for threshold in args.thresholds:
        for steps, runs in by_steps.items():
            print(row(f"{threshold:g}, {steps}", runs, "latents", threshold, args))

    print(f"\n| sampler, threshold {args.default:g} | {heads} |", rule, sep="\n")
    for steps in STEPS:
        for sampler in SAMPLERS:
            runs = [run for run in by_steps[steps] if run["sampler"] == sampler]
            print(row(f"{sampler}, {steps}", runs, "latents", args.default, args))

    # All of these runs' pictures are decoded at every step, so it is a part of them: each twentieth prompt's.
    some = [run for runs in by_steps.values() for i, run in enumerate(runs) if i // len(SAMPLERS) % 20 == 0]
    add_changes(some, ["linear", "full"])
    print(
        f"\n{len(some)} of the runs\n\n| measured on | rank correlation with full | {heads} |",
        rule + " --- |",
        sep="\n",
    )
    wanted = saved(some, "latents", args.default, args)
    full = ranks(np.concatenate([run["changes"]["full"] for run in some]))
    for name in MEASURES:
        threshold = args.default if name == "latents" else saving_as_much(some, name, wanted, args)
        correlation = np.corrcoef(ranks(np.concatenate([run["changes"][name] for run in some])), full)[0, 1]
        print(row(f"{name}, below {threshold:.3g} | {correlation:.3f}", some, name, threshold, args))


if __name__ == "__main__":
    main()
