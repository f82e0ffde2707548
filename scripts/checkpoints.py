"""A pipeline from what people have: a diffusers folder, a checkpoint in one file, or a Hugging Face id.

    source = load_pipeline("model.safetensors", loras=[(Path("style.safetensors"), 0.8)])
    source.pipeline      diffusers' StableDiffusionPipeline or StableDiffusionXLPipeline, or our own Pipeline
    source.description   where it came from, for a bundle's `source`
"""

import contextlib
import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from checkpoint_files import CheckpointError, first_line, hash_file
from lora import merge_loras
from pipeline import Pipeline

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
FILE_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
MODELS = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
PIPELINES = {"StableDiffusionPipeline": MODELS,
             "StableDiffusionXLPipeline": {**MODELS, "text_encoder_2": "CLIPTextModelWithProjection"}}
WEIGHTS = re.compile(r"(diffusion_pytorch_model|pytorch_model|model)(-\d+-of-\d+)?(?P<fp16>\.fp16)?(-\d+-of-\d+)?"
                     r"\.(?P<kind>safetensors|bin)")
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass
class Source:
    pipeline: object
    description: str


def load_pipeline(source: str | Path, *, revision: str | None = None, loras=(), config: str | Path | None = None,
                  prediction_type: str | None = None, torch_dtype: torch.dtype | None = None) -> Source:
    """
    @param source           a diffusers folder, a .safetensors or .ckpt file, or `owner/name` at Hugging Face. What is
                            on the disk goes before an id.
    @param revision         branch, tag or commit, of an id.
    @param loras            (file, weight) each, merged into the weights in float32.
    @param config           folder of component configs for a single file, in place of those that come with us.
    @param prediction_type  epsilon, v_prediction or sample, whatever the source says.
    @param torch_dtype      of the weights; each part's own in the file unless given.
    @throws CheckpointError one line: what can't be loaded, and why.
    """
    path = Path(source)
    if revision and path.exists():
        raise CheckpointError(f"{source} is on this disk: only a Hugging Face id has revisions, not '{revision}'")
    if config and not path.is_file():
        raise CheckpointError(f"{source} is no single file: a folder and an id bring their own configs, not {config}")
    with quiet(), one_line(source):
        if path.is_dir():
            pipeline, description = load_folder(path, torch_dtype), f"folder {path.resolve().name}"
        elif path.is_file():
            from single_file import load_single_file

            pipeline, family = load_single_file(path, config, prediction_type, torch_dtype)
            description = f"{path.name} ({family}, SHA-256 {hash_file(path)})"
        elif HUB_ID.fullmatch(str(source)) and path.suffix not in FILE_SUFFIXES:
            folder = fetch_folder(str(source), revision, torch_dtype)
            pipeline, description = load_folder(folder, torch_dtype), f"{source}@{folder.name}"
        else:
            raise CheckpointError(f"{source}: no such file or folder, and no Hugging Face id, which is owner/name")
        if prediction_type:
            scheduler = pipeline.scheduler
            pipeline.scheduler = type(scheduler).from_config(scheduler.config, prediction_type=prediction_type)
        loras = [(Path(file), weight) for file, weight in loras]
        merge_loras(pipeline, loras)
    for file, weight in loras:
        description += f"; LoRA {file.name} at {weight:g} (SHA-256 {hash_file(file)})"
    return Source(pipeline, description)


@contextlib.contextmanager
def quiet():
    """Without the libraries' remarks and progress bars. What matters of it, such as a missing tensor, is checked here."""
    import transformers

    # Before diffusers is imported: that makes transformers speak of picture processors.
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    import diffusers

    own_verbosity = diffusers.logging.get_verbosity()
    diffusers.logging.set_verbosity_error()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        diffusers.logging.set_verbosity(own_verbosity)
        if bars:
            transformers.logging.enable_progress_bar()


@contextlib.contextmanager
def one_line(place):
    """What the libraries raise, which is most of the types there are, as one line."""
    try:
        yield
    except CheckpointError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{place}: {first_line(error)}") from error
    except Exception as error:
        raise CheckpointError(f"{place}: {type(error).__name__}: {first_line(error)}") from error


# --- a diffusers folder --------------------------------------------------------------------------------------


def read_index(folder: Path) -> dict:
    path = folder / "model_index.json"
    try:
        index = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is no pipeline that diffusers saved: it has no model_index.json") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read: {first_line(error)}") from error
    if not isinstance(index, dict) or index.get("_class_name") not in PIPELINES:
        found = index.get("_class_name") if isinstance(index, dict) else type(index).__name__
        raise CheckpointError(f"{path} is of a {found}; wanted: {' or '.join(PIPELINES)}")
    return index


def load_folder(folder: Path, torch_dtype: torch.dtype | None):
    index = read_index(folder)
    if (index.get("tokenizer") or [None])[0] == Pipeline.__module__:
        pipeline = Pipeline.from_pretrained(folder)
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder) if torch_dtype else ():
            part.to(torch_dtype)
        return pipeline
    pipeline = load_parts(folder, index, torch_dtype)
    channels = pipeline.unet.config.in_channels
    if channels != 4:
        raise CheckpointError(f"{folder} is no text-to-image model: its UNet takes {channels} channels; wanted: 4")
    return pipeline


