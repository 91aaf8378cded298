"""How well models read what nobody trained on.

    test images of each source of handwriting x level of care \\
    frames without a digit                                    -> frames -> (two processes) readings -> figures

Held out are the sources' test splits, seeds of photographs that no recipe uses, and for frames without a digit glyphs
and scribbles of the group "test". The same seed serves every source, so that each is seen by the same cameras.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from picodigits import camera, captures, datasets, modelfile, writers
from picodigits.datasets import Dataset
from picodigits.errors import DatasetError, FrameError, did_you_mean
from picodigits.executors import Inks, NumpyExecutor
from picodigits.frames import LARGE, load_frames
from picodigits_board.modelfile import Model
from picodigits_board.preprocess import FOUND, STATUS_NAMES

Progress = Callable[[str, int, int], None]  # stage, frames done, frames in all
Labels = NDArray[np.int64]

SOURCES = ("digits", "strokes", "mnist")
LEVELS = ("clean", "studio", "desk", "hard")
NO_DIGIT = "no-digit"  # the source of frames without one
FRAMES_PREFIX = "frames:"
NO_DIGIT_LEVELS = ("desk", "hard")
NO_DIGIT_FRAMES = 300  # of a kind at a level
SEED = 2_718_281_828  # of all photographs; recipes take theirs from far below
NO_CAMERA = "none"
AS_TAKEN = "as taken"  # the level of frames that were taken already
NONE_FOLDER = captures.NONE  # in a folder of frames: those without a digit
BINS = 10  # of confidence, for calibration

_CHUNK = 256  # frames that a process works on at a time
_ALONE = 2048  # frames; fewer are not worth starting processes for


@dataclass(frozen=True)
class HeldOut:
    """A set of frames to measure on: images, and how they become frames.

    source  whose handwriting, or NO_DIGIT
    level   of care (a name in camera.CARE), AS_TAKEN, or NO_CAMERA: the images are resized to the ink
    images  (M, H, W) uint8, 0 = paper, 255 = full ink; AS_TAKEN (N, 60, 80) or (N, 120, 160) uint16, the frames
    labels  (N,) int64, class index, -1 = no digit
    kind    empty: every frame shows a digit. Else none does: a name in camera.NO_DIGIT, for which `images` are the
            marks or digits if it takes any, or NONE_FOLDER
    seed    of the photographs
    transpose  AS_TAKEN by a camera that lies on its side
    """

    source: str
    level: str
    images: NDArray[Any]
    labels: Labels
    kind: str = ""
    seed: int = SEED
    transpose: bool = False

    def frames(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Frames (stop - start, 60, 80) uint16 RGB565_SWAPPED; which others are made beside them changes nothing."""
        if self.level == AS_TAKEN:
            return self.images[start:stop]
        if self.kind:
            images = self.images if len(self.images) else None
            return camera.no_digit(
                self.kind, stop - start, self.level, seed=self.seed, first=start, digits=images, marks=images
            )
        return camera.photograph(self.images[start:stop], self.level, seed=self.seed, first=start)


