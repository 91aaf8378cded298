"""The OV7670 on its pins: checks that it is there, then captures frames. Hardware only; runs on the board alone.

A capture waits for the camera's clock and has no time limit. When the cable is pulled in the middle of one, nothing
but the chip's watchdog ends it: it restarts the board, which then says what is missing.
"""

from __future__ import annotations

import time

import board
import busio
import digitalio
import displayio
import microcontroller
import pwmio
from adafruit_ov7670 import OV7670, OV7670_SIZE_DIV8
from ulab import numpy as np
from watchdog import WatchDogMode

from picodigits_board import pins

ADDRESS = 0x21  # OV7670 datasheet 1.4, p. 10: 42 (hex) to write, 43 to read, less the read bit
PRODUCT_REGISTER = 0x0A  # PID, p. 11
PRODUCT = 0x76
MCLK_HZ = 16_000_000  # 10 to 48 MHz, p. 6
COM7_REGISTER = 0x12  # p. 13
COM7_RGB = 0x04  # RGB output, VGA as the base of all sizes: what the driver writes; after a power loss it is 0
VSYNC_WAIT_S = 0.5  # the slowest frame at this clock takes 50 ms
WATCHDOG_S = 5  # 8.3 at most (RP2040 datasheet, 4.7)


class CameraError(Exception):
    """The camera does not answer as an OV7670 does; the text says what to look at."""


class Camera:
    """The camera, started. `frame` is what each capture fills: (9600,) uint8, the memory of `picture`."""

    def __init__(self, picture: displayio.Bitmap, flip_x: bool = False, flip_y: bool = False) -> None:
        """Check and start the camera, and the watchdog.

        picture  80x60 of 65536 values, to be filled; the caller keeps it, so that the heap's largest block is
                 allocated once, first of all
        Raises CameraError; no pin stays taken then, so trying again is allowed.
        """
        self.picture = picture
        self.frame = np.frombuffer(picture, dtype=np.uint8)
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
        microcontroller.watchdog.timeout = WATCHDOG_S
        microcontroller.watchdog.mode = WatchDogMode.RESET

    def capture(self) -> np.ndarray:
        """Fill `picture` and `frame` with the next picture: RGB565_SWAPPED, 60 rows of 80.

        Raises CameraError where the camera has gone, or has lost its settings.
        """
        microcontroller.watchdog.feed()
        self._driver.capture(self.picture)
        if _read(self._bus, COM7_REGISTER) != COM7_RGB:
            raise CameraError("it lost power for a moment: check 3.3 V and the cable")
        return self.frame

    def deinit(self) -> None:
        """Stop the camera and the watchdog, and release the pins."""
        microcontroller.watchdog.mode = None
        self._driver.deinit()
        self._bus.deinit()


def open_camera(picture: displayio.Bitmap, settings: dict, complain) -> Camera:  # type: ignore[no-untyped-def]
    """The camera as soon as it answers, its first frame in `picture`; until then complain(error) every two seconds."""
    while True:
        try:
            camera = Camera(picture, bool(settings["FLIP_X"]), bool(settings["FLIP_Y"]))
            try:
                camera.capture()
                return camera
            except CameraError:
                camera.deinit()
                raise
        except CameraError as error:
            complain(error)
        time.sleep(2)


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
        product = _read(bus, PRODUCT_REGISTER)
        if product != PRODUCT:
            raise CameraError("chip id 0x%02x, need 0x%02x: not an OV7670?" % (product, PRODUCT))
        first = vsync.value
        stop = time.monotonic() + VSYNC_WAIT_S
        while vsync.value == first:
            if time.monotonic() > stop:
                raise CameraError("no picture: check %s VSYNC and %s MCLK" % (pins.CAMERA_VSYNC, pins.CAMERA_MCLK))
    finally:
        for pin in (mclk, shutdown, reset, vsync):
            pin.deinit()


def _read(bus: busio.I2C, register: int) -> int:
    """A register of the camera. Raises CameraError where nobody answers."""
    answer = bytearray(1)
    while not bus.try_lock():
        pass
    try:
        bus.writeto(ADDRESS, bytes((register,)))
        bus.readfrom_into(ADDRESS, answer)
    except OSError:
        raise CameraError(
            "no answer on I2C. Check %s SDA, %s SCL, 3.3 V and %s MCLK"
            % (pins.CAMERA_SDA, pins.CAMERA_SCL, pins.CAMERA_MCLK)
        ) from None
    finally:
        bus.unlock()
    return answer[0]
