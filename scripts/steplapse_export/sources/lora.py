"""LoRA files, merged into the weights they were made for: W + weight * alpha / rank * up @ down.

Key names as kohya's scripts write them (`lora_unet_…`, `lora_te_…`, `lora_te1_…`, `lora_te2_…`; for SDXL with the
original UNet's names) and as diffusers and peft do (`unet.….lora_A.weight` and what they wrote before). Hu et al.
2021 (arXiv:2106.09685).

alpha is in the file itself (kohya), in its metadata (diffusers), or in adapter_config.json beside it (peft).
"""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch

from steplapse_export.sources.files import CheckpointError, first_line, one_line, read_weights, remark

PARTS = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "unet.": "unet",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
}

ADAPTER_CONFIG = "adapter_config.json"

# The end of a key, and which of a layer's tensors it is.
ROLES = [
    (r"\.lora_(down|A(\.default)?)\.weight", "down"),
    (r"\.lora_(up|B(\.default)?)\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"[._]lora(_linear_layer)?\.down\.weight", "down"),
    (r"[._]lora(_linear_layer)?\.up\.weight", "up"),
    (r"\.alpha", "alpha"),
]

# Of adapter_config.json: what a merge can do without, at the value at which it asks for nothing. What is in no list
# here steers the training, or names layers that the weights have or have not.
UNSUPPORTED = {
    "use_dora": False,
    "use_qalora": False,
    "use_bdlora": None,
    "lora_bias": False,
    "bias": "none",
    "modules_to_save": None,
    "layer_replication": None,
    "alora_invocation_tokens": None,
    "arrow_config": None,
    "kasa_config": None,
    "monteclora_config": None,
    "trainable_token_indices": None,
    "target_parameters": None,
}
PLAIN_STARTS = (
    True,
    False,
    None,
    "gaussian",
    "orthogonal",
    "eva",
)  # others change the weights that the LoRA is added to
PEFT_DEFAULTS = {"r": 8, "lora_alpha": 8}  # of a config that does not say
PARTS_OF_CLASSES = {
    "UNet2DConditionModel": "unet",
    "CLIPTextModel": "text_encoder",
    "CLIPTextModelWithProjection": "text_encoder_2",
}

OTHER_KINDS = {"dora_scale": "DoRA", "lora_magnitude_vector": "DoRA", "hada_": "LoHa", "lokr_": "LoKr", "oft_": "OFT"}


@dataclass
class Layer:
    key: str  # as in the file, for errors
    part: str
    path: str  # in the part, '_' for '.'
    dotted: str  # the same as the file has it
    tensors: dict = field(default_factory=dict)


def original_unet_path(path: str, layers: int) -> str:
    """What the original repositories call the module that diffusers has at `path`, as kohya's scripts do for SDXL.

    They count input and output blocks through; diffusers groups them by resolution, `layers` resnets each and one
    more on the way up.
    """
    for ours, theirs in (
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"),
        ("add_embedding.linear_2", "label_emb.0.2"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_out", "out.2"),
        ("mid_block.resnets.0", "middle_block.0"),
        ("mid_block.attentions.0", "middle_block.1"),
        ("mid_block.resnets.1", "middle_block.2"),
    ):
        path = re.sub(rf"^{re.escape(ours)}(?=\.|$)", theirs, path)
    if match := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)", path):
        way, block, kind, index = match[1], int(match[2]), match[3], int(match[4])
        rest = path[match.end() :]
        if way == "down":
            number = 1 + block * (layers + 1) + (layers if kind == "downsamplers" else index)
            path = f"input_blocks.{number}.{int(kind == 'attentions')}{rest}"
        else:
            number = block * (layers + 1) + (layers if kind == "upsamplers" else index)
            path = f"output_blocks.{number}.{ {'resnets': 0, 'attentions': 1, 'upsamplers': 2}[kind] }{rest}"
        if kind == "downsamplers":
            path = path.removesuffix("conv") + "op"
    if re.match(r"(input|output)_blocks\.\d+\.0|middle_block\.[02]", path):
        for ours, theirs in (
            ("conv1", "in_layers.2"),
            ("time_emb_proj", "emb_layers.1"),
            ("conv2", "out_layers.3"),
            ("conv_shortcut", "skip_connection"),
        ):
            path = re.sub(rf"\.{ours}$", f".{theirs}", path)
    return path


def find_modules(pipeline) -> dict[tuple[str, str], torch.nn.Module]:
    """Each linear and convolution layer by its part and its path with '_' for '.', the UNet's by both names."""
    modules = {}
    for part in dict.fromkeys(PARTS.values()):
        root = getattr(pipeline, part, None)
        for path, module in root.named_modules() if root is not None else ():
            if not isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
                continue
            modules[part, path.removeprefix("text_model.").replace(".", "_")] = module
            if part == "unet":
                original = original_unet_path(path, root.config.layers_per_block)
                modules[part, original.replace(".", "_")] = module
                # Where a block has no attention, its upsampler moves up.
                if original.startswith("output_blocks."):
                    modules.setdefault((part, re.sub(r"\.2\.conv$", ".1.conv", original).replace(".", "_")), module)
    return modules


def find_weights(path: Path) -> Path:
    """The file itself, or the one in a folder that peft saved."""
    if not path.is_dir():
        return path
    for name in ("adapter_model.safetensors", "adapter_model.bin"):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(
        f"{path} holds no adapter_model.safetensors; expected: a LoRA file, or a folder that peft saved"
    )


def read_layers(path: Path, tensors: dict, default_part: str | None = None) -> list[Layer]:
    """`default_part`: whose the layers are that name no part, if that is known."""
    layers = {}
    for key, tensor in tensors.items():
        for word, kind in OTHER_KINDS.items():
            if word in key:
                raise CheckpointError(
                    f"{path} is a {kind} file ('{key}'); expected: a LoRA, which has only up, down and alpha"
                )
        role, name = next(
            ((role, key[: match.start()]) for pattern, role in ROLES if (match := re.search(pattern + "$", key))),
            (None, ""),
        )
        if role is None:
            raise CheckpointError(
                f"{path}: '{key}' is no part of a LoRA; expected: keys that end as '.lora_down.weight', "
                "'.lora_A.weight' or '.alpha'"
            )
        name = name.removeprefix("base_model.model.")
        prefix = next((prefix for prefix in PARTS if name.startswith(prefix)), "")
        inner = name.removeprefix(prefix).removeprefix("base_model.model.")
        is_text = inner.startswith(("text_model.", "encoder.layers."))  # a UNet has no such layers
        part = PARTS.get(prefix) or default_part or ("text_encoder" if is_text else "unet")
        inner = inner.replace(".processor.", ".")
        if re.search(r"_lora\.(up|down)\.weight$", key) and inner.endswith(".to_out"):
            inner += ".0"  # attention processors had no list there
        flat = inner.replace(".", "_")
        if part != "unet":
            flat = flat.removeprefix("text_model_")
        layer = layers.setdefault((part, flat), Layer(key, part, flat, inner))
        if role in layer.tensors:
            raise CheckpointError(f"{path}: '{key}' and '{layer.key}' are for the same layer")
        if role == "alpha" and tensor.numel() != 1:
            raise CheckpointError(f"{path}: '{key}' holds {tensor.numel()} numbers; expected: 1")
        if role == "down" and not tensor.numel():
            raise CheckpointError(f"{path}: '{key}' is {list(tensor.shape)}; expected: a rank of 1 or more")
        layer.tensors[role] = tensor
    return list(layers.values())


def change_of(layer: Layer, module: torch.nn.Module, settings: dict, path: Path) -> torch.Tensor:
    """alpha / rank * up @ down, in the shape of the module's weight, float32."""
    down, up = (layer.tensors.get(role) for role in ("down", "up"))
    if down is None or up is None:
        raise CheckpointError(f"{path}: '{layer.key}' has no counterpart, a layer of a LoRA has up and down")
    wanted, rank, mid = module.weight.shape, down.shape[0] if down.dim() else 0, layer.tensors.get("mid")
    kernel = down.shape[2:] if mid is None else mid.shape[2:]
    found = [*up.shape[:1], *down.shape[1:2], *kernel]
    # A linear layer's may come as 1 x 1 convolutions, and the other way round.
    fits = found[:2] == list(wanted[:2]) and math.prod(found) == math.prod(wanted)
    if not fits or up.numel() != wanted[0] * rank:
        raise CheckpointError(
            f"{path}: '{layer.key}' is for a layer of shape {found}, this model's is {list(wanted)}: "
            "it was made for another model"
        )
    if mid is None:
        product = up.float().flatten(1) @ down.float().flatten(1)
    else:  # the kernel between two 1 x 1 convolutions
        product = torch.einsum("or,rshw,si->oihw", up.float().flatten(1), mid.float(), down.float().flatten(1))
    return scale_of(layer, rank, settings) * product.reshape(wanted)


def scale_of(layer: Layer, rank: int, settings: dict) -> float:
    """From the layer's own alpha, or the settings; else alpha is the rank."""
    if "alpha" in layer.tensors:
        return layer.tensors["alpha"].item() / rank
    alpha = matching(settings, layer, "alpha_pattern", "lora_alpha")
    if alpha is None:
        return 1.0
    return alpha / (math.sqrt(rank) if settings.get(f"{layer.part}.use_rslora") else rank)


def matching(settings: dict, layer: Layer, patterns: str, usual: str):
    """A layer's own setting where a pattern fits it, the first that does; else the usual one. As peft chooses."""
    for pattern, own in (settings.get(f"{layer.part}.{patterns}") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer.dotted):
            return own
    return settings.get(f"{layer.part}.{usual}")


def check_ranks(layers: list[Layer], settings: dict, path: Path) -> None:
    for layer in layers:
        said = matching(settings, layer, "rank_pattern", "r")
        down = layer.tensors.get("down")
        if said is not None and down is not None and down.dim() and down.shape[0] != said:
            raise CheckpointError(f"{path}: '{layer.key}' has rank {down.shape[0]}, {ADAPTER_CONFIG} says {said}")


def read_adapter_config(path: Path) -> tuple[dict, str | None]:
    """What peft wrote beside the weights, as it is in diffusers' metadata; and whose the layers are, if it says so."""
    beside = path.with_name(ADAPTER_CONFIG)
    try:
        config = json.loads(beside.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{beside} can't be read: {first_line(error)}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{beside} is {json.dumps(config)}; expected: an object")
    if config.get("peft_type", "LORA") != "LORA":
        raise CheckpointError(f"{beside} is of a {config['peft_type']}; expected: LORA")
    for key, harmless in UNSUPPORTED.items():
        if config.get(key) not in (None, harmless, [], {}):
            raise CheckpointError(
                f"{beside} has {key} {json.dumps(config[key])}, which can't be merged; "
                "expected: a LoRA of up, down and alpha alone"
            )
    if config.get("init_lora_weights") not in PLAIN_STARTS:
        raise CheckpointError(
            f"{beside} has init_lora_weights {json.dumps(config['init_lora_weights'])}, which changes the "
            "weights it is added to: convert it to a plain LoRA with peft first"
        )
    mapping = config.get("auto_mapping")
    part = PARTS_OF_CLASSES.get(mapping.get("base_model_class")) if isinstance(mapping, dict) else None
    # fan_in_fan_out turns nothing: it is for GPT-2's layers, and peft ignores it for linear and convolution layers.
    return {**PEFT_DEFAULTS, **config}, part


def read_settings(path: Path, metadata: dict) -> dict:
    """diffusers': `unet.lora_alpha` and the like."""
    place = f"{path}: its metadata"
    try:
        settings = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError as error:
        raise CheckpointError(f"{place} 'lora_adapter_metadata' is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{place} 'lora_adapter_metadata' is {json.dumps(settings)}; expected: an object")
    check_settings(settings, place)
    return settings


def check_settings(settings: dict, place: str) -> None:
    kinds = {"lora_alpha": (int, float), "r": int, "alpha_pattern": dict, "rank_pattern": dict}
    for key, value in settings.items():
        kind = kinds.get(key.split(".")[-1], object)
        if value is not None and not isinstance(value, kind):
            raise CheckpointError(
                f"{place} has '{key}' {json.dumps(value)}; expected: {'an object' if kind is dict else 'a number'}"
            )
        for pattern, own in (value or {}).items() if kind is dict else ():
            found = f"{place} has '{key}' '{pattern}'"
            if not isinstance(own, (int, float)):
                raise CheckpointError(f"{found} {json.dumps(own)}; expected: a number")
            try:
                re.compile(pattern)
            except re.error as error:
                raise CheckpointError(f"{found}, which is no pattern: {error}") from error


def read_lora(path: Path) -> tuple[list[Layer], dict]:
    """The layers, and the settings by part: `unet.lora_alpha`."""
    weights, metadata = read_weights(path)
    tensors = {key: value for key, value in weights.items() if isinstance(value, torch.Tensor)}
    settings, part = read_settings(path, metadata), None
    is_pefts = path.stem == "adapter_model" or any(key.startswith("base_model.model.") for key in tensors)
    if is_pefts and path.with_name(ADAPTER_CONFIG).exists():
        config, part = read_adapter_config(path)
        check_settings(config, str(path.with_name(ADAPTER_CONFIG)))
        settings = {
            **{f"{each}.{key}": value for each in PARTS_OF_CLASSES.values() for key, value in config.items()},
            **settings,
        }
    layers = read_layers(path, tensors, part)
    if not layers:
        raise CheckpointError(f"{path} holds no weights; expected: a LoRA")
    check_ranks(layers, settings, path)
    return layers, settings


def remark_on_strength(path: Path, layers: list[Layer], settings: dict) -> None:
    unsaid = [
        layer
        for layer in layers
        if "alpha" not in layer.tensors and matching(settings, layer, "alpha_pattern", "lora_alpha") is None
    ]
    if unsaid:
        of = "its layers" if len(unsaid) == len(layers) else f"{len(unsaid)} of its {len(layers)} layers"
        remark(
            f"{path} does not say the alpha of {of}: the rank is assumed, so that they are added as they are. "
            "Give it another weight if that is too much or too little"
        )


@torch.no_grad()
def merge_loras(pipeline, loras: list[tuple[Path, float]]) -> None:
    """Adds each LoRA, times its weight, to the pipeline's own weights: all of a file, or an error says why not.

    What was added to is float32 from then on, for whoever stores it to round once; all else keeps its type.
    """
    modules = find_modules(pipeline)
    changes = {}  # of each module
    for path, weight in loras:
        path = find_weights(path)
        with one_line(path):
            layers, settings = read_lora(path)
        homeless = [layer for layer in layers if (layer.part, layer.path) not in modules]
        if homeless:
            raise CheckpointError(
                f"{path}: {len(homeless)} of its {len(layers)} layers have no place in this model, "
                f"'{homeless[0].key}' for one: was it made for another family?"
            )
        remark_on_strength(path, layers, settings)
        for layer in layers:
            changes.setdefault(modules[layer.part, layer.path], []).append((weight, layer, settings, path))
    for module, own in changes.items():
        merged = module.weight.float()
        for weight, layer, settings, path in own:
            with one_line(path):
                merged = merged + weight * change_of(layer, module, settings, path)
            if not merged.isfinite().all():
                raise CheckpointError(f"{path}: '{layer.key}' leaves the range of {merged.dtype} once merged")
        module.weight = torch.nn.Parameter(merged, requires_grad=False)
