#!/usr/bin/env python3
"""Trains models/emoji-mix-64 from nothing: a latent diffusion model that draws emoji, and mixtures of them.

    scripts/emoji_mix/train.py held-out                  combinations to keep from training: held_out.json
    scripts/emoji_mix/train.py autoencoder --minutes 60  pictures to 8 x 8 latents and back
    scripts/emoji_mix/train.py scenes                    latents of the scenes that the denoiser learns from
    scripts/emoji_mix/train.py denoiser --steps 16000    tokenizer, UNet and text encoder, on those latents
    scripts/emoji_mix/train.py decoder --minutes 20      sharper pictures from the same latents
    scripts/emoji_mix/train.py tiny --minutes 10         a decoder of few bytes for previews
    scripts/emoji_mix/train.py judge --minutes 20        a classifier, which scripts/emoji_mix/evaluate.py asks

Every stage writes to --work (training/ unless said) and goes on from its checkpoint there, so an interrupted one is
started again with the same command: SIGTERM and SIGINT save. The learning rate falls along a cosine over the minutes
or the steps that were asked for.
"""

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from emoji import train as emoji_64
from emoji.train import decode_all, encode_all, load_autoencoder, peak_signal_to_noise
from emoji.training_loop import autocast, say, train
from emoji_mix import judge, networks, scenes
from emoji_mix.captions import Captions
from emoji_mix.pictures import Pictures, pixels
from emoji_mix.things import load_things
from steplapse_export.sources.pipeline import Pipeline

SCENES = 1 << 18  # that are told apart; which of them a stage sees is its own matter
UNSEEN = 1 << 20  # scenes from here on are for looking and measuring


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


def scenes_of(args) -> Scenes:
    return Scenes(args.seed, set(scenes.read_held_out()))


def hold_out(args) -> None:
    scenes.write_held_out(scenes.draw_held_out(load_things(), args.seed))
    say(f"wrote {scenes.HELD_OUT}")


# --- autoencoder ------------------------------------------------------------------------------------------------------


class AutoencoderTask:
    def __init__(self, args):
        self.kl, self.squares = args.kl, args.squares
        self.scenes, self.device = scenes_of(args), args.device
        self.new_model = networks.new_autoencoder

    def __len__(self) -> int:
        return SCENES

    def loss(self, model, indices, generator):
        wanted = self.scenes.images(indices).to(self.device)
        with autocast(self.device):
            posterior = model.encode(wanted).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator).to(self.device)
            answer = model.decode(posterior.mean + posterior.std * noise).sample
        error = answer.float() - wanted
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        squares = error.square().mean((1, 2, 3))
        loss = error.abs().mean() + self.squares * squares.mean() + self.kl * kl
        return loss, {
            "dB": (10 * torch.log10(4 / squares)).mean().item(),
            "kl": kl.item(),
            "posterior std": posterior.std.float().mean().item(),
            "latents' std": mean.std().item(),
        }


def train_autoencoder(args) -> None:
    task = AutoencoderTask(args)
    torch.manual_seed(args.seed)
    autoencoder = train(task, task.new_model().to(args.device), args.work / "autoencoder.pt", args).eval()
    images = task.scenes.images(range(UNSEEN, UNSEEN + 512)).to(args.device)
    emoji_64.standardize_latents(autoencoder, encode_all(autoencoder, images)[0])
    emoji_64.report_autoencoder(autoencoder, images)
    autoencoder.save_pretrained(args.work / "vae")


# --- decoders, on latents that stay as they are -----------------------------------------------------------------------


class DecoderTask:
    NOISE = 0.3  # at most, on unit-variance latents: about how far the denoiser's are from the encoder's

    def __init__(self, args, new_model):
        self.squares = args.squares
        self.scenes, self.device = scenes_of(args), args.device
        self.autoencoder = load_autoencoder(args.work / "vae").to(args.device)
        self.new_model = new_model

    def __len__(self) -> int:
        return SCENES

    def loss(self, model, indices, generator):
        wanted = self.scenes.images(indices).to(self.device)
        mean, _ = encode_all(self.autoencoder, wanted)
        noise = torch.randn(mean.shape, generator=generator).to(self.device)
        level = self.NOISE * torch.rand((len(indices), 1, 1, 1), generator=generator).to(self.device)
        with autocast(self.device):
            answer = model(mean + level * noise)
        error = answer.float() - wanted
        squares = error.square().mean((1, 2, 3))
        loss = error.abs().mean() + self.squares * squares.mean()
        return loss, {"dB": (10 * torch.log10(4 / squares)).mean().item()}


def report_decoder(decode, task: DecoderTask) -> None:
    images = task.scenes.images(range(UNSEEN, UNSEEN + 256)).to(task.device)
    mean, _ = encode_all(task.autoencoder, images)
    with torch.no_grad():
        say(f"PSNR over 256 unseen scenes: {peak_signal_to_noise(decode(mean), images).mean():.2f} dB")


def train_decoder(args) -> None:
    task = DecoderTask(args, lambda: emoji_64.Decoder(load_autoencoder(args.work / "vae")))
    torch.manual_seed(args.seed)
    decoder = train(task, task.new_model().to(args.device), args.work / "decoder.pt", args)
    autoencoder = task.autoencoder
    autoencoder.post_quant_conv, autoencoder.decoder = decoder.post_quant_conv, decoder.decoder
    report_decoder(lambda latents: decode_all(autoencoder, latents), task)
    autoencoder.save_pretrained(args.work / "vae")


def train_tiny(args) -> None:
    task = DecoderTask(args, lambda: networks.new_tiny_decoder().decoder)
    torch.manual_seed(args.seed)
    tiny = networks.new_tiny_decoder()
    tiny.decoder = train(task, task.new_model().to(args.device), args.work / "tiny.pt", args)
    report_decoder(tiny.decoder, task)
    tiny.save_pretrained(args.work / "tiny")


# --- command line -----------------------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Path("training"), help="folder for checkpoints (default: training)"
    )
    parser.add_argument(
        "--device", type=torch.device, default=torch.device("cuda" if torch.cuda.is_available() else "cpu")
    )
    parser.add_argument("--seed", type=int, default=1)
    stages = parser.add_subparsers(dest="stage", required=True)
    stages.add_parser("held-out").set_defaults(run=hold_out)

    def training_stage(name, run, batch, rate, average):
        stage = stages.add_parser(name)
        stage.set_defaults(run=run)
        length = stage.add_mutually_exclusive_group(required=True)
        length.add_argument("--steps", type=int)
        length.add_argument("--minutes", type=float)
        stage.add_argument("--batch", type=int, default=batch)
        stage.add_argument("--rate", type=float, default=rate)
        stage.add_argument("--average", type=float, default=average, help="decay of the averaged weights")
        stage.add_argument(
            "--workers",
            type=int,
            default=1 if torch.cuda.is_available() else torch.get_num_threads(),
            help="processes that share a batch (CPU only)",
        )
        return stage

    def squares(stage, weight):
        stage.add_argument("--squares", type=float, default=weight, help="weight of squared beside absolute errors")

    stage = training_stage("autoencoder", train_autoencoder, batch=16, rate=1.5e-3, average=0.99)
    stage.add_argument("--kl", type=float, default=1e-4, help="weight of the KL divergence, a mean over latents")
    squares(stage, 1.0)
    squares(training_stage("decoder", train_decoder, batch=16, rate=1e-3, average=0.995), 3.0)
    squares(training_stage("tiny", train_tiny, batch=16, rate=2e-3, average=0.995), 3.0)
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
