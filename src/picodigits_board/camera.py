"""The OV7670 on its pins: checks that it is there, then captures frames. Hardware only; runs on the board alone.

Adafruit's driver sets the camera up and is forgotten then. Pictures are taken in by a state machine and DMA of our
own, so that the program goes on while one comes in: `capture` of the driver waits for it, 12 to 21 ms on the bench and
up to 90 at the camera's usual clock.
"""

from __future__ import annotations

import gc
import sys
import time
from array import array

import board
import busio
import digitalio
import microcontroller
import pwmio
import rp2pio
from ulab import numpy as np
from watchdog import WatchDogMode

from picodigits_board import pins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = 0x21  # OV7670 datasheet 1.4, p. 10: 42 (hex) to write, 43 to read, less the read bit
PRODUCT_REGISTER = 0x0A  # PID, p. 11
PRODUCT = 0x76
MCLK_HZ = 16_000_000  # 10 to 48 MHz, p. 6
COM7_REGISTER = 0x12  # p. 13
COM7_RGB = 0x04  # RGB output, VGA as the base of all sizes: what the driver writes; after a power loss it is 0
POWER_UP_S = 0.3  # from power-up to the first register that is written, as the driver has it
FRAME_WAIT_S = 0.5  # the slowest frame at this clock takes 50 ms
SMALL_BYTES = 9600  # a frame of 80x60; one of 160x120 has four times as many
WATCHDOG_S = 5  # 8.3 at most (RP2040 datasheet, 4.7)
ROOM_BYTES = 60_000  # of free heap, for a picture to be copied: `fast` leaves 86 000, `best` 44 000
WAIT_LOW = 0x2000  # PIO: wait until the GPIO of this number is low (RP2040 datasheet, 3.4.3)
WAIT_HIGH = 0x2080
IN_8_PINS = 0x4008  # PIO: take in 8 bits (3.4.4)


class CameraError(Exception):
    """The camera does not answer as an OV7670 does; the text says what to look at."""


