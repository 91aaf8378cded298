"""What is wrong with a set-up, and what to do: first what the PC can see of it, then what the board itself measures.

    place, findings = look_for("auto")        # drive and serial port, and what is wrong with finding them
    for finding in examine(place):            # the drive's content; then stops the application, runs selftest.py,
        print(finding)                        # and starts the application again

What the figures of the self-test mean is judged in `judge`; how the board is reached is in `repl`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path

import numpy as np
from serial.tools import list_ports

from picodigits import __version__, modelfile, report
from picodigits.board import connection, deploy, drives, judge, profiles, repl, wiring
from picodigits.board.drives import Drive
from picodigits.board.judge import BAD, OK, UNKNOWN, Finding
from picodigits.board.profiles import Profile
from picodigits.board.wiring import Pins
from picodigits.errors import BoardError, LinkError, ModelFileError, WiringError, did_you_mean
from picodigits.export.bundle import circuitpy_files
from picodigits.export.lean import lean
from picodigits.frames import save_frames
from picodigits.training.dense import Progress
from picodigits_board import preprocess
from picodigits_board.modelfile import Model

SETTLE_S = 0.5  # that the camera's exposure gets, some ten frames
LEAST_FREE = 8192  # bytes; with less, the next deploy of anything fails
_LISTED = 3  # names in a finding
_ONES_OWN = ("model.pdm", deploy.SETTINGS, deploy.PINS)  # files that may be other than deploy's, and have findings
_ALONE_MS = 5.0

Ask = Callable[[str, Sequence[str]], int]


@dataclass(frozen=True)
class Place:
    """Where a board is.

    drive     its CIRCUITPY, or None
    free      bytes free on it; None: ask the system
    port      its serial port, or None
    patience  by how much longer than a real one it may take
    settle_s  seconds for the camera's exposure
    shown     saves what the screen shows, where the PC can know that; returns the files
    """

    drive: Drive | None = None
    free: int | None = None
    port: str | None = None
    patience: float = 1.0
    settle_s: float = SETTLE_S
    shown: Callable[[], list[Path]] = list


@dataclass(frozen=True)
class SerialPort:
    """A port of this computer that is a CircuitPython board; `uid` is the chip's number, as in boot_out.txt."""

    name: str
    title: str
    uid: str = ""


# Where is the board?


def serial_ports() -> list[SerialPort]:
    """The ports of this computer that are CircuitPython boards."""
    uids = {port.device: port.serial_number or "" for port in list_ports.comports()}
    return [SerialPort(port.name, port.title, uids.get(port.name, "")) for port in connection.find_ports()]


def look_for(
    name: str, mounts: drives.Mounts | None = None, ports: Callable[[], list[SerialPort]] = serial_ports
) -> tuple[Place, list[Finding]]:
    """Find the board, its drive and its port.

    name    "auto" for the only one there is, the folder of a drive, or a serial port
    mounts  the roots of drives that may be boards; this system's unless given
    ports   the serial ports that are boards; this computer's unless given
    Returns where it is, as far as it was found, and a finding each for drive and port. Raises BoardError for a name
    that is neither drive nor port.
    """
    seen_drives, seen_ports = drives.find(mounts), ports()
    if Path(name).is_dir():
        drive = drives.look_at(Path(name)) or Drive(Path(name))
        matching = [port for port in seen_ports if _same(port, drive)]
        matching = matching or [port for port in seen_ports if not (port.uid and drive.uid)]
        return _place([drive], matching)
    if name != "auto":
        known = [port for port in seen_ports if port.name == name] or [SerialPort(name, "as you said")]
        if not _may_be_port(name):
            raise BoardError(
                f"board: got {name}, need auto, emulator, the folder of a drive, or a serial port. "
                f"There are: {_listed([port.name for port in seen_ports] + [str(one.path) for one in seen_drives])}."
            )
        matching_drives = [drive for drive in seen_drives if _same(known[0], drive)]
        return _place(matching_drives or (seen_drives if not known[0].uid else []), known)
    return _place(seen_drives, seen_ports)


