"""From a digit that has been found to its ink: turned upright, centred, sampled."""

from __future__ import annotations

import gc

try:
    from ulab import numpy as np

    _ON_BOARD = True
except ImportError:
    import numpy as np

    _ON_BOARD = False

from picodigits_board.look import FRAME_HEIGHT, FRAME_WIDTH, darkness

ZERO_64THS = 4  # of the peak: ink value 0
FINE_SIZE = 17  # a digit of up to 17 pooled pixels is sampled from the 80x60 picture
FINEST_SIZE = 11  # ... and of up to 11 from the 160x120 picture, where there is one
MANY_CELLS = 64  # sampling more of them takes 16 KB of the heap or more, in large blocks
INK_MARGIN = 2  # a digit fills the ink but for 2 rows or columns

_FULL = np.array([255], dtype=np.uint16)
_TWICE = np.array([257], dtype=np.uint16)  # times a byte: that byte twice


def doubled(plane: np.ndarray) -> np.ndarray:
    """Each column of a plane (h, w) uint8 twice: (h, 2 w)."""
    return np.frombuffer(plane * _TWICE, dtype=np.uint8).reshape((len(plane), 2 * len(plane[0])))


class Sampler:
    """Samples inks of (ink_height, ink_width). Raises ValueError for one too small to hold a digit.

    What is sampled is how dark a pixel is on the paper around it: what is brighter than the paper, as beside a stroke
    that the camera has sharpened, is paper, and takes nothing from the ink beside it.
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
        dark: np.ndarray,
        across: np.ndarray,
        cells: tuple[int, int, int, int],
        y256: int,
        x256: int,
        size: int,
        shear: int,
        peak: int,
    ) -> np.ndarray:
        """Ink of a digit centred at (y256, x256) from the corner of its cells, `size` long, all in 1/256 pooled pixels.

        frame   as preprocess.py's head says
        dark    darkness of the cells' pooled pixels, uint16      across  paper of the cells, each column twice, uint8
        shear   128ths of a column that the digit leans to the left a row      peak  darkness of its ink
        A value is the mean of 2x2 samples half a place apart, in the picture in which places are a sample apart at
        least, if only just. What lies outside the cells is paper.
        """
        unit = 1  # samples a pooled pixel
        fine = size <= FINE_SIZE * 256
        if fine:
            unit = 4 if self._scale == 2 and size <= FINEST_SIZE * 256 else 2
        step = max(size * unit // (2 * self._box_size), 128)  # from one copied row to the next, 1/256 of a sample
        if fine:
            # Of the cells only those that are seen, and one more: there is no room for a whole frame of them.
            below = self.height * step // unit + 512
            beside = self.width * step // unit + (below * abs(shear) >> 7) + 512
            top, left, bottom, right = cells
            first, start = max(y256 - below >> 9, 0), max(x256 - beside >> 9, 0)
            bottom = min(bottom, top + (y256 + below >> 9) + 1)
            right = min(right, left + (x256 + beside >> 9) + 1)
            across = across[first : bottom - top, 2 * start : 2 * (right - left)]
            if _ON_BOARD and (bottom - top - first) * (right - left - start) > MANY_CELLS:
                gc.collect()  # what finding them left is in the way
            y256 -= first << 9
            x256 -= start << 9
            dark = self._finer(frame, across, (top + first, left + start, bottom, right), 2 * unit)
        tall, wide = dark.shape
        half = np.frombuffer(np.right_shift(dark, 1), dtype=np.uint8).reshape((tall, 2 * wide))[:, 0::2]  # 0..126
        picture = memoryview(doubled(half.copy()).tobytes())  # columns twice: hit to half of one
        line = 2 * wide

        # Rows are copied as bytes, two a place, each moved by what the digit leans.
        rows, columns = 2 * self.height, 2 * self.width
        middle = 2 * x256 * unit  # of the digit, 1/256 bytes
        side = columns * step  # what is seen on either side of it
        moved = 2 * rows * step * abs(shear) >> 8
        reach = (max(side - middle, side + middle - (line << 8), moved, 0) >> 8) + 1  # bytes of paper at either end
        total = line + 2 * reach
        both = bytearray(rows * total)
        y = 2 * y256 * unit - (rows - 1) * step  # 1/512
        turn = 4 * step * shear
        lean = (1 - rows) * turn >> 1
        at = reach
        for _ in range(rows):
            row = y >> 9
            if 0 <= row < tall:
                to = at - ((lean >> 15) + 1 >> 1)
                both[to : to + line] = picture[row * line : row * line + line]
            y += 2 * step
            lean += turn
            at += total
        picked = [False] * total
        x = 2 * (middle + 256 * reach - (columns - 1) * step)
        for _ in range(columns):
            picked[x >> 9] = True
            x += 4 * step
        pairs = np.frombuffer(both, dtype=np.uint8).reshape((rows, total))
        means = pairs[0::2]
        means += pairs[1::2]
        pairs = np.right_shift(np.compress(picked, means, axis=1), 1)
        means = pairs[:, 0::2]
        means += pairs[:, 1::2]  # 0..252
        zero = ZERO_64THS * peak >> 6
        ink = np.maximum(means, zero)
        ink -= zero
        ink = ink * _FULL  # <= 64260
        ink //= peak - zero
        ink = np.minimum(ink, 255)
        return np.frombuffer(ink, dtype=np.uint8).reshape((self.height, columns))[:, 0::2].copy()

    def _finer(self, frame: np.ndarray, across: np.ndarray, cells: tuple[int, int, int, int], unit: int) -> np.ndarray:
        """Darkness of the cells' pixels, `unit` a cell, as `sample` takes it."""
        top, left, bottom, right = cells
        pixel = 4 * self._scale  # pixels a cell
        pitch = pixel // unit
        pixels = frame.reshape((FRAME_HEIGHT * self._scale, 2 * FRAME_WIDTH * self._scale))
        pixels = pixels[pixel * top : pixel * bottom : pitch]
        start, stop = 2 * pixel * left, 2 * pixel * right
        values = np.bitwise_and(pixels[:, start : stop : 2 * pitch], 7)
        values *= 8
        values += np.right_shift(pixels[:, start + 1 : stop : 2 * pitch], 5)
        values *= 4  # 0..252
        across = doubled(across)
        if unit == 8:
            across = doubled(across)
        around = np.concatenate((across,) * unit, axis=1).reshape(values.shape)
        return darkness(values, around)
