"""What the 128x160 screen shows, drawn through displayio. The PC draws its pictures with this file too.

    +--------------------+----------+
    | camera, 80x60      | ink      |
    |                    | fps      |
    +--------------------+----------+
    |   7    97%                    |
    | hint                          |
    +-------------------------------+

Text is a row of tiles out of one sheet of glyphs made at start: changing it allocates nothing and redraws no more
than the letters that differ.
"""

from __future__ import annotations

import bitmaptools
import displayio
import terminalio

from picodigits_board import pins

try:  # names for annotations; CircuitPython has no typing and stops here
    import typing  # noqa: F401

    import numpy as np
    from busdisplay import BusDisplay
except ImportError:
    pass

WIDTH = 128
HEIGHT = 160
LINE = 21  # letters across the screen
HINTS = ("", "show me a digit", "too small: go closer", "too dark: more light", "cut off: centre it")
_open_buses: list = []
_WHITE = 0xFFFFFF
_BLUE = 0x56B4E9  # blue and orange: told apart with every kind of colour blindness (Okabe and Ito, 2008)
_ORANGE = 0xE69F00


def open_display() -> BusDisplay:
    """The ST7735R on the pins of `pins.py`, dark until the first refresh. On the board alone."""
    import board
    import busio
    from adafruit_st7735r import ST7735R
    from fourwire import FourWire

    displayio.release_displays()
    spi = busio.SPI(clock=getattr(board, pins.SCREEN_SCK), MOSI=getattr(board, pins.SCREEN_MOSI))
    _open_buses.append(spi)
    bus = FourWire(
        spi,
        command=getattr(board, pins.SCREEN_DC),
        chip_select=getattr(board, pins.SCREEN_CS),
        reset=getattr(board, pins.SCREEN_RESET),
    )
    light = getattr(board, pins.SCREEN_LIGHT) if pins.SCREEN_LIGHT else None
    return ST7735R(bus, width=WIDTH, height=HEIGHT, bgr=True, auto_refresh=False, backlight_pin=light)


def close_display(display: BusDisplay | None) -> None:
    """Backlight off, where a pin drives it, and the screen's pins released."""
    if display is not None and pins.SCREEN_LIGHT:
        display.brightness = 0.0
    displayio.release_displays()
    while _open_buses:
        _open_buses.pop().deinit()  # CircuitPython keeps the bus of a display, even after the program's end


class Text:
    """One line of fixed-width letters; `show(text)` changes those that differ."""

    sheet: displayio.Bitmap | None = None  # every printable ASCII letter beside the other, made once

    def __init__(self, group: displayio.Group, x: int, y: int, length: int, colour: int, scale: int = 1) -> None:
        if Text.sheet is None:
            Text.sheet = _glyph_sheet()
        palette = displayio.Palette(2)
        palette.make_transparent(0)
        palette[1] = colour
        wide, tall = terminalio.FONT.get_bounding_box()[:2]
        self._length = length
        self._shown = " " * length
        self._tiles = displayio.TileGrid(
            Text.sheet, pixel_shader=palette, width=length, height=1, tile_width=wide, tile_height=tall
        )
        place = displayio.Group(scale=scale, x=x, y=y)
        place.append(self._tiles)
        group.append(place)

    def show(self, text: str) -> None:
        """Show `text`, cut or padded to the line; a letter outside ASCII becomes a question mark."""
        shown = self._shown
        if text == shown:
            return
        for i in range(self._length):
            letter = text[i] if i < len(text) else " "
            if letter != (shown[i] if i < len(shown) else " "):
                code = ord(letter) - 32
                self._tiles[i] = code if 0 <= code < 95 else 31
        self._shown = text


class Screen:
    """The picture of a working program, or a message.

    picture       displayio.Bitmap (80x60) that the camera fills, RGB565_SWAPPED
    transpose     the camera is mounted on its side: rows of the picture go down the screen's columns
    """

    def __init__(
        self,
        display: BusDisplay,
        picture: displayio.Bitmap,
        labels: list[str],
        ink_height: int,
        ink_width: int,
        transpose: bool = False,
    ) -> None:
        self._display = display
        self._picture = picture
        self._labels = labels
        self._ink = displayio.Bitmap(ink_width, ink_height, 16)
        group = displayio.Group()
        swapped = displayio.ColorConverter(input_colorspace=displayio.Colorspace.RGB565_SWAPPED)
        camera = displayio.TileGrid(picture, pixel_shader=swapped, x=0, y=2)
        camera.transpose_xy = transpose
        group.append(camera)
        grey = displayio.Palette(16)
        for level in range(16):
            grey[level] = level * 0x111111
        small = displayio.Group(scale=40 // max(ink_height, ink_width), x=86, y=2)
        small.append(displayio.TileGrid(self._ink, pixel_shader=grey))
        group.append(small)
        self._fps = Text(group, 86, 46, 7, _BLUE)
        longest = max(len(label) for label in labels)
        scale = 8 if longest == 1 else min(4, 120 // (6 * longest))  # words stand above their confidence
        self._label = Text(group, 4, 66, longest, _WHITE, scale)
        self._confidence = Text(group, 55, 90 if longest == 1 else 62 + 12 * scale, 4, _BLUE, scale=3)
        self._hint = Text(group, 1, 147, LINE, _ORANGE)
        display.root_group = group

    def show(self, ink: np.ndarray, decision: int, confidence: int, status: int, fps: float) -> None:
        """Show what a frame came to. ink (H, W) uint8, decision class index or -1, confidence percent."""
        self._picture.dirty()
        bitmaptools.arrayblit(self._ink, (ink // 16).tobytes())
        self._label.show(self._labels[decision] if decision >= 0 else "-")
        self._confidence.show("%3d%%" % confidence if decision >= 0 else "")
        self._hint.show(HINTS[status] or ("" if decision >= 0 else "not sure: no digit?"))
        self._fps.show("%4.1ffps" % fps if fps else "")
        self._display.refresh()


def show_message(display: BusDisplay, title: str, text: str) -> None:
    """Fill the screen with a message: what is wrong in one line, and what to do about it."""
    group = displayio.Group()
    Text(group, 4, 8, 10, _ORANGE, scale=2).show(title)
    for number, line in enumerate(wrap(text, LINE)[:9]):
        Text(group, 1, 40 + 13 * number, LINE, _WHITE).show(line)
    display.root_group = group
    display.refresh()


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


def _glyph_sheet() -> displayio.Bitmap:
    """A 1-bit bitmap with the letters from space to tilde of the built-in font, one tile each."""
    wide, tall = terminalio.FONT.get_bounding_box()[:2]
    sheet = displayio.Bitmap(95 * wide, tall, 2)
    for i in range(95):
        glyph = terminalio.FONT.get_glyph(32 + i)
        if glyph is not None:
            left = glyph.tile_index * wide  # on the board all glyphs share one bitmap
            bitmaptools.blit(sheet, glyph.bitmap, i * wide, 0, x1=left, y1=0, x2=left + glyph.width, y2=glyph.height)
    return sheet
