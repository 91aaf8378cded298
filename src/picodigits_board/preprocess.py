"""THE definition of the preprocessing: frame -> ink, in integers, the same files for the Pico and the PC.

A preprocessing is a class; `make(preprocess_id, ...)` picks it by the id that the model file carries. All of them:

    ink(frame, attempt=0)
                 frame: (9600,) uint8, 60 rows of 80 pixels RGB565_SWAPPED (high byte first), digit upright; or
                 (38400,) uint8, 120 rows of 160, of a finder made with scale 2
                 attempt: 0 for the first look; those up to `looks` - 1 see the same frame otherwise, for the reader to
                 compare where the first left it unsure
                 returns (ink_height, ink_width) uint8, 0 = paper, 255 = full ink
    looks        how many attempts there are
    status       what was seen in the last frame: FOUND, NOTHING, TOO_SMALL, TOO_DARK, TOUCHES_EDGE, MANY
    box          (top, left, bottom, right) in pixels of an 80x60 frame, half open; None where nothing was found

    "find-4"     finds the digit, flattens the light, straightens it up and centres it; independent of light, paper,
                 pen, place, size and slant. look.py, parts.py, find.py, sampling.py
    "article-1"  what the article's program did: the middle 60x60 sampled to 12x12, inverted, grey below one half
                 set to zero. article.py

An id changes whenever the ink of any frame changes; tests/vectors holds the frames and inks that pin it.

The arithmetic stays within uint8 and uint16, no array has more than two dimensions, and every operation exists in
ulab 6.5 (CircuitPython 9 and 10) and in NumPy with the same result.

Several small files: CircuitPython compiles a file as a whole, and what it keeps of it lies above what it needed.
"""

from __future__ import annotations

from picodigits_board.find import Find
from picodigits_board.look import FOUND, FRAME_HEIGHT, FRAME_WIDTH, MANY, NOTHING, TOO_DARK, TOO_SMALL, TOUCHES_EDGE

__all__ = ["FOUND", "FRAME_HEIGHT", "FRAME_WIDTH", "MANY", "NOTHING", "TOO_DARK", "TOO_SMALL", "TOUCHES_EDGE", "Find"]

TYPE_CHECKING = False  # the Pico has no typing
if TYPE_CHECKING:
    from picodigits_board.article import Article

FRAME_BYTES = 9600
STATUS_KEYS = ("found", "nothing", "small", "dark", "edge", "many")
STATUS_NAMES = ("found", "nothing there", "too small", "too dark", "touches the edge", "more than one")

ARTICLE = "article-1"
FIND = "find-4"


def make(preprocess_id: str, ink_height: int, ink_width: int, scale: int = 1) -> Article | Find:
    """The preprocessing named `preprocess_id`, with its buffers. Raises ValueError for one not known here.

    scale  1: frames of 80x60 pixels; 2: of 160x120 ("find-4" alone)
    """
    if preprocess_id == FIND:
        return Find(ink_height, ink_width, scale)
    if preprocess_id == ARTICLE and scale > 1:
        raise ValueError(
            "model file: got %s, need %s for frames of 160x120. Use another model, or 80x60." % (ARTICLE, FIND)
        )
    if preprocess_id == ARTICLE:
        from picodigits_board.article import Article

        return Article(ink_height, ink_width)
    raise ValueError(
        "model file: got preprocessing %s, need %s or %s. Train the model again, or update picodigits_board."
        % (preprocess_id, FIND, ARTICLE)
    )
