"""A pipeline from what people have: a diffusers folder, a checkpoint in one file, or a Hugging Face id.

    source = load_pipeline("model.safetensors", loras=[(Path("style.safetensors"), 0.8)])
    source.pipeline      diffusers' StableDiffusionPipeline or StableDiffusionXLPipeline, or our own Pipeline
    source.description   where it came from, for a bundle's `source`

No code of a source's own is run.
"""

import contextlib
import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from steplapse_export.sources.files import CheckpointError, first_line, hash_file, one_line, read_weights, remark
from steplapse_export.sources.index import PIPELINES, has_sentencepiece, part_class, read_index, scheduler_class
from steplapse_export.sources.lora import find_weights, merge_loras
from steplapse_export.sources.pipeline import Pipeline, SentencePieceTokenizer
from steplapse_export.sources.prediction_type import assumed_epsilon

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
FILE_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
WEIGHTS = re.compile(
    r"(diffusion_pytorch_model|pytorch_model|model)(-\d+-of-\d+)?(?P<fp16>\.fp16)?(-\d+-of-\d+)?"
    r"\.(?P<kind>safetensors|bin)"
)


@dataclass
class Source:
    pipeline: object
    description: str


def load_pipeline(
    source: str | Path,
    *,
    revision: str | None = None,
    loras=(),
    config: str | Path | None = None,
    prediction_type: str | None = None,
    prefer_half: bool = False,
) -> Source:
    """
    Weights have the types they have in the file, and stay in it until they are used; what a LoRA was added to is
    float32.

    @param source           a diffusers folder, a .safetensors or .ckpt file, or `owner/name` at Hugging Face. What is
                            on the disk goes before an id.
    @param revision         branch, tag or commit, of an id.
    @param loras            (file or peft's folder, weight) each, added to the weights in float32.
    @param config           folder of component configs for a single file, in place of those that come with us.
    @param prediction_type  epsilon, v_prediction or sample, whatever the source says.
    @param prefer_half      takes the 16-bit files where a folder or an id has both.
    @throws CheckpointError one line: what can't be loaded, and why.
    """
    path = Path(source)
    if revision and path.exists():
        raise CheckpointError(f"{source} is on this disk: only a Hugging Face id has revisions, not '{revision}'")
    if config and not path.is_file():
        raise CheckpointError(f"{source} is no single file: a folder and an id bring their own configs, not {config}")
    with quiet(), one_line(source):
        if path.is_dir():
            pipeline, description = load_folder(path, prefer_half), f"folder {path.resolve().name}"
        elif path.is_file():
            from steplapse_export.sources.single_file import load_single_file

            pipeline, family = load_single_file(path, config, prediction_type)
            description = f"{path.name} ({family}, SHA-256 {hash_file(path)})"
        elif HUB_ID.fullmatch(str(source)) and path.suffix.lower() not in FILE_SUFFIXES:
            folder = fetch_folder(str(source), revision, prefer_half)
            pipeline, description = load_folder(folder, prefer_half), f"{source}@{folder.name}"
        else:
            raise CheckpointError(f"{source}: no such file or folder, and no Hugging Face id, which is owner/name")
        if prediction_type:
            pipeline.scheduler.register_to_config(prediction_type=prediction_type)
        elif not path.is_file() and not says_prediction_type(pipeline.scheduler):
            remark(assumed_epsilon(source))
        loras = [(find_weights(Path(file)), weight) for file, weight in loras]
        merge_loras(pipeline, loras)
    for file, weight in loras:
        description += f"; LoRA {file.name} at {weight:g} (SHA-256 {hash_file(file)})"
    return Source(pipeline, description)


