#!/usr/bin/env python3
"""Trains models/emoji-64 from nothing: a latent diffusion model that draws emoji from their names.

    scripts/emoji/train.py autoencoder --minutes 30     pictures to 8 x 8 latents and back
    scripts/emoji/train.py decoder --minutes 15         sharper pictures from the same latents
    scripts/emoji/train.py denoiser --minutes 55        tokenizer, UNet and text encoder, on those latents
    scripts/emoji/train.py check                        how often a prompt gives its own emoji

Every stage writes to --work (training/ unless said) and goes on from its checkpoint there, so an interrupted
one is started again with the same command. The learning rate falls along a cosine over the minutes or the
steps that were asked for: --minutes suits a machine whose speed is not known, --steps gives the same model
twice on one machine.
"""

import argparse
import io
import json
import math
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import sentencepiece
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from emoji import data
from emoji.training_loop import add_training_stage, autocast, say, train
from steplapse_export.sources.pipeline import Pipeline, SentencePieceTokenizer

IMAGE_SIDE = data.IMAGE_SIDE
LATENT_SIDE = 8
LATENT_CHANNELS = 8
TEXT_WIDTH = 128
TOKENS = 20
VOCABULARY = 1200


def peak_signal_to_noise(images: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """PSNR of each picture in dB; both [N, 3, H, W] in [-1, 1]."""
    return 10 * torch.log10(4 / (images.clamp(-1, 1) - wanted).square().mean((1, 2, 3)))


# --- autoencoder ---------------------------------------------------------------------------------------------


class AutoencoderTask:
    def __init__(self, args):
        self.kl, self.squares = args.kl, args.squares
        self.images = torch.from_numpy(data.pixels(data.load_taught())).to(args.device)

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def new_model() -> AutoencoderKL:
        """64 x 64 pictures to 8 x 8 latents. Few channels where there are many pixels: that is where the time goes."""
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

    def loss(self, model, indices, generator):
        wanted = self.images[indices]
        with autocast(wanted.device):
            posterior = model.encode(wanted).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator).to(wanted.device)
            answer = model.decode(posterior.mean + posterior.std * noise).sample
        error = answer.float() - wanted
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        squares = error.square().mean()
        loss = error.abs().mean() + self.squares * squares + self.kl * kl
        return loss, {
            "dB": 10 * math.log10(4 / squares.item()),
            "kl": kl.item(),
            "posterior std": posterior.std.float().mean().item(),
            "latents' std": mean.std().item(),
        }


def load_autoencoder(folder: Path) -> AutoencoderKL:
    # The other way of loading wants the accelerate package, and says so each time.
    return AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False).eval()


@torch.no_grad()
def encode_all(autoencoder: AutoencoderKL, images: torch.Tensor):
    """Mean and standard deviation of the latents of each picture, [N, C, h, w] both."""
    posteriors = [autoencoder.encode(part).latent_dist for part in images.split(64)]
    return torch.cat([p.mean for p in posteriors]), torch.cat([p.std for p in posteriors])


