"""What is wrong with a set-up: each fault is told, and nothing else is blamed for it.

What the figures mean is tried with made-up figures; that the figures are right, on the emulated board.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from picodigits import modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.board import deploy, doctor, judge, profiles, repl, wiring
from picodigits.board.doctor import Place, SerialPort
from picodigits.board.drives import Drive
from picodigits.board.judge import BAD, OK, UNKNOWN, Finding, Measured
from picodigits.errors import BoardError, DeployError, LinkError, WiringError
from picodigits.export import circuitpy_files

PICO = profiles.find("pico")
PINS = wiring.read_pins()
MODEL = modelfile.find("article").data


def wrong(findings: Sequence[Finding]) -> list[str]:
    """The topics that are BAD."""
    return [finding.topic for finding in findings if finding.state == BAD]


def told(findings: Sequence[Finding], topic: str) -> Finding:
    return next(finding for finding in findings if finding.topic == topic)


# --- the emulated board -------------------------------------------------------------------------------------

# Fault of the bench -> the one topic that is BAD, and words that have to be in what is said about it.
TOLD = {
    "camera-missing": ("camera", ["not there or has no supply", "3V3(OUT)"]),
    "camera-pulled": ("camera", ["not there or has no supply", "plug or cable"]),
    "wrong-chip": ("chip", ["0x7721", "OV7670"]),
    "no-pull-ups": ("pull-ups", ["SIOD (GP20) and SIOC (GP21)", "4.7 kΩ"]),
    "wrong-address": ("I2C", ["0x30", "OV2640"]),
    "no-mclk": ("I2C", ["does not answer", "camera XCLK (MCLK) to GP9, pin 12"]),
    "no-vsync": ("VSYNC", ["never moves", "floats", "GP13, pin 17"]),
    "no-href": ("HREF", ["never moves", "floats", "GP12, pin 16"]),
    "no-pclk": ("PCLK", ["never moves", "floats", "GP8, pin 11"]),
    "broken-data-line": ("data lines", ["D3 float", "GP3, pin 5"]),
    "stuck-data-line": ("data lines", ["D7 is always high", "GP7, pin 10"]),
    "swapped-data-lines": ("data lines", ["D2 arrives where D3 belongs", "D3 arrives where D2 belongs"]),
    "dark-picture": ("light", ["dark", "lens cap"]),
    "out-of-focus": ("focus", ["out of focus", "Turn the lens"]),
    "lcd-missing": ("screen", ["dark", "LED"]),
    "full-drive": ("space", ["full"]),
    "damaged-model": ("model", ["checksum"]),
    "foreign-model": ("model", ["find-9"]),
    "large-model": ("model", ["bytes of heap"]),
    "no-model": ("model", ["no /model.pdm"]),
}
LIT, DARK = 0, 6  # answers of a person who looks at the screen
PTY = pytest.mark.skipif(not hasattr(os, "openpty"), reason="opens the emulated board's port as a pty")


@pytest.mark.firmware
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", ["", *TOLD])
def test_each_fault_of_the_virtual_bench_is_told(name: str, firmware: firmware_files.Firmware, tmp_path: Path) -> None:
    pytest.importorskip("rp2040py", reason="needs the extra 'bench'")

    def look(question: str, answers: Sequence[str]) -> int:
        shown = np.asarray(Image.open(tmp_path / "screen.png"))
        return LIT if shown.max() > 0 else DARK

    with doctor.emulated(modelfile.find("article"), name or None, out=tmp_path) as place:
        findings = list(doctor.examine(place, ask=look, out=tmp_path))
        again = list(doctor.examine_board(place)) if name == "" else []
    if name:
        topic, words = TOLD[name]
        finding = told(findings, topic)
        assert all(word in str(finding) for word in words), str(finding)
        assert finding.todo
        assert wrong(findings) == [topic], "nothing else is blamed"
    else:
        assert not wrong(findings), [str(finding) for finding in findings]
        assert {finding.state for finding in findings} == {OK}
        assert {(one.topic, one.state) for one in again if one.topic != "screen"} < {
            (one.topic, one.state) for one in findings
        }, "the board can be asked again"
        assert len(again) > 10


def test_every_fault_of_the_virtual_bench_has_its_finding() -> None:
    pytest.importorskip("rp2040py", reason="needs the extra 'bench'")
    from picodigits.bench.faults import FAULTS

    assert set(TOLD) == set(FAULTS)


@pytest.mark.firmware
@pytest.mark.slow
@PTY
def test_four_faults_in_one_boot_of_a_board_with_an_empty_drive(firmware: firmware_files.Firmware) -> None:
    pytest.importorskip("rp2040py", reason="needs the extra 'bench'")
    from picodigits.bench.board import Board
    from picodigits.bench.faults import FAULTS
    from picodigits.bench.ov7670 import OV7670
    from picodigits.bench.serial_port import SerialPort as EmulatedPort
    from picodigits.bench.st7735r import ST7735R

    board = Board(firmware.path, {}, camera=OV7670(lambda: frame(stripes())), lcd=ST7735R())
    board.boot(quick=True)

    def need(name: str, findings: list[Finding]) -> None:
        topic, words = TOLD[name]
        assert wrong(findings) == [topic]
        assert all(word in str(told(findings, topic)) for word in words), str(told(findings, topic))

    board.execute(doctor.program())
    wires = {item.name.upper(): getattr(PINS, item.name) for item in fields(PINS)}
    for name in ("no-pull-ups", "no-mclk", "swapped-data-lines"):
        FAULTS[name].begin(board)
        said = board.execute(f"camera({wires!r}, 0.02)")
        FAULTS[name].end(board)
        need(name, judged(judge.read(said.splitlines())))
    FAULTS["no-href"].begin(board)
    with EmulatedPort(board) as port:
        need("no-href", list(doctor.examine_board(Place(None, None, port.name, 20.0, 0.02), PINS)))


# --- from figures to findings -------------------------------------------------------------------------------


def stripes() -> np.ndarray:
    """A sharp, well lit picture, (60, 80) uint8 grey: a dark bar on paper."""
    grey = np.full((60, 80), 220, np.uint8)
    grey[10:50, 35:45] = 30
    return grey


def frame(grey: np.ndarray) -> np.ndarray:
    wide = grey.astype(np.uint16)
    return ((wide >> 3) << 11 | (wide >> 2) << 5 | wide >> 3).astype(np.uint16).byteswap()


def shifting_one(order: Sequence[int] = range(8), start: int = 0) -> np.ndarray:
    """The test pattern as it arrives where line i of the camera is at place order[i], (3, 160) uint8."""
    row = []
    for pixel in range(80):
        bit = (pixel - start) % 16
        low, high = (0, 1 << order[bit - 8]) if bit >= 8 else (1 << order[bit], 0)
        row += [high, low]
    return np.array([row] * 3, np.uint8)


def healthy(**changed: Any) -> Measured:
    """Figures of a set-up in which nothing is wrong, with changes."""
    levels = dict.fromkeys(("SDA", "SCL"), "1111") | {"VSYNC": "0101", "HREF": "0000", "PCLK": "0101"}
    levels |= {f"D{line}": "0000" for line in range(8)}
    figures: dict[str, Any] = {
        "board": {"id": "raspberry_pi_pico", "version": "10.0.0", "heap": "154832"},
        "levels": levels,
        "addresses": [0x21],
        "chip": (0x76, 0x73),
        "edges": {"VSYNC": 3, "HREF": 60, "PCLK": 2048},
        "pattern": shifting_one(),
        "picture": frame(stripes()),
    }
    if "levels" in changed:
        changed["levels"] = levels | changed["levels"]
    return Measured(**(figures | changed))


def judged(measured: Measured) -> list[Finding]:
    return judge.camera(measured, PINS, PICO)


def test_nothing_is_wrong_with_a_healthy_set_up() -> None:
    assert {finding.state for finding in judged(healthy())} == {OK}
    assert not wrong(judge.board(healthy()))


FLOATING = dict.fromkeys(["PCLK", "HREF", "VSYNC", *(f"D{line}" for line in range(8))], "1100")


@pytest.mark.parametrize(
    ("changed", "topic", "words"),
    [
        ({"levels": {"SDA": "1100"}, "no_i2c": "No pull up"}, "pull-ups", ["pulls SIOD (GP20) up", "4.7 kΩ"]),
        ({"levels": {"SCL": "0000"}, "no_i2c": "No pull up"}, "pull-ups", ["SIOC (GP21) is held low", "short"]),
        ({"no_i2c": "SCL in use"}, "pull-ups", ["SCL in use"]),
        ({"levels": FLOATING, "addresses": [], "chip": None}, "camera", ["no supply", "Never 5 V"]),
        ({"addresses": [], "chip": None}, "I2C", ["does not answer", "XCLK"]),
        ({"addresses": [0x3C], "chip": None}, "I2C", ["0x3c (an OV5640 or OV3660?)"]),
        ({"addresses": [0x21], "chip": None}, "chip", ["can't be read", "loose"]),
        ({"chip": (0x26, 0x42)}, "chip", ["0x2642"]),
        ({"edges": {"VSYNC": 0, "HREF": 0, "PCLK": 0}, "pattern": None, "picture": None}, "signals", ["XCLK"]),
        (
            {"edges": {"VSYNC": 0, "HREF": 60, "PCLK": 2048}, "pattern": None, "picture": None},
            "VSYNC",
            ["never moves. Check", "GP13"],
        ),
        ({"levels": {"D5": "1100"}}, "data lines", ["D5 float", "GP5"]),
        ({"pattern": None, "picture": None, "missed": "pattern"}, "data lines", ["no whole picture", "PCLK"]),
        ({"pattern": shifting_one() & 0xF7}, "data lines", ["D3 is always low", "GP3"]),
        ({"pattern": shifting_one() | 0x81}, "data lines", ["D0 is always high and D7 is always high"]),
        ({"pattern": shifting_one() | (shifting_one() & 2) << 1 | (shifting_one() & 4) >> 1}, "data lines", ["touch"]),
        ({"picture": frame(stripes() // 20)}, "light", ["dark", "lamp"]),
        ({"picture": frame(np.full((60, 80), 255, np.uint8))}, "light", ["white"]),
    ],
)
def test_the_fault_behind_the_figures_is_told_and_no_other(changed: dict, topic: str, words: list[str]) -> None:
    findings = judged(healthy(**changed))
    assert wrong(findings) == [topic]
    assert all(word in str(told(findings, topic)) for word in words), str(told(findings, topic))
    assert told(findings, topic).todo


def test_the_pins_that_are_named_are_those_of_the_wiring() -> None:
    moved = wiring.parse_pins(
        Path(wiring.resources.files("picodigits_board") / "pins.py").read_text("utf-8").replace('"GP13"', '"GP22"'), ""
    )
    findings = judge.camera(healthy(edges={"HREF": 60, "PCLK": 2048}, pattern=None, picture=None), moved, PICO)
    assert "GP22, pin 29" in told(findings, "VSYNC").todo


def test_a_test_pattern_that_is_not_the_datasheets_blames_nobody() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (3, 160), np.uint8)
    finding = told(judged(healthy(pattern=noise)), "data lines")
    assert (finding.state, "none is stuck" in finding.text) == (UNKNOWN, True)


def test_focus_is_not_judged_where_there_is_nothing_to_see() -> None:
    finding = told(judged(healthy(picture=frame(np.full((60, 80), 150, np.uint8)))), "focus")
    assert (finding.state, "thick black digit" in finding.todo) == (UNKNOWN, True)


def test_sharpness_falls_as_the_lens_is_turned_away() -> None:
    sheet = Image.fromarray(stripes())
    blurred = [np.asarray(sheet.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 2, 4, 6)]
    edges = [judge.look(frame(grey)).edge_px for grey in blurred]
    assert edges == sorted(edges)
    assert edges[0] < 2
    assert edges[-1] > judge.LEAST_SHARPNESS_PX


def test_little_memory_is_told() -> None:
    assert wrong(judge.board(healthy(board={"heap": "60000"}))) == ["memory"]
    assert judge.board(Measured())[0].state == UNKNOWN


@given(st.permutations(range(8)), st.integers(0, 15))
@settings(max_examples=60, deadline=None)
def test_any_order_of_the_data_lines_is_recognised(order: list[int], start: int) -> None:
    assert judge.data_lines(shifting_one(order, start)) == judge.Lines({}, [], order)


LEVEL = st.sampled_from(["1100", "0000", "1111", "0101", "", "x"])
NAMES = ["SDA", "SCL", "PCLK", "HREF", "VSYNC", *(f"D{line}" for line in range(8))]


@given(
    st.builds(
        Measured,
        levels=st.dictionaries(st.sampled_from(NAMES), LEVEL),
        no_i2c=st.none() | st.just("busy"),
        addresses=st.none() | st.lists(st.integers(0, 127), max_size=3),
        chip=st.none() | st.tuples(st.integers(0, 255), st.integers(0, 255)) | st.just((0x76, 0x73)),
        edges=st.dictionaries(st.sampled_from(["VSYNC", "HREF", "PCLK"]), st.integers(0, 2048)),
        pattern=st.none()
        | st.integers(0, 9).map(lambda k: np.random.default_rng(k).integers(0, 256, (3, 160), np.uint8)),
        picture=st.none() | st.integers(0, 255).map(lambda grey: frame(np.full((60, 80), grey, np.uint8))),
    )
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_measured_what_is_bad_says_what_to_do(measured: Measured) -> None:
    findings = judged(measured)
    assert findings
    assert all(finding.todo for finding in findings if finding.state == BAD)
    assert all("\n" not in str(finding) for finding in findings)


@given(st.lists(st.text() | st.text().map(lambda text: judge.MARK + text), max_size=8))
@settings(max_examples=100, deadline=None)
def test_lines_that_are_not_the_self_tests_do_no_harm(lines: list[str]) -> None:
    judge.read(lines)


def test_the_self_tests_lines_are_read_and_damaged_ones_left_out() -> None:
    picture = frame(stripes())
    rows = [base64.b64encode(row.tobytes()).decode() for row in picture]
    lines = [
        "picodigits: frame=3 read=7",
        "selftest board id=raspberry_pi_pico version=10.0.0 heap=154832",
        "selftest levels SDA=1111",
        "selftest i2c addresses=",
        "selftest chip pid=0x76 ver=zz",
        "selftest edges VSYNC=3",
        "selftest edges HREF=many",
        *(f"selftest pattern {bytes(row).hex()}" for row in shifting_one()),
        *(f"selftest picture {row}" for row in rows),
    ]
    seen = judge.read(lines)
    assert (seen.addresses, seen.chip, seen.edges) == ([], None, {"VSYNC": 3})
    assert seen.levels == {"SDA": "1111"}
    np.testing.assert_array_equal(seen.picture, picture)
    np.testing.assert_array_equal(seen.pattern, shifting_one())
    assert judge.read(lines[:-1]).picture is None, "a picture with a row missing is none"


def test_each_answer_about_the_screen_is_judged() -> None:
    states = [judge.screen(number, PINS, PICO).state for number in range(len(judge.ANSWERS))]
    assert states == [OK, OK, OK, BAD, BAD, BAD, BAD]
    assert judge.screen(None, PINS, PICO).state == UNKNOWN
    assert "GP10, pin 14" in judge.screen(4, PINS, PICO).todo


# --- finding it ---------------------------------------------------------------------------------------------

BOOT_OUT = "Adafruit CircuitPython {} on 2025-10-01; Raspberry Pi Pico with rp2040\r\nBoard ID:{}\r\nUID:{}\r\n"


def circuitpy(
    path: Path, version: str = "10.0.0", board_id: str = "raspberry_pi_pico", uid: str = "E6614103E7452D2F"
) -> Path:
    """A drive with the application on it, as deploy leaves it."""
    for name, content in deploy.as_deployed(MODEL).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    (path / "boot_out.txt").write_text(BOOT_OUT.format(version, board_id, uid))
    return path


def found(name: str, drives: Sequence[Path] = (), ports: Sequence[SerialPort] = ()) -> tuple[Place, list[Finding]]:
    return doctor.look_for(name, lambda: list(drives), lambda: list(ports))


ONE = SerialPort("COM7", "Pico", "e6614103e7452d2f")
OTHER = SerialPort("COM8", "Pico W", "AB")


def test_a_board_is_its_drive_and_its_port(tmp_path: Path) -> None:
    drive = circuitpy(tmp_path / "CIRCUITPY")
    place, findings = found("auto", [drive], [ONE])
    assert place.drive is not None
    assert (place.drive.path, place.port) == (drive, "COM7")
    assert not wrong(findings)


def test_of_several_boards_port_and_drive_belong_together_by_the_chips_number(tmp_path: Path) -> None:
    drive, second = circuitpy(tmp_path / "one"), circuitpy(tmp_path / "two", uid="AB")
    for name, path, port in (("COM8", second, "COM8"), ("COM7", drive, "COM7"), (str(second), second, "COM8")):
        place, findings = found(name, [drive, second], [ONE, OTHER])
        assert place.drive is not None
        assert (place.drive.path, place.port) == (path, port)
        assert not wrong(findings)
    place, findings = found("auto", [drive, second], [ONE, OTHER])
    assert (place.drive, place.port) == (None, None)
    assert wrong(findings) == ["drive", "serial port"]
    assert all("--board" in finding.todo for finding in findings)


def test_halves_of_two_boards_are_not_taken_for_one(tmp_path: Path) -> None:
    drive = circuitpy(tmp_path / "CIRCUITPY")
    place, findings = found("auto", [drive], [OTHER])
    assert (wrong(findings), place.port) == (["serial port"], None)
    assert "another board" in findings[-1].text
    assert found(str(drive), [drive], [OTHER])[0].port is None


def test_nothing_plugged_in_a_new_board_and_a_silent_one_are_told_apart(tmp_path: Path) -> None:
    _, findings = found("auto")
    assert wrong(findings) == ["board"]
    assert "cable that carries data" in findings[0].todo
    (tmp_path / "RPI-RP2").mkdir()
    (tmp_path / "RPI-RP2" / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\r\nBoard-ID: RPI-RP2\r\n")
    place, findings = found("auto", [tmp_path / "RPI-RP2"])
    assert wrong(findings) == ["board"]
    assert "picodigits deploy" in findings[0].todo
    assert list(doctor.examine(place)) == []
    place, findings = found("auto", [circuitpy(tmp_path / "CIRCUITPY")])
    assert wrong(findings) == ["serial port"]
    assert [one.topic for one in doctor.examine(place)][-1] == "self-test"
    place, findings = found("auto", [], [ONE])
    assert place.port == "COM7"
    assert [(one.topic, one.state) for one in findings] == [("drive", UNKNOWN), ("serial port", OK)]


@pytest.mark.skipif(os.name != "posix", reason="rights of another kind")
def test_a_port_without_the_right_to_it_says_how_to_get_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "ttyACM0"
    port.touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    place, findings = found("auto", [], [SerialPort(str(port), "Pico")])
    assert place.port is None
    assert "dialout" in told(findings, "serial port").todo


def test_a_name_that_is_neither_drive_nor_port_is_refused() -> None:
    with pytest.raises(BoardError, match=r"got nothing-here, need auto.*There are: COM7"):
        found("nothing-here", [], [ONE])


# --- the drive ----------------------------------------------------------------------------------------------


def examined(root: Path, free: int | None = None) -> list[Finding]:
    return doctor.examine_drive(
        Drive(root) if not (root / "boot_out.txt").exists() else found(str(root))[0].drive, free
    )


def test_nothing_is_wrong_with_what_deploy_puts_there(tmp_path: Path) -> None:
    findings = examined(circuitpy(tmp_path / "CIRCUITPY"))
    assert {finding.state for finding in findings} == {OK}, [str(finding) for finding in findings]
    assert told(findings, "model").text.startswith("article, ")


def without(*names: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name in names:
            (root / name).unlink()

    return change


def with_file(name: str, content: bytes | str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


@pytest.mark.parametrize(
    ("change", "topic", "words"),
    [
        (with_file("boot_out.txt", BOOT_OUT.format("8.2.10", "raspberry_pi_pico", "1")), "CircuitPython", ["8.2.10"]),
        (without("code.py"), "application", ["no code.py"]),
        (without("lib/picodigits_board/find.py"), "application", ["find.py missing", "picodigits deploy"]),
        (with_file("lib/adafruit_ov7670.py", "half"), "application", ["adafruit_ov7670.py damaged"]),
        (with_file("code.py", deploy.WAITING), "application", ["never finished"]),
        (with_file("code.py", "print(1)"), "application", ["another program"]),
        (with_file("settings.toml", "PICODIGITS_FLIP_X = yes"), "settings", ["can't be read"]),
        (with_file("settings.toml", 'PICODIGITS_FLIP_X = "1"'), "settings", ["FLIP_X has to be a whole number"]),
        (with_file("settings.toml", "PICODIGITS_FLIP_X = true"), "settings", ["FLIP_X has to be a whole number"]),
        (with_file("settings.toml", "PICODIGITS_FLIPX = 1"), "settings", ["none that the application has", "FLIP_X"]),
        (with_file("settings.toml", 'PICODIGITS_DISPLAY = "oled"'), "settings", ["'oled', need st7735r or none"]),
        (with_file("settings.toml", 'PICODIGITS_MODEL = "/mine.pdm"'), "model", ["no /mine.pdm"]),
        (with_file("adafruit_ov7670.mpy", "C"), "stray files", ["imports adafruit_ov7670.mpy", "Delete"]),
        (with_file("code.txt", "print(1)"), "stray files", ["code.txt runs"]),
        (with_file(deploy.PINS, "CAMERA_PCLK = 3"), "pins.py", ["CAMERA_DATA: got nothing"]),
    ],
)
def test_what_is_wrong_on_a_drive_is_told(
    tmp_path: Path, change: Callable[[Path], None], topic: str, words: list[str]
) -> None:
    change(circuitpy(tmp_path / "CIRCUITPY"))
    findings = examined(tmp_path / "CIRCUITPY")
    assert wrong(findings) == [topic]
    assert all(word in str(told(findings, topic)) for word in words), str(told(findings, topic))
    assert told(findings, topic).todo


def test_a_full_drive_and_one_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = circuitpy(tmp_path / "CIRCUITPY")
    assert wrong(examined(root, free=512)) == ["space"]

    read_bytes = Path.read_bytes

    def gone(self: Path) -> bytes:
        if self.is_relative_to(root):
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(self)

    drive = found(str(root))[0].drive
    assert drive is not None
    monkeypatch.setattr(Path, "read_bytes", gone)
    assert next(str(one) for one in doctor.examine_drive(drive)).startswith("BAD drive: ")


def test_an_application_that_was_copied_by_hand_is_known_too(tmp_path: Path) -> None:
    root = circuitpy(tmp_path / "CIRCUITPY")
    (root / deploy.RECORD).unlink()
    assert "put there by hand" in told(examined(root), "application").text
    (root / "lib/picodigits_board/find.py").write_bytes(b"")
    assert "find.py missing or not those" in told(examined(root), "application").text
    other = tmp_path / "other"
    with_file("code.py", "print(1)")(other)
    assert "another program" in told(examined(other), "application").text


def test_another_version_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = circuitpy(tmp_path / "CIRCUITPY")
    newer = {**circuitpy_files(modelfile.find("fast").data), "lib/picodigits_board/new.py": b"1"}
    monkeypatch.setattr(doctor, "circuitpy_files", lambda *_: newer)
    finding = told(examined(root), "application")
    assert (finding.state, "another picodigits" in finding.text) == (OK, True)


# --- the raw REPL -------------------------------------------------------------------------------------------


class Played:
    """A board that this computer plays on a pty: a program that runs, and CircuitPython's REPL behind it."""

    def __init__(self, silent: bool = False) -> None:
        from picodigits.bench.serial_port import open_wire

        self.wire = open_wire("pty")
        self.silent = silent
        self.state = "runs"
        self.root: Path | None = None  # what it has for a drive
        self.started = 1  # times that its program has begun
        self._code = bytearray()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self.wire.close()

    def _serve(self) -> None:
        while not self._closing.wait(0.002):
            for byte in self.wire.read():
                if not self.silent:
                    self._take(bytes((byte,)))

    def _take(self, byte: bytes) -> None:
        if byte == b"\x03":
            if self.state == "runs":
                self.state = "over"
                self.wire.write(b"Traceback:\r\nKeyboardInterrupt\r\nPress any key to enter the REPL.\r\n")
            self._code.clear()
        elif self.state == "over":  # any key
            self.state = "friendly"
            self.wire.write(b"\r\nAdafruit CircuitPython 10.0.0\r\n>>> ")
        elif byte == b"\x01":
            self.state = "raw"
            self.wire.write(b"raw REPL; CTRL-B to exit\r\n>")
        elif byte == b"\x02":
            self.state = "friendly"
            self.wire.write(b"\r\n>>> ")
        elif byte == b"\x04":
            self._end()
        elif self.state == "raw":
            self._code += byte

    def _open(self, path: str, mode: str) -> Any:
        return open(f"{self.root}/{path}", mode)  # noqa: PTH123

    def _end(self) -> None:
        if self.state == "friendly":
            self.state = "runs"
            self.started += 1
            self.wire.write(b"soft reboot\r\n")
        elif self.state == "raw":
            said: list[str] = []
            words = {"print": lambda *parts: said.append(" ".join(map(str, parts)) + "\r\n"), "open": self._open}
            error = b""
            try:
                exec(self._code.decode(), words)
            except Exception as raised:
                error = f"Traceback (most recent call last):\r\n{type(raised).__name__}: {raised}\r\n".encode()
            self._code.clear()
            self.wire.write(b"OK" + "".join(said).encode() + b"\x04" + error + b"\x04>")


