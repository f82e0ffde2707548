"""LoRAs as peft saves them, with adapter_config.json beside the weights, are merged as peft itself merges them."""

import copy
import dataclasses
import json
import shutil
import types

import pytest
import torch
from peft import LoHaConfig, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from parity.pipelines import pipeline_of
from steplapse_export.sources import lora
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import load_pipeline
from steplapse_export.sources.lora import merge_loras

LAYERS = ["to_q", "to_v", "conv1", "proj_in"]


@pytest.fixture(scope="module")
def parts():
    """{"unet": ..., "text_encoder": ...}, for reading."""
    pipeline = pipeline_of("sdxl")
    return {name: getattr(pipeline, name) for name in ("unet", "text_encoder", "text_encoder_2")}


@pytest.fixture(scope="module")
def saved(parts, tmp_path_factory):
    """saved(part, lora_alpha=32, r=4) is (the folder that peft saves, the weights that peft merges)."""

    def saved(part: str = "unet", config=LoraConfig, layers=LAYERS, **settings):
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("lora")
        model = get_peft_model(
            copy.deepcopy(parts[part]),
            config(
                target_modules=layers,
                **{**({"init_lora_weights": False} if config is LoraConfig else {"init_weights": False}), **settings},
            ),
        )
        model.save_pretrained(folder)
        return folder, model.merge_and_unload().state_dict()

    return saved


def merged(parts, path, weight: float = 1.0, part: str = "unet") -> dict:
    pipeline = types.SimpleNamespace(**{name: copy.deepcopy(module) for name, module in parts.items()})
    merge_loras(pipeline, [(path, weight)])
    for name, module in parts.items():
        if name != part:
            assert_alike(getattr(pipeline, name).state_dict(), module.state_dict())
    return getattr(pipeline, part).state_dict()


def assert_alike(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


def changed(folder, to, **settings):
    shutil.copytree(folder, to)
    config = json.loads((to / "adapter_config.json").read_text())
    (to / "adapter_config.json").write_text(json.dumps({**config, **settings}))
    return to


def refusal_of(parts, path) -> str:
    with pytest.raises(CheckpointError) as caught:
        merged(parts, path)
    return str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 32},
        {"r": 4, "lora_alpha": 1},
        {"r": 4, "lora_alpha": 32, "use_rslora": True},
        {"r": 4, "lora_alpha": 32, "fan_in_fan_out": True},
        {
            "r": 4,
            "lora_alpha": 32,
            "rank_pattern": {"to_v": 2, "mid_block.*to_q": 8},
            "alpha_pattern": {"to_v": 3, "attn1.to_q": 5},
        },
        {"r": 4, "lora_alpha": 32, "rank_pattern": {"to_v": 2}, "use_rslora": True},
        # The first pattern that fits wins; and a pattern begins at a dot.
        {"r": 4, "lora_alpha": 32, "alpha_pattern": {"attn1.to_q": 5, "to_q": 7, "q": 9, "^down_blocks.*to_v": 2}},
    ],
    ids=str,
)
def test_a_folder_is_merged_as_peft_merges_it(parts, saved, settings):
    folder, wanted = saved(**settings)
    assert_alike(merged(parts, folder), wanted)
    assert_alike(merged(parts, folder / "adapter_model.safetensors"), wanted)
    assert any((wanted[name] - tensor).abs().max() > 0.01 for name, tensor in parts["unet"].state_dict().items())


def test_half_a_weight_is_half_the_change(parts, saved):
    folder, wanted = saved(r=4, lora_alpha=32)
    own = parts["unet"].state_dict()
    assert_alike(merged(parts, folder, 0.5), {name: (own[name] + wanted[name]) / 2 for name in own})


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2"])
def test_the_config_says_whose_layers_they_are(parts, saved, part):
    folder, wanted = saved(part, layers=["q_proj", "fc1"], r=4, lora_alpha=32)
    assert_alike(merged(parts, folder, part=part), wanted)


def test_layers_of_a_text_encoder_are_known_by_their_names_too(parts, saved, tmp_path):
    folder, wanted = saved("text_encoder", layers=["q_proj", "fc1"], r=4, lora_alpha=32)
    assert_alike(merged(parts, changed(folder, tmp_path / "lora", auto_mapping=None), part="text_encoder"), wanted)


def test_a_config_without_alpha_has_pefts_default(parts, saved, tmp_path):
    folder, wanted = saved(r=4)
    assert LoraConfig().lora_alpha == lora.PEFT_DEFAULTS["lora_alpha"] and LoraConfig().r == lora.PEFT_DEFAULTS["r"]
    changed(folder, tmp_path / "lora")
    config = json.loads((tmp_path / "lora/adapter_config.json").read_text())
    del config["lora_alpha"]
    (tmp_path / "lora/adapter_config.json").write_text(json.dumps(config))
    assert_alike(merged(parts, tmp_path / "lora"), wanted)


