"""The bench with the real CircuitPython in it. Skipped where its UF2 is not in the cache."""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
import zlib
from importlib import resources
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rp2040py", reason="needs the extra 'bench'")

from picodigits import camera, datasets, modelfile
from picodigits.bench import firmware as firmware_files
from picodigits.bench.board import Board
from picodigits.bench.ov7670 import MVFP_MIRROR, MVFP_VFLIP, OV7670
from picodigits.bench.parity import FedBoard, run_on_board
from picodigits.bench.run import parse_line, run
from picodigits.bench.serial_port import SerialPort
from picodigits.bench.st7735r import ST7735R
from picodigits.errors import BenchError
from picodigits.executors import NumpyExecutor
from picodigits.export.bundle import circuitpy_files
from picodigits.frames import encode
from picodigits.lcd import Lcd
from picodigits.modelfile import DenseLayer
from picodigits_board import network, preprocess, reading
from picodigits_board.look import LOOKS
from picodigits_board.modelfile import Model

pytestmark = [
    pytest.mark.firmware,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="copies running boards with fork"),
]

CAMERA_PROGRAM = b"""
import time
time.sleep(0.1)
import binascii, board, busio, struct
from adafruit_ov7670 import OV7670
bus = busio.I2C(board.GP21, board.GP20)
cam = OV7670(bus, data_pins=[getattr(board, "GP%d" % i) for i in range(8)], clock=board.GP8, vsync=board.GP13,
             href=board.GP12, mclk=board.GP9, shutdown=board.GP15, reset=board.GP14)
buffers = {3: bytearray(9600), 2: bytearray(38400)}
def shoot(size, count):
    if cam.size != size:
        cam.size = size
    for _ in range(count):
        cam.capture(buffers[size])
        print("crc", binascii.crc32(buffers[size]))
    print("done", "shooting")
print("camera", "ready")
while True:
    exec(input())
"""


def driver(name: str) -> bytes:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_bytes()


@pytest.fixture(scope="session")
def camera_board(firmware: firmware_files.Firmware) -> Board:
    """A board whose program has started the camera and waits for what to do. Tests work on copies of it."""
    package = find_spec("adafruit_bus_device")
    assert package is not None
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0])
    files = {
        "code.py": CAMERA_PROGRAM,
        "lib/adafruit_ov7670.py": driver("adafruit_ov7670"),
        "lib/adafruit_bus_device/__init__.py": b"",
        "lib/adafruit_bus_device/i2c_device.py": (folder / "i2c_device.py").read_bytes(),
    }
    board = Board(firmware.path, files, camera=OV7670(lambda: np.zeros((60, 80), np.uint16)))
    board.boot(quick=True)
    board.run_until_text(b"camera ready", limit_ms=5000)
    board.run(20)
    return board


@pytest.fixture(scope="session")
def bare_board(firmware: firmware_files.Firmware) -> Board:
    """A board without a program, whose own code may write to its drive."""
    files = {
        "boot.py": b"import storage\nstorage.remount('/', False)\n",
        "code.py": b"",
        "a long name of a file.txt": b"from the PC\n",
        "data/random.bin": np.random.default_rng(3).bytes(70_000),
    }
    board = Board(firmware.path, files, lcd=ST7735R())
    board.boot(quick=True)
    board.run_until_text(b"Press any key", limit_ms=5000)
    return board


@pytest.fixture(scope="session")
def application() -> dict[str, bytes]:
    """What `deploy` copies, with the smallest model that ships."""
    models = [
        entry.read_bytes()
        for entry in resources.files("picodigits.pretrained").iterdir()
        if entry.name.endswith(".pdm")
    ]
    return circuitpy_files(min(models, key=len))


def digit_like(seed: int) -> np.ndarray:
    """A dark bar on light paper at some place, (60, 80) uint16 RGB565_SWAPPED."""
    grey = np.full((60, 80), 220, np.uint16)
    left = 25 + seed * 3
    grey[10:50, left : left + 6] = 30
    return ((grey >> 3) << 11 | (grey >> 2) << 5 | grey >> 3).astype(np.uint16).byteswap()


