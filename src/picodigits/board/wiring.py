"""pins.py -> every wire between Pico, camera and screen: checked, as table rows, and as a checklist to print.

    pins = read_pins()                       # the application's own, or read_pins(Path("my_pins.py"))
    need_sound(pins, PROFILES["pico"])       # raises WiringError with every conflict
    for wire in wires(pins, PROFILES["pico"]): ...

What a wrong wire looks like comes from what the application does (picodigits_board/camera.py) and from the OV7670
datasheet 1.4 (pins p. 3 and 4, output formats p. 12); the faults of the virtual bench show some of it.
"""

from __future__ import annotations

import ast
import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from picodigits.board import profiles
from picodigits.board.profiles import GROUND, SUPPLY_3V3, SUPPLY_5V, Profile
from picodigits.errors import WiringError

PULL_UP = "4.7 kΩ"


@dataclass(frozen=True)
class Pins:
    """What pins.py says, name by name in small letters: CAMERA_PCLK is `camera_pclk`."""

    camera_data: tuple[str, ...]
    camera_pclk: str
    camera_mclk: str
    camera_href: str
    camera_vsync: str
    camera_reset: str
    camera_shutdown: str
    camera_sda: str
    camera_scl: str
    screen_sck: str
    screen_mosi: str
    screen_dc: str
    screen_reset: str
    screen_cs: str
    screen_light: str | None

    def uses(self) -> list[tuple[str, str]]:
        """(what for, GPIO) of every pin: ("CAMERA_DATA, D0", "GP0"), ..."""
        found = [(f"CAMERA_DATA, D{bit}", pin) for bit, pin in enumerate(self.camera_data)]
        for item in fields(self)[1:]:
            pin = getattr(self, item.name)
            found += [(item.name.upper(), pin)] if pin is not None else []
        return found


@dataclass(frozen=True)
class Wire:
    """One wire.

    module     "camera", "screen", or "pull-up" for the resistors
    terminal   what is printed beside the module's pin
    pin        the Pico's pin by name, "GP0", "3V3(OUT)", "VBUS" or "GND"
    number     that pin's number on the header, counted from 1
    colour     a key of COLOURS: what the drawing has, and what to use if you can
    if_wrong   what one sees where it is missing, loose or in a wrong place
    """

    module: str
    terminal: str
    pin: str
    number: int
    colour: str
    if_wrong: str


@dataclass(frozen=True)
class Module:
    """A module as it lies on the table: its pins in rows, top to bottom and left to right."""

    name: str
    title: str
    rows: tuple[tuple[str, ...], ...]
    also: dict[str, str]  # pin -> other names that one meets for it


# The usual 2 x 9 header of an OV7670 module without memory, turned so that D0 is beside GP0.
CAMERA = Module(
    "camera",
    "OV7670 camera",
    (
        ("PWDN", "RESET"), ("D0", "D1"), ("D2", "D3"), ("D4", "D5"), ("D6", "D7"),
        ("XCLK", "PCLK"), ("HREF", "VSYNC"), ("SIOD", "SIOC"), ("GND", "3V3"),
    ),
    {
        "XCLK": "MCLK", "RESET": "RET, RST", "SIOD": "SDA", "SIOC": "SCL", "PWDN": "PWD", "VSYNC": "VS", "HREF": "HS",
        "3V3": "VCC",
    },
)  # fmt: skip
SCREEN = Module(
    "screen",
    "ST7735R screen",
    (("LED",), ("SCK",), ("SDA",), ("A0",), ("RESET",), ("CS",), ("GND",), ("VCC",)),
    {"LED": "BLK, BL", "SCK": "SCL, CLK", "SDA": "MOSI, DIN", "A0": "DC, RS", "RESET": "RST"},
)
MODULES = (CAMERA, SCREEN)

# Jumper wire colours, dark enough to be seen on paper. 3.3 V is orange and 5 V red, as in a PC's power supply.
COLOURS = {
    "black": "#1a1a1a",
    "orange": "#f07800",
    "red": "#d00000",
    "brown": "#80461b",
    "yellow": "#c8a800",
    "green": "#1e8a2e",
    "blue": "#1f5fd0",
    "purple": "#8030b0",
    "grey": "#808080",
    "pink": "#e860a8",
    "turquoise": "#10a0a8",
}
_DATA_COLOURS = ("brown", "yellow", "green", "blue", "purple", "grey", "pink", "turquoise")
# Each bit of a byte stands for a share of one colour above all (RGB565: RRRRRGGG, then GGGBBBBB).
_DATA_SHARES = (
    "an eighth of the green", "a quarter of the green", "half of the green", "a quarter of the blue",
    "half of the blue", "an eighth of the red", "a quarter of the red", "half of the red",
)  # fmt: skip


