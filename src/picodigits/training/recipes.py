"""What ships and how it was trained: a recipe is data, `train` carries it out.

dataset -> (camera simulation -> preprocessing) or resized to the ink -> fit -> quantise -> calibrate -> model file

Of a recipe that rejects, frames without a digit are one more class, the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits import camera, executors, modelfile, writers
from picodigits.datasets import Dataset, cache_folder
from picodigits.errors import TrainingError, did_you_mean
from picodigits.modelfile import IntegerLayer
from picodigits.training import renderings
from picodigits.training.architectures import Architecture, Conv, Dense, Schedule
from picodigits.training.dense import Inks, Labels, Progress, fit_mlp, fit_svm
from picodigits_board import preprocess
from picodigits_board.decide import likelihoods

HELD_BACK = 10  # every tenth image calibrates the confidence
HELD_BACK_FROM_NETWORK = 20  # of convolutional networks, which are trained once, every twentieth is never learned from
MAX_DECLINED = 0.02  # of the held-back samples that are read right, at most this part is declined
MIN_PHOTOGRAPHS = 40_000  # of a small dataset more are taken, up to about as many
_MARKS = 20_000  # letters, scribbles and digits of which frames without a digit are made
_CALIBRATED_ON = 4000  # samples at most: the search is in plain integers, as on the board


# Frames without a digit: kind -> part of them. Those that preprocessing declines by itself are left out.
_NO_DIGIT = {
    "letters": 0.42,
    "scribble": 0.2,
    "two digits": 0.12,
    "cut": 0.1,
    "shadow": 0.05,
    "ruled": 0.04,
    "finger": 0.05,
    "blank": 0.02,
}


@dataclass(frozen=True)
class Recipe:
    """How a model is made.

    name           of the model, 16 bytes at most
    kind           "svm" (LinearSVC, as the article), "mlp" (one hidden layer) or "network" (`architecture`, PyTorch)
    preprocess_id  the preprocessing that the model stands behind
    ink_shape      rows and columns of the ink
    data           names of the datasets, as `datasets.load` takes them
    cares          the levels of care at which training samples are photographed; empty: no camera, resized images
    renderings     photographs a sample and level of care; of a network's small datasets more
    no_digit       frames without a digit a photograph of a digit; above 0 the model learns to reject
    architecture, schedule  of a network
    """

    name: str
    kind: str
    preprocess_id: str
    ink_shape: tuple[int, int]
    data: tuple[str, ...]
    cares: tuple[str, ...] = ()
    renderings: int = 1
    no_digit: float = 0.0
    architecture: Architecture | None = None
    schedule: Schedule | None = None

    @property
    def rejects(self) -> bool:
        """The last score stands for "no digit"."""
        return self.no_digit > 0


_CAMERA: dict[str, Any] = {
    "kind": "network",
    "preprocess_id": preprocess.FIND,
    "ink_shape": (16, 16),
    "data": ("mnist", "digits", "strokes"),
    "cares": ("wide",),
    "renderings": 5,
    "no_digit": 0.2,
}

# 32 ms on the Pico in int16, of which a 3x3 convolution without padding makes the most; few input channels cost little
# Python. Of the networks tried within 35 ms those of three convolutions were best, all within 0.1 points.
_FAST = Architecture((Conv(8, pool=2), Conv(12), Conv(24, kernel=(2, 2), pool=2), Dense(32)))
_TINY = Architecture((Conv(6, pool=2), Conv(8), Conv(10, kernel=(2, 2), pool=2), Dense(16)))  # 1 826 bytes of numbers
_BEST = Architecture((Conv(16, pad=1, pool=2), Conv(24, pad=1), Conv(32, pool=2), Dense(48)))

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("article", "svm", preprocess.ARTICLE, (12, 12), ("digits",)),
        Recipe("article-mnist", "svm", preprocess.ARTICLE, (12, 12), ("mnist",)),
        Recipe("linear", "svm", preprocess.FIND, (16, 16), ("mnist", "digits"), ("studio", "desk")),
        Recipe("mlp", "mlp", preprocess.FIND, (16, 16), ("mnist", "digits"), ("studio", "desk"), 2),
        Recipe("tiny", **_CAMERA, architecture=_TINY, schedule=Schedule(20, 6)),
        Recipe("fast", **_CAMERA, architecture=_FAST, schedule=Schedule(20, 6)),
        Recipe("best", **_CAMERA, architecture=_BEST, schedule=Schedule(16, 5)),
    )
}


@dataclass(frozen=True)
class Evaluation:
    """How a model did on a labelled test split.

    name       of the split and how it was seen
    labels     (N,) int64, what was written
    best       (N,) int64, the class with the highest score, never declined
    decisions  (N,) int64, the class shown, or -1 where it was declined
    """

    name: str
    labels: Labels
    best: NDArray[np.int64]
    decisions: NDArray[np.int64]

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

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """(classes, classes): row = what was written, column = what was read, declining switched off."""
        table = np.zeros((classes, classes), np.int64)
        np.add.at(table, (self.labels, self.best), 1)
        return table


@dataclass(frozen=True)
class Trained:
    """A trained model: `data`, the model file, and the scikit-learn `estimator` that it was quantised from, None of a
    network."""

    data: bytes
    estimator: Any
    samples: int


def train(recipe: Recipe, datasets: Sequence[Dataset], progress: Progress, *, seed: int = 0) -> Trained:
    """Carry out a recipe on the training splits `datasets`. The same seed gives the same file.

    Raises TrainingError where the datasets have nothing to learn from or do not agree on their classes.
    """
    names = datasets[0].class_names
    for dataset in datasets:
        if dataset.class_names != names:
            raise TrainingError(
                f"{dataset.name}: got classes {' '.join(dataset.class_names)}, need {' '.join(names)} as in "
                f"{datasets[0].name}. Train on one of them."
            )
    if recipe.kind == "network":
        _pytorch(recipe)  # before the long work
    samples = inks_of(recipe, datasets, progress, seed=seed)
    inks, labels = samples.inks, samples.labels
    network = recipe.kind == "network"
    held = samples.numbers % (HELD_BACK_FROM_NETWORK if network else HELD_BACK) == 0
    lacking = [name for label, name in enumerate(names) if label not in labels[~held]]
    if lacking:
        raise TrainingError(
            f"training data: got too few samples of {' '.join(lacking)} in which a digit was found, need some of every "
            "class beside those held back to calibrate. Add samples."
        )
    if not network:
        progress("calibrating", 0, 2)
    quiet: Progress = lambda stage, done, total: None  # noqa: E731
    estimator, layers = _fit(recipe, inks[~held], labels[~held], progress if network else quiet, seed, len(names))
    progress("calibrating", 1, 2)
    some = np.random.default_rng(seed).permutation(np.flatnonzero(held))[:_CALIBRATED_ON]
    some.sort()
    octave, min_confidence = calibrate(
        scores_of(_pack(recipe, names, layers, 1, 0), inks[some]), labels[some], len(names)
    )
    progress("calibrating", 2, 2)
    if not network:
        estimator, layers = _fit(recipe, inks, labels, progress, seed, len(names))
    return Trained(_pack(recipe, names, layers, octave, min_confidence), estimator, len(inks))


@dataclass(frozen=True)
class Samples:
    """What a model learns from.

    inks     (N, H, W) uint8
    labels   (N,) int64, class index; of frames without a digit the number of classes
    numbers  (N,) int64, of the image that a frame shows; what shows the same image has the same number
    """

    inks: Inks
    labels: Labels
    numbers: NDArray[np.int64]


def inks_of(recipe: Recipe, datasets: Sequence[Dataset], progress: Progress, *, seed: int = 0) -> Samples:
    """The training samples of a recipe; frames in which no digit was found are left out."""
    parts: list[tuple[Inks, Labels, NDArray[np.int64]]] = []
    digits = 0
    for number, dataset in enumerate(datasets):
        if not recipe.cares:
            parts.append((resize(dataset.images, recipe.ink_shape), dataset.labels, np.arange(len(dataset))))
        for level, care in enumerate(recipe.cares):
            times = recipe.renderings * max(1, MIN_PHOTOGRAPHS // (len(dataset) * recipe.renderings))
            for rendering in range(times if recipe.kind == "network" else recipe.renderings):
                inks, numbers = renderings.inks_of(
                    renderings.Rendering(
                        dataset.images, care, ((seed * 16 + number) * 16 + level) * 64 + rendering + 1,
                        recipe.preprocess_id, recipe.ink_shape,
                    ),
                    f"{dataset.name}, {care}, {rendering + 1} of {times}",
                    progress,
                )  # fmt: skip
                parts.append((inks, dataset.labels[numbers], numbers))
                digits += len(dataset)
    if recipe.rejects:
        classes = len(datasets[0].class_names)
        for inks, numbers in _no_digit_inks(recipe, datasets[0].images, digits, progress, seed):
            parts.append((inks, np.full(len(inks), classes), numbers))
    inks, labels, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Samples(inks, labels, numbers)


def _no_digit_inks(
    recipe: Recipe, digits: NDArray[np.uint8], photographs: int, progress: Progress, seed: int
) -> Iterator[tuple[Inks, NDArray[np.int64]]]:
    rng = np.random.default_rng([seed, 3])
    for number, (kind, part) in enumerate(_NO_DIGIT.items()):
        count = int(photographs * recipe.no_digit * part)
        marks = min(count, _MARKS)
        images = np.zeros((0, 1, 1), np.uint8)
        if kind == "letters":
            images = writers.letters(marks, seed=seed)
        elif kind == "scribble":
            images = writers.scribbles(marks, seed=seed)
        elif kind in ("two digits", "cut"):
            images = digits[rng.permutation(len(digits))[:_MARKS]]
        if count:
            for level, care in enumerate(recipe.cares):
                yield renderings.inks_of(
                    renderings.Rendering(
                        images, care, ((seed * 16 + 15) * 16 + level) * 64 + number + 1, recipe.preprocess_id,
                        recipe.ink_shape, kind, count // len(recipe.cares),
                    ),
                    f"no digit: {kind}",
                    progress,
                )  # fmt: skip


def photograph_inks(
    images: NDArray[np.uint8],
    preprocess_id: str,
    ink_shape: tuple[int, int],
    care: str,
    *,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> executors.Inks:
    """Inks of simulated photographs of images (N, H, W), in chunks, so that memory stays bounded."""
    chunk = 2048
    parts = []
    for start in range(0, len(images), chunk):
        progress(start, len(images))
        frames = camera.photograph(images[start : start + chunk], care, seed=seed, first=start)
        parts.append(executors.make_inks(frames, preprocess_id, ink_shape))
    progress(len(images), len(images))
    return executors.Inks(
        np.concatenate([part.inks for part in parts]),
        np.concatenate([part.statuses for part in parts]),
        np.concatenate([part.boxes for part in parts]),
    )


def resize(images: NDArray[np.uint8], shape: tuple[int, int]) -> Inks:
    """Images (N, H, W) uint8 resized bilinearly to inks of `shape`, without a camera, as the article trains."""
    size = (shape[1], shape[0])
    made = [Image.fromarray(image.astype(np.float32)).resize(size, Image.Resampling.BILINEAR) for image in images]
    inks: Inks = np.rint(np.stack([np.asarray(image) for image in made])).clip(0, 255).astype(np.uint8)
    return inks


def scores_of(data: bytes, inks: Inks) -> NDArray[np.int32]:
    """Scores (N, classes) of inks under the model file `data`."""
    return executors.NumpyExecutor(modelfile.parse(data)).scores(inks)


def calibrate(scores: NDArray[np.int32], labels: Labels, classes: int | None = None) -> tuple[int, int]:
    """The octave under which the likelihoods fit best, and the confidence below which to decline.

    scores (N, outputs), of samples that the model was not trained on; labels (N,); classes: labels from there on, and
    outputs, mean "no digit". The octave minimises the negative
    log-likelihood over a grid of 2**(1/4) steps; the confidence is the highest that declines at most MAX_DECLINED of
    the samples read right.
    """
    classes = scores.shape[1] if classes is None else classes
    margin = (scores.max(axis=1, keepdims=True) - scores).astype(np.float64)
    rows = np.arange(len(labels))
    octaves = np.unique(np.rint(2.0 ** np.arange(2, 20, 0.25)).astype(np.int64))
    losses = [
        float((margin[rows, labels] / octave + np.log2((2.0 ** (-margin / octave)).sum(axis=1))).mean())
        for octave in octaves
    ]
    octave = int(octaves[int(np.argmin(losses))])
    right = (scores.argmax(axis=1) == labels) & (labels < classes)
    confidences = np.sort([(max(likelihoods(row, octave)) * 100 + 32768) >> 16 for row in scores[right].tolist()])
    if not len(confidences):
        raise TrainingError("calibration: got 0 samples read right, need some. Check the labels of the data.")
    return octave, int(confidences[int(len(confidences) * MAX_DECLINED)])


def evaluate(data: bytes, dataset: Dataset, care: str | None, progress: Progress, *, seed: int = 1) -> Evaluation:
    """How the model file `data` does on a test split: photographed at a level of care, or (None) resized to its ink.

    Raises TrainingError for other classes than the model's.
    """
    model = modelfile.parse(data)
    if list(dataset.class_names) != model.labels:
        raise TrainingError(
            f"{dataset.name}: got classes {' '.join(dataset.class_names)}, need {' '.join(model.labels)} as in "
            f"{model.name}. Evaluate on the data that it was made for."
        )
    executor = executors.NumpyExecutor(model)
    shape = (model.ink_height, model.ink_width)
    if care is None:
        best = executor.scores(resize(dataset.images, shape))[:, : model.classes].argmax(axis=1).astype(np.int64)
        return Evaluation(f"{dataset.name}, no camera", dataset.labels, best, best)
    inks = photograph_inks(
        dataset.images, model.preprocess_id, shape, care, seed=seed,
        progress=lambda done, total: progress(f"photographing {dataset.name}, {care}", done, total),
    )  # fmt: skip
    readings = executor.decide(inks)
    return Evaluation(
        f"{dataset.name}, {care}", dataset.labels, readings.best.astype(np.int64), readings.decisions.astype(np.int64)
    )


def evaluate_all(data: bytes, recipe: Recipe, tests: Sequence[Dataset], progress: Progress) -> list[Evaluation]:
    """How a trained model does on the test splits of its recipe's data, seen as it was trained: the report."""
    return [evaluate(data, test, care, progress) for test in tests for care in recipe.cares or (None,)]


