#!/usr/bin/env python3
"""Exports a text-to-image pipeline to a bundle that steplapse runs (docs/bundle.md).

    scripts/export_bundle.py SOURCE OUT --dtype bfloat16
    scripts/export_bundle.py --tiny OUT [--family sd1]     random weights, small and quick, for tests

SOURCE is a folder as diffusers saves it, a checkpoint file (.safetensors, .ckpt), or a Hugging Face id. Each module
becomes a TorchScript program without weights, beside its weights in safetensors. A program is traced once and then
held against the eager module at other batch sizes, picture sizes and prompt lengths; what differs is refused, and so
is whatever a bundle can't express. OUT appears whole or not at all.
"""

import argparse
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file

import bundle_modules
from bundle_parts import FIT_PROMPTS, FIT_STEPS, Parts, as_stored, latents_of_short_runs, write_tokenizer
from bundle_programs import (DTYPES, SAFETENSORS_NAMES, TOLERANCE, ExportError, load_program, refuse_constants, verify,
                             write_program)
from checkpoint_files import CheckpointError
from checkpoints import load_pipeline
from pipeline import SentencePieceTokenizer

VERIFIED_BATCHES = [1, 2, 5]
VERIFIED_CHUNKS = [1, 2]
LARGEST_SIDE = 2048  # pixels; what `sizes.allowed` ends at unless the caller says so
MOST_CHUNKS = 32  # of 75 tokens: more than any prompt that was ever meant


def silent(_: str) -> None:
    pass


# --- the manifest --------------------------------------------------------------------------------------------


def describe_training_noise(scheduler) -> dict:
    """From the DDIMScheduler that diffusers makes of the pipeline's own config."""
    ddim = DDIMScheduler.from_config(scheduler.config)
    config = ddim.config
    if config.thresholding:
        raise ExportError("the scheduler's config asks for thresholding, which a bundle can't express")
    if config.prediction_type not in ("epsilon", "v_prediction", "sample"):
        raise ExportError(f"the scheduler's prediction type is {config.prediction_type}, "
                          "a bundle has epsilon, v_prediction or sample")
    return {
        "alphas_cumprod": ddim.alphas_cumprod.float().tolist(),
        "prediction_type": config.prediction_type,
        "timestep_spacing": config.timestep_spacing,
        "steps_offset": config.steps_offset,
        "final_alpha_cumprod": float(ddim.final_alpha_cumprod),
        "clip_sample_range": config.clip_sample_range if config.clip_sample else None,
    }


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_files(folder: Path) -> dict:
    return {path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)} for path in sorted(folder.iterdir())}


# --- the whole bundle ----------------------------------------------------------------------------------------


