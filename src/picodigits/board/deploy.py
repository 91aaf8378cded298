"""Application, libraries, model and settings onto a board's drive: whole, or not running.

    drive = choose(None)                       # CIRCUITPY, a board in BOOTSEL mode, or a named folder
    drive, _ = install_circuitpython(drive)    # if drive.bootsel
    plan = prepare(drive, model_data)          # reads, compares, checks; writes nothing
    carry_out(plan)                            # writes what differs

**A mixed application never runs.** CircuitPython starts code.py whenever the drive comes to rest, also in the middle
of a copy and after a pulled cable. So before the first file is replaced, code.py becomes a small program that only
waits and says what to do (`WAITING`); then each file is written under another name, flushed, read back, compared and
put in its place in one step; then all of them are read once more; and the application's code.py goes last. Wherever
that stops, code.py is the old application with all of its old files, or the waiting program, or the new application
with all of its new files. The next deploy finds what differs and does the rest.

RECORD on the drive says which files are deploy's, path -> digests. It is written first with the digests that were and
those that will be, and again at the end: so an unfinished copy is not taken for somebody's own work later.

FAT has no journal: pulling the cable in the very instant in which a directory is written can damage the drive itself.
"""

from __future__ import annotations

import ast
import binascii
import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from picodigits import __version__, modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.board import drives, profiles, uf2, wiring
from picodigits.board.drives import Drive
from picodigits.board.profiles import Profile
from picodigits.board.repl import RawRepl
from picodigits.board.uf2 import Firmware
from picodigits.errors import DeployError, FirmwareError, WiringError, did_you_mean
from picodigits.export.bundle import circuitpy_files

RECORD = "picodigits.json"
CODE = "code.py"
SETTINGS = "settings.toml"
PINS = "lib/picodigits_board/pins.py"
ASIDE = ".before-picodigits"
PART = ".part"
MAJORS = ("9", "10")  # of CircuitPython, which the application runs on
WAITING = b"""# picodigits: a copy to this drive was not finished. Run picodigits deploy again: it replaces this file.
import time

while True:
    print("picodigits: error=the copy to this drive was not finished. Run: picodigits deploy")
    time.sleep(5)
"""

_CHECKSUMS = """
import binascii
for path in {paths}:
    try:
        total = 0
        with open("/" + path, "rb") as file:
            piece = file.read(1024)
            while piece:
                total = binascii.crc32(piece, total)
                piece = file.read(1024)
        print("crc", total)
    except OSError:
        print("crc", "none")
"""

COPYING, FIRMWARE, CIRCUP = "copying", "CircuitPython", "circup"  # what `Progress` is told
_PIECE = 4096  # bytes written at a time
_SPARE = 2  # clusters that are left free
_CLUSTER = 4096  # bytes, where the system does not tell
_ENTRY = 128  # bytes of a directory that a new file takes, with a long name
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_ALLOWED: dict[str, range | tuple[str, ...]] = {
    "DISPLAY": ("st7735r", "none"),
    "FRAME_SIZE": ("80x60", "160x120"),
    "DIGITS": range(1, 5),
    "FLIP_X": range(2),
    "FLIP_Y": range(2),
    "TRANSPOSE": range(2),
    "TRACE": range(2),
    "MIN_CONFIDENCE": range(-1, 101),
    "BACKLIGHT": range(101),
}
_KNOWN_SETTING = re.compile(r'^ {4}"([A-Z_]+)": (.+),  # (.+)$', re.MULTILINE)
_SETTING_LINE = re.compile(r"\s*(PICODIGITS_[A-Z0-9_]+)\s*=")
_GONE = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOENT, errno.ENOTCONN)
_STORE = "https://downloads.circuitpython.org/bin"
_WAIT_S = 60.0
_LOOK_EVERY_S = 0.5
_FLASH_PIECE = 64 * 1024  # bytes

Progress = Callable[[str, int, int], None]  # what, bytes done, bytes in all


@dataclass(frozen=True)
class Line:
    """What happens to one file: `what` is "new", "changed", "up to date", "kept aside as NAME" or "removed"."""

    path: str
    bytes: int
    what: str


