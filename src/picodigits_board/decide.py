"""THE definition of the decision: scores -> label or "no digit", with a confidence, steadied over a few frames.

In integers of at most 31 bits, so that the Pico and the PC decide alike. The confidence is a softmax to the base 2:
a class whose score is lower by `octave` is half as likely. `octave` and `min_confidence` are fitted on frames that
the model was not trained on, and travel in the model file.
"""

from __future__ import annotations

NO_DIGIT = -1
ONE = 1 << 16  # a likelihood of 1
SURE = ONE * 9 // 10  # below, a digit is looked at again, see `look.LOOKS`

# round(2**16 * 2**(-k / 16)): a sixteenth of an octave each
_POW2 = (65536, 62757, 60097, 57549, 55109, 52772, 50535, 48393, 46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219)


def likelihoods(scores: list[int], octave: int) -> list[int]:
    """The softmax of `scores` (list of int, |score| < 2**24) to the base 2: a list of int, together about 2**16."""
    best = max(scores)
    powers = []
    for score in scores:
        sixteenths = (best - score) * 16 // octave
        powers.append(_POW2[sixteenths & 15] >> (sixteenths >> 4) if sixteenths < 272 else 0)
    total = sum(powers)
    return [(power * 4096 // total) << 4 for power in powers]


def mixed(looks: list[list[int]]) -> list[int]:
    """The mean of the likelihoods of several looks at the same frame, rounded down."""
    if len(looks) == 1:
        return looks[0]
    return [sum([look[i] for look in looks]) // len(looks) for i in range(len(looks[0]))]


class Decider:
    """Turns the scores of one frame after another into what is shown.

    decision    index of the class, or NO_DIGIT
    confidence  0..100 percent, of the likeliest class, also where the decision is NO_DIGIT
    """

    def __init__(self, octave: int, min_confidence: int, rejects: bool = False) -> None:
        """`octave`, `min_confidence` and `rejects` are those of the model: the last score may stand for "no digit"."""
        self._octave = octave
        self._rejects = rejects
        self._min_confidence = min_confidence
        self._likelihoods: list[int] = [0]
        self.decision = NO_DIGIT
        self.confidence = 0

    def begin_anew(self) -> None:
        """Forget the frames before."""
        old = self._likelihoods
        for i in range(len(old)):
            old[i] = 0
        self.decision = NO_DIGIT

    def likelihoods(self, scores: list[int]) -> list[int]:
        """As the function, with the model's octave."""
        return likelihoods(scores, self._octave)

    def sure(self, new: list[int]) -> bool:
        """Whether the look that these likelihoods come from is enough: a class, not "no digit", has SURE at least."""
        return max(new[: len(new) - self._rejects]) >= SURE

    def update(self, scores: list[int], found: bool, looks: list[list[int]] | None = None) -> int:
        """Take the scores of a frame; `found` says that its ink is a whole digit. Returns the decision.

        looks  the likelihoods of each look at the frame, the first and, where that was not `sure`, further ones: all
               count the same; None: those of `scores` alone

        Half of the likelihoods comes from this frame and half from those before; after "nothing there" the new frame
        counts alone. A frame without a digit counts as zero for every class.
        """
        new = [0] * len(scores)
        if found:
            new = mixed(looks or [self.likelihoods(scores)])
        if self._rejects:
            new = new[:-1]
            scores = scores[:-1]
        old = self._likelihoods
        if max(old) and max(old) * 100 >= self._min_confidence << 16:
            new = [(old[i] + new[i]) >> 1 for i in range(len(new))]
        self._likelihoods[:] = new  # in place: the heap keeps large blocks
        best = max(new)
        self.confidence = (best * 100 + ONE // 2) >> 16
        leader = self.decision  # of equals the one shown, else this frame's: likelihoods are coarser than scores
        if leader == NO_DIGIT or new[leader] < best:
            leader = scores.index(max(scores))
        if new[leader] < best:
            leader = new.index(best)
        self.decision = leader if best and self.confidence >= self._min_confidence else NO_DIGIT
        return self.decision
