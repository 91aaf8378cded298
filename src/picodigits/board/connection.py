"""A board that reads, over its USB serial port: what it sees, thinks and measures, and what can be asked of it.

    with open_board("auto") as board:
        print(board.info["model"])
        for reading in board.readings(pictures=True):
            print(reading.read, reading.confidence, reading.frame.shape)

What goes over the wire is defined by picodigits_board/link.py, which both sides use; docs/link.md describes it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import serial
from numpy.typing import NDArray
from serial.tools import list_ports

from picodigits import modelfile
from picodigits.board.repl import why_not_opened
from picodigits.errors import LinkError
from picodigits_board import link
from picodigits_board.modelfile import Model

if TYPE_CHECKING:
    from picodigits.training.dense import Progress

try:
    import termios

    _TERMINAL_ERRORS: tuple[type[Exception], ...] = (termios.error,)
except ImportError:  # Windows
    _TERMINAL_ERRORS = ()

TIMEOUT_S = 5.0  # of silence
EMULATOR_TIMEOUT_S = 600.0  # it runs at a twentieth of real time, and more slowly on a busy computer
LEASE = 60  # frames asked for at a time
_ASK_AGAIN = 0.2  # of the time that the board may be silent: then what it has not answered is asked again
_START = 3  # times the time that the board may be silent: its start, which takes 4.9 s
_GOING_S = 0.5  # from a request to restart to the moment when nothing of before is heard any more
_POLL_S = 0.02
_MOST_PART_BYTES = 1 << 16
_OLD_LINES = 3  # lines without a checksum, and none with one, right or wrong: a board of an older version
_SHAPES = {9600: (60, 80), 38400: (120, 160)}
_WIRE_ERRORS = (serial.SerialException, OSError, TypeError, *_TERMINAL_ERRORS)  # TypeError: closed by another thread
# USB vendors of CircuitPython boards; of the second also what is no CircuitPython: product numbers of
# github.com/raspberrypi/usb-pid for the boot loaders, Picoprobe, MicroPython, the SDK's own serial port, Debug Probe.
_ADAFRUIT, _RASPBERRY_PI = 0x239A, 0x2E8A
_OTHER_PRODUCTS = (0x0003, 0x0004, 0x0005, 0x0009, 0x000A, 0x000C, 0x000F)


@dataclass(frozen=True)
class Reading:
    """What the board made of one frame.

    number      counts the frames since its start; -1 for a complaint
    read        the label, "" where it declines; of several digits their labels, "-" for each that is not clear
    confidence  percent
    status      one of preprocess.STATUS_KEYS; "error" where the board can't read: values["error"] tells why
    box         (top, left, bottom, right) in pixels of an 80x60 frame, half open; None where nothing was found
    frame       (60, 80) or (120, 160) uint16 RGB565_SWAPPED, as the camera sent it; None unless asked for and whole
    ink         (H, W) uint8, 0 = paper, 255 = full ink; None where it did not arrive
    scores      one a class, and of a model that rejects one for "no digit"; None where they did not arrive
    timings     ms: capture, ink, network, screen, loop
    heap_free   bytes before the frame; None where the board does not say
    values      everything in the board's line
    """

    number: int
    read: str
    confidence: int
    status: str
    box: tuple[int, int, int, int] | None
    frame: NDArray[np.uint16] | None
    ink: NDArray[np.uint8] | None
    scores: tuple[int, ...] | None
    timings: dict[str, float]
    heap_free: int | None
    values: dict[str, str]


@dataclass(frozen=True)
class Port:
    """A serial port that is a CircuitPython board: what to open, and what it says of itself."""

    name: str
    title: str


class Parts:
    """Puts together the parts of a frame that come in several lines. Keeps one of each kind, the newest."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, bytearray, set[int]]] = {}

    def take(self, values: dict[str, str]) -> bool:
        """Take a line's values; False where it is no line of a part."""
        kind = next((name for name in ("pixels", "ink") if name in values), None)
        if kind is None or "data" not in values:
            return False
        try:
            number, size, at = (int(values[key]) for key in (kind, "of", "at"))
            data = base64.b64decode(values["data"], validate=True)
        except (KeyError, ValueError, binascii.Error):
            return True
        if (
            0 <= at < size < _MOST_PART_BYTES
            and at % link.CHUNK_BYTES == 0
            and len(data) == min(link.CHUNK_BYTES, size - at)
        ):
            part = self._parts.get(kind)
            if part is None or part[0] != number or len(part[1]) != size:
                part = self._parts[kind] = (number, bytearray(size), set())
            part[1][at : at + len(data)] = data
            part[2].add(at)
        return True

    def whole(self, kind: str, number: int) -> bytes | None:
        """The part of this frame, where all of it has come."""
        part = self._parts.get(kind)
        if part is None or part[0] != number or len(part[2]) * link.CHUNK_BYTES < len(part[1]):
            return None
        return bytes(part[1])


