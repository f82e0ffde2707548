"""Puts a scene's drawings together. What its caption leaves open is chance: places, sizes, mirror images, turns."""

import random

import numpy as np
from PIL import Image

from emoji import data
from emoji_mix import colours
from emoji_mix.scenes import Part, Scene
from emoji_mix.things import Drawing, Thing

SIDE = data.IMAGE_SIDE
TURN = 8  # degrees either way

# Sides of the squares that hold a drawing, in pixels, least and most.
PLAIN, BIG, SMALL, HALF, THIRD, BURNING = (46, 58), (63, 64), (21, 26), (25, 28), (24, 28), (38, 44)


class Pictures:
    def __init__(self, things: list[Thing]):
        self.things = {thing.noun: thing for thing in things}
        self.flames = self.things["fire"].drawings[0]

    def choose(self, part: Part, rng: random.Random) -> tuple[Drawing, str | None]:
        """A drawing for it, and the colour to give to that drawing, if it is another than its own."""
        thing = self.things[part.noun]
        if part.colour is None:
            return rng.choice(thing.drawings), None  # "heart" comes in colours
        for drawing in thing.drawings:
            if drawing.colour == part.colour:
                return drawing, None
        return thing.drawings[0], part.colour

    def draw(self, scene: Scene, rng: random.Random) -> tuple[Image.Image, list[tuple[Drawing, str | None]]]:
        """The picture, and which drawings in which colours stand for the parts."""
        background = colours.rgb_of(scene.background) if scene.background else (255, 255, 255)
        picture = Image.new("RGB", (SIDE, SIDE), background)
        chosen = [self.choose(part, rng) for part in scene.parts]
        if scene.on_fire:
            self._paste(picture, self.flames, None, 60, (32 + rng.randint(-2, 2), 30), False, 0, rng)
        mirrored = rng.random() < 0.5  # all of several things look one way
        for (drawing, colour), side, middle in zip(chosen * scene.count, *zip(*self._places(scene, rng)), strict=True):
            self._paste(picture, drawing, colour, side, middle, mirrored, 180 * scene.upside_down, rng)
        return picture, chosen

    def _places(self, scene: Scene, rng: random.Random) -> list[tuple[int, tuple[int, int]]]:
        """Of each drawing the side of its square and the middle of it."""

        def near(x: int, y: int, jitter: int) -> tuple[int, int]:
            return x + rng.randint(-jitter, jitter), y + rng.randint(-jitter, jitter)

        if len(scene.parts) == 2 or scene.count == 2:
            y = 32 + rng.randint(-6, 6)
            return [(rng.randint(*HALF), near(x, y, 1)) for x in (16, 48)]
        if scene.count == 3:
            return [(rng.randint(*THIRD), near(*middle, 1)) for middle in ((32, 16), (16, 47), (48, 47))]
        if scene.side:
            return [(rng.randint(*HALF), near(16 if scene.side == "left" else 48, 32 + rng.randint(-6, 6), 1))]
        if scene.on_fire:
            return [(rng.randint(*BURNING), near(32, 42, 1))]
        if scene.size == "small":
            return [(rng.randint(*SMALL), near(32, 32, 4))]
        side = rng.randint(*(BIG if scene.size == "big" else PLAIN))
        return [(side, near(32, 32, (SIDE - side) // 3))]

    def _paste(self, picture, drawing: Drawing, colour, side: int, middle, mirrored: bool, turn: float, rng) -> None:
        rgba = drawing.master if colour is None else colours.turned(drawing.master, drawing.main, colour)
        image = Image.fromarray(rgba)
        if mirrored and drawing.mirrors:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        turn += rng.triangular(-TURN, TURN, 0)
        # The margin keeps the corners of what is turned.
        margin = round(0.06 * image.width)
        whole = Image.new("RGBA", (image.width + 2 * margin,) * 2)
        whole.paste(image, (margin, margin))
        whole = whole.rotate(turn, Image.Resampling.BICUBIC)
        side = round(side * whole.width / image.width)
        small = whole.resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(small, (middle[0] - side // 2, middle[1] - side // 2), small)


def pixels(pictures: list[Image.Image]) -> np.ndarray:
    """uint8 [N, 3, H, W]."""
    return np.stack([np.asarray(picture) for picture in pictures]).transpose(0, 3, 1, 2)
