"""A diffusers folder's model_index.json, which says of what class each part is. These are all that is ever loaded."""

import json
from pathlib import Path

from steplapse_export.sources.files import CheckpointError, first_line
from steplapse_export.sources.pipeline import LIBRARY

MODELS = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
PIPELINES = {
    "StableDiffusionPipeline": MODELS,
    "StableDiffusionXLPipeline": {**MODELS, "text_encoder_2": "CLIPTextModelWithProjection"},
}
SENTENCEPIECE = [LIBRARY, "SentencePieceTokenizer"]  # our own pipelines'


def read_index(folder: Path) -> dict:
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is no pipeline that diffusers saved: it has no model_index.json") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read: {first_line(error)}") from error
    kind = index.get("_class_name") if isinstance(index, dict) else type(index).__name__
    if kind not in list(PIPELINES):
        raise CheckpointError(f"{path} is of a {kind}; expected: {' or '.join(PIPELINES)}")

    def name_of(part, wanted):
        entry = index.get(part)
        if not isinstance(entry, list) or [type(word) for word in entry] != [str, str]:
            raise CheckpointError(
                f"{path}: {part} is {entry or 'missing'}; expected: " + (f"[library, {wanted}]" if entry else wanted)
            )
        return entry[1]

    for part, wanted in PIPELINES[kind].items():
        if (name := name_of(part, wanted)) != wanted:
            raise CheckpointError(f"{path}: {part} is {name}; expected: {wanted}")
        if part.startswith("text_encoder"):
            tokenizer = part.replace("text_encoder", "tokenizer")
            name = name_of(tokenizer, "CLIPTokenizer")
            if name not in ("CLIPTokenizer", "CLIPTokenizerFast") and not has_sentencepiece(index):
                raise CheckpointError(f"{path}: {tokenizer} is {name}; expected: CLIPTokenizer")
    scheduler_class(name_of("scheduler", "a scheduler of diffusers"), path)
    return index


def has_sentencepiece(index: dict) -> bool:
    return index["_class_name"] == "StableDiffusionPipeline" and index.get("tokenizer") == SENTENCEPIECE


def part_class(index: dict, part: str):
    """Of a network."""
    import diffusers
    import transformers

    library = transformers if part.startswith("text_encoder") else diffusers
    return getattr(library, PIPELINES[index["_class_name"]][part])


def scheduler_class(name: str, place: Path):
    import diffusers

    found = getattr(diffusers, str(name), None)
    if not isinstance(found, type) or not issubclass(found, diffusers.SchedulerMixin):
        raise CheckpointError(f"{place}: scheduler is {name}; expected: a scheduler that diffusers has")
    return found
