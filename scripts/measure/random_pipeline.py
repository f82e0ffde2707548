"""Stable Diffusion pipelines of full size and random weights: they draw noise, at the cost of the real thing."""

import json
import math

import torch
from accelerate import init_empty_weights
from diffusers import DDIMScheduler

from steplapse_export.sources.index import part_class
from steplapse_export.sources.single_file import CONFIGS, assemble, make_tokenizer

FAMILIES = ("sd1", "sd2", "sdxl")


def random_like(name: str, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Of a size at which each layer's answers are about as large as what it was asked with."""
    if tensor.dim() >= 2:
        bound = math.sqrt(3 / tensor[0].numel())
        return torch.empty(tensor.shape, dtype=dtype).uniform_(-bound, bound)
    return torch.full(tensor.shape, float(name.endswith("weight")), dtype=dtype)


def make_part(folder, index: dict, name: str, dtype: torch.dtype) -> torch.nn.Module:
    kind = part_class(index, name)
    with init_empty_weights():
        if index[name][0] == "diffusers":
            part = kind.from_config(kind.load_config(folder / name, local_files_only=True))
        else:
            part = kind(kind.config_class.from_pretrained(folder / name, local_files_only=True))
    for module in part.modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                value = random_like(key, parameter, dtype)
                module._parameters[key] = torch.nn.Parameter(value, requires_grad=False)
        for key, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:  # CLIP's position_ids is the one there is
                module._buffers[key] = torch.arange(buffer.shape[-1]).expand(buffer.shape).contiguous()
    return part.eval()


def make_random_pipeline(family: str, dtype: torch.dtype, prediction_type: str = "epsilon"):
    """The same weights each time."""
    torch.manual_seed(0)
    folder = CONFIGS / family
    index = json.loads((folder / "model_index.json").read_text())
    names = ["unet", "vae", "text_encoder", *(["text_encoder_2"] if family == "sdxl" else [])]
    parts = {name: make_part(folder, index, name, dtype) for name in names}
    settings = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    parts["scheduler"] = DDIMScheduler.from_config({**settings, "prediction_type": prediction_type})
    for name in ("tokenizer", "tokenizer_2") if family == "sdxl" else ("tokenizer",):
        parts[name] = make_tokenizer(folder / name)
    pipeline = assemble(index, parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
