"""What a frame came to and what its stages cost, for the PC. Runs on the board alone."""

from __future__ import annotations

import gc
import time

from picodigits_board import link

CLOCK_US = (1 << 30) - 1  # the clock below starts again after so many microseconds: an int that takes no heap


class Stages:
    """Times the stages of one frame after another, and tells the PC. A stage may come in parts.

    Where the PC wants the heap, each line also has what was free before the frame and after each stage, and the
    largest block of it. Finding that block fills the heap and collects it again, which takes some 50 ms a frame,
    outside the stages that are timed.
    """

    def __init__(self, usb: link.Link) -> None:
        gc.collect()  # what the start has left
        self._usb = usb
        self._missed = 0  # frames in a row that were left out
        self._number = -1
        self._loop_ms = 0.0  # from the start of the last frame to the start of this one
        self._spent = {"capture": 0, "ink": 0, "network": 0, "screen": 0}  # us
        self._began = self._from = _now_us()
        self.next()
        self._loop_ms = 0.0
        if self._trace:
            self._begin_stage()  # the first frame has been captured before

    def next(self) -> bool:
        """Do what the PC asks for, and begin with a new frame, after a collection; returns whether the camera has to be
        set up anew."""
        self._number += 1
        anew = self._usb.listen(self._number)
        self._trace = self._usb.wants("heap")
        self._free: list[int] = []
        self._heap = ""
        now = _now_us()
        self._loop_ms = ((now - self._began) & CLOCK_US) / 1000
        self._began = now
        self._heap = " free=%d" % gc.mem_free()
        if self._trace:
            self._heap += " block=%d" % largest_block()
        for stage in self._spent:
            self._spent[stage] = 0
        self._begin_stage()
        return anew

    def done(self, stage: str) -> None:
        """This stage has ended: capture, ink, network or screen."""
        self._spent[stage] += (_now_us() - self._from) & CLOCK_US
        self._begin_stage()

    def _begin_stage(self) -> None:
        if self._trace:
            self._free.append(gc.mem_free())  # takes some milliseconds, in no stage
        self._from = _now_us()

    @property
    def fps(self) -> float:
        """Frames a second, from the last loop; 0 before there was one."""
        return 1000 / self._loop_ms if self._loop_ms else 0.0

    def send_picture(self, frame) -> None:  # type: ignore[no-untyped-def]
        """The camera's picture to the PC, where it wants it: (n,) uint8. Takes its time from no stage."""
        if self._usb.wants("pixels"):
            self._usb.send("pixels", self._number, frame)
            gc.collect()  # what that left, before it is in the network's way
            self._from = _now_us()

    def say(self, read: str, confidence: int, status: str, box, scores, ink) -> None:  # type: ignore[no-untyped-def]
        """The frame as a line of `key=value` words; `free` and `block` are those before it."""
        if self._usb.wants("ink"):
            self._usb.send("ink", self._number, ink.flatten())
        spent = [self._spent[stage] / 1000 for stage in ("capture", "ink", "network", "screen")]
        text = link.frame_text(self._number, read, confidence, status, box, spent + [self._loop_ms]) + self._heap
        if self._usb.wants("scores"):
            text += link.scores_text(scores)
        if self._trace:
            text += " heap=" + ",".join([str(free) for free in self._free])
        self._usb.say(text)
        self._missed = 0

    def left_out(self) -> bool:
        """In place of `say`: the heap had no room for this frame, since what is taken for its digit is large. Tells the
        PC, but of the third frame in a row. Returns whether it is that: then it is not the frame."""
        self._missed += 1
        if self._missed == 3:
            return True
        gc.collect()
        self._usb.say("error=out of memory: a frame is left out. A smaller model leaves room for it")
        return False


def largest_block() -> int:
    """Bytes of the largest piece of heap that can be had in one, to 256 bytes, after a collection."""
    gc.collect()
    low = 0
    high = gc.mem_free() // 256 + 1
    while high - low > 1:
        middle = (low + high) // 2
        try:
            bytearray(middle * 256)
            low = middle
        except MemoryError:
            high = middle
    gc.collect()
    return low * 256


def _now_us() -> int:
    return time.monotonic_ns() // 1000 & CLOCK_US
