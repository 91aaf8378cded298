"""Turn results into what people look at: tables for the terminal, pictures for a file. Computes nothing."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table
from rich.text import Text

from picodigits import evaluation
from picodigits.captures import Capture, Captures
from picodigits.errors import PicodigitsError
from picodigits.evaluation import AS_TAKEN, BINS, Evaluation
from picodigits.frames import npy, replace_atomically, to_image
from picodigits_board.modelfile import Model

_PNG = b"\x89PNG\r\n\x1a\n"
_PREDICTIONS = re.compile(rb"\x93NUMPY....\{'descr': '<i2', 'fortran_order': \w+, 'shape': \(\d+,\)", re.DOTALL)
_PAPER = (246, 244, 240)
_INK = (40, 40, 40)
_JSON = b'{\n "picodigits evaluate": '
_LINES = ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#56b4e9")  # Okabe and Ito's too
_RIGHT = (0, 114, 178)  # blue and vermilion: told apart with every kind of colour blindness (Okabe and Ito, 2008)
_WRONG = (213, 94, 0)


def evaluation_table(evaluations: Sequence[Evaluation], declining: bool = True) -> Table:
    """Each set of frames with digits: how much is read right, declined, shown wrong; for the terminal."""
    view = Table("handwriting", "camera")
    for name in ("frames", "read right", *(("declined", "shown wrong") if declining else ())):
        view.add_column(name, justify="right")
    for item in evaluations:
        row = [item.source, item.level, str(len(item.labels)), _percent(item.accuracy, 2)]
        view.add_row(*row, *([_percent(item.declined), _percent(item.wrong)] if declining else []))
    return view


def tuning_table(before: Sequence[Evaluation], after: Sequence[Evaluation]) -> Table:
    """What a model reads before and after it learned, a line a set of frames; for the terminal."""
    view = Table("%")
    for name in ("frames", "read right", "declined", "shown wrong"):
        view.add_column(name, justify="right")
    for old, new in zip(before, after, strict=True):
        name = f"{old.source}, none" if old.kind and old.level == AS_TAKEN else old.source
        right = "-" if old.kind else _change(old.accuracy, new.accuracy)
        rest = _change(old.declined, new.declined), _change(old.wrong, new.wrong)
        view.add_row(f"{name}, {old.level}", str(len(old.labels)), right, *rest)
    return view


def classes_table(before: Evaluation, after: Evaluation, labels: Sequence[str]) -> Table:
    """Each class of one set of frames, read before and after a model learned, in frames; for the terminal."""
    view = Table("written")
    for name in ("frames", "read right", "shown right", "still misread as"):
        view.add_column(name, justify="right")
    for label in np.unique(before.labels).tolist():
        here = before.labels == label
        read, shown = (
            f"{int((old[here] == label).sum())} -> {int((new[here] == label).sum())}"
            for old, new in ((before.best, after.best), (before.decisions, after.decisions))
        )
        wrong = np.unique(after.best[here & (after.best != label)]).tolist()
        view.add_row(labels[label], str(int(here.sum())), read, shown, " ".join(labels[other] for other in wrong))
    return view


def _change(before: float, after: float) -> str:
    return f"{100 * before:.1f} -> {100 * after:.1f}"


def reasons_table(levels: Mapping[str, Evaluation]) -> Table:
    """Why digits were declined, in how many frames of each level; for the terminal."""
    view = Table("digits declined because")
    reasons = {name: item.reasons for name, item in levels.items()}
    for name in levels:
        view.add_column(name, justify="right")
    for reason in dict.fromkeys(reason for counts in reasons.values() for reason in counts):
        view.add_row(reason, *(str(counts.get(reason, 0)) for counts in reasons.values()))
    return view


def no_digit_table(evaluations: Sequence[Evaluation]) -> Table:
    """Frames without a digit: how much of each kind is declined at each level; for the terminal."""
    levels = list(dict.fromkeys(item.level for item in evaluations))
    view = Table("declined of frames that show")
    for level in levels:
        view.add_column(level, justify="right")
    kinds = list(dict.fromkeys(item.kind for item in evaluations))
    for kind in kinds:
        here = {item.level: item for item in evaluations if item.kind == kind}
        view.add_row(kind, *(_percent(here[level].declined) if level in here else "-" for level in levels))
    together = [np.mean([item.declined for item in evaluations if item.level == level]) for level in levels]
    view.add_row("all kinds", *(_percent(float(value)) for value in together), style="bold")
    return view


def coverage_table(levels: Mapping[str, Evaluation], min_confidence: int) -> Table:
    """Accuracy against coverage at some thresholds, the model's own in bold; for the terminal."""
    curves = {name: item.coverage() for name, item in levels.items()}
    view = Table("% right of % shown from")
    for name in curves:
        view.add_column(name, justify="right")
    for threshold in sorted({0, 50, 80, 90, 95, 99, min_confidence}):
        style = "bold" if threshold == min_confidence else None
        cells = [
            f"{100 * curve.accurate[threshold]:.1f} of {100 * curve.covered[threshold]:.1f}"
            for curve in curves.values()
        ]
        name = f"{threshold} %" if threshold else "all frames"
        view.add_row(name, *cells, style=style)
    view.add_row("area", *(_percent(curve.area, 2) for curve in curves.values()))
    return view


