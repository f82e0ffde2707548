"""Files of weights as others made them: read without running any code of theirs."""

import contextlib
import hashlib
import pickle
import sys
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open


class CheckpointError(Exception):
    """What keeps a file, a folder or an id from becoming a pipeline: one line."""


def remark(line: str) -> None:
    """What was assumed, or what else the user should know, while a source is loaded."""
    print(line, file=sys.stderr, flush=True)


def read_weights(path: Path) -> tuple[dict, dict]:
    """What the file holds by name, and a safetensors file's metadata. Tensors stay in the file until they are used.

    Not every value is a tensor: a training checkpoint has its `global_step`.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        if path.suffix.lower() == ".safetensors":
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no whole safetensors file: {first_line(error)}") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than weights, and could run code if it were loaded: "
            "convert it to safetensors where that may happen, and give that file"
        ) from error
    except (EOFError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read as a checkpoint: {first_line(error)}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, a checkpoint is a dictionary of weights")
    weights = content.get("state_dict", content)
    return {**{key: value for key, value in content.items() if key == "global_step"}, **weights}, {}


def hash_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
