"""Every shipped model and the article's own program on the same firmware, the same pictures, one table.

rows = measure(progress=...)      # about a minute a program
save(rows, Path("benchmarks"))    # bench.csv and bench.png
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picodigits import camera, datasets, evaluation, modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.bench.run import CLOCK_COVERS, BenchResult, run
from picodigits.errors import BenchError
from picodigits.export import circuitpy_files, estimator_source, minified
from picodigits.export.bundle import library_files
from picodigits.frames import write_atomically
from picodigits.training import recipes
from picodigits.training.dense import Progress

ARTICLE_PROGRAM = "article's program"
ARTICLE_LIBRARIES = ("adafruit_ov7670", "adafruit_st7735r", "adafruit_bus_device", "adafruit_display_text")
__all__ = ["CLOCK_COVERS", "Row", "article_files", "load", "measure", "save", "table"]
PICTURES = 4
FRAMES_EACH = 2
SEED = 3


@dataclass(frozen=True)
class Row:
    """One program on the bench. Times are virtual ms at 125 MHz, means over all frames but the first."""

    program: str
    firmware: str
    bytes: int  # of the model: the model file, or svm_min.py
    right_percent: float  # simulated desk photographs of scikit-learn's test writers, declining switched off
    import_ms: float | None  # of the model as Python source; None where it is a file that is read
    first_picture_ms: float  # from power-on to a picture of the camera on the LCD
    first_prediction_ms: float  # from power-on
    capture_ms: float
    ink_ms: float  # finding and preparing the digit; the article's crop and grey loops
    network_ms: float
    screen_ms: float
    loop_ms: float
    frames_per_second: float
    heap_free: int  # in the loop, lowest: ours at the start of a frame, after a collection; the article's at its end


def measure(
    *,
    firmware: firmware_files.Firmware | None = None,
    models: Sequence[str] | None = None,
    progress: Progress = lambda stage, done, total: None,
    quick: bool = False,
) -> list[Row]:
    """Run the article's program and each of `models` (default: all that ship and fit). Raises what `run` raises."""
    firmware = firmware or firmware_files.find()
    test = datasets.load("digits", "test")
    pictures = camera.photograph(test.first_of_each(1).images[:PICTURES], "desk", seed=SEED)
    rows = []
    fitting = [name for name in modelfile.pretrained() if modelfile.fits_board(modelfile.find(name))]
    names = [ARTICLE_PROGRAM, *(fitting if models is None else models)]
    readers = [modelfile.find("article" if name == ARTICLE_PROGRAM else name) for name in names]
    desk = evaluation.evaluate(readers, evaluation.digits_of(test, ["desk"]), jobs=1)
    for done, name in enumerate(names):
        progress("programs", done, len(names))

        def tell(stage: str, step: int, total: int, name: str = name) -> None:
            progress(f"{name}: {stage}", step, total)

        if name == ARTICLE_PROGRAM:
            files = article_files()
            shown = np.stack([as_the_article_mounts_it(picture) for picture in pictures])
            size = len(files["svm_min.py"])
        else:
            files, shown = circuitpy_files(readers[done].data), pictures
            size = len(readers[done].data)
        result = run(files, shown, firmware=firmware, frames_each=FRAMES_EACH, progress=tell, quick=quick)
        rows.append(_row(name, result, size, 100 * desk[done][0].accuracy))
    progress("programs", len(names), len(names))
    return rows


def article_files() -> dict[str, bytes]:
    """What belongs on CIRCUITPY for the article's program, its svm_min.py made afresh from the article's training."""
    trained = recipes.train(recipes.RECIPES["article"], [datasets.load("digits", "train")], lambda *_: None)
    program = (resources.files("picodigits.bench") / "article_program.py").read_bytes()
    source = minified(estimator_source(trained.estimator))
    return {"code.py": program, "svm_min.py": source.encode(), **library_files(ARTICLE_LIBRARIES)}


