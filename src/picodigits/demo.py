"""The main job from handwriting to LCD picture, with nothing needed beforehand.

handwriting (scikit-learn's digits, and MNIST where it is at hand; test writers only) -> frame as the OV7670 sees it
-> ink -> scores -> decision -> the picture on the LCD

All digits are read on the PC. Where a CircuitPython UF2 is in the cache, the first few are also read by the real
firmware on the emulated Pico, through its camera, and their LCD pictures are those that it drew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits import camera, datasets, modelfile, report
from picodigits.errors import BenchError, DatasetError, ModelFileError
from picodigits.executors import NumpyExecutor, make_inks
from picodigits.export import circuitpy_files
from picodigits_board.modelfile import Model
from picodigits_board.preprocess import STATUS_NAMES

MODEL = "fast"
ON_BENCH = 3  # digits that the emulated Pico reads too: about a minute
FRAMES_EACH = 5  # frames that it takes of each: its screen is drawn one thing a frame, and a hint takes longest
SHEET = "demo.png"
NO_DIGIT = "no digit"


@dataclass(frozen=True)
class Line:
    """One digit of the demo.

    source, written, read, confidence (percent), status    where from, what it was, what the board shows
    pc_ms     frame to decision on this PC
    pico_ms   one loop, camera to screen, in virtual ms of the emulated Pico; None where it was not asked
    """

    source: str
    written: str
    read: str
    confidence: int
    status: str
    pc_ms: float
    pico_ms: float | None = None

    @property
    def right(self) -> bool:
        """Whether it was read as it was written."""
        return self.read == self.written


@dataclass(frozen=True)
class Demo:
    """What the demo made: its lines, the contact sheet, and notes on what it ran on and could not use."""

    model: Model
    lines: list[Line]
    sheet: Path
    notes: list[str]

    @property
    def right(self) -> int:
        """How many were read as they were written."""
        return sum(line.right for line in self.lines)

    @property
    def declined(self) -> int:
        """How many were shown as "no digit"."""
        return sum(line.read == NO_DIGIT for line in self.lines)


def run(
    out: Path, *, model_name: str = MODEL, count: int = 12, care: str = "desk", seed: int = 0, bench: bool = True,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Demo:  # fmt: skip
    """Read `count` handwritten digits and save their contact sheet as `out`/demo.png.

    bench  let the emulated Pico read some of them too, where its firmware is in the cache

    Raises ModelFileError for a model that is not there or not of digits, FrameError for an unknown care,
    PicodigitsError where the sheet can't be written.
    """
    from picodigits.lcd import Lcd  # Blinka looks at the computer when it is imported

    model = modelfile.find(model_name)
    report.need_picture_place(out / SHEET)
    notes = []
    sets = [datasets.load("digits", "test")]
    if model.labels != list(sets[0].class_names):
        raise ModelFileError(
            f"model {model.name}: got classes {' '.join(model.labels)}, need {' '.join(sets[0].class_names)} for the "
            "demo. To read your own pictures with it: picodigits classify."
        )
    try:
        sets.append(datasets.load("mnist", "test"))
    except DatasetError as error:
        notes.append(f"All digits are scikit-learn's. {error}")
    images, labels, sources = _choose(sets, count, seed)
    frames = np.concatenate(
        [camera.photograph(image[None], care, seed=seed, first=i) for i, image in enumerate(images)]
    )
    executor = NumpyExecutor(model)
    lines, screens, inks = [], [], []
    lcd = Lcd(model)
    for i, frame in enumerate(frames):
        progress("reading", i, count)
        start = time.perf_counter()
        reading = executor.read(frame[None])
        ms = (time.perf_counter() - start) * 1000
        decision, confidence = int(reading.decisions[0]), int(reading.confidences[0])
        status = int(reading.inks.statuses[0])
        screens.append(lcd.show(frame, reading.inks.inks[0], decision, confidence, status, box=reading.inks.box(0)))
        inks.append(reading.inks.inks[0])
        read = model.labels[decision] if decision >= 0 else NO_DIGIT
        lines.append(Line(sources[i], str(labels[i]), read, confidence, STATUS_NAMES[status], ms))
    progress("reading", count, count)
    if bench:
        notes += _bench(model, frames[:ON_BENCH], lines, screens, progress)
    captions = [f"{line.source}: wrote {line.written}, read {line.read}, {line.confidence} %" for line in lines]
    sheet = report.reading_sheet(frames, np.stack(inks), screens, captions, [line.right for line in lines])
    report.save_image(out / SHEET, sheet)
    return Demo(model, lines, out / SHEET, notes)


def _bench(
    model: Model,
    frames: NDArray[np.uint16],
    lines: list[Line],
    screens: list[Image.Image],
    progress: Callable[[str, int, int], None],
) -> list[str]:
    """Read `frames` on the emulated Pico too; puts its time into `lines` and its LCD into `screens`. Returns notes.

    Raises BenchError where it does not read what the PC reads from the same frames in the same order.
    """
    try:
        from picodigits.bench import firmware
        from picodigits.bench.run import run as run_bench

        uf2 = firmware.find()
    except BenchError as error:  # no emulator installed, or no firmware in the cache
        return [f"Nothing ran on the emulated Pico. {error}"]
    executor = NumpyExecutor(model)
    shape = (model.ink_height, model.ink_width)
    inks = make_inks(np.repeat(frames, FRAMES_EACH, axis=0), model.preprocess_id, shape)
    want = executor.decide(inks, steady=True).decisions
    result = run_bench(
        circuitpy_files(model.data), frames, firmware=uf2, frames_each=FRAMES_EACH,
        progress=lambda stage, done, total: progress(f"emulated Pico: {stage}", done, total),
    )  # fmt: skip
    for seen, decision in zip(result.frames, want.tolist(), strict=True):
        read = model.labels[decision].replace(" ", "_") if decision >= 0 else "none"
        if seen.values["read"] != read:
            raise BenchError(
                f"emulated Pico: got {seen.values['read']} for frame {seen.values['frame']}, need {read} as on the PC. "
                "Please report this."
            )
    for i in range(len(frames)):
        last = result.frames[(i + 1) * FRAMES_EACH - 1]
        lines[i] = replace(lines[i], pico_ms=float(last.values["loop_ms"]))
        screens[i] = Image.fromarray(last.lcd)
    return [
        f"The first {len(frames)} were also read by CircuitPython {uf2.version} on the emulated Pico, through its "
        "camera: same readings, 0 differ. Its milliseconds are virtual; a real Pico takes 1 to 10 % longer."
    ]


def _choose(
    sets: list[datasets.Dataset], count: int, seed: int
) -> tuple[list[NDArray[np.uint8]], list[str], list[str]]:
    """`count` digits, from the datasets in turn, the classes in order, so that each is seen."""
    rng = np.random.default_rng(seed)
    images, labels, sources = [], [], []
    for i in range(count):
        dataset = sets[i % len(sets)]
        label = i % len(dataset.class_names)
        k = int(rng.choice(np.flatnonzero(dataset.labels == label)))
        images.append(dataset.images[k])
        labels.append(dataset.class_names[label])
        sources.append(dataset.name)
    return images, labels, sources


def lcd_picture(model: Model, frame: NDArray[np.uint16]) -> Image.Image:
    """What the board's LCD shows for one frame (60, 80) uint16 RGB565_SWAPPED: an RGB image, 128x160."""
    from picodigits.lcd import Lcd

    reading = NumpyExecutor(model).read(frame[None])
    return Lcd(model).show(
        frame,
        reading.inks.inks[0],
        int(reading.decisions[0]),
        int(reading.confidences[0]),
        int(reading.inks.statuses[0]),
        box=reading.inks.box(0),
    )
