"""A checkpoint in one file becomes the pipeline that it was made from. No socket connects here."""

import copy
import hashlib
import json
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig

from export.checkpoints import (
    PARTS,
    UNET,
    assert_same,
    diffusers,
    original_checkpoint,
)
from steplapse_export.sources import single_file
from steplapse_export.sources.clip_vocabulary import make_clip_tokenizer
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import load_pipeline
from steplapse_export.sources.single_file import CONFIGS

pytestmark = pytest.mark.usefixtures("attempts")


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_single_file_answers_as_the_pipeline_it_was_made_from(made, suffix, tmp_path):
    file = made.file
    if suffix == ".ckpt":
        file = tmp_path / "model.ckpt"
        torch.save({"state_dict": made.tensors, "global_step": 7}, file)
    source = made.load(file)
    assert type(source.pipeline) is type(made.pipeline)
    assert_same(source.pipeline, made.pipeline)


def test_only_what_is_needed_is_read(sd1, tmp_path):
    extra = {
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.diffusion_modeltime_embed0weight": torch.zeros(2, 2),
        "alphas_cumprod": torch.zeros(1000),
        "first_stage_model.loss.logvar": torch.zeros(()),
    }
    save_file({**sd1.tensors, **extra}, tmp_path / "training.safetensors")
    assert_same(sd1.load(tmp_path / "training.safetensors").pipeline, sd1.pipeline)


def test_text_encoder_keys_may_lack_a_level(sd1, tmp_path):
    short = {key.replace("transformer.text_model.", "transformer."): tensor for key, tensor in sd1.tensors.items()}
    assert not short.keys() >= sd1.tensors.keys()
    save_file(short, tmp_path / "short.safetensors")
    assert_same(sd1.load(tmp_path / "short.safetensors").pipeline, sd1.pipeline)


def test_each_tensor_keeps_the_type_it_has_in_the_file(sdxl, tmp_path):
    types = {
        "model.": torch.float16,
        "first_": torch.float32,
        "conditioner.embedders.0": torch.float16,
        "conditioner.embedders.1": torch.bfloat16,
    }
    mixed = {
        key: tensor.to(next(dtype for prefix, dtype in types.items() if key.startswith(prefix)))
        for key, tensor in sdxl.tensors.items()
        if tensor.is_floating_point()
    }
    save_file(mixed, tmp_path / "mixed.safetensors")
    pipeline = sdxl.load(tmp_path / "mixed.safetensors").pipeline
    assert [getattr(pipeline, part).dtype for part in PARTS] == [*types.values()]
    key = f"{UNET}input_blocks.0.0.bias"
    save_file({**mixed, key: torch.full((8,), 1e5)}, tmp_path / "mixed.safetensors")  # 65504 is float16's largest
    unet = sdxl.load(tmp_path / "mixed.safetensors").pipeline.unet
    assert (unet.conv_in.weight.dtype, unet.conv_in.bias.dtype) == (torch.float16, torch.float32)
    assert unet.conv_in.bias.max() == 1e5


