#!/usr/bin/env python3
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
import functools
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import spin_count  # before torch
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

import bundle_modules
from bundle_parts import FIT_PROMPTS, FIT_STEPS, Parts, as_stored, latents_of_short_runs, write_tokenizer
from bundle_programs import (DTYPES, SAFETENSORS_NAMES, TOLERANCE, ExportError, load_program, refuse_constants, verify,
                             write_program)
from bundle_scheduler import as_ddim, remark_on_levels
from checkpoint_files import CheckpointError, hash_file
from checkpoints import load_pipeline, load_tiny_decoder, quiet
from pipeline import SentencePieceTokenizer

VERIFIED_BATCHES = [1, 2, 5]
VERIFIED_CHUNKS = [1, 2]
LARGEST_SIDE = 2048  # pixels; what `sizes.allowed` ends at unless the caller says so
MOST_CHUNKS = 32  # of 75 tokens: more than any prompt that was ever meant


def silent(_: str) -> None:
    pass


# --- the manifest --------------------------------------------------------------------------------------------


def describe_training_noise(scheduler) -> dict:
    ddim = as_ddim(scheduler)
    config = ddim.config
    return {
        "alphas_cumprod": ddim.alphas_cumprod.float().tolist(),
        "prediction_type": config.prediction_type,
        "timestep_spacing": config.timestep_spacing,
        "steps_offset": config.steps_offset,
        "final_alpha_cumprod": float(ddim.final_alpha_cumprod),
        "clip_sample_range": config.clip_sample_range if config.clip_sample else None,
    }


def describe_x0_rms(latents: torch.Tensor | None, known: float | None) -> dict:
    """The size of clean latents, of those that were given: short runs of an untuned sampler say little about it."""
    if known is not None:
        return {"value": known, "assumed": False}
    if latents is None:
        return {"value": 1, "assumed": True}
    value = latents.double().square().mean().sqrt().item()
    if not 1e-6 <= value <= 1e6:
        raise ExportError(f"--latents: their root mean square is {value}, wanted 1e-6 to 1e6: latents as the denoiser makes them")
    return {"value": round(value, 6), "assumed": False}


def put_in_place(folder: Path, out: Path) -> None:
    """Renames, so that there is a whole bundle at any time, or for a moment none."""
    old = folder.with_name(f"{folder.name}.old")
    if out.exists():
        os.rename(out, old)
    os.rename(folder, out)
    shutil.rmtree(old, ignore_errors=True)


def describe_files(folder: Path) -> dict:
    return {path.name: {"size": path.stat().st_size, "sha256": hash_file(path)} for path in sorted(folder.iterdir())}


# --- the whole bundle ----------------------------------------------------------------------------------------


def refuse_existing(out: Path, replace: bool) -> None:
    if os.path.lexists(out) and not replace:
        raise ExportError(f"{out} exists already")
    if out.is_symlink():
        raise ExportError(f"{out} is a link: name the folder itself")
    if out.exists() and not (out / "model.json").is_file():
        raise ExportError(f"{out} is no bundle to replace: it has no model.json")


def refuse_full_disk(parts: Parts, folder: Path) -> None:
    modules = [(parts.unet, "other"), (parts.vae, "decoder"), *((encoder, "other") for encoder in parts.text_encoders)]
    weights = sum(tensor.numel() * parts.store[kind].itemsize for module, kind in modules
                  for tensor in module.parameters())
    needed, free = weights + (64 << 20), shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(f"{folder}: {free / 1e9:.1f} GB are free, the bundle needs {needed / 1e9:.1f} GB")


