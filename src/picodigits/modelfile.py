"""Write, read and describe model files; the layout itself is `picodigits_board.modelfile`, which the board runs."""

from __future__ import annotations

import binascii
import itertools
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
from picodigits_board import modelfile as layout

SUFFIX = ".pdm"
MAX_FILE_BYTES = 1 << 24  # far more than a Pico's flash: what is larger is no model
MAX_SHIFT = 24  # bits: an accumulator has no more
DOT_US_PER_MAC = 1.9  # np.dot on the Pico; measured on CircuitPython 10.0.0, rp2040py 0.3.6, 125 MHz


@dataclass(frozen=True)
class DenseLayer:
    """activations = weights . inputs + biases, then ReLU and a rounded shift unless it is the last layer.

    weights  (outputs, inputs) int8
    biases   (outputs,) int32
    shift    0..24 bits, 0 for the last layer
    """

    weights: NDArray[np.int8]
    biases: NDArray[np.int32]
    shift: int = 0

    def largest_accumulator(self) -> int:
        """Upper bound of |any partial sum|, for inputs of 0..255."""
        sums = np.abs(self.weights.astype(np.int64)).sum(axis=1) * 255 + np.abs(self.biases.astype(np.int64))
        return int(sums.max(initial=0))


def pack(
    *,
    name: str,
    preprocess_id: str,
    ink_shape: tuple[int, int],
    labels: Sequence[str],
    layers: Sequence[DenseLayer],
    octave: int,
    min_confidence: int,
) -> bytes:
    """The bytes of a model file, checked by reading them back as the board does.

    octave          a score lower by this much is half as likely, 1..2**24
    min_confidence  percent, 0..100
    Raises ModelFileError where something does not fit the format, or an accumulator could reach 2**24.
    """
    if not layers:
        raise ModelFileError("layers: got none, need at least one. Train a model.")
    for number, layer in enumerate(layers):
        shape = layer.weights.shape
        if len(shape) != 2 or layer.biases.shape != shape[:1] or not 1 <= min(shape) <= max(shape) <= 65535:
            raise ModelFileError(
                f"layer {number}: got weights {shape} and biases {layer.biases.shape}, "
                "need (outputs, inputs) and (outputs,), each 1 to 65535. Check what made them."
            )
        if not 0 <= layer.shift <= MAX_SHIFT:
            raise ModelFileError(f"layer {number}: got a shift of {layer.shift}, need 0 to {MAX_SHIFT}. Rescale it.")
        if layer.weights.dtype != np.int8 or layer.biases.dtype != np.int32:
            raise ModelFileError(
                f"layer {number}: got {layer.weights.dtype} weights and {layer.biases.dtype} biases, "
                "need int8 and int32. Quantise them first."
            )
        _need_exact(number, layer)
    if not 0 <= min_confidence <= 100:
        raise ModelFileError(f"min_confidence: got {min_confidence}, need 0 to 100 percent. Calibrate it again.")
    label_block = _padded(_utf8("\n".join(labels), "labels"))
    at = layout.HEADER_BYTES + len(label_block) + layout.LAYER_BYTES * len(layers)
    descriptors = b""
    numbers = b""
    for number, layer in enumerate(layers):
        outputs, inputs = layer.weights.shape
        flags = 0 if number == len(layers) - 1 else layout.RELU
        descriptors += struct.pack(
            layout.LAYER, layout.DENSE, flags, layer.shift, 0, inputs, outputs, at + len(numbers)
        )
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
            0,
            len(label_block),
            ram_bytes(layers),
        )
    except struct.error as error:
        raise ModelFileError(f"model file: a value does not fit its field ({error}). Check the labels.") from error
    body = header + label_block + descriptors + numbers
    data = body + struct.pack("<I", binascii.crc32(body))
    if parse(data).labels != list(labels):
        raise ModelFileError(
            f"labels: got {list(labels)}, need text without line feeds or zeros at the end. Rename the classes."
        )
    return data


def ram_bytes(layers: Sequence[DenseLayer]) -> int:
    """Heap that the network needs on the board beside the file: float32 biases, and its two largest activations."""
    sizes: list[int] = [layers[0].weights.shape[1]] + [layer.weights.shape[0] for layer in layers]
    widest = max(a + b for a, b in itertools.pairwise(sizes))
    return 4 * (sum(sizes[1:]) + widest)


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
        model = layout.Model(data)
    except layout.ModelFileError as error:
        raise ModelFileError(str(error)) from error
    for number, layer in enumerate(dense_layers(model)):
        _need_exact(number, layer)
    _need_printable(*model.labels)
    return model


def dense_layers(model: layout.Model) -> list[DenseLayer]:
    """The numbers of a model file's layers, where they lie in it."""
    layers = []
    for layer in model.layers:
        size = layer.inputs * layer.outputs
        weights = np.frombuffer(model.data, np.int8, size, layer.weight_offset).reshape(layer.outputs, layer.inputs)
        biases = np.frombuffer(model.data, "<i4", layer.outputs, layer.bias_offset).astype(np.int32)
        layers.append(DenseLayer(weights, biases, layer.shift))
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


def macs(model: layout.Model) -> int:
    """Multiply-accumulates of one run of the network."""
    total: int = sum(layer.inputs * layer.outputs for layer in model.layers)
    return total


def describe(model: layout.Model) -> list[tuple[str, str]]:
    """What a model file says, as rows of (what, value), for a table."""
    sizes = [model.layers[0].inputs] + [layer.outputs for layer in model.layers]
    return [
        ("name", model.name),
        ("preprocessing", model.preprocess_id),
        ("ink", f"{model.ink_height} x {model.ink_width}"),
        ("labels", " ".join(model.labels)),
        ("layers", " -> ".join(str(size) for size in sizes)),
        ("file", f"{len(model.data)} bytes"),
        ("heap beside the file", f"{model.ram_bytes} bytes"),
        ("multiply-accumulates", f"{macs(model)}"),
        ("network on the Pico, estimated", f"{macs(model) * DOT_US_PER_MAC / 1000:.1f} ms"),
        ("declines below", f"{model.min_confidence} % confidence"),
    ]


def _write_whole(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _need_exact(number: int, layer: DenseLayer) -> None:
    largest = layer.largest_accumulator()
    if largest >= layout.MAX_ACCUMULATOR:
        raise ModelFileError(
            f"layer {number}: got an accumulator of up to {largest}, need less than 2**24. "
            "Use fewer inputs or smaller weights."
        )


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
