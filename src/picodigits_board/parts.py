"""Which of a picture's dark cells are the digit: connected parts, and those that belong together.

The picture is 15x20 cells. A row of cells is an int of 20 bits, bit c set for column c. A part is a tuple
(area, top, left, bottom, right, strong): half open, in cells; `strong` of the cells are very dark.
"""

from __future__ import annotations

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

ROWS = 15
COLUMNS = 20
MAX_PARTS = 12  # parts a frame that are looked at
STRONG_WEIGHT = 3  # a strong cell counts three more cells when the main part is chosen
BORDER_PART = 3  # a part that touches the frame's border counts a third of its weight
CLOSE_GAP = 3  # parts of a digit lie within a third of its size
MINOR_PART = 8  # ... and have at least an eighth of the area of its largest part
SECOND_DIGIT = 5  # another part is a second digit if it has 5 eighths of the first one's height
SECOND_AREA = 4  # ... and a quarter of its area


def _bits_of_ten() -> bytes | bytearray:
    """1024 bytes: how many bits are set in 0, 1, 2 ... 1023."""
    counts = np.zeros(1, dtype=np.uint8)
    for _ in range(10):
        counts = np.concatenate((counts, counts + 1))
    return counts.tobytes()


_BITS = _bits_of_ten()


def parts_of(rows: list[int], strong: list[int]) -> list[tuple[int, int, int, int, int, int]]:
    """The 8-connected parts of more than one cell, the first MAX_PARTS of them from the top, each row from the left.

    rows    15 int, which cells hold ink
    strong  15 int, which cells are very dark

    One sweep down. What a part has in a row is what lies beside its cells of the row above, spread along the row; what
    is left of the row begins new parts.
    """
    bits = _BITS
    done = []
    going: list[list[int]] = []  # parts with cells in the row above: [beside, here, area, strong, columns, first cell]
    for y in range(ROWS + 1):
        row = left = rows[y] if y < ROWS else 0
        kept: list[list[int]] = []
        for part in going:
            here = part[0] & row
            if not here:
                if part[2] > 1:
                    done.append((part[5], part[2], y, part[4], part[3]))
                continue
            wider = (here | here << 1 | here >> 1) & row
            while wider != here:
                here = wider
                wider = (here | here << 1 | here >> 1) & row
            if here & ~left:  # another one has come here, too: they are one
                apart = []
                for other in kept:
                    if other[1] & here:
                        here |= other[1]
                        part[2] += other[2]
                        part[3] += other[3]
                        part[4] |= other[4]
                        part[5] = min(part[5], other[5])
                    else:
                        apart.append(other)
                kept = apart
            left &= ~here
            part[1] = here
            kept.append(part)
        while left:
            lowest = left & -left
            rest = left + lowest  # the carry runs through the cells beside the lowest
            kept.append([0, left & ~rest, 0, 0, 0, y << COLUMNS | lowest])
            left &= rest
        for part in kept:
            here = part[1]
            part[0] = here | here << 1 | here >> 1
            part[2] += bits[here & 1023] + bits[here >> 10]
            part[4] |= here
            here &= strong[y]
            part[3] += bits[here & 1023] + bits[here >> 10]
        going = kept
    parts = []
    for first, area, bottom, columns, dark in sorted(done)[:MAX_PARTS]:
        before = (columns & -columns) - 1
        start = bits[before & 1023] + bits[before >> 10]
        stop = start + bits[columns & 1023] + bits[columns >> 10]  # no column between is empty
        parts.append((area, first >> COLUMNS, start, bottom, stop, dark))
    return parts


def weight(part: tuple[int, int, int, int, int, int]) -> int:
    """Area of a part, its strong cells four times; at the frame's border, where shadows come in, a third of that."""
    at_border = part[1] == 0 or part[2] == 0 or part[3] == ROWS or part[4] == COLUMNS
    total = part[0] + STRONG_WEIGHT * part[5]
    return total // BORDER_PART if at_border else total


def beside(part: tuple[int, int, int, int, int, int], main: tuple[int, int, int, int, int, int]) -> bool:
    """Whether a part is a digit of its own beside the main part: about as tall, an empty column of cells between."""
    return (
        (part[2] > main[4] or part[4] < main[2])
        and (part[3] - part[1]) * 8 >= (main[3] - main[1]) * SECOND_DIGIT
        and part[0] * SECOND_AREA >= main[0]
    )


def digit_cells(
    parts: list[tuple[int, int, int, int, int, int]], main: tuple[int, int, int, int, int, int]
) -> tuple[int, int, int, int]:
    """The box of the digit whose main part is `main`: (top, left, bottom, right) in cells, half open.

    To it belongs every part of at least an eighth of the main one's area that lies within a third of its size and is
    no digit of its own.
    """
    area, top, left, bottom, right, _ = main
    gap = max(bottom - top, right - left) // CLOSE_GAP
    near = (top - gap, left - gap, bottom + gap, right + gap)
    for part in parts:
        if (
            part[0] * MINOR_PART >= area
            and part[1] < near[2]
            and part[3] > near[0]
            and part[2] < near[3]
            and part[4] > near[1]
            and not beside(part, main)
        ):
            top = min(top, part[1])
            left = min(left, part[2])
            bottom = max(bottom, part[3])
            right = max(right, part[4])
    return top, left, bottom, right
