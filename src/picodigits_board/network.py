"""THE definition of the network: ink -> scores, in integers, one file for the Pico and the PC.

The network sees ink >> ink_shift. A layer: accumulator = weights . activations + bias, of a dense layer over all
inputs, of a convolution over a window of each channel (depthwise: of its own channel). Where the layer pools, the
largest of each 2 x 2 accumulators stays. If it is not the last layer, the activation is
floor((accumulator + 2**(shift - 1)) / 2**shift), clipped to 0..top: rounded half up, ReLU included.

What makes it fast on the Pico is where the sums are kept. Arithmetic in int16 wraps, so a sum is right modulo 2**16
whatever happens on the way; if its true value lies within int16, which the exporter proves, it is right altogether.
A convolution is then computed as w1 x1 + w2 x2 + ... = ((x1 w1/w2 + x2) w2/w3 + x3) ..., where the divisions are by odd
numbers and modulo 2**16: one multiplication and one addition in place a weight, over all positions and channels at
once, without a temporary. 0.32 microseconds a multiply-accumulate, against 1.9 to 2.3 for `dot`; measured on
CircuitPython 10.0.0, rp2040py 0.3.6, 125 MHz. Small ones are folded: the columns of the kernel are summed up beside
each other, as if each were an output, and added at the end, one position apart. A narrow dense layer is a product
in place and a sum in int16, 0.6. Other dense layers are a float32 `dot`, which is exact because the exporter proves
that no accumulator can reach 2**24.

ulab: dot, floor, clip, sum, maximum, minimum, right_shift, + - * and *= += of int8, uint8 and int16.
"""

from __future__ import annotations

import gc
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # not on the board, which forgets that module once the model has been read
    from collections.abc import Iterator

    from picodigits_board.modelfile import Layer, Model

try:
    from ulab import numpy as np

    _BATCH = 1
    _PIECE = 1024  # numbers that are requantised at a time: the heap has no larger blocks to spare
except ImportError:
    import numpy as np

    _PIECE = 1 << 30
    _BATCH = 32  # inks at a time: the sums of a layer stay in the processor's cache

CONV = 2  # as modelfile.py has it
_FLOAT = np.ones((1, 1))  # multiplying by it makes an array float, in ulab and in NumPy
_FOLDED = 2048  # a convolution is folded where that takes at most so many sums; above, a single call costs nothing
KEPT_TAPS = 128  # views of a convolution's weights and inputs are kept up to so many, 96 bytes each, or made anew
AT_A_TIME = 1024  # weights that are inverted at a time, and least room for the product of a narrow dense layer


class Network:
    """The layers of a model, ready to run.

    batch   inks that are computed at a time; all buffers are made here, once
    """

    def __init__(self, model: Model, batch: int = _BATCH) -> None:
        """Read the layers of a `modelfile.Model`, one after the other; its file may be closed then."""
        self._batch = batch
        self._ink_shift = model.ink_shift
        shapes = [(1, model.ink_height, model.ink_width)] + [layer.shape for layer in model.layers]
        room = AT_A_TIME
        for layer, shape in zip(model.layers, shapes):  # noqa: B905
            if layer.kind == CONV:
                room = max(room, layer.outputs * fold_of(layer, shape, batch) * positions_of(layer, shape, batch))
        sums = np.zeros(room, dtype=np.int16)  # of one layer after the other
        self._layers: list[_Dense | _Convolution] = []
        for number in range(len(model.layers) - 1, -1, -1):  # the last are the largest
            if _BATCH == 1:
                gc.collect()  # on the board: or this one lies behind the garbage of the last one
            layer = model.layers[number]
            make = _Convolution if layer.kind == CONV else _Dense
            self._layers.insert(0, make(layer, model, shapes[number], sums, batch))
        self._outputs = model.layers[-1].outputs
        self._narrow = model.layers[-1].narrow and batch == 1

    def run(self, ink_columns: np.ndarray) -> np.ndarray:
        """Scores of any number of inks at once.

        ink_columns  (ink_height * ink_width, N) uint8, one ink a column
        returns      (outputs, N) float or int16, whole numbers below 2**24 in size; where the model rejects, the last
                     output is "no digit"
        """
        batch = self._batch
        count = ink_columns.shape[1]
        if count == batch:
            return self._run(ink_columns)
        scores = np.zeros((self._outputs, count))
        block = np.zeros((ink_columns.shape[0], batch), dtype=np.uint8)
        for start in range(0, count, batch):
            size = min(batch, count - start)
            block[:, :size] = ink_columns[:, start : start + size]
            scores[:, start : start + size] = self._run(block)[:, :size]
        return scores

    def scores(self, ink: np.ndarray) -> list[int]:
        """Scores of one ink (H, W) uint8: a list of int, one an output, below 2**24 in size."""
        x = self.run(ink.reshape((ink.shape[0] * ink.shape[1], 1)))
        if self._narrow:
            return [int(x[i, 0]) for i in range(len(x))]
        high = np.floor(x / 256.0)
        low = x - high * 256.0
        return [int(high[i, 0]) * 256 + int(low[i, 0]) for i in range(len(x))]

    def _run(self, ink_columns: np.ndarray) -> np.ndarray:
        x = np.right_shift(ink_columns, self._ink_shift) if self._ink_shift else ink_columns
        for layer in self._layers:
            x = layer.run(x)
        return x


