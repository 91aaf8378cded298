"""What the `bench` verbs do, in one call each: firmware, files and pictures brought together, board against PC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits import report
from picodigits.bench import firmware as firmware_files
from picodigits.bench import pictures
from picodigits.bench.board import Board
from picodigits.bench.faults import FAULTS, FaultReport, try_fault
from picodigits.bench.ov7670 import OV7670
from picodigits.bench.run import BenchResult, run
from picodigits.bench.serial_port import SerialPort
from picodigits.bench.st7735r import ST7735R
from picodigits.errors import BenchError, did_you_mean
from picodigits.executors import NumpyExecutor, make_inks
from picodigits.export import circuitpy_files
from picodigits.training.dense import Progress
from picodigits_board.modelfile import Model


@dataclass(frozen=True)
class Session:
    """A run of a model on the bench: what came out, and what the PC makes of the same frames in the same order."""

    result: BenchResult
    readings: list[tuple[str, str, str, str]]  # of each picture's last frame: picture, read, confidence, PC reads
    differ: int  # frames whose reading, or with a trace whose ink or scores, differ from the PC's
    compared: str

    @property
    def verdict(self) -> str:
        """One sentence: does the board agree with the PC?"""
        frames = len(self.result.frames)
        return f"Board and PC agree on {frames - self.differ} of {frames} frames ({self.compared})."

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {**self.result.to_json(), "differ_from_pc": self.differ, "compared": self.compared}


def firmware_for(firmware: str | None, progress: Progress) -> firmware_files.Firmware:
    """The firmware file or version asked for, downloaded if it has to be. Raises FirmwareError."""
    return firmware_files.fetch(firmware, lambda done, total: progress("downloading CircuitPython", done, total))


def run_model(
    model: Model,
    images: Sequence[Path],
    digits: Sequence[int],
    *,
    firmware: str | None = None,
    frames_each: int = 3,
    care: str = "desk",
    seed: int = 0,
    trace: bool = True,
    progress: Progress = lambda stage, done, total: None,
) -> Session:
    """Let the emulated board read pictures, and compare each frame with the PC. Raises what its parts raise."""
    chosen = pictures.choose(images, digits, care=care, seed=seed)
    files = circuitpy_files(model.data, {"PICODIGITS_TRACE": 1} if trace else None)
    result = run(
        files, chosen.frames, firmware=firmware_for(firmware, progress), frames_each=frames_each, progress=progress
    )
    if result.errors:  # a frame that is left out, or the end: what follows is no longer frame by frame the PC's
        raise BenchError(
            f"bench: got {len(result.frames)} frames, the board said: {'; '.join(dict.fromkeys(result.errors))}"
        )
    executor = NumpyExecutor(model)
    inks = make_inks(
        np.repeat(chosen.frames, frames_each, axis=0), model.preprocess_id, (model.ink_height, model.ink_width)
    )
    want = executor.decide(inks, steady=True)
    labels = [model.labels[d].replace(" ", "_") if d >= 0 else "none" for d in want.decisions.tolist()]
    differ = 0
    for i, seen in enumerate(result.frames):
        same = seen.values["read"] == labels[i] and int(seen.values["confidence"]) == want.confidences[i]
        if trace:
            same = same and seen.values["ink"] == inks.inks[i].tobytes().hex()
            same = same and seen.values["scores"] == ",".join(str(score) for score in want.scores[i].tolist())
        differ += not same
    readings = []
    for k, name in enumerate(chosen.names):
        i = (k + 1) * frames_each - 1
        values = result.frames[i].values
        readings.append((name, values["read"], f"{values['confidence']} %", labels[i]))
    compared = "ink, scores, decision, confidence" if trace else "decision, confidence"
    return Session(result, readings, differ, compared)


def fault_names() -> list[tuple[str, str]]:
    """The faults that can be tried: name, what is broken."""
    return [(name, fault.title) for name, fault in FAULTS.items()]


def run_fault(
    name: str,
    model: Model,
    *,
    firmware: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> FaultReport:
    """Try one fault with the application on the board. Raises BenchError for an unknown one."""
    if name not in FAULTS:
        raise BenchError(f"fault: got {name}, need one of {', '.join(FAULTS)}.{did_you_mean(name, FAULTS)}")
    uf2 = firmware_for(firmware, progress)
    progress(f"emulated Pico: {FAULTS[name].title}", 0, 0)
    shown = pictures.choose(digits=(5,), care="studio")
    return try_fault(FAULTS[name], circuitpy_files(model.data), shown.frames, firmware=uf2)


@contextmanager
def serve(
    model: Model,
    *,
    kind: str = "auto",
    firmware: str | None = None,
    frames: NDArray[np.uint16] | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Iterator[SerialPort]:
    """A running emulated board with the application and its USB serial port open for other programs.

    kind    "pty", "tcp" or "auto"
    frames  what the camera sees, (N, 60, 80) uint16 RGB565_SWAPPED, one a frame, round and round; handwritten digits
            unless given, a new one every 20 frames
    Yields the open port, whose `name` is what to connect to. Raises what its parts raise.
    """
    uf2 = firmware_for(firmware, progress)
    shown = pictures.choose(digits=range(10), care="studio").frames if frames is None else frames
    each = 20 if frames is None else 1
    camera = OV7670(lambda: shown[0])
    camera.source = lambda: shown[camera.frames_sent // each % len(shown)]
    board = Board(uf2.path, circuitpy_files(model.data), camera=camera, lcd=ST7735R())
    progress("emulated Pico: boot", 0, 0)
    board.boot(quick=True)
    with SerialPort(board, kind) as port:
        yield port


def save_fault(seen: FaultReport, folder: Path) -> list[Path]:
    """The LCD during and after a fault, enlarged, and what was said over USB. Raises BenchError."""
    paths = [folder / f"{seen.fault.name}.png", folder / f"{seen.fault.name}-after.png"]
    for path, picture in zip(paths, (seen.lcd, seen.lcd_after), strict=True):
        image = Image.fromarray(picture)
        report.save_image(path, image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST))
    (folder / f"{seen.fault.name}.txt").write_text(seen.serial, encoding="utf-8")
    return paths