def checksums(board: Board, size: int, count: int, *, limit_ms: float = 5000) -> list[int]:
    """Let the program take this many pictures; the CRC-32 that it computed of each."""
    start = len(board.serial)
    board.write(b"shoot(%d, %d)\r" % (size, count))
    end = board.run_until_text(b"done shooting", limit_ms=limit_ms, start=start + 20)
    words = bytes(board.serial[start:end]).split()
    return [int(words[at + 1]) for at, word in enumerate(words) if word == b"crc"]


@pytest.mark.parametrize(("size", "shape", "count"), [(3, (60, 80), 12), (2, (120, 160), 4)])
def test_random_pictures_arrive_byte_for_byte(camera_board: Board, size: int, shape, count: int) -> None:
    random = np.random.default_rng(size)
    pictures = [random.integers(0, 65536, shape, np.uint16) for _ in range(count)]

    def scenario(board: Board) -> list[int]:
        sensor = board.camera.device
        assert sensor is not None
        sensor.source = iter([*pictures, *pictures]).__next__
        return checksums(board, size, count)

    assert camera_board.fork(scenario)() == [zlib.crc32(picture.tobytes()) for picture in pictures]


@pytest.mark.parametrize("speed", [1.0, 8.0])
def test_pictures_arrive_whole_at_the_datasheets_speed_and_faster(camera_board: Board, speed: float) -> None:
    picture = np.random.default_rng(9).integers(0, 65536, (60, 80), np.uint16)

    def scenario(board: Board) -> tuple[list[int], float]:
        sensor = board.camera.device
        assert sensor is not None
        sensor.source, sensor.speed = lambda: picture, speed
        checksums(board, 3, 1)
        begun = board.ms
        return checksums(board, 3, 2), board.ms - begun

    received, ms = camera_board.fork(scenario)()
    assert received == [zlib.crc32(picture.tobytes())] * 2
    if speed == 1.0:
        assert ms > 2 * 42  # two frames of 44.8 ms, less the lines without pixels


def test_the_drivers_flips_colour_space_and_test_pattern_reach_the_sensor(camera_board: Board) -> None:
    picture = np.random.default_rng(5).integers(0, 65536, (60, 80), np.uint16)

    def scenario(board: Board) -> dict[str, list[int]]:
        sensor = board.camera.device
        assert sensor is not None
        sensor.source = lambda: picture
        answers = {}
        for name, code in (
            ("flip_y", b"cam.flip_y = True"),
            ("flip_x", b"cam.flip_x = True"),
            ("pattern", b"cam.test_pattern = 2"),
            ("yuv", b"cam.colorspace = 1"),
        ):
            board.write(code + b"\r")
            board.run(30)
            answers[name] = [*checksums(board, 3, 1), sensor.registers[0x1E]]
        return answers

    answers = camera_board.fork(scenario)()
    assert answers["flip_y"] == [zlib.crc32(picture[::-1].tobytes()), 0x07 | MVFP_VFLIP]
    assert answers["flip_x"] == [zlib.crc32(picture[::-1, ::-1].tobytes()), 0x07 | MVFP_VFLIP | MVFP_MIRROR]
    assert answers["pattern"][0] != answers["flip_x"][0]
    assert answers["yuv"][0] != answers["pattern"][0]


def test_without_vsync_a_capture_waits_and_goes_on_when_it_is_back(camera_board: Board) -> None:
    def scenario(board: Board) -> tuple[bool, list[int]]:
        board.camera.broken = {"VSYNC"}
        board.write(b"shoot(3, 1)\r")
        start = len(board.serial)
        board.run(200)
        waited = b"crc" not in board.serial[start:]
        board.camera.broken = ()
        board.run_until_text(b"done shooting", limit_ms=500, start=start)
        return waited, checksums(board, 3, 1)

    waited, received = camera_board.fork(scenario)()
    assert waited
    assert received == [zlib.crc32(bytes(9600))]


