"""When a model is unsure enough to decline: fitted on frames that it did not learn from, and none of a test split.

    images held back from training, photographed, and frames without a digit -> scores -> octave -> min_confidence

Held back is every HELD_BACK-th ten of images, as by the recipes; what is drawn (strokes, letters, scribbles) is drawn
anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from picodigits import evaluation, modelfile, writers
from picodigits.datasets import Dataset
from picodigits.errors import TrainingError
from picodigits.evaluation import HeldOut, Progress
from picodigits_board import preprocess
from picodigits_board.modelfile import Model

SOURCES = ("mnist", "digits", "strokes")
HELD_BACK = 20  # every twentieth ten of images of a training split: networks never learn from them
SEED = 1_618_033_988  # of the photographs, letters and scribbles
LEVELS = ("studio", "desk", "hard")
MAX_DECLINED = 0.015  # of desk digits, at most: half a point below the 2 % that may be declined on frames not seen here
FRAMES = 2000  # of each source at each level
NO_DIGIT_FRAMES = 150  # of each kind at each level: with three sources about one in six frames shows no digit


def recalibrate(
    data: bytes, datasets: Sequence[Dataset], progress: Progress = lambda stage, done, total: None, *, jobs: int = 2
) -> bytes:
    """The model file `data` with another octave and min_confidence, all else as it is.

    datasets: training splits of the sources that it learned from. The octave is the one under which digits of all
    levels, and for a model that rejects frames without a digit, are likeliest. min_confidence is the highest that
    declines at most MAX_DECLINED of the desk digits, each source of them counting the same, those counted that
    preprocessing declines; 0 where it declines more by itself.
    Raises TrainingError for datasets of other classes than the model's.
    """
    model = modelfile.parse(data)
    for dataset in datasets:
        if list(dataset.class_names) != model.labels:
            raise TrainingError(
                f"{dataset.name}: got classes {' '.join(dataset.class_names)}, need {' '.join(model.labels)} as in "
                f"{model.name}. Calibrate with the data that it was trained on."
            )
    sets = frames_for(datasets, model.rejects)
    results = evaluation.evaluate([model], sets, progress, jobs=jobs)[0]
    found = [result.statuses == preprocess.FOUND for result in results]
    scores = np.concatenate([result.scores[some] for result, some in zip(results, found, strict=True)])
    labels = np.concatenate([result.labels[some] for result, some in zip(results, found, strict=True)])
    octave = fit_octave(scores, np.where(labels < 0, model.classes, labels))
    if octave != model.octave:  # which says when a frame is looked at again, and so how sure of it the model is
        sets = [one for one in sets if one.level == "desk" and not one.kind]
        again = modelfile.parse(with_decision(model, octave, 0))
        results = evaluation.evaluate([again], sets, progress, jobs=jobs)[0]
    confidences = [result.confidences for result in results if result.level == "desk" and not result.kind]
    return with_decision(model, octave, fit_min_confidence(confidences))


def with_decision(model: Model, octave: int, min_confidence: int) -> bytes:
    """The model's file with these, all else as it is."""
    return modelfile.pack(
        name=model.name,
        preprocess_id=model.preprocess_id,
        ink_shape=(model.ink_height, model.ink_width),
        labels=model.labels,
        layers=modelfile.layers_of(model),
        octave=octave,
        min_confidence=min_confidence,
        rejects=model.rejects,
        ink_shift=model.ink_shift,
    )


def frames_for(datasets: Sequence[Dataset], no_digit: bool) -> list[HeldOut]:
    """What to calibrate on: FRAMES photographs at each level of the held-back images of each training split, and with
    `no_digit` NO_DIGIT_FRAMES of each kind at each level."""
    sets = []
    held = [_unseen(dataset) for dataset in datasets]
    for dataset in held:
        repeated = dataset.take(np.arange(FRAMES) % len(dataset))
        sets += evaluation.digits_of(repeated, LEVELS, seed=SEED)
    if no_digit:
        sets += evaluation.no_digits(held[0].images, LEVELS, count=NO_DIGIT_FRAMES, seed=SEED, group="train")
    return sets


def _unseen(dataset: Dataset) -> Dataset:
    if dataset.name == "strokes":
        labels = np.arange(FRAMES) % len(dataset.class_names)
        return Dataset("strokes", writers.digits(labels, seed=SEED), labels, dataset.class_names, dataset.licence)
    return dataset.take(np.flatnonzero(held_back(np.arange(len(dataset)))))


def held_back(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images of a training split, by their numbers (N,), networks do not learn from. Ten in a row, since drawn
    digits come in the order of their classes."""
    return np.equal(numbers // 10 % HELD_BACK, 0)


def fit_octave(scores: NDArray[np.int32], labels: NDArray[np.int64]) -> int:
    """The octave, of steps of 2**(1/4), under which `labels` (N,), column numbers of `scores` (N, outputs), are
    likeliest."""
    margin = (scores.max(axis=1, keepdims=True) - scores).astype(np.float64)
    missed = margin[np.arange(len(labels)), labels]
    octaves = np.unique(np.rint(2.0 ** np.arange(2, 20, 0.25)).astype(np.int64))
    losses = [float((missed / octave + np.log2((2.0 ** (-margin / octave)).sum(axis=1))).mean()) for octave in octaves]
    return int(octaves[int(np.argmin(losses))])


def fit_min_confidence(confidences: Sequence[NDArray[np.uint8]]) -> int:
    """The highest threshold in percent that declines at most MAX_DECLINED, mean over the sources.

    confidences: of each source (n,) uint8, percent, of digits that are to be shown.
    """
    for threshold in range(100, 0, -1):
        if np.mean([(part < threshold).mean() for part in confidences]) <= MAX_DECLINED:
            return threshold
    return 0
