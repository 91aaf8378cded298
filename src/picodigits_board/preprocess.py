"""THE definition of the preprocessing: frame -> ink, in integers, one file for the Pico and the PC.

A preprocessing is a class; `make(preprocess_id, ...)` picks it by the id that the model file carries. All of them:

    ink(frame)   frame: (9600,) uint8, 60 rows of 80 pixels RGB565_SWAPPED (high byte first), digit upright
                 returns (ink_height, ink_width) uint8, 0 = paper, 255 = full ink
    status       what was seen in the last frame: FOUND, NOTHING, TOO_SMALL, TOO_DARK, TOUCHES_EDGE
    box          (top, left, bottom, right) in pixels of the frame, half open; None where nothing was found

    "find-1"     finds the digit, flattens the light, centres it; independent of light, paper, pen, place and size
    "article-1"  what the article's program did: the middle 60x60 sampled to 12x12, inverted, grey below one half
                 set to zero. Its byte-order bug (a literal 25889 where the pixel belongs) is left out.

An id changes whenever the ink of any frame changes; tests/vectors holds the frames and inks that pin it.

The arithmetic stays within uint8 and uint16, no array has more than two dimensions, and every operation exists in
ulab 6.5 (CircuitPython 9 and 10) and in NumPy with the same result. Shapes below are rows, columns.
"""

from __future__ import annotations

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

FRAME_HEIGHT = 60
FRAME_WIDTH = 80
FRAME_BYTES = 9600

FOUND = 0
NOTHING = 1
TOO_SMALL = 2
TOO_DARK = 3
TOUCHES_EDGE = 4
STATUS_KEYS = ("found", "nothing", "small", "dark", "edge")
STATUS_NAMES = ("found", "nothing there", "too small", "too dark", "touches the edge")

ARTICLE = "article-1"
FIND = "find-1"

# find-1. "Pooled" is the 30x40 picture of 2x2 sums of green, 0..252; "cell" is 2x2 of its pixels, 15x20.
MIN_PAPER = 8  # a background below this is taken as this: no division by noise
DARK_PAPER = 40  # pooled green; brightest paper below it: too dark to read (16 % of full scale)
DARKNESS = 252  # darkness of a pixel that reflects nothing, relative to the paper around it
PEAK_RANK = 5  # the peak is the 5th darkest of the 30 row maxima
MIN_PEAK = 28  # a peak below this is paper grain: nothing there
THRESHOLD_64THS = 27  # of the peak: ink is darker than this
ZERO_64THS = 13  # of the peak: ink value 0
CLOSE_GAP = 3  # parts of a digit lie within a third of its size
MINOR_PART = 8  # ... and have at least an eighth of the area of its largest part
MAX_PARTS = 12  # floods a frame: bounds the time on a frame full of scribbles
FINE_LEVEL = 14  # a digit of up to 14 pooled pixels is sampled from the full-resolution frame
MIN_SIZE = 6  # pooled pixels; below: too small
INK_MARGIN = 2  # a digit fills the ink but for 2 rows or columns


def make(preprocess_id: str, ink_height: int, ink_width: int) -> Article | Find:
    """The preprocessing named `preprocess_id`, with its buffers. Raises ValueError for one not known here."""
    if preprocess_id == FIND:
        return Find(ink_height, ink_width)
    if preprocess_id == ARTICLE:
        return Article(ink_height, ink_width)
    raise ValueError(
        "model file: got preprocessing %s, need %s or %s. Train the model again, or update picodigits_board."
        % (preprocess_id, FIND, ARTICLE)
    )


class Article:
    """The article's pipeline in integers: (r + g + b) / 128 of every fifth pixel, inverted, below one half 0."""

    def __init__(self, ink_height: int, ink_width: int) -> None:
        if (ink_height, ink_width) != (12, 12):
            raise ValueError("ink: got %dx%d, need 12x12 for article-1. Train it again." % (ink_height, ink_width))
        self.status = FOUND
        self.box = (0, 10, 60, 70)

    def ink(self, frame: np.ndarray) -> np.ndarray:
        """(12, 12) uint8 of a frame, as the module's head says."""
        pixels = frame.reshape((FRAME_HEIGHT, 2 * FRAME_WIDTH))
        high = pixels[0:60:5, 20:140:10]  # (12, 12): RRRRRGGG
        low = pixels[0:60:5, 21:140:10]  # (12, 12): GGGBBBBB
        red = np.right_shift(high, 3)
        green = np.left_shift(np.bitwise_and(high, 7), 3) + np.right_shift(low, 5)
        grey = red + green + np.bitwise_and(low, 31)  # 0..125
        ink = 255 - grey * 2  # 5..255: twice (128 - grey), less one to stay in a byte
        return ink * np.array(ink >= 127, dtype=np.uint8)


