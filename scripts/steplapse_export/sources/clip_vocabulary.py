"""CLIP's tokenizer from the merges that the open_clip_torch package carries, without a network.

The vocabulary is the 256 bytes, the same at a word's end, a symbol for each merge, and the two special ones.
"""

import functools
import gzip
import importlib.util
from pathlib import Path

from steplapse_export.sources.files import CheckpointError

PACKAGE, MERGES_FILE = "open_clip", "bpe_simple_vocab_16e6.txt.gz"
VOCABULARY = 49408
MERGES = VOCABULARY - 2 * 256 - 2


def byte_symbols() -> list[str]:
    """A printable character for each byte, in the vocabulary's order: those printable in Latin-1, then the others."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]


def find_merges() -> Path:
    # Found, not imported: the package itself wants torchvision.
    package = importlib.util.find_spec(PACKAGE)
    for folder in package.submodule_search_locations if package else ():
        if (Path(folder) / MERGES_FILE).is_file():
            return Path(folder) / MERGES_FILE
    raise CheckpointError(
        f"CLIP's vocabulary is made from {MERGES_FILE} of the Python package open_clip_torch, which "
        "is not there: pip install --no-deps -r scripts/requirements-no-deps.txt"
    )


@functools.cache
def read_merges() -> list[tuple[str, str]]:
    with gzip.open(find_merges(), "rt", encoding="utf-8") as lines:
        next(lines)  # the file's own version
        return [tuple(line.split()) for line, _ in zip(lines, range(MERGES))]


def make_clip_tokenizer(length: int = 77, pad_token: str = "<|endoftext|>"):
    """A transformers CLIPTokenizer. SD 2.x, and SDXL for its second encoder, pad with "!", whose id is 0."""
    from transformers import CLIPTokenizer

    merges, symbols = read_merges(), byte_symbols()
    tokens = [
        *symbols,
        *(symbol + "</w>" for symbol in symbols),
        *map("".join, merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    return CLIPTokenizer(
        vocab={token: id for id, token in enumerate(tokens)},
        merges=merges,
        model_max_length=length,
        pad_token=pad_token,
    )
