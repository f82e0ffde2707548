"""What is in a picture: which things, in which colours, how many, where. A scene is what a caption can tell.

What a caption does not tell (exact places, sizes, mirror images, small turns) differs from picture to picture and is
emoji_mix.pictures' business.
"""

import json
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from emoji_mix.colours import COLOURS
from emoji_mix.things import Thing

HELD_OUT = Path(__file__).with_name("held_out.json")

# Shares of the kinds of scenes; "plain" is a thing alone.
KINDS = {
    "plain": 0.40,
    "coloured": 0.18,
    "counted": 0.13,
    "pair": 0.12,
    "sized": 0.05,
    "placed": 0.04,
    "background": 0.05,
    "upside down": 0.015,
    "on fire": 0.015,
}
BACKGROUND_TOO = 0.06  # of the scenes of other kinds
EVERYDAY = 0.7  # of the things in scenes that are not plain: few enough to be met in many colours and numbers


@dataclass(frozen=True)
class Part:
    noun: str
    colour: str | None = None


@dataclass(frozen=True)
class Scene:
    parts: tuple[Part, ...]  # one, or two side by side, the left one first
    count: int = 1  # of the one part: 1, 2 or 3
    size: str | None = None  # "big", "small"
    side: str | None = None  # "left", "right"
    background: str | None = None  # a colour
    upside_down: bool = False
    on_fire: bool = False

    def combinations(self) -> set[tuple]:
        """All that it puts together, each of which may be held out."""
        found = set()
        for part in self.parts:
            if part.colour:
                found.add(("colour", part.noun, part.colour))
            if self.count > 1:
                found.add(("count", part.noun, self.count))
            if self.count > 1 and part.colour:
                found.add(("coloured count", part.noun, part.colour, self.count))
            if self.background:
                found.add(("background", part.noun, self.background))
        if len(self.parts) == 2:
            found.add(("pair", *sorted(part.noun for part in self.parts)))
        return found


def as_json(scene: Scene) -> dict:
    """Only what it has."""
    return {key: value for key, value in asdict(scene).items() if value != getattr(Scene, key, None)}


def from_json(told: dict) -> Scene:
    return Scene(**{**told, "parts": tuple(Part(**part) for part in told["parts"])})


def scene_of(combination: tuple) -> Scene:
    """The least scene that has it."""
    kind, noun, *rest = combination
    if kind == "colour":
        return Scene((Part(noun, rest[0]),))
    if kind == "count":
        return Scene((Part(noun),), count=rest[0])
    if kind == "coloured count":
        return Scene((Part(noun, rest[0]),), count=rest[1])
    if kind == "background":
        return Scene((Part(noun),), background=rest[0])
    return Scene((Part(noun), Part(rest[0])))


class Sampler:
    """Draws scenes of which none has a combination that is held out."""

    def __init__(self, things: list[Thing], held_out: set[tuple] = frozenset()):
        self.held_out = held_out
        self.colours = {thing.noun: thing.colours() for thing in things}
        self.all = [thing.noun for thing in things]
        self.everyday = [thing.noun for thing in things if thing.everyday]
        self.drawn = [thing.noun for thing in things for _ in thing.drawings]

    def sample(self, rng: random.Random) -> Scene:
        while True:
            scene = self._draw(rng)
            if not scene.combinations() & self.held_out:
                return scene

    def _noun(self, rng: random.Random) -> str:
        return rng.choice(self.everyday if rng.random() < EVERYDAY else self.all)

    def _part(self, rng: random.Random, coloured: float) -> Part:
        noun = self._noun(rng)
        if not self.colours[noun] or rng.random() >= coloured:
            return Part(noun)
        return Part(noun, rng.choice(self.colours[noun]))

    def _draw(self, rng: random.Random) -> Scene:
        kind = rng.choices(list(KINDS), KINDS.values())[0]
        if kind == "plain":
            return Scene((Part(rng.choice(self.drawn)),))  # every drawing as often as any other
        if kind == "pair":
            scene = Scene((self._part(rng, 0.3), self._part(rng, 0.3)))
            if scene.parts[0].noun == scene.parts[1].noun:
                return self._draw(rng)  # that would be "two"
        else:
            scene = Scene((self._part(rng, 1 if kind == "coloured" else 0.35),))
        if kind == "counted":
            scene = replace(scene, count=rng.choice((2, 3)))
        elif kind == "sized":
            scene = replace(scene, size=rng.choice(("big", "small")))
        elif kind == "placed":
            scene = replace(scene, side=rng.choice(("left", "right")))
        elif kind == "upside down":
            scene = replace(scene, upside_down=True)
        elif kind == "on fire":
            scene = replace(scene, on_fire=True)
        if kind == "background" or rng.random() < BACKGROUND_TOO:
            scene = replace(scene, background=rng.choice(list(COLOURS)))
        return scene


# --- held out ---------------------------------------------------------------------------------------------------------

HELD_OUT_COUNTS = {"colour": 120, "count": 60, "coloured count": 40, "pair": 60, "background": 40}


def words_of(thing: Thing) -> set[str]:
    """Single words of all that it is called when it stands alone."""
    called = [*thing.words]
    for drawing in thing.drawings:
        called += [drawing.name, *drawing.keywords, drawing.colour or ""]
    return set(" ".join(called).split())


def draw_held_out(things: list[Thing], seed: int) -> list[tuple]:
    """Combinations that are kept from training, of each kind as many as HELD_OUT_COUNTS says, of everyday things."""
    rng = random.Random(seed)
    everyday = [thing for thing in things if thing.everyday]
    own = {(thing.noun, colour) for thing in things for colour in COLOURS if colour in words_of(thing)}
    nouns = [thing.noun for thing in everyday]
    turning = [(thing.noun, colour) for thing in everyday if thing.can_turn for colour in COLOURS]
    turning = [part for part in turning if part not in own]  # "green salad" is a name, not a mixture
    tables = {
        "colour": turning,
        "count": [(noun, count) for noun in nouns for count in (2, 3)],
        "coloured count": [(*part, count) for part in turning for count in (2, 3)],
        "pair": [(a, b) for a in nouns for b in nouns if a < b],
        "background": [(noun, colour) for noun in nouns for colour in COLOURS],
    }
    return [(kind, *chosen) for kind, n in HELD_OUT_COUNTS.items() for chosen in rng.sample(tables[kind], n)]


def read_held_out(path: Path = HELD_OUT) -> list[tuple]:
    return [tuple(combination) for combination in json.loads(path.read_text())]


def write_held_out(combinations: list[tuple], path: Path = HELD_OUT) -> None:
    path.write_text("[\n" + ",\n".join(json.dumps(combination) for combination in combinations) + "\n]\n")
