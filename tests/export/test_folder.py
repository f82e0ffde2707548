"""A folder that diffusers saved becomes the pipeline that was saved. No socket connects here."""

import copy

import pytest
import torch

from export.checkpoints import (
    PARTS,
    assert_same,
    save_folder,
)
from steplapse_export.sources.load import load_pipeline, quiet
from steplapse_export.sources.pipeline import Pipeline
from steplapse_export.tiny.emoji import make_tiny_pipeline

pytestmark = pytest.mark.usefixtures("attempts")


@pytest.mark.parametrize("safe", [True, False])
def test_a_diffusers_folder_answers_as_what_was_saved(made, safe, tmp_path, capfd):
    folder = save_folder(made, tmp_path / "model", safe_serialization=safe)
    capfd.readouterr()
    source = load_pipeline(str(folder))
    assert capfd.readouterr() == ("", "")
    assert source.description == "folder model"
    assert_same(source.pipeline, made.pipeline)


def test_a_folder_of_16_bit_variants_stays_16_bit(sdxl, tmp_path):
    half = copy.deepcopy(sdxl.pipeline).to(dtype=torch.float16)
    half.save_pretrained(tmp_path / "model", variant="fp16")
    assert (tmp_path / "model/unet/diffusion_pytorch_model.fp16.safetensors").exists()
    pipeline = load_pipeline(tmp_path / "model").pipeline
    for part in PARTS:
        assert getattr(pipeline, part).dtype == torch.float16, part
    assert torch.equal(pipeline.unet.conv_in.weight, half.unet.conv_in.weight)


def test_of_two_precisions_the_smaller_is_taken_when_it_is_asked_for(sd1, tmp_path):
    save_folder(sd1, tmp_path / "model")
    with torch.no_grad():
        half = copy.deepcopy(sd1.pipeline).to(dtype=torch.float16)
        half.unet.conv_in.bias.fill_(3)
    half.save_pretrained(tmp_path / "model", variant="fp16")
    full, small = (load_pipeline(tmp_path / "model", prefer_half=half).pipeline.unet for half in (False, True))
    assert torch.equal(full.conv_in.bias, sd1.pipeline.unet.conv_in.bias)
    assert (small.dtype, small.conv_in.bias[0].item()) == (torch.float16, 3)


@pytest.mark.parametrize("safe", [True, False])
def test_a_folders_part_has_its_files_type(sd1, safe, tmp_path):
    half = copy.deepcopy(sd1.pipeline)
    half.unet.to(torch.bfloat16), half.text_encoder.to(torch.float16)
    half.text_encoder.final_layer_norm.to(torch.float32).bias.data.fill_(1e5)
    with quiet():
        half.save_pretrained(tmp_path / "model", safe_serialization=safe)
    pipeline = load_pipeline(tmp_path / "model").pipeline
    # A mixture is float32, which loses nothing.
    assert (pipeline.unet.dtype, pipeline.vae.dtype, pipeline.text_encoder.dtype) == (
        torch.bfloat16,
        torch.float32,
        torch.float32,
    )
    assert pipeline.text_encoder.final_layer_norm.bias.max() == 1e5


def test_a_folder_with_a_sentencepiece_tokenizer_is_our_own_pipeline(tmp_path):
    tiny = make_tiny_pipeline()
    tiny.save_pretrained(tmp_path / "tiny")
    source = load_pipeline(tmp_path / "tiny")
    assert type(source.pipeline) is Pipeline
    assert source.pipeline.tokenizer.serialized == tiny.tokenizer.serialized


def test_prediction_type_of_a_folder_can_be_said(sd1, tmp_path):
    folder = save_folder(sd1, tmp_path / "model")
    assert (
        load_pipeline(folder, prediction_type="v_prediction").pipeline.scheduler.config.prediction_type
        == "v_prediction"
    )
