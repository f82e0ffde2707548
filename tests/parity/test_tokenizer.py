"""Kind clip_bpe gives the ids of transformers' CLIPTokenizer, with CLIP's own vocabulary and with one made here.

Left out are surrogates, which UTF-8 has not, and what Python's Unicode does not know: it is as old as ICU's or older.
"""

import gzip
import importlib.util
import json
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, trainers
from transformers import CLIPTokenizer

from harness import BUNDLES, TIMEOUT

TOKENIZE = BUNDLES.parent / "tokenize"  # tokenize.cpp
START, END = "<|startoftext|>", "<|endoftext|>"

NASTY = [
    "",
    " ",
    "a photo of a cat",
    "A Photo, of: a CAT!",
    "  a\t\tphoto\r\n of\va\fcat \n",
    # White space of all kinds, and what only looks like it: zero width space, joiner, byte order mark.
    "a\u00a0b\u1680c\u2000d\u2003e\u2009f\u200ag\u2028h\u2029i\u202fj\u205fk\u3000l\u0085m\x1cn\x1do\x1ep\x1fq",
    "zero\u200bwidth no\u2060break \ufeffmark soft\u00adhyphen mongolian\u180evowel",
    # Accents in one character and two, in the wrong order, on nothing, and very many.
    "caf\u00e9 cafe\u0301 CAFE\u0301 \u00c5ngstr\u00f6m A\u030angstro\u0308m \u212b \u2126 \u212a",
    "a\u0323\u0307 a\u0307\u0323 \u1e69 s\u0307\u0323 \u0301 \u0301\u0302 a\u0315\u0300\u05ae\u0062 \u0344",
    "\u0958 \u2adc",
    "Vi\u1ec7t Nam Vie\u0323\u0302t \u1100\u1161\u11a8 \uac01 \u1100\u1161 z\u0340\u0341" + "\u0301" * 50,
    # Marks that came after Unicode 9.0 do not change places; a pair of 13.0 is not composed.
    "a\u0301\u1dfa\u0323 a\u08d3\u0301 a\u1ac0\u0301\u0323 a\u0323\U0001e08f\u0301 \U00011935\U00011930 \u0d3b\u0301",
    # Upper case: the dotted I, sharp s, the last sigma, digraphs, other scripts.
    "\u0130stanbul I\u0307 ISTANBUL \u0131 \u00df \u1e9e STRASSE \u03a3\u0391\u03a3 \u039f\u0394\u039f\u03a3.",
    "\u03c2\u03c3 \u01c5 \u01c4 \u01f2",
    "\u13a0\u13f5 \u10a0\u1c90 \U00010400\U00010428 \u2160\u2170 \u24b6\u24d0 \uff21\uff41 \u1e9e \u2c2f",
    "\ua64a \u0345 \u1fbc \u1f88",
    # Numbers one by one, of all scripts and kinds.
    "1234567 3.14 1,000 2024-01-01 \u0661\u0662\u0663 \u0967\u0968 \uff11\uff12 \u2168\u217b",
    "\u00b2\u00b3\u00b9\u2070 \u00bd\u2153 \u2460 \u3007\u3021 \u4e00\u4e8c",
    "4K 8k x2 h2o \U0001d7ce\U0001d7d8 \u09f4 \u0bf0 \U00010107 5\u00d75",
    # Contractions; an apostrophe after another sign is no start of one.
    "it's IT'S don't DON'T we're they've I'm she'll he'd o'clock rock'n'roll 's 't '' 'S'T !'s ?'re '1",
    "it\u2019s 'lll 'rel",
    "'s's 'd'd ''s \u201cquoted\u201d `code` a'b'c l'\u0130 '\u017f",
    "snake_case __init__ a_b _ __ _1_",
    # Emoji: skin tones, joiners, flags, keycaps, variation selectors alone and in place.
    "\U0001f600\U0001f44b\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \ufe0f \ufe0e \U000e0100",
    "\u2764\ufe0f\u2764",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f a\ufe0fb cat\U0001f431cat",
    "\U0001f431\U0001f431\U0001f431",
    # Scripts.
    "\u4e00\u53ea\u732b\u306e\u5199\u771f \u30cd\u30b3\u306e\u30d1\u30d5\u30a7 \uff8a\uff9f\uff8b\uff9f",
    "\uace0\uc591\uc774 \u7e41\u9ad4\uff0c\u7b80\u4f53\u3002 \U00020000\U0002f800 \uf900\u8c48",
    "\u0635\u0648\u0631\u0629 \u0642\u0637\u0629 \u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f \ufefb",
    "\u05d7\u05ea\u05d5\u05dc \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \ufb2a \u200f\u202eabc\u202c",
    "\u0640\u0640",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e41\u0e21\u0e27 \u0e19\u0e49\u0e33",
    "\u1019\u103c\u1014\u103a\u1019\u102c \u10d9\u10d0\u10e2\u10d0 \u0baa\u0bc2\u0ba9\u0bc8 \u1780\u17d2\u1798",
    "\u0f40\u0f7c\u0f42",
    # Ligatures and compatibility characters stay: NFC, not NFKC.
    "\ufb01re of\ufb00ice \u0133 \u01c9 \u2122 \u2103 \ufe30 \u32ff \u3392 \uff76\uff9e \u00b5 \u03bc \u1d2c \u02b0",
    # HTML, paths, code, signs.
    "&amp; &lt;b&gt; &#39; <b>bold</b> <br/> &nbsp;",
    "https://a.b/c?d=e&f#g c:\\x\\y (a:1.3) [b] {c|d} <lora:x:0.8> -- ... \u2026 \u2014",
    "\u00ac\u00ad\u00ae \u00a1\u00bf \u20ac\u00a3 \u2200x\u2208\u211d \u00b1 +-*/=<>|~^%$#@!?;:,.",
    # Controls, NUL among them, private use, noncharacters, the last code points.
    "a\x00b \x01\x02\x07\x08\x1b[31m\x7f \x80\x9f end",
    "\ue000\uf8ff \U000f0000\U0010fffd",
    "\ufffe\uffff\ufdd0\U0001ffff\U0010ffff \ufffd\ufffc",
    # Special tokens: as they are spelled, and otherwise.
    START,
    END,
    f"a {START}b{END} c",
    f"{END}{END}",
    f"caf{END}\u0301e e{START}\u0301",
    f"x{START} {START}'s{END}'s",
    "<|STARTOFTEXT|> <|StartOfText|>!! !<|ENDOFTEXT|> <|ENDOFTEXT|>? <|startoftext <|startoftext|",
    "startoftext|> <|endoftext|\u200d> </w> cat</w> <|",
    # Long words.
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "a" * 3000,
    "ab" * 1500,
    "!?" * 1500,
    "\u00e9" * 1000,
    "\U0001f431" * 500,
    "cat" * 1000,
    "\u0623" * 1000,
    "7" * 1000,
    "word " * 500,
]

