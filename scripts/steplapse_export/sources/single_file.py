"""A checkpoint in one file, with the key names of the original repositories, becomes a diffusers pipeline.

What the file doesn't say (sizes, activations, noise schedule) comes from configs/FAMILY, in the layout diffusers
saves; the vocabulary from clip_vocabulary.py. Nothing is fetched.
"""

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)

from steplapse_export.sources.clip_vocabulary import make_clip_tokenizer
from steplapse_export.sources.files import CheckpointError, read_weights, remark
from steplapse_export.sources.index import PIPELINES, part_class, read_index, scheduler_class
from steplapse_export.sources.prediction_type import assumed_epsilon, stated_prediction_type, states_zero_terminal_snr

CONFIGS = Path(__file__).resolve().parent / "configs"
UNET, VAE = "model.diffusion_model.", "first_stage_model."


@dataclass(frozen=True)
class Family:
    name: str
    folder: str
    text_encoders: dict[str, str]  # part of the pipeline: prefix of its keys
    context: int  # width of what the UNet is told


SD1 = Family("SD 1.x", "sd1", {"text_encoder": "cond_stage_model.transformer."}, 768)
SD2 = Family("SD 2.x", "sd2", {"text_encoder": "cond_stage_model.model."}, 1024)
SDXL = Family(
    "SDXL",
    "sdxl",
    {"text_encoder": "conditioner.embedders.0.transformer.", "text_encoder_2": "conditioner.embedders.1.model."},
    2048,
)

# What other files are called by, most telling first.
STRANGERS = [
    (
        r"^lora_(unet|te\d?)_|\.lora_(A|B|up|down)\.|[._]lora\.(up|down)\.|\.hada_|\.lokr_",
        "a LoRA: give the checkpoint it belongs to, and this file with --lora",
    ),
    (r"^(string_to_param|emb_params|clip_[lg])$", "a textual inversion embedding"),
    (r"(^|\.)motion_modules\.", "an AnimateDiff motion module"),
    (r"(^|\.)time_stack\.", "a video model"),
    (r"^control_model\.|^controlnet_|(^|\.)(input_hint_block|zero_convs)\.", "a ControlNet"),
    (r"(^|\.)joint_blocks\.", "an SD 3 model"),
    (r"(^|\.)double_blocks\.", "a Flux model"),
    (r"^edm_(mean|std|vpred\.)", "a model of EDM's noise levels, which a bundle can't express"),
]
CHANNELS = {9: "an inpainting model", 8: "an instruct-pix2pix model", 7: "an upscaler", 5: "a depth model"}
REFINER_EMBEDDING = 2560  # the base model's is 2816

# In the text encoders' files, but not in a text encoder that only conditions.
UNUSED = ("position_ids", "text_projection.weight", "logit_scale")


def detect_family(keys: list[str], shapes: dict[str, list[int]], path: Path) -> Family:
    """`shapes` of those keys that are tensors. Refuses, by name where it has one, what is no text-to-image model."""
    for pattern, name in STRANGERS:
        if any(re.search(pattern, key) for key in keys):
            raise CheckpointError(f"{path} is {name}; expected: a checkpoint of SD 1.x, SD 2.x or SDXL")

    def has(prefix):
        return any(key.startswith(prefix) for key in keys)

    if not has(UNET):
        if has("input_blocks.") or has("down_blocks."):
            raise CheckpointError(f"{path} is a UNet alone; expected: a checkpoint with text encoder and VAE")
        if has(VAE) or (has("encoder.") and has("decoder.")):
            raise CheckpointError(f"{path} is a VAE alone; expected: a checkpoint with UNet and text encoder")
        raise CheckpointError(
            f"{path} is no checkpoint of SD 1.x, SD 2.x or SDXL: it has no '{UNET}…', "
            f"its first key is '{keys[0] if keys else ''}'"
        )
    channels = (shapes.get(f"{UNET}input_blocks.0.0.weight") or [0, 4])[1]
    if channels != 4:
        raise CheckpointError(
            f"{path} is {CHANNELS.get(channels, 'no text-to-image model')}: its UNet takes {channels} "
            "channels; expected: a text-to-image model, which takes 4"
        )
    labels = shapes.get(f"{UNET}label_emb.0.0.weight")
    if labels:
        if has("conditioner.embedders.0.model.") or labels[1] == REFINER_EMBEDDING:
            raise CheckpointError(f"{path} is an SDXL refiner; expected: the base model")
        if has("cond_stage_model."):
            raise CheckpointError(
                f"{path} is an SD 2.x unCLIP model, which is told a picture; expected: a text-to-image model"
            )
        return SDXL
    for family in (SD1, SD2):
        if has(*family.text_encoders.values()):
            return family
    contexts = [shape[1] for key, shape in shapes.items() if key.endswith("attn2.to_k.weight")]
    for family in (SD1, SD2):
        if contexts[:1] == [family.context]:
            return family
    raise CheckpointError(
        f"{path} is no checkpoint of SD 1.x, SD 2.x or SDXL: its UNet is told "
        f"{contexts[0] if contexts else 'nothing'}, theirs 768, 1024 and 2048 numbers a token"
    )


