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
import random
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import torch
from safetensors.torch import load_file, save_file

from emoji import train as emoji_64
from emoji.train import decode_all, encode_all, load_autoencoder, peak_signal_to_noise
from emoji.training_loop import add_training_stage, autocast, say, train
from emoji_mix import judge, networks, scenes
from emoji_mix.captions import Captions
from emoji_mix.dataset import PART, SCENES, UNSEEN, Scenes, read_parts, write_part
from emoji_mix.pictures import Pictures, pixels
from emoji_mix.prompts import taught_prompts
from emoji_mix.things import load_things
from steplapse_export.sources.pipeline import Pipeline, SentencePieceTokenizer

EMOJI_STYLE = "\ufe0f"  # follows characters that are text otherwise
WATCHED = """
    cat, apple, car, house, a guitar, pizza, rocket, fish, 🍎, rose,
    a red car, blue car, green apple, pink elephant, a purple house, yellow dog, black heart, two cats, three apples,
    two red cars, three dogs, a cat and a dog, apple and banana, a car and a house, a big cat, a small cat,
    cat on the left, a cat on a blue background, star on black, a car on fire, an upside down car, heart, heart
"""
WATCHED = [prompt.strip() for prompt in WATCHED.split(",")]


class Start(NamedTuple):
    """What a denoiser can begin from."""

    unet: dict
    text_encoder: dict
    tokenizer: SentencePieceTokenizer


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


# --- scenes as latents ------------------------------------------------------------------------------------------------


def encode_scenes(args) -> None:
    folder = args.work / "scenes"
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    source, autoencoder = scenes_of(args), load_autoencoder(args.work / "vae").to(args.device)
    for number in range(args.first, args.first + args.parts):
        path = folder / f"{number:03d}.safetensors"
        if not path.exists():
            write_part(source, autoencoder, number, path, args.device)
            say(f"wrote {path}")


# --- denoiser ---------------------------------------------------------------------------------------------------------

WITHOUT_CAPTION = 0.1  # of the pictures: the unconditional answer, which guidance moves away from


class DenoiserTask:
    def __init__(self, args):
        things = load_things()
        self.captions = Captions(things)
        self.drawings = {drawing.character: drawing for thing in things for drawing in thing.drawings}
        self.device = args.device
        self.mean, self.std, self.scenes = read_parts(args.work / "scenes")
        self.tokenizer = tokenizer_of(args, things, self.captions)
        self.scheduler = emoji_64.new_scheduler()

    def __len__(self) -> int:
        return len(self.scenes)

    def new_model(self):
        return networks.new_denoiser(len(self.tokenizer))

    def caption(self, i: int, rng: random.Random) -> str:
        if rng.random() < WITHOUT_CAPTION:
            return ""
        scene, character = self.scenes[i]
        return self.captions.sample(scene, self.drawings.get(character), rng)

    def loss(self, model, indices, generator):
        rng = random.Random(int(torch.randint(1 << 62, (), generator=generator)))
        captions = [self.caption(i, rng) for i in indices.tolist()]
        mean, std = self.mean[indices].float(), self.std[indices].float()
        latents = (mean + std * torch.randn(mean.shape, generator=generator)).to(self.device)
        noise = torch.randn(mean.shape, generator=generator).to(self.device)
        timesteps = torch.randint(1000, (len(indices),), generator=generator).to(self.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        wanted = self.scheduler.get_velocity(latents, noise, timesteps)
        with autocast(self.device):
            answer = model(noisy, timesteps, self.tokenizer(captions).to(self.device))
        error = (answer.float() - wanted).square().mean((1, 2, 3))
        high = timesteps >= 500
        return error.mean(), {
            "loss": error.mean().item(),
            "below 500": error[~high].mean().item() if (~high).any() else 0.0,
            "from 500": error[high].mean().item() if high.any() else 0.0,
        }


def tokenizer_of(args, things, captions: Captions) -> SentencePieceTokenizer:
    """That of --work, of --from, or a new one."""
    folder = args.work / "tokenizer"
    if not folder.exists():
        tokenizer = start_of(args.start).tokenizer if args.start else networks.train_tokenizer(*words(things, captions))
        tokenizer.save_pretrained(folder)
    return SentencePieceTokenizer.from_pretrained(folder)


def words(things, captions: Captions, count: int = 30000) -> tuple[list[str], list[str]]:
    """What the tokenizer learns from: captions and every word of the things. And the characters that are drawn."""
    sampler, pictures, rng = scenes.Sampler(things), Pictures(things), random.Random(0)
    texts = []
    for _ in range(count):
        scene = sampler.sample(rng)
        drawing, colour = pictures.choose(scene.parts[0], rng)
        texts.append(captions.sample(scene, drawing if colour is None else None, rng))
    drawings = [drawing for thing in things for drawing in thing.drawings]
    texts += [text for drawing in drawings for text in (drawing.name, *drawing.keywords)]
    texts += [text for thing in things for text in (thing.noun, *thing.words)]
    characters = [drawing.character for drawing in drawings]
    return texts, characters + [character + EMOJI_STYLE for character in characters if ord(character) < 0x1F000]


def start_of(folder: Path) -> Start:
    """The denoiser's weights and the tokenizer, from a pipeline's folder or a bundle's."""
    if (folder / "model_index.json").exists():
        pipeline = Pipeline.from_pretrained(folder)
        return Start(pipeline.unet.state_dict(), pipeline.text_encoder.state_dict(), pipeline.tokenizer)
    denoiser = load_file(folder / "denoiser.safetensors")
    unet = {name.removeprefix("unet."): tensor for name, tensor in denoiser.items()}
    text_encoder = load_file(folder / "text_encoder.safetensors")
    length = json.loads((folder / "model.json").read_text())["tokenizers"][0]["length"]
    return Start(unet, text_encoder, SentencePieceTokenizer(folder / "tokenizer.model", length))


def load_start(model, start: Start) -> None:
    for network, weights in ((model.unet, start.unet), (model.text_encoder, start.text_encoder)):
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=False)
        lost = {name for name, _ in network.named_parameters()} - weights.keys()
        if lost:
            raise SystemExit(f"--from: no '{min(lost)}' among the weights")