def as_the_article_mounts_it(frame: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """What the article's camera, on its side and upside down, sends of the middle 60x60 of an upright frame (60, 80).

    Its program flips the picture and takes the first 60 columns, top to bottom of the digit.
    """
    turned = np.zeros_like(frame)
    turned[:, :60] = frame[:, 10:70].T
    turned[:, 60:] = turned[:, 59:60]
    return np.ascontiguousarray(turned[::-1])


def _row(name: str, result: BenchResult, size: int, right_percent: float) -> Row:
    if result.errors or len(result.frames) < 2:
        raise BenchError(
            f"{name}: got {len(result.frames)} frames, need 2 at least and no error. "
            f"The board said: {'; '.join(dict.fromkeys(result.errors)) or 'nothing'}"
        )
    mean = result.mean_ms()
    return Row(
        program=name,
        firmware=result.firmware.version,
        bytes=size,
        right_percent=round(right_percent, 2),
        import_ms=round(mean["import_ms"]) if "import_ms" in mean else None,
        first_picture_ms=round(result.first_picture_ms or 0.0),
        first_prediction_ms=round(result.first_prediction_ms or 0.0),
        capture_ms=round(mean["capture_ms"], 1),
        ink_ms=round(mean.get("ink_ms", mean.get("crop_ms", 0.0) + mean.get("grey_ms", 0.0)), 1),
        network_ms=round(mean["network_ms"], 1),
        screen_ms=round(mean["screen_ms"], 1),
        loop_ms=round(mean["loop_ms"], 1),
        frames_per_second=round(result.per_second() or 0.0, 1),
        heap_free=min(int(frame.values["free"]) for frame in result.frames),
    )


def table(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """What was measured, with a cell for each program."""
    titles = {
        "bytes": "model, bytes",
        "right_percent": "right, %",
        "import_ms": "import of the model",
        "first_picture_ms": "power-on to first picture on the LCD",
        "first_prediction_ms": "power-on to first reading",
        "capture_ms": "capture",
        "ink_ms": "finding the digit",
        "network_ms": "network",
        "screen_ms": "screen",
        "loop_ms": "whole loop",
        "frames_per_second": "frames a second",
        "heap_free": "heap free, lowest, bytes",
    }
    cells = {key: [getattr(row, key) for row in rows] for key in titles}
    return [(title, ["" if v is None else f"{v}" for v in cells[key]]) for key, title in titles.items()]


def save(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write bench.csv and bench.png (accuracy against ms a loop, dots as large as the model). Returns their paths."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows([[getattr(row, field.name) for field in fields(Row)] for row in rows])
    table = write_atomically(folder / "bench.csv", text.getvalue().encode())
    return [table, write_atomically(folder / "bench.png", _plot(rows))]


def load(path: Path) -> list[dict[str, str]]:
    """The rows of a bench.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _plot(rows: Sequence[Row]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    under = False
    ordered = sorted(rows, key=lambda row: row.loop_ms)
    for row, before in zip(ordered, [None, *ordered], strict=False):
        near = before is not None and row.loop_ms - before.loop_ms < 0.2 * ordered[-1].loop_ms
        under = near and not under  # neighbours' names above and below in turn
        colour = "#D55E00" if row.program == ARTICLE_PROGRAM else "#0072B2"
        axes.scatter(row.loop_ms, row.right_percent, s=row.bytes / 25, color=colour, alpha=0.6)
        above = 6 + (row.bytes / 25) ** 0.5 / 2  # points, clear of the dot
        axes.annotate(
            f"{row.program}\n{row.bytes} bytes", (row.loop_ms, row.right_percent),
            xytext=(0, -above if under else above), textcoords="offset points", ha="center",
            va="top" if under else "bottom", fontsize=9,
        )  # fmt: skip
    axes.set_xlim(0, 1.25 * max(row.loop_ms for row in rows))
    axes.set_ylim(0, 125)
    axes.set_xlabel("one loop, camera to screen: virtual ms at 125 MHz, emulated (silicon: 1 to 10 % more)")
    axes.set_ylabel("right on simulated desk photographs, %")
    axes.set_title(f"CircuitPython {rows[0].firmware} on an emulated Pico", fontsize=10)
    axes.grid(alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    return picture.getvalue()


Tell = Callable[[str, int, int], None]
