"""Proof that an export equals its model: run what was exported over many inks, compare with the network."""

from __future__ import annotations

import builtins
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits.errors import ExportError
from picodigits.executors import NumpyExecutor
from picodigits_board.modelfile import DENSE, Model

Scorer = Callable[[NDArray[np.uint8]], Sequence[float]]

_PACKAGE = "lib/picodigits_board/"
_RANDOM_INKS = 256  # of each kind
_SEED = 20220903


@dataclass(frozen=True)
class Proof:
    """What a comparison of exported programs with the integer network found.

    programs    names of the exported files that were run, each over all inks
    inks        inks that each program saw
    scores      scores compared, over all programs
    mismatches  inks whose scores or highest class differ, over all programs: 0 for a sound export
    first       the first mismatch: program, index of the ink, what it gave and what the network gave; or ""
    """

    programs: tuple[str, ...]
    inks: int
    scores: int
    mismatches: int
    first: str = ""

    def __str__(self) -> str:
        """The result in one line."""
        return (
            f"{', '.join(self.programs)}: {self.inks} inks each, {self.scores} scores in all, "
            f"{self.mismatches} inks differ from the integer network."
        )


def proof_inks(model: Model) -> NDArray[np.uint8]:
    """Inks (N, H, W) uint8 that try a model: handwriting, noise, and the extremes. The same ones every time.

    Handwriting is all 1797 of scikit-learn's `load_digits`. One pixel of full ink at each place shows every
    weight of the first layer; full ink wherever an output of a first dense layer has positive (negative) weights
    takes it to its limits.
    """
    from sklearn.datasets import load_digits

    height, width = model.ink_height, model.ink_width
    pictures = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    digits = [np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR)) for p in pictures]
    random = np.random.default_rng(_SEED)
    size = height * width
    first = model.layers[0]
    weights = np.zeros((0, size))
    if first.kind == DENSE:
        weights = np.frombuffer(model.data, np.int8, first.weights, first.weight_offset).reshape(first.outputs, size)
    flat = [
        random.integers(0, 256, (_RANDOM_INKS, size)),
        random.integers(0, 2, (_RANDOM_INKS, size)) * 255,
        np.zeros((1, size)),
        np.full((1, size), 255),
        np.full((1, size), 1),
        np.eye(size) * 255,
        (weights > 0) * 255,
        (weights < 0) * 255,
    ]
    others = np.concatenate(flat).astype(np.uint8).reshape(-1, height, width)
    return np.concatenate([np.stack(digits), others])


def compare(programs: Mapping[str, Scorer], model: Model, inks: NDArray[np.uint8]) -> Proof:
    """Run each program over inks (N, H, W) uint8; compare scores and highest class with the integer network.

    programs  name -> function from one ink (H * W,) uint8 to its scores
    Raises ExportError for inks of another shape or type.
    """
    shape = (model.ink_height, model.ink_width)
    if inks.dtype != np.uint8 or inks.ndim != 3 or inks.shape[1:] != shape or not len(inks):
        raise ExportError(
            f"inks: got {inks.dtype} of shape {inks.shape}, need uint8 of (N, {shape[0]}, {shape[1]}), "
            "N > 0. Make them with the model's preprocessing."
        )
    expected = NumpyExecutor(model).scores(inks).tolist()
    mismatches = 0
    first = ""
    for name, scorer in programs.items():
        for i, (ink, need) in enumerate(zip(inks.reshape(len(inks), -1), expected, strict=True)):
            got = list(scorer(ink))
            if got != need or got.index(max(got)) != need.index(max(need)):
                mismatches += 1
                first = first or f"{name}, ink {i}: got {got}, need {need}"
    return Proof(tuple(programs), len(inks), len(programs) * len(inks) * model.layers[-1].outputs, mismatches, first)


def scorers(files: Mapping[str, bytes], model_name: str = "model.pdm") -> dict[str, Scorer]:
    """Name -> scorer for each program among exported files, each run in a fresh namespace.

    A Python file with a `score` function is a program; so is the CircuitPython bundle, whose modelfile.py and
    network.py are run, with NumPy in place of ulab, on its model file.
    """
    if model_name in files:
        board = _Board(files)
        network = board.module("network").Network(board.module("modelfile").Model(io.BytesIO(files[model_name])), 1)
        return {_PACKAGE + "network.py": lambda ink: network.scores(ink.reshape(1, -1))}
    return {name: _python_scorer(_run(files[name], name)["score"]) for name in files}


class _Board:
    """Runs modules of picodigits_board out of exported files, apart from those installed here; ulab is NumPy."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._loaded: dict[str, SimpleNamespace] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def module(self, name: str) -> SimpleNamespace:
        """The module of this name, run when it is asked for first."""
        if name not in self._loaded:
            path = f"{_PACKAGE}{name}.py"
            self._loaded[name] = SimpleNamespace(**_run(self._files[path], path, __builtins__=self._builtins))
        return self._loaded[name]

    def _import(self, name: str, names: Any = None, values: Any = None, wanted: Any = (), level: int = 0) -> Any:
        if name == "ulab":
            return SimpleNamespace(numpy=np)
        package, _, module = name.partition(".")
        if package != "picodigits_board":
            return __import__(name, names, values, wanted, level)
        return self.module(module) if module else SimpleNamespace(**{part: self.module(part) for part in wanted})


def _run(source: bytes, name: str, **more: Any) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": name, **more}
    exec(compile(source, name, "exec", dont_inherit=True), namespace)
    return namespace


def _python_scorer(score: Callable[[Iterable[int]], Sequence[float]]) -> Scorer:
    return lambda ink: score(ink.tolist())