def test_the_same_scenario_takes_the_same_time_to_the_nanosecond(camera_board: Board) -> None:
    def scenario(board: Board) -> float:
        checksums(board, 3, 2)
        return board.ms

    assert camera_board.fork(scenario)() == camera_board.fork(scenario)()


def test_the_board_reads_every_file_of_the_drive(bare_board: Board) -> None:
    def scenario(board: Board) -> str:
        return board.execute(
            "import binascii\n"
            "print(open('/a long name of a file.txt').read())\n"
            "print(binascii.crc32(open('/data/random.bin', 'rb').read()))"
        )

    said = bare_board.fork(scenario)().split()
    assert " ".join(said[:-1]) == "from the PC"
    assert int(said[-1]) == zlib.crc32(bare_board.files()["data/random.bin"])


def test_what_the_board_writes_is_read_back_from_its_drive(bare_board: Board) -> None:
    def scenario(board: Board) -> dict[str, bytes]:
        board.execute(
            "import os\n"
            "os.mkdir('/made here')\n"
            "with open('/made here/on the board.txt', 'w') as f: f.write('x' * 1500)\n"
            "os.sync()"
        )
        return board.files()

    files = bare_board.fork(scenario)()
    assert files["made here/on the board.txt"] == b"x" * 1500
    assert files["a long name of a file.txt"] == b"from the PC\n"
    assert b"10.0.0" in files["boot_out.txt"]


def test_a_traceback_on_the_board_is_a_bench_error(bare_board: Board) -> None:
    with pytest.raises(BenchError, match="ZeroDivisionError"):
        bare_board.fork(lambda board: board.execute("1 / 0"))()


def test_text_that_never_comes_is_an_error_with_what_was_said(bare_board: Board) -> None:
    with pytest.raises(BenchError, match="got no b'never' within 20 virtual ms"):
        bare_board.fork(lambda board: board.run_until_text(b"never", limit_ms=20))()


def test_sleeping_costs_no_real_time(bare_board: Board) -> None:
    def scenario(board: Board) -> float:
        begun = time.perf_counter()
        board.execute("import time\ntime.sleep(20)")
        return time.perf_counter() - begun

    assert bare_board.fork(scenario)() < 30  # 20 virtual s of work would take minutes


def talk(board: Board, kind: str) -> tuple[bytes, str]:
    """Type into the board's console through its port; what came back, and the port's name."""
    answer = bytearray()
    with SerialPort(board, kind) as port:
        if kind == "pty":
            handle = os.open(port.name, os.O_RDWR | os.O_NOCTTY)
            close = lambda: os.close(handle)  # noqa: E731
            client: int | socket.socket = handle
        else:
            host, number = port.name.removeprefix("socket://").split(":")
            client = socket.create_connection((host, int(number)))
            close = client.close
            handle = client.fileno()
        # The first key only leaves "Press any key"; typed too early, the rest is lost.
        stop = time.monotonic() + 60
        sent = [b"\r", b"print(6 * 7, 'by wire')\r"]
        while b"42 by wire" not in answer and time.monotonic() < stop and port.error is None:
            if sent and (len(sent) == 2 or b">>>" in answer):
                os.write(handle, sent.pop(0))
            if select.select([handle], [], [], 0.2)[0]:
                answer += os.read(handle, 4096)
        close()
        assert port.error is None
        return bytes(answer), port.name


@pytest.mark.parametrize(("kind", "begins"), [("pty", "/dev/"), ("tcp", "socket://127.0.0.1:")])
def test_tools_talk_to_the_board_through_its_serial_port(bare_board: Board, kind: str, begins: str) -> None:
    if kind == "pty" and sys.platform == "win32":
        pytest.skip("no ptys on Windows")
    answer, name = bare_board.fork(lambda board: talk(board, kind))()
    assert b"42 by wire" in answer
    assert name.startswith(begins)


