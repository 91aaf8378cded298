"""What can go wrong at a bench of solder and wires, on purpose.

    report = try_fault(FAULTS["camera-pulled"], files, pictures)
    report.said        # the application's lines while the fault lasted
    report.lcd         # what the LCD showed then
    report.recovered   # whether it read whole frames again after the fault went away

Each fault is done to the wires, the chip or the drive, never to the program; the program finds out as on hardware.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from picodigits import modelfile
from picodigits.bench import drive
from picodigits.bench import firmware as firmware_files
from picodigits.bench.board import Board
from picodigits.bench.ov7670 import ADDRESS, OV7670, PID, VER, Lens
from picodigits.bench.run import parse_line
from picodigits.bench.st7735r import ST7735R
from picodigits.errors import BenchError
from picodigits.modelfile import DenseLayer
from picodigits_board.preprocess import FIND

Files = dict[str, bytes]


def _nothing(_board: Board) -> None:
    pass


def _same(files: Mapping[str, bytes]) -> Files:
    return dict(files)


@dataclass(frozen=True)
class Fault:
    """One fault: `begin` and `end` act on the running board, `files` on the drive before power-on."""

    name: str
    title: str
    begin: Callable[[Board], None] = _nothing
    end: Callable[[Board], None] = _nothing
    files: Callable[[Mapping[str, bytes]], Files] = _same
    while_running: bool = False  # begins after the first frame; else it is there at power-on
    mended_files: bool = False  # it ends with a power cycle with the right files
    lasts_ms: float = 2500  # virtual ms after the application's first line, or after it begins


@dataclass
class FaultReport:
    """What the board did."""

    fault: Fault
    said: list[dict[str, str]]  # its lines while the fault lasted
    lcd: NDArray[np.uint8]  # (160, 128, 3) at the end of the fault
    recovered: bool  # frames came again after the fault had gone, from a camera that is set up for them
    lcd_after: NDArray[np.uint8]  # (160, 128, 3) after that
    serial: str  # everything on USB

    @property
    def errors(self) -> list[str]:
        """The error lines while the fault lasted, each once."""
        return list(dict.fromkeys(line["error"] for line in self.said if "error" in line))


def _set_chip(pid: int, ver: int) -> Callable[[Board], None]:
    def change(board: Board) -> None:
        sensor = board.camera.device
        if sensor is not None:
            sensor.chip_id = (pid, ver)
            sensor.registers[PID], sensor.registers[VER] = pid, ver

    return change


def _wire(name: str, value: object) -> Callable[[Board], None]:
    return lambda board: setattr(board.camera, name, value)


def _broken(*wires: str) -> Callable[[Board], None]:
    return _wire("broken", wires)


def _address(address: int) -> Callable[[Board], None]:
    def change(board: Board) -> None:
        if board.camera.device is not None:
            board.camera.device.address = address

    return change


def _lens(lens: Lens | None) -> Callable[[Board], None]:
    def change(board: Board) -> None:
        if board.camera.device is not None:
            board.camera.device.lens = lens

    return change


def _cap_on(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What little light comes past the lens cap."""
    return (rgb // 50 + 3).astype(np.uint8)


def _out_of_focus(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blurred by a twentieth of the picture's width."""
    blurred = Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(rgb.shape[1] / 20))
    return np.asarray(blurred, np.uint8)


def _lcd(there: bool) -> Callable[[Board], None]:
    return lambda board: setattr(board.lcd, "connected", there)


def _damaged_model(files: Mapping[str, bytes]) -> Files:
    """The largest .pdm file with one bit turned over in its middle."""
    models = sorted((path for path in files if path.endswith(".pdm")), key=lambda path: len(files[path]))
    if not models:
        raise BenchError("damaged model: got no .pdm file on the drive, need one to damage")
    damaged = bytearray(files[models[-1]])
    damaged[len(damaged) // 2] ^= 0x10
    return {**files, models[-1]: bytes(damaged)}


def _foreign_model(files: Mapping[str, bytes]) -> Files:
    """Every .pdm file as if it had been trained behind a preprocessing that the board does not have."""

    def foreign(data: bytes) -> bytes:
        body = data[:8] + b"find-9".ljust(12, b"\0") + data[20:-4]
        return body + struct.pack("<I", binascii.crc32(body))

    return {path: foreign(data) if path.endswith(".pdm") else data for path, data in files.items()}


def _large_model(files: Mapping[str, bytes]) -> Files:
    """Every .pdm file with 200 KB of weights in its place: more than the board's heap."""
    layers = [
        DenseLayer(np.zeros((200, 1024), np.int8), np.zeros(200, np.int32), 8),
        DenseLayer(np.zeros((10, 200), np.int8), np.zeros(10, np.int32)),
    ]
    data = modelfile.pack(
        name="large", preprocess_id=FIND, ink_shape=(32, 32), labels="0123456789", layers=layers, octave=1,
        min_confidence=0,
    )  # fmt: skip
    return {path: data if path.endswith(".pdm") else content for path, content in files.items()}


def _without_model(files: Mapping[str, bytes]) -> Files:
    return {path: content for path, content in files.items() if not path.endswith(".pdm")}


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("camera-missing", "no camera is connected", _wire("connected", False), _wire("connected", True)),
        Fault("wrong-chip", "another chip answers in its place", _set_chip(0x77, 0x21), _set_chip(0x76, 0x73)),
        Fault("no-pull-ups", "SDA and SCL have no pull-ups", _wire("pull_ups", False), _wire("pull_ups", True)),
        Fault("wrong-address", "a camera answers at another address", _address(0x30), _address(ADDRESS)),
        Fault("no-mclk", "the wire of the camera's clock is broken", _broken("MCLK"), _broken()),
        Fault("no-vsync", "the VSYNC wire is broken", _broken("VSYNC"), _broken()),
        Fault("no-href", "the HREF wire is broken", _broken("HREF"), _broken()),
        Fault("no-pclk", "the PCLK wire is broken", _broken("PCLK"), _broken()),
        Fault("broken-data-line", "the wire of D3 is broken", _broken("D3"), _broken()),
        Fault("stuck-data-line", "D7 is stuck high", _wire("stuck", {7: True}), _wire("stuck", {})),
        Fault(
            "swapped-data-lines",
            "D2 and D3 are each in the other's place",
            _wire("swapped", (2, 3)),
            _wire("swapped", None),
        ),
        Fault("dark-picture", "the lens cap is on", _lens(_cap_on), _lens(None)),
        Fault("out-of-focus", "the lens is out of focus", _lens(_out_of_focus), _lens(None)),
        Fault(
            "camera-pulled",
            "the camera cable comes out while it runs",
            _wire("connected", False),
            _wire("connected", True),
            while_running=True,
            lasts_ms=13_000,  # the watchdog's five seconds, a restart, and the application's own check
        ),
        Fault("lcd-missing", "no LCD is connected", _lcd(False), _lcd(True)),
        Fault("full-drive", "CIRCUITPY has no free byte", files=drive.fill, mended_files=True),
        Fault("damaged-model", "one bit of the model file is wrong", files=_damaged_model, mended_files=True),
        Fault(
            "foreign-model",
            "the model is for another preprocessing",
            files=_foreign_model,
            mended_files=True,
            lasts_ms=8000,  # longer than the watchdog's five seconds
        ),
        Fault("large-model", "the model is larger than the heap", files=_large_model, mended_files=True),
        Fault("no-model", "the model file is missing", files=_without_model, mended_files=True),
    )
}


