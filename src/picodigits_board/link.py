"""The link between board and PC over USB serial: lines, checksums, requests. One file for both sides.

    picodigits: frame=12 read=7 confidence=97 ... crc=1a2b3c4d          a line of the board
    picodigits? stream=60 want=pixels,ink every=2 crc=5e6f7a8b          a request of the PC

docs/link.md has all of them. `crc` is the CRC-32 of what stands before it; a line that does not fit it counts as not
said. The board never waits for the PC, as print() would: a line is given up after WRITE_TIMEOUT_S, and then nothing is
said until the PC has taken what still waits.
"""

from __future__ import annotations

import binascii
import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VERSION = 1  # of what is said here
APPLICATION = "0.1.0"
SAYS = "picodigits: "
ASKS = "picodigits? "
PARTS = ("pixels", "ink", "scores", "heap")  # what the PC may want of a frame
TRACE = PARTS[1:]
LIVE = ("FLIP_X", "FLIP_Y")  # settings that the board can change without a restart: 0 or 1
CHUNK_BYTES = 480  # of a part in one line
LONGEST = 4096  # bytes of a line that the board says
LONGEST_REQUEST = 160
MOST_FRAMES = 200  # that can be asked for at a time
WRITE_TIMEOUT_S = 0.02


class Lines:
    """Finds the whole lines in a stream of bytes of which any may be wrong or lost.

    damaged   how many lines had a checksum, and not the right one
    unsealed  how many had none: cut short, or of a version that had no checksums
    """

    def __init__(self, prefix: str, longest: int) -> None:
        """`prefix` is how the lines begin; of those longer than `longest` bytes the end alone is looked at."""
        self._prefix = prefix.encode()
        self._longest = longest
        self._rest = b""  # the line that has not ended yet, <= longest
        self.damaged = 0
        self.unsealed = 0

    def feed(self, data: bytes) -> list[str]:
        """The texts, without prefix and checksum, of the lines that end in these bytes of the stream."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[-self._longest :]
        texts = []
        for line in lines:
            at = line.rfind(self._prefix)  # one that was cut may stand before it
            if at >= 0:
                text, seal, crc = line[at + len(self._prefix) :].rstrip(b"\r").rpartition(b" crc=")
                if seal and crc == _crc(text):
                    texts.append(str(text, "utf-8", "replace"))
                elif seal:
                    self.damaged += 1
                else:
                    self.unsealed += 1
        return texts


def sealed(prefix: str, text: str, data: bytes = b"") -> bytes:
    """`text`, and `data` after it, as a line of the link."""
    raw = text.encode()
    crc = _crc(data, binascii.crc32(raw))
    return b"".join((prefix.encode(), raw, data, b" crc=", crc, b"\r\n"))


def values(text: str) -> dict[str, str]:
    """`key=value key=value ...` by key. `error=` takes the rest of the text; a word without "=" is left out."""
    head, found, error = (" " + text).partition(" error=")
    pairs = dict([word.split("=", 1) for word in head.split() if "=" in word])
    if found:
        pairs["error"] = error.strip()
    return pairs


def word(text: str) -> str:
    """`text` without spaces and commas, for a value; urllib.parse.unquote is the inverse."""
    for letter in "%, \t\r\n":
        text = text.replace(letter, "%%%02X" % ord(letter))
    return text


def frame_text(
    number: int, read: str, confidence: int, status: str, box: tuple[int, int, int, int] | None, spent: list[float]
) -> str:
    """What a frame came to, as its line says it.

    read        a label, "" for none; of several digits those of each, one after the other
    confidence  percent
    status      one of preprocess.STATUS_KEYS
    box         (top, left, bottom, right) in pixels of an 80x60 frame, or None
    spent       ms: capture, ink, network, screen, and from the start of the last frame to the start of this one
    """
    return "frame=%d read=%s confidence=%d status=%s box=%s" % (
        number,
        read.replace(" ", "_") or "none",
        confidence,
        status,
        "%d,%d,%d,%d" % box if box else "none",
    ) + " capture_ms=%.2f ink_ms=%.2f network_ms=%.2f screen_ms=%.2f loop_ms=%.2f" % tuple(spent)


def scores_text(scores: list[int]) -> str:
    """What follows it where the PC wants the scores."""
    return " scores=" + ",".join([str(score) for score in scores])


class Link:
    """The board's side. `console` has what usb_cdc.Serial has, or is None: then nobody ever listens."""

    def __init__(self, console: Any, settings: dict, restart: Callable[[], None]) -> None:
        """`settings` are those of settings.py, changed on request; `restart` starts the application anew."""
        self._console = console
        self._settings = settings
        self._restart = restart
        self._lines = Lines(ASKS, LONGEST_REQUEST)
        self._cut = False  # the last line did not get out whole
        self._number = 0
        self._idle = list(TRACE) if settings["TRACE"] else []  # the parts that are wanted in any case
        self._wanted = self._idle  # and for `_left` frames
        self._left = 0
        self._every = 1
        self._who = ""
        if console:
            console.write_timeout = WRITE_TIMEOUT_S

    def introduce(self, model: Any) -> None:
        """Tell it what reads: a modelfile.Model."""
        self._who = "model=%s preprocess=%s ink=%dx%d octave=%d labels=%s" % (
            word(model.name),
            model.preprocess_id,
            model.ink_height,
            model.ink_width,
            model.octave,
            ",".join([word(label) for label in model.labels]),
        )

    def say(self, text: str, data: bytes = b"") -> bool:
        """Send `text`, and `data` after it, as a line, if somebody listens and keeps up. Returns whether all of it got
        out."""
        console = self._console
        if not console or not console.connected or (self._cut and console.out_waiting):
            return False
        line = sealed("\r\n" + SAYS if self._cut else SAYS, text, data)
        self._cut = console.write(line) < len(line)
        return not self._cut

    def explain(self, error: Exception) -> str:
        """Say what went wrong, in words that say what to do; returns them for the screen. Collects garbage first,
        since the heap may be full."""
        gc.collect()
        if isinstance(error, MemoryError):
            text = "out of memory: use a smaller model"
        elif isinstance(error, OSError):
            text = "%s: can't be read. Copy a model file to the drive" % self._settings["MODEL"]
        else:
            text = str(error)
        self.say("error=" + text)
        return text

    def send(self, part: str, number: int, data: Any) -> None:
        """Send "pixels" or "ink" of frame `number`, where the PC wants it.

        data  (n,) uint8, n < 65536: an array, or anything that can be sliced into bytes
        """
        if self.wants(part):
            for at in range(0, len(data), CHUNK_BYTES):
                chunk = binascii.b2a_base64(data[at : at + CHUNK_BYTES], newline=False)
                if not self.say("%s=%d of=%d at=%d data=" % (part, number, len(data), at), chunk):
                    break

    def wants(self, part: str) -> bool:
        """Does the PC want this one of PARTS of the frame?"""
        return part in self._wanted and not (part == "pixels" and self._number % self._every)

    def listen(self, number: int) -> bool:
        """Before frame `number`: do what the PC asks for. Returns whether the camera has to be set up anew for it."""
        self._number = number
        self._left -= 1
        console = self._console
        there = console and console.connected
        if not there or self._left <= 0:
            self._wanted = self._idle
        anew = False
        if there and console.in_waiting:
            try:
                for text in self._lines.feed(console.read(min(console.in_waiting, LONGEST_REQUEST))):
                    anew = self._answer(values(text)) or anew
            except ValueError:  # it makes no sense, in spite of its checksum
                pass
        return anew

    def _answer(self, asked: dict[str, str]) -> bool:
        settings = self._settings
        name = asked.get("set", "")
        value = int(asked.get("value") == "1")
        anew = name in LIVE and settings[name] != value
        if anew:
            settings[name] = value
        if name or "hello" in asked:
            python = ".".join([str(number) for number in sys.implementation.version[:3]])
            text = "hello=%d application=%s python=%s-%s platform=%s " % (
                VERSION,
                APPLICATION,
                sys.implementation.name,
                python,
                sys.platform,
            )
            self.say(
                text + self._who + "".join([" %s=%s" % (key, word(str(settings[key]))) for key in sorted(settings)])
            )
        if "stream" in asked:
            self._left = min(int(asked["stream"]), MOST_FRAMES)
            self._every = max(int(asked.get("every", 1)), 1)
            self._wanted = self._idle + asked.get("want", "").split(",") if self._left > 0 else self._idle
        if "restart" in asked:
            self._restart()
        return anew


def _crc(raw: bytes, crc: int = 0) -> bytes:
    return ("%08x" % binascii.crc32(raw, crc)).encode()


try:
    import supervisor
    import usb_cdc
except ImportError:  # the PC
    pass
else:
    from picodigits_board.settings import SETTINGS

    usb = Link(usb_cdc.console, SETTINGS, supervisor.reload)  # .console is None where boot.py has switched it off
