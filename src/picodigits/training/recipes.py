"""What ships and how it was trained: a recipe is data, `train` carries it out.

dataset -> (camera simulation -> preprocessing) or resized to the ink -> fit -> quantise -> calibrate -> model file

Of a recipe that rejects, frames without a digit are one more class, the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picodigits import executors, modelfile, writers
from picodigits.datasets import Dataset, cache_folder
from picodigits.errors import TrainingError, did_you_mean
from picodigits.evaluation import resize
from picodigits.modelfile import IntegerLayer
from picodigits.training import calibration, renderings
from picodigits.training.architectures import Architecture, Conv, Dense, Schedule, Teacher
from picodigits.training.dense import Inks, Labels, Progress, fit_mlp, fit_svm
from picodigits_board import preprocess
from picodigits_board.decide import likelihoods

HELD_BACK = 10  # every tenth image calibrates the confidence of a model without a camera; of others see `calibration`
MAX_DECLINED = 0.02  # of the held-back samples that are read right, at most this part is declined
MIN_PHOTOGRAPHS = 70_000  # of a small dataset more are taken, up to about as many
_MARKS = 60_000  # letters, scribbles and digits of which frames without a digit are made
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
    looks          so many of those that the reader may take (`look.LOOKS`), from the first on, are learned from: the
                   ink of each photograph's first look and, above 1, that of one of the further ones, in turn
    neat           further ones of each sample, neat (`camera.CARE`)
    no_digit       frames without a digit a photograph of a digit at a level of care; above 0 it learns to reject
    architecture, schedule  of a network
    teacher        of a network: what it learns from beside the labels
    """

    name: str
    kind: str
    preprocess_id: str
    ink_shape: tuple[int, int]
    data: tuple[str, ...]
    cares: tuple[str, ...] = ()
    renderings: int = 1
    looks: int = 1
    neat: int = 0
    no_digit: float = 0.0
    architecture: Architecture | None = None
    schedule: Schedule | None = None
    teacher: Teacher | None = None

    @property
    def rejects(self) -> bool:
        """The last score stands for "no digit"."""
        return self.no_digit > 0


# Six times the work of `best`. Recipes with the same samples share it: the second finds it in the cache. `best` learns
# from two, each of which sees as many inks as the others' one does; four taught it no more than two (clean MNIST, 3 000
# held-back images: 99.50 % against 99.63).
_TEACHER = Teacher(
    Architecture((Conv(24, pad=1), Conv(24, pad=1, pool=2), Conv(48, pad=1), Conv(64, pad=1, pool=2), Dense(128))),
    Schedule(4, 0, batch=256, rate=4e-3, decay=0.02),
)
_CAMERA: dict[str, Any] = {
    "kind": "network",
    "preprocess_id": preprocess.FIND,
    "ink_shape": (16, 16),
    "data": ("mnist", "digits", "strokes"),
    "cares": ("wide",),
    "renderings": 10,
    "no_digit": 0.25,
    "teacher": _TEACHER,
}
_TEACHERS = replace(_TEACHER, schedule=replace(_TEACHER.schedule, epochs=2), count=2)

