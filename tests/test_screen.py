"""decision -> LCD: the board's screen code, drawing into the virtual ST7735R."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from picodigits import modelfile
from picodigits.bench.st7735r import RAMWR, ST7735R
from picodigits.export.strokes import digits_file
from picodigits.frames import decode, encode
from picodigits.lcd import Lcd
from picodigits_board import display, screen
from picodigits_board.modelfile import Model
from picodigits_board.preprocess import STATUS_NAMES, TOUCHES_EDGE

DIGIT = (slice(67, 131), slice(40, 88))  # rows, columns of one large digit
BAR = (slice(136, 142), slice(4, 100))
HINT = slice(147, 159)


@pytest.fixture(scope="module")
def model() -> Model:
    return modelfile.find("article")


@pytest.fixture(scope="module")
def lcd(model: Model) -> Lcd:
    return Lcd(model)


def with_labels(model: Model, labels: list[str]) -> Model:
    other = copy.copy(model)
    other.labels = labels
    return other


def frame_of(colour: tuple[int, int, int]) -> np.ndarray:
    return encode(np.full((60, 80, 3), colour, np.uint8))


def shown(
    lcd: Lcd,
    frame: np.ndarray | None = None,
    decision: int | str = 7,
    status: int = 0,
    confidence: int = 97,
    box: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    ink = np.zeros((12, 12), np.uint8)
    ink[3] = 255
    frame = frame_of((0, 0, 0)) if frame is None else frame
    return np.asarray(lcd.show(frame, ink, decision, confidence, status, box=box)).astype(int)


class Counter:
    """A wire that counts the bytes of pixels; its other end is a virtual screen."""

    def __init__(self) -> None:
        self.controller = ST7735R()
        self.pixel_bytes = 0

    def send(self, command: int, data: bytes | np.ndarray) -> None:
        self.controller.command(command)
        if len(data):
            self.controller.data(bytes(data))
            self.pixel_bytes += len(bytes(data)) if command == RAMWR else 0


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)])
def test_the_cameras_picture_has_its_true_colours(lcd: Lcd, colour: tuple[int, int, int]) -> None:
    picture = shown(lcd, frame_of(colour))
    assert np.abs(picture[:60, :80] - np.array(colour)).max() <= 8


def test_the_cameras_picture_is_upright_and_not_mirrored(lcd: Lcd, rng: np.random.Generator) -> None:
    frame = encode(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8))
    assert np.abs(shown(lcd, frame)[:60, :80] - decode(frame)).max() <= 8


def test_a_camera_on_its_side_is_shown_with_rows_for_columns(model: Model, rng: np.random.Generator) -> None:
    frame = encode(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8))
    picture = shown(Lcd(model, transpose=True), frame)
    assert np.abs(picture[:80, :60] - decode(frame).transpose(1, 0, 2)).max() <= 8
    assert picture[81, 0:60].max() == 0
    assert picture[87:135, 40:88].max() > 200  # the digit stands below it


@pytest.mark.parametrize("transpose", [False, True])
def test_a_frame_is_drawn_around_the_digit(model: Model, transpose: bool) -> None:
    top, left, bottom, right = 10, 20, 40, 37
    lcd = Lcd(model, transpose=transpose)
    picture = shown(lcd, box=(top, left, bottom, right))[:80, :80].max(axis=2)
    if transpose:
        picture = picture.T
    rows, columns = np.nonzero(picture[:60, :80])
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (top, bottom, left, right)
    assert np.count_nonzero(picture[:60, :80]) == 2 * (bottom - top) + 2 * (right - left) - 4


def test_the_frame_around_what_is_not_right_is_orange(lcd: Lcd) -> None:
    red, _, blue = shown(lcd, status=2, box=(10, 20, 40, 37))[10, 25]
    assert red > 200 > 50 > blue
    red, _, blue = shown(lcd, status=0, box=(10, 20, 40, 37))[10, 25]
    assert blue > 200 > 100 > red


def test_the_ink_is_shown_enlarged(lcd: Lcd) -> None:
    picture = shown(lcd)
    assert picture[4 + 9 : 4 + 12, 88 : 88 + 36].min() > 200
    assert picture[4 : 4 + 9, 88 : 88 + 36].max() < 30


@pytest.mark.parametrize("side", [8, 16, 20, 24, 28, 48])
def test_an_ink_of_any_size_stands_whole_beside_the_camera(model: Model, side: int) -> None:
    """Also where it is drawn in two parts, because the memory to make pixels in has no room for all."""
    other = copy.copy(model)
    other.ink_height = other.ink_width = side
    ink = np.random.default_rng(side).integers(0, 8, (side, side)).astype(np.uint8) * 36
    picture = np.asarray(Lcd(other).show(frame_of((0, 0, 0)), ink, 7, 97, 0)).astype(int)[:, :, 1]
    scale = {8: 5, 16: 2, 20: 2, 24: 2}.get(side, 1)
    top, left = 22 - side * scale // 2, 106 - side * scale // 2
    if side * scale == 48:
        top, left = 0, 80
    seen = picture[top : top + side * scale, left : left + side * scale]
    assert np.abs(seen - np.kron(ink, np.ones((scale, scale)))).max() < 40
    assert np.corrcoef(seen.ravel(), np.kron(ink, np.ones((scale, scale))).ravel())[0, 1] > 0.99
    assert not picture[48:50, 80:].any()


def test_each_digit_looks_different_and_large(lcd: Lcd) -> None:
    pictures = [shown(lcd, decision=digit)[DIGIT] for digit in range(10)]
    for picture in pictures:
        rows = np.flatnonzero(picture.max(axis=(1, 2)))
        assert np.ptp(rows) >= 55
    assert len({picture.tobytes() for picture in pictures}) == 10


def test_without_a_digit_there_is_a_dash_a_hint_and_no_confidence(lcd: Lcd) -> None:
    for status in range(1, len(STATUS_NAMES)):
        picture = shown(lcd, decision=-1, status=status)
        rows = np.flatnonzero(picture[DIGIT].max(axis=(1, 2)))
        assert 0 < np.ptp(rows) < 12
        assert picture[HINT].max() > 100
        assert picture[132:145, 101:].max() == 0
        assert np.ptp(picture[BAR]) <= 10  # empty
    assert shown(lcd, decision=3)[HINT].max() == 0


@pytest.mark.parametrize("percent", [0, 1, 50, 99, 100])
def test_the_bar_is_as_long_as_the_confidence(lcd: Lcd, percent: int) -> None:
    for before in (0, 100):
        shown(lcd, confidence=before)
        bar = shown(lcd, confidence=percent)[BAR][:, :, 2]
        assert np.count_nonzero(bar.min(axis=0) > 200) == 96 * percent // 100


def test_every_status_has_its_hint_and_each_fits_the_line() -> None:
    assert len(screen.HINTS) >= len(STATUS_NAMES)
    assert len(set(screen.HINTS)) == len(screen.HINTS)
    assert max(len(hint) for hint in (*screen.HINTS, screen.NOT_SURE, screen.TOO_LARGE)) <= display.LETTERS


@pytest.mark.parametrize(
    ("box", "hint"),
    [
        ((10, 0, 40, 20), "move it right"),
        ((10, 60, 40, 80), "move it left"),
        ((0, 10, 40, 30), "move it down"),
        ((20, 10, 60, 30), "move it up"),
        ((0, 60, 20, 80), "move it left, down"),
        ((0, 20, 60, 50), "too large: go back"),
        ((10, 10, 40, 30), screen.HINTS[TOUCHES_EDGE]),
    ],
)
def test_what_touches_the_edge_is_told_which_way_to_go(
    lcd: Lcd, model: Model, box: tuple[int, int, int, int], hint: str
) -> None:
    seen = shown(lcd, decision=-1, status=TOUCHES_EDGE, box=box)[HINT]
    lcd.display.text(1, 147, hint.ljust(display.LETTERS), display.ORANGE)
    assert np.array_equal(seen, np.asarray(lcd.picture())[HINT])


def test_a_camera_on_its_side_tells_the_way_as_it_is_seen(model: Model) -> None:
    lcd = Lcd(model, transpose=True)
    seen = shown(lcd, decision=-1, status=TOUCHES_EDGE, box=(10, 0, 40, 20))[HINT]
    lcd.display.text(1, 147, "move it down".ljust(display.LETTERS), display.ORANGE)
    assert np.array_equal(seen, np.asarray(lcd.picture())[HINT])


def test_showing_the_same_again_changes_nothing(lcd: Lcd) -> None:
    frame = frame_of((10, 200, 90))
    np.testing.assert_array_equal(shown(lcd, frame, 5), shown(lcd, frame, 5))


def test_a_frame_sends_few_pixels_also_where_the_digit_and_the_hint_change(model: Model, lcd: Lcd) -> None:
    wire = Counter()
    letters = lcd.display._font
    view = screen.Screen(
        display.Display(wire, letters),
        np.zeros((60, 80), np.uint16),
        model.labels,
        (16, 16),
        shapes=io.BytesIO(digits_file()),
    )
    ink = np.zeros((16, 16), np.uint8)
    sent = []
    for text, status, confidence in (("8", 0, 97), ("", 2, 0), ("", 3, 0), ("5", 0, 100)):
        for _ in range(4):
            wire.pixel_bytes = 0
            view.show_picture(status, (10, 10, 50, 40))
            view.show(ink, text, confidence, status, 9.8)
            sent.append(wire.pixel_bytes)
    assert max(sent) <= 9600 + 300 + 2 * 48 * 64  # camera, box, one digit: 6.2 ms of SPI at 20.8 MHz
    assert view.show(ink, "5", 100, 0, 9.8)


def test_after_a_message_the_whole_screen_is_drawn_anew(lcd: Lcd) -> None:
    before = shown(lcd, decision=4)
    lcd.message("Not ready", "no answer on I2C " * 8)
    np.testing.assert_array_equal(shown(lcd, decision=4), before)


def test_a_message_is_readable_text_on_black(lcd: Lcd) -> None:
    before = shown(lcd, frame_of((255, 255, 255)))
    picture = np.asarray(lcd.message("Not ready", "no answer on I2C")).astype(int)
    assert (picture != before).any()
    assert 0.01 < (picture.max(axis=2) > 100).mean() < 0.2
    assert picture[130:].max() == 0


def test_the_picture_at_start_names_the_program_and_is_lit(model: Model) -> None:
    picture = np.asarray(Lcd(model).picture())
    assert picture[84:108].max() > 200
    assert picture[:80].max() == 0  # where the camera's first picture goes


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200), st.integers(1, 30))
def test_wrapping_loses_no_letter_and_no_line_is_too_long(text: str, width: int) -> None:
    lines = display.wrap(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(0 < len(line) <= width for line in lines)


@pytest.mark.parametrize(("label", "wide"), [("Quadrat", 76), ("circle", 60)])
def test_every_label_of_a_model_with_words_fits_the_screen(model: Model, label: str, wide: int) -> None:
    lcd = Lcd(with_labels(model, ["circle", "Quadrat"]))
    picture = shown(lcd, decision=["circle", "Quadrat"].index(label))
    columns = np.flatnonzero(picture[67:131].max(axis=(0, 2)))
    assert columns.min() >= 1
    assert wide <= columns.max() < 127


def test_single_letters_are_shown_large(model: Model) -> None:
    lcd = Lcd(with_labels(model, list("ABCDEFGHIJ")))
    pictures = [shown(lcd, decision=i)[67:131] for i in range(10)]
    assert len({picture.tobytes() for picture in pictures}) == 10
    assert all(np.ptp(np.flatnonzero(picture.max(axis=(1, 2)))) >= 35 for picture in pictures)


def test_up_to_four_digits_stand_in_a_row(model: Model) -> None:
    lcd = Lcd(model, length=4)
    four = shown(lcd, decision="4071")[67:115]
    cells = [four[:, 32 * i : 32 * i + 32] for i in range(4)]
    assert all(cell.max() > 200 for cell in cells)
    two = shown(lcd, decision="40")[67:115]
    np.testing.assert_array_equal(two[:, 32:64], cells[0])
    np.testing.assert_array_equal(two[:, 64:96], cells[1])
    assert two[:, :32].max() == two[:, 96:].max() == 0
