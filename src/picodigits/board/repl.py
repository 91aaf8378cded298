"""CircuitPython's raw REPL over a serial port: stop what the board does, run Python on it, let it start anew.

    with RawRepl("/dev/ttyACM0") as repl:          # also COM5, /dev/pts/3, socket://127.0.0.1:41234
        print(repl.run("print(1 + 1)"))            # "2\\n"
                                                   # at the end the board starts its own program again

The protocol is CircuitPython's: Ctrl-C stops a program, Ctrl-A asks for the raw REPL, Ctrl-D runs what was sent, which
answers "OK", the output, an end mark, the traceback if any, an end mark; Ctrl-B and Ctrl-D start code.py.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from types import TracebackType

import serial

from picodigits.errors import LinkError

_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D = b"\x01", b"\x02", b"\x03", b"\x04"
_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_FRIENDLY = b">>> "  # of the REPL for people
_RUNS = b"OK"
_POLL_S = 0.02
_SEND_BYTES = 256
_WRITE_S = 10.0
_ENTER_S = 10.0
_RUN_S = 20.0
_ASK_EVERY_S = 0.3  # an interrupted program puts its pins in order first
_ANSWER_S = 0.7

Heard = Callable[[str], None]


class RawRepl:
    """An open port with a board in its raw REPL.

    port      what pySerial opens
    patience  by how much longer than a real board this one may take: about 20 for the emulated one
    Raises LinkError where the port can't be opened, or where no REPL answers.
    """

    def __init__(self, port: str, *, patience: float = 1.0) -> None:
        self.port = port
        self._patience = patience
        self._heard = bytearray()
        try:  # alone, so that no second program takes half of the answers
            self._serial = serial.serial_for_url(port, 115200, timeout=_POLL_S, write_timeout=_WRITE_S, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise LinkError(f"{port}: got {error}, need the board's serial port. {why_not_opened(error)}") from error
        try:
            self._enter()
        except LinkError:
            self._close()
            raise

    def run(self, code: str, *, limit_s: float = _RUN_S, heard: Heard = lambda line: None) -> str:
        """Run Python on the board; returns what it printed, lines ended by "\\n".

        limit_s  how long it may take, for a real board
        heard    is called with each line as it comes
        Raises LinkError for a program that fails (with the board's traceback), one that takes too long, and a cable
        that is pulled.
        """
        source = code.encode()
        for at in range(0, len(source), _SEND_BYTES):
            self._write(source[at : at + _SEND_BYTES])
        self._write(_CTRL_D)
        stop = time.monotonic() + limit_s * self._patience
        self._until(_RUNS, stop)
        said = self._until(_CTRL_D, stop, heard)
        error = self._until(_CTRL_D, stop)
        self._until(b">", stop)
        if error:
            raise LinkError(f"{self.port}: got this from the board, need its program to run: {_last_line(error)}")
        return said

    def restart(self) -> None:
        """Leave the raw REPL, and let code.py begin. Raises LinkError for a cable that is pulled."""
        self._write(_CTRL_B)
        self._wait(_ASK_EVERY_S * min(self._patience, 4))
        self._write(_CTRL_D)
        self._wait(_ASK_EVERY_S)

    def close(self) -> None:
        """Let code.py begin, as far as the board is still there, and close the port."""
        with contextlib.suppress(LinkError):
            self.restart()
        self._close()

    def __enter__(self) -> RawRepl:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _close(self) -> None:
        with contextlib.suppress(serial.SerialException, OSError):
            self._serial.close()

    def _enter(self) -> None:
        """Ctrl-C, then Ctrl-A, each on its own: what comes in with a Ctrl-C, CircuitPython throws away."""
        stop = time.monotonic() + _ENTER_S * self._patience
        while time.monotonic() < stop:
            self._write(_CTRL_C)
            self._wait(_ASK_EVERY_S)
            self._heard.clear()
            self._write(_CTRL_A)
            answer = time.monotonic() + _ANSWER_S * self._patience
            while time.monotonic() < answer:
                if self._heard.endswith(_FRIENDLY):  # it took the Ctrl-A for the key that opens the REPL
                    break
                if _PROMPT in self._heard:
                    self._wait(_ASK_EVERY_S)  # for what an earlier Ctrl-C still brings
                    self._heard.clear()
                    return
                self._read()
        said = bytes(self._heard[-200:]).decode("utf-8", "replace").strip()
        raise LinkError(
            f"{self.port}: got no REPL in {_ENTER_S:.0f} s, need CircuitPython's. The board said: {said or 'nothing'}. "
            "Press its reset button, or unplug it and plug it in again; where that does not help, hold BOOTSEL while "
            "you plug it in and run picodigits deploy."
        )

    def _until(self, mark: bytes, stop: float, heard: Heard = lambda line: None) -> str:
        """What comes before `mark`, which is dropped."""
        told = 0
        while True:
            end = self._heard.find(mark)
            ready = self._heard[: end if end >= 0 else len(self._heard)]
            while (newline := ready.find(b"\n", told)) >= 0:
                heard(ready[told:newline].decode("utf-8", "replace").rstrip("\r"))
                told = newline + 1
            if end >= 0:
                del self._heard[: end + len(mark)]
                return ready.decode("utf-8", "replace").replace("\r\n", "\n")
            if time.monotonic() > stop:
                said = bytes(ready[-200:]).decode("utf-8", "replace").strip()
                raise LinkError(
                    f"{self.port}: got no end of the program on the board in time, need one. It said: "
                    f"{said or 'nothing'}. Unplug the board, plug it in again, and run the same command."
                )
            self._read()

    def _wait(self, seconds: float) -> None:
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            self._read()

    def _read(self) -> None:
        try:
            self._heard += self._serial.read(4096)
        except (serial.SerialException, OSError) as error:
            raise self._pulled(error) from error

    def _write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._pulled(error) from error

    def _pulled(self, error: Exception) -> LinkError:
        return LinkError(
            f"{self.port}: got {error}, need the board to stay there. A loose cable, or a reset? Plug it in again and "
            "run the same command."
        )


def why_not_opened(error: Exception) -> str:
    """What to do about a serial port that could not be opened, in a sentence."""
    text = str(error).lower()
    if "exclusively lock" in text or "resource busy" in text or "resource temporarily" in text:
        return "Another program has it open: close Thonny, Mu, screen, or another picodigits, and try again."
    if "permission" in text or "access is denied" in text or "errno 13" in text:
        if os.name == "nt":
            return "Another program has it open: close Thonny, Mu, PuTTY, or another picodigits, and try again."
        return (
            "You lack the right to it. On Linux: sudo usermod -a -G dialout $USER (on Arch Linux: uucp), then log out "
            "and in again."
        )
    if "no such file" in text or "could not open port" in text or "cannot find" in text:
        return "Is the board plugged in, with a cable that carries data? picodigits doctor lists what it finds."
    return "Unplug the board, plug it in again, and run the same command."


def _last_line(traceback: str) -> str:
    """The line of a traceback that says what happened."""
    lines = [line for line in traceback.strip().splitlines() if line.strip()]
    return lines[-1] if lines else traceback
