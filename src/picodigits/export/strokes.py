"""The shapes of the large digits on the board's screen, drawn with a round pen, in the form that the board reads.

Drawn here and not on the board: there it would take 0.2 s of each start, and 4 KB of heap to keep.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from picodigits_board.screen import DIGIT_SIZES

# Strokes on a field 6 wide and 10 high: a line (x, y, x, y), or an arc (centre x, y, radius x, y, from, to degrees,
# clockwise from the right).
_STROKES: tuple[tuple[tuple[float, ...], ...], ...] = (
    ((3, 3, 3, 3, 180, 360), (6, 3, 6, 7), (3, 7, 3, 3, 0, 180), (0, 7, 0, 3)),
    ((0.8, 2.2, 3.4, 0), (3.4, 0, 3.4, 10), (0.8, 10, 6, 10)),
    ((3, 2.9, 2.9, 2.9, 180, 400), (5.2, 4.8, 0, 10), (0, 10, 6, 10)),
    ((2.9, 2.5, 2.6, 2.5, 195, 450), (2.9, 7.3, 3.1, 2.7, 270, 530)),
    ((4.5, 0, 0, 6.9), (0, 6.9, 6, 6.9), (4.5, 0, 4.5, 10)),
    ((5.5, 0, 0.9, 0), (0.9, 0, 0.6, 4.6), (2.9, 6.7, 3.1, 3.3, 222, 510)),
    ((3, 6.9, 3, 3.1, 0, 360), (6.2, 6.9, 6.2, 6.9, 180, 258)),
    ((0, 0, 6, 0), (6, 0, 2.2, 10)),
    ((3, 2.4, 2.5, 2.4, 0, 360), (3, 7.4, 3, 2.6, 0, 360)),
    ((3, 3.1, 3, 3.1, 0, 360), (-0.2, 3.1, 6.2, 6.9, 0, 78)),
    ((1.5, 5, 4.5, 5),),  # no digit
)


@cache
def digits_file() -> bytes:
    """The large digits and the dash in each of `screen.DIGIT_SIZES`, as digits.bin on the board has them.

    One shape after the other, each the memory of a displayio.Bitmap of two colours: rows of whole 32-bit words, eight
    pixels a byte, the first one in its highest bit.
    """
    made = []
    for width, height in DIGIT_SIZES:
        for digit in range(len(_STROKES)):
            row_bytes = -(-width // 32) * 4
            bits = np.packbits(drawn(digit, width, height), axis=1)
            rows = np.zeros((height, row_bytes), np.uint8)
            rows[:, : bits.shape[1]] = bits
            made.append(rows.tobytes())
    return b"".join(made)


def drawn(digit: int, width: int, height: int) -> NDArray[np.uint8]:
    """A digit, or the dash for 10, in a field of (height, width): 0 or 1."""
    field = np.zeros((height, width), np.uint8)
    size = height // 7 | 1  # of the pen
    middle = size // 2
    y, x = np.ogrid[:size, :size]
    pen = ((x - middle) ** 2 + (y - middle) ** 2 <= (middle + 0.4) ** 2).astype(np.uint8)
    right = (width - size - 5) / 6  # pixels in one unit to the right, and down
    down = (height - size - 1) / 10
    for stroke in _STROKES[digit]:
        for at_x, at_y in _path(stroke, right, down):
            left, top = int(at_x * right + 3.01), int(at_y * down + 0.51)
            field[top : top + size, left : left + size] |= pen
    return field


def _path(stroke: tuple[float, ...], right: float, down: float) -> Iterator[tuple[float, float]]:
    """Points along a stroke, some 3 pixels apart."""
    if len(stroke) == 4:
        x, y, to_x, to_y = stroke
        count = int(max(abs(to_x - x) * right, abs(to_y - y) * down) / 3) + 1
        for k in range(count + 1):
            yield x + (to_x - x) * k / count, y + (to_y - y) * k / count
    else:
        x, y, radius_x, radius_y, start, end = stroke
        count = int((radius_x * right + radius_y * down) * (end - start) / 344) + 1  # 344: 3 pixels, 2 * 57.3
        for k in range(count + 1):
            angle = math.radians(start + (end - start) * k / count)
            yield x + radius_x * math.cos(angle), y + radius_y * math.sin(angle)