def test_the_lcd_shows_what_the_pc_draws_in_time_and_without_heap_growth(
    firmware: firmware_files.Firmware, application: dict[str, bytes]
) -> None:
    digits = datasets.load("digits", "test").first_of_each(1).images[:5]
    pictures = camera.photograph(digits, "studio", seed=5)
    frames_each = 6
    steps: list[tuple[str, int, int]] = []
    result = run(  # 30 frames
        application, pictures, firmware=firmware, frames_each=frames_each, progress=lambda *step: steps.append(step)
    )
    assert not result.errors
    assert (steps[0], steps[-1]) == (("boot", 0, 1), ("frames", 30, 30))
    assert [frame.values["frame"] for frame in result.frames] == [str(number) for number in range(30)]
    assert [frame.picture for frame in result.frames] == [number // frames_each for number in range(30)]
    assert {"capture_ms", "loop_ms"} <= result.mean_ms().keys()
    assert result.first_prediction_ms is not None
    assert result.first_prediction_ms < 4500
    assert result.boot_picture_ms is not None
    assert result.first_picture_ms is not None
    assert result.boot_picture_ms < result.first_picture_ms < 3500
    assert max(float(frame.values["screen_ms"]) for frame in result.frames) < 15
    free = [int(frame.values["free"]) for frame in result.frames[1:]]
    assert max(free) - min(free) < 512

    model = modelfile.parse(application["model.pdm"])
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)
    lcd = Lcd(model)
    for frame in result.frames[frames_each - 1 :: frames_each]:  # when all has been drawn
        picture = pictures[frame.picture]
        ink = finder.ink(np.ascontiguousarray(picture).view(np.uint8).reshape(-1))
        read = "" if frame.values["read"] == "none" else frame.values["read"]
        drawn = np.array(lcd.show(picture, ink, read, int(frame.values["confidence"]), finder.status, 0.0, finder.box))
        seen = frame.lcd.copy()
        drawn[48:60, 86:] = seen[48:60, 86:] = 0  # frames a second
        assert np.array_equal(seen, drawn)


