"""digit image -> frame: the camera simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from picodigits import datasets
from picodigits.camera import CARE, photograph
from picodigits.errors import FrameError
from picodigits.frames import decode, luminance


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return datasets.load("digits", "test").images[:100]


@pytest.mark.parametrize("care", list(CARE))
def test_frames_are_60x80_rgb565_swapped(images: NDArray[np.uint8], care: str) -> None:
    frames = photograph(images, care)
    assert frames.shape == (100, 60, 80)
    assert frames.dtype == np.uint16
    rgb = decode(frames).astype(int)
    assert np.ptp(rgb, axis=-1).mean() < 45  # wrong byte order would make confetti of grey paper


@pytest.mark.parametrize("care", list(CARE))
def test_the_same_seed_gives_the_same_frames_and_another_seed_others(images: NDArray[np.uint8], care: str) -> None:
    first = photograph(images, care, seed=4)
    np.testing.assert_array_equal(first, photograph(images, care, seed=4))
    assert (first != photograph(images, care, seed=5)).mean() > 0.5


def test_a_part_of_a_set_equals_that_part_of_the_whole(images: NDArray[np.uint8]) -> None:
    whole = photograph(images, "desk", seed=1)
    np.testing.assert_array_equal(photograph(images[40:50], "desk", seed=1, first=40), whole[40:50])


@pytest.mark.parametrize("care", list(CARE))
def test_ink_is_darker_than_paper_and_stands_where_care_says(images: NDArray[np.uint8], care: str) -> None:
    light = luminance(photograph(images, care, seed=2)).astype(float)
    heights = []
    for picture in light:
        paper = np.median(picture)
        dark = np.argwhere(picture < 0.62 * paper)
        if len(dark):
            heights.append(np.ptp(dark[:, 0]) + 1)
    low, high = CARE[care].height
    assert len(heights) > 90
    assert 60 * low * 0.7 < np.median(heights) < 60 * high * 1.1


def test_every_digit_lies_inside_the_frame(images: NDArray[np.uint8]) -> None:
    light = luminance(photograph(images, "studio", seed=3)).astype(float)
    border = np.concatenate([light[:, 0], light[:, -1], light[:, :, 0], light[:, :, -1]], axis=1)
    assert border.min() > 0.6 * np.median(light)


def test_a_blank_image_gives_blank_paper() -> None:
    frames = photograph(np.zeros((3, 28, 28), np.uint8), "studio")
    assert np.ptp(luminance(frames).astype(int)) < 60


def test_a_stroke_of_full_ink_right_up_to_the_border_is_placed_like_any_other() -> None:
    frames = photograph(np.full((2, 8, 8), 255, np.uint8), "desk")
    assert luminance(frames).min() < 120


@pytest.mark.parametrize(
    ("pictures", "care", "message"),
    [
        (np.zeros((2, 8, 8), np.float64), "desk", r"images: got float64 \(2, 8, 8\), need \(N, H, W\) uint8"),
        (np.zeros((8, 8), np.uint8), "desk", r"images: got uint8 \(8, 8\), need \(N, H, W\)"),
        (np.zeros((2, 8, 8), np.uint8), "sloppy", "care: got 'sloppy', need one of studio, desk"),
    ],
)
def test_what_is_not_an_image_or_a_care_is_refused(pictures: NDArray[np.uint8], care: str, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        photograph(pictures, care)
