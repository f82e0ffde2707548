"""A pipeline becomes a bundle folder: each module is written and compared, and the manifest comes last."""

import functools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from steplapse_export import modules
from steplapse_export.manifest import (
    MOST_CHUNKS,
    check_defaults,
    check_latents,
    check_prompts,
    choose_default_size,
    describe_files,
    describe_training_noise,
    describe_x0_rms,
    sizes_of_the_unet,
    sizes_to_verify,
)
from steplapse_export.parts import FIT_PROMPTS, FIT_STEPS, Parts, as_stored, latents_of_short_runs, write_tokenizer
from steplapse_export.programs import (
    DTYPES,
    SAFETENSORS_NAMES,
    TOLERANCE,
    ExportError,
    load_program,
    refuse_constants,
    verify,
    write_program,
)
from steplapse_export.scheduler import remark_on_levels
from steplapse_export.sources.pipeline import SentencePieceTokenizer

VERIFIED_BATCHES = [1, 2, 5]
VERIFIED_CHUNKS = [1, 2]


def silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class ExportOptions:
    """How a pipeline becomes a bundle."""

    name: str  # what pictures' metadata call the model
    source: str  # where it came from
    licence: str
    dtype: str = "float32"  # what the modules compute in: a key of DTYPES
    store: str | None = None  # what their weights are stored in; none: the same
    # The manifest's `sizes.allowed`. None: all that the UNet takes, or without CLIP's tokenizer the default size alone.
    sizes: dict | list | None = None
    tiny_decoder: torch.nn.Module | None = None  # an AutoencoderTiny for previews
    # [N, C, h, w], as the denoiser makes them: the linear decoder is fitted to them, and `x0_rms` is measured on them.
    # None: it is fitted to those of short runs, and 1 is assumed.
    latents: torch.Tensor | None = None
    x0_rms: float | None = None  # root mean square of clean latents, where it is known without any
    prompts: list | None = None  # what the model was taught: [{"name": ..., "keywords": [...]}, ...]
    clip_skip: int | None = None  # the text encoder's layer, as web UIs count; none: the one the family was taught with
    steps: int = 30  # default of generate
    sampler: str = "ddim"  # default of generate
    guidance_scale: float | None = None  # default of generate; none: the family's
    replace: bool = False  # whether an old bundle makes room instead of being a reason to refuse
    channels_last: bool = True  # whether weights of convolutions are laid out as their fastest kernels want them
    say: Callable[[str], None] = silent  # is told what was done, a line each


# --- the folder -------------------------------------------------------------------------------------------------------


def refuse_existing(out: Path, replace: bool) -> None:
    if os.path.lexists(out) and not replace:
        raise ExportError(f"{out} exists already")
    if out.is_symlink():
        raise ExportError(f"{out} is a link: name the folder itself")
    if out.exists() and not (out / "model.json").is_file():
        raise ExportError(f"{out} is no bundle to replace: it has no model.json")


def refuse_full_disk(parts: Parts, folder: Path) -> None:
    weighty = [(parts.unet, "other"), (parts.vae, "decoder"), *((encoder, "other") for encoder in parts.text_encoders)]
    weights = sum(
        tensor.numel() * parts.store[kind].itemsize for module, kind in weighty for tensor in module.parameters()
    )
    needed, free = weights + (64 << 20), shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(f"{folder}: {free / 1e9:.1f} GB are free, the bundle needs {needed / 1e9:.1f} GB")


def put_in_place(folder: Path, out: Path) -> None:
    """Renames, so that there is a whole bundle at any time, or for a moment none."""
    old = folder.with_name(f"{folder.name}.old")
    if out.exists():
        os.rename(out, old)
    os.rename(folder, out)
    shutil.rmtree(old, ignore_errors=True)


# --- modules ----------------------------------------------------------------------------------------------------------


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
        return torch.randn(
            batch, self.parts.channels, size[1] // downscale, size[0] // downscale, generator=self.random
        )

    @torch.no_grad()
    def denoiser_inputs(self, batch, size, chunks):
        timesteps = 999 * torch.rand(batch, generator=self.random)
        conditioning = (
            torch.randn(part.shape, generator=self.random) for part in self.parts.encode(*self.text_inputs(1, chunks))
        )
        return (
            self.latents(batch, size),
            timesteps,
            *(part.expand(batch, *part.shape[1:]).contiguous() for part in conditioning),
        )

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
            "tensors": {
                key: {"dtype": SAFETENSORS_NAMES[t.dtype], "shape": list(t.shape)} for key, t in written.tensors.items()
            },
        }

    def text_encoder(self) -> dict:
        shapes = [
            (f"batch {batch}, {chunks} chunks", functools.partial(self.text_inputs, batch, chunks))
            for batch in VERIFIED_BATCHES
            for chunks in VERIFIED_CHUNKS
        ]
        return self.export("text_encoder", self.parts.text_module(), self.parts.encode, shapes[::-1])

    def batches_and_sizes(self) -> list[tuple[int, list[int]]]:
        """All batches at two sizes, one at the others."""
        return [(batch, size) for i, size in enumerate(self.sizes) for batch in ((2, 1, 5) if i < 2 else (2,))]

    def denoiser(self, channels_last: bool) -> dict:
        shapes = [
            (
                f"batch {batch}, {size[0]}x{size[1]}, {1 + batch % 2} chunks",
                functools.partial(self.denoiser_inputs, batch, size, 1 + batch % 2),
            )
            for batch, size in self.batches_and_sizes()
        ]
        wrapper = self.parts.denoiser_module()
        if channels_last:
            modules.in_channels_last(wrapper)
        return self.export("denoiser", wrapper, self.parts.denoise, shapes)

    def decoder(self, name: str, wrapper, eager, kind: str, channels_last: bool) -> dict:
        shapes = [
            (f"batch {batch}, {size[0]}x{size[1]}", lambda batch=batch, size=size: (self.latents(batch, size),))
            for batch, size in self.batches_and_sizes()
        ]
        if channels_last:
            modules.in_channels_last(wrapper)
        return self.export(f"decoder_{name}", wrapper, eager, shapes, kind)