def side_by_side(rows: list[list[int]]) -> np.ndarray:
    """Frames of 160x120, each with these digits of scikit-learn's test writers side by side."""
    images = datasets.load("digits", "test").first_of_each(1).images
    frames = []
    for numbers in rows:
        paper = np.full((120, 160), 225.0)
        pitch = 160 // len(numbers)
        for place, number in enumerate(numbers):
            ink = Image.fromarray(images[number]).resize((pitch * 2 // 3, 56), Image.Resampling.BICUBIC)
            paper[32:88, place * pitch + pitch // 6 :][:, : ink.width] -= np.asarray(ink) * 0.7
        frames.append(encode(np.repeat(paper.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)))
    return np.stack(frames)


def row_reader(model: Model, most: int) -> reading.Reader:
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width, 2)
    return reading.make(model, finder, network.Network(model, 1), most, False)


@pytest.mark.long
def test_several_digits_in_a_large_frame_are_read_and_shown_as_the_pc_does(firmware: firmware_files.Firmware) -> None:
    model = modelfile.find("fast")
    settings = {"PICODIGITS_FRAME_SIZE": "160x120", "PICODIGITS_DIGITS": 3, "PICODIGITS_TRACE": 1}
    pictures = side_by_side([[7, 1, 2], [4, 0], [0, 6, 2]])
    frames_each = 5
    result = run(circuitpy_files(model.data, settings), pictures, firmware=firmware, frames_each=frames_each)
    assert not result.errors
    reader = row_reader(model, 3)
    lcd = Lcd(model, length=3)
    texts = []
    for number, frame in enumerate(result.frames):
        picture = pictures[frame.picture]
        flat = np.ascontiguousarray(picture).view(np.uint8).reshape(-1)
        reader.look(flat)
        reader.read(flat)
        assert frame.values["read"] == (reader.text or "none")
        assert int(frame.values["confidence"]) == reader.confidence
        assert frame.values["box"] == ",".join(map(str, reader.box or ()))
        assert frame.values["scores"] == ",".join(map(str, reader.scores or ()))
        assert reader.ink is not None
        assert reader.shown is not None
        assert frame.values["ink"] == reader.ink.tobytes().hex()
        texts.append(reader.text)
        if number % frames_each == frames_each - 1:  # when all has been drawn
            drawn = np.array(
                lcd.show(
                    picture, reader.shown, reader.text, reader.confidence, reader.status, 0.0, reader.box, reader.boxes
                )
            )
            seen = frame.lcd.copy()
            drawn[48:60, 86:] = seen[48:60, 86:] = 0  # frames a second
            assert np.array_equal(seen, drawn)
    assert {len(text) for text in texts} == {2, 3}
    free = [int(frame.values["free"]) for frame in result.frames[1:]]
    assert max(free) - min(free) < 1024  # the lines differ in length
    assert min(free) > 40_000


ROWS_PROGRAM = """
import struct
from ulab import numpy as np
from picodigits_board import modelfile, network, preprocess, reading
with open("/model.pdm", "rb") as file:
    model = modelfile.Model(file)
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width, 2)
    net = network.Network(model)
    readers = [reading.make(model, finder, net, most, False) for most in (1, 4)]
def process(frame, result):
    at = 0
    for reader in readers:
        flat = np.frombuffer(frame, dtype=np.uint8)
        reader.look(flat)
        reader.read(flat)
        shown = bytes(reader.shown.flatten())
        result[at : at + len(shown)] = shown
        at += len(shown)
        box = reader.box or (255, 255, 255, 255)
        struct.pack_into("<11i4BBB4s", result, at, *reader.scores, *box, reader.confidence, reader.status,
                         reader.text.encode())
        at += 54
        reader.forget()
"""


@pytest.mark.long
def test_board_and_pc_agree_on_frames_of_160x120_with_one_digit_and_with_several(
    firmware: firmware_files.Firmware,
) -> None:
    model = modelfile.find("tiny")
    random = np.random.default_rng(4)
    rows = side_by_side([random.integers(0, 10, count).tolist() for count in (2, 3, 4, 2)])
    images = datasets.load("digits", "test").images
    frames = np.concatenate(
        [rows, *(camera.photograph(images[:6], care, seed=5, size=(120, 160)) for care in ("desk", "hard"))]
    )
    readers = [row_reader(model, most) for most in (1, 4)]
    expected = np.zeros((len(frames), 256 + 4 * 256 + 2 * 54), np.uint8)
    for row, frame in zip(expected, frames, strict=True):
        at = 0
        for reader in readers:
            flat = np.ascontiguousarray(frame).view(np.uint8).reshape(-1)
            reader.look(flat)
            reader.read(flat)
            assert reader.shown is not None
            text = reader.text.encode()
            box = reader.box or (255, 255, 255, 255)
            said = struct.pack("<11i4BBB4s", *(reader.scores or ()), *box, reader.confidence, reader.status, text)
            row[at : at + reader.shown.size + 54] = np.frombuffer(reader.shown.tobytes() + said, np.uint8)
            at += reader.shown.size + 54
    answer = run_on_board(
        ROWS_PROGRAM, circuitpy_files(model.data), frames, result_bytes=expected.shape[1], firmware=firmware
    )
    assert np.count_nonzero((answer.results != expected).any(axis=1)) == 0


@pytest.mark.long
def test_the_loop_goes_on_while_nobody_reads_what_it_says(
    firmware: firmware_files.Firmware, application: dict[str, bytes]
) -> None:
    sensor = OV7670(lambda: digit_like(1))
    board = Board(firmware.path, application, camera=sensor, lcd=ST7735R())
    board.boot(quick=True)
    board.run_until(lambda: b"frame=1 " in board.serial, limit_ms=6000)
    board.usb_is_read = False
    begun, said = sensor.frames_sent, len(board.serial)
    board.run(6000)  # longer than the watchdog waits
    assert sensor.frames_sent - begun > 35
    board.usb_is_read = True
    board.run(600)
    lines = [parse_line(line) for line in bytes(board.serial[said:]).decode().split("\n")[1:-1]]
    numbers = [int(line["frame"]) for line in lines if line is not None and "free" in line]
    late = [number for number in numbers if number > 35]
    assert len(late) >= 3
    assert late == list(range(late[0], late[0] + len(late)))  # whole lines again, none left out


@pytest.mark.long
def test_the_largest_model_has_room_to_look_again(firmware: firmware_files.Firmware) -> None:
    model = modelfile.find("best")
    frames = camera.photograph(datasets.load("digits", "test").images[:80], "hard", seed=6)
    read = NumpyExecutor(model).read(frames)
    decider = reading.decider_of(model)
    unsure = [
        i for i in np.flatnonzero(read.inks.found) if not decider.sure(decider.likelihoods(read.scores[i].tolist()))
    ][:5]
    assert len(unsure) == 5
    result = run(circuitpy_files(model.data), list(frames[unsure]), firmware=firmware, frames_each=1)
    assert not result.errors
    assert len(result.frames) == 5
    assert min(float(frame.values["network_ms"]) for frame in result.frames) > 1400  # four looks each


SUM_PROGRAM = """
from ulab import numpy as np
def process(frame, result):
    total = sum(frame)
    result[0], result[1], result[2] = total & 255, total >> 8 & 255, total >> 16
    if frame[0] == 1 and frame[1] == 2:
        raise ValueError("one, two")
"""


def test_frames_fed_past_the_camera_give_their_results_back(firmware: firmware_files.Firmware) -> None:
    frames = np.random.default_rng(11).integers(0, 256, (6, 100), np.uint8)
    answer = run_on_board(SUM_PROGRAM, {}, frames, result_bytes=32, firmware=firmware, jobs=2)
    expected = frames.sum(axis=1, dtype=np.int64)
    assert np.array_equal(answer.results[:, :3] @ np.array([1, 256, 65536]), expected)
    assert answer.ms.shape == (6,)
    assert (answer.ms > 0).all()
    assert answer.free_bytes > 100_000

    fed = FedBoard(SUM_PROGRAM, {}, result_bytes=32, frame_bytes=100, firmware=firmware)
    with pytest.raises(BenchError, match="got frames of 99 bytes, need 100"):
        fed.feed(frames[:, :99])
    bad = frames[:1].copy()
    bad[0, :2] = 1, 2
    with pytest.raises(BenchError, match="ValueError: one, two"):
        fed.feed(bad)


def test_a_program_that_does_not_start_is_an_error_with_its_traceback(firmware: firmware_files.Firmware) -> None:
    with pytest.raises(BenchError, match="no module named 'nothing_like_this'"):
        FedBoard("import nothing_like_this", {}, result_bytes=32, firmware=firmware)


PARITY_PROGRAM = """
import struct
from ulab import numpy as np
from picodigits_board import modelfile, network, preprocess, reading
with open("/model.pdm", "rb") as file:
    model = modelfile.Model(file)
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width)
    net = network.Network(model)
classes = len(model.labels) + model.rejects
pixels = model.ink_height * model.ink_width
def process(frame, result):
    frame = np.frombuffer(frame, dtype=np.uint8)
    reader = reading.Reader(model, finder, net)
    reader.look(frame)
    result[:pixels] = bytes(reader.ink.flatten())
    reader.read(frame)
    struct.pack_into("<%di" % classes, result, pixels, *[int(score) for score in reader.scores])
    struct.pack_into("<1sBB", result, pixels + 4 * classes, reader.text.encode(), reader.confidence, reader.status)
"""


ROOM_PROGRAM = """
import gc
from picodigits_board import heap
piece = heap.take_in_one_piece()
from ulab import numpy as np
from picodigits_board import preprocess
finder = preprocess.make("find-4", 16, 16)
def process(frame, result):
    frame = np.frombuffer(frame, dtype=np.uint8)
    gc.collect()
    taken = [bytearray(4080) for _ in range(gc.mem_free() - 40000 >> 12)]
    for attempt in range(finder.looks):
        gc.collect()
        finder.ink(frame, attempt)
    result[0] = finder.looks
"""


def test_each_look_has_room_where_little_of_the_heap_is_free(firmware: firmware_files.Firmware) -> None:
    # 40 KB here; `best` leaves 49, in pieces. Parts of these frames that are taken for the digit are large.
    frames = camera.photograph(datasets.load("digits", "test").images[:218], "hard", seed=6)[[101, 154, 217]]
    files = circuitpy_files(modelfile.find("tiny").data)
    answer = run_on_board(ROOM_PROGRAM, files, frames, result_bytes=32, firmware=firmware)
    assert answer.results[:, 0].tolist() == [len(LOOKS)] * 3


def test_a_frame_that_the_heap_has_no_room_for_is_left_out_and_three_in_a_row_end_the_program(
    firmware: firmware_files.Firmware,
) -> None:
    # 70 KB of weights leave 34 KB, which blank paper can be read in, and a frame with large parts can not.
    sizes = (256, 60, 250, 60, 250, 42)
    layers = [DenseLayer(np.zeros((b, a), np.int8), np.zeros(b, np.int32), 8) for a, b in pairwise(sizes)]
    layers.append(DenseLayer(np.zeros((10, 42), np.int8), np.zeros(10, np.int32)))
    heavy = modelfile.pack(
        name="heavy", preprocess_id=preprocess.FIND, ink_shape=(16, 16), labels="0123456789", layers=layers, octave=1,
        min_confidence=0,
    )  # fmt: skip
    blank = camera.photograph(np.zeros((1, 28, 28), np.uint8), "studio", seed=6)[0]
    large = camera.photograph(datasets.load("digits", "test").images[:218], "hard", seed=6)[217]
    seen = run(circuitpy_files(heavy), [blank, large, blank, large], firmware=firmware, frames_each=1, quick=True)
    said = [line.values.get("frame") or line.values["error"].split(". ")[0] for line in seen.lines]
    left_out = "out of memory: a frame is left out"
    assert said == ["0", left_out, "2", left_out, left_out, "out of memory: use a smaller model"]
    assert seen.lcd[130:].max() == 0, "the message, not the picture of a working program"


# A network takes longer than the linear model, so 24 frames stand for 200 here.
@pytest.mark.parametrize(("name", "count", "care"), [("article", 200, "desk"), ("fast", 24, "hard")])
def test_board_and_pc_agree_on_ink_scores_and_decision(
    firmware: firmware_files.Firmware, name: str, count: int, care: str
) -> None:
    data = (resources.files("picodigits.pretrained") / f"{name}.pdm").read_bytes()
    model = modelfile.parse(data)
    pixels, classes = model.ink_height * model.ink_width, len(model.labels) + model.rejects

    frames = camera.photograph(datasets.load("digits", "test").images[:240], care, seed=6)
    if name == "fast":
        read = NumpyExecutor(model).read(frames)
        decider = reading.decider_of(model)
        sure = np.array([decider.sure(decider.likelihoods(scores)) for scores in read.scores.tolist()])
        again = np.flatnonzero(read.inks.found & ~sure)[:6]  # these are looked at again
        assert len(again) == 6
        frames = frames[np.concatenate([again, np.setdiff1d(np.arange(len(frames)), again)])]
    frames = frames[:count]
    read = NumpyExecutor(model).read(frames)
    expected = np.zeros((len(frames), pixels + 4 * classes + 3), np.uint8)
    for i, row in enumerate(expected):
        label = model.labels[read.decisions[i]].encode() if read.decisions[i] >= 0 else b""
        row[:pixels] = read.inks.inks[i].reshape(-1)
        row[pixels:-3] = np.frombuffer(struct.pack(f"<{classes}i", *read.scores[i].tolist()), np.uint8)
        row[-3:] = np.frombuffer(struct.pack("<1sBB", label, read.confidences[i], read.inks.statuses[i]), np.uint8)

    answer = run_on_board(
        PARITY_PROGRAM,
        circuitpy_files(data),
        frames,
        result_bytes=expected.shape[1],
        firmware=firmware,
        jobs=2,
    )
    assert np.count_nonzero((answer.results != expected).any(axis=1)) == 0
    assert len(np.unique(expected[:, -3])) > 5  # the frames are not all read alike