@torch.no_grad()
def decode_all(autoencoder: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    return torch.cat([autoencoder.decode(part).sample for part in latents.split(64)])


@torch.no_grad()
def standardize_latents(autoencoder: AutoencoderKL, mean: torch.Tensor) -> None:
    """Makes each latent channel zero-mean and unit-variance over `mean` [N, C, h, w]: what the UNet learns best.

    One scaling_factor can't do that for channels of different size, the 1 x 1 convolutions around the latents can.
    """
    shift, scale = mean.mean((0, 2, 3)), mean.std((0, 2, 3))
    channels = len(scale)
    before, after = autoencoder.quant_conv, autoencoder.post_quant_conv
    after.bias += after.weight[:, :, 0, 0] @ shift
    after.weight *= scale.view(1, -1, 1, 1)
    before.weight[:channels] /= scale.view(-1, 1, 1, 1)
    before.bias[:channels] = (before.bias[:channels] - shift) / scale
    before.bias[channels:] -= 2 * scale.log()  # the posterior's log variance


def train_autoencoder(args) -> None:
    task = AutoencoderTask(args)
    torch.manual_seed(args.seed)
    autoencoder = train(task, task.new_model().to(args.device), args.work / "autoencoder.pt", args)
    finish_autoencoder(autoencoder, task.images, args.work / "vae")


def finish_autoencoder(autoencoder: AutoencoderKL, images: torch.Tensor, folder: Path) -> None:
    autoencoder.eval()
    mean, _ = encode_all(autoencoder, images)
    standardize_latents(autoencoder, mean)
    report_autoencoder(autoencoder, images)
    autoencoder.save_pretrained(folder)


def report_autoencoder(autoencoder: AutoencoderKL, images: torch.Tensor) -> None:
    mean, std = encode_all(autoencoder, images)
    psnr = peak_signal_to_noise(decode_all(autoencoder, mean), images)
    noisy = peak_signal_to_noise(decode_all(autoencoder, mean + 0.1 * torch.randn_like(mean)), images)
    say(
        f"PSNR over the taught set: mean {psnr.mean():.2f} dB, lowest {psnr.min():.2f} dB, "
        f"with noise of 0.1 on the latents {noisy.mean():.2f} dB"
    )
    say(f"latents: std {mean.std((0, 2, 3)).tolist()}, largest {mean.abs().max():.2f}, posterior std {std.mean():.3f}")


class Decoder(torch.nn.Module):
    """The part of an autoencoder behind the latents."""

    def __init__(self, autoencoder: AutoencoderKL):
        super().__init__()
        self.post_quant_conv, self.decoder = autoencoder.post_quant_conv, autoencoder.decoder

    def forward(self, latents):
        return self.decoder(self.post_quant_conv(latents))


class DecoderTask:
    """The decoder alone, on latents that stay as they are: half the cost, and the denoiser need not wait for it."""

    NOISE = 0.3  # at most, on unit-variance latents: about how far the denoiser's are from the encoder's

    def __init__(self, args):
        self.folder, self.squares = args.work / "vae", args.squares
        self.images = torch.from_numpy(data.pixels(data.load_taught())).to(args.device)
        self.mean, _ = encode_all(load_autoencoder(self.folder).to(args.device), self.images)

    def __len__(self) -> int:
        return len(self.images)

    def new_model(self) -> Decoder:
        return Decoder(load_autoencoder(self.folder))

    def loss(self, model, indices, generator):
        wanted = self.images[indices]
        noise = torch.randn((len(indices), *self.mean.shape[1:]), generator=generator).to(wanted.device)
        level = self.NOISE * torch.rand((len(indices), 1, 1, 1), generator=generator).to(wanted.device)
        with autocast(wanted.device):
            answer = model(self.mean[indices] + level * noise)
        error = answer.float() - wanted
        squares = error.square().mean((1, 2, 3))
        loss = error.abs().mean() + self.squares * squares.mean()
        return loss, {"dB": (10 * torch.log10(4 / squares)).mean().item()}


def train_decoder(args) -> None:
    task = DecoderTask(args)
    torch.manual_seed(args.seed)
    decoder = train(task, task.new_model().to(args.device), args.work / "decoder.pt", args)
    autoencoder = load_autoencoder(task.folder).to(args.device)
    autoencoder.post_quant_conv, autoencoder.decoder = decoder.post_quant_conv, decoder.decoder
    report_autoencoder(autoencoder.eval(), task.images)
    autoencoder.save_pretrained(task.folder)


# --- tokenizer -----------------------------------------------------------------------------------------------


def train_tokenizer(taught: list[data.Emoji]) -> SentencePieceTokenizer:
    """A unigram model of the names and keywords; it folds case, so that "Red Apple" is "red apple"."""
    texts = [text for emoji in taught for text in (emoji.name, emoji.name, *emoji.keywords)]
    serialized = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=serialized,
        model_type="unigram",
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc_cf",
        character_coverage=1.0,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        num_threads=1,
        minloglevel=2,
    )
    return SentencePieceTokenizer(serialized.getvalue(), TOKENS)


# --- denoiser ------------------------------------------------------------------------------------------------


def new_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(96, 160),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
    )


