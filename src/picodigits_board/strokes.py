"""The shapes of the large digits, drawn with a round pen. Needed at start alone; the board forgets this module then."""

from __future__ import annotations

import math

from picodigits_board.display import Bitmap, blit

# Strokes on a field 6 wide and 10 high: a line (x, y, x, y), or an arc (centre x, y, radius x, y, from, to degrees,
# clockwise from the right).
STROKES = (
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


def draw(width: int, height: int):  # type: ignore[no-untyped-def]
    """A 1-bit bitmap with the ten digits and the dash beside each other, each in a field of width x height pixels."""
    sheet = Bitmap(len(STROKES) * width, height, 2)
    size = height // 7 | 1  # of the pen
    pen = Bitmap(size, size, 2)
    middle = size // 2
    for y in range(size):
        for x in range(size):
            if (x - middle) ** 2 + (y - middle) ** 2 <= (middle + 0.4) ** 2:
                pen[x, y] = 1
    right = (width - size - 5) / 6  # pixels in one unit to the right, and down
    down = (height - size - 1) / 10
    for digit in range(len(STROKES)):
        for stroke in STROKES[digit]:
            for at_x, at_y in _path(stroke, right, down):
                x = digit * width + int(at_x * right + 3.01)
                blit(sheet, pen, x, int(at_y * down + 0.51), x1=0, y1=0, x2=size, y2=size, skip_source_index=0)
    return sheet


def _path(stroke, right: float, down: float):  # type: ignore[no-untyped-def]
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
