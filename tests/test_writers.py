"""Synthetic writers: reproducible, legible, of many hands; letters and scribbles that are no digits."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picodigits import writers
from picodigits.errors import DatasetError

EACH = np.arange(200) % 10
NO_DIGITS = [writers.letters, writers.scribbles]


def box(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of the ink, pixels."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


def test_digits_are_ink_on_paper_that_stays_off_the_border() -> None:
    images = writers.digits(EACH, seed=1)
    assert (images.shape, images.dtype) == ((200, 64, 64), np.uint8)
    assert (images.max(axis=(1, 2)) > 200).all()
    assert not images[:, [0, -1], :].any()
    assert not images[:, :, [0, -1]].any()
    assert 0.02 < (images > 127).mean() < 0.25


def test_a_picture_depends_on_its_label_seed_and_number_alone() -> None:
    images = writers.digits(EACH[:30], seed=7)
    assert np.array_equal(images[12:20], writers.digits(EACH[12:20], seed=7, first=12))
    other = EACH[:30].copy()
    other[::2] = 3
    assert np.array_equal(images[1::2], writers.digits(other, seed=7)[1::2])
    assert (images != writers.digits(EACH[:30], seed=8)).any(axis=(1, 2)).all()
    assert (images != writers.digits(EACH[:30], seed=7, first=30)).any(axis=(1, 2)).all()


@pytest.mark.parametrize("draw", NO_DIGITS)
@pytest.mark.parametrize("group", ["train", "test"])
def test_what_is_no_digit_is_reproducible_picture_by_picture(
    draw: Callable[..., NDArray[np.uint8]], group: str
) -> None:
    images = draw(40, seed=3, group=group)
    assert (images.shape, images.dtype) == ((40, 64, 64), np.uint8)
    assert images.any(axis=(1, 2)).all()
    assert np.array_equal(images[25:], draw(15, seed=3, first=25, group=group))
    assert (images != draw(40, seed=4, group=group)).any(axis=(1, 2)).all()


def test_training_and_test_share_no_glyph_and_no_kind_of_scribble() -> None:
    glyphs = [set(writers._GLYPHS[group].values()) for group in ("train", "test")]
    assert not glyphs[0] & glyphs[1]
    assert not writers._GLYPHS["train"].keys() & writers._GLYPHS["test"].keys()
    assert not set(writers._SCRIBBLES["train"]) & set(writers._SCRIBBLES["test"])


def test_the_held_out_glyphs_and_scribbles_stay_what_they_are() -> None:
    """Figures measured on them stay comparable: change the checksum with every figure, or not at all."""
    held_out = repr([*writers._GLYPHS["test"].items(), *(kind.__name__ for kind in writers._SCRIBBLES["test"])])
    assert zlib.crc32(held_out.encode()) == 0xCF346A8B


def traces(glyphs: Iterable[str]) -> list[NDArray[np.float64]]:
    return [writers._traced(writers._strokes(glyph), 0.9, 0.05) for glyph in glyphs]


def apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean distance of the points of two signs, the larger of both ways, in sides of their square."""
    gaps = np.hypot(*np.moveaxis(a[:, None] - b, -1, 0))
    return float(max(gaps.min(axis=0).mean(), gaps.min(axis=1).mean()))


def test_no_glyph_of_training_is_one_of_the_test_under_another_name() -> None:
    test = traces(writers._GLYPHS["test"].values())
    for name, trace in zip(writers._GLYPHS["train"], traces(writers._GLYPHS["train"].values()), strict=True):
        assert min(apart(trace, other) for other in test) > 0.03, name


def other_writers_digits() -> list[NDArray[np.float64]]:
    hands = [(label, writers._Hand(17, label, number)) for label in range(10) for number in range(30)]
    return [
        writers._traced(writers._BUILD[label](hand), hand.between(*writers._ASPECT[label]), hand.lean)
        for label, hand in hands
    ]


def test_digits_of_nearly_all_other_writers_are_near_a_reserved_one() -> None:
    assert np.mean([writers._near(trace, writers._APART) for trace in other_writers_digits()]) > 0.97


def test_invented_signs_stay_off_digits_and_the_glyphs_of_the_test() -> None:
    digits = other_writers_digits()
    test = traces(writers._GLYPHS["test"].values())
    for number in range(60):
        hand = writers._Hand(18, number)
        strokes, aspect = writers._invented(hand)
        sign = writers._traced(strokes, aspect, hand.lean / 2)
        assert min(apart(sign, digit) for digit in digits) > 0.06
        assert min(apart(sign, glyph) for glyph in test) > 0.05
        assert np.ptp(sign, axis=0).min() > 0.4


def test_invented_signs_differ_from_each_other() -> None:
    hands = [writers._Hand(19, number) for number in range(40)]
    signs = [writers._traced(*writers._invented(hand), 0.0) for hand in hands]
    nearest = [min(apart(a, b) for b in signs if b is not a) for a in signs]
    assert np.median(nearest) > 0.05


def test_about_half_of_the_training_letters_are_invented_and_none_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    invented = writers._invented
    monkeypatch.setattr(writers, "_invented", lambda hand: made.append(hand) or invented(hand))
    writers.letters(100, seed=6, group="train")
    assert 30 < len(made) < 70
    made.clear()
    writers.letters(100, seed=6, group="test")
    assert not made