def _may_be_port(name: str) -> bool:
    return "://" in name or name.startswith("/dev/") or name.upper().startswith("COM") or Path(name).exists()


def _same(port: SerialPort, drive: Drive) -> bool:
    return bool(port.uid and drive.uid and port.uid.upper() == drive.uid.upper())


def _place(seen_drives: list[Drive], seen_ports: list[SerialPort]) -> tuple[Place, list[Finding]]:
    bootsel = [drive for drive in seen_drives if drive.bootsel]
    if bootsel:
        return Place(bootsel[0]), [
            Finding(
                "board", BAD, f"{bootsel[0].path} is a board in BOOTSEL mode, with no program running",
                "Run picodigits deploy: it puts CircuitPython and the application on it. Or plug it in again without "
                "BOOTSEL.",
            )
        ]  # fmt: skip
    if not (seen_drives or seen_ports):
        return Place(), [
            Finding(
                "board", BAD, "no drive and no serial port of a board was found",
                "Plug it in, with a cable that carries data: many only charge. A new board: hold BOOTSEL while you "
                "plug it in, then run picodigits deploy.",
            )
        ]  # fmt: skip
    findings = []
    if not seen_drives:
        where = "Is boot.py hiding it, or is it not mounted? Open it in the file manager."
        findings.append(Finding("drive", UNKNOWN, "no CIRCUITPY drive is there, though a port is", where))
    elif len(seen_drives) > 1:
        findings.append(
            Finding(
                "drive", BAD, f"several drives are boards: {_listed([str(one.path) for one in seen_drives])}",
                f"Unplug the others, or say which: --board {seen_drives[0].path}",
            )
        )  # fmt: skip
    port = _port_finding(seen_ports)
    drive = seen_drives[0] if len(seen_drives) == 1 else None
    if port.state == OK and drive is not None and drive.uid and seen_ports[0].uid and not _same(seen_ports[0], drive):
        port = Finding(
            "serial port", BAD, f"{seen_ports[0].name} belongs to another board than the drive {drive.path}",
            "Unplug one of the two.",
        )  # fmt: skip
    return Place(drive, port=seen_ports[0].name if port.state == OK else None), [*findings, port]


def _port_finding(found: list[SerialPort]) -> Finding:
    if not found:
        return Finding(
            "serial port", BAD, "none is there that is a CircuitPython board",
            "Is it still starting? Wait ten seconds. Does a boot.py on its drive switch usb_cdc off? On Linux a port "
            "that appears only as root is ModemManager's: plug the board in again.",
        )  # fmt: skip
    names = _listed([f"{port.name} ({port.title})" for port in found])
    if len(found) > 1:
        return Finding(
            "serial port", BAD, f"several are boards: {names}",
            f"Unplug the others, or say which: --board {found[0].name}",
        )  # fmt: skip
    name = found[0].name
    if os.name == "posix" and Path(name).exists() and not os.access(name, os.R_OK | os.W_OK):
        return Finding("serial port", BAD, f"{name} may not be opened", repl.why_not_opened(PermissionError(13, "")))
    return Finding("serial port", OK, names)


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(names[:_LISTED]) or "none") + rest


# The drive.


def examine_drive(drive: Drive, free: int | None = None) -> list[Finding]:
    """What is on a board's drive, and whether the application can run from it. Reads only.

    free  bytes free on it; asked of the system unless given
    """
    ours = circuitpy_files(modelfile.find("fast").data)
    try:
        findings = [_version(drive), _space(drive, free), _application(drive.path, ours)]
        settings, finding = _settings(drive.path)
        findings += [finding, _model(drive.path, settings), _wiring_on(drive)]
        findings += _strays(drive.path, ours)
    except OSError as error:
        reason = error.strerror or str(error)
        return [
            Finding(
                "drive", BAD, f"{drive.path} can't be read: {reason}",
                "A loose cable, or a damaged drive? Plug the board in again. CircuitPython's "
                "storage.erase_filesystem() makes the drive new.",
            )
        ]  # fmt: skip
    return findings


