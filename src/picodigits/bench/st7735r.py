"""A virtual ST7735R: the 128x160 display controller of the 1.8 inch LCD module, and the glass behind it.

Knows nothing of the emulator. It takes the bytes that arrive on its SPI, as commands (A0 low) and data
(A0 high), and says what the eye would see:

    lcd = ST7735R()
    lcd.command(0x2C)                 # RAMWR
    lcd.data(rgb565_high_byte_first)
    lcd.picture()                     # (160, 128, 3) uint8

Modelled, with pages of the datasheets: "R" is ST7735R V0.2 (Sitronix, 2009-08-05), "S" is ST7735 V1.7
(2009-12-04), which describes the same commands:

    SWRESET 01h                 software-reset values, asleep, display off; the GRAM keeps its content (R 106)
    SLPIN 10h, SLPOUT 11h       asleep: black
    INVOFF 20h, INVON 21h       inverted colours on the glass, not in the GRAM
    DISPOFF 28h, DISPON 29h     off: black
    CASET 2Ah, RASET 2Bh        the window; what lies outside the GRAM is dropped (S 99)
    RAMWR 2Ch                   pixels from the window's first corner on, wrapping round at its end (R 106)
    MADCTL 36h                  MY, MX, MV when pixels are written; RGB when they are shown (S 54, 109)
    COLMOD 3Ah                  12, 16 and 18 bits a pixel (R 54)

Not modelled: reading back; gamma, frame rate and power settings (accepted, without effect); ML and MH (only
the order in which the glass is refreshed); partial and scroll areas; the time that a command takes; tearing.

**The glass.** The controller can't know how a module's maker mounted the glass, and modules differ. The
module of the article shows an upright, truly coloured picture after `adafruit_st7735r.ST7735R(bus, bgr=True)`,
which ends with MADCTL = C0h (MY and MX set, RGB clear) and offsets 0. Hence two facts of this glass: it is
mounted half a turn round, GRAM (column 0, row 0) in the viewer's lower right corner, and its colour filters
are in the order that MADCTL.RGB = 0 drives. Any other MADCTL shows here as it would there: mirrored, upside
down, turned by a quarter, or with red and blue swapped. The GRAM has 128 x 160 pixels (GM = 011, S 54).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from picodigits.errors import BenchError

WIDTH = 128
HEIGHT = 160

SWRESET = 0x01
SLPIN = 0x10
SLPOUT = 0x11
INVOFF = 0x20
INVON = 0x21
DISPOFF = 0x28
DISPON = 0x29
CASET = 0x2A
RASET = 0x2B
RAMWR = 0x2C
MADCTL = 0x36
COLMOD = 0x3A

MADCTL_MY = 0x80
MADCTL_MX = 0x40
MADCTL_MV = 0x20
MADCTL_RGB = 0x08

# COLMOD's IFPF bits -> bytes that hold a whole number of pixels.
_GROUP_BYTES = {0b011: 3, 0b101: 2, 0b110: 3}
_DECODE_AT = 8192  # bytes of pixels kept back at most, so that single bytes off the wire cost little


class ST7735R:
    """The controller's registers, its GRAM, and the picture on the glass.

    `madctl`, `colmod`, `awake`, `display_on` and `inverted` are the state set by the commands. `gram` is
    (160, 128, 3) uint8, 6 bits per colour (0..63), by physical row and column, red, green, blue.
    """

    def __init__(self) -> None:
        # The GRAM of a real one holds noise after power-on; zeros make pictures reproducible.
        self.gram: NDArray[np.uint8] = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        self.reset()

    def reset(self) -> None:
        """Pull the RESX pin low and let it go: all registers to their reset values, asleep, display off."""
        self.madctl = 0x00
        self.colmod = 0x06
        self._software_reset()

    def _software_reset(self) -> None:
        # MADCTL and COLMOD survive a software reset (S 85).
        self.awake = False
        self.display_on = False
        self.inverted = False
        self._command: int | None = None
        self._parameters = bytearray()
        self._pixels = bytearray()  # bytes of RAMWR that are not decoded yet
        self._pixel_index = 0  # pixels written into the window since RAMWR
        swapped = bool(self.madctl & MADCTL_MV)
        self._columns = (0, (HEIGHT if swapped else WIDTH) - 1)
        self._rows = (0, (WIDTH if swapped else HEIGHT) - 1)

    def command(self, byte: int) -> None:
        """Take one byte that arrived with A0 (D/CX) low. Ends the command before it.

        Raises BenchError for a number that is not a byte.
        """
        if not 0 <= byte <= 0xFF:
            raise BenchError(f"ST7735R command: got {byte}, need 0..255. Is the SPI set to 8 bits?")
        self._decode_pixels()
        self._command = byte
        self._parameters.clear()
        self._pixels.clear()  # part of a pixel that the command cut off
        action = _ACTIONS.get(byte)
        if action is not None:
            action(self)

    def data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes that arrived with A0 (D/CX) high: parameters of the last command, or pixels after RAMWR.

        `data` may be of any length; a pixel may be split between two calls.
        """
        if self._command == RAMWR:
            self._pixels += data
            if len(self._pixels) >= _DECODE_AT:
                self._decode_pixels()
        elif self._command in (CASET, RASET, MADCTL, COLMOD) and len(self._parameters) < 4:
            self._parameters += data[: 4 - len(self._parameters)]
            self._take_parameters()

    def picture(self) -> NDArray[np.uint8]:
        """What the eye sees now: (160, 128, 3) uint8, row 0 on top, R G B. Black when asleep or off."""
        self._decode_pixels()
        if not (self.awake and self.display_on):
            return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        levels = 63 - self.gram if self.inverted else self.gram
        seen = levels[::-1, ::-1]  # the glass is mounted half a turn round
        if self.madctl & MADCTL_RGB:
            seen = seen[:, :, ::-1]
        return np.ascontiguousarray(seen << 2 | seen >> 4)  # 0..63 -> 0..255

    def colours(self) -> int:
        """How many colours the eye sees now; 1 when asleep or off."""
        self._decode_pixels()
        if not (self.awake and self.display_on):
            return 1
        red, green, blue = (self.gram[:, :, i].astype(np.uint32) for i in range(3))
        return len(np.unique(red << 12 | green << 6 | blue))

    def _take_parameters(self) -> None:
        parameters = self._parameters
        if self._command == MADCTL:
            self.madctl = parameters[0]
        elif self._command == COLMOD:
            self.colmod = parameters[0]
        elif len(parameters) == 4:
            window = (parameters[0] << 8 | parameters[1], parameters[2] << 8 | parameters[3])
            if self._command == CASET:
                self._columns = window
            else:
                self._rows = window

    def _start_writing(self) -> None:
        self._pixel_index = 0

    def _decode_pixels(self) -> None:
        """Move whole pixels from the bytes kept back into the GRAM."""
        group_bytes = _GROUP_BYTES.get(self.colmod & 0b111)
        if group_bytes is None:  # a COLMOD that the datasheet prohibits: nothing can be shown
            self._pixels.clear()
            return
        whole = len(self._pixels) // group_bytes * group_bytes
        if whole == 0:
            return
        raw = np.frombuffer(bytes(self._pixels[:whole]), np.uint8).reshape(-1, group_bytes)
        del self._pixels[:whole]
        if group_bytes == 2:
            colours = _from_565(raw)
        elif self.colmod & 0b111 == 0b011:
            colours = _from_444(raw)
        else:
            colours = (raw >> 2).astype(np.uint8)  # 6 bits, left-aligned in each byte
        self._write(colours)

    def _write(self, colours: NDArray[np.uint8]) -> None:
        """Write (n, 3) colours of 0..63 into the window, from where the last ones ended."""
        first_column, last_column = self._columns
        first_row, last_row = self._rows
        width = last_column - first_column + 1
        height = last_row - first_row + 1
        if width <= 0 or height <= 0:
            return
        index = (self._pixel_index + np.arange(len(colours))) % (width * height)
        self._pixel_index = (self._pixel_index + len(colours)) % (width * height)
        column = first_column + index % width
        row = first_row + index // width
        if self.madctl & MADCTL_MV:
            column, row = row, column
        inside = (column < WIDTH) & (row < HEIGHT)
        if self.madctl & MADCTL_MX:
            column = WIDTH - 1 - column
        if self.madctl & MADCTL_MY:
            row = HEIGHT - 1 - row
        self.gram[row[inside], column[inside]] = colours[inside]


