"""Data whose distribution is known, so that everything a sampler should do is: the exact denoiser of it as a bundle
(docs/bundle.md), its density at every noise level, and where the probability flow ODE takes each x.

Every latent is on its own: half of them come from N(-0.8, 0.3²), half from N(1.2, 0.3²). A run of 100 x 100 latents is
10,000 trajectories.

Levels are alpha and sigma of x = alpha * x0 + sigma * eps.
"""

import json
import math
from pathlib import Path

import numpy
import torch
from scipy.special import ndtr
from torch.nn.functional import layer_norm

from steplapse_export.manifest import describe_files
from steplapse_export.programs import SAFETENSORS_NAMES, load_program, refuse_constants, verify, write_program
from steplapse_export.tiny.emoji import make_tokenizer

MODES = (-0.8, 1.2)  # half of the data is about each
WIDTH = 0.3
MEAN, VARIANCE = 0.2, 1 + WIDTH**2
FOURTH_MOMENT = 1 + 6 * WIDTH**2 + 3 * WIDTH**4  # about the mean
SIDE = 100  # latents

# Stable Diffusion's.
ALPHAS_CUMPROD = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0).float()


# --- closed forms ----------------------------------------------------------------------------------------------------


def spread(alpha: float, sigma: float) -> float:
    """The standard deviation about each mode at a level."""
    return math.hypot(alpha * WIDTH, sigma)


def density(x: numpy.ndarray, alpha: float = 1, sigma: float = 0) -> numpy.ndarray:
    deviation = spread(alpha, sigma)
    bells = [numpy.exp(-0.5 * ((x - alpha * mode) / deviation) ** 2) for mode in MODES]
    return sum(bells) / (2 * deviation * math.sqrt(2 * math.pi))


def share_below(x: numpy.ndarray, alpha: float, sigma: float) -> numpy.ndarray:
    return sum(ndtr((x - alpha * mode) / spread(alpha, sigma)) for mode in MODES) / 2


def quantile(share: numpy.ndarray, alpha: float, sigma: float) -> numpy.ndarray:
    """Where `share` of x is below, by bisection."""
    far = 10 * spread(alpha, sigma)
    low = numpy.full_like(share, alpha * MODES[0] - far)
    high = numpy.full_like(share, alpha * MODES[1] + far)
    for _ in range(64):
        middle = (low + high) / 2
        below = share_below(middle, alpha, sigma) < share
        low, high = numpy.where(below, middle, low), numpy.where(below, high, middle)
    return (low + high) / 2


def carried(x: numpy.ndarray, start: tuple, end: tuple) -> numpy.ndarray:
    """Where the probability flow ODE takes x from one level to another: in one dimension, to the same quantile."""
    return quantile(share_below(x, *start), *end)


def posterior_mean(x: numpy.ndarray, alpha: float, sigma: float) -> numpy.ndarray:
    """E[x0 | x]: each mode's own, weighed by how likely x is to be of it."""
    variance = spread(alpha, sigma) ** 2
    weights = [numpy.exp(-0.5 * (x - alpha * mode) ** 2 / variance) for mode in MODES]
    means = [(alpha * WIDTH**2 * x + sigma**2 * mode) / variance for mode in MODES]
    return sum(weight * mean for weight, mean in zip(weights, means)) / sum(weights)


# --- the bundle ------------------------------------------------------------------------------------------------------