def sizes_to_verify(parts: Parts, sizes) -> list[list[int]]:
    """The first of them is the one traced at.

    A UNet asked with sides that its stages do not divide tells each stage what size to come back to, and only then does
    a trace have that in it; traced so it holds at all sizes.
    """
    if isinstance(sizes, list):
        stages = parts.downscale * 2 ** (len(parts.unet.config.block_out_channels) - 1)
        return sorted(sizes, key=lambda size: size[0] % stages == 0 and size[1] % stages == 0)
    most, multiple, smallest = sizes["max"], sizes["multiple"], smallest_side(sizes)
    side = min(max(parts.default_size[0] // 4, 2 * smallest), most)  # small ones prove as much
    side = max(side - side % multiple, smallest)
    odd = [side + multiple, side + 3 * multiple]
    return [odd, [side, side]] if odd[1] <= most else [[side, side]]


def smallest_side(sizes: dict) -> int:
    return -(-sizes["min"] // sizes["multiple"]) * sizes["multiple"]


def is_allowed(sizes, size: list[int]) -> bool:
    if isinstance(sizes, list):
        return size in sizes
    return all(sizes["min"] <= side <= sizes["max"] and side % sizes["multiple"] == 0 for side in size)


def choose_default_size(parts: Parts, sizes) -> list[int]:
    """The model's own where it is allowed; else the first, or smallest, that is."""
    downscale = parts.downscale
    if isinstance(sizes, list):
        for size in sizes:
            if any(side < 1 or side % downscale for side in size):
                raise ExportError(f"--sizes {size[0]}x{size[1]}: wanted multiples of {downscale}, as many pixels as a latent "
                                  "stands for")
        return parts.default_size if is_allowed(sizes, parts.default_size) else sizes[0]
    least, most, multiple = sizes["min"], sizes["max"], sizes["multiple"]
    if least < 1 or multiple < 1 or multiple % downscale:
        raise ExportError(f"--sizes {least}:{most}:{multiple}: wanted a least side of 1 or more, and a multiple of {downscale}")
    if smallest_side(sizes) > most:
        raise ExportError(f"--sizes {least}:{most}:{multiple}: no multiple of {multiple} lies in between")
    return parts.default_size if is_allowed(sizes, parts.default_size) else [smallest_side(sizes)] * 2


def check_defaults(steps: int, guidance_scale: float, noise: dict) -> None:
    if not 1 <= steps <= len(noise["alphas_cumprod"]):
        raise ExportError(f"--steps {steps}: wanted 1 to {len(noise['alphas_cumprod'])}")
    if not (math.isfinite(guidance_scale) and 0 <= guidance_scale <= 1000):
        raise ExportError(f"--guidance-scale {guidance_scale}: wanted 0 to 1000")


def check_prompts(prompts) -> None:
    def is_taught(entry):
        return (isinstance(entry, dict) and isinstance(entry.get("name"), str) and
                isinstance(entry.get("keywords"), list) and all(isinstance(word, str) for word in entry["keywords"]))

    if not isinstance(prompts, list) or not all(map(is_taught, prompts)):
        raise ExportError('--prompts: wanted a list of {"name": TEXT, "keywords": [TEXT, ...]}')


class Exporter:
    """Writes modules into a folder, each verified, and keeps their parts of the manifest."""

    def __init__(self, parts: Parts, sizes: list[list[int]], folder: Path, say):
        self.parts, self.sizes, self.folder, self.say = parts, sizes, folder, say
        self.random = torch.Generator().manual_seed(0)

    def text_inputs(self, batch, chunks):
        inputs = []
        for i, (tokenizer, encoder) in enumerate(zip(self.parts.tokenizers, self.parts.text_encoders)):
            shape = (batch, chunks, self.parts.length(i))
            ids = torch.randint(encoder.config.vocab_size, shape, generator=self.random)
            end = getattr(tokenizer, "eos_token_id", None)
            if end is not None:
                ids[..., -3:] = end  # more than one, as where it pads too
            inputs += [ids, torch.ones(shape)]
        return tuple(inputs)

    def latents(self, batch, size):
        downscale = self.parts.downscale
        return torch.randn(batch, self.parts.channels, size[1] // downscale, size[0] // downscale,
                           generator=self.random)

    @torch.no_grad()
    def denoiser_inputs(self, batch, size, chunks):
        timesteps = 999 * torch.rand(batch, generator=self.random)
        conditioning = (torch.randn(part.shape, generator=self.random) for part in
                        self.parts.encode(*self.text_inputs(1, chunks)))
        return (self.latents(batch, size), timesteps,
                *(part.expand(batch, *part.shape[1:]).contiguous() for part in conditioning))

    def export(self, name: str, wrapper, eager, all_inputs, kind: str = "other") -> dict:
        """all_inputs: what each input set is called, and the inputs; the first is traced with."""
        began = time.monotonic()
        parts, wrapper = self.parts, wrapper.eval().requires_grad_(False)
        store, compute = parts.store[kind], parts.compute[kind]
        first, *_ = all_inputs
        written = write_program(wrapper, first[1](), self.folder, name, store)
        size = sum(path.stat().st_size for path in written.weights)
        self.say(f"{name}: traced, {size / 1e6:.1f} MB of weights written; comparing")
        refuse_constants(written.program)
        program = load_program(written.program, written.weights, compute)
        for what, make_inputs in all_inputs:
            verify(program, eager, make_inputs(), f"{name} at {what}", TOLERANCE[compute])
        self.say(f"{name}: answers as the pipeline does at {len(all_inputs)} shapes, {time.monotonic() - began:.1f} s")
        return {
            "program": written.program.name,
            "weights": [path.name for path in written.weights],
            "compute_dtype": next(key for key, dtype in DTYPES.items() if dtype == compute),
            "tensors": {key: {"dtype": SAFETENSORS_NAMES[t.dtype], "shape": list(t.shape)}
                        for key, t in written.tensors.items()},
        }

    def text_encoder(self) -> dict:
        shapes = [(f"batch {batch}, {chunks} chunks", functools.partial(self.text_inputs, batch, chunks))
                  for batch in VERIFIED_BATCHES for chunks in VERIFIED_CHUNKS]
        return self.export("text_encoder", self.parts.text_module(), self.parts.encode, shapes[::-1])

    def batches_and_sizes(self) -> list[tuple[int, list[int]]]:
        """All batches at two sizes, one at the others."""
        return [(batch, size) for i, size in enumerate(self.sizes) for batch in ((2, 1, 5) if i < 2 else (2,))]

    def denoiser(self, channels_last: bool) -> dict:
        shapes = [(f"batch {batch}, {size[0]}x{size[1]}, {1 + batch % 2} chunks",
                   functools.partial(self.denoiser_inputs, batch, size, 1 + batch % 2))
                  for batch, size in self.batches_and_sizes()]
        wrapper = self.parts.denoiser_module()
        if channels_last:
            bundle_modules.in_channels_last(wrapper)
        return self.export("denoiser", wrapper, self.parts.denoise, shapes)

    def decoder(self, name: str, wrapper, eager, kind: str, channels_last: bool) -> dict:
        shapes = [(f"batch {batch}, {size[0]}x{size[1]}", lambda batch=batch, size=size: (self.latents(batch, size),))
                  for batch, size in self.batches_and_sizes()]
        if channels_last:
            bundle_modules.in_channels_last(wrapper)
        return self.export(f"decoder_{name}", wrapper, eager, shapes, kind)


def export_bundle(pipeline, out: Path, *, name: str, source: str, licence: str, dtype: str = "float32",
                  store: str | None = None, sizes=None, tiny_decoder=None, latents=None, x0_rms: float | None = None, prompts=None,
                  clip_skip: int | None = None, steps: int = 30, sampler: str = "ddim",
                  guidance_scale: float | None = None, replace: bool = False, channels_last: bool = True,
                  say=silent) -> None:
    """Writes `pipeline` to the bundle folder `out`.

    pipeline      diffusers' StableDiffusionPipeline or StableDiffusionXLPipeline, or one of pipeline.py; stays as it is.
    dtype         what the modules compute in.
    store         what their weights are stored in, if not in the same.
    sizes         manifest's `sizes.allowed`; unless given, all that the UNet takes, or the default size alone where the
                  tokenizer is not CLIP's.
    tiny_decoder  an AutoencoderTiny for previews.
    latents       [N, C, h, w], as the denoiser makes them, on which the linear decoder is fitted and `x0_rms` measured;
                  unless given, it is fitted on those of short runs, and 1 is assumed.
    x0_rms        root mean square of clean latents, where it is known without any.
    prompts       what the model was taught: [{"name": ..., "keywords": [...]}, ...].
    clip_skip     which of the text encoder's layers, as web UIs count; the one the family was taught with unless given.
    replace       put the new bundle in the place of an old one instead of refusing.
    channels_last weights of convolutions as their fastest kernels want them.
    say           is told what was done, a line each.
    """
    out = Path(out)
    refuse_existing(out, replace)
    parts = Parts(pipeline, DTYPES[store or dtype], DTYPES[dtype], clip_skip)
    is_clip = not isinstance(parts.tokenizers[0], SentencePieceTokenizer)
    if sizes is None:
        sizes = [parts.default_size]
        if is_clip:
            least = parts.downscale * 2 ** (len(parts.unet.config.block_out_channels) - 1)
            sizes = {"min": least, "max": max(LARGEST_SIDE, parts.default_size[0]), "multiple": parts.downscale}
    default_size = choose_default_size(parts, sizes)
    verified_sizes = sizes_to_verify(parts, sizes)
    tiny = None if tiny_decoder is None else parts.tiny_decoder_module(tiny_decoder)
    noise = describe_training_noise(parts.scheduler)
    if remark := remark_on_levels(parts.scheduler):
        say(remark)
    if guidance_scale is None:
        guidance_scale = 5.0 if parts.sdxl else 7.5
    check_defaults(steps, guidance_scale, noise)
    if prompts is not None:
        check_prompts(prompts)
    if latents is not None and (latents.dim() != 4 or latents.shape[1] != parts.channels):
        raise ExportError(f"--latents: they are {list(latents.shape)}, the model's are [N, {parts.channels}, h, w]")

    x0_rms = describe_x0_rms(latents, x0_rms)

    out.parent.mkdir(parents=True, exist_ok=True)
    refuse_full_disk(parts, out.parent)
    # A hidden neighbour of OUT, on the same disk, so that the last act is one rename.
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        folder.chmod(0o755)
        tokenizers = [write_tokenizer(tokenizer, parts.length(i), i + 1, folder)
                      for i, tokenizer in enumerate(parts.tokenizers)]
        exporter = Exporter(parts, verified_sizes, folder, say)
        modules = {"text_encoder": exporter.text_encoder(), "denoiser": exporter.denoiser(channels_last)}
        full = parts.full_decoder_module()
        decoders = {"full": exporter.decoder("full", full, parts.decode, "decoder", channels_last)}
        if tiny is not None:
            decoders["tiny"] = exporter.decoder("tiny", tiny, bundle_modules.shared(tiny), "other", channels_last)
        if latents is None:
            say(f"decoder_linear: fitted to decoder_full on {len(FIT_PROMPTS)} runs of {FIT_STEPS} steps")
            latents = latents_of_short_runs(parts, exporter.random)
        linear = as_stored(bundle_modules.fit_linear_decoder(parts.decode, latents, parts.downscale),
                           parts.store["other"], parts.compute["other"])
        decoders["linear"] = exporter.decoder("linear", linear, bundle_modules.shared(linear), "other", False)
        modules["decoders"] = decoders
        if prompts is not None:
            (folder / "prompts.json").write_text(json.dumps(prompts, ensure_ascii=False, indent=1) + "\n")

        manifest = {
            "format": "steplapse-bundle",
            "version": 2,
            "name": name,
            "source": source,
            "licence": licence,
            "files": describe_files(folder),
            "modules": modules,
            "tokenizers": tokenizers,
            "max_chunks": MOST_CHUNKS if is_clip else 1,
            "clip_skip": parts.clip_skip,
            "latent_channels": parts.channels,
            "downscale": parts.downscale,
            "sizes": {"default": default_size, "allowed": sizes},
            "no_negative_prompt": parts.no_negative_prompt,
            "training_noise": noise,
            "defaults": {"steps": steps, "sampler": sampler, "guidance_scale": guidance_scale},
            "verified": {"batches": VERIFIED_BATCHES, "sizes": verified_sizes, "chunks": VERIFIED_CHUNKS},
            "prompts": None if prompts is None else "prompts.json",
            "family": parts.family,
            "x0_rms": x0_rms,
        }
        # Last, so that a folder with a model.json is a whole bundle.
        (folder / "model.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
        put_in_place(folder, out)
        say(f"{out}: done, {sum(file['size'] for file in manifest['files'].values()) / 1e9:.2f} GB")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


# --- command line --------------------------------------------------------------------------------------------


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
    raise argparse.ArgumentTypeError(f"'{text}' is no list of sizes: wanted 512x512,768x512, or 256:1024:8 for least, "
                                     "most, multiple of each side")


def parse_lora(text: str) -> tuple[Path, float]:
    """ "FILE:WEIGHT"; the weight is 1 where there is none."""
    file, colon, weight = text.rpartition(":")
    if not colon:
        return Path(text), 1.0
    try:
        return Path(file), float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': '{weight}' is no number; wanted FILE:WEIGHT") from None


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="SOURCE OUT",
                        help="folder, checkpoint file, or owner/name at Hugging Face; bundle folder to write")
    model = parser.add_argument_group("the model")
    model.add_argument("--revision", help="branch, tag or commit of a Hugging Face id")
    model.add_argument("--config", type=Path, help="folder of component configs for a checkpoint file of another shape")
    model.add_argument("--prediction-type", choices=["epsilon", "v_prediction", "sample"],
                       help="what the UNet predicts (default: what SOURCE says; docs/bundle.md has the places)")
    model.add_argument("--lora", type=parse_lora, nargs="+", action="extend", default=[], metavar="FILE:WEIGHT",
                       help="merge these into the weights, files or folders that peft saved; SOURCE and OUT stand before them")
    model.add_argument("--clip-skip", type=int, metavar="N",
                       help="take the text encoder's last layer but N - 1, as web UIs count (default: 1, SDXL 2)")
    bundle = parser.add_argument_group("the bundle")
    bundle.add_argument("--dtype", choices=DTYPES, default="float32", help="what it computes in (default: float32)")
    bundle.add_argument("--store", choices=DTYPES, help="what weights are stored in, if in something smaller")
    bundle.add_argument("--sizes", type=parse_sizes, help="allowed sizes: 512x512,768x512 or 256:1024:8")
    bundle.add_argument("--tiny-decoder", type=Path, metavar="DIR", help="folder of an AutoencoderTiny, for previews")
    bundle.add_argument("--latents", type=Path, metavar="FILE",
                        help="safetensors file with clean `latents`: the linear decoder is fitted on them, in place of short runs, "
                             "and the size of x0 is measured on them")
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
        parser.error(f"give SOURCE and OUT, or --tiny and OUT, not {len(args.paths)} paths"
                     + ("; they stand before --lora's files" if args.lora else ""))
    args.source, args.out = None if args.tiny else args.paths[0], Path(args.paths[-1])
    others = ("revision", "config", "lora", "tiny_decoder", "latents", "prompts") if args.tiny else ("family", "seed")
    for flag in others:
        if getattr(args, flag) not in (None, []):
            parser.error(f"--{flag.replace('_', '-')} goes " + ("with SOURCE, not with --tiny" if args.tiny else "with --tiny"))
    return args


def tiny_pipeline(args):
    prediction_type, seed = args.prediction_type or "epsilon", args.seed or 0
    with quiet():
        if args.family in (None, "emoji"):
            from tiny_pipeline import make_tiny_pipeline

            return make_tiny_pipeline(prediction_type, seed)
        from tiny_stable_diffusion import make_tiny_stable_diffusion

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


def export(args, say) -> None:
    options = {"name": args.name or args.out.name, "licence": args.licence, "dtype": args.dtype, "store": args.store,
               "sizes": args.sizes, "steps": args.steps, "guidance_scale": args.guidance_scale,
               "clip_skip": args.clip_skip, "replace": args.replace, "say": say}
    refuse_existing(args.out, args.replace)  # before anything large is read
    if args.tiny:
        scale = 5.0 if args.guidance_scale is None else args.guidance_scale
        # Random weights take anything for clean latents, so no size of them is worth a warning.
        options.update(source="random weights, made for the tests", licence=args.licence or "Apache-2.0",
                       guidance_scale=scale, x0_rms=1e6)
        export_bundle(tiny_pipeline(args), args.out, **options)
        return
    if args.tiny_decoder:
        options["tiny_decoder"] = load_tiny_decoder(args.tiny_decoder)
    if args.latents:
        options["latents"] = read_latents(args.latents)
    if args.prompts:
        options["prompts"] = read_prompts(args.prompts)
        check_prompts(options["prompts"])
    say(f"loading {args.source}")
    source = load_pipeline(args.source, revision=args.revision, loras=args.lora, config=args.config,
                           prediction_type=args.prediction_type, prefer_half=args.dtype != "float32")
    options["source"] = args.source_text or source.description
    export_bundle(source.pipeline, args.out, **options)


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


if __name__ == "__main__":
    sys.exit(main())