def require_parts(keys: list[str], family: Family, path: Path) -> None:
    missing = {"VAE": VAE, **{part.replace("_", " "): prefix for part, prefix in family.text_encoders.items()}}
    for part, prefix in missing.items():
        if not any(key.startswith(prefix) for key in keys):
            raise CheckpointError(
                f"{path}, an {family.name} checkpoint, has no {part} ('{prefix}…'): "
                "take the version of it that has all parts in one file"
            )


# --- weights into modules ------------------------------------------------------------------------------------


def computable(tensor: torch.Tensor) -> torch.Tensor:
    """In the file's type, but for those that are for storing: 8-bit numbers become float16, others float32."""
    if tensor.dtype in (torch.float32, torch.float16, torch.bfloat16):
        return tensor
    return tensor.to(torch.float16 if tensor.is_floating_point() and tensor.itemsize == 1 else torch.float32)


def fill(model: torch.nn.Module, tensors: dict, what: str) -> torch.nn.Module:
    """Puts each tensor in its place. `what` begins an error's line."""
    wanted = model.state_dict()
    for name, place in wanted.items():
        found = tensors.get(name)
        if found is None:
            raise CheckpointError(f"{what} lacks '{name}'")
        if found.shape != place.shape:
            raise CheckpointError(f"{what}: '{name}' is {list(found.shape)}, the config asks for {list(place.shape)}")
    for name in tensors:
        if name not in wanted:
            raise CheckpointError(f"{what} has '{name}', for which the config has no place")
    # Assigned, not copied: what can be computed with stays in the file.
    model.load_state_dict({name: computable(tensor).contiguous() for name, tensor in tensors.items()}, assign=True)
    return model.eval().requires_grad_(False)