def find(name: str) -> Recipe:
    """The recipe of that name. Raises TrainingError."""
    if name not in RECIPES:
        raise TrainingError(f"recipe: got {name!r}, need one of {', '.join(RECIPES)}.{did_you_mean(name, RECIPES)}")
    return RECIPES[name]


def with_data(recipe: Recipe, data: Sequence[str] | None) -> Recipe:
    """The recipe with other datasets, or as it is where `data` is empty or None."""
    return replace(recipe, data=tuple(data)) if data else recipe


def _fit(
    recipe: Recipe, inks: Inks, labels: Labels, progress: Progress, seed: int, classes: int
) -> tuple[Any, list[IntegerLayer]]:
    if recipe.kind == "svm":
        svm, dense = fit_svm(inks, labels, progress)
        return svm, [*dense]
    if recipe.kind == "mlp":
        mlp, dense = fit_mlp(inks, labels, progress, seed=seed)
        return mlp, [*dense]
    assert recipe.architecture is not None
    return None, _pytorch(recipe).train_network(
        recipe.architecture, inks, labels, classes + recipe.rejects, progress, schedule=recipe.schedule, seed=seed,
        checkpoint=cache_folder() / "training" / f"{recipe.name}-{seed}.pt",
    )  # fmt: skip


def _pytorch(recipe: Recipe) -> ModuleType:
    try:
        from picodigits.training import quantised
    except ImportError as error:
        raise TrainingError(
            f"recipe {recipe.name}: got no PyTorch ({error}), need it. Run pip install picodigits[train]."
        ) from error
    return quantised


def _pack(recipe: Recipe, labels: Sequence[str], layers: list[IntegerLayer], octave: int, min_confidence: int) -> bytes:
    return modelfile.pack(
        name=recipe.name,
        preprocess_id=recipe.preprocess_id,
        ink_shape=recipe.ink_shape,
        labels=labels,
        layers=layers,
        octave=octave,
        min_confidence=min_confidence,
        rejects=recipe.rejects,
        ink_shift=recipe.architecture.ink_shift if recipe.architecture else 0,
    )
