"""What SD 1.x, 2.x and XL bundles draw is what diffusers' pipelines draw: tiny ones of random weights, and diffusers'
own __call__ beside the program."""

import functools
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from harness import make_tiny_bundle
from parity.pipelines import (
    difference,
    encoded_by,
    final_of,
    largest_difference,
    latents_of,
    manifest_of,
    picture_of,
    pipeline_of,
    pixel_difference,
    text_program_told_by_transformers,
    with_scheduler,
)
from steplapse_export.manifest import describe_training_noise
from steplapse_export.parts import Parts
from steplapse_export.tiny.stable_diffusion import FAMILIES, make_tiny_stable_diffusion

PROMPT, NEGATIVE = "a photo of a Red Apple, on a table!", "blurry, low quality; it's a blue whale"
SEED = 948574399


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
        manifest = manifest_of(changed)
        manifest["training_noise"] = describe_training_noise(pipeline_of(family, prediction).scheduler)
        (changed / "model.json").write_text(json.dumps(manifest))
        return changed

    return bundle_of


# --- whole trajectories ----------------------------------------------------------------------------------------------

# Prediction type, schedule, steps, guidance, eta, prompt, negative prompt (None: the flag is left out), size. Latents
# of 9x7 and 7x13 are such that the UNet's stages do not divide. v_prediction is of zero terminal SNR, and its own
# schedule is trailing. diffusers steps to t - 1000 // n, which is the next timestep for leading, and for trailing where
# n divides 1000.
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
@pytest.mark.parametrize(
    "prediction, spacing, steps, guidance, eta, prompt, negative, size",
    TRAJECTORIES,
    ids=[f"{p}-{spacing}-{steps}" for p, spacing, steps, *_ in TRAJECTORIES],
)
def test_trajectories_end_where_diffusers_does(
    draw, bundle_of, family, prediction, spacing, steps, guidance, eta, prompt, negative, size
):
    flags = [] if negative is None else ["--negative-prompt", negative]
    folder = draw(
        prompt,
        "--model",
        bundle_of(family, prediction),
        "--seed",
        SEED,
        "--size",
        f"{size[0]}x{size[1]}",
        "--steps",
        steps,
        "--schedule",
        spacing,
        "--guidance-scale",
        guidance,
        "--eta",
        eta,
        *flags,
    )
    pipeline = with_scheduler(pipeline_of(family, prediction), timestep_spacing=spacing)
    wanted = latents_of(
        pipeline,
        prompt,
        SEED,
        size,
        num_inference_steps=steps,
        guidance_scale=guidance,
        eta=eta,
        negative_prompt=negative,
    )
    images = pipeline.vae.decode(wanted / pipeline.vae.config.scaling_factor).sample
    assert difference(final_of(folder), wanted) <= 1e-4
    assert pixel_difference(folder / "final.png", picture_of(pipeline, images)) <= 1


def test_no_negative_prompt_is_zeros_for_sdxl_alone_and_an_empty_one_is_encoded(draw, bundle_of):
    for family, alike in [("sd1", True), ("sdxl", False)]:
        flags = [PROMPT, "--model", bundle_of(family), "--seed", SEED, "--steps", 2]
        none, empty = draw(*flags), draw(*flags, "--negative-prompt", "")
        assert torch.equal(final_of(none), final_of(empty)) == alike
        assert (difference(final_of(none), final_of(empty)) < 1e-2) == alike


# --- what the denoiser is told ---------------------------------------------------------------------------------------

# The last is cut where the window ends, by the pipelines and here.
PROMPTS = [PROMPT, NEGATIVE, "", "!!! 4K, naïve café", "a very long story of a whale and an apple " * 12]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_text_encoder_is_the_pipelines(bundle_of, family):
    negatives = ["", *PROMPTS[:-1]]
    cond, uncond = encoded_by(pipeline_of(family), PROMPTS, negative_prompt=negatives)
    assert difference(cond[0][:1], cond[0][1:2]) > 0.1
    assert largest_difference(text_program_told_by_transformers(bundle_of(family), PROMPTS), cond) <= 1e-5
    assert largest_difference(text_program_told_by_transformers(bundle_of(family), negatives), uncond) <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prompt, negative", [(PROMPT, NEGATIVE), (PROMPTS[3], ""), ("a whale", None)])
def test_conditioning_is_the_pipelines(run, tmp_path, bundle_of, family, prompt, negative):
    flags = [] if negative is None else ["--negative-prompt", negative]
    ended = run("tokens", prompt, "--model", bundle_of(family), "--embeddings", "embeddings", *flags)
    assert ended.code == 0, ended.err
    found = load_file(tmp_path / "embeddings")
    both = encoded_by(pipeline_of(family), prompt, negative_prompt=negative)
    for name, wanted in zip(("conditioning", "negative"), both):
        assert largest_difference([found.pop(f"{name}_{i}") for i in range(len(wanted))], wanted) <= 1e-5
    assert not found


def test_pooled_is_at_the_end_token_for_configs_with_clips_old_mistake_too():
    """An end token of 2 in the config, which is none of the prompt's."""
    pipeline = make_tiny_stable_diffusion("sdxl")
    pipeline.text_encoder_2.eos_token_id = pipeline.text_encoder_2.config.eos_token_id = 2
    ids = [
        tokenizer(PROMPTS, padding="max_length", truncation=True, return_tensors="pt").input_ids[:, None]
        for tokenizer in (pipeline.tokenizer, pipeline.tokenizer_2)
    ]
    module = Parts(pipeline, torch.float32, torch.float32, None).text_module()
    ones = torch.ones(ids[0].shape)
    assert largest_difference(module(ids[0], ones, ids[1], ones), encoded_by(pipeline, PROMPTS)[0]) <= 1e-5
