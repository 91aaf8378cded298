"""From a digit that has been found to its ink: turned upright, centred, sampled, divided by the paper around it."""

from __future__ import annotations

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

from picodigits_board.look import FRAME_HEIGHT, FRAME_WIDTH, darkness

ZERO_64THS = 6  # of the peak: ink value 0
FINE_SIZE = 22  # a digit of up to 22 pooled pixels is sampled from the 80x60 picture
FINEST_SIZE = 11  # ... and of up to 11 from the 160x120 picture, where there is one
INK_MARGIN = 2  # a digit fills the ink but for 2 rows or columns

_TWICE = np.array([257], dtype=np.uint16)  # times a byte: that byte twice


def doubled(plane: np.ndarray) -> np.ndarray:
    """Each column of a plane (h, w) uint8 twice: (h, 2 w)."""
    return np.frombuffer(plane * _TWICE, dtype=np.uint8).reshape((len(plane), 2 * len(plane[0])))


class Sampler:
    """Samples inks of (ink_height, ink_width). Raises ValueError for one too small to hold a digit.

    The picture is sampled before it is flattened: it is read at 16x16 places, the paper at the same places, and only
    those 256 values are divided.
    """

    def __init__(self, ink_height: int, ink_width: int, scale: int) -> None:
        if min(ink_height, ink_width) <= INK_MARGIN:
            raise ValueError("ink: got %dx%d, need at least 3x3. Train it again." % (ink_height, ink_width))
        self.height = ink_height
        self.width = ink_width
        self._scale = scale
        self._box_size = min(ink_height, ink_width) - INK_MARGIN

    def blank(self) -> np.ndarray:
        """An ink without a digit."""
        return np.zeros((self.height, self.width), dtype=np.uint8)

    def sample(
        self,
        frame: np.ndarray,
        pooled: np.ndarray,
        across: np.ndarray,
        cells: tuple[int, int, int, int],
        y256: int,
        x256: int,
        size: int,
        shear: int,
        peak: int,
    ) -> np.ndarray:
        """Ink of a digit centred at (y256, x256) from the corner of its cells, `size` long, all in 1/256 pooled pixels.

        frame  as preprocess.py's head says      pooled  (30, 40) uint8, its 2x2 sums of green
        across  paper of the cells, each column twice, uint8
        shear  128ths of a column that the digit leans to the left a row      peak  darkness of its ink
        A value is the mean of 2x2 neighbours in the finest picture in which samples are at least a pixel apart. What
        lies outside the cells is paper.
        """
        top, left, bottom, right = cells
        finest = self._scale == 2 and size <= FINEST_SIZE * 256
        unit = 8 if finest else 4 if size <= FINE_SIZE * 256 else 2  # samples a cell
        if unit == 2:
            values = np.right_shift(pooled[2 * top : 2 * bottom, 2 * left : 2 * right], 1)
            upper = values[:-1]
            upper += values[1:]
            values = upper = np.right_shift(upper, 1)
        else:
            pitch = 1 if finest else self._scale
            pixels = frame.reshape((FRAME_HEIGHT * self._scale, 2 * FRAME_WIDTH * self._scale))
            pixels = pixels[pitch * unit * top : pitch * unit * bottom : pitch]
            start, stop = 2 * pitch * unit * left, 2 * pitch * unit * right
            values = np.bitwise_and(pixels[:, start : stop : 2 * pitch], 7)
            values *= 8
            values += np.right_shift(pixels[:, start + 1 : stop : 2 * pitch], 5)  # 0..63
            upper = values[:-1]
            upper += values[1:]
            across = doubled(across)
            if finest:
                across = doubled(across)
        sums = upper[:, :-1]
        sums += upper[:, 1:]  # 0..252; value i lies between samples i and i + 1

        height, width = self.height, self.width
        half = unit >> 1
        step = max(size * half // self._box_size, 256)  # 1/256 samples
        reach = (step * height * abs(shear) >> 16) + 1  # samples that the top row is moved by
        line = unit * (right - left)  # bytes a row in `values` and `across`
        length = line - 1
        total = length + 2 * reach
        columns = _places(x256 * half + 256 * reach, step, width, total)
        rows = _places(y256 * half, step, height, len(upper))
        ink = self.blank()
        if not rows or not columns:
            return ink

        # Rows are copied as bytes, the picture's into the upper half of `both`, the paper's into the lower one.
        count = len(rows)
        picture, paper = memoryview(values.tobytes()), memoryview(across.tobytes())
        both = bytearray(2 * count * total)
        pairs = np.frombuffer(both, dtype=np.uint8)
        pairs += 255  # what is left of it is paper
        turn = 2 * step * shear
        lean = (2 * rows[0][0] + 1 - height) * step * shear
        at = reach
        down = count * total
        for _, i in rows:
            to = at - ((lean >> 15) + 1 >> 1)
            lean += turn
            start = i * line
            both[to : to + length] = picture[start : start + length]
            to += down
            start = i // unit * line
            both[to : to + length] = paper[start : start + length]
            at += total
        first, last = columns[0][1], columns[-1][1]
        picked = [False] * (last + 1 - first)
        for _, i in columns:
            picked[i - first] = True
        pairs = np.compress(picked, pairs.reshape((2 * count, total))[:, first : last + 1], axis=1)
        zero = ZERO_64THS * peak >> 6
        dark = np.maximum(darkness(pairs[:count], pairs[count:]), zero)
        dark -= zero
        dark *= 255  # <= 64260
        dark //= peak - zero
        dark = np.minimum(dark, 255)
        wide = len(columns)
        k, i = rows[0][0], columns[0][0]
        part = ink[k : k + count, i : i + wide]
        part += np.frombuffer(dark, dtype=np.uint8).reshape((count, 2 * wide))[:, 0::2]  # the low bytes
        return ink


def _places(centre256: int, step: int, count: int, length: int) -> list[tuple[int, int]]:
    """Which of `length` sums of neighbours (the sum of i and i + 1 lies at i + 1) `count` samples around a centre hit.

    Returns (number of the sample, index of the sum) of those inside the picture.
    """
    places = []
    at = 2 * centre256 - (count - 1) * step - 256  # of the first, in 1/512
    step *= 2
    for k in range(count):
        i = at >> 9
        if 0 <= i < length:
            places.append((k, i))
        at += step
    return places
