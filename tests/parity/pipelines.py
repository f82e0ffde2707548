"""What the tests that hold our results against diffusers' share."""

import copy
import functools
import json

import numpy
import torch
from diffusers import DDIMScheduler
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from steplapse_export.programs import load_program
from steplapse_export.tiny.stable_diffusion import make_tiny_stable_diffusion

torch.set_num_threads(1)
torch.set_grad_enabled(False)


# --- the program's side --------------------------------------------------------------------------------------------


def manifest_of(bundle) -> dict:
    return json.loads((bundle / "model.json").read_text())


def final_of(run_folder) -> torch.Tensor:
    return load_file(run_folder / "final.safetensors")["latents"]


def tokens_of(bundle, entry: dict, prompts: list[str]) -> torch.Tensor:
    """[N, 1, L]: what transformers makes of the prompts with the bundle's own files and padding."""
    vocabulary, merges = (bundle / file for file in entry["files"])
    (pad,) = (token for token, id in json.loads(vocabulary.read_text()).items() if id == entry["pad"])
    tokenizer = CLIPTokenizer(str(vocabulary), str(merges), pad_token=pad)
    ids = tokenizer(prompts, padding="max_length", max_length=entry["length"], truncation=True, return_tensors="pt")
    return ids.input_ids[:, None]


def text_program_told_by_transformers(bundle, prompts: list[str]) -> tuple:
    """What the bundle's text encoder answers: (sequence,), or (sequence, pooled) for SDXL."""
    program = load_program(bundle / "text_encoder.pt", [bundle / "text_encoder.safetensors"], torch.float32)
    ids = [tokens_of(bundle, entry, prompts) for entry in manifest_of(bundle)["tokenizers"]]
    return program(*(value for one in ids for value in (one, torch.ones(one.shape))))


# --- diffusers' side -----------------------------------------------------------------------------------------------


def noise_of(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


@functools.cache
def pipeline_of(family: str, prediction: str = "epsilon"):
    """steplapse_export.tiny.stable_diffusion's, for reading. The weights are the same whatever they predict."""
    return make_tiny_stable_diffusion(family, prediction)


def with_scheduler(pipeline, **settings):
    """The same parts, and DDIM by the pipeline's own config but for `settings`."""
    pipeline = copy.copy(pipeline)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **settings)
    # It wants sides that 8 divides; that is right for autoencoders of four stages, ours have three.
    pipeline.check_inputs = lambda *_: None
    return pipeline


def latents_of(pipeline, prompt: str, seed: int, size=(32, 32), **settings) -> torch.Tensor:
    return pipeline(
        prompt, width=size[0], height=size[1], generator=noise_of(seed), output_type="latent", **settings
    ).images


def encoded_by(pipeline, prompts: str | list[str], **settings) -> tuple[tuple, tuple]:
    """The prompts' conditioning, and the negative prompts'; each as text_program_told_by_transformers()."""
    answer = pipeline.encode_prompt(
        prompts, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True, **settings
    )
    return answer[::2], answer[1::2]


def picture_of(pipeline, images: torch.Tensor) -> Image.Image:
    """Of a decoder's answer [1, 3, H, W]."""
    return pipeline.image_processor.postprocess(images, output_type="pil")[0]


# --- both ----------------------------------------------------------------------------------------------------------


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest, as a share of max |x|; of zeros only zeros are not far."""
    assert found.shape == wanted.shape
    return ((found.double() - wanted.double()).abs().max() / wanted.abs().max().clamp_min(1e-30)).item()


def largest_difference(found, wanted) -> float:
    return max(difference(*pair) for pair in zip(found, wanted, strict=True))


# What one network answers may differ between two copies of the same weights in memory, as a share of the largest
# number. Kernels take another path where an address is aligned, so the same products are added in another order. Each
# float32 addition rounds by up to 6e-8; measured are 1e-6 after the tens of layers here. Weights, token ids and
# programs are not computed: those are compared to the bit.
ROUNDING = 1e-5


def assert_same_but_for_rounding(found, wanted) -> None:
    assert largest_difference(found, wanted) <= ROUNDING


def pixel_difference(png, image: Image.Image) -> int:
    """The largest, of 255."""
    found, wanted = numpy.asarray(Image.open(png)).astype(int), numpy.asarray(image).astype(int)
    assert found.shape == wanted.shape
    return abs(found - wanted).max()
