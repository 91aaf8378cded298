"""A sitting: somebody holds up one written digit after another, and the board's frames become captures.

    Reading -> digit there? steady? another one than before? -> saved (or set aside, with the reason) -> reported

No button is pressed: a frame is taken when the digit has stood still for STEADY frames, and the next one when the
sheet has been taken away or shows something else. What is reported saved is on the disk. A sitting that was cut, by
Ctrl-C, a pulled cable or a crash, is gone on with by the next run that wants the same.
"""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from picodigits import captures
from picodigits.board.monitor import turned
from picodigits.captures import NONE, Capture, difference
from picodigits.errors import DatasetError
from picodigits.report import need_writable
from picodigits_board.preprocess import FOUND

if TYPE_CHECKING:
    from picodigits.board.connection import Connection, Reading

STEADY = 3  # frames in which the digit has to stand still
STILL = 0.2  # inks of a sheet that is held still differ by less; see captures.difference
OTHER = 0.3  # inks that differ by more show another digit, or a sheet that was moved
GONE = 2  # frames with another digit or none, after which the next is waited for
EVERY_S = 1.5  # between frames that show no digit
MOST = 10_000  # captures of a class in a sitting

_STATE = ".sitting.json"
_STATE_FORMAT = "sitting 1"


@dataclass(frozen=True)
class Step:
    """What came of a reading.

    what     "wait" (no whole digit, or not steady), "change" (taken: now another one), "saved", "aside"
    capture  the frame that was saved or set aside
    error    what the board says that it can't read, the first time that it says so
    """

    what: str
    capture: Capture | None = None
    error: str = ""


