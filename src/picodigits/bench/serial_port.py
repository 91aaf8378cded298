"""The serial port of a board that is none, emulated or played, as something that tools for a real board can open.

    with SerialPort(board) as port:
        print(port.name)            # "/dev/pts/3", or "socket://127.0.0.1:41234" for pySerial's serial_for_url
        ...                         # the board runs in a thread of its own meanwhile

A pty where the system has one (Linux, macOS), a TCP socket elsewhere or on request. The emulated board never runs
faster than real time here, and usually runs slower: about a twentieth while its processor works.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from picodigits.errors import BenchError

if TYPE_CHECKING:
    from picodigits.bench.board import Board

_SLICE_MS = 2.0


class SerialPort:
    """Runs `board` in a thread and passes bytes both ways until it is closed. The board is the thread's meanwhile.

    kind: "pty", "tcp", or "auto" for a pty where there is one
    port: of the TCP socket on 127.0.0.1; 0 lets the system choose
    `name` is what to open; `error` what made the board stop, if anything.
    Raises BenchError for a kind that this system lacks.
    """

    def __init__(self, board: Board, kind: str = "auto", port: int = 0) -> None:
        self.board = board
        self.error: BaseException | None = None
        self._out = bytearray()  # from the board, not yet taken by the tool
        self._closing = threading.Event()
        self._wire = open_wire(kind, port)
        self.name = self._wire.name
        board.on_serial(self._out.extend)
        self._thread = threading.Thread(target=self._serve, name="emulated Pico", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Let the board run so long, or until it stops; raises what stopped it."""
        self._thread.join(seconds)
        if self.error is not None:
            raise BenchError(f"emulated Pico: got {self.error}, need it to run. Please report this.") from self.error

    def close(self) -> None:
        """Stop the board, close the port."""
        self._closing.set()
        self._thread.join()
        self._wire.close()

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        began_s, began_ms = time.monotonic(), self.board.ms
        try:
            while not self._closing.is_set():
                self.board.run(_SLICE_MS)
                if said := self._wire.read():
                    self.board.write(said)
                del self._out[: self._wire.write(bytes(self._out))]
                ahead_s = (self.board.ms - began_ms) / 1000 - (time.monotonic() - began_s)
                if ahead_s > 0:
                    time.sleep(min(ahead_s, 0.01))
                else:
                    began_s -= ahead_s  # what was lost is lost: no sprint afterwards
        except BaseException as error:
            self.error = error


def open_wire(kind: str = "auto", port: int = 0) -> Pty | Tcp:
    """The board's end of a serial port that other programs can open. For the arguments see `SerialPort`."""
    if kind not in ("auto", "pty", "tcp"):
        raise BenchError(f"serial port: got {kind!r}, need 'auto', 'pty' or 'tcp'")
    return Tcp(port) if kind == "tcp" or (kind == "auto" and os.name == "nt") else Pty()


class Pty:
    """The board's end of a pty; `name` is what a tool opens. What the board says while nobody has it open is dropped.

    Neither `read` nor `write` waits.
    """

    def __init__(self) -> None:
        try:
            import tty
        except ImportError:
            raise BenchError("serial port: got a system without ptys, need one. Use 'tcp'") from None
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.name = os.ttyname(slave)
        os.close(slave)  # while a tool has it open, poll() reports no hang-up
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLHUP)

    @property
    def connected(self) -> bool:
        """Does a tool have the port open?"""
        return not any(event & select.POLLHUP for _, event in self._poll.poll(0))

    def read(self) -> bytes:
        """What the tool has said since."""
        try:
            return os.read(self._master, 4096)
        except OSError:  # nothing there, or nobody
            return b""

    def write(self, data: bytes) -> int:
        """How many of these bytes have gone: the rest when the tool has read what it has."""
        if not self.connected:
            return len(data)
        try:
            return os.write(self._master, data) if data else 0
        except OSError:
            return len(data) if len(data) > 1 << 20 else 0  # nobody reads: a real port drops it too

    def close(self) -> None:
        """Unplug the board: the tool's next read fails."""
        os.close(self._master)


class Tcp:
    """The board's end of a TCP socket on this computer, else as `Pty`. One tool at a time."""

    def __init__(self, port: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.setblocking(False)
        self._client: socket.socket | None = None
        self.name = f"socket://127.0.0.1:{self._server.getsockname()[1]}"

    @property
    def connected(self) -> bool:
        """Does a tool have the port open?"""
        if self._client is None and select.select([self._server], [], [], 0)[0]:
            self._client, _ = self._server.accept()
            self._client.setblocking(False)
        return self._client is not None

    def read(self) -> bytes:
        """What the tool has said since."""
        if not self.connected or self._client is None:
            return b""
        try:
            data = self._client.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def write(self, data: bytes) -> int:
        """How many of these bytes have gone: the rest when the tool has read what it has."""
        if not self.connected or self._client is None:
            return len(data)
        try:
            return self._client.send(data) if data else 0
        except BlockingIOError:
            return 0
        except OSError:
            self._hang_up()
            return len(data)

    def _hang_up(self) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.close()
        self._client = None

    def close(self) -> None:
        """Unplug the board: the tool's next read fails."""
        self._hang_up()
        self._server.close()
