"""The article's export: m2cgen writes a classifier as pure Python, python-minifier shortens it.

m2cgen writes one expression a class with every coefficient as a literal. It walks that expression
recursively, two calls a feature, and so meets Python's recursion limit; MAX_FEATURES is what it takes.
m2cgen's last release, 0.10.0, is of April 2022.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from picodigits.errors import ExportError
from picodigits.export.compact import need_plain
from picodigits.export.provenance import head
from picodigits_board.modelfile import Model

# Of a linear model; measured with m2cgen 0.10.0 under the recursion limit of 1000: 477 on CPython 3.11, 362 on 3.12,
# 478 on 3.13.
MAX_FEATURES = 362
# A boxed float on CircuitPython has 22 significant bits: whole numbers below this are exact.
BOARD_EXACT = 1 << 22


def estimator_source(estimator: Any) -> str:
    """Pure Python with `score(input)` for a fitted scikit-learn estimator, as m2cgen writes it.

    score(input)  takes a sequence of n_features numbers; returns a list of float, one a class, in the order
                  of `estimator.classes_` (a linear model of two classes, or a regression: one float)
    Raises ExportError for an estimator that m2cgen does not know, that is not fitted, or that is too large.
    """
    import m2cgen  # takes a while, and most commands do without

    name = type(estimator).__name__
    try:
        # A thread starts with an empty stack, so that the limit does not depend on who calls.
        with ThreadPoolExecutor(max_workers=1) as pool:
            return str(pool.submit(m2cgen.export_to_python, estimator).result())
    except RecursionError as error:
        features = getattr(estimator, "n_features_in_", "too many")
        raise ExportError(
            f"m2cgen: got {name} with {features} features, need at most {MAX_FEATURES} on every Python: it reaches "
            "Python's recursion limit. Use an ink of at most 19x19, or the target compact."
        ) from error
    except NotImplementedError as error:
        raise ExportError(
            f"m2cgen: got {name}, need an estimator that it knows. "
            "Use LinearSVC, LogisticRegression, a tree or a random forest."
        ) from error
    except AttributeError as error:
        raise ExportError(f"m2cgen: got {name} without {error.name}, need a fitted one. Call fit first.") from error


def model_source(model: Model) -> str:
    """Pure Python with `score(input)` for a model file of one dense layer, through m2cgen.

    score(input)  takes a sequence of ink_height * ink_width ints 0..255; returns floats, one a class:
                  whole numbers equal to the scores of the integer network. CPython's floats hold them all,
                  CircuitPython's hold them while the largest accumulator is below BOARD_EXACT
    Raises ExportError for another network, or one that is too large for m2cgen.
    """
    from sklearn.svm import LinearSVC

    need_plain(model, "m2cgen")
    layer = model.layers[0]
    if len(model.layers) != 1 or layer.relu or layer.outputs < 2:
        raise ExportError(
            f"m2cgen: got a network of {len(model.layers)} layers, need a single dense one without ReLU and "
            "of at least 2 classes. Use the target compact."
        )
    weights = np.frombuffer(model.data, np.int8, layer.inputs * layer.outputs, layer.weight_offset)
    estimator = LinearSVC()
    estimator.coef_ = weights.reshape(layer.outputs, layer.inputs).astype(np.float64)
    estimator.intercept_ = np.frombuffer(model.data, "<i4", layer.outputs, layer.bias_offset).astype(np.float64)
    estimator.classes_ = np.arange(layer.outputs)
    estimator.n_features_in_ = layer.inputs
    return head(model, "m2cgen") + estimator_source(estimator)


def board_exactness(model: Model) -> str:
    """Whether CircuitPython's floats hold every sum of `model_source(model)`, in one line."""
    layer = model.layers[0]
    weights = np.frombuffer(model.data, np.int8, layer.inputs * layer.outputs, layer.weight_offset)
    biases = np.frombuffer(model.data, "<i4", layer.outputs, layer.bias_offset).astype(np.int64)
    sums = np.abs(weights.astype(np.int64)).reshape(layer.outputs, -1).sum(axis=1) * 255 + np.abs(biases)
    largest = int(sums.max())
    if largest < BOARD_EXACT:
        return f"Sums stay within {largest}, below 2**22: exact in CircuitPython's floats too."
    return f"Sums may reach {largest}, 2**22 or more: CircuitPython's floats may round; compact does not."


def minified(source: str) -> str:
    """`source` as python-minifier shortens it: same functions, same results, no comments, short locals.

    Raises ExportError where python-minifier is not installed (it does not support Python 3.14 yet).
    """
    try:
        import python_minifier
    except ImportError as error:
        raise ExportError(
            "python-minifier: got no such module, need it for svm_min.py. "
            "Run pip install python-minifier with Python 3.11 to 3.13, or use the target compact."
        ) from error
    return python_minifier.minify(source) + "\n"
