"""The drawings and captions that models/emoji-64 is taught: Noto Color Emoji and CLDR's English names.

A drawing is the font's own bitmap on white. Its captions come from CLDR: one name ("red apple") and several
keywords ("apple", "fruit", "red"). Which emoji are taught is the list below, kept by hand: things that look
like what they are called. Clocks, arrows, letter signs, flags, skin tones and variants of a person are left
out, since a small model would spend its time on telling those apart.
"""

import random
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Where Debian's fonts-noto-color-emoji and unicode-cldr-core put them.
FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
ANNOTATIONS = Path("/usr/share/unicode/cldr/common/annotations/en.xml")

BITMAP_SIZE = 109  # the one size the font holds, in its own units
BITMAP_SIDE = 136  # what its widest drawings measure, in pixels
IMAGE_SIDE = 64

TAUGHT = {
    "animals": """
        🐵 🐒 🦍 🦧 🐶 🐕 🐩 🐺 🦊 🦝 🐱 🐈 🦁 🐯 🐆 🐴 🐎 🦄 🦓 🦌 🐮 🐂 🐄 🐷 🐖 🐗 🐏 🐑 🐐 🐫 🦙 🦒
        🐘 🦣 🦏 🦛 🐭 🐁 🐹 🐰 🐇 🐿 🦫 🦔 🦇 🐻 🐨 🐼 🦥 🦦 🦨 🦘 🐾 🦃 🐔 🐓 🐣 🐥 🐦 🐧 🕊 🦅 🦆 🦉 🦤 🪶
        🦩 🦚 🦜 🐸 🐊 🐢 🦎 🐍 🐲 🐉 🦕 🦖 🐳 🐋 🐬 🦭 🐟 🐠 🐡 🦈 🐙 🐚 🪸 🦀 🦞 🦐 🦑 🐌 🦋 🐛 🐜 🐝 🐞 🦗 🪳 🕷
        🕸 🦂 🦟 🪰 🪱""",
    "plants": """
        💐 🌸 🪷 🏵 🌹 🥀 🌺 🌻 🌼 🌷 🌱 🪴 🌲 🌳 🌴 🌵 🍀 🍁 🍂 🍃 🍄""",
    "food": """
        🍇 🍈 🍉 🍊 🍋 🍌 🍍 🥭 🍎 🍏 🍐 🍑 🍒 🍓 🫐 🥝 🍅 🫒 🥥 🥑 🍆 🥔 🥕 🌽 🌶 🫑 🥒 🥬 🥦 🧄 🧅 🥜 🫘 🌰 🍞 🥐 🥖 🥨
        🥯 🥞 🧇 🧀 🍖 🍗 🥩 🥓 🍔 🍟 🍕 🌭 🥪 🌮 🌯 🥚 🍳 🥘 🍲 🥗 🍿 🍱 🍙 🍚 🍛 🍜 🍝 🍣 🍤 🥟 🍦 🍧 🍨 🍩 🍪 🎂 🍰
        🧁 🥧 🍫 🍬 🍭 🍮 🍯 🍼 🥛 ☕ 🫖 🍵 🍷 🍸 🍹 🍺 🥤 🧃 🍴 🥄""",
    "faces": """
        😀 😁 😂 😉 😍 🤩 😘 😋 😜 🤑 🤗 🤐 😐 😏 😬 😴 😷 🤒 🤕 🤢 🤮 🥵 🥶 🤯 🤠 🥳 😎 🤓 🧐 😮 😳 😱 😭 😡
        🤬 😈 💀 💩 🤡 👹 👺 👻 👽 👾 🤖 😺 😻""",
    "hearts": """
        💘 💝 💔 ❤ 🧡 💛 💚 💙 💜 🤎 🖤 🤍 💋 💥 💦""",
    "vehicles": """
        🚂 🚄 🚌 🚑 🚒 🚓 🚕 🚗 🚙 🛻 🚜 🏎 🏍 🛵 🚲 🛴 🛹 ⚓ ⛵ 🛶 🚤 🚢 ✈ 🪂 🚁 🚠 🛰 🚀 🛸""",
    "weather and sky": """
        🌍 🌓 🌕 🌙 🌝 🌞 🪐 ⭐ ☁ ⛅ ⛈ 🌧 🌪 🌈 ☂ ⚡ ❄ ⛄ ☄ 🔥 💧 🌊""",
    "buildings and places": """
        🏔 🌋 🏕 🏖 🏝 🏟 🏛 🧱 🏠 🏡 🏥 🏭 🏰 🗼 🗽 ⛪ 🕌 ⛺ 🌉 🎠 🎡 🎪""",
    "play and music": """
        🎃 🎄 🎆 🎈 🎉 🎀 🎁 🏆 🥇 ⚽ ⚾ 🏀 🏐 🏈 🎾 🎳 🏓 🥊 ⛳ 🎯 🎱 🔮 🎮 🕹 🎲 🧩 🧸 🎨 🧵 🧶 🎤 🎧 📻 🎷 🪗 🎸 🎹 🎺
        🎻 🪕 🥁""",
    "clothes": """
        👓 🕶 👔 👕 👖 🧣 🧤 🧥 🧦 👗 👙 👜 🎒 👟 👠 👢 👑 👒 🎩 🎓 💄 💍 💎""",
    "tools and things": """
        🔔 📱 📞 🔋 💻 🖨 💿 🎥 📺 📷 🔍 🕯 💡 🔦 📕 📗 📘 📙 📚 💰 💵 💌 📦 ✏ 🖌 🖍 📌 📎 📏 ✂ 🗑 🔒 🔑 🔨 🪓 ⛏
        🗡 💣 🏹 🛡 🪚 🔧 🪛 🔩 ⚙ ⚖ 🧲 🪜 🧪 🧬 🔬 🔭 📡 💉 💊 🩺 🚪 🪞 🛏 🛋 🪑 🚽 🛁 🧹 🧺 🪣 🧯 🛒 ⏳ 🗿 🚦 🔴 🟠
        🟡 🟢 🔵 🟣 🟤 ⚫""",
}


