"""What the 128x160 screen shows while the program reads.

    +--------------------+----------+      upright camera, 80x60; one that lies on its side shows 60x80,
    | camera, with a box | ink      |      and the digits become smaller
    | around the digit   | 9.8 fps  |
    +--------------------+----------+
    |               7               |
    | ==================       97%  |
    | hint                          |
    +-------------------------------+

Only what has changed is drawn, and of large things one a frame, so that every frame takes about as long. Measured on
CircuitPython 10.0.0, virtual ms: camera 3.8, box 0.6, ink 3.5, a large digit 8.3, a letter 0.4; a frame 9.5 to 13.4.
"""

from __future__ import annotations

from picodigits_board.display import (
    BLACK,
    BLUE,
    GREY,
    LETTERS,
    ORANGE,
    WHITE,
    WIDTH,
    Bitmap,
    Display,
    letters_of,
    read_shape,
)

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

FOUND = 0  # as preprocess.py has them
TOUCHES_EDGE = 4
HINTS = ("", "show me a digit", "too small: go closer", "too dark: more light", "cut off: centre it", "one at a time")
NOT_SURE = "not sure: no digit?"
TOO_LARGE = "too large: go back"
BAR_WIDTH = 96
NONE: list[tuple[int, int, int, int]] = []
DIGIT_SIZES = ((48, 64), (36, 48), (32, 48))  # of large digits, width and height: one, sideways, four in a row


class Line:
    """A line of fixed-width letters, `length` long at most; `show` draws those that differ from what stands there.

    at_once  letters to draw in one call
    """

    def __init__(
        self, display: Display, x: int, y: int, length: int, colour: np.ndarray, scale: int = 1, at_once: int = 10
    ) -> None:
        self._display = display
        self._x = x
        self._y = y
        self._length = length
        self._colour = colour
        self._scale = scale
        self._pitch = 6 * scale
        self._at_once = at_once
        self.forget()

    def forget(self) -> None:
        """Its place on the screen has been cleared."""
        self._letters = bytearray(b" " * self._length)  # what stands there, as `letters_of` has it

    def show(self, text: str) -> bool:
        """Show `text`, cut to the line. Returns whether it drew anything: then there may be more to draw."""
        letters = self._letters
        wanted = (letters_of(text) + b" " * self._length)[: self._length]
        if wanted == letters:
            return False
        left = self._at_once
        for i in range(self._length):
            letter = wanted[i]
            if letter != letters[i]:
                if not left:
                    return True
                left -= 1
                self._draw(self._x + i * self._pitch, letter)
                letters[i] = letter
        return left < self._at_once

    def _draw(self, x: int, letter: int) -> None:
        self._display.letters(x, self._y, bytes((letter,)), self._colour, self._scale)


class Digits(Line):
    """A row of `length` large digits of one of DIGIT_SIZES, each read from the drive when it is shown; "-" is a dash.

    shapes  digits.bin, open for reading
    """

    def __init__(self, display: Display, x: int, y: int, length: int, size: tuple, shapes) -> None:  # type: ignore[no-untyped-def]
        super().__init__(display, x, y, length, WHITE, at_once=1)
        self._shapes = shapes
        self._pitch, self._height = size
        self._first = 0  # where this size begins in the file
        for wide, high in DIGIT_SIZES[: DIGIT_SIZES.index(size)]:
            self._first += 11 * shape_bytes(wide, high)
        self._shape = Bitmap(self._pitch, self._height, 2)

    def _draw(self, x: int, letter: int) -> None:
        wide, high = self._pitch, self._height
        if letter == 32:
            self._display.fill(x, self._y, wide, high, BLACK)
            return
        digit = 10 if letter == 45 else letter - 48
        self._shapes.seek(self._first + digit * shape_bytes(wide, high))
        read_shape(self._shapes, self._shape)
        self._display.stamp(x, self._y, self._shape, wide, high, self._colour)


