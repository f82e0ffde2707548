"""A classifier that says what is in a picture: which things, in which colour, how many, on which background.

It is trained apart from the model that it judges, on drawings that are put together as that model's are.
"""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import Conv2d, GroupNorm, Linear, Module, ModuleDict, Sequential, SiLU
from torch.nn.functional import cross_entropy

from emoji_mix.colours import COLOURS
from emoji_mix.scenes import Scene

COLOUR_NAMES = list(COLOURS)
COUNTS = ["1", "2", "3", "pair"]
BACKGROUNDS = [None, *COLOURS]


class Residual(Module):
    def __init__(self, channels: int):
        super().__init__()
        self.layers = Sequential(
            *(GroupNorm(8, channels), SiLU(), Conv2d(channels, channels, 3, padding=1)),
            *(GroupNorm(8, channels), SiLU(), Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, x):
        return x + self.layers(x)


class Judge(Module):
    def __init__(self, nouns: int, channels=(24, 48, 96, 192)):
        super().__init__()
        layers, before = [], 3
        for after in channels:
            layers += [Conv2d(before, after, 4, stride=2, padding=1), Residual(after)]
            before = after
        self.layers = Sequential(*layers, GroupNorm(8, before), SiLU())
        # Colours and numbers are told by how much there is of something, things by its being there at all.
        sizes = {"noun": nouns, "colour": len(COLOUR_NAMES), "count": len(COUNTS), "background": len(BACKGROUNDS)}
        self.heads = ModuleDict({name: Linear(2 * before, size) for name, size in sizes.items()})

    def forward(self, images) -> dict[str, torch.Tensor]:
        """Of [N, 3, H, W] in [-1, 1]: logits [N, classes] by head."""
        features = self.layers(images)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return {name: head(pooled) for name, head in self.heads.items()}


def count_of(scene: Scene) -> int:
    return COUNTS.index("pair" if len(scene.parts) == 2 else str(scene.count))


def loss(answers: dict[str, torch.Tensor], scenes: list[Scene], nouns: list[str]):
    """Sum of the heads' cross-entropies, and figures. A colour is learnt where one part has one."""
    device = answers["noun"].device
    number = {noun: i for i, noun in enumerate(nouns)}
    present = torch.zeros_like(answers["noun"])
    for row, scene in enumerate(scenes):
        for part in scene.parts:
            present[row, number[part.noun]] += 1 / len(scene.parts)
    coloured = [i for i, scene in enumerate(scenes) if len(scene.parts) == 1 and scene.parts[0].colour in COLOURS]
    counts = torch.tensor([count_of(scene) for scene in scenes], device=device)
    backgrounds = torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes], device=device)
    parts = {
        "noun": cross_entropy(answers["noun"], present),
        "count": cross_entropy(answers["count"], counts),
        "background": cross_entropy(answers["background"], backgrounds),
    }
    if coloured:
        wanted = torch.tensor([COLOUR_NAMES.index(scenes[i].parts[0].colour) for i in coloured], device=device)
        parts["colour"] = cross_entropy(answers["colour"][coloured], wanted)
    found = (answers["noun"].argmax(1) == present.argmax(1)).float().mean()
    figures = {"noun": parts["noun"].item(), "count": parts["count"].item(), "found": found.item()}
    return sum(parts.values()), figures


class Verdict(NamedTuple):
    nouns: tuple[str, ...]  # the two likeliest, the likelier first
    colour: str
    count: str
    background: str | None


def save(model: Judge, nouns: list[str], path: Path) -> None:
    save_file(model.state_dict(), path, metadata={"nouns": json.dumps(nouns)})


class Judging:
    def __init__(self, path: Path):
        with safe_open(path, "pt") as file:
            self.nouns = json.loads(file.metadata()["nouns"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        self.model = Judge(len(self.nouns))
        self.model.load_state_dict(weights)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> list[Verdict]:
        """Of [N, 3, H, W] in [-1, 1]."""
        verdicts = []
        for part in images.split(128):
            answers = self.model(part)
            best = {name: answer.argmax(1).tolist() for name, answer in answers.items()}
            for i, two in enumerate(answers["noun"].topk(2).indices.tolist()):
                verdicts.append(
                    Verdict(
                        tuple(self.nouns[noun] for noun in two),
                        COLOUR_NAMES[best["colour"][i]],
                        COUNTS[best["count"][i]],
                        BACKGROUNDS[best["background"][i]],
                    )
                )
        return verdicts
