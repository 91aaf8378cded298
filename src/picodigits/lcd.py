"""The board's screen on the PC: `picodigits_board.screen` drawing through Blinka-displayio into a virtual ST7735R.

The driver, adafruit_st7735r, and the drawing are those of the board; only the wire is ours: a FourWire without pins
that hands its bytes to `bench.st7735r`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits.bench import st7735r
from picodigits_board.modelfile import Model

os.environ.setdefault("BLINKA_OS_AGNOSTIC", "1")  # Blinka: no pins are needed, on any computer

import adafruit_st7735r
import bitmaptools
import displayio
from displayio._constants import DISPLAY_COMMAND
from fourwire import FourWire

from picodigits_board import screen


class _Wire(FourWire):  # type: ignore[misc]
    """A FourWire whose other end is a virtual controller instead of SPI pins."""

    def __init__(self, controller: st7735r.ST7735R) -> None:
        self._controller = controller

    def _send(self, data_type: int, chip_select: int, data: Any) -> None:
        if data_type == DISPLAY_COMMAND:
            for byte in bytes(data):
                self._controller.command(byte)
        else:
            self._controller.data(bytes(data))

    def reset(self) -> None:
        self._controller.reset()

    def _begin_transaction(self) -> bool:
        return False

    def _end_transaction(self) -> None:
        pass

    def _free(self) -> bool:
        return True

    def _release(self) -> None:
        pass


class Lcd:
    """A 128x160 LCD that shows what the board's program would show for a model.

    Use as a context manager, or call `close()`: displayio keeps one display at a time.
    """

    def __init__(self, model: Model, *, transpose: bool = False) -> None:
        self._controller = st7735r.ST7735R()
        displayio.release_displays()
        self.display = adafruit_st7735r.ST7735R(
            _Wire(self._controller), width=screen.WIDTH, height=screen.HEIGHT, bgr=True, auto_refresh=False
        )
        self._picture = displayio.Bitmap(80, 60, 65536)
        self._screen = screen.Screen(
            self.display, self._picture, model.labels, model.ink_height, model.ink_width, transpose
        )

    def __enter__(self) -> Lcd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(
        self,
        frame: NDArray[np.uint16],
        ink: NDArray[np.uint8],
        decision: int,
        confidence: int,
        status: int,
        fps: float = 0.0,
    ) -> Image.Image:
        """The LCD after a frame (60, 80) uint16 RGB565_SWAPPED and what was made of it: an RGB image, 128x160."""
        bitmaptools.arrayblit(self._picture, frame.ravel().tolist())
        self._screen.show(ink, decision, confidence, status, fps)
        return self.picture()

    def message(self, title: str, text: str) -> Image.Image:
        """The LCD with a message of the board's program: an RGB image, 128x160."""
        screen.show_message(self.display, title, text)
        return self.picture()

    def picture(self) -> Image.Image:
        """What the eye sees now: an RGB image, 128x160."""
        return Image.fromarray(self._controller.picture())

    def close(self) -> None:
        """Let go of the display."""
        displayio.release_displays()
