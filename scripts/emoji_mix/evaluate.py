#!/usr/bin/env python3
"""Measures models/emoji-mix-64 through the built program: does it draw what it is told, names and mixtures?

    scripts/emoji_mix/evaluate.py build/release/steplapse --judge training/judge.safetensors
    scripts/emoji_mix/evaluate.py build/release/steplapse --judge FILE --parts names,mixtures --count 40

A classifier says what is in a picture (emoji_mix/judge.py). It was trained apart, on drawings that are put together as
the model's are, held-out mixtures among them; how often it is right about new drawings comes first. Then:

    names      taught names by steps and by guidance scale: right when the judge names the thing
    mixtures   those of held_out.json, which the model never saw: thing and attribute right, apart and both
    seeds      how unlike the pictures of one name are, and how many colours "heart" has
    decoders   PSNR of each decoder's picture to the full one's, and what it takes
    samplers   PSNR of 20 steps to 100 steps of the same sampler
    sheet      untaught.txt, drawn and labelled: --sheet FILE
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import numpy as np
import torch
from PIL import Image, ImageDraw

from emoji.evaluate import psnr
from emoji.guidance_table import samplers_of
from emoji_mix import judge, scenes
from emoji_mix.captions import NUMBERS, plural, with_article
from emoji_mix.dataset import Scenes
from emoji_mix.drawing import draw
from emoji_mix.scenes import Scene
from emoji_mix.things import load_things
from steplapse_export.programs import load_program

UNTAUGHT = Path(__file__).with_name("untaught.txt")
PARTS = ("names", "mixtures", "seeds", "decoders", "samplers")


def caption_of(scene: Scene) -> str:
    """The plainest wording."""

    def phrase(part, noun):
        return f"{part.colour} {noun}" if part.colour else noun

    if len(scene.parts) == 2:
        return " and ".join(with_article(phrase(part, part.noun), part.noun) for part in scene.parts)
    part = scene.parts[0]
    if scene.count > 1:
        return f"{NUMBERS[scene.count][0]} {phrase(part, plural(part.noun))}"
    background = f" on a {scene.background} background" if scene.background else ""
    return with_article(phrase(part, part.noun), part.noun) + background


def right(scene: Scene, verdict: judge.Verdict) -> tuple[bool, bool]:
    """Whether the things are, and whether all else that the scene asks for is."""
    nouns = {part.noun for part in scene.parts}
    thing = nouns == set(verdict.nouns[: len(nouns)])
    attributes = [verdict.count == judge.COUNTS[judge.count_of(scene)], verdict.background == scene.background]
    if len(nouns) == 1 and scene.parts[0].colour:
        attributes.append(verdict.colour == scene.parts[0].colour)
    return thing, all(attributes)


def share(values) -> str:
    return f"{np.mean(list(values)):.1%}"


class Evaluation:
    def __init__(self, args):
        self.args = args
        self.things = load_things()
        self.judging = judge.Judging(args.judge)
        self.names = [(drawing.name, thing.noun) for thing in self.things for drawing in thing.drawings]
        random.Random(0).shuffle(self.names)
        self.names = self.names[: args.count]
        self.held_out = [scenes.scene_of(combination) for combination in scenes.read_held_out()]

    def draw(self, lines: list[dict]) -> np.ndarray:
        return draw(self.args.program, self.args.model, lines)

    def judged(self, lines: list[dict]) -> list[judge.Verdict]:
        return self.judging(torch.from_numpy(self.draw(lines)))

    # --- the judge itself ---

    def of_the_judge(self) -> list[str]:
        """On drawings of other seeds than it was trained on."""
        source = Scenes(seed=7, held_out=set())
        rng = random.Random(7)
        alone = [Scene((scenes.Part(thing.noun),)) for thing in self.things]
        verdicts = {}
        for name, asked in (("names", alone), ("mixtures", self.held_out)):
            drawn = [source.pictures.draw(scene, rng)[0] for scene in asked]
            images = torch.from_numpy(np.stack([np.asarray(image) for image in drawn])).permute(0, 3, 1, 2)
            verdicts[name] = [right(*pair) for pair in zip(asked, self.judging(images.float() / 127.5 - 1))]
        names, mixtures = verdicts["names"], verdicts["mixtures"]
        return [
            f"The judge is right about {share(thing for thing, _ in names)} of {len(alone)} new drawings of a thing "
            f"alone. Of {len(self.held_out)} drawings of the held-out mixtures it is right about the things of "
            f"{share(thing for thing, _ in mixtures)}, the attribute of "
            f"{share(attribute for _, attribute in mixtures)}, both of {share(all(pair) for pair in mixtures)}."
        ]

    # --- the model ---

    def of_names(self) -> list[str]:
        def top1(steps: int, scale: float) -> str:
            verdicts = self.judged(
                [
                    {"prompt": name, "seed": self.args.seed + i, "steps": steps, "guidance_scale": scale}
                    for i, (name, _) in enumerate(self.names)
                ]
            )
            return share(noun == verdict.nouns[0] for (_, noun), verdict in zip(self.names, verdicts))

        lines = [f"{len(self.names)} taught names, DDIM, one picture each: the judge names the thing.", ""]
        lines += ["| steps | " + " | ".join(f"guidance {scale:g}" for scale in self.args.scales) + " |"]
        lines += ["| ---: |" + " ---: |" * len(self.args.scales)]
        for steps in self.args.steps:
            lines.append(f"| {steps} | " + " | ".join(top1(steps, scale) for scale in self.args.scales) + " |")
        return lines

    def of_mixtures(self) -> list[str]:
        kinds = [kind for kind, *_ in scenes.read_held_out()]
        lines = [f"{len(kinds)} held-out mixtures, DDIM in 20 steps, one picture each.", ""]
        lines += [
            "| guidance | kind | mixtures | things | attribute | both |",
            "| ---: | --- | ---: | ---: | ---: | ---: |",
        ]
        for scale in self.args.scales:
            verdicts = self.judged(
                [
                    {
                        "prompt": caption_of(scene),
                        "seed": self.args.seed + i,
                        "steps": 20,
                        "guidance_scale": scale,
                    }
                    for i, scene in enumerate(self.held_out)
                ]
            )
            results = [right(scene, verdict) for scene, verdict in zip(self.held_out, verdicts)]
            for kind in [*dict.fromkeys(kinds), "all"]:
                of_kind = [result for result, other in zip(results, kinds) if kind in (other, "all")]
                cells = [share(thing for thing, _ in of_kind), share(attribute for _, attribute in of_kind)]
                cells.append(share(all(result) for result in of_kind))
                lines.append(f"| {scale:g} | {kind} | {len(of_kind)} | {' | '.join(cells)} |")
        return lines

    def of_seeds(self) -> list[str]:
        names, seeds = self.names[:20], 4
        pictures = self.draw(
            [{"prompt": name, "seed": seed, "steps": 20} for name, _ in names for seed in range(seeds)]
        )
        pictures = pictures.reshape(len(names), seeds, *pictures.shape[1:])
        pairs = [psnr(pictures[:, a], pictures[:, b]) for a in range(seeds) for b in range(a)]
        hearts = self.judged([{"prompt": "heart", "seed": seed, "steps": 20} for seed in range(32)])
        return [
            f"Between two seeds of one of {len(names)} names the PSNR is {np.mean(pairs):.1f} dB. 32 hearts have "
            f"{len({verdict.colour for verdict in hearts})} colours."
        ]

    def of_decoders(self) -> list[str]:
        manifest = json.loads((self.args.model / "model.json").read_text())
        latents = torch.randn(1, manifest["latent_channels"], 8, 8)
        frames = {}
        for name in manifest["modules"]["decoders"]:
            lines = [{"prompt": prompt, "seed": i, "steps": 20} for i, (prompt, _) in enumerate(self.names[:50])]
            frames[name] = draw(self.args.program, self.args.model, lines, decoder=name)
        lines = ["| decoder | PSNR to full | time of a picture |", "| --- | ---: | ---: |"]
        for name, pictures in frames.items():
            files = manifest["modules"]["decoders"][name]
            weights = [self.args.model / file for file in files["weights"]]
            module = load_program(self.args.model / files["program"], weights, torch.float32)
            times = []
            for _ in range(20):
                began = time.perf_counter()
                module(latents)
                times.append(time.perf_counter() - began)
            near = "-" if name == "full" else f"{psnr(pictures, frames['full']).mean():.1f} dB"
            lines.append(f"| `{name}` | {near} | {1000 * np.median(times):.1f} ms |")
        return lines

    def of_samplers(self) -> list[str]:
        names = [name for name, _ in self.names[:6]]
        lines = ["| sampler | lowest PSNR of 20 steps to 100 | right of 6, 20 steps |", "| --- | ---: | ---: |"]
        for sampler in samplers_of(self.args.program):
            if sampler["adaptive"]:
                continue
            few, many = (
                self.draw(
                    [
                        {"prompt": name, "seed": i, "steps": steps, "sampler": sampler["name"]}
                        for i, name in enumerate(names)
                    ]
                )
                for steps in (20, 100)
            )
            verdicts = self.judging(torch.from_numpy(few))
            found = sum(noun == verdict.nouns[0] for (_, noun), verdict in zip(self.names, verdicts))
            lines.append(f"| `{sampler['name']}` | {psnr(few, many).min():.1f} dB | {found} |")
        return lines

    def sheet(self, path: Path) -> None:
        prompts = [line for line in UNTAUGHT.read_text().splitlines() if line]
        pictures = self.draw([{"prompt": prompt, "seed": i, "steps": 20} for i, prompt in enumerate(prompts)])
        cells = ((pictures + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1)
        columns, width, height = 10, 132, 84
        whole = Image.new("RGB", (columns * width, -(-len(cells) // columns) * height), "white")
        pen = ImageDraw.Draw(whole)
        for i, (cell, prompt) in enumerate(zip(cells, prompts)):
            x, y = i % columns * width, i // columns * height
            whole.paste(Image.fromarray(cell), (x + 34, y + 2))
            pen.text((x + width // 2, y + 68), prompt, fill="black", anchor="mt", font_size=10)
        whole.save(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda kind: lambda text: [kind(part) for part in text.split(",")]  # noqa: E731
    parser.add_argument("program", type=Path, help="the built steplapse")
    parser.add_argument("--judge", type=Path, default=Path("training/judge.safetensors"))
    parser.add_argument("--model", type=Path, default=Path("models/emoji-mix-64"))
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--count", type=int, default=1000, help="names to draw, at most")
    parser.add_argument("--steps", type=numbers(int), default=[5, 10, 20])
    parser.add_argument("--scales", type=numbers(float), default=[1, 1.5, 2, 3])
    parser.add_argument("--seed", type=int, default=1000, help="of the first prompt; each has its own")
    parser.add_argument("--sheet", type=Path, help="draw untaught.txt to this file")
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part '{min(unknown)}'; known: {', '.join(PARTS)}")
    try:
        evaluation = Evaluation(args)
        print("\n".join(evaluation.of_the_judge()), flush=True)
        for part in args.parts:
            print("\n" + "\n".join(getattr(evaluation, f"of_{part}")()), flush=True)
        if args.sheet:
            evaluation.sheet(args.sheet)
    except (OSError, RuntimeError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
