"""What the model was taught, as a bundle tells it: names with keywords, and the words that mixtures are made of."""

from emoji_mix.colours import COLOURS
from emoji_mix.things import Thing

# An example of each kind of mixture; the keywords are the words that captions have for it.
MIXTURES = {
    "a red car": [*COLOURS, "grey", "violet", "white", "a", "an", "the"],
    "two cats": ["2", "a pair of", "three", "3"],
    "a cat and a dog": ["next to", "beside"],
    "a big cat": ["large", "huge", "small", "little", "tiny"],
    "a cat on the left": ["to the left", "right", "to the right"],
    "a cat on a blue background": [],
    "an upside down cat": ["upside-down"],
    "a cat on fire": ["burning", "flaming", "in flames"],
    "a photo of a cat": ["picture", "drawing", "image", "emoji"],
}


def taught_prompts(things: list[Thing]) -> list[dict]:
    prompts = []
    for thing in things:
        for drawing in thing.drawings:
            words = [thing.noun, *thing.words, *drawing.keywords, drawing.character]
            keywords = list(dict.fromkeys(word for word in words if word != drawing.name))
            prompts.append({"name": drawing.name, "keywords": keywords, "picture": drawing.character})
    return prompts + [{"name": name, "keywords": words} for name, words in MIXTURES.items()]