def calibration_table(levels: Mapping[str, Evaluation]) -> Table:
    """Confidence against accuracy, bin by bin; for the terminal."""
    reliabilities = {name: item.reliability() for name, item in levels.items()}
    view = Table("right of confidence")
    for name in reliabilities:
        view.add_column(name, justify="right")
    for number in range(BINS):
        cells = [
            f"{100 * item.accuracy[number]:.0f} % of {item.counts[number]}" if item.counts[number] else "-"
            for item in reliabilities.values()
        ]
        low = 100 * number // BINS
        view.add_row(f"{low} to {low + 100 // BINS} %", *cells)
    errors = [f"{100 * item.error:.1f} points" for item in reliabilities.values()]
    view.add_row("mean error", *errors, style="bold")
    return view


def _percent(part: float, digits: int = 1) -> str:
    return f"{100 * part:.{digits}f} %"


def save_coverage(path: Path, levels: Mapping[str, Evaluation], min_confidence: int, title: str) -> None:
    """Curves of accuracy against coverage as a picture (PNG), the model's threshold marked. Raises PicodigitsError."""
    curves = {name: item.coverage() for name, item in levels.items()}
    from matplotlib.figure import Figure  # heavy: only where a picture is asked for

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, curve) in enumerate(curves.items()):
        colour = _LINES[number % len(_LINES)]
        shown = curve.covered > 0
        label = f"{name}, area {100 * curve.area:.2f} %"
        axes.plot(100 * curve.covered[shown], 100 * curve.accurate[shown], color=colour, label=label)
        if min_confidence:
            at = 100 * curve.covered[min_confidence], 100 * curve.accurate[min_confidence]
            axes.plot(*at, "o", color=colour)
    axes.set_xlabel("frames shown, %")
    axes.set_ylabel("right of what is shown, %")
    note = f"; dots: declining below {min_confidence} %" if min_confidence else ""
    axes.set_title(f"{title}{note}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    need_picture_place(path)
    _write(path, lambda part: figure.savefig(part, format="png", dpi=110, metadata={"Software": None}))


def save_calibration(path: Path, levels: Mapping[str, Evaluation], title: str) -> None:
    """Confidence against accuracy as a picture (PNG): bins with ten frames or more, and how many fall into each.

    Raises PicodigitsError.
    """
    reliabilities = {name: item.reliability() for name, item in levels.items()}
    from matplotlib.figure import Figure  # heavy: only where a picture is asked for

    figure = Figure(figsize=(5.4, 6.0), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot((0, 100), (0, 100), color="0.7", linestyle="--")
    width = 100 / BINS / (len(reliabilities) + 1)
    for number, (name, item) in enumerate(reliabilities.items()):
        colour = _LINES[number % len(_LINES)]
        many = item.counts >= 10
        label = f"{name}, error {100 * item.error:.1f} points"
        axes.plot(100 * item.confidence[many], 100 * item.accuracy[many], "o-", color=colour, label=label)
        starts = np.arange(BINS) * 100 / BINS + (number + 0.5) * width
        below.bar(starts, 100 * item.counts / max(item.counts.sum(), 1), width, align="edge", color=colour)
    axes.set_ylabel("read right, %")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    below.set_xlabel("confidence, %")
    below.set_ylabel("frames, %")
    need_picture_place(path)
    _write(path, lambda part: figure.savefig(part, format="png", dpi=110, metadata={"Software": None}))


def save_evaluation(
    model: Model, evaluations: Sequence[Evaluation], folder: Path | None, confusion: Path | None = None
) -> list[Path]:
    """Save figures and pictures of what `model` read: all into `folder`, the confusion matrix (PNG) to `confusion`.

    Returns what was written; of pictures only those that there are frames for. Raises PicodigitsError.
    """
    levels = evaluation.by_level(evaluations)
    title = f"{model.name} on {', '.join(dict.fromkeys(item.source for item in levels.values()))}"
    written = []
    if levels:
        table = evaluation.confusion(evaluations, model.classes)
        for path in (confusion, folder / "confusion.png" if folder else None):
            if path:
                save_confusion(path, table, model.labels, f"{title}: {', '.join(levels)}")
                written.append(path)
    if folder:
        if levels:
            save_coverage(folder / "coverage.png", levels, model.min_confidence, title)
            save_calibration(folder / "calibration.png", levels, title)
            written += [folder / "coverage.png", folder / "calibration.png"]
        # The mark comes first, so that the next run knows the file for its own.
        facts = {
            "picodigits evaluate": 1,
            "model": model.name,
            "crc32": f"{int.from_bytes(model.data[-4:], 'little'):08x}",
            "min_confidence": model.min_confidence,
            "labels": model.labels,
            "sets": evaluation.to_json(evaluations, model.classes),
        }
        text = json.dumps(facts, indent=1) + "\n"
        _write(folder / "report.json", lambda part: part.write_text(text, encoding="utf-8", newline="\n"))
        written.append(folder / "report.json")
    return written


def need_evaluation_places(folder: Path | None, confusion: Path | None) -> None:
    """Make sure that `save_evaluation` may write, over its own older files but no others. Raises PicodigitsError."""
    if confusion is not None:
        need_picture_place(confusion)
    if folder is not None:
        for name in ("confusion.png", "coverage.png", "calibration.png"):
            need_picture_place(folder / name)
        report = folder / "report.json"
        _need_replaceable(report, lambda head: head.startswith(_JSON), "report of picodigits evaluate")
        need_writable(report)


def confusion_table(table: NDArray[np.int64], labels: Sequence[str]) -> Table:
    """A confusion matrix (classes, classes), row = written, column = read, for the terminal."""
    view = Table(title="Confusion: rows are what was written, columns what was read", title_justify="left")
    view.add_column("", style="bold")
    for label in labels:
        view.add_column(label, justify="right")
    view.add_column("right", justify="right", style="bold")
    for row, label in enumerate(labels):
        total = int(table[row].sum())
        cells = []
        for column, count in enumerate(table[row].tolist()):
            style = "bold blue" if row == column else "dark_orange" if count > 0.02 * total else "dim"
            cells.append(Text(str(count) if count else ".", style=style))
        view.add_row(label, *cells, f"{100 * table[row, row] / total:.1f} %" if total else "-")
    return view


def save_confusion(path: Path, table: NDArray[np.int64], labels: Sequence[str], title: str) -> None:
    """The same as a picture (PNG), colour by the share of each row, counts written in. Raises PicodigitsError."""
    from matplotlib.figure import Figure  # heavy: only where a picture is asked for

    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(0.55 * len(labels) + 1.6, 0.55 * len(labels) + 1.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("read")
    axes.set_ylabel("written")
    axes.set_title(title, fontsize=10)
    for row, column in np.argwhere(table > 0):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(table[row, column]), ha="center", va="center", color=colour, fontsize=8)
    need_picture_place(path)
    _write(path, lambda part: figure.savefig(part, format="png", dpi=110, metadata={"Software": None}))


def reading_sheet(
    frames: NDArray[np.uint16],
    inks: NDArray[np.uint8],
    screens: Sequence[Image.Image],
    captions: Sequence[str],
    right: Sequence[bool | None],
    *,
    columns: int = 4,
) -> Image.Image:
    """A contact sheet: for every frame the camera's picture, the ink that the network saw, and the LCD.

    frames (N, 60, 80) uint16 RGB565_SWAPPED; inks (N, H, W) uint8; screens N images of 128x160; captions N lines;
    right N verdicts, None where the truth is not known.
    """
    font = ImageFont.load_default(15)
    wide, tall = 448, 366
    rows = -(-len(screens) // columns)
    sheet = Image.new("RGB", (columns * wide + 12, rows * tall + 12), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, screen in enumerate(screens):
        x, y = 12 + i % columns * wide, 12 + i // columns * tall
        sheet.paste(to_image(frames[i], 2), (x, y))
        scale = 160 // inks.shape[2]
        ink = Image.fromarray(255 - inks[i]).resize(
            (inks.shape[2] * scale, inks.shape[1] * scale), Image.Resampling.NEAREST
        )
        sheet.paste(ink, (x, y + 136))
        draw.rectangle((x - 1, y + 135, x + ink.width, y + 136 + ink.height), outline=_INK)
        sheet.paste(screen.resize((256, 320), Image.Resampling.NEAREST), (x + 172, y))
        verdict = right[i]
        colour = _INK if verdict is None else _RIGHT if verdict else _WRONG
        draw.text((x, y + 326), captions[i], fill=colour, font=font)
    return sheet


def frame_sheet(frames: NDArray[np.uint16], columns: int) -> Image.Image:
    """A contact sheet of frames (N, 60, 80) uint16 RGB565_SWAPPED, twice enlarged, row by row."""
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * 166 + 6, rows * 126 + 6), _PAPER)
    for i, frame in enumerate(frames):
        sheet.paste(to_image(frame, 2), (6 + i % columns * 166, 6 + i // columns * 126))
    return sheet


def named_sheet(rows: Mapping[str, NDArray[np.uint16]], blocks: int = 1) -> Image.Image:
    """A contact sheet with a name before every row of frames (N, 60, 80) uint16 RGB565_SWAPPED, in `blocks` columns."""
    font = ImageFont.load_default(15)
    each = max(len(frames) for frames in rows.values())
    wide, deep = 120 + each * 166, -(-len(rows) // blocks)
    sheet = Image.new("RGB", (blocks * wide + 6, deep * 126 + 6), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (name, frames) in enumerate(rows.items()):
        x, y = 6 + number // deep * wide, 6 + number % deep * 126
        draw.text((x + 4, y + 50), name, fill=_INK, font=font)
        for i, frame in enumerate(frames):
            sheet.paste(to_image(frame, 2), (x + 120 + i * 166, y))
    return sheet


def capture_sheet(items: Captures, each: int = 24, columns: int = 6) -> Image.Image:
    """A contact sheet of captures by label: upright pictures with their names and what was read in them.

    Misread ones come first and have an orange frame; at most `each` of a label.
    """
    large, small = ImageFont.load_default(24), ImageFont.load_default(13)
    wide, left = 180, 84
    rows: list[tuple[str, int, list[Capture]]] = []  # label, captures of it, those shown in this row
    for label in dict.fromkeys(items.labels):
        mine = sorted((item for item in items if item.label == label), key=lambda item: not item.misread)
        shown = mine[:each]
        rows += [(label if not at else "", len(mine), shown[at : at + columns]) for at in range(0, len(shown), columns)]
    tall = 52 + max((160 if item.transpose else 120 for item in items), default=120)
    across = max((len(shown) for _, _, shown in rows), default=1)
    sheet = Image.new("RGB", (left + across * wide, len(rows) * tall + 12), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (label, count, shown) in enumerate(rows):
        top = 12 + number * tall
        if label:
            draw.line((0, top - 7, sheet.width, top - 7), fill=(205, 200, 190))
            draw.text((10, top), label if len(label) < 5 else f"{label[:4]}.", fill=_INK, font=large)
            draw.text((10, top + 34), f"{count}", fill=_INK, font=small)
        for column, item in enumerate(shown):
            x = left + column * wide
            picture = item.picture(160 // item.frame.shape[1])
            sheet.paste(picture, (x, top))
            colour = _WRONG if item.misread else _RIGHT
            if item.misread:
                draw.rectangle(
                    (x - 3, top - 3, x + picture.width + 2, top + picture.height + 2), outline=_WRONG, width=3
                )
            opinion = f"read as {item.read}, {item.confidence} %" if item.read else "declined"
            draw.text((x, top + picture.height + 3), item.stem, fill=_INK, font=ImageFont.load_default(11))
            draw.text((x, top + picture.height + 17), opinion, fill=colour, font=small)
    return sheet


def save_image(path: Path, image: Image.Image) -> None:
    """Save a picture as PNG, whole or not at all. Raises PicodigitsError."""
    need_picture_place(path)
    _write(path, lambda part: image.save(part, format="PNG"))


def save_predictions(path: Path, predictions: NDArray[np.int16]) -> None:
    """Save predictions (N,) int16 as .npy, whole or not at all, over older predictions but over nothing else.

    Raises PicodigitsError.
    """
    need_predictions_place(path)
    _write(path, lambda part: part.write_bytes(npy(predictions)))


def need_picture_place(path: Path) -> None:
    """Make sure that a PNG may be written to `path`, which may hold an older one. Raises PicodigitsError."""
    if path.suffix.lower() != ".png":
        raise PicodigitsError(f"{path}: got the ending {path.suffix or 'none'}, need .png for a picture. Name it so.")
    _need_replaceable(path, lambda head: head.startswith(_PNG), "picture (PNG)")
    need_writable(path)


def need_predictions_place(path: Path) -> None:
    """Make sure that predictions may be written to `path`, which may hold older ones. Raises PicodigitsError."""
    _need_replaceable(path, lambda head: bool(_PREDICTIONS.match(head)), "predictions (N,) int16")
    need_writable(path)


def need_writable(path: Path) -> None:
    """Try, before long work, whether a file may be made at `path` or in the first folder above it that exists.

    Leaves nothing behind. Raises PicodigitsError.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "a folder")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def _need_replaceable(path: Path, is_ours: Callable[[bytes], bool], what: str) -> None:
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            head = file.read(128)
    except OSError as error:
        raise _unwritable(path, error) from error
    if head and not is_ours(head):
        raise PicodigitsError(
            f"{path}: got an existing file of another kind, need a new name or an older {what}. Choose another name."
        )


def _write(path: Path, write: Callable[[Path], object]) -> None:
    def make(part: Path) -> None:
        write(part)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(path, make)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> PicodigitsError:
    return PicodigitsError(
        f"{path}: got {error.strerror or error}, need a place that can be written. Choose another, or free some space."
    )
