"""Pictures -> the real firmware -> what the LCD shows, what the board says, and virtual milliseconds.

    result = run(circuitpy_files(model), pictures)        # what `picodigits bench run` does
    result.frames[-1].values["read"]                      # "7"
    result.save(Path("out"))                              # lcd.png, lcd_large.png, bench.json, serial.txt

Nothing here knows the application but for its lines on USB, `picodigits: key=value key=value ...`; any program that
writes such lines can be put on the bench.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits.bench import drive
from picodigits.bench import firmware as firmware_files
from picodigits.bench.board import Board
from picodigits.bench.ov7670 import OV7670
from picodigits.bench.st7735r import ST7735R
from picodigits.board.connection import Parts
from picodigits.errors import BenchError
from picodigits_board import link

PREFIX = "picodigits:"
CLOCK_COVERS = (
    "virtual ms: instruction and bus cycles of one Cortex-M0+ at 125 MHz, PIO, DMA and SPI (rp2040py 0.3.6); "
    "flash cache misses, bus contention and I2C time are not in it. Silicon is 1 to 10 % slower on warm code"
)
ENLARGE = 4
PICTURE_COLOURS = 40  # on the LCD: a photograph has more, what a program draws has fewer

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Line:
    """One line of the application: its values by key, and when it came, in virtual ms since power-on."""

    values: dict[str, str]
    at_ms: float


@dataclass(frozen=True)
class FrameSeen:
    """What the board made of one frame."""

    values: dict[str, str]  # of its line: read, confidence, capture_ms, free, ...
    at_ms: float
    picture: int  # index of the picture that the camera saw
    lcd: NDArray[np.uint8]  # (160, 128, 3) what the LCD showed when the line came


@dataclass
class BenchResult:
    """What came out of one run."""

    firmware: firmware_files.Firmware
    frames: list[FrameSeen] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # the application's error lines
    lines: list[Line] = field(default_factory=list)  # all of its lines
    serial: str = ""  # everything on USB
    lcd: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((160, 128, 3), np.uint8))
    usb_ms: float = 0.0  # power-on to USB
    boot_picture_ms: float | None = None  # power-on to something on the LCD
    first_picture_ms: float | None = None  # power-on to a picture of the camera on the LCD
    first_prediction_ms: float | None = None  # power-on to the first frame's line
    drive_used_bytes: int = 0
    drive_capacity_bytes: int = drive.CAPACITY_BYTES
    wall_s: float = 0.0

    def mean_ms(self) -> dict[str, float]:
        """Key -> mean over the frames but the first (it includes the start), for keys that end with _ms."""
        frames = self.frames[1:] or self.frames
        keys = [key for key in (frames[0].values if frames else {}) if key.endswith("_ms")]
        return {
            key: fmean(float(frame.values[key]) for frame in frames if _is_number(frame.values.get(key)))
            for key in keys
            if any(_is_number(frame.values.get(key)) for frame in frames)
        }

    def per_second(self) -> float | None:
        """Frames per virtual second, from the times at which their lines came; None for fewer than three."""
        if len(self.frames) < 3:
            return None
        return 1000 * (len(self.frames) - 2) / (self.frames[-1].at_ms - self.frames[1].at_ms)

    def table(self) -> list[tuple[str, str]]:
        """Rows to print: what, value with its unit."""
        rows = [("CircuitPython", f"{self.firmware.version} ({self.firmware.board})")]
        if self.frames:
            last = self.frames[-1].values
            rows.append(("read", f"{last.get('read', '?')}  {last.get('confidence', '?')} %"))
        for title, ms in (("boot picture", self.boot_picture_ms), ("first picture", self.first_picture_ms)):
            if ms is not None:
                rows.append((f"power-on to {title} on the LCD", f"{ms:.0f} virtual ms"))
        if self.first_prediction_ms is not None:
            rows.append(("power-on to first prediction", f"{self.first_prediction_ms:.0f} virtual ms"))
        rows += [(key.removesuffix("_ms"), f"{mean:.1f} virtual ms") for key, mean in self.mean_ms().items()]
        if (rate := self.per_second()) is not None:
            rows.append(("frames", f"{rate:.1f} per virtual second"))
        if heaps := [f.values["heap"].split(",") for f in self.frames if "heap" in f.values]:
            stages = ("before a frame", "after capture", "after ink", "after network", "after screen")
            rows += [(f"heap free {stage}", f"{value} bytes") for stage, value in zip(stages, heaps[-1], strict=False)]
        for key, title in (("free", "heap free"), ("block", "largest free block")):
            values = [int(f.values[key]) for f in self.frames if f.values.get(key, "").isdigit()]
            if values:
                rows.append((title, f"{values[-1]} bytes (lowest {min(values)})"))
        rows.append(("CIRCUITPY used", f"{self.drive_used_bytes} of {self.drive_capacity_bytes} bytes"))
        rows.append(("the clock covers", CLOCK_COVERS))
        return rows

    def to_json(self) -> dict[str, Any]:
        """The same for machines, without pictures."""
        return {
            "firmware": {"version": self.firmware.version, "sha256": self.firmware.sha256},
            "usb_ms": self.usb_ms,
            "boot_picture_ms": self.boot_picture_ms,
            "first_picture_ms": self.first_picture_ms,
            "first_prediction_ms": self.first_prediction_ms,
            "mean_ms": self.mean_ms(),
            "frames_per_second": self.per_second(),
            "frames": [{"picture": f.picture, "at_ms": f.at_ms, **f.values} for f in self.frames],
            "errors": self.errors,
            "drive_used_bytes": self.drive_used_bytes,
            "drive_capacity_bytes": self.drive_capacity_bytes,
            "wall_s": self.wall_s,
            "clock_covers": CLOCK_COVERS,
        }

    def save(self, folder: Path) -> list[Path]:
        """Write lcd.png (128x160), lcd_large.png (4 times), one of each per picture seen, bench.json, serial.txt."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = _save_lcd(folder / "lcd.png", self.lcd)
        last_of = {frame.picture: frame for frame in self.frames}
        if len(last_of) > 1:
            for picture, frame in sorted(last_of.items()):
                paths += _save_lcd(folder / f"lcd_{picture:03d}.png", frame.lcd)
        paths += [folder / "bench.json", folder / "serial.txt"]
        paths[-2].write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        paths[-1].write_text(self.serial, encoding="utf-8")
        return paths


