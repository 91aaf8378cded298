"""CircuitPython for a board: is this UF2 whole, and made for it?

UF2: https://github.com/microsoft/uf2, blocks of 512 bytes; family ids in its utils/uf2families.json. Files for the
RP2350 begin with a block of their own, of the family "absolute", against a fault of that chip (RP2350 datasheet,
erratum E10); it belongs to no count.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from picodigits.board.profiles import Profile
from picodigits.errors import FirmwareError

PAGE = "https://circuitpython.org/board"

_BLOCK_BYTES = 512
_MAGIC_START = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_FAMILY_PRESENT = 0x2000
_ABSOLUTE_FAMILY = 0xE48BFF57
_FLASH_START, _FLASH_END = 0x10000000, 0x11000000  # what the chips can address
_BANNER = re.compile(rb"Adafruit CircuitPython (\S+) on (\d{4}-\d\d-\d\d); ([^\0;]+?) with (\w+)\0")


@dataclass(frozen=True)
class Firmware:
    """A UF2 that has been checked."""

    path: Path
    version: str  # "10.0.0"
    date: str  # "2025-10-01"
    board: str  # "Raspberry Pi Pico"
    bytes_in_flash: int
    sha256: str


def check(path: Path, profile: Profile, version: str | None = None, sha256: str | None = None) -> Firmware:
    """Read a UF2 and make sure that it is a whole CircuitPython for this board.

    version, sha256: what it must be, where that is known
    Raises FirmwareError saying what is wrong.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FirmwareError(f"{path}: got {error.strerror or error}, need a UF2 file. Check its name.") from None
    flash = _flash_content(path, raw, profile)
    banner = _BANNER.search(flash)
    if banner is None:
        raise FirmwareError(
            f"{path}: got a UF2 without CircuitPython in it, need CircuitPython for {profile.title}. "
            f"See {PAGE}/{profile.board_id}/."
        )
    found, date, board, chip = (group.decode("utf-8", "replace") for group in banner.groups())
    if board != profile.title:
        raise FirmwareError(
            f"{path}: got CircuitPython for {board} ({chip}), need {profile.title}. "
            "Name another file with --firmware, or the board with --profile."
        )
    if version is not None and found != version:
        raise FirmwareError(f"{path}: got CircuitPython {found}, need {version}. Delete the file and get it anew.")
    digest = hashlib.sha256(raw).hexdigest()
    if sha256 is not None and digest != sha256:
        raise FirmwareError(f"{path}: got SHA-256 {digest}, need {sha256}. Delete the file and get it anew.")
    return Firmware(path, found, date, board, len(flash), digest)


def _flash_content(path: Path, raw: bytes, profile: Profile) -> bytes:
    """The payload of all blocks in the order of their addresses. Raises FirmwareError for a damaged file."""
    if not raw or len(raw) % _BLOCK_BYTES:
        raise FirmwareError(f"{path}: got {len(raw)} bytes, need a multiple of 512 (UF2 blocks). Cut short?")
    pieces: dict[int, bytes] = {}
    blocks = [raw[at : at + _BLOCK_BYTES] for at in range(0, len(raw), _BLOCK_BYTES)]
    heads = [struct.unpack_from("<8I", block) for block in blocks]
    for number, (head, block) in enumerate(zip(heads, blocks, strict=True)):
        if head[:2] != _MAGIC_START or struct.unpack_from("<I", block, 508) != (_MAGIC_END,):
            raise FirmwareError(f"{path}: got no UF2 magic in block {number}, need it. Not a UF2, or damaged?")
    counted = [pair for pair in zip(heads, blocks, strict=True) if pair[0][7] != _ABSOLUTE_FAMILY]
    for number, (head, block) in enumerate(counted):
        _, _, flags, address, length, index, count, family = head
        if not flags & _FAMILY_PRESENT or family != profile.uf2_family:
            raise FirmwareError(
                f"{path}: got UF2 family {family:08X} in block {number}, need {profile.uf2_family:08X} "
                f"({profile.chip}). Made for another chip?"
            )
        if index != number or count != len(counted):
            raise FirmwareError(
                f"{path}: got block {index} of {count} at place {number} of {len(counted)}, need them in order. "
                "Cut short?"
            )
        if length > 476 or not _FLASH_START <= address <= _FLASH_END - length:
            raise FirmwareError(f"{path}: got {length} bytes for {address:08X}, need the Pico's flash.")
        pieces[address] = block[32 : 32 + length]
    return b"".join(piece for _, piece in sorted(pieces.items()))
