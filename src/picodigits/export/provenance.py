"""Where an exported source comes from, as the comment at its head: no timestamps, so it is reproducible."""

from __future__ import annotations

import struct

from picodigits import modelfile
from picodigits_board.modelfile import Model


def head(model: Model, target: str) -> str:
    """Comment lines that name the model, its source hash and the command that exports it again."""
    name = ascii(model.name)[1:-1]  # a line feed in a name must not end the comment
    return (
        f"# model    {name}: ink {model.ink_height} x {model.ink_width}, {modelfile.chain(model)}\n"
        f"# source   model file of {len(model.data)} bytes, CRC32 {crc32(model):08x}\n"
        f"# command  picodigits export {target} --model {name}\n"
        "# Made by a program: export it again instead of editing it.\n"
    )


def crc32(model: Model) -> int:
    """The CRC32 of the model file's content, as the file itself carries it in its last 4 bytes.

    Not that of the whole file: a CRC32 over data and its own CRC32 is the same number for every file.
    """
    (value,) = struct.unpack_from("<I", model.data, len(model.data) - 4)
    return int(value)
