"""Many photographs -> inks, in two processes, kept on disk: training asks for the same ones again and again."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from picodigits import camera, executors
from picodigits.datasets import cache_folder
from picodigits.errors import TrainingError
from picodigits.frames import replace_atomically
from picodigits.training.dense import Inks, Progress

_CHUNK = 1024  # frames rendered at a time: 10 MB
_KEPT_FROM = 1000  # frames; fewer are rendered anew each time
_SHARED_FROM = 8192  # frames; for fewer a second process takes longer to start than it saves
_HELD_PART = 0.6  # of the digit's box lies in the one found, at least
_LARGER = 4  # times the area, at most: thin 1s have narrow boxes


@dataclass(frozen=True)
class Rendering:
    """A set of frames.

    images         (N, H, W) uint8, 0 = paper, 255 = full ink
    care           a level of care of `camera`
    seed           of the photographs
    preprocess_id  the preprocessing that makes the inks
    ink_shape      rows and columns of the ink
    kind           empty: one frame an image. Otherwise a kind of `camera.NO_DIGIT`, for which `images` are the marks or
                   digits where it takes some
    count          frames of such a kind
    looks          looks at each frame (`look.LOOKS`), from the first on, that inks are made of
    """

    images: NDArray[np.uint8]
    care: str
    seed: int
    preprocess_id: str
    ink_shape: tuple[int, int]
    kind: str = ""
    count: int = 0
    looks: int = 1

    @property
    def frames(self) -> int:
        """How many."""
        return self.count if self.kind else len(self.images)

    def key(self) -> str:
        """Tells it from all others; changes with the source of the camera simulation and of this file."""
        told = hashlib.sha256(Path(camera.__file__).read_bytes() + Path(__file__).read_bytes())
        told.update(np.ascontiguousarray(self.images).tobytes())
        told.update(repr([getattr(self, field.name) for field in fields(self) if field.name != "images"]).encode())
        return told.hexdigest()[:24]

    def part(self, start: int, stop: int) -> tuple[Inks, NDArray[np.bool_]]:
        """Inks (looks, n, H, W) of the frames from `start` to before `stop`, and which (looks, n) to learn from.

        Of digits those that were found where they are, also touching the edge: a shadow's edge under a digit's label
        teaches nothing. Of frames without a digit those that pass for one.
        """
        boxes = None
        if not self.kind:
            photographs = camera.photograph_with_boxes(self.images[start:stop], self.care, seed=self.seed, first=start)
            frames, boxes = photographs.frames, photographs.boxes
        else:
            images = self.images if len(self.images) else None
            frames = camera.no_digit(
                self.kind, stop - start, self.care, seed=self.seed, first=start, digits=images, marks=images
            )
        looks = [
            executors.make_inks(frames, self.preprocess_id, self.ink_shape, attempt=attempt)
            for attempt in range(self.looks)
        ]
        useful = [made.found if boxes is None else made.inked & _on(boxes, made.boxes) for made in looks]
        return np.stack([made.inks for made in looks]), np.stack(useful)


@dataclass(frozen=True)
class Rendered:
    """The inks of a rendering that are worth learning from, look by look.

    inks     (n, H, W) uint8
    numbers  (n,) int64, of the frame
    looks    (n,) int64, of the look at it
    """

    inks: Inks
    numbers: NDArray[np.int64]
    looks: NDArray[np.int64]


def inks_of(rendering: Rendering, what: str, progress: Progress) -> Rendered:
    """The inks of a rendering in which a digit was found.

    Kept in the cache folder; where they lie there they are read from it. Raises TrainingError where it is full.
    """
    path = cache_folder() / "inks" / f"{rendering.key()}.npz"
    if rendering.frames >= _KEPT_FROM and path.is_file():
        try:
            with np.load(path) as kept:
                return Rendered(**kept)
        except (OSError, ValueError, KeyError, EOFError, TypeError):
            path.unlink(missing_ok=True)  # damaged: made anew
    stage = f"photographing {what}"
    parts = []
    for done, part in enumerate(_chunks(rendering)):
        progress(stage, min(done * _CHUNK, rendering.frames), rendering.frames)
        parts.append(part)
    progress(stage, rendering.frames, rendering.frames)
    useful = np.concatenate([part[1] for part in parts], axis=1)
    looks, numbers = np.nonzero(useful)
    made = Rendered(np.concatenate([part[0] for part in parts], axis=1)[useful], numbers, looks)
    if rendering.frames >= _KEPT_FROM:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_atomically(path, lambda new: _write(new, made))
        except OSError as error:
            raise TrainingError(
                f"{path}: got {error.strerror or error}, need {made.inks.nbytes >> 20} MB for the photographs. "
                "Make room."
            ) from error
    return made


def _on(digits: NDArray[np.float32], found: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which boxes (N, 4) found hold the better part of the digit's, and are not far larger."""
    height = np.minimum(digits[:, 2], found[:, 2]) - np.maximum(digits[:, 0], found[:, 0])
    width = np.minimum(digits[:, 3], found[:, 3]) - np.maximum(digits[:, 1], found[:, 1])
    shared = np.maximum(height, 0) * np.maximum(width, 0)
    areas = [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (digits, found)]
    on: NDArray[np.bool_] = (shared >= _HELD_PART * areas[0]) & (areas[1] <= _LARGER * areas[0])
    return on


def _chunks(rendering: Rendering) -> Iterator[tuple[Inks, NDArray[np.bool_]]]:
    starts = range(0, rendering.frames, _CHUNK)
    stops = [min(start + _CHUNK, rendering.frames) for start in starts]
    processes = min(2, os.cpu_count() or 1, len(starts))
    if rendering.frames < _SHARED_FROM or processes < 2:
        yield from map(rendering.part, starts, stops)
        return
    method = multiprocessing.get_context("spawn")  # a fork would copy PyTorch's threads in whatever state they are
    with ProcessPoolExecutor(processes, method, initializer=_take, initargs=(rendering,)) as pool:
        yield from pool.map(_part, starts, stops)


_RENDERING: list[Rendering] = []  # of a worker process


def _take(rendering: Rendering) -> None:
    threadpool_limits(1)  # small products of matrices: threads of two processes get into each other's way
    _RENDERING[:] = [rendering]


def _part(start: int, stop: int) -> tuple[Inks, NDArray[np.bool_]]:
    return _RENDERING[0].part(start, stop)


def _write(path: Path, made: Rendered) -> None:
    with path.open("wb") as file:
        np.savez(file, **vars(made))