class ExactDenoiser(torch.nn.Module):
    """E[eps | x], of operators that a bundle may use."""

    def __init__(self):
        super().__init__()
        self.register_buffer("log_ratios", ((1 - ALPHAS_CUMPROD.double()) / ALPHAS_CUMPROD.double()).log().float() / 2)

    def level(self, timesteps):
        """alpha and sigma, each [N, 1, 1, 1]: log(sigma / alpha) is interpolated between whole timesteps."""
        below = timesteps.long().clamp(0, len(self.log_ratios) - 2)
        low, high = self.log_ratios.gather(0, below).double(), self.log_ratios.gather(0, below + 1).double()
        ratio = torch.exp(low + (timesteps.double() - below) * (high - low))[:, None]
        # (1, -1, r, -r) has mean 0 and variance (1 + r²) / 2: made 1, that leaves alpha and sigma but for sqrt(2).
        one = torch.ones_like(ratio)
        scaled = layer_norm(torch.cat([one, one * -1, ratio, ratio * -1], 1), (4,), eps=0.0) / math.sqrt(2)
        return scaled[:, 0, None, None, None], scaled[:, 2, None, None, None]

    def forward(self, latents, timesteps, conditioning):
        x, (alpha, sigma) = latents.double(), self.level(timesteps)
        variance = alpha * alpha * WIDTH**2 + sigma * sigma
        middle, apart = sum(MODES) / 2, MODES[1] - MODES[0]
        mode = torch.sigmoid((x - alpha * middle) * alpha * apart / variance) * apart + MODES[0]
        return (sigma * (x - alpha * mode) / variance).float()


class NoText(torch.nn.Module):
    def forward(self, ids, weights):
        return (weights[:, :1, :1],)


class GreyDecoder(torch.nn.Module):
    def forward(self, latents):
        return torch.tanh(torch.cat([latents, latents, latents], 1))


def write_module(module, inputs, folder: Path, name: str) -> dict:
    """As the exporter does it; the manifest's part of it."""
    module = module.eval()
    written = write_program(module, inputs, folder, name, torch.float32)
    refuse_constants(written.program)
    program = load_program(written.program, written.weights, torch.float32)
    verify(program, module, inputs, name, 1e-5)
    tensors = {key: {"dtype": SAFETENSORS_NAMES[t.dtype], "shape": list(t.shape)} for key, t in written.tensors.items()}
    return {
        "program": written.program.name,
        "weights": [path.name for path in written.weights],
        "compute_dtype": "float32",
        "tensors": tensors,
    }


def write_bundle(folder: Path, side: int = SIDE) -> Path:
    """A bundle of the exact denoiser, in a new folder: pictures of side x side pixels, a latent each."""
    folder.mkdir(parents=True)
    tokenizer = make_tokenizer()
    (folder / "tokenizer.model").write_bytes(tokenizer.serialized)
    ids = tokenizer.processor
    latents, tokens = torch.randn(2, 1, side, side), torch.ones(2, 1, tokenizer.length)
    modules = {
        "text_encoder": write_module(NoText(), (tokens.long(), tokens), folder, "text_encoder"),
        "denoiser": write_module(
            ExactDenoiser(), (latents, torch.tensor([1.5, 999]), tokens[:, :, :1]), folder, "denoiser"
        ),
        "decoders": {"full": write_module(GreyDecoder(), (latents,), folder, "decoder_full")},
    }
    manifest = {
        "format": "steplapse-bundle",
        "version": 2,
        "name": "two-modes",
        "source": "the exact denoiser of known data",
        "licence": "Apache-2.0",
        "files": describe_files(folder),
        "modules": modules,
        "tokenizers": [
            {
                "kind": "sentencepiece",
                "files": ["tokenizer.model"],
                "length": tokenizer.length,
                "bos": ids.bos_id(),
                "eos": ids.eos_id(),
                "pad": ids.pad_id(),
            }
        ],
        "max_chunks": 1,
        "clip_skip": 1,
        "latent_channels": 1,
        "downscale": 1,
        "sizes": {"default": [side, side], "allowed": [[side, side]]},
        "no_negative_prompt": "encode_empty",
        "training_noise": {
            "alphas_cumprod": ALPHAS_CUMPROD.tolist(),
            "prediction_type": "epsilon",
            "timestep_spacing": "leading",
            "steps_offset": 1,
            "final_alpha_cumprod": 1,
            "clip_sample_range": None,
        },
        "defaults": {"steps": 20, "sampler": "ddim", "guidance_scale": 1},
        "verified": {"batches": [2], "sizes": [[side, side]], "chunks": [1]},
        "prompts": None,
        "x0_rms": {"value": math.sqrt(MEAN**2 + VARIANCE), "assumed": False},
    }
    (folder / "model.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return folder
