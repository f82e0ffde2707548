"""Exports a text-to-image pipeline to a bundle that steplapse runs (docs/bundle.md).

    scripts/export_bundle.py SOURCE OUT --dtype bfloat16
    scripts/export_bundle.py --tiny OUT [--family sd1]     random weights, small and quick, for tests

SOURCE is a folder as diffusers saves it, a checkpoint file (.safetensors, .ckpt), or a Hugging Face id. Each module
becomes a TorchScript program without weights, beside its weights in safetensors. A program is traced once and then
held against the eager module at other batch sizes, picture sizes and prompt lengths; what differs is refused, and so
is whatever a bundle can't express. OUT appears whole or not at all.

Exit codes: 0 done, 1 refused or failed, 2 usage, 130 and 143 ended by a signal.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from steplapse_export.exporter import ExportOptions, export_bundle, refuse_existing, silent
from steplapse_export.manifest import check_prompts
from steplapse_export.programs import DTYPES, ExportError
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import load_pipeline, load_tiny_decoder, quiet

# --- arguments --------------------------------------------------------------------------------------------------------


def parse_sizes(text: str):
    """ "64x64,96x64" or "256:1024:8" (least, most, multiple)."""
    try:
        if ":" in text:
            least, most, multiple = (int(part) for part in text.split(":"))
            return {"min": least, "max": most, "multiple": multiple}
        sizes = [[int(side) for side in size.split("x")] for size in text.split(",")]
        if all(len(size) == 2 for size in sizes):
            return sizes
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"'{text}' is no list of sizes: expected 512x512,768x512, or 256:1024:8 for least, most, multiple of each side"
    )


def parse_lora(text: str) -> tuple[Path, float]:
    """ "FILE:WEIGHT"; the weight is 1 where there is none."""
    file, colon, weight = text.rpartition(":")
    if not colon:
        return Path(text), 1.0
    try:
        return Path(file), float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': '{weight}' is no number; expected FILE:WEIGHT") from None


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="SOURCE OUT",
        help="folder, checkpoint file, or owner/name at Hugging Face; bundle folder to write",
    )
    model = parser.add_argument_group("the model")
    model.add_argument("--revision", help="branch, tag or commit of a Hugging Face id")
    model.add_argument("--config", type=Path, help="folder of component configs for a checkpoint file of another shape")
    model.add_argument(
        "--prediction-type",
        choices=["epsilon", "v_prediction", "sample"],
        help="what the UNet predicts (default: what SOURCE says; docs/bundle.md has the places)",
    )
    model.add_argument(
        "--lora",
        type=parse_lora,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE:WEIGHT",
        help="merge these into the weights, files or folders that peft saved; SOURCE and OUT stand before them",
    )
    model.add_argument(
        "--clip-skip",
        type=int,
        metavar="N",
        help="take the text encoder's last layer but N - 1, as web UIs count (default: 1, SDXL 2)",
    )
    bundle = parser.add_argument_group("the bundle")
    bundle.add_argument("--dtype", choices=DTYPES, default="float32", help="what it computes in (default: float32)")
    bundle.add_argument("--store", choices=DTYPES, help="what weights are stored in, if in something smaller")
    bundle.add_argument("--sizes", type=parse_sizes, help="allowed sizes: 512x512,768x512 or 256:1024:8")
    bundle.add_argument("--tiny-decoder", type=Path, metavar="DIR", help="folder of an AutoencoderTiny, for previews")
    bundle.add_argument(
        "--latents",
        type=Path,
        metavar="FILE",
        help="safetensors file with clean `latents`: the linear decoder is fitted on them, in place of short runs, "
        "and the size of x0 is measured on them",
    )
    bundle.add_argument("--prompts", type=Path, metavar="FILE", help="JSON file of what the model was taught")
    bundle.add_argument("--steps", type=int, default=30, help="default of generate (30)")
    bundle.add_argument("--guidance-scale", type=float, help="default of generate (7.5, SDXL 5)")
    bundle.add_argument("--name", help="what pictures' metadata call the model (default: the name of OUT)")
    bundle.add_argument("--licence", default="", help="the weights' licence")
    bundle.add_argument("--source-text", help="where the model came from (default: SOURCE, revision, hashes, LoRAs)")
    bundle.add_argument("--replace", action="store_true", help="put the new bundle in the place of an old one")
    tiny = parser.add_argument_group("a bundle for tests")
    tiny.add_argument("--tiny", action="store_true", help="random weights instead of SOURCE")
    tiny.add_argument("--family", choices=["emoji", "sd1", "sd2", "sdxl"])
    tiny.add_argument("--seed", type=int)
    args = parser.parse_intermixed_args()
    if len(args.paths) != (1 if args.tiny else 2):
        parser.error(
            f"give SOURCE and OUT, or --tiny and OUT, not {len(args.paths)} paths"
            + ("; they stand before --lora's files" if args.lora else "")
        )
    args.source, args.out = None if args.tiny else args.paths[0], Path(args.paths[-1])
    others = ("revision", "config", "lora", "tiny_decoder", "latents", "prompts") if args.tiny else ("family", "seed")
    for flag in others:
        if getattr(args, flag) not in (None, []):
            parser.error(
                f"--{flag.replace('_', '-')} goes " + ("with SOURCE, not with --tiny" if args.tiny else "with --tiny")
            )
    return args


# --- what they name ---------------------------------------------------------------------------------------------------


def tiny_pipeline(args):
    prediction_type, seed = args.prediction_type or "epsilon", args.seed or 0
    with quiet():
        if args.family in (None, "emoji"):
            from steplapse_export.tiny.emoji import make_tiny_pipeline

            return make_tiny_pipeline(prediction_type, seed)
        from steplapse_export.tiny.stable_diffusion import make_tiny_stable_diffusion

        return make_tiny_stable_diffusion(args.family, prediction_type, seed)


def read_latents(path: Path) -> torch.Tensor:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"--latents {path}: {error}") from None
    if "latents" not in tensors:
        raise ExportError(f"--latents {path}: no tensor 'latents' in it")
    return tensors["latents"]


def read_prompts(path: Path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ExportError(f"--prompts {path}: {error}") from None


# --- the command ------------------------------------------------------------------------------------------------------


def options_of(args, say, **more) -> ExportOptions:
    """What the flags say; `more` goes before it."""
    return ExportOptions(
        **{
            "name": args.name or args.out.name,
            "licence": args.licence,
            "dtype": args.dtype,
            "store": args.store,
            "sizes": args.sizes,
            "steps": args.steps,
            "guidance_scale": args.guidance_scale,
            "clip_skip": args.clip_skip,
            "replace": args.replace,
            "say": say,
            **more,
        }
    )


def export_tiny(args, say) -> None:
    scale = 5.0 if args.guidance_scale is None else args.guidance_scale
    # Random weights take anything for clean latents, so no size of them is worth a warning.
    options = options_of(
        args,
        say,
        source="random weights, made for the tests",
        licence=args.licence or "Apache-2.0",
        guidance_scale=scale,
        x0_rms=1e6,
    )
    export_bundle(tiny_pipeline(args), args.out, options)


def export(args, say) -> None:
    refuse_existing(args.out, args.replace)  # before anything large is read
    if args.tiny:
        export_tiny(args, say)
        return
    beside = {}
    if args.tiny_decoder:
        beside["tiny_decoder"] = load_tiny_decoder(args.tiny_decoder)
    if args.latents:
        beside["latents"] = read_latents(args.latents)
    if args.prompts:
        beside["prompts"] = read_prompts(args.prompts)
        check_prompts(beside["prompts"])
    say(f"loading {args.source}")
    source = load_pipeline(
        args.source,
        revision=args.revision,
        loras=args.lora,
        config=args.config,
        prediction_type=args.prediction_type,
        prefer_half=args.dtype != "float32",
    )
    options = options_of(args, say, source=args.source_text or source.description, **beside)
    export_bundle(source.pipeline, args.out, options)


class Stopped(BaseException):
    """By a signal: what was begun is cleared away on the way out."""


def stop(number, frame) -> None:
    raise Stopped(number)


def main() -> int:
    args = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        export(args, silent if args.tiny else lambda line: print(line, file=sys.stderr, flush=True))
    except (ExportError, CheckpointError, OSError) as error:
        print(f"export_bundle.py: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        number = signal.Signals(stopped.args[0])
        print(f"export_bundle.py: stopped by {number.name}; nothing was left behind", file=sys.stderr)
        return 128 + number
    return 0