class Find:
    """Finds the digit: local paper level by a closing, threshold at a fraction of the peak, largest connected part.

    The closing's window may hang over the border of the picture (padding 0, dilation on the extended plane, erosion
    back inside), so that light falling off towards the border is followed and not taken for ink. The price: a stroke
    that lies along the border and is cut by it is taken for such a fall.
    """

    def __init__(self, ink_height: int, ink_width: int) -> None:
        if min(ink_height, ink_width) <= INK_MARGIN:
            raise ValueError("ink: got %dx%d, need at least 3x3. Train it again." % (ink_height, ink_width))
        self._height = ink_height
        self._width = ink_width
        self._box_size = min(ink_height, ink_width) - INK_MARGIN
        self._plane = np.zeros((44, 54), dtype=np.uint8)  # pooled, 7 pixels of zero around it
        self._wide = np.array([DARKNESS], dtype=np.uint16)  # makes a product uint16
        self._bits = np.array([1 << column for column in range(20)]).reshape((20, 1)) * np.ones((1, 1))
        self.status = NOTHING
        self.box: tuple[int, int, int, int] | None = None

    def ink(self, frame: np.ndarray) -> np.ndarray:
        """(ink_height, ink_width) uint8 of a frame, as the module's head says."""
        pixels = frame.reshape((FRAME_HEIGHT, 2 * FRAME_WIDTH))
        green = np.left_shift(np.bitwise_and(pixels[:, 0::2], 7), 3)
        green = green + np.right_shift(pixels[:, 1::2], 5)  # (60, 80) uint8, 0..63
        pooled = green[0::2] + green[1::2]
        pooled = pooled[:, 0::2] + pooled[:, 1::2]  # (30, 40) uint8, 0..252
        self._plane[7:37, 7:47] = pooled
        paper = self._paper(self._plane)  # (30, 40) uint8, 8..252
        dark = (paper - pooled) * self._wide // paper  # (30, 40) uint16, 0..252
        peak = int(np.sort(np.max(dark, axis=1))[30 - PEAK_RANK])
        threshold = THRESHOLD_64THS * peak >> 6
        cells = np.maximum(dark[0::2], dark[1::2])
        cells = np.maximum(cells[:, 0::2], cells[:, 1::2])  # (15, 20)
        rows = np.dot((cells > threshold) * np.ones((1, 1)), self._bits)  # (15, 1), bit c = cell of column c
        return self._locate(green, paper, dark, peak, [int(rows[i][0]) for i in range(15)], int(np.max(paper)))

    @staticmethod
    def _paper(plane: np.ndarray) -> np.ndarray:
        """Closing of the pooled picture by 8x8 windows that may hang over its border, at least MIN_PAPER.

        plane  (44, 54) uint8, the picture with 7 zeros around it; returns (30, 40) uint8, nowhere below the picture
        """
        for shift in (1, 2, 4):
            plane = np.maximum(plane[:, :-shift], plane[:, shift:])  # (44, 47)
        for shift in (1, 2, 4):
            plane = np.maximum(plane[:-shift], plane[shift:])  # (37, 47)
        for shift in (1, 2, 4):
            plane = np.minimum(plane[:, :-shift], plane[:, shift:])  # (37, 40)
        for shift in (1, 2, 4):
            plane = np.minimum(plane[:-shift], plane[shift:])  # (30, 40)
        return np.maximum(plane, MIN_PAPER)

    def _locate(
        self, green: np.ndarray, paper: np.ndarray, dark: np.ndarray, peak: int, rows: list[int], brightest: int
    ) -> np.ndarray:
        """The ink of a frame whose picture-wide planes are known; sets `status` and `box`.

        green  (60, 80) uint8     paper  (30, 40) uint8     dark  (30, 40) uint16     peak  0..252
        rows   15 int, one a row of cells, bit c set where cell c holds ink           brightest  max of paper
        """
        self.box = None
        blank = np.zeros((self._height, self._width), dtype=np.uint8)
        if brightest < DARK_PAPER:
            self.status = TOO_DARK
            return blank
        cell_box = digit_cells(rows) if peak >= MIN_PEAK else None
        if cell_box is None:
            self.status = NOTHING
            return blank

        # Tighten the box of cells to pixels that are ink.
        threshold = THRESHOLD_64THS * peak >> 6
        top, left, bottom, right = [2 * edge for edge in cell_box]
        part = dark[top:bottom, left:right]
        tall = [int(value) > threshold for value in np.max(part, axis=1)]
        wide = [int(value) > threshold for value in np.max(part, axis=0)]
        while not tall[bottom - top - 1]:
            bottom -= 1
        while not wide[right - left - 1]:
            right -= 1
        first_row = tall.index(True)
        first_column = wide.index(True)
        top += first_row
        left += first_column
        size = max(bottom - top, right - left)
        self.box = (2 * top, 2 * left, 2 * bottom, 2 * right)
        if top == 0 or left == 0 or bottom == 30 or right == 40:
            self.status = TOUCHES_EDGE
        else:
            self.status = TOO_SMALL if size < MIN_SIZE else FOUND

        # Centre by mass, in 1/256 pooled pixels from the top left corner of the picture.
        mass = np.maximum(dark[top:bottom, left:right], threshold) - threshold
        y256 = 256 * top + _centre256(np.sum(mass, axis=1))
        x256 = 256 * left + _centre256(np.sum(mass, axis=0))

        step = size * 256 // self._box_size
        if size > FINE_LEVEL:
            return self._sample(dark, y256, x256, step, peak)
        # A small digit: darkness at full resolution, for the part of the picture that will be sampled and no more.
        reach = (max(self._height, self._width) * step >> 9) + 2  # pooled pixels
        top = max((y256 >> 8) - reach, 0)
        left = max((x256 >> 8) - reach, 0)
        bottom = min((y256 >> 8) + reach + 1, 30)
        right = min((x256 >> 8) + reach + 1, 40)
        fine = green[2 * top : 2 * bottom, 2 * left : 2 * right] * 4  # 0..252
        near = paper[top:bottom, left:right]
        around = np.zeros(fine.shape, dtype=np.uint8)  # the paper, each value four times
        around[0::2, 0::2] = near
        around[0::2, 1::2] = near
        around[1::2, 0::2] = near
        around[1::2, 1::2] = near
        dark = (np.maximum(around, fine) - fine) * self._wide // around
        return self._sample(dark, 2 * (y256 - 256 * top), 2 * (x256 - 256 * left), 2 * step, peak)

    def _sample(self, dark: np.ndarray, y256: int, x256: int, step: int, peak: int) -> np.ndarray:
        """Ink of the digit centred at (y256, x256), one value every `step`, all in 1/256 pixels of `dark`.

        A value is the sum of 2x2 neighbours (0..1008), scaled so that ZERO_64THS of the peak is 0 and the peak 255.
        `step` is at least 256, so no row or column is taken twice. What lies outside the picture is paper.
        """
        ink = np.zeros((self._height, self._width), dtype=np.uint8)
        rows, first_row = _picks(y256, step, self._height, len(dark) - 1)
        columns, first_column = _picks(x256, step, self._width, len(dark[0]) - 1)
        upper = np.compress(rows, dark[:-1], axis=0) + np.compress(rows, dark[1:], axis=0)
        sums = np.compress(columns, upper[:, :-1], axis=1) + np.compress(columns, upper[:, 1:], axis=1)
        zero = ZERO_64THS * peak >> 6
        sums = (np.maximum(sums, 4 * zero) - 4 * zero) * 63 // (peak - zero)  # at most 63504 // 23
        sums = np.minimum(sums, 255)
        ink[first_row : first_row + len(sums), first_column : first_column + len(sums[0])] = sums
        return ink


