"""What a board sees, thinks and measures, live: readings -> figures -> a view in the terminal, or JSON.

    Reading (frame, ink, scores, timings) -> Figures (focus, light, what to do) -> View, of any width, colour or not

Readings come from a `Connection`; one that breaks is opened again, see `watch`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from picodigits.errors import LinkError
from picodigits.frames import luminance, to_image
from picodigits_board.decide import likelihoods
from picodigits_board.preprocess import FOUND, STATUS_KEYS, STATUS_NAMES
from picodigits_board.screen import hint_for

if TYPE_CHECKING:
    from picodigits.board.connection import Connection, Reading

SHARP = 45  # focus figure; below: turn the lens
DIM = 35  # light figure, percent; below: more light
TURN_THE_LENS = "blurred: turn the lens"
MORE_LIGHT = "dim: more light"
AGAIN_S = 1.0  # between tries to find a board again

_MARGIN = 3  # pixels around the box that belong to the digit's edges
_EDGE = 0.1  # parts of the contrast; a weaker gradient is paper
_FOUND, _AMISS = "#2a9df4", "#ff9f1c"  # the colours of the board's own screen
_BAR = 20  # letters


@dataclass(frozen=True)
class Figures:
    """What a frame is like, and what to do about it.

    focus  how steep the digit's edges are, 100 = within one pixel, as steep as can be; None where there is no digit.
           Tenengrad (Krotkov, Focusing, 1988: the energy of Sobel gradients) over what grows with ink and light:
           200 * sum g^2 / (c * sum g), over the gradients g of the brightness in the box that are above a tenth of its
           contrast c. Measured on simulated frames, median: 81 in focus, 56 with a blur of 0.8 pixels (sigma), 45 with
           1.2, 34 with 2; 5 % of sharp ones in bad light (`hard`) lie below 50
    light  brightness of the paper, percent of white: of the brightest tenth of the frame
    hint   what to do, "" if all is well: the board's own, else about focus, else about light
    """

    focus: int | None
    light: int
    hint: str


def figures(reading: Reading, transpose: bool = False) -> Figures | None:
    """The figures of a reading; None for one without a frame."""
    frame = reading.frame
    if frame is None:
        return None
    grey = luminance(frame).astype(np.float64)
    focus = _focus(grey, reading.box) if reading.box is not None else None
    light = round(float(np.quantile(grey, 0.9)) / 2.55)
    status = STATUS_KEYS.index(reading.status) if reading.status in STATUS_KEYS else FOUND
    hint = hint_for(status, reading.read, _upright(reading.box, transpose), transpose)
    if status == FOUND and focus is not None and focus < SHARP:
        hint = TURN_THE_LENS
    elif status == FOUND and light < DIM:
        hint = MORE_LIGHT
    return Figures(focus, light, hint)


def _focus(grey: NDArray[np.float64], box: tuple[int, int, int, int]) -> int | None:
    scale = grey.shape[0] // 60  # boxes are in pixels of an 80x60 frame
    top, left, bottom, right = (scale * side for side in box)
    margin = _MARGIN * scale
    part = grey[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
    if min(part.shape) < 3:
        return None
    contrast = float(np.quantile(part, 0.9) - np.quantile(part, 0.02))
    rows = _smooth(part[2:], 1) - _smooth(part[:-2], 1)
    columns = _smooth(part[:, 2:], 0) - _smooth(part[:, :-2], 0)
    steep = np.hypot(rows, columns) / 8
    steep = steep[steep > _EDGE * contrast]
    if contrast < 8 or not len(steep):
        return None
    return min(round(200 * float((steep**2).sum() / steep.sum()) / contrast), 100)


def _smooth(part: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Sobel's 1 2 1 along an axis."""
    if axis:
        return part[:, :-2] + 2 * part[:, 1:-1] + part[:, 2:]
    return part[:-2] + 2 * part[1:-1] + part[2:]


def _upright(box: tuple[int, int, int, int] | None, transpose: bool) -> tuple[int, int, int, int] | None:
    return (box[1], box[0], box[3], box[2]) if box is not None and transpose else box


def confidences(scores: Sequence[int], octave: int, classes: int) -> list[int]:
    """Percent for each class, of this frame alone: the softmax of the decision. `octave` is that of the model."""
    return [round(100 * part / 65536) for part in likelihoods(list(scores), octave)[:classes]]