def held_out(
    names: Sequence[str],
    levels: Sequence[str],
    class_names: Sequence[str],
    *,
    folder: Path | None = None,
    limit: int = 0,
    seed: int = SEED,
    no_digit: bool = True,
) -> list[HeldOut]:
    """The sets to measure on, of test splits alone.

    names        of datasets as `datasets.load` takes them, "captures:FOLDER" and "frames:PATH" for frames already taken
                 (see `captured` and `taken`), and NO_DIGIT; none: SOURCES as far as they are at hand, and NO_DIGIT
    levels       of care, or NO_CAMERA; none: LEVELS, and NO_DIGIT_LEVELS for frames without a digit
    class_names  of the model that is to read them
    folder       where MNIST lies
    limit        of the frames in a set, 0 = all; of frames without a digit never more than NO_DIGIT_FRAMES
    no_digit     False: frames without a digit are left out
    Raises DatasetError and FrameError.
    """
    for level in levels:
        if level not in (*LEVELS, NO_CAMERA):
            raise FrameError(
                f"level: got {level!r}, need one of {', '.join(LEVELS)}, {NO_CAMERA}.{did_you_mean(level, LEVELS)}"
            )
    if not names:
        names = [name for name in SOURCES if name != "mnist" or folder is not None or mnist_is_here()] + [NO_DIGIT]
    sets: list[HeldOut] = []
    for name in names:
        if name == NO_DIGIT:
            wanted = [level for level in levels or NO_DIGIT_LEVELS if level != NO_CAMERA]
            mnist = folder is not None or mnist_is_here()
            digits = datasets.load("mnist" if mnist else "digits", "test", folder if mnist else None)
            sets += no_digits(digits.images, wanted, count=min(limit or NO_DIGIT_FRAMES, NO_DIGIT_FRAMES), seed=seed)
        elif name.startswith(captures.PREFIX):
            sets += captured(captures.load(name.removeprefix(captures.PREFIX)), class_names)
        elif name.startswith(FRAMES_PREFIX):
            sets += taken(Path(name.removeprefix(FRAMES_PREFIX)), class_names)
        else:
            # `folder` is where MNIST lies; it is refused for others unless MNIST is among them.
            dataset = datasets.load(name, "test", folder if name == "mnist" or "mnist" not in names else None)
            if list(dataset.class_names) != list(class_names):
                raise DatasetError(
                    f"{dataset.name}: got classes {' '.join(dataset.class_names)}, need {' '.join(class_names)} as in "
                    "the model. Evaluate on the data that it was made for."
                )
            sets += digits_of(dataset, levels or LEVELS, limit=limit, seed=seed)
    sets = [part for part in sets if no_digit or not part.kind]
    if not sets:
        raise DatasetError(
            f"data: got {' '.join(names)} alone, need frames of digits or a level of care. Name a dataset with --data."
        )
    return sets


def mnist_is_here() -> bool:
    """Whether MNIST can be loaded without naming its folder."""
    states = {entry.name: entry.state for entry in datasets.available()}
    return states["mnist"] == "cached" or states["mnist"].startswith("in ")


def digits_of(dataset: Dataset, levels: Iterable[str], *, limit: int = 0, seed: int = SEED) -> list[HeldOut]:
    """A test split at each level, one frame an image; with `limit` above 0 only so many, always the same ones."""
    chosen = dataset
    if 0 < limit < len(dataset):
        chosen = dataset.take(np.sort(np.random.default_rng(0).permutation(len(dataset))[:limit]))
    return [HeldOut(dataset.name, level, chosen.images, chosen.labels, seed=seed) for level in levels]


def no_digits(
    digits: NDArray[np.uint8],
    levels: Iterable[str] = NO_DIGIT_LEVELS,
    *,
    count: int = NO_DIGIT_FRAMES,
    seed: int = SEED,
    group: writers.Group = "test",
) -> list[HeldOut]:
    """Every kind of frames without a digit at each level, `count` frames each.

    digits  (M, H, W) uint8: test images, for frames of two digits and of digits cut by the frame's border
    group   of the letters and scribbles; "train" for calibrating alone
    """
    nothing = np.full(count, -1, np.int64)
    images = {
        "letters": writers.letters(count, seed=seed, group=group),
        "scribble": writers.scribbles(count, seed=seed, group=group),
        "two digits": digits,
        "cut": digits,
    }
    none = np.zeros((0, 1, 1), np.uint8)
    return [
        HeldOut(NO_DIGIT, level, images.get(kind, none), nothing, kind, seed)
        for level in levels
        for kind in camera.NO_DIGIT
    ]


