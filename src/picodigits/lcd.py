"""The board's screen on the PC: `picodigits_board.display` and `screen`, drawing into a virtual ST7735R.

The drawing is the board's, command by command; only the wire is ours: it hands its bytes to `bench.st7735r`. The
letters are those built into CircuitPython, out of Blinka.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits.bench import st7735r
from picodigits.export.strokes import digits_file
from picodigits_board.display import LETTER_HEIGHT, LETTER_WIDTH, Display
from picodigits_board.lcd import welcome
from picodigits_board.modelfile import Model
from picodigits_board.screen import Screen

_MOST_FRAMES = 40  # until the longest label and hint stand on the screen


class _Wire:
    """What the board has as fourwire.FourWire."""

    def __init__(self, controller: st7735r.ST7735R) -> None:
        self._controller = controller

    def send(self, command: int, data: bytes | bytearray | NDArray[np.generic]) -> None:
        """Send a command and what belongs to it."""
        self._controller.command(command)
        if len(data):
            self._controller.data(bytes(data))


@cache
def _font() -> NDArray[np.uint8]:
    """CircuitPython's letters from space to tilde beside each other: (12, 570), 0 or 1."""
    os.environ.setdefault("BLINKA_OS_AGNOSTIC", "1")  # Blinka: no pins are needed, on any computer
    import terminalio

    letters = np.zeros((LETTER_HEIGHT, 95 * LETTER_WIDTH), np.uint8)
    for i in range(95):
        glyph = terminalio.FONT.get_glyph(32 + i)
        for y in range(glyph.height):
            for x in range(glyph.width):
                letters[y, i * LETTER_WIDTH + x] = glyph.bitmap[x, y]
    return letters


class Lcd:
    """A 128x160 LCD that shows what the board's program would show for a model."""

    def __init__(self, model: Model, *, transpose: bool = False, length: int = 1) -> None:
        self._controller = st7735r.ST7735R()
        self.display = Display(_Wire(self._controller), _font())
        welcome(self.display)
        self._labels = model.labels
        self._transpose = transpose
        self._length = length
        self._picture = np.zeros((0, 0), np.uint16)
        self._screen: Screen | None = None

    def show(
        self,
        frame: NDArray[np.uint16],
        ink: NDArray[np.uint8],
        decision: int | str,
        confidence: int,
        status: int,
        fps: float = 0.0,
        box: tuple[int, int, int, int] | None = None,
        boxes: Sequence[tuple[int, int, int, int]] = (),
    ) -> Image.Image:
        """The LCD after a frame (60, 80) or (120, 160) uint16 RGB565_SWAPPED and what was made of it: an RGB image,
        128x160.

        decision  class index or -1, or the text that was read
        boxes     of several digits those of each, in pixels of an 80x60 frame as `box`
        """
        if self._screen is None or self._picture.shape != frame.shape:
            self._picture = np.zeros(frame.shape, np.uint16)
            self._screen = Screen(
                self.display,
                self._picture,
                self._labels,
                (ink.shape[0], ink.shape[1]),
                self._transpose,
                self._length,
                io.BytesIO(digits_file()),
            )
        self._picture[:] = frame
        if isinstance(decision, int):
            decision = self._labels[decision] if decision >= 0 else ""
        for _ in range(_MOST_FRAMES):
            self._screen.show_picture(status, box, list(boxes))
            if self._screen.show(ink, decision, confidence, status, fps):
                break
        return self.picture()

    def message(self, title: str, text: str) -> Image.Image:
        """The LCD with a message of the board's program: an RGB image, 128x160."""
        self.display.message(title, text)
        self._screen = None
        return self.picture()

    def picture(self) -> Image.Image:
        """What the eye sees now: an RGB image, 128x160."""
        return Image.fromarray(self._controller.picture())