def mapped(tensor):
    """Whether the numbers are the file's own pages in memory."""
    ranges = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return any(
        len(line) > 5
        and line[5].endswith(".safetensors")
        and int(line[0].split("-")[0], 16) <= tensor.data_ptr() < int(line[0].split("-")[1], 16)
        for line in ranges
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sixteen_bit_weights_stay_in_the_file(sd2, tmp_path):
    half = {key: tensor.half() for key, tensor in sd2.tensors.items() if tensor.is_floating_point()}
    save_file(half, tmp_path / "half.safetensors")
    unet = sd2.load(tmp_path / "half.safetensors").pipeline.unet
    assert mapped(unet.conv_in.weight) and not mapped(unet.conv_in.weight.clone())
    with single_file.in_float32(unet):
        assert unet.conv_in.weight.dtype == torch.float32
    assert mapped(unet.conv_in.weight)
    copy.deepcopy(sd2.pipeline).to(dtype=torch.float16).save_pretrained(tmp_path / "model")
    assert mapped(load_pipeline(tmp_path / "model").pipeline.unet.conv_in.weight)


def test_a_measurement_leaves_mixed_types_as_they_were():
    class Mixed(torch.nn.Linear):
        def forward(self, x, timestep, conditioning):
            return types.SimpleNamespace(sample=super().forward(x))

    unet = Mixed(32, 32)
    unet.weight.data, unet.bias.data = torch.eye(32, dtype=torch.float16), torch.full((32,), 1e-6)
    assert single_file.measure_prediction_type(unet, torch.zeros(1, 77, 8), Path("x.ckpt")) == "epsilon"
    assert (unet.weight.dtype, unet.bias.dtype) == (torch.float16, torch.float32)
    assert unet.bias[0].item() == pytest.approx(1e-6)


def test_eight_bit_weights_become_float16(sd1, tmp_path):
    small = {
        key: tensor.to(torch.float8_e4m3fn) if key.startswith("model.") else tensor
        for key, tensor in sd1.tensors.items()
    }
    save_file(small, tmp_path / "small.safetensors")
    unet = sd1.load(tmp_path / "small.safetensors").pipeline.unet
    assert unet.dtype == torch.float16
    assert torch.equal(unet.conv_in.weight, small["model.diffusion_model.input_blocks.0.0.weight"].to(torch.float16))


def test_the_description_names_the_file_and_its_hash(sd1, tmp_path):
    file = tmp_path / "named.safetensors"
    file.write_bytes(sd1.file.read_bytes())
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert sd1.load(file).description == f"named.safetensors (SD 1.x, SHA-256 {sha256})"


def test_nothing_is_printed(made, capfd):
    made.load()
    assert capfd.readouterr() == ("", "")


# Tensors of UNet, VAE and text encoders in the published files.
TENSORS = {"sd1": 686 + 248 + 197, "sd2": 686 + 248 + 294, "sdxl": 2515}


@pytest.mark.parametrize("family", TENSORS)
def test_every_tensor_of_a_full_size_file_finds_its_place(family, monkeypatch):
    # On the meta device: names and shapes without numbers.
    index = json.loads((CONFIGS / family / "model_index.json").read_text())
    parts = {}
    with torch.device("meta"):
        for part in ("unet", "vae", "text_encoder", *(["text_encoder_2"] if family == "sdxl" else [])):
            model_class = single_file.part_class(index, part)
            parts[part] = (
                model_class(CLIPTextConfig.from_pretrained(CONFIGS / family / part))
                if "text" in part
                else model_class.from_config(model_class.load_config(CONFIGS / family / part))
            )
    tensors = original_checkpoint(types.SimpleNamespace(**parts), family)
    if family == "sd2":  # the last layer is in the file, and not used
        tensors.update(
            {key.replace(".22.", ".23."): tensor for key, tensor in tensors.items() if "resblocks.22." in key}
        )
    assert len(tensors) == TENSORS[family]
    monkeypatch.setattr(single_file, "read_weights", lambda path: (tensors, {}))
    pipeline, _ = single_file.load_single_file(Path("full.safetensors"), prediction_type="v_prediction")
    for part, model in parts.items():
        assert {name: tensor.shape for name, tensor in getattr(pipeline, part).state_dict().items()} == {
            name: tensor.shape for name, tensor in model.state_dict().items()
        }
    assert pipeline.unet.config.sample_size == {"sd1": 64, "sd2": 96, "sdxl": 128}[family]


# --- what a UNet predicts ----------------------------------------------------------------------------------------


def with_markers(made, folder, *markers):
    save_file({**made.tensors, **{marker: torch.zeros(0) for marker in markers}}, folder / "marked.safetensors")
    return folder / "marked.safetensors"


def test_markers_in_the_file_say_what_it_predicts(sdxl, tmp_path):
    assert sdxl.load().pipeline.scheduler.config.prediction_type == "epsilon"
    config = sdxl.load(with_markers(sdxl, tmp_path, "v_pred")).pipeline.scheduler.config
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", False)
    scheduler = sdxl.load(with_markers(sdxl, tmp_path, "v_pred", "ztsnr")).pipeline.scheduler
    assert (scheduler.config.prediction_type, scheduler.config.timestep_spacing) == ("v_prediction", "trailing")
    assert scheduler.alphas_cumprod[-1] == 0  # no signal is left


def test_what_the_caller_says_it_predicts_wins(sdxl, tmp_path):
    source = sdxl.load(with_markers(sdxl, tmp_path, "v_pred"), prediction_type="epsilon")
    assert source.pipeline.scheduler.config.prediction_type == "epsilon"


class OfGaussianData(torch.nn.Module):
    """The exact answer where x0 is N(0, s²): x0 = alpha s² x / (alpha² s² + sigma²), and eps from it."""

    def __init__(self, kind, s):
        super().__init__()
        self.kind, self.s, self.dtype = kind, s, torch.float32

    def forward(self, x, timestep, conditioning):
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        alpha = (1 - betas).cumprod(0)[timestep].sqrt().item()
        sigma = (1 - alpha**2) ** 0.5
        x0 = alpha * self.s**2 * x / (alpha**2 * self.s**2 + sigma**2)
        eps = (x - alpha * x0) / sigma
        answer = {"epsilon": eps, "v_prediction": alpha * eps - sigma * x0, "between": 0.5 * x}[self.kind]
        return types.SimpleNamespace(sample=answer)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("s", [0.5, 1, 1.5])
def test_one_answer_to_noise_tells_epsilon_from_v(kind, s):
    assert single_file.measure_prediction_type(OfGaussianData(kind, s), torch.zeros(1, 77, 8), Path("x.ckpt")) == kind


def test_an_answer_between_the_two_asks_the_caller():
    with pytest.raises(CheckpointError) as caught:
        single_file.measure_prediction_type(OfGaussianData("between", 1), torch.zeros(1, 77, 8), Path("x.ckpt"))
    assert str(caught.value) == (
        "x.ckpt: whether the UNet predicts noise or velocity is not in the file, and its answer to pure noise is 0.50 "
        "of it (noise: 1, velocity: 0); say --prediction-type epsilon or v_prediction"
    )


# --- the configs that come with us -------------------------------------------------------------------------------


# The published models' numbers of parameters.
SIZES = {
    ("sd1", "unet"): 859_520_964,
    ("sd2", "unet"): 865_910_724,
    ("sdxl", "unet"): 2_567_463_684,
    ("sd1", "vae"): 83_653_863,
    ("sd2", "vae"): 83_653_863,
    ("sdxl", "vae"): 83_653_863,
    ("sd1", "text_encoder"): 123_060_480,
    ("sd2", "text_encoder"): 340_387_840,
    ("sdxl", "text_encoder"): 123_060_480,
    ("sdxl", "text_encoder_2"): 694_659_840,
}


@pytest.mark.parametrize("family, part", SIZES)
def test_shipped_configs_have_the_published_sizes(family, part):
    index = json.loads((CONFIGS / family / "model_index.json").read_text())
    model_class = single_file.part_class(index, part)
    with torch.device("meta"):
        if part in ("unet", "vae"):
            model = model_class.from_config(model_class.load_config(CONFIGS / family / part))
        else:
            model = model_class(CLIPTextConfig.from_pretrained(CONFIGS / family / part))
    assert sum(parameter.numel() for parameter in model.parameters()) == SIZES[family, part]


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_shipped_noise_is_stable_diffusions(family):
    # beta_t = (sqrt(0.00085) .. sqrt(0.012))²; at the last timestep alpha² is 0.0047, as papers on zero SNR give it.
    config = json.loads((CONFIGS / family / "scheduler/scheduler_config.json").read_text())
    scheduler = getattr(diffusers, config.pop("_class_name")).from_config(config)
    assert scheduler.alphas_cumprod[-1].item() == pytest.approx(0.068265**2, rel=1e-3)


def test_the_vocabulary_is_clips():
    tokenizer = make_clip_tokenizer()
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("", padding="max_length").input_ids == [49406] + 76 * [49407]
    assert make_clip_tokenizer(pad_token="!")("", padding="max_length").input_ids == [49406, 49407] + 75 * [0]