def _version(drive: Drive) -> Finding:
    if drive.version is None:
        return Finding("CircuitPython", UNKNOWN, f"{drive.path} has no {drives.BOOT_OUT} that names its version")
    major = drive.version.split(".")[0]
    if major not in deploy.MAJORS:
        return Finding(
            "CircuitPython", BAD, f"version {drive.version}, need {' or '.join(deploy.MAJORS)}",
            "Hold BOOTSEL while you plug the board in, and run picodigits deploy.",
        )  # fmt: skip
    if drive.board_id is not None and not drive.profiles:
        known = ", ".join(profiles.PROFILES)
        return Finding(
            "CircuitPython", UNKNOWN, f"{drive.version} on {drive.board_id}, a board that is not known",
            f"Known are {known}; docs/wiring.md tells how to add one.",
        )  # fmt: skip
    return Finding("CircuitPython", OK, f"{drive.version} on {drive.board}, {drive.path}")


def _space(drive: Drive, free: int | None) -> Finding:
    free = shutil.disk_usage(drive.path).free if free is None else free
    if free < LEAST_FREE:
        return Finding(
            "space", BAD, f"{free} bytes are free on the drive: it is full",
            "Delete what is not needed; what is running keeps running, but nothing new can be put on it.",
        )  # fmt: skip
    return Finding("space", OK, f"{free} bytes are free on the drive")


def _application(root: Path, ours: Mapping[str, bytes]) -> Finding:
    """Whether the program on the drive is picodigits, and whole; `ours` is that of this PC."""
    record = deploy.read_record(root)
    code = deploy.read_file(root / deploy.CODE)
    again = "Run picodigits deploy: it replaces what differs."
    if code is None:
        return Finding("application", BAD, "there is no code.py on the drive", "Run picodigits deploy.")
    if code == deploy.WAITING:
        return Finding("application", BAD, "a copy to the drive was cut and never finished", "Run picodigits deploy.")
    if record:
        there = {path: deploy.read_file(root / path) for path in record if path not in _ONES_OWN}
        missing = [path for path, data in there.items() if data is None]
        changed = [path for path, data in there.items() if data is not None and deploy.digest(data) not in record[path]]
        if deploy.CODE in changed:
            return Finding(
                "application", BAD, "code.py is another program",
                "Run picodigits deploy: it keeps yours under another name.",
            )  # fmt: skip
        if missing or changed:
            words = [f"{_listed(missing)} missing"] if missing else []
            words += [f"{_listed(changed)} damaged or changed"] if changed else []
            return Finding("application", BAD, "not whole: " + ", ".join(words), again)
        version = deploy.recorded_version(root)
        older = [path for path in ours if _is_program(path) and deploy.digest(ours[path]) not in record.get(path, [])]
        if older:
            return Finding(
                "application", OK, f"whole, but of another picodigits ({version}; this one is {__version__})",
                "picodigits deploy puts this one on.",
            )  # fmt: skip
        return Finding("application", OK, f"whole, {len(record)} files, picodigits {version}")
    program = [path for path in ours if _is_program(path)]
    differ = [path for path in program if deploy.read_file(root / path) != ours[path]]
    if deploy.CODE in differ and not (root / "lib/picodigits_board").is_dir():
        return Finding(
            "application", BAD, "the code.py on the drive is another program",
            "Run picodigits deploy: it keeps yours under another name.",
        )  # fmt: skip
    if differ:
        return Finding("application", BAD, f"{_listed(differ)} missing or not those of picodigits {__version__}", again)
    return Finding("application", OK, f"whole, put there by hand, picodigits {__version__}")


def _is_program(path: str) -> bool:
    """Ours: neither what everybody has of their own, nor a library."""
    return path == deploy.CODE or (path.startswith("lib/picodigits_board/") and path not in _ONES_OWN)


