"""Other words for a thing, from WordNet 3.0 (Debian's wordnet-base)."""

from pathlib import Path

FOLDER = Path("/usr/share/wordnet")

# WordNet's numbers for the kinds of nouns that can be drawn: animal, artifact, body, food, object, phenomenon, plant.
DRAWABLE = {5, 6, 8, 13, 17, 19, 20}


def _lines(path: Path):
    """Of a WordNet file, split, without the licence at its head, which is indented."""
    with path.open(encoding="ascii") as file:
        yield from (line.split() for line in file if not line.startswith("  "))


class WordNet:
    def __init__(self, folder: Path = FOLDER):
        self._words, self._kind = {}, {}
        for offset, kind, _, count, *words in _lines(folder / "data.noun"):
            self._kind[offset] = int(kind)
            self._words[offset] = words[: 2 * int(count, 16) : 2]
        self._senses, self._in_use = {}, set()
        for lemma, _, _, pointers, *rest in _lines(folder / "index.noun"):
            _, tagged, *self._senses[lemma] = rest[int(pointers) :]
            if int(tagged) > 0:  # some text that WordNet's makers read has it
                self._in_use.add(lemma)

    def knows(self, noun: str) -> bool:
        return noun.lower().replace(" ", "_") in self._senses

    def synonyms(self, noun: str) -> list[str]:
        """Words in use that mean before all else the thing that `noun` means: "auto" for "car", and not "machine"."""
        senses = self._senses.get(noun.lower().replace(" ", "_"), [])
        sense = next((sense for sense in senses if self._kind[sense] in DRAWABLE), None)
        words = [word.lower() for word in self._words.get(sense, [])]
        same = [word for word in words if word in self._in_use and self._senses[word][0] == sense]
        return [text for word in same if (text := word.replace("_", " ")) != noun.lower()]