class Receiver:
    """Makes readings of the bytes that a board says, of which any may be wrong or lost. Keeps one frame's worth.

    info      what the board has said of itself, see `Connection`; empty until then
    damaged   lines whose checksum was wrong; `unsealed` those that had none
    Raises LinkError for a board that speaks another version.
    """

    def __init__(self) -> None:
        self._lines = link.Lines(link.SAYS, link.LONGEST)
        self._parts = Parts()
        self._heard = False  # a line with a right checksum
        self.info: dict[str, str] = {}

    @property
    def damaged(self) -> int:
        """How many lines came with a checksum that was wrong."""
        return self._lines.damaged

    @property
    def unsealed(self) -> int:
        """How many lines came without one: cut short, or of a version without."""
        return self._lines.unsealed

    @property
    def labels(self) -> list[str]:
        """The model's labels; none before the board has said who it is."""
        return [unquote(label) for label in self.info["labels"].split(",")] if "labels" in self.info else []

    def forget(self) -> None:
        """What comes next does not follow what has come."""
        self._lines.feed(b"\n")
        self._parts = Parts()

    def feed(self, data: bytes) -> list[Reading]:
        """The frames, and complaints, whose lines end in these bytes."""
        readings = []
        for text in self._lines.feed(data):
            self._heard = True
            values = link.values(text)
            if "hello" in values:
                self._introduced(values)
            elif "error" in values:
                readings.append(Reading(-1, "", 0, "error", None, None, None, None, {}, None, values))
            elif not self._parts.take(values) and "frame" in values:
                reading = self._reading(values)
                readings += [reading] if reading is not None else []
                self._parts = Parts()  # what comes next is of another frame, though it may have the same number
        if not self._heard and not self.damaged and self.unsealed >= _OLD_LINES:
            raise _foreign("lines without checksums")
        return readings

    def _introduced(self, values: dict[str, str]) -> None:
        if values["hello"] != str(link.VERSION):
            raise _foreign(f"link version {values['hello']}")
        self.info = {key: value if key == "labels" else unquote(value) for key, value in values.items()}
        self.info["link"] = self.info.pop("hello")

    def _reading(self, values: dict[str, str]) -> Reading | None:
        """None for a line that makes no sense in spite of its checksum."""
        try:
            number, confidence, read, status = (
                int(values["frame"]), int(values["confidence"]), values["read"], values["status"],
            )  # fmt: skip
            box = _numbers(values["box"]) if values["box"] != "none" else None
            scores = _numbers(values["scores"]) if "scores" in values else None
            timings = {key[:-3]: float(value) for key, value in values.items() if key.endswith("_ms")}
            free = int(values["free"]) if "free" in values else None
            shape = _numbers(self.info.get("ink", "0x0").replace("x", ","))
        except (KeyError, ValueError):
            return None
        pixels, ink = self._parts.whole("pixels", number), self._parts.whole("ink", number)
        return Reading(
            number=number,
            read=next(
                (label for label in self.labels if label.replace(" ", "_") == read), "" if read == "none" else read
            ),
            confidence=confidence,
            status=status,
            box=(box[0], box[1], box[2], box[3]) if box is not None and len(box) == 4 else None,
            frame=_picture(pixels) if pixels is not None else None,
            ink=np.frombuffer(ink, np.uint8).reshape(shape) if ink is not None and len(ink) == prod(shape) else None,
            scores=scores,
            timings=timings,
            heap_free=free,
            values=values,
        )


