"""RGB565 or YUV from the camera? What each costs on the board, and what is read of it -> yuv.csv.

    PICODIGITS_DATA=FOLDER python benchmarks/yuv.py

Time: the statements that make the 30x40 picture that the digit is looked for in, and those that make a frame fit for
the screen, on the emulated Pico (virtual ms). Accuracy: MNIST's test images, photographed; luminance takes the place of
green, 6 bits as well. It is worked out from the RGB565 frame, so red and blue have 5 bits in it instead of 8. Needs the
extra `bench`, the firmware and MNIST, and about three minutes.
"""

from __future__ import annotations

import argparse
import csv
import inspect
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picodigits import camera, datasets, frames, modelfile
from picodigits.bench.parity import FedBoard
from picodigits.executors import NumpyExecutor
from picodigits_board import look

OUT = Path(__file__).with_name("yuv.csv")
LEVELS = ("studio", "desk", "hard")
REPEATS = 20

# YUYV: luminance is every other byte, of 8 bits, so it is brought down to 6: sums of four must stay within a byte.
STEPS = {
    "rgb565": {
        "pooled picture": "seen = _pooled(np.bitwise_and(pixels[:, 0::2], 7)) * 8\n"
        "seen += _pooled(np.right_shift(pixels[:, 1::2], 5))",
        "screen": "pass",  # the display takes RGB565 as it is
    },
    "yuv": {
        "pooled picture": "seen = _pooled(np.right_shift(pixels[:, 0::2], 2))",
        # Grey as RGB565, high byte first: RRRRRGGG GGGBBBBB, in the place of the frame.
        "screen": "y = pixels[:, 0::2] * 1\nhigh = np.right_shift(y, 3)\nlow = high * 1\nhigh *= 8\n"
        "high += np.right_shift(y, 5)\nlow += np.left_shift(np.right_shift(y, 2), 5)\n"
        "pixels[:, 0::2] = high\npixels[:, 1::2] = low",
    },
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=2000, help="test images")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()

    rows = [["what", "rgb565", "yuv"]]
    for step in ("pooled picture", "screen"):
        rows.append([f"{step}, ms", *(f"{_milliseconds(STEPS[colours][step]):.2f}" for colours in STEPS)])
        print(*rows[-1], sep=" | ")
    test = datasets.load("mnist", "test").take(np.arange(options.limit))
    for name in ("fast", "best"):
        executor = NumpyExecutor(modelfile.find(name))
        for level in LEVELS:
            taken = camera.photograph(test.images, level, seed=7)
            right = [
                100 * float((executor.read(some).best == test.labels).mean()) for some in (taken, _luminance(taken))
            ]
            rows.append([f"{name}, {level}, right, %", *(f"{figure:.2f}" for figure in right)])
            print(*rows[-1], sep=" | ")
    with options.out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    print(options.out)


def _milliseconds(statements: str) -> float:
    """Virtual ms of some statements on a frame, less those of none."""
    body = "\n    ".join(["pixels = np.frombuffer(frame, dtype=np.uint8).reshape((60, 160))", *statements.split("\n")])
    pooled = inspect.getsource(look._pooled)
    program = f"from ulab import numpy as np\n{pooled}\ndef once(frame):\n    {body}\n"
    frame = np.full((1, frames.FRAME_HEIGHT, frames.FRAME_WIDTH), 0x1234, np.uint16)
    spent = []
    for count in (0, REPEATS):
        fed = FedBoard(
            f"{program}def process(frame, result):\n    for _ in range({count}):\n        once(frame)\n", {},
            result_bytes=24,
        )  # fmt: skip
        spent.append(float(fed.feed(frame).ms[0]))
    return (spent[1] - spent[0]) / REPEATS


def _luminance(taken: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Frames with luminance in the place of green."""
    luma = frames.luminance(taken).astype(np.uint16)
    plain = taken.byteswap() & 0xF81F | (luma >> 2) << 5
    return plain.astype(np.uint16).byteswap()


if __name__ == "__main__":
    main()