class Conditioned(torch.nn.Module):
    """UNet and text encoder, trained as one."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel):
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(self, latents, timesteps, ids):
        return self.unet(latents, timesteps, self.text_encoder(ids).last_hidden_state).sample


class DenoiserTask:
    def __init__(self, args):
        self.taught = data.load_taught()
        autoencoder = load_autoencoder(args.work / "vae").to(args.device)
        images = torch.from_numpy(data.pixels(self.taught)).to(args.device)
        self.mean, self.std = encode_all(autoencoder, images)
        self.tokenizer = train_tokenizer(self.taught)
        self.scheduler = new_scheduler()
        self.batch = args.batch

    def __len__(self) -> int:
        return len(self.taught)

    def new_model(self) -> Conditioned:
        text = CLIPTextConfig(
            vocab_size=len(self.tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            projection_dim=TEXT_WIDTH,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
        unet = new_unet()
        # Plain matrix products: for so few tokens the fused attention's backward pass takes longer than all the rest.
        unet.set_attn_processor(AttnProcessor())
        text_encoder = CLIPTextModel(text)
        text_encoder.set_attn_implementation("eager")
        return Conditioned(unet, text_encoder)

    def loss(self, model, indices, generator):
        rng = random.Random(int(torch.randint(1 << 62, (), generator=generator)))
        captions = [data.sample_caption(self.taught[i], rng) for i in indices.tolist()]
        mean, std = self.mean[indices], self.std[indices]
        device = mean.device
        latents = mean + std * torch.randn(mean.shape, generator=generator).to(device)
        noise = torch.randn(mean.shape, generator=generator).to(device)
        timesteps = torch.randint(1000, (len(indices),), generator=generator).to(device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        wanted = self.scheduler.get_velocity(latents, noise, timesteps)
        with autocast(device):
            answer = model(noisy, timesteps, self.tokenizer(captions).to(device))
        error = (answer.float() - wanted).square().mean((1, 2, 3))
        high = timesteps >= 500
        return error.mean(), {
            "loss": error.mean().item(),
            "below 500": error[~high].mean().item() if (~high).any() else 0.0,
            "from 500": error[high].mean().item() if high.any() else 0.0,
        }


def as_pipeline(task: DenoiserTask, model: Conditioned, work: Path) -> Pipeline:
    return Pipeline(
        vae=load_autoencoder(work / "vae"),
        unet=model.unet,
        text_encoder=model.text_encoder,
        scheduler=task.scheduler,
        tokenizer=task.tokenizer,
    )


def save_pipeline(pipeline: Pipeline, task: DenoiserTask, folder: Path) -> None:
    """The pipeline, and what scripts/export_bundle.py takes beside it: taught prompts and their pictures' latents."""
    pipeline.save_pretrained(folder)
    prompts = [
        {"name": emoji.name, "keywords": list(emoji.keywords), "picture": emoji.character, "category": emoji.category}
        for emoji in task.taught
    ]
    (folder / "prompts.json").write_text(json.dumps(prompts, ensure_ascii=False, indent=1) + "\n")
    save_file({"latents": task.mean.cpu().contiguous()}, folder / "latents.safetensors")


def train_denoiser(args) -> None:
    task = DenoiserTask(args)
    torch.manual_seed(args.seed)
    model = task.new_model().to(args.device)
    say(
        f"vocabulary {len(task.tokenizer)}, parameters: UNet {sum(p.numel() for p in model.unet.parameters()):,}, "
        f"text encoder {sum(p.numel() for p in model.text_encoder.parameters()):,}"
    )

    def watch(averaged, progress):
        pipeline = as_pipeline(task, averaged, args.work)
        save_pipeline(pipeline, task, args.work / "pipeline")
        top1, top5, _ = measure(pipeline, task.taught, names=args.watch, steps=20, guidance_scale=5.0)
        say(f"after step {progress.step}: top-1 {top1:.1%}, top-5 {top5:.1%} of {args.watch} names, 20 steps")

    averaged = train(task, model, args.work / "denoiser.pt", args, args.save_minutes, watch)
    save_pipeline(as_pipeline(task, averaged, args.work), task, args.work / "pipeline")
    say(f"wrote {args.work / 'pipeline'}")


# --- how good is it ------------------------------------------------------------------------------------------


