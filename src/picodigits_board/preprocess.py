"""THE definition of the preprocessing: frame -> ink, in integers, one file for the Pico and the PC.

A preprocessing is a class; `make(preprocess_id, ...)` picks it by the id that the model file carries. All of them:

    ink(frame)   frame: (9600,) uint8, 60 rows of 80 pixels RGB565_SWAPPED (high byte first), digit upright; or
                 (38400,) uint8, 120 rows of 160, of a finder made with scale 2
                 returns (ink_height, ink_width) uint8, 0 = paper, 255 = full ink
    status       what was seen in the last frame: FOUND, NOTHING, TOO_SMALL, TOO_DARK, TOUCHES_EDGE, MANY
    box          (top, left, bottom, right) in pixels of an 80x60 frame, half open; None where nothing was found

    "find-3"     finds the digit, flattens the light, straightens it up and centres it; independent of light, paper,
                 pen, place, size and slant
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
MANY = 5
STATUS_KEYS = ("found", "nothing", "small", "dark", "edge", "many")
STATUS_NAMES = ("found", "nothing there", "too small", "too dark", "touches the edge", "more than one")

ARTICLE = "article-1"
FIND = "find-3"

# find-3. "Pooled" is the 30x40 picture of 2x2 sums of green, 0..252; "cell" is 2x2 of its pixels, 15x20.
MIN_PAPER = 8  # a background below this is taken as this: no division by noise
DARK_PAPER = 40  # pooled green; brightest paper below it: too dark to read (16 % of full scale)
DARKNESS = 252  # darkness of a pixel that reflects nothing, relative to the paper around it
PEAK_RANK = 2  # the peak is the 2nd darkest of the 15 row maxima
MIN_PEAK = 28  # a peak below this is paper grain: nothing there
THRESHOLD_64THS = 27  # of the peak: ink is darker than this
ZERO_64THS = 6  # of the peak: ink value 0
STRONG_64THS = 44  # of the peak: cells darker than this are strong
STRONG_WEIGHT = 3  # a strong cell counts three more cells when the main part is chosen
BORDER_PART = 3  # a part that touches the frame's border counts a third of its weight
WEAK_PART = 6  # a part beside the main one with less than a sixth strong cells is a shadow's edge or a fold: dropped
CLOSE_GAP = 3  # parts of a digit lie within a third of its size
MINOR_PART = 8  # ... and have at least an eighth of the area of its largest part
MAX_PARTS = 12  # floods a frame: bounds the time on a frame full of scribbles
PAPER_SHIFT = 3  # the paper around a digit is raised by an eighth of what it lacks to the brightest
TRIM = 64  # the box leaves out a 64th of the ink on each side: a thin trail along a shadow does not widen it
EDGE_BITS = 8  # a digit touches the frame's border if more than 1/256 of its ink lies in the outermost pixels
FINE_SIZE = 22  # a digit of up to 22 pooled pixels is sampled from the 80x60 picture
FINEST_SIZE = 11  # ... and of up to 11 from the 160x120 picture, where there is one
MIN_SIZE = 6  # pooled pixels; below: too small
MAX_SHEAR = 80  # 128ths of a column a row: slants of up to 32 degrees are straightened up
INK_MARGIN = 2  # a digit fills the ink but for 2 rows or columns
SECOND_DIGIT = 5  # another part is a second digit if it has 5 eighths of the first one's height
SECOND_AREA = 4  # ... and a quarter of its area


def make(preprocess_id: str, ink_height: int, ink_width: int, scale: int = 1) -> Article | Find:
    """The preprocessing named `preprocess_id`, with its buffers. Raises ValueError for one not known here.

    scale  1: frames of 80x60 pixels; 2: of 160x120 ("find-3" alone)
    """
    if preprocess_id == FIND:
        return Find(ink_height, ink_width, scale)
    if preprocess_id == ARTICLE and scale == 1:
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

    The closing works on cells of 4x4 pixels. A cell counts as the mean of its pixels and of their maximum: the
    maximum alone follows noise and the lit side of a shadow's edge, the mean alone sinks beside thick strokes. The
    window may hang over the border of the picture (padding 0, dilation on the extended plane, erosion back inside),
    so that light falling off towards the border is followed and not taken for ink. Windows of 4x4 cells find the
    digit: they follow a shadow's edge closely, but sink inside thick strokes. Around a digit that was found they are
    of 6x6 cells.

    The ink is sampled before it is flattened: the picture is read at 16x16 places, the paper at the same places, and
    only those 256 values are divided.
    """

    def __init__(self, ink_height: int, ink_width: int, scale: int = 1) -> None:
        if min(ink_height, ink_width) <= INK_MARGIN:
            raise ValueError("ink: got %dx%d, need at least 3x3. Train it again." % (ink_height, ink_width))
        self._height = ink_height
        self._width = ink_width
        self._scale = scale
        self._box_size = min(ink_height, ink_width) - INK_MARGIN
        self._plane = np.zeros((25, 30), dtype=np.uint8)  # cells, 5 of zero around them
        self._wide = np.array([DARKNESS], dtype=np.uint16)  # makes a product uint16
        self._one = np.ones((1, 1))  # makes a product float
        self._bits = np.array([1 << column for column in range(20)]).reshape((20, 1)) * self._one
        self._columns = np.array(list(range(40))).reshape((40, 1)) * self._one
        self.status = NOTHING
        self.box: tuple[int, int, int, int] | None = None

    def ink(self, frame: np.ndarray) -> np.ndarray:
        """(ink_height, ink_width) uint8 of a frame, as the module's head says."""
        pooled, spread, parts, main = self._look(frame)
        if not parts:
            return np.zeros((self._height, self._width), dtype=np.uint8)
        ink = self._cut(frame, pooled, spread, digit_cells(parts, main))
        if self.status == FOUND and any(_beside(part, main) for part in parts):
            self.status = MANY
        return ink

    def inks(self, frame: np.ndarray, most: int) -> list[tuple[np.ndarray, int, tuple[int, int, int, int] | None]]:
        """Up to `most` digits of a frame, left to right: a list of (ink, status, box). Empty where there is none."""
        pooled, spread, parts, main = self._look(frame)
        if not parts:
            return []
        row = [part for part in parts if part is main or _beside(part, main)]
        row = sorted(sorted(row, key=_weight)[-most:], key=lambda part: part[2])
        found = []
        for part in row:
            ink = self._cut(frame, pooled, spread, digit_cells(parts, part))
            found.append((ink, self.status, self.box))
        return found

    def _look(self, frame: np.ndarray) -> tuple:
        """The whole picture: pooled (30, 40) uint8, what `_spread` made of it, parts as `parts_of` lists them but for
        weak ones, the main part.

        Sets `status` to NOTHING or TOO_DARK and `box` to None; with parts the caller goes on.
        """
        self.box = None
        self.status = NOTHING
        scale = self._scale
        pixels = frame.reshape((FRAME_HEIGHT * scale, 2 * FRAME_WIDTH * scale))
        high = np.bitwise_and(pixels[::scale, 0 :: 2 * scale], 7)  # the upper 3 of 6 bits of green
        pooled = _pooled(high) * 8  # (30, 40) uint8
        pooled += _pooled(np.right_shift(pixels[::scale, 1 :: 2 * scale], 5))  # 0..252

        lowest = np.minimum(pooled[0::2], pooled[1::2])
        lowest = np.minimum(lowest[:, 0::2], lowest[:, 1::2])  # (15, 20)
        spread = self._spread(pooled)
        paper = _shrunk(spread[2:20, 2:25], (1, 2))  # (15, 20): closed by 4x4 cells
        if int(np.max(paper)) < DARK_PAPER:
            self.status = TOO_DARK
            return pooled, spread, [], None
        dark = self._darkness(lowest, paper)  # (15, 20)
        peak = int(np.sort(np.max(dark, axis=1))[15 - PEAK_RANK])
        if peak < MIN_PEAK:
            return pooled, spread, [], None
        parts = parts_of(self._rows(dark, THRESHOLD_64THS * peak >> 6), self._rows(dark, STRONG_64THS * peak >> 6))
        if not parts:
            return pooled, spread, parts, None
        main = max(parts, key=_weight)
        return pooled, spread, [part for part in parts if part is main or part[5] * WEAK_PART >= part[0]], main

    def _rows(self, dark: np.ndarray, threshold: int) -> list[int]:
        """Which of the (15, 20) cells are darker than this: 15 int of 20 bits, bit c for column c."""
        return [int(row[0]) for row in np.dot((dark > threshold) * self._one, self._bits).tolist()]

    def _spread(self, pooled: np.ndarray) -> np.ndarray:
        """The brightest level of each 4x4 cells that touch the picture, (22, 27) uint8; the first holds just a corner
        of it, those of the picture's own rows and columns begin at [2, 2]."""
        half = np.right_shift(pooled, 1)
        rows = half[0::2]
        rows += half[1::2]  # (15, 40): mean of two rows
        level = np.right_shift(np.maximum(rows[:, 0::2], rows[:, 1::2]), 1)
        rows = np.right_shift(rows, 1)
        mean = rows[:, 0::2]
        mean += rows[:, 1::2]
        level += np.right_shift(mean, 1)
        plane = self._plane
        plane[5:20, 5:25] = level
        for shift in (1, 2):
            plane = np.maximum(plane[:, :-shift], plane[:, shift:])  # (25, 27)
        for shift in (1, 2):
            plane = np.maximum(plane[:-shift], plane[shift:])  # (22, 27)
        return plane

    def _darkness(self, value: np.ndarray, paper: np.ndarray) -> np.ndarray:
        """How dark `value` is on `paper`, both uint8 of one shape: uint16, 0 (paper or brighter) to 252 (black)."""
        dark = np.maximum(paper, value)
        dark -= value
        dark = dark * self._wide
        dark //= paper
        return dark

    def _cut(
        self, frame: np.ndarray, pooled: np.ndarray, spread: np.ndarray, cells: tuple[int, int, int, int]
    ) -> np.ndarray:
        """The ink of the digit in these cells (top, left, bottom, right); sets `status` and `box`."""
        top, left, bottom, right = cells
        near = spread[top : bottom + 7, left : right + 7]
        near = np.maximum(near[:, :-2], near[:, 2:])
        near = _shrunk(np.maximum(near[:-2], near[2:]), (1, 2, 2))  # closed by 6x6 cells
        lack = int(np.max(near)) - near
        near = near + np.right_shift(lack, PAPER_SHIFT)
        around = np.zeros((2 * (bottom - top), 2 * (right - left)), dtype=np.uint8)  # the paper, each value four times
        around[0::2, 0::2] = near
        around[0::2, 1::2] = near
        around[1::2, 0::2] = near
        around[1::2, 1::2] = near
        dark = self._darkness(pooled[2 * top : 2 * bottom, 2 * left : 2 * right], around)

        # The peak once more, of this part alone: the 6th part of its rows may be darker.
        tall = np.sort(np.max(dark, axis=1))
        peak = max(int(tall[len(tall) - 1 - len(tall) // 6]), MIN_PEAK)
        threshold = THRESHOLD_64THS * peak >> 6
        mass = np.maximum(dark, threshold)
        mass -= threshold
        masses = np.sum(mass, axis=1).tolist()
        total = sum(masses)
        self.status = NOTHING
        self.box = None
        blank = np.zeros((self._height, self._width), dtype=np.uint8)
        if not total:
            return blank

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

        # Centre and slant, by moments.
        moments = np.dot(mass, self._columns[: 2 * (right - left)]).tolist()  # <= 252 * 780 < 2**18
        down = across = 0
        for i in range(len(masses)):
            down += i * int(masses[i])
            across += int(moments[i][0])
        y16 = (16 * down + 8 * total) // total  # 1/16 pooled pixels from the corner of the cells
        x16 = (16 * across + 8 * total) // total
        upright = slanted = 0
        for i in range(len(masses)):
            away = 16 * i + 8 - y16
            here = int(masses[i])
            upright += away * away * here >> 8
            slanted += away * (16 * int(moments[i][0]) + (8 - x16) * here) >> 8
        shear = slanted * 128 // upright if upright else 0
        shear = max(-MAX_SHEAR, min(MAX_SHEAR, shear))
        return self._sample(frame, pooled, near, cells, 16 * y16, 16 * x16, size, shear, peak)

    def _sample(
        self,
        frame: np.ndarray,
        pooled: np.ndarray,
        near: np.ndarray,
        cells: tuple[int, int, int, int],
        y256: int,
        x256: int,
        size: int,
        shear: int,
        peak: int,
    ) -> np.ndarray:
        """Ink of a digit centred at (y256, x256) from the corner of its cells, `size` long, all in 1/256 pooled pixels.

        near   paper of the cells, uint8      shear  128ths of a column that the digit leans to the left a row
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
            upper = np.right_shift(upper, 1)
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
        values = upper[:, :-1]
        values += upper[:, 1:]  # 0..252; value i lies between samples i and i + 1
        length = len(values[0])

        half = unit >> 1
        step = max(size * half // self._box_size, 256)  # 1/256 samples
        reach = (step * self._height * abs(shear) >> 16) + 1  # samples that the top row is moved by
        columns, first_column = _picks(x256 * half + 256 * reach, step, self._width, length + 2 * reach)
        rows = _places(y256 * half, step, self._height, len(values))
        across = np.zeros((bottom - top, unit * (right - left)), dtype=np.uint8)  # paper, stretched along the rows
        for i in range(unit):
            across[:, i::unit] = near
        ink = np.zeros((self._height, self._width), dtype=np.uint8)
        if not rows or first_column < 0:
            return ink
        count = len(rows)
        both = np.zeros((2 * count, length + 2 * reach), dtype=np.uint8)  # picture above, paper below
        both += 255
        for k in range(count):
            row, i = rows[k]
            moved = ((2 * row + 1 - self._height) * step * shear >> 15) + 1 >> 1
            both[k, reach - moved : reach - moved + length] = values[i]
            both[count + k, reach - moved : reach - moved + length] = across[i // unit, :length]
        both = np.compress(columns, both, axis=1)
        zero = ZERO_64THS * peak >> 6
        dark = np.maximum(self._darkness(both[:count], both[count:]), zero)
        dark -= zero
        dark *= 255  # <= 64260
        dark //= peak - zero
        dark = np.minimum(dark, 255)
        first_row = rows[0][0]
        ink[first_row : first_row + count, first_column : first_column + len(dark[0])] = dark
        return ink


def _shrunk(plane: np.ndarray, shifts: tuple[int, ...]) -> np.ndarray:
    """The smallest value of each window of cells, at least MIN_PAPER; a window is one cell longer than the shifts."""
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


def parts_of(rows: list[int], strong: list[int]) -> list[tuple[int, int, int, int, int, int]]:
    """The 8-connected parts of the cells: (area, top, left, bottom, right, strong) each, half open, in cells.

    rows    15 int of 20 bits, bit c set where column c holds ink. Single cells are grain and dropped first. Parts are
            looked for from the top; after MAX_PARTS of them the rest is left alone.
    strong  the strong ones among them; a part's last number counts its own
    """
    rows = _without_single_cells(rows)
    parts: list[tuple[int, int, int, int, int, int]] = []
    for y in range(15):
        while rows[y] and len(parts) < MAX_PARTS:
            parts.append(_take_part(rows, strong, y))
    return parts


def _weight(part: tuple[int, int, int, int, int, int]) -> int:
    """Area of a part, its strong cells four times; at the frame's border, where shadows come in, a third of that."""
    at_border = part[1] == 0 or part[2] == 0 or part[3] == 15 or part[4] == 20
    weight = part[0] + STRONG_WEIGHT * part[5]
    return weight // BORDER_PART if at_border else weight


def _beside(part: tuple[int, int, int, int, int, int], main: tuple[int, int, int, int, int, int]) -> bool:
    """Whether a part is a digit of its own beside the main part: about as tall, an empty column of cells between."""
    return (
        (part[2] > main[4] or part[4] < main[2])
        and (part[3] - part[1]) * 8 >= (main[3] - main[1]) * SECOND_DIGIT
        and part[0] * SECOND_AREA >= main[0]
    )


def digit_cells(parts: list[tuple[int, int, int, int, int, int]], main: tuple[int, int, int, int, int, int]) -> tuple:
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
            and not _beside(part, main)
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


def _take_part(rows: list[int], strong: list[int], y: int) -> tuple[int, int, int, int, int, int]:
    """Take the 8-connected part with the lowest cell of row `y` out of `rows`; returns it as `parts_of` does.

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
    columns = area = dark = 0
    for i in range(y, bottom):
        row = part[i]
        rows[i] ^= row
        columns |= row
        area += bin(row).count("1")
        dark += bin(row & strong[i]).count("1")
    left = 0
    while not columns >> left & 1:
        left += 1
    right = left
    while columns >> right:
        right += 1
    return area, y, left, bottom, right, dark


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


def _places(centre256: int, step: int, count: int, length: int) -> list[tuple[int, int]]:
    """Which of `length` sums of neighbours (the sum of i and i + 1 lies at i + 1) `count` samples around a centre hit.

    Returns (number of the sample, index of the sum) of those inside the picture.
    """
    places = []
    for k in range(count):
        i = (centre256 + ((2 * k + 1 - count) * step >> 1) - 128) >> 8
        if 0 <= i < length:
            places.append((k, i))
    return places


def _picks(centre256: int, step: int, count: int, length: int) -> tuple[list[bool], int]:
    """The same as one bool a sum, for compress, and the number of the first sample inside, -1 if there is none."""
    places = _places(centre256, step, count, length)
    picked = [False] * length
    for _, i in places:
        picked[i] = True
    return picked, places[0][0] if places else -1