@dataclass(frozen=True)
class Plan:
    """What is to be done to a drive.

    drive, profile
    files   path -> content of everything that belongs there, the record left out
    write   those of `files` that differ, in the order in which they are written; where there are any, or something
            is moved or removed, code.py is the last of them
    stale   files of earlier deploys that no longer belong to it
    scraps  leftovers of copies that were cut, and macOS's ._ files
    aside   path -> new path, of programs that are somebody else's
    known   path -> digests that deploy has written there before
    record  the same when it is done; a pins.py of the user's own is not in it, so that it stays the user's
    circup  libraries that circup is to bring; it comes after the other files, before code.py
    lines   what happens to each file
    notes   what else to know, a sentence each
    """

    drive: Drive
    profile: Profile
    files: dict[str, bytes]
    write: list[str]
    stale: list[str]
    scraps: list[str]
    aside: dict[str, str]
    known: dict[str, list[str]]
    record: dict[str, list[str]]
    lines: list[Line]
    circup: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def up_to_date(self) -> bool:
        """Nothing is to be done."""
        return not (self.write or self.scraps or self.circup) and self.known == self.record

    @property
    def bytes(self) -> int:
        """How many are to be written."""
        return sum(len(self.files[path]) for path in self.write)


@dataclass(frozen=True)
class Setting:
    """One line of picodigits_board/settings.py: its default, and what it does."""

    default: str | int
    help: str


def known_settings() -> dict[str, Setting]:
    """Every setting that the application has, by its name without PICODIGITS_."""
    source = (resources.files("picodigits_board") / "settings.py").read_text("utf-8")
    return {name: Setting(ast.literal_eval(value), text) for name, value, text in _KNOWN_SETTING.findall(source)}


def not_allowed(name: str, value: object) -> str | None:
    """What is wrong with the value of a setting, "need ..."; None where nothing is. `name` without PICODIGITS_."""
    allowed = _ALLOWED.get(name)
    if allowed is None or value in allowed:
        return None
    if isinstance(allowed, range):
        return f"need {allowed[0]} or {allowed[1]}" if len(allowed) == 2 else f"need {allowed[0]} to {allowed[-1]}"
    return f"need {' or '.join(str(one) for one in allowed)}"


def parse_settings(words: Iterable[str]) -> dict[str, str | int]:
    """`flip_y=1` -> {"PICODIGITS_FLIP_Y": 1}, each checked. Raises DeployError."""
    known = known_settings()
    found: dict[str, str | int] = {}
    for word in words:
        name, equals, text = word.partition("=")
        key = name.strip().upper().removeprefix("PICODIGITS_")
        if key not in known or not equals:
            raise DeployError(
                f"setting: got {word}, need NAME=VALUE with one of {', '.join(known).lower()}."
                f"{did_you_mean(key, known)}"
            )
        value: str | int = text.strip()
        if isinstance(known[key].default, int):
            try:
                value = int(value)
            except ValueError:
                raise DeployError(
                    f"setting {key.lower()}: got {text.strip() or 'nothing'}, need a whole number. "
                    f"It says: {known[key].help}."
                ) from None
        if (complaint := not_allowed(key, value)) is not None:
            raise DeployError(f"setting {key.lower()}: got {value}, {complaint}. It says: {known[key].help}.")
        found[f"PICODIGITS_{key}"] = value
    return found


# Before anything is written.


def choose(to: Path | None, mounts: drives.Mounts | None = None) -> Drive:
    """The drive that is meant: the named folder, or the only board there is (None, or "auto"). Raises BoardError."""
    if to is None or str(to) == "auto":
        return drives.find_one(mounts)
    if not to.is_dir():
        got = "a file" if to.exists() else "no such folder"
        raise DeployError(f"{to}: got {got}, need the folder of a drive. Is it mounted?")
    return drives.look_at(to) or Drive(to)


def profile_of(drive: Drive, name: str | None = None) -> Profile:
    """Which board it is: as named, else as the drive says, else a Pico. Raises BoardError where that can't be."""
    can_be = drive.profiles
    if name is not None:
        named = profiles.find(name)
        if can_be and named not in can_be:
            raise DeployError(
                f"{drive.path}: got a {can_be[0].title}, need a {named.title} as --profile says. Leave --profile out."
            )
        return named
    if drive.board_id is not None and not can_be:
        raise DeployError(
            f"{drive.path}: got the board {drive.board_id}, need one that is known: {', '.join(profiles.PROFILES)}. "
            "If it has the pins of one of these, say which with --profile."
        )
    return can_be[0] if can_be else profiles.find(profiles.DEFAULT)


