"""THE definition of the model file: everything that the board needs to know, in one binary.

Little-endian. One header, the class labels, one descriptor a layer, the numbers, a CRC32 over all before it:

    offset  size  field
         0     4  magic, b"PDM\\x01": picodigits model, format version 1
         4     4  file_bytes, uint32: the whole file, CRC32 included
         8    12  preprocess_id, ASCII, zero-padded: the preprocessing that the model was trained behind
        20    16  name, UTF-8, zero-padded
        36     1  ink_height    1..32
        37     1  ink_width     1..32
        38     1  classes       2..64
        39     1  layers        1..16
        40     4  octave, uint32: a score lower by this much is half as likely (1..2**24)
        44     1  min_confidence, percent: below it the decision is "no digit" (0..100)
        45     1  zero
        46     2  label_bytes, uint16
        48     4  ram_bytes, uint32: heap that the network needs beside the file itself
        52     -  labels: UTF-8, separated by line feeds, zero-padded to a multiple of 4
         -    12  a layer: kind uint8 (1 = dense), flags uint8 (1 = ReLU and requantise), shift uint8, zero,
                  inputs uint16, outputs uint16, offset uint32 of its numbers from the start of the file
         -     -  numbers of a layer: biases int32 (outputs), then weights int8 (outputs, inputs) row by row,
                  zero-padded to a multiple of 4
      last     4  CRC32 (zlib's polynomial) of everything before it

Runs on CircuitPython 9 and 10 and on the PC; the PC's reader and writer import this file.
"""

from __future__ import annotations

import binascii
import struct

MAGIC = b"PDM"
VERSION = 1
HEADER = "<4sI12s16sBBBBIBBHI"
HEADER_BYTES = 52
LAYER = "<BBBBHHI"
LAYER_BYTES = 12
DENSE = 1
RELU = 1
MAX_ACCUMULATOR = 1 << 24  # float32 arithmetic inside ulab is exact below this


class ModelFileError(ValueError):
    """A model file that this board can't run; the text says why and what to do."""


class Layer:
    """One layer: kind, relu, shift, inputs, outputs; bias_offset and weight_offset into the file."""

    def __init__(self, kind: int, flags: int, shift: int, inputs: int, outputs: int, offset: int) -> None:
        self.kind = kind
        self.relu = bool(flags & RELU)
        self.shift = shift
        self.inputs = inputs
        self.outputs = outputs
        self.bias_offset = offset
        self.weight_offset = offset + 4 * outputs
        self.end = self.weight_offset + inputs * outputs


class Model:
    """A checked model file: its header as attributes, `layers`, and `data`, the whole file.

    labels           list of str, one a class
    preprocess_id    str
    ink_height, ink_width, octave, min_confidence, ram_bytes    int
    """

    def __init__(self, data: bytes) -> None:
        """Check `data` (bytes, the whole file) and read it. Raises ModelFileError."""
        if len(data) < HEADER_BYTES + 4:
            raise ModelFileError(_size_error(len(data), "at least %d" % (HEADER_BYTES + 4)))
        if bytes(data[:3]) != MAGIC:
            raise ModelFileError("model file: got something else, need one that starts with PDM. Train or export one.")
        if data[3] != VERSION:
            raise ModelFileError(
                "model file: got format %d, need %d. Train it again with this version of picodigits."
                % (data[3], VERSION)
            )
        header = struct.unpack_from(HEADER, data, 0)
        if header[1] != len(data):
            raise ModelFileError(_size_error(len(data), "%d" % header[1]))
        (crc,) = struct.unpack_from("<I", data, len(data) - 4)
        if crc != binascii.crc32(memoryview(data)[: len(data) - 4]):
            raise ModelFileError("model file: the checksum is wrong, the file is damaged. Copy it again.")
        self.data = data
        self.preprocess_id = _string(header[2])
        self.name = _string(header[3])
        self.ink_height, self.ink_width, self.classes, count = header[4:8]
        self.octave, self.min_confidence, _, label_bytes, self.ram_bytes = header[8:]
        sizes = (
            1 <= self.ink_height <= 32 and 1 <= self.ink_width <= 32 and 2 <= self.classes <= 64 and 1 <= count <= 16
        )
        if not (sizes and 1 <= self.octave <= MAX_ACCUMULATOR and self.min_confidence <= 100):
            raise ModelFileError("model file: a value in its header is out of range. Export it again.")
        at = HEADER_BYTES
        self.labels = _string(data[at : at + label_bytes]).split("\n")
        at += label_bytes
        self.layers = []
        inputs = self.ink_height * self.ink_width
        for _ in range(count):
            if at + LAYER_BYTES > len(data):
                raise ModelFileError("model file: a layer lies outside the file. Export it again.")
            kind, flags, shift, _, layer_inputs, outputs, offset = struct.unpack_from(LAYER, data, at)
            layer = Layer(kind, flags, shift, layer_inputs, outputs, offset)
            if kind != DENSE:
                raise ModelFileError("model file: got layer kind %d, need 1 (dense). Update picodigits_board." % kind)
            if layer.inputs != inputs or not outputs or shift > 24 or layer.end > len(data) - 4 or offset % 4:
                raise ModelFileError("model file: its layers do not fit together. Export it again.")
            self.layers.append(layer)
            inputs = outputs
            at += LAYER_BYTES
        if inputs != self.classes or len(self.labels) != self.classes:
            raise ModelFileError("model file: its classes, labels and layers do not agree. Export it again.")


def load(path: str) -> Model:
    """Read and check the model file at `path` (str). Raises OSError, ModelFileError."""
    with open(path, "rb") as file:
        return Model(file.read())


def _size_error(got: int, need: str) -> str:
    return "model file: got %d bytes, need %s: the copy is not whole. Copy it again." % (got, need)


def _string(raw: bytes) -> str:
    raw = bytes(raw)
    while raw and raw[-1] == 0:
        raw = raw[:-1]
    try:
        return raw.decode("utf-8")
    except UnicodeError:
        raise ModelFileError("model file: a name in it is not UTF-8, the file is damaged. Copy it again.") from None