def digit_cells(rows: list[int]) -> tuple[int, int, int, int] | None:
    """The box of the digit among the cells: (top, left, bottom, right), half open, or None where there is no ink.

    rows  15 int of 20 bits. The digit is the largest 8-connected part and every other part of at least an eighth of
    its area that lies within a third of its size. Single cells are grain and dropped first. Parts are looked for
    from the top; after MAX_PARTS of them the rest is left alone.
    """
    rows = _without_single_cells(rows)
    parts: list[tuple[int, int, int, int, int]] = []  # area, top, left, bottom, right
    for y in range(15):
        while rows[y] and len(parts) < MAX_PARTS:
            parts.append(_take_part(rows, y))
    if not parts:
        return None
    area, top, left, bottom, right = max(parts)
    gap = max(bottom - top, right - left) // CLOSE_GAP
    near = (top - gap, left - gap, bottom + gap, right + gap)
    for part in parts:
        if (
            part[0] * MINOR_PART >= area
            and part[1] < near[2]
            and part[3] > near[0]
            and part[2] < near[3]
            and part[4] > near[1]
        ):
            top = min(top, part[1])
            left = min(left, part[2])
            bottom = max(bottom, part[3])
            right = max(right, part[4])
    return top, left, bottom, right


def _without_single_cells(rows: list[int]) -> list[int]:
    """The cells of `rows` that have at least one of their eight neighbours."""
    spread = [row | row << 1 | row >> 1 for row in rows]
    kept = []
    for y in range(15):
        row = rows[y]
        around = row << 1 | row >> 1
        if y:
            around |= spread[y - 1]
        if y < 14:
            around |= spread[y + 1]
        kept.append(row & around)
    return kept