def taken(folder: Path, class_names: Sequence[str]) -> list[HeldOut]:
    """Frames that a camera took: in `folder` a folder a class, named as it, and NONE_FOLDER for frames without a digit.

    Each holds what `frames.load_frames` reads; a folder of captures is read as such. Raises DatasetError for other
    folders and where there are none, FrameError for what is no frame.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: got no such folder, need one with a folder of frames a class. Check the path.")
    if captures.is_folder(folder):
        return captured(captures.load(folder), class_names)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    strange = [name for name in names if name not in (*class_names, NONE_FOLDER)]
    if strange or not names:
        raise DatasetError(
            f"{folder}: got the folders {', '.join(strange) or 'none'}, need some of {', '.join(class_names)} and "
            f"{NONE_FOLDER}, with frames inside. Name each after what its frames show."
        )
    frames = {name: load_frames(folder / name).frames for name in names}
    if len({part.shape[1:] for part in frames.values()}) > 1:
        raise DatasetError(f"{folder}: got frames of several sizes, need one. Evaluate them one after the other.")
    nothing = frames.pop(NONE_FOLDER, None)
    sets = []
    if frames:
        labels = np.repeat([class_names.index(name) for name in frames], [len(part) for part in frames.values()])
        sets.append(HeldOut(folder.name, AS_TAKEN, np.concatenate([*frames.values()]), labels.astype(np.int64)))
    if nothing is not None:
        labels = np.full(len(nothing), -1, np.int64)
        sets.append(HeldOut(folder.name, AS_TAKEN, nothing, labels, NONE_FOLDER))
    return sets


def captured(items: captures.Captures, class_names: Sequence[str]) -> list[HeldOut]:
    """Captures as sets to measure on: one for each camera size and mounting, and those without a digit apart.

    Raises DatasetError for a label that the model does not have.
    """
    parts: dict[tuple[bool, tuple[int, ...], bool], list[captures.Capture]] = {}
    for item in items:
        parts.setdefault((item.label == captures.NONE, item.frame.shape, item.transpose), []).append(item)
    sets = []
    for (none, shape, transpose), members in sorted(parts.items(), key=lambda part: part[0]):
        part = captures.Captures(items.folder, tuple(members))
        name = items.folder.name + (", 160x120" if shape == LARGE else "") + (", on its side" if transpose else "")
        kind = NONE_FOLDER if none else ""
        sets.append(HeldOut(name, AS_TAKEN, part.frames, part.indices(class_names), kind, transpose=transpose))
    return sets


class Coverage(NamedTuple):
    """Accuracy against coverage: entry t of each (101,) is for showing what has a confidence of t percent or more.

    covered   part of the frames that is shown, 0..1; entry 0: declining switched off, all frames
    accurate  part of these that is read right, 0..1; where none is shown, that of the entry before
    """

    covered: NDArray[np.float64]
    accurate: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Mean accuracy over all coverages from 0 to 1: 1 if every misreading is less confident than all right ones.

        One minus the area under the risk-coverage curve of El-Yaniv and Wiener (2010).
        """
        covered = np.append(self.covered, 0.0)
        accurate = np.append(self.accurate, self.accurate[-1])
        return float(-np.trapezoid(accurate, covered))


class Reliability(NamedTuple):
    """Confidence against accuracy in BINS bins of equal width, of the frames in which preprocessing found a digit.

    counts      (BINS,) int64, frames
    confidence  (BINS,) float64, their mean confidence, 0..1
    accuracy    (BINS,) float64, part read right, 0..1; both 0 in an empty bin
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error, 0..1: the mean distance of the two over all frames (Guo et al., 2017)."""
        return float((self.counts * np.abs(self.confidence - self.accuracy)).sum() / max(self.counts.sum(), 1))


@dataclass(frozen=True)
class Evaluation:
    """What a model read in a set of N frames, each for itself.

    source, level, kind  of the frames, as in `HeldOut`
    labels               (N,) int64, what was written, -1 = no digit
    best                 (N,) int64, the class with the highest score, never declined
    decisions            (N,) int64, the class shown, or -1 where it was declined
    confidences          (N,) uint8, percent; 0 where no whole digit was found
    statuses             (N,) uint8, what preprocessing said, `preprocess.FOUND` and so on
    scores               (N, outputs) int32
    """

    source: str
    level: str
    kind: str
    labels: Labels
    best: NDArray[np.int64]
    decisions: NDArray[np.int64]
    confidences: NDArray[np.uint8]
    statuses: NDArray[np.uint8]
    scores: NDArray[np.int32]

    @property
    def name(self) -> str:
        """Source or kind, and level."""
        return f"{self.kind or self.source}, {self.level}"

    @property
    def accuracy(self) -> float:
        """Part read right with declining switched off, 0..1."""
        return float((self.best == self.labels).mean())

    @property
    def declined(self) -> float:
        """Part declined, 0..1."""
        return float((self.decisions < 0).mean())

    @property
    def wrong(self) -> float:
        """Part shown wrong, 0..1."""
        return float(((self.decisions >= 0) & (self.decisions != self.labels)).mean())

    @property
    def reasons(self) -> dict[str, int]:
        """Why frames were declined: what preprocessing said of them, or "unsure"; the commonest first."""
        statuses = self.statuses[self.decisions < 0].tolist()
        said = Counter("unsure" if status == FOUND else STATUS_NAMES[status] for status in statuses)
        return dict(said.most_common())

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """(classes, classes): row = what was written, column = what was read, declining switched off; of digits."""
        table = np.zeros((classes, classes), np.int64)
        np.add.at(table, (self.labels, self.best), 1)
        return table

    def coverage(self) -> Coverage:
        """Accuracy against coverage, over all frames of the set."""
        right = self.confidences[self.best == self.labels]
        shown = np.cumsum(np.bincount(self.confidences, minlength=101)[::-1])[::-1].astype(np.float64)
        shown_right = np.cumsum(np.bincount(right, minlength=101)[::-1])[::-1].astype(np.float64)
        accurate = shown_right / np.maximum(shown, 1)
        last = np.maximum.accumulate(np.where(shown > 0, np.arange(101), 0))
        return Coverage(shown / len(self.labels), accurate[last])

    def reliability(self) -> Reliability:
        """Confidence against accuracy."""
        found = self.statuses == FOUND
        percent = self.confidences[found].astype(np.int64)
        bins = np.minimum(percent * BINS // 100, BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        sums = [
            np.bincount(bins, weights=values, minlength=BINS) / np.maximum(counts, 1)
            for values in (percent / 100, (self.best == self.labels)[found].astype(np.float64))
        ]
        return Reliability(counts, *sums)


