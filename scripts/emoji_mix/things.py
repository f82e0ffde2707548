"""What models/emoji-mix-64 is taught to draw, and what each thing is called.

Drawings, names and keywords are those of emoji.data (Noto Color Emoji, CLDR 41), and more of them. Synonyms are
WordNet's. A thing is called by a noun, which may be plainer than CLDR's name for it: "car" for "automobile".
Drawings of one noun that differ by a colour word, like the hearts, are one thing in several colours.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emoji import data
from emoji_mix import colours
from emoji_mix.wordnet import WordNet

MASTER_SIDE = 80  # of the drawings that scenes are put together from, in pixels

MORE = """
    🐅 🐀 🦢 🐪 🦬 🐤 🪲 🪺 🪹 🦠 🌾 🌿 ☘ 🪨 🪵
    🧂 🥫 🧈 🥙 🧆 🥣 🥡 🥠 🦪 🍶 🍾 🥂 🥃 🧋 🧊 🥢 🍽 🔪 🏺 🍡 🫕 🫙 🍠
    🙂 😢 😠 🤔 😇 🥰 😵 🥱 😕 🙃 🤣 🧌
    👶 👦 👧 👨 👩 👴 👵 🎅 🧙 🧚 🧛 🧜 🧟 🥷 👸 🤴 👮 💂 🕵 👷 💃 🏃 🤺 🏄 🚶
    👍 👎 👋 ✌ 👌 👏 💪 🙏 🤝 🦶 👂 👃 🧠 🦷 🦴 👀 👁 👅 👄
    🗺 🧭 ⛰ 🗻 🏜 🏗 🛖 🏢 🏨 🏫 🏦 🛕 ⛩ ⛲ 🎢 🌅 🌃
    🚆 🚋 🚚 🚛 🚐 🛺 🛼 ⛽ 🚨 🛑 🚧 🛳 🛥 🛩 💺 🧳 🛞 🛟 🛝
    ⌚ ⏰ ☀ 🌡 🌑 🌟 ✨ 🌠 🌀 🧨 🎊 🎏 🎐 🧧
    🥎 🏉 🥏 🏒 🏸 🥋 ⛸ 🎣 🤿 🎿 🛷 🪀 🪁 🪄 🎰 🪅 🪆 🎭 🖼 🪢 🪩 🃏
    🥽 🥼 🦺 👘 🩳 👛 🛍 👞 🥾 👡 🩰 🧢 🪖 ⛑ 🩴 🩲
    🔊 📣 📯 🎵 🎬 ☎ 🔌 🖥 ⌨ 🖱 💾 📹 📼 🧮 📖 📓 📜 📰 🔖 🏷 🪙 💳 🧾 ✉ 📫 📮 🖊 🖋 💼 📁 📅 📈 📉 📊 📋 📐
    🗝 ⚔ 🔫 🪃 🔗 ⛓ 🪝 🧰 ⚗ 🧫 🩸 🩹 🪟 🪠 🚿 🪤 🪒 🧴 🧷 🧻 🧼 🪥 🧽 🚬 ⚰ 🪦
    🟥 🟧 🟨 🟩 🟦 🟪 🟫 ⬛ 🔺 💬 ♻ ❓ ❗ ✅ ❌
