"""What the stages of the loop cost: milliseconds, and with tracing on also heap. Runs on the board alone."""

from __future__ import annotations

import gc
import time

FIGURES = "capture_ms=%.2f ink_ms=%.2f network_ms=%.2f screen_ms=%.2f loop_ms=%.2f free=%d"
STAGES = 4


class Stages:
    """Times the stages of one frame after another.

    trace  also say the heap that is free after each stage, and the largest block of it. Finding that block fills the
           heap and collects it again, which takes some 50 ms a frame, outside the stages that are timed.
    """

    def __init__(self, trace: bool = False) -> None:
        self._trace = trace
        self._began = 0  # ns: this frame, and this stage of it
        self._from = 0
        self._at = 0
        self._spent = [0] * STAGES  # ns of each stage
        self._free = [0] * (STAGES + 1)  # bytes before the first and after each
        self.loop_ms = 0.0  # from the start of the last frame to the start of this one

    def start(self) -> None:
        """A new frame begins."""
        now = time.monotonic_ns()
        self.loop_ms = (now - self._began) // 10000 / 100 if self._began else 0.0
        self._began = now
        self._at = 0
        self._next()

    def done(self) -> None:
        """The next stage of FIGURES has ended."""
        self._spent[self._at] = time.monotonic_ns() - self._from
        self._at += 1
        self._next()

    def _next(self) -> None:
        if self._trace:
            self._free[self._at] = gc.mem_free()  # takes some milliseconds, in no stage
        self._from = time.monotonic_ns()

    def text(self) -> str:
        """The frame's figures as `key=value` words."""
        spent = [ns // 10000 / 100 for ns in self._spent]
        text = FIGURES % (spent[0], spent[1], spent[2], spent[3], self.loop_ms, gc.mem_free())
        if self._trace:
            text += " heap=%s block=%d" % (",".join([str(free) for free in self._free]), largest_block())
        return text


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