@torch.no_grad()
def generate(pipeline: Pipeline, prompts: list[str], steps: int, guidance_scale: float, seed: int = 0) -> torch.Tensor:
    """[N, 3, H, W] in [-1, 1]."""
    device = pipeline.unet.device
    conditioning = pipeline.text_encoder(pipeline.tokenizer([*prompts, ""]).to(device)).last_hidden_state
    conditioning, unconditional = conditioning[:-1], conditioning[-1:].expand(len(prompts), -1, -1)
    shape = (pipeline.unet.config.in_channels, pipeline.unet.config.sample_size, pipeline.unet.config.sample_size)
    x = torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(seed + i)) for i in range(len(prompts))]
    )
    x = x.to(device)
    pipeline.scheduler.set_timesteps(steps)
    for timestep in pipeline.scheduler.timesteps:
        answers = pipeline.unet(torch.cat([x, x]), timestep, torch.cat([unconditional, conditioning])).sample
        without, given = answers.chunk(2)
        x = pipeline.scheduler.step(without + guidance_scale * (given - without), timestep, x).prev_sample
    return decode_all(pipeline.vae, x / pipeline.vae.config.scaling_factor)


def measure(pipeline: Pipeline, taught: list[data.Emoji], names: int, steps: int, guidance_scale: float):
    """Share of prompts whose picture is nearest (L2 over pixels) to its own emoji, or has it among the nearest five."""
    chosen = random.Random(0).sample(range(len(taught)), min(names, len(taught)))
    wanted = torch.from_numpy(data.pixels(taught)).flatten(1)
    images = torch.cat(
        [
            generate(pipeline, [taught[i].name for i in chosen[part : part + 50]], steps, guidance_scale, part)
            for part in range(0, len(chosen), 50)
        ]
    )
    nearest = torch.cdist(images.clamp(-1, 1).flatten(1).cpu(), wanted).topk(5, largest=False).indices
    own = nearest == torch.tensor(chosen)[:, None]
    return own[:, 0].float().mean().item(), own.any(1).float().mean().item(), images


def save_sheet(images: torch.Tensor, path: Path, columns: int = 20) -> None:
    cells = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    side = IMAGE_SIDE + 2
    sheet = Image.new("RGB", (columns * side, -(-len(cells) // columns) * side), "gray")
    for i, cell in enumerate(cells):
        sheet.paste(Image.fromarray(cell), (i % columns * side, i // columns * side))
    sheet.save(path)


def check(args) -> None:
    pipeline = Pipeline.from_pretrained(args.pipeline or args.work / "pipeline")
    if args.spacing:
        pipeline.scheduler.register_to_config(timestep_spacing=args.spacing)
    if args.clip:
        pipeline.scheduler.register_to_config(clip_sample=True, clip_sample_range=args.clip)
    taught = data.load_taught()
    for steps in args.steps:
        top1, top5, images = measure(pipeline, taught, args.names, steps, args.guidance_scale)
        say(f"{steps} steps: top-1 {top1:.1%}, top-5 {top5:.1%}")
        if args.sheet:
            save_sheet(images, args.sheet)


# --- command line --------------------------------------------------------------------------------------------


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

    stage = add_training_stage(stages, "autoencoder", train_autoencoder, batch=16, rate=1.5e-3, average=0.99)
    stage.add_argument("--kl", type=float, default=1e-4, help="weight of the KL divergence, a mean over latents")
    stage.add_argument("--squares", type=float, default=1.0, help="weight of the squared error beside the absolute one")

    stage = add_training_stage(stages, "decoder", train_decoder, batch=16, rate=1e-3, average=0.995)
    stage.add_argument("--squares", type=float, default=3.0, help="weight of the squared error beside the absolute one")

    stage = add_training_stage(stages, "denoiser", train_denoiser, batch=64, rate=1e-3, average=0.999)
    stage.add_argument("--save-minutes", type=float, default=5)
    stage.add_argument("--watch", type=int, default=100, help="names to draw at each checkpoint")

    stage = stages.add_parser("check")
    stage.set_defaults(run=check)
    stage.add_argument("--pipeline", type=Path)
    stage.add_argument("--names", type=int, default=300)
    stage.add_argument("--steps", type=lambda text: [int(part) for part in text.split(",")], default=[30])
    stage.add_argument("--guidance-scale", type=float, default=5.0)
    stage.add_argument("--spacing")
    stage.add_argument("--clip", type=float)
    stage.add_argument("--sheet", type=Path)
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
