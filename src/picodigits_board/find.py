"""The preprocessing "find-4": finds the digit in a frame and makes its ink. `preprocess.make` makes it.

look.py finds the digit's cells, this file its peak, box, centre and slant, sampling.py makes the ink.
"""

from __future__ import annotations

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

from picodigits_board import look, sampling
from picodigits_board.look import FOUND, MANY, NOTHING, TOO_SMALL, TOUCHES_EDGE
from picodigits_board.parts import beside, digit_cells, weight

PAPER_SHIFT = 3  # the paper around a digit is raised by an eighth of what it lacks to the brightest
TRIM = 64  # the box leaves out a 64th of the ink on each side: a thin trail along a shadow does not widen it
EDGE_BITS = 8  # a digit touches the frame's border if more than 1/256 of its ink lies in the outermost pixels
MIN_SIZE = 6  # pooled pixels; below: too small
MAX_SHEAR = 80  # 128ths of a column a row: slants of up to 32 degrees are straightened up


class Find:
    """Finds the digit: local paper level by a closing, threshold at a fraction of the peak, largest connected part.

    Around a digit that was found the paper is closed by windows of 6x6 cells.

    `ink`, `status` and `box` are as preprocess.py's head says.
    """

    def __init__(self, ink_height: int, ink_width: int, scale: int = 1) -> None:
        self._sampler = sampling.Sampler(ink_height, ink_width, scale)
        self._looker = look.Looker(scale)
        self._columns = np.array(list(range(20)), dtype=np.uint16).reshape((1, 20))
        self.looks = len(look.LOOKS)
        self.status = NOTHING
        self.box: tuple[int, int, int, int] | None = None

    def ink(self, frame: np.ndarray, attempt: int = 0) -> np.ndarray:
        """(ink_height, ink_width) uint8 of a frame, as the first look or another one (`look.LOOKS`) sees it."""
        self.status, pooled, spread, parts, main = self._looker.look(frame, attempt)
        self.box = None
        if self.status != FOUND:
            return self._sampler.blank()
        cut = self._cut(pooled, spread, digit_cells(parts, main), attempt)
        if self.status == FOUND and len(parts) > 1 and any(beside(part, main) for part in parts):
            self.status = MANY
        pooled = spread = parts = None  # room for sampling
        return self._sampler.sample(frame, *cut) if cut else self._sampler.blank()

    def inks(self, frame: np.ndarray, most: int) -> list[tuple[np.ndarray, int, tuple[int, int, int, int] | None]]:
        """Up to `most` digits of a frame, left to right: a list of (ink, status, box). Empty where there is none."""
        self.status, pooled, spread, parts, main = self._looker.look(frame)
        self.box = None
        if self.status != FOUND:
            return []
        row = [part for part in parts if part is main or beside(part, main)]
        row = sorted(sorted(row, key=weight)[-most:], key=lambda part: part[2])
        found: list[tuple[np.ndarray, int, tuple[int, int, int, int] | None]] = []
        for part in row:
            cut = self._cut(pooled, spread, digit_cells(parts, part))
            ink = self._sampler.sample(frame, *cut) if cut else self._sampler.blank()
            found.append((ink, self.status, self.box))
        return found

    def _cut(
        self, pooled: np.ndarray, spread: np.ndarray, cells: tuple[int, int, int, int], attempt: int = 0
    ) -> tuple | None:
        """What of the cells (top, left, bottom, right) is the digit, as `Sampler.sample` takes it, or None where
        there is no ink; sets `status` and `box`."""
        top, left, bottom, right = cells
        steps, (more,), part, eighths = look.LOOKS[attempt]
        first = look.BORDER - sum(steps) - more
        near = spread[top + first : bottom + look.BORDER + more, left + first : right + look.BORDER + more]
        near = np.maximum(near[:, :-more], near[:, more:])
        near = look.closed(np.maximum(near[:-more], near[more:]), steps + (more,))  # by 6x6 cells, 3x3 where narrow
        near += np.right_shift(int(np.max(near)) - near, PAPER_SHIFT)
        height, width = 2 * (bottom - top), 2 * (right - left)
        near = sampling.doubled(near)
        around = np.concatenate((near, near), axis=1).reshape((height, width))  # the paper, each value four times
        dark = look.darkness(pooled[2 * top : 2 * bottom, 2 * left : 2 * right], around)

        # The peak once more, of this part alone: the 6th part of its rows may be darker.
        tall = np.sort(np.max(dark, axis=1))
        peak = max(int(tall[height - 1 - height // 6]), look.MIN_PEAK)
        threshold = part * peak >> 6
        mass = np.maximum(dark, threshold)
        mass -= threshold
        masses = np.sum(mass, axis=1).tolist()
        total = sum(masses)
        self.status = NOTHING
        self.box = None
        if not total:
            return None

        # The box, in 1/256 pooled pixels from the corner of the cells.
        y0, y1 = _trimmed(masses, total)
        widths = np.sum(mass, axis=0).tolist()
        x0, x1 = _trimmed(widths, total)
        size = max(y1 - y0, x1 - x0)
        self.box = (4 * top + (y0 >> 7), 4 * left + (x0 >> 7), 4 * top + (y1 + 127 >> 7), 4 * left + (x1 + 127 >> 7))
        enough = total >> EDGE_BITS
        if (
            (top == 0 and masses[0] > enough)
            or (left == 0 and widths[0] > enough)
            or (bottom == 15 and masses[-1] > enough)
            or (right == 20 and widths[-1] > enough)
        ):
            self.status = TOUCHES_EDGE
        else:
            self.status = TOO_SMALL if size < MIN_SIZE * 256 else FOUND

        # Centre and slant, by moments of the rows. Those of 20 columns stay in 16 bits: <= 252 * 190.
        if width <= 20:
            moments = np.sum(mass * self._columns[:, :width], axis=1).tolist()
        else:
            moments = np.sum(mass[:, :20] * self._columns, axis=1).tolist()
            mass = mass[:, 20:]
            further = np.sum(mass, axis=1).tolist()
            beyond = np.sum(mass * self._columns[:, : width - 20], axis=1).tolist()
            moments = [moments[i] + 20 * further[i] + beyond[i] for i in range(height)]
        down = 0
        for i in range(height):
            down += i * masses[i]
        y16 = (16 * down + 8 * total) // total  # 1/16 pooled pixels from the corner of the cells
        x16 = (16 * sum(moments) + 8 * total) // total
        upright = slanted = 0
        away = 8 - y16
        lean = 8 - x16
        for i in range(height):
            here = masses[i]
            upright += away * away * here >> 8
            slanted += away * (16 * moments[i] + lean * here) >> 8
            away += 16
        shear = slanted * 128 // upright if upright else 0
        shear = max(-MAX_SHEAR, min(MAX_SHEAR, shear))
        return dark, near, cells, 16 * y16, 16 * x16, size * eighths >> 3, shear, peak


def _trimmed(masses: list[int], total: int) -> tuple[int, int]:
    """Where the ink of a row of masses begins and ends, in 1/256 of its spacing, but for a TRIM-th at each end."""
    limit = total // TRIM
    first = 0
    passed = masses[0]
    while passed <= limit:
        first += 1
        passed += masses[first]
    start = 256 * first + (limit - passed + masses[first]) * 256 // masses[first]
    last = len(masses) - 1
    passed = masses[last]
    while passed <= limit:
        last -= 1
        passed += masses[last]
    return start, 256 * last + 256 - (limit - passed + masses[last]) * 256 // masses[last]