@contextlib.contextmanager
def quiet():
    """Without the libraries' remarks and progress bars, a download's excepted. What matters of it, such as a missing
    tensor, is checked here."""
    import transformers
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    # Before diffusers is imported: that makes transformers speak of picture processors.
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    import diffusers

    own_verbosity = diffusers.logging.get_verbosity()
    diffusers.logging.set_verbosity_error()
    bars, download_bars = transformers.logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    transformers.logging.disable_progress_bar()
    if download_bars:  # switched along with transformers' own
        enable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        diffusers.logging.set_verbosity(own_verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        if not download_bars:
            disable_progress_bars()


# --- a diffusers folder --------------------------------------------------------------------------------------


def load_folder(folder: Path, prefer_half: bool):
    # As an absolute path nothing can be taken for an id.
    folder = folder.absolute()
    index = read_index(folder)
    networks = PIPELINES[index["_class_name"]]
    parts = {part: load_part(part_class(index, part), folder / part, prefer_half) for part in networks}
    parts["scheduler"] = load_scheduler(index["scheduler"][1], folder / "scheduler")
    if has_sentencepiece(index):
        return Pipeline(**parts, tokenizer=SentencePieceTokenizer.from_pretrained(folder / "tokenizer"))

    from steplapse_export.sources.single_file import assemble

    for part in networks:
        if part.startswith("text_encoder"):
            tokenizer = part.replace("text_encoder", "tokenizer")
            parts[tokenizer] = load_tokenizer(folder / tokenizer)
    pipeline = assemble(index, parts)
    channels = pipeline.unet.config.in_channels
    if channels != 4:
        raise CheckpointError(f"{folder} is no text-to-image model: its UNet takes {channels} channels; expected: 4")
    return pipeline


def load_part(model_class, folder: Path, prefer_half: bool = False, extra: bool = True):
    """`extra`: whether tensors that have no place are let pass."""
    files = choose_weights([path.name for path in folder.glob("*")], prefer_half)
    if not files:
        raise CheckpointError(f"{folder} holds no weights; expected: *.safetensors, or *.bin")
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} holds no config.json; expected: what diffusers saves beside the weights")
    match = WEIGHTS.fullmatch(files[0])
    spelling = "torch_dtype" if model_class.__module__.startswith("diffusers") else "dtype"
    # Both libraries read .bin with torch.load(weights_only=True).
    model, report = model_class.from_pretrained(
        folder,
        **{spelling: dtype_of([folder / file for file in files])},
        variant="fp16" if match["fp16"] else None,
        use_safetensors=match["kind"] == "safetensors",
        local_files_only=True,
        output_loading_info=True,
    )
    # They would go on with random numbers.
    for missing in sorted(report["missing_keys"]):
        raise CheckpointError(f"{folder}: its weights lack '{missing}'")
    for name in () if extra else sorted(report["unexpected_keys"]):
        raise CheckpointError(f"{folder}: its weights have '{name}', for which the config has no place")
    return model.eval().requires_grad_(False)


def says_prediction_type(scheduler) -> bool:
    """Whether its config does, not only its class."""
    return "prediction_type" not in scheduler.config.get("_use_default_values", [])


def load_scheduler(name: str, folder: Path):
    if not (folder / "scheduler_config.json").is_file():
        raise CheckpointError(f"{folder} holds no scheduler_config.json; expected: a {name}'s")
    return scheduler_class(name, folder).from_pretrained(folder, local_files_only=True)


def load_tokenizer(folder: Path):
    from transformers import CLIPTokenizer

    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise CheckpointError(f"{folder} holds no vocabulary; expected: tokenizer.json, or vocab.json and merges.txt")
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def choose_weights(names: list[str], prefer_half: bool) -> list[str]:
    """Of a part's files, those to load: safetensors before .bin; of two precisions the smaller only when asked for."""
    matches = [match for match in map(WEIGHTS.fullmatch, sorted(names)) if match]
    for kind in ("safetensors", "bin"):
        by_half = {
            half: [match[0] for match in matches if match["kind"] == kind and bool(match["fp16"]) == half]
            for half in (False, True)
        }
        if chosen := by_half[prefer_half] or by_half[not prefer_half]:
            return chosen
    return []


