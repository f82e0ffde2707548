"""Networks that tests write themselves, in place of a module of the tiny bundle.

A bundle's program may have no condition and no loop, and no method but forward.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from measure.bits import accept_files


class NanAt(torch.nn.Module):
    """A denoiser that answers NaN at a timestep."""

    def __init__(self, timestep: int):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.timestep = timestep

    def forward(self, latents: torch.Tensor, timesteps: torch.Tensor, conditioning: torch.Tensor) -> torch.Tensor:
        wrong = torch.where(timesteps == self.timestep, float("nan"), 1.0)
        return latents * self.scale * wrong.view([-1, 1, 1, 1])


def copy_with(tiny_bundle: Path, copy: Path, place: str, module: torch.nn.Module) -> Path:
    """Copies the bundle, and puts a module whose one parameter is `scale` in the place of `denoiser`, `text_encoder`
    or the decoder `full`."""
    shutil.copytree(tiny_bundle, copy)
    manifest = json.loads((copy / "model.json").read_text())
    spec = manifest["modules"]["decoders"]["full"] if place == "full" else manifest["modules"][place]
    spec["tensors"] = {"scale": {"dtype": "F32", "shape": [1]}}
    (copy / "model.json").write_text(json.dumps(manifest))
    save_file({"scale": torch.ones(1)}, copy / spec["weights"][0])
    module.scale.data = torch.empty(0)
    torch.jit.script(module.eval()).save(str(copy / spec["program"]))
    accept_files(copy)
    return copy
