"""THE definition of the model file: everything that the board needs to know, in one binary.

Little-endian. One header, the class labels, one descriptor a layer, the numbers, a CRC32 over all before it:

    offset  size  field
         0     4  magic, b"PDM\\x02": picodigits model, format version 2
         4     4  file_bytes, uint32: the whole file, CRC32 included
         8    12  preprocess_id, ASCII, zero-padded: the preprocessing that the model was trained behind
        20    16  name, UTF-8, zero-padded
        36     1  ink_height    1..32
        37     1  ink_width     1..32
        38     1  classes       2..64
        39     1  layers        1..16
        40     4  octave, uint32: a score lower by this much is half as likely (1..2**24)
        44     1  min_confidence, percent: below it the decision is "no digit" (0..100)
        45     1  flags: 1 = rejects: one more score, the last, stands for "no digit"
        46     2  label_bytes, uint16
        48     4  ram_bytes, uint32: an estimate of the heap that the network needs beside its weights
        52     1  ink_shift 0..7: the network sees ink >> ink_shift
        53     3  zero
        56     -  labels: UTF-8, separated by line feeds, zero-padded to a multiple of 4
         -    20  a layer: kind uint8 (1 = dense, 2 = convolution), flags uint8 (1 = ReLU and requantise,
                  2 = depthwise, 4 = narrow), shift uint8 (0..24), top uint8 (largest activation, 1..255),
                  inputs uint16, outputs uint16 (of a convolution: channels), kernel_height, kernel_width,
                  stride_down, stride_right, pad, pool, 6 x uint8 (zero for a dense layer), zero uint16,
                  offset uint32 of its numbers from the start of the file
         -     -  numbers of a layer: biases int32 (outputs), then weights int8, zero-padded to a multiple of 4.
                  Dense: (outputs, inputs) row by row; its inputs are numbered channel, row, column.
                  Convolution: (kernel_height, kernel_width, inputs, outputs), all odd, so that they have an inverse
                  modulo 2**16; depthwise: (kernel_height, kernel_width, channels).
      last     4  CRC32 (zlib's polynomial) of everything before it

A layer is narrow where every accumulator that it can end with, rounding included, lies within int16; a convolution
always is. A convolution sees its input with `pad` zeros on each side; `pool` 2 takes the largest of each 2 x 2
accumulators. Dense layers shared over row bands or patches are convolutions with a large kernel and stride.

The file is never in memory as a whole: its checksum is computed a piece at a time, and of its numbers a layer at a
time is read, by `network`. What that layer needs stays, in a form of its own.

Runs on CircuitPython 9 and 10 and on the PC; the PC's reader and writer import this file.
"""

from __future__ import annotations

import binascii
import struct

MAGIC = b"PDM"
VERSION = 2
HEADER = "<4sI12s16sBBBBIBBHIB3x"
HEADER_BYTES = 56
LAYER = "<BBBBHHBBBBBBHI"
LAYER_BYTES = 20
DENSE = 1
CONV = 2
RELU = 1
DEPTHWISE = 2
NARROW = 4
REJECTS = 1  # a flag of the file
PIECE_BYTES = 1024  # of the file that are read at a time
MAX_ACCUMULATOR = 1 << 24  # float32 arithmetic inside ulab is exact below this


class ModelFileError(ValueError):
    """A model file that this board can't run; the text says why and what to do."""


