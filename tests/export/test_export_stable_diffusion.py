"""What scripts/export_bundle.py promises of Stable Diffusion pipelines: each of its options against diffusers, and what
it refuses."""

import functools
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import numpy
import pytest
import torch
from diffusers import AutoencoderTiny, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file
from transformers import CLIPTextModel

from harness import MOVED, ROOT, TIMEOUT, make_tiny_bundle
from measure.bits import move_weights
from parity.pipelines import (
    assert_same_but_for_rounding,
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
from steplapse_export import modules
from steplapse_export.exporter import Exporter, ExportOptions, export_bundle, silent
from steplapse_export.parts import Parts
from steplapse_export.programs import ExportError, load_program
from steplapse_export.tiny.stable_diffusion import FAMILIES, make_tiny_stable_diffusion

TEXT = {"name": "tiny", "source": "random weights, made for the tests", "licence": "Apache-2.0"}
PROMPT, NEGATIVE = "a photo of a red apple on a table", "a blue whale"
SEED = 20240607
EXPORTER = [sys.executable, ROOT / "scripts/export_bundle.py"]


def bundle_of(family: str, *flags: str):
    return make_tiny_bundle("--family", family, *flags)


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """export("sd1", clip_skip=2) is a bundle of the tiny pipeline, made once."""

    made = {}

    def export(family: str, **options):
        key = family, repr(options)
        if key not in made:
            made[key] = tmp_path_factory.mktemp(family) / "tiny"
            export_bundle(pipeline_of(family), made[key], ExportOptions(**TEXT, **options))
        return made[key]

    return export


def refusal_of(out, pipeline, **options) -> str:
    """The line; and nothing is left on the disk."""
    with pytest.raises(ExportError) as caught:
        export_bundle(pipeline, out, ExportOptions(**TEXT, **options))
    assert list(out.parent.iterdir()) == []
    return str(caught.value)


# --- clip skip -------------------------------------------------------------------------------------------------------

# Web UIs count layers from 1, the last. diffusers counts those left out: from the last for SD 1.x and 2.x, from the
# last but one for SDXL, which was taught with that. And it skips none for the negative prompt, whose embedding then is
# of another layer than the prompt's; a bundle takes both from one layer, as web UIs do, so diffusers is handed it here.


@pytest.fixture
def text_model(monkeypatch):
    """Where diffusers looks for the last norm when it skips layers; in transformers 5 the model itself has it."""
    monkeypatch.setattr(CLIPTextModel, "text_model", property(lambda model: model), raising=False)


@pytest.mark.parametrize("family, usual", [("sd1", 1), ("sdxl", 2)])
def test_clip_skip_of_one_more_than_usual_is_diffusers_clip_skip_of_1(draw, export, text_model, family, usual):
    bundle, pipeline = export(family, clip_skip=usual + 1), with_scheduler(pipeline_of(family))
    assert [manifest_of(each)["clip_skip"] for each in (bundle_of(family), bundle)] == [usual, usual + 1]
    cond, _ = encoded_by(pipeline, [PROMPT], clip_skip=1)
    uncond, _ = encoded_by(pipeline, [NEGATIVE], clip_skip=1)
    assert difference(cond[0], encoded_by(pipeline, [PROMPT])[0][0]) > 0.1
    assert largest_difference(text_program_told_by_transformers(bundle, [PROMPT]), cond) <= 1e-5

    folder = draw(
        PROMPT, "--model", bundle, "--seed", SEED, "--steps", 4, "--negative-prompt", NEGATIVE, "--guidance-scale", 5
    )
    names = ["negative_prompt_embeds", "negative_pooled_prompt_embeds"]
    wanted = latents_of(
        pipeline, PROMPT, SEED, num_inference_steps=4, guidance_scale=5, clip_skip=1, **dict(zip(names, uncond))
    )
    assert difference(final_of(folder), wanted) <= 1e-4


@pytest.mark.parametrize("clip_skip", [0, 4])
def test_a_layer_that_the_text_encoder_has_not_is_refused(tmp_path, clip_skip):
    assert (
        refusal_of(tmp_path / "out", pipeline_of("sd1"), clip_skip=clip_skip)
        == f"clip skip {clip_skip}: the text encoder has 3 layers"
    )


# --- decoders --------------------------------------------------------------------------------------------------------


@functools.cache
def tiny_decoder(latent_channels: int = 4, stages: int = 3) -> AutoencoderTiny:
    torch.manual_seed(1)
    return AutoencoderTiny(
        latent_channels=latent_channels,
        encoder_block_out_channels=(8,) * stages,
        num_encoder_blocks=(1,) * stages,
        decoder_block_out_channels=(8,) * stages,
        num_decoder_blocks=(1,) * stages,
    ).eval()


@functools.cache
def x0_of_run(steps: int) -> list[torch.Tensor]:
    """What diffusers' scheduler takes for clean latents at each step."""
    pipeline, estimates = with_scheduler(pipeline_of("sd1")), []
    step = pipeline.scheduler.step

    def step_and_note(*arguments, return_dict, **settings):
        answer = step(*arguments, **settings)
        estimates.append(answer.pred_original_sample)
        return (answer.prev_sample,)

    pipeline.scheduler.step = step_and_note
    latents_of(pipeline, PROMPT, SEED, num_inference_steps=steps, guidance_scale=1)
    return estimates


@functools.cache
def latents_to_fit() -> torch.Tensor:
    return torch.cat(x0_of_run(6))


def full_pictures(latents: torch.Tensor) -> torch.Tensor:
    vae = pipeline_of("sd1").vae
    return vae.decode(latents / vae.config.scaling_factor).sample.clamp(-1, 1)


def pixel_vectors(latents: torch.Tensor) -> numpy.ndarray:
    """[pixels, 5]: each latent pixel's channels, and 1."""
    vectors = latents.movedim(1, -1).reshape(-1, 4).double().numpy()
    return numpy.hstack([vectors, numpy.ones((len(vectors), 1))])


def squares_of(images: torch.Tensor) -> numpy.ndarray:
    """[pixels, 48]: the pictures cut to squares of 4 x 4, one a latent pixel: channel, row, column."""
    n, _, height, width = images.shape
    squares = images.reshape(n, 3, height // 4, 4, width // 4, 4).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(-1, 48).double().numpy()


@functools.cache
def least_squares_matrix() -> numpy.ndarray:
    """[5, 48]"""
    latents = latents_to_fit()
    return numpy.linalg.lstsq(pixel_vectors(latents), squares_of(full_pictures(latents)))[0]


def linear_pictures(latents: torch.Tensor) -> torch.Tensor:
    n, _, height, width = latents.shape
    squares = torch.from_numpy(pixel_vectors(latents) @ least_squares_matrix()).reshape(n, height, width, 3, 4, 4)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(n, 3, 4 * height, 4 * width).clamp(-1, 1)


def bundle_of_three_decoders(export):
    return export("sd1", tiny_decoder=tiny_decoder(), latents=latents_to_fit())


@pytest.mark.parametrize(
    "decoder, pictures",
    [
        ("full", full_pictures),
        ("linear", linear_pictures),
        ("tiny", lambda latents: tiny_decoder().decode(latents).sample),
    ],
)
def test_frames_are_the_decoders_pictures_of_x0(draw, export, decoder, pictures):
    folder = draw(
        PROMPT,
        "--model",
        bundle_of_three_decoders(export),
        "--seed",
        SEED,
        "--steps",
        3,
        "--guidance-scale",
        1,
        "--decoder",
        decoder,
        frames="x0",
    )
    frames = sorted((folder / "frames").rglob("*.png"))
    images = [picture_of(pipeline_of("sd1"), pictures(x0)) for x0 in x0_of_run(3)]
    assert max(pixel_difference(*pair) for pair in zip(frames, images, strict=True)) <= 1


def test_a_decoder_that_the_bundle_has_not_is_answered_with_those_it_has(run, export):
    ended = run(PROMPT, "--model", bundle_of_three_decoders(export), "--decoder", "nosuch")
    assert (ended.code, ended.err) == (2, "steplapse: --decoder 'nosuch': tiny has full, linear, tiny\n")


@pytest.mark.parametrize("channels, stages, found", [(16, 3, "16 channels at 1/4"), (4, 4, "4 channels at 1/8")])
def test_a_tiny_decoder_for_other_latents_is_refused(tmp_path, channels, stages, found):
    assert (
        refusal_of(tmp_path / "out", pipeline_of("sd1"), tiny_decoder=tiny_decoder(channels, stages))
        == f"the tiny decoder takes {found} of the picture's size, the model has 4 at 1/4"
    )


def test_the_linear_decoder_is_the_least_squares_fit_to_the_full_one():
    latents, random = latents_to_fit(), numpy.random.default_rng(0)
    linear = modules.fit_linear_decoder(full_pictures, latents, 4)
    matrix = numpy.vstack([linear.conv.weight[:, :, 0, 0].T, linear.conv.bias]).astype(float)
    vectors, squares = pixel_vectors(latents), squares_of(full_pictures(latents))

    def error(matrix):
        return ((vectors @ matrix - squares) ** 2).sum()

    # The ridge that keeps it tame with few latents hardly moves it.
    assert abs(matrix - least_squares_matrix()).max() <= 5e-3 * abs(matrix).max()
    assert error(least_squares_matrix()) <= error(matrix) <= error(least_squares_matrix()) * (1 + 1e-4)
    for _ in range(20):
        direction = random.normal(size=matrix.shape) * 0.05 * abs(matrix).max()
        assert error(matrix + direction) > error(matrix) < error(matrix - direction)


# --- what it computes in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family, decoder_dtype", [("sd1", "bfloat16"), ("sdxl", "float32")])
def test_bfloat16_stays_near_float32(draw, export, family, decoder_dtype):
    bundle = export(family, dtype="bfloat16")
    modules = manifest_of(bundle)["modules"]
    assert modules["denoiser"]["compute_dtype"] == modules["text_encoder"]["compute_dtype"] == "bfloat16"
    assert modules["decoders"]["full"]["compute_dtype"] == decoder_dtype
    folder = draw(PROMPT, "--model", bundle, "--seed", SEED, "--steps", 4, "--guidance-scale", 3)
    wanted = latents_of(with_scheduler(pipeline_of(family)), PROMPT, SEED, num_inference_steps=4, guidance_scale=3)
    assert difference(final_of(folder), wanted) <= 0.1  # bfloat16 has 8 bits: each operation is up to 0.004 off


@pytest.mark.parametrize(
    "family, found", [("sd1", ("float16", {"F16"})), ("sd2", ("float16", {"F16"})), ("sdxl", ("float32", {"F32"}))]
)
def test_in_float16_sdxl_alone_keeps_its_decoder_in_float32(tmp_path, family, found):
    pipeline = make_tiny_stable_diffusion(family)
    pipeline.vae.register_to_config(force_upcast=True)  # as the real ones of all three say
    parts = Parts(pipeline, torch.float16, torch.float16, None)
    exporter = Exporter(parts, [[20, 28]], tmp_path, silent)
    entry = exporter.decoder("full", parts.full_decoder_module(), parts.decode, "decoder", channels_last=True)
    assert (entry["compute_dtype"], {tensor["dtype"] for tensor in entry["tensors"].values()}) == found
    assert parts.unet.dtype == torch.float16


# --- what it refuses, and what it leaves alone -----------------------------------------------------------------------


class BakesItsBatchIntoAShape(modules.Denoiser):
    def forward(self, latents, *others):
        return super().forward(latents, *others).reshape(len(latents), *latents.shape[1:])


class BakesItsBatchIntoANumber(modules.Denoiser):
    def forward(self, latents, *others):
        return super().forward(latents, *others) * (latents.shape[0] / len(latents))


@pytest.mark.parametrize(
    "wrapper, line",
    [
        (
            BakesItsBatchIntoAShape,
            r"denoiser at batch 1, 20x28, 2 chunks: the program fails: .*"
            r"shape '\[2, 4, .*' is invalid.*",
        ),
        (
            BakesItsBatchIntoANumber,
            r"denoiser at batch 1, 20x28, 2 chunks: the program is 0\.5 off the pipeline's answer, "
            r"0\.0001 is allowed",
        ),
    ],
)
def test_a_program_for_one_batch_size_alone_is_refused(tmp_path, monkeypatch, wrapper, line):
    monkeypatch.setattr(modules, "Denoiser", wrapper)
    assert re.fullmatch(line, refusal_of(tmp_path / "out", pipeline_of("sd1")))


def test_a_weight_that_float16_has_not_is_refused_by_name(tmp_path):
    pipeline = make_tiny_stable_diffusion("sd1")
    pipeline.unet.mid_block.resnets[0].conv1.weight[0, 0, 0, 0] = 1e5
    assert (
        refusal_of(tmp_path / "out", pipeline, dtype="float16")
        == "unet.mid_block.resnets.0.conv1.weight holds numbers that torch.float16 can't: use bfloat16 or float32"
    )


def test_an_autoencoder_with_latents_of_another_mean_is_refused(tmp_path):
    pipeline = make_tiny_stable_diffusion("sdxl")
    pipeline.vae.register_to_config(latents_mean=[0.1, 0.2, 0.3, 0.4])
    assert (
        refusal_of(tmp_path / "out", pipeline)
        == "the autoencoder's config has latents_mean, which this exporter does not know"
    )


@pytest.mark.parametrize(
    "options, line",
    [
        ({"sizes": [[30, 32]]}, "--sizes 30x32: expected multiples of 4, as many pixels as a latent stands for"),
        (
            {"sizes": {"min": 0, "max": 64, "multiple": 4}},
            "--sizes 0:64:4: expected a least side of 1 or more, and a multiple of 4",
        ),
        ({"sizes": {"min": 33, "max": 39, "multiple": 8}}, "--sizes 33:39:8: no multiple of 8 lies in between"),
        ({"steps": 0}, "--steps 0: expected 1 to 1000"),
        ({"steps": 2000}, "--steps 2000: expected 1 to 1000"),
        ({"guidance_scale": float("nan")}, "--guidance-scale nan: expected 0 to 1000"),
        ({"prompts": {"a": 1}}, '--prompts: wanted a list of {"name": TEXT, "keywords": [TEXT, ...]}'),
        ({"latents": torch.zeros(2, 3, 8, 8)}, "--latents: they are [2, 3, 8, 8], the model's are [N, 4, h, w]"),
    ],
)
def test_what_no_bundle_may_say_is_refused_before_anything_is_traced(tmp_path, monkeypatch, options, line):
    monkeypatch.setattr(Exporter, "export", None)
    assert refusal_of(tmp_path / "out", pipeline_of("sd1"), **options) == line


@pytest.mark.parametrize(
    "sizes, default",
    [
        ([[32, 32], [16, 16], [36, 28]], [32, 32]),
        ([[16, 24], [20, 28]], [16, 24]),
        ({"min": 13, "max": 28, "multiple": 4}, [16, 16]),
    ],
)
def test_every_size_that_is_allowed_can_be_drawn(draw, export, sizes, default):
    bundle = export("sd1", sizes=sizes)
    assert manifest_of(bundle)["sizes"] == {"default": default, "allowed": sizes}
    for width, height in sizes if isinstance(sizes, list) else [[16, 28], [20, 20]]:
        folder = draw(
            PROMPT,
            "--model",
            bundle,
            "--seed",
            SEED,
            "--steps",
            2,
            "--guidance-scale",
            3,
            "--size",
            f"{width}x{height}",
        )
        wanted = latents_of(
            with_scheduler(pipeline_of("sd1")), PROMPT, SEED, (width, height), num_inference_steps=2, guidance_scale=3
        )
        assert difference(final_of(folder), wanted) <= 1e-4


def test_a_guidance_scale_of_0_stays_0(export):
    assert manifest_of(export("sd1", guidance_scale=0))["defaults"]["guidance_scale"] == 0


def test_words_that_textual_inversion_added_are_refused(tmp_path):
    pipeline = make_tiny_stable_diffusion("sd1")
    pipeline.tokenizer.add_tokens(["<cat-toy>"])
    assert refusal_of(tmp_path / "out", pipeline) == (
        "the tokenizer has words of its own, '<cat-toy>' for one: a bundle has no place for what textual inversion adds"
    )


@pytest.mark.parametrize("scheduler", [FlowMatchEulerDiscreteScheduler, EDMEulerScheduler])
def test_noise_of_another_kind_is_refused(tmp_path, scheduler):
    pipeline = make_tiny_stable_diffusion("sd1")
    pipeline.scheduler = scheduler()
    assert refusal_of(tmp_path / "out", pipeline).startswith(
        f"the scheduler, a {scheduler.__name__}, has no beta_start: a bundle has the training noise of"
    )


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_by_a_signal_it_leaves_nothing_behind(tmp_path, number, code):
    process = subprocess.Popen(
        [*EXPORTER, "--tiny", "--family", "sd1", tmp_path / "out"], stderr=subprocess.PIPE, text=True
    )
    try:
        while not list(tmp_path.glob(".out.*/denoiser.safetensors")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == code
    assert said.splitlines()[-1] == f"export_bundle.py: stopped by {number.name}; nothing was left behind"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**12, 10**12 - 10**7, 10**7)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(Exporter, "export", None)
    assert refusal_of(tmp_path / "out", pipeline_of("sd1")) == f"{tmp_path}: 0.0 GB are free, the bundle needs 0.1 GB"


def test_killed_it_leaves_no_folder_of_that_name(tmp_path):
    process = subprocess.Popen([*EXPORTER, "--tiny", "--family", "sd1", tmp_path / "out"], stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob(".out.*/denoiser.safetensors")):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "out").exists()


def state_of(pipeline) -> dict:
    """All there is to change: classes and flags of modules, tensors to the bit, configs."""
    state = {"scheduler": dict(pipeline.scheduler.config)}
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            state[name] = {path: (type(module), module.training) for path, module in part.named_modules()}
            state[f"{name}.tensors"] = {
                key: (tensor.dtype, tensor.numpy().tobytes()) for key, tensor in part.state_dict().items()
            }
            state[f"{name}.requires_grad"] = {key: value.requires_grad for key, value in part.named_parameters()}
            state[f"{name}.config"] = str(part.config)
    return state


@pytest.mark.parametrize("family, clip_skip", [("sd1", 2), ("sdxl", 3)])
def test_an_exported_pipeline_is_as_one_that_never_was(export, family, clip_skip):
    export(family, clip_skip=clip_skip)
    assert state_of(pipeline_of(family)) == state_of(make_tiny_stable_diffusion(family))


# --- the bundle ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family, pads", [("sd1", [49407]), ("sd2", [0]), ("sdxl", [49407, 0])])
def test_tokenizers_share_their_files_and_differ_in_padding(family, pads):
    entries = manifest_of(bundle_of(family))["tokenizers"]
    assert entries == [
        {
            "kind": "clip_bpe",
            "files": ["vocab.json", "merges.txt"],
            "length": 77,
            "bos": 49406,
            "eos": 49407,
            "pad": pad,
        }
        for pad in pads
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_programs_run_where_their_inputs_are(family):
    # Without a GPU, the meta device tells: mixing it with a tensor left on the CPU is an error.
    bundle = bundle_of(family)

    def program(name):
        return load_program(bundle / f"{name}.pt", [bundle / f"{name}.safetensors"], torch.float32, "meta")

    with torch.device("meta"):
        inputs = [torch.zeros(3, 2, 77, dtype=torch.int64), torch.ones(3, 2, 77)]
        latents, timesteps = torch.zeros(3, 4, 7, 9), torch.zeros(3)
    conditioning = program("text_encoder")(*inputs * (1 + (family == "sdxl")))
    answers = [
        program("denoiser")(latents, timesteps, *conditioning),
        program("decoder_full")(latents),
        program("decoder_linear")(latents),
    ]
    assert [(answer.device.type, answer.shape) for answer in answers] == [
        ("meta", (3, 4, 7, 9)),
        ("meta", (3, 3, 28, 36)),
        ("meta", (3, 3, 28, 36)),
    ]


def test_prediction_types_part_in_what_the_manifest_says_of_noise():
    """And in the linear decoder, which is fitted on other runs."""
    bundles = [bundle_of("sd1"), bundle_of("sd1", "--prediction-type", "v_prediction")]
    manifests = [manifest_of(bundle) for bundle in bundles]
    for manifest in manifests:
        assert manifest["files"].pop("decoder_linear.safetensors")
    epsilon, v_prediction = (manifest.pop("training_noise") for manifest in manifests)
    assert manifests[0] == manifests[1]
    scheduler = make_tiny_stable_diffusion("sd1", "v_prediction").scheduler
    assert v_prediction == {
        **epsilon,
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "alphas_cumprod": scheduler.alphas_cumprod.tolist(),
        "final_alpha_cumprod": scheduler.final_alpha_cumprod.item(),
    }
    assert v_prediction["alphas_cumprod"][-1] == 0


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_saved_pipeline_becomes_the_same_bundle(draw, tmp_path, family):
    pipeline_of(family).save_pretrained(tmp_path / "saved pipeline")
    subprocess.run(
        [
            *EXPORTER,
            tmp_path / "saved pipeline",
            tmp_path / "tiny",
            "--dtype",
            "float32",
            "--licence",
            "Apache-2.0",
            "--guidance-scale",
            "5",
        ],
        check=True,
        capture_output=True,
    )
    move_weights(tmp_path / "tiny", MOVED)
    bundles = tmp_path / "tiny", bundle_of(family)
    saved, own = map(manifest_of, bundles)
    assert saved["source"] == "folder saved pipeline"
    assert saved.pop("x0_rms") == {"value": 1, "assumed": True}
    assert own.pop("x0_rms") == {"value": 1e6, "assumed": False}  # of random weights no size is worth a warning
    for manifest in (saved, own):
        assert manifest["files"].pop("decoder_linear.safetensors")
    assert saved == {**own, "source": saved["source"]}  # each other file's hash too

    # The linear decoder is fitted to what the network and the full decoder answer, which is a computation.
    fitted = [load_file(bundle / "decoder_linear.safetensors") for bundle in bundles]
    assert fitted[0].keys() == fitted[1].keys()
    assert_same_but_for_rounding(fitted[0].values(), fitted[1].values())

    flags = [PROMPT, "--seed", SEED, "--steps", 2, "--guidance-scale", 5, "--model"]
    assert_same_but_for_rounding(*([final_of(draw(*flags, bundle))] for bundle in bundles))


# --- optional keys of the manifest -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bundle_names_its_family(family):
    manifest = manifest_of(bundle_of(family))
    assert (manifest["version"], manifest["family"]) == (2, family)


def test_x0_rms_is_measured_on_the_latents_that_are_given(export):
    latents = 3 * latents_to_fit()
    measured = manifest_of(export("sd1", latents=latents))["x0_rms"]
    assert measured == {
        "value": pytest.approx(numpy.sqrt((latents.double().numpy() ** 2).mean()), abs=1e-6),
        "assumed": False,
    }


def test_latents_of_zeros_or_infinities_are_refused(tmp_path):
    for value in (0.0, float("inf")):
        said = refusal_of(tmp_path / "out", pipeline_of("sd1"), latents=torch.full((1, 4, 8, 8), value))
        assert said == (
            f"--latents: their root mean square is {value}, expected 1e-6 to 1e6: latents as the denoiser makes them"
        )
