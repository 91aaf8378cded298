"""frame -> what was read: one digit a frame, or several side by side. What the board's loop does, on the PC."""

from __future__ import annotations

import ast
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picodigits import camera, datasets, modelfile
from picodigits.executors import NumpyExecutor, make_inks
from picodigits.frames import encode
from picodigits.lcd import Lcd
from picodigits_board import display, preprocess, reading, settings
from picodigits_board.look import LOOKS
from picodigits_board.modelfile import Model
from picodigits_board.network import Network
from picodigits_board.reading import decider_of


@pytest.fixture(scope="module")
def model() -> Model:
    return modelfile.find("fast")


def reader_of(model: Model, digits: int = 1, scale: int = 1, transpose: bool = False) -> reading.Reader:
    finder = preprocess.make(model.preprocess_id, model.ink_height, model.ink_width, scale)
    return reading.make(model, finder, Network(model, 1), digits, transpose)


def flat(frame: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame).view(np.uint8).reshape(-1)


def beside(numbers: list[int], size: tuple[int, int] = (60, 80), tall: int = 28) -> NDArray[np.uint16]:
    """A frame with these digits of scikit-learn's test writers side by side, `tall` pixels of an 80x60 frame high."""
    images = datasets.load("digits", "test").first_of_each(1).images
    scale = size[0] // 60
    paper = np.full(size, 225.0)
    pitch = size[1] // (len(numbers) + (len(numbers) == 1))
    height, width = tall * scale, min(tall * 2 // 3 * scale, pitch * 3 // 4)
    for place, number in enumerate(numbers):
        image = images[number]
        rows, columns = np.nonzero(image > 40)
        digit = Image.fromarray(image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
        dark = np.asarray(digit.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
        top, left = (size[0] - height) // 2, place * pitch + (pitch - width) // 2
        paper[top : top + height, left : left + width] -= dark * 0.7
    return grey_frame(paper)


def grey_frame(grey: NDArray[np.float64]) -> NDArray[np.uint16]:
    return encode(np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2))


def read(reader: reading.Reader, frame: NDArray[np.uint16]) -> tuple[str, int]:
    reader.look(flat(frame))
    reader.read(flat(frame))
    return reader.text, reader.confidence


def test_a_digit_that_the_first_look_leaves_unsure_is_looked_at_again_and_read_as_the_pc_does(model: Model) -> None:
    frames = camera.photograph(datasets.load("digits", "test").images[:80], "hard", seed=3)
    want = NumpyExecutor(model).read(frames)
    unsure = 0
    for i, frame in enumerate(frames):
        reader = reader_of(model)
        looks: list[int] = []
        ink = reader._finder.ink

        def counted(frame: NDArray[np.uint8], attempt: int = 0) -> NDArray[np.uint8]:
            looks.append(attempt)  # noqa: B023
            return ink(frame, attempt)  # noqa: B023

        reader._finder.ink = counted  # type: ignore[method-assign]
        label, confidence = read(reader, frame)
        decision = int(want.decisions[i])
        assert (label, confidence) == (model.labels[decision] if decision >= 0 else "", want.confidences[i])
        assert reader.scores == want.scores[i].tolist()
        assert reader.status == want.inks.statuses[i]
        decider = decider_of(model)
        sure = decider.sure(decider.likelihoods(reader.scores))
        assert looks == ([0] if sure or reader.status != preprocess.FOUND else [*range(len(LOOKS))])
        unsure += len(looks) > 1
    assert unsure >= 4


def test_further_looks_read_more_of_what_is_hard(model: Model) -> None:
    test = datasets.load("digits", "test")
    frames = camera.photograph(test.images[:400], "hard", seed=8)
    executor = NumpyExecutor(model)
    inks = make_inks(frames, model.preprocess_id, (16, 16))
    right = (executor.decide(inks).best == test.labels[:400]).sum()
    assert right >= (executor.decide(replace(inks, looks=1)).best == test.labels[:400]).sum() + 4


@pytest.mark.parametrize("size", [(60, 80), (120, 160)])
def test_one_digit_a_frame_is_read_as_the_pc_does(model: Model, size: tuple[int, int]) -> None:
    images = datasets.load("digits", "test").images[:24]
    frames = camera.photograph(images, "hard", seed=3, size=size)
    reader = reader_of(model, scale=size[0] // 60)
    inks = make_inks(frames, model.preprocess_id, (16, 16))
    want = NumpyExecutor(model).decide(inks, steady=True)
    for i, frame in enumerate(frames):
        reader.look(flat(frame))
        assert reader.box == inks.box(i)
        reader.read(flat(frame))
        assert np.array_equal(reader.ink, inks.inks[i])
        assert reader.scores == want.scores[i].tolist()
        decision = int(want.decisions[i])
        assert (reader.text, reader.confidence) == (
            model.labels[decision] if decision >= 0 else "",
            want.confidences[i],
        )
        reader.forget()
        assert reader.ink is reader.scores is reader.box is None


@pytest.mark.parametrize("size", [(60, 80), (120, 160)])
@pytest.mark.parametrize("numbers", [[4, 0], [7, 1, 2], [0, 6, 2, 7]])
def test_digits_side_by_side_are_read_as_classify_reads_them(
    model: Model, size: tuple[int, int], numbers: list[int]
) -> None:
    frame = beside(numbers, size, tall=28 if len(numbers) < 4 else 24)
    reader = reader_of(model, len(numbers), size[0] // 60)
    text, confidence = read(reader, frame)
    row = NumpyExecutor(model).read_rows(frame[None], len(numbers))[0]
    assert len(row) == len(numbers) == len(text)
    assert text == "".join(model.labels[digit.decision] if digit.decision >= 0 else "-" for digit in row)
    assert confidence == min(digit.confidence for digit in row)
    assert reader.boxes == [digit.box for digit in row]
    assert reader.box is not None
    assert reader.box[1] == reader.boxes[0][1]
    assert reader.box[3] == reader.boxes[-1][3]


def test_no_more_digits_are_read_than_asked_for_and_none_where_there_are_none(model: Model) -> None:
    reader = reader_of(model, 2)
    assert len(read(reader, beside([7, 1, 2]))[0]) == 2
    assert read(reader, grey_frame(np.full((60, 80), 220.0))) == ("", 0)
    assert (reader.status, reader.box, reader.boxes) == (preprocess.NOTHING, None, [])
    assert reader.scores == [0] * 11
    assert reader.ink is not None
    assert reader.ink.shape == (16, 16)
    assert not reader.ink.any()


def test_each_place_of_a_row_is_steadied_and_a_row_of_another_length_begins_anew(model: Model) -> None:
    reader = reader_of(model, 3)
    first = read(reader, beside([4, 0]))
    assert first[0] == "40"
    changed, less_sure = read(reader, beside([4, 7]))
    assert changed[0] == "4"
    assert less_sure < first[1]  # the 0 and the 7 share that place
    fresh = reader_of(model, 3)
    for steadied in (reader, fresh):
        steadied.forget()
    assert read(reader, beside([7, 1, 2])) == read(fresh, beside([7, 1, 2]))


def test_what_is_not_right_with_one_of_the_digits_is_told(model: Model) -> None:
    frame = beside([4, 0])
    cut = np.roll(frame, 13, axis=1)
    cut[:, :13] = frame[0, 0]
    reader = reader_of(model, 2)
    read(reader, frame)
    assert reader.status == preprocess.FOUND
    read(reader, cut)
    assert reader.status == preprocess.TOUCHES_EDGE


def test_settings_that_do_not_go_together_are_told(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    article = modelfile.find("article")
    with pytest.raises(ValueError, match="PICODIGITS_DIGITS: got 2, need 1 for this model"):
        reader_of(article, 2)
    with pytest.raises(ValueError, match="PICODIGITS_DIGITS: got 3 with TRANSPOSE, need an upright camera"):
        reader_of(model, 3, transpose=True)
    with pytest.raises(ValueError, match="frames of 160x120"):
        reader_of(article, scale=2)
    settings.check()
    for key, value, message in (
        ("FRAME_SIZE", "320x240", "PICODIGITS_FRAME_SIZE: got 320x240, need 80x60 or 160x120"),
        ("DIGITS", 5, "PICODIGITS_DIGITS: got 5, need 1, 2, 3 or 4"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(settings.SETTINGS, key, value)
            with pytest.raises(ValueError, match=message):
                settings.check()


def test_a_large_frame_is_shown_by_every_second_pixel(model: Model, rng: np.random.Generator) -> None:
    frame = encode(rng.integers(0, 256, (120, 160, 3)).astype(np.uint8))
    ink = np.zeros((16, 16), np.uint8)
    for transpose in (False, True):
        large, small = Lcd(model, transpose=transpose), Lcd(model, transpose=transpose)
        box = (10, 20, 40, 37)
        seen = large.show(frame, ink, 7, 97, 0, box=box)
        assert seen == small.show(frame[::2, ::2], ink, 7, 97, 0, box=box)


def test_a_row_of_digits_shows_the_ink_and_the_place_of_each(model: Model) -> None:
    frame = beside([0, 6, 2, 7], (120, 160), 24)
    reader = reader_of(model, 4, 2)
    text, confidence = read(reader, frame)
    assert reader.shown is not None
    lcd = Lcd(model, length=4)
    picture = np.asarray(
        lcd.show(frame, reader.shown, text, confidence, reader.status, box=reader.box, boxes=reader.boxes)
    ).astype(int)
    top, left, _, right = reader.boxes[2]
    assert (picture[top, left:right, 2] > picture[top, left:right, 0]).all()  # blue
    assert np.array_equal(reader.shown[16:, :16], reader._found[2][0])  # type: ignore[attr-defined]
    inks = picture[6:38, 90:122]
    assert all(inks[y : y + 16, x : x + 16].max() > 200 for y in (0, 16) for x in (0, 16))
    assert all(picture[67:115, 32 * i : 32 * i + 32].max() > 200 for i in range(4))


def test_the_network_keeps_its_sums_in_the_screens_memory(model: Model) -> None:
    memory = np.zeros(2 * display.MEMORY_SIZE[0] * display.MEMORY_SIZE[1], np.uint8)
    ink = make_inks(camera.photograph(datasets.load("digits", "test").images[:1], "desk"), "find-4", (16, 16)).inks[0]
    shared, own = Network(model, 1, memory), Network(model, 1)
    for _ in range(2):
        memory[:] = np.random.default_rng(1).integers(0, 256, len(memory))
        assert shared.scores(ink) == own.scores(ink)
    assert any(np.shares_memory(layer.sums, memory) for layer in shared._layers)


def test_the_boards_program_asks_for_settings_that_there_are() -> None:
    board = resources.files("picodigits_board")
    asked = {
        node.slice.value
        for name in ("code.py", "reading.py")
        for node in ast.walk(ast.parse((board / name).read_text("utf-8")))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("SETTINGS", "chosen")
        and isinstance(node.slice, ast.Constant)
    }
    assert asked <= set(settings.SETTINGS)
    assert {"FRAME_SIZE", "DIGITS", "MODEL"} <= asked
