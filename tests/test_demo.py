"""The main job, from handwriting to the LCD picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picodigits import datasets, demo, modelfile
from picodigits.frames import load_frames


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    return demo.run(tmp_path_factory.mktemp("demo"), count=10, bench=False)


def test_the_demo_reads_most_of_its_handwriting(made: demo.Demo) -> None:
    assert [line.written for line in made.lines] == list("0123456789")
    assert sum(line.right for line in made.lines) >= 8


def test_the_contact_sheet_shows_every_digit(made: demo.Demo) -> None:
    sheet = np.asarray(Image.open(made.sheet).convert("RGB"))
    assert sheet.shape == (3 * 366 + 12, 4 * 448 + 12, 3)
    for i in range(10):
        x, y = 12 + i % 4 * 448, 12 + i // 4 * 366
        screen = sheet[y : y + 320, x + 172 : x + 172 + 256].astype(int)
        assert np.ptp(screen[:120, :160]) > 60, "the camera's picture"
        assert screen[132:, :108].max() > 240, "the digit"


def test_two_runs_give_the_same_picture(made: demo.Demo, tmp_path: Path) -> None:
    again = demo.run(tmp_path, count=10, bench=False)
    assert again.sheet.read_bytes() == made.sheet.read_bytes()


def test_without_mnist_the_demo_says_so_and_uses_the_bundled_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PICODIGITS_DATA", raising=False)
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "empty")
    result = demo.run(tmp_path, count=3, bench=False)
    assert {line.source for line in result.lines} == {"digits"}
    assert "picodigits data get mnist" in result.notes[0]


def test_the_lcd_picture_of_a_frame_is_128_by_160(tmp_path: Path) -> None:
    frame = np.full((60, 80, 3), 220, np.uint8)
    frame[10:50, 38:42] = 20
    Image.fromarray(frame).save(tmp_path / "one.png")
    picture = demo.lcd_picture(modelfile.find("fast"), load_frames(tmp_path / "one.png").frames[0])
    assert picture.size == (128, 160)
