"""Where in a frame the digit is: light, paper, dark cells, their parts. The first half of the preprocessing "find-4".

Shapes are rows, columns. "Pooled" is the 30x40 picture of 2x2 sums of green, 0..252; a "cell" is 2x2 of its pixels,
15x20 of them.
"""

from __future__ import annotations

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

from picodigits_board import parts as cells_of

FRAME_HEIGHT = 60
FRAME_WIDTH = 80

FOUND = 0
NOTHING = 1
TOO_SMALL = 2
TOO_DARK = 3
TOUCHES_EDGE = 4
MANY = 5

BORDER = 5  # cells of zero around the picture
DARKNESS = 252  # darkness of a pixel that reflects nothing, relative to the paper around it
MIN_PAPER = 8  # a background below this is taken as this: no division by noise
DARK_PAPER = 40  # pooled green; brightest paper below it: too dark to read (16 % of full scale)
PEAK_RANK = 2  # the peak is the 2nd darkest of the 15 row maxima
MIN_PEAK = 28  # a peak below this is paper grain: nothing there
THRESHOLD_64THS = 27  # of the peak: ink is darker than this
STRONG_64THS = 44  # of the peak: cells darker than this are strong
# What is tried, from the first look on: steps that a window of cells is widened by to find the digit (together one
# less than its length), to flatten the digit found, the threshold in 64ths of the peak, and how large the part of the
# picture is that fills the ink, in 8ths of the digit.
LOOKS = (
    ((1, 2), (2,), THRESHOLD_64THS, 8),
    ((1,), (1,), THRESHOLD_64THS, 7),  # narrow: follows the edges of shadows, sinks inside thick strokes; and closer
    ((1, 2), (2,), 20, 9),  # low: joins what is pale, and more of the shadows; and from further away
    ((1, 2), (2,), 14, 8),  # lower still: on even paper the best look, where there are shadows the worst
)
WEAK_PART = 6  # a part beside the main one with less than a sixth strong cells is a shadow's edge or a fold: dropped

_WIDE = np.array([DARKNESS], dtype=np.uint16)  # makes a product uint16


class Looker:
    """Looks for dark parts on paper: local paper level by a closing, threshold at a fraction of the peak.

    The closing works on cells of 4x4 pixels. A cell counts as the mean of its pixels and of their maximum: the
    maximum alone follows noise and the lit side of a shadow's edge, the mean alone sinks beside thick strokes. The
    window may hang over the border of the picture (padding 0, dilation on the extended plane, erosion back inside),
    so that light falling off towards the border is followed and not taken for ink. Windows of 4x4 cells find the
    digit: they follow a shadow's edge closely, but sink inside thick strokes.
    """

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self._plane = np.zeros((25, 30), dtype=np.uint8)  # cells, 5 of zero around them
        self._bits = np.array([1 << column % 10 for column in range(20)], dtype=np.uint16).reshape((1, 20))

    def look(self, frame: np.ndarray, attempt: int = 0) -> tuple:
        """What a frame as preprocess.py's head says holds: (status, pooled, spread, parts, main).

        attempt  which of LOOKS

        status  FOUND, NOTHING or TOO_DARK           pooled  (30, 40) uint8
        spread  uint8: the brightest level of each window of cells, of the picture with BORDER cells of zero around it;
                (22, 27) where windows are 4x4
        parts   as `parts.parts_of` lists them, but for weak ones; with FOUND alone
        main    the one with the most weight
        """
        steps, _, threshold, _ = LOOKS[attempt]
        scale = self._scale
        pixels = frame.reshape((FRAME_HEIGHT * scale, 2 * FRAME_WIDTH * scale))
        pooled = _pooled(np.bitwise_and(pixels[::scale, 0 :: 2 * scale], 7))  # the upper 3 of 6 bits of green
        pooled *= 8
        pooled += _pooled(np.right_shift(pixels[::scale, 1 :: 2 * scale], 5))  # 0..252
        pooled = pooled.copy()  # a view would keep four times as much

        lowest = np.minimum(pooled[0::2], pooled[1::2])
        lowest = np.minimum(lowest[:, 0::2], lowest[:, 1::2])  # (15, 20)
        spread = self._spread(pooled, steps)
        first = BORDER - sum(steps)
        paper = closed(spread[first : BORDER + 15, first : BORDER + 20], steps)  # (15, 20)
        if int(np.max(paper)) < DARK_PAPER:
            return TOO_DARK, pooled, spread, [], None
        dark = darkness(lowest, paper)  # (15, 20)
        peak = int(np.sort(np.max(dark, axis=1))[15 - PEAK_RANK])
        if peak < MIN_PEAK:
            return NOTHING, pooled, spread, [], None
        parts = cells_of.parts_of(self._rows(dark, threshold * peak >> 6), self._rows(dark, STRONG_64THS * peak >> 6))
        if not parts:
            return NOTHING, pooled, spread, parts, None
        main = parts[0]
        if len(parts) > 1:
            main = max(parts, key=cells_of.weight)
            parts = [part for part in parts if part is main or part[5] * WEAK_PART >= part[0]]
        return FOUND, pooled, spread, parts, main

    def _rows(self, dark: np.ndarray, threshold: int) -> list[int]:
        """Which of the (15, 20) cells are darker than this: 15 int of 20 bits, bit c for column c."""
        tens = np.sum(((dark > threshold) * self._bits).reshape((30, 10)), axis=1).tolist()  # ten columns each
        return [tens[i] | tens[i + 1] << 10 for i in range(0, 30, 2)]

    def _spread(self, pooled: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
        """The brightest level of each window of cells that touches the picture, uint8: (22, 27) of 4x4 cells."""
        half = np.right_shift(pooled, 1)
        rows = half[0::2]
        rows += half[1::2]  # (15, 40): mean of two rows
        level = np.right_shift(np.maximum(rows[:, 0::2], rows[:, 1::2]), 1)
        rows = np.right_shift(rows, 1)
        mean = rows[:, 0::2]
        mean += rows[:, 1::2]
        level += np.right_shift(mean, 1)
        plane = self._plane
        plane[BORDER : BORDER + 15, BORDER : BORDER + 20] = level
        for shift in steps:
            plane = np.maximum(plane[:, :-shift], plane[:, shift:])
        for shift in steps:
            plane = np.maximum(plane[:-shift], plane[shift:])
        return plane


def darkness(value: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """How dark `value` is on `paper`, both uint8 of one shape: uint16, 0 (paper or brighter) to 252 (black)."""
    dark = np.maximum(paper, value)
    dark -= value
    dark = dark * _WIDE
    dark //= paper
    return dark


def closed(plane: np.ndarray, shifts: tuple[int, ...]) -> np.ndarray:
    """The second half of a closing: the smallest value of each window of cells, at least MIN_PAPER.

    A window is one cell longer than the shifts together; so much smaller is what is returned.
    """
    for shift in shifts:
        plane = np.minimum(plane[:, :-shift], plane[:, shift:])
    for shift in shifts:
        plane = np.minimum(plane[:-shift], plane[shift:])
    return np.maximum(plane, MIN_PAPER)


def _pooled(plane: np.ndarray) -> np.ndarray:
    """Sums of 2x2 neighbours of a plane, made in place: a view of it. ulab adds rows and columns in their order, so
    what is added has not been changed yet."""
    rows = plane[0::2]
    rows += plane[1::2]
    sums = rows[:, 0::2]
    sums += rows[:, 1::2]
    return sums
