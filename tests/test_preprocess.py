"""frame -> ink: the board's preprocessing, which the PC imports."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from picodigits import camera, datasets
from picodigits.executors import make_inks
from picodigits.frames import encode
from picodigits_board import parts, preprocess

VECTORS = Path(__file__).with_name("vectors")

# SHA-256 of the golden inks of each preprocessing. A change here needs a new id in preprocess.py: models that were
# trained behind the old one no longer fit.
DIGESTS = {
    preprocess.ARTICLE: "c88f1e3037ac8b280e8d8835518c0efa26f89a2f75ed17aa0bb6e8dbff7a31cb",
    preprocess.FIND: "79075137f4c4bf3cd97bb3c3c35b808a0889a782c5aff2eb95e0a3158fc60c89",
}


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(VECTORS / "golden.npz") as file:
        return dict(file)


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


def paper(level: float = 200.0) -> NDArray[np.float64]:
    return np.full((60, 80, 3), level)


def ink_of(picture: NDArray[np.float64], preprocess_id: str = preprocess.FIND) -> tuple[NDArray[np.uint8], Any]:
    size = 12 if preprocess_id == preprocess.ARTICLE else 16
    step = preprocess.make(preprocess_id, size, size)
    frame = encode(picture.clip(0, 255).astype(np.uint8))
    return step.ink(frame.astype("<u2").view(np.uint8).ravel()), step


def seven(top: int = 10, left: int = 25, height: int = 40, paper_level: float = 200.0) -> NDArray[np.float64]:
    picture = paper(paper_level)
    thick = max(height // 8, 2)
    picture[top : top + thick, left : left + height * 2 // 3] *= 0.2
    for i in range(height):
        x = left + height * 2 // 3 - thick - i * height // 3 // height
        picture[top + i, x : x + thick] *= 0.2 if i >= thick else 1.0
    return picture


def test_the_golden_script_gives_the_golden_frames_inks_scores_and_decisions(golden: dict[str, Any]) -> None:
    made = script(VECTORS / "make.py").outcomes(golden["frames"])
    assert sorted(made) == sorted(golden)
    for name, array in made.items():
        np.testing.assert_array_equal(array, golden[name], err_msg=name)


def test_the_golden_inks_pin_the_preprocess_ids(golden: dict[str, Any]) -> None:
    for preprocess_id, name in ((preprocess.ARTICLE, "article"), (preprocess.FIND, "fast")):
        parts = [golden[f"{name}_{part}"].tobytes() for part in ("inks", "statuses", "boxes")]
        assert hashlib.sha256(b"".join(parts)).hexdigest() == DIGESTS[preprocess_id], preprocess_id


def test_the_golden_frames_show_every_status(golden: dict[str, Any]) -> None:
    assert set(golden["fast_statuses"].tolist()) == set(range(len(preprocess.STATUS_NAMES)))


def test_article_ink_equals_the_articles_arithmetic_for_all_65536_pixel_values() -> None:
    values = np.arange(65536, dtype=np.uint16)
    step = preprocess.make(preprocess.ARTICLE, 12, 12)
    for start in range(0, 65536, 144):
        some = np.resize(values[start : start + 144], 144)
        frame = np.zeros((60, 80), np.uint16)
        frame[0:60:5, 10:70:5] = some.reshape(12, 12)
        ink = step.ink(frame.astype("<u2").view(np.uint8).ravel())
        for value, got in zip(some.tolist(), ink.ravel().tolist(), strict=True):
            pixel = (value & 0xFF) << 8 | value >> 8
            grey = 1 - ((pixel >> 11) + (pixel >> 5 & 63) + (pixel & 31)) / 128
            want = 0 if grey < 0.5 else round(255 * grey)
            assert abs(got - want) <= 1, hex(value)
            assert (got == 0) == (want == 0)


def test_a_digit_gives_nearly_the_same_ink_wherever_it_stands() -> None:
    inks = [ink_of(seven(top, left))[0].astype(float) for top, left in ((10, 25), (4, 10), (14, 40), (13, 31))]
    mirrored = ink_of(seven()[:, ::-1])[0].astype(float)
    alike = [float(np.corrcoef(ink.ravel(), inks[0].ravel())[0, 1]) for ink in inks[1:]]
    assert min(alike) > 0.85
    assert np.corrcoef(mirrored.ravel(), inks[0].ravel())[0, 1] < 0.5


def test_a_digit_gives_nearly_the_same_ink_in_bright_and_in_dim_light() -> None:
    bright, dim = ink_of(seven(paper_level=240.0))[0], ink_of(seven(paper_level=90.0))[0]
    assert np.abs(bright.astype(int) - dim.astype(int)).mean() < 6


def test_light_that_falls_off_across_the_picture_is_not_taken_for_ink() -> None:
    light = np.linspace(1.0, 0.35, 80)[None, :, None]
    even, uneven = ink_of(seven())[0], ink_of(seven() * light)[0]
    assert np.abs(even.astype(int) - uneven.astype(int)).mean() < 10
    assert ink_of(paper() * light)[1].status == preprocess.NOTHING


def test_the_ink_fills_its_box_and_is_centred() -> None:
    ink, step = ink_of(seven())
    assert step.status == preprocess.FOUND
    rows, columns = np.flatnonzero(ink.max(axis=1) > 60), np.flatnonzero(ink.max(axis=0) > 60)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (13, 14, 15)
    mass = ink.astype(float)
    assert abs((mass.sum(axis=1) * (np.arange(16) + 0.5)).sum() / mass.sum() - 8) < 1
    assert abs((mass.sum(axis=0) * (np.arange(16) + 0.5)).sum() / mass.sum() - 8) < 1


def test_the_box_is_that_of_the_digit() -> None:
    _, step = ink_of(seven(top=10, left=20, height=40))
    assert step.box is not None
    assert np.abs(np.array(step.box) - (10, 20, 50, 46)).max() <= 2


@pytest.mark.parametrize(
    ("picture", "status"),
    [
        (paper(), preprocess.NOTHING),
        (paper(20.0), preprocess.TOO_DARK),
        (seven(height=9), preprocess.TOO_SMALL),
        (seven(top=20)[::-1], preprocess.TOUCHES_EDGE),
        (seven(left=0), preprocess.TOUCHES_EDGE),
        (seven(top=20), preprocess.TOUCHES_EDGE),
        (seven(left=55), preprocess.TOUCHES_EDGE),
        (seven(), preprocess.FOUND),
    ],
    ids=["blank paper", "dark", "small", "top edge", "left edge", "bottom edge", "right edge", "a digit"],
)
def test_the_status_says_what_is_wrong_with_the_picture(picture: NDArray[np.float64], status: int) -> None:
    _, step = ink_of(picture)
    assert preprocess.STATUS_NAMES[step.status] == preprocess.STATUS_NAMES[status]
    assert (step.box is None) == (status in (preprocess.NOTHING, preprocess.TOO_DARK))


def two_digits(gap: int = 8) -> NDArray[np.float64]:
    picture = paper()
    for left in (8, 8 + 20 + gap):
        picture[15:45, left : left + 20] = seven(left=10, height=30)[10:40, 10:30]
    return picture


def test_two_digits_side_by_side_are_told() -> None:
    assert ink_of(two_digits())[1].status == preprocess.MANY


def test_digits_side_by_side_are_cut_out_one_by_one_from_left_to_right() -> None:
    picture = two_digits(gap=12)
    flat = encode(picture.clip(0, 255).astype(np.uint8)).astype("<u2").view(np.uint8).ravel()
    step = preprocess.make(preprocess.FIND, 16, 16)
    assert isinstance(step, preprocess.Find)
    found = step.inks(flat, 4)
    assert [status for _, status, _ in found] == [preprocess.FOUND] * 2
    (_, _, left_box), (_, _, right_box) = found
    assert left_box is not None
    assert right_box is not None
    assert np.abs(np.array(left_box) - (15, 8, 45, 28)).max() <= 2
    assert np.abs(np.array(right_box) - (15, 40, 45, 60)).max() <= 2
    alone = ink_of(seven(left=10, height=30))[0]
    for ink, _, _ in found:
        assert np.corrcoef(ink.ravel(), alone.ravel())[0, 1] > 0.9
    assert len(step.inks(flat, 1)) == 1
    blank = encode(paper().astype(np.uint8)).astype("<u2").view(np.uint8).ravel()
    assert step.inks(blank, 4) == []


def test_what_sharpening_makes_brighter_than_paper_beside_a_stroke_takes_nothing_from_the_ink() -> None:
    plain = seven(height=28)
    beside = (ndimage.minimum_filter(plain, (3, 3, 1)) < plain) & (plain > 150)
    sharpened = np.where(beside, plain * 1.25, plain)
    inks = [ink_of(picture)[0].astype(int) for picture in (plain, sharpened)]
    assert inks[1].sum() > 0.97 * inks[0].sum()


def test_slanted_writing_is_straightened_up() -> None:
    upright, slanted = paper(), paper()
    for row in range(40):
        upright[10 + row, 38:42] = 40
        slanted[10 + row, 48 - row // 2 : 52 - row // 2] = 40
    straight, leaning = ink_of(upright)[0].astype(float), ink_of(slanted)[0].astype(float)
    assert np.corrcoef(straight.ravel(), leaning.ravel())[0, 1] > 0.85


def test_a_large_frame_gives_nearly_the_same_ink_as_a_small_one_of_the_same_scene() -> None:
    images = datasets.load("digits", "test").images[:40]
    small = make_inks(camera.photograph(images, "desk", seed=2), preprocess.FIND, (16, 16))
    large = make_inks(camera.photograph(images, "desk", seed=2, size=(120, 160)), preprocess.FIND, (16, 16))
    both = small.found & large.found
    assert both.mean() > 0.9
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(small.inks[both], large.inks[both], strict=True)]
    assert np.median(alike) > 0.9


def test_in_a_large_frame_a_digit_may_be_half_as_large() -> None:
    picture = np.full((120, 160, 3), 200.0)
    picture[50:78, 70:89] = seven(left=25, height=28)[10:38, 25:44]
    flat = encode(picture.clip(0, 255).astype(np.uint8)).astype("<u2").view(np.uint8).ravel()
    step = preprocess.make(preprocess.FIND, 16, 16, 2)
    ink = step.ink(flat)
    assert step.status == preprocess.FOUND
    want = ink_of(seven(height=40))[0]
    moved = [np.roll(want, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    assert max(np.corrcoef(ink.ravel(), one.ravel())[0, 1] for one in moved) > 0.8


def test_a_speck_beside_the_digit_changes_nothing() -> None:
    clean, dirty = seven(), seven()
    dirty[55:57, 4:6] *= 0.3
    assert np.abs(ink_of(clean)[0].astype(int) - ink_of(dirty)[0].astype(int)).max() <= 2


def test_the_two_parts_of_a_broken_five_stay_together() -> None:
    picture = seven()
    picture[17:21] = 200.0  # a gap below the bar
    _, step = ink_of(picture)
    assert step.box is not None
    assert step.box[0] <= 12


def test_a_fold_in_the_paper_beside_the_digit_is_neither_a_second_one_nor_a_part_of_it() -> None:
    clean, tall, short = seven(left=30), seven(left=30), seven(left=30)
    tall[5:55, 22:24] *= 0.5
    short[10:26, 18:22] *= 0.5
    box = ink_of(clean)[1].box
    assert box is not None
    for folded in (tall, short):
        _, step = ink_of(folded)
        assert step.status == preprocess.FOUND
        assert step.box is not None
        assert np.abs(np.array(step.box) - box).max() <= 1


def test_a_stroke_wider_than_the_window_of_the_paper_stays_ink() -> None:
    picture = paper()
    picture[5:55, 30:50] = 60.0
    ink, _ = ink_of(picture)
    rows = np.flatnonzero(ink.max(axis=1) > 60)
    assert ink[rows[0] : rows[-1] + 1, 7:9].min() > 40


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 2, 40, 255]))
@settings(max_examples=150, deadline=None)
def test_any_frame_gives_an_ink_and_never_an_error(seed: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.uniform(0, 255) + rng.normal(0, 1, (60, 80, 3)) * spread
    ink, step = ink_of(picture)
    assert ink.dtype == np.uint8
    assert ink.shape == (16, 16)
    assert 0 <= step.status < len(preprocess.STATUS_NAMES)


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.8))
@settings(max_examples=200, deadline=None)
def test_the_parts_are_those_that_scipy_finds_but_for_single_cells(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    cells, dark = rng.random((15, 20)) < density, rng.random((15, 20)) < 0.4
    rows, strong = ([int(sum(1 << c for c in range(20) if plane[y, c])) for y in range(15)] for plane in (cells, dark))
    labelled, count = ndimage.label(cells, np.ones((3, 3)))  # from the top, each row from the left
    boxes = ndimage.find_objects(labelled)
    want = [
        (
            int((labelled == k + 1).sum()),
            *(box[0].start, box[1].start, box[0].stop, box[1].stop),
            int((dark & (labelled == k + 1)).sum()),
        )
        for k, box in enumerate(boxes[:count])
    ]
    assert parts.parts_of(rows, strong) == [part for part in want if part[0] > 1][: parts.MAX_PARTS]


def test_each_variant_of_the_ablation_makes_an_ink_and_most_another_one() -> None:
    ablation = script(VECTORS.parents[1] / "benchmarks" / "ablation.py")
    frame = camera.photograph(datasets.load("digits", "test").images[:1], "hard", seed=3)[0]
    inks = {}
    for variant in ablation.VARIANTS:
        with variant.step() as step:
            inks[variant.name] = step.ink(frame.astype("<u2").view(np.uint8).ravel()).tobytes()
    assert len(set(inks.values())) >= len(ablation.VARIANTS) - 2  # a part that is alone is the digit anyway


def test_an_unknown_preprocessing_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"got preprocessing find-9, need find-4 or article-1\. Train"):
        preprocess.make("find-9", 16, 16)


def test_one_object_gives_the_same_ink_again_and_again() -> None:
    frames = camera.photograph(datasets.load("digits", "test").images[:20], "desk", seed=3)
    step = preprocess.make(preprocess.FIND, 16, 16)
    flat = frames.astype("<u2").view(np.uint8).reshape(20, -1)
    first = [step.ink(frame).copy() for frame in flat]
    for frame, ink in zip(flat[::-1], first[::-1], strict=True):
        np.testing.assert_array_equal(step.ink(frame), ink)


def test_desk_frames_of_unseen_writers_are_nearly_all_found() -> None:
    frames = camera.photograph(datasets.load("digits", "test").images, "desk", seed=3)
    assert make_inks(frames, preprocess.FIND, (16, 16)).found.mean() > 0.97
