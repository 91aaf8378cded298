"""What each step of the preprocessing is worth -> ablation.csv, and the steps in pictures -> docs/domain-gap.png.

    PICODIGITS_DATA=FOLDER python benchmarks/ablation.py
    python benchmarks/ablation.py --picture

For every variant the same small network (one hidden layer of 48) learns from the same 20 000 photographs of MNIST's
training images (level of care: wide) and reads the same photographs of test images, declining switched off. What
differs is the ink alone. Reproducible: seeds are fixed, no timestamps. About six minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.progress import Progress, track

from picodigits import camera, datasets, modelfile
from picodigits.evaluation import SEED
from picodigits.executors import NumpyExecutor
from picodigits.frames import to_image
from picodigits.training.dense import fit_mlp
from picodigits_board import find, look, parts, preprocess, sampling
from picodigits_board.article import Article

OUT = Path(__file__).with_name("ablation.csv")
PICTURE = Path(__file__).parents[1] / "docs" / "domain-gap.png"
FIELDS = ("variant", "source", "level", "frames", "right_percent", "found_percent")
LEVELS = ("studio", "desk", "hard")
TRAINED_ON = 20_000
TESTED_ON = 2000  # of each source at each level, at most
CHUNK = 500

Step = find.Find | Article
PARTS_OF = parts.parts_of


class OnePaper(look.Looker):
    """One level of paper for the whole frame, the middle one of its cells."""

    def _spread(self, pooled: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
        spread = super()._spread(pooled, steps)
        return np.full_like(spread, int(np.median(paper_of(spread))))


def paper_of(spread: np.ndarray) -> np.ndarray:
    """(15, 20) uint8, the paper that the digit is found on."""
    return look.closed(spread[2:20, 2:25], (1, 2))


def everything(rows: list[int], strong: list[int]) -> list[tuple[int, ...]]:
    """All that is dark, as one part of those that `parts.parts_of` finds."""
    found = PARTS_OF(rows, strong)
    if len(found) > 1:
        areas, tops, lefts, bottoms, rights, darks = zip(*found, strict=True)
        found = [(sum(areas), min(tops), min(lefts), max(bottoms), max(rights), sum(darks))]
    return found


class BlackOrWhite(find.Find):
    """Ink is all or nothing."""

    def ink(self, frame: np.ndarray, attempt: int = 0) -> np.ndarray:
        """(ink_height, ink_width) uint8, 0 or 255."""
        return (super().ink(frame, attempt) > 127).astype(np.uint8) * 255


@dataclass(frozen=True)
class Variant:
    """A preprocessing: what makes it, and names of one of its modules that stand for something else in it."""

    name: str
    make: Callable[[], Step] = lambda: find.Find(16, 16)
    module: ModuleType = find
    constants: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def step(self) -> Iterator[Step]:
        """The preprocessing, while its constants hold."""
        before = {name: getattr(self.module, name) for name in self.constants}
        try:
            for name, value in self.constants.items():
                setattr(self.module, name, value)
            yield self.make()
        finally:
            for name, value in before.items():
                setattr(self.module, name, value)


VARIANTS = (
    Variant("the article's central crop", lambda: Article(12, 12)),
    Variant("one paper level for the frame", module=look, constants={"Looker": OnePaper}),
    Variant("all dark parts are the digit", module=parts, constants={"parts_of": everything}),
    Variant("not straightened up", constants={"MAX_SHEAR": 0}),
    Variant("sampled from the pooled picture alone", module=sampling, constants={"FINE_SIZE": 0}),
    Variant("black or white ink", lambda: BlackOrWhite(16, 16)),
    Variant("find-4"),
)


def main() -> None:
    """Measure and write, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", action="store_true", help="only draw the picture, measure nothing")
    if not parser.parse_args().picture:
        _write(_measure())
        print(OUT)
    _draw().save(PICTURE)
    print(PICTURE)