def run(
    files: Mapping[str, bytes],
    pictures: Sequence[NDArray[np.uint16]] | NDArray[np.uint16],
    *,
    firmware: firmware_files.Firmware | None = None,
    frames_each: int = 3,
    upright_mvfp: int = 0,
    speed: float = 4.0,
    quick: bool = False,
    limit_ms: float = 60_000,
    progress: Progress | None = None,
) -> BenchResult:
    """Boot the firmware with `files` on CIRCUITPY and the camera looking at one picture after the other.

    files: path on CIRCUITPY -> content; code.py runs by itself
    pictures: each (height, width) uint16 RGB565_SWAPPED, 60x80 or 120x160; at least one
    firmware: None for the cached default
    frames_each: how many frames the board takes of each picture
    upright_mvfp: flip bits with which the picture is upright, see `ov7670`
    speed: of the camera, see `ov7670`
    quick: leave out the second at power-on that CircuitPython waits for a button
    limit_ms: virtual ms after power-on at which to give up
    progress: called with ("boot" | "start" | "frames", done, total)
    returns what was seen; an application that ends with an error is a result too (`errors`, `lcd`)
    Raises FirmwareError without firmware, BenchError for no pictures, and where the board neither sends a frame's
    line nor an error in time.
    """
    if len(pictures) == 0 or frames_each < 1:
        raise BenchError(f"bench: got {len(pictures)} pictures and {frames_each} frames each, need 1 or more")
    began = time.perf_counter()
    report = progress or (lambda *_: None)
    wanted = len(pictures) * frames_each
    lcd = ST7735R()
    camera = OV7670(lambda: pictures[0], upright_mvfp=upright_mvfp, speed=speed)
    # Each capture asks once; the n-th line is about the n-th capture.
    camera.source = lambda: pictures[min(camera.frames_sent // frames_each, len(pictures) - 1)]
    result = BenchResult(firmware or firmware_files.find(), drive_used_bytes=drive.used_bytes(files))
    board = Board(result.firmware.path, files, camera=camera, lcd=lcd)
    report("boot", 0, 1)
    board.boot(quick=quick, limit_ms=limit_ms)
    result.usb_ms = board.ms
    report("boot", 1, 1)
    report("start", 0, 1)
    waiting = bytearray()
    parts = Parts()

    def take(data: bytes) -> None:
        waiting.extend(data)
        while b"\n" in waiting:
            text, _, rest = bytes(waiting).partition(b"\n")
            waiting[:] = rest
            values = parse_line(text.decode("utf-8", "replace"))
            if values is None or parts.take(values):
                continue
            result.lines.append(Line(values, board.ms))
            if "error" in values:
                result.errors.append(values["error"])
            if "frame" in values and len(result.frames) < wanted:
                if (ink := parts.whole("ink", int(values["frame"]))) is not None:
                    values["ink"] = ink.hex()
                if not result.frames:
                    result.first_prediction_ms = board.ms
                    report("start", 1, 1)
                picture = len(result.frames) // frames_each
                result.frames.append(FrameSeen(values, board.ms, picture, lcd.picture()))
                report("frames", len(result.frames), wanted)

    def watch_lcd() -> None:
        """Notes when the LCD shows something, and when that is the camera's picture, by its many colours."""
        if result.first_picture_ms is not None:
            return
        colours = lcd.colours()
        if colours > 1 and result.boot_picture_ms is None:
            result.boot_picture_ms = board.ms
        if colours >= PICTURE_COLOURS:
            result.first_picture_ms = board.ms

    def finished() -> bool:
        watch_lcd()
        if len(result.frames) >= wanted or b"Code done running." in board.serial:
            return True
        return bool(result.errors) and board.ms - result.lines[-1].at_ms > 3000

    board.on_serial(take)
    in_time = board.run_until(finished, limit_ms=limit_ms - board.ms, every_ms=2)
    result.serial = bytes(board.serial).decode("utf-8", "replace").replace("\r\n", "\n")
    result.lcd = lcd.picture()
    result.wall_s = time.perf_counter() - began
    if not in_time and not result.errors and len(result.frames) < wanted:
        raise BenchError(
            f"bench: got {len(result.frames)} frames within {limit_ms:.0f} virtual ms, need {wanted}. "
            f"The board said: {result.serial[-400:].strip() or 'nothing'}"
        )
    if not result.frames and not result.errors:
        raise BenchError(f"bench: got no frame, the program ended. The board said: {result.serial[-800:].strip()}")
    return result


def parse_line(line: str) -> dict[str, str] | None:
    """`picodigits: key=value key=value ...` -> its values; None for any other line.

    `error=` takes the rest of the line, but for its checksum, which is not looked at: nothing is damaged here.
    Unknown keys are kept; a word without "=" is left out.
    """
    _, found, rest = line.partition(PREFIX)
    if not found:
        return None
    text, found, _ = rest.rpartition(" crc=")
    return link.values(text if found else rest.strip())


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _save_lcd(path: Path, picture: NDArray[np.uint8]) -> list[Path]:
    large = path.with_name(path.stem + "_large.png")
    image = Image.fromarray(picture)
    image.save(path)
    image.resize((image.width * ENLARGE, image.height * ENLARGE), Image.Resampling.NEAREST).save(large)
    return [path, large]