def read_pins(path: Path | None = None) -> Pins:
    """The wiring in a pins.py; the application's own unless a file is named. The file is read, never run.

    Raises WiringError for a file that can't be read, or that lacks a name.
    """
    if path is None:
        return parse_pins((resources.files("picodigits_board") / "pins.py").read_text("utf-8"), "pins.py")
    try:
        return parse_pins(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WiringError(f"{path}: got {reason}, need a pins.py. Check its name.") from error


def parse_pins(source: str, name: str) -> Pins:
    """The same from the text of the file; `name` is for the message."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise WiringError(
            f"{name}: got text that is no Python{f' in line {line}' if line else ''}, need NAME = value lines. "
            "Start from lib/picodigits_board/pins.py of an export."
        ) from error
    found: dict[str, object] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    values: dict[str, object] = {}
    for item in fields(Pins):
        key = item.name.upper()
        value = found.get(key)
        if item.name == "camera_data":
            good = isinstance(value, tuple) and all(isinstance(pin, str) for pin in value)
            need = "eight names of pins"
        else:
            good = isinstance(value, str) or (item.name == "screen_light" and key in found and value is None)
            need = 'the name of a pin, such as "GP9"'
        if not good:
            got = repr(value) if key in found else "nothing"
            raise WiringError(f"{name}, {key}: got {got}, need {need}. The names are those of the shipped pins.py.")
        values[item.name] = value
    return Pins(**values)  # type: ignore[arg-type]


def conflicts(pins: Pins, profile: Profile) -> list[str]:
    """What can't work on this board, one sentence each; nothing where all is well."""
    known = set(profile.header)
    found = [
        f"header: no {name}, which the wires need" for name in (GROUND, SUPPLY_3V3, SUPPLY_5V) if name not in known
    ]
    taken: dict[str, str] = {}
    for use, pin in pins.uses():
        if pin in profile.inside:
            found.append(f"{use}: {pin} is taken by the board itself for {profile.inside[pin]}")
        elif not pin.startswith("GP") or pin not in known:
            found.append(f"{use}: {pin} is no pin of the header")
        elif pin in taken:
            found.append(f"{use}: {pin} is already taken by {taken[pin]}")
        taken.setdefault(pin, use)
    if len(pins.camera_data) != 8:
        found.append(f"CAMERA_DATA: {len(pins.camera_data)} pins, where the camera has D0 to D7")
    # What each pin can do is asked only of those that are there.
    numbers = [profiles.gpio(pin) for pin in pins.camera_data if pin in known and pin.startswith("GP")]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(pins.camera_data))):
        found.append(f"CAMERA_DATA: {', '.join(pins.camera_data)} do not follow each other, as one PIO read needs")
    buses: tuple[tuple[str, Callable[[str], tuple[int, str]], dict[str, tuple[str, str]]], ...] = (
        ("I2C", profiles.i2c, {"CAMERA_SDA": (pins.camera_sda, "SDA"), "CAMERA_SCL": (pins.camera_scl, "SCL")}),
        ("SPI", profiles.spi, {"SCREEN_SCK": (pins.screen_sck, "SCK"), "SCREEN_MOSI": (pins.screen_mosi, "TX")}),
    )
    for bus, function, roles in buses:
        there = {use: pair for use, pair in roles.items() if pair[0] in known and pair[0].startswith("GP")}
        for use, (pin, need) in there.items():
            instance, role = function(pin)
            if role != need:
                found.append(f"{use}: {pin} is {role} of {bus}{instance}, not {need}")
        if len({function(pin)[0] for pin, _ in there.values()}) > 1:
            both = " and ".join(pin for pin, _ in there.values())
            found.append(f"{', '.join(there)}: {both} belong to two {bus}s")
    if pins.camera_mclk in profile.without_pwm:
        found.append(f"CAMERA_MCLK: {pins.camera_mclk} has no PWM, which makes the camera's clock")
    return found


def need_sound(pins: Pins, profile: Profile, name: str = "pins.py") -> None:
    """Raises WiringError naming every conflict of these pins on this board."""
    found = conflicts(pins, profile)
    if found:
        raise WiringError(
            f"{name} on {profile.title}: got {'; '.join(found)}; need pins that fit. See docs/wiring.md, Other pins."
        )