def test_the_two_groups_differ_by_writer_too() -> None:
    # The same kinds for both: then only the writers differ.
    only = {"train": {"plus": "04 84|40 48"}, "test": {"plus": "04 84|40 48"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writers, "_GLYPHS", only)
        patch.setattr(writers, "_INVENTED", 0.0)
        train, test = (writers.letters(20, seed=5, group=group) for group in ("train", "test"))  # type: ignore[arg-type]
    assert (train != test).any(axis=(1, 2)).all()


def test_pens_reach_from_ballpoint_to_marker_and_writing_from_narrow_to_wide() -> None:
    images = writers.digits(np.zeros(300, np.int64), seed=2)
    shape = np.array([box(image) for image in images])
    aspect = shape[:, 1] / shape[:, 0]
    assert aspect.min() < 0.6
    assert aspect.max() > 1.1
    # The stroke's width: ink over half the ink's outline.
    ink = images > 127
    outline = (ink[:, 1:] != ink[:, :-1]).sum(axis=(1, 2)) + (ink[:, :, 1:] != ink[:, :, :-1]).sum(axis=(1, 2))
    width = ink.sum(axis=(1, 2)) / outline * 2 / shape[:, 0]
    assert width.min() < 0.04
    assert width.max() > 0.1


def test_a_one_is_never_as_flat_as_a_seven() -> None:
    """A one's flag falls from the top of its stem, so that its top rows hold little ink to the left."""
    images = writers.digits(np.ones(300, np.int64), seed=11)
    sevens = writers.digits(np.full(300, 7), seed=11)

    def roof(image: NDArray[np.uint8]) -> float:
        """Width of the ink in the top eighth, as a part of the height."""
        height, _ = box(image)
        top = int(np.flatnonzero(image.any(axis=1))[0])
        columns = np.flatnonzero((image[top : top + max(2, height // 8)] > 60).any(axis=0))
        return float(columns[-1] - columns[0] + 1) / height

    assert np.mean([roof(one) for one in images]) < 0.25
    assert np.mean([roof(seven) for seven in sevens]) > 0.4


def test_lying_bars_lie_and_are_no_ones() -> None:
    for number in range(100):
        hand = writers._Hand(9, number)
        (((begin, _, end),),) = writers._lying_bar(hand)
        image = writers._draw(hand, [[[begin, end]]], 1.0, 64, lean=0.0)
        height, width = box(image)
        assert width > height


@pytest.mark.parametrize("size", [16, 28, 100])
def test_pictures_of_any_size_show_the_same_writing(size: int) -> None:
    small = writers.digits(EACH[:20], seed=4, size=size)
    large = writers.digits(EACH[:20], seed=4, size=192)
    assert small.shape == (20, size, size)
    for a, b in zip(small, large, strict=True):
        reduced = np.asarray(Image.fromarray(b).resize((size, size), Image.Resampling.BOX), np.float64)
        assert np.corrcoef(a.ravel(), reduced.ravel())[0, 1] > 0.85


def test_a_small_classifier_that_saw_other_writers_reads_the_digits() -> None:
    """Legible and not ambiguous: nearest neighbours on 16x16 pictures of the ink's box, different seeds."""
    from sklearn.neighbors import KNeighborsClassifier

    def flat(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        out = []
        for image in images:
            picture = Image.fromarray(image)
            out.append(np.asarray(picture.crop(picture.getbbox()).resize((16, 16), Image.Resampling.BOX)).ravel())
        return np.array(out, np.float64)

    train, test = np.arange(4000) % 10, np.arange(1000) % 10
    model = KNeighborsClassifier(3).fit(flat(writers.digits(train, seed=21)), train)
    assert model.score(flat(writers.digits(test, seed=22)), test) > 0.9


def test_at_least_three_hundred_digits_and_two_hundred_letters_a_second() -> None:
    """Measured: 1 400 and 900 on one core; the bounds leave room for a busy machine."""
    begin = time.process_time()
    writers.digits(EACH, seed=1)
    assert time.process_time() - begin < len(EACH) / 300
    writers._reserved()  # made once, in 0.2 s
    begin = time.process_time()
    writers.letters(200, seed=1)
    assert time.process_time() - begin < 1


def test_no_labels_make_no_pictures() -> None:
    assert writers.digits([], seed=0).shape == (0, 64, 64)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([10], {}, "labels: got"),
        ([-1], {}, "labels: got"),
        ([0.5], {}, "labels: got"),
        ([[1, 2]], {}, "labels: got"),
        ([1], {"seed": -1}, "seed: got -1, need 0 or more"),
        ([1], {"first": -2}, "first: got -2, need 0 or more"),
        ([1], {"size": 8}, "size: got 8, need 16 or more"),
    ],
)
def test_what_can_not_be_written_is_refused(labels: list[int], options: dict[str, int], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        writers.digits(labels, **{"seed": 0, **options})


@pytest.mark.parametrize("draw", NO_DIGITS)
def test_another_group_is_refused(draw: Callable[..., NDArray[np.uint8]]) -> None:
    with pytest.raises(DatasetError, match="group: got 'both', need train or test"):
        draw(1, seed=0, group="both")
    with pytest.raises(DatasetError, match="count: got -1, need 0 or more"):
        draw(-1, seed=0)
