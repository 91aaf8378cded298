"""Lines over USB serial that never hold up the program. Runs on the board alone.

CircuitPython's print() waits as long as a PC that has opened the port does not read from it: for ever, or until the
watchdog restarts the board. Here a line is given up after WRITE_TIMEOUT_S, and then no more is said until the PC has
taken what still waits.
"""

from __future__ import annotations

import gc

import usb_cdc  # type: ignore[import-not-found]

PREFIX = "picodigits: "
WRITE_TIMEOUT_S = 0.02

_console = usb_cdc.console  # None where boot.py has switched it off
_cut = False  # the last line did not get out whole
if _console:
    _console.write_timeout = WRITE_TIMEOUT_S


def say(text: str) -> None:
    """Send `text` as a line of the application, if somebody listens and keeps up."""
    global _cut
    if not _console or not _console.connected or (_cut and _console.out_waiting):
        return
    data = ((("\r\n" + PREFIX) if _cut else PREFIX) + text + "\r\n").encode()
    _cut = _console.write(data) < len(data)


def explain(error: Exception, model_path: str) -> str:
    """What went wrong, in words that say what to do; collects garbage first, since the heap may be full."""
    gc.collect()
    if isinstance(error, MemoryError):
        return "out of memory: use a smaller model"
    if isinstance(error, OSError):
        return "%s: can't be read. Copy a model file to the drive" % model_path
    return str(error)