class Layer:
    """One layer's descriptor, and what follows from it.

    kind, relu, depthwise, narrow, shift, top, inputs, outputs, kernel, stride, pad, pool    as in the file; kernel and
                                   stride are (down, right)
    shape                          (channels, height, width) of what it makes
    weights, bias_offset, weight_offset    how many weights, and where the numbers lie in the file
    Raises ModelFileError where it can't take an input of `shape` (channels, height, width).
    """

    def __init__(self, fields: tuple, shape: tuple) -> None:
        self.kind, flags, self.shift, self.top, self.inputs, self.outputs = fields[:6]
        self.kernel = fields[6:8]
        self.stride = fields[8:10]
        self.pad, self.pool, _, offset = fields[10:]
        self.relu = bool(flags & RELU)
        self.depthwise = bool(flags & DEPTHWISE)
        self.narrow = bool(flags & NARROW)
        if self.kind not in (DENSE, CONV):
            raise ModelFileError("model file: got layer kind %d, need 1 or 2. Update picodigits_board." % self.kind)
        channels, height, width = shape
        fits = self.outputs and self.shift <= 24 and (self.top or not self.relu) and offset % 4 == 0
        if self.kind == DENSE:
            fits = fits and self.inputs == channels * height * width
            self.weights = self.inputs * self.outputs
            self.shape = (self.outputs, 1, 1)
        else:
            (kernel_height, kernel_width), (down, right) = self.kernel, self.stride
            height += 2 * self.pad - kernel_height
            width += 2 * self.pad - kernel_width
            fits = fits and self.inputs == channels and (self.outputs == channels or not self.depthwise)
            fits = fits and self.relu and self.narrow and self.pool in (1, 2) and height >= 0 and width >= 0
            fits = fits and kernel_height and kernel_width and down and right
            if fits:
                height = height // down + 1
                width = width // right + 1
                fits = height % self.pool == 0 and width % self.pool == 0
                self.shape = (self.outputs, height // self.pool, width // self.pool)
            self.weights = kernel_height * kernel_width * self.outputs * (1 if self.depthwise else self.inputs)
        if not fits:
            raise ModelFileError("model file: its layers do not fit together. Export it again.")
        self.bias_offset = offset
        self.weight_offset = offset + 4 * self.outputs
        self.end = self.weight_offset + self.weights


class Model:
    """A checked model file: its header as attributes, and `layers`.

    labels           list of str, one a class
    preprocess_id    str
    rejects          bool: after those of the classes comes one more score, for "no digit"
    ink_height, ink_width, ink_shift, octave, min_confidence, ram_bytes, file_bytes    int
    """

    def __init__(self, file) -> None:  # type: ignore[no-untyped-def]
        """Check `file`, open for reading in binary, and read its header; it must stay open while `read` is used.

        Raises ModelFileError.
        """
        self._file = file
        size = file.seek(0, 2)
        if size < HEADER_BYTES + 4:
            raise ModelFileError(_size_error(size, "at least %d" % (HEADER_BYTES + 4)))
        header = struct.unpack(HEADER, self.read(0, HEADER_BYTES))
        if header[0][:3] != MAGIC:
            raise ModelFileError("model file: got something else, need one that starts with PDM. Train or export one.")
        if header[0][3] != VERSION:
            raise ModelFileError(
                "model file: got format %d, need %d. Train it again with this version of picodigits."
                % (header[0][3], VERSION)
            )
        self.file_bytes = header[1]
        if size != self.file_bytes:
            raise ModelFileError(_size_error(size, "%d" % self.file_bytes))
        crc = 0
        for at in range(0, size - 4, PIECE_BYTES):
            crc = binascii.crc32(self.read(at, min(PIECE_BYTES, size - 4 - at)), crc)
        if struct.pack("<I", crc) != self.read(size - 4, 4):
            raise ModelFileError("model file: the checksum is wrong, the file is damaged. Copy it again.")
        self.preprocess_id = _string(header[2])
        self.name = _string(header[3])
        self.ink_height, self.ink_width, self.classes, count = header[4:8]
        self.octave, self.min_confidence, flags, label_bytes, self.ram_bytes, self.ink_shift = header[8:]
        self.rejects = bool(flags & REJECTS)
        sizes = (
            1 <= self.ink_height <= 32 and 1 <= self.ink_width <= 32 and 2 <= self.classes <= 64 and 1 <= count <= 16
        )
        sizes = sizes and self.ink_shift <= 7
        if not (sizes and 1 <= self.octave <= MAX_ACCUMULATOR and self.min_confidence <= 100):
            raise ModelFileError("model file: a value in its header is out of range. Export it again.")
        at = HEADER_BYTES
        self.labels = _string(self.read(at, label_bytes)).split("\n")
        at += label_bytes
        self.layers = []
        shape = (1, self.ink_height, self.ink_width)
        for _ in range(count):
            if at + LAYER_BYTES > size:
                raise ModelFileError("model file: a layer lies outside the file. Export it again.")
            layer = Layer(struct.unpack(LAYER, self.read(at, LAYER_BYTES)), shape)
            if layer.end > size - 4:
                raise ModelFileError("model file: its layers do not fit together. Export it again.")
            self.layers.append(layer)
            shape = layer.shape
            at += LAYER_BYTES
        last = self.layers[-1]
        if last.relu or last.outputs != self.classes + self.rejects or len(self.labels) != self.classes:
            raise ModelFileError("model file: its classes, labels and layers do not agree. Export it again.")

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes of the file from `offset` on."""
        self._file.seek(offset)
        raw: bytes = self._file.read(count)
        return raw

    @property
    def data(self) -> bytes:
        """The whole file."""
        return self.read(0, self.file_bytes)


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
