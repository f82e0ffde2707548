"""DDIM is diffusers' DDIM: runs of the program on tiny bundles, against DDIMScheduler on the same denoiser."""

import json

import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from safetensors.torch import save_file

from parity.pipelines import difference, final_of, noise_of, pixel_difference
from parity.reference import SHAPE, Reference, calls_of

# --- whole trajectories -----------------------------------------------------------------------------------------

# Prediction type, schedule, steps, guidance, eta, negative prompt (None: the flag is left out), clip_sample_range.
# diffusers steps to t - 1000 // n, the next listed timestep for leading, and for trailing where n divides 1000.
TRAJECTORIES = [
    ("epsilon", "leading", 10, 7.5, 0, None, None),
    ("epsilon", "leading", 7, 1, 0.7, None, None),
    ("epsilon", "trailing", 8, 7.5, 0.7, "blue whale", None),
    ("epsilon", "trailing", 10, 3, 1, "", 0.8),
    ("v_prediction", "leading", 9, 7.5, 0.7, "", None),
    ("v_prediction", "trailing", 5, 1, 0, None, None),
    ("sample", "leading", 6, 7.5, 0, "blue whale", None),
    ("sample", "trailing", 4, 2, 0.7, None, 0.8),
]


@pytest.mark.parametrize("prediction, spacing, steps, guidance, eta, negative, clip", TRAJECTORIES)
def test_trajectories_end_where_diffusers_does(
    changed_bundle, draw, prediction, spacing, steps, guidance, eta, negative, clip
):
    bundle = changed_bundle(
        lambda manifest: manifest["training_noise"].update(prediction_type=prediction, clip_sample_range=clip)
    )
    seed = 948574399
    flags = [] if negative is None else ["--negative-prompt", negative]
    folder = draw(
        "red apple",
        "--model",
        bundle,
        "--seed",
        seed,
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
    reference = Reference(bundle)
    wanted = reference.sample(
        "red apple", steps=steps, spacing=spacing, guidance=guidance, eta=eta, seed=seed, negative=negative or ""
    )
    final = final_of(folder)
    assert difference(final, wanted) <= 1e-4

    calls = calls_of(folder)
    assert len(calls) == steps
    assert all((uncond is not None) == (guidance > 1) for _, _, uncond in calls)

    # And the picture of it: the decoder's answer as diffusers makes pixels of it.
    image = VaeImageProcessor().postprocess(reference.decoder(wanted), output_type="pil")[0]
    assert pixel_difference(folder / "final.png", image) <= 1


def test_a_negative_prompt_steers_and_an_empty_one_is_the_same_as_none(draw):
    flags = ["red apple", "--seed", 1, "--steps", 3, "--guidance-scale", 7.5]
    none, empty = draw(*flags), draw(*flags, "--negative-prompt", "")
    steered = draw(*flags, "--negative-prompt", "blue whale")
    assert torch.equal(final_of(none), final_of(empty))
    assert difference(final_of(steered), final_of(none)) > 1e-2


def test_no_negative_prompt_is_zeros_where_the_bundle_says_so_and_an_empty_one_is_encoded(changed_bundle, draw):
    bundle = changed_bundle(lambda manifest: manifest.update(no_negative_prompt="zeros"))
    flags = ["red apple", "--model", bundle, "--seed", 2, "--steps", 4, "--guidance-scale", 7.5]
    settings = {"steps": 4, "spacing": "leading", "guidance": 7.5, "eta": 0, "seed": 2}
    reference = Reference(bundle)
    zeros, empty = draw(*flags), draw(*flags, "--negative-prompt", "")
    assert difference(final_of(zeros), reference.sample("red apple", **settings, negative=None)) <= 1e-4
    assert difference(final_of(empty), reference.sample("red apple", **settings, negative="")) <= 1e-4
    assert difference(final_of(zeros), final_of(empty)) > 1e-2


# --- one step ---------------------------------------------------------------------------------------------------


# A bundle whose leading list starts at offset t and whose last alpha is another timestep's makes one step of t -> to.
@pytest.mark.parametrize(
    "prediction, t, to, eta, clip",
    [
        ("epsilon", 951, 801, 0, None),
        ("epsilon", 501, 401, 0.7, 0.5),
        ("epsilon", 1, 0, 0, None),
        ("v_prediction", 999, 899, 0.7, None),
        ("v_prediction", 101, 1, 0, 0.5),
        ("sample", 901, 601, 0, None),
        ("sample", 21, 1, 0.7, None),
    ],
)
def test_a_step_from_the_same_x_and_answer_is_the_same(changed_bundle, draw, tmp_path, prediction, t, to, eta, clip):
    def from_t(manifest):
        noise = manifest["training_noise"]
        noise.update(
            prediction_type=prediction,
            clip_sample_range=clip,
            steps_offset=t,
            final_alpha_cumprod=noise["alphas_cumprod"][to],
        )
        manifest["defaults"]["steps"] = 1  # with more of them the list would start outside the table

    bundle = changed_bundle(from_t)
    x = torch.randn(SHAPE, generator=noise_of(5))
    save_file({"latents": x}, tmp_path / "x.safetensors")
    folder = draw(
        "red apple",
        "--model",
        bundle,
        "--steps",
        1,
        "--schedule",
        "leading",
        "--guidance-scale",
        7.5,
        "--eta",
        eta,
        "--seed",
        3,
        "--latents",
        tmp_path / "x.safetensors",
    )
    ((asked, cond, uncond),) = calls_of(folder)
    assert asked == t

    scheduler = Reference(bundle).scheduler()
    scheduler.set_timesteps(1)
    wanted = scheduler.step(uncond + 7.5 * (cond - uncond), t, x, eta=eta, generator=noise_of(3)).prev_sample
    assert difference(final_of(folder), wanted) <= 1e-6


# --- where the noise comes from -----------------------------------------------------------------------------------


def test_latents_in_a_file_stand_for_the_seeds_own(draw, tmp_path):
    save_file({"latents": torch.randn(SHAPE, generator=noise_of(7))}, tmp_path / "start.safetensors")
    flags = ["red apple", "--steps", 3]
    given = draw(*flags, "--seed", 8, "--latents", tmp_path / "start.safetensors")
    drawn = draw(*flags, "--seed", 7)
    assert torch.equal(final_of(given), final_of(drawn))


def test_philox_is_another_generator_and_the_run_says_which(draw):
    flags = ["red apple", "--steps", 1, "--seed", 7]
    folders = {rng: draw(*flags, "--rng", rng) for rng in ("cpu", "philox")}
    assert difference(final_of(folders["philox"]), final_of(folders["cpu"])) > 1e-2
    for rng, folder in folders.items():
        assert json.loads((folder / "run.json").read_text())["rng"] == rng
