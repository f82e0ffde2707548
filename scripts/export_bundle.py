#!/usr/bin/env python3
"""Exports a text-to-image pipeline, as diffusers saves it, to a bundle that steplapse runs (docs/bundle.md).

    scripts/export_bundle.py PIPELINE OUT --name emoji-64 --licence "..." --source "..."
    scripts/export_bundle.py --tiny OUT                 random weights, small and quick, for tests

Each module becomes a TorchScript program without weights, beside its weights in safetensors. A program is
traced at one batch size and then held against the eager module at others; what differs is refused, and so is
whatever a bundle can't express. OUT appears whole or not at all.
"""

import argparse
import copy
import hashlib
import json
import os
import shutil
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file

from pipeline import Pipeline, SentencePieceTokenizer

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SAFETENSORS_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
VERIFIED_BATCHES = [1, 2, 5]

# Largest difference between a program and its eager module, as a share of the largest answer. Batches of another
# size take other paths through the matrix kernels, which round differently; anything structural is far above this.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}


class ExportError(Exception):
    """What keeps this pipeline from being a bundle."""


# --- the modules, as a bundle has them -----------------------------------------------------------------------


class Sinusoids(torch.nn.Module):
    """diffusers' Timesteps with its frequencies' indices in a buffer: `arange` in a trace would name a device.

    The indices are integers, so that casting the weights to 16 bits leaves the frequencies alone.
    """

    def __init__(self, original):
        super().__init__()
        half = original.num_channels // 2
        self.flip_sin_to_cos, self.scale = original.flip_sin_to_cos, original.scale
        self.divisor = half - original.downscale_freq_shift
        self.register_buffer("indices", torch.arange(half))

    def forward(self, timesteps):
        frequencies = torch.exp(self.indices.float() * -9.210340371976184 / self.divisor)  # log(10000)
        angles = self.scale * (timesteps[:, None].float() * frequencies[None, :])
        sines, cosines = torch.sin(angles), torch.cos(angles)
        return torch.cat([cosines, sines] if self.flip_sin_to_cos else [sines, cosines], dim=-1)


class TextEncoder(torch.nn.Module):
    """K chunks of tokens, each encoded alone, weighted token by token, joined.

    A weight scales the token's vector; the chunk is then scaled so that its mean is what it was, as the web UI by
    AUTOMATIC1111 does it. With all weights 1 that is exactly no change.
    """

    def __init__(self, clip, dtype):
        super().__init__()
        self.embeddings, self.encoder, self.final_layer_norm = clip.embeddings, clip.encoder, clip.final_layer_norm
        self.dtype = dtype

    def forward(self, ids, weights):
        rows, chunks, length = ids.shape
        hidden = self.embeddings(input_ids=ids.reshape(rows * chunks, length))
        # The causal mask as a flag: a mask tensor in a trace would name a device.
        hidden = self.encoder(inputs_embeds=hidden, attention_mask=None, is_causal=True).last_hidden_state
        hidden = self.final_layer_norm(hidden).float()

        weighted = hidden * weights.reshape(rows * chunks, length, 1)
        mean_before, mean_after = hidden.mean((1, 2), keepdim=True), weighted.mean((1, 2), keepdim=True)
        restored = weighted * torch.where(mean_after == 0, torch.ones_like(mean_after), mean_before / mean_after)
        return (restored.reshape(rows, chunks * length, hidden.shape[-1]),)


class Denoiser(torch.nn.Module):
    def __init__(self, unet, dtype):
        super().__init__()
        self.unet = unet
        self.unet.time_proj = Sinusoids(unet.time_proj)
        self.dtype = dtype

    def forward(self, latents, timesteps, conditioning):
        return self.unet(latents.to(self.dtype), timesteps, conditioning.to(self.dtype)).sample.float()


class FullDecoder(torch.nn.Module):
    """The autoencoder's decoder; its encoder stays behind."""

    def __init__(self, vae, dtype):
        super().__init__()
        self.post_quant_conv, self.decoder = vae.post_quant_conv, vae.decoder
        self.scale, self.shift = 1 / vae.config.scaling_factor, vae.config.shift_factor or 0.0
        self.dtype = dtype

    def forward(self, latents):
        latents = (latents * self.scale + self.shift).to(self.dtype)
        if self.post_quant_conv is not None:
            latents = self.post_quant_conv(latents)
        return self.decoder(latents).float().clamp(-1, 1)


