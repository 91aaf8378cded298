"""Simulate the OV7670 looking at ink on paper: digit images -> frames.

    image -> pen's path -> writer's style -> place in the frame -> cover -> paper, ink and light -> lens -> sensor

From an image (any height and width) a distance from the pen's path is made at about 64 pixels of height, so that the
stroke's width is free and its border sharp whatever the image's resolution (28x28 MNIST, 8x8 of scikit-learn, 64x64
synthetic writing). That is bent, projected into the frame at twice its resolution and area-averaged: the ink's cover
of every pixel. Paper, ink and light are linear reflectances; the sensor adds noise and a tone curve and drops the low
bits (RGB565).

Levels of care (`CARE`), each a set of ranges (`Care`):

    clean    upright, centred, 80 % of the height, even white paper, drawn with MNIST's own grey borders
    studio   even white paper, black ink, the digit filling the middle
    desk     50 to 95 % of the height, off centre by 15 %, tilt to 10 degrees, uneven light, grey or tinted paper
    hard     35 to 100 %, anywhere, 20 degrees, hard shadow edges, ruled and squared paper, pens and pencil, thin and
             thick strokes, defocus, low light
    wide     for training only: all of these at random and wider ranges, frame by frame
    neat     for training only: as clean, but 60 to 90 % of the height, tilted to 8 degrees, slanted, bent

Effects are listed in `EFFECTS`; `without` switches some off, `only` all others. Photographs are reproducible: every
frame has its own generator, `default_rng([seed, number])`, and one draw of it. Grain and noise are cut from tables
(512x512, fixed seed) at an offset and with a sign of the frame's own.

Not modelled: rolling shutter, colour fringes of the lens, other writing on the sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits import frames as frames_module
from picodigits.errors import FrameError, did_you_mean

Floats = NDArray[np.float32]
Range = tuple[float, float]

_FINE = 2  # rendered at this multiple of the frame's resolution
_CHUNK = 32  # frames worked on at a time: what they need stays in the cache of a core
_MARGIN = 1.0  # pixels of an 80x60 frame between the digit and the frame's border, at least
_TABLE = 512  # rows and columns of the tables of grain and noise
_REACH = 4.0  # how far from the pen's path distances are known, in the path's own breadth
_BLUR_RADIUS = 4  # taps either side, in pixels of an 80x60 frame


@dataclass(frozen=True)
class Care:
    """How carefully the picture was taken.

    A pair is (lowest, highest), drawn evenly for every frame; a single number is the part of the frames, 0 to 1, that
    have the thing at all. Lengths in pixels are those of an 80x60 frame, of which the larger frame shows twice as many.
    Where no source is named, a range is our own judgement from looking at low-resolution photographs of handwriting.

    Pose
      height       of the digit's ink, parts of the frame's height; 1 = it just fits with a margin of one pixel
      offset       of the digit's centre from the frame's, parts of the frame's height
      anywhere     part of the frames with the digit at any place where it is wholly seen, whatever `offset` says
      tilt         degrees, clockwise above 0
      perspective  how much larger one end of the digit is than the other, 0.1 = 10 %; a camera tipped by 30 degrees at
                   10 cm from a digit of 3 cm gives 0.15
    Writer's style
      slant        shear, parts of the height, to the right above 0
      aspect       width over the width in the image
      elastic      root mean square of a smooth displacement, parts of the digit's height (Simard, Steinkraus and Platt,
                   2003, bend MNIST by about 0.05)
    Ink
      stroke       width of the stroke over the width in the image; MNIST's is about a ninth of the digit's height,
                   a ball pen of 0.5 mm on a digit of 10 mm a twentieth: 0.45
      raw          part of the frames drawn with the image's own grey borders, `stroke` left aside
      ink          reflectance of pen ink, parts of the paper's, linear
      blue, red    part of the frames in ink of that colour
      pencil       part of the frames in pencil: grey, and broken by the paper's grain
      pencil_ink   reflectance of pencil, parts of the paper's, linear
      flow         unevenness of the ink along the stroke, parts of its darkness
    Paper
      paper        reflectance, linear; white copying paper 0.85 to 0.95, recycled paper 0.6, cardboard 0.4
      tint         largest difference in reflectance between the paper's colours
      grain        standard deviation of the paper's texture, parts of its reflectance
      ruled        part of the frames on ruled paper
      squared      part of the frames on squared paper
      period       distance of the lines, parts of the frame's height: 5 mm squares below a digit of 10 to 25 mm
      line         darkness of the lines, 1 = black
      crease       part of the frames with a fold in the paper
    Light
      gradient     light missing at one border, parts of the light at the other
      shadow       part of the frames with a shadow edge; half of them have a second one, a quarter a third
      depth        light missing in a shadow, parts; a lamp against its room: 0.3 to 0.8
      penumbra     width of the shadow's edge, pixels; a lamp of 5 cm at 50 cm, a hand 2 cm above the paper: 2 mm
      vignette     light missing in the corners, parts
      glare        part of the frames with a reflecting spot
      glare_level  its light, parts of what white paper sends back
      level        of white paper in even light, parts of full scale, after the tone curve; automatic exposure makes
                   up for the square root of a darker paper and, about as much, of the light that is missing
      dark         part of the frames in low light
      dark_level   the same as level, for these
    Lens
      defocus      standard deviation of the blur, pixels
      motion       part of the frames blurred by motion
      path         length of the motion, pixels
    Sensor
      sharpening   overshoot beside edges, from the OV7670's edge enhancement (register EDGE, 0x3F), parts of the edge
      noise        standard deviation at mid grey, parts of full scale; half of its power is colour noise that
                   neighbours share, as the colours of a Bayer sensor do
      rows         standard deviation of the noise that a whole row shares, parts of full scale
      dead         part of the frames with dead pixels, one to four
      balance      error of the white balance: standard deviation of the colours' gains, parts
      gamma        part of the square root in the tone curve: 0 = linear, 1 = an exponent of 0.5 (the OV7670's default
                   curve, registers GAM1 to GAM15, lies near 0.9)
      veil         stray light in the lens, parts of full scale
    """

    height: Range = (0.6, 0.8)
    offset: Range = (0.0, 0.04)
    anywhere: float = 0.0
    tilt: Range = (-2.0, 2.0)
    perspective: Range = (0.0, 0.0)
    slant: Range = (0.0, 0.0)
    aspect: Range = (1.0, 1.0)
    elastic: Range = (0.0, 0.0)
    stroke: Range = (1.0, 1.0)
    raw: float = 0.0
    ink: Range = (0.03, 0.1)
    blue: float = 0.0
    red: float = 0.0
    pencil: float = 0.0
    pencil_ink: Range = (0.12, 0.35)
    flow: Range = (0.0, 0.0)
    paper: Range = (0.9, 1.0)
    tint: Range = (0.0, 0.01)
    grain: Range = (0.0, 0.0)
    ruled: float = 0.0
    squared: float = 0.0
    period: Range = (0.2, 0.6)
    line: Range = (0.15, 0.5)
    crease: float = 0.0
    gradient: Range = (0.0, 0.05)
    shadow: float = 0.0
    depth: Range = (0.3, 0.8)
    penumbra: Range = (0.5, 12.0)
    vignette: Range = (0.0, 0.0)
    glare: float = 0.0
    glare_level: Range = (0.1, 0.5)
    level: Range = (0.85, 0.95)
    dark: float = 0.0
    dark_level: Range = (0.3, 0.5)
    defocus: Range = (0.25, 0.4)
    motion: float = 0.0
    path: Range = (1.0, 3.0)
    sharpening: Range = (0.0, 0.0)
    noise: Range = (0.004, 0.01)
    rows: Range = (0.0, 0.0)
    dead: float = 0.0
    balance: Range = (0.0, 0.0)
    gamma: Range = (0.5, 1.0)
    veil: Range = (0.0, 0.0)


@dataclass(frozen=True)
class Mix:
    """Levels of care mixed frame by frame: pairs of (weight above 0, care)."""

    parts: tuple[tuple[float, Care], ...]


_STUDIO = Care()
_DESK = Care(
    height=(0.5, 0.95), offset=(0.0, 0.15), tilt=(-10.0, 10.0), perspective=(0.0, 0.08),
    slant=(-0.1, 0.15), aspect=(0.92, 1.08), elastic=(0.0, 0.01),
    stroke=(0.7, 1.1), ink=(0.03, 0.2), blue=0.2, flow=(0.0, 0.25),
    paper=(0.4, 0.95), tint=(0.0, 0.1), grain=(0.0, 0.02), crease=0.05,
    gradient=(0.0, 0.55), vignette=(0.0, 0.2), level=(0.6, 0.98),
    defocus=(0.3, 0.8), motion=0.05, path=(0.5, 1.5),
    sharpening=(0.0, 0.4), noise=(0.008, 0.03), rows=(0.0, 0.005), balance=(0.0, 0.05), gamma=(0.4, 1.0),
    veil=(0.0, 0.03),
)  # fmt: skip
_HARD = Care(
    height=(0.35, 1.0), offset=(0.0, 0.2), anywhere=0.8, tilt=(-20.0, 20.0), perspective=(0.0, 0.15),
    slant=(-0.2, 0.25), aspect=(0.85, 1.15), elastic=(0.0, 0.018),
    stroke=(0.45, 1.45), ink=(0.03, 0.3), blue=0.3, red=0.12, pencil=0.2, flow=(0.0, 0.5),
    paper=(0.4, 0.95), tint=(0.0, 0.2), grain=(0.0, 0.03), ruled=0.22, squared=0.22, crease=0.15,
    gradient=(0.0, 0.65), shadow=0.6, vignette=(0.0, 0.35), glare=0.1, level=(0.6, 1.0), dark=0.12,
    defocus=(0.3, 1.2), motion=0.15,
    sharpening=(0.0, 0.6), noise=(0.008, 0.035), rows=(0.0, 0.01), dead=0.1, balance=(0.0, 0.09), gamma=(0.2, 1.0),
    veil=(0.0, 0.1),
)  # fmt: skip
_WIDER = replace(
    _HARD, height=(0.3, 1.0), tilt=(-24.0, 24.0), perspective=(0.0, 0.2), slant=(-0.3, 0.4), aspect=(0.75, 1.3),
    elastic=(0.0, 0.028), stroke=(0.4, 1.6), ink=(0.02, 0.38), red=0.15, flow=(0.0, 0.6), paper=(0.3, 1.0),
    grain=(0.0, 0.04), period=(0.12, 0.8), line=(0.1, 0.6), depth=(0.2, 0.88), penumbra=(0.3, 16.0), dark=0.18,
    dark_level=(0.22, 0.5), defocus=(0.2, 1.35), motion=0.2, noise=(0.004, 0.042), gamma=(0.0, 1.0),
)  # fmt: skip
_CLEAN = Care(
    height=(0.8, 0.8), offset=(0.0, 0.0), tilt=(0.0, 0.0), raw=1.0, ink=(0.03, 0.03), paper=(0.95, 0.95),
    tint=(0.0, 0.0), gradient=(0.0, 0.0), level=(0.95, 0.95), defocus=(0.0, 0.0), noise=(0.002, 0.002),
    gamma=(0.5, 0.5),
)  # fmt: skip
_NEAT = replace(
    _CLEAN, height=(0.6, 0.9), tilt=(-8.0, 8.0), slant=(-0.15, 0.25), aspect=(0.85, 1.2), elastic=(0.0, 0.02)
)

CARE: dict[str, Care | Mix] = {
    "clean": _CLEAN,
    "studio": _STUDIO,
    "desk": _DESK,
    "hard": _HARD,
    "wide": Mix(
        (
            (0.05, _CLEAN),
            (0.11, _NEAT),
            (0.05, replace(_STUDIO, slant=(-0.2, 0.3), aspect=(0.85, 1.2), elastic=(0.0, 0.02), stroke=(0.6, 1.3))),
            (0.05, replace(_STUDIO, raw=1.0, elastic=(0.0, 0.02), aspect=(0.85, 1.2), slant=(-0.2, 0.3))),
            (0.2, replace(_DESK, slant=(-0.2, 0.3), aspect=(0.8, 1.2), elastic=(0.0, 0.02), stroke=(0.5, 1.3))),
            (0.27, _HARD),
            (0.27, _WIDER),
        )
    ),
    "neat": _NEAT,
}

_NONE: Range = (0.0, 0.0)
EFFECTS: dict[str, dict[str, Range | float]] = {
    "size": {"height": (0.7, 0.7)},
    "place": {"offset": _NONE, "anywhere": 0.0},
    "tilt": {"tilt": _NONE},
    "perspective": {"perspective": _NONE},
    "slant": {"slant": _NONE},
    "aspect": {"aspect": (1.0, 1.0)},
    "elastic": {"elastic": _NONE},
    "stroke": {"stroke": (1.0, 1.0), "raw": 0.0},
    "faint ink": {"ink": (0.05, 0.05)},
    "ink colour": {"blue": 0.0, "red": 0.0},
    "pencil": {"pencil": 0.0},
    "ink flow": {"flow": _NONE},
    "grey paper": {"paper": (0.9, 0.9)},
    "tinted paper": {"tint": _NONE},
    "grain": {"grain": _NONE},
    "ruled": {"ruled": 0.0},
    "squared": {"squared": 0.0},
    "crease": {"crease": 0.0},
    "gradient": {"gradient": _NONE},
    "shadow": {"shadow": 0.0},
    "vignette": {"vignette": _NONE},
    "glare": {"glare": 0.0},
    "exposure": {"level": (0.9, 0.9)},
    "low light": {"dark": 0.0},
    "defocus": {"defocus": (0.25, 0.25)},
    "motion": {"motion": 0.0},
    "sharpening": {"sharpening": _NONE},
    "noise": {"noise": _NONE},
    "row noise": {"rows": _NONE},
    "dead pixels": {"dead": 0.0},
    "white balance": {"balance": _NONE},
    "gamma": {"gamma": (0.8, 0.8)},
    "veil": {"veil": _NONE},
}
"""Every effect that can be switched, and what stands in `Care` where it is off."""


NO_DIGIT = ("blank", "ruled", "shadow", "letters", "scribble", "finger", "two digits", "cut")
"""Kinds of frames that show no digit, or none that can be read as one: see `no_digit`."""


class Photographs(NamedTuple):
    """Frames with what is true of them.

    frames  (N, H, W) uint16 RGB565_SWAPPED
    boxes   (N, 4) float32: top, left, bottom, right of the digit's ink in pixels of the frame, bottom and right just
            outside, in steps of half a pixel; before the lens's blur, zeros where there is no ink
    """

    frames: NDArray[np.uint16]
    boxes: Floats


def without(care: str | Care | Mix, *effects: str) -> Care | Mix:
    """The level of care with some effects (names in EFFECTS) switched off. Raises FrameError for unknown names."""
    level = _find(care)
    _need_effects(effects)
    if isinstance(level, Mix):
        return Mix(tuple((weight, _without(part, effects)) for weight, part in level.parts))
    return _without(level, effects)


def only(care: str | Care | Mix, *effects: str) -> Care | Mix:
    """The level of care with all effects but these switched off. Raises FrameError for unknown names."""
    _need_effects(effects)
    return without(care, *(name for name in EFFECTS if name not in effects))


def _need_effects(names: Sequence[str]) -> None:
    for name in names:
        if name not in EFFECTS:
            raise FrameError(f"effect: got {name!r}, need one of {', '.join(EFFECTS)}.{did_you_mean(name, EFFECTS)}")


def _without(care: Care, effects: Iterable[str]) -> Care:
    changes = {field: value for name in effects for field, value in EFFECTS[name].items()}
    return replace(care, **changes)  # type: ignore[arg-type]


def every_effect(image: NDArray[np.uint8], each: int = 4, *, seed: int = 0) -> dict[str, NDArray[np.uint16]]:
    """What every effect does alone: for each name in EFFECTS, frames (each, 60, 80) of one image (H, W) uint8 ink.

    Ranges are those of "hard"; what only a part of the frames has, all of these have.
    """
    images = np.repeat(image[None], each, axis=0)
    shown = {}
    for effect, off in EFFECTS.items():
        always = {name: 0.5 if name == "blue" else 1.0 for name in off if name in _PARTS and name != "raw"}
        shown[effect] = photograph(images, replace(_without(_HARD, EFFECTS.keys() - {effect}), **always), seed=seed)  # type: ignore[arg-type]
    return shown


def photograph(
    images: NDArray[np.uint8],
    care: str | Care | Mix = "desk",
    *,
    seed: int = 0,
    first: int = 0,
    size: tuple[int, int] = (frames_module.FRAME_HEIGHT, frames_module.FRAME_WIDTH),
) -> NDArray[np.uint16]:
    """Frames (N, *size) uint16 RGB565_SWAPPED of digit images (N, H, W) uint8, 0 = paper, 255 = full ink.

    size is (60, 80) or (120, 160): the same scene, seen with more pixels. Frame i depends on image i, `care`, `seed`
    and `first` + i alone: part of a set, with `first` set to where it starts, equals that part of the whole.
    Raises FrameError for images of another shape or type, an unknown care and another size.
    """
    return photograph_with_boxes(images, care, seed=seed, first=first, size=size).frames


def photograph_with_boxes(
    images: NDArray[np.uint8],
    care: str | Care | Mix = "desk",
    *,
    seed: int = 0,
    first: int = 0,
    size: tuple[int, int] = (frames_module.FRAME_HEIGHT, frames_module.FRAME_WIDTH),
) -> Photographs:
    """What `photograph` gives, and where the digits truly are. Arguments and errors are the same."""
    _need_images("images", images)
    level = _find(care)
    _need_size(size)
    taken = np.empty((len(images), *size), dtype=np.uint16)
    boxes = np.zeros((len(images), 4), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(images)))
        scene = _draw(level, seed, first + start, part.stop - start)
        cover, boxes[part] = _place(images[part], scene, size)
        taken[part] = _expose(cover, scene)
    return Photographs(taken, boxes)


def no_digit(
    kind: str,
    count: int,
    care: str | Care | Mix = "desk",
    *,
    seed: int = 0,
    first: int = 0,
    digits: NDArray[np.uint8] | None = None,
    marks: NDArray[np.uint8] | None = None,
    size: tuple[int, int] = (frames_module.FRAME_HEIGHT, frames_module.FRAME_WIDTH),
) -> NDArray[np.uint16]:
    """Frames (count, *size) uint16 RGB565_SWAPPED that show no digit, or none that can be read as one.

    Light, paper, lens and sensor are those of `care`. kind is one of NO_DIGIT:

        blank       paper without lines
        ruled       ruled or squared paper
        shadow      the edges of shadows on paper
        letters     `marks` (M, H, W) uint8 ink, one after the other from number `first`, photographed as digits are
        scribble    the same
        finger      a finger pointing at the paper
        two digits  two of `digits` (D, H, W) uint8 ink side by side, a gap of 20 to 60 % of their height between them
        cut         one of `digits` with 15 to 60 % of its ink outside the frame

    Frame i depends on `kind`, `care`, `seed`, `first` + i, `digits` and `marks` alone. Raises FrameError for an unknown
    kind, care or size and where the images that a kind needs are missing.
    """
    if kind not in NO_DIGIT:
        raise FrameError(f"kind: got {kind!r}, need one of {', '.join(NO_DIGIT)}.{did_you_mean(kind, NO_DIGIT)}")
    _need_size(size)
    level = _find(care)
    needed = {"letters": "marks", "scribble": "marks", "two digits": "digits", "cut": "digits"}.get(kind)
    images = marks if needed == "marks" else digits if needed == "digits" else None
    if needed:
        if images is None or not len(images):
            raise FrameError(f"{needed}: got none, need images (N, H, W) uint8 for {kind}. Pass {needed}=.")
        _need_images(needed, images)
    taken = np.empty((count, *size), dtype=np.uint16)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        scene = _draw(level, seed, first + start, part.stop - start, 1 + NO_DIGIT.index(kind))
        chances = scene.more["kind"]
        for name in ("ruled", "squared") if kind in ("blank", "ruled") else ():
            scene.values[name] = np.zeros(len(chances), dtype=np.float32)
        if kind == "ruled":
            scene.values["ruled"] = (chances[:, 0] < 0.5).astype(np.float32)
            scene.values["squared"] = 1 - scene["ruled"]
        if kind == "shadow":
            scene.values["shadow"] = np.ones(len(chances), dtype=np.float32)
        cover = np.zeros((len(chances), *size), dtype=np.float32)
        if images is not None:
            numbers = np.arange(first + part.start, first + part.stop) % len(images)
            if kind == "two digits":
                others = (chances[:, 0] * len(images)).astype(int)
                pairs = zip(images[numbers], images[others], chances, strict=True)
                cover, _ = _place(np.stack([_pair(*pair) for pair in pairs]), scene, size)
            elif kind == "cut":
                outside = np.stack([0.15 + 0.45 * chances[:, 0], chances[:, 1]], axis=1)
                cover, _ = _place(images[numbers], scene, size, outside)
            else:
                cover, _ = _place(images[numbers], scene, size)
        taken[part] = _expose(cover, scene, finger=kind == "finger")
    return taken


def _pair(left: NDArray[np.uint8], right: NDArray[np.uint8], chances: Floats) -> NDArray[np.uint8]:
    """Two digits side by side: (36, 100) uint8 ink, each 20 to 28 pixels high, or less where it is broad."""
    canvas = np.zeros((36, 100), dtype=np.uint8)
    at = 4
    for image, tall, drop in ((left, chances[1], chances[2]), (right, chances[3], chances[4])):
        inked = np.argwhere(image > 100)
        if not len(inked):
            continue
        (top, first), (bottom, last) = inked.min(axis=0), inked.max(axis=0) + 1
        rows = 20 + 8 * float(tall)
        per_pixel = max((bottom - top) / rows, (last - first) / 34)
        shape = (max(2, round((last - first) / per_pixel)), max(2, round((bottom - top) / per_pixel)))
        small = Image.fromarray(image).resize(shape, Image.Resampling.BICUBIC, box=(first, top, last, bottom))
        y = 4 + round((28 - shape[1]) * float(drop))
        canvas[y : y + shape[1], at : at + shape[0]] = np.asarray(small)
        at += shape[0] + round(28 * (0.2 + 0.4 * float(chances[5])))
    return canvas


def _need_images(thing: str, images: NDArray[np.uint8]) -> None:
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape[1:]:
        raise FrameError(f"{thing}: got {images.dtype} {images.shape}, need (N, H, W) uint8. Check the dataset.")


def _need_size(size: tuple[int, int]) -> None:
    if tuple(size) not in ((60, 80), (120, 160)):
        raise FrameError(f"size: got {size}, need (60, 80) or (120, 160), rows and columns. Check the camera size.")


def _find(care: str | Care | Mix) -> Care | Mix:
    if not isinstance(care, str):
        return care
    if care not in CARE:
        raise FrameError(f"care: got {care!r}, need one of {', '.join(CARE)}.{did_you_mean(care, CARE)}")
    return CARE[care]


# What is drawn for a frame: one column for each field of Care, then these, by name: (first column, columns).
_FIELDS = tuple(field.name for field in fields(Care))
_PARTS = frozenset(field.name for field in fields(Care) if not isinstance(field.default, tuple))  # a part of the frames
_MORE = {
    name: (64 + at, count)
    for name, at, count in (
        ("part", 0, 1), ("place", 1, 4), ("bend", 5, 32), ("squeeze", 37, 1), ("colour", 38, 6), ("tables", 44, 12),
        ("light", 56, 6), ("shadows", 62, 30), ("lines", 92, 8), ("fold", 100, 5), ("spot", 105, 4), ("move", 109, 2),
        ("gains", 111, 3), ("pixels", 114, 13), ("kind", 127, 32),
    )
}  # fmt: skip
_COLUMNS = 64 + 159


@dataclass
class _Scene:
    """What was drawn for n frames.

    values  for every field of Care (n,) float32: a value from the range, or 1 or 0 where it is a part of the frames
    more    for every name in _MORE (n, columns) float32, 0 to 1
    """

    values: dict[str, Floats]
    more: dict[str, Floats]

    def __getitem__(self, name: str) -> Floats:
        return self.values[name]

    def column(self, name: str) -> Floats:
        """A field (n, 1, 1), to be combined with pictures (n, H, W)."""
        return self.values[name][:, None, None]


@lru_cache(maxsize=64)
def _bounds(level: Care | Mix) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Cumulated weights (parts,), lowest and span (parts, fields), and which fields are parts of the frames."""
    parts = level.parts if isinstance(level, Mix) else ((1.0, level),)
    weights = np.cumsum([weight for weight, _ in parts])
    values = [[getattr(care, name) for name in _FIELDS] for _, care in parts]
    parted = np.array([name in _PARTS for name in _FIELDS])
    pairs = np.array([[v if isinstance(v, tuple) else (0.0, v) for v in row] for row in values], dtype=np.float32)
    return (weights / weights[-1]).astype(np.float32), pairs[..., 0], pairs[..., 1] - pairs[..., 0], parted


