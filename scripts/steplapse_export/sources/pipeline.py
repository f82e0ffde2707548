"""A text-to-image pipeline as a folder: the parts of it that sampling needs, in the layout diffusers saves.

    FOLDER/model_index.json        which class each part is
    FOLDER/vae, unet, text_encoder, scheduler, tokenizer

diffusers' own DiffusionPipeline insists on tokenizers that transformers knows; this one also takes a plain
sentencepiece model.
"""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch

LIBRARY = "pipeline"  # of SentencePieceTokenizer, as model_index.json has it


class SentencePieceTokenizer:
    """`[bos] pieces [eos] pad...`, cut to `length`; the ids of bos, eos and pad are in the model itself."""

    def __init__(self, model: Path | str | bytes, length: int):
        self.serialized = model if isinstance(model, bytes) else Path(model).read_bytes()
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=self.serialized)
        self.length = length

    def ids(self, text: str) -> list[int]:
        processor = self.processor
        pieces = processor.encode(text)[: self.length - 2]
        padding = [processor.pad_id()] * (self.length - 2 - len(pieces))
        return [processor.bos_id(), *pieces, processor.eos_id(), *padding]

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """[N, length] int64."""
        return torch.tensor([self.ids(text) for text in texts])

    def __len__(self) -> int:
        return self.processor.get_piece_size()

    def __getstate__(self) -> dict:
        return {"serialized": self.serialized, "length": self.length}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["serialized"], state["length"])

    def save_pretrained(self, folder: Path) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "tokenizer.model").write_bytes(self.serialized)
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps({"length": self.length}, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path) -> "SentencePieceTokenizer":
        config = json.loads((Path(folder) / "tokenizer_config.json").read_text())
        return cls(Path(folder) / "tokenizer.model", config["length"])


@dataclass
class Pipeline:
    vae: torch.nn.Module
    unet: torch.nn.Module
    text_encoder: torch.nn.Module
    scheduler: object
    tokenizer: object

    def save_pretrained(self, folder: Path) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        index = {"_class_name": "StableDiffusionPipeline"}
        for name, part in vars(self).items():
            part.save_pretrained(folder / name)
            own = isinstance(part, SentencePieceTokenizer)
            library = LIBRARY if own else type(part).__module__.split(".")[0]
            index[name] = [library, type(part).__name__]
        (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path) -> "Pipeline":
        folder = Path(folder).absolute()  # else a missing part is taken for an id at Hugging Face
        index = json.loads((folder / "model_index.json").read_text())
        parts = {}
        for name in cls.__dataclass_fields__:
            library, class_name = index[name]
            if library not in ("diffusers", "transformers", LIBRARY):
                raise ValueError(
                    f"{folder / 'model_index.json'}: {name} is of {library}, which this program does not load"
                )
            # diffusers' other way of loading wants the accelerate package, and says so each time.
            options = {"low_cpu_mem_usage": False} if name in ("vae", "unet") and library == "diffusers" else {}
            if library == LIBRARY:
                kind = SentencePieceTokenizer
            else:
                kind = getattr(importlib.import_module(library), class_name)
                options["local_files_only"] = True
            parts[name] = kind.from_pretrained(folder / name, **options)
        return cls(**parts)
