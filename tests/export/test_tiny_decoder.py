"""A tiny decoder is loaded from its folder. No socket connects here."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from export.checkpoints import diffusers
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import load_tiny_decoder

pytestmark = pytest.mark.usefixtures("attempts")


@pytest.fixture
def taesd(tmp_path):
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(4, 4),
        decoder_block_out_channels=(4, 4),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    tiny.half().save_pretrained(tmp_path / "taesd")
    return tmp_path / "taesd", tiny


def test_a_tiny_decoder_is_the_one_that_was_saved(taesd, monkeypatch, capfd):
    folder, tiny = taesd
    monkeypatch.chdir(folder.parent)
    capfd.readouterr()
    loaded = load_tiny_decoder("taesd")
    assert capfd.readouterr() == ("", "")
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert loaded.dtype == torch.float16 and not loaded.training


def test_what_is_no_tiny_decoder_is_refused(taesd, sd1, tmp_path, monkeypatch):
    folder, tiny = taesd
    weights = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)

    def refusal_of(folder):
        with pytest.raises(CheckpointError) as caught:
            load_tiny_decoder(folder)
        return str(caught.value)

    monkeypatch.chdir(tmp_path)
    assert refusal_of("madebyollin/taesd") == (
        f"{tmp_path / 'madebyollin/taesd'}: no such folder; expected: that of an AutoencoderTiny. "
        "Download madebyollin/taesd, or for SDXL madebyollin/taesdxl, and give the folder it is in"
    )
    assert refusal_of(tmp_path) == f"{tmp_path} holds no config.json; expected: the folder of an AutoencoderTiny"
    sd1.pipeline.vae.save_pretrained(tmp_path / "vae")
    assert refusal_of(tmp_path / "vae") == (
        f"{tmp_path / 'vae/config.json'} is of class AutoencoderKL; expected: AutoencoderTiny"
    )
    name = next(iter(tensors))
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, weights, metadata={"format": "pt"})
    assert refusal_of(folder) == f"{folder}: its weights lack '{name}'"
    save_file({**tensors, "other": torch.zeros(1)}, weights, metadata={"format": "pt"})
    assert refusal_of(folder) == f"{folder}: its weights have 'other', for which the config has no place"
    weights.unlink()
    assert refusal_of(folder) == f"{folder} holds no weights; expected: *.safetensors, or *.bin"