def _draw(level: Care | Mix, seed: int, first: int, count: int, kind: int = 0) -> _Scene:
    drawn = np.empty((count, _COLUMNS), dtype=np.float32)
    for i in range(count):
        np.random.default_rng([seed, first + i, kind] if kind else [seed, first + i]).random(
            dtype=np.float32, out=drawn[i]
        )
    more = {name: drawn[:, at : at + columns] for name, (at, columns) in _MORE.items()}
    weights, low, span, parted = _bounds(level)
    part = np.minimum(np.searchsorted(weights, more["part"][:, 0], side="right"), len(weights) - 1)
    chances = drawn[:, : len(_FIELDS)]
    values = np.where(parted, chances < span[part], low[part] + chances * span[part]).astype(np.float32)
    return _Scene({name: values[:, i] for i, name in enumerate(_FIELDS)}, more)


# --- from the image to the ink's cover of the frame's pixels ---


class _Paths(NamedTuple):
    """Pen's paths of n images.

    nearness  (n, h, w) float32: _REACH on the path, less with the distance from it, 0 far away
    limit     (n,) nearness at the stroke's border
    breadth   (n,) pixels over which nearness falls by one
    raw       (n,) bool: nearness is the image itself, and its grey borders are kept
    """

    nearness: Floats
    limit: Floats
    breadth: Floats
    raw: NDArray[np.bool_]