@pytest.fixture
def played() -> Iterator[Played]:
    if not hasattr(os, "openpty"):
        pytest.skip("needs a pty")
    board = Played()
    yield board
    board.close()


def test_a_program_runs_on_the_board_and_then_its_own_starts_again(played: Played) -> None:
    lines: list[str] = []
    with repl.RawRepl(played.wire.name) as board:
        assert board.run("for i in range(3):\n    print(i)", heard=lines.append) == "0\n1\n2\n"
        assert board.run(f"print(len('{'x' * 5000}'))") == "5000\n"
    assert lines == ["0", "1", "2"]
    for _ in range(200):
        if played.started == 2:
            break
        played._closing.wait(0.01)
    assert (played.state, played.started) == ("runs", 2)


def test_a_program_that_fails_tells_the_boards_reason(played: Played) -> None:
    with repl.RawRepl(played.wire.name) as board:
        with pytest.raises(LinkError, match=r"need its program to run: NameError: name 'nothing' is not defined"):
            board.run("nothing")
        assert board.run("print(1)") == "1\n"


def test_a_board_that_is_silent_or_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "openpty"):
        pytest.skip("needs a pty")
    monkeypatch.setattr(repl, "_ENTER_S", 0.5)
    silent = Played(silent=True)
    with pytest.raises(LinkError, match=r"got no REPL in .*need CircuitPython's\. The board said: nothing\. Press its"):
        repl.RawRepl(silent.wire.name)
    name = silent.wire.name
    silent.close()
    with pytest.raises(LinkError, match=r"need the board's serial port"):
        repl.RawRepl(name)