@dataclass(frozen=True)
class Emoji:
    """One thing the model is taught."""

    character: str
    category: str
    name: str
    keywords: tuple[str, ...]
    image: Image.Image  # RGB, IMAGE_SIDE square


def draw(character: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The font's bitmap of `character`, centred on a white square, at IMAGE_SIDE."""
    left, top, right, bottom = font.getbbox(character)
    if right <= left or bottom <= top:
        raise ValueError(f"{font.path}: no drawing of {character}")
    square = Image.new("RGB", (BITMAP_SIDE, BITMAP_SIDE), "white")
    origin = ((BITMAP_SIDE - left - right) // 2, (BITMAP_SIDE - top - bottom) // 2)
    ImageDraw.Draw(square).text(origin, character, font=font, embedded_color=True)
    return square.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.LANCZOS)


def read_annotations(path: Path = ANNOTATIONS) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """CLDR's name of each character, and its keywords."""
    names, keywords = {}, {}
    for entry in ElementTree.parse(path).getroot().iter("annotation"):
        if entry.get("type") == "tts":
            names[entry.get("cp")] = entry.text.strip()
        else:
            keywords[entry.get("cp")] = tuple(word.strip() for word in entry.text.split("|"))
    return names, keywords


def load_taught(font_path: Path = FONT, annotations_path: Path = ANNOTATIONS) -> list[Emoji]:
    """Every emoji of TAUGHT, in that order, with its names and its drawing."""
    names, keywords = read_annotations(annotations_path)
    font = ImageFont.truetype(str(font_path), BITMAP_SIZE)
    taught = []
    for category, characters in TAUGHT.items():
        for character in characters.split():
            if character not in names:
                raise ValueError(f"{annotations_path}: no name for {character}")
            name = names[character].lower()
            words = tuple(word.lower() for word in keywords.get(character, ()) if word.lower() != name)
            taught.append(Emoji(character, category, name, words, draw(character, font)))
    return taught


def pixels(taught: list[Emoji]) -> np.ndarray:
    """Their drawings as float32 [N, 3, H, W] in [-1, 1]."""
    stacked = np.stack([np.asarray(emoji.image) for emoji in taught])
    return stacked.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1


def sample_caption(emoji: Emoji, rng: random.Random) -> str:
    """What the model is told it sees: mostly the name, sometimes more, sometimes less, one time in ten nothing."""
    draw_of = rng.random()
    if draw_of < 0.10:
        return ""  # the unconditional answer, which guidance moves away from
    if draw_of < 0.70 or not emoji.keywords:
        return emoji.name
    chosen = rng.sample(emoji.keywords, min(len(emoji.keywords), rng.randint(1, 3)))
    if draw_of < 0.90:
        return ", ".join([emoji.name, *chosen])
    return ", ".join(chosen)
