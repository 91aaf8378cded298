"""A sitting: which frames are taken, and that nothing which was reported saved is ever lost."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picodigits import camera, captures, cli, datasets, modelfile
from picodigits.board import capture
from picodigits.board.capture import Sitting, Step, sit
from picodigits.board.connection import Connection, Reading, open_board
from picodigits.board.stand_in import StandIn
from picodigits.errors import DatasetError, LinkError, PicodigitsError
from picodigits.frames import decode, encode

BLANK = np.full((60, 80), 0xFFFF, np.uint16)
INFO = {"model": "fast", "labels": "0,1,2,3,4,5,6,7,8,9", "TRANSPOSE": "0"}


class Board:
    """A board in memory that sees a film, and whose cable is pulled before frame `pulled`."""

    info = INFO

    def __init__(
        self, film: Callable[[int], np.ndarray] | list[np.ndarray], start: int = 0, pulled: int = 10**9
    ) -> None:
        self._film = film if callable(film) else lambda number: film[number % len(film)]
        self._pulled = pulled
        self.number = start

    def readings(self, pictures: bool) -> Iterator[Reading]:
        assert pictures
        for _ in range(self._pulled):
            yield reading(self._film(self.number), self.number)
            self.number += 1
        raise LinkError("/dev/ttyACM0: got cut off, need the cable in.")


def reading(frame: np.ndarray | None, number: int = 0, read: str = "7") -> Reading:
    return Reading(number, read, 90, "found", (1, 2, 3, 4), frame, None, None, {}, None, {})


@pytest.fixture(scope="module")
def sheets() -> dict[str, list[np.ndarray]]:
    """Eight sheets a digit, photographed: label -> frames (60, 80) uint16."""
    digits = datasets.load("strokes", "test").first_of_each(8)
    frames = camera.photograph(digits.images, "studio", seed=21)
    return {str(label): [frames[i] for i in np.flatnonzero(digits.labels == label)] for label in range(10)}


def held(sheet: np.ndarray, frames: int = 5) -> list[np.ndarray]:
    """A sheet held still before a camera with some noise."""
    rng = np.random.default_rng(3)
    return [
        encode((decode(sheet) + rng.normal(0, 2, (60, 80, 3))).clip(0, 255).astype(np.uint8)) for _ in range(frames)
    ]


def film(*shown: np.ndarray, frames: int = 5) -> list[np.ndarray]:
    """One sheet after another, each taken away again."""
    return [frame for sheet in shown for frame in (BLANK, BLANK, *held(sheet, frames))]


def start(folder: Path, wanted: dict[str, int], **more: Any) -> Sitting:
    return Sitting(folder, "ada", wanted, **more)


def steps(sitting: Sitting, frames: list[np.ndarray]) -> list[str]:
    return [sitting.feed(reading(frame), INFO).what for frame in frames]


def names(folder: Path) -> set[str]:
    """Everything in the folder but what is written down about the sitting."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {".sitting.json"}


def pieces(items: captures.Captures) -> set[str]:
    return {f"{item.name}.{suffix}" for item in items for suffix in ("rgb565", "png", "json")}


# --- which frames -----------------------------------------------------------------------------------------


def test_a_digit_that_stands_still_is_taken_once_and_the_next_one_after_it(tmp_path: Path, sheets: Any) -> None:
    sitting = start(tmp_path, {"7": 2})
    first, second = sheets["7"][:2]
    assert steps(sitting, [BLANK, *held(first, 6)]) == ["wait", "wait", "wait", "saved", "change", "change", "change"]
    assert steps(sitting, held(second, 5)) == ["change", "wait", "wait", "saved", "wait"]
    assert sitting.label == ""
    assert captures.load(tmp_path).labels == ("7", "7")


def test_what_moves_is_not_taken(tmp_path: Path, sheets: Any) -> None:
    moving = [sheets[label][number] for number in range(3) for label in "0123456789"]
    assert set(steps(start(tmp_path, {"7": 2}), moving)) == {"wait"}
    assert names(tmp_path) == set()


def test_a_frame_without_its_picture_is_passed_over(tmp_path: Path) -> None:
    sitting = start(tmp_path, {"7": 1})
    assert sitting.feed(reading(None), INFO) == Step("wait")


def test_a_board_that_can_not_read_is_told_of_once(tmp_path: Path, sheets: Any) -> None:
    sitting = start(tmp_path, {"7": 1})
    complaint = Reading(-1, "", 0, "error", None, None, None, None, {}, None, {"error": "no answer on I2C"})
    told = [
        capture.lines(sitting, sitting.feed(seen, INFO)) for seen in (complaint, complaint, reading(BLANK), complaint)
    ]
    assert told == [["The board says: no answer on I2C"], [], [], ["The board says: no answer on I2C"]]