def dtype_of(files: list[Path]) -> torch.dtype:
    """The files' own. For a mixture, and for what is no type to compute in: float32, which has all that others have."""
    found = {
        tensor.dtype
        for file in files
        for tensor in read_weights(file)[0].values()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }
    return found.pop() if len(found) == 1 and found < {torch.float32, torch.float16, torch.bfloat16} else torch.float32


def load_tiny_decoder(folder: str | Path):
    """diffusers' AutoencoderTiny from a folder on this disk, as madebyollin/taesd and taesdxl are.

    @throws CheckpointError one line: what can't be loaded, and why.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: no such folder; expected: that of an AutoencoderTiny. "
            "Download madebyollin/taesd, or for SDXL madebyollin/taesdxl, and give the folder it is in"
        )
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no config.json; expected: the folder of an AutoencoderTiny") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read: {first_line(error)}") from error
    kind = config.get("_class_name") if isinstance(config, dict) else type(config).__name__
    if kind != "AutoencoderTiny":
        raise CheckpointError(f"{path} is of class {kind}; expected: AutoencoderTiny")
    with quiet(), one_line(folder):
        from diffusers import AutoencoderTiny

        return load_part(AutoencoderTiny, folder, extra=False)


# --- Hugging Face --------------------------------------------------------------------------------------------


def fetch_folder(id: str, revision: str | None, prefer_half: bool) -> Path:
    """The folder in Hugging Face's cache, named as the commit. What load_folder() reads is fetched if need be."""
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    at = f" at revision '{revision}'" if revision else ""
    try:
        model = huggingface_hub.HfApi().model_info(id, revision=revision)
        files = files_to_fetch([file.rfilename for file in model.siblings], prefer_half)
        # By its name, not its commit: only so the cache remembers for which name the commit is.
        return Path(huggingface_hub.snapshot_download(id, revision=revision, allow_patterns=files))
    except GatedRepoError as error:
        raise CheckpointError(
            f"{id}: its owners want their terms accepted at Hugging Face first, and a login here: hf auth login"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"{id}: no such folder here, and no such model at Hugging Face, or a private one: hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{id} has no revision '{revision}'") from error
    except Exception as error:
        if not is_unreachable(error):
            raise CheckpointError(f"{id}{at} can't be fetched: {first_line(error)}") from error
        folder = cached_folder(id, revision)
        if not folder:
            raise CheckpointError(
                f"{id}{at}: no such folder here, none in Hugging Face's cache, and Hugging Face can't be "
                f"reached: {first_line(error)}"
            ) from error
        remark(
            f"{id}{at}: Hugging Face can't be reached ({first_line(error)}), taking commit {folder.name} from its cache"
        )
        return folder


def is_unreachable(error: BaseException | None) -> bool:
    """No network, or a server out of order: what the cache is for. A full disk is neither."""
    import httpx

    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(error, (httpx.TransportError, ConnectionError, TimeoutError)):
            return True
        if response is not None and response.status_code >= 500:
            return True
        error = error.__cause__
    return False


def cached_folder(id: str, revision: str | None) -> Path | None:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(id, revision=revision, local_files_only=True))
    except (OSError, ValueError) as error:
        # A folder without the files that nobody asked for counts as incomplete.
        return Path(error.snapshot_path) if hasattr(error, "snapshot_path") else None


def files_to_fetch(names: list[str], prefer_half: bool) -> list[str]:
    """Of a repository's files, those of the parts, in one precision."""
    settings = re.compile(r"model_index\.json|(unet|vae|text_encoder(_2)?|tokenizer(_2)?|scheduler)/[^/]*\.(json|txt)")
    wanted = [name for name in names if settings.fullmatch(name)]
    for part in PIPELINES["StableDiffusionXLPipeline"]:
        own = [name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")]
        wanted += [f"{part}/{name}" for name in choose_weights(own, prefer_half)]
    return wanted