def _measure() -> list[tuple[str, ...]]:
    train = datasets.load("mnist", "train")
    train = train.take(np.arange(TRAINED_ON) * 3)
    learned = _inks(train.images, "wide", 7, "training photographs")
    tests = []
    for source in ("mnist", "digits", "strokes"):
        test = datasets.load(source, "test")
        test = test.take(np.sort(np.random.default_rng(0).permutation(len(test))[:TESTED_ON]))
        for level in LEVELS:
            tests.append((test, level, _inks(test.images, level, SEED, f"{source}, {level}")))
    rows = []
    with Progress() as bar:
        task = bar.add_task("", total=None)
        for number, variant in enumerate(VARIANTS):
            inks, inked, _ = learned[number]
            bar.reset(task, description=variant.name)

            def tell(stage: str, done: int, total: int) -> None:
                bar.update(task, completed=done, total=total or None)

            _, layers = fit_mlp(inks[inked], train.labels[inked], tell)
            name = preprocess.ARTICLE if inks.shape[1] == 12 else preprocess.FIND
            data = modelfile.pack(
                name="ablation", preprocess_id=name, ink_shape=inks.shape[1:], labels=train.class_names,
                layers=layers, octave=1, min_confidence=0,
            )  # fmt: skip
            executor = NumpyExecutor(modelfile.parse(data))
            for test, level, made in tests:
                inks, _, found = made[number]
                right = executor.best(executor.scores(inks)) == test.labels
                percent = (f"{100 * right.mean():.2f}", f"{100 * found.mean():.2f}")
                rows.append((variant.name, test.name, level, str(len(test)), *percent))
    return rows


def _inks(
    images: NDArray[np.uint8], level: str, seed: int, what: str
) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]]:
    """For each variant the inks (N, H, W) of the same photographs, where there is any, and where a whole digit is."""
    made: list[list[NDArray[np.uint8]]] = [[] for _ in VARIANTS]
    seen: list[list[int]] = [[] for _ in VARIANTS]
    for start in track(range(0, len(images), CHUNK), what):
        frames = camera.photograph(images[start : start + CHUNK], level, seed=seed, first=start)
        flat = frames.astype("<u2").view(np.uint8).reshape(len(frames), -1)
        for number, variant in enumerate(VARIANTS):
            with variant.step() as step:
                for frame in flat:
                    made[number].append(step.ink(frame).copy())
                    seen[number].append(step.status)
    return [
        (np.stack(inks), ~np.isin(statuses, (preprocess.NOTHING, preprocess.TOO_DARK)), np.equal(statuses, 0))
        for inks, statuses in zip(made, seen, strict=True)
    ]


def _write(rows: list[tuple[str, ...]]) -> None:
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(rows)


# --- the picture ------------------------------------------------------------------------------------------


def _draw() -> Image.Image:
    """Three digits at three levels of care: frame, the article's ink, and the steps to ours; a line says what is read.

    Bundled digits of test writers, one level of care a row and digit.
    """
    test = datasets.load("digits", "test")
    ours = modelfile.find("fast")
    readers = [NumpyExecutor(modelfile.find("article")), NumpyExecutor(ours)]
    chosen = [int(np.flatnonzero(test.labels == digit)[5]) for digit in (2, 4, 7)]
    columns = ("frame", "the article's ink", "green, pooled", "paper", "darkness", "ink")
    wide, tall, top, left = 172, 150, 26, 60
    sheet = Image.new("RGB", (left + len(columns) * wide, top + 9 * tall), (246, 244, 240))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, name in enumerate(columns):
        draw.text((left + column * wide, 6), name, fill=(40, 40, 40), font=font)
    for row in range(9):
        level, image = LEVELS[row % 3], test.images[chosen[row // 3]]
        frame = camera.photograph(image[None], level, seed=SEED, first=10 + row)
        flat = frame.astype("<u2").view(np.uint8).ravel()
        ink = find.Find(ours.ink_height, ours.ink_width).ink(flat)
        _, pooled, spread, _, _ = look.Looker(1).look(flat)
        paper = paper_of(spread).repeat(2, axis=0).repeat(2, axis=1)
        dark = (np.maximum(paper, pooled) - pooled) * np.uint16(look.DARKNESS) // paper
        pictures = [
            to_image(frame[0], 2),
            _picture(255 - Article(12, 12).ink(flat)),
            _picture(pooled), _picture(paper), _picture(255 - dark.astype(np.uint8)), _picture(255 - ink),
        ]  # fmt: skip
        y = top + row * tall
        draw.text((6, y + 50), level, fill=(40, 40, 40), font=font)
        for column, picture in enumerate(pictures):
            x = left + column * wide
            sheet.paste(picture, (x, y))
            draw.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=(150, 150, 150))
        written = test.labels[chosen[row // 3]]
        for column, executor in ((1, readers[0]), (5, readers[1])):
            read = int(executor.read(frame).best[0])
            colour = (0, 114, 178) if read == written else (213, 94, 0)
            text = f"{executor.model.name} reads {read}"
            draw.text((left + column * wide, y + 124), text, fill=colour, font=font)
    return sheet


def _picture(values: NDArray[np.uint8]) -> Image.Image:
    """Grey levels (H, W) uint8, 120 pixels high."""
    height, width = values.shape
    return Image.fromarray(values).resize((120 * width // height, 120), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
