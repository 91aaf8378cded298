"""The CircuitPython UF2 that the emulated Pico runs: find it, fetch it, check it.

    firmware = find()                      # the cached default, checked
    firmware = find("10.3.1")              # another version, from the cache
    firmware = find("my-build.uf2")        # a file
    firmware = fetch(progress=report)      # the same, downloaded where the cache lacks it

The firmware is Adafruit's and never part of this repository. It lies in `cache_folder()`; on a machine without a
network, put the file there under the name that the error message says. Downloads come from the official site, whose
addresses rp2040py knows (`rp2040py.utils.firmware_retrieve`). What a UF2 must be is told in `board/uf2.py`.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import platformdirs

from picodigits.board import profiles, uf2
from picodigits.board.uf2 import Firmware
from picodigits.errors import FirmwareError

__all__ = [
    "BOARD_ID",
    "DEFAULT_VERSION",
    "RP2040_FAMILY",
    "SHA256",
    "Firmware",
    "cache_folder",
    "cached_path",
    "check",
    "fetch",
    "find",
]

DEFAULT_VERSION = "10.0.0"
# What was downloaded and run when this was written. Other versions are checked by their blocks and their board alone.
SHA256 = {"10.0.0": "f3eacd340f55a0e8eeeb536ee54860103449a5e0c9c533d5644c114ae8eab7d5"}
PICO = profiles.PROFILES["pico"]
BOARD_ID = PICO.board_id
RP2040_FAMILY = PICO.uf2_family

_TIMEOUT_S = 30

Progress = Callable[[int, int], None]  # bytes done, bytes in all (0 where the server does not say)


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
    return uf2.check(path, PICO, version, SHA256.get(version or ""))