class TinyDecoder(torch.nn.Module):
    """diffusers' AutoencoderTiny, which takes the denoiser's latents as they are."""

    def __init__(self, tiny, dtype):
        super().__init__()
        self.tiny, self.scale, self.dtype = tiny.decoder, 1 / tiny.config.scaling_factor, dtype

    def forward(self, latents):
        return self.tiny((latents * self.scale).to(self.dtype)).float().clamp(-1, 1)


class LinearDecoder(torch.nn.Module):
    """Each latent pixel to its square of image pixels by one matrix: the least squares fit of the full decoder."""

    def __init__(self, channels, downscale, dtype):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, 3 * downscale**2, 1)
        self.downscale, self.dtype = downscale, dtype

    def forward(self, latents):
        squares = self.conv(latents.to(self.dtype))
        return torch.nn.functional.pixel_shuffle(squares, self.downscale).float().clamp(-1, 1)


@torch.no_grad()
def fit_linear_decoder(full, latents, downscale, dtype) -> LinearDecoder:
    """The LinearDecoder nearest to `full` on `latents` [N, C, h, w]."""
    images = torch.cat([full(part) for part in latents.split(16)])
    squares = torch.nn.functional.pixel_unshuffle(images, downscale).permute(0, 2, 3, 1).flatten(0, 2).double()
    pixels = latents.permute(0, 2, 3, 1).flatten(0, 2).double()
    pixels = torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1)
    # A little ridge: fewer latents than unknowns must not give wild weights.
    gram = pixels.T @ pixels + 1e-3 * len(pixels) * torch.eye(pixels.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, pixels.T @ squares)
    linear = LinearDecoder(latents.shape[1], downscale, dtype)
    linear.conv.weight.data = solution[:-1].T[:, :, None, None].float()
    linear.conv.bias.data = solution[-1].float()
    return linear


# --- from module to program and weights ----------------------------------------------------------------------


def stored_as(module: torch.nn.Module, store: torch.dtype, compute: torch.dtype) -> torch.nn.Module:
    """A copy that computes with what the bundle will hold: weights rounded to `store`, then cast to `compute`."""
    module = copy.deepcopy(module).cpu().eval().requires_grad_(False)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            rounded = tensor.data.to(store)
            if not rounded.isfinite().all():
                raise ExportError(f"{name} holds numbers that {store} can't: store it as bfloat16 or float32")
            tensor.data = rounded.to(compute)
    return module


def export_module(wrapper, eager, make_inputs, sizes, folder: Path, name: str, store: torch.dtype,
                  compute: torch.dtype) -> dict:
    """Writes NAME.pt and NAME.safetensors and returns the module's part of the manifest.

    make_inputs(batch, size) gives one set of inputs; eager(*inputs) is what the program must answer.
    """
    with torch.no_grad():
        program = torch.jit.trace(wrapper, make_inputs(2, sizes[0]), check_trace=False)
    tensors = {**dict(program.named_parameters()), **dict(program.named_buffers())}
    held = {key: (t.to(store) if t.is_floating_point() else t).clone().contiguous() for key, t in tensors.items()}
    save_file(held, folder / f"{name}.safetensors")
    for tensor in tensors.values():
        tensor.data = torch.empty(0, dtype=tensor.dtype)
    program.save(str(folder / f"{name}.full.pt"))
    strip_records(folder / f"{name}.full.pt", folder / f"{name}.pt")
    for path in (folder / f"{name}.pt", folder / f"{name}.safetensors"):
        path.chmod(0o644)

    refuse_constants(folder / f"{name}.pt")
    loaded = load_program(folder / f"{name}.pt", folder / f"{name}.safetensors", compute)
    verify(loaded, eager, make_inputs, sizes, name, TOLERANCE[compute])
    return {
        "program": f"{name}.pt",
        "weights": f"{name}.safetensors",
        "compute_dtype": next(key for key, dtype in DTYPES.items() if dtype == compute),
        "tensors": {key: {"dtype": SAFETENSORS_NAMES[t.dtype], "shape": list(t.shape)} for key, t in held.items()},
    }


