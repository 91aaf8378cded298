"""The live view: its figures, its hints, the terminal in any width and colour, and a board that comes and goes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from picodigits import camera, cli, datasets, modelfile
from picodigits.board import monitor
from picodigits.board.connection import Connection, Reading
from picodigits.board.monitor import View, figures
from picodigits.board.stand_in import StandIn
from picodigits.errors import LinkError
from picodigits.executors import NumpyExecutor, make_inks
from picodigits_board import preprocess, screen

MODEL = modelfile.find("tiny")
INFO = {"model": "tiny", "labels": "0,1,2,3,4,5,6,7,8,9", "octave": str(MODEL.octave), "TRANSPOSE": "0"}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return datasets.load("strokes", "test").images[:40]


def photographs(images: np.ndarray, **care: Any) -> np.ndarray:
    """(N, 60, 80) uint16, of the level studio with something changed."""
    studio = camera.CARE["studio"]
    assert isinstance(studio, camera.Care)
    return camera.photograph(images, replace(studio, **care), seed=9)


def read(frame: np.ndarray) -> Reading:
    """What the board would say of a frame, box in pixels of an 80x60 one."""
    readings = NumpyExecutor(MODEL).read(frame[np.newaxis])
    decision = int(readings.decisions[0])
    return Reading(
        number=12, read=MODEL.labels[decision] if decision >= 0 else "", confidence=int(readings.confidences[0]),
        status=preprocess.STATUS_KEYS[readings.inks.statuses[0]], box=readings.inks.box(0), frame=frame,
        ink=readings.inks.inks[0], scores=tuple(readings.scores[0].tolist()),
        timings={"capture": 0.3, "ink": 34.5, "network": 34.2, "screen": 11.2, "loop": 94.7},
        heap_free=75440, values={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def seven(images: np.ndarray) -> Reading:
    return read(photographs(images)[7])


def focuses(frames: np.ndarray) -> list[int]:
    found = [figures(read(frame)) for frame in frames]
    return [item.focus for item in found if item is not None and item.focus is not None]


# --- figures ----------------------------------------------------------------------------------------------


def test_the_focus_figure_falls_as_the_lens_is_turned_away(images: np.ndarray) -> None:
    medians = [float(np.median(focuses(photographs(images, defocus=(s, s))))) for s in (0.25, 0.8, 1.2, 2.0)]
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > 75
    assert medians[1] > monitor.SHARP > medians[3]
    assert medians[0] - medians[3] > 35


def test_the_focus_figure_is_about_edges_not_about_light_or_how_much_ink_there_is(images: np.ndarray) -> None:
    sharp = np.median(focuses(photographs(images)))
    for change in ({"level": (0.45, 0.5)}, {"ink": (0.3, 0.3)}, {"height": (0.45, 0.5)}, {"stroke": (0.7, 0.7)}):
        assert abs(float(np.median(focuses(photographs(images, **change)))) - float(sharp)) < 12, change


def test_the_focus_of_a_large_frame_is_that_of_its_own_pixels(images: np.ndarray) -> None:
    large = photographs(images)[7].repeat(2, 0).repeat(2, 1)
    made = make_inks(large[np.newaxis], preprocess.FIND, (16, 16))
    small, twice = figures(read(photographs(images)[7])), figures(replace(read(large), box=made.box(0)))
    assert small is not None
    assert twice is not None
    assert small.focus is not None
    assert twice.focus is not None
    assert twice.focus < small.focus  # each edge is twice as wide


def test_the_light_figure_is_the_brightness_of_the_paper(images: np.ndarray) -> None:
    for level in (0.9, 0.5, 0.25):
        seen = figures(read(photographs(images[:1], level=(level, level), paper=(1.0, 1.0))[0]))
        assert seen is not None
        assert abs(seen.light - 100 * level) < 8


def test_the_hint_is_the_boards_own(seven: Reading) -> None:
    for status, key in enumerate(preprocess.STATUS_KEYS):
        seen = figures(replace(seven, status=key, read=""))
        assert seen is not None
        assert seen.hint == screen.hint_for(status, "", seven.box)
    edge = figures(replace(seven, status="edge", box=(10, 0, 50, 30)))
    assert edge is not None
    assert edge.hint == "move it right"
    turned = figures(replace(seven, status="edge", box=(0, 10, 30, 50)), transpose=True)
    assert turned is not None
    assert turned.hint == "move it right"  # upright, it is the left side that it touches


def test_a_blurred_digit_says_turn_the_lens_and_a_dim_one_more_light(images: np.ndarray) -> None:
    blurred = figures(read(photographs(images, defocus=(2.0, 2.0))[7]))
    assert blurred is not None
    assert blurred.hint == monitor.TURN_THE_LENS
    dim = figures(read(photographs(images, level=(0.3, 0.3), noise=(0.002, 0.002))[7]))
    assert dim is not None
    assert dim.hint == monitor.MORE_LIGHT
    good = figures(read(photographs(images)[7]))
    assert good is not None
    assert good.hint == ""


def test_a_reading_without_its_picture_has_no_figures(seven: Reading) -> None:
    assert figures(replace(seven, frame=None)) is None
    without_box = figures(replace(seven, box=None, status="nothing", read=""))
    assert without_box is not None
    assert without_box.focus is None


def test_the_bars_are_the_confidence_of_the_decision(seven: Reading) -> None:
    assert seven.scores is not None
    percent = monitor.confidences(seven.scores, MODEL.octave, 10)
    assert len(percent) == 10
    assert abs(max(percent) - seven.confidence) <= 1
    assert percent.index(max(percent)) == MODEL.labels.index(seven.read)
    assert 95 <= sum(percent) <= 100  # the rest is for "no digit"


# --- the terminal -----------------------------------------------------------------------------------------


def shown(view: View, width: int = 80, height: int = 24, **options: Any) -> str:
    file = options.pop("file", None) or io.StringIO()
    console = Console(file=file, width=width, height=height, **{"force_terminal": True, **options})
    console.print(view)
    return str(file.getvalue())


def plain(text: str) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]


@pytest.mark.parametrize("width", [20, 36, 60, 67, 68, 80, 100, 120, 200])
def test_the_view_is_never_wider_than_the_terminal_and_fits_24_lines(seven: Reading, width: int) -> None:
    lines = plain(shown(View(seven, INFO), width))
    assert max(len(line) for line in lines) <= width
    assert len(lines) <= 24
    text = "\n".join(lines)
    assert f"{seven.read}  {seven.confidence} %  found" in text
    assert "focus" in text
    assert "fps" in text or width < 30
    assert text.count(" %") >= 4


def test_the_view_shows_everything_the_board_measures(seven: Reading) -> None:
    text = "\n".join(plain(shown(View(seven, INFO, damaged=3), 100, 30)))
    for words in (
        "fps 10.6", "ink 34.5 ms", "network 34.2 ms", "screen 11.2 ms", "loop 94.7 ms", "free 75440", "lines lost 3"
    ):  # fmt: skip
        assert re.search(rf"\b{words.replace(' ', ' +')}", text), words
    for label in "0123456789":
        assert re.search(rf"\b{label} .*%", text)


def colours(text: str) -> set[str]:
    return set(re.findall(r"[34]8;2;(\d+;\d+;\d+)", text))


def test_the_picture_is_in_colour_where_the_terminal_has_colours(seven: Reading) -> None:
    text = shown(View(seven, INFO), 130, 40, color_system="truecolor")
    assert text.count("▀") > 80 * 30
    assert len(colours(text)) > 50
    assert "42;157;244" in colours(text)  # the box, in the blue of the board's screen
    amiss = shown(View(replace(seven, status="small"), INFO), 130, 40, color_system="truecolor")
    assert "255;159;28" in colours(amiss)


def test_the_box_lies_around_the_digit(seven: Reading) -> None:
    assert seven.box is not None
    made = monitor.picture(seven, 80, 30)
    assert made is not None
    blue = np.argwhere((made._rgb == (42, 157, 244)).all(-1))
    top, left, bottom, right = seven.box
    assert (blue.min(0).tolist(), blue.max(0).tolist()) == ([top, left], [bottom - 1, right - 1])
    turned = monitor.picture(seven, 80, 40, transpose=True)
    assert turned is not None
    assert turned._rgb.shape == (80, 60, 3)
    blue = np.argwhere((turned._rgb == (42, 157, 244)).all(-1))
    assert (blue.min(0).tolist(), blue.max(0).tolist()) == ([left, top], [right - 1, bottom - 1])


def test_without_colours_the_picture_is_made_of_grey_letters(seven: Reading) -> None:
    text = shown(View(seven, INFO), 100, 30, no_color=True)
    assert "▀" not in text
    assert "█" in text
    assert ";2;" not in text


def test_a_terminal_that_knows_ascii_alone_gets_ascii_alone(seven: Reading) -> None:
    class Ascii(io.StringIO):
        encoding = "ascii"

    text = shown(View(seven, INFO), 100, 30, file=Ascii(), force_terminal=False)
    text.encode("ascii")
    assert "%%%%" in text  # the paper
    assert "####" in text  # a bar


def test_what_did_not_come_is_not_shown(seven: Reading) -> None:
    bare = replace(seven, frame=None, ink=None, scores=None, heap_free=None)
    text = "\n".join(plain(shown(View(bare, {}))))
    assert "focus" not in text
    assert "network 34.2 ms" in text
    complaint = replace(bare, status="error", values={"error": "no pull-ups on GP20, GP21"})
    view = View(complaint, INFO)
    assert "The board says: no pull-ups on GP20, GP21" in shown(view)
    assert view.line == "the board says: no pull-ups on GP20, GP21"
    assert view.to_json() == {"error": "no pull-ups on GP20, GP21"}
    assert view.complete


def test_a_reading_in_words_and_as_json(seven: Reading) -> None:
    view = View(replace(seven, status="small"), INFO)
    assert view.line.startswith(f"frame 12: {seven.read}, {seven.confidence} %; too small; focus ")
    assert view.line.endswith("too small: go closer")
    facts = json.loads(json.dumps(View(seven, INFO).to_json()))
    assert facts["box"] == list(seven.box or ())
    assert {"frame": 12, "read": seven.read, "free": 75440, "model": "tiny", "loop_ms": 94.7}.items() <= facts.items()


# --- a board that comes and goes --------------------------------------------------------------------------


class Fleeting:
    """A connection that gives so many readings, and then its cable is pulled."""

    info = INFO
    damaged = 0

    def __init__(self, reading: Reading, count: int) -> None:
        self._readings = [reading] * count

    def readings(self, pictures: bool) -> Iterator[Reading]:
        yield from self._readings
        raise LinkError("/dev/ttyACM0: got cut off, need the cable in. Plug it in.")


def test_a_board_that_is_lost_is_told_of_once_and_found_again(seven: Reading) -> None:
    answers: list[Fleeting | LinkError] = [
        Fleeting(seven, 2), LinkError("none there"), Fleeting(seven, 0), LinkError("none there"), Fleeting(seven, 3)
    ]  # fmt: skip

    @contextmanager
    def open_() -> Iterator[Any]:
        answer = answers.pop(0)
        if isinstance(answer, LinkError):
            raise answer
        yield answer

    told: list[str] = []
    waited: list[float] = []
    watched = monitor.watch(open_, told.append, sleep=waited.append)
    assert [next(watched)[1] for _ in range(5)] == [seven] * 5
    assert told == [
        "/dev/ttyACM0: got cut off, need the cable in. Plug it in. Looking for it; Ctrl-C ends.", "The board is back."
    ]  # fmt: skip
    assert waited == [monitor.AGAIN_S] * 4


@pytest.mark.parametrize(("first", "reconnect"), [(LinkError("none there"), True), (None, False)])
def test_a_board_that_was_never_there_and_one_that_need_not_come_back_are_errors(
    seven: Reading, first: LinkError | None, reconnect: bool
) -> None:
    @contextmanager
    def open_() -> Iterator[Any]:
        if first is not None:
            raise first
        yield Fleeting(seven, 1)

    with pytest.raises(LinkError):
        list(monitor.watch(open_, lambda text: None, reconnect=reconnect, sleep=lambda s: None))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pyserial forgets a lost TCP socket
def test_a_stand_in_that_is_unplugged_and_plugged_in_again_is_found_at_its_port(images: np.ndarray) -> None:
    frames = photographs(images[:3])
    told: list[str] = []
    plugged = [StandIn(MODEL, frames, kind="tcp", fps=50)]
    name = plugged[0].name

    def tell(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            plugged.append(StandIn(MODEL, frames, kind="tcp", port=int(name.rpartition(":")[2]), fps=50))

    try:
        watched = monitor.watch(lambda: Connection(name, timeout_s=5), tell, sleep=lambda s: None)
        assert next(watched)[1].number >= 0
        plugged[0].close()
        while not told:
            next(watched)
        assert next(watched)[1].number >= 0
        watched.close()
    finally:
        for board in plugged:
            board.close()
    assert [text.rpartition(". ")[2] for text in told] == [
        "Looking for it; Ctrl-C ends.", "The board is back."
    ]  # fmt: skip


# --- the verb ---------------------------------------------------------------------------------------------


def picodigits(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    status = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_monitor_once_shows_the_whole_view_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = picodigits(capsys, "monitor", "--board", "stand-in", "--model", "tiny", "--once")
    assert (status, err) == (0, "")
    assert "focus" in out
    assert "%  found" in out


def test_monitor_prints_json_lines_for_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("monitor", "--board", "stand-in", "--model", "tiny", "--json", "--frames", "3")
    status, out, err = picodigits(capsys, *words)
    assert (status, err) == (0, "")
    facts = [json.loads(line) for line in out.splitlines()]
    assert len(facts) == 3
    assert [fact["frame"] for fact in facts] == [facts[0]["frame"] + n for n in range(3)]
    assert all(fact["model"] == "tiny" for fact in facts)


def test_monitor_into_a_pipe_says_a_line_a_frame(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = picodigits(capsys, "monitor", "--board", "stand-in", "--model", "tiny", "--frames", "2")
    assert status == 0
    assert len(re.findall(r"^frame \d+: \d, \d+ %; found", out, re.MULTILINE)) == 2


def test_monitor_without_a_board_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = picodigits(capsys, "monitor", "--board", "/dev/nothing")
    assert (status, out) == (1, "")
    assert err.startswith("picodigits: /dev/nothing: got ")
    assert err.count("\n") == 1


def test_ctrl_c_is_the_way_to_end_monitor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seven: Reading
) -> None:
    def watched(*_: Any, **__: Any) -> Iterator[Any]:
        yield Fleeting(seven, 0), seven
        raise KeyboardInterrupt

    monkeypatch.setattr(monitor, "watch", watched)
    status, out, err = picodigits(capsys, "monitor")
    assert (status, err) == (0, "")
    assert out.startswith("frame 12: ")


@pytest.mark.skipif(os.name != "posix", reason="no pseudo-terminals")
def test_monitor_in_a_terminal_draws_over_itself() -> None:
    import pty

    terminal, end = pty.openpty()
    words = ["monitor", "--board", "stand-in", "--model", "tiny", "--frames", "3"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from picodigits.cli import main; raise SystemExit(main())", *words],
        stdin=end, stdout=end, stderr=end, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
    )  # fmt: skip
    os.close(end)
    seen = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux, when the other end is closed
            break
        if not data:
            break
        seen += data
    os.close(terminal)
    assert process.wait(timeout=30) == 0, seen[-500:]
    text = seen.decode()
    assert "▀" in text
    assert "\x1b[1A" in text  # back up, over the last view
    assert "focus" in text