def _settings(root: Path) -> tuple[dict[str, object], Finding]:
    """What settings.toml says to the application, and whether it can be meant."""
    raw = deploy.read_file(root / deploy.SETTINGS)
    if raw is None:
        return {}, Finding("settings", OK, "no settings.toml: everything as by default")
    try:
        found: dict[str, object] = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, Finding(
            "settings", BAD, f"settings.toml can't be read: {error}",
            'Each line is NAME = 1 or NAME = "text". Run picodigits deploy after mending it.',
        )  # fmt: skip
    ours = {key: value for key, value in found.items() if key.startswith("PICODIGITS_")}
    wrong = []
    for key, value in ours.items():
        name = key.removeprefix("PICODIGITS_")
        known = deploy.known_settings()
        if name not in known:
            wrong.append(f"{key} is none that the application has{did_you_mean(name, known).replace(' Did', '. Did')}")
        elif isinstance(value, bool) or not isinstance(value, type(known[name].default)):
            kind = "text in quotes" if isinstance(known[name].default, str) else "a whole number"
            wrong.append(f"{key} has to be {kind}")
        elif (complaint := deploy.not_allowed(name, value)) is not None:
            wrong.append(f"{key} is {value!r}, {complaint}")
    if wrong:
        todo = "Put it right with picodigits deploy --settings NAME=VALUE, or delete the line."
        return found, Finding("settings", BAD, "; ".join(wrong), todo)
    said = ", ".join(f"{key.removeprefix('PICODIGITS_')}={value}" for key, value in ours.items())
    return found, Finding("settings", OK, said or "everything as by default")


def _model(root: Path, settings: Mapping[str, object]) -> Finding:
    name = str(settings.get("PICODIGITS_MODEL", "/model.pdm"))
    data = deploy.read_file(root / name.lstrip("/"))
    if data is None:
        return Finding("model", BAD, f"there is no {name} on the drive", "Run picodigits deploy.")
    again = "Run picodigits deploy: it puts a whole one there."
    try:
        model = modelfile.parse(data)
    except ModelFileError as error:
        return Finding("model", BAD, f"{name}: {str(error).rstrip('.')}", again)
    try:
        preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)
    except ValueError as error:
        what, _ = _split(str(error))
        todo = "Train it again with this picodigits, or run picodigits deploy with one that ships."
        return Finding("model", BAD, f"{name}: {what.removeprefix('model file: ')}", todo)
    if not modelfile.fits_board(model):
        return Finding(
            "model", BAD,
            f"{model.name} needs {modelfile.heap_bytes(model)} bytes of heap, {modelfile.BOARD_ROOM} are free for it",
            "Run picodigits deploy --model fast, or tiny.",
        )  # fmt: skip
    return Finding("model", OK, f"{model.name}, {len(data)} bytes, fits the preprocessing and the memory")


def _wiring_on(drive: Drive) -> Finding:
    raw = deploy.read_file(drive.path / deploy.PINS)
    if raw is None:
        return Finding("pins.py", UNKNOWN, "not on the drive: the usual wiring is taken")
    try:
        pins = wiring.parse_pins(raw.decode(), deploy.PINS)
        wiring.need_sound(pins, _profile(drive), deploy.PINS)
    except (WiringError, UnicodeDecodeError) as error:
        return Finding("pins.py", BAD, str(error), "Mend it, or picodigits deploy --pins FILE.")
    own = "" if pins == wiring.read_pins() else ", a wiring of its own"
    return Finding("pins.py", OK, f"the wires can be{own}")


def _strays(root: Path, ours: Mapping[str, bytes]) -> list[Finding]:
    """What lies on the drive and hides something, or is left over."""
    hidden = deploy.hiding(root, ours)
    scraps = deploy.scraps_in(root, ours)
    found = []
    if hidden:
        found.append(
            Finding(
                "stray files", BAD, f"CircuitPython imports {_listed(hidden)} in place of the one in lib/",
                "Delete it, or move it off the drive.",
            )
        )  # fmt: skip
    if (root / "code.txt").exists():
        found.append(
            Finding(
                "stray files", BAD, "code.txt runs in place of code.py", "Run picodigits deploy: it keeps it aside."
            )
        )
    if scraps:
        found.append(
            Finding("stray files", OK, f"{_listed(scraps)}: leftovers, harmless", "picodigits deploy removes them.")
        )
    return found or [Finding("stray files", OK, "none")]