KNOWN = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
MARKS = [c for c in KNOWN if unicodedata.combining(c)]
DECOMPOSED = [c for c in KNOWN if unicodedata.decomposition(c)[:1] not in ("", "<")]
BY_PLANE = [[c for c in KNOWN if ord(c) >> 16 == plane] for plane in range(17)]
SPACES = [c for c in KNOWN if c.isspace()]


def random_text(source: random.Random) -> str:
    """Words of neighbours in Unicode, English, accents in any order, and whatever there is, in one text."""

    def neighbours(size: int) -> str:
        near = source.randrange(len(KNOWN))
        return "".join(source.choices(KNOWN[near : near + 60], k=size))

    def accents(size: int) -> str:
        text = "".join(source.choice(source.choice((DECOMPOSED, MARKS))) for _ in range(size))
        return unicodedata.normalize(source.choice(("NFC", "NFD")), text) if source.random() < 0.5 else text

    words = (
        neighbours,
        accents,
        lambda size: "".join(source.choices([chr(c) for c in range(32, 127)], k=size)),
        lambda size: "".join(source.choices("etaoinshrdlu'sETAOINSHRDLU", k=size)),
        lambda size: "".join(source.choice(source.choice([p for p in BY_PLANE if p])) for _ in range(size)),
        lambda size: source.choice(NASTY)[:size],
        lambda size: source.choice((START, END, START.upper(), "<|", "|>", "'s", "'RE", "")),
    )
    text = ""
    for _ in range(source.randrange(8)):
        text += source.choice(words)(source.randrange(1, 12))
        text += source.choice(("", "", " ", source.choice(SPACES)))
    return text


