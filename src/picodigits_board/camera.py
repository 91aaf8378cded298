"""The OV7670 on its pins: checks that it is there, sets it up, says what is wrong. Hardware only; on the board alone.

Adafruit's driver sets the camera up and is forgotten then, and so is this file, see capture.py.
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
from watchdog import WatchDogMode

from picodigits_board import pins
from picodigits_board.capture import FRAME_WAIT_S, Camera, CameraError, fault, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCT_REGISTER = 0x0A  # PID, OV7670 datasheet 1.4, p. 11
PRODUCT = 0x76
MCLK_HZ = 16_000_000  # 10 to 48 MHz, p. 6
POWER_UP_S = 0.3  # from power-up to the first register that is written, as the driver has it
SMALL_WORDS = 2400  # a frame of 80x60; one of 160x120 has four times as many
WATCHDOG_S = 5  # 8.3 at most (RP2040 datasheet, 4.7)
WAIT_LOW = 0x2000  # PIO: wait until the GPIO of this number is low (RP2040 datasheet, 3.4.3)
WAIT_HIGH = 0x2080
IN_8_PINS = 0x4008  # PIO: take in 8 bits (3.4.4)

FAULTS = {
    "pull-ups": "no pull-ups on %s, %s: 4.7k from each to 3.3 V" % (pins.CAMERA_SDA, pins.CAMERA_SCL),
    "answer": "no answer on I2C. Check %s SDA, %s SCL, 3.3 V and %s MCLK"
    % (pins.CAMERA_SDA, pins.CAMERA_SCL, pins.CAMERA_MCLK),
    "clock": "no picture: check %s VSYNC and %s MCLK" % (pins.CAMERA_VSYNC, pins.CAMERA_MCLK),
    "picture": "no picture: check %s HREF, %s PCLK and %s VSYNC"
    % (pins.CAMERA_HREF, pins.CAMERA_PCLK, pins.CAMERA_VSYNC),
    "power": "it lost power for a moment: check 3.3 V and the cable",
}


def open_camera(picture: array, settings: dict, complain, meanwhile=None) -> Camera:  # type: ignore[no-untyped-def]
    """The camera as soon as it answers, its first frame in `picture`, and the watchdog on; until then complain(error)
    every two seconds.

    picture    array of "L", to be filled: 2400 for frames of 80x60, 9600 for 160x120; the caller keeps it, so that
               it is allocated once, first of all
    meanwhile  something useful to do while the camera powers up
    """
    while True:
        try:
            camera = _start(picture, bool(settings["FLIP_X"]), bool(settings["FLIP_Y"]), meanwhile)
            try:
                camera.capture()
                return camera
            except CameraError:
                camera.deinit()
                raise
        except CameraError as error:
            complain(error)
        time.sleep(2)


def _start(picture: array, flip_x: bool, flip_y: bool, meanwhile: Callable[[], None] | None) -> Camera:
    """Check and start the camera, and the watchdog. Raises CameraError; no pin stays taken then, so trying again is
    allowed."""
    try:
        bus = busio.I2C(getattr(board, pins.CAMERA_SCL), getattr(board, pins.CAMERA_SDA))
    except RuntimeError:
        raise fault("pull-ups") from None
    taken = [bus]  # what holds pins
    try:
        powered = _power_up(bus, taken)
        if meanwhile:
            meanwhile()
        _set_up(bus, powered, len(picture) == SMALL_WORDS, flip_x, flip_y)
    except CameraError:
        while taken:
            taken.pop().deinit()
        raise
    reader = _reader()
    taken.append(reader)
    microcontroller.watchdog.timeout = WATCHDOG_S
    microcontroller.watchdog.mode = WatchDogMode.RESET
    return Camera(picture, bus, reader, taken)


def _power_up(bus: busio.I2C, taken: list) -> float:
    """Give the camera power and its clock, and ask it who it is; returns when it got power. Raises CameraError."""
    taken.append(pwmio.PWMOut(getattr(board, pins.CAMERA_MCLK), frequency=MCLK_HZ, duty_cycle=32768))
    shutdown = digitalio.DigitalInOut(getattr(board, pins.CAMERA_SHUTDOWN))
    reset = digitalio.DigitalInOut(getattr(board, pins.CAMERA_RESET))
    taken += [shutdown, reset]
    shutdown.switch_to_output(False)
    powered = time.monotonic()
    reset.switch_to_output(False)
    time.sleep(0.001)
    reset.value = True
    time.sleep(0.01)
    product = read(bus, PRODUCT_REGISTER)
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
        raise fault("clock")
    return powered


def _set_up(bus: busio.I2C, powered: float, small: bool, flip_x: bool, flip_y: bool) -> None:
    """Write the registers of the camera that got power then, with Adafruit's driver."""
    from adafruit_ov7670 import OV7670, OV7670_SIZE_DIV4, OV7670_SIZE_DIV8

    time.sleep(max(powered + POWER_UP_S - time.monotonic(), 0))
    driver = OV7670(
        bus,
        data_pins=[getattr(board, name) for name in pins.CAMERA_DATA],
        clock=getattr(board, pins.CAMERA_PCLK),
        vsync=getattr(board, pins.CAMERA_VSYNC),
        href=getattr(board, pins.CAMERA_HREF),
    )
    driver.size = OV7670_SIZE_DIV8 if small else OV7670_SIZE_DIV4
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
