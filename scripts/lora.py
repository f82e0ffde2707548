"""LoRA files, merged into the weights they were made for: W + weight * alpha / rank * up @ down.

Key names as kohya's scripts write them (`lora_unet_…`, `lora_te_…`, `lora_te1_…`, `lora_te2_…`; for SDXL with the
original UNet's names) and as diffusers and peft do (`unet.….lora_A.weight` and what they wrote before). Hu et al.
2021 (arXiv:2106.09685).
"""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch

from checkpoint_files import CheckpointError, one_line, read_weights

PARTS = {"lora_unet_": "unet", "lora_te_": "text_encoder", "lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2",
         "unet.": "unet", "text_encoder.": "text_encoder", "text_encoder_2.": "text_encoder_2"}

# The end of a key, and which of a layer's tensors it is.
ROLES = [
    (r"\.lora_(down|A(\.default)?)\.weight", "down"),
    (r"\.lora_(up|B(\.default)?)\.weight", "up"),
    (r"\.lora_mid\.weight", "mid"),
    (r"[._]lora(_linear_layer)?\.down\.weight", "down"),
    (r"[._]lora(_linear_layer)?\.up\.weight", "up"),
    (r"\.alpha", "alpha"),
]
OTHER_KINDS = {"dora_scale": "DoRA", "lora_magnitude_vector": "DoRA", "hada_": "LoHa", "lokr_": "LoKr", "oft_": "OFT"}


@dataclass
class Layer:
    key: str  # as in the file, for errors
    part: str
    path: str  # in the part, '_' for '.'
    tensors: dict = field(default_factory=dict)


def original_unet_path(path: str, layers: int) -> str:
    """What the original repositories call the module that diffusers has at `path`, as kohya's scripts do for SDXL.

    They count input and output blocks through; diffusers groups them by resolution, `layers` resnets each and one
    more on the way up.
    """
    for ours, theirs in (("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
                         ("add_embedding.linear_1", "label_emb.0.0"), ("add_embedding.linear_2", "label_emb.0.2"),
                         ("conv_in", "input_blocks.0.0"), ("conv_out", "out.2"), ("mid_block.resnets.0", "middle_block.0"),
                         ("mid_block.attentions.0", "middle_block.1"), ("mid_block.resnets.1", "middle_block.2")):
        path = re.sub(rf"^{re.escape(ours)}(?=\.|$)", theirs, path)
    if match := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)", path):
        way, block, kind, index = match[1], int(match[2]), match[3], int(match[4])
        rest = path[match.end():]
        if way == "down":
            number = 1 + block * (layers + 1) + (layers if kind == "downsamplers" else index)
            path = f"input_blocks.{number}.{int(kind == 'attentions')}{rest}"
        else:
            number = block * (layers + 1) + (layers if kind == "upsamplers" else index)
            path = f"output_blocks.{number}.{ {'resnets': 0, 'attentions': 1, 'upsamplers': 2}[kind]}{rest}"
        if kind == "downsamplers":
            path = path.removesuffix("conv") + "op"
    if re.match(r"(input|output)_blocks\.\d+\.0|middle_block\.[02]", path):
        for ours, theirs in (("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"), ("conv2", "out_layers.3"),
                             ("conv_shortcut", "skip_connection")):
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