# --- the whole bundle -------------------------------------------------------------------------------------------------


def write_modules(exporter: Exporter, options: ExportOptions, tiny) -> dict:
    """The manifest's `modules`. tiny: the tiny decoder's module, or none."""
    parts = exporter.parts
    written = {"text_encoder": exporter.text_encoder(), "denoiser": exporter.denoiser(options.channels_last)}
    full = parts.full_decoder_module()
    decoders = {"full": exporter.decoder("full", full, parts.decode, "decoder", options.channels_last)}
    if tiny is not None:
        decoders["tiny"] = exporter.decoder("tiny", tiny, modules.shared(tiny), "other", options.channels_last)
    latents = options.latents
    if latents is None:
        exporter.say(f"decoder_linear: fitted to decoder_full on {len(FIT_PROMPTS)} runs of {FIT_STEPS} steps")
        latents = latents_of_short_runs(parts, exporter.random)
    linear = as_stored(
        modules.fit_linear_decoder(parts.decode, latents, parts.downscale), parts.store["other"], parts.compute["other"]
    )
    decoders["linear"] = exporter.decoder("linear", linear, modules.shared(linear), "other", False)
    return {**written, "decoders": decoders}


def write_json(value, path: Path) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def export_bundle(pipeline, out: Path, options: ExportOptions) -> None:
    """Writes `pipeline` to the bundle folder `out`.

    pipeline  diffusers' StableDiffusionPipeline or StableDiffusionXLPipeline, or sources.pipeline's; stays as it is.
    """
    out = Path(out)
    refuse_existing(out, options.replace)
    parts = Parts(pipeline, DTYPES[options.store or options.dtype], DTYPES[options.dtype], options.clip_skip)
    is_clip = not isinstance(parts.tokenizers[0], SentencePieceTokenizer)
    sizes = options.sizes
    if sizes is None:
        sizes = sizes_of_the_unet(parts) if is_clip else [parts.default_size]
    default_size = choose_default_size(parts, sizes)
    verified_sizes = sizes_to_verify(parts, sizes)
    tiny = None if options.tiny_decoder is None else parts.tiny_decoder_module(options.tiny_decoder)
    noise = describe_training_noise(parts.scheduler)
    if remark := remark_on_levels(parts.scheduler):
        options.say(remark)
    guidance_scale = parts.family.guidance_scale if options.guidance_scale is None else options.guidance_scale
    check_defaults(options.steps, guidance_scale, noise)
    if options.prompts is not None:
        check_prompts(options.prompts)
    check_latents(options.latents, parts)
    x0_rms = describe_x0_rms(options.latents, options.x0_rms)

    out.parent.mkdir(parents=True, exist_ok=True)
    refuse_full_disk(parts, out.parent)
    # A hidden neighbour of OUT, on the same disk, so that the last act is one rename.
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        folder.chmod(0o755)
        tokenizers = [
            write_tokenizer(tokenizer, parts.length(i), i + 1, folder) for i, tokenizer in enumerate(parts.tokenizers)
        ]
        described = write_modules(Exporter(parts, verified_sizes, folder, options.say), options, tiny)
        if options.prompts is not None:
            write_json(options.prompts, folder / "prompts.json")
        manifest = {
            "format": "steplapse-bundle",
            "version": 2,
            "name": options.name,
            "source": options.source,
            "licence": options.licence,
            "files": describe_files(folder),
            "modules": described,
            "tokenizers": tokenizers,
            "max_chunks": MOST_CHUNKS if is_clip else 1,
            "clip_skip": parts.clip_skip,
            "latent_channels": parts.channels,
            "downscale": parts.downscale,
            "sizes": {"default": default_size, "allowed": sizes},
            "no_negative_prompt": parts.no_negative_prompt,
            "training_noise": noise,
            "defaults": {"steps": options.steps, "sampler": options.sampler, "guidance_scale": guidance_scale},
            "verified": {"batches": VERIFIED_BATCHES, "sizes": verified_sizes, "chunks": VERIFIED_CHUNKS},
            "prompts": None if options.prompts is None else "prompts.json",
            "family": parts.family.name,
            "x0_rms": x0_rms,
        }
        # Last, so that a folder with a model.json is a whole bundle.
        write_json(manifest, folder / "model.json")
        put_in_place(folder, out)
        options.say(f"{out}: done, {sum(file['size'] for file in manifest['files'].values()) / 1e9:.2f} GB")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
