"""THE definition of the network: ink -> scores, in integers, one file for the Pico and the PC.

Every value is an integer. On the Pico ulab computes with float32, which is exact for integers below 2**24; the
exporter proves that no accumulator of the model can reach that, so Pico and PC agree bit for bit. A Python float on
CircuitPython loses two more bits when it is boxed, so a score leaves as two numbers of at most 16 bits.

A layer: accumulator = weights . activations + bias. If it is not the last one, the activation is
floor((accumulator + 2**(shift - 1)) / 2**shift), clipped to 0..255: rounded half up, ReLU included.

ulab: dot, floor, clip; measured on CircuitPython 10.0.0.
"""

from __future__ import annotations

import struct

from picodigits_board.modelfile import Model

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np

_FLOAT = np.ones((1, 1))  # multiplying by it makes an array float, in ulab and in NumPy


class Network:
    """The layers of a model, ready to run: keeps float biases, and int8 weights where they lie in the file."""

    def __init__(self, model: Model) -> None:
        """Take the layers of a `modelfile.Model`."""
        self._layers = []
        for layer in model.layers:
            weights = np.frombuffer(
                model.data, dtype=np.int8, count=layer.inputs * layer.outputs, offset=layer.weight_offset
            ).reshape((layer.outputs, layer.inputs))
            biases = struct.unpack_from("<%di" % layer.outputs, model.data, layer.bias_offset)
            bias = np.array(biases).reshape((layer.outputs, 1)) * _FLOAT
            self._layers.append((weights, bias, layer.relu, float(1 << layer.shift)))

    def run(self, ink_columns: np.ndarray) -> np.ndarray:
        """Scores of any number of inks at once.

        ink_columns  (ink_height * ink_width, N) uint8, one ink a column
        returns      (classes, N) float, whole numbers below 2**24 in size
        """
        x = ink_columns * _FLOAT
        for weights, bias, relu, divisor in self._layers:
            x = np.dot(weights, x) + bias
            if relu:
                x = np.clip(np.floor((x + divisor // 2) / divisor), 0.0, 255.0)
        return x

    def scores(self, ink: np.ndarray) -> list[int]:
        """Scores of one ink (H, W) uint8: a list of int, one a class, below 2**24 in size."""
        x = self.run(ink.reshape((ink.shape[0] * ink.shape[1], 1)))
        high = np.floor(x / 256.0)
        low = x - high * 256.0
        return [int(high[i, 0]) * 256 + int(low[i, 0]) for i in range(len(x))]