def prepare(
    drive: Drive,
    model_data: bytes,
    *,
    settings: Mapping[str, str | int] | None = None,
    pins: Path | None = None,
    profile: str | None = None,
    circup: bool = False,
) -> Plan:
    """Look at the drive, and see what must be done for the application to be on it. Writes nothing.

    model_data  a model file
    settings    as `parse_settings` gives them; those that the drive's settings.toml has besides stay
    pins        another pins.py; without it one that was changed on the drive stays
    profile     the board, where the drive does not say
    circup      leave Adafruit's libraries to circup: those that are not there, it brings
    Raises DeployError for a drive that can't take the application, WiringError for pins that can't be,
    ModelFileError and ExportError as the export.
    """
    board = profile_of(drive, profile)
    _need_version(drive, board)
    notes = [] if drive.version else [f"No {drives.BOOT_OUT} there: CircuitPython's version is not known."]
    model = modelfile.parse(model_data)
    if not modelfile.fits_board(model):
        notes.append(f"Model {model.name} may be too large for the board's memory; the screen then says so.")
    try:
        known = read_record(drive.path)
        files = circuitpy_files(model_data, settings)
        files[SETTINGS], more = _merged_settings(files[SETTINGS], read_file(drive.path / SETTINGS), settings or {})
        notes += more
        record = {path: [digest(data)] for path, data in files.items()}  # not of pins that are the user's own
        files[PINS], more = _pins(drive.path, files[PINS], pins, known.get(PINS, []), board)
        notes += more
        libraries = _libraries(files) if circup else {}
        files = {path: data for path, data in files.items() if path not in libraries}
        record = {path: digests for path, digests in record.items() if path not in libraries}
        _need_nothing_hidden(drive.path, [*files, *libraries])
        order = [path for path in files if path != CODE] + [CODE]
        there = {path: read_file(drive.path / path) for path in order}
        differ = [path for path in order if there[path] != files[path]]
        stale = _stale(drive.path, files, known)
        wanted = [name for name in sorted(set(libraries.values())) if not _library_there(drive.path, name, stale)]
        if wanted:
            circup_command()  # told before anything is written, where it is missing
            notes.append(f"circup brings {', '.join(wanted)}.")
        scraps = scraps_in(drive.path, files)
        aside = _foreign_programs(drive.path, files, known)
        write = [path for path in differ if path != CODE] + [CODE] if differ or stale or aside or wanted else []
        plan = Plan(drive, board, files, write, stale, scraps, aside, known, record, [], wanted, notes)
        if not plan.up_to_date:
            _need_writable(drive)
            _need_space(plan, there)
        plan.lines.extend(Line(old, _size(drive, old), f"kept aside as {new}") for old, new in aside.items())
        for path in order:
            new = there[path] is None or path in aside
            what = "up to date" if path not in differ else "new" if new else "changed"
            plan.lines.append(Line(path, len(files[path]), what))
        plan.lines.extend(Line(path, _size(drive, path), "removed") for path in (*stale, *scraps))
    except OSError as error:
        raise _explained(drive, error) from error
    return plan


def as_deployed(model_data: bytes, settings: Mapping[str, str | int] | None = None) -> dict[str, bytes]:
    """What deploy makes of an empty drive, its record included: path -> content."""
    files = circuitpy_files(model_data, settings)
    return files | {RECORD: _record({path: [digest(data)] for path, data in files.items()})}


def _size(drive: Drive, path: str) -> int:
    return (drive.path / path).stat().st_size


def _need_version(drive: Drive, board: Profile) -> None:
    major = (drive.version or "").split(".")[0]
    if drive.bootsel:
        raise DeployError(f"{drive.path}: got a board in BOOTSEL mode, need CircuitPython on it first.")
    if drive.version is not None and major not in MAJORS:
        raise DeployError(
            f"{drive.path}: got CircuitPython {drive.version}, need {' or '.join(MAJORS)}. Hold BOOTSEL while you "
            "plug the board in, and run picodigits deploy again: it puts the right one on."
        )


