"""LoRAs are added to the weights that they name. No socket connects here."""

import copy
import json

import pytest
import torch
from safetensors.torch import save_file

from export.checkpoints import (
    original_unet,
    refusal,
)
from export.loras import ALPHA, RANK, SD1_LAYERS, SDXL_LAYERS, lora_pair, save_kohya, weights_of
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import quiet
from steplapse_export.sources.lora import merge_loras

pytestmark = pytest.mark.usefixtures("attempts")


@pytest.mark.parametrize("family, layers", [("sd1", SD1_LAYERS), ("sdxl", SDXL_LAYERS)])
def test_loras_add_up_in_the_weights_they_name(request, family, layers, tmp_path):
    made = request.getfixturevalue(family)
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    first = save_kohya(one, made.pipeline, layers, seed=1)
    second = save_kohya(two, made.pipeline, dict(list(layers.items())[::2]), seed=2, alpha=1.0)
    source = made.load(loras=[(one, 0.5), (two, -2)])
    before, after = weights_of(made.pipeline), weights_of(source.pipeline)
    for key, weight in before.items():
        wanted = weight + 0.5 * first.get(key, 0) - 2 * second.get(key, 0)
        torch.testing.assert_close(after[key], wanted, msg=lambda text, key=key: f"{key}: {text}")
    assert source.description.split("; ")[1:] == [
        f"LoRA {file.name} at {weight} (SHA-256 {__import__('hashlib').sha256(file.read_bytes()).hexdigest()})"
        for file, weight in ((one, "0.5"), (two, "-2"))
    ]
    modules = [module for part in ("unet", "text_encoder") for module in getattr(source.pipeline, part).modules()]
    assert not [module for module in modules if "lora" in type(module).__module__ or "peft" in type(module).__module__]
    assert {type(module) for module in modules} == {
        type(module) for part in ("unet", "text_encoder") for module in getattr(made.pipeline, part).modules()
    }


def test_what_a_lora_was_added_to_is_float32_and_all_else_as_it_was(sd1, tmp_path):
    half = {key: tensor.half() for key, tensor in sd1.tensors.items() if tensor.is_floating_point()}
    save_file(half, tmp_path / "half.safetensors")
    lora = tmp_path / "lora.safetensors"
    added = save_kohya(lora, sd1.pipeline, SD1_LAYERS, seed=1)
    before = weights_of(sd1.load(tmp_path / "half.safetensors").pipeline)
    # Beyond float16 and back: nothing is lost on the way.
    after = weights_of(sd1.load(tmp_path / "half.safetensors", loras=[(lora, 1e6), (lora, 1 - 1e6)]).pipeline)
    for key, weight in after.items():
        assert weight.dtype == (torch.float32 if key in added else torch.float16), key
        if key in added:
            assert (weight - (before[key].float() + added[key])).abs().max() < 1
        else:
            assert torch.equal(weight, before[key])
    once = weights_of(sd1.load(tmp_path / "half.safetensors", loras=[(lora, 0.3)]).pipeline)
    for key, change in added.items():
        torch.testing.assert_close(once[key], before[key].float() + 0.3 * change)


@pytest.mark.parametrize(
    "down, up, alpha",
    [
        ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight", None),
        ("base_model.model.unet.{}.lora_A.default.weight", "base_model.model.unet.{}.lora_B.default.weight", None),
        ("unet.{}.lora.down.weight", "unet.{}.lora.up.weight", "unet.{}.alpha"),
    ],
)
def test_diffusers_and_pefts_key_names(sd1, down, up, alpha, tmp_path):
    path = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weight = weights_of(sd1.pipeline)["unet", f"{path}.weight"]
    a, b = lora_pair(weight, 3)
    tensors = {down.format(path): a, up.format(path): b, **({alpha.format(path): torch.tensor(1.0)} if alpha else {})}
    save_file(tensors, tmp_path / "lora.safetensors")
    merged = weights_of(sd1.load(loras=[(tmp_path / "lora.safetensors", 1)]).pipeline)["unet", f"{path}.weight"]
    torch.testing.assert_close(merged, weight + (1.0 / RANK if alpha else 1) * b @ a)


def test_old_attention_processors_key_names(sd1, tmp_path):
    path = "mid_block.attentions.0.transformer_blocks.0.attn1"
    weight = weights_of(sd1.pipeline)["unet", f"{path}.to_out.0.weight"]
    a, b = lora_pair(weight, 3)
    name = f"unet.{path}.processor.to_out_lora"
    save_file({f"{name}.down.weight": a, f"{name}.up.weight": b}, tmp_path / "lora.safetensors")
    merged = weights_of(sd1.load(loras=[(tmp_path / "lora.safetensors", 1)]).pipeline)
    torch.testing.assert_close(merged["unet", f"{path}.to_out.0.weight"], weight + b @ a)