"""

# What people call a thing, where CLDR calls it otherwise; "apple red": the red one of the apples.
NOUNS = """
    🦏 rhino | 🦛 hippo | 🐥 chick | 🐝 bee | 🐞 ladybug | 🐚 shell
    🐾 paw prints | 🦠 germ | 🐤 baby chick | 🪺 nest | 🌲 pine tree | 🌳 tree | 🍃 leaves | 🍀 clover
    🍂 autumn leaves | 🌼 daisy | 🌾 wheat | 🍎 apple red | 🍏 apple green | 🥝 kiwi | 🌽 corn | 🌶 chili
    🫑 pepper | 🥬 lettuce | 🥖 baguette | 🧀 cheese | 🍖 meat | 🍗 chicken leg | 🥩 steak | 🍟 fries
    🍳 fried egg | 🥘 pan of food | 🍲 soup | 🥗 salad | 🍱 bento | 🍚 rice | 🍛 curry | 🍜 noodles
    🍤 shrimp tempura | 🍩 donut | 🎂 birthday cake | 🍰 cake | 🍫 chocolate | 🍯 honey | 🥛 milk
    ☕ coffee | 🍵 tea | 🍷 wine | 🍸 cocktail | 🍺 beer | 🥤 soda | 🧃 juice box
    🍦 ice cream cone | 🍧 shaved ice | 🌭 hot dog | 🍔 burger | 🥂 champagne glasses | 🍾 champagne
    🥃 whiskey | 🔪 knife | 🍽 plate | 🏺 vase | 🥫 can | 🫙 jar | 🥡 takeout box | 🍶 sake bottle
    🥣 bowl | 💀 skull | 💩 poop | 🤡 clown | 👾 space invader | 🎅 santa | 🧙 wizard | 🧜 mermaid
    👮 policeman | 💂 guard | 🏃 runner | 🤺 fencer | 🏄 surfer | 🚶 walker | 💃 dancer | 👷 builder
    👴 grandfather | 👵 grandmother | ❤ heart red | 🧡 heart orange | 💛 heart yellow | 💚 heart green
    💙 heart blue | 💜 heart purple | 🤎 heart brown | 🖤 heart black | 🤍 heart white | 💋 lips
    💥 explosion | 💦 splash | 🚂 steam train | 🚄 bullet train | 🚒 fire truck | 🚗 car | 🚙 jeep
    🏎 race car | 🛵 scooter | 🚲 bike | ✈ airplane | 🛸 ufo | 🚠 cable car | 🚚 truck | 🚛 lorry | 🚐 van
    🛺 rickshaw | ⛽ gas pump | 🚨 siren | 🛳 cruise ship | 🛥 motorboat | 🛩 small plane | 💺 seat
    🧳 suitcase | 🛟 life ring | 🛝 slide | 🌍 earth | 🌙 moon | 🌓 half moon | 🌝 moon face
    🌞 sun with face | 🪐 planet | ⛅ partly cloudy | ⛈ thunderstorm | 🌧 rain cloud | ⚡ lightning
    ⛄ snowman | 💧 water drop | 🌊 wave | 🏔 snowy mountain | 🏕 campsite | 🏖 beach | 🏝 island
    🏛 temple | 🏡 house with garden | 🗼 tower | 🌉 bridge | 🎠 carousel | 🎪 circus | 🏗 crane
    🏢 office | 🛕 hindu temple | ⛩ shrine | 🌅 sunrise | 🌃 night sky | 🗻 mount fuji | 🎃 pumpkin
    🎉 party popper | 🎀 bow | 🎁 gift | 🥇 medal | ⚽ soccer ball | 🏈 football | 🎾 tennis ball
    🎳 bowling pins | 🥊 boxing glove | ⛳ golf flag | 🎯 dartboard | 🎱 pool ball | 🎮 game controller
    🎲 die | 🎨 palette | 🎧 headphones | 🎹 piano | 👔 tie | 👕 shirt | 🧥 coat | 👜 handbag | 👟 sneaker
    👠 high heel | 👢 boot | 👒 hat | 🎓 graduation cap | 💎 diamond | 📱 phone | 📞 telephone receiver
    🖨 printer | 💿 cd | 🎥 movie camera | 📺 tv | 🔍 magnifying glass | 🕯 candle | 💡 light bulb
    📕 book red | 📗 book green | 📘 book blue | 📙 book orange | 📚 stack of books | 💰 money bag
    💵 dollar | 📦 box | 🗑 trash can | 🔒 lock | ⛏ pickaxe | 🪚 saw | 🔩 bolt | ⚖ scales | 🧬 dna
    📡 satellite dish | 🛋 couch | 🛒 shopping cart | ⏳ hourglass | 🚦 traffic light | 🔴 circle red
    🟠 circle orange | 🟡 circle yellow | 🟢 circle green | 🔵 circle blue | 🟣 circle purple
    🟤 circle brown | ⚫ circle black | 🟥 square red | 🟧 square orange | 🟨 square yellow
    🟩 square green | 🟦 square blue | 🟪 square purple | 🟫 square brown | ⬛ square black | 🔺 triangle
    💬 speech bubble | ❓ question mark | ❗ exclamation mark | ✅ check mark | ❌ cross
    ♻ recycling symbol | 🌟 glowing star | 🌑 new moon | 🌀 spiral | 🥎 softball | 🏉 rugby ball
    🥏 frisbee | 🏒 hockey stick | 🏸 badminton racket | 🥋 karate suit | ⛸ ice skate | 🎭 masks
    🖼 picture frame | 🪩 disco ball | 🃏 joker card | 🥼 lab coat | 🦺 vest | 🩳 shorts | 🛍 shopping bag
    👞 shoe | 🥾 hiking boot | 👡 sandal | 🩴 flip flop | 🧢 cap | 🪖 army helmet | ⛑ helmet
    🩲 underpants | 🔊 loudspeaker | 📯 horn | 🎵 music note | 🎬 clapperboard | ☎ telephone | 🔌 plug
    🖥 computer | 🖱 computer mouse | 💾 floppy disk | 📹 video camera | 📼 video cassette | 📖 open book
    🏷 tag | 🪙 coin | ✉ envelope | 📫 mailbox | 📮 postbox | 🖊 pen | 📁 folder | 📈 rising chart
    📉 falling chart | 📊 bar chart | 📐 set square | 🗝 old key | ⚔ swords | 🔫 water pistol | 🔗 link
    ⛓ chains | 🩸 blood drop | 🩹 bandage | 🪠 plunger | 🧴 lotion | 🧻 toilet paper | 🪦 gravestone
    🕵 detective | 👌 ok hand | ✌ peace sign | 💪 muscle | 🙏 praying hands | 🙂 smiley | 😢 crying face
    😠 angry face | 😇 angel face | 🌠 shooting star | 🏫 school | 👁 eye | 👀 eyes | 🔨 hammer
    🧯 fire extinguisher | 🫖 teapot | 🧸 teddy bear | 🌯 burrito | 👊 fist | 🌱 sprout | ☂ umbrella
    🍴 fork and knife | 🪟 window | 🍊 orange fruit | 🐒 monkey | 🕊 dove | ⚙ gear | 🎩 top hat
    ⚾ baseball