def by_level(evaluations: Sequence[Evaluation]) -> dict[str, Evaluation]:
    """Frames with digits of all sources as one evaluation a level; of one model."""
    digits = [item for item in evaluations if not item.kind]
    columns = ("labels", "best", "decisions", "confidences", "statuses", "scores")
    joined = {}
    for level in dict.fromkeys(item.level for item in digits):
        parts = [item for item in digits if item.level == level]
        joined[level] = Evaluation(
            ", ".join(part.source for part in parts),
            level,
            "",
            *(np.concatenate([getattr(part, column) for part in parts]) for column in columns),
        )
    return joined


def confusion(evaluations: Sequence[Evaluation], classes: int) -> NDArray[np.int64]:
    """The confusion matrix (classes, classes) of all frames with digits."""
    tables = [item.confusion(classes) for item in evaluations if not item.kind]
    return np.asarray(np.sum(np.stack(tables), axis=0), np.int64)


def evaluate(
    models: Sequence[Model],
    sets: Sequence[HeldOut],
    progress: Progress = lambda stage, done, total: None,
    *,
    jobs: int = 2,
) -> list[list[Evaluation]]:
    """What each of the models reads in each of the sets: a list a model, of an evaluation a set.

    Frames are made once for all models, and inks once for all that see the same. The network, the preprocessing and
    the decision are the board's own files. jobs: processes. Raises what the executor raises.
    """
    work = _Work([bytes(model.data) for model in models], list(sets))
    chunks = [(number, start) for number, part in enumerate(sets) for start in range(0, len(part.labels), _CHUNK)]
    totals: Counter[str] = Counter()
    for part in sets:
        totals[part.source] += len(part.labels)
    done: Counter[str] = Counter()
    read: list[list[list[_Columns]]] = [[[] for _ in models] for _ in sets]
    for (number, start), answers in zip(chunks, _each(work, chunks, jobs), strict=True):
        for kept, answer in zip(read[number], answers, strict=True):
            kept.append(answer)
        source = sets[number].source
        done[source] += min(_CHUNK, len(sets[number].labels) - start)
        progress(f"reading {source}", done[source], totals[source])
    return [[_joined(part, read[i][m]) for i, part in enumerate(sets)] for m in range(len(models))]


