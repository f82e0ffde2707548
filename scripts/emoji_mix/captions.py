"""What a scene's picture is called: one of many wordings."""

import random
from functools import cache

import inflect

from emoji_mix.scenes import Part, Scene
from emoji_mix.things import Drawing, Thing

NUMBERS = {2: ("two", "2", "a pair of"), 3: ("three", "3", "three")}
SIZES = {"big": ("big", "large", "huge"), "small": ("small", "little", "tiny")}
COLOUR_WORDS = {"gray": ("gray", "grey"), "purple": ("purple", "purple", "violet")}
MEDIA = ("photo", "picture", "drawing", "image", "emoji")

_english = inflect.engine()


@cache
def is_plural(noun: str) -> bool:
    singular = _english.singular_noun(noun)  # of "bus", "bu"; of "glass of milk", "glas of milk"
    return noun.endswith("s") and not noun.endswith("us") and bool(singular) and _english.plural_noun(singular) == noun


@cache
def plural(noun: str) -> str:
    """ "mice"; "glasses" are many already."""
    return noun if is_plural(noun) else _english.plural_noun(noun)


def with_article(phrase: str, noun: str) -> str:
    return phrase if is_plural(noun) else _english.a(phrase)


class Captions:
    def __init__(self, things: list[Thing]):
        self.things = {thing.noun: thing for thing in things}

    def sample(self, scene: Scene, drawing: Drawing | None, rng: random.Random) -> str:
        """A caption of the scene. `drawing`: the one that stands for its first part, where it is as it is drawn."""
        if scene == Scene(scene.parts[:1]) and scene.parts[0].colour is None and drawing:
            return self._plain(scene.parts[0], drawing, rng)
        return self._mixture(scene, rng)

    # --- a thing alone ---

    def _plain(self, part: Part, drawing: Drawing, rng: random.Random) -> str:
        """Its name, its character, its keywords."""
        chance = rng.random()
        thing = self.things[part.noun]
        own = [drawing.name] if drawing.colour else [part.noun, *thing.words]
        if chance < 0.35:
            return drawing.name
        if chance < 0.45:
            return drawing.character
        if chance < 0.60 and drawing.keywords:
            chosen = rng.sample(drawing.keywords, min(len(drawing.keywords), rng.randint(1, 3)))
            return ", ".join(chosen if rng.random() < 0.3 else [drawing.name, *chosen])
        if drawing.colour and chance < 0.8:
            own = [part.noun]  # any of them
        noun = rng.choice((own[0], rng.choice(own)))
        return self._framed(noun, noun, rng)

    def _framed(self, phrase: str, noun: str, rng: random.Random) -> str:
        """ "red car", "a red car", "the red car", "a photo of a red car"."""
        chance = rng.random()
        if chance < 0.35:
            return phrase
        if chance < 0.80:
            return with_article(phrase, noun)
        if chance < 0.85:
            return f"the {phrase}"
        return f"{_english.a(rng.choice(MEDIA))} of {with_article(phrase, noun)}"

    # --- a mixture ---

    def _noun(self, part: Part, rng: random.Random) -> str:
        thing = self.things[part.noun]
        if thing.words and rng.random() < 0.25:
            return rng.choice(thing.words)
        return part.noun

    def _colour(self, colour: str, rng: random.Random) -> str:
        return rng.choice(COLOUR_WORDS.get(colour, (colour,)))

    def _mixture(self, scene: Scene, rng: random.Random) -> str:
        if len(scene.parts) == 2:
            text = self._pair(scene.parts, rng)
        elif scene.count > 1:
            text = self._counted(scene, rng)
        else:
            text = self._single(scene, rng)
        if scene.background:
            colour = self._colour(scene.background, rng)
            text += rng.choice((f" on a {colour} background", f" on {colour}", f", {colour} background"))
        return text

    def _pair(self, parts: tuple[Part, ...], rng: random.Random) -> str:
        joint = rng.choice((" and ", " and ", " and ", " next to ", " beside ", ", "))
        articles = rng.random() < 0.6
        phrases = []
        for part in parts:
            noun = self._noun(part, rng)
            phrase = f"{self._colour(part.colour, rng)} {noun}" if part.colour else noun
            phrases.append(with_article(phrase, noun) if articles else phrase)
        return joint.join(phrases)

    def _counted(self, scene: Scene, rng: random.Random) -> str:
        part, number = scene.parts[0], rng.choice(NUMBERS[scene.count])
        nouns = plural(self._noun(part, rng))
        if part.colour:
            nouns = f"{self._colour(part.colour, rng)} {nouns}"
        if rng.random() < 0.1:
            return f"{nouns}, {NUMBERS[scene.count][0]}"
        return f"{number} {nouns}"

    def _single(self, scene: Scene, rng: random.Random) -> str:
        part = scene.parts[0]
        noun = self._noun(part, rng)
        adjectives, after = [], ""
        if scene.size:
            adjectives.append(rng.choice(SIZES[scene.size]))
        if scene.upside_down:
            if rng.random() < 0.5:
                adjectives.append(rng.choice(("upside down", "upside-down")))
            else:
                after = " upside down"
        if scene.on_fire:
            if rng.random() < 0.3:
                adjectives.append(rng.choice(("burning", "flaming")))
            else:
                after += rng.choice((" on fire", " on fire", " in flames"))
        if part.colour:
            adjectives.append(self._colour(part.colour, rng))
        if scene.side:
            after += rng.choice((f" on the {scene.side}", f" to the {scene.side}", f", {scene.side}"))
        if len(adjectives) == 1 and not after and rng.random() < 0.15:
            return f"{noun}, {adjectives[0]}"
        return self._framed(" ".join([*adjectives, noun]), noun, rng) + after