def test_pefts_alpha_is_in_the_metadata(sd1, tmp_path):
    path = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weight = weights_of(sd1.pipeline)["unet", f"{path}.weight"]
    a, b = lora_pair(weight, 3)
    settings = {"unet.r": RANK, "unet.lora_alpha": 12}
    save_file(
        {f"unet.{path}.lora_A.weight": a, f"unet.{path}.lora_B.weight": b},
        tmp_path / "lora.safetensors",
        metadata={"lora_adapter_metadata": json.dumps(settings)},
    )
    merged = weights_of(sd1.load(loras=[(tmp_path / "lora.safetensors", 1)]).pipeline)
    torch.testing.assert_close(merged["unet", f"{path}.weight"], weight + 12 / RANK * b @ a)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_merging_every_layer_of_the_unet_agrees_with_peft(request, family, tmp_path):
    # diffusers and peft find each layer in their own way; for SDXL the names are the original repository's.
    made = request.getfixturevalue(family)
    names = original_unet(made.pipeline.unet) if family == "sdxl" else made.pipeline.unet.state_dict()
    tensors = {}
    for n, (name, weight) in enumerate(names.items()):
        if name.endswith(".weight") and weight.dim() > 1:
            layer = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            down, up = lora_pair(weight, n)
            tensors.update(
                {
                    f"{layer}.lora_down.weight": down,
                    f"{layer}.lora_up.weight": up,
                    f"{layer}.alpha": torch.tensor(ALPHA),
                }
            )
    save_file(tensors, tmp_path / "lora.safetensors")
    other = copy.deepcopy(made.pipeline)
    with quiet():
        other.load_lora_weights(dict(tensors))
        other.fuse_lora(lora_scale=0.7)
        other.unload_lora_weights()
    merged = made.load(loras=[(tmp_path / "lora.safetensors", 0.7)]).pipeline
    before, wanted = weights_of(made.pipeline), weights_of(other)
    for key, weight in weights_of(merged).items():
        torch.testing.assert_close(weight, wanted[key], msg=lambda text, key=key: f"{key}: {text}")
        assert torch.equal(weight, before[key]) == (key[0] != "unet" or weight.dim() == 1)


def test_loras_that_do_not_fit_are_refused(sd1, sdxl, tmp_path):
    file = tmp_path / "lora.safetensors"
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    pair = {f"{key}.lora_down.weight": torch.zeros(2, 16), f"{key}.lora_up.weight": torch.zeros(16, 2)}

    def refusal_of_file():
        with pytest.raises(CheckpointError) as caught:
            merge_loras(sd1.pipeline, [(file, 1)])
        return str(caught.value)

    def refusal_of(tensors, metadata=None):
        save_file(tensors, file, metadata)
        return refusal_of_file()

    save_kohya(file, sdxl.pipeline, SDXL_LAYERS, seed=1)
    assert refusal_of_file() == (
        f"{file}: 2 of its 5 layers have no place in this model, "
        "'lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha' for one: was it made for another family?"
    )
    assert refusal_of({**pair, f"{key}.lora_down.weight": torch.zeros(2, 1024)}) == (
        f"{file}: '{key}.lora_down.weight' is for a layer of shape [16, 1024], this model's is [16, 16]: "
        "it was made for another model"
    )
    assert refusal_of({f"{key}.lora_down.weight": torch.zeros(2, 16)}) == (
        f"{file}: '{key}.lora_down.weight' has no counterpart, a layer of a LoRA has up and down"
    )
    assert refusal_of({**pair, "something.else": torch.zeros(1)}) == (
        f"{file}: 'something.else' is no part of a LoRA; "
        "expected: keys that end as '.lora_down.weight', '.lora_A.weight' or '.alpha'"
    )
    assert refusal_of({**pair, f"{key}.dora_scale": torch.zeros(1)}) == (
        f"{file} is a DoRA file ('{key}.dora_scale'); expected: a LoRA, which has only up, down and alpha"
    )
    assert refusal_of({}) == f"{file} holds no weights; expected: a LoRA"
    assert refusal_of({**pair, f"{key}.lora_up.weight": torch.full((16, 2), torch.nan)}) == (
        f"{file}: '{key}.lora_down.weight' leaves the range of torch.float32 once merged"
    )
    assert refusal_of({**pair, f"{key}.alpha": torch.ones(2)}) == f"{file}: '{key}.alpha' holds 2 numbers; expected: 1"
    assert refusal_of({f"{key}.lora_down.weight": torch.zeros(0, 16), f"{key}.lora_up.weight": torch.zeros(16, 0)}) == (
        f"{file}: '{key}.lora_down.weight' is [0, 16]; expected: a rank of 1 or more"
    )
    for settings, line in [
        ("[1, 2]", "its metadata 'lora_adapter_metadata' is [1, 2]; expected: an object"),
        ('{"unet.lora_alpha": "8"}', "its metadata has 'unet.lora_alpha' \"8\"; expected: a number"),
        ('{"unet.alpha_pattern": [8]}', "its metadata has 'unet.alpha_pattern' [8]; expected: an object"),
        ('{"unet.alpha_pattern": {"q": "8"}}', "its metadata has 'unet.alpha_pattern' 'q' \"8\"; expected: a number"),
        (
            '{"unet.alpha_pattern": {"(": 8}}',
            "its metadata has 'unet.alpha_pattern' '(', which is no pattern: missing ), "
            "unterminated subpattern at position 0",
        ),
    ]:
        assert refusal_of(pair, {"lora_adapter_metadata": settings}) == f"{file}: {line}"
    assert refusal(sd1.file, config=sd1.config, loras=[(file, 1)]).startswith(f"{file}: its metadata has 'unet.alpha")
    file.write_bytes(b"not at all")
    assert refusal_of_file().startswith(f"{file} is no whole safetensors file: ")
    missing = tmp_path / "missing.safetensors"
    assert refusal(sd1.file, config=sd1.config, loras=[(missing, 1)]) == f"{missing}: no such file"
