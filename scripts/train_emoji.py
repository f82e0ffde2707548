#!/usr/bin/env python3
"""Trains models/emoji-64 from nothing: a latent diffusion model that draws emoji from their names.

    scripts/train_emoji.py tokenizer                    seconds
    scripts/train_emoji.py autoencoder --minutes 30     pictures to 8 x 8 latents and back
    scripts/train_emoji.py denoiser --minutes 75        UNet and text encoder, on those latents
    scripts/train_emoji.py pipeline                     all of it as one folder, as diffusers saves it
    scripts/train_emoji.py check                        how often a prompt gives its own emoji

Every stage writes to --work (training/ unless said) and goes on from its checkpoint there, so an interrupted
one is started again with the same command. The learning rate falls along a cosine over the minutes or the
steps that were asked for: --minutes suits a machine whose speed is not known, --steps gives the same model
twice on one machine.
"""

import argparse
import ctypes
import math
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import emoji_data

IMAGE_SIDE = emoji_data.IMAGE_SIDE
LATENT_CHANNELS = 8
LATENT_SIDE = 8


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed: giving it back and faulting it in again costs a third of a step."""
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, (1 << 31) - 1)
        libc.mallopt(m_top_pad, 1 << 28)
    except (OSError, AttributeError):
        pass  # another C library: slower, not wrong


def save_whole(value, path: Path) -> None:
    """Saves so that `path` holds either the old checkpoint or the new one, never half of one."""
    temporary = path.with_name(path.name + ".part")
    torch.save(value, temporary)
    os.replace(temporary, path)


class Progress:
    """How much of a stage is done, by steps or by the clock, across interruptions; and its learning rate."""

    def __init__(self, steps: int | None, minutes: float | None):
        self.steps, self.seconds = steps, minutes * 60 if minutes else None
        self.step, self.elapsed = 0, 0.0
        self._last = time.monotonic()

    def share(self) -> float:
        """0 at the start, 1 at the end."""
        return self.step / self.steps if self.steps else self.elapsed / self.seconds

    def done(self) -> bool:
        return self.share() >= 1

    def tick(self) -> None:
        now = time.monotonic()
        self.step, self.elapsed, self._last = self.step + 1, self.elapsed + now - self._last, now

    def learning_rate(self, peak: float, warm_up: int = 100) -> float:
        return peak * min(1, (self.step + 1) / warm_up) * max(1e-3, 0.5 + 0.5 * math.cos(math.pi * min(1, self.share())))

    def state(self) -> dict:
        return {"step": self.step, "elapsed": self.elapsed}

    def load(self, state: dict) -> None:
        self.step, self.elapsed = state["step"], state["elapsed"]


class Batches:
    """Indices of a shuffled data set, batch by batch, without end; each drawing once a pass."""

    def __init__(self, count: int, size: int, generator: torch.Generator):
        self.count, self.size, self.generator = count, size, generator
        self.left = torch.empty(0, dtype=torch.long)

    def next(self) -> torch.Tensor:
        while len(self.left) < self.size:
            self.left = torch.cat([self.left, torch.randperm(self.count, generator=self.generator)])
        batch, self.left = self.left[: self.size], self.left[self.size :]
        return batch


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def peak_signal_to_noise(images: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """PSNR of each picture in dB; both [N, 3, H, W] in [-1, 1]."""
    return 10 * torch.log10(4 / (images.clamp(-1, 1) - wanted).square().mean((1, 2, 3)))


# --- autoencoder ---------------------------------------------------------------------------------------------


def new_autoencoder() -> AutoencoderKL:
    """64 x 64 pictures to 8 x 8 latents. Few channels where there are many pixels: that is where its time goes."""
    return AutoencoderKL(
        sample_size=IMAGE_SIDE,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(24, 48, 96, 128),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def train_autoencoder(args) -> None:
    keep_freed_memory()
    torch.manual_seed(args.seed)
    images = torch.from_numpy(emoji_data.pixels(emoji_data.load_taught())).to(args.device)
    model = new_autoencoder().to(args.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=1e-3, betas=(0.9, 0.99), fused=True)
    progress = Progress(args.steps, args.minutes)
    batches = Batches(len(images), args.batch, torch.Generator().manual_seed(args.seed))
    checkpoint = args.work / "autoencoder.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=args.device)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        batches.generator.set_state(saved["shuffle"].cpu())
        torch.set_rng_state(saved["noise"].cpu())
        progress.load(saved["progress"])
        say(f"going on from step {progress.step}")

    def save() -> None:
        save_whole({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "progress": progress.state(),
                    "shuffle": batches.generator.get_state(), "noise": torch.get_rng_state()}, checkpoint)

    recent = []
    while not progress.done():
        for group in optimizer.param_groups:
            group["lr"] = progress.learning_rate(args.rate)
        wanted = images[batches.next()]
        with torch.autocast(args.device.type, torch.bfloat16):
            posterior = model.encode(wanted).latent_dist
            answer = model.decode(posterior.sample()).sample
        error = answer.float() - wanted
        kl = 0.5 * (posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        loss = error.abs().mean() + args.squares * error.square().mean() + args.kl * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        progress.tick()

        recent.append((error.detach().square().mean().item(), kl.item(), posterior.std.float().mean().item(),
                       posterior.mean.float().std().item()))
        if progress.step % 50 == 0:
            squared, kl_mean, spread, size = np.mean(recent, axis=0)
            recent = []
            say(f"step {progress.step} {progress.share():.1%} psnr of mean error {10 * math.log10(4 / squared):.2f} dB, "
                f"kl {kl_mean:.2f}, posterior std {spread:.3f} of {size:.2f}")
        if progress.step % 500 == 0:
            save()
    save()

    with torch.no_grad():
        model.eval()
        psnr = torch.cat([peak_signal_to_noise(model.decode(model.encode(part).latent_dist.mean).sample, part)
                          for part in images.split(64)])
    say(f"PSNR over the taught set: mean {psnr.mean():.2f} dB, lowest {psnr.min():.2f} dB")


# --- command line --------------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training"), help="folder for checkpoints (default: training)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    parser.add_argument("--seed", type=int, default=1)
    stages = parser.add_subparsers(dest="stage", required=True)

    stage = stages.add_parser("autoencoder")
    stage.set_defaults(run=train_autoencoder)
    length = stage.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int)
    length.add_argument("--minutes", type=float)
    stage.add_argument("--batch", type=int, default=32)
    stage.add_argument("--rate", type=float, default=2e-3)
    stage.add_argument("--kl", type=float, default=3e-4, help="weight of the KL divergence, a mean over latents")
    stage.add_argument("--squares", type=float, default=1.0, help="weight of the squared error beside the absolute one")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
