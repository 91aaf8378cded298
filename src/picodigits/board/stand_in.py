"""A board that this computer plays, for tests and for trying the tools without one.

    with StandIn(modelfile.find("fast"), frames) as board:
        with Connection(board.name) as connection: ...

It reads frames with the files that run on the board, one after another, and speaks through the board's own
picodigits_board/link.py, over a pty (Linux, macOS) or a TCP socket. Its times are this computer's. What is missing:
heap, camera faults, CircuitPython's console.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picodigits.bench.serial_port import Pty, Tcp, open_wire
from picodigits.errors import FrameError
from picodigits_board import link, preprocess, reading
from picodigits_board.modelfile import Model
from picodigits_board.network import Network
from picodigits_board.settings import SETTINGS

FPS = 10.0  # about what the board does
_BURST_BYTES = 64  # a packet of full-speed USB


class Noise:
    """A bad wire: some of the bytes that pass are wrong, some are lost. The same seed, the same damage.

    corrupt  share of the bytes that are replaced by random ones, which may be the same again
    drop     share of the bytes that are lost
    burst    bytes that are hit together: 1, or 64 for USB packets
    """

    def __init__(self, corrupt: float = 0.0, drop: float = 0.0, burst: int = 1, seed: int = 0) -> None:
        self._corrupt, self._drop, self._burst = corrupt, drop, burst
        self._random = np.random.default_rng(seed)

    def __call__(self, data: bytes) -> bytes:
        """What comes out at the other end."""
        if not (self._corrupt or self._drop) or not data:
            return data
        there = np.frombuffer(data, np.uint8).copy()
        runs = -(-len(there) // self._burst)
        hit = np.repeat(self._random.random(runs), self._burst)[: len(there)]
        wrong = hit < self._corrupt
        there[wrong] = self._random.integers(0, 256, int(wrong.sum()), np.uint8)
        return there[hit < 1 - self._drop].tobytes()


class StandIn:
    """A board that reads `frames` round and round until it is closed; `name` is the port to open.

    number  of frames read so far; `connected`: does somebody have the port open?
    """

    def __init__(
        self,
        model: Model,
        frames: NDArray[np.uint16] | Callable[[int], NDArray[np.uint16]] | None = None,
        *,
        kind: str = "auto",
        port: int = 0,
        fps: float = FPS,
        settings: dict[str, Any] | None = None,
        noise: Noise | None = None,
        cut_after: int | None = None,
        silent: bool = False,
    ) -> None:
        """Start it.

        frames     (N, 60, 80) or (N, 120, 160) uint16 RGB565_SWAPPED; or a function from the number of a frame, from
                   0, to it: (60, 80) or (120, 160); None for handwritten digits, a new one every 20 frames
        kind, port "pty" or "tcp", and which TCP port, as for bench.serial_port.SerialPort
        fps        frames a second at most
        settings   other than the board's defaults: FLIP_X and so on
        noise      what the wire does to both directions
        cut_after  pull the cable after this many bytes have been said
        silent     say nothing at all
        Raises FrameError for frames of another shape.
        """
        self._model = model
        self._source = _source(frames)
        self._scale = 1 if self._source(0).shape == (60, 80) else 2
        self._interval_s = 1 / fps
        size = "80x60" if self._scale == 1 else "160x120"
        self._settings = {**SETTINGS, "FRAME_SIZE": size, **(settings or {})}
        self._console = _Console(open_wire(kind, port), noise or Noise(), cut_after, silent)
        self.name = self._console.wire.name
        self.number = 0
        self.error: BaseException | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="stand-in", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Does somebody have the port open?"""
        return self._console.connected

    def pull(self) -> None:
        """Pull the cable, in the middle of whatever is being said."""
        self._console.pull()

    def close(self) -> None:
        """Stop, and close the port. Raises what made it stop before, if anything."""
        self._closing.set()
        self._thread.join()
        self._console.pull()
        if self.error is not None:
            raise self.error

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        try:
            while not self._console.pulled:
                self._run()
        except _ClosedError:
            pass
        except BaseException as error:
            self.error = error

    def _run(self) -> None:
        """The application, from its start to its restart; code.py is the same with a camera and a screen."""
        model, settings = self._model, dict(self._settings)
        again = threading.Event()
        usb = link.Link(self._console, settings, again.set)
        usb.introduce(model)
        finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width, self._scale)
        reader = reading.make(model, finder, Network(model), settings["DIGITS"], bool(settings["TRANSPOSE"]))
        number, loop_ms = 0, 0.0
        usb.listen(number)
        while not again.is_set() and not self._console.pulled:
            began = time.perf_counter()
            frame = _mounted(self._source(self.number), settings)
            raw = np.ascontiguousarray(frame, "<u2").view(np.uint8).reshape(-1)
            reader.look(raw)
            found = time.perf_counter()
            usb.send("pixels", number, raw)
            sent = time.perf_counter()
            reader.read(raw)
            spent = [0.0, 1000 * (found - began), 1000 * (time.perf_counter() - sent), 0.0, loop_ms]
            assert reader.ink is not None
            assert reader.scores is not None
            usb.send("ink", number, reader.ink.flatten())
            status = preprocess.STATUS_KEYS[reader.status]
            text = link.frame_text(number, reader.text, reader.confidence, status, reader.box, spent)
            usb.say(text + (link.scores_text(reader.scores) if usb.wants("scores") else ""))
            reader.forget()
            self.number += 1
            number += 1
            if self._closing.wait(max(began + self._interval_s - time.perf_counter(), 0)):
                raise _ClosedError
            usb.listen(number)
            loop_ms = 1000 * (time.perf_counter() - began)


