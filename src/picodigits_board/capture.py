"""Pictures of the OV7670, taken in one after another. Hardware only; runs on the board alone.

camera.py sets the camera up, and knows what may be wrong with it. It is forgotten while pictures come in, which leaves
2 KB more of the heap, and read in anew when something is wrong. Pictures are taken in by a state machine and DMA of our
own, so that the program goes on while one comes in: `capture` of Adafruit's driver waits for it, 12 to 21 ms on the
bench and up to 90 at the camera's usual clock.
"""

from __future__ import annotations

import gc
import time

import microcontroller
from ulab import numpy as np

from picodigits_board import heap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    import busio
    import rp2pio

ADDRESS = 0x21  # OV7670 datasheet 1.4, p. 10: 42 (hex) to write, 43 to read, less the read bit
COM7_REGISTER = 0x12  # p. 13
COM7_RGB = 0x04  # RGB output, VGA as the base of all sizes: what the driver writes; after a power loss it is 0
FRAME_WAIT_S = 0.5  # the slowest frame at this clock takes 50 ms
ROOM_BYTES = 60_000  # of free heap, for a picture to be copied: `fast` leaves 90 000, `best` 49 000


class CameraError(Exception):
    """The camera does not answer as an OV7670 does; the text says what to look at."""


class Camera:
    """A camera that sends pictures. `frame` is what each capture fills: (9600,) or (38400,) uint8, the memory of
    `picture`."""

    def __init__(self, picture: array, bus: busio.I2C, reader: rp2pio.StateMachine, taken: list) -> None:
        """As camera.py has set it up: its bus, what takes its pictures in, and all that holds pins."""
        self.frame = np.frombuffer(picture, dtype=np.uint8)
        self._picture = picture
        self._bus = bus
        self._reader = reader
        self._taken = taken
        self._busy = False  # a picture is coming in
        self._copies: bool | None = None  # the heap has room for two pictures

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
        if read(self._bus, COM7_REGISTER) != COM7_RGB:
            raise fault("power")
        if self._busy:
            raise fault("picture")
        return self.frame

    def deinit(self) -> None:
        """Stop the camera and the watchdog, and release the pins."""
        microcontroller.watchdog.mode = None
        if self._busy:
            self._reader.stop_background_read()
            self._busy = False
        while self._taken:
            self._taken.pop().deinit()


def open_camera(picture: array, settings: dict, complain, meanwhile=None) -> Camera:  # type: ignore[no-untyped-def]
    """As `camera.open_camera`."""
    from picodigits_board import camera

    opened = camera.open_camera(picture, settings, complain, meanwhile)
    heap.forget("camera", "pins")
    return opened


def fault(what: str) -> CameraError:
    """What to say of one of `camera.FAULTS`."""
    from picodigits_board import camera

    return CameraError(camera.FAULTS[what])


def read(bus: busio.I2C, register: int) -> int:
    """A register of the camera. Raises CameraError where nobody answers."""
    answer = bytearray(1)
    while not bus.try_lock():
        pass
    try:
        bus.writeto(ADDRESS, bytes((register,)))
        bus.readfrom_into(ADDRESS, answer)
    except OSError:
        raise fault("answer") from None
    finally:
        bus.unlock()
    return answer[0]
