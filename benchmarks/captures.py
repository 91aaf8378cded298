"""What the figures of captures and live view are worth: how much inks differ, and the focus figure -> captures.csv.

    PICODIGITS_DATA=FOLDER python benchmarks/captures.py

MNIST's test images, photographed. The thresholds in captures.py, board/capture.py and board/monitor.py were chosen from
these figures, and docs/capture.md shows them. Takes half a minute.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from picodigits import camera, captures, datasets, frames
from picodigits.board import monitor
from picodigits.board.connection import Reading
from picodigits.executors import Inks, make_inks

OUT = Path(__file__).with_name("captures.csv")
SHEETS, FOCUSED = 300, 150
NOISE = 5.0  # of 255, standard deviation
TREMBLE = 0.5  # pixels
BLURS = (0.25, 0.8, 1.2, 2.0)


def main() -> None:
    """Measure and write."""
    test = datasets.load("mnist", "test")
    rows = [
        *_differences(test.take(np.sort(np.random.default_rng(1).permutation(len(test))[:SHEETS]))),
        *_focus(test.images[:FOCUSED]),
    ]
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["figure", "what", "level", "median", "low", "high"])
        writer.writerows(rows)
    for row in rows:
        print(*row, sep=" | ")


def _differences(sheets: datasets.Dataset) -> Iterator[list[str]]:
    """Rows of `captures.difference`: median, and where 5 % and 95 % lie below."""
    for level in ("studio", "desk"):
        first = camera.photograph(sheets.images, level, seed=1)
        other = camera.photograph(sheets.images, level, seed=2)
        rng = np.random.default_rng(1)
        for what, tremble in (("held still", 0.0), ("trembling", TREMBLE)):
            pair = [_inks(_again(first, tremble, rng)) for _ in range(2)]
            yield _row("difference", what, level, _between(*pair))
        seen = _inks(first)
        yield _row("difference", "another photograph", level, _between(seen, _inks(other)))
        for digit in (1, 8):
            mine = seen.inks[(sheets.labels == digit) & seen.found]
            far = captures.difference(mine[:, np.newaxis], mine[np.newaxis])
            far[np.diag_indices(len(mine))] = 1
            yield _row("difference", f"the most similar {digit} of {len(mine) - 1}", level, far.min(1))


def _again(pictures: NDArray[np.uint16], tremble: float, rng: np.random.Generator) -> NDArray[np.uint16]:
    """The same pictures a moment later: moved a little, with other noise."""
    rgb = frames.decode(pictures).astype(np.float64)
    moved = [
        shift(picture, (*rng.uniform(-tremble, tremble, 2), 0), order=1, mode="nearest") if tremble else picture
        for picture in rgb
    ]
    noisy = np.stack(moved) + rng.normal(0, NOISE, rgb.shape)
    return frames.encode(noisy.clip(0, 255).astype(np.uint8))


def _inks(pictures: NDArray[np.uint16]) -> Inks:
    return make_inks(pictures, "find-4", (16, 16))


def _between(a: Inks, b: Inks) -> NDArray[np.float64]:
    both = a.found & b.found
    return captures.difference(a.inks[both], b.inks[both])


def _focus(images: NDArray[np.uint8]) -> Iterator[list[str]]:
    """Rows of the focus figure, by blur and level; no frame is blurred by motion."""
    for blur in BLURS:
        for level in ("studio", "desk", "hard"):
            care = camera.CARE[level]
            assert isinstance(care, camera.Care)
            pictures = camera.photograph(images, replace(care, defocus=(blur, blur), motion=0.0), seed=5)
            seen = _inks(pictures)
            found = [
                monitor.figures(Reading(0, "1", 99, "found", seen.box(i), pictures[i], None, None, {}, None, {}))
                for i in np.flatnonzero(seen.found)
            ]
            focuses = [item.focus for item in found if item is not None and item.focus is not None]
            yield _row("focus", f"{blur}", level, np.array(focuses), digits=0)


def _row(figure: str, what: str, level: str, values: NDArray[np.floating], digits: int = 3) -> list[str]:
    return [figure, what, level, *(f"{value:.{digits}f}" for value in np.quantile(values, (0.5, 0.05, 0.95)))]


if __name__ == "__main__":
    main()
