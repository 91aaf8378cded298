"""Run a model file over frames. Here: on the PC, with the very files that run on the board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picodigits.errors import FrameError, ModelFileError
from picodigits_board import preprocess
from picodigits_board.article import Article
from picodigits_board.decide import NO_DIGIT, Decider, mixed
from picodigits_board.modelfile import Model
from picodigits_board.network import Network


@dataclass(frozen=True)
class Inks:
    """What preprocessing made of N frames.

    inks      (N, H, W) uint8, 0 = paper, 255 = full ink
    statuses  (N,) uint8, `picodigits_board.preprocess.FOUND` and so on
    boxes     (N, 4) int16, (top, left, bottom, right) in frame pixels, half open; -1 where nothing was found
    looks     how many looks at a frame there are; 1: no further ones
    again     (number of the frame, number of the look from 1) -> its ink, as a further look sees it
    """

    inks: NDArray[np.uint8]
    statuses: NDArray[np.uint8]
    boxes: NDArray[np.int16]
    looks: int = 1
    again: Callable[[int, int], NDArray[np.uint8]] | None = None

    @property
    def found(self) -> NDArray[np.bool_]:
        """(N,) bool: a whole digit was found."""
        return np.equal(self.statuses, preprocess.FOUND)

    @property
    def inked(self) -> NDArray[np.bool_]:
        """(N,) bool: there is ink, if only of a part, or of more than one digit."""
        return ~np.isin(self.statuses, (preprocess.NOTHING, preprocess.TOO_DARK))

    def box(self, i: int) -> tuple[int, int, int, int] | None:
        """The box of frame `i` as the board's screen takes it; None where nothing was found."""
        top, left, bottom, right = self.boxes[i].tolist()
        return None if top < 0 else (top, left, bottom, right)


@dataclass(frozen=True)
class Readings:
    """What a model read in N frames, each frame for itself.

    inks         `Inks`
    scores       (N, outputs) int32, one a class and, of a model that rejects, one for "no digit"; of the first look
    best         (N,) int16, the likeliest class, further looks counted, also where there is no whole digit
    decisions    (N,) int16, the same, or -1 where the model declines: no whole digit, or too low a confidence
    confidences  (N,) uint8, percent
    """

    inks: Inks
    scores: NDArray[np.int32]
    best: NDArray[np.int16]
    decisions: NDArray[np.int16]
    confidences: NDArray[np.uint8]


def make_inks(
    frames: NDArray[np.uint16],
    preprocess_id: str,
    shape: tuple[int, int],
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    attempt: int = 0,
) -> Inks:
    """Preprocess frames (N, 60, 80) or (N, 120, 160) uint16 RGB565_SWAPPED to inks of `shape`, one by one, as the
    board does; as its first look sees them, or another one, `attempt`.

    Raises FrameError for frames of another size, ModelFileError for a preprocessing not known here, or not for frames
    of this size.
    """
    step, flat = _ready(frames, preprocess_id, shape)
    count = len(frames)
    inks = np.zeros((count, *shape), dtype=np.uint8)
    statuses = np.zeros(count, dtype=np.uint8)
    boxes = np.full((count, 4), -1, dtype=np.int16)
    for i in range(count):
        if i % 256 == 0:
            progress(i, count)
        inks[i] = step.ink(flat[i], attempt)
        statuses[i] = step.status
        if step.box is not None:
            boxes[i] = step.box
    progress(count, count)
    return Inks(inks, statuses, boxes, step.looks, lambda number, look: step.ink(flat[number], look))


def _ready(
    frames: NDArray[np.uint16], preprocess_id: str, shape: tuple[int, int]
) -> tuple[Article | preprocess.Find, NDArray[np.uint8]]:
    """The preprocessing for these frames, and their bytes (N, bytes a frame)."""
    height, width = preprocess.FRAME_HEIGHT, preprocess.FRAME_WIDTH
    scale = next((k for k in (1, 2) if frames.ndim == 3 and frames.shape[1:] == (k * height, k * width)), None)
    if scale is None:
        raise FrameError(f"frames: got shape {frames.shape}, need (N, 60, 80) or (N, 120, 160). Check the camera size.")
    try:
        step = preprocess.make(preprocess_id, *shape, scale)
    except ValueError as error:
        raise ModelFileError(str(error)) from error
    return step, frames.astype("<u2").view(np.uint8).reshape(len(frames), scale * scale * preprocess.FRAME_BYTES)