def refuse_existing(out: Path, replace: bool) -> None:
    if out.exists() and not replace:
        raise ExportError(f"{out} exists already")
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
        return sizes[:2]
    side = min(max(parts.default_size[0] // 4, 2 * sizes["min"]), sizes["max"])  # small ones prove as much
    side -= (side - sizes["min"]) % sizes["multiple"]
    odd = [[side + sizes["multiple"], min(side + 3 * sizes["multiple"], sizes["max"])], [side, side]]
    return odd if odd[0][0] <= sizes["max"] else odd[1:]


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

    def denoiser(self, channels_last: bool) -> dict:
        shapes = [(f"batch {batch}, {size[0]}x{size[1]}, {1 + batch % 2} chunks",
                   functools.partial(self.denoiser_inputs, batch, size, 1 + batch % 2))
                  for size in self.sizes for batch in (2, 1, 5)]
        wrapper = self.parts.denoiser_module()
        if channels_last:
            bundle_modules.in_channels_last(wrapper)
        return self.export("denoiser", wrapper, self.parts.denoise, shapes)

    def decoder(self, name: str, wrapper, eager, kind: str, channels_last: bool) -> dict:
        shapes = [(f"batch {batch}, {size[0]}x{size[1]}", lambda batch=batch, size=size: (self.latents(batch, size),))
                  for size in self.sizes for batch in (2, 1, 5)]
        if channels_last:
            bundle_modules.in_channels_last(wrapper)
        return self.export(f"decoder_{name}", wrapper, eager, shapes, kind)


def export_bundle(pipeline, out: Path, *, name: str, source: str, licence: str, dtype: str = "float32",
                  store: str | None = None, sizes=None, tiny_decoder=None, latents=None, prompts=None,
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
    latents       [N, C, h, w], as the denoiser makes them, on which the linear decoder is fitted; those of short runs
                  unless given.
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
    verified_sizes = sizes_to_verify(parts, sizes)
    tiny = None if tiny_decoder is None else parts.tiny_decoder_module(tiny_decoder)
    noise = describe_training_noise(parts.scheduler)

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
            "version": 1,
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
            "sizes": {"default": parts.default_size, "allowed": sizes},
            "no_negative_prompt": parts.no_negative_prompt,
            "training_noise": noise,
            "defaults": {"steps": steps, "sampler": sampler,
                         "guidance_scale": guidance_scale or (5.0 if parts.sdxl else 7.5)},
            "verified": {"batches": VERIFIED_BATCHES, "sizes": verified_sizes, "chunks": VERIFIED_CHUNKS},
            "prompts": None if prompts is None else "prompts.json",
        }
        # Last, so that a folder with a model.json is a whole bundle.
        (folder / "model.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
        if replace and out.exists():
            shutil.rmtree(out)
        os.rename(folder, out)
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
    parser.add_argument("source", nargs="?", help="folder, checkpoint file, or owner/name at Hugging Face")
    parser.add_argument("out", type=Path, help="bundle folder to write; must not exist")
    model = parser.add_argument_group("the model")
    model.add_argument("--revision", help="branch, tag or commit of a Hugging Face id")
    model.add_argument("--config", type=Path, help="folder of component configs for a checkpoint file of another shape")
    model.add_argument("--prediction-type", choices=["epsilon", "v_prediction", "sample"],
                       help="what the UNet predicts (default: what SOURCE says)")
    model.add_argument("--lora", type=parse_lora, nargs="+", action="extend", default=[], metavar="FILE:WEIGHT",
                       help="merge these into the weights")
    model.add_argument("--clip-skip", type=int, metavar="N",
                       help="take the text encoder's last layer but N - 1, as web UIs count (default: 1, SDXL 2)")
    bundle = parser.add_argument_group("the bundle")
    bundle.add_argument("--dtype", choices=DTYPES, default="float32", help="what it computes in (default: float32)")
    bundle.add_argument("--store", choices=DTYPES, help="what weights are stored in, if in something smaller")
    bundle.add_argument("--sizes", type=parse_sizes, help="allowed sizes: 512x512,768x512 or 256:1024:8")
    bundle.add_argument("--tiny-decoder", type=Path, metavar="DIR", help="folder of an AutoencoderTiny, for previews")
    bundle.add_argument("--latents", type=Path, metavar="FILE",
                        help="safetensors file with `latents` to fit the linear decoder on, in place of short runs")
    bundle.add_argument("--prompts", type=Path, metavar="FILE", help="JSON file of what the model was taught")
    bundle.add_argument("--steps", type=int, default=30, help="default of generate (30)")
    bundle.add_argument("--guidance-scale", type=float, help="default of generate (7.5, SDXL 5)")
    bundle.add_argument("--name", help="what pictures' metadata call the model (default: the name of OUT)")
    bundle.add_argument("--licence", default="", help="the weights' licence")
    bundle.add_argument("--source-text", help="where the model came from (default: SOURCE, revision, hashes, LoRAs)")
    bundle.add_argument("--replace", action="store_true", help="put the new bundle in the place of an old one")
    tiny = parser.add_argument_group("a bundle for tests")
    tiny.add_argument("--tiny", action="store_true", help="random weights instead of SOURCE")
    tiny.add_argument("--family", default="emoji", choices=["emoji", "sd1", "sd2", "sdxl"])
    tiny.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.tiny == (args.source is not None):
        parser.error("give SOURCE and OUT, or --tiny and OUT")
    return args


def tiny_pipeline(args):
    prediction_type = args.prediction_type or "epsilon"
    if args.family != "emoji":
        from tiny_stable_diffusion import make_tiny_stable_diffusion

        return make_tiny_stable_diffusion(args.family, prediction_type, args.seed)
    from tiny_pipeline import make_tiny_pipeline

    return make_tiny_pipeline(prediction_type, args.seed)


def export(args, say) -> None:
    options = {"name": args.name or args.out.name, "licence": args.licence, "dtype": args.dtype, "store": args.store,
               "sizes": args.sizes, "steps": args.steps, "guidance_scale": args.guidance_scale,
               "clip_skip": args.clip_skip, "replace": args.replace, "say": say}
    refuse_existing(args.out, args.replace)  # before anything large is read
    if args.tiny:
        options.update(source="random weights, made for the tests", licence="Apache-2.0", guidance_scale=5.0)
        export_bundle(tiny_pipeline(args), args.out, **options)
        return
    if args.tiny_decoder:
        from diffusers import AutoencoderTiny

        options["tiny_decoder"] = AutoencoderTiny.from_pretrained(args.tiny_decoder, local_files_only=True)
    if args.latents:
        options["latents"] = load_file(args.latents)["latents"]
    if args.prompts:
        options["prompts"] = json.loads(args.prompts.read_text())
    say(f"loading {args.source}")
    source = load_pipeline(args.source, revision=args.revision, loras=args.lora, config=args.config,
                           prediction_type=args.prediction_type, torch_dtype=DTYPES[args.dtype])
    options["source"] = args.source_text or source.description
    export_bundle(source.pipeline, args.out, **options)


def main() -> int:
    args = parse_arguments()
    # What a trace takes for constant is held against the eager module afterwards.
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch.jit")
    try:
        export(args, silent if args.tiny else lambda line: print(line, file=sys.stderr, flush=True))
    except (ExportError, CheckpointError, OSError) as error:
        print(f"export_bundle.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
