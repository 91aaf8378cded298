"""ink -> scores -> decision: the integer network and the decision, which the board runs too."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from picodigits import modelfile
from picodigits.errors import FrameError
from picodigits.executors import NumpyExecutor, make_inks
from picodigits.modelfile import ConvLayer, DenseLayer, IntegerLayer
from picodigits_board import decide
from picodigits_board import layers as board_layers
from picodigits_board import network as board_network
from picodigits_board.modelfile import Model
from picodigits_board.network import Convolution, Network


def model_of(layers: Sequence[IntegerLayer], shape: tuple[int, int] = (4, 4), **changes: Any) -> Model:
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


Shape = tuple[int, int, int]


def random_convolution(rng: np.random.Generator, shape: Shape, upper: int) -> tuple[ConvLayer, Shape]:
    """A convolution that takes `shape` (channels, height, width) with activations up to `upper`, and what it makes."""
    channels, height, width = shape
    pad = int(rng.integers(0, 3))
    kernel = tuple(int(rng.integers(1, min(6, size + 2 * pad + 1))) for size in (height, width))
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    outputs = (channels,) if channels > 1 and rng.integers(2) else (channels, int(rng.integers(1, 6)))
    room = max(int(30000 / (kernel[0] * kernel[1] * channels * upper * 2)), 1)
    weights = rng.integers(-room, room, (*kernel, *outputs)) * 2 + 1
    made = [(size + 2 * pad - k) // step + 1 for size, k, step in zip((height, width), kernel, stride, strict=True)]
    pool = 2 if made[0] % 2 == made[1] % 2 == 0 and rng.integers(2) else 1
    layer = ConvLayer(
        weights.clip(-127, 127).astype(np.int8), rng.integers(-500, 500, outputs[-1]).astype(np.int32),
        int(rng.integers(5, 10)), int(rng.choice([15, 31, 63])), stride, pad, pool,
    )  # fmt: skip
    return layer, (outputs[-1], made[0] // pool, made[1] // pool)


def convolved(layer: ConvLayer, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """The definition of a convolution, position by position, in int64."""
    x = np.pad(x, ((0, 0), (layer.pad, layer.pad), (layer.pad, layer.pad)))
    rows, columns = layer.weights.shape[:2]
    weights = layer.weights.astype(np.int64)
    places = [
        (i, j)
        for i in range(0, x.shape[1] - rows + 1, layer.stride[0])
        for j in range(0, x.shape[2] - columns + 1, layer.stride[1])
    ]
    height, width = len({i for i, _ in places}), len({j for _, j in places})
    rule = "cij,ijc->c" if layer.depthwise else "cij,ijco->o"
    sums = np.stack([np.einsum(rule, x[:, i : i + rows, j : j + columns], weights) for i, j in places], axis=1)
    sums = sums.reshape(-1, height, width) + layer.biases[:, None, None]
    pooled: NDArray[np.int64] = sums.reshape(
        len(sums), height // layer.pool, layer.pool, width // layer.pool, layer.pool
    )
    return np.clip((pooled.max(axis=(2, 4)) + (1 << layer.shift >> 1)) >> layer.shift, 0, layer.top)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(4, 16),
    st.integers(4, 16),
    st.sampled_from([1, 100, board_layers.BAND_SUMS]),
    st.sampled_from([1, 40, board_network.PIECE]),
)
@settings(max_examples=200, deadline=None)
def test_convolutions_equal_plain_integers_one_ink_at_a_time_and_many(
    seed: int, count: int, height: int, width: int, band: int, piece: int
) -> None:
    rng = np.random.default_rng(seed)
    shape: Shape = (1, height, width)
    upper = 255 >> 3
    layers: list[ConvLayer] = []
    for _ in range(count):
        layer, shape = random_convolution(rng, shape, upper)
        layers.append(layer)
        upper = layer.top
    inputs = int(np.prod(shape))
    last = DenseLayer(rng.integers(-2, 3, (4, inputs)).astype(np.int8), rng.integers(-99, 99, 4).astype(np.int32))
    model = model_of([*layers, last], (height, width), labels=["a", "b", "c"], rejects=True, ink_shift=3)
    inks = rng.choice([0, 3, 100, 255], (5, height, width)).astype(np.uint8)
    want = []
    for ink in inks:
        x = (ink.astype(np.int64) >> 3)[None]
        for layer in layers:
            x = convolved(layer, x)
        want.append((last.weights.astype(np.int64) @ x.ravel() + last.biases).tolist())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(board_layers, "BAND_SUMS", band)
        patch.setattr(board_layers, "PIECE", piece)
        patch.setattr(board_network, "PIECE", piece)
        assert NumpyExecutor(model).scores(inks).tolist() == want
        board = Network(model, 1)  # as on the board, where dense layers are summed in int16
        for _ in range(2):  # buffers hold nothing over from the ink before
            assert [board.scores(ink) for ink in inks] == want


def test_a_large_convolution_is_summed_up_in_bands_of_rows() -> None:
    rng = np.random.default_rng(0)
    weights = (rng.integers(-60, 60, (3, 3, 1, 16)) * 2 + 1).astype(np.int8)
    layer = ConvLayer(weights, np.zeros(16, np.int32), 6, 31, pad=1)
    last = DenseLayer(rng.integers(-2, 3, (4, 16 * 24 * 24)).astype(np.int8), np.zeros(4, np.int32))
    made = Network(model_of([layer, last], (24, 24), ink_shift=3), 1)._layers[0]
    assert isinstance(made, Convolution)
    assert made.bands == 3
    assert made.sums.size == 16 * 8 * 26


def test_sums_that_wrap_on_the_way_end_right() -> None:
    """Ratios of odd weights are large modulo 2**16: what is summed up wraps at nearly every step."""
    weights = np.full((16, 16, 1, 2), 1, np.int8)
    weights[:, :, 0, 1] = -1
    eye = DenseLayer(np.eye(2, dtype=np.int8), np.zeros(2, np.int32))
    layers = [ConvLayer(weights, np.array([0, 30000], np.int32), 7, 255), eye]
    board = Network(model_of(layers, (16, 16), ink_shift=1), 1)
    assert board.scores(np.full((16, 16), 255, np.uint8)) == [127 * 256 + 64 >> 7, 0]
    assert board.scores(np.zeros((16, 16), np.uint8)) == [0, 30064 >> 7]


def test_a_batch_of_thousands_of_inks_is_quick_enough_for_an_evaluation() -> None:
    """A network of 300 000 multiply-accumulates reads 10 000 inks in a minute on one core; here it must read 500."""
    rng = np.random.default_rng(4)
    layers = [
        ConvLayer(
            rng.integers(-4, 4, (3, 3, 1, 16)).astype(np.int8) * 2 + 1, np.zeros(16, np.int32), 6, 31, pad=1, pool=2
        ),
        ConvLayer(
            rng.integers(-3, 3, (3, 3, 16, 24)).astype(np.int8) * 2 + 1, np.zeros(24, np.int32), 8, 31, pad=1, pool=2
        ),
        DenseLayer(rng.integers(-9, 9, (10, 24 * 16)).astype(np.int8), np.zeros(10, np.int32)),
    ]
    model = model_of(layers, (16, 16), ink_shift=3)
    assert 250_000 < modelfile.macs(model) < 350_000
    executor = NumpyExecutor(model)
    begun = time.process_time()
    assert executor.scores(rng.integers(0, 256, (500, 16, 16)).astype(np.uint8)).shape == (500, 10)
    assert time.process_time() - begun < 3


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
