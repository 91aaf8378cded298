"""The heap in one piece and without holes. Runs on the board alone, first of all.

CircuitPython takes its heap in pieces, each as large as those before together, collects garbage whenever they are
full before it takes one more, and no block can be larger than its piece. Taken in one piece from the start, the
application collects half as often and keeps larger blocks. What stays must not lie behind garbage either, so that is
collected after each module that is read in. Measured on CircuitPython 10.0.0.
"""

from __future__ import annotations

import gc
import sys

KEPT = 16  # items; a piece is given back when no more than its first 16 bytes are in use
STEP = 125


def take_in_one_piece() -> list[int]:
    """Make the heap one piece, as large as can be, for as long as what is returned is kept."""
    gc.collect()
    count = gc.mem_free() // 4  # type: ignore[attr-defined]
    while True:
        try:
            piece = [0] * count
            break
        except MemoryError:
            count -= STEP
    piece.clear()  # shrinks in place
    piece.extend(range(KEPT))
    return piece


def read_in(*names: str) -> None:
    """Import these modules of `picodigits_board`, those of most source first: each leaves its code behind the room
    that reading its source takes, and the next one finds that room."""
    for name in names:
        __import__("picodigits_board." + name)
        gc.collect()


def forget(*names: str) -> None:
    """Give the code of these modules back to the heap, where nothing refers to it any more."""
    for name in names:
        del sys.modules["picodigits_board." + name]
        delattr(sys.modules["picodigits_board"], name)
    gc.collect()