def test_the_same_sheet_shown_again_is_set_aside_and_does_not_count(tmp_path: Path, sheets: Any) -> None:
    sitting = start(tmp_path, {"7": 2})
    assert steps(sitting, film(sheets["7"][0], sheets["7"][0], sheets["7"][1])).count("saved") == 2
    assert (sitting.kept["7"], sitting.aside["7"]) == (2, 1)
    (aside,) = captures.load(tmp_path, set_aside=True)
    assert aside.reason.startswith("nearly the same as 7/ada-")


def test_the_same_sheet_is_known_again_in_the_next_sitting_but_not_under_another_writer(
    tmp_path: Path, sheets: Any
) -> None:
    steps(start(tmp_path, {"7": 1}), film(sheets["7"][0]))
    assert "aside" in steps(start(tmp_path, {"7": 1}, anew=True), film(sheets["7"][0]))
    assert "saved" in steps(Sitting(tmp_path, "bob", {"7": 1}), film(sheets["7"][0]))


def test_a_guided_sitting_asks_for_one_class_after_another(tmp_path: Path, sheets: Any) -> None:
    sitting = start(tmp_path, dict.fromkeys("307", 2))
    told: list[str] = []
    shown = [sheets[label][number] for label in "307" for number in range(2)]
    board = Board(film(*shown))
    sit(sitting, board, lambda _, step: told.extend(capture.lines(sitting, step)))  # type: ignore[arg-type]
    assert [line.split("/")[0] for line in told if "saved" in line] == ["3", "3", "0", "0", "7", "7"]
    assert [line for line in told if line.startswith("Now")] == [
        "Now write a 0, hold it up.", "Now write a 7, hold it up."
    ]  # fmt: skip
    assert sitting.done == sitting.total == 6
    assert names(tmp_path) == pieces(captures.load(tmp_path))
    assert not (tmp_path / ".sitting.json").exists()
    assert "reads 7, 90 %" in told[-1]
    assert "misreads it as 7" in told[0]
    assert capture.counts(sitting)[0] == ("3", "2 of 2", "2", "0")


def test_frames_without_a_digit_are_taken_by_the_clock(tmp_path: Path, sheets: Any) -> None:
    now = 0.0
    sitting = start(tmp_path, {"none": 3}, clock=lambda: now)
    seen = []
    for frame in (BLANK, sheets["1"][0], sheets["1"][0], BLANK, sheets["2"][0]):
        for _ in range(2):
            seen.append(sitting.feed(reading(frame, read=""), INFO).what)
            now += 1
    assert seen == ["saved", "wait", "saved", "wait", "aside", "wait", "aside", "wait", "saved", "wait"]
    assert captures.load(tmp_path).labels == ("none",) * 3


def test_frames_can_be_taken_by_the_clock_and_empty_ones_are_set_aside(tmp_path: Path, sheets: Any) -> None:
    now = 0.0
    sitting = start(tmp_path, {"7": 2}, every_s=1, clock=lambda: now)
    seen = []
    for frame in (BLANK, sheets["7"][0], sheets["7"][0], sheets["7"][1]):
        seen.append(sitting.feed(reading(frame), INFO).what)
        now += 1
    assert seen == ["aside", "saved", "aside", "saved"]
    reasons = sorted(item.reason[:12] for item in captures.load(tmp_path, set_aside=True))
    assert reasons == ["nearly the s", "no whole dig"]


def test_what_the_board_says_of_itself_is_kept_and_its_mounting_heeded(tmp_path: Path, sheets: Any) -> None:
    sitting = start(tmp_path, {"7": 1})
    info = {**INFO, "TRANSPOSE": "1", "FLIP_Y": "1"}
    for frame in held(sheets["7"][0], 3):
        sitting.feed(reading(frame, read="1"), info)
    (item,) = captures.load(tmp_path)
    assert (item.model, item.read, item.confidence, item.status) == ("fast", "1", 90, "found")
    assert item.settings == {"TRANSPOSE": "1", "FLIP_Y": "1"}
    assert item.picture().size == (60, 80)


@pytest.mark.parametrize("wanted", [{"": 3}, {"7": 0}, {"7": 10**6}])
def test_what_can_not_be_wanted_is_refused(tmp_path: Path, wanted: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match=r"(label|count): got .*, need 1 to "):
        start(tmp_path, wanted)


