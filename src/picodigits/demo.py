"""The main job from handwriting to LCD picture, with nothing needed beforehand.

handwriting (scikit-learn's digits, and MNIST where it is at hand; test writers only) -> frame as the OV7670 sees it
-> ink -> scores -> decision -> the picture on the LCD
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits import camera, datasets, modelfile, report
from picodigits.errors import DatasetError, ModelFileError
from picodigits.executors import NumpyExecutor
from picodigits_board.modelfile import Model
from picodigits_board.preprocess import STATUS_NAMES

MODEL = "mlp"
SHEET = "demo.png"


@dataclass(frozen=True)
class Line:
    """One digit of the demo: where from, what was written and read, confidence in percent, time on this PC."""

    source: str
    written: str
    read: str
    confidence: int
    status: str
    ms: float

    @property
    def right(self) -> bool:
        """Whether it was read as it was written."""
        return self.read == self.written


@dataclass(frozen=True)
class Demo:
    """What the demo made: its lines, the contact sheet, and what it could not use."""

    model: Model
    lines: list[Line]
    sheet: Path
    notes: list[str]


def run(
    out: Path, *, model_name: str = MODEL, count: int = 12, care: str = "desk", seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Demo:  # fmt: skip
    """Read `count` handwritten digits and save their contact sheet as `out`/demo.png.

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
    with Lcd(model) as lcd:
        for i, frame in enumerate(frames):
            progress("reading", i, count)
            start = time.perf_counter()
            reading = executor.read(frame[None])
            ms = (time.perf_counter() - start) * 1000
            decision, confidence = int(reading.decisions[0]), int(reading.confidences[0])
            status = int(reading.inks.statuses[0])
            screens.append(lcd.show(frame, reading.inks.inks[0], decision, confidence, status))
            inks.append(reading.inks.inks[0])
            read = model.labels[decision] if decision >= 0 else "no digit"
            lines.append(Line(sources[i], str(labels[i]), read, confidence, STATUS_NAMES[status], ms))
    progress("reading", count, count)
    captions = [f"{line.source}: wrote {line.written}, read {line.read}, {line.confidence} %" for line in lines]
    sheet = report.reading_sheet(frames, np.stack(inks), screens, captions, [line.right for line in lines])
    report.save_image(out / SHEET, sheet)
    return Demo(model, lines, out / SHEET, notes)


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
    with Lcd(model) as lcd:
        return lcd.show(
            frame,
            reading.inks.inks[0],
            int(reading.decisions[0]),
            int(reading.confidences[0]),
            int(reading.inks.statuses[0]),
        )
