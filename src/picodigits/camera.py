"""Simulate the OV7670 looking at ink on paper: digit images -> frames.

A picture is rendered at twice the frame's resolution, area-averaged to 80x60, then given light, grain and the
sensor's RGB565. Two levels of care:

    studio   even white paper, black ink, the digit filling the middle
    desk     50 to 95 % of the height, off centre, tilted by up to 10 degrees, uneven light, grey or tinted paper,
             blur and noise

Effects and ranges are those of `Care`, each with its unit. Modelled: place, size, tilt and slant, stroke contrast,
paper and ink colour, a linear light gradient, defocus, sensor noise, RGB565. Not modelled yet: ruled paper, shadow
edges, perspective, vignetting, white balance, gamma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from picodigits import frames as frames_module
from picodigits.errors import FrameError

_FINE = 2  # rendered at this multiple of the frame's resolution
_CHUNK = 512  # frames lit at a time: 512 x 60 x 80 x 3 float32 = 29 MB


@dataclass(frozen=True)
class Care:
    """How carefully the picture was taken; each range is (lowest, highest), drawn evenly for every frame.

    height    of the digit's ink, as a part of the frame's 60 rows
    offset    of the digit's centre from the frame's, as a part of the frame's height
    tilt      degrees, either way
    slant     shear of the writing, either way
    paper     reflectance of the paper, 1 = white
    tint      largest difference in reflectance between the paper's colours
    ink       reflectance of the ink as a part of the paper's
    gradient  light at one border as a part of the light at the other, less 1
    light     level of the brightest light, 1 = full scale of the sensor
    blur      standard deviation of the defocus, pixels of the frame
    noise     standard deviation of the sensor's noise, parts of full scale
    """

    height: tuple[float, float]
    offset: tuple[float, float]
    tilt: float
    slant: float
    paper: tuple[float, float]
    tint: float
    ink: tuple[float, float]
    gradient: tuple[float, float]
    light: tuple[float, float]
    blur: tuple[float, float]
    noise: tuple[float, float]


CARE = {
    "studio": Care(
        height=(0.6, 0.8), offset=(0.0, 0.04), tilt=2, slant=0.0, paper=(0.92, 1.0), tint=0.01, ink=(0.05, 0.15),
        gradient=(0.0, 0.05), light=(0.85, 0.95), blur=(0.0, 0.3), noise=(0.004, 0.01),
    ),
    "desk": Care(
        height=(0.5, 0.95), offset=(0.0, 0.15), tilt=10, slant=0.1, paper=(0.6, 0.95), tint=0.08, ink=(0.1, 0.45),
        gradient=(0.0, 0.5), light=(0.5, 0.95), blur=(0.2, 0.8), noise=(0.008, 0.03),
    ),
}  # fmt: skip


def photograph(
    images: NDArray[np.uint8], care: str | Care = "desk", *, seed: int = 0, first: int = 0
) -> NDArray[np.uint16]:
    """Frames (N, 60, 80) uint16 RGB565_SWAPPED of digit images (N, H, W) uint8, 0 = paper, 255 = full ink.

    Frame i depends on image i, `care`, `seed` and `first` + i alone: part of a set, with `first` set to where it
    starts, equals that part of the whole.
    Raises FrameError for images of another shape or type and for an unknown care.
    """
    if images.ndim != 3 or images.dtype != np.uint8:
        raise FrameError(f"images: got {images.dtype} {images.shape}, need (N, H, W) uint8. Check the dataset.")
    if isinstance(care, str):
        if care not in CARE:
            raise FrameError(f"care: got {care!r}, need one of {', '.join(CARE)}.")
        care = CARE[care]
    taken = np.empty((len(images), frames_module.FRAME_HEIGHT, frames_module.FRAME_WIDTH), dtype=np.uint16)
    for start in range(0, len(images), _CHUNK):
        stop = min(start + _CHUNK, len(images))
        rngs = [np.random.default_rng([seed, first + i]) for i in range(start, stop)]
        cover = np.stack([_pose(image, care, rng) for image, rng in zip(images[start:stop], rngs, strict=True)])
        taken[start:stop] = _expose(cover, care, rngs)
    return taken


def _pose(image: NDArray[np.uint8], care: Care, rng: np.random.Generator) -> NDArray[np.float32]:
    """Ink cover (60, 80) float32, 0..1, of one digit placed in the frame."""
    inked = np.argwhere(image > 100)
    if not len(inked):  # a blank sheet
        return np.zeros((frames_module.FRAME_HEIGHT, frames_module.FRAME_WIDTH), dtype=np.float32)
    top, left = inked.min(axis=0)
    bottom, right = inked.max(axis=0) + 1
    height, width = frames_module.FRAME_HEIGHT * _FINE, frames_module.FRAME_WIDTH * _FINE
    tall = rng.uniform(*care.height) * height
    per_pixel = max(bottom - top, (right - left) * height / width * 1.1) / tall  # image pixels a fine pixel
    angle = np.deg2rad(rng.uniform(-care.tilt, care.tilt))
    slant = rng.uniform(-care.slant, care.slant)
    away = rng.uniform(*care.offset) * height
    toward = rng.uniform(0, 2 * np.pi)
    # The centre stays far enough inside for the whole digit to be seen.
    reach_y = (bottom - top) / per_pixel / 2 + 3 * _FINE
    reach_x = (right - left) / per_pixel / 2 + 3 * _FINE
    centre_y = np.clip(height / 2 + away * np.sin(toward), min(reach_y, height / 2), max(height - reach_y, height / 2))
    centre_x = np.clip(width / 2 + away * np.cos(toward), min(reach_x, width / 2), max(width - reach_x, width / 2))
    # Image coordinates of a fine pixel: rotate, slant, scale.
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = per_pixel * (cos + slant * sin), per_pixel * (sin - slant * cos)
    d, e = -per_pixel * sin, per_pixel * cos
    x0, y0 = (left + right) / 2, (top + bottom) / 2
    matrix = (a, b, x0 - a * centre_x - b * centre_y, d, e, y0 - d * centre_x - e * centre_y)
    placed = Image.fromarray(image).transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    cover = np.asarray(placed, dtype=np.float32)
    # An enlarged image has soft borders; ink has not: steepen around one half, more where it was enlarged more.
    steep = max(1.0, min(3.0, 0.35 / per_pixel * _FINE))
    cover = np.clip((cover / 255 - 0.5) * steep + 0.5, 0, 1)
    cells = cover.reshape(frames_module.FRAME_HEIGHT, _FINE, frames_module.FRAME_WIDTH, _FINE)
    return np.asarray(cells.mean(axis=(1, 3)), dtype=np.float32)


def _expose(cover: NDArray[np.float32], care: Care, rngs: list[np.random.Generator]) -> NDArray[np.uint16]:
    """Frames (N, 60, 80) uint16 RGB565_SWAPPED of ink covers (N, 60, 80)."""
    _, height, width = cover.shape
    paper = np.array([r.uniform(*care.paper) for r in rngs])[:, None]
    colours = paper - np.array([r.uniform(0, care.tint, 3) for r in rngs])  # (N, 3)
    ink = np.array([r.uniform(*care.ink) for r in rngs])
    fall = np.array([r.uniform(*care.gradient) for r in rngs])
    level = np.array([r.uniform(*care.light) for r in rngs])
    toward = np.array([r.uniform(0, 2 * np.pi) for r in rngs])
    blur = [r.uniform(*care.blur) for r in rngs]
    noise = np.array([r.uniform(*care.noise) for r in rngs])
    blurred = np.stack([ndimage.gaussian_filter(c, sigma) for c, sigma in zip(cover, blur, strict=True)])
    y, x = np.mgrid[0:height, 0:width]
    along = (x / width - 0.5) * np.cos(toward)[:, None, None] + (y / height - 0.5) * np.sin(toward)[:, None, None]
    light = level[:, None, None] * (1 - fall[:, None, None] * (along + 0.5).clip(0, 1))
    reflected = light * (1 - (1 - ink[:, None, None]) * blurred)
    colour = reflected[..., None] * colours[:, None, None, :]
    grain = np.stack([r.standard_normal((height, width, 3), dtype=np.float32) for r in rngs])
    colour += grain * noise[:, None, None, None]
    return frames_module.encode((colour * 255 + 0.5).clip(0, 255).astype(np.uint8))
