"""The OV7670 on its pins: checks that it is there, then captures frames. Hardware only; runs on the board alone."""

from __future__ import annotations

import time

import board
import busio
import digitalio
import displayio
import pwmio
from adafruit_ov7670 import OV7670, OV7670_SIZE_DIV8
from ulab import numpy as np

from picodigits_board import pins

ADDRESS = 0x21  # OV7670 datasheet 1.4, p. 10: 42 (hex) to write, 43 to read, less the read bit
PRODUCT_REGISTER = 0x0A  # PID, p. 11
PRODUCT = 0x76
MCLK_HZ = 16_000_000  # 10 to 48 MHz, p. 6
VSYNC_WAIT_S = 0.5  # the slowest frame at this clock takes 50 ms


class CameraError(Exception):
    """The camera does not answer as an OV7670 does; the text says what to look at."""


class Camera:
    """The camera, started. `picture` is the displayio.Bitmap that each capture fills, `frame` its (9600,) uint8."""

    def __init__(self, flip_x: bool = False, flip_y: bool = False) -> None:
        """Check and start the camera. Raises CameraError; no pin stays taken then, so trying again is allowed."""
        self.picture = displayio.Bitmap(80, 60, 65536)
        self.frame = np.frombuffer(self.picture, dtype=np.uint8)
        try:
            self._bus = busio.I2C(getattr(board, pins.CAMERA_SCL), getattr(board, pins.CAMERA_SDA))
        except RuntimeError:
            raise CameraError(
                "no pull-ups on %s, %s: 4.7k from each to 3.3 V" % (pins.CAMERA_SDA, pins.CAMERA_SCL)
            ) from None
        try:
            _check(self._bus)
            self._driver = OV7670(
                self._bus,
                data_pins=[getattr(board, name) for name in pins.CAMERA_DATA],
                clock=getattr(board, pins.CAMERA_PCLK),
                vsync=getattr(board, pins.CAMERA_VSYNC),
                href=getattr(board, pins.CAMERA_HREF),
                mclk=getattr(board, pins.CAMERA_MCLK),
                mclk_frequency=MCLK_HZ,
                shutdown=getattr(board, pins.CAMERA_SHUTDOWN),
                reset=getattr(board, pins.CAMERA_RESET),
            )
        except CameraError:
            self._bus.deinit()
            raise
        self._driver.size = OV7670_SIZE_DIV8
        self._driver.flip_x = flip_x
        self._driver.flip_y = flip_y

    def capture(self) -> np.ndarray:
        """Fill `picture` and `frame` with the next picture: RGB565_SWAPPED, 60 rows of 80."""
        self._driver.capture(self.picture)
        return self.frame

    def deinit(self) -> None:
        """Stop the camera and release its pins."""
        self._driver.deinit()
        self._bus.deinit()


def _check(bus: busio.I2C) -> None:
    """Power the camera up for a moment and ask it who it is. Raises CameraError; releases what it took."""
    mclk = pwmio.PWMOut(getattr(board, pins.CAMERA_MCLK), frequency=MCLK_HZ, duty_cycle=32768)
    shutdown = digitalio.DigitalInOut(getattr(board, pins.CAMERA_SHUTDOWN))
    reset = digitalio.DigitalInOut(getattr(board, pins.CAMERA_RESET))
    vsync = digitalio.DigitalInOut(getattr(board, pins.CAMERA_VSYNC))
    try:
        shutdown.switch_to_output(False)
        reset.switch_to_output(False)
        time.sleep(0.001)
        reset.value = True
        time.sleep(0.01)
        while not bus.try_lock():
            pass
        try:
            answer = bytearray(1)
            bus.writeto(ADDRESS, bytes((PRODUCT_REGISTER,)))
            bus.readfrom_into(ADDRESS, answer)
        except OSError:
            raise CameraError(
                "no answer on I2C. Check %s SDA, %s SCL, 3.3 V and %s MCLK"
                % (pins.CAMERA_SDA, pins.CAMERA_SCL, pins.CAMERA_MCLK)
            ) from None
        finally:
            bus.unlock()
        if answer[0] != PRODUCT:
            raise CameraError("chip id 0x%02x, need 0x%02x: not an OV7670?" % (answer[0], PRODUCT))
        first = vsync.value
        stop = time.monotonic() + VSYNC_WAIT_S
        while vsync.value == first:
            if time.monotonic() > stop:
                raise CameraError("no picture: check %s VSYNC and %s MCLK" % (pins.CAMERA_VSYNC, pins.CAMERA_MCLK))
    finally:
        for pin in (mclk, shutdown, reset, vsync):
            pin.deinit()
