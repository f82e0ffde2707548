"""What is no such checkpoint is refused in one line, and none of its code runs. No socket connects here."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from export.checkpoints import UNET, VAE, assert_same, refusal, save_folder
from steplapse_export.tiny.emoji import make_tiny_pipeline

pytestmark = pytest.mark.usefixtures("attempts")


class WritesAFile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path, legacy):
    file, written = tmp_path / "evil.ckpt", tmp_path / "written"
    if legacy:
        file.write_bytes(pickle.dumps({"state_dict": WritesAFile(written)}))
    else:
        torch.save({"state_dict": {"x": torch.zeros(1)}, "callbacks": WritesAFile(written)}, file)
    assert refusal(file) == (
        f"{file} holds more than weights, and could run code if it were loaded: "
        "convert it to safetensors where that may happen, and give that file"
    )
    assert not written.exists()


def test_a_folder_that_would_run_code_is_refused_and_runs_none(sd1, tmp_path):
    folder = save_folder(sd1, tmp_path / "model", safe_serialization=False)
    file = folder / "unet/diffusion_pytorch_model.bin"
    line = f"{file} holds more than weights, and could run code if it were loaded"
    file.write_bytes(pickle.dumps(WritesAFile(tmp_path / "written")))
    assert refusal(folder).startswith(line)
    torch.save({"x": WritesAFile(tmp_path / "written")}, file)
    assert refusal(folder).startswith(line)
    assert not (tmp_path / "written").exists()


NO_MODEL = "expected: a checkpoint of SD 1.x, SD 2.x or SDXL"


def strangers():
    conv_in = f"{UNET}input_blocks.0.0.weight"
    text = "expected: a text-to-image model"
    yield (
        {"lora_unet_mid_block_x.lora_up.weight": [2, 2]},
        f"a LoRA: give the checkpoint it belongs to, and this file with --lora; {NO_MODEL}",
    )
    yield (
        {"unet.mid_block.x.lora_A.weight": [2, 2]},
        f"a LoRA: give the checkpoint it belongs to, and this file with --lora; {NO_MODEL}",
    )
    yield (
        {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": [2]},
        f"an AnimateDiff motion module; {NO_MODEL}",
    )
    yield {"control_model.time_embed.0.weight": [2, 2]}, f"a ControlNet; {NO_MODEL}"
    yield {"controlnet_cond_embedding.conv_in.weight": [2], "conv_in.weight": [2]}, f"a ControlNet; {NO_MODEL}"
    yield {f"{UNET}joint_blocks.0.x_block.mlp.fc1.weight": [2, 2]}, f"an SD 3 model; {NO_MODEL}"
    yield {"double_blocks.0.img_attn.qkv.weight": [2, 2]}, f"a Flux model; {NO_MODEL}"
    yield {f"{UNET}input_blocks.1.1.time_stack.0.norm1.weight": [2]}, f"a video model; {NO_MODEL}"
    yield {"emb_params": [1, 768]}, f"a textual inversion embedding; {NO_MODEL}"
    yield (
        {"encoder.conv_in.weight": [2], "decoder.conv_in.weight": [2]},
        "a VAE alone; expected: a checkpoint with UNet and text encoder",
    )
    yield (
        {"first_stage_model.decoder.conv_in.weight": [2]},
        "a VAE alone; expected: a checkpoint with UNet and text encoder",
    )
    yield {"input_blocks.0.0.weight": [2]}, "a UNet alone; expected: a checkpoint with text encoder and VAE"
    yield {conv_in: [2, 9, 3, 3]}, f"an inpainting model: its UNet takes 9 channels; {text}, which takes 4"
    yield {conv_in: [2, 8, 3, 3]}, f"an instruct-pix2pix model: its UNet takes 8 channels; {text}, which takes 4"
    yield {conv_in: [2, 5, 3, 3]}, f"a depth model: its UNet takes 5 channels; {text}, which takes 4"
    yield {conv_in: [2, 6, 3, 3]}, f"no text-to-image model: its UNet takes 6 channels; {text}, which takes 4"
    yield {conv_in: [2, 4, 3, 3], f"{UNET}label_emb.0.0.weight": [2, 2560]}, "an SDXL refiner; expected: the base model"
    yield (
        {conv_in: [2, 4, 3, 3], f"{UNET}label_emb.0.0.weight": [2, 2048], "cond_stage_model.model.ln_final.bias": [2]},
        f"an SD 2.x unCLIP model, which is told a picture; {text}",
    )
    yield {"weight": [2]}, f"no checkpoint of SD 1.x, SD 2.x or SDXL: it has no '{UNET}…', its first key is 'weight'"


@pytest.mark.parametrize("shapes, line", [*strangers()])
def test_other_files_are_refused_by_what_they_are(shapes, line, tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, file)
    assert refusal(file) == f"{file} is {line}"


def test_a_missing_part_is_named(made, tmp_path):
    name = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL"}[made.family]
    parts = {
        "VAE": VAE,
        **{
            part.replace("_", " "): prefix
            for part, prefix in {
                "sd1": {"text_encoder": "cond_stage_model.transformer."},
                "sd2": {"text_encoder": "cond_stage_model.model."},
                "sdxl": {
                    "text_encoder": "conditioner.embedders.0.transformer.",
                    "text_encoder_2": "conditioner.embedders.1.model.",
                },
            }[made.family].items()
        },
    }
    context = {"sd1": 768, "sd2": 1024, "sdxl": 2048}[made.family]
    for part, prefix in parts.items():
        kept = {key: tensor for key, tensor in made.tensors.items() if not key.startswith(prefix)}
        for key in kept:  # without a text encoder only this width tells SD 1.x from 2.x
            if key.endswith("attn2.to_k.weight") and part != "VAE":
                kept[key] = torch.zeros(1, context)
        file = tmp_path / "part.safetensors"
        save_file(kept, file)
        assert refusal(file) == (
            f"{file}, an {name} checkpoint, has no {part} ('{prefix}…'): "
            "take the version of it that has all parts in one file"
        )


def test_tensors_that_lack_or_do_not_fit_are_named(sd1, tmp_path):
    file, key = tmp_path / "changed.safetensors", f"{UNET}input_blocks.1.0.in_layers.2.weight"
    begin = f"{file}, an SD 1.x checkpoint: its"

    def refusal_of(tensors):
        save_file(tensors, file)
        return refusal(file, config=sd1.config)

    assert (
        refusal_of({name: tensor for name, tensor in sd1.tensors.items() if name != key})
        == f"{begin} unet lacks 'down_blocks.0.resnets.0.conv1.weight'"
    )
    assert (
        refusal_of({**sd1.tensors, key: torch.zeros(8, 8, 1, 1)})
        == f"{begin} unet: 'down_blocks.0.resnets.0.conv1.weight' is [8, 8, 1, 1], the config asks for [8, 8, 3, 3]"
    )
    extra = f"{UNET}time_embed.cond_proj.weight"
    assert (
        refusal_of({**sd1.tensors, extra: torch.zeros(2, 2)})
        == f"{begin} unet has '{extra}', for which the config has no place"
    )
    file.write_bytes(sd1.file.read_bytes()[:1000])
    assert refusal(file).startswith(f"{file} is no whole safetensors file: ")
    empty = tmp_path / "empty.ckpt"
    empty.write_bytes(b"")
    assert refusal(empty).startswith(f"{empty} can't be read as a checkpoint: ")


def test_what_is_nowhere_is_said_to_be(tmp_path, monkeypatch, attempts):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    nowhere = "no such file or folder, and no Hugging Face id, which is owner/name"
    for source in ("/nowhere/model.safetensors", "models/cat.ckpt", "cat", "a/b/c"):
        assert refusal(source) == f"{source}: {nowhere}"
    assert refusal("someone/cats", revision="v2").startswith(
        "someone/cats at revision 'v2': no such folder here, none in Hugging Face's cache, "
        "and Hugging Face can't be reached: "
    )
    assert attempts
    attempts.clear()


def test_folders_that_are_no_such_pipeline_are_refused(sd1, tmp_path):
    assert refusal(tmp_path) == f"{tmp_path} is no pipeline that diffusers saved: it has no model_index.json"
    index = tmp_path / "model_index.json"
    index.write_text('{"_class_name": "FluxPipeline"}')
    assert (
        refusal(tmp_path)
        == f"{index} is of a FluxPipeline; expected: StableDiffusionPipeline or StableDiffusionXLPipeline"
    )
    folder = save_folder(sd1, tmp_path / "model")
    weights = folder / "text_encoder/model.safetensors"
    tensors = load_file(weights)
    save_file(
        {name: tensor for name, tensor in tensors.items() if not name.endswith("layers.1.mlp.fc1.bias")},
        weights,
        metadata={"format": "pt"},
    )
    assert refusal(folder) == f"{folder / 'text_encoder'}: its weights lack 'encoder.layers.1.mlp.fc1.bias'"
    weights.unlink()
    assert refusal(folder) == f"{folder / 'text_encoder'} holds no weights; expected: *.safetensors, or *.bin"


@pytest.mark.parametrize(
    "part, entry, line",
    [
        ("vae", ["diffusers", "DiffusionPipeline"], "vae is DiffusionPipeline; expected: AutoencoderKL"),
        ("unet", None, "unet is missing; expected: UNet2DConditionModel"),
        ("text_encoder", ["transformers", "AutoModel"], "text_encoder is AutoModel; expected: CLIPTextModel"),
        ("text_encoder", "CLIPTextModel", "text_encoder is CLIPTextModel; expected: [library, CLIPTextModel]"),
        ("scheduler", None, "scheduler is missing; expected: a scheduler of diffusers"),
        (
            "scheduler",
            ["diffusers", "DiffusionPipeline"],
            "scheduler is DiffusionPipeline; expected: a scheduler that diffusers has",
        ),
        (
            "scheduler",
            ["diffusers", "OwnScheduler"],
            "scheduler is OwnScheduler; expected: a scheduler that diffusers has",
        ),
    ],
)
@pytest.mark.parametrize("ours", [False, True])
def test_only_the_classes_of_such_a_pipeline_are_loaded(sd1, part, entry, line, ours, tmp_path):
    folder = tmp_path / "model"
    if ours:  # with the tokenizer that is of this repository
        make_tiny_pipeline().save_pretrained(folder)
    else:
        save_folder(sd1, folder)
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, part: entry}))
    assert refusal(folder) == f"{path}: {line}"


@pytest.mark.parametrize(
    "part, line",
    [
        ("unet", "holds no weights; expected: *.safetensors, or *.bin"),
        ("scheduler", "holds no scheduler_config.json; expected: a DDIMScheduler's"),
        ("tokenizer", "holds no vocabulary; expected: tokenizer.json, or vocab.json and merges.txt"),
    ],
)
def test_a_missing_part_is_no_id(sd1, part, line, tmp_path, monkeypatch):
    save_folder(sd1, tmp_path / "model")
    (tmp_path / "model" / part).rename(tmp_path / part)
    monkeypatch.chdir(tmp_path)
    assert refusal("model") == f"{tmp_path / 'model' / part} {line}"


def test_a_suffix_may_be_in_capitals(sd1, tmp_path):
    file = tmp_path / "model.SAFETENSORS"
    file.write_bytes(sd1.file.read_bytes())
    assert_same(sd1.load(file).pipeline, sd1.pipeline)
    assert refusal("models/cat.CKPT").startswith("models/cat.CKPT: no such file or folder")


def test_configs_that_do_not_fit_are_refused(sd1, sdxl, tmp_path):
    nowhere, other = tmp_path / "nowhere", tmp_path / "other"
    assert (
        refusal(sd1.file, config=nowhere)
        == f"{nowhere}: no such folder; expected: one of component configs for {sd1.file}"
    )
    assert refusal(sd1.file, config=tmp_path) == (
        f"{tmp_path} is no pipeline that diffusers saved: it has no model_index.json"
    )
    assert refusal(sd1.file, config=sdxl.config) == (
        f"{sdxl.config} is of a StableDiffusionXLPipeline, {sd1.file} is an SD 1.x checkpoint"
    )
    shutil.copytree(sd1.config, other)
    (other / "vae/config.json").unlink()
    assert refusal(sd1.file, config=other) == f"{other} lacks vae/config.json, which {sd1.file} needs"


def test_options_that_mean_nothing_are_refused(sd1, tmp_path):
    assert (
        refusal(sd1.file, revision="v2")
        == f"{sd1.file} is on this disk: only a Hugging Face id has revisions, not 'v2'"
    )
    assert refusal(tmp_path, config="x") == (
        f"{tmp_path} is no single file: a folder and an id bring their own configs, not x"
    )