def _profile(drive: Drive | None) -> Profile:
    found = drive.profiles if drive is not None else []
    return found[0] if found else profiles.find(profiles.DEFAULT)


# The board itself.


def examine(
    place: Place, pins: Path | None = None, *, ask: Ask | None = None, out: Path | None = None
) -> Iterator[Finding]:
    """Everything about a board that was found: its drive, then itself. As `examine_drive` and `examine_board`."""
    if place.drive is not None and place.drive.bootsel:
        return
    if place.drive is not None:
        yield from examine_drive(place.drive, place.free)
    yield from examine_board(place, wiring_of(place, pins), ask=ask, out=out)


def wiring_of(place: Place, named: Path | None = None) -> Pins | None:
    """The pins to test: the named pins.py, else that on the drive, if it can be; None where the board is to be asked.

    Raises WiringError for a named file that can't be.
    """
    if named is not None:
        return wiring.read_pins(named)
    if place.drive is None:
        return None
    raw = deploy.read_file(place.drive.path / deploy.PINS)
    with contextlib.suppress(WiringError, UnicodeDecodeError):
        if raw is not None:
            return wiring.parse_pins(raw.decode(), deploy.PINS)
    return wiring.read_pins()


def examine_board(
    place: Place,
    pins: Pins | None = None,
    *,
    ask: Ask | None = None,
    out: Path | None = None,
) -> Iterator[Finding]:
    """Stop the application, run the self-test, say what it means, and let the application start again.

    pins  the wiring; where it is None, pins.py of the board's drive, asked of the board, or the usual one
    ask   puts a question with its answers to a person, and returns the number of the answer from 0; None: no
          question, and no test card
    out   folder for camera.png, what the camera sees
    Yields findings as they are known. A board that can't be reached is one.
    """
    if place.port is None:
        yield Finding("self-test", UNKNOWN, "the board can't be asked without its serial port")
        return
    try:
        with repl.RawRepl(place.port, patience=place.patience) as board:
            board.run(program())
            about = judge.read(board.run("about()\npins()").splitlines())
            yield _says_version(about)
            yield from judge.board(about)
            if place.drive is not None:
                yield _written(board, place.drive)
            profile = _profile(replace(place.drive or Drive(Path()), board_id=about.board.get("id")))
            chosen = pins or _pins_on_board(about.pins)
            if problems := wiring.conflicts(chosen, profile):
                yield Finding("wiring", BAD, f"pins.py can't be: {problems[0]}", "Mend it: see docs/wiring.md.")
                return
            words = {item.name.upper(): getattr(chosen, item.name) for item in fields(Pins)}
            figures = judge.read(board.run(f"camera({words!r}, {place.settle_s})").splitlines())
            yield from judge.camera(figures, chosen, profile)
            if figures.picture is not None and out is not None:
                paths = save_frames(out / "camera.png", figures.picture[np.newaxis], enlarge=8)
                yield Finding("picture", OK, f"saved as {paths[0]}")
            answer = None
            if ask is not None:
                board.run(f"card({words!r})")
                answer = ask("".join(f"The screen: {path}\n" for path in place.shown()) + judge.CARD, judge.ANSWERS)
            yield judge.screen(answer, chosen, profile)
    except LinkError as error:
        yield Finding("self-test", BAD, *_split(str(error)))


def program() -> str:
    """The text of selftest.py, without what only a reader needs."""
    return lean((resources.files("picodigits.board") / "selftest.py").read_bytes()).decode()


def _says_version(about: judge.Measured) -> Finding:
    version = about.board.get("version", "unknown")
    if version.split(".")[0] not in deploy.MAJORS:
        return Finding(
            "REPL", BAD, f"CircuitPython {version} answers, need {' or '.join(deploy.MAJORS)}",
            "Hold BOOTSEL while you plug the board in, and run picodigits deploy.",
        )  # fmt: skip
    return Finding("REPL", OK, f"CircuitPython {version} answers on {about.board.get('id', 'a board')}")


