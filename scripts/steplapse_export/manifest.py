"""The parts of a bundle's manifest (docs/bundle.md) that are not a module's, and what of them is refused."""

import math
from pathlib import Path

import torch

from steplapse_export.parts import Parts
from steplapse_export.programs import ExportError
from steplapse_export.scheduler import as_ddim
from steplapse_export.sources.files import hash_file

LARGEST_SIDE = 2048  # pixels; what `sizes.allowed` ends at unless the caller says so
MOST_CHUNKS = 32  # of 75 tokens: more than any prompt that was ever meant


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
        raise ExportError(
            f"--latents: their root mean square is {value}, expected 1e-6 to 1e6: latents as the denoiser makes them"
        )
    return {"value": round(value, 6), "assumed": False}


def describe_files(folder: Path) -> dict:
    return {path.name: {"size": path.stat().st_size, "sha256": hash_file(path)} for path in sorted(folder.iterdir())}


# --- sizes ------------------------------------------------------------------------------------------------------------


def sizes_of_the_unet(parts: Parts) -> dict:
    """All that the UNet takes."""
    least = parts.downscale * 2 ** (len(parts.unet.config.block_out_channels) - 1)
    return {"min": least, "max": max(LARGEST_SIDE, parts.default_size[0]), "multiple": parts.downscale}


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
                raise ExportError(
                    f"--sizes {size[0]}x{size[1]}: expected multiples of {downscale}, as many pixels as a latent "
                    "stands for"
                )
        return parts.default_size if is_allowed(sizes, parts.default_size) else sizes[0]
    least, most, multiple = sizes["min"], sizes["max"], sizes["multiple"]
    if least < 1 or multiple < 1 or multiple % downscale:
        raise ExportError(
            f"--sizes {least}:{most}:{multiple}: expected a least side of 1 or more, and a multiple of {downscale}"
        )
    if smallest_side(sizes) > most:
        raise ExportError(f"--sizes {least}:{most}:{multiple}: no multiple of {multiple} lies in between")
    return parts.default_size if is_allowed(sizes, parts.default_size) else [smallest_side(sizes)] * 2


# --- checks -----------------------------------------------------------------------------------------------------------


def check_defaults(steps: int, guidance_scale: float, noise: dict) -> None:
    if not 1 <= steps <= len(noise["alphas_cumprod"]):
        raise ExportError(f"--steps {steps}: expected 1 to {len(noise['alphas_cumprod'])}")
    if not (math.isfinite(guidance_scale) and 0 <= guidance_scale <= 1000):
        raise ExportError(f"--guidance-scale {guidance_scale}: expected 0 to 1000")


def check_prompts(prompts) -> None:
    def is_taught(entry):
        return (
            isinstance(entry, dict)
            and isinstance(entry.get("name"), str)
            and isinstance(entry.get("keywords"), list)
            and all(isinstance(word, str) for word in entry["keywords"])
        )

    if not isinstance(prompts, list) or not all(map(is_taught, prompts)):
        raise ExportError('--prompts: wanted a list of {"name": TEXT, "keywords": [TEXT, ...]}')


def check_latents(latents: torch.Tensor | None, parts: Parts) -> None:
    if latents is not None and (latents.dim() != 4 or latents.shape[1] != parts.channels):
        raise ExportError(f"--latents: they are {list(latents.shape)}, the model's are [N, {parts.channels}, h, w]")
