"""Which of this computer's drives are boards: CIRCUITPY with CircuitPython running, or the chip's BOOTSEL drive.

A drive is known by what lies on it, which is the same on every system: boot_out.txt, which CircuitPython writes at
power-on, or INFO_UF2.TXT, which the chip's bootloader shows.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from picodigits.board.profiles import PROFILES, Profile
from picodigits.errors import BoardError

BOOT_OUT = "boot_out.txt"
INFO_UF2 = "INFO_UF2.TXT"
_VERSION = re.compile(r"Adafruit CircuitPython (\S+) on [^;]*; (.+?) with ")
_BOARD_ID = re.compile(r"Board[ -]ID: ?(\S+)")
_UID = re.compile(r"UID: ?([0-9A-Fa-f]+)")
_VOLUMES = Path("/Volumes")  # where macOS mounts drives
_REMOVABLE = 2  # GetDriveTypeW

Mounts = Callable[[], Iterable[Path]]


@dataclass(frozen=True)
class Drive:
    """A drive that is a board, or a folder that stands for one.

    path      where it is
    bootsel   it is the bootloader's drive, which takes a UF2 and nothing else
    version   of CircuitPython, "10.0.0"; None where the drive does not say
    board     how CircuitPython calls the board; None where the drive does not say
    board_id  "raspberry_pi_pico"; on a BOOTSEL drive "RPI-RP2" or "RP2350"; None where the drive does not say
    uid       the chip's number, which its serial port has too; None where the drive does not say
    """

    path: Path
    bootsel: bool = False
    version: str | None = None
    board: str | None = None
    board_id: str | None = None
    uid: str | None = None

    @property
    def profiles(self) -> list[Profile]:
        """The boards that it can be: one, or more on a BOOTSEL drive, which names only the chip."""
        found = PROFILES.values()
        return [one for one in found if self.board_id == (one.bootsel_id if self.bootsel else one.board_id)]

    @property
    def title(self) -> str:
        """It in a few words."""
        if self.bootsel:
            return f"{self.path} (a board in BOOTSEL mode, {self.board_id or 'unknown chip'})"
        if self.version:
            return f"{self.path} ({self.board}, CircuitPython {self.version})"
        return f"{self.path} (no {BOOT_OUT}: a folder, or a drive that CircuitPython has not started from)"


def look_at(path: Path) -> Drive | None:
    """What the folder at the root of a drive says; None where it says nothing of a board."""
    info = _text(path / INFO_UF2)
    if info is not None:
        found = _BOARD_ID.search(info)
        return Drive(path, bootsel=True, board_id=found[1] if found else None)
    boot_out = _text(path / BOOT_OUT)
    if boot_out is None or "CircuitPython" not in boot_out:
        return Drive(path) if path.name.upper().startswith("CIRCUITPY") and path.is_dir() else None
    version, board_id, uid = (pattern.search(boot_out) for pattern in (_VERSION, _BOARD_ID, _UID))
    return Drive(
        path,
        False,
        version[1] if version else None,
        version[2] if version else None,
        board_id[1] if board_id else None,
        uid[1] if uid else None,
    )


def find(mounts: Mounts | None = None) -> list[Drive]:
    """Every drive of this computer that is a board.

    mounts  gives the roots of all drives that may be one; this system's unless given
    """
    return [drive for path in (mounts or roots)() if (drive := look_at(path)) is not None]


def find_one(mounts: Mounts | None = None) -> Drive:
    """The only one. Raises BoardError for none and for several."""
    found = find(mounts)
    if not found:
        raise BoardError(
            "board: got no drive that is one, need CIRCUITPY or a board in BOOTSEL mode. Plug it in with a cable that "
            "carries data; a new board while you hold its BOOTSEL button. Or name a folder with --to."
        )
    if len(found) > 1:
        raise BoardError(
            f"board: got {len(found)} drives, {' and '.join(drive.title for drive in found)}, need one. "
            f"Unplug the others, or say which: --to {found[0].path}"
        )
    return found[0]


def roots() -> list[Path]:
    """The roots of the drives that this system has mounted and that may be a board."""
    if sys.platform == "win32":
        return _windows_roots()
    if sys.platform == "darwin":
        return _folders(_VOLUMES)
    return linux_roots(_text(Path("/proc/mounts")) or "")


def linux_roots(table: str) -> list[Path]:
    """The FAT drives, and whatever else lies where drives are mounted for the user, of the text of /proc/mounts."""
    found = []
    for line in table.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[1])
        if words[2] in ("vfat", "msdos") or place.startswith(("/media/", "/run/media/", "/mnt/")):
            found.append(Path(place))
    return found


def _windows_roots() -> list[Path]:
    import ctypes

    kind = getattr(ctypes, "windll").kernel32.GetDriveTypeW  # noqa: B009  (only Windows has it)
    letters = [f"{letter}:\\" for letter in string.ascii_uppercase]
    return [Path(letter) for letter in letters if kind(letter) == _REMOVABLE]


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir())
    except OSError:
        return []


def _text(path: Path) -> str | None:
    """A small text file; None where there is none, or none that can be read."""
    try:
        return path.read_bytes()[:4096].decode("utf-8", "replace")
    except OSError:
        return None