def _written(board: repl.RawRepl, drive: Drive) -> Finding:
    """Whether the board reads on its drive what the computer says is there."""
    seen = {path: deploy.read_file(drive.path / path) for path in [*deploy.read_record(drive.path), deploy.CODE]}
    differ = deploy.read_otherwise(board, {path: content for path, content in seen.items() if content is not None})
    if differ:
        return Finding(
            "written", BAD, f"the board reads {_listed(differ)} otherwise than the computer, which has not written it",
            "Eject the drive, wait until it may be unplugged, plug the board in again, and run picodigits deploy.",
        )  # fmt: skip
    return Finding("written", OK, "the board reads the same on its drive as the computer")


def port_of(drive: Drive, ports: Callable[[], list[SerialPort]] = serial_ports) -> str:
    """The serial port of the board whose drive this is, by the chip's number, or the only one. Raises BoardError."""
    found = [port for port in ports() if _same(port, drive)] or [port for port in ports() if not port.uid]
    if len(found) != 1:
        raise BoardError(
            f"{drive.path}: got {len(found) or 'no'} serial ports that are this board, need one. Wait ten seconds "
            "after plugging it in; picodigits doctor lists what there is."
        )
    return found[0].name


def _pins_on_board(source: str) -> Pins:
    with contextlib.suppress(WiringError):
        if source:
            return wiring.parse_pins(source, deploy.PINS)
    return wiring.read_pins()


def _split(message: str) -> tuple[str, str]:
    """An error's text -> what it is, and what to do."""
    what, stop, todo = message.partition(". ")
    return what.rstrip("."), todo if stop else ""


# The virtual bench.


@contextlib.contextmanager
def emulated(
    model: Model,
    fault: str | None = None,
    *,
    firmware: str | None = None,
    out: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Iterator[Place]:
    """An emulated board with the application on it, whole or with a fault of the virtual bench, as a place.

    out  folder for screen.png, where the screen's picture is asked for; the present one unless given
    Raises BenchError, FirmwareError.
    """
    from PIL import Image

    from picodigits.bench import drive, pictures, session
    from picodigits.bench.board import Board
    from picodigits.bench.faults import FAULTS
    from picodigits.bench.ov7670 import OV7670
    from picodigits.bench.serial_port import SerialPort as EmulatedPort
    from picodigits.bench.st7735r import ST7735R
    from picodigits.errors import BenchError

    if fault is not None and fault not in FAULTS:
        raise BenchError(f"fault: got {fault}, need one of {', '.join(FAULTS)}.{did_you_mean(fault, FAULTS)}")
    uf2 = session.firmware_for(firmware, progress)
    picture = pictures.choose(digits=(5,), care="studio").frames[0]
    broken = FAULTS[fault] if fault is not None else None
    files = deploy.as_deployed(model.data)
    files = broken.files(files) if broken is not None else files
    lcd = ST7735R()
    board = Board(uf2.path, files, camera=OV7670(lambda: picture), lcd=lcd)
    progress("emulated Pico: boot", 0, 0)
    if broken is not None and not broken.while_running:
        broken.begin(board)
    board.boot(quick=True)
    board.run(_ALONE_MS)
    if broken is not None and broken.while_running:
        progress("emulated Pico: the application starts", 0, 0)
        board.run_until_text(b"frame=", limit_ms=20_000)
        broken.begin(board)

    def save() -> list[Path]:
        shown = Image.fromarray(lcd.picture())
        path = (out or Path()) / "screen.png"
        report.save_image(path, shown.resize((shown.width * 4, shown.height * 4), Image.Resampling.NEAREST))
        return [path]

    with tempfile.TemporaryDirectory(prefix="picodigits-") as folder:
        root = Path(folder) / "CIRCUITPY"
        held = board.files()
        for path, content in held.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        found = drives.look_at(root)
        assert found is not None
        free = drive.CAPACITY_BYTES - drive.used_bytes(held)
        with EmulatedPort(board) as port:
            yield Place(found, free, port.name, patience=20.0, settle_s=0.02, shown=save)
