#!/usr/bin/env python3
"""Measures pictures a minute, alone and several at once, beside diffusers at the same batch.

    scripts/measure/batch.py --program build/release/steplapse --work DIR [--models emoji sd1] [--at-once 1 2 4 8 16]

For the emoji model (64 x 64, the one that comes with us) and for Stable Diffusion 1.5's UNet with random weights in
bfloat16 or --dtype (256 x 256). Both sides make a picture from a prompt: text, guided steps, decoder; steplapse also
writes the run folder, without frames. They take turns; medians are printed. DIR keeps the exported bundle (2 GB).
"""

import argparse
import json
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
from diffusers import StableDiffusionPipeline

from measure.random_pipeline import make_random_pipeline
from steplapse_export.exporter import ExportOptions, export_bundle

ROOT = Path(__file__).resolve().parent.parent.parent
PROMPT = "red apple"


def emoji_pipeline():
    """The emoji model's layers: what they cost does not depend on the weights."""
    from emoji.train import TEXT_WIDTH, TOKENS, AutoencoderTask, new_scheduler, new_unet

    pipeline = StableDiffusionPipeline(
        vae=AutoencoderTask.new_model().eval(),
        unet=new_unet().eval(),
        scheduler=new_scheduler(),
        text_encoder=None,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    embeddings = torch.randn(1, TOKENS, TEXT_WIDTH)
    return pipeline, {"prompt_embeds": embeddings, "negative_prompt_embeds": torch.zeros_like(embeddings)}


def emoji(args):
    return args.emoji, *emoji_pipeline(), ()


def sd1(args):
    pipeline = make_random_pipeline("sd1", getattr(torch, args.dtype))
    bundle = args.work / f"sd1-{args.dtype}"
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
    return bundle, pipeline, {"prompt": PROMPT, "height": 256, "width": 256}, ("--size", "256x256")


MODELS = {"emoji": emoji, "sd1": sd1}


def steplapse_seconds(args, bundle: Path, steps: int, at_once: int, flags) -> float:
    """For `at_once` pictures, loading left out."""
    folder = args.work / "runs"
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        args.program,
        PROMPT,
        "--model",
        bundle,
        "--seed",
        "1",
        "--count",
        str(args.rounds * at_once),
        "--steps",
        str(steps),
        "--frames",
        "none",
        "--out",
        folder,
        "--device",
        "cpu",
        "--threads",
        str(args.threads),
        "--max-batch",
        str(at_once),
        "--progress",
        "json",
        *flags,
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"batch.py: steplapse ended with {ended.returncode}: {ended.stderr}")
    last = json.loads(ended.stdout.splitlines()[-1])
    return last["total_seconds"] / args.rounds


def diffusers_seconds(args, pipeline, steps: int, at_once: int, arguments) -> float:
    start = time.perf_counter()
    for _ in range(args.rounds):
        with torch.no_grad():
            pipeline(
                **arguments,
                num_inference_steps=steps,
                num_images_per_prompt=at_once,
                guidance_scale=7.5,
                generator=[torch.Generator().manual_seed(1 + i) for i in range(at_once)],
            )
    return (time.perf_counter() - start) / args.rounds


def measure(args, name: str) -> None:
    bundle, pipeline, arguments, flags = MODELS[name](args)
    steps = {"emoji": 30, "sd1": 4}[name]
    diffusers_seconds(args, pipeline, 2, 1, arguments)  # warms up
    ours = {at_once: [] for at_once in args.at_once}
    theirs = {at_once: [] for at_once in args.at_once}
    for turn in range(args.turns):
        for at_once in args.at_once:
            ours[at_once].append(steplapse_seconds(args, bundle, steps, at_once, flags))
            theirs[at_once].append(diffusers_seconds(args, pipeline, steps, at_once, arguments))
            print(
                f"{name}, turn {turn + 1}, {at_once} at once: steplapse {ours[at_once][-1]:.2f} s, "
                f"diffusers {theirs[at_once][-1]:.2f} s",
                file=sys.stderr,
                flush=True,
            )

    def a_minute(seconds, at_once):
        return 60 * at_once / statistics.median(seconds[at_once])

    first = args.at_once[0]
    for at_once in args.at_once:
        rate, reference = a_minute(ours, at_once), a_minute(theirs, at_once)
        print(
            f"| {name}, {steps} steps | {at_once} | {rate:.1f} | {rate / a_minute(ours, first):.2f} | "
            f"{reference:.1f} | "
            f"{rate / reference:.2f} |",
            flush=True,
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the bundle and the runs")
    parser.add_argument("--emoji", type=Path, default=ROOT / "models" / "emoji-64")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument(
        "--dtype",
        default="bfloat16",
        choices=["bfloat16", "float32"],
        help="of sd1's network; CPUs without bfloat16 take far longer with it",
    )
    parser.add_argument("--at-once", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=2, help="batches one after the other in a turn (default: 2)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    print(f"{args.threads} threads, libtorch {torch.__version__}, medians of {args.turns} turns\n")
    print(
        "| model | at once | steplapse, pictures a minute | as fast as alone | diffusers, pictures a minute | ratio |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for name in args.models:
        measure(args, name)


if __name__ == "__main__":
    main()
