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
each other, as if each were an output, and added at the end, one position apart. Large ones are summed up in bands of
rows, and activations are made a few outputs at a time, so that no step asks the heap for a large block. A narrow dense
layer is a product and a sum in int16, 0.3. Other dense layers are a float32 `dot`, which is exact because the exporter
proves that no accumulator can reach 2**24.

ulab: dot, floor, clip, sum, maximum, minimum, right_shift, + - * and *= += of int8, uint8 and int16.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # not on the board, which forgets that module once the model has been read
    from collections.abc import Iterator

    from picodigits_board.modelfile import Model

try:
    from ulab import numpy as np

    _BATCH = 1
except ImportError:
    import numpy as np

    _BATCH = 32  # inks at a time: the sums of a layer stay in the processor's cache

PIECE = 400  # activations of an ink that are made at a time: the heap has no larger blocks to spare
PRODUCTS = 1024  # of a narrow dense layer, made at a time: in a new array, since in place it would take three steps
_FLOAT = np.ones((1, 1))  # multiplying by it makes an array float, in ulab and in NumPy


class Network:
    """The layers of a model, ready to run.

    batch   inks that are computed at a time; all buffers are made here, once
    """

    def __init__(self, model: Model, batch: int = _BATCH, scratch: object = None) -> None:
        """Read the layers of a `modelfile.Model`, one after the other; its file may be closed then.

        scratch  a buffer that holds nothing between two calls of `scores`: taken for the sums where it is large enough
        """
        from picodigits_board import layers  # what it takes to read them: the board forgets it then

        self._batch = batch
        self._ink_shift = model.ink_shift
        self._layers: list[Dense | Convolution] = layers.read(model, batch, scratch)
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
            return x.flatten().tolist()
        high = np.floor(x / 256.0)
        low = x - high * 256.0
        return [int(high[i, 0]) * 256 + int(low[i, 0]) for i in range(len(x))]

    def _run(self, ink_columns: np.ndarray) -> np.ndarray:
        x = np.right_shift(ink_columns, self._ink_shift) if self._ink_shift else ink_columns
        for layer in self._layers:
            x = layer.run(x)
        return x