def test_a_port_that_another_program_has_open_is_told(played: Played) -> None:
    with (
        serial.serial_for_url(played.wire.name, exclusive=True),
        pytest.raises(LinkError, match=r"Another program has it open: close Thonny"),
    ):
        repl.RawRepl(played.wire.name)


def test_a_board_that_hangs_or_is_pulled_in_the_middle_is_told(played: Played) -> None:
    board = repl.RawRepl(played.wire.name)
    played.silent = True
    with pytest.raises(LinkError, match=r"got no end of the program"):
        board.run("print(1)", limit_s=0.2)
    played.close()
    with pytest.raises(LinkError, match=r"need the board to stay there"):
        board.run("print(1)", limit_s=5)
    board.close()
    played.wire.close = lambda: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (serial.SerialException("Could not exclusively lock port /dev/ttyACM0: [Errno 11]"), "Another program has it"),
        (serial.SerialException("[Errno 16] could not open port: Device or resource busy"), "Another program has it"),
        (PermissionError(13, "Permission denied"), "dialout" if os.name == "posix" else "Another program"),
        (serial.SerialException("[Errno 2] could not open port COM9: no such file"), "plugged in"),
        (OSError(5, "Input/output error"), "plug it in again"),
    ],
)
def test_why_a_port_could_not_be_opened(error: Exception, words: str) -> None:
    assert words in repl.why_not_opened(error)