def resize(images: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Images (N, H, W) uint8 resized bilinearly to inks of `shape`, without a camera, as the article trains."""
    size = (shape[1], shape[0])
    made = [Image.fromarray(image.astype(np.float32)).resize(size, Image.Resampling.BILINEAR) for image in images]
    inks: NDArray[np.uint8] = np.rint(np.stack([np.asarray(image) for image in made])).clip(0, 255).astype(np.uint8)
    return inks


def of_test_splits(
    model: Model, tests: Sequence[Dataset], camera_frames: bool, progress: Progress, *, limit: int = 1000
) -> list[Evaluation]:
    """How a model that was just trained does on test splits: at every level, with frames without a digit if it
    rejects; or without a camera if it learned so."""
    sets = [part for test in tests for part in digits_of(test, LEVELS if camera_frames else (NO_CAMERA,), limit=limit)]
    if camera_frames and model.rejects:
        sets += no_digits(tests[0].images)
    return evaluate([model], sets, progress)[0]


def to_json(evaluations: Sequence[Evaluation], classes: int) -> list[dict[str, Any]]:
    """The figures of each evaluation, for a file; parts are 0..1."""
    rows: list[dict[str, Any]] = []
    for item in evaluations:
        row: dict[str, Any] = {"source": item.source, "level": item.level, "kind": item.kind}
        row |= {"frames": len(item.labels), "declined": item.declined, "shown_wrong": item.wrong}
        row |= {"declined_because": item.reasons}
        if not item.kind:
            coverage, reliability = item.coverage(), item.reliability()
            row |= {
                "accuracy": item.accuracy,
                "coverage_area": coverage.area,
                "coverage": coverage.covered.tolist(),
                "coverage_accuracy": coverage.accurate.tolist(),
                "calibration_error": reliability.error,
                "calibration": {name: values.tolist() for name, values in reliability._asdict().items()},
                "confusion": item.confusion(classes).tolist(),
            }
        rows.append(row)
    return rows


# --- in two processes -------------------------------------------------------------------------------------

_Columns = tuple[NDArray[Any], ...]  # best, decisions, confidences, statuses, scores


def _joined(part: HeldOut, chunks: Sequence[_Columns]) -> Evaluation:
    best, decisions, *rest = (np.concatenate(column) for column in zip(*chunks, strict=True))
    return Evaluation(
        part.source, part.level, part.kind, part.labels, best.astype(np.int64), decisions.astype(np.int64), *rest
    )


class _Work:
    """What every process needs: models, and sets of frames."""

    def __init__(self, models: list[bytes], sets: list[HeldOut]) -> None:
        self.models = models
        self.sets = sets
        self._executors: list[NumpyExecutor] = []

    def read(self, chunk: tuple[int, int]) -> list[_Columns]:
        """What each model reads in the frames of a chunk: (number of the set, first frame)."""
        self._executors = self._executors or [NumpyExecutor(modelfile.parse(data)) for data in self.models]
        part = self.sets[chunk[0]]
        start, stop = chunk[1], min(chunk[1] + _CHUNK, len(part.labels))
        frames = None if part.level == NO_CAMERA else part.frames(start, stop)
        inks: dict[tuple[str, int, int], Inks] = {}
        answers: list[_Columns] = []
        for executor in self._executors:
            model = executor.model
            shape = (model.ink_height, model.ink_width)
            key = (model.preprocess_id, *shape)
            if key not in inks:
                inks[key] = (
                    captures.upright_inks(frames, model.preprocess_id, shape, part.transpose)
                    if frames is not None
                    else _as_inks(resize(part.images[start:stop], shape))
                )
            readings = executor.decide(inks[key])
            answers.append(
                (
                    readings.best, readings.decisions, readings.confidences, readings.inks.statuses, readings.scores,
                )
            )  # fmt: skip
        return answers


def _as_inks(inks: NDArray[np.uint8]) -> Inks:
    return Inks(inks, np.full(len(inks), FOUND, np.uint8), np.full((len(inks), 4), -1, np.int16))


def _each(work: _Work, chunks: Sequence[tuple[int, int]], jobs: int) -> Iterator[list[_Columns]]:
    frames = sum(len(part.labels) for part in work.sets)
    jobs = min(jobs, os.cpu_count() or 1, len(chunks))
    if jobs < 2 or frames < _ALONE:
        yield from map(work.read, chunks)
        return
    method = multiprocessing.get_context("spawn")  # a fork would copy other libraries' threads in whatever state
    with ProcessPoolExecutor(jobs, method, initializer=_take, initargs=(work,)) as pool:
        yield from pool.map(_read, chunks)


_WORK: list[_Work] = []  # of a worker process


def _take(work: _Work) -> None:
    threadpool_limits(1)  # small products of matrices: threads of two processes get into each other's way
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told once, by the process that started this one
    _WORK[:] = [work]


def _read(chunk: tuple[int, int]) -> list[_Columns]:
    return _WORK[0].read(chunk)
