"""What the virtual camera looks at: pictures of the user's, frames from a file, or handwritten digits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from picodigits import camera, datasets
from picodigits.errors import BenchError
from picodigits.frames import load_frames


class Pictures(NamedTuple):
    """frames (N, 60, 80) uint16 RGB565_SWAPPED, and what each is: a file's name, or the digit that was written."""

    frames: NDArray[np.uint16]
    names: tuple[str, ...]


def choose(images: Sequence[Path] = (), digits: Sequence[int] = (), *, care: str = "desk", seed: int = 0) -> Pictures:
    """The pictures of `images` (files or folders: frames, PNG, JPEG), then handwritten `digits` (0..9).

    A digit is one of scikit-learn's test writers, photographed by the simulation; the same seed, the same picture.
    Raises FrameError for a file that is none, BenchError for nothing to look at.
    """
    parts: list[NDArray[np.uint16]] = []
    names: list[str] = []
    for path in images:
        loaded = load_frames(path)
        parts.append(loaded.frames)
        names += loaded.names
    if digits:
        test = datasets.load("digits", "test")
        rng = np.random.default_rng(seed)
        chosen = [int(rng.choice(np.flatnonzero(test.labels == digit))) for digit in digits]
        parts.append(camera.photograph(test.images[chosen], care, seed=seed))
        names += [f"handwritten {digit}" for digit in digits]
    if not parts:
        raise BenchError("bench: got no picture, need one. Name some with --image, --frames or --digit.")
    if len({part.shape[1:] for part in parts}) > 1:
        raise BenchError("bench: got pictures of different sizes, need one size. Run them one after the other.")
    return Pictures(np.concatenate(parts), tuple(names))