def strip_records(archive: Path, stripped: Path) -> None:
    """Leaves out the inputs it was traced with, and which line of whose Python each operator came from: most of the
    archive, and this machine's paths."""
    reader = torch._C.PyTorchFileReader(str(archive))
    writer = torch._C.PyTorchFileWriter(str(stripped))
    # An archive that calls itself older than its operators would have them replaced on loading, `div` for one.
    with zipfile.ZipFile(archive) as records:
        version = next(name for name in records.namelist() if name.rsplit("/", 1)[-1] == "version")
        writer.set_min_version(int(records.read(version)))
    for record in reader.get_all_records():
        own = record in ("version", "byteorder") or record.startswith(".data/")  # the writer has its own of these
        if not own and not record.endswith(".debug_pkl") and not record.startswith("traced_inputs"):
            content = reader.get_record(record)
            writer.write_record(record, content, len(content))
    writer.write_end_of_file()
    archive.unlink()


def refuse_constants(archive: Path) -> None:
    """A program must not name a device, nor carry tensors of its own, which would stay where they are.

    Single numbers are fine: tracing makes `1.702 * x` a tensor without dimensions, and such a one goes with any device.
    """
    with zipfile.ZipFile(archive) as records:
        for record in (name for name in records.namelist() if name.endswith(".py")):
            for number, line in enumerate(records.read(record).decode().splitlines(), 1):
                if "torch.device(" in line:
                    raise ExportError(f"{archive.name}: {record}:{number} names a device: {line.strip()}")
    graph = torch.jit.load(str(archive)).inlined_graph  # its nodes live as long as it does
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t" and node.t("value").dim() > 0:
            raise ExportError(f"{archive.name} carries a tensor of shape {list(node.t('value').shape)} in its code")


def load_program(archive: Path, weights: Path, compute: torch.dtype):
    """As steplapse loads it: the program, then each tensor put in its place by name."""
    program = torch.jit.load(str(archive))
    held = load_file(weights)
    for name, tensor in [*program.named_parameters(), *program.named_buffers()]:
        value = held.pop(name)
        tensor.data = value.to(compute) if value.is_floating_point() else value
    if held:
        raise ExportError(f"{weights.name}: nothing in {archive.name} is called {sorted(held)[0]}")
    return program.eval()


@torch.no_grad()
def verify(program, eager, make_inputs, sizes, name: str, tolerance: float) -> None:
    for size in sizes:
        for batch in VERIFIED_BATCHES:
            inputs = make_inputs(batch, size)
            found, wanted = program(*inputs), eager(*inputs)
            found, wanted = (found, wanted) if isinstance(found, tuple) else ((found,), (wanted,))
            for one, other in zip(found, wanted, strict=True):
                if one.shape != other.shape or one.dtype != torch.float32:
                    raise ExportError(f"{name} at batch {batch}, {size}: the program answers {list(one.shape)} "
                                      f"{one.dtype}, the pipeline {list(other.shape)}")
                difference = ((one - other).abs().max() / other.abs().max().clamp_min(1e-6)).item()
                if not difference <= tolerance:
                    raise ExportError(f"{name} at batch {batch}, {size}: the program is {difference:.2g} off the "
                                      f"pipeline's answer, {tolerance:.2g} is allowed")


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