# 32 ms on the Pico in int16, of which a 3x3 convolution without padding makes the most; few input channels cost little
# Python. Of the networks tried within 35 ms those of three convolutions were best, all within 0.1 points.
_FAST = Architecture((Conv(8, pool=2), Conv(12), Conv(24, kernel=(2, 2), pool=2), Dense(32)))
_TINY = Architecture((Conv(6, pool=2), Conv(8), Conv(10, kernel=(2, 2), pool=2), Dense(16)))  # 1 826 bytes of numbers
# With a convolution more (16, 24, 24, 32 channels), six bits of ink and the mean of the teachers' answers to both looks
# at a frame it read no better, 99.53 % of 3 000 held-back clean MNIST images at the first look against 99.60, and took
# 479 ms on the Pico instead of 353. With 28 or 32 channels in the middle the Pico ran out of memory then.
# Larger ink promised more: in floats, labels alone, four million frames seen, it misread 67 clean and 153 studio frames
# of 12 000 and 24 000 left out behind ink of 24x24, instead of 82 and 183. Trained to the end it kept that for hard
# frames alone: with only the first convolution padded, from two teachers behind that ink (32, 48 and 64 channels, about
# as much work as this one's), it misread with the three looks of then 49 clean, 61 studio, 64 desk and 297 hard frames
# of 9 000 held back each, instead of 37, 48, 66 and 327, and took 577 ms on the Pico. Those teachers misread 45 of the
# clean ones together at the first look, this one's 39: clean frames are read about as well as the teachers read them.
_BEST = Architecture((Conv(16, pad=1, pool=2), Conv(32, pad=1), Conv(32, pool=2), Dense(32)))

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("article", "svm", preprocess.ARTICLE, (12, 12), ("digits",)),
        Recipe("article-mnist", "svm", preprocess.ARTICLE, (12, 12), ("mnist",)),
        Recipe("linear", "svm", preprocess.FIND, (16, 16), ("mnist", "digits"), ("studio", "desk")),
        Recipe("mlp", "mlp", preprocess.FIND, (16, 16), ("mnist", "digits"), ("studio", "desk"), 2),
        Recipe("tiny", **_CAMERA, architecture=_TINY, schedule=Schedule(18, 5)),
        Recipe("fast", **_CAMERA, neat=3, architecture=_FAST, schedule=Schedule(30, 6)),
        Recipe(
            "best",
            **_CAMERA | {"teacher": _TEACHERS},
            looks=3,
            architecture=_BEST,
            # At the first look it read 99.60 % of 3 000 held-back clean MNIST images with these, 99.37 with 11 and 4
            # epochs and 99.57 with 44 and 9. Not alone the epochs differed: in those two it saw six bits of ink, in the
            # first also strokes joined that lie apart.
            # With 18 and 4 epochs, 6 wide photographs and 5 on even paper in more kinds of handwriting (bent to 3.5 %,
            # strokes 0.55 to 1.5 as broad) it misread, of 9 000 held-back frames each, 46 clean ones, 50 of the studio
            # and 66 at a desk with three looks, instead of 37, 48 and 66. Its teachers, who saw the same, misread 39,
            # 47 and 54 at the first look: of clean frames they know no more than it does.
            schedule=Schedule(20, 5, batch=256, rate=8e-3),
        ),
    )
}


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
        pytorch(f"recipe {recipe.name}")  # before the long work
    samples = inks_of(recipe, datasets, progress, seed=seed)
    inks, labels = samples.inks, samples.labels
    held = calibration.held_back(samples.numbers) if recipe.cares else samples.numbers % HELD_BACK == 0
    lacking = [name for label, name in enumerate(names) if label not in labels[~held]]
    if lacking:
        raise TrainingError(
            f"training data: got too few samples of {' '.join(lacking)} in which a digit was found, need some of every "
            "class beside those held back to calibrate. Add samples."
        )
    if recipe.cares:
        estimator, layers = _fit(recipe, inks[~held], labels[~held], progress, seed, len(names))
        data = calibration.recalibrate(_pack(recipe, names, layers, 1, 0), datasets, progress)
        return Trained(data, estimator, len(inks))
    progress("calibrating", 0, 2)
    quiet: Progress = lambda stage, done, total: None  # noqa: E731
    _, layers = _fit(recipe, inks[~held], labels[~held], quiet, seed, len(names))
    progress("calibrating", 1, 2)
    some = np.random.default_rng(seed).permutation(np.flatnonzero(held))[:_CALIBRATED_ON]
    some.sort()
    octave, min_confidence = calibrate(scores_of(_pack(recipe, names, layers, 1, 0), inks[some]), labels[some])
    progress("calibrating", 2, 2)
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