def test_load_pipeline_takes_the_folder_and_names_its_file(parts, saved, tmp_path):
    folder, wanted = saved(r=4, lora_alpha=32)
    pipeline_of("sdxl").save_pretrained(tmp_path / "sdxl")
    source = load_pipeline(tmp_path / "sdxl", loras=[(folder, 1.0)])
    assert_alike(source.pipeline.unet.state_dict(), wanted)
    assert "; LoRA adapter_model.safetensors at 1 (SHA-256 " in source.description


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_lora_whose_strength_is_known_nowhere_says_what_was_assumed(parts, saved, tmp_path, capfd):
    folder, _ = saved(r=4, lora_alpha=32)
    merged(parts, folder)
    assert capfd.readouterr().err == ""
    alone = tmp_path / "alone.safetensors"
    shutil.copy(folder / "adapter_model.safetensors", alone)
    _, wanted = saved(r=4, lora_alpha=4)
    assert_alike(merged(parts, alone), wanted)
    assert capfd.readouterr().err == (
        f"{alone} does not say the alpha of its layers: the rank is assumed, so that they are added as they are. "
        "Give it another weight if that is too much or too little\n"
    )


def test_an_alpha_in_the_file_needs_no_remark(parts, saved, tmp_path, capfd):
    folder, wanted = saved(r=4, lora_alpha=32)
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors |= {key.replace("lora_A.weight", "alpha"): torch.tensor(32.0) for key in tensors if "lora_A" in key}
    save_file(tensors, tmp_path / "own.safetensors")
    assert_alike(merged(parts, tmp_path / "own.safetensors"), wanted)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"use_dora": True}, "has use_dora true, which can't be merged; expected: a LoRA of up, down and alpha alone"),
        ({"bias": "all"}, 'has bias "all", which can\'t be merged; expected: a LoRA of up, down and alpha alone'),
        (
            {"layer_replication": [[0, 4], [2, 5]]},
            "has layer_replication [[0, 4], [2, 5]], which can't be merged; "
            "expected: a LoRA of up, down and alpha alone",
        ),
        (
            {"init_lora_weights": "pissa"},
            'has init_lora_weights "pissa", which changes the weights it is added to: convert it to a '
            "plain LoRA with peft first",
        ),
        ({"lora_alpha": "much"}, "has 'lora_alpha' \"much\"; expected: a number"),
        (
            {"alpha_pattern": {"[": 2}},
            "has 'alpha_pattern' '[', which is no pattern: unterminated character set at position 0",
        ),
        ({"peft_type": "LOHA"}, "is of a LOHA; expected: LORA"),
    ],
    ids=str,
)
def test_what_can_not_be_merged_is_refused(parts, saved, tmp_path, settings, said):
    folder = changed(saved(r=4)[0], tmp_path / "lora", **settings)
    assert refusal_of(parts, folder) == f"{folder / 'adapter_config.json'} {said}"


def test_a_rank_that_is_not_the_configs_is_refused(parts, saved, tmp_path):
    folder = changed(saved(r=4)[0], tmp_path / "lora", r=16)
    assert refusal_of(parts, folder).endswith("has rank 4, adapter_config.json says 16")


def test_a_loha_of_peft_is_refused(parts, saved):
    folder, _ = saved(config=LoHaConfig, r=4)
    assert "LOHA" in refusal_of(parts, folder) or "LoHa" in refusal_of(parts, folder)


@pytest.mark.parametrize("content", ["[]", "{", '"text"'])
def test_a_config_that_is_none_is_refused(parts, saved, tmp_path, content):
    folder = changed(saved(r=4)[0], tmp_path / "lora")
    (folder / "adapter_config.json").write_text(content)
    assert refusal_of(parts, folder).startswith(f"{folder / 'adapter_config.json'} ")


def test_a_folder_without_weights_is_refused(parts, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refusal_of(parts, tmp_path / "empty") == (
        f"{tmp_path / 'empty'} holds no adapter_model.safetensors; expected: a LoRA file, or a folder that peft saved"
    )


def test_every_setting_of_peft_is_read_refused_or_of_no_concern():
    read = {
        "r",
        "lora_alpha",
        "use_rslora",
        "rank_pattern",
        "alpha_pattern",
        "fan_in_fan_out",
        "peft_type",
        "auto_mapping",
        "init_lora_weights",
    }
    of_the_base = {"task_type", "base_model_name_or_path", "revision", "peft_version", "inference_mode"}
    of_the_training = {
        "lora_dropout",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "velora_config",
        "qalora_group_size",
        "runtime_config",
        "ensure_weight_tying",
    }
    which_layers = {
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "megatron_config",
        "megatron_core",
    }
    fields = {field.name for field in dataclasses.fields(LoraConfig)}
    assert fields == read | set(lora.UNSUPPORTED) | of_the_base | of_the_training | which_layers
    defaults = LoraConfig()
    assert all(getattr(defaults, key) == harmless for key, harmless in lora.UNSUPPORTED.items())
