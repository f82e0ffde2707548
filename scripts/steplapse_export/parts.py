"""A pipeline's parts as its bundle will compute: what each module is made of, and the tokenizers."""

import json
import tempfile
from pathlib import Path

import torch

from steplapse_export import modules
from steplapse_export.families import family_of
from steplapse_export.programs import ExportError
from steplapse_export.scheduler import as_ddim
from steplapse_export.sources.pipeline import SentencePieceTokenizer

# What the linear decoder is fitted on, if no latents are given: x0 at each step of short runs, of small pictures.
FIT_PROMPTS = ["a photo of a red apple on a wooden table", "a mountain lake at sunset, oil painting", ""]
FIT_STEPS = 6
FIT_SIDE = 32  # latents


def refuse_lost_numbers(name: str, tensor: torch.Tensor, stored: torch.Tensor) -> None:
    if tensor.isfinite().all() and not stored.isfinite().all():
        raise ExportError(f"{name} holds numbers that {stored.dtype} can't: use bfloat16 or float32")


def as_stored(module: torch.nn.Module, store: torch.dtype, compute: torch.dtype, what: str = "") -> torch.nn.Module:
    """The module that computes with what the bundle will hold: weights rounded to `store`, then cast to `compute`.

    what  begins the names in an error: "unet."
    """

    def convert(name, tensor):
        if not tensor.is_floating_point() or tensor.dtype == store == compute:
            return tensor.cpu()
        rounded = tensor.cpu().to(store)
        refuse_lost_numbers(what + name, tensor, rounded)
        return rounded.to(compute)

    return modules.converted(module, convert)


def check_networks(unet, vae) -> None:
    config = unet.config
    for key in ("class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim"):
        if config.get(key) is not None:
            raise ExportError(f"the UNet's config has {key} {config[key]}, which this exporter does not know")
    if config.get("addition_embed_type") not in (None, "text_time"):
        raise ExportError(
            f"the UNet's config has addition_embed_type {config['addition_embed_type']}, expected none, or "
            "text_time as SDXL has it"
        )
    for key in ("latents_mean", "latents_std"):
        if vae.config.get(key) is not None:
            raise ExportError(f"the autoencoder's config has {key}, which this exporter does not know")
    channels = vae.config.latent_channels
    if not channels == config.in_channels == config.out_channels:
        raise ExportError(
            f"the UNet takes {config.in_channels} channels and gives {config.out_channels}, latents have {channels}"
        )


class Parts:
    """A pipeline as its bundle will compute: weights rounded, each part in its dtype. The pipeline stays as it was."""

    def __init__(self, pipeline, store: torch.dtype, compute: torch.dtype, clip_skip: int | None):
        check_networks(pipeline.unet, pipeline.vae)
        self.family = family_of(pipeline)
        upcast = self.family.upcasts_decoder(pipeline)
        self.store = {"decoder": torch.float32 if upcast else store, "other": store}
        self.compute = {"decoder": torch.float32 if upcast else compute, "other": compute}
        self.unet = as_stored(pipeline.unet, store, compute, "unet.")
        self.vae = as_stored(pipeline.vae, self.store["decoder"], self.compute["decoder"], "vae.")
        names = self.family.text_encoders
        self.text_encoders = [as_stored(getattr(pipeline, name), store, compute, f"{name}.") for name in names]
        self.tokenizers = [getattr(pipeline, name.replace("text_encoder", "tokenizer")) for name in names]
        self.scheduler = pipeline.scheduler
        self.clip_skip = self.family.clip_skip if clip_skip is None else clip_skip
        layers = min(encoder.config.num_hidden_layers for encoder in self.text_encoders)
        if not 1 <= self.clip_skip <= layers:
            raise ExportError(f"clip skip {clip_skip}: the text encoder has {layers} layers")
        self.channels = self.vae.config.latent_channels
        self.downscale = 2 ** (len(self.vae.config.block_out_channels) - 1)
        side = self.unet.config.sample_size * self.downscale
        self.default_size = [side, side]
        self.no_negative_prompt = self.family.no_negative_prompt(pipeline)

    def length(self, i: int) -> int:
        """Tokens in a window of text encoder i."""
        tokenizer, positions = self.tokenizers[i], self.text_encoders[i].config.max_position_embeddings
        own = tokenizer.length if isinstance(tokenizer, SentencePieceTokenizer) else tokenizer.model_max_length
        return min(own, positions)

    # As the pipeline itself computes.

    def encode(self, *ids_and_weights):
        sequences, pooled = [], ()
        for encoder, ids in zip(self.text_encoders, ids_and_weights[::2]):
            answer = encoder(ids.flatten(0, 1), output_hidden_states=True)
            hidden = self.family.hidden(encoder, answer, self.clip_skip)
            sequences.append(hidden.float().reshape(len(ids), -1, hidden.shape[-1]))
            if encoder is self.text_encoders[-1]:
                pooled = [part.float().reshape(*ids.shape[:2], -1)[:, 0] for part in self.family.pooled(answer)]
        return torch.cat(sequences, -1), *pooled

    def denoise(self, latents, timesteps, conditioning, *pooled):
        dtype, added = self.unet.dtype, None
        if pooled:
            height, width = (side * self.downscale for side in latents.shape[2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]]).expand(len(latents), -1)
            added = {"text_embeds": pooled[0].to(dtype), "time_ids": sizes}
        return self.unet(latents.to(dtype), timesteps, conditioning.to(dtype), added_cond_kwargs=added).sample.float()

    def decode(self, latents):
        config = self.vae.config
        latents = (latents / config.scaling_factor + (config.shift_factor or 0.0)).to(self.vae.dtype)
        return self.vae.decode(latents).sample.float().clamp(-1, 1)

    # As the bundle has them.

    def text_module(self):
        last = len(self.text_encoders) - 1
        return modules.TextEncoder(
            [
                self.family.encoder_layers(modules.shared(encoder), self.clip_skip, is_last=i == last)
                for i, encoder in enumerate(self.text_encoders)
            ]
        )

    def denoiser_module(self):
        return self.family.denoiser(modules.shared(self.unet), self.downscale)

    def full_decoder_module(self):
        return modules.FullDecoder(modules.shared(self.vae))

    def tiny_decoder_module(self, tiny):
        tiny_downscale = 2 ** (len(tiny.config.decoder_block_out_channels) - 1)
        if tiny.config.latent_channels != self.channels or tiny_downscale != self.downscale:
            raise ExportError(
                f"the tiny decoder takes {tiny.config.latent_channels} channels at 1/{tiny_downscale} of "
                f"the picture's size, the model has {self.channels} at 1/{self.downscale}"
            )
        return modules.TinyDecoder(as_stored(tiny, self.store["other"], self.compute["other"]))