@dataclass(frozen=True)
class Digit:
    """One of several digits that were read in a frame.

    best        class index
    decision    the same, or -1 where the model declines
    confidence  percent
    box         (top, left, bottom, right) in pixels of an 80x60 frame
    """

    best: int
    decision: int
    confidence: int
    box: tuple[int, int, int, int]


class NumpyExecutor:
    """A model on the PC: NumPy running `picodigits_board.preprocess`, `network` and `decide` themselves."""

    name = "numpy"

    def __init__(self, model: Model) -> None:
        self.model = model
        self._network = Network(model)

    def scores(self, inks: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Scores (N, classes) int32 of inks (N, H, W) uint8."""
        columns: NDArray[Any] = inks.reshape(len(inks), self.model.ink_height * self.model.ink_width).T
        return np.asarray(self._network.run(columns)).T.astype(np.int32)

    def best(self, scores: NDArray[np.int32]) -> NDArray[np.int16]:
        """(N,) index of the class with the highest of the scores (N, outputs), "no digit" left out."""
        best: NDArray[np.int16] = scores[:, : self.model.classes].argmax(axis=1).astype(np.int16)
        return best

    def _looks_at_unsure(self, inks: Inks, scores: NDArray[np.int32]) -> dict[int, list[list[int]]]:
        """Number of a frame whose first look was not sure -> the likelihoods of all looks."""
        if inks.again is None or inks.looks < 2:
            return {}
        decider = self._decider()
        first = [decider.likelihoods(row) for row in scores.tolist()]
        unsure = [number for number, look in enumerate(first) if not decider.sure(look)]
        if not unsure:
            return {}
        more = np.stack([inks.again(number, look) for number in unsure for look in range(1, inks.looks)])
        rows = self.scores(more).reshape(len(unsure), inks.looks - 1, -1).tolist()
        return {
            number: [first[number], *map(decider.likelihoods, row)] for number, row in zip(unsure, rows, strict=True)
        }

    def _decider(self) -> Decider:
        return Decider(self.model.octave, self.model.min_confidence, self.model.rejects)

    def read(
        self, frames: NDArray[np.uint16], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Readings:
        """Read frames as `make_inks` takes them, each for itself. Raises FrameError."""
        model = self.model
        shape = (model.ink_height, model.ink_width)
        return self.decide(make_inks(frames, model.preprocess_id, shape, progress))

    def read_rows(
        self,
        frames: NDArray[np.uint16],
        most: int = 4,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[list[Digit]]:
        """What stands side by side in each of N frames: up to `most` digits, left to right. Raises FrameError, and
        ModelFileError where the model's preprocessing finds one digit only."""
        model = self.model
        step, flat = _ready(frames, model.preprocess_id, (model.ink_height, model.ink_width))
        if not isinstance(step, preprocess.Find):
            raise ModelFileError(f"{model.name}: got {model.preprocess_id}, need {preprocess.FIND} for several digits.")
        rows = []
        for number, frame in enumerate(flat):
            if number % 256 == 0:
                progress(number, len(flat))
            row = []
            for ink, status, box in step.inks(frame, most):
                decider = self._decider()
                scores = self._network.scores(ink)
                decision = decider.update(scores, status == preprocess.FOUND)
                best = scores.index(max(scores[: model.classes]))
                row.append(Digit(best, decision, decider.confidence, box or (0, 0, 0, 0)))
            rows.append(row)
        progress(len(flat), len(flat))
        return rows

    def decide(self, inks: Inks, *, steady: bool = False) -> Readings:
        """What the network and the decision make of inks: each for itself, or `steady`, one after another as a board
        that sees them in this order."""
        scores = self.scores(inks.inks)
        best = self.best(scores)
        looks = self._looks_at_unsure(inks, scores)
        for i, all_looks in looks.items():
            mean = mixed(all_looks)[: self.model.classes]
            if mean[best[i]] < max(mean):
                best[i] = mean.index(max(mean))
        decisions = np.full(len(scores), NO_DIGIT, dtype=np.int16)
        confidences = np.zeros(len(scores), dtype=np.uint8)
        decider = self._decider()
        for i, (row, found) in enumerate(zip(scores.tolist(), inks.found.tolist(), strict=True)):
            if not steady:
                decider = self._decider()
            decisions[i] = decider.update(row, found, looks.get(i))
            confidences[i] = decider.confidence
        return Readings(inks, scores, best, decisions, confidences)
