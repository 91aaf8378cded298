"""The user's guide: a newcomer types every command in it, in order, in front of a board that this computer plays."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from picodigits import camera, captures, cli, datasets, modelfile
from picodigits.bench import firmware
from picodigits.board import connection, drives
from picodigits.board.stand_in import StandIn
from picodigits.errors import FirmwareError

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
    """Holds up what `capture` asks for: a new sheet each time, and empty paper while the sheets change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        digits = datasets.load("digits", "test")
        self._sheets = {
            label: camera.photograph(digits.images[digits.labels == label][:SHEETS], "studio", seed=7)
            for label in range(10)
        }
        self._paper = camera.photograph(np.zeros((1, 28, 28), np.uint8), "studio", seed=7)[0]
        self._before = 0
        self._paper_left = 0

    def __call__(self, number: int) -> NDArray[np.uint16]:
        """What the camera sees at frame `number`."""
        shown = sum(1 for _ in self._folder.rglob("*.rgb565"))
        if shown != self._before:
            self._before, self._paper_left = shown, BLANK
        if self._paper_left:
            self._paper_left -= 1
            return self._paper
        taken = [item.label for item in captures.scan(self._folder).items] if self._folder.is_dir() else []
        label = next((digit for digit in range(10) if taken.count(str(digit)) < 5), 7)
        return self._sheets[label][shown % SHEETS]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "CIRCUITPY").mkdir()
    (folder / "CIRCUITPY" / "boot_out.txt").write_text(
        "Adafruit CircuitPython 10.0.0 on 2025-10-09; Raspberry Pi Pico with rp2040\n"
        "Board ID:raspberry_pi_pico\nUID:E6614C311B4C8A2F\n"
    )
    return folder


@pytest.fixture(scope="module")
def board(place: Path) -> Iterator[StandIn]:
    with StandIn(modelfile.find("fast"), Newcomer(place / "captures"), fps=100) as made:
        yield made


def no_firmware(*_: object) -> None:
    raise FirmwareError("firmware: got none, need one")


LINES = [(page.stem, line) for page in _pages() for line in commands(page)]


def test_the_guide_has_all_its_pages_and_each_is_in_the_index() -> None:
    assert set(_pages()) == set(GUIDE.glob("*.md"))
    assert len(LINES) >= 15


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda text: text[:60])
def test_a_newcomer_types_it_and_it_works(
    page: str,
    line: str,
    place: Path,
    board: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = shlex.split(line)
    assert words[0] == "picodigits", line
    monkeypatch.chdir(place)
    monkeypatch.setattr(drives, "roots", lambda: [place / "CIRCUITPY"])
    # The stand-in has no REPL: the doctor finds the drive alone.
    ports = [] if words[1] == "doctor" else [connection.Port(board.name, "a board that this computer plays")]
    monkeypatch.setattr(connection, "find_ports", lambda: ports)
    monkeypatch.setattr(firmware, "find", no_firmware)  # without the emulated Pico, which takes minutes
    status = cli.main(words[1:])
    said = capsys.readouterr()
    if words[1] == "doctor":
        bad = [one for one in said.out.splitlines() if one.startswith("BAD")]
        assert len(bad) == 1, said.out
        assert "serial port" in bad[0]
        return
    assert status == 0, said.out + said.err
