"""Make the golden vectors: frames, inks, scores and decisions that every implementation must reproduce.

    python tests/vectors/make.py

writes tests/vectors/golden.npz. Run it only when preprocessing is meant to change: then give it a new id in
picodigits_board/preprocess.py, train the models again, and commit both. The frames are simulated photographs of
scikit-learn's digits at three levels of care, and frames that are hard on the arithmetic: noise, blank paper, dark,
all black, all white, a tiny digit, digits at each border.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picodigits import camera, datasets, modelfile
from picodigits.executors import NumpyExecutor
from picodigits.frames import encode

GOLDEN = Path(__file__).with_name("golden.npz")
MODELS = ("article", "fast", "best")


def frames() -> NDArray[np.uint16]:
    """(N, 60, 80) uint16 RGB565_SWAPPED, from seeds alone."""
    rng = np.random.default_rng(20)
    images = datasets.load("digits", "test").images[:24]
    desk, studio = camera.photograph(images[:16], "desk", seed=5), camera.photograph(images[16:], "studio", seed=5)
    hard = camera.photograph(images[:16], "hard", seed=5)
    two = camera.no_digit("two digits", 3, "desk", seed=5, digits=images)
    grey = np.full((60, 80, 3), 200.0)
    sheets = [grey + rng.normal(0, 2, grey.shape), grey * 0.1, grey * 0, grey * 0 + 255]
    for top, left, size in (
        (25, 30, 9),
        (0, 30, 30),
        (30, 30, 30),
        (15, 0, 30),
        (15, 50, 30),
        (20, 40, 10),
        (25, 20, 15),
        (0, 0, 60),
    ):
        sheet = grey + rng.normal(0, 2, grey.shape)
        sheet[top : top + size, left + size // 3 : left + size // 2] = 40
        sheet[top + size // 2 : top + size // 2 + 3, left : left + size] = 40
        sheets.append(sheet)
    drawn = encode(np.stack(sheets).clip(0, 255).astype(np.uint8))
    noise = rng.integers(0, 65536, (5, 60, 80)).astype(np.uint16)
    return np.concatenate([desk, studio, hard, two, drawn, noise])


def outcomes(taken: NDArray[np.uint16]) -> dict[str, NDArray[np.generic]]:
    """What each model makes of the frames, as the arrays of golden.npz."""
    made: dict[str, NDArray[np.generic]] = {"frames": taken}
    for name in MODELS:
        readings = NumpyExecutor(modelfile.find(name)).read(taken)
        made[f"{name}_inks"] = readings.inks.inks
        made[f"{name}_statuses"] = readings.inks.statuses
        made[f"{name}_boxes"] = readings.inks.boxes
        made[f"{name}_scores"] = readings.scores
        made[f"{name}_decisions"] = readings.decisions
        made[f"{name}_confidences"] = readings.confidences
    return made


if __name__ == "__main__":
    np.savez_compressed(GOLDEN, **outcomes(frames()))
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes")
