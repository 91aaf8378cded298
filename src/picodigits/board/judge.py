"""What the self-test measured on the board -> what is wrong and what to do, one finding a line. Pure functions.

    measured = read(lines)                        # what selftest.py printed
    for finding in camera(measured, pins, profile):
        print(finding)                            # "BAD VSYNC: never moves, and its pin floats. Check the wire ..."

The order of thought is that of the current: pull-ups, supply, I2C, chip, the lines that must move, the data lines,
the picture. What can't be judged because of something before it is told as such, and is no fault of its own.

What a floating pin, the sensor's answers and its test pattern look like comes from the OV7670 datasheet 1.4 (p. 3, 10,
11, 24) and was tried on the virtual bench, on hardware not yet. A sensor whose test pattern does not look like the
datasheet's is not blamed for it: swapped lines are then left unjudged.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from picodigits.board import wiring
from picodigits.board.profiles import Profile
from picodigits.board.wiring import Pins, Wire
from picodigits.frames import luminance

MARK = "selftest "
OK: Final = "ok"
BAD: Final = "BAD"
UNKNOWN: Final = "--"
State = Literal["ok", "BAD", "--"]

ADDRESS = 0x21  # of an OV7670, 7 bits (datasheet p. 10)
PRODUCT = 0x76  # PID (p. 11)
LEAST_HEAP = 100_000  # bytes free in an empty program; 154 832 on CircuitPython 10.0.0, of which some 90 000 are needed
DARK = 45  # luminance 0..255: nothing in the picture is lighter
BRIGHT = 250  # nothing in it is darker
LEAST_CONTRAST = 45  # luminance: with less, sharpness can't be told from noise
LEAST_SHARPNESS_PX = 5.0  # pixels that an edge may take; simulated handwriting takes 1.6 to 4.1, out of focus 7.5
_FLOATS, _LOW, _HIGH = "1100", "0000", "1111"
_LINES = ("PCLK", "HREF", "VSYNC")
_OTHERS = {0x30: "an OV2640", 0x3C: "an OV5640 or OV3660", 0x48: "an ADC or a thermometer", 0x68: "a clock"}

CARD = "What does the screen show?"
ANSWERS = (
    "RED, GREEN and BLUE on stripes of these colours, picodigits below, a white frame at all four edges",
    "the same, but RED stands on blue and BLUE on red",
    "the same, but mirrored or upside down",
    "the same, but shifted: the frame is cut off, or there is noise at an edge",
    "it is lit, all white or grey",
    "noise or flicker",
    "it is dark",
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    topic  what was looked at, in a word or two
    state  "ok", "BAD", or "--" where it could not be judged
    text   what was seen
    todo   what to do; "" where there is nothing to do
    """

    topic: str
    state: State
    text: str
    todo: str = ""

    def __str__(self) -> str:
        end = "" if self.text.endswith((".", "?")) else "."
        return f"{self.state:3} {self.topic}: {self.text}{end}{f' {self.todo}' if self.todo else ''}"


@dataclass
class Measured:
    """The figures of a self-test; what it did not come to is None or empty.

    board      id, version, heap (bytes), drive_bytes, drive_free
    levels     line -> lowest and highest level with the pull-up, then with the pull-down: "1100" floats
    no_i2c     why CircuitPython would not open the bus
    addresses  7-bit addresses that answered
    chip       (PID, VER)
    edges      line -> rises that were counted, up to a limit
    pattern    (rows, 160) uint8: bytes of the test pattern "shifting 1", 80 pixels a row
    picture    (60, 80) uint16 RGB565_SWAPPED
    missed     "pattern" or "picture", where none came in time
    """

    board: dict[str, str] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    no_i2c: str | None = None
    addresses: list[int] | None = None
    chip: tuple[int, int] | None = None
    edges: dict[str, int] = field(default_factory=dict)
    pattern: NDArray[np.uint8] | None = None
    picture: NDArray[np.uint16] | None = None
    missed: str | None = None
    pins: str = ""