class _ClosedError(Exception):
    """The stand-in is to stop."""


class _Console:
    """What the board's usb_cdc.console is to `link.Link`: the same five names, with the same meaning."""

    def __init__(self, wire: Pty | Tcp, noise: Noise, cut_after: int | None, silent: bool) -> None:
        self.wire = wire
        self.write_timeout = 0.0
        self.pulled = False
        self._noise = noise
        self._left = cut_after
        self._silent = silent
        self._input = b""
        self._lock = threading.Lock()

    @property
    def connected(self) -> bool:
        with self._lock:
            return not self.pulled and self.wire.connected

    @property
    def in_waiting(self) -> int:
        with self._lock:
            if not self._input and not self.pulled:
                self._input = self._noise(self.wire.read())
        return len(self._input)

    @property
    def out_waiting(self) -> int:
        return 0  # what does not go at once is lost

    def read(self, count: int) -> bytes:
        data, self._input = self._input[:count], self._input[count:]
        return data

    def write(self, data: bytes) -> int:
        if self._silent:
            return len(data)
        noisy = self._noise(data)
        if self._left is not None:
            noisy = noisy[: self._left]
            self._left -= len(noisy)
        stop = time.monotonic() + self.write_timeout
        gone = 0
        while True:
            with self._lock:
                if self.pulled:
                    return len(data)
                gone += self.wire.write(noisy[gone:])
            if gone == len(noisy) or time.monotonic() >= stop:
                break
            time.sleep(0.001)
        if self._left == 0:
            self.pull()
        return len(data) if gone == len(noisy) else gone

    def pull(self) -> None:
        with self._lock:
            if not self.pulled:
                self.pulled = True
                self.wire.close()


def _source(frames: NDArray[np.uint16] | Callable[[int], NDArray[np.uint16]] | None) -> Callable[[int], NDArray[Any]]:
    if callable(frames):
        return frames
    shown, each = frames, 1
    if shown is None:
        from picodigits import camera, datasets

        shown, each = camera.photograph(datasets.load("digits", "test").first_of_each(1).images, "studio", seed=0), 20
    if shown.ndim != 3 or shown.shape[1:] not in ((60, 80), (120, 160)) or not len(shown):
        raise FrameError(f"frames: got shape {shown.shape}, need (N, 60, 80) or (N, 120, 160). Check the camera size.")
    return lambda number: shown[number // each % len(shown)]


def _mounted(frame: NDArray[Any], settings: dict[str, Any]) -> NDArray[Any]:
    """What a camera with these flips sends of something that is upright without them."""
    frame = frame[:, ::-1] if settings["FLIP_X"] else frame
    return frame[::-1] if settings["FLIP_Y"] else frame