class Dense:
    """A dense layer: int8 weights as the file has them, in float or, for one ink at a time, in int16."""

    relu: bool
    narrow: bool  # in int16
    shift: int
    top: int
    batch: int
    inputs: int
    weights: np.ndarray  # (outputs, inputs) int8
    biases: np.ndarray  # (outputs,) int16, or (outputs, 1) float
    sums: np.ndarray  # of a narrow one: (outputs,) int16

    def run(self, x: np.ndarray) -> np.ndarray:
        """x holds (inputs, batch) activations in that order, in any shape; returns (outputs, batch)."""
        if self.narrow:
            x = x.reshape((1, self.inputs))
            sums = self.sums
            rows = max(PRODUCTS // self.inputs, 1)
            for start in range(0, len(sums), rows):
                sums[start : start + rows] = np.sum(self.weights[start : start + rows] * x, axis=1)
            sums += self.biases
            made = sums.reshape((len(sums), 1))
            return _requantised(made, self.shift, self.top) if self.relu else made
        made = np.dot(self.weights, x.reshape((self.inputs, self.batch)) * _FLOAT) + self.biases
        if self.relu:
            made = np.clip(np.floor(made / float(1 << self.shift)), 0.0, float(self.top))
        return made


class Convolution:
    """A convolution in int16: zero-padded planes of its input, its weights as ratios, and its sums.

    A plane holds one channel and phase of the stride: phase (i, j) of stride (down, right) has rows i, i + down, ...
    and columns j, j + right, ... of the padded input. So what a weight meets at every position is one slice of a
    plane, whatever the stride; it runs on over the ends of rows, and what is summed up there is dropped.
    """

    stride: tuple  # (down, right)
    depthwise: bool
    outputs: int
    height: int  # of what it makes
    width: int
    pool: int
    shift: int
    top: int
    batch: int
    fold: int
    bands: int  # of rows, summed up one after the other
    input_shape: tuple
    sums: np.ndarray  # (fold * outputs, positions of a band) int16
    whole: np.ndarray | None  # (outputs, height * width * batch) int16, shared by all layers, for activations that are
    # made piece by piece; None where they are made at once
    biases: np.ndarray  # (outputs, 1) int16
    ratios: np.ndarray  # (weights, fold * outputs) int16; the first is 0
    last: np.ndarray  # (fold * outputs, 1) int16
    windows: list  # (part of a plane, first row and column of the input that belong there)
    seen: list  # what each place of the kernel meets: (channels, positions); empty where `steps` has it
    steps: list  # of each weight its ratios, (fold * outputs, 1), and what it meets; empty: made anew at each run

    def run(self, x: np.ndarray) -> np.ndarray:
        """x holds (channels, height, width, batch) activations in that order, in any shape; returns its own likewise,
        (channels * height, width * batch)."""
        batch = self.batch
        x = x.reshape(self.input_shape)
        down, right = self.stride
        for window, row, column in self.windows:
            count, across = window.shape
            window *= 0
            window += _every(x[row : row + (count - 1) * down + 1 : down], column, right, across // batch, batch)
        whole = self.whole
        if whole is None:
            return self._activations(self._summed(0))
        size = self.height // self.bands * self.width * batch  # of a band of one output
        count = max(PIECE * batch // size, 1)  # outputs at a time
        for band in range(self.bands):
            sums = self._summed(band)
            for first in range(0, self.outputs, count):
                part = sums[first : first + count]
                whole[first : first + count, band * size : (band + 1) * size] = self._activations(part).reshape(
                    (len(part), size)
                )
        return whole.reshape((self.outputs * self.height, self.width * batch))

    def _summed(self, band: int) -> np.ndarray:
        """The sums of a band of rows, those to be dropped included: (outputs, positions), valid until the next call."""
        batch = self.batch
        sums = self.sums
        for ratio, activations in self.steps or zip(self.ratio_columns(), self.seen_by_each(band)):  # noqa: B905
            sums *= ratio  # the first one is 0
            sums += activations
        sums *= self.last
        outputs = self.outputs
        for fold in range(1, self.fold):
            part = sums[:outputs, : sums.shape[1] - fold * batch]
            part += sums[fold * outputs : (fold + 1) * outputs, fold * batch :]
        sums = sums[:outputs]
        sums += self.biases
        return sums

    def _activations(self, sums: np.ndarray) -> np.ndarray:
        """Pooled, requantised and clipped sums of some outputs: (outputs * rows, width * batch)."""
        batch = self.batch
        rows = self.height * self.pool // self.bands
        made = sums.reshape((len(sums) * rows, sums.shape[1] // rows))
        if self.pool == 2:
            made = np.maximum(made[0::2], made[1::2])
            made = np.maximum(_every(made, 0, 2, self.width, batch), _every(made, 1, 2, self.width, batch))
        else:
            made = made[:, : self.width * batch]
        return _requantised(made, self.shift, self.top)

    def ratio_columns(self) -> Iterator[np.ndarray]:
        """The ratios of one weight after the other, each (fold * outputs, 1)."""
        count, outputs = self.ratios.shape
        flat = self.ratios.reshape((count * outputs, 1))
        for start in range(0, count * outputs, outputs):
            yield flat[start : start + outputs]

    def seen_by_each(self, band: int) -> Iterator[np.ndarray]:
        """What one weight after the other meets in a band: (positions,), of a depthwise convolution (channels,
        positions)."""
        positions = self.sums.shape[1]
        for seen in self.seen:
            if self.bands > 1:
                seen = seen[:, band * positions : (band + 1) * positions]
            if self.depthwise:
                yield seen
            else:
                yield from seen


def _every(x: np.ndarray, first: int, step: int, count: int, batch: int) -> np.ndarray:
    """`count` columns of x (rows, width * batch), from `first` on, every `step`-th."""
    if step == 1:
        return x[:, first * batch : (first + count) * batch]
    if batch == 1:
        return x[:, first : first + (count - 1) * step + 1 : step]
    return x.reshape((len(x), -1, batch))[:, first : first + (count - 1) * step + 1 : step].reshape((len(x), -1))


def _requantised(sums: np.ndarray, shift: int, top: int) -> np.ndarray:
    """Activations 0..top of int16 sums."""
    return np.minimum(np.right_shift(np.maximum(sums, 0), shift), top)
