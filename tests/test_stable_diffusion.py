"""What SD 1.x, 2.x and XL bundles draw is what diffusers' pipelines draw: tiny ones of random weights, and diffusers'
own __call__ beside the program. How they are exported is in test_export_stable_diffusion.py."""

import copy
import functools
import json
import shutil

import numpy
import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler
from transformers import CLIPTextModel, CLIPTokenizer

from conftest import make_tiny_bundle
from parity import difference, final_of, noise_of, pixel_difference  # first: it finds scripts/
from bundle_programs import as_tuple, load_program
from export_bundle import describe_training_noise, export_bundle
from tiny_stable_diffusion import FAMILIES, make_tiny_stable_diffusion

TEXT = {"name": "tiny", "source": "random weights, made for the tests", "licence": "Apache-2.0"}
PROMPT, NEGATIVE = "a photo of a Red Apple, on a table!", "blurry, low quality; it's a blue whale"
SEED = 948574399


@functools.cache
def pipeline_of(family: str, prediction: str = "epsilon"):
    """For reading. The weights are the same whatever they predict."""
    return make_tiny_stable_diffusion(family, prediction)


def with_scheduler(pipeline, **settings):
    """The same parts, and DDIM by the pipeline's own config but for `settings`."""
    pipeline = copy.copy(pipeline)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **settings)
    # It wants sides that 8 divides; that is right for autoencoders of four stages, ours have three.
    pipeline.check_inputs = lambda *_: None
    return pipeline


def latents_of(pipeline, prompt, size=(32, 32), **settings) -> torch.Tensor:
    return pipeline(prompt, width=size[0], height=size[1], generator=noise_of(SEED), output_type="latent",
                    **settings).images


def picture_of(pipeline, latents, vae=None):
    """As the pipeline's own __call__ ends where pictures are asked for."""
    vae = vae or pipeline.vae
    return pipeline.image_processor.postprocess(vae.decode(latents / vae.config.scaling_factor).sample,
                                                output_type="pil")[0]


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory):
    """bundle_of("sd1", "sample"). Prediction types part in training_noise alone (test_export_stable_diffusion.py), so
    that one export serves all three."""

    @functools.cache
    def bundle_of(family: str, prediction: str = "epsilon"):
        bundle = make_tiny_bundle("--family", family)
        if prediction == "epsilon":
            return bundle
        changed = tmp_path_factory.mktemp(f"{family}_{prediction}") / "tiny"
        shutil.copytree(bundle, changed)
        manifest = json.loads((changed / "model.json").read_text())
        manifest["training_noise"] = describe_training_noise(pipeline_of(family, prediction).scheduler)
        (changed / "model.json").write_text(json.dumps(manifest))
        return changed

    return bundle_of


# --- whole trajectories --------------------------------------------------------------------------------------------

# Prediction type, schedule, steps, guidance, eta, prompt, negative prompt (None: the flag is left out), size. Latents of
# 9x7 and 7x13 are such that the UNet's stages do not divide. v_prediction is of zero terminal SNR, and its own schedule
# is trailing. diffusers steps to t - 1000 // n, which is the next timestep for leading, for trailing where n divides 1000.
TRAJECTORIES = [
    ("epsilon", "leading", 10, 7.5, 0, PROMPT, None, (32, 32)),
    ("epsilon", "leading", 7, 1, 0.7, PROMPT, None, (48, 32)),
    ("epsilon", "trailing", 8, 7.5, 0.7, "", NEGATIVE, (36, 28)),
    ("v_prediction", "trailing", 5, 7.5, 0.7, PROMPT, None, (36, 28)),
    ("v_prediction", "trailing", 4, 7.5, 0, PROMPT, NEGATIVE, (28, 52)),
    ("v_prediction", "leading", 6, 1, 0, PROMPT, None, (32, 32)),
    ("sample", "leading", 6, 7.5, 0, PROMPT, "", (28, 52)),
    ("sample", "trailing", 10, 7.5, 0.7, PROMPT, None, (48, 32)),
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prediction, spacing, steps, guidance, eta, prompt, negative, size", TRAJECTORIES,
                         ids=[f"{p}-{spacing}-{steps}" for p, spacing, steps, *_ in TRAJECTORIES])
def test_trajectories_end_where_diffusers_does(draw, bundle_of, family, prediction, spacing, steps, guidance, eta,
                                               prompt, negative, size):
    flags = [] if negative is None else ["--negative-prompt", negative]
    folder = draw(prompt, "--model", bundle_of(family, prediction), "--seed", SEED, "--size", f"{size[0]}x{size[1]}",
                  "--steps", steps, "--schedule", spacing, "--guidance-scale", guidance, "--eta", eta, *flags)
    pipeline = with_scheduler(pipeline_of(family, prediction), timestep_spacing=spacing)
    wanted = latents_of(pipeline, prompt, size, num_inference_steps=steps, guidance_scale=guidance, eta=eta,
                        negative_prompt=negative)
    assert difference(final_of(folder), wanted) <= 1e-4
    assert pixel_difference(folder / "final.png", picture_of(pipeline, wanted)) <= 1