class Camera:
    """The camera, started. `frame` is what each capture fills: (9600,) or (38400,) uint8, the memory of `picture`."""

    def __init__(self, picture: array, flip_x: bool, flip_y: bool, meanwhile: Callable[[], None] | None = None) -> None:
        """Check and start the camera, and the watchdog.

        picture    array of "L", to be filled: 2400 for frames of 80x60, 9600 for 160x120; the caller keeps it, so that
                   it is allocated once, first of all
        meanwhile  something useful to do while the camera powers up
        Raises CameraError; no pin stays taken then, so trying again is allowed.
        """
        self._picture = picture
        self._busy = False  # a picture is coming in
        self._copies: bool | None = None  # the heap has room for two pictures
        self.frame = np.frombuffer(picture, dtype=np.uint8)
        self._taken: list = []  # what holds pins
        try:
            self._bus = busio.I2C(getattr(board, pins.CAMERA_SCL), getattr(board, pins.CAMERA_SDA))
        except RuntimeError:
            raise CameraError(
                "no pull-ups on %s, %s: 4.7k from each to 3.3 V" % (pins.CAMERA_SDA, pins.CAMERA_SCL)
            ) from None
        self._taken.append(self._bus)
        try:
            self._power_up()
            if meanwhile:
                meanwhile()
            self._set_up(flip_x, flip_y)
        except CameraError:
            self.deinit()
            raise
        self._reader = _reader()
        self._taken.append(self._reader)
        microcontroller.watchdog.timeout = WATCHDOG_S
        microcontroller.watchdog.mode = WatchDogMode.RESET

    def begin(self) -> None:
        """Start to fill `picture` and `frame` with the next picture: RGB565_SWAPPED, row by row."""
        microcontroller.watchdog.feed()
        reader = self._reader
        reader.stop()
        reader.clear_rxfifo()
        reader.restart()
        reader.background_read(self._picture)
        self._busy = True

    def go_on(self) -> np.ndarray:
        """Begin with the next picture, and return a copy of this one. Where the heap has no room for two, as beside a
        large model or with large pictures, nothing is begun, and this one itself is returned."""
        if self._copies is None:
            self._copies = gc.mem_free() > ROOM_BYTES
        if not self._copies:
            return self.frame
        frame = np.frombuffer(bytes(self._picture), dtype=np.uint8)  # 5 ms less than a copy of `frame`
        self.begin()
        return frame

    def capture(self) -> np.ndarray:
        """Wait for the picture that has begun, or for the next one, and return `frame`.

        Raises CameraError where the camera has gone, or has lost its settings.
        """
        if not self._busy:
            self.begin()
        stop = time.monotonic() + FRAME_WAIT_S
        while self._reader.reading and time.monotonic() < stop:
            pass
        self._busy = self._reader.reading  # if so, `deinit` stops it
        if _read(self._bus, COM7_REGISTER) != COM7_RGB:
            raise CameraError("it lost power for a moment: check 3.3 V and the cable")
        if self._busy:
            raise CameraError(
                "no picture: check %s HREF, %s PCLK and %s VSYNC"
                % (pins.CAMERA_HREF, pins.CAMERA_PCLK, pins.CAMERA_VSYNC)
            )
        return self.frame

    def deinit(self) -> None:
        """Stop the camera and the watchdog, and release the pins."""
        microcontroller.watchdog.mode = None
        if self._busy:
            self._reader.stop_background_read()
            self._busy = False
        while self._taken:
            self._taken.pop().deinit()

    def _power_up(self) -> None:
        """Give the camera power and its clock, and ask it who it is. Raises CameraError."""
        self._taken.append(pwmio.PWMOut(getattr(board, pins.CAMERA_MCLK), frequency=MCLK_HZ, duty_cycle=32768))
        shutdown = digitalio.DigitalInOut(getattr(board, pins.CAMERA_SHUTDOWN))
        reset = digitalio.DigitalInOut(getattr(board, pins.CAMERA_RESET))
        self._taken += [shutdown, reset]
        shutdown.switch_to_output(False)
        self._powered = time.monotonic()
        reset.switch_to_output(False)
        time.sleep(0.001)
        reset.value = True
        time.sleep(0.01)
        product = _read(self._bus, PRODUCT_REGISTER)
        if product != PRODUCT:
            raise CameraError("chip id 0x%02x, need 0x%02x: not an OV7670?" % (product, PRODUCT))
        vsync = digitalio.DigitalInOut(getattr(board, pins.CAMERA_VSYNC))
        first = vsync.value
        stop = time.monotonic() + FRAME_WAIT_S
        while vsync.value == first and time.monotonic() < stop:
            pass
        changed = vsync.value != first
        vsync.deinit()
        if not changed:
            raise CameraError("no picture: check %s VSYNC and %s MCLK" % (pins.CAMERA_VSYNC, pins.CAMERA_MCLK))

    def _set_up(self, flip_x: bool, flip_y: bool) -> None:
        """Write the camera's registers, with Adafruit's driver."""
        from adafruit_ov7670 import OV7670, OV7670_SIZE_DIV4, OV7670_SIZE_DIV8

        time.sleep(max(self._powered + POWER_UP_S - time.monotonic(), 0))
        driver = OV7670(
            self._bus,
            data_pins=[getattr(board, name) for name in pins.CAMERA_DATA],
            clock=getattr(board, pins.CAMERA_PCLK),
            vsync=getattr(board, pins.CAMERA_VSYNC),
            href=getattr(board, pins.CAMERA_HREF),
        )
        driver.size = OV7670_SIZE_DIV8 if len(self.frame) == SMALL_BYTES else OV7670_SIZE_DIV4
        driver.flip_x = flip_x
        driver.flip_y = flip_y
        try:  # noqa: SIM105
            driver.deinit()  # of its own way to capture
        except AttributeError:  # driver 1.1.9, which then looks for the reset pin that it was not given
            pass
        for name in [name for name in sys.modules if name.startswith("adafruit")]:
            del sys.modules[name]  # its code back to the heap
        gc.collect()


def _reader() -> rp2pio.StateMachine:
    """A state machine that waits for VSYNC to rise, then takes in a byte at each rise of PCLK while HREF is high."""
    vsync, href, pclk = (int(name[2:]) for name in (pins.CAMERA_VSYNC, pins.CAMERA_HREF, pins.CAMERA_PCLK))
    program = (
        WAIT_LOW | vsync,
        WAIT_HIGH | vsync,
        WAIT_HIGH | href,  # from here to the end, again and again
        WAIT_HIGH | pclk,
        IN_8_PINS,
        WAIT_LOW | pclk,
    )
    return rp2pio.StateMachine(
        array("H", program),
        frequency=0,  # the processor's
        first_in_pin=getattr(board, pins.CAMERA_DATA[0]),
        in_pin_count=8,
        first_out_pin=getattr(board, pins.CAMERA_HREF),  # out, set and jmp claim a pin that is waited for, as input
        initial_out_pin_direction=0,
        first_set_pin=getattr(board, pins.CAMERA_VSYNC),
        initial_set_pin_direction=0,
        jmp_pin=getattr(board, pins.CAMERA_PCLK),
        auto_push=True,
        push_threshold=32,
        in_shift_right=True,
        wrap_target=2,
        wrap=5,
    )


def open_camera(picture: array, settings: dict, complain, meanwhile=None) -> Camera:  # type: ignore[no-untyped-def]
    """The camera as soon as it answers, its first frame in `picture`; until then complain(error) every two seconds."""
    while True:
        try:
            camera = Camera(picture, bool(settings["FLIP_X"]), bool(settings["FLIP_Y"]), meanwhile)
            try:
                camera.capture()
                return camera
            except CameraError:
                camera.deinit()
                raise
        except CameraError as error:
            complain(error)
        time.sleep(2)


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