def watch(
    open_: Callable[[], AbstractContextManager[Connection]],
    tell: Callable[[str], None],
    *,
    reconnect: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[Connection, Reading]]:
    """Readings with pictures, and the connection that they come from; for ever.

    A board that has answered once and is lost is told of through `tell`, once, and looked for until it is back. Raises
    LinkError where none can be opened in the first place, and with reconnect=False where it is lost.
    """
    seen = lost = False
    while True:
        try:
            with open_() as connection:
                for reading in connection.readings(pictures=True):
                    if lost:
                        tell("The board is back.")
                    seen, lost = True, False
                    yield connection, reading
        except LinkError as error:
            if not (seen and reconnect):
                raise
            if not lost:
                tell(f"{error} Looking for it; Ctrl-C ends.")
            lost = True
            sleep(AGAIN_S)


@contextmanager
def live(console: Console) -> Iterator[Callable[[RenderableType], None]]:
    """Yields a function that shows a view in place of the last one; what is printed meanwhile goes above it.

    Where `console` is no terminal it shows nothing.
    """
    if not console.is_terminal:
        yield lambda view: None
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as display:
        yield lambda view: display.update(view, refresh=True)


def _status_name(reading: Reading) -> str:
    known = reading.status in STATUS_KEYS
    return STATUS_NAMES[STATUS_KEYS.index(reading.status)] if known else reading.status


# --- the terminal -----------------------------------------------------------------------------------------


class Pixels:
    """A picture in the terminal, two rows of pixels in a row of letters; without colours as grey, in letters.

    rgb  (H, W, 3) uint8
    """

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self._rgb = rgb if len(rgb) % 2 == 0 else np.concatenate([rgb, rgb[-1:]])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.color_system is None or console.no_color:
            yield from self._letters(" .:-=+*#%@" if options.ascii_only else " ░▒▓█")
            return
        for upper, lower in zip(self._rgb[0::2].tolist(), self._rgb[1::2].tolist(), strict=True):
            for above, below in zip(upper, lower, strict=True):
                yield Segment("▀", _pair(tuple(above), tuple(below)))
            yield Segment.line()

    def _letters(self, ramp: str) -> RenderResult:
        rows = (self._rgb.astype(np.int64) @ (77, 150, 29)) >> 8  # 0..255
        for row in ((rows[0::2] + rows[1::2]) * len(ramp) // 512).tolist():
            yield Segment("".join([ramp[level] for level in row]))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._rgb.shape[1], self._rgb.shape[1])


@lru_cache(maxsize=20_000)
def _pair(above: tuple[int, ...], below: tuple[int, ...]) -> Style:
    return Style(color=f"rgb({above[0]},{above[1]},{above[2]})", bgcolor=f"rgb({below[0]},{below[1]},{below[2]})")


def picture(reading: Reading, width: int, height: int, transpose: bool = False) -> Pixels | None:
    """The camera's picture, upright, with the box, in at most `width` letters and `height` lines; None without one."""
    if reading.frame is None:
        return None
    image = to_image(reading.frame.T if transpose else reading.frame)
    scale = min(width / image.width, 2 * height / image.height, 1)
    small = image.resize(
        (max(round(image.width * scale), 1), max(round(image.height * scale), 1)), Image.Resampling.BOX
    )
    box = _upright(reading.box, transpose)
    if box is not None:
        scale = small.height / (80 if transpose else 60)  # boxes are in pixels of an 80x60 frame
        top, left, bottom, right = (round(side * scale) for side in box)
        colour = _FOUND if reading.status == STATUS_KEYS[FOUND] else _AMISS
        ImageDraw.Draw(small).rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=colour)
    return Pixels(np.asarray(small))


