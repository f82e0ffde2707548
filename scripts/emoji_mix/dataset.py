"""Scenes by number, with their pictures, and with their latents in files."""

import json
import random
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from emoji.train import encode_all
from emoji_mix import scenes
from emoji_mix.captions import Captions
from emoji_mix.pictures import Pictures, pixels
from emoji_mix.things import load_things

SCENES = 1 << 18  # that are told apart; which of them a stage sees is its own matter
UNSEEN = 1 << 20  # scenes from here on are for looking and measuring
PART = 4096  # scenes to a file


class Scenes:
    """Scene number i, its picture, and captions for it: the same for each stage, whatever it has drawn before."""

    def __init__(self, seed: int, held_out: set[tuple]):
        things = load_things()
        self.seed = seed
        self.things = things
        self.sampler = scenes.Sampler(things, held_out)
        self.pictures, self.captions = Pictures(things), Captions(things)

    def __getitem__(self, i: int):
        """The scene, its picture, and the drawings and colours that stand for its parts."""
        rng = random.Random(f"{self.seed} {i}")
        scene = self.sampler.sample(rng)
        return scene, *self.pictures.draw(scene, rng)

    def images(self, indices) -> torch.Tensor:
        """[N, 3, H, W] in [-1, 1]."""
        return torch.from_numpy(pixels([self[int(i)][1] for i in indices])).float() / 127.5 - 1


def write_part(scenes_: Scenes, autoencoder, number: int, path: Path, device: torch.device) -> None:
    """Latents of PART scenes, and in the file's metadata what the scenes are: whoever reads them needs no drawings."""
    told, means, stds = [], [], []
    for start in range(number * PART, (number + 1) * PART, 64):
        drawn = [scenes_[i] for i in range(start, start + 64)]
        images = torch.from_numpy(pixels([picture for _, picture, _ in drawn])).float().to(device) / 127.5 - 1
        mean, std = encode_all(autoencoder, images)
        means.append(mean.half().cpu())
        stds.append(std.half().cpu())
        for scene, _, chosen in drawn:
            drawing, colour = chosen[0]
            told.append([scenes.as_json(scene), drawing.character if colour is None else None])
    tensors = {"mean": torch.cat(means).contiguous(), "std": torch.cat(stds).contiguous()}
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata={"scenes": json.dumps(told, ensure_ascii=False)})
    partial.rename(path)


def read_parts(folder: Path):
    """The latents' mean and std [N, C, h, w], and each scene with the character that stands for its first part."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise SystemExit(f"{folder}: no latents of scenes; make them with: train.py scenes")
    means, stds, told = [], [], []
    for path in paths:
        with safe_open(path, "pt") as file:
            means.append(file.get_tensor("mean"))
            stds.append(file.get_tensor("std"))
            told += json.loads(file.metadata()["scenes"])
    return torch.cat(means), torch.cat(stds), [(scenes.from_json(scene), character) for scene, character in told]
