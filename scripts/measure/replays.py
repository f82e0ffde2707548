#!/usr/bin/env python3
"""Measures how far `steplapse replay` is from a log on another CPU and with other threads, as a Markdown table.

    scripts/measure/replays.py --program build/release/steplapse --work DIR [--model models/emoji-64]

Runs of 3 prompts with 2 samplers are drawn once, with all that the CPU has and one thread. Each is then replayed with
one thing changed. Printed are the largest differences among the six.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

from bits import CAPABILITIES, PROMPTS, ROOT, measured_on

SAMPLERS = ("ddim", "euler_a")


def draw(args, prompt: str, sampler: str) -> Path:
    out = args.work / f"{sampler}-{prompt.replace(' ', '-')}"
    flags = ["--sampler", sampler, "--steps", "30", "--seed", "7", "--frames", "none", "--progress", "none"]
    command = [args.program, prompt, *flags, "--threads", "1", "--model", args.model, "--out", out, "--overwrite"]
    subprocess.run(command, check=True)
    return out


def replay(args, run: Path, threads: int, environment: dict[str, str]) -> dict:
    command = [args.program, "replay", run, "--json", "--threads", str(threads), "--model", args.model]
    told = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if told.returncode not in (0, 6):
        raise RuntimeError(told.stderr)
    return json.loads(told.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the runs")
    parser.add_argument("--model", type=Path, default=ROOT / "models/emoji-64")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    runs = [draw(args, prompt, sampler) for prompt in PROMPTS for sampler in SAMPLERS]

    print("| replayed with | a call's latents or answer | final latents | final picture, of 255 | pixels that differ |")
    print("| --- | --- | --- | --- | --- |")
    for name, environment in {"all that the CPU has": {}, **CAPABILITIES}.items():
        name = name if not environment else f"no more than {name}"
        for threads in (1, 2):
            told = [replay(args, run, threads, environment) for run in runs]
            calls = max(max(each["largest"]["latents"], each["largest"]["answer"]) for each in told)
            latents = max(each["final_latents"] for each in told)
            levels = max(each["picture"]["levels"] for each in told)
            pixels = sum(each["picture"]["pixels"] for each in told) / sum(each["picture"]["of"] for each in told)
            counted = "1 thread" if threads == 1 else f"{threads} threads"
            print(f"| {name}, {counted} | {calls:.1e} | {latents:.1e} | {levels} | {pixels:.2%} |", flush=True)
    print(f"\n{measured_on(args.program).replace('bits.py', 'replays.py')}")


if __name__ == "__main__":
    main()