def save_pipeline(task: DenoiserTask, model, work: Path) -> Pipeline:
    """The pipeline, and what scripts/export_bundle.py takes beside it: taught prompts and latents of pictures."""
    pipeline = Pipeline(
        vae=load_autoencoder(work / "vae"),
        unet=model.unet,
        text_encoder=model.text_encoder,
        scheduler=task.scheduler,
        tokenizer=task.tokenizer,
    )
    folder = work / "pipeline"
    pipeline.save_pretrained(folder)
    prompts = taught_prompts(list(task.captions.things.values()))
    (folder / "prompts.json").write_text(json.dumps(prompts, ensure_ascii=False, indent=1) + "\n")
    save_file({"latents": task.mean[:PART].float()}, folder / "latents.safetensors")
    return pipeline


def train_denoiser(args) -> None:
    task = DenoiserTask(args)
    torch.manual_seed(args.seed)
    model = task.new_model().to(args.device)
    if args.start:
        load_start(model, start_of(args.start))
    say(
        f"{len(task)} scenes, vocabulary {len(task.tokenizer)}, parameters: "
        f"UNet {sum(p.numel() for p in model.unet.parameters()):,}, "
        f"text encoder {sum(p.numel() for p in model.text_encoder.parameters()):,}"
    )

    def watch(averaged, progress):
        pipeline = save_pipeline(task, averaged, args.work)
        images = emoji_64.generate(pipeline, WATCHED, steps=20, guidance_scale=2.0)
        emoji_64.save_sheet(images, args.work / f"sheet-{progress.step:06d}.png", columns=10)

    averaged = train(task, model, args.work / "denoiser.pt", args, args.save_minutes, watch)
    save_pipeline(task, averaged, args.work)
    say(f"wrote {args.work / 'pipeline'}")


# --- judge ------------------------------------------------------------------------------------------------------------


class JudgeTask:
    """The judge sees every combination, the held-out ones too: it has to know them when they are drawn."""

    def __init__(self, args):
        self.scenes, self.device = Scenes(args.seed, set()), args.device
        self.nouns = [thing.noun for thing in self.scenes.things]

    def __len__(self) -> int:
        return SCENES

    def new_model(self) -> judge.Judge:
        return judge.Judge(len(self.nouns))

    def loss(self, model, indices, generator):
        drawn = [self.scenes[int(i)] for i in indices]
        images = torch.from_numpy(pixels([picture for _, picture, _ in drawn])).float().to(self.device) / 127.5 - 1
        return judge.loss(model(images), [scene for scene, _, _ in drawn], self.nouns)


def train_judge(args) -> None:
    task = JudgeTask(args)
    torch.manual_seed(args.seed)
    model = train(task, task.new_model().to(args.device), args.work / "judge.pt", args)
    judge.save(model, task.nouns, args.work / "judge.safetensors")
    say(f"wrote {args.work / 'judge.safetensors'}")


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

    def squares(stage, weight):
        stage.add_argument("--squares", type=float, default=weight, help="weight of squared beside absolute errors")

    stage = add_training_stage(stages, "autoencoder", train_autoencoder, batch=16, rate=1.5e-3, average=0.99)
    stage.add_argument("--kl", type=float, default=1e-4, help="weight of the KL divergence, a mean over latents")
    squares(stage, 1.0)
    squares(add_training_stage(stages, "decoder", train_decoder, batch=16, rate=1e-3, average=0.995), 3.0)
    squares(add_training_stage(stages, "tiny", train_tiny, batch=16, rate=2e-3, average=0.995), 3.0)

    stage = stages.add_parser("scenes")
    stage.set_defaults(run=encode_scenes)
    stage.add_argument("--parts", type=int, default=16, help=f"files of {PART} scenes each")
    stage.add_argument("--first", type=int, default=0, help="number of the first file")

    stage = add_training_stage(stages, "denoiser", train_denoiser, batch=64, rate=1e-3, average=0.999)
    stage.add_argument("--save-minutes", type=float, default=10)
    stage.add_argument("--from", dest="start", type=Path, help="pipeline or bundle whose weights are the start")
    add_training_stage(stages, "judge", train_judge, batch=32, rate=1e-3, average=0.995)
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    args.run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