def load_parts(folder: Path, index: dict, torch_dtype: torch.dtype | None):
    import diffusers
    import transformers

    from single_file import assemble

    parts = {}
    for part, wanted in PIPELINES[index["_class_name"]].items():
        library, name = index.get(part) or (None, None)
        if name != wanted:
            raise CheckpointError(f"{folder / 'model_index.json'}: {part} is {name or 'missing'}; wanted: {wanted}")
        library = diffusers if library == "diffusers" else transformers
        parts[part] = load_part(getattr(library, name), folder / part, torch_dtype)
        if part.startswith("text_encoder"):
            tokenizer = part.replace("text_encoder", "tokenizer")
            if not (index.get(tokenizer) or ["", ""])[1].startswith("CLIPTokenizer"):
                raise CheckpointError(f"{folder / 'model_index.json'}: {tokenizer} is {index.get(tokenizer)}; "
                                      "wanted: CLIPTokenizer")
            parts[tokenizer] = transformers.CLIPTokenizer.from_pretrained(folder / tokenizer, local_files_only=True)
    scheduler = index["scheduler"][1]
    if not hasattr(diffusers, str(scheduler)) or not str(scheduler).endswith("Scheduler"):
        raise CheckpointError(f"{folder / 'model_index.json'}: scheduler is {scheduler}, which diffusers does not have")
    parts["scheduler"] = getattr(diffusers, scheduler).from_pretrained(folder / "scheduler", local_files_only=True)
    return assemble(index, parts)


def load_part(model_class, folder: Path, torch_dtype: torch.dtype | None):
    files = choose_weights([path.name for path in folder.glob("*")], torch_dtype)
    if not files:
        raise CheckpointError(f"{folder} holds no weights; wanted: *.safetensors, or *.bin")
    match = WEIGHTS.fullmatch(files[0])
    safetensors = match["kind"] == "safetensors"
    dtype = torch_dtype or (file_dtype(folder / files[0]) if safetensors else None)
    spelling = "torch_dtype" if model_class.__module__.startswith("diffusers") else "dtype"
    # Both libraries read .bin with torch.load(weights_only=True).
    model, report = model_class.from_pretrained(
        folder, **{spelling: dtype}, variant="fp16" if match["fp16"] else None, use_safetensors=safetensors,
        local_files_only=True, output_loading_info=True)
    # They would go on with random numbers.
    for missing in sorted(report["missing_keys"]):
        raise CheckpointError(f"{folder}: its weights lack '{missing}'")
    return model.eval().requires_grad_(False)


def choose_weights(names: list[str], torch_dtype: torch.dtype | None) -> list[str]:
    """Of a part's files, those to load: safetensors before .bin; of two precisions the smaller only when it is asked for."""
    matches = [match for match in map(WEIGHTS.fullmatch, sorted(names)) if match]
    for kind in ("safetensors", "bin"):
        by_half = {half: [match[0] for match in matches if match["kind"] == kind and bool(match["fp16"]) == half]
                   for half in (False, True)}
        half_first = torch_dtype in (torch.float16, torch.bfloat16)
        if chosen := by_half[half_first] or by_half[not half_first]:
            return chosen
    return []


def file_dtype(path: Path) -> torch.dtype | None:
    with safe_open(path, framework="pt") as file:
        found = {file.get_slice(name).get_dtype() for name in file.keys()}
    return next((dtype for name, dtype in DTYPES.items() if name in found), None)


# --- Hugging Face --------------------------------------------------------------------------------------------


def fetch_folder(id: str, revision: str | None, torch_dtype: torch.dtype | None) -> Path:
    """The folder in Hugging Face's cache, named as the commit. What load_folder() reads is fetched where it isn't there."""
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    at = f" at revision '{revision}'" if revision else ""
    try:
        model = huggingface_hub.HfApi().model_info(id, revision=revision)
        files = files_to_fetch([file.rfilename for file in model.siblings], torch_dtype)
        return Path(huggingface_hub.snapshot_download(id, revision=model.sha, allow_patterns=files))
    except GatedRepoError as error:
        raise CheckpointError(f"{id}: its owners want their terms accepted at Hugging Face first, and a login here: "
                              "hf auth login") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(f"{id}: no such folder here, and no such model at Hugging Face, or a private one: "
                              "hf auth login") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{id} has no revision '{revision}'") from error
    except Exception as error:  # no network has as many types as there are layers of it
        with contextlib.suppress(OSError, ValueError):
            return Path(huggingface_hub.snapshot_download(id, revision=revision, local_files_only=True))
        raise CheckpointError(f"{id}{at}: no such folder here, none in Hugging Face's cache, and Hugging Face can't be "
                              f"reached: {first_line(error)}") from error


def files_to_fetch(names: list[str], torch_dtype: torch.dtype | None) -> list[str]:
    """Of a repository's files, those of the parts, in one precision."""
    settings = re.compile(r"model_index\.json|(unet|vae|text_encoder(_2)?|tokenizer(_2)?|scheduler)/[^/]*\.(json|txt)")
    wanted = [name for name in names if settings.fullmatch(name)]
    for part in PIPELINES["StableDiffusionXLPipeline"]:
        own = [name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")]
        wanted += [f"{part}/{name}" for name in choose_weights(own, torch_dtype)]
    return wanted
