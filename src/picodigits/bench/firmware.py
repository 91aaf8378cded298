"""The CircuitPython UF2 that the emulated Pico runs: find it, fetch it, check it.

    firmware = find()                      # the cached default, checked
    firmware = find("10.3.1")              # another version, from the cache
    firmware = find("my-build.uf2")        # a file
    firmware = fetch(progress=report)      # the same, downloaded where the cache lacks it

The firmware is Adafruit's and never part of this repository. It lies in `cache_folder()`; on a machine without a
network, put the file there under the name that the error message says. Downloads come from the official site, whose
addresses rp2040py knows (`rp2040py.utils.firmware_retrieve`).

UF2: https://github.com/microsoft/uf2, blocks of 512 bytes; family ids in its utils/uf2families.json.
"""

from __future__ import annotations

import hashlib
import re
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from picodigits.errors import FirmwareError

DEFAULT_VERSION = "10.0.0"
# What was downloaded and run when this was written. Other versions are checked by their blocks and their board alone.
SHA256 = {"10.0.0": "f3eacd340f55a0e8eeeb536ee54860103449a5e0c9c533d5644c114ae8eab7d5"}
BOARD_ID = "raspberry_pi_pico"
RP2040_FAMILY = 0xE48BFF56

_BLOCK_BYTES = 512
_MAGIC_START = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_FAMILY_PRESENT = 0x2000
_FLASH_START = 0x10000000
_FLASH_END = 0x10200000
_BANNER = re.compile(rb"Adafruit CircuitPython (\S+) on (\d{4}-\d\d-\d\d); ([^\0;]+?) with (\w+)\0")
_TIMEOUT_S = 30

Progress = Callable[[int, int], None]  # bytes done, bytes in all (0 where the server does not say)


@dataclass(frozen=True)
class Firmware:
    """A UF2 that has been checked."""

    path: Path
    version: str  # "10.0.0"
    date: str  # "2025-10-01"
    board: str  # "Raspberry Pi Pico"
    bytes_in_flash: int
    sha256: str


def cache_folder() -> Path:
    """Where firmware files lie: picodigits' own cache folder of this user."""
    return platformdirs.user_cache_path("picodigits") / "firmware"


def cached_path(version: str = DEFAULT_VERSION) -> Path:
    """Where the file of this version belongs."""
    return cache_folder() / f"adafruit-circuitpython-{BOARD_ID}-en_US-{version}.uf2"


def find(firmware: str | Path | None = None) -> Firmware:
    """The firmware, checked; never goes to the network.

    firmware: a UF2 file, a version such as "10.0.0", or None for the default version
    Raises FirmwareError where there is none (it names the path where the file belongs), or where it is damaged or
    made for another board.
    """
    if firmware is not None and (Path(firmware).suffix.lower() == ".uf2" or Path(firmware).exists()):
        return check(Path(firmware))
    version = DEFAULT_VERSION if firmware is None else str(firmware)
    path = cached_path(version)
    if not path.exists():
        raise FirmwareError(
            f"CircuitPython {version}: got no file {path}, need it. "
            f"With a network it is downloaded from {_address(version)}; without one, put the file there"
        )
    return check(path, version)