def _merged_settings(new: bytes, old: bytes | None, given: Mapping[str, str | int]) -> tuple[bytes, list[str]]:
    """settings.toml: the given settings, those that the drive had besides, then all its other lines as they are."""
    if old is None:
        return new, []
    head, *given_lines = new.decode().splitlines()
    ours: dict[str, str] = {}
    rest: list[str] = []
    notes = []
    for line in old.decode("utf-8", "surrogateescape").splitlines():
        match = _SETTING_LINE.match(line)
        if match:
            ours[match[1]] = line.strip()
        elif line != head:
            rest.append(line)
    if "PICODIGITS_MODEL" in ours and "PICODIGITS_MODEL" not in given:
        notes.append(f"{SETTINGS}: {ours.pop('PICODIGITS_MODEL')} is taken out, so that the new model is used.")
    kept = [line for key, line in ours.items() if key not in given]
    if kept:
        notes.append(f"{SETTINGS}: kept {', '.join(kept)}.")
    ours.update(zip(given, given_lines, strict=True))
    text = "".join(f"{line}\n" for line in (head, *ours.values(), *rest))
    return text.encode("utf-8", "surrogateescape"), notes


def _pins(
    root: Path, shipped: bytes, named: Path | None, known: Sequence[str], board: Profile
) -> tuple[bytes, list[str]]:
    """pins.py: the named one, else one that was changed on the drive, else the application's; checked."""
    if named is not None:
        wiring.need_sound(wiring.read_pins(named), board, str(named))
        return named.read_bytes(), []
    there = read_file(root / PINS)
    ours = wiring.parse_pins(shipped.decode(), "pins.py")
    if there is not None and digest(there) not in known:
        try:
            on_drive = wiring.parse_pins(there.decode(), f"{root / PINS}")
        except (WiringError, UnicodeDecodeError):
            return shipped, [f"{PINS} on the drive can't be read: replaced by the application's."]
        if on_drive != ours:
            wiring.need_sound(on_drive, board, f"{root / PINS}")
            return there, [f"{PINS} on the drive has a wiring of its own: kept. --pins FILE replaces it."]
    wiring.need_sound(ours, board)
    return shipped, []


def hiding(root: Path, files: Iterable[str]) -> list[str]:
    """What lies on the drive that CircuitPython would import instead of `files` in lib/."""
    modules = sorted({path.split("/")[1].removesuffix(".py") for path in files if path.startswith("lib/")})
    found = [name for module in modules for name in (f"{module}.py", f"{module}.mpy", module) if (root / name).exists()]
    return found + [
        f"lib/{module}" for module in modules if f"lib/{module}.py" in files and (root / "lib" / module).is_dir()
    ]


def _need_nothing_hidden(root: Path, files: Iterable[str]) -> None:
    """Raises DeployError for modules that CircuitPython would import instead of those in lib/."""
    strays = hiding(root, files)
    if strays:
        raise DeployError(
            f"{root}: got {', '.join(strays)}, need none: CircuitPython would import that instead of what deploy puts "
            "into lib/. Delete it, or move it off the drive."
        )


def _stale(root: Path, files: Mapping[str, bytes], known: Mapping[str, Sequence[str]]) -> list[str]:
    """Files of earlier deploys that are as they were put there, and belong to it no longer."""
    return [
        path
        for path, digests in known.items()
        if path not in files and (data := read_file(root / path)) is not None and digest(data) in digests
    ]


def scraps_in(root: Path, files: Mapping[str, bytes]) -> list[str]:
    """Parts of copies that were cut, and the ._ files in which macOS keeps what FAT can't hold."""
    found = [path + PART for path in (*files, RECORD) if (root / (path + PART)).is_file()]
    for folder in sorted({root, root / "lib", *((root / path).parent for path in files)}):
        for path in sorted(folder.glob("._*")) if folder.is_dir() else ():
            if path.is_file() and path.read_bytes().startswith(_APPLE_DOUBLE):
                found.append(path.relative_to(root).as_posix())
    return found


