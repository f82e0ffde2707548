"""What a checkpoint in one file says of its training: what the UNet predicts, and whether the noise ends in no signal
at all.

No format has one place for it. Web UIs and trainers have used these:

    keys of the state dict     v_pred, ztsnr (empty tensors that only mark), alphas_cumprod (the training noise itself)
    safetensors metadata       modelspec.prediction_type, modelspec.architecture, ss_v_parameterization,
                               ss_zero_terminal_snr
    a .yaml of the same name   parameterization (latent-diffusion), the denoiser's scaling (generative-models)
"""

from pathlib import Path

import torch
import yaml

from steplapse_export.sources.files import CheckpointError, first_line

NAMES = {
    "epsilon": "epsilon",
    "eps": "epsilon",
    "v": "v_prediction",
    "v_prediction": "v_prediction",
    "v_pred": "v_prediction",
    "vpred": "v_prediction",
    "sample": "sample",
    "x0": "sample",
}
WAY_OUT = "--prediction-type epsilon, v_prediction or sample"

ARCHITECTURES = {"stable-diffusion-v2-512": "epsilon", "stable-diffusion-v2-768-v": "v_prediction"}
SCALINGS = {"EpsScaling": "epsilon", "VScaling": "v_prediction"}


def named(text: str, path: Path, place: str) -> str:
    found = NAMES.get(str(text).strip().lower().replace("-", "_"))
    if not found:
        raise CheckpointError(f"{path}: {place} is '{text}'; expected: epsilon, v or sample. Say it with {WAY_OUT}")
    return found


def is_true(text) -> bool:
    return str(text).strip().lower() in ("true", "1")


def said_by_metadata(path: Path, metadata: dict) -> dict[str, str]:
    said = {}
    key = "modelspec.prediction_type"
    if metadata.get(key) not in (None, "", "None"):
        said[f"its metadata '{key}'"] = named(metadata[key], path, f"its metadata '{key}'")
    if found := ARCHITECTURES.get(metadata.get("modelspec.architecture")):
        said["its metadata 'modelspec.architecture'"] = found
    if metadata.get("ss_v_parameterization") not in (None, "", "None"):
        said["its metadata 'ss_v_parameterization'"] = (
            "v_prediction" if is_true(metadata["ss_v_parameterization"]) else "epsilon"
        )
    return said


def said_by_yaml(path: Path) -> dict[str, str]:
    beside = next((file for suffix in (".yaml", ".yml") if (file := path.with_suffix(suffix)).is_file()), None)
    if beside is None:
        return {}
    try:
        config = yaml.safe_load(beside.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(
            f"{beside}, the config beside {path}, can't be read: {first_line(error)}. Move it away, or say {WAY_OUT}"
        ) from error

    def inner(value, *keys):
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    said = {}
    settings = inner(config, "model", "params")
    if (found := inner(settings, "parameterization")) is not None:
        said[f"{beside.name}'s 'parameterization'"] = named(found, path, f"{beside.name}'s 'parameterization'")
    scaling = inner(settings, "denoiser_config", "params", "scaling_config", "target")
    if found := SCALINGS.get(str(scaling).rsplit(".", 1)[-1]):
        said[f"{beside.name}'s 'scaling_config'"] = found
    return said


def stated_prediction_type(path: Path, weights: dict, metadata: dict) -> str | None:
    """epsilon, v_prediction or sample; None where no place says.

    @throws CheckpointError naming the places that disagree.
    """
    said = {f"its key '{key}'": "v_prediction" for key in ("v_pred", "ztsnr") if key in weights}
    said.update(said_by_metadata(path, metadata))
    said.update(said_by_yaml(path))
    if len(set(said.values())) > 1:
        raise CheckpointError(
            f"{path}: "
            + ", ".join(f"{place} says {what}" for place, what in said.items())
            + f"; say which it is with {WAY_OUT}"
        )
    return next(iter(said.values()), None)


def states_zero_terminal_snr(weights: dict, metadata: dict) -> bool:
    """Whether it was trained down to no signal at all (arXiv:2305.08891)."""
    if "ztsnr" in weights or is_true(metadata.get("ss_zero_terminal_snr")):
        return True
    table = weights.get("alphas_cumprod")
    return isinstance(table, torch.Tensor) and table.numel() > 1 and table[0].item() > 0.5 and table[-1].item() < 1e-6


def assumed_epsilon(source) -> str:
    """The line that says so."""
    return (
        f"{source} does not say what its UNet predicts: epsilon is assumed. If the pictures are noise, "
        "try --prediction-type v_prediction"
    )