@torch.no_grad()
def latents_of_short_runs(parts: Parts, generator: torch.Generator) -> torch.Tensor:
    """[N, C, h, w]: what the pipeline itself takes for clean latents, at each step of a few short runs."""
    scheduler = as_ddim(parts.scheduler)
    scheduler.set_timesteps(FIT_STEPS)
    side = max(min(parts.unet.config.sample_size // 2, FIT_SIDE), 2 ** (len(parts.unet.config.block_out_channels) - 1))
    x = torch.randn(len(FIT_PROMPTS), parts.channels, side, side, generator=generator) * scheduler.init_noise_sigma
    inputs = []
    for i, tokenizer in enumerate(parts.tokenizers):
        ids = torch.stack([token_ids(tokenizer, parts.length(i), prompt) for prompt in FIT_PROMPTS])[:, None]
        inputs += [ids, torch.ones(ids.shape)]
    conditioning = parts.encode(*inputs)
    estimates = []
    for t in scheduler.timesteps:
        step = scheduler.step(parts.denoise(x, t.float().expand(len(x)), *conditioning), t, x)
        x = step.prev_sample
        estimates.append(step.pred_original_sample)
    return torch.cat(estimates)


# --- tokenizers ----------------------------------------------------------------------------------------------


def token_ids(tokenizer, length: int, prompt: str) -> torch.Tensor:
    """[length] int64, as the pipeline itself would ask its text encoder."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return tokenizer([prompt])[0]
    return torch.tensor(tokenizer(prompt, padding="max_length", max_length=length, truncation=True).input_ids)


def clip_vocabulary(tokenizer) -> dict[str, str]:
    """vocab.json and merges.txt of a CLIPTokenizer."""
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        whole = json.loads((Path(scratch) / "tokenizer.json").read_text())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in whole["merges"]]
    return {
        "vocab.json": json.dumps(whole["vocab"], ensure_ascii=False) + "\n",
        "merges.txt": "\n".join(["#version: 0.2", *merges]) + "\n",
    }


def write_tokenizer(tokenizer, length: int, number: int, folder: Path) -> dict:
    """The tokenizer's files, and what the manifest says of it. What an earlier one wrote alike serves both."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        (folder / "tokenizer.model").write_bytes(tokenizer.serialized)
        ids = tokenizer.processor
        return {
            "kind": "sentencepiece",
            "files": ["tokenizer.model"],
            "length": length,
            "bos": ids.bos_id(),
            "eos": ids.eos_id(),
            "pad": ids.pad_id(),
        }
    if not type(tokenizer).__name__.startswith("CLIPTokenizer"):
        raise ExportError(f"the tokenizer is a {type(tokenizer).__name__}, a bundle has sentencepiece or clip_bpe")
    special = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token}
    added = sorted(set(tokenizer.get_added_vocab()) - special)
    if added:
        raise ExportError(
            f"the tokenizer has words of its own, '{added[0]}' for one: a bundle has no place for what textual "
            "inversion adds"
        )
    files = []
    for name, text in clip_vocabulary(tokenizer).items():
        if number > 1 and (folder / name).read_text() != text:
            name = name.replace(".", f"_{number}.")
        (folder / name).write_text(text)
        files.append(name)
    return {
        "kind": "clip_bpe",
        "files": files,
        "length": length,
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token_id,
    }
