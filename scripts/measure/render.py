#!/usr/bin/env python3
"""Measures what a run's log costs, and what it saves: frames made from it, beside drawing the run again for them.

    scripts/measure/render.py --program build/release/steplapse --work DIR [--models emoji sd1] [--turns 5]

For each model: a run with all frames of x0 (`at once`), one without frames (`bare`), and `steplapse render` of that
one's log (`render`), as whole processes that take turns; medians of their CPU seconds are printed. Drawing again costs
what `at once` does. The frames of render and at once are compared byte by byte.

The log's cost is bytes a step, and its share of a step: the calls of a log are hashed and written once more here, with
the same two libraries (OpenSSL, SQLite), and that time is set beside the denoiser's. A run does this on a thread of its
own, and commits at most five times a second. A commit waits for the disk; its time is given apart.

Other programs on the machine change CPU seconds little, and milliseconds much. The emoji model makes 30 steps; Stable
Diffusion 1.5's shape (random weights, bfloat16, 512 x 512) makes 20. DIR keeps the exported bundle (2 GB).
"""

import argparse
import contextlib
import csv
import hashlib
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
from measure.busy import ROOT, sd1_bundle

STEPS = {"emoji": 30, "sd1": 20}


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}"


def cpu_seconds_of(*command) -> float:
    """Of user and system, all threads: other programs on the machine change it little."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"render.py: {command[1]} failed")
    return usage.ru_utime + usage.ru_stime


def flags_for(model: str, args) -> list:
    folder = ROOT / "models/emoji-64" if model == "emoji" else sd1_bundle(args.work)
    size = [] if model == "emoji" else ["--size", f"{args.side}x{args.side}"]
    return ["--model", folder, "--steps", STEPS[model], *size]


def frames_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "frames/x0").iterdir()}


def log_milliseconds(run: Path, work: Path) -> tuple[float, float]:
    """To hash and insert the row of a call, and to commit one."""
    with contextlib.closing(sqlite3.connect(run / "run.sqlite")) as log:
        calls = log.execute("SELECT * FROM calls ORDER BY call").fetchall()
    copy = work / "copy.sqlite"
    copy.unlink(missing_ok=True)
    inserts, commits = [], []
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as log:
        log.execute("PRAGMA synchronous = NORMAL")
        log.execute(f"CREATE TABLE calls ({', '.join(f'column{i}' for i in range(len(calls[0])))})")
        insert = f"INSERT INTO calls VALUES ({', '.join('?' * len(calls[0]))})"
        for call in calls:
            begin = time.perf_counter()
            log.execute("BEGIN")
            answers = [value for value in call if isinstance(value, bytes)]
            for blob in [*answers, answers[0]]:  # the latents that were asked about are as large as an answer
                hashlib.sha256(blob).hexdigest()
            log.execute(insert, call)
            inserted = time.perf_counter()
            log.execute("COMMIT")
            inserts.append(1000 * (inserted - begin))
            commits.append(1000 * (time.perf_counter() - inserted))
    return statistics.median(inserts), statistics.median(commits)


def measure(model: str, args) -> tuple[str, str]:
    """A row of each table."""
    steps = STEPS[model]
    bare, at_once = args.work / "bare", args.work / "at-once"
    draw = [args.program, "red apple", "--seed", 1, "--progress", "none", "--overwrite", *flags_for(model, args)]
    render = [args.program, "render", bare, "--overwrite", "--model", flags_for(model, args)[1]]
    times = {"at once": [], "bare": [], "render": []}
    for turn in range(args.turns):
        times["at once"].append(cpu_seconds_of(*draw, "--out", at_once))
        times["bare"].append(cpu_seconds_of(*draw, "--frames", "none", "--out", bare))
        times["render"].append(cpu_seconds_of(*render))
        said = ", ".join(f"{name} {found[-1]:.2f} s" for name, found in times.items())
        print(f"{model}, turn {turn + 1}: {said}", file=sys.stderr, flush=True)
    if frames_in(bare) != frames_in(at_once):
        raise SystemExit("render.py: the frames of render are not those of the run")
    median = {name: statistics.median(found) for name, found in times.items()}
    with open(bare / "steps.csv", newline="") as table:
        step_ms = statistics.median(float(row["denoiser_ms"]) for row in csv.DictReader(table))
    log_bytes = (bare / "run.sqlite").stat().st_size
    insert_ms, commit_ms = log_milliseconds(bare, args.work)
    shutil.rmtree(bare)
    shutil.rmtree(at_once)
    name = f"{model}, {steps} steps"
    return (
        f"| {name} | {median['at once']:.2f} | {median['bare']:.2f} | {median['render']:.2f} | "
        f"{median['render'] / median['at once']:.2f} |",
        f"| {name} | {log_bytes / steps / 1000:.1f} kB | {step_ms:.1f} ms | {insert_ms:.2f} ms | "
        f"{100 * insert_ms / step_ms:.2f} % | {commit_ms:.1f} ms |",
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for bundles and runs")
    parser.add_argument("--models", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--side", type=int, default=512, help="of sd1, in pixels (default: 512)")
    parser.add_argument("--turns", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    args.program = args.program.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    rows = [measure(model, args) for model in args.models]
    print(f"{cpu()}, medians of {args.turns} turns, CPU seconds of whole processes; the frames were the same bytes\n")
    print("| model | drawn with all frames | drawn without | rendered from the log | rendered / drawn again |")
    print("| --- | --- | --- | --- | --- |", *(row[0] for row in rows), sep="\n")
    print("\n| model | log, a step | denoiser, a step | hashing and writing, a step | share | a commit |")
    print("| --- | --- | --- | --- | --- | --- |", *(row[1] for row in rows), sep="\n")


if __name__ == "__main__":
    main()