def test_what_the_board_reads_is_compared_with_what_was_written(played: Played, tmp_path: Path) -> None:
    drive = circuitpy(tmp_path / "CIRCUITPY")
    played.root = drive
    plan = deploy.prepare(deploy.choose(drive), MODEL)
    deploy.verify(plan, played.wire.name)
    played.root = circuitpy(tmp_path / "as the board has it")
    (played.root / "model.pdm").write_bytes(b"as it was before")
    (played.root / "code.py").unlink()
    with pytest.raises(DeployError, match=r"got 2 files that the board reads otherwise, code\.py, model\.pdm, need"):
        deploy.verify(plan, played.wire.name)


def test_a_drives_port_is_that_with_the_same_number(tmp_path: Path) -> None:
    drive = found(str(circuitpy(tmp_path / "CIRCUITPY")))[0].drive
    assert drive is not None
    assert doctor.port_of(drive, lambda: [OTHER, ONE]) == "COM7"
    assert doctor.port_of(drive, lambda: [SerialPort("/dev/x", "Pico")]) == "/dev/x"
    with pytest.raises(BoardError, match=r"got no serial ports that are this board"):
        doctor.port_of(drive, lambda: [OTHER])


def test_a_board_that_cannot_be_reached_is_a_finding(tmp_path: Path) -> None:
    (finding,) = doctor.examine_board(Place(port=str(tmp_path / "ttyACM9")), PINS)
    assert (finding.topic, finding.state) == ("self-test", BAD)
    assert finding.todo