def _take_part(rows: list[int], y: int) -> tuple[int, int, int, int, int]:
    """Take the 8-connected part with the lowest cell of row `y` out of `rows`: (area, top, left, bottom, right).

    Bit-parallel flood: sweeps down and up until they add nothing. All rows above `y` are empty.
    """
    part = [0] * 15
    part[y] = rows[y] & -rows[y]
    bottom = y + 1
    grown = True
    while grown:
        grown = False
        i = y
        while i < 15:  # down
            row = _grow(part, rows, i)
            if row != part[i]:
                part[i] = row
                grown = True
            if not row:
                break  # the part is connected: nothing of it lies below an empty row
            i += 1
        bottom = i
        while i > y:  # and up
            i -= 1
            row = _grow(part, rows, i)
            if row != part[i]:
                part[i] = row
                grown = True
    columns = 0
    area = 0
    for i in range(y, bottom):
        row = part[i]
        rows[i] ^= row
        columns |= row
        while row:
            row &= row - 1
            area += 1
    left = 0
    while not columns >> left & 1:
        left += 1
    right = left
    while columns >> right:
        right += 1
    return area, y, left, bottom, right


def _grow(part: list[int], rows: list[int], i: int) -> int:
    """Row `i` of the part after taking in its neighbours, in the rows beside it and along itself."""
    row = part[i]
    if i:
        row |= part[i - 1] | part[i - 1] << 1 | part[i - 1] >> 1
    if i < 14:
        row |= part[i + 1] | part[i + 1] << 1 | part[i + 1] >> 1
    row &= rows[i]
    wider = (row | row << 1 | row >> 1) & rows[i]
    while wider != row:
        row = wider
        wider = (row | row << 1 | row >> 1) & rows[i]
    return row


def _centre256(sums: np.ndarray) -> int:
    """The centre of mass of `sums` (uint16 each), in 1/256 of its spacing from its start."""
    total = 0
    moment = 0
    for i in range(len(sums)):
        value = int(sums[i])
        total += value
        moment += (2 * i + 1) * value
    return moment * 128 // total


def _picks(centre256: int, step: int, count: int, length: int) -> tuple[list[bool], int]:
    """Which of `length` sums of neighbours (the sum of i and i + 1 lies at i + 1) `count` samples around a centre hit.

    Returns a list of bool, one a sum, and the index of the first sample that lies inside the picture.
    """
    picked = [False] * length
    first = -1
    for k in range(count):
        i = (centre256 + ((2 * k + 1 - count) * step >> 1) - 128) >> 8
        if 0 <= i < length:
            picked[i] = True
            if first < 0:
                first = k
    return picked, first
