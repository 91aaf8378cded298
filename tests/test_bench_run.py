"""What the board says, read; and what a run hands back. Without firmware."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picodigits.bench import faults, parity
from picodigits.bench.firmware import Firmware
from picodigits.bench.run import BenchResult, FrameSeen, parse_line, run
from picodigits.errors import BenchError


def test_a_line_is_read_into_its_values_and_unknown_keys_are_kept() -> None:
    line = "picodigits: frame=3 read=7 confidence=97 box=12,3,40,52 capture_ms=11.2 novel=yes"
    assert parse_line(line) == {
        "frame": "3",
        "read": "7",
        "confidence": "97",
        "box": "12,3,40,52",
        "capture_ms": "11.2",
        "novel": "yes",
    }


def test_an_error_takes_the_rest_of_its_line() -> None:
    assert parse_line("picodigits: error=no answer on I2C. Check GP20 = SDA\r") == {
        "error": "no answer on I2C. Check GP20 = SDA"
    }
    assert parse_line("picodigits: frame=1 error=out of memory") == {"frame": "1", "error": "out of memory"}


def test_what_stands_before_the_prefix_is_dropped() -> None:
    assert parse_line("\x1b]0;code.py\x1b\\picodigits: frame=0") == {"frame": "0"}


@pytest.mark.parametrize("line", ["", "hello", "Traceback (most recent call last):", "frame=1"])
def test_any_other_line_is_none(line: str) -> None:
    assert parse_line(line) is None


@pytest.fixture
def result() -> BenchResult:
    firmware = Firmware(Path("x.uf2"), "10.0.0", "2025-10-01", "Raspberry Pi Pico", 900_000, "0" * 64)
    lcd = np.zeros((160, 128, 3), np.uint8)
    lcd[:, :, 1] = 255
    frames = [
        FrameSeen(
            {"frame": str(n), "read": "7", "confidence": "97", "loop_ms": f"{80 + n}.0", "free": f"{9000 - n}"},
            1000.0 + 100 * n,
            n // 2,
            lcd,
        )
        for n in range(4)
    ]
    return BenchResult(firmware, frames, lcd=lcd, first_prediction_ms=1000.0, drive_used_bytes=512)


def test_means_leave_the_first_frame_out(result: BenchResult) -> None:
    assert result.mean_ms() == {"loop_ms": 82.0}
    assert result.per_second() == pytest.approx(10.0)


def test_the_table_says_virtual_and_what_the_clock_covers(result: BenchResult) -> None:
    table = dict(result.table())
    assert table["read"] == "7  97 %"
    assert table["loop"] == "82.0 virtual ms"
    assert table["heap free"] == "8997 bytes (lowest 8997)"
    assert "flash cache misses" in table["the clock covers"]


def test_saving_writes_the_lcd_at_both_sizes_and_the_figures(result: BenchResult, tmp_path: Path) -> None:
    paths = result.save(tmp_path / "out")
    assert all(path.exists() for path in paths)
    with Image.open(tmp_path / "out" / "lcd.png") as small, Image.open(tmp_path / "out/lcd_large.png") as large:
        assert (small.size, large.size) == ((128, 160), (512, 640))
        assert small.getpixel((5, 5)) == (0, 255, 0)
    assert {"lcd_000.png", "lcd_001.png"} <= {path.name for path in paths}
    figures = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert figures["mean_ms"] == {"loop_ms": 82.0}
    assert [frame["picture"] for frame in figures["frames"]] == [0, 0, 1, 1]


def test_a_run_without_pictures_is_refused() -> None:
    with pytest.raises(BenchError, match="got 0 pictures"):
        run({}, [])


def test_a_damaged_model_differs_in_one_bit_of_the_largest_model() -> None:
    files = {"code.py": b"1", "small.pdm": b"\0" * 10, "model.pdm": b"\0" * 100}
    damaged = faults.FAULTS["damaged-model"].files(files)
    assert {path for path in files if files[path] != damaged[path]} == {"model.pdm"}
    assert sum(bin(byte).count("1") for byte in damaged["model.pdm"]) == 1
    with pytest.raises(BenchError, match=r"no \.pdm file"):
        faults.FAULTS["damaged-model"].files({})


def test_buffers_too_small_for_their_marks_are_refused() -> None:
    with pytest.raises(BenchError, match="need 24 or more"):
        parity.FedBoard("", {}, result_bytes=4)