def test_the_self_test_is_sent_without_what_only_a_reader_needs() -> None:
    source = doctor.program()
    compile(source, "selftest.py", "exec")
    assert '"""' not in source
    assert len(source) < 9000, "the board has to hold it beside what it compiles to"


# --- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def picodigits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run the verb with no port and no drive but those that it is told."""
    from picodigits import cli

    monkeypatch.setattr(doctor.drives, "roots", list)
    monkeypatch.setattr(doctor.connection, "find_ports", list)
    monkeypatch.setattr(doctor.list_ports, "comports", list)

    def run(*words: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        status = cli.main([str(word) for word in words])
        return status, capsys.readouterr().out

    return run


def test_the_verb_prints_a_line_a_finding_and_fails_where_one_is_bad(
    picodigits: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    root = circuitpy(tmp_path / "CIRCUITPY")
    status, out = picodigits("doctor", "--board", root, "--yes")
    assert status == 1
    assert out.splitlines()[0].startswith("BAD serial port: ")
    assert "ok  application: whole" in out
    assert out.splitlines()[-1] == "1 to put right, first: serial port."
    status, out = picodigits("doctor")
    assert (status, out.count("\n")) == (1, 3)


def test_the_verb_gives_machines_the_same(picodigits: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    status, out = picodigits("doctor", "--board", circuitpy(tmp_path / "CIRCUITPY"), "--json")
    said = json.loads(out)
    assert status == 1
    assert {"topic", "state", "text", "todo"} == said[0].keys()
    assert [one["topic"] for one in said if one["state"] == "BAD"] == ["serial port"]


def test_a_wiring_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match=r"need a pins\.py"):
        doctor.wiring_of(Place(), tmp_path / "none.py")