class Connection:
    """An open port with a board that answers."""

    def __init__(self, port: str, timeout_s: float = TIMEOUT_S) -> None:
        """Open `port`, "COM5", "/dev/ttyACM0" or "socket://127.0.0.1:41234", and ask the board who it is.

        timeout_s  how long it may be silent, here and in `readings`
        Raises LinkError where the port can't be opened, nothing answers, or what answers speaks another version.
        """
        self.port = port
        self._timeout_s = timeout_s
        self._receiver = Receiver()
        self._waiting: deque[Reading] = deque()
        try:
            self._serial = serial.serial_for_url(port, 115200, timeout=_POLL_S, write_timeout=1, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            others = ", ".join(found.name for found in find_ports() if found.name != port)
            raise LinkError(
                f"{port}: got {error}, need a serial port that can be opened. {why_not_opened(error)}"
                + (f" Ports that are boards: {others}." if others else "")
            ) from error
        try:
            self._greet()
        except LinkError:
            self.close()
            raise

    @property
    def info(self) -> dict[str, str]:
        """What the board says of itself: application, link (its version), python, platform, model, preprocess, ink
        ("16x16"), octave (scores this much lower are half as likely), labels (separated by commas), and its settings
        by name (FLIP_X, ...)."""
        return self._receiver.info

    @property
    def damaged(self) -> int:
        """How many lines came with a checksum that was wrong."""
        return self._receiver.damaged

    @property
    def labels(self) -> list[str]:
        """The model's labels."""
        return self._receiver.labels

    def readings(self, pictures: bool = False, every: int = 1, timeout_s: float | None = None) -> Iterator[Reading]:
        """Each frame that the board reads from now on, for as long as the caller goes on asking.

        pictures   also the camera's picture, with every `every`-th frame; the board reads more slowly meanwhile
        timeout_s  how long the board may be silent; unless given, as for the connection
        A picture or ink of which a line was lost or damaged is None; so is the first, until the board has heard.
        Raises LinkError for a cable that is pulled, and silence.
        """
        request = f"stream={LEASE} want={'pixels,' if pictures else ''}ink,scores every={max(every, 1)}"
        self._forget()
        asked, since = time.monotonic(), 0
        self._ask(request)
        while True:
            reading = self._next(timeout_s)
            since += 1
            unheard = reading.scores is None and time.monotonic() - asked > _ASK_AGAIN / 2 * self._timeout_s
            if unheard or since >= LEASE // 2:
                asked, since = time.monotonic(), 0
                self._ask(request)
            yield reading

    def setting(self, name: str, value: int) -> None:
        """Change a setting of the running board, until it restarts: those of link.LIVE, 0 or 1.

        Raises LinkError for a setting that takes effect at the board's start only, and where the board does not do it.
        """
        name = name.upper().removeprefix("PICODIGITS_")
        if name not in link.LIVE or value not in (0, 1):
            raise LinkError(
                f"setting: got {name}={value}, need {' or '.join(link.LIVE)} as 0 or 1 for a board that runs. "
                f"Run picodigits deploy --settings {name.lower()}={value}"
            )
        self._converse(f"set={name} value={value}", lambda: self.info.get(name) == str(value), f"{name}={value}")

    def restart(self) -> None:
        """Let the application begin anew, with the settings of its drive; returns when it reads again.

        Raises LinkError where it does not come back in time.
        """
        self._ask("restart=1")
        time.sleep(_GOING_S)
        self._forget()
        self._greet(1 + _START)

    def close(self) -> None:
        """Tell the board that nobody listens any more, and close the port."""
        with contextlib.suppress(LinkError):
            self._ask("stream=0")
        with contextlib.suppress(*_WIRE_ERRORS):
            self._serial.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _greet(self, patience: int = 1) -> None:
        self._receiver.info = {}
        self._converse("hello=1", lambda: bool(self.info), "who it is", patience)

    def _converse(self, request: str, answered: Callable[[], bool], what: str, patience: int = 1) -> None:
        """Ask, again and again, until the board has answered. What else it says meanwhile is dropped."""
        limit = patience * self._timeout_s
        stop = time.monotonic() + limit
        complaint = ""
        while time.monotonic() < stop:
            self._ask(request)
            again = time.monotonic() + _ASK_AGAIN * self._timeout_s
            while not answered() and time.monotonic() < again:
                reading = self._take(again, answered)
                complaint = reading.values.get("error", "") if reading else complaint
            if answered():
                return
        if complaint:
            raise LinkError(
                f"{self.port}: the board says: {complaint}. Put that right; picodigits doctor looks at more."
            )
        raise LinkError(
            f"{self.port}: got no answer within {limit:.0f} s, need the board to say {what}. Does the "
            "application run on it? Run picodigits deploy, or press the board's reset button."
        )

    def _ask(self, request: str) -> None:
        try:
            self._serial.write(link.sealed(link.ASKS, request))
        except serial.SerialTimeoutException:
            pass  # the board does not take it in now; asked again where it matters
        except _WIRE_ERRORS as error:
            raise self._pulled(error) from error

    def _forget(self) -> None:
        """Drop what has come and was not looked at: it is old."""
        try:
            self._serial.reset_input_buffer()
        except _WIRE_ERRORS as error:
            raise self._pulled(error) from error
        self._waiting.clear()
        self._receiver.forget()

    def _next(self, timeout_s: float | None) -> Reading:
        limit = self._timeout_s if timeout_s is None else timeout_s
        reading = self._take(time.monotonic() + limit)
        if reading is None:
            raise LinkError(
                f"{self.port}: got nothing for {limit:.0f} s, need a line a frame. Does the board still run? "
                "Press its reset button, or unplug it and plug it in again."
            )
        return reading

    def _take(self, stop: float, enough: Callable[[], bool] = lambda: False) -> Reading | None:
        """The next reading; None where none has come by `stop`, a time.monotonic(), or before it is `enough`."""
        while not self._waiting and not enough():
            if time.monotonic() >= stop:
                return None
            try:
                data = self._serial.read(link.LONGEST)
            except _WIRE_ERRORS as error:
                raise self._pulled(error) from error
            try:
                self._waiting.extend(self._receiver.feed(data))
            except LinkError as error:
                raise LinkError(f"{self.port}: {error}") from None
        return self._waiting.popleft() if self._waiting else None

    def _pulled(self, error: Exception) -> LinkError:
        return LinkError(f"{self.port}: got cut off ({error}), need the cable in. Plug the board in and start again.")


def find_ports() -> list[Port]:
    """The serial ports of this computer that are CircuitPython boards, by their USB vendor and product."""
    found = []
    for port in sorted(list_ports.comports(), key=lambda port: port.device):
        ours = port.vid == _ADAFRUIT or (port.vid == _RASPBERRY_PI and port.pid not in _OTHER_PRODUCTS)
        if ours:
            found.append(Port(port.device, port.product or port.description or "CircuitPython"))
    return found


@contextlib.contextmanager
def open_board(
    name: str = "auto",
    *,
    model: Model | str = "fast",
    frames: NDArray[np.uint16] | None = None,
    firmware: str | None = None,
    progress: Progress = lambda stage, done, total: None,
    timeout_s: float | None = None,
) -> Iterator[Connection]:
    """A connection with the board of this name, closed at the end.

    name       "auto", the only board that is plugged in; "emulator", the virtual bench; "stand-in", a board that this
               computer plays; else a port
    model      what emulator and stand-in read with: a name, a file or a model
    frames     what they see, (N, 60, 80) uint16 RGB565_SWAPPED, one after another; handwriting unless given
    firmware   the emulator's CircuitPython, as for picodigits bench
    timeout_s  how long the board may be silent; 5 unless given, 600 for the emulator
    Raises LinkError where there is none, or several; what its parts raise.
    """
    if name in ("emulator", "stand-in"):
        loaded = modelfile.find(model) if isinstance(model, str) else model
        if name == "stand-in":
            from picodigits.board.stand_in import StandIn

            with StandIn(loaded, frames) as stand_in, Connection(stand_in.name, timeout_s or TIMEOUT_S) as connection:
                yield connection
            return
        from picodigits.bench import session

        progress("emulated Pico: boot", 0, 0)
        with (
            session.serve(loaded, firmware=firmware, frames=frames, progress=progress) as port,
            Connection(port.name, timeout_s or EMULATOR_TIMEOUT_S) as connection,
        ):
            yield connection
        return
    with Connection(_only_port() if name == "auto" else name, timeout_s or TIMEOUT_S) as connection:
        yield connection


def _only_port() -> str:
    found = find_ports()
    if not found:
        raise LinkError(
            "board: got no serial port that is one, need a Pico with CircuitPython. Plug it in with a cable that "
            "carries data, or name its port with --board; --board stand-in works without any."
        )
    if len(found) > 1:
        names = " and ".join(f"{port.name} ({port.title})" for port in found)
        raise LinkError(f"board: got {len(found)} ports, {names}, need one. Say which: --board {found[0].name}")
    return found[0].name


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _picture(raw: bytes) -> NDArray[np.uint16] | None:
    shape = _SHAPES.get(len(raw))
    return np.frombuffer(raw, "<u2").astype(np.uint16).reshape(shape) if shape is not None else None


def _foreign(what: str) -> LinkError:
    return LinkError(
        f"got {what}, need link version {link.VERSION}: the board speaks another version. Run picodigits deploy"
    )