class Sitting:
    """One writer, one folder, so many captures of each label.

    writer, session
    wanted   label -> captures
    kept     label -> captures on the disk
    misread  label -> those of them that the board's model misread
    aside    label -> set aside
    resumed  how many were there already, from a sitting that was cut
    swept    what a crash had left, and is gone now
    damaged  captures in the folder that do not count, a sentence each
    """

    def __init__(
        self,
        folder: str | Path,
        writer: str,
        wanted: Mapping[str, int],
        *,
        every_s: float | None = None,
        anew: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin, or go on with the writer's last sitting if it wanted the same and was cut (not with `anew`).

        every_s  take a frame every so many seconds, whatever it shows, instead of waiting for a steady digit
        Raises DatasetError for a folder that can't be written, and PicodigitsError likewise.
        """
        self.folder = Path(folder)
        self.writer = captures.need_name("writer", writer)
        self.wanted = {captures.need_name("label", label): count for label, count in wanted.items()}
        for label, count in self.wanted.items():
            if not 1 <= count <= MOST:
                raise DatasetError(f"count: got {count} of {label}, need 1 to {MOST}. Name another with --count.")
        need_place(self.folder)
        self._every_s = every_s
        self._clock = clock
        self.swept = captures.sweep(self.folder)
        known = captures.scan(self.folder)
        self.damaged = known.damaged
        self.session = "" if anew else self._cut_session()
        mine = known.where(lambda item: item.session == self.session)
        self.kept = Counter(dict.fromkeys(self.wanted, 0)) + Counter(mine.labels)
        self.misread = Counter(item.label for item in mine.items if item.misread)
        self.aside: Counter[str] = Counter()
        self.resumed = len(mine)
        self.session = self.session or captures.new_session(self.folder, self.writer)
        self._number = captures.next_number(self.folder)
        self._sieve = captures.Sieve(
            item for item in known.items if item.writer == self.writer and item.label in self.wanted
        )
        self._remember()
        self._steady = 0
        self._last: NDArray[np.uint8] | None = None  # ink of the frame before
        self._taken: NDArray[np.uint8] | None = None  # ink of the last frame taken, until another one is shown
        self._gone = 0
        self._next_s = clock()
        self._error = ""  # what the board said last that it can't read

    @property
    def label(self) -> str:
        """What is to be shown now; "" when all is there."""
        return next((label for label, count in self.wanted.items() if self.kept[label] < count), "")

    @property
    def done(self) -> int:
        """How many of those wanted are there."""
        return sum(min(self.kept[label], count) for label, count in self.wanted.items())

    @property
    def total(self) -> int:
        """How many are wanted."""
        return sum(self.wanted.values())

    @property
    def task(self) -> str:
        """What to do now, for people."""
        if self.label == NONE:
            return "show anything but a digit: a hand, a letter, the table"
        return f"write a {self.label}, hold it up" if self.label else "done"

    def feed(self, reading: Reading, info: Mapping[str, str]) -> Step:
        """Take a reading, of a board that says `info` of itself. Raises DatasetError where it can't be saved; nothing
        that was saved before is lost then."""
        frame, label = reading.frame, self.label
        error = reading.values.get("error", "")
        if frame is None or not label:
            new, self._error = error not in ("", self._error), error
            return Step("wait", error=error if new else "")
        self._error = ""
        transpose = turned(info)
        if label == NONE or self._every_s is not None:
            if self._clock() < self._next_s:
                return Step("wait")
            step = self._take(reading, info, frame, label, transpose)
            self._next_s = self._clock() + (self._every_s if self._every_s is not None else EVERY_S)
            return step
        ink, status = captures.look(frame, transpose)
        if self._taken is not None:
            away = status != FOUND or difference(self._taken, ink) > OTHER
            self._gone = self._gone + 1 if away else 0
            if self._gone < GONE:
                return Step("change")
            self._taken, self._last = None, None
        if status != FOUND:
            self._last = None
            return Step("wait")
        still = self._last is not None and difference(self._last, ink) < STILL
        self._steady = self._steady + 1 if still else 1
        self._last = ink
        if self._steady < STEADY:
            return Step("wait")
        step = self._take(reading, info, frame, label, transpose)
        self._taken, self._gone = ink, 0
        return step

    def finish(self) -> None:
        """Nothing is left to go on with. Raises DatasetError."""
        try:
            (self.folder / _STATE).unlink(missing_ok=True)
        except OSError as error:
            raise captures.unwritable(self.folder, error) from error

    def _take(
        self, reading: Reading, info: Mapping[str, str], frame: NDArray[np.uint16], label: str, transpose: bool
    ) -> Step:
        reason = self._sieve.reason(frame, label, self.writer, transpose)
        capture = captures.save(
            self.folder,
            frame,
            label=label,
            writer=self.writer,
            session=self.session,
            number=self._number,
            transpose=transpose,
            model=info.get("model", ""),
            read=reading.read,
            confidence=reading.confidence,
            status=reading.status,
            settings={key: value for key, value in info.items() if key not in ("model", "labels")},
            reason=reason,
        )
        self._number += 1
        if reason:
            self.aside[label] += 1
            return Step("aside", capture)
        self.kept[label] += 1
        self.misread[label] += capture.misread
        self._sieve.add(capture)
        return Step("saved", capture)

    def _cut_session(self) -> str:
        """The session of the last sitting, where that wanted the same and was not finished."""
        try:
            state: Any = json.loads((self.folder / _STATE).read_bytes())
            same = (state["picodigits"], state["writer"], state["wanted"]) == (_STATE_FORMAT, self.writer, self.wanted)
            return str(state["session"]) if same else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _remember(self) -> None:
        state = {"picodigits": _STATE_FORMAT, "session": self.session, "writer": self.writer, "wanted": self.wanted}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            captures.put(self.folder / _STATE, (json.dumps(state, indent=1) + "\n").encode())
        except OSError as error:
            raise captures.unwritable(self.folder, error) from error


def sit(sitting: Sitting, connection: Connection, show: Callable[[Reading, Step], None]) -> None:
    """Feed what the board reads to `sitting` until all is there.

    show  is called with each reading and what came of it; captures that it is told of are on the disk
    Raises what the connection and `Sitting.feed` raise; the sitting can be gone on with then.
    """
    if sitting.label:
        for reading in connection.readings(pictures=True):
            show(reading, sitting.feed(reading, connection.info))
            if not sitting.label:
                break
    sitting.finish()


def need_place(folder: Path) -> None:
    """Make sure that captures can be saved in `folder`. Raises PicodigitsError."""
    need_writable(folder / _STATE)


# --- for people -------------------------------------------------------------------------------------------


def greeting(sitting: Sitting, class_names: Iterable[str]) -> list[str]:
    """What to know before it begins, a line each; `class_names` of the board's model."""
    lines = [f"Captures go to {sitting.folder}, as {sitting.writer}'s, session {sitting.session}."]
    strange = [label for label in sitting.wanted if label not in (*class_names, NONE)]
    if strange:
        lines.append(f"The board's model knows no {', '.join(strange)}: whatever it reads there will be wrong.")
    if sitting.swept:
        lines.append(f"Removed what a crash had left: {', '.join(sitting.swept)}.")
    lines += [f"Not counted: {text}" for text in sitting.damaged]
    if sitting.resumed:
        lines.append(f"Going on with a sitting that was cut: {sitting.done} of {sitting.total} are there.")
    return [*lines, f"{sitting.task[0].upper()}{sitting.task[1:]}."]


def lines(sitting: Sitting, step: Step) -> list[str]:
    """What to report of a step, a line each; nothing of most."""
    item = step.capture
    if item is None:
        return [f"The board says: {step.error}"] if step.error else []
    if item.reason:
        return [f"{item.name}: set aside, {item.reason}"]
    count = f"{sitting.kept[item.label]} of {sitting.wanted[item.label]}"
    if not item.read:
        opinion = "the board declines it" if item.label != NONE else "the board shows no digit"
    elif item.misread:
        opinion = f"the board misreads it as {item.read}, {item.confidence} %"
    else:
        opinion = f"the board reads {item.read}, {item.confidence} %"
    told = [f"{item.name}: saved, {count}; {opinion}"]
    return [*told, f"Now {sitting.task}."] if sitting.label and sitting.label != item.label else told


def bar(sitting: Sitting, step: Step) -> RenderableType:
    """What to do, and how far it is, for over a live view."""
    what = {"change": "now another one", "saved": "saved", "aside": "set aside: write a new one"}.get(step.what, "")
    words = Text(f"{sitting.task}   ", style="bold")
    words.append(what, style="not bold")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total=sitting.total, completed=sitting.done, width=40), f"{sitting.done} of {sitting.total}"
    )
    return Group(words, grid)


def counts(sitting: Sitting) -> list[tuple[str, str, str, str]]:
    """A row a label: the label, captures of those wanted, misread by the board's model, set aside."""
    return [
        (label, f"{sitting.kept[label]} of {count}", str(sitting.misread[label]), str(sitting.aside[label]))
        for label, count in sitting.wanted.items()
    ]


def what_next(sitting: Sitting) -> list[str]:
    """What to do after it, a line each."""
    folder = shlex.quote(str(sitting.folder))
    lines = [] if not sitting.label else ["The same command goes on where this one stopped."]
    if any(sitting.kept.values()):
        lines.append(f"Look at them: picodigits data review {folder}")
        lines.append(f"Teach the model: picodigits train --data captures:{folder} --data mnist")
    return lines
