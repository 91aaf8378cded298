"""One frame after another, read: frame -> ink -> scores -> decision. The same on the board and on the PC.

    reader.look(frame)    finds the digit and makes its ink
    reader.read(frame)    what the network and the decision make of it; where they are not sure of a digit that was
                          found, they look at the frame again, otherwise (`look.LOOKS`)
    reader.forget()       lets go of it all: nothing of a frame lies in the way of large blocks of the heap

What came of the frame, from `look` on:

    status      preprocess.FOUND and so on
    box         (top, left, bottom, right) in pixels of an 80x60 frame; None where nothing was found
    boxes       of several digits those of each, left to right; empty where one is read
    shown       (h, w) uint8, the ink as the screen shows it
    ink         (ink_height, ink_width) uint8; of several digits the leftmost one's

and from `read` on:

    text        the label, "" for no digit; of several digits one after the other, "-" for one that is not clear
    confidence  percent; of several digits the lowest
    scores      list of int, those of `ink`, the first look's
"""

from __future__ import annotations

import gc

from picodigits_board import preprocess
from picodigits_board.decide import Decider

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from picodigits_board.article import Article
    from picodigits_board.modelfile import Model
    from picodigits_board.network import Network


class Reader:
    """Reads one digit a frame.

    transpose  the camera lies on its side: rows of its picture are columns of the digit
    shown_size (height, width) of `shown`
    labels     those of the model
    """

    def __init__(self, model: Model, finder: Article | preprocess.Find, net: Network, transpose: bool = False) -> None:
        self._finder = finder
        self._net = net
        self._transpose = transpose
        self.labels = model.labels
        self._decider = decider_of(model)
        # Scores of the first look and likelihoods of each. They have their place from the start: in what a network
        # leaves they would lie amid the heap, and then the next look finds no room for its larger blocks.
        self._first = [0] * (len(model.labels) + model.rejects)
        self._looks = [self._first[:] for _ in range(finder.looks)]
        self.shown_size = (model.ink_height, model.ink_width)
        self.status = preprocess.NOTHING
        self.boxes: list[tuple[int, int, int, int]] = []
        self.text = ""
        self.confidence = 0
        self.forget()

    def forget(self) -> None:
        """Let go of what came of the frame."""
        self.ink: np.ndarray | None = None
        self.shown: np.ndarray | None = None
        self.box: tuple[int, int, int, int] | None = None
        self.scores: list[int] | None = None
        self._finder.box = None

    def look(self, frame: np.ndarray) -> None:
        """Find the digit in a frame as preprocess.py's head says."""
        self.ink = self.shown = self._ink(frame, 0)
        self.status = self._finder.status
        self.box = self._finder.box

    def _ink(self, frame: np.ndarray, attempt: int) -> np.ndarray:
        ink = self._finder.ink(frame, attempt)
        return ink.transpose().copy() if self._transpose else ink

    def read(self, frame: np.ndarray) -> None:
        """Read what `look` found in this frame."""
        decider = self._decider
        looks = self._looks
        scores = self.scores = self._first
        scores[:] = self._net.scores(self.ink)
        looks[0][:] = decider.likelihoods(scores)
        found = self.status == preprocess.FOUND
        again = found and not decider.sure(looks[0])
        if again:
            for attempt in range(1, len(looks)):
                gc.collect()  # what a large network leaves is in the finder's way
                ink = self._ink(frame, attempt)
                gc.collect()  # and the other way round
                looks[attempt][:] = decider.likelihoods(self._net.scores(ink))
                del ink
        decision = decider.update(scores, found, looks if again else looks[:1])
        self.text = self.labels[decision] if decision >= 0 else ""
        self.confidence = decider.confidence


def decider_of(model: Model) -> Decider:
    """A Decider that has seen a frame without a digit: what it keeps has its size, before the loop begins."""
    decider = Decider(model.octave, model.min_confidence, model.rejects)
    decider.update([0] * (len(model.labels) + model.rejects), False)
    return decider


def make(model: Model, finder: Article | preprocess.Find, net: Network, digits: int, transpose: bool) -> Reader:
    """What reads one digit a frame, or several. Raises ValueError where `row.RowReader` does."""
    if digits == 1:
        return Reader(model, finder, net, transpose)
    from picodigits_board.row import RowReader

    return RowReader(model, finder, net, transpose, digits)


def open_reader(chosen: dict[str, Any], scale: int, scratch: object) -> Reader:
    """The board's, with the model file and the other settings `chosen`; `link.usb` learns who it is.

    `scale` as `preprocess.make` has it, `scratch` as `network.Network`. A function, so that nothing refers on to what
    the reading took: `heap.forget` shall give it back. Raises OSError, ModelFileError, ValueError and MemoryError.
    """
    from picodigits_board import link, modelfile, network, settings

    with open(chosen["MODEL"], "rb") as file:
        model = settings.adjusted(modelfile.Model(file))  # type: ignore[no-untyped-call]
        finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width, scale)
        net = network.Network(model, scratch=scratch)
        link.usb.introduce(model)
        return make(model, finder, net, chosen["DIGITS"], chosen["TRANSPOSE"])
