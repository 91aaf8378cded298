"""decision -> LCD: the board's screen code, drawing through Blinka-displayio into the virtual ST7735R."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from picodigits import modelfile
from picodigits.frames import decode, encode
from picodigits.lcd import Lcd
from picodigits_board import screen
from picodigits_board.preprocess import STATUS_NAMES


@pytest.fixture(scope="module")
def lcd() -> Iterator[Lcd]:
    with Lcd(modelfile.find("article")) as opened:
        yield opened


def frame_of(colour: tuple[int, int, int]) -> np.ndarray:
    return encode(np.full((60, 80, 3), colour, np.uint8))


def shown(lcd: Lcd, frame: np.ndarray, decision: int = 7, status: int = 0, confidence: int = 97) -> np.ndarray:
    ink = np.zeros((12, 12), np.uint8)
    ink[3] = 255
    return np.asarray(lcd.show(frame, ink, decision, confidence, status)).astype(int)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)])
def test_the_cameras_picture_has_its_true_colours(lcd: Lcd, colour: tuple[int, int, int]) -> None:
    picture = shown(lcd, frame_of(colour))
    assert np.abs(picture[4:60, 2:78] - np.array(colour)).max() <= 8


def test_the_cameras_picture_is_upright_and_not_mirrored(lcd: Lcd, rng: np.random.Generator) -> None:
    frame = encode(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8))
    picture = shown(lcd, frame)[2:62, 0:80]
    assert np.abs(picture - decode(frame)).max() <= 8


def test_the_ink_is_shown_enlarged(lcd: Lcd) -> None:
    picture = shown(lcd, frame_of((0, 0, 0)))
    assert picture[2 + 9 : 2 + 12, 86 : 86 + 36].min() > 200
    assert picture[2 : 2 + 9, 86 : 86 + 36].max() < 30


def test_each_digit_looks_different_and_large(lcd: Lcd) -> None:
    pictures = [shown(lcd, frame_of((0, 0, 0)), decision)[66:146, 0:54] for decision in range(10)]
    for picture in pictures:
        rows = np.flatnonzero(picture.max(axis=(1, 2)))
        assert np.ptp(rows) >= 60
    assert len({picture.tobytes() for picture in pictures}) == 10


def test_without_a_digit_there_is_a_dash_a_hint_and_no_confidence(lcd: Lcd) -> None:
    for status in range(1, len(STATUS_NAMES)):
        picture = shown(lcd, frame_of((0, 0, 0)), decision=-1, status=status)
        assert picture[147:160].max() > 100
        assert picture[90:126, 60:128].max() == 0
    assert shown(lcd, frame_of((0, 0, 0)), decision=3)[147:160].max() == 0


def test_every_status_has_its_hint_and_each_fits_the_line() -> None:
    assert len(screen.HINTS) == len(STATUS_NAMES)
    assert len(set(screen.HINTS)) == len(screen.HINTS)
    assert max(len(hint) for hint in screen.HINTS) <= screen.LINE


def test_showing_the_same_again_changes_nothing(lcd: Lcd) -> None:
    frame = frame_of((10, 200, 90))
    np.testing.assert_array_equal(shown(lcd, frame, 5), shown(lcd, frame, 5))


def test_a_message_is_readable_text_on_black(lcd: Lcd) -> None:
    before = shown(lcd, frame_of((255, 255, 255)))
    picture = np.asarray(lcd.message("Not ready", "no answer on I2C")).astype(int)
    assert (picture != before).any()
    assert 0.01 < (picture.max(axis=2) > 100).mean() < 0.2
    assert picture[130:].max() == 0


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200), st.integers(1, 30))
def test_wrapping_loses_no_letter_and_no_line_is_too_long(text: str, width: int) -> None:
    lines = screen.wrap(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(0 < len(line) <= width for line in lines)


def test_every_label_of_a_model_with_words_fits_the_screen() -> None:
    layer = modelfile.DenseLayer(np.ones((2, 144), np.int8), np.zeros(2, np.int32))
    data = modelfile.pack(
        name="shapes", preprocess_id="article-1", ink_shape=(12, 12), labels=["circle", "Quadrat"],
        layers=[layer], octave=10, min_confidence=0,
    )  # fmt: skip
    with Lcd(modelfile.parse(data)) as lcd:
        picture = np.asarray(lcd.show(frame_of((0, 0, 0)), np.zeros((12, 12), np.uint8), 1, 80, 0))
        columns = np.flatnonzero(picture[66:86].max(axis=(0, 2)))
        assert columns.min() >= 4
        assert 76 <= columns.max() < 128  # seven letters of 12 pixels
