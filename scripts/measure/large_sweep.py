#!/usr/bin/env python3
"""What reading a large sweep costs: shards of cells that no network drew are merged, summed up and drawn as a grid.

scripts/measure/large_sweep.py --program build/release/steplapse --cells 100000 --shards 4

prints a table of docs/sweeps.md: seconds, those of CPU, and the most memory of the process. The folders are made in
--work (default: a temporary one) and take 4 kB to 20 kB a cell, whatever the file system takes for small files.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save

SAMPLERS, STEPS = ["ddim", "euler", "heun", "unipc", "dpmpp_2m"], [5, 10, 20, 50]
SETTINGS = {
    "negative_prompt": None,
    "prompt_syntax": "weights",
    "rng": "cpu",
    "schedule": "karras",
    "sigma_min": None,
    "sigma_max": None,
    "rho": None,
    "shift": None,
    "eta": 0.0,
    "s_churn": 0.0,
    "s_tmin": 0.0,
    "s_tmax": None,
    "s_noise": 1.0,
    "guidance_scale": 7.5,
    "guidance_first_step": 1,
    "guidance_last_step": None,
    "guidance_sigma_low": 0.0,
    "guidance_sigma_high": None,
    "guidance_rescale": 0.0,
    "clip_sample_range": None,
    "prediction_type": "epsilon",
    "width": 64,
    "height": 64,
}


def plan_of(cells: int) -> dict:
    """Ten prompts, and seeds to make up the number."""
    seeds = cells // (10 * len(SAMPLERS) * len(STEPS))
    axes = {
        "prompt": [f"picture number {i} of a red apple" for i in range(10)],
        "seed": [str(seed) for seed in range(seeds)],
        "sampler": SAMPLERS,
        "steps": [str(steps) for steps in STEPS],
    }
    return {
        "sweep_plan": 1,
        "model": "",
        "model_sha256": "",
        "fixed": {},
        "axes": [{"name": name, "values": values} for name, values in axes.items()],
        "skip_invalid": False,
    }


def ends(count: int = 64) -> list[tuple[bytes, bytes]]:
    """final.png and final.safetensors of a few pictures, which all cells share out among them."""
    rng = np.random.default_rng(1)
    first = rng.integers(0, 256, (64, 64, 3))
    made = []
    for i in range(count):
        picture = io.BytesIO()
        noisy = np.clip(first + rng.normal(0, i / 4, first.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(picture, "png")
        made.append((picture.getvalue(), save({"latents": rng.normal(0, 1, (1, 4, 8, 8)).astype(np.float32)})))
    return made


def row_of(cell: int, plan: dict, sha256: str) -> dict:
    prompts, seeds = plan["axes"][0]["values"], len(plan["axes"][1]["values"])
    steps, sampler = STEPS[cell % len(STEPS)], SAMPLERS[cell // len(STEPS) % len(SAMPLERS)]
    seed = cell // (len(STEPS) * len(SAMPLERS)) % seeds
    prompt = prompts[cell // (len(STEPS) * len(SAMPLERS) * seeds)]
    return {
        "cell": cell,
        "status": "done",
        "reason": "",
        "folder": f"runs/{cell + 1:04}-picture-{seed}",
        "settings": {"prompt": prompt, "seed": seed, "steps": steps, "sampler": sampler, **SETTINGS},
        "steps": steps,
        "denoiser_calls": 2 * steps - 1 if sampler == "heun" else steps,
        "shared_calls": 0,
        "first_timestep": 999.0,
        "settles": steps // 2,
        "would_stop": None,
        "high_frequency_power": 12.5,
        "network_seconds": 0.01 * steps,
        "decode_seconds": 0.01,
        "peak_memory": 400_000_000,
        "final_sha256": sha256,
        "stochastic": False,
        "written": 1.0,
    }


def make(work: Path, cells: int, shards: int) -> list[Path]:
    plan = plan_of(cells)
    text = json.dumps(plan, indent=1) + "\n"
    pictures = [(*end, hashlib.sha256(end[0]).hexdigest()) for end in ends()]
    folders = [work / f"shard{i + 1}" for i in range(shards)]
    for number, folder in enumerate(folders, 1):
        (folder / "rows").mkdir(parents=True)
        (folder / "plan.json").write_text(text)
        header = {"shard": [number, shards], "plan_sha256": hashlib.sha256(text.encode()).hexdigest()}
        with (folder / "rows/here-1.jsonl").open("w") as rows:
            rows.write(json.dumps(header) + "\n")
            for cell in range(number - 1, cells, shards):
                picture, latents, sha256 = pictures[cell % len(pictures)]
                row = row_of(cell, plan, sha256)
                run = folder / row["folder"]
                run.mkdir(parents=True)
                (run / "final.png").write_bytes(picture)
                (run / "final.safetensors").write_bytes(latents)
                (run / "run.sqlite").write_bytes(b"")
                rows.write(json.dumps(row) + "\n")
    return folders


def measured(*command) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and MB."""
    begun = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/steplapse")
    parser.add_argument("--cells", type=int, default=100_000, help="a multiple of 200")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        shards = make(Path(work), options.cells, options.shards)
        whole = Path(work) / "whole"
        print("| command | seconds | of CPU | MB |\n| --- | --- | --- | --- |")
        for label, *arguments in [
            (f"merge of {options.shards} folders", "merge", *shards, "--out", whole),
            ("merge of one folder: checks and results", "merge", whole),
            ("summary", "summary", whole),
        ]:
            seconds, cpu, memory = measured(options.program, "sweep", *arguments)
            print(f"| {label} | {seconds:.1f} | {cpu:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
