"""Turn results into what people look at: tables for the terminal, pictures for a file. Computes nothing."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.table import Table
from rich.text import Text

from picodigits.errors import PicodigitsError
from picodigits.frames import npy, replace_atomically, to_image

_PNG = b"\x89PNG\r\n\x1a\n"
_PREDICTIONS = re.compile(rb"\x93NUMPY....\{'descr': '<i2', 'fortran_order': \w+, 'shape': \(\d+,\)", re.DOTALL)
_PAPER = (246, 244, 240)
_INK = (40, 40, 40)
_RIGHT = (0, 114, 178)  # blue and vermilion: told apart with every kind of colour blindness (Okabe and Ito, 2008)
_WRONG = (213, 94, 0)


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