def write_vocabulary(folder: Path, merges: list[str]) -> None:
    """vocab.json and merges.txt as CLIP has them: bytes, the same at a word's end, what merges join, special tokens."""
    printed = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = [chr(byte) for byte in printed] + [chr(0x100 + i) for i in range(256 - len(printed))]
    joined = [merge.replace(" ", "") for merge in merges]
    tokens = [*symbols, *(symbol + "</w>" for symbol in symbols), *joined, START, END]
    assert len(set(tokens)) == len(tokens)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")


def clip_merges() -> list[str]:
    """As open_clip_torch 3.3.0 brings them; found without importing it."""
    spec = importlib.util.find_spec("open_clip")
    if spec is None:
        pytest.skip("open_clip_torch has CLIP's merges: pip install --no-deps open_clip_torch==3.3.0")
    packed = Path(spec.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().split("\n")
    return lines[1 : 49152 - 256 - 2 + 1]


def trained_merges() -> list[str]:
    """Of the texts here: where CLIP's own merges leave bytes, these join what is rare."""
    pipeline = CLIPTokenizer().backend_tokenizer
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer, trained.pre_tokenizer = pipeline.normalizer, pipeline.pre_tokenizer
    source = random.Random(1)
    texts = NASTY + [random_text(source) for _ in range(300)]
    trainer = trainers.BpeTrainer(vocab_size=3000, end_of_word_suffix="</w>", show_progress=False)
    trained.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    first = {left + right: (left, right) for left, right in reversed(merges)}
    return [f"{left} {right}" for left, right in merges if first[left + right] == (left, right)]


class Both:
    """The two tokenizers with the same files."""

    def __init__(self, folder: Path, pad: str = END):
        self.folder = folder
        self.transformers = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token=pad)
        ids = (self.transformers.bos_token_id, self.transformers.eos_token_id, self.transformers.pad_token_id)
        self.command = [TOKENIZE, folder / "vocab.json", folder / "merges.txt", *map(str, ids)]

    def ours(self, texts: list[str]) -> list[dict]:
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        out = subprocess.run(
            self.command, input=lines, check=True, capture_output=True, text=True, timeout=TIMEOUT
        ).stdout
        return [json.loads(line) for line in out.splitlines()]

    def theirs(self, texts: list[str]) -> list:
        return self.transformers.backend_tokenizer.encode_batch(texts, add_special_tokens=False)

    def assert_equal(self, texts: list[str]) -> None:
        ours, theirs = self.ours(texts), self.theirs(texts)
        assert len(ours) == len(texts)
        wrong = [(ascii(text), a["ids"], b.ids) for text, a, b in zip(texts, ours, theirs) if a["ids"] != b.ids]
        assert not wrong, (len(wrong), wrong[:3])
        for text, a, b in zip(texts, ours, theirs):
            begins, size = a["begins"], len(text.encode())
            assert begins == sorted(begins) and all(0 <= begin < size for begin in begins), ascii(text)
            if unicodedata.is_normalized("NFC", text) and "\u0130" not in text:  # else it is a matter of taste
                assert begins == [len(text[:begin].encode()) for begin, _ in b.offsets], ascii(text)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Both:
    folder = tmp_path_factory.mktemp("clip")
    write_vocabulary(folder, clip_merges())
    return Both(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Both:
    folder = tmp_path_factory.mktemp("trained")
    write_vocabulary(folder, trained_merges())
    return Both(folder)


@pytest.fixture(params=["clip", "trained"])
def both(request) -> Both:
    return request.getfixturevalue(request.param)


def test_clip_cuts_a_photo_of_a_cat_as_published(clip):
    assert clip.ours(["a photo of a cat"]) == [{"ids": [320, 1125, 539, 320, 2368], "begins": [0, 2, 8, 11, 13]}]


def test_nasty_texts_have_the_same_ids(both):
    both.assert_equal(NASTY)


def test_random_texts_have_the_same_ids(both):
    source = random.Random(20240607)
    both.assert_equal([random_text(source) for _ in range(10_000)])


def test_each_character_has_the_same_ids(both):
    """After a letter and before marks, that its class and whether marks pass it show."""
    both.assert_equal(["".join(f"a{c}\u0323\u0301 " for c in KNOWN[i : i + 50]) for i in range(0, len(KNOWN), 50)])


def test_pad_is_a_token_of_its_own_too(both):
    """Stable Diffusion 2 pads with "!"."""
    Both(both.folder, pad="!").assert_equal(["a cat!", "!!", "a! b!c !<|endoftext|>!", "\u0301!\u0301", "it!'s"])
