"""Gives a drawing another colour: its main colour is turned, all others stay.

It works in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020), where hue, chroma and
lightness can be changed one without the others.
"""

from dataclasses import dataclass

import numpy as np

# Lightness, chroma and hue in degrees, of a colour that people call by this word.
COLOURS = {
    "red": (0.58, 0.22, 27),
    "orange": (0.73, 0.17, 58),
    "yellow": (0.88, 0.18, 98),
    "green": (0.64, 0.19, 143),
    "blue": (0.56, 0.19, 257),
    "purple": (0.52, 0.21, 306),
    "pink": (0.78, 0.15, 354),
    "brown": (0.45, 0.09, 52),
    "black": (0.27, 0.0, 0),
    "gray": (0.66, 0.0, 0),
}
MAIN_SHARE = 0.4  # of a drawing's area that its main colour must have, or it can't be said to be the drawing's colour
COLOURED = 0.07  # chroma from where a pixel has a hue
WINDOW = 40  # degrees about the main hue that turn with it
SHADING = 0.8  # how much of the lights and shadows a turned drawing keeps

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=np.float32,
)
_FROM_LMS, _FROM_LAB = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_LAB)


def to_oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB [..., 3] in [0, 1] to Oklab."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    linear = ((lab @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def rgb_of(colour: str) -> tuple[int, int, int]:
    lightness, chroma, hue = COLOURS[colour]
    turn = np.radians(hue)
    rgb = from_oklab(np.array([lightness, chroma * np.cos(turn), chroma * np.sin(turn)]))
    return tuple(int(value) for value in (rgb * 255).round())


@dataclass(frozen=True)
class MainColour:
    lightness: float
    chroma: float
    hue: float | None  # degrees; None: the drawing is mostly grey
    share: float  # of the drawing's area


def _polar(lab: np.ndarray):
    return lab[..., 0], np.hypot(lab[..., 1], lab[..., 2]), np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))


def _apart(hue: np.ndarray, other: float) -> np.ndarray:
    """From `other` to `hue`, in [-180, 180)."""
    return (hue - other + 180) % 360 - 180


def _belongs(lab: np.ndarray, hue: float | None) -> np.ndarray:
    """How much of each pixel is of the main colour, from 0 to 1, with soft edges."""
    lightness, chroma, hues = _polar(lab)
    coloured = ((chroma - COLOURED / 2) / (COLOURED / 2)).clip(0, 1)
    if hue is None:  # outlines and lights stay as they are
        return (1 - coloured) * ((lightness - 0.25) / 0.15).clip(0, 1)
    return coloured * ((1.4 * WINDOW - abs(_apart(hues, hue))) / (0.4 * WINDOW)).clip(0, 1)


def main_colour(rgba: np.ndarray) -> MainColour:
    """Of a drawing, uint8 [H, W, 4]."""
    area = rgba[..., 3] > 128
    lab = to_oklab(rgba[area][:, :3] / 255)
    lightness, chroma, hues = _polar(lab)
    coloured = chroma > COLOURED
    hue = None
    if coloured.mean() > 0.35:
        counts = np.bincount((hues[coloured] % 360 // 10).astype(int), weights=chroma[coloured], minlength=36)
        around = sum(np.roll(counts, shift) for shift in (-2, -1, 0, 1, 2))
        middle = 10 * around.argmax() + 5
        near = coloured & (abs(_apart(hues, middle)) < WINDOW)
        hue = float(middle + np.median(_apart(hues[near], middle)))
    share = _belongs(lab, hue)
    most = share > 0.5
    if not most.any():
        return MainColour(0, 0, hue, 0)
    return MainColour(float(np.median(lightness[most])), float(np.median(chroma[most])), hue, float(share.mean()))


def can_turn(main: MainColour) -> bool:
    return main.share >= MAIN_SHARE


def turned(rgba: np.ndarray, main: MainColour, colour: str) -> np.ndarray:
    """The drawing with its main colour turned to `colour`."""
    to_lightness, to_chroma, to_hue = COLOURS[colour]
    lab = to_oklab(rgba[..., :3] / 255)
    lightness, chroma, hues = _polar(lab)
    share = _belongs(lab, main.hue)[..., None]
    new_lightness = (to_lightness + SHADING * (lightness - main.lightness)).clip(0.05, 0.99)
    if main.hue is None:
        new_chroma, new_hue = np.full_like(chroma, to_chroma), np.full_like(hues, to_hue)
    else:
        new_chroma = to_chroma * (chroma / main.chroma).clip(0.3, 1.3)
        new_hue = to_hue + 0.4 * _apart(hues, main.hue)
    turn = np.radians(new_hue)
    new = np.stack([new_lightness, new_chroma * np.cos(turn), new_chroma * np.sin(turn)], -1)
    rgb = from_oklab(share * new + (1 - share) * lab)
    return np.concatenate([(rgb * 255).round().astype(np.uint8), rgba[..., 3:]], -1)