def inks_of(
    recipe: Recipe,
    datasets: Sequence[Dataset],
    progress: Progress,
    *,
    seed: int = 0,
    fewest: int | None = None,
) -> Samples:
    """The training samples of a recipe; frames in which no digit was found are left out.

    fewest  of a network's datasets about so many photographs are taken, if they are small; None: MIN_PHOTOGRAPHS
    """
    parts: list[tuple[Inks, Labels, NDArray[np.int64]]] = []
    digits = 0
    for number, dataset in enumerate(datasets):
        if not recipe.cares:
            parts.append((resize(dataset.images, recipe.ink_shape), dataset.labels, np.arange(len(dataset))))
        repeated = 1
        if recipe.kind == "network":
            wanted = MIN_PHOTOGRAPHS if fewest is None else fewest
            repeated = max(1, wanted // (len(dataset) * recipe.renderings))
        cares = [(care, recipe.renderings * repeated) for care in recipe.cares]
        for level, (care, times) in enumerate([*cares, ("neat", recipe.neat * repeated)]):
            for rendering in range(times):
                made = renderings.inks_of(
                    renderings.Rendering(
                        dataset.images, care, ((seed * 16 + number) * 16 + level) * 64 + rendering + 1,
                        recipe.preprocess_id, recipe.ink_shape, looks=recipe.looks,
                    ),
                    f"{dataset.name}, {care}" + f", {rendering + 1} of {times}" * (times > 1),
                    progress,
                )  # fmt: skip
                made = _in_turn(made, recipe.looks, rendering)
                parts.append((made.inks, dataset.labels[made.numbers], made.numbers))
                digits += len(dataset) * (care in recipe.cares)
    if recipe.rejects:
        classes = len(datasets[0].class_names)
        for made in _no_digit_inks(recipe, datasets[0].images, digits, progress, seed):
            made = _in_turn(made, recipe.looks, 0)
            parts.append((made.inks, np.full(len(made.inks), classes), made.numbers))
    inks, labels, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Samples(inks, labels, numbers)


def _in_turn(made: renderings.Rendered, looks: int, rendering: int) -> renderings.Rendered:
    """The inks of all first looks, and of each frame that of one further look; of an image another one in the next
    rendering."""
    chosen = (made.looks == 0) | (made.looks == 1 + (made.numbers + rendering) % max(looks - 1, 1))
    return renderings.Rendered(made.inks[chosen], made.numbers[chosen], made.looks[chosen])


def _no_digit_inks(
    recipe: Recipe, digits: NDArray[np.uint8], photographs: int, progress: Progress, seed: int
) -> Iterator[renderings.Rendered]:
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
                        recipe.ink_shape, kind, count // len(recipe.cares), recipe.looks,
                    ),
                    f"no digit: {kind}",
                    progress,
                )  # fmt: skip


def scores_of(data: bytes, inks: Inks) -> NDArray[np.int32]:
    """Scores (N, classes) of inks under the model file `data`."""
    return executors.NumpyExecutor(modelfile.parse(data)).scores(inks)


def calibrate(scores: NDArray[np.int32], labels: Labels) -> tuple[int, int]:
    """The octave under which the likelihoods fit best, and the confidence below which to decline.

    scores (N, classes), of samples that the model was not trained on; labels (N,). The confidence is the highest that
    declines at most MAX_DECLINED of the samples read right. Models behind the camera are
    calibrated by `calibration.recalibrate`.
    """
    octave = calibration.fit_octave(scores, labels)
    right = scores.argmax(axis=1) == labels
    confidences = np.sort([(max(likelihoods(row, octave)) * 100 + 32768) >> 16 for row in scores[right].tolist()])
    if not len(confidences):
        raise TrainingError("calibration: got 0 samples read right, need some. Check the labels of the data.")
    return octave, int(confidences[int(len(confidences) * MAX_DECLINED)])


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
    return None, pytorch(f"recipe {recipe.name}").train_network(
        recipe.architecture, inks, labels, classes + recipe.rejects, progress, schedule=recipe.schedule, seed=seed,
        checkpoint=cache_folder() / "training" / f"{recipe.name}-{seed}.pt", teacher=recipe.teacher,
    )  # fmt: skip


def pytorch(what: str) -> ModuleType:
    """The module `quantised`. Raises TrainingError, which names `what` needs it, where PyTorch is missing."""
    try:
        from picodigits.training import quantised
    except ImportError as error:
        raise TrainingError(f"{what}: got no PyTorch ({error}), need it. Run pip install picodigits[train].") from error
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
