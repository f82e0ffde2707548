"""What the tests that hold our results against diffusers' share."""

import sys

import numpy
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def noise_of(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def final_of(run_folder) -> torch.Tensor:
    return load_file(run_folder / "final.safetensors")["latents"]


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest, as a share of max |x|."""
    assert found.shape == wanted.shape
    return ((found.double() - wanted.double()).abs().max() / wanted.abs().max()).item()


def pixel_difference(png, image: Image.Image) -> int:
    """The largest, of 255."""
    found, wanted = numpy.asarray(Image.open(png)).astype(int), numpy.asarray(image).astype(int)
    assert found.shape == wanted.shape
    return abs(found - wanted).max()