"""

# Their first sense in WordNet is not the one that is drawn.
OTHER_SENSES = {"ram", "skunk", "poop", "seat", "plate", "tag", "link", "chains", "man", "construction"}

# What would be wrong in a mirror: writing, numbers, hands of clocks, and what has its left and right.
UNMIRRORED = set(
    "🥇🎱💵💰🏥🏨🏫🏦🏢🚕🚓🚑🚒🛑⛽📅📰🎰🌓🌙⌚⏰🗺🌍❓🎵🧮💾🖥⌨📈📉📊"
    "🏷🃏🔤🧾💳✅🎹🖨📻🗽🎬🎲🌡📼📖🥡🧂🍼🥫🍫🎮🕹🎨🎼📚🚌🚐🚚🎪🏪🏧🍶🧧"
)


@dataclass(frozen=True)
class Drawing:
    character: str
    name: str  # CLDR's
    keywords: tuple[str, ...]
    colour: str | None  # the word for it, where drawings of one noun differ by that
    master: np.ndarray  # uint8 [MASTER_SIDE, MASTER_SIDE, 4]
    main: colours.MainColour
    mirrors: bool


@dataclass(frozen=True)
class Thing:
    noun: str
    drawings: tuple[Drawing, ...]
    words: tuple[str, ...]  # that mean the same as the noun
    everyday: bool  # one word, and one that WordNet knows

    @property
    def can_turn(self) -> bool:
        """Whether its first drawing can be given any colour."""
        return colours.can_turn(self.drawings[0].main)

    def colours(self) -> tuple[str, ...]:
        own = tuple(drawing.colour for drawing in self.drawings if drawing.colour)
        return own + tuple(colour for colour in colours.COLOURS if colour not in own) if self.can_turn else own


def _master(character: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """The font's bitmap of `character` on a transparent square that it fills."""
    left, top, right, bottom = font.getbbox(character)
    if right <= left or bottom <= top:
        raise ValueError(f"{font.path}: no drawing of {character}")
    whole = Image.new("RGBA", (2 * data.BITMAP_SIDE,) * 2)
    ImageDraw.Draw(whole).text((20 - left, 20 - top), character, font=font, embedded_color=True)
    part = whole.crop(whole.getbbox())
    square = Image.new("RGBA", (max(part.size),) * 2)
    square.paste(part, ((square.width - part.width) // 2, (square.height - part.height) // 2))
    return np.asarray(square.resize((MASTER_SIDE, MASTER_SIDE), Image.Resampling.LANCZOS))


def _nouns() -> dict[str, str]:
    entries = (entry.split(maxsplit=1) for line in NOUNS.strip().splitlines() for entry in line.split("|"))
    return {character: noun.strip() for character, noun in entries}


def load_things(font_path: Path = data.FONT, annotations_path: Path = data.ANNOTATIONS) -> list[Thing]:
    names, keywords = data.read_annotations(annotations_path)
    font = ImageFont.truetype(str(font_path), data.BITMAP_SIZE)
    wordnet, nouns = WordNet(), _nouns()
    drawings: dict[str, list[Drawing]] = {}
    for character in " ".join([*data.TAUGHT.values(), MORE]).split():
        name = names[character].lower()
        noun, _, colour = nouns.get(character, name).rpartition(" ")
        if colour not in (*colours.COLOURS, "white") or noun == "":
            noun, colour = nouns.get(character, name), None
        master = _master(character, font)
        words = tuple(word.lower() for word in keywords.get(character, ()) if word.lower() != name)
        mirrors = character not in UNMIRRORED
        drawing = Drawing(character, name, words, colour, master, colours.main_colour(master), mirrors)
        drawings.setdefault(noun, []).append(drawing)

    taken = set(drawings) | {drawing.name for same in drawings.values() for drawing in same}
    things = []
    for noun, same in drawings.items():
        if len(same) > 1 and not all(drawing.colour for drawing in same):
            raise ValueError(f"'{noun}' is {' and '.join(drawing.character for drawing in same)}")
        synonyms = [] if noun in OTHER_SENSES else wordnet.synonyms(noun)
        words = [word for word in synonyms if word not in taken]
        taken.update(words)  # of two things that share a synonym the first has it
        if len(same) == 1 and same[0].name != noun:
            words.insert(0, same[0].name)
        everyday = " " not in noun and wordnet.knows(noun)
        things.append(Thing(noun, tuple(same), tuple(words), everyday))
    return things