def _from_565(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 2) bytes rrrrrggg gggbbbbb -> (n, 3) colours of 0..63; full scale stays full scale."""
    high, low = raw[:, 0], raw[:, 1]
    red = high >> 3
    green = (high & 0x07) << 3 | low >> 5
    blue = low & 0x1F
    return np.stack([red << 1 | red >> 4, green, blue << 1 | blue >> 4], axis=1)


def _from_444(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 3) bytes rrrrgggg bbbbrrrr ggggbbbb, two pixels -> (2 n, 3) colours of 0..63."""
    nibbles = np.stack([raw >> 4, raw & 0x0F], axis=2).reshape(-1, 3)
    return (nibbles << 2 | nibbles >> 2).astype(np.uint8)


def _set(name: str, value: bool) -> Callable[[ST7735R], None]:
    return lambda lcd: setattr(lcd, name, value)


_ACTIONS: dict[int, Callable[[ST7735R], None]] = {
    SWRESET: ST7735R._software_reset,
    SLPIN: _set("awake", False),
    SLPOUT: _set("awake", True),
    INVOFF: _set("inverted", False),
    INVON: _set("inverted", True),
    DISPOFF: _set("display_on", False),
    DISPON: _set("display_on", True),
    RAMWR: ST7735R._start_writing,
}
