"""From the layers of a model file to the arrays that `network` computes with.

Apart from network.py, because the board forgets this file once the model has been read: 4 KB.
"""

from __future__ import annotations

import gc
import struct

try:
    from ulab import numpy as np

    _ON_BOARD = True
except ImportError:
    import numpy as np

    _ON_BOARD = False

from picodigits_board.network import PIECE, Convolution, Dense

TYPE_CHECKING = False
if TYPE_CHECKING:
    from picodigits_board.modelfile import Layer, Model

CONV = 2  # as modelfile.py has it
_FOLDED = 2048  # a convolution is folded where that takes at most so many sums; above, a single call costs nothing
KEPT_TAPS = 128  # views of a convolution's weights and inputs are kept up to so many, 112 bytes each, or made anew
BAND_SUMS = 4096  # a convolution is summed up in bands of rows that take at most so many sums each, 8 KB of the heap
_AT_A_TIME = 1024  # weights that are inverted at a time


def read(model: Model, batch: int, scratch: object = None) -> list[Dense | Convolution]:
    """The layers of a model for `batch` inks at a time, ready to run; `scratch` as `network.Network` has it."""
    shapes = [(1, model.ink_height, model.ink_width)] + [layer.shape for layer in model.layers]
    room = place = 1
    for layer, shape in zip(model.layers, shapes):  # noqa: B905
        if layer.kind == CONV:
            room = max(room, layer.outputs * fold_of(layer, shape, batch) * band_of(layer, shape, batch))
            if not in_one_piece(layer, shape):
                place = max(place, layer.outputs * layer.shape[1] * layer.shape[2] * batch)
    if scratch is not None and len(scratch) >= 2 * room:  # type: ignore[arg-type]
        sums = np.frombuffer(scratch, dtype=np.int16, count=room)  # of one layer after the other
    else:
        sums = np.zeros(room, dtype=np.int16)
    whole = np.zeros(place, dtype=np.int16)  # likewise
    layers: list[Dense | Convolution] = []
    for number in range(len(model.layers) - 1, -1, -1):  # the last are the largest
        if _ON_BOARD:
            gc.collect()  # or this one lies behind the garbage of the last one
        layer = model.layers[number]
        if layer.kind == CONV:
            layers.insert(0, _convolution(layer, model, shapes[number], sums, whole, batch))
        else:
            layers.insert(0, _dense(layer, model, batch))
    return layers


def _dense(layer: Layer, model: Model, batch: int) -> Dense:
    made = Dense()
    made.weights = _weights(layer, model, 0, layer.weights).reshape((layer.outputs, layer.inputs))
    made.relu = layer.relu
    made.shift = layer.shift
    made.top = layer.top
    made.batch = batch
    made.inputs = layer.inputs
    biases = _biases(layer, model)
    made.narrow = layer.narrow and batch == 1
    if made.narrow:
        made.biases = np.array(biases, dtype=np.int16)
        made.sums = np.zeros(layer.outputs, dtype=np.int16)
    else:
        made.biases = np.array(biases).reshape((layer.outputs, 1)) * 1.0
    return made


