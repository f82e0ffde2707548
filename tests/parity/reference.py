"""diffusers' sampling loop on the modules of a bundle."""

import json
import sqlite3

import numpy
import torch
from diffusers import DDIMScheduler

from parity.pipelines import noise_of
from steplapse_export.programs import load_program
from steplapse_export.sources.pipeline import SentencePieceTokenizer

SHAPE = (1, 4, 4, 4)


class Reference:
    """A bundle's modules and noise in Python: the sampling loop of diffusers' StableDiffusionPipeline."""

    def __init__(self, bundle):
        self.manifest = json.loads((bundle / "model.json").read_text())

        def module(name):
            return load_program(bundle / f"{name}.pt", [bundle / f"{name}.safetensors"], torch.float32)

        self.denoiser, self.text_encoder, self.decoder = map(module, ("denoiser", "text_encoder", "decoder_full"))
        self.tokenizer = SentencePieceTokenizer(bundle / "tokenizer.model", self.manifest["tokenizers"][0]["length"])

    def scheduler(self, spacing: str = "leading") -> DDIMScheduler:
        noise = self.manifest["training_noise"]
        clip = noise["clip_sample_range"]
        scheduler = DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=clip is not None,
            clip_sample_range=clip or 1.0,
            set_alpha_to_one=False,
            timestep_spacing=spacing,
            steps_offset=noise["steps_offset"],
            prediction_type=noise["prediction_type"],
        )
        scheduler.final_alpha_cumprod = torch.tensor(noise["final_alpha_cumprod"])
        return scheduler

    def encode(self, prompt: str) -> torch.Tensor:
        ids = self.tokenizer([prompt])[None]
        return self.text_encoder(ids, torch.ones(ids.shape))[0]

    def sample(self, prompt, *, steps, spacing, guidance, eta, seed, negative=""):
        """negative None is the unconditional branch of zeros."""
        scheduler, generator = self.scheduler(spacing), noise_of(seed)
        scheduler.set_timesteps(steps)
        cond = self.encode(prompt)
        uncond = torch.zeros_like(cond) if negative is None else self.encode(negative)
        x = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            if guidance > 1:
                answers = self.denoiser(torch.cat([x, x]), t.float().expand(2), torch.cat([uncond, cond]))
                answer = answers[:1] + guidance * (answers[1:] - answers[:1])
            else:
                answer = self.denoiser(x, t.float().expand(1), cond)
            x = scheduler.step(answer, t, x, eta=eta, generator=generator).prev_sample
        return x


def calls_of(run_folder):
    """(timestep, cond, uncond or None) of each call in the log."""
    with sqlite3.connect(run_folder / "run.sqlite") as log:
        rows = log.execute("SELECT timestep, shape, cond, uncond FROM calls ORDER BY call").fetchall()

    def tensor(blob, shape):
        return None if blob is None else torch.from_numpy(numpy.frombuffer(blob, "<f4").reshape(shape).copy())

    return [(t, tensor(cond, json.loads(shape)), tensor(uncond, json.loads(shape))) for t, shape, cond, uncond in rows]