class _Dense:
    """A dense layer: int8 weights as the file has them, in float or, for one ink at a time, in int16."""

    def __init__(self, layer: Layer, model: Model, shape: tuple, sums: np.ndarray, batch: int) -> None:
        self._weights = _weights(layer, model, 0, layer.weights).reshape((layer.outputs, layer.inputs))
        self._relu = layer.relu
        self._shift = layer.shift
        self._top = layer.top
        self._batch = batch
        self._inputs = layer.inputs
        biases = _biases(layer, model)
        self._narrow = layer.narrow and batch == 1
        if self._narrow:
            self._biases = np.array(biases, dtype=np.int16)
            self._sums = np.zeros(layer.outputs, dtype=np.int16)
            rows = min(max(len(sums) // layer.inputs, 1), layer.outputs)
            if rows * layer.inputs > len(sums):
                sums = np.zeros(layer.inputs, dtype=np.int16)
            self._products = sums[: rows * layer.inputs].reshape((rows, layer.inputs))
        else:
            self._biases = np.array(biases).reshape((layer.outputs, 1)) * _FLOAT

    def run(self, x: np.ndarray) -> np.ndarray:
        """x holds (inputs, batch) activations in that order, in any shape; returns (outputs, batch)."""
        if self._narrow:
            x = x.reshape((1, self._inputs))
            sums = self._sums
            rows = len(self._products)
            for start in range(0, len(sums), rows):
                weights = self._weights[start : start + rows]
                products = self._products[: len(weights)]
                products *= 0
                products += weights
                products *= x
                sums[start : start + rows] = np.sum(products, axis=1)
            sums += self._biases
            made = sums.reshape((len(sums), 1))
            return _requantised(made, self._shift, self._top) if self._relu else made
        made = np.dot(self._weights, x.reshape((self._inputs, self._batch)) * _FLOAT) + self._biases
        if self._relu:
            made = np.clip(np.floor(made / float(1 << self._shift)), 0.0, float(self._top))
        return made


class _Convolution:
    """A convolution in int16: zero-padded planes of its input, its weights as ratios, and its sums.

    A plane holds one channel and phase of the stride: phase (i, j) of stride (down, right) has rows i, i + down, ...
    and columns j, j + right, ... of the padded input. So what a weight meets at every position is one slice of a
    plane, whatever the stride; it runs on over the ends of rows, and what is summed up there is dropped.
    """

    def __init__(self, layer: Layer, model: Model, shape: tuple, sums: np.ndarray, batch: int) -> None:
        channels, height, width = shape
        (kernel_height, kernel_width), (down, right) = layer.kernel, layer.stride
        rows = -(-(height + 2 * layer.pad) // down)  # of a plane
        columns = -(-(width + 2 * layer.pad) // right)
        size = rows * columns * batch
        spill = ((kernel_height - 1) // down * columns + (kernel_width - 1) // right) * batch
        positions = positions_of(layer, shape, batch)
        self._batch = batch
        self._stride = layer.stride
        self._depthwise = layer.depthwise
        self._outputs = layer.outputs
        self._height, self._width = layer.shape[1:]
        self._pool = layer.pool
        self._shift = layer.shift
        self._top = layer.top
        self._input_shape = (channels * height, width * batch)
        self._fold = fold_of(layer, shape, batch)
        together = self._fold * layer.outputs
        self._sums = sums[: together * positions].reshape((together, positions))
        self._biases = np.array(_biases(layer, model), dtype=np.int16).reshape((layer.outputs, 1))
        self._ratios, self._last = _ratios(layer, model, self._fold)
        phases = [np.zeros(channels * size + spill, dtype=np.int16) for _ in range(down * right)]
        self._windows = []  # (part of a plane, first row and column of the input that belong there)
        for number, phase in enumerate(phases):
            plane = phase[: channels * size].reshape((channels * rows, columns * batch))
            top, row, count = _inside(number // right, layer.pad, down, height)
            left, column, across = _inside(number % right, layer.pad, right, width)
            part = plane[:, left * batch : (left + across) * batch]
            if not (count and across):
                continue
            if layer.pad == 0 and height % down == 0:  # the channels lie one below the other, as in the input
                self._windows.append((part, row, column))
            else:
                for channel in range(channels):
                    start = channel * rows + top
                    self._windows.append((part[start : start + count], channel * height + row, column))
        self._seen = []  # what each place of the kernel meets: (channels, positions)
        for y in range(kernel_height):
            for x in range(0, kernel_width, self._fold):
                start = (y // down * columns + x // right) * batch
                phase = phases[y % down * right + x % right]
                plane = phase[start : start + channels * size].reshape((channels, size))
                self._seen.append(plane[:, :positions])
        if len(self._ratios) <= KEPT_TAPS:
            self._ratios = list(self._ratio_columns())
            self._seen = list(self._seen_by_each())

    def run(self, x: np.ndarray) -> np.ndarray:
        """x holds (channels, height, width, batch) activations in that order, in any shape; returns its own likewise,
        (channels * height, width * batch)."""
        batch = self._batch
        x = x.reshape(self._input_shape)
        down, right = self._stride
        for window, row, column in self._windows:
            count, across = window.shape
            window *= 0
            window += _every(x[row : row + (count - 1) * down + 1 : down], column, right, across // batch, batch)
        sums = self._sums
        kept = isinstance(self._ratios, list)
        ratios = iter(self._ratios if kept else self._ratio_columns())
        for activations in self._seen if kept else self._seen_by_each():
            sums *= next(ratios)  # the first one is 0
            sums += activations
        sums *= self._last
        outputs = self._outputs
        for fold in range(1, self._fold):
            part = sums[:outputs, : sums.shape[1] - fold * batch]
            part += sums[fold * outputs : (fold + 1) * outputs, fold * batch :]
        sums = sums[:outputs]
        sums += self._biases
        rows = self._height * self._pool
        made = sums.reshape((outputs * rows, sums.shape[1] // rows))
        if self._pool == 2:
            made = np.maximum(made[0::2], made[1::2])
            made = np.maximum(_every(made, 0, 2, self._width, batch), _every(made, 1, 2, self._width, batch))
        else:
            made = made[:, : self._width * batch]
        return _requantised(made, self._shift, self._top)

    def _ratio_columns(self) -> Iterator[np.ndarray]:
        """The ratios of one weight after the other, each (fold * outputs, 1)."""
        count, outputs = self._ratios.shape
        flat = self._ratios.reshape((count * outputs, 1))
        for start in range(0, count * outputs, outputs):
            yield flat[start : start + outputs]

    def _seen_by_each(self) -> Iterator[np.ndarray]:
        """What one weight after the other meets: (positions,), of a depthwise convolution (channels, positions)."""
        for seen in self._seen:
            if self._depthwise:
                yield seen
            else:
                yield from seen


def positions_of(layer: Layer, shape: tuple, batch: int) -> int:
    """Sums that a convolution of an input of `shape` computes a channel, those to be dropped included."""
    _, _, width = shape
    return layer.shape[1] * layer.pool * -(-(width + 2 * layer.pad) // layer.stride[1]) * batch


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


def _every(x: np.ndarray, first: int, step: int, count: int, batch: int) -> np.ndarray:
    """`count` columns of x (rows, width * batch), from `first` on, every `step`-th."""
    if step == 1:
        return x[:, first * batch : (first + count) * batch]
    if batch == 1:
        return x[:, first : first + (count - 1) * step + 1 : step]
    return x.reshape((len(x), -1, batch))[:, first : first + (count - 1) * step + 1 : step].reshape((len(x), -1))


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
    for place in range(layer.weights // size):  # read in one by one: all of them may not fit beside the ratios
        row = 1 + place // fold * inputs
        part = ratios[row : row + inputs, place % fold * outputs : (place % fold + 1) * outputs]
        part += _weights(layer, model, place * size, size).reshape((inputs, outputs))
    last = ratios[count:].copy().reshape((fold * outputs, 1))
    step = max(AT_A_TIME // (fold * outputs), 1)
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


def _requantised(sums: np.ndarray, shift: int, top: int) -> np.ndarray:
    """Activations 0..top of int16 sums (rows, columns)."""
    rows, columns = sums.shape
    if rows * columns <= _PIECE:
        return np.minimum(np.right_shift(np.maximum(sums, 0), shift), top)
    made = np.zeros(sums.shape, dtype=np.int16)
    step = max(_PIECE // columns, 1)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        made[start:stop] = np.minimum(np.right_shift(np.maximum(sums[start:stop], 0), shift), top)
    return made
