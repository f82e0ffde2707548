"""docs/models.md, with tiny models: a checkpoint file and LoRAs in, by the command line, and diffusers'
latents out of the program."""

import copy
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from export.loras import SD1_LAYERS, save_kohya
from harness import ROOT
from parity.pipelines import difference, final_of, latents_of, manifest_of, with_scheduler

STEPS = 4


def export(*arguments) -> str:
    """What the exporter says; it ends well."""
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts/export_bundle.py", *map(str, arguments)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def drawn(draw, bundle, size) -> torch.Tensor:
    return final_of(
        draw(
            "a photo of a cat",
            "--model",
            bundle,
            "--seed",
            5,
            "--steps",
            STEPS,
            "--guidance-scale",
            7.5,
            "--size",
            f"{size}x{size}",
        )
    )


def wanted(pipeline, size) -> torch.Tensor:
    return latents_of(
        with_scheduler(pipeline), "a photo of a cat", 5, (size, size), num_inference_steps=STEPS, guidance_scale=7.5
    )


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_checkpoint_file_draws_what_diffusers_draws(request, family, draw, tmp_path):
    made = request.getfixturevalue(family)
    said = export(made.file, tmp_path / "mine", "--config", made.config, "--dtype", "float32")
    # Each module says what became of it, and the last line that all is there.
    assert [line.split(":")[0] for line in said.splitlines() if ": answers as the pipeline does" in line] == [
        "text_encoder",
        "denoiser",
        "decoder_full",
        "decoder_linear",
    ]
    assert f"{tmp_path / 'mine'}: done" in said.splitlines()[-1]
    source = manifest_of(tmp_path / "mine")["source"]
    assert source.startswith(f"{made.file.name} (") and "SHA-256" in source
    assert difference(drawn(draw, tmp_path / "mine", 16), wanted(made.pipeline, 16)) <= 1e-4


def test_loras_on_the_command_line_are_in_the_weights(sd1, draw, tmp_path):
    pipeline = copy.deepcopy(sd1.pipeline)
    flags = []
    for seed, weight in ((1, 0.8), (2, -0.3)):
        file = tmp_path / f"lora{seed}.safetensors"
        for (part, name), change in save_kohya(file, sd1.pipeline, SD1_LAYERS, seed).items():
            getattr(pipeline, part).state_dict()[name].add_(weight * change)  # it shares the parameter's memory
        flags.append(f"{file}:{weight}")
    export(sd1.file, tmp_path / "mine", "--config", sd1.config, "--lora", *flags)
    final = drawn(draw, tmp_path / "mine", 16)
    assert difference(final, wanted(pipeline, 16)) <= 1e-4
    assert difference(final, wanted(sd1.pipeline, 16)) > 1e-2
    source = manifest_of(tmp_path / "mine")["source"]
    assert (
        "; LoRA lora1.safetensors at 0.8 (SHA-256 " in source and "; LoRA lora2.safetensors at -0.3 (SHA-256 " in source
    )


@pytest.mark.parametrize(
    "arguments, line",
    [
        (
            ["nowhere.safetensors", "mine"],
            "nowhere.safetensors: no such file or folder, and no Hugging Face id, which is owner/name",
        ),
        (["FILE", "mine", "--config", "CONFIG", "--clip-skip", "9"], "clip skip 9: the text encoder has 2 layers"),
        (
            ["FILE", "mine", "--config", "CONFIG", "--prompts", "nowhere.json"],
            "--prompts nowhere.json: [Errno 2] No such file or directory: 'nowhere.json'",
        ),
        (["FILE", "mine", "--config", "CONFIG", "--latents", "FILE"], "--latents FILE: no tensor 'latents' in it"),
        (["FILE", "--dtype", "float32", "link"], "link exists already"),
        (["FILE", "--replace", "link"], "link is a link: name the folder itself"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(sd1, tmp_path, arguments, line):
    given = {"FILE": sd1.file, "CONFIG": sd1.config}
    (tmp_path / "link").symlink_to("nowhere")
    ended = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts/export_bundle.py",
            *(str(given.get(argument, argument)) for argument in arguments),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ended.returncode == 1
    *_, last = ended.stderr.splitlines()
    assert "Traceback" not in ended.stderr
    assert last == f"export_bundle.py: {line.replace('FILE', str(sd1.file))}"
    assert not (tmp_path / "mine").exists() and not list(tmp_path.glob(".mine*"))


def test_a_weight_that_float16_has_not_is_named_from_the_command_line_too(sd1, tmp_path):
    tensors = load_file(sd1.file)
    name = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    tensors[name][0, 0, 0, 0] = 1e5
    save_file(tensors, tmp_path / "large.safetensors")
    ended = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts/export_bundle.py",
            tmp_path / "large.safetensors",
            tmp_path / "mine",
            "--config",
            sd1.config,
            "--dtype",
            "float16",
        ],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "export_bundle.py: unet.mid_block.resnets.0.conv1.weight holds numbers that "
        "torch.float16 can't: use bfloat16 or float32"
    )