def read(lines: Iterable[str]) -> Measured:
    """The figures in the lines that the self-test prints; lines of other programs, and damaged ones, are left out."""
    found = Measured()
    pattern: list[bytes] = []
    picture: list[bytes] = []
    source: list[bytes] = []
    for line in lines:
        _, mark, rest = line.partition(MARK)
        what, _, text = rest.strip().partition(" ")
        if not mark:
            continue
        words = dict(word.split("=", 1) for word in text.split() if "=" in word)
        try:
            if what == "board":
                found.board.update(words)
            elif what == "levels":
                found.levels.update(words)
            elif what == "no_i2c":
                found.no_i2c = text
            elif what == "i2c":
                found.addresses = [int(word, 16) for word in words["addresses"].split(",") if word]
            elif what == "chip":
                found.chip = int(words["pid"], 16), int(words["ver"], 16)
            elif what == "edges":
                found.edges.update({name: int(count) for name, count in words.items()})
            elif what == "pattern":
                pattern.append(bytes.fromhex(text))
            elif what == "picture":
                picture.append(base64.b64decode(text, validate=True))
            elif what == "pins":
                source.append(base64.b64decode(text, validate=True))
            elif what == "no_picture":
                found.missed = text
        except (KeyError, ValueError, binascii.Error):
            continue
    rows = [row for row in pattern if len(row) == 160]
    if rows:
        found.pattern = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 160)
    if len(raw := b"".join(picture)) == 9600:
        found.picture = np.frombuffer(raw, "<u2").astype(np.uint16).reshape(60, 80)
    found.pins = b"".join(source).decode("utf-8", "replace")
    return found


# The board.


def board(measured: Measured) -> list[Finding]:
    """Memory, as the board itself tells."""
    heap = int(text) if (text := measured.board.get("heap", "")).isdigit() else None
    if heap is None:
        return [Finding("memory", UNKNOWN, "the board did not say how much it has")]
    if heap < LEAST_HEAP:
        return [
            Finding(
                "memory", BAD, f"{heap} bytes are free before any program runs, the application needs {LEAST_HEAP}",
                "Does a boot.py on the drive, or an unusual build of CircuitPython, take memory? Run picodigits deploy "
                "with the board in BOOTSEL mode to put the usual one on.",
            )
        ]  # fmt: skip
    return [Finding("memory", OK, f"{heap} bytes are free before any program runs")]


# The camera.


def camera(measured: Measured, pins: Pins, profile: Profile) -> list[Finding]:
    """Every finding about the camera; those that can't be told for what came before are "--"."""
    wires = {wire.terminal: wire for wire in wiring.wires(pins, profile) if wire.module == "camera"}
    steps = (_pull_ups, _supply, _i2c, _chip)
    made: list[Finding] = []
    for step in steps:
        made += step(measured, wires)
        if any(finding.state == BAD for finding in made):
            return [*made, Finding("camera signals", UNKNOWN, f"not looked at before {made[-1].topic} is right")]
    made += _moving(measured, wires)
    made += _data_lines(measured, wires)
    made += _light_and_focus(measured)
    return made


def _named(wire: Wire) -> str:
    start, end = wiring.from_to(wire)
    return f"{start} to {end}"


def _pull_ups(measured: Measured, wires: Mapping[str, Wire]) -> list[Finding]:
    seen = {terminal: measured.levels.get(name, "") for name, terminal in (("SDA", "SIOD"), ("SCL", "SIOC"))}
    missing = [terminal for terminal, levels in seen.items() if levels == _FLOATS]
    low = [terminal for terminal, levels in seen.items() if levels == _LOW]
    names = " and ".join(f"{terminal} ({wires[terminal].pin})" for terminal in missing or low)
    if missing:
        return [
            Finding(
                "pull-ups", BAD, f"nothing pulls {names} up to 3.3 V",
                f"Put a resistor of {wiring.PULL_UP} from each to 3V3(OUT). It belongs at the Pico's pin, on the same "
                "row of the breadboard.",
            )
        ]  # fmt: skip
    if low:
        return [
            Finding(
                "pull-ups", BAD, f"{names} is held low",
                "It touches ground or a neighbour, or the camera has no supply and draws it down: check "
                f"{_named(wires['3V3'])}, then for a short.",
            )
        ]  # fmt: skip
    if measured.no_i2c is not None:
        return [Finding("pull-ups", BAD, f"CircuitPython says: {measured.no_i2c}", "Run picodigits doctor again.")]
    if "" in seen.values():
        return [Finding("pull-ups", BAD, "the self-test did not get as far", "Run picodigits doctor again.")]
    return [Finding("pull-ups", OK, "SIOD and SIOC are pulled up")]