def _foreign_programs(root: Path, files: Mapping[str, bytes], known: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Programs that are not ours and would run, or be overwritten: path -> a free name to keep them under."""
    found = {}
    code = read_file(root / CODE)
    if code is not None and code not in (files[CODE], WAITING) and digest(code) not in known.get(CODE, []):
        found[CODE] = _free_name(root, CODE)
    if (root / "code.txt").exists():  # comes before code.py
        found["code.txt"] = _free_name(root, "code.txt")
    return found


def _free_name(root: Path, name: str) -> str:
    number = 1
    while (root / (new := f"{name}{ASIDE}{f'-{number}' if number > 1 else ''}")).exists():
        number += 1
    return new


def _need_writable(drive: Drive) -> None:
    """Raises DeployError for a drive that is mounted read-only, as far as the system says so before a write."""
    statvfs = getattr(os, "statvfs", None)  # not on Windows
    if statvfs is not None and statvfs(drive.path).f_flag & os.ST_RDONLY:
        raise _explained(drive, OSError(errno.EROFS, os.strerror(errno.EROFS)))


def _need_space(plan: Plan, there: Mapping[str, bytes | None]) -> None:
    """Raises DeployError where the drive would be full at any moment: an old file is there until its new one is."""
    root = plan.drive.path
    cluster = cluster_bytes(root)

    def clusters(size: int) -> int:
        return -(-size // cluster)

    free = shutil.disk_usage(root).free // cluster
    free += sum(clusters(_size(plan.drive, path)) for path in plan.scraps)
    new = [path for path in plan.write if there[path] is None]
    folders = {parent for path in new for parent in (root / path).parents if not parent.exists()}
    level = -len(folders) - clusters(_ENTRY * (len(new) + 3)) - clusters(len(WAITING))
    level -= 2 * clusters(len(_record(plan.record)))
    lowest = level
    for path in plan.write:
        level -= clusters(len(plan.files[path]))
        lowest = min(lowest, level)
        level += clusters(len(there[path] or b""))
    missing = -lowest + _SPARE - free
    if missing > 0:
        raise DeployError(
            f"{root}: got {free * cluster} bytes free, need {missing * cluster} more. Delete something from the drive "
            "(old programs, fonts, sounds), or take a smaller model: --model tiny."
        )


# What the board itself reads.


def read_otherwise(board: RawRepl, files: Mapping[str, bytes]) -> list[str]:
    """Those of `files` that the board reads otherwise: the computer has not written them yet, though it says so.

    Systems differ in when they write to a drive: macOS and Windows may keep what was written for a while, and give it
    back from their memory. The board's own checksums (CRC-32) tell. Raises LinkError.
    """
    said = board.run(_CHECKSUMS.format(paths=list(files))).splitlines()
    found = [line.removeprefix("crc ") for line in said if line.startswith("crc ")]
    sums = [str(binascii.crc32(content)) for content in files.values()]
    return [path for number, path in enumerate(files) if found[number : number + 1] != [sums[number]]]


def verify(plan: Plan, port: str, patience: float = 1.0) -> None:
    """Let the board itself read what was written; its program is stopped for that, and starts again.

    Raises DeployError where it reads something else, LinkError where it can't be asked.
    """
    with RawRepl(port, patience=patience) as board:
        differ = read_otherwise(board, plan.files)
    if differ:
        raise DeployError(
            f"{plan.drive.path}: got {len(differ)} files that the board reads otherwise, {', '.join(differ[:3])}, need "
            "what was written. The computer writes late: eject the drive and wait until it says that it may be "
            "unplugged; then run picodigits deploy --verify again."
        )


# Libraries by circup.


def circup_command() -> str:
    """The circup that is installed, beside this Python or on the path. Raises DeployError."""
    beside = shutil.which("circup", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("circup")
    if found is None:
        raise DeployError(
            "circup: got no such command, need it for --circup. Run pip install 'picodigits[circup]', or leave "
            "--circup out: then the libraries come from their PyPI packages, which are there."
        )
    return found


def _libraries(files: Iterable[str]) -> dict[str, str]:
    """Path -> module of Adafruit's libraries among the files."""
    return {
        path: path.split("/")[1].removesuffix(".py")
        for path in files
        if path.startswith("lib/") and not path.startswith("lib/picodigits_board/")
    }


def _library_there(root: Path, module: str, stale: Sequence[str]) -> bool:
    """Whether a library is on the drive, apart from the files that are to be removed."""
    lib = root / "lib"
    files = [lib / f"{module}.py", lib / f"{module}.mpy", *(lib / module).glob("*.py"), *(lib / module).glob("*.mpy")]
    return any(path.is_file() and path.relative_to(root).as_posix() not in stale for path in files)


def _run_circup(root: Path, modules: Sequence[str]) -> None:
    """Let circup install these. Raises DeployError where it does not, with the last that it said."""
    done = subprocess.run(
        [circup_command(), "--path", str(root), "install", *modules], capture_output=True, text=True, check=False
    )
    missing = [module for module in modules if not _library_there(root, module, ())]
    if done.returncode or missing:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise DeployError(
            f"circup: got {', '.join(missing) or 'an error'} not installed, need it. It said: "
            f"{said[-1] if said else 'nothing'}. It needs the network; without it leave --circup out. Until then the "
            "board waits, and does not run a half-made program."
        )
    for module in modules:
        for path in ((root / "lib").glob(f"{module}*"), (root / "lib" / module).glob("*")):
            for one in path:
                if one.is_file():
                    with one.open("rb+") as file:
                        _flush(file.fileno())


def cluster_bytes(path: Path) -> int:
    """The drive's unit of space: files take whole ones."""
    statvfs = getattr(os, "statvfs", None)
    return int(statvfs(path).f_frsize) if statvfs is not None else _CLUSTER


# The copying.


def carry_out(plan: Plan, progress: Progress = lambda what, done, total: None) -> None:
    """Do it: what differs is written, code.py last. What is equal is not touched.

    progress  is told what is being written, bytes done and bytes in all
    Raises DeployError: a drive that is read-only, full, gone, or that does not give back what was written. The board
    then waits for the next deploy, or still has the old application whole.
    """
    if plan.up_to_date:
        return
    root = plan.drive.path
    done = 0

    def put(path: str, data: bytes) -> None:
        if root.stat().st_dev != device:  # unmounted: the empty folder under it is no drive
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        _put(root / path, data, lambda written: progress(COPYING, min(done + written, plan.bytes), plan.bytes))

    try:
        device = root.stat().st_dev
        for path in plan.scraps:
            (root / path).unlink(missing_ok=True)
        if plan.known != plan.record:
            both = {path: [*plan.known.get(path, []), *plan.record.get(path, [])] for path in plan.known | plan.record}
            _put(root / RECORD, _record({path: list(dict.fromkeys(digests)) for path, digests in both.items()}))
        if plan.write:
            _write_part(root / CODE, WAITING)
            for old, new in plan.aside.items():
                (root / old).replace(root / new)
            _into_place(root / CODE)
        for path in plan.write[:-1]:
            put(path, plan.files[path])
            done += len(plan.files[path])
        for path in plan.stale:
            (root / path).unlink(missing_ok=True)
        if plan.circup:
            progress(CIRCUP, 0, 0)
            _run_circup(root, plan.circup)
        for path, data in plan.files.items() if plan.write else ():
            if path != CODE and (root / path).read_bytes() != data:
                raise DeployError(_not_as_written(root / path))
        _put(root / RECORD, _record(plan.record))
        if plan.write:
            put(CODE, plan.files[CODE])
    except OSError as error:
        raise _explained(plan.drive, error, plan.write) from error
    progress(COPYING, plan.bytes, plan.bytes)


def _put(path: Path, data: bytes, tell: Callable[[int], None] = lambda done: None) -> None:
    """Write a file whole, and make sure that it is on the drive. Raises OSError, DeployError."""
    _write_part(path, data, tell)
    _into_place(path)


def _write_part(path: Path, data: bytes, tell: Callable[[int], None] = lambda done: None) -> None:
    """`data` beside `path`, flushed, and read back from the drive where the system allows to go past its cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    with part.open("wb", buffering=0) as file:
        at = 0
        while at < len(data):
            tell(at)
            at += file.write(data[at : at + _PIECE])  # which may take less, where the drive gets full
        _flush(file.fileno())
    tell(len(data))
    if part.read_bytes() != data:
        raise DeployError(_not_as_written(path))


def _into_place(path: Path) -> None:
    """The part that was written becomes the file, in one step."""
    path.with_name(path.name + PART).replace(path)
    if os.name != "posix":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno in _GONE:
            raise  # any other: a system that can't flush a folder
    finally:
        os.close(folder)


def _flush(number: int) -> None:
    """Everything written so far is on the drive, not only on its way; and will be read from there."""
    os.fsync(number)
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(number, getattr(fcntl, "F_FULLFSYNC"))  # noqa: B009  (macOS only: its fsync does not wait)
    with contextlib.suppress(AttributeError, OSError):
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)  # Linux: forget what is flushed


def _not_as_written(path: Path) -> str:
    return (
        f"{path}: got other bytes back than were written, need the same. Eject the drive, plug the board in again, and "
        "run the same command; if it happens again, the drive or the cable is bad."
    )


def _explained(drive: Drive, error: OSError, left: Sequence[str] = ()) -> DeployError:
    """What an error of the operating system means, and what to do."""
    waits = " Until then the board waits, and does not run a half-made program." if left else ""
    reason = error.strerror or str(error)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return DeployError(
            f"{drive.path}: got a drive that can't be written ({reason}), need one that can. Does a boot.py on it call "
            "storage.remount, has another program a file on it open, or is it damaged? Eject it, plug the board in "
            f"again, and run the same command.{waits}"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DeployError(
            f"{drive.path}: got a full drive ({reason}), need more space. Delete something from it and run the same "
            f"command.{waits}"
        )
    if error.errno in _GONE or not drive.path.exists():
        return DeployError(
            f"{drive.path}: got {reason}, need the drive to stay there. A loose cable, or a reset? Plug it in again "
            f"and run the same command: it goes on where it stopped.{waits}"
        )
    return DeployError(
        f"{error.filename or drive.path}: got {reason}, need a place for a file. Does something else have its name? "
        f"Move that off the drive and run the same command.{waits}"
    )


# Firmware.


def install_circuitpython(
    drive: Drive,
    profile: str | None = None,
    firmware: str | Path | None = None,
    *,
    dry_run: bool = False,
    mounts: drives.Mounts | None = None,
    seconds: float = _WAIT_S,
    progress: Progress = lambda what, done, total: None,
) -> tuple[Drive, list[str]]:
    """Copy CircuitPython onto a board in BOOTSEL mode, and wait for the CIRCUITPY that comes up with it.

    profile   which board it is; a BOOTSEL drive tells only the chip, so the one without wireless unless named
    firmware  a UF2 file or a version; the one in the cache unless given
    dry_run   look only
    seconds   how long to wait; the first start formats the drive
    Returns the new drive (the same after a dry run), and what was done, a sentence each.
    Raises FirmwareError where there is none for this board; DeployError where the board is not in BOOTSEL mode, where
    the drive goes before the end, or where no other comes after it.
    """
    if not drive.bootsel:
        raise DeployError(
            f"{drive.path}: got a drive that takes no firmware, need a board in BOOTSEL mode. Hold its BOOTSEL button "
            "while you plug it in."
        )
    board = profile_of(drive, profile)
    if board not in drive.profiles:
        raise DeployError(
            f"{drive.path}: got a bootloader that names no chip, need RPI-RP2 or RP2350 in {drives.INFO_UF2}. "
            "Unplug the board and plug it in again with BOOTSEL held."
        )
    found = find_firmware(board, firmware)
    done = [f"CircuitPython {found.version} for {board.title}: {found.path.name}, {found.path.stat().st_size} bytes."]
    others = [one for one in drive.profiles if one != board]
    if profile is None and others:
        done.append(f"Is it a {others[0].title}? Then say --profile {others[0].name}.")
    if dry_run:
        return drive, done
    others_there = {one.path for one in drives.find(mounts) if not one.bootsel}
    _flash(drive, found, progress)
    return _wait_for_circuitpy(others_there, mounts, seconds), done


def find_firmware(profile: Profile, firmware: str | Path | None = None) -> Firmware:
    """CircuitPython for this board, checked. Nothing is downloaded: it lies in the cache of the virtual bench, or is
    named, or the message says from where to get it and where to put it.

    firmware: a UF2 file, a version such as "10.0.0", or None for the version that everything was tested with
    Raises FirmwareError where there is none, or where it is damaged or made for another board.
    """
    if firmware is not None and (Path(firmware).suffix.lower() == ".uf2" or Path(firmware).exists()):
        return uf2.check(Path(firmware), profile)
    version = firmware_files.DEFAULT_VERSION if firmware is None else str(firmware)
    name = f"adafruit-circuitpython-{profile.board_id}-en_US-{version}.uf2"
    path = firmware_files.cache_folder() / name
    if not path.exists():
        raise FirmwareError(
            f"CircuitPython {version} for {profile.title}: got no file {path}, need it. "
            f"Download {_STORE}/{profile.board_id}/en_US/{name} (or from {uf2.PAGE}/{profile.board_id}/) and put it "
            "there, or name a file with --firmware."
        )
    known = firmware_files.SHA256.get(version) if profile.board_id == firmware_files.BOARD_ID else None
    return uf2.check(path, profile, version, known)


def _flash(drive: Drive, firmware: Firmware, progress: Progress) -> None:
    """The bootloader takes the blocks as they come, and restarts the board as soon as it has the last."""
    data = firmware.path.read_bytes()
    done = 0
    try:
        with (drive.path / "firmware.uf2").open("wb", buffering=0) as file:
            while done < len(data):
                progress(FIRMWARE, done, len(data))
                done += file.write(data[done : done + _FLASH_PIECE])
            os.fsync(file.fileno())
    except OSError as error:
        if done < len(data):  # after the last byte the drive goes as it should
            raise _explained(drive, error) from error
    progress(FIRMWARE, len(data), len(data))


def _wait_for_circuitpy(known: set[Path], mounts: drives.Mounts | None, seconds: float) -> Drive:
    """The drive that is there now and was not before. Raises DeployError."""
    stop = time.monotonic() + seconds
    while True:
        found = [drive for drive in drives.find(mounts) if drive.version and drive.path not in known]
        if len(found) == 1:
            return found[0]
        if time.monotonic() > stop:
            break
        time.sleep(_LOOK_EVERY_S)
    raise DeployError(
        f"board: got {len(found) or 'no'} CIRCUITPY in {seconds:.0f} seconds after the firmware, need one. Plug the "
        "board in again without BOOTSEL, and run picodigits deploy once more."
    )


def expectation(plan: Plan) -> list[str]:
    """What the board shows next, a sentence each."""
    if b'PICODIGITS_DISPLAY = "none"' in plan.files[SETTINGS]:
        return ["The board runs without a screen: over USB comes a line a frame, picodigits: frame=1 read=..."]
    return [
        "On the screen: `picodigits, starting` at once, after some five seconds the camera's picture and the ink.",
        "Hold up a digit: a box around it, the digit below, and how sure it is.",
        "It stands on its side or is mirrored: --settings transpose=1, flip_x=1, flip_y=1.",
        "Dark, or `Not ready`: picodigits wiring shows what each wrong wire looks like.",
    ]


# Small things.


def read_record(root: Path) -> dict[str, list[str]]:
    """Path -> digests that deploy has put there; nothing where the record is missing or damaged."""
    try:
        files = json.loads((read_file(root / RECORD) or b"").decode())["files"]
        return {str(path): [str(digest) for digest in digests] for path, digests in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def recorded_version(root: Path) -> str:
    """The picodigits that made the record on the drive; "unknown" where it does not say."""
    try:
        return str(json.loads((read_file(root / RECORD) or b"").decode())["version"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


def _record(digests: Mapping[str, Sequence[str]]) -> bytes:
    about = "picodigits deploy: SHA-256 of the files that it put here"
    content = {"about": about, "version": __version__, "files": {path: list(digests[path]) for path in sorted(digests)}}
    return (json.dumps(content, indent=1) + "\n").encode()


def digest(data: bytes) -> str:
    """SHA-256, as in the record."""
    return hashlib.sha256(data).hexdigest()


def read_file(path: Path) -> bytes | None:
    """The content of a file, None where there is none. Raises OSError for a drive that can't be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