@lru_cache(maxsize=32)
def _enlarging(pixels: int, times: int, sigma: float) -> Floats:
    """Matrix ((pixels + 4) * times, pixels) that enlarges rows with a border of 2: a Gaussian, or cubic for sigma 0."""
    at = (np.arange((pixels + 4) * times) + 0.5) / times - 2.5
    away = np.abs(at[:, None] - np.arange(-8, pixels + 8)[None])
    if sigma:
        weights = np.exp(-0.5 * (away / sigma) ** 2)
    else:  # Catmull-Rom
        near = (1.5 * away - 2.5) * away**2 + 1
        far = ((-0.5 * away + 2.5) * away - 4) * away + 2
        weights = np.where(away < 1, near, np.where(away < 2, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(weights[:, 8:-8], dtype=np.float32)


def _peaks(field: Floats, radius: int) -> Floats:
    """The largest value within `radius` pixels in both directions, of fields (n, h, w)."""
    for axis in (1, 2):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[axis] = (radius, radius)
        wide = np.pad(field, padding, mode="edge")
        have, need = 1, 2 * radius + 1
        while have < need:
            step = min(have, need - have)
            length = wide.shape[axis] - step
            if axis == 1:
                wide = np.maximum(wide[:, :length], wide[:, step:])
            else:
                wide = np.maximum(wide[:, :, :length], wide[:, :, step:])
            have += step
        field = wide
    return field


def _paths(images: NDArray[np.uint8], scene: _Scene) -> _Paths:
    _, rows, columns = images.shape
    times = max(1, round(60 / (rows + 4)))
    tiny = rows < 16  # strokes are mostly blur there
    sigma = 0.48 if tiny else max(0.45, 0.02 * rows)
    drawn = images.astype(np.float32) / 255
    blurred = np.asarray(_enlarging(rows, times, sigma) @ drawn @ _enlarging(columns, times, sigma).T, np.float32)
    # A thin line follows the ridge, whatever the ridge's height; a thick one is all that has ink nearby. Small holes
    # that the blur has filled open again: what is lower than all around it within a stroke's width is paper.
    follow = np.clip(2.5 - 2 * scene.column("stroke"), 1.0 if tiny else 0.5, 1)
    ridge: Floats = 1 + follow * (np.maximum(_peaks(blurred, 4), np.float32(0.3)) - 1)
    hollow = np.minimum(-_peaks(-blurred, 6), np.float32(0.62 if tiny else 0.45) * ridge)
    # Profiles of strokes are nearly Gaussian now: their logarithm gives the distance from the path in its own breadth.
    share = (blurred - hollow) / (ridge - hollow)
    nearness = _REACH - np.sqrt(np.maximum(-2 * np.log(np.clip(share, np.exp(-0.5 * _REACH**2), 1)), 0))
    limit = _REACH - (0.77 + 0.33 * scene["stroke"] if tiny else np.maximum(1.3 * scene["stroke"], 0.72))
    raw = scene["raw"] > 0
    if raw.any():
        matrices = _enlarging(rows, times, 0.0), _enlarging(columns, times, 0.0)
        nearness[raw] = (matrices[0] @ drawn[raw] @ matrices[1].T).clip(0, 1)
        limit[raw] = 0.5
    breadth = np.full(len(images), max(0.55, 0.033 * rows) * times, dtype=np.float32)
    bent = np.flatnonzero(scene["elastic"] > 0)
    if len(bent):
        nearness[bent] = _bend(nearness[bent], nearness[bent] > limit[bent, None, None], scene, bent)
    return _Paths(nearness, limit, breadth, raw)


@lru_cache(maxsize=16)
def _swelling(pixels: int) -> Floats:
    """Matrix (pixels, 4): smooth curves through four values."""
    at = np.linspace(-0.25, 3.25, pixels)
    weights = np.exp(-0.5 * ((at[:, None] - np.arange(4)[None]) / 0.6) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights, dtype=np.float32)


def _bend(straight: Floats, inked: NDArray[np.bool_], scene: _Scene, which: NDArray[np.intp]) -> Floats:
    """Fields (n, h, w) after a smooth displacement, sampled bilinearly."""
    count, rows, columns = straight.shape
    tall = inked.any(axis=2).sum(axis=1).astype(np.float32)  # rows of ink
    knots = (scene.more["bend"][which].reshape(count, 2, 4, 4) - 0.5) * np.float32(12**0.5)  # variance 1
    knots = knots * (1.3 * scene["elastic"][which] * tall)[:, None, None, None]  # smoothing takes a quarter
    moved = _swelling(rows) @ knots @ _swelling(columns).T  # (n, 2, h, w)
    y = np.clip(moved[:, 0] + np.arange(rows, dtype=np.float32)[:, None], 0, rows - 1.01)
    x = np.clip(moved[:, 1] + np.arange(columns, dtype=np.float32), 0, columns - 1.01)
    top, left = y.astype(np.int64), x.astype(np.int64)
    y -= top
    x -= left
    at = top * columns + left + (np.arange(count) * rows * columns)[:, None, None]
    flat = straight.reshape(-1)
    upper = flat.take(at)
    upper += x * (flat.take(at + 1) - upper)
    at += columns
    lower = flat.take(at)
    lower += x * (flat.take(at + 1) - lower)
    upper += y * (lower - upper)
    return np.asarray(upper, dtype=np.float32)


def _place(
    images: NDArray[np.uint8], scene: _Scene, size: tuple[int, int], outside: Floats | None = None
) -> tuple[Floats, Floats]:
    """Ink cover (n, *size) float32 0..1 of images placed in the frame, and their boxes (n, 4).

    outside (n, 2): how much of the ink shall lie outside the frame, 0 to 1, and beyond which side (left, right, top,
    bottom in quarters of 0 to 1); None: nothing.
    """
    paths = _paths(images, scene)
    count, rows, columns = paths.nearness.shape
    inked = paths.nearness > paths.limit[:, None, None]
    height, width = size[0] * _FINE, size[1] * _FINE
    pixel = size[0] / 60 * _FINE  # fine pixels in a pixel of an 80x60 frame
    cover = np.zeros((count, *size), dtype=np.float32)
    boxes = np.zeros((count, 4), dtype=np.float32)

    # Style, tilt and perspective about the middle of the ink, as matrices that map the path's pixels; then how far
    # the ink reaches, and with it scale and place.
    by_row: NDArray[np.bool_] = np.logical_or.reduce(inked, axis=2)
    by_column: NDArray[np.bool_] = np.logical_or.reduce(inked, axis=1)
    some = np.logical_or.reduce(by_row, axis=1)
    top, bottom = by_row.argmax(axis=1), rows - by_row[:, ::-1].argmax(axis=1)
    left, right = by_column.argmax(axis=1), columns - by_column[:, ::-1].argmax(axis=1)
    middle_y, middle_x = (top + bottom) / 2, (left + right) / 2
    angle = np.deg2rad(scene["tilt"].astype(np.float64))
    cos, sin = np.cos(angle), np.sin(angle)
    aspect, slant = scene["aspect"].astype(np.float64), scene["slant"].astype(np.float64)
    tip = scene["perspective"] / np.maximum(bottom - top, 1)
    toward = scene.more["place"][:, 2] * (2 * np.pi)
    forward = np.zeros((count, 3, 3))
    forward[:, 0, 0], forward[:, 0, 1] = cos * aspect, -cos * slant - sin
    forward[:, 1, 0], forward[:, 1, 1] = sin * aspect, -sin * slant + cos
    forward[:, 2, 0], forward[:, 2, 1], forward[:, 2, 2] = tip * np.cos(toward), tip * np.sin(toward), 1
    shift = np.tile(np.eye(3), (count, 1, 1))
    shift[:, 0, 2], shift[:, 1, 2] = -middle_x, -middle_y
    forward = forward @ shift
    m = forward.astype(np.float32)[..., None, None]
    x, y = np.arange(columns, dtype=np.float32) + 0.5, (np.arange(rows, dtype=np.float32) + 0.5)[:, None]
    below = m[:, 2, 0] * x + m[:, 2, 1] * y + m[:, 2, 2]
    across = (m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]) / below
    down = (m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]) / below
    (x0, x1), (y0, y1) = _ends(across, inked), _ends(down, inked)
    wide, tall = np.maximum(x1 - x0, 1), np.maximum(y1 - y0, 1)
    room_y, room_x = height - 2 * _MARGIN * pixel, width - 2 * _MARGIN * pixel
    scale = np.minimum(np.minimum(scene["height"] * height, room_y) / tall, room_x / wide)
    reach_y, reach_x = (room_y - scale * tall) / 2, (room_x - scale * wide) / 2
    where = scene.more["place"].astype(np.float64)
    bearing = where[:, 1] * (2 * np.pi)
    far = scene["offset"] * height
    loose = scene["anywhere"] > 0
    centre_y = height / 2 + np.where(
        loose, (2 * where[:, 0] - 1) * reach_y, np.clip(far * np.sin(bearing), -reach_y, reach_y)
    )
    centre_x = width / 2 + np.where(
        loose, (2 * where[:, 3] - 1) * reach_x, np.clip(far * np.cos(bearing), -reach_x, reach_x)
    )
    if outside is not None:
        for i in np.flatnonzero(some):
            part, side = float(outside[i, 0]), int(4 * outside[i, 1])
            along = (across if side < 2 else down)[i][inked[i]]
            border = float(np.quantile(along, part if side % 2 == 0 else 1 - part)) * scale[i]
            if side < 2:
                centre_x[i] = side * width - border + scale[i] * (x0[i] + x1[i]) / 2
            else:
                centre_y[i] = (side - 2) * height - border + scale[i] * (y0[i] + y1[i]) / 2
    settle = np.zeros((count, 3, 3))
    settle[:, 0, 0] = settle[:, 1, 1] = scale
    settle[:, 0, 2], settle[:, 1, 2] = centre_x - scale * (x0 + x1) / 2, centre_y - scale * (y0 + y1) / 2
    settle[:, 2, 2] = 1
    backward = np.linalg.inv(settle @ forward)  # from fine pixels to the path's
    gains = np.where(paths.raw, 1.0, np.maximum(paths.breadth * scale, 0.8))

    # Only the part of the frame where there is ink is rendered.
    beyond = 1.5 * _FINE + paths.raw * scale * paths.breadth  # grey borders reach further
    half_y, half_x = scale * tall / 2 + beyond, scale * wide / 2 + beyond
    first_y = np.maximum((centre_y - half_y) // _FINE, 0).astype(int)
    first_x = np.maximum((centre_x - half_x) // _FINE, 0).astype(int)
    stop_y = np.minimum(-(-(centre_y + half_y) // _FINE), size[0]).astype(int)
    stop_x = np.minimum(-(-(centre_x + half_x) // _FINE), size[1]).astype(int)
    for i in np.flatnonzero(some & (stop_y > first_y) & (stop_x > first_x)):
        a, b, c, d = int(first_y[i]), int(first_x[i]), int(stop_y[i]), int(stop_x[i])
        to = backward[i].copy()
        to[:, 2] += to[:, 0] * (b * _FINE) + to[:, 1] * (a * _FINE)
        to /= to[2, 2]
        shape = ((d - b) * _FINE, (c - a) * _FINE)
        seen = Image.fromarray(paths.nearness[i]).transform(
            shape, Image.Transform.PERSPECTIVE, tuple(to.ravel()[:8].tolist()), Image.Resampling.BILINEAR
        )
        patch = np.asarray(seen) * np.float32(gains[i])
        patch += np.float32(0.5 - gains[i] * paths.limit[i])
        np.minimum(np.maximum(patch, 0, out=patch), 1, out=patch)
        dark = patch > 0.5
        in_rows, in_columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
        if len(in_rows):
            boxes[i] = (
                a + in_rows[0] / _FINE, b + in_columns[0] / _FINE,
                a + (in_rows[-1] + 1) / _FINE, b + (in_columns[-1] + 1) / _FINE,
            )  # fmt: skip
        mean = patch[::2, ::2] + patch[1::2, ::2]
        mean += patch[::2, 1::2]
        mean += patch[1::2, 1::2]
        mean *= 0.25
        cover[i, a:c, b:d] = mean
    return cover, boxes


def _ends(along: Floats, inked: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest place (n,) of ink along one direction (n, h, w); 0 where there is no ink."""
    low = np.where(inked, along, np.float32(np.inf)).min(axis=(1, 2)).astype(np.float64) - 0.5
    high = np.where(inked, along, np.float32(-np.inf)).max(axis=(1, 2)).astype(np.float64) + 0.5
    none = ~inked.any(axis=(1, 2))
    low[none] = high[none] = 0
    return low, high


# --- from the cover to the frame ---


class _Tables(NamedTuple):
    """Random pictures to cut from, each (512, 512) float32 of standard deviation 1, seamless.

    tooth   grain of the paper, correlated over about a pixel of an 80x60 frame
    flow    over 3 pixels
    cloud   over 12 pixels
    noise   (3, 512, 512) of the sensor: half of the power its own for every pixel, half colour noise shared by 2x2
    """

    tooth: Floats
    flow: Floats
    cloud: Floats
    noise: Floats


@lru_cache(maxsize=4)
def _tables(pixel: int) -> _Tables:
    """Tables for frames with `pixel` pixels where an 80x60 frame has one."""
    rng = np.random.default_rng(7670)
    frequency = np.fft.fftfreq(_TABLE)[:, None] ** 2 + np.fft.rfftfreq(_TABLE)[None] ** 2

    def smooth(sigma: float) -> Floats:
        spectrum = np.fft.rfft2(rng.standard_normal((_TABLE, _TABLE)))
        spectrum *= np.exp(-2 * (np.pi * sigma) ** 2 * frequency)
        spectrum[0, 0] = 0
        picture = np.fft.irfft2(spectrum, s=(_TABLE, _TABLE))
        return np.asarray(picture / picture.std(), dtype=np.float32)

    white = rng.standard_normal((3, _TABLE, _TABLE), dtype=np.float32)
    colour = np.repeat(np.repeat(rng.standard_normal((3, _TABLE // 2, _TABLE // 2), dtype=np.float32), 2, 1), 2, 2)
    common = rng.standard_normal((1, _TABLE, _TABLE), dtype=np.float32)
    noise = 0.5**0.5 * (0.6**0.5 * common + 0.4**0.5 * white) + 0.5**0.5 * colour
    return _Tables(smooth(0.6 * pixel), smooth(3 * pixel), smooth(12 * pixel), np.ascontiguousarray(noise))


def _cut(table: Floats, chances: Floats, size: tuple[int, int]) -> Floats:
    """Pieces (n, ..., *size) of a table, at two chances (n, 2) each."""
    at = (chances * np.array([_TABLE - size[0] + 1, _TABLE - size[1] + 1], dtype=np.float32)).astype(int)
    pieces = np.empty((len(chances), *table.shape[:-2], *size), dtype=np.float32)
    for i, (y, x) in enumerate(at.tolist()):
        pieces[i] = table[..., y : y + size[0], x : x + size[1]]
    return pieces


def _blur(pictures: Floats, scene: _Scene, pixel: int) -> Floats:
    """Defocus and edge enhancement of pictures (n, H, W): one kernel of 1 + 2 * radius taps in both directions."""
    radius = _BLUR_RADIUS * pixel
    at = np.arange(radius + 1, dtype=np.float32)
    sigma = np.maximum(scene["defocus"], 0.05)[:, None] * pixel

    def bell(sigma: Floats) -> Floats:
        weights = np.exp(-0.5 * (at / sigma) ** 2)
        weights[weights < 0.01] = 0  # so that a frame's taps do not depend on its neighbours
        weights[:, 1:] *= 2  # both sides
        weights /= weights.sum(axis=1, keepdims=True)
        weights[:, 1:] /= 2
        return np.asarray(weights, dtype=np.float32)

    sharp = scene["sharpening"][:, None]
    taps = (1 + sharp) * bell(sigma) - sharp * bell(np.sqrt(sigma**2 + (1.2 * pixel) ** 2))
    taps[scene["defocus"] == 0] = at == 0
    used = int(np.flatnonzero((taps != 0).any(axis=0)).max())
    for axis in (1, 2):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[axis] = (used, used)
        wide = np.pad(pictures, padding)
        length = pictures.shape[axis]

        def shifted(by: int, wide: Floats = wide, axis: int = axis, length: int = length) -> Floats:
            window = slice(used + by, used + by + length)
            return wide[:, window] if axis == 1 else wide[:, :, window]

        pictures = shifted(0) * taps[:, 0, None, None]
        for by in range(1, used + 1):
            pictures += (shifted(by) + shifted(-by)) * taps[:, by, None, None]
    return pictures


def _move(cover: Floats, scene: _Scene, pixel: int) -> None:
    """Motion blur of the covers (n, H, W), in place: the mean of copies along the motion."""
    for i in np.flatnonzero(scene["motion"]):
        length = float(scene["path"][i]) * pixel
        bearing = float(scene.more["move"][i, 0]) * np.pi
        dy, dx = length * np.sin(bearing), length * np.cos(bearing)
        steps = max(3, int(2 * length) + 1)
        wide = np.pad(cover[i], 4 * pixel)
        height, width = cover.shape[1:]
        total = np.zeros_like(cover[i])
        for step in np.linspace(-0.5, 0.5, steps):
            y, x = step * dy + 4 * pixel, step * dx + 4 * pixel
            a, b = int(y), int(x)
            fy, fx = np.float32(y - a), np.float32(x - b)
            rows = wide[a : a + height] * (1 - fy) + wide[a + 1 : a + 1 + height] * fy
            total += rows[:, b : b + width] * (1 - fx) + rows[:, b + 1 : b + 1 + width] * fx
        cover[i] = total / steps


def _axes(height: int, width: int) -> tuple[Floats, Floats]:
    """Places of the pixels' middles from the frame's middle, in pixels of an 80x60 frame: (H, 1) and (W,)."""
    unit = 60 / height
    y = ((np.arange(height) + 0.5 - height / 2) * unit).astype(np.float32)[:, None]
    return y, ((np.arange(width) + 0.5 - width / 2) * unit).astype(np.float32)


def _lines(scene: _Scene, size: tuple[int, int], cloud: Floats) -> Floats:
    """Darkness (n, *size) of ruled and squared paper, 0..1 of a line's own, blurred by the lens."""
    lines = np.zeros((len(cloud), *size), dtype=np.float32)
    y, x = _axes(*size)
    for i in np.flatnonzero(scene["ruled"] + scene["squared"]):
        chances = scene.more["lines"][i].tolist()
        squared = scene["squared"][i] > 0
        angle = np.deg2rad(float(scene["tilt"][i])) * chances[0] + (chances[1] - 0.5) * (0.5 if squared else 0.2)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        period = np.float32(60 * scene["period"][i])
        wide = 0.35 + 0.6 * chances[2]
        blur = np.float32(max(wide, 0.6 + float(scene["defocus"][i])))
        warp = cloud[i] * np.float32(0.6 * chances[3])
        for k, (along_y, along_x) in enumerate(((cos, -sin), (sin, cos))[: 2 if squared else 1]):
            phase = (y * along_y + x * along_x + warp) / period + np.float32(chances[4 + k])
            phase -= np.rint(phase)
            away = np.abs(phase) * (period / blur)
            np.subtract(1, away, out=away)
            lines[i] = np.maximum(lines[i], np.maximum(away, 0) * (wide / blur))
    return lines


def _fold(texture: Floats, scene: _Scene, size: tuple[int, int]) -> None:
    """Creases on the paper, in place: bright on one side, dark on the other."""
    y, x = _axes(*size)
    for i in np.flatnonzero(scene["crease"]):
        chances = scene.more["fold"][i].tolist()
        angle = chances[0] * np.pi
        away = y * np.float32(np.cos(angle)) + x * np.float32(np.sin(angle)) + np.float32((chances[1] - 0.5) * 60)
        wide = np.float32(0.7 + 2 * chances[2])
        away /= wide
        strength = np.float32((0.08 + 0.25 * chances[3]) * (1 if chances[4] < 0.5 else -1))
        texture[i] += strength * away * np.exp(-0.5 * away * away)
        texture[i] += np.float32(0.1 * strength) * np.sign(away)


def _light(scene: _Scene, size: tuple[int, int]) -> Floats:
    """Light on the paper (n, *size), 1 where it is best: gradient, vignette and shadows."""
    y, x = _axes(*size)
    chances = scene.more["light"]
    toward = chances[:, 0, None, None] * np.float32(2 * np.pi)
    along = (x / 80) * np.cos(toward) + (y / 60) * np.sin(toward)  # (n, H, W)
    along += 0.5
    np.clip(along, 0, 1, out=along)
    along *= -scene.column("gradient")
    along += 1
    off_y = y - (chances[:, 1, None, None] - 0.5) * 12
    off_x = x - (chances[:, 2, None, None] - 0.5) * 16
    corner = off_y * off_y * np.float32(1 / 2500) + off_x * off_x * np.float32(1 / 2500)
    corner *= -scene.column("vignette")
    corner += 1
    along *= np.maximum(corner, 0.2)
    for i in np.flatnonzero(scene["shadow"]):
        edges = scene.more["shadows"][i].reshape(3, 10).tolist()
        number = 1 + (edges[1][0] < 0.5) + (edges[1][0] < 0.5 and edges[2][0] < 0.5)
        # One lamp: what lies in two shadows is no darker.
        along[i] *= np.minimum.reduce([_shadow(edge, scene, int(i), y, x) for edge in edges[:number]])
    return np.asarray(along, dtype=np.float32)


def _shadow(chances: list[float], scene: _Scene, i: int, y: Floats, x: Floats) -> Floats:
    """Light left (H, W) by one shadow: 1 outside, less inside."""
    _, shape, toward, place, bow, soft, deep, *rest = chances
    angle = toward * 2 * np.pi
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    depth = float(scene["depth"][i]) * (1 - 0.4 * deep)
    penumbra = max(float(scene["penumbra"][i]) * soft, 0.4) + 1.5 * float(scene["defocus"][i])
    away = y * sin + x * cos + np.float32((place - 0.5) * 60)  # from the edge, positive in the shadow
    if shape < 0.75:  # a straight or bowed edge, a band, or a hand: all but a phone's corner
        along = y * cos - x * sin
        if shape < 0.45:
            if bow > 0.3:
                away += along * along * np.float32((bow - 0.65) / 40)
        elif shape < 0.6:  # a band: an arm, a pen, a cable
            away = np.float32(4 + 22 * rest[0]) / 2 - np.abs(away + along * np.float32(0.4 * (bow - 0.5)))
        else:  # fingers
            turn = along * np.float32(np.pi / (17 + 13 * rest[1])) + np.float32(9 * bow)
            away += np.float32(5 + 14 * rest[0]) * np.sqrt(np.abs(np.cos(turn)))
            away -= along * along * np.float32(bow / 60)
    else:
        away = np.minimum(away, y * cos - x * sin + np.float32((rest[0] - 0.5) * 60))
    away /= np.float32(penumbra)
    away += 0.5
    np.clip(away, 0, 1, out=away)
    away *= away * (3 - 2 * away)
    away *= np.float32(-depth)
    away += 1
    return away


def _colours(scene: _Scene) -> tuple[Floats, Floats, Floats]:
    """Of n frames, per colour (n, 3): reflectance of the paper, what ink and what lines take of it."""
    chances = scene.more["colour"]
    paper = scene["paper"][:, None] - scene["tint"][:, None] * chances[:, :3] * (chances[:, :3] < chances[:, 3:4] + 0.5)
    pick, depth = chances[:, 4, None], chances[:, 5, None]
    ink = np.where(scene["pencil"][:, None] > 0, scene["pencil_ink"][:, None], scene["ink"][:, None])
    blue = np.array([0.0, 0.1, 0.45], dtype=np.float32) * (0.4 + 0.6 * depth)
    red = np.array([0.6, 0.0, 0.05], dtype=np.float32) * (0.5 + 0.5 * depth)
    pen = scene["pencil"] == 0
    is_blue, is_red = pen & (scene["blue"] > 0), pen & (scene["red"] > 0)
    lift = np.where(is_blue[:, None], blue, np.where(is_red[:, None], red, np.float32(0)))
    taken = 1 - (ink + (1 - ink) * lift)
    lines = np.where(pick < 0.5, np.array([1.0, 0.75, 0.35]), np.where(pick < 0.85, 1.0, np.array([0.3, 1.0, 0.9])))
    return paper.clip(0.1, 1).astype(np.float32), taken, (lines * scene["line"][:, None]).astype(np.float32)


def _point(signal: Floats, light: Floats, tooth: Floats, exposed: Floats, chances: list[float], defocus: float) -> None:
    """Hold a finger before the paper, in place of what `signal` (3, H, W) shows there.

    light, tooth (H, W): light and a fine texture; exposed (3,): exposure of the colours. The finger is a bar with a
    round tip, 12 to 30 pixels of an 80x60 frame wide (15 mm where the frame shows 30 to 75 mm), shaded as a cylinder,
    with a nail in two of three, the folds of a joint, and a soft shadow beside it.
    """
    y, x = _axes(*light.shape)
    radius, turn = 6 + 9 * chances[0], 2 * np.pi * chances[1]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    # The tip lies in the middle third; the finger comes in from where `turn` points to.
    from_y, from_x = y - np.float32(30 * (chances[2] - 0.5)), x - np.float32(40 * (chances[3] - 0.5))
    curve = np.float32((chances[4] - 0.5) * 0.006)

    def bar(dy: float, dx: float, grow: float) -> tuple[Floats, Floats, Floats]:
        """Along the finger from the tip's centre, across it in its radius, and pixels outside its border."""
        along = (from_x - np.float32(dx)) * cos + (from_y - np.float32(dy)) * sin
        aside = (from_y - np.float32(dy)) * cos - (from_x - np.float32(dx)) * sin
        aside = aside - curve * along * along
        broad = np.float32(radius * grow) * (1 + np.clip(along, 0, 60) * np.float32(0.003))
        away = np.sqrt(aside * aside + np.minimum(along, 0) ** 2) - broad
        return along, aside / broad, away

    _, _, away = bar(6 * (chances[5] - 0.5), 8 * (chances[6] - 0.5), 1.05)
    shade = np.clip(0.5 - away / np.float32(2 + 8 * chances[7]), 0, 1)
    dimmed = 1 - np.float32(0.25 + 0.4 * chances[8]) * shade * shade * (3 - 2 * shade)
    along, aside, away = bar(0, 0, 1)
    bulge = np.sqrt(
        np.maximum(1 - np.float32(0.92) * np.clip(np.hypot(aside, np.minimum(along, 0) / radius), 0, 1) ** 2, 0)
    )
    form = (np.float32(0.4) + np.float32(0.6) * bulge) * (1 + np.float32(0.3 * (chances[9] - 0.5)) * aside)
    form *= 1 + np.float32(0.035) * tooth
    for fold in range(3):  # of the first joint
        at = radius * (1.7 + 0.25 * fold + 0.6 * chances[10]) + 1.5 * np.square(aside)
        form *= 1 - np.float32(0.16) * np.exp(-np.square((along - at) / np.float32(0.6 + 0.3 * defocus)))
    fair, red = chances[11] ** 1.3, 0.9 + 0.2 * chances[12]
    skin = np.array([0.66, 0.42, 0.32]) * fair + np.array([0.16, 0.085, 0.055]) * (1 - fair)
    skin *= np.array([red, 1, 1])
    nail = np.zeros_like(away)
    if chances[13] < 0.67:
        inside = 1 - np.hypot(aside / np.float32(0.62), (along - np.float32(0.15 * radius)) / np.float32(0.8 * radius))
        nail = np.clip(inside * np.float32(radius / (0.8 + defocus)), 0, 1)
        form *= 1 - np.float32(0.3) * np.exp(-np.square(inside * radius / np.float32(0.8 + defocus)))  # its rim
    covered = np.clip(0.5 - away / np.float32(1 + 2 * defocus), 0, 1)
    for c in range(3):
        tone = skin[c] + nail * np.float32(0.3 * (0.8 - skin[c]))
        signal[c] *= dimmed
        signal[c] += covered * (tone * form * light * exposed[c] - signal[c])


def _expose(cover: Floats, scene: _Scene, finger: bool = False) -> NDArray[np.uint16]:
    """Frames (n, H, W) uint16 RGB565_SWAPPED of ink covers (n, H, W), with a finger before the paper where asked."""
    count, height, width = cover.shape
    size = (height, width)
    pixel = height // 60
    tables = _tables(pixel)
    places = scene.more["tables"]
    tooth = _cut(tables.tooth, places[:, 0:2], size)
    flow = _cut(tables.flow, places[:, 2:4], size)
    cloud = _cut(tables.cloud, places[:, 4:6], size)

    # Ink: flow along the stroke; a pencil misses the valleys of the paper.
    _move(cover, scene, pixel)
    ink = _blur(cover, scene, pixel)
    share = np.clip(flow * 0.35 + 0.4, 0, 1)
    share *= -scene.column("flow")
    share += 1
    pencils = np.flatnonzero(scene["pencil"])
    if len(pencils):
        share[pencils] *= np.clip(1 - 0.22 * np.maximum(tooth[pencils], -0.5), 0.3, 1.1)
    ink *= share

    # Paper and light, the same for all colours.
    cloud_too = cloud * 0.6
    texture = tooth + cloud_too
    texture *= scene.column("grain")
    texture += 1
    _fold(texture, scene, size)
    light = _light(scene, size)
    light *= texture
    lines = _lines(scene, size, cloud)
    lined = scene["ruled"] + scene["squared"] > 0
    paper, ink_takes, lines_take = _colours(scene)

    # Exposure: the tone curve (1 - g) e + g sqrt(e) meets `level` for white paper.
    dark = scene["dark"] > 0
    level = np.where(dark, scene["dark_level"], scene["level"])
    g = scene["gamma"]
    root = np.where(g > 0.999, level, (np.sqrt(g * g + 4 * (1 - g) * level) - g) / np.maximum(2 * (1 - g), 2e-3))
    gains = 1 + scene["balance"][:, None] * (scene.more["gains"] - 0.5) * np.float32(12**0.5)
    seen = (paper[:, 0] + paper[:, 1] + paper[:, 2])[:, None] / 3
    metered = np.array([picture.mean() for picture in light], dtype=np.float32)[:, None] ** np.float32(0.4)
    exposed = gains * (root * root)[:, None] / (np.sqrt(seen) * metered)  # (n, 3)
    paper = paper * exposed

    signal = np.empty((count, 3, height, width), dtype=np.float32)
    for c in range(3):
        part = ink * -ink_takes[:, c, None, None]
        part += 1
        part *= light
        part *= paper[:, c, None, None]
        signal[:, c] = part
    for i in np.flatnonzero(lined):
        for c in range(3):
            signal[i, c] *= 1 - lines[i] * lines_take[i, c]
    if finger:
        for seen_here, lit, skin, exposure, drawn, blur in zip(
            signal, light, tooth, exposed, scene.more["kind"].tolist(), scene["defocus"].tolist(), strict=True
        ):
            _point(seen_here, lit, skin, exposure, drawn, blur)
    y, x = _axes(height, width)
    for i in np.flatnonzero(scene["glare"]):
        at_y, at_x, broad, thin = scene.more["spot"][i].tolist()
        down = np.exp(-0.5 * ((y - np.float32((at_y - 0.5) * 60)) / np.float32(2 + 14 * broad)) ** 2)
        across = np.exp(-0.5 * ((x - np.float32((at_x - 0.5) * 80)) / np.float32(2 + 18 * thin)) ** 2)
        signal[i] += np.float32(scene["glare_level"][i] * root[i] ** 2) * down * across
    signal += scene["veil"][:, None, None, None]

    # Sensor: tone curve, noise that is larger in the dark, rows, dead pixels.
    np.maximum(signal, 0, out=signal)
    curved = np.sqrt(signal)
    curved *= g[:, None, None, None]
    signal *= (1 - g)[:, None, None, None]
    signal += curved
    noise = _cut(tables.noise, places[:, 6:8], size)
    sign = np.where(places[:, 8] < 0.5, -1, 1).astype(np.float32)
    strength = scene["noise"] * sign
    lift = signal[:, 1] * -0.5
    lift += 1.25
    lift *= strength[:, None, None]
    noise *= lift[:, None]
    signal += noise
    starts = (places[:, 9] * (_TABLE - height)).astype(int).tolist()
    strips = (places[:, 10] * _TABLE).astype(int).clip(0, _TABLE - 1).tolist()
    rows = np.stack([tables.noise[0, a : a + height, b] for a, b in zip(starts, strips, strict=True)])
    signal += (rows * scene["rows"][:, None])[:, None, :, None]
    for i in np.flatnonzero(scene["dead"]):
        chances = scene.more["pixels"][i].tolist()
        for k in range(1 + int(4 * chances[12])):
            row, column = int(chances[3 * k] * height), int(chances[3 * k + 1] * width)
            signal[i, :, row, column] = 0.0 if chances[3 * k + 2] < 0.5 else 1.0
    signal *= 255
    signal += 0.5
    np.clip(signal, 0, 255, out=signal)
    values = signal.astype(np.uint8)
    red, green, blue = (values[:, c].astype(np.uint16) for c in range(3))
    packed = ((red & 0xF8) << 8) | ((green & 0xFC) << 3) | (blue >> 3)
    return packed.byteswap().astype(np.uint16, copy=False)
