"""ink -> scores -> decision: the integer network and the decision, which the board runs too."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from picodigits import modelfile
from picodigits.errors import FrameError
from picodigits.executors import NumpyExecutor, make_inks
from picodigits.modelfile import DenseLayer
from picodigits_board import decide
from picodigits_board.modelfile import Model
from picodigits_board.network import Network


def model_of(layers: list[DenseLayer], shape: tuple[int, int] = (4, 4), **changes: Any) -> Model:
    settings: dict[str, Any] = {
        "name": "test",
        "preprocess_id": "find-1",
        "ink_shape": shape,
        "labels": [str(k) for k in range(layers[-1].weights.shape[0])],
        "layers": layers,
        "octave": 1000,
        "min_confidence": 50,
    }
    return modelfile.parse(modelfile.pack(**settings | changes))


def random_layers(rng: np.random.Generator, sizes: list[int]) -> list[DenseLayer]:
    layers = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weights = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
        biases = rng.integers(-(2**16), 2**16, outputs).astype(np.int32)
        layers.append(DenseLayer(weights, biases, 0 if number == len(sizes) - 2 else int(rng.integers(6, 14))))
    return layers


def reference(layers: list[DenseLayer], ink: NDArray[np.uint8]) -> list[int]:
    """The definition in plain integers: floor((accumulator + 2**(shift - 1)) / 2**shift), clipped to 0..255."""
    values = [int(v) for v in ink.ravel()]
    for layer in layers:
        sums = []
        for weights, bias in zip(layer.weights.tolist(), layer.biases.tolist(), strict=True):
            sums.append(bias + sum(w * v for w, v in zip(weights, values, strict=True)))
        if layer is layers[-1]:
            return sums
        half = (1 << layer.shift) >> 1
        values = [min(max((s + half) >> layer.shift, 0), 255) for s in sums]
    raise AssertionError


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(2, 24), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_the_network_equals_plain_integers(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    layers = random_layers(rng, [16, *sizes])
    model = model_of(layers)
    inks = rng.choice([0, 1, 127, 254, 255], (5, 4, 4)).astype(np.uint8)
    want = [reference(layers, ink) for ink in inks]
    assert NumpyExecutor(model).scores(inks).tolist() == want
    assert [Network(model).scores(ink) for ink in inks] == want


def test_the_largest_accumulator_that_passes_is_exact_in_float32() -> None:
    weights = np.full((2, 256), 127, np.int8)
    weights[1] = -127
    room = 2**24 - 1 - 127 * 255 * 256
    layer = DenseLayer(weights, np.array([room, -room], np.int32))
    model = model_of([layer], (16, 16))
    ink = np.full((16, 16), 255, np.uint8)
    assert Network(model).scores(ink) == [2**24 - 1, 1 - 2**24]
    total = np.float32(0)
    for value in weights[0].astype(np.float32) * np.float32(255):
        total += value
    assert total + np.float32(room) == 2**24 - 1


def test_frames_of_another_size_are_refused() -> None:
    with pytest.raises(FrameError, match=r"got shape \(2, 30, 40\), need \(N, 60, 80\)"):
        make_inks(np.zeros((2, 30, 40), np.uint16), "find-1", (16, 16))


def test_no_frames_give_no_readings() -> None:
    readings = NumpyExecutor(modelfile.find("article")).read(np.zeros((0, 60, 80), np.uint16))
    assert readings.decisions.shape == (0,)
    assert readings.scores.shape == (0, 10)


@given(st.lists(st.integers(-(2**24), 2**24), min_size=2, max_size=20), st.integers(1, 2**24))
@settings(max_examples=300, deadline=None)
def test_likelihoods_are_a_softmax_to_the_base_two(scores: list[int], octave: int) -> None:
    got = decide.likelihoods(scores, octave)
    exact = 2.0 ** ((np.array(scores) - max(scores)) / octave)
    np.testing.assert_allclose(np.array(got) / 65536, exact / exact.sum(), atol=0.03)
    assert got[scores.index(max(scores))] == max(got)
    assert all(0 <= value <= decide.ONE for value in got)


@given(st.lists(st.integers(-(2**20), 2**20), min_size=2, max_size=20), st.integers(1, 2**24))
@settings(max_examples=300, deadline=None)
def test_without_declining_a_single_frame_is_decided_by_its_highest_score(scores: list[int], octave: int) -> None:
    assert decide.Decider(octave, 0).update(scores, found=True) == scores.index(max(scores))


def test_a_clear_frame_is_decided_at_once() -> None:
    decider = decide.Decider(octave=100, min_confidence=60)
    assert decider.update([0, 1000, 0], found=True) == 1
    assert decider.confidence > 95


def test_equal_scores_are_declined() -> None:
    decider = decide.Decider(octave=100, min_confidence=60)
    assert decider.update([500, 500, 0], found=True) == decide.NO_DIGIT
    assert 45 <= decider.confidence <= 51


def test_a_frame_without_a_digit_is_declined_however_clear_its_scores() -> None:
    decider = decide.Decider(octave=100, min_confidence=60)
    assert decider.update([0, 9000, 0], found=False) == decide.NO_DIGIT
    assert decider.confidence == 0


def test_one_misread_frame_among_good_ones_does_not_change_the_digit() -> None:
    decider = decide.Decider(octave=100, min_confidence=40)
    good, bad = [0, 1000, 0], [0, 0, 1000]
    shown = [decider.update(scores, found=True) for scores in (good, good, bad, good, good)]
    assert shown == [1, 1, 1, 1, 1]


def test_a_new_digit_is_shown_within_three_frames() -> None:
    decider = decide.Decider(octave=100, min_confidence=60)
    for _ in range(10):
        decider.update([0, 1000, 0], found=True)
    shown = [decider.update([0, 0, 1000], found=True) for _ in range(3)]
    assert shown[-1] == 2


def test_the_digit_goes_when_the_paper_is_taken_away_and_the_next_counts_alone() -> None:
    decider = decide.Decider(octave=100, min_confidence=60)
    decider.update([0, 1000, 0], found=True)
    assert decider.update([0, 1000, 0], found=False) == decide.NO_DIGIT
    assert decider.update([1000, 0, 0], found=True) == 0
    assert decider.confidence > 95