def _outputs(measured: Measured) -> dict[str, str]:
    return {name: levels for name, levels in measured.levels.items() if name in _LINES or name[1:].isdigit()}


def _floating(measured: Measured) -> list[str]:
    """The camera's output lines that nothing drives."""
    return [name for name, levels in _outputs(measured).items() if levels == _FLOATS]


def _supply(measured: Measured, wires: Mapping[str, Wire]) -> list[Finding]:
    outputs = _outputs(measured)
    floating = _floating(measured)
    if outputs and len(floating) == len(outputs) and measured.chip is None and not measured.addresses:
        return [
            Finding(
                "camera", BAD, "it is mute, and nothing drives any of its lines: it is not there or has no supply",
                f"Check {_named(wires['3V3'])}, and {_named(wires['GND'])}; then the plug or cable, and "
                f"{_named(wires['PWDN'])}. Never 5 V.",
            )
        ]  # fmt: skip
    return [Finding("camera", OK, "it has supply, and drives its lines")]


def _i2c(measured: Measured, wires: Mapping[str, Wire]) -> list[Finding]:
    found = measured.addresses or []
    if ADDRESS in found:
        return [Finding("I2C", OK, f"a camera answers at 0x{ADDRESS:02x}")]
    if found:
        others = ", ".join(f"0x{one:02x} ({_OTHERS[one]}?)" if one in _OTHERS else f"0x{one:02x}" for one in found)
        return [
            Finding(
                "I2C", BAD, f"{others} answers, and nothing at 0x{ADDRESS:02x}, the address of an OV7670",
                "It is another kind of camera, or another module on the same wires. The application needs an OV7670.",
            )
        ]  # fmt: skip
    return [
        Finding(
            "I2C", BAD, "the camera has supply, and does not answer",
            f"Without a clock it is mute: check {_named(wires['XCLK'])} first. Then whether SIOD and SIOC are in each "
            f"other's place or loose: {_named(wires['SIOD'])}, {_named(wires['SIOC'])}. Then "
            f"{_named(wires['RESET'])} and {_named(wires['PWDN'])}.",
        )
    ]  # fmt: skip


def _chip(measured: Measured, wires: Mapping[str, Wire]) -> list[Finding]:
    if measured.chip is None:
        return [
            Finding(
                "chip", BAD, "it answers, but its registers can't be read",
                f"A loose contact: check {_named(wires['SIOD'])} and {_named(wires['SIOC'])}, with short wires.",
            )
        ]  # fmt: skip
    pid, ver = measured.chip
    if pid != PRODUCT:
        return [
            Finding(
                "chip", BAD, f"its id is 0x{pid:02x}{ver:02x}, that of an OV7670 begins with 0x{PRODUCT:02x}",
                f"Another camera (the application needs an OV7670), or a loose {_named(wires['SIOD'])}.",
            )
        ]  # fmt: skip
    return [Finding("chip", OK, f"an OV7670, id 0x{pid:02x}{ver:02x}")]


def _moving(measured: Measured, wires: Mapping[str, Wire]) -> list[Finding]:
    """VSYNC, HREF, PCLK: each must rise."""
    floating = _floating(measured)
    still = [name for name in reversed(_LINES) if not measured.edges.get(name)]
    if len(still) == len(_LINES) and not set(still) & set(floating):
        return [
            Finding(
                "signals", BAD, "the camera answers, but VSYNC, HREF and PCLK never move",
                f"Its clock is weak or broken off: check {_named(wires['XCLK'])}, with a short wire, and "
                f"{_named(wires['PWDN'])}.",
            )
        ]  # fmt: skip
    made = []
    for name in reversed(_LINES):
        floats = ", and its pin floats: the wire leads nowhere" if name in floating else ""
        if name in still:
            todo = f"Check the wire {_named(wires[name])}."
            made.append(Finding(name, BAD, f"never moves{floats}", todo))
        else:
            made.append(Finding(name, OK, "moves"))
    return made


# The data lines.


@dataclass(frozen=True)
class Lines:
    """What the test pattern tells of D0 to D7.

    stuck    line -> the level that it always has
    joined   pairs that always have the same level
    places   line of the camera -> place where it arrives; None where the pattern is not the datasheet's
    """

    stuck: dict[int, bool]
    joined: list[tuple[int, int]]
    places: list[int] | None


