"""The preprocessing "article-1": what the article's program did, frame -> ink. `preprocess.make` makes it.

Its byte-order bug (a literal 25889 where the pixel belongs) is left out.
"""

from __future__ import annotations

try:
    from ulab import numpy as np
except ImportError:
    import numpy as np


class Article:
    """The article's pipeline in integers: (r + g + b) / 128 of every fifth pixel, inverted, below one half 0."""

    def __init__(self, ink_height: int, ink_width: int) -> None:
        if (ink_height, ink_width) != (12, 12):
            raise ValueError("ink: got %dx%d, need 12x12 for article-1. Train it again." % (ink_height, ink_width))
        self.looks = 1
        self.status = 0  # preprocess.FOUND
        self.box: tuple[int, int, int, int] | None = None

    def ink(self, frame: np.ndarray, attempt: int = 0) -> np.ndarray:
        """(12, 12) uint8 of a frame (9600,) uint8, as preprocess.py's head says."""
        self.box = (0, 10, 60, 70)
        pixels = frame.reshape((60, 160))
        high = pixels[0:60:5, 20:140:10]  # (12, 12): RRRRRGGG
        low = pixels[0:60:5, 21:140:10]  # (12, 12): GGGBBBBB
        red = np.right_shift(high, 3)
        green = np.left_shift(np.bitwise_and(high, 7), 3) + np.right_shift(low, 5)
        grey = red + green + np.bitwise_and(low, 31)  # 0..125
        ink = 255 - grey * 2  # 5..255: twice (128 - grey), less one to stay in a byte
        return ink * np.array(ink >= 127, dtype=np.uint8)