def try_fault(
    fault: Fault,
    files: Mapping[str, bytes],
    pictures: Sequence[NDArray[np.uint16]] | NDArray[np.uint16],
    *,
    firmware: firmware_files.Firmware | None = None,
    upright_mvfp: int = 0,
    recovery_ms: float = 8000,
) -> FaultReport:
    """Run the application with this fault, then without it.

    files, pictures, firmware, upright_mvfp: as for `run.run`; the pictures are shown round and round
    recovery_ms: virtual ms that the board is given to read a frame again
    Raises FirmwareError without firmware, BenchError where a fault that begins later finds no frame before it.
    """
    path = (firmware or firmware_files.find()).path
    lcd = ST7735R()
    camera = OV7670(lambda: pictures[0], upright_mvfp=upright_mvfp)
    camera.source = lambda: pictures[camera.frames_sent % len(pictures)]
    board = Board(path, fault.files(files), camera=camera, lcd=lcd)
    if not fault.while_running:
        fault.begin(board)
    board.boot(quick=True)
    if fault.while_running:
        if not board.run_until(lambda: _frames(board, 0) > 0, limit_ms=20_000, every_ms=5):
            raise BenchError(f"{fault.name}: got no frame before the fault, need one. {_tail(board)}")
        start = len(board.serial)
        fault.begin(board)
    else:
        start = 0
        board.run_until(lambda: bool(_lines(board, 0)) or _ended(board), limit_ms=20_000, every_ms=5)
    board.run_until(lambda: _ended(board), limit_ms=fault.lasts_ms, every_ms=50)
    said = _lines(board, start)
    shown = lcd.picture()
    fault.end(board)
    after = len(board.serial)
    if fault.mended_files:
        board.replace_files(files)
        board.boot(quick=True)
    recovered = board.run_until(lambda: _frames(board, after) > 1, limit_ms=recovery_ms, every_ms=5)
    recovered = recovered and camera.size == np.shape(pictures[0])  # a camera that lost power asks for 640x480
    serial = bytes(board.serial).decode("utf-8", "replace").replace("\r\n", "\n")
    return FaultReport(fault, said, shown, recovered, lcd.picture(), serial)


def _lines(board: Board, start: int) -> list[dict[str, str]]:
    text = bytes(board.serial[start:]).decode("utf-8", "replace")
    whole = text.split("\n")[:-1]
    return [values for line in whole if (values := parse_line(line)) is not None]


def _frames(board: Board, start: int) -> int:
    return sum("frame" in values for values in _lines(board, start))


def _ended(board: Board) -> bool:
    return b"Code done running." in board.serial[-600:]


def _tail(board: Board) -> str:
    return "The board said: " + (bytes(board.serial[-400:]).decode("utf-8", "replace").strip() or "nothing")
