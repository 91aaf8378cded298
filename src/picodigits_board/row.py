"""Several digits side by side, read from left to right: `reading.Reader` for the setting DIGITS of 2 to 4."""

from __future__ import annotations

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

from picodigits_board import preprocess
from picodigits_board.reading import Reader, decider_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from picodigits_board.article import Article
    from picodigits_board.modelfile import Model
    from picodigits_board.network import Network

NOT_CLEAR = "-"


class RowReader(Reader):
    """Reads up to `most` digits a frame. Each place of the row is steadied over the frames for itself; where their
    number changes, all begin anew.

    `shown` has the inks beside each other, the third and the fourth below. Raises ValueError for a preprocessing that
    finds one digit only, for labels that are longer than one letter, and for a camera that lies on its side, which
    would see the digits one above the other.
    """

    def __init__(
        self, model: Model, finder: Article | preprocess.Find, net: Network, transpose: bool = False, most: int = 4
    ) -> None:
        if not isinstance(finder, preprocess.Find) or max([len(label) for label in model.labels]) > 1:
            raise ValueError("PICODIGITS_DIGITS: got %d, need 1 for this model. Set it to 1, or use fast" % most)
        if transpose:
            raise ValueError("PICODIGITS_DIGITS: got %d with TRANSPOSE, need an upright camera, or DIGITS 1" % most)
        super().__init__(model, finder, net)
        self._most = most
        self._deciders = [decider_of(model) for _ in range(most)]
        self._nothing = [0] * (len(model.labels) + model.rejects)
        self._count = 0  # digits in the last frame
        self._found: list[tuple] = []
        height, width = self.shown_size
        self.shown_size = (height * ((most + 1) // 2), 2 * width)
        self._tiles = np.zeros(self.shown_size, dtype=np.uint8)

    def forget(self) -> None:
        """Let go of what came of the frame."""
        super().forget()
        self._found = []
        self.boxes = []

    def look(self, frame: np.ndarray) -> None:
        """Find the digits in a frame as preprocess.py's head says."""
        self.forget()
        finder = self._finder
        self._found = finder.inks(frame, self._most)  # type: ignore[union-attr]
        self.status = finder.status
        tiles = self._tiles
        tiles *= 0
        self.shown = tiles
        height, width = self.shown_size[0] // ((self._most + 1) // 2), self.shown_size[1] // 2
        self.ink = tiles[:height, :width].copy()
        for number, (ink, status, box) in enumerate(self._found):
            top, left = number // 2 * height, number % 2 * width
            tiles[top : top + height, left : left + width] = ink
            self.boxes.append(box)
            if number == 0 or self.status == preprocess.FOUND:
                self.status = status
        if self._found:
            self.ink = self._found[0][0]
            tops, lefts, bottoms, rights = zip(*self.boxes)  # noqa: B905
            self.box = (min(tops), min(lefts), max(bottoms), max(rights))

    def read(self, frame: np.ndarray) -> None:
        """Read what `look` found. Of several digits none is looked at again: each look takes as long as the first."""
        count = len(self._found)
        if count != self._count:
            for decider in self._deciders:
                decider.begin_anew()
        self._count = count
        self.scores = self._nothing
        self.confidence = 100 if count else 0
        text = ""
        for number, (ink, status, _) in enumerate(self._found):
            scores = self._net.scores(ink)
            if number == 0:
                self.scores = scores
            decider = self._deciders[number]
            decision = decider.update(scores, status == preprocess.FOUND)
            text += self.labels[decision] if decision >= 0 else NOT_CLEAR
            self.confidence = min(self.confidence, decider.confidence)
        self.text = text if text.strip(NOT_CLEAR) else ""
