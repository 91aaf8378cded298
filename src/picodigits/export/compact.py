"""Our own pure Python export: one small file with packed weights, equal to the integer network.

It runs unchanged on CircuitPython, MicroPython and CPython, takes any number of dense layers, and computes
only in integers below 2**24, which are small ints everywhere. A convolution in plain Python would take minutes a
frame on a Pico, so a model that has one is refused.
"""

from __future__ import annotations

import binascii
import struct

from picodigits.errors import ExportError
from picodigits.export.provenance import head
from picodigits_board.modelfile import DENSE, Layer, Model

_TEMPLATE = '''\
# Ink -> scores in integers. Runs on CircuitPython, MicroPython and CPython; exported by picodigits.
{head}
from array import array
from binascii import a2b_base64

INK_HEIGHT = {height}
INK_WIDTH = {width}
LABELS = {labels}


def _int8(rows):
    return [array("b", a2b_base64(row)) for row in rows]


# A layer: biases, weights (outputs, inputs) int8 row by row, shift; without a shift the sums are the scores.
_LAYERS = (
{layers})


def score(ink):
    """Scores, a list of int, one a class: |score| < 2**24.

    ink  INK_HEIGHT * INK_WIDTH ints, row by row, 0 = paper, 255 = full ink: bytes, list, uint8 array
    """
    x = bytes(ink)
    if len(x) != INK_HEIGHT * INK_WIDTH:
        raise ValueError("ink: got %d values, need %d." % (len(x), INK_HEIGHT * INK_WIDTH))
    for biases, rows, shift in _LAYERS:
        used = [i for i in range(len(x)) if x[i]]  # paper adds nothing
        sums = []
        for total, row in zip(biases, rows):
            for i in used:
                total += row[i] * x[i]  # |total| < 2**24
            sums.append(total)
        x = sums
        if shift is not None:  # rounded half up, clipped to 0..255
            half = 1 << shift >> 1
            x = [min(max(total + half >> shift, 0), 255) for total in sums]
    return x


def classify(ink):
    """The label with the highest score, the first of equals."""
    scores = score(ink)
    return LABELS[scores.index(max(scores))]
'''


def compact_source(model: Model) -> str:
    """A Python file that runs `model`: LABELS, `score(ink)` and `classify(ink)`. Same model, same text.

    score(ink)  takes ink_height * ink_width ints 0..255; returns a list of int, one a class, equal to
                `picodigits_board.network` bit for bit
    Raises ExportError for a model with a convolution, shifted ink, activations that end below 255 or a score for
    "no digit".
    """
    need_plain(model, "compact")
    return _TEMPLATE.format(
        head=head(model, "compact"),
        height=model.ink_height,
        width=model.ink_width,
        labels=_tuple([repr(label) for label in model.labels]),
        layers="".join(_layer(model.data, layer) for layer in model.layers),
    )


def need_plain(model: Model, target: str) -> None:
    """Make sure that a model is dense layers alone, with nothing of what only the board's own network knows.

    Raises ExportError that names the target.
    """
    lacking = [
        what
        for what, there in (
            ("a convolution", any(layer.kind != DENSE for layer in model.layers)),
            ("shifted ink", model.ink_shift > 0),
            ("activations that end below 255", any(layer.relu and layer.top < 255 for layer in model.layers)),
            ('a score for "no digit"', model.rejects),
        )
        if there
    ]
    if lacking:
        raise ExportError(
            f"{target}: got a model with {', '.join(lacking)}, need plain dense layers. Use the target circuitpython."
        )


def _layer(data: bytes, layer: Layer) -> str:
    biases = struct.unpack_from(f"<{layer.outputs}i", data, layer.bias_offset)
    rows = []
    for output in range(layer.outputs):
        start = layer.weight_offset + output * layer.inputs
        packed = binascii.b2a_base64(data[start : start + layer.inputs], newline=False).decode()
        rows.append(f'            b"{packed}",\n')
    return (
        "    (\n"
        f"        {_tuple([str(bias) for bias in biases])},\n"
        "        _int8((\n"
        f"{''.join(rows)}"
        "        )),\n"
        f"        {layer.shift if layer.relu else None},\n"
        "    ),\n"
    )


def _tuple(items: list[str]) -> str:
    return f"({', '.join(items)},)"