def shape_bytes(width: int, height: int) -> int:
    """How long a shape of this size is in digits.bin: rows of whole 32-bit words."""
    return -(-width // 32) * 4 * height


def _shapes() -> object:
    try:
        return open("/lib/picodigits_board/digits.bin", "rb")
    except OSError:
        raise ValueError("lib/picodigits_board/digits.bin: can't be read. Deploy picodigits again") from None


def hint_for(status: int, text: str, box: tuple[int, int, int, int] | None, transpose: bool = False) -> str:
    """What to do, in a line; "" where nothing is wrong.

    status  of the preprocessing         text  what was read; "" for no digit
    box     (top, left, bottom, right) of the digit as it stands on the screen, or None
    """
    if status != TOUCHES_EDGE or box is None:
        return HINTS[status] or ("" if text else NOT_SURE)
    height, width = (80, 60) if transpose else (60, 80)
    top, left, bottom, right = (box[0] == 0, box[1] == 0, box[2] == height, box[3] == width)
    if (top and bottom) or (left and right):
        return TOO_LARGE
    ways = []
    if left or right:
        ways.append("right" if left else "left")
    if top or bottom:
        ways.append("down" if top else "up")
    return "move it " + ", ".join(ways) if ways else HINTS[TOUCHES_EDGE]


class Screen:
    """The picture of a working program.

    picture       buffer of (60, 80) or (120, 160) RGB565_SWAPPED that the camera fills
    labels        of the classes; words are shown in letters, digits in large ones
    ink_size      (height, width) of the inks to be shown
    length        how many labels are read in a row: 1, or up to 4 digits
    transpose     the camera is mounted on its side: rows of the picture go down the screen's columns
    shapes        digits.bin, open for reading; None: the one on the board's drive
    """

    def __init__(
        self,
        display: Display,
        picture: object,
        labels: list[str],
        ink_size: tuple[int, int],
        transpose: bool = False,
        length: int = 1,
        shapes: object = None,
    ) -> None:
        """Take the screen over, cleared. Raises ValueError where the board's drive has no digits.bin."""
        self._display = display
        self._picture = picture
        self._box: tuple[int, int, int, int] | None = None
        self._transpose = transpose
        ink_height, ink_width = ink_size
        side = max(ink_height, ink_width)
        scale = max(40 // side, min(48 // side, 2), 1)  # an ink of 24 takes all the room beside the camera
        rows = min(len(display.memory) // (2 * ink_width * scale * scale), ink_height)  # drawn at a time
        self._ink_scale = scale
        self._ink = np.frombuffer(display.memory, dtype=np.uint8, count=2 * rows * ink_width * scale * scale).reshape(
            (rows * scale, 2 * ink_width * scale)
        )
        self._ink_x = max(min(106 - ink_width * scale // 2, WIDTH - ink_width * scale), 0)
        self._ink_y = max(22 - ink_height * scale // 2, 0)
        self._frame = np.zeros(2 * 80, dtype=np.uint16)  # a row of the box's colour when found, and when not
        self._frame[:80] = BLUE
        self._frame[80:] = ORANGE
        top = 87 if transpose else 67
        self._rule_y = top - 4
        large = 64 if length == 1 and not transpose else 48
        longest = max([len(label) for label in labels]) * length
        if longest <= 4 and "".join(labels).isdigit():
            size = (large * 3 // 4 if longest == 1 else WIDTH // 4, large)
            left = (WIDTH - size[0] * longest) // 2
            self._label: Line = Digits(display, left, top, longest, size, shapes or _shapes())
        else:
            scale = min(5 if large == 64 else 4, max(WIDTH // (6 * longest), 1))
            longest = min(longest, LETTERS)
            left = (WIDTH - 6 * scale * longest) // 2
            self._label = Line(display, left, top + (large - 12 * scale) // 2, longest, WHITE, scale, at_once=2)
        self._longest = longest
        self._confidence = Line(display, 103, 133, 4, WHITE)
        self._hint = Line(display, 1, 147, LETTERS, ORANGE)
        self._fps = Line(display, 86, 48, 7, BLUE)
        self.redraw()

    def redraw(self) -> None:
        """Begin anew on an empty screen, as after a message."""
        self._display.clear()
        self._display.fill(0, self._rule_y, WIDTH, 1, GREY)
        self._display.fill(4, 136, BAR_WIDTH, 6, GREY)
        self._bar = 0
        for line in (self._label, self._confidence, self._hint, self._fps):
            line.forget()

    def show_picture(
        self, status: int, box: tuple[int, int, int, int] | None = None, boxes: list[tuple[int, int, int, int]] = NONE
    ) -> None:
        """Show the camera's picture, and where the digit was found in it.

        status      of the preprocessing
        box         (top, left, bottom, right) of the digit in the camera's picture of 80x60, or None
        boxes       of several digits those of each; `box` holds them all then
        """
        if box is not None and self._transpose:
            box = (box[1], box[0], box[3], box[2])
        self._box = box
        self._display.camera(self._picture, self._transpose)
        colour = 0 if status == FOUND else 80
        for part in boxes:
            self._show_box(part, colour)
        if box is not None and not boxes:
            self._show_box(box, colour)

    def show(self, ink: np.ndarray, text: str, confidence: int, status: int, fps: float) -> bool:
        """Show what the frame of `show_picture` came to.

        ink         uint8 of `ink_size`, as the digit stands on the screen
        text        what was read; "" for no digit
        confidence  percent
        status      of the preprocessing
        returns     True when all of it stands on the screen; else the rest comes with the next frames
        """
        hint = hint_for(status, text, self._box, self._transpose)
        self._box = None  # nothing of a frame is kept in the way of large blocks
        label = text or "-"
        if len(label) < self._longest:  # in the middle, as near as whole letters go
            label = " " * ((self._longest - len(label)) // 2) + label
        if self._label.show(label) or self._hint.show(hint):
            return False
        self._show_ink(ink)
        self._show_bar(confidence if text else 0)
        if self._confidence.show("%3d%%" % confidence if text else ""):
            return False
        self._fps.show("%4.1ffps" % fps if fps else "")
        return True

    def _show_box(self, box: tuple[int, int, int, int], colour: int) -> None:
        """A frame around the digit; its colour begins there in `_frame`."""
        top, left, bottom, right = box
        wide = right - left
        tall = bottom - top
        draw = self._display.draw
        row = self._frame[colour : colour + wide]
        draw(left, top, wide, 1, row)
        draw(left, bottom - 1, wide, 1, row)
        row = self._frame[colour : colour + tall]
        draw(left, top, 1, tall, row)
        draw(right - 1, top, 1, tall, row)

    def _show_ink(self, ink: np.ndarray) -> None:
        """Eight greys: red, green and blue from 0 to 28, 56 and 28."""
        scale = self._ink_scale
        rows = len(self._ink) // scale
        for top in range(0, len(ink), rows):
            level = np.right_shift(ink[top : top + rows], 5)
            large = self._ink[: len(level) * scale]
            for byte in range(2):
                value = level * (4 if byte else 33)
                for i in range(scale):
                    for k in range(byte, 2 * scale, 2):
                        large[i::scale, k :: 2 * scale] = value
            self._display.draw(self._ink_x, self._ink_y + top * scale, len(large[0]) // 2, len(large), large)

    def _show_bar(self, confidence: int) -> None:
        end = BAR_WIDTH * confidence // 100
        if end > self._bar:
            self._display.fill(4 + self._bar, 136, end - self._bar, 6, BLUE)
        elif end < self._bar:
            self._display.fill(4 + end, 136, self._bar - end, 6, GREY)
        self._bar = end
