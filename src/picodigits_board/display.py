"""The ST7735R, 128x160 pixels, drawn window by window straight over its wire. The PC draws its pictures with it too.

What is sent is on the glass at once; nothing is composed or kept in memory. Measured on CircuitPython 10.0.0, virtual
ms, SPI at 20.8 MHz: the camera's picture takes 3.8. Drawn with displayio the same screen took 37 to 94 a frame and its
start 0.9 s, so of displayio only the bitmap is used, and the font that is built in.

Datasheet: ST7735R V0.2 (Sitronix, 2009-08-05). Frame rate, voltages and gamma stay as the controller has them after
its reset.
"""

from __future__ import annotations

import time

try:
    from bitmaptools import blit as blit
    from displayio import Bitmap as Bitmap
    from ulab import numpy as np

    def read_shape(file, shape) -> None:  # type: ignore[no-untyped-def]
        """Fill a bitmap of two colours from a file that has its memory."""
        file.readinto(shape)
except ImportError:  # on the PC a bitmap is an array: (height, width), a byte or, of 65536 values, two for each pixel
    import numpy as np

    def Bitmap(width: int, height: int, values: int) -> np.ndarray:  # noqa: N802
        """As displayio.Bitmap."""
        return np.zeros((height, width), np.uint16 if values > 256 else np.uint8)

    def blit(to, source, x, y, *, x1, y1, x2, y2):  # type: ignore
        """As bitmaptools.blit, without clipping."""
        to[y : y + y2 - y1, x : x + x2 - x1] = source[y1:y2, x1:x2]

    def read_shape(file, shape) -> None:  # type: ignore[no-untyped-def]
        """Fill a bitmap of two colours from a file that has the board's memory of it: rows of whole 32-bit words,
        eight pixels a byte, the first one in its highest bit."""
        height, width = shape.shape
        row_bytes = -(-width // 32) * 4
        rows = np.frombuffer(file.read(height * row_bytes), np.uint8).reshape(height, row_bytes)
        shape[:] = np.unpackbits(rows, axis=1)[:, :width]


WIDTH = 128
HEIGHT = 160
LETTER_WIDTH = 6
LETTER_HEIGHT = 12
LETTERS = WIDTH // LETTER_WIDTH  # across the screen
MEMORY_SIZE = (48, 38)  # pixels: as wide as a large digit; 3648 bytes, which the network of `fast` shares

SLPOUT = 0x11
DISPOFF = 0x28
DISPON = 0x29
CASET = 0x2A
RASET = 0x2B
RAMWR = 0x2C
MADCTL = 0x36
COLMOD = 0x3A
UPRIGHT = b"\xc0"  # MADCTL: MY and MX, as the module's glass is mounted
SIDEWAYS = b"\xe0"  # and MV: the pixels of a window go down its columns
RGB565 = b"\x05"  # COLMOD: 16 bits a pixel

# RGB565, high byte first. Blue and orange are told apart with every kind of colour blindness (Okabe and Ito, 2008).
WHITE = np.array([0xFFFF], dtype=np.uint16)
BLUE = np.array([0xBD55], dtype=np.uint16)  # 56B4E9
ORANGE = np.array([0xE0E4], dtype=np.uint16)  # E69F00
GREY = np.array([0x494A], dtype=np.uint16)  # 484848
BLACK = np.array([0x0000], dtype=np.uint16)

opened: list = []  # what holds pins beside the wire


class Display:
    """The screen behind a wire.

    wire  has send(command, data): int, buffer; as fourwire.FourWire
    font  a 1-bit bitmap: the letters from space to tilde beside each other, 6x12 pixels each
    """

    def __init__(self, wire, font) -> None:  # type: ignore[no-untyped-def]
        """Take a screen that is just out of its reset, and wake it up; `light_up` shows what was drawn."""
        self._send = wire.send
        self._font = font
        self._window = bytearray(4)
        self._letter = Bitmap(LETTER_WIDTH, LETTER_HEIGHT, 65536)
        self._letter_pixels = np.frombuffer(self._letter, dtype=np.uint16)
        self._letter_bytes = np.frombuffer(self._letter, dtype=np.uint8).reshape((LETTER_HEIGHT, 2 * LETTER_WIDTH))
        self._bitmap = Bitmap(MEMORY_SIZE[0], MEMORY_SIZE[1], 65536)
        self._block = np.frombuffer(self._bitmap, dtype=np.uint16)
        self.memory = np.frombuffer(self._bitmap, dtype=np.uint8)  # to make pixels in; free between two calls
        self._send(SLPOUT, b"")
        time.sleep(0.005)  # SLPOUT: until the supplies are stable
        self._send(COLMOD, RGB565)
        self._send(MADCTL, UPRIGHT)

    def light_up(self) -> None:
        """Show what is drawn, from now on."""
        self._send(DISPON, b"")

    def go_dark(self) -> None:
        """Show nothing."""
        self._send(DISPOFF, b"")

    def draw(self, x: int, y: int, width: int, height: int, pixels: object, sideways: bool = False) -> None:
        """Fill a window with `pixels`: a buffer of RGB565, high byte first, row by row; `sideways` column by column."""
        window = self._window
        if sideways:
            self._send(MADCTL, SIDEWAYS)
            x, y, width, height = y, x, height, width
        window[1] = x
        window[3] = x + width - 1
        self._send(CASET, window)
        window[1] = y
        window[3] = y + height - 1
        self._send(RASET, window)
        self._send(RAMWR, pixels)
        if sideways:
            self._send(MADCTL, UPRIGHT)

    def camera(self, picture: object, sideways: bool) -> None:
        """The camera's picture in the upper left corner, RGB565_SWAPPED: (60, 80), or (120, 160) and of that every
        second row and column."""
        pixels = np.frombuffer(picture, dtype=np.uint16)
        if len(pixels) == 4800:
            if sideways:
                self.draw(0, 0, 60, 80, picture, sideways=True)
            else:
                self.draw(0, 0, 80, 60, picture)
            return
        pixels = pixels.reshape((120, 160))
        rows = 20  # at a time
        block = self._block[: rows * 80].reshape((rows, 80))
        for top in range(0, 60, rows):
            block *= 0  # in place: a copy would take four times as long
            block += pixels[2 * top : 2 * (top + rows) : 2, 0::2]
            if sideways:
                self.draw(top, 0, rows, 80, block, sideways=True)
            else:
                self.draw(0, top, 80, rows, block)

    def fill(self, x: int, y: int, width: int, height: int, colour: np.ndarray) -> None:
        """Fill a window with a colour."""
        block = self._block
        rows = min(len(block) // width, height)
        block[: rows * width] = colour
        for top in range(0, height, rows):
            rows = min(rows, height - top)
            self.draw(x, y + top, width, rows, block[: rows * width])

    def clear(self) -> None:
        """Everything black."""
        self.fill(0, 0, WIDTH, HEIGHT, BLACK)

    def text(self, x: int, y: int, text: str, colour: np.ndarray, scale: int = 1) -> None:
        """Write `text` on black, its upper left corner at (x, y)."""
        self.letters(x, y, letters_of(text), colour, scale)

    def letters(self, x: int, y: int, letters: bytes, colour: np.ndarray, scale: int = 1) -> None:
        """Write letters as `letters_of` gives them on black, the upper left corner at (x, y)."""
        letter_bytes = self._letter_bytes
        if scale > 1:
            large = np.zeros((LETTER_HEIGHT * scale, 2 * LETTER_WIDTH * scale), dtype=np.uint8)
        for letter in letters:
            left = LETTER_WIDTH * (letter - 32 if 32 <= letter < 127 else 31)
            blit(self._letter, self._font, 0, 0, x1=left, y1=0, x2=left + LETTER_WIDTH, y2=LETTER_HEIGHT)
            self._letter_pixels *= colour
            if scale == 1:
                self.draw(x, y, LETTER_WIDTH, LETTER_HEIGHT, self._letter)
            else:
                for k in range(2 * scale):  # each byte of a pixel, once for each copy beside it
                    part = letter_bytes[:, k % 2 :: 2]
                    for i in range(scale):
                        large[i::scale, k :: 2 * scale] = part
                self.draw(x, y, LETTER_WIDTH * scale, LETTER_HEIGHT * scale, large)
            x += LETTER_WIDTH * scale

    def stamp(self, x: int, y: int, shape, width: int, height: int, colour: np.ndarray) -> None:  # type: ignore[no-untyped-def]
        """Draw a bitmap of two colours, black and `colour`, of no more than MEMORY_SIZE[0] columns."""
        wide, rows = MEMORY_SIZE
        for top in range(0, height, rows):
            rows = min(rows, height - top)
            blit(self._bitmap, shape, 0, 0, x1=0, y1=top, x2=width, y2=top + rows)
            block = self._block[: wide * rows]
            if width < wide:
                block = block.reshape((rows, wide))[:, :width].flatten()
            block *= colour
            self.draw(x, y + top, width, rows, block)

    def message(self, title: str, text: str) -> None:
        """Fill the screen with a message: what is wrong in one line, and what to do about it."""
        self.clear()
        self.text((WIDTH - 12 * len(title)) // 2, 14, title, ORANGE, scale=2)
        lines = wrap(text, LETTERS)[:8]
        for number, line in enumerate(lines):
            self.text(1, 52 + 13 * number, line, WHITE)
        self.light_up()


def open_display(backlight: int = 100) -> Display:
    """As `lcd.open_display`, which is forgotten then. On the board alone."""
    from picodigits_board import heap, lcd

    display = lcd.open_display(backlight)
    heap.forget("lcd")
    return display


def close_display(display: Display | None) -> None:
    """The screen dark, and its pins released."""
    import displayio

    if display is not None:
        display.go_dark()
    displayio.release_displays()
    while opened:
        opened.pop().deinit()  # CircuitPython keeps the bus of a display, even after the program's end


def letters_of(text: str) -> bytes:
    """A byte a letter: its ASCII code, or that of a question mark for one outside ASCII.

    Bytes, because CircuitPython would keep each letter of a str as a name of its own, in the way of large blocks.
    """
    raw = text.encode()
    if len(raw) == len(text):
        return raw
    return bytes([code if code < 128 else 63 for code in raw if code & 0xC0 != 0x80])


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` letters, broken between words where it can be."""
    lines = [""]
    for word in text.split():
        while len(word) > width:
            lines += [word[:width], ""]
            word = word[width:]
        if len(lines[-1]) + len(word) + (1 if lines[-1] else 0) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return [line for line in lines if line]