def read_layers(path: Path, tensors: dict) -> list[Layer]:
    layers = {}
    for key, tensor in tensors.items():
        for word, kind in OTHER_KINDS.items():
            if word in key:
                raise CheckpointError(f"{path} is a {kind} file ('{key}'); "
                                      "wanted: a LoRA, which has only up, down and alpha")
        role, name = next(((role, key[:match.start()]) for pattern, role in ROLES
                           if (match := re.search(pattern + "$", key))), (None, ""))
        if role is None:
            raise CheckpointError(f"{path}: '{key}' is no part of a LoRA; wanted: keys that end as '.lora_down.weight', "
                                  "'.lora_A.weight' or '.alpha'")
        name = name.removeprefix("base_model.model.")
        prefix = next((prefix for prefix in PARTS if name.startswith(prefix)), "")
        part, inner = PARTS.get(prefix, "unet"), name.removeprefix(prefix).removeprefix("base_model.model.")
        inner = inner.replace(".processor.", ".")
        if re.search(r"_lora\.(up|down)\.weight$", key) and inner.endswith(".to_out"):
            inner += ".0"  # attention processors had no list there
        flat = inner.replace(".", "_")
        if part != "unet":
            flat = flat.removeprefix("text_model_")
        layer = layers.setdefault((part, flat), Layer(key, part, flat))
        if role in layer.tensors:
            raise CheckpointError(f"{path}: '{key}' and '{layer.key}' are for the same layer")
        if role == "alpha" and tensor.numel() != 1:
            raise CheckpointError(f"{path}: '{key}' holds {tensor.numel()} numbers; wanted: 1")
        if role == "down" and not tensor.numel():
            raise CheckpointError(f"{path}: '{key}' is {list(tensor.shape)}; wanted: a rank of 1 or more")
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
        raise CheckpointError(f"{path}: '{layer.key}' is for a layer of shape {found}, this model's is {list(wanted)}: "
                              "it was made for another model")
    if mid is None:
        product = up.float().flatten(1) @ down.float().flatten(1)
    else:  # the kernel between two 1 x 1 convolutions
        product = torch.einsum("or,rshw,si->oihw", up.float().flatten(1), mid.float(), down.float().flatten(1))
    return scale_of(layer, rank, settings) * product.reshape(wanted)


def scale_of(layer: Layer, rank: int, settings: dict) -> float:
    """From the layer's own alpha, or what peft wrote into the file's metadata; else alpha is the rank."""
    if "alpha" in layer.tensors:
        return layer.tensors["alpha"].item() / rank
    alpha = settings.get(f"{layer.part}.lora_alpha")
    for pattern, own in (settings.get(f"{layer.part}.alpha_pattern") or {}).items():
        if re.search(rf"(^|_)({pattern.replace('.', '_')})$", layer.path):
            alpha = own
    if alpha is None:
        return 1.0
    return alpha / (math.sqrt(rank) if settings.get(f"{layer.part}.use_rslora") else rank)


def read_settings(path: Path, metadata: dict) -> dict:
    try:
        settings = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError as error:
        raise CheckpointError(f"{path}: its metadata 'lora_adapter_metadata' is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: its metadata 'lora_adapter_metadata' is {json.dumps(settings)}; wanted: an object")
    for key, value in settings.items():
        kind = {"lora_alpha": (int, float), "alpha_pattern": dict}.get(key.split(".")[-1], object)
        if value is not None and not isinstance(value, kind):
            raise CheckpointError(f"{path}: its metadata has '{key}' {json.dumps(value)}; "
                                  f"wanted: {'an object' if kind is dict else 'a number'}")
        for pattern, alpha in (value or {}).items() if kind is dict else ():
            found = f"{path}: its metadata has '{key}' '{pattern}'"
            if not isinstance(alpha, (int, float)):
                raise CheckpointError(f"{found} {json.dumps(alpha)}; wanted: a number")
            try:
                re.compile(pattern)
            except re.error as error:
                raise CheckpointError(f"{found}, which is no pattern: {error}") from error
    return settings


@torch.no_grad()
def merge_loras(pipeline, loras: list[tuple[Path, float]]) -> None:
    """Adds each LoRA, times its weight, to the pipeline's own weights: all of a file, or an error says why not.

    What was added to is float32 from then on, for whoever stores it to round once; all else keeps its type.
    """
    modules = find_modules(pipeline)
    changes = {}  # of each module
    for path, weight in loras:
        with one_line(path):
            weights, metadata = read_weights(path)
            settings = read_settings(path, metadata)
            layers = read_layers(path, {key: value for key, value in weights.items() if isinstance(value, torch.Tensor)})
        if not layers:
            raise CheckpointError(f"{path} holds no weights; wanted: a LoRA")
        homeless = [layer for layer in layers if (layer.part, layer.path) not in modules]
        if homeless:
            raise CheckpointError(f"{path}: {len(homeless)} of its {len(layers)} layers have no place in this model, "
                                  f"'{homeless[0].key}' for one: was it made for another family?")
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