class View:
    """A reading, as a renderable that fits the terminal it is printed on, as a line, and for other programs.

    figures   None where the picture did not come
    complete  the picture came, or the board says that it can't read
    """

    def __init__(
        self, reading: Reading, info: Mapping[str, str], damaged: int = 0, above: RenderableType | None = None
    ) -> None:
        """`info` and `damaged` are those of the connection; `above` stands over it, such as a progress bar."""
        self._reading, self._info, self._damaged, self._above = reading, info, damaged, above
        self.figures = figures(reading, turned(info))
        self.complete = self.figures is not None or "error" in reading.values

    @property
    def line(self) -> str:
        """The reading in words."""
        reading, figured = self._reading, self.figures
        if "error" in reading.values:
            return f"the board says: {reading.values['error']}"
        read = f"{reading.read}, {reading.confidence} %" if reading.read else "no digit"
        words = [f"frame {reading.number}: {read}", _status_name(reading)]
        if figured is not None:
            words += [f"focus {figured.focus}"] if figured.focus is not None else []
            words += [f"light {figured.light} %"] + ([figured.hint] if figured.hint else [])
        return "; ".join(words)

    def to_json(self) -> dict[str, Any]:
        """The reading for other programs, without the pictures; for one that the board could not do, `error` alone."""
        reading, figured = self._reading, self.figures
        if "error" in reading.values:
            return {"error": reading.values["error"]}
        facts: dict[str, Any] = {"frame": reading.number, "read": reading.read, "confidence": reading.confidence}
        facts |= {"status": reading.status, "box": reading.box}
        if figured is not None:
            facts |= {"focus": figured.focus, "light": figured.light, "hint": figured.hint}
        facts |= {"scores": reading.scores} | {f"{stage}_ms": ms for stage, ms in reading.timings.items()}
        return facts | {"free": reading.heap_free, "model": self._info.get("model", "")}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = (options.height or console.height) - (2 if self._above is None else 4)
        transpose = turned(self._info)
        beside = options.max_width >= 68
        if beside:
            seen = picture(self._reading, options.max_width - 38, max(height, 15), transpose)
        else:
            seen = picture(self._reading, options.max_width, max(height - 14, 8), transpose)
        words = self._words(options.ascii_only, narrow=not beside, inked=options.max_width >= 36)
        parts = [self._above] if self._above is not None else []
        if seen is not None and beside:
            grid = Table.grid(padding=(0, 2))
            grid.add_row(seen, words)
            parts.append(grid)
        else:
            parts += [part for part in (seen, words) if part is not None]
        yield Group(*parts)

    def _words(self, ascii_only: bool, narrow: bool, inked: bool) -> RenderableType:
        reading, figured = self._reading, self.figures
        if "error" in reading.values:
            return Text(f"The board says: {reading.values['error']}", style=_AMISS)
        parts: list[RenderableType] = []
        read = Text(f"{reading.read or 'no digit'}", style="bold")
        if reading.read:
            read.append(f"  {reading.confidence} %", style="")
        read.append(f"  {_status_name(reading)}", style="dim")
        parts.append(read)
        parts.append(Text(figured.hint if figured else "", style=_AMISS))
        bars = self._bars(ascii_only, most=3 if narrow else 99)
        if reading.ink is not None and inked:
            grid = Table.grid(padding=(0, 2))
            grid.add_row(_ink(reading.ink), _facts(reading, figured, self._damaged))
            parts.append(grid)
        else:
            parts.append(_facts(reading, figured, self._damaged))
        if bars is not None:
            parts.append(bars)
        return Group(*parts)

    def _bars(self, ascii_only: bool, most: int) -> Table | None:
        labels = [unquote(label) for label in self._info.get("labels", "").split(",")]
        octave = self._info.get("octave", "")
        scores = self._reading.scores
        if scores is None or not octave.isdigit() or len(scores) < len(labels):
            return None
        table = Table.grid(padding=(0, 1))
        parts = confidences(scores, int(octave), len(labels))
        shown = sorted(parts, reverse=True)[:most]  # on a narrow terminal, the likeliest
        for label, part in zip(labels, parts, strict=True):
            if part < shown[-1] or table.row_count == len(shown):
                continue
            style = _FOUND if label == self._reading.read else ""
            bar = ("#" if ascii_only else "█") * round(_BAR * part / 100)
            table.add_row(label, Text(bar.ljust(_BAR), style=style), f"{part:3} %")
        return table


def turned(info: Mapping[str, str]) -> bool:
    """Whether the board says that its camera lies on its side."""
    return info.get("TRANSPOSE", "0") == "1"


def _ink(ink: NDArray[np.uint8]) -> Pixels:
    times = max(ink.shape[1] // 16, 1)
    return Pixels(np.repeat(ink[::times, ::times, np.newaxis], 3, axis=2))


def _facts(reading: Reading, figured: Figures | None, damaged: int) -> Table:
    table = Table.grid(padding=(0, 1))
    if figured is not None:
        table.add_row("focus", "-" if figured.focus is None else str(figured.focus))
        table.add_row("light", f"{figured.light} %")
    loop_ms = reading.timings.get("loop", 0)
    if loop_ms:
        table.add_row("fps", f"{1000 / loop_ms:.1f}")
    for stage in ("ink", "network", "screen", "loop"):
        if stage in reading.timings:
            table.add_row(stage, f"{reading.timings[stage]:.1f} ms")
    if reading.heap_free is not None:
        table.add_row("free", f"{reading.heap_free}")
    if damaged:
        table.add_row("lines lost", str(damaged))
    return table
