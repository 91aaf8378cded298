"""Fit dense networks with scikit-learn and quantise them to the integer network of the board.

Weights become int8 with one scale a layer, activations uint8, biases int32. An ink value v enters as v / 255, so a
first layer's accumulator is 255 * scale times what scikit-learn computes.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from picodigits.errors import TrainingError
from picodigits.modelfile import DenseLayer

Inks = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Progress(Protocol):
    """Told how far a stage is: its name, steps done, steps in all (0 = unknown)."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note."""


def fit_svm(inks: Inks, labels: Labels, progress: Progress) -> tuple[LinearSVC, list[DenseLayer]]:
    """LinearSVC as the article fits it, and its integer layer. inks (N, H, W) uint8, labels (N,) class index."""
    X = _inputs(inks, labels)
    progress("fitting LinearSVC", 0, 0)
    # More than 20 000 samples: a stronger penalty and a looser tolerance, an eighth of the time, no accuracy lost.
    many = len(X) > 20_000
    estimator = LinearSVC(random_state=0, C=0.1 if many else 1.0, tol=1e-3 if many else 1e-4)
    estimator.fit(X, labels)
    progress("fitting LinearSVC", 1, 1)
    return estimator, [quantise_last(*_one_a_class(estimator.coef_, estimator.intercept_), 255.0)]


def fit_mlp(
    inks: Inks, labels: Labels, progress: Progress, *, hidden: int = 48, epochs: int = 40, seed: int = 0
) -> tuple[MLPClassifier, list[DenseLayer]]:
    """A network with one hidden ReLU layer, and its two integer layers."""
    X = _inputs(inks, labels)
    estimator = MLPClassifier((hidden,), batch_size=min(128, len(X)), alpha=1e-5, random_state=seed)
    classes = np.unique(labels)
    for epoch in range(epochs):
        progress("fitting the network", epoch, epochs)
        estimator.partial_fit(X, labels, classes=classes)
    progress("fitting the network", epochs, epochs)
    (w1, w2), (b1, b2) = estimator.coefs_, estimator.intercepts_
    coef, intercept = _one_a_class(w2.T, b2)
    return estimator, quantise_mlp(w1, b1, coef.T, intercept, X)


def quantise_last(coef: NDArray[Any], intercept: NDArray[Any], input_scale: float) -> DenseLayer:
    """The integer layer of coef (outputs, inputs) and intercept (outputs,), whose inputs are `input_scale` times
    as large as those it was fitted on. The largest weight becomes 127."""
    scale = 127.0 / max(float(np.abs(coef).max()), 1e-9)
    return DenseLayer(np.rint(coef * scale).astype(np.int8), np.rint(intercept * scale * input_scale).astype(np.int32))


def quantise_mlp(
    w1: NDArray[Any], b1: NDArray[Any], w2: NDArray[Any], b2: NDArray[Any], X: NDArray[Any]
) -> list[DenseLayer]:
    """The integer layers of a one-hidden-layer network. w1 (inputs, hidden), w2 (hidden, outputs), as scikit-learn
    keeps them; X (N, inputs) float 0..1 shows how large the hidden activations get."""
    first = quantise_last(w1.T, b1, 255.0)
    scale = 127.0 / max(float(np.abs(w1).max()), 1e-9) * 255.0  # of the accumulator
    hidden = np.maximum(X[:5000] @ w1 + b1, 0)
    top = max(float(np.quantile(hidden, 0.9995)), 1e-6) * scale
    shift = max(int(np.ceil(np.log2(top / 255.0))), 0)  # the smallest that clips next to nothing
    return [DenseLayer(first.weights, first.biases, shift), quantise_last(w2.T, b2, scale / 2.0**shift)]


def _one_a_class(coef: NDArray[Any], intercept: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """coef (classes, inputs) and intercept (classes,): of two classes scikit-learn keeps the second alone."""
    if len(coef) > 1:
        return coef, intercept
    return np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2


def _inputs(inks: Inks, labels: Labels) -> NDArray[np.float64]:
    if len(np.unique(labels)) < 2:
        raise TrainingError(
            f"training data: got {len(inks)} samples of {len(np.unique(labels))} class, need two classes at least. "
            "Add folders or another --data."
        )
    return inks.reshape(len(inks), -1) / 255.0