def write_tokenizer(tokenizer, folder: Path) -> dict:
    """The tokenizer's files, and what the manifest says of it."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        (folder / "tokenizer.model").write_bytes(tokenizer.serialized)
        ids = tokenizer.processor
        return {"kind": "sentencepiece", "files": ["tokenizer.model"], "length": tokenizer.length,
                "bos": ids.bos_id(), "eos": ids.eos_id(), "pad": ids.pad_id()}
    if not type(tokenizer).__name__.startswith("CLIPTokenizer"):
        raise ExportError(f"the tokenizer is a {type(tokenizer).__name__}, a bundle has sentencepiece or clip_bpe")
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        whole = json.loads((Path(scratch) / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(whole["vocab"], ensure_ascii=False) + "\n")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in whole["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return {"kind": "clip_bpe", "files": ["vocab.json", "merges.txt"], "length": tokenizer.model_max_length,
            "bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}


def describe_files(folder: Path) -> dict:
    return {path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in sorted(folder.iterdir())}


# --- the whole bundle ----------------------------------------------------------------------------------------


def export_bundle(pipeline: Pipeline, out: Path, *, name: str, source: str, licence: str, store: str = "float16",
                  compute: str = "float32", sizes=None, tiny_decoder=None, latents=None, prompts=None,
                  steps: int = 30, sampler: str = "ddim", guidance_scale: float = 7.5, max_chunks: int = 1, replace: bool = False) -> None:
    """Writes `pipeline` to the bundle folder `out`.

    sizes         manifest's `sizes.allowed`; only the default size unless given.
    tiny_decoder  an AutoencoderTiny for previews.
    latents       [N, C, h, w], as the denoiser makes them, on which the linear decoder is fitted; noise unless given.
    prompts       what the model was taught: [{"name": ..., "keywords": [...]}, ...].
    max_chunks    how many windows of tokens a prompt may fill.
    replace       put the new bundle in the place of an old one instead of refusing.
    """
    out = Path(out)
    if out.exists() and not replace:
        raise ExportError(f"{out} exists already")
    if out.exists() and not (out / "model.json").is_file():
        raise ExportError(f"{out} is no bundle to replace: it has no model.json")
    unet_config, vae_config = pipeline.unet.config, pipeline.vae.config
    for key in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim"):
        if unet_config.get(key) is not None:
            raise ExportError(f"the UNet's config has {key} {unet_config[key]}, which this exporter does not know")
    channels = vae_config.latent_channels
    if not channels == unet_config.in_channels == unet_config.out_channels:
        raise ExportError(f"the UNet takes {unet_config.in_channels} channels and gives {unet_config.out_channels}, "
                          f"latents have {channels}")

    store_dtype, compute_dtype = DTYPES[store], DTYPES[compute]
    parts = {part: stored_as(getattr(pipeline, part), store_dtype, compute_dtype)
             for part in ("vae", "unet", "text_encoder")}
    vae, unet, text_encoder = parts["vae"], parts["unet"], parts["text_encoder"]
    downscale = 2 ** (len(vae_config.block_out_channels) - 1)
    side = unet_config.sample_size * downscale
    default_size = [side, side]
    sizes = sizes or [default_size]
    verified_sizes = sizes if isinstance(sizes, list) else [default_size, [side, side + sizes["multiple"] * 2]]
    scale, shift = vae_config.scaling_factor, vae_config.shift_factor or 0.0

    out.parent.mkdir(parents=True, exist_ok=True)
    # A hidden neighbour of OUT, on the same disk, so that the last act is one rename.
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        folder.chmod(0o755)
        tokenizer = write_tokenizer(pipeline.tokenizer, folder)
        vocabulary, length, width = len(pipeline.tokenizer), tokenizer["length"], unet_config.cross_attention_dim
        random = torch.Generator().manual_seed(0)

        def text_inputs(batch, size):
            chunks = 1 + batch % 2
            ids = torch.randint(vocabulary, (batch, chunks, length), generator=random)
            return ids, torch.ones(batch, chunks, length)

        def latent_inputs(batch, size):
            shape = (batch, channels, size[1] // downscale, size[0] // downscale)
            return (torch.randn(shape, generator=random),)

        def denoiser_inputs(batch, size):
            timesteps = 999 * torch.rand(batch, generator=random)
            conditioning = torch.randn(batch, length * (1 + batch % 2), width, generator=random)
            return *latent_inputs(batch, size), timesteps, conditioning

        def eager_text(ids, weights):
            hidden = text_encoder(ids.flatten(0, 1)).last_hidden_state.float()
            return (hidden.reshape(len(ids), -1, hidden.shape[-1]),)

        def eager_unet(latents, timesteps, conditioning):
            return unet(latents.to(compute_dtype), timesteps, conditioning.to(compute_dtype)).sample.float()

        def eager_decoder(latents):
            return vae.decode((latents / scale + shift).to(compute_dtype)).sample.float().clamp(-1, 1)

        def export(wrapper, eager, make_inputs, file_name):
            return export_module(wrapper.eval().requires_grad_(False), eager, make_inputs, verified_sizes, folder,
                                 file_name, store_dtype, compute_dtype)

        full = FullDecoder(copy.deepcopy(vae), compute_dtype).eval()
        if latents is None:
            latents = torch.randn(64, channels, unet_config.sample_size, unet_config.sample_size, generator=random)
        linear = stored_as(fit_linear_decoder(full, latents, downscale, compute_dtype), store_dtype, compute_dtype)
        modules = {
            "text_encoder": export(TextEncoder(copy.deepcopy(text_encoder), compute_dtype), eager_text, text_inputs,
                                   "text_encoder"),
            "denoiser": export(Denoiser(copy.deepcopy(unet), compute_dtype), eager_unet, denoiser_inputs, "denoiser"),
            "decoders": {
                "full": export(full, eager_decoder, latent_inputs, "decoder_full"),
                "linear": export(linear, copy.deepcopy(linear), latent_inputs, "decoder_linear"),
            },
        }
        if tiny_decoder is not None:
            tiny = TinyDecoder(stored_as(tiny_decoder, store_dtype, compute_dtype), compute_dtype)
            modules["decoders"]["tiny"] = export(tiny, copy.deepcopy(tiny), latent_inputs, "decoder_tiny")
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
            "tokenizers": [tokenizer],
            "max_chunks": max_chunks,
            "clip_skip": 1,
            "latent_channels": channels,
            "downscale": downscale,
            "sizes": {"default": default_size, "allowed": sizes},
            "no_negative_prompt": "encode_empty",
            "training_noise": describe_training_noise(pipeline.scheduler),
            "defaults": {"steps": steps, "sampler": sampler, "guidance_scale": guidance_scale},
            "verified": {"batches": VERIFIED_BATCHES, "sizes": verified_sizes, "chunks": [1, 2]},
            "prompts": None if prompts is None else "prompts.json",
        }
        # Last, so that a folder with a model.json is a whole bundle.
        (folder / "model.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
        if replace and out.exists():
            shutil.rmtree(out)
        os.rename(folder, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


# --- command line --------------------------------------------------------------------------------------------


def parse_sizes(text: str):
    """ "64x64,96x64" or "256:1024:8" (least, most, multiple)."""
    if ":" in text:
        least, most, multiple = (int(part) for part in text.split(":"))
        return {"min": least, "max": most, "multiple": multiple}
    return [[int(side) for side in size.split("x")] for size in text.split(",")]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", nargs="?", type=Path, help="folder of a saved pipeline")
    parser.add_argument("out", type=Path, help="bundle folder to write; must not exist")
    parser.add_argument("--name", help="what pictures' metadata call the model (default: the name of OUT)")
    parser.add_argument("--source", default="", help="where the model came from")
    parser.add_argument("--licence", default="", help="the weights' licence")
    parser.add_argument("--store", choices=DTYPES, default="float16", help="how weights are stored (default: float16)")
    parser.add_argument("--compute", choices=DTYPES, default="float32", help="what they are cast to (default: float32)")
    parser.add_argument("--sizes", type=parse_sizes, help="allowed sizes: 64x64,96x64 or 256:1024:8")
    parser.add_argument("--tiny-decoder", type=Path, help="folder of an AutoencoderTiny, for previews")
    parser.add_argument("--latents", type=Path, help="safetensors file with `latents` to fit the linear decoder on")
    parser.add_argument("--prompts", type=Path, help="JSON file of what the model was taught")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance-scale", type=float, default=7.5)
    parser.add_argument("--replace", action="store_true", help="put the new bundle in the place of an old one")
    tiny = parser.add_argument_group("a bundle for tests")
    tiny.add_argument("--tiny", action="store_true", help="random weights instead of PIPELINE")
    tiny.add_argument("--prediction", default="epsilon", choices=["epsilon", "v_prediction", "sample"])
    tiny.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.tiny == (args.pipeline is not None):
        parser.error("give PIPELINE and OUT, or --tiny and OUT")
    return args


def main() -> int:
    args = parse_arguments()
    # What a trace takes for constant is held against the eager module afterwards.
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
    options = {"name": args.name or args.out.name, "source": args.source, "licence": args.licence, "store": args.store,
               "compute": args.compute, "sizes": args.sizes, "steps": args.steps, "replace": args.replace,
               "guidance_scale": args.guidance_scale}
    try:
        if args.tiny:
            from tiny_pipeline import make_tiny_pipeline

            options.update(source="random weights, made for the tests", licence="Apache-2.0", store="float32",
                           guidance_scale=5.0)
            export_bundle(make_tiny_pipeline(args.prediction, args.seed), args.out, **options)
            return 0
        if args.tiny_decoder:
            from diffusers import AutoencoderTiny

            options["tiny_decoder"] = AutoencoderTiny.from_pretrained(args.tiny_decoder)
        if args.latents:
            options["latents"] = load_file(args.latents)["latents"]
        if args.prompts:
            options["prompts"] = json.loads(args.prompts.read_text())
        export_bundle(Pipeline.from_pretrained(args.pipeline), args.out, **options)
    except (ExportError, OSError) as error:
        print(f"export_bundle.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