def load_diffusers_part(part: str, prefix: str, tensors: dict, config: Path, index: dict, what: str):
    model_class = part_class(index, part)
    settings = model_class.load_config(config / part, local_files_only=True)
    own = {key: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    if part == "unet":
        converted = convert_ldm_unet_checkpoint(own, settings)
        # The converter drops what it doesn't know: a layer more is another architecture.
        placed = {id(tensor) for tensor in converted.values()}
        for key, tensor in own.items():
            if id(tensor) not in placed:
                raise CheckpointError(f"{what} has '{key}', for which the config has no place")
    else:
        converted = convert_ldm_vae_checkpoint(own, settings)
    with init_empty_weights():
        model = model_class.from_config(settings)
    return fill(model, converted, what)


def load_text_encoder(part: str, prefix: str, tensors: dict, config: Path, index: dict, what: str):
    model_class = part_class(index, part)
    with init_empty_weights():
        model = model_class(model_class.config_class.from_pretrained(config / part, local_files_only=True))
    own = {key: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    if prefix.endswith("transformer."):
        # Some files lack the level that CLIP's text model once had.
        named = {
            key if key.startswith(f"{prefix}text_") else f"{prefix}text_model.{key.removeprefix(prefix)}": tensor
            for key, tensor in own.items()
        }
        converted = convert_ldm_clip_checkpoint(named)
    else:
        converted = convert_open_clip_checkpoint(model, own, prefix=prefix)
    if not hasattr(model, "text_model"):
        converted = {name.removeprefix("text_model."): tensor for name, tensor in converted.items()}
    wanted = model.state_dict()
    converted = {name: tensor for name, tensor in converted.items() if name in wanted or not name.endswith(UNUSED)}
    return fill(model, converted, what)


# --- what the network answers --------------------------------------------------------------------------------


@contextlib.contextmanager
def in_float32(module: torch.nn.Module):
    """In 16 bits SD 2.1's attention overflows, and a file may mix types. Afterwards the weights are the file's own."""
    own = module.state_dict()
    module.float()
    try:
        yield
    finally:
        module.load_state_dict(own, assign=True)


@torch.no_grad()
def measure_prediction_type(unet, conditioning: torch.Tensor, path: Path) -> str:
    """Which of noise and velocity the UNet answers, from one answer to pure noise at the last timestep.

    conditioning  [1, L, width], the empty prompt's.

    There x is noise but for a few hundredths. So eps is x again: <eps, x> / <x, x> is 1. And v = alpha eps - sigma x0
    has hardly anything of x: 0.
    """
    x = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    with in_float32(unet):
        answer = unet(x, torch.tensor([999]), conditioning).sample
    share = ((answer * x).sum() / (x * x).sum()).item()
    if abs(share - 1) < 0.3:
        return "epsilon"
    if abs(share) < 0.3:
        return "v_prediction"
    raise CheckpointError(
        f"{path}: whether the UNet predicts noise or velocity is not in the file, and its answer to "
        f"pure noise is {share:.2f} of it (noise: 1, velocity: 0); say --prediction-type epsilon or "
        "v_prediction"
    )


@torch.no_grad()
def encode_empty_prompt(text_encoder, tokenizer) -> torch.Tensor:
    ids = tokenizer([""], padding="max_length", truncation=True, return_tensors="pt").input_ids
    with in_float32(text_encoder):
        return text_encoder(ids).last_hidden_state


def make_scheduler(settings: dict, prediction_type: str, zero_snr: bool, config: Path):
    """The config's scheduler, with what is known of the training."""
    settings = {**settings, "prediction_type": prediction_type}
    if zero_snr:  # the last timestep has to be visited
        settings.update(rescale_betas_zero_snr=True, timestep_spacing="trailing")
    return scheduler_class(settings.pop("_class_name", None), config).from_config(settings)


# --- the whole file ------------------------------------------------------------------------------------------


def make_tokenizer(folder: Path):
    if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
        return transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    return make_clip_tokenizer(settings["model_max_length"], settings["pad_token"])


def read_config(folder: Path, family: Family, path: Path) -> dict:
    """The folder's index. Whatever else is read from it is there."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; expected: one of component configs for {path}")
    index = read_index(folder)
    parts = {"unet", "vae", *family.text_encoders}
    if PIPELINES[index["_class_name"]].keys() != parts:
        raise CheckpointError(f"{folder} is of a {index['_class_name']}, {path} is an {family.name} checkpoint")
    for name in [
        *(f"{part}/config.json" for part in sorted(parts)),
        "scheduler/scheduler_config.json",
        *(f"{part.replace('text_encoder', 'tokenizer')}/tokenizer_config.json" for part in family.text_encoders),
    ]:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} lacks {name}, which {path} needs")
    return index


def load_single_file(path: Path, config: Path | None = None, prediction_type: str | None = None):
    """(pipeline, name of its family). Weights have the types they have in the file.

    config           folder of other component configs, a tokenizer too if it has one; what its scheduler predicts
                     is then taken for true, unless the file says it.
    prediction_type  goes before all else. Without it: what the file says, then the config, for SD 2.x a measurement.
    """
    weights, metadata = read_weights(path)
    tensors = {key: value for key, value in weights.items() if isinstance(value, torch.Tensor)}
    keys = list(weights)
    family = detect_family(keys, {key: list(tensor.shape) for key, tensor in tensors.items()}, path)
    require_parts(keys, family, path)

    own_config, config = config is None, Path(config or CONFIGS / family.folder).absolute()
    index = read_config(config, family, path)
    parts = {}
    for part, prefix in {"unet": UNET, "vae": VAE, **family.text_encoders}.items():
        load = load_text_encoder if part.startswith("text_encoder") else load_diffusers_part
        what = f"{path}, an {family.name} checkpoint: its {part}"
        parts[part] = load(part, prefix, tensors, config, index, what)
    for part in family.text_encoders:
        tokenizer = part.replace("text_encoder", "tokenizer")
        parts[tokenizer] = make_tokenizer(config / tokenizer)

    settings = json.loads((config / "scheduler/scheduler_config.json").read_text())
    prediction_type = prediction_type or stated_prediction_type(path, weights, metadata)
    if prediction_type is None and not own_config:
        prediction_type = settings.get("prediction_type")
    if prediction_type is None and family is SD2:
        conditioning = encode_empty_prompt(parts["text_encoder"], parts["tokenizer"])
        prediction_type = measure_prediction_type(parts["unet"], conditioning, path)
    if prediction_type is None:
        prediction_type = "epsilon"
        remark(assumed_epsilon(path))
    zero_snr = states_zero_terminal_snr(weights, metadata)
    if zero_snr and prediction_type == "epsilon":
        zero_snr = False
        remark(
            f"{path} says that it was trained with zero terminal SNR, which is left out: an epsilon says nothing of "
            "the picture where there is only noise"
        )
    parts["scheduler"] = make_scheduler(settings, prediction_type, zero_snr, config)
    if prediction_type == "v_prediction" and family is SD2 and own_config:
        parts["unet"].register_to_config(sample_size=96)  # these were trained on 768 x 768, the others on 512 x 512
    return assemble(index, parts), family.name


def assemble(index: dict, parts: dict):
    """The pipeline of these parts, without what looks at pictures."""
    if index["_class_name"] == "StableDiffusionXLPipeline":
        return diffusers.StableDiffusionXLPipeline(
            **parts, force_zeros_for_empty_prompt=index.get("force_zeros_for_empty_prompt", True), add_watermarker=False
        )
    return diffusers.StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