def reporting(reported: set[str]) -> Callable[[Reading, Step], None]:
    """What the verb does: remembers in `reported` what it was told to be saved."""

    def show(_: Reading, step: Step) -> None:
        if step.what == "saved" and step.capture:
            reported.add(step.capture.name)

    return show


# --- pulled, killed, full ---------------------------------------------------------------------------------


def test_a_cable_pulled_at_200_random_points_loses_nothing_and_the_next_run_goes_on(
    tmp_path: Path, sheets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inks: dict[bytes, Any] = {}
    look = captures.look
    monkeypatch.setattr(
        captures, "look", lambda frame, turned=False: inks.setdefault(frame.tobytes(), look(frame, turned))
    )
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # 200 sittings: without waiting for this machine's disk
    rng = np.random.default_rng(200)
    shown = film(*(sheet for label in "170" for sheet in sheets[label]), frames=4)
    pulls = sittings = 0
    while pulls < 200:
        folder = tmp_path / str(sittings)
        sittings += 1
        reported: set[str] = set()
        session, at = "", 0
        while True:
            sitting = start(folder, {"1": 8, "7": 8, "0": 8})
            assert sitting.swept == []
            assert session in ("", sitting.session)  # the one that was cut goes on
            assert sitting.resumed == len(reported)
            session = sitting.session
            board = Board(shown, at, pulled=int(rng.integers(0, 25)))
            try:
                sit(sitting, board, reporting(reported))  # type: ignore[arg-type]
            except LinkError:
                pulls += 1
            else:
                break
            finally:
                at = board.number
                found = captures.scan(folder)
                aside = captures.scan(folder, set_aside=True)
                assert found.damaged == aside.damaged == ()
                assert {item.name for item in found} == reported
                assert names(folder) == pieces(found) | pieces(aside)  # no part of anything
        assert captures.load(folder).labels == ("0",) * 8 + ("1",) * 8 + ("7",) * 8
        assert len({item.number for item in captures.load(folder)}) == 24
    assert sittings > 5


def test_a_stand_in_whose_cable_is_pulled_in_mid_byte_loses_nothing(tmp_path: Path, sheets: Any) -> None:
    """The real line, pty or socket, closed after a random number of bytes; the next run goes on until all is there."""
    shown = film(*sheets["7"])
    rng = np.random.default_rng(5)
    reported: set[str] = set()
    pulls = seen = 0

    for _ in range(60):
        with (
            StandIn(
                modelfile.find("tiny"), lambda number: shown[(number + seen) % len(shown)], fps=60,  # noqa: B023
                cut_after=int(rng.integers(20_000, 160_000)),
            ) as board,
            Connection(board.name) as connection,
        ):  # fmt: skip
            sitting = start(tmp_path, {"7": 6})
            try:
                sit(sitting, connection, reporting(reported))
            except LinkError as error:
                assert "need the cable in" in str(error) or "got nothing for" in str(error)  # noqa: PT017
                pulls += 1
            found = captures.scan(tmp_path)
            assert {item.name for item in found} == reported
            assert found.damaged == ()
            seen += board.number
        if not sitting.label:
            break
    assert sitting.label == ""
    assert pulls >= 2
    assert names(tmp_path) == pieces(found) | pieces(captures.scan(tmp_path, set_aside=True))


def test_another_wish_or_a_new_sitting_begins_anew(tmp_path: Path, sheets: Any) -> None:
    first = start(tmp_path, {"7": 2})
    steps(first, film(sheets["7"][0]))
    assert start(tmp_path, {"7": 2}).resumed == 1
    other = start(tmp_path, {"7": 3})
    assert (other.resumed, other.session == first.session) == (0, False)
    assert start(tmp_path, {"7": 3}, anew=True).session != other.session or other.kept == {}
    (tmp_path / ".sitting.json").write_text("{")
    assert start(tmp_path, {"7": 3}).resumed == 0


def test_a_finished_sitting_is_not_gone_on_with(tmp_path: Path, sheets: Any) -> None:
    first = start(tmp_path, {"7": 1})
    sit(first, Board(film(sheets["7"][0])), lambda _, step: None)  # type: ignore[arg-type]
    assert start(tmp_path, {"7": 1}).resumed == 0


def test_what_a_crash_left_is_swept_up_and_told(tmp_path: Path, sheets: Any) -> None:
    steps(start(tmp_path, {"7": 2}), film(*sheets["7"][:2]))
    second = captures.load(tmp_path)[1]
    (tmp_path / f"{second.name}.json").unlink()
    os.utime(tmp_path / f"{second.name}.rgb565", (0, 0))
    sitting = start(tmp_path, {"7": 2})
    assert sitting.swept == [second.name]
    assert f"Removed what a crash had left: {second.name}." in capture.greeting(sitting, "0123456789")
    assert "Going on with a sitting that was cut: 1 of 2 are there." in capture.greeting(sitting, "0123456789")
    steps(sitting, film(second.frame))
    assert names(tmp_path) == pieces(captures.load(tmp_path))


def test_a_full_disk_ends_the_sitting_with_what_was_reported_and_it_can_go_on(
    tmp_path: Path, sheets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = film(*sheets["7"][:3])
    sitting = start(tmp_path, {"7": 3})
    left = 5  # files: the first capture, and half of the second

    def fsync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(DatasetError, match=r"No space left on device.*What was reported saved before is safe"):
            sit(sitting, Board(shown), lambda _, step: None)  # type: ignore[arg-type]
    assert names(tmp_path) == pieces(captures.load(tmp_path))
    assert len(captures.load(tmp_path)) == sitting.done == 1
    again = start(tmp_path, {"7": 3})
    assert again.resumed == 1
    sit(again, Board(shown), lambda _, step: None)  # type: ignore[arg-type]
    assert len(captures.load(tmp_path)) == 3


def test_a_folder_that_can_not_be_written_is_told_before_anything_is_shown(tmp_path: Path) -> None:
    (tmp_path / "captures").write_text("a file")
    with pytest.raises(PicodigitsError, match="need a place that can be written"):
        start(tmp_path / "captures", {"7": 1})


# --- the verb ---------------------------------------------------------------------------------------------


def picodigits(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    status = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_capture_takes_frames_of_a_stand_in_and_says_what_next(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "my captures"
    status, out, err = picodigits(
        capsys, "capture", "--board", "stand-in", "--model", "tiny", "--label", "none", "--label", "x", "--count", "1",
        "--every", "0.1", "--writer", "Ada", "--out", folder,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert captures.load(folder).labels == ("x", "none")
    assert captures.load(folder)[0].model == "tiny"
    for text in (
        "The board's model knows no x",
        "Show anything but a digit",
        "Now write a x, hold it up.",
        "saved, 1 of 1; the board misreads it as",
        f"picodigits data review '{folder}'",
        f"picodigits train --data captures:'{folder}' --data mnist",
    ):
        assert text in out


def test_capture_refuses_a_folder_before_it_looks_for_a_board(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    status, out, err = picodigits(capsys, "capture", "--board", "/dev/nothing", "--out", tmp_path / "file" / "captures")
    assert (status, out) == (1, "")
    assert "need a place that can be written" in err
    status, out, err = picodigits(capsys, "capture", "--board", "/dev/nothing", "--out", tmp_path / "captures")
    assert (status, out) == (1, "")
    assert "/dev/nothing" in err
    assert not (tmp_path / "captures").exists()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C of another kind")
def test_ctrl_c_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    words = ["capture", "--board", "stand-in", "--model", "tiny", "--label", "7", "--count", "50", "--out", "captures"]
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # jobs in the background ignore it
        "from picodigits.cli import main; raise SystemExit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program, *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    told = ""
    while told.count(": saved, ") < 2:
        line = process.stdout.readline()
        assert line, (process.communicate(), told)
        told += line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    told += out
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("picodigits: stopped by Ctrl-C")
    found = captures.load(tmp_path / "captures")
    assert {item.name for item in found} == set(re.findall(r"^(7/\S+): saved", told, re.MULTILINE))
    assert found.damaged == ()
    assert "The same command goes on where this one stopped." in told
    assert names(tmp_path / "captures") == pieces(found)


# --- the real firmware ------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.firmware
def test_a_capture_from_the_emulated_pico_is_what_its_camera_saw(tmp_path: Path, sheets: Any, firmware: Any) -> None:
    """CircuitPython's own USB serial, camera and preprocessing; some four minutes of one core."""
    sheet = sheets["5"][0]
    with open_board("emulator", model="tiny", frames=sheet[np.newaxis], timeout_s=900) as connection:
        sitting = start(tmp_path, {"5": 1})
        sit(sitting, connection, lambda _, step: None)
    (item,) = captures.load(tmp_path)
    assert np.array_equal(item.frame, sheet)
    assert (item.read, item.status, item.model) == ("5", "found", "tiny")
    assert item.settings["platform"] == "RP2040"
    assert names(tmp_path) == pieces(captures.load(tmp_path))