def fetch(firmware: str | Path | None = None, progress: Progress | None = None) -> Firmware:
    """The firmware as `find` gives it, downloaded into the cache where it is not there yet.

    progress: called with (bytes done, bytes in all) while it downloads
    Raises FirmwareError as `find`, and where the download fails.
    """
    try:
        return find(firmware)
    except FirmwareError:
        version = DEFAULT_VERSION if firmware is None else str(firmware)
        if Path(version).suffix.lower() == ".uf2" or cached_path(version).exists():
            raise
    path = cached_path(version)
    address = _address(version)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response, part.open("wb") as file:
            total = int(response.headers.get("Content-Length") or 0)
            done = 0
            while piece := response.read(65536):
                file.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, total)
        if total and done != total:
            raise FirmwareError(f"CircuitPython {version}: got {done} bytes, need {total}. Try again")
        check(part, version)
        part.replace(path)
    except (OSError, urllib.error.URLError) as error:
        raise FirmwareError(
            f"CircuitPython {version}: got no download ({error}), need {address}. "
            f"Without a network, put the file at {path}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return check(path, version)


def _address(version: str) -> str:
    from rp2040py.utils.firmware_retrieve import CIRCUITPYTHON

    assert CIRCUITPYTHON.boards is not None
    addresses = CIRCUITPYTHON.boards["pico"].fw
    if version not in addresses:
        major = version.split(".")[0]
        known = [name for name in addresses if name.split(".")[0] == major and "-" not in name]
        raise FirmwareError(
            f"firmware: got {version!r}, need a UF2 file or a version of CircuitPython"
            + (f", of those from {major}.x: {', '.join(known)}" if known else f" such as {DEFAULT_VERSION}")
        )
    return addresses[version]


def check(path: Path, version: str | None = None) -> Firmware:
    """Read a UF2 and make sure that it is a whole CircuitPython for the Raspberry Pi Pico.

    version: the version that it must be; also compared with SHA256 where the digest of that version is known
    Raises FirmwareError saying what is wrong.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FirmwareError(f"{path}: got {error.strerror or error}, need a UF2 file") from None
    flash = _flash_content(path, raw)
    banner = _BANNER.search(flash)
    if banner is None:
        raise FirmwareError(f"{path}: got a UF2 without CircuitPython in it, need CircuitPython for the Pico")
    found, date, board, chip = (group.decode("utf-8", "replace") for group in banner.groups())
    if board != "Raspberry Pi Pico" or chip != "rp2040":
        raise FirmwareError(f"{path}: got CircuitPython for {board} ({chip}), need Raspberry Pi Pico (rp2040)")
    digest = hashlib.sha256(raw).hexdigest()
    if version is not None and found != version:
        raise FirmwareError(f"{path}: got CircuitPython {found}, need {version}. Delete the file and try again")
    if version in SHA256 and digest != SHA256[version]:
        raise FirmwareError(f"{path}: got SHA-256 {digest}, need {SHA256[version]}. Delete the file and try again")
    return Firmware(path, found, date, board, len(flash), digest)


def _flash_content(path: Path, raw: bytes) -> bytes:
    """The payload of all blocks in the order of their addresses. Raises FirmwareError for a damaged file."""
    if not raw or len(raw) % _BLOCK_BYTES:
        raise FirmwareError(f"{path}: got {len(raw)} bytes, need a multiple of 512 (UF2 blocks). Cut short?")
    blocks = len(raw) // _BLOCK_BYTES
    pieces: dict[int, bytes] = {}
    for number in range(blocks):
        block = raw[number * _BLOCK_BYTES : (number + 1) * _BLOCK_BYTES]
        start0, start1, flags, address, length, index, count, family = struct.unpack_from("<8I", block)
        (end,) = struct.unpack_from("<I", block, 508)
        if (start0, start1) != _MAGIC_START or end != _MAGIC_END:
            raise FirmwareError(f"{path}: got no UF2 magic in block {number}, need it. Not a UF2, or damaged")
        if not flags & _FAMILY_PRESENT or family != RP2040_FAMILY:
            raise FirmwareError(
                f"{path}: got UF2 family {family:08X} in block {number}, need {RP2040_FAMILY:08X} (RP2040). "
                "Made for another chip?"
            )
        if index != number or count != blocks:
            raise FirmwareError(
                f"{path}: got block {index} of {count} at place {number} of {blocks}, need them in order. Cut short?"
            )
        if length > 476 or not _FLASH_START <= address <= _FLASH_END - length:
            raise FirmwareError(f"{path}: got {length} bytes for {address:08X}, need the Pico's flash")
        pieces[address] = block[32 : 32 + length]
    return b"".join(piece for _, piece in sorted(pieces.items()))
