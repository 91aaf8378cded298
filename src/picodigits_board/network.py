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
CircuitPython 10.0.0, rp2040py 0.3.6, 125 MHz. A narrow dense layer is a product and a sum in int16, 0.47. Other dense
layers are a float32 `dot`, which is exact because the exporter proves that no accumulator can reach 2**24.

ulab: dot, floor, clip, sum, maximum, minimum, right_shift, * + - and *= += of int8, uint8 and int16.
"""

from __future__ import annotations

import struct

from picodigits_board.modelfile import CONV, Layer, Model

try:
    from ulab import numpy as np

    _BATCH = 1
except ImportError:
    import numpy as np

    _BATCH = 32  # inks at a time: the sums of a layer stay in the processor's cache

_FLOAT = np.ones((1, 1))  # multiplying by it makes an array float, in ulab and in NumPy
_INT16 = np.ones((1, 1), dtype=np.int16)  # likewise
_PRODUCT_BYTES = 1024  # largest temporary of a narrow dense layer
_KEPT_TAPS = 128  # views of a convolution's weights are kept up to so many, 48 bytes each, and made anew beyond


class Network:
    """The layers of a model, ready to run.

    batch   inks that are computed at a time; all buffers are made here, once
    """

    def __init__(self, model: Model, batch: int = _BATCH) -> None:
        """Take the layers of a `modelfile.Model`."""
        self._batch = batch
        self._ink_shift = model.ink_shift
        self._layers = []
        shape = (1, model.ink_height, model.ink_width)
        sums = 1
        for layer in model.layers:
            if layer.kind == CONV:
                sums = max(sums, layer.outputs * _positions(layer, shape, batch))
            shape = layer.shape
        sums = np.zeros(sums, dtype=np.int16)  # of one convolution after the other
        shape = (1, model.ink_height, model.ink_width)
        for layer in model.layers:
            make = _Convolution if layer.kind == CONV else _Dense
            self._layers.append(make(layer, model.data, shape, sums, batch))
            shape = layer.shape
        self._outputs = model.layers[-1].outputs

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
        if x.dtype == _INT16.dtype:
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
    """A dense layer: int8 weights where they lie in the file, in float or, for one ink at a time, in int16."""

    def __init__(self, layer: Layer, data: bytes, shape: tuple, sums: np.ndarray, batch: int) -> None:
        self._weights = np.frombuffer(data, dtype=np.int8, count=layer.weights, offset=layer.weight_offset).reshape(
            (layer.outputs, layer.inputs)
        )
        self._relu = layer.relu
        self._shift = layer.shift
        self._top = layer.top
        self._batch = batch
        self._inputs = layer.inputs
        biases = _biases(layer, data)
        self._narrow = layer.narrow and batch == 1
        if self._narrow:
            self._biases = np.array(biases, dtype=np.int16)
            self._sums = np.zeros(layer.outputs, dtype=np.int16)
            self._rows = max(_PRODUCT_BYTES // (2 * layer.inputs), 1)
        else:
            self._biases = np.array(biases).reshape((layer.outputs, 1)) * _FLOAT

    def run(self, x: np.ndarray) -> np.ndarray:
        """x holds (inputs, batch) activations in that order, in any shape; returns (outputs, batch)."""
        if self._narrow:
            x = x.reshape((1, self._inputs))
            sums = self._sums
            for start in range(0, len(sums), self._rows):
                stop = start + self._rows
                sums[start:stop] = np.sum(self._weights[start:stop] * x, axis=1)
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

    def __init__(self, layer: Layer, data: bytes, shape: tuple, sums: np.ndarray, batch: int) -> None:
        channels, height, width = shape
        (kernel_height, kernel_width), (down, right) = layer.kernel, layer.stride
        rows = -(-(height + 2 * layer.pad) // down)  # of a plane
        columns = -(-(width + 2 * layer.pad) // right)
        size = rows * columns * batch
        spill = ((kernel_height - 1) // down * columns + (kernel_width - 1) // right) * batch
        self._batch = batch
        self._layer = layer
        self._input_shape = (channels * height, width * batch)
        self._sums = sums[: layer.outputs * _positions(layer, shape, batch)].reshape((layer.outputs, -1))
        self._biases = np.array(_biases(layer, data), dtype=np.int16).reshape((layer.outputs, 1))
        self._ratios, self._last = _ratios(layer, data)
        self._columns = self._ratio_columns() if layer.weights <= _KEPT_TAPS * layer.outputs else None
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
            for x in range(kernel_width):
                start = (y // down * columns + x // right) * batch
                phase = phases[y % down * right + x % right]
                plane = phase[start : start + channels * size].reshape((channels, size))
                self._seen.append(plane[:, : self._sums.shape[1]])

    def run(self, x: np.ndarray) -> np.ndarray:
        """x holds (channels, height, width, batch) activations in that order, in any shape; returns its own likewise,
        (channels * height, width * batch)."""
        layer = self._layer
        batch = self._batch
        x = x.reshape(self._input_shape)
        down, right = layer.stride
        for window, row, column in self._windows:
            count, across = window.shape
            window *= 0
            window += _every(x[row : row + (count - 1) * down + 1 : down], column, right, across // batch, batch)
        sums = self._sums
        ratios = iter(self._columns or self._ratio_columns())
        for seen in self._seen:
            for activations in (seen,) if layer.depthwise else seen:
                sums *= next(ratios)  # the first one is 0
                sums += activations
        sums *= self._last
        sums += self._biases
        _, height, width = layer.shape
        made = sums.reshape((layer.outputs * height * layer.pool, sums.shape[1] // (height * layer.pool)))
        if layer.pool == 2:
            made = np.maximum(made[0::2], made[1::2])
            made = np.maximum(_every(made, 0, 2, width, batch), _every(made, 1, 2, width, batch))
        else:
            made = made[:, : width * batch]
        return _requantised(made, layer.shift, layer.top)

    def _ratio_columns(self) -> list[np.ndarray]:
        """The ratios of one weight after the other, each (outputs, 1)."""
        outputs = self._layer.outputs
        flat = self._ratios.reshape((len(self._ratios) * outputs, 1))
        return [flat[start : start + outputs] for start in range(0, len(flat), outputs)]


def _positions(layer: Layer, shape: tuple, batch: int) -> int:
    """Sums that a convolution of an input of `shape` computes a channel, those to be dropped included."""
    _, _, width = shape
    return layer.shape[1] * layer.pool * -(-(width + 2 * layer.pad) // layer.stride[1]) * batch


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


def _ratios(layer: Layer, data: bytes) -> tuple:
    """(weights, outputs) int16, each weight's forerunner divided by it modulo 2**16, 0 for the first; and the last
    weight, (outputs, 1) int16."""
    outputs = layer.outputs
    weights = np.frombuffer(data, dtype=np.int8, count=layer.weights, offset=layer.weight_offset)
    ratios = np.zeros((layer.weights // outputs, outputs), dtype=np.int16)
    before = np.zeros((1, outputs), dtype=np.int16)
    for i in range(len(ratios)):
        weight = weights[i * outputs : (i + 1) * outputs].reshape((1, outputs)) * _INT16
        inverse = weight * 1  # Newton's method: right in 3 bits (odd squares are 1 modulo 8), then 6, 12, 24
        for _ in range(3):
            inverse = inverse * (_INT16 * 2 - weight * inverse)
        ratios[i : i + 1] = before * inverse
        before = weight
    return ratios, before.reshape((outputs, 1))


def _biases(layer: Layer, data: bytes) -> list[int]:
    """The biases; of a layer that requantises with the half in them that rounds."""
    half = (1 << layer.shift) >> 1 if layer.relu else 0
    return [bias + half for bias in struct.unpack_from("<%di" % layer.outputs, data, layer.bias_offset)]


def _requantised(sums: np.ndarray, shift: int, top: int) -> np.ndarray:
    """Activations 0..top of int16 sums."""
    return np.minimum(np.right_shift(np.maximum(sums, 0), shift), top)