def data_lines(pattern: NDArray[np.uint8]) -> Lines:
    """Judge the data lines by the test pattern "shifting 1": pixel c of a row has only bit c % 16 of its 16 set.

    pattern (rows, 160) uint8, high byte first. The datasheet (p. 24) does not say with which pixel it begins; since
    the high byte's eight bits come after the low byte's, only one beginning fits.
    """
    bits = (pattern[:, :, np.newaxis] >> np.arange(8)) & 1  # (rows, 160, 8)
    flat = bits.reshape(-1, 8)
    stuck = {line: bool(flat[0, line]) for line in range(8) if len(np.unique(flat[:, line])) == 1}
    joined = [
        (first, second)
        for first in range(8)
        for second in range(first + 1, 8)
        if first not in stuck and second not in stuck and np.array_equal(flat[:, first], flat[:, second])
    ]
    if stuck or joined:
        return Lines(stuck, joined, None)
    # (pixel % 16, byte, line) -> is it set in most rows and periods?
    period = bits.reshape(-1, 80 // 16, 16, 2, 8).mean(axis=(0, 1)) > 0.5
    if not (period.sum(axis=(1, 2)) == 1).all():
        return Lines(stuck, joined, None)
    for start in range(16):
        places: list[set[int]] = [set() for _ in range(8)]
        for pixel in range(16):
            byte, place = (int(index[0]) for index in np.nonzero(period[pixel]))
            bit = (pixel - start) % 16
            if byte == (0 if bit >= 8 else 1):
                places[bit % 8].add(place)
        if all(len(one) == 1 for one in places):
            order = [one.pop() for one in places]
            if len(set(order)) == 8:
                return Lines(stuck, joined, order)
    return Lines(stuck, joined, None)


def _moved(order: Sequence[int]) -> int:
    return sum(place != line for line, place in enumerate(order))


def _data_lines(measured: Measured, wires: Mapping[str, Wire]) -> list[Finding]:
    floating = [name for name in _floating(measured) if name[1:].isdigit()]
    if floating:
        todo = f"Check {', '.join(_named(wires[name]) for name in floating)}."
        return [Finding("data lines", BAD, f"{_and(floating)} float: the wires lead nowhere", todo)]
    if any(not measured.edges.get(name) for name in _LINES):
        return [Finding("data lines", UNKNOWN, "not looked at before VSYNC, HREF and PCLK move")]
    if measured.pattern is None:
        return [
            Finding(
                "data lines", BAD, "no whole picture came, though VSYNC, HREF and PCLK move",
                f"A loose contact: check {_named(wires['PCLK'])} and {_named(wires['HREF'])}, with short wires.",
            )
        ]  # fmt: skip
    seen = data_lines(measured.pattern)
    if seen.stuck:
        which = [f"D{line} is always {'high' if level else 'low'}" for line, level in sorted(seen.stuck.items())]
        todo = f"Check {', '.join(_named(wires[f'D{line}']) for line in sorted(seen.stuck))}, also for a short."
        return [Finding("data lines", BAD, _and(which), todo)]
    if seen.joined:
        pairs = [f"D{first} and D{second}" for first, second in seen.joined]
        return [
            Finding("data lines", BAD, f"{', '.join(pairs)} always have the same level", "Two wires or pins touch.")
        ]
    if seen.places is None:
        return [
            Finding(
                "data lines", UNKNOWN,
                "none is stuck; whether two are swapped can't be told, the test pattern is not that of the datasheet",
                "If the picture's colours are wrong, compare D0 to D7 with picodigits wiring.",
            )
        ]  # fmt: skip
    wrong = [line for line, place in enumerate(seen.places) if place != line]
    if wrong:
        which = [f"D{line} arrives where D{seen.places[line]} belongs" for line in wrong]
        todo = f"Swap the wires: {', '.join(_named(wires[f'D{line}']) for line in wrong)}."
        return [Finding("data lines", BAD, _and(which), todo)]
    return [Finding("data lines", OK, "each of D0 to D7 is in its place")]


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# The picture.


@dataclass(frozen=True)
class Look:
    """Light and sharpness of a picture.

    light      luminance 0..255 that 5 % of the picture are above
    dark       luminance that 2 % of it are below
    contrast   between paper and ink: the difference of the two
    edge_px    pixels that the steepest edges take from dark to light; infinite where there is no edge
    """

    light: float
    dark: float
    contrast: float
    edge_px: float


def look(picture: NDArray[np.uint16]) -> Look:
    """Figures of a picture, (height, width) uint16 RGB565_SWAPPED, of anything that has an edge in it."""
    grey = luminance(picture).astype(np.float64)
    dark, paper, light = (float(value) for value in np.percentile(grey, (2, 90, 95)))
    across = (grey[1:-1, 2:] - grey[1:-1, :-2]) / 2
    down = (grey[2:, 1:-1] - grey[:-2, 1:-1]) / 2
    steep = float(np.sort(np.hypot(across, down), axis=None)[-24:].mean())
    contrast = max(paper - float(np.percentile(grey, 1)), 0.0)
    return Look(light, dark, contrast, contrast / steep if steep else float("inf"))


def _lines_are_right(measured: Measured) -> bool:
    """As far as it is known."""
    if any(name[1:].isdigit() for name in _floating(measured)):
        return False
    if measured.pattern is None:
        return True
    seen = data_lines(measured.pattern)
    return not (seen.stuck or seen.joined or (seen.places and _moved(seen.places)))


def _light_and_focus(measured: Measured) -> list[Finding]:
    if measured.picture is None:
        return [Finding("picture", UNKNOWN, "light and focus can't be judged before a picture comes")]
    if not _lines_are_right(measured):
        return [Finding("picture", UNKNOWN, "light and focus can't be judged before the data lines are right")]
    found = look(measured.picture)
    light = f"the brightest parts have {found.light:.0f} of 255"
    if found.light < DARK:
        return [
            Finding("light", BAD, f"the picture is dark: {light}", "Take the lens cap off, and put a lamp beside it."),
            Finding("focus", UNKNOWN, "can't be judged in the dark"),
        ]
    if found.dark > BRIGHT:
        return [
            Finding("light", BAD, "the picture is all white", "Less light: turn the camera away from the lamp."),
            Finding("focus", UNKNOWN, "can't be judged in a white picture"),
        ]
    made = [Finding("light", OK, light)]
    if found.contrast < LEAST_CONTRAST:
        made.append(
            Finding(
                "focus", UNKNOWN, f"the picture shows nothing with an edge: contrast {found.contrast:.0f} of 255",
                "Hold a sheet with a thick black digit before the camera, as it is to be read, and run this again.",
            )
        )  # fmt: skip
    elif found.edge_px > LEAST_SHARPNESS_PX:
        made.append(
            Finding(
                "focus", BAD, f"out of focus: an edge takes {found.edge_px:.1f} pixels, need {LEAST_SHARPNESS_PX:.0f}",
                "Turn the lens in its thread, a quarter at a time, with the sheet at the distance at which it is to be "
                "read.",
            )
        )  # fmt: skip
    else:
        made.append(Finding("focus", OK, f"an edge takes {found.edge_px:.1f} pixels"))
    return made


# The screen.


def screen(answer: int | None, pins: Pins, profile: Profile) -> Finding:
    """What the person saw of the test card: the number of one of ANSWERS from 0; None where nobody was asked."""
    wires = {wire.terminal: wire for wire in wiring.wires(pins, profile) if wire.module == "screen"}

    def check(*terminals: str) -> str:
        return f"Check {', '.join(_named(wires[terminal]) for terminal in terminals)}."

    signals = check("SCK", "SDA", "A0", "CS", "RESET")
    found: dict[int | None, tuple[State, str, str]] = {
        None: (UNKNOWN, "it can't be asked, and nobody was asked what it shows", ""),
        0: (OK, "the test card is whole", ""),
        1: (OK, "red and blue are swapped: another panel; everything can be read on it", ""),
        2: (OK, "mirrored: another panel; turn the module round if only upside down", ""),
        3: (
            BAD,
            "the picture is shifted",
            "Another panel (often with a green or red tab). The words must be readable.",
        ),
        4: (BAD, "it has light, but is told nothing", signals),
        5: (BAD, "it is told nonsense", check("A0", "GND", "SCK") + " Shorter wires help."),
        6: (BAD, "dark", f"{check('LED', 'VCC', 'GND')} Lit but black: {signals[0].lower()}{signals[1:]}"),
    }
    state, text, todo = found[answer]
    return Finding("screen", state, text, todo)