def wires(pins: Pins, profile: Profile) -> list[Wire]:
    """Every wire, module by module in the order of pins.py, supply last. Pins are to be sound."""

    def signal(module: str, terminal: str, pin: str, colour: str, if_wrong: str) -> Wire:
        return Wire(module, terminal, pin, profile.pin(pin), colour, if_wrong)

    no_picture = f"the message: no picture: check {pins.camera_vsync} VSYNC and {pins.camera_mclk} MCLK"
    no_answer = "the message: no answer on I2C"
    no_bytes = (
        f"the message: no picture: check {pins.camera_href} HREF, {pins.camera_pclk} PCLK and {pins.camera_vsync} VSYNC"
    )
    dark = "the screen stays dark or white, while lines come over USB"
    made = [
        signal(
            "camera", f"D{bit}", pin, _DATA_COLOURS[bit % 8],
            f"no message: wrong colours or grain in the picture, by {_DATA_SHARES[bit % 8]}",
        )
        for bit, pin in enumerate(pins.camera_data)
    ]  # fmt: skip
    made += [
        signal("camera", "PCLK", pins.camera_pclk, "green", f"{no_bytes}, or green and pink"),
        signal("camera", "XCLK", pins.camera_mclk, "brown", no_answer + ": without a clock the camera is mute"),
        signal("camera", "HREF", pins.camera_href, "blue", f"{no_bytes}, or the picture is torn"),
        signal("camera", "VSYNC", pins.camera_vsync, "yellow", no_picture),
        signal("camera", "RESET", pins.camera_reset, "purple", no_answer),
        signal("camera", "PWDN", pins.camera_shutdown, "grey", f"{no_answer}, or: no picture"),
        signal("camera", "SIOD", pins.camera_sda, "turquoise", no_answer),
        signal("camera", "SIOC", pins.camera_scl, "pink", no_answer),
        signal("camera", "3V3", SUPPLY_3V3, "orange", f"{no_answer}, or: it lost power for a moment. Never to 5 V"),
        signal("camera", "GND", GROUND, "black", f"{no_answer}, or a picture full of grain and stripes"),
        signal("pull-up", "SIOD", SUPPLY_3V3, "orange", _no_pull_ups(pins)),
        signal("pull-up", "SIOC", SUPPLY_3V3, "orange", _no_pull_ups(pins)),
        signal("screen", "SCK", pins.screen_sck, "yellow", dark),
        signal("screen", "SDA", pins.screen_mosi, "green", dark),
        signal("screen", "A0", pins.screen_dc, "blue", f"{dark}, or shows noise"),
        signal("screen", "RESET", pins.screen_reset, "brown", f"{dark}, or only sometimes comes up"),
        signal("screen", "CS", pins.screen_cs, "purple", dark),
        signal(
            "screen", "LED", pins.screen_light or SUPPLY_3V3, "grey" if pins.screen_light else "orange",
            "the picture is there but not lit: seen only with a torch",
        ),
        signal("screen", "VCC", SUPPLY_5V, "red", dark),
        signal("screen", "GND", GROUND, "black", f"{dark}, or flickers"),
    ]  # fmt: skip
    return _grounded(made, profile)


def _no_pull_ups(pins: Pins) -> str:
    return f"the message: no pull-ups on {pins.camera_sda}, {pins.camera_scl}"


def _grounded(made: list[Wire], profile: Profile) -> list[Wire]:
    """Each GND wire at a ground pin of its own, on the side of the header where its module lies, if there is one."""
    half = len(profile.header) // 2
    places = [number for number, name in enumerate(profile.header, 1) if name == GROUND]
    mine = {
        "camera": max((number for number in places if number <= half), default=places[0]),
        "screen": min((number for number in places if number > half), default=places[-1]),
    }
    return [
        Wire(wire.module, wire.terminal, wire.pin, mine[wire.module], wire.colour, wire.if_wrong)
        if wire.pin == GROUND
        else wire
        for wire in made
    ]


def from_to(wire: Wire) -> tuple[str, str]:
    """Both ends in words: ("camera XCLK (MCLK)", "GP9, pin 12")."""
    end = f"{wire.pin}, pin {wire.number}"
    if wire.module == "pull-up":
        return f"{PULL_UP} resistor at camera {wire.terminal}", end
    other = next(module for module in MODULES if module.name == wire.module).also.get(wire.terminal)
    return f"{wire.module} {wire.terminal}{f' ({other})' if other else ''}", end


def page(made: Iterable[Wire], profile: Profile, svg: str) -> str:
    """The drawing and the checklist as one HTML page to print: two sheets, a box to tick for each wire."""
    rows = []
    for wire in made:
        start, end = from_to(wire)
        colour = f'<span style="background:{COLOURS[wire.colour]}"></span>{wire.colour}'
        cells = [html.escape(start), html.escape(end), colour, html.escape(wire.if_wrong)]
        rows.append("<tr><td>☐</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    title = f"picodigits: wiring of the {profile.title}"
    return _PAGE.format(title=html.escape(title), svg=svg[svg.index("<svg") :], rows="\n".join(rows))


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<!-- made by picodigits wiring -->
<style>
@page {{ size: A4 landscape; margin: 8mm; }}
body {{ font: 10pt "DejaVu Sans", Verdana, sans-serif; margin: 0; }}
svg {{ width: 100%; height: auto; max-height: 100vh; display: block; break-after: page; }}
table {{ border-collapse: collapse; }}
td, th {{ border-bottom: 1px solid #999; padding: 2px 8px; text-align: left; }}
td span {{ display: inline-block; width: 2.2em; height: 0.6em; margin-right: 0.5em; }}
tr {{ break-inside: avoid; }}
</style></head><body>
{svg}
<h1>{title}</h1>
<p>Unplug USB while you wire. Tick each wire, then plug in. On the right: what you see where it is missing, loose or
in a wrong place.</p>
<table><thead><tr><th></th><th>from</th><th>to the Pico</th><th>colour</th><th>if it is wrong</th></tr></thead>
<tbody>
{rows}
</tbody></table>
</body></html>
"""