def _convolution(
    layer: Layer, model: Model, shape: tuple, sums: np.ndarray, whole: np.ndarray, batch: int
) -> Convolution:
    made = Convolution()
    channels, height, width = shape
    (kernel_height, kernel_width), (down, right) = layer.kernel, layer.stride
    rows = -(-(height + 2 * layer.pad) // down)  # of a plane
    columns = -(-(width + 2 * layer.pad) // right)
    size = rows * columns * batch
    spill = ((kernel_height - 1) // down * columns + (kernel_width - 1) // right) * batch
    positions = band_of(layer, shape, batch)
    made.bands = positions_of(layer, shape, batch) // positions
    made.batch = batch
    made.stride = layer.stride
    made.depthwise = layer.depthwise
    made.outputs = layer.outputs
    made.height, made.width = layer.shape[1:]
    made.pool = layer.pool
    made.shift = layer.shift
    made.top = layer.top
    made.input_shape = (channels * height, width * batch)
    made.fold = fold_of(layer, shape, batch)
    together = made.fold * layer.outputs
    made.sums = sums[: together * positions].reshape((together, positions))
    phases = [np.zeros(channels * size + spill, dtype=np.int16) for _ in range(down * right)]
    made.ratios, made.last = _ratios(layer, model, made.fold)
    if _ON_BOARD:
        gc.collect()  # or the small ones that follow split the room that this took
    made.whole = None
    if not in_one_piece(layer, shape):
        across = layer.shape[1] * layer.shape[2] * batch
        made.whole = whole[: layer.outputs * across].reshape((layer.outputs, across))
    made.biases = np.array(_biases(layer, model), dtype=np.int16).reshape((layer.outputs, 1))
    made.windows = []  # (part of a plane, first row and column of the input that belong there)
    for number, phase in enumerate(phases):
        plane = phase[: channels * size].reshape((channels * rows, columns * batch))
        top, row, count = _inside(number // right, layer.pad, down, height)
        left, column, across = _inside(number % right, layer.pad, right, width)
        part = plane[:, left * batch : (left + across) * batch]
        if not (count and across):
            continue
        if layer.pad == 0 and height % down == 0:  # the channels lie one below the other, as in the input
            made.windows.append((part, row, column))
        else:
            for channel in range(channels):
                start = channel * rows + top
                made.windows.append((part[start : start + count], channel * height + row, column))
    made.seen = []  # what each place of the kernel meets: (channels, positions)
    for y in range(kernel_height):
        for x in range(0, kernel_width, made.fold):
            start = (y // down * columns + x // right) * batch
            phase = phases[y % down * right + x % right]
            plane = phase[start : start + channels * size].reshape((channels, size))
            made.seen.append(plane[:, : made.bands * positions])
    made.steps = []
    if keeps_views(layer, shape):
        made.steps = list(zip(made.ratio_columns(), made.seen_by_each(0)))  # noqa: B905
        made.seen = []
    return made


def positions_of(layer: Layer, shape: tuple, batch: int) -> int:
    """Sums that a convolution of an input of `shape` computes a channel, those to be dropped included."""
    _, _, width = shape
    return layer.shape[1] * layer.pool * -(-(width + 2 * layer.pad) // layer.stride[1]) * batch


def band_of(layer: Layer, shape: tuple, batch: int) -> int:
    """Sums that it computes a channel at a time: all, or those of as many rows as `BAND_SUMS` allows; equal bands."""
    positions = positions_of(layer, shape, batch)
    height = layer.shape[1]
    for bands in range(1, height):
        if height % bands == 0 and layer.outputs * positions // batch <= BAND_SUMS * bands:
            return positions // bands
    return positions // height


def _in_one_band(layer: Layer, shape: tuple) -> bool:
    return band_of(layer, shape, 1) == positions_of(layer, shape, 1)


def in_one_piece(layer: Layer, shape: tuple) -> bool:
    """Whether its activations are made at once, and need no place where they are put together."""
    return _in_one_band(layer, shape) and layer.outputs * layer.shape[1] * layer.shape[2] <= PIECE


def keeps_views(layer: Layer, shape: tuple) -> bool:
    """Whether the views of its weights and inputs are kept."""
    taps: int = layer.weights // (layer.outputs * fold_of(layer, shape, 1))
    return taps <= KEPT_TAPS and _in_one_band(layer, shape)


def fold_of(layer: Layer, shape: tuple, batch: int) -> int:
    """How many columns of the kernel are summed up beside each other: all of a small convolution, else 1."""
    fold: int = 1 if layer.depthwise or layer.stride[1] > 1 else layer.kernel[1]
    return fold if fold * layer.outputs * positions_of(layer, shape, batch) <= _FOLDED else 1


def _inside(phase: int, pad: int, step: int, size: int) -> tuple:
    """Along one axis of `size`: the first row of a phase's plane that is no padding, which row of the input belongs
    there, and how many follow in all."""
    first = max(-(-(pad - phase) // step), 0)
    row = phase + step * first - pad
    return first, row, (size - 1 - row) // step + 1


def _weights(layer: Layer, model: Model, first: int, count: int) -> np.ndarray:
    """(count,) int8: the weights from `first` on, in the file's order."""
    return np.frombuffer(model.read(layer.weight_offset + first, count), dtype=np.int8)


def _ratios(layer: Layer, model: Model, fold: int) -> tuple:
    """(weights, fold * outputs) int16, each weight's forerunner divided by it modulo 2**16, 0 for the first; and the
    last weight, (fold * outputs, 1) int16."""
    outputs = layer.outputs
    inputs = 1 if layer.depthwise else layer.inputs
    size = inputs * outputs
    count = layer.weights // (outputs * fold)
    ratios = np.zeros((1 + count, fold * outputs), dtype=np.int16)
    last = np.zeros((fold * outputs, 1), dtype=np.int16)  # here, before anything that does not stay
    for place in range(layer.weights // size):  # read in one by one: all of them may not fit beside the ratios
        row = 1 + place // fold * inputs
        part = ratios[row : row + inputs, place % fold * outputs : (place % fold + 1) * outputs]
        part += _weights(layer, model, place * size, size).reshape((inputs, outputs))
    last += ratios[count:].reshape((fold * outputs, 1))
    step = max(_AT_A_TIME // (fold * outputs), 1)
    for stop in range(1 + count, 1, -step):  # from the end, so that the forerunners are still there
        start = max(stop - step, 1)
        weight = ratios[start:stop]
        inverse = weight * 1  # Newton's method: right in 3 bits (odd squares are 1 modulo 8), then 6, 12, 24
        for _ in range(3):
            error = weight * inverse
            error -= 2
            inverse *= error
            inverse *= -1
        inverse *= ratios[start - 1 : stop - 1]
        weight *= 0
        weight += inverse
    return ratios[1:], last


def _biases(layer: Layer, model: Model) -> list[int]:
    """The biases; of a layer that requantises with the half in them that rounds."""
    half = (1 << layer.shift) >> 1 if layer.relu else 0
    raw = model.read(layer.bias_offset, 4 * layer.outputs)
    return [bias + half for bias in struct.unpack("<%di" % layer.outputs, raw)]
