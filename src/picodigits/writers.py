"""Synthetic writers: pen strokes -> ink pictures of digits in many hands, of letters and signs, and of scribbles.

MNIST's writers are American: most write a bare one, a seven without a bar, an open four. Elsewhere people give the
one a long upstroke, bar the seven, cross the four low. Here every picture is one writer: a way to build the digit (an
allograph), proportions, slant, pen, pressure and an unsteady hand, all drawn from a seed. Which allographs there are
was found by looking at what networks misread: at MNIST's and at scikit-learn's digits, of Turkish writers.

A glyph is built in a box of height 1, x to the right and y down: control points -> splines -> slant, aspect, tilt ->
a pen of varying width, rasterised finer and averaged down. Nothing is copied from a font or a data set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from picodigits.errors import DatasetError

Group = Literal["train", "test"]
Point = tuple[float, float]
Piece = list[Point]  # one smooth run of the pen; two points are a straight line
Stroke = list[Piece]  # pieces that meet in corners: each begins where the one before ends

_FINE = 256  # pixels: pictures are rasterised at least this large
_STEPS = 5  # samples of a spline between two of its control points
_LINE_STEPS = 5  # samples of a straight piece, so that pressure and tremor can vary along it


class _Hand:
    """One writer: a stream of random choices, and the lean of the writing, which some glyphs allow for."""

    def __init__(self, *entropy: int) -> None:
        self._next = _uniforms(np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))).__next__
        self.lean = math.tan(math.radians(min(max(self.bell(6, 11), -25), 35)))  # shear to the right per height

    def between(self, low: float, high: float) -> float:
        """Evenly from `low` to `high`."""
        return low + (high - low) * self._next()

    def bell(self, mean: float, deviation: float) -> float:
        """About normal, never more than three standard deviations off."""
        return mean + deviation * (2 * (self._next() + self._next() + self._next()) - 3)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._next() < probability

    def one_of(self, *weights: float) -> int:
        """An index, as often as its weight says."""
        left = self._next() * sum(weights)
        for index, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return index
        return len(weights) - 1

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._next() * (high - low + 1))


def _uniforms(source: np.random.Generator) -> Iterator[float]:
    while True:
        yield from source.random(96).tolist()


def _arc(centre: Point, radii: Point, start: float, end: float, power: float = 1.0) -> Piece:
    """Points on an ellipse from angle `start` to `end`, degrees clockwise from the top; power < 1 is boxy."""
    count = max(3, round(abs(end - start) / 42))
    points = []
    for i in range(count + 1):
        angle = math.radians(start + (end - start) * i / count)
        x, y = math.sin(angle), -math.cos(angle)
        x, y = math.copysign(abs(x) ** power, x), math.copysign(abs(y) ** power, y)
        points.append((centre[0] + radii[0] * x, centre[1] + radii[1] * y))
    return points


# --- the ten digits ---------------------------------------------------------------------------------------


def _zero(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.5, 0.2, 0.24, 0.06)  # closed, open at the top, with a tail, slashed
    start = h.bell(10, 22)
    sweep = (h.between(350, 372), h.between(318, 346), h.between(378, 412), h.between(352, 368))[kind]
    turn = -1 if h.chance(0.85) else 1
    oval = _arc((0.5, 0.5), (0.5, 0.5), start, start + turn * sweep, h.between(0.72, 1.12))
    egg = h.bell(0, 0.14)  # wider below or above
    oval = [(0.5 + (x - 0.5) * (1 + egg * (2 * y - 1)), y) for x, y in oval]
    if kind == 2:
        pull = h.between(0.65, 1.2)  # the tail ends inside or outside
        for i, part in ((-2, 0.4), (-1, 1.0)):
            scale = 1 + (pull - 1) * part
            x, y = oval[i]
            oval[i] = (0.5 + (x - 0.5) * scale, 0.5 + (y - 0.5) * scale)
    strokes: list[Stroke] = [[oval]]
    if kind == 3:
        out = h.between(-0.08, 0.18)
        strokes.append([[(0.12 - out, 0.85 + out / 2), (0.88 + out, 0.15 - out / 2)]])
    return strokes


def _one(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.25, 0.24, 0.27, 0.06, 0.18)  # bar, short flag, long upstroke, foot, flag and foot
    bow = h.bell(0, 0.025)
    stem = [(0.0, 0.0), (bow, 0.5), (h.bell(0, 0.03), 1.0)]
    if kind < 3 and h.chance(0.08):  # runs out in a little hook
        stem = [*stem[:2], (stem[2][0], 0.95), (stem[2][0] + h.between(0.03, 0.08), h.between(0.97, 1.02))]
    if kind in (0, 3):
        strokes: list[Stroke] = [[stem]]
    else:
        long = kind == 2 or (kind == 4 and h.chance(0.25))
        length = h.between(0.32, 0.64) if long else h.between(0.08, 0.34)
        steep = math.radians(h.between(18, 46) if long else h.between(22, 56))  # from the vertical: never a seven
        down = length * math.cos(steep)
        flag = (-length * math.sin(steep) + h.lean * down, down)
        curl = h.bell(0, 0.02)
        middle = (flag[0] / 2 + curl, flag[1] / 2 + curl)
        strokes = [[[flag, middle, stem[0]], stem]] if h.chance(0.85) else [[stem], [[stem[0], middle, flag]]]
    if kind >= 3:
        left, right, rise = h.between(0.1, 0.34), h.between(0.1, 0.36), h.bell(0, 0.02)
        foot_x = stem[-1][0]
        foot = [(foot_x - left, 1.0 + rise), (foot_x + right, 1.0 - rise)]
        strokes.append([foot])
    return strokes


def _two(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.34, 0.22, 0.18, 0.16, 0.1)  # plain, loop, curved base, swan, flat top
    right = h.between(0.85, 1.0) if h.chance(0.55) else h.between(0.62, 0.85)  # a narrow head on a wide base
    shoulder = h.between(0.18, 0.36)
    corner = (h.between(-0.06, 0.26), h.between(0.94, 1.02))
    top = [(right * h.between(0.38, 0.62), 0.0), (right, shoulder)]
    hook = h.one_of(0.6, 0.2, 0.2)
    if hook == 0:  # the usual rise from the left
        top = [
            (h.between(-0.04, 0.16), h.between(0.14, 0.42)),
            (right * h.between(0.12, 0.24), h.between(0.04, 0.1)),
            *top,
        ]
    elif hook == 1:  # begins with a small curl
        curl = h.between(0.22, 0.36)
        top = [(right * 0.3, curl), (0.06, curl - 0.06), (right * 0.12, 0.08), *top]
    else:
        top = [(right * h.between(0.1, 0.25), h.between(0.02, 0.12)), *top]
    belly = (right * h.between(0.55, 0.85), h.between(0.48, 0.64))
    end = (h.between(0.75, 1.15) if h.chance(0.85) else h.between(1.15, 1.5), h.between(0.9, 1.06))
    if kind == 0:
        return [[[*top, belly, corner], [corner, end]]]
    if kind == 1:
        high = h.between(0.62, 0.84)
        out = h.between(-0.2, 0.0)  # small loops and wide ones
        loop = [(0.2, 0.93), (out + 0.08, h.between(0.93, 1.0)), (out + h.between(0.0, 0.1), high + 0.06), (0.28, high)]
        return [[[*top, belly, *loop, (0.62, h.between(0.9, 1.02)), (end[0], end[1] + h.between(-0.06, 0.1))]]]
    if kind == 2:
        wave = h.between(0.02, 0.1)
        return [[[*top, belly, corner], [corner, (0.32, 1 - wave), (0.7, 1 + wave / 2), (end[0], 1 - wave / 2)]]]
    if kind == 3:
        neck = [(h.between(0.68, 0.85), h.between(0.48, 0.58)), (0.34, 0.84), corner]
        return [[[*top, *neck], [corner, (0.3, h.between(0.82, 0.9)), (0.62, 0.92), (end[0], h.between(0.96, 1.06))]]]
    roof = [(h.between(0.0, 0.1), h.between(0.02, 0.14)), (0.5, h.between(-0.03, 0.03)), (right - 0.1, 0.04)]
    return [[[*roof, (right, 0.18), (0.55, 0.55), corner], [corner, end]]]


def _three(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.42, 0.2, 0.12, 0.14, 0.12)  # round, flat top, angular, looped waist, soft waist
    waist = (h.between(0.2, 0.5), h.between(0.34, 0.55))
    low = (waist[1] + 1) / 2
    belly = h.between(0.8, 1.08)
    tail = (h.between(-0.1, 0.2), h.between(0.72, 1.0))
    bowl = [(0.74, waist[1] + h.between(0.02, 0.08)), (belly, low), (h.between(0.42, 0.62), 1.0), tail]
    begin = (h.between(-0.06, 0.2), h.between(0.04, 0.28))
    brow = h.between(0.72, 0.95)
    head = [begin, (h.between(0.36, 0.5), 0.0), (brow, waist[1] * h.between(0.36, 0.5)), (0.62, waist[1] - 0.04)]
    if kind == 0:
        return [[[*head, waist], [waist, *bowl]]]
    if kind == 1:
        left, right = h.between(0.0, 0.12), h.between(0.8, 1.0)
        roof = [(left, h.bell(0.02, 0.02)), (right, h.bell(0.0, 0.02))]
        return [[roof, [roof[-1], waist], [waist, *bowl]]]
    if kind == 2:
        peak, hip = (brow, h.between(0.12, 0.26)), (belly, h.between(0.64, 0.78))
        return [[[begin, (0.5, h.between(0, 0.06)), peak], [peak, waist], [waist, hip], [hip, (0.5, 0.98), tail]]]
    if kind == 3:
        x, y = waist
        return [[[*head, (x, y + 0.05), (x - 0.08, y), (x + 0.02, y - 0.06), *bowl]]]
    return [[[*head, (min(waist[0] + 0.06, 0.46), waist[1]), *bowl]]]


def _four(h: _Hand) -> list[Stroke]:
    # open, closed triangle, continental (long slant, short crossing stem), rounded open, lightning, one stroke
    kind = h.one_of(0.23, 0.18, 0.34, 0.14, 0.05, 0.06)
    bar = h.between(0.5, 0.74)
    # How far the bar goes: to the stem, past it, far past it.
    out = (h.between(0.68, 0.9), h.between(0.9, 1.2), h.between(1.2, 1.45))[h.one_of(0.15, 0.63, 0.22)]
    tilt = h.bell(-0.01, 0.035)
    if kind == 0:
        stem = h.between(0.62, 0.82)
        high = h.bell(0.0, 0.08)
        left = (h.between(0.02, 0.32), h.between(-0.02, 0.14))
        foot = (h.between(-0.03, 0.06), bar)
        return [
            [[left, foot], [foot, (out, bar + tilt)]],
            [[(stem + h.bell(0.02, 0.04), high), (stem, 0.5), (stem + h.bell(-0.03, 0.04), 1.0)]],
        ]
    if kind == 1:
        stem = h.between(0.58, 0.85)
        apex = (stem + h.bell(0, 0.02), 0.0)
        foot = (0.0, bar)
        bow = (apex[0] / 2 + h.bell(0, 0.04), bar / 2)
        upright = [(apex[0] + h.bell(0, 0.03), h.bell(0.0, 0.03)), (stem, 1.0)]
        if h.chance(0.3):
            upright[0] = (apex[0] + 0.03, apex[1])
        return [[[apex, bow, foot], [foot, (out, bar + tilt)]], [upright]]
    if kind == 2:
        apex = (h.between(0.35, 0.8), 0.0)
        bar += h.between(-0.02, 0.1)
        foot = (h.between(-0.05, 0.05), bar)
        cross = h.between(0.5, 0.9)
        begin = bar - h.between(0.08, 0.42)
        out = max(out, cross + h.between(0.04, 0.2))
        slope = h.bell(0.02, 0.05)
        down = [(cross + slope, begin), (cross - slope, max(bar + 0.24, h.between(0.92, 1.04)))]
        bow = (apex[0] / 2 + h.bell(0, 0.03), bar / 2)
        corner: Stroke = [[apex, bow, foot], [foot, (out, bar + tilt)]]
        if h.chance(0.45):  # the corner rounded
            low = bar - h.between(-0.04, 0.06)
            corner = [[apex, bow, foot, (foot[0] + h.between(0.14, 0.3), low), (out, bar)]]
        return [corner, [down]]
    if kind == 3:
        west, east = h.between(0.0, 0.12), h.between(0.8, 0.95)
        sag = h.between(0.46, 0.62)
        high, bulge = h.between(-0.02, 0.16), h.between(-0.06, 0.06)
        cup = [(west, high), (west - bulge, sag * 0.6), (0.3, sag), (0.68, sag - 0.04)]
        if h.chance(0.5):
            return [[[*cup, (out, sag - h.between(0.02, 0.1))]], [[(east, h.bell(0.02, 0.05)), (east - 0.06, 1.0)]]]
        top = (east + h.bell(0.04, 0.03), h.between(0.0, 0.14))
        return [[[*cup, top], [top, (east - 0.02, 0.55), (east - h.between(0.02, 0.2), 1.0)]]]
    if kind == 4:
        foot, elbow = (0.0, bar), (h.between(0.85, 1.0), bar - h.between(0.02, 0.12))
        return [[[(h.between(0.4, 0.6), 0.0), foot], [foot, elbow], [elbow, (elbow[0] - h.between(0.1, 0.3), 1.05)]]]
    stem = h.between(0.6, 0.8)
    foot = (0.0, bar)
    knee = (h.between(0.9, 1.1), bar)
    # one stroke: down, along the bar, back over a loop above it and down the stem
    return [
        [[(h.between(0.05, 0.3), 0.0), foot], [foot, knee], [knee, (stem + 0.12, bar - 0.3), (stem, bar), (stem, 1.0)]]
    ]


def _five(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.36, 0.26, 0.14, 0.14, 0.1)  # separate flag, one stroke, s-like, detached flag, lowered flag
    neck = h.between(0.3, 0.54)
    left = h.between(0.02, 0.2)
    top = (left + h.between(0.0, 0.16), 0.0)
    turn = (left, neck)
    low = (neck + 1) / 2
    belly = h.between(0.85, 1.05)
    tail = (h.between(-0.08, 0.12), h.between(0.82, 0.98))
    swell = neck - h.between(0.0, 0.1)
    bowl = [turn, (h.between(0.4, 0.56), swell), (belly - 0.1, neck + 0.08), (belly, low + 0.04), (0.5, 1.0), tail]
    if h.chance(0.2):  # a pointed, shallow bowl
        bowl = [turn, (0.5, neck + h.between(0.0, 0.06)), (belly, low), (0.45, 0.97), tail]
    reach = h.between(0.65, 1.15) if h.chance(0.85) else h.between(1.15, 1.5)
    slope = h.bell(-0.035, 0.05)
    if kind == 0:
        flag = [(top[0] + h.bell(0, 0.03), h.bell(0, 0.02)), (reach, slope)]
        return [[[top, turn], bowl], [flag]]
    if kind == 1:
        return [[[(reach, slope), top], [top, turn], bowl]]
    if kind == 2:
        head = [(reach, h.between(0.0, 0.08)), (0.5, h.between(0.0, 0.04)), (left + 0.05, 0.16)]
        return [[[*head, (left + 0.1, neck - 0.04), (0.62, neck + 0.06), (belly, low + 0.03), (0.5, 1.0), tail]]]
    if kind == 3:
        gap, lift = h.between(0.06, 0.2), h.bell(-0.03, 0.04)
        flag = [
            (top[0] + gap, lift),
            ((top[0] + reach) / 2 + gap / 2, lift + h.bell(0, 0.02)),
            (reach + gap, lift + slope),
        ]
        return [[[top, turn], bowl], [flag]]
    drop = h.between(0.05, 0.13)
    return [[[top, turn], bowl], [[(top[0] - h.between(0.0, 0.12), drop), (reach, drop + slope)]]]


def _six(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.28, 0.3, 0.14, 0.15, 0.13)  # straight stem, curved, big loop, small loop, loop within a c
    roof = (
        h.between(0.42, 0.54),
        h.between(0.4, 0.54),
        h.between(0.37, 0.45),
        h.between(0.54, 0.66),
        h.between(0.45, 0.62),
    )[kind]
    low = (roof + 1) / 2
    wide = h.between(0.85, 1.05) if kind != 3 else h.between(0.6, 0.9)
    if kind == 0 or (kind == 3 and h.chance(0.5)):
        begin = h.between(0.1, 0.85)
        stem = [(begin, 0.0), (begin * h.between(0.42, 0.6), roof * 0.55), (0.06, roof + 0.06)]
    else:
        begin = h.between(0.6, 1.0)
        stem = [(begin, h.between(0.0, 0.1)), (begin * 0.6, h.between(0.02, 0.1)), (0.16, roof * 0.6)]
        if h.chance(0.5):
            stem[1] = (begin * 0.55, h.between(0.12, 0.2))
    loop = [(0.0, low - 0.04), (0.18, 0.94), (0.5, 1.0), (wide - 0.08, 0.9), (wide, low), (wide * 0.6, roof)]
    if kind == 4:
        inner = h.between(0.28, 0.5)
        back = h.one_of(0.4, 0.4, 0.2)  # ends on the bottom line, below it, or before it
        ends = (
            [(inner + 0.1, 0.97)],
            [(inner + 0.08, 0.93), (inner + 0.3, h.between(1.02, 1.1))],
            [(inner + 0.04, 0.88)],
        )
        c = [(0.0, low - 0.1), (0.1, 0.86), (0.46, 1.0), (0.9, 0.92), (1.0, low + 0.02), (0.74, roof)]
        return [[[*stem, *c, (inner, low), *ends[back]]]]
    end = h.one_of(0.5, 0.2, 0.15, 0.15)  # meets the stem, crosses it, stops short, curls inside
    close = (
        [(0.2, roof + 0.1), (0.05, low - 0.04)],
        [(0.12, roof + 0.08), (-0.12, roof + h.between(0.14, 0.26))],
        [(wide * h.between(0.3, 0.42), roof + 0.03)],
        [(0.26, roof + 0.1), (0.22, low + 0.04)],
    )[end]
    return [[[*stem, *loop, *close]]]


def _seven(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.24, 0.1, 0.34, 0.1, 0.22)  # plain, serif, crossbar, curved stem, serif and crossbar
    left, slope = h.bell(0.0, 0.03), h.bell(0.0, 0.025)
    corner = (h.between(0.88, 1.0), slope)
    foot = (h.between(0.05, 0.72), 1.0)
    bend = h.bell(0.0, 0.04) if kind != 3 else h.between(-0.2, -0.08)
    middle = ((corner[0] + foot[0]) / 2 + bend, 0.5)
    wave = h.bell(0.01, 0.035)
    roof = [(left, -slope), ((left + corner[0]) / 2, wave), corner]
    stem = [corner, middle, foot]
    stroke: Stroke = [roof, stem]
    if kind in (1, 4):
        drop = h.between(0.08, 0.26)
        serif = [(left + h.bell(-0.02, 0.04), drop), roof[0]]
        stroke = [serif, roof, stem]
        if drop < 0.17:  # the serif a soft hook
            stroke = [[(serif[0][0] - 0.03, drop + 0.03), (left, 0.08), (left + 0.2, wave), roof[1], corner], stem]
    elif h.chance(0.15):  # the corner rounded
        stroke = [[*roof[:2], (corner[0] - 0.06, corner[1] + 0.02), (corner[0], 0.14), middle, foot]]
    strokes = [stroke]
    if kind in (2, 4):
        high = h.between(0.38, 0.68)
        at = corner[0] + (foot[0] - corner[0]) * high + bend * 0.8
        tilt = h.bell(-0.02, 0.04)
        strokes.append([[(at - h.between(0.12, 0.44), high - tilt), (at + h.between(0.14, 0.48), high + tilt)]])
    return strokes


def _eight(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.5, 0.24, 0.18, 0.08)  # s-shaped stroke, two circles, open top, begun in the middle
    waist = (0.5 + h.bell(0, 0.05), h.between(0.34, 0.6))
    upper, lower = h.between(0.22, 0.5), h.between(0.22, 0.52)
    low = (waist[1] + 1) / 2
    shift = h.bell(0, 0.07)
    if kind == 1:
        half = waist[1] / 2
        start, turn = h.bell(30, 40), -1 if h.chance(0.7) else 1
        radii = (upper, half * h.between(0.95, 1.05))
        head = _arc((0.5 + shift, half), radii, start, start + turn * h.between(345, 375))
        start, turn = h.bell(0, 40), -1 if h.chance(0.5) else 1
        tall = (1 - waist[1]) / 2
        body = _arc((0.5, low), (lower, tall * h.between(0.97, 1.1)), start, start + turn * h.between(350, 375))
        return [[head], [body]]
    mid = waist[1] * 0.48
    right_low, left_low = (0.5 + lower, low), (0.5 - lower, low)
    left_high, right_high = (0.5 - upper + shift, mid), (0.5 + upper + shift, mid)
    crest = (0.5 + shift, 0.0)
    if kind == 3:
        end = (waist[0] + 0.03, waist[1] + 0.03)
        path = [waist, left_high, crest, right_high, waist, left_low, (0.5, 1.0), right_low, end]
        return [[path if h.chance(0.5) else [(1 - x, y) for x, y in path]]]
    begin = (0.5 + upper * h.between(0.6, 1.0) + shift, mid * h.between(0.3, 0.8))
    if kind == 0:
        end = (begin[0] + h.bell(0.0, 0.05), begin[1] + h.bell(-0.01, 0.03))
    else:  # open: the end stays below the start or runs out above it
        end = (begin[0] + h.between(0.04, 0.3), begin[1] + h.between(-0.2, 0.1))
    back = (right_high[0], mid + 0.06)
    if h.chance(0.2):  # a long straight way back up
        back = (waist[0] * 0.45 + end[0] * 0.55, mid)
    path = [begin, crest, left_high, waist, right_low, (0.5, 1.0), left_low, waist, back, end]
    if h.chance(0.12):
        path = [(1 - x, y) for x, y in path]
    return [[path]]


def _nine(h: _Hand) -> list[Stroke]:
    kind = h.one_of(0.3, 0.24, 0.28, 0.09, 0.09)  # straight stem, curved tail, hook, open top, a six upside down
    if kind == 4:
        return [[[(1 - x, 1 - y) for x, y in piece] for piece in stroke] for stroke in _six(h)]
    floor = h.between(0.28, 0.62)
    mid = floor / 2
    right = h.between(0.8, 1.0)
    join = (right, mid * h.between(0.3, 1.0))
    loop = [(right * 0.55, 0.0), (0.1, mid * 0.5), (0.0, mid * 1.15), (0.3, floor), (right * 0.8, floor * 0.84), join]
    if kind == 3:
        begin = (right * h.between(0.72, 0.82), h.between(-0.02, 0.06))
        join = (right + h.between(0.02, 0.08), h.between(0.02, 0.12))
        loop[-1] = join
    else:
        begin = (right * h.between(0.85, 1.02), mid * h.between(0.15, 0.7))
    style = kind if kind != 3 else h.one_of(0.6, 0.25, 0.15)
    if style == 0:
        foot = (h.between(0.3, 1.02), 1.0)
        stem = [join, ((join[0] + foot[0]) / 2 + h.bell(0.02, 0.02), 0.55), foot]
    elif style == 1:
        foot = (h.between(0.1, 0.5), h.between(0.96, 1.02))
        stem = [join, (right + 0.01, 0.5), (right * 0.86, 0.8), foot]
    else:
        foot = (h.between(-0.28, 0.14), h.between(0.76, 1.0))
        reach = h.between(0.8, 1.22)  # the tail under the head, or out to the right of it
        stem = [join, (right * (0.5 + reach / 2) + 0.02, 0.55), (right * reach, 0.86), (0.42, 1.0), foot]
    return [[[begin, *loop], stem]]


_BUILD: tuple[Callable[[_Hand], list[Stroke]], ...] = (
    _zero, _one, _two, _three, _four, _five, _six, _seven, _eight, _nine,
)  # fmt: skip
_ASPECT: tuple[Point, ...] = (  # width of the box as a part of its height
    (0.42, 1.25), (0.75, 1.05), (0.48, 1.2), (0.4, 1.1), (0.42, 1.2),
    (0.42, 1.2), (0.38, 1.05), (0.5, 1.1), (0.38, 1.1), (0.36, 1.0),
)  # fmt: skip


# --- the pen ----------------------------------------------------------------------------------------------


@cache
def _spline(points: int) -> NDArray[np.float64]:
    """(samples, points): a Catmull-Rom spline through `points` control points as one matrix."""
    if points == 2:
        t = np.linspace(0, 1, _LINE_STEPS + 1)
        return np.stack([1 - t, t], axis=1)
    rows = []
    for i in range(points - 1):
        for step in range(_STEPS):
            rows.append(_blend(points, i, step / _STEPS))
    rows.append(_blend(points, points - 2, 1.0))
    return np.array(rows)


def _blend(points: int, i: int, t: float) -> NDArray[np.float64]:
    """(points,) weights of the control points at part `t` between points i and i + 1."""
    row = np.zeros(points + 2)  # with a mirrored point before the first and after the last
    row[i : i + 4] = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (t**3 - t**2) / 2,
    )
    row[1:3] += (2 * row[0], -row[0])
    row[-3:-1] += (-row[-1], 2 * row[-1])
    return row[1:-1]


def _path(stroke: Stroke, control: NDArray[np.float64]) -> NDArray[np.float64]:
    """(samples, 2): the stroke's pieces one after the other, through its own control points in `control`."""
    parts = []
    at = 0
    for piece in stroke:
        parts.append(_spline(len(piece)) @ control[at : at + len(piece)])
        at += len(piece) - 1
    return parts[0] if len(parts) == 1 else np.concatenate([parts[0], *(p[1:] for p in parts[1:])])


def _control(stroke: Stroke) -> Piece:
    """The control points of all pieces, shared corners once."""
    return [*stroke[0], *(point for piece in stroke[1:] for point in piece[1:])]


def _draw(
    h: _Hand,
    strokes: list[Stroke],
    aspect: float,
    size: int,
    lean: float | None = None,
    solid: bool = False,
) -> NDArray[np.uint8]:
    """(size, size) uint8: the strokes, unsteady, slanted and inked by one writer, in the middle of the picture."""
    lean = h.lean if lean is None else lean
    jitter = abs(h.bell(0.0, 0.014))
    warp = h.between(0.0, 0.045)  # a slow wave through the whole glyph, the same for all strokes
    waves = [(h.bell(0, 4), h.bell(0, 4), h.between(0, 6.28)) for _ in range(2)]
    tilt = math.radians(h.bell(0, 4))
    turned = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    tremor = h.between(0.002, 0.009) if h.chance(0.25) else 0.0
    paths = []
    for index, stroke in enumerate(strokes):
        control = np.array(_control(stroke))
        control += [[h.bell(0, jitter), h.bell(0, jitter)] for _ in range(len(control))]
        if index:  # a later stroke misses its mark a little
            control += (h.bell(0, 0.02), h.bell(0, 0.02))
        path = _path(stroke, control)
        x, y = path[:, 0], path[:, 1]
        dx, dy = (warp * np.sin(a * x + b * y + c) for a, b, c in waves)
        x, y = (x + dx) * aspect, y + dy
        path = np.stack([x + lean * (0.5 - y), y], axis=1) @ turned
        if tremor:
            along = np.arange(len(path))
            for axis in range(2):
                path[:, axis] += tremor * np.sin(along * h.between(0.7, 2.2) + h.between(0, 6.28))
        paths.append(path)
        if h.chance(0.02):  # retraced
            paths.append(path + (h.bell(0, 0.012), h.bell(0, 0.012)))
    return _ink(h, paths, size, solid)


def _ink(h: _Hand, paths: list[NDArray[np.float64]], size: int, solid: bool) -> NDArray[np.uint8]:
    """(size, size) uint8: the paths drawn with one pen, 64 to 88 % of the picture, in its middle."""
    every = np.concatenate(paths)
    low, high = every.min(axis=0), every.max(axis=0)
    # Parts of the glyph's height: ballpoint, felt pen, marker. A marker must leave room inside a narrow glyph; only a
    # solid one, a one, stays legible without.
    width = (h.between(0.022, 0.06), h.between(0.05, 0.1), h.between(0.09, 0.16))[h.one_of(0.3, 0.46, 0.24)]
    if not solid:
        width = min(width, 0.2 * max(float(high[0] - low[0]), 0.15))
    elif h.chance(0.25):
        width = h.between(0.14, 0.4 if high[0] - low[0] < 0.3 else 0.22)
    extent = high - low + width
    fine = -(-_FINE // size)
    scale = h.between(0.64, 0.88) * size * fine / float(extent.max())
    width *= scale
    shift = size * fine * np.array([0.5 + h.bell(0, 0.012), 0.5 + h.bell(0, 0.012)]) - (low + high) / 2 * scale
    flat, angle = (h.between(0.45, 0.8), math.radians(h.between(20, 70))) if h.chance(0.3) else (1.0, 0.0)
    pressure, pace, phase = h.between(0.0, 0.28), h.between(0.15, 0.6), h.between(0, 6.28)
    taper_in, taper_out = (h.between(0.2, 0.8) if h.chance(0.25) else 1.0 for _ in range(2))
    blunt = h.chance(0.3)
    canvas = Image.new("L", (size * fine, size * fine))
    draw = ImageDraw.Draw(canvas)
    for path in paths:
        at = path * scale + shift
        step = np.diff(at, axis=0)
        length = np.hypot(step[:, 0], step[:, 1]) + 1e-6
        along = np.concatenate([[0.0], np.cumsum(length)])
        radius = np.full(len(at), width / 2)
        radius *= 1 + pressure * np.sin(along * (pace / 20) + phase)
        if flat < 1.0:
            across = (step[:, 0] * math.cos(angle) + step[:, 1] * math.sin(angle)) / length
            narrow = np.sqrt(1 - (1 - flat**2) * across**2)
            radius *= np.concatenate([narrow, narrow[-1:]])
        ramp = max(3 * width, 1.0)
        if taper_in < 1.0:
            radius *= np.minimum(1.0, taper_in + (1 - taper_in) * along / ramp)
        if taper_out < 1.0:
            radius *= np.minimum(1.0, taper_out + (1 - taper_out) * (along[-1] - along) / ramp)
        radius = np.maximum(radius, 0.55 * fine)  # never thinner than the picture can show
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / length[:, None]
        begin, end = normal * radius[:-1, None], normal * radius[1:, None]
        quads = np.concatenate([at[:-1] + begin, at[1:] + end, at[1:] - end, at[:-1] - begin], axis=1).tolist()
        discs = np.concatenate([at - radius[:, None], at + radius[:, None]], axis=1).tolist()
        for quad in quads:
            draw.polygon(quad, fill=255)
        for disc in discs[1:-1] if blunt else discs:
            draw.ellipse(disc, fill=255)
    return np.asarray(canvas.reduce(fine))


def digits(
    labels: Sequence[int] | NDArray[np.integer], *, seed: int, first: int = 0, size: int = 64
) -> NDArray[np.uint8]:
    """Handwritten digits, one new writer each: (N, size, size) uint8, 0 = paper, 255 = full ink.

    labels  (N,), 0 to 9
    seed    of this crowd of writers, >= 0
    first   number of the first writer: picture i depends on labels[i], seed and first + i only
    size    side of the pictures, pixels, 16 or more

    Raises DatasetError for labels that are no digit, a negative seed or first, or too small a size.
    """
    wanted = _need_digits(labels)
    _check(len(wanted), seed, first, size)
    out = np.zeros((len(wanted), size, size), np.uint8)
    for i, label in enumerate(wanted.tolist()):
        hand = _Hand(0, seed, label, first + i)
        low, high = _ASPECT[label]
        strokes = _BUILD[label](hand)
        aspect = low + (high - low) * (hand.between(0, 1) + hand.between(0, 1)) / 2
        out[i] = _draw(hand, strokes, aspect, size, solid=label == 1)
    return out


# --- one writer -------------------------------------------------------------------------------------------

# Aspect and strokes of each digit of a writer whose school `digits` lacks: a one that is nearly an inverted V, as
# children in France learn it; a four in one round stroke, closed at the top, before its stem; a seven with a serif
# down to its bar. The nine ends in a hook, so that people tell it from the four. No model that ships has seen it.
_OWN_HAND: tuple[tuple[float, list[Stroke]], ...] = (
    (0.7, [[_arc((0.5, 0.5), (0.5, 0.5), 10, -345)]]),
    (0.95, [[[(0.0, 0.86), (0.28, 0.44), (0.58, 0.0)], [(0.58, 0.0), (0.63, 1.0)]]]),
    (0.75, [[[(0.0, 0.25), (0.2, 0.05), (0.55, 0.0), (0.9, 0.25), (0.6, 0.6), (0.0, 1.0)], [(0.0, 1.0), (1.0, 0.98)]]]),
    (
        0.7,
        [
            [
                [(0.05, 0.15), (0.45, 0.0), (0.85, 0.2), (0.6, 0.42), (0.35, 0.46)],
                [(0.35, 0.46), (0.75, 0.5), (0.95, 0.75), (0.5, 1.0), (0.0, 0.88)],
            ]
        ],
    ),
    (0.7, [[[(0.75, 0.0), (0.32, 0.11), (0.02, 0.47), (0.18, 0.6), (0.95, 0.48)]], [[(0.8, 0.0), (0.75, 1.0)]]]),
    (
        0.75,
        [
            [
                [(0.9, 0.0), (0.15, 0.02)],
                [(0.15, 0.02), (0.1, 0.45)],
                [(0.1, 0.45), (0.5, 0.38), (0.95, 0.68), (0.5, 1.0), (0.0, 0.9)],
            ]
        ],
    ),
    (0.65, [[[(0.8, 0.0), (0.3, 0.25), (0.0, 0.7), (0.45, 1.0), (0.95, 0.78), (0.6, 0.52), (0.05, 0.7)]]]),
    (
        0.75,
        [
            [[(0.0, 0.64), (0.03, 0.0)], [(0.03, 0.0), (0.95, 0.0)], [(0.95, 0.0), (0.7, 1.0)]],
            [[(0.08, 0.53), (1.25, 0.5)]],
        ],
    ),
    (
        0.65,
        [
            [
                [
                    (0.75, 0.12), (0.5, 0.0), (0.15, 0.22), (0.5, 0.47), (0.92, 0.76), (0.5, 1.0), (0.08, 0.76),
                    (0.5, 0.5), (0.82, 0.25), (0.72, 0.1),
                ]
            ]
        ],
    ),
    (
        0.65,
        [
            [
                [(0.9, 0.15), (0.5, 0.0), (0.05, 0.28), (0.4, 0.52), (0.9, 0.25)],
                [(0.9, 0.25), (0.9, 0.75), (0.5, 1.0), (0.05, 0.85)],
            ]
        ],
    ),
)  # fmt: skip


def own_hand(
    labels: Sequence[int] | NDArray[np.integer], *, seed: int, first: int = 0, size: int = 64
) -> NDArray[np.uint8]:
    """Digits by one and the same writer, whose 1s, 4s and 7s are not those of `digits`: (N, size, size) uint8, ink.

    To teach a model a handwriting that it misreads; nothing that ships was trained on it. Arguments and errors are
    those of `digits`; `seed` and `first` tell one time of writing from another.
    """
    wanted = _need_digits(labels)
    _check(len(wanted), seed, first, size)
    out = np.zeros((len(wanted), size, size), np.uint8)
    for i, label in enumerate(wanted.tolist()):
        hand = _Hand(3, seed, label, first + i)
        aspect, strokes = _OWN_HAND[label]
        lean = 0.05 + hand.bell(0, 0.05)
        out[i] = _draw(hand, strokes, aspect * (1 + hand.bell(0, 0.05)), size, lean=lean)
    return out


# --- what is no digit -------------------------------------------------------------------------------------

_GLYPH_ASPECT = (0.6, 1.25)  # width of the box as a part of its height

# Each stroke is a row of points "xy" on a grid of 0 to 9, y down; "~" before it: a smooth curve, else straight lines.
# Left out is what can pass for a digit, B D G I J L O Q S Z a b d g i l o q s y z $ & and an inverted V, and out of
# "train" what is a glyph of "test" in another alphabet.
_GLYPHS: dict[Group, dict[str, str]] = {
    "train": {
        # Latin
        "A": "09 40 89|26 66",
        "C": "~81 40 04 48 88",
        "E": "70 00 09 79|04 64",
        "F": "70 00 09|04 54",
        "H": "00 09|70 79|05 75",
        "K": "00 09|70 05|05 79",
        "M": "09 10 45 80 99",
        "R": "00 09|~00 50 72 54 04|34 79",
        "T": "00 80|40 49",
        "U": "~00 03 07 39 77 73 70",
        "V": "00 49 80",
        "W": "00 29 43 69 90",
        "X": "00 89|80 09",
        "Y": "00 44 80|44 49",
        "AE": "09 50 59 89|50 80|54 74|26 56",
        "A umlaut": "09 42 89|26 66|20 21|60 61",
        "C cedilla": "~70 30 03 36 76|46 48 29",
        "h": "00 09|~05 34 65 69",
        "k": "00 09|63 06|26 69",
        "m": "03 09|~05 23 44 49|~45 63 84 89",
        "n": "03 09|~05 33 64 69",
        "r": "03 09|~05 33 64",
        "t": "~30 36 49 78|03 73",
        "u": "~03 07 39 66|63 69",
        "u umlaut": "~04 07 39 66|64 69|20 21|50 51",
        # Greek and Cyrillic
        "Gamma": "80 00 09",
        "Xi": "00 80|24 64|09 89",
        "Phi": "40 49|~42 04 47 84 42",
        "Psi": "40 49|~00 04 46 84 80",
        "Omega": "09 29|~29 06 03 40 83 86 69|69 89",
        "mu": "02 09|~02 06 36 65|62 66 87",
        "omega": "~10 05 19 39 45 59 79 85 70",
        "Zhe": "40 49|00 89|80 09",
        "De": "09 07 87 89|17 40 77",
        "Ya": "89 80|~80 30 12 34 84|44 09",
        "Tse": "00 07 87 89|70 77",
        "Dzhe": "00 07 77 70|37 39",
        "Yus": "00 80 44 00|44 49|44 09|44 89",
        # other scripts
        "alef": "00 89|~80 73 54|~35 16 09",
        "big": "03 93|~50 45 09|44 99",
        "middle": "01 91 96 06 01|50 59",
        "king": "00 80|04 84|09 89|40 49",
        "earth": "14 74|09 89|40 49",
        "writing": "40 42|02 82|62 09|22 89",
        "sky": "00 80|03 83|43 09|43 89",
        "small": "40 49 38|23 07|63 87",
        "up": "40 49|44 74|09 89",
        "down": "00 90|40 49|43 75",
        "water": "40 49 38|~04 34 08|~83 54 89",
        "fire": "12 24|82 65|~40 45 09|45 89",
        "woman": "~40 15 37 89|~63 56 09|03 93",
        "ki": "02 81|05 84|30 59",
        "mo": "10 70|04 84|30 38 58 79",
        "sa": "03 93|30 36|70 75 49",
        "mi": "10 72|14 76|08 79",
        "shi": "10 32|05 27|09 59 83",
        "pieup": "00 09 79 70|05 75",
        "jieut": "00 80|40 09|40 89",
        "yo": "30 38|60 68|08 98",
        "algiz": "40 49|00 43 80",
        "othala": "09 63 40 23 89",
        "dagaz": "00 09 80 89 00",
        "mannaz": "09 00 84|89 80 04",
        "tiwaz": "40 49|03 40 83",
        "ansuz": "00 09|00 63|04 67",
        # arithmetic and punctuation
        "plus": "04 84|40 48",
        "equals": "03 83|06 86",
        "plus or minus": "03 83|40 46|09 89",
        "not equal": "03 83|06 86|60 29",
        "about": "~02 20 42 64 81|~06 25 47 69 86",
        "less": "80 04 88",
        "less or equal": "70 03 76|09 79",
        "root": "05 15 39 60 90",
        "for all": "00 49 80|14 74",
        "circled times": "~40 12 04 17 49 76 84 71 40|11 77|71 17",
        "turnstile": "00 09|05 85",
        "question": "~02 30 72 44 46|48 49",
        "hash": "30 19|70 59|03 93|06 86",
        "dagger": "40 49|12 72",
        "double dagger": "40 49|12 72|16 76",
        "right bracket": "00 60 69 09",
        "left arrow": "04 94|31 04 37",
        "down arrow": "40 49|06 49 86",
        "check": "05 39 90",
        "yen": "00 44 80|44 49|15 75|17 77",
        "cent": "~72 42 15 48 78|50 59",
        "won": "00 29 43 69 90|04 94",
        # shapes
        "heart": "~43 20 02 49|~43 70 82 49",
        "star": "29 50 89 03 93 29",
        "six-pointed star": "40 07 87 40|02 82 49 02",
        "triangle": "40 09 89 40",
        "triangle on its tip": "00 90 49 00",
        "two triangles": "40 09 89 40|44 27 67 44",
        "crossed square": "00 90 99 09 00 99",
        "two squares": "00 90 99 09 00|33 63 66 36 33",
        "crossed diamond": "40 04 49 84 40|04 84",
        "cross": "30 60 63 93 96 66 69 39 36 06 03 33 30",
        "clover": "~44 20 60 44 82 86 44 68 28 44 06 02 44",
        "house": "04 40 84 89 09 04 84",
        "tent": "40 09 89 40|40 49",
        "castle": "09 01 11 13 43 41 51 53 83 81 91 99 09",
        "crown": "09 01 34 50 64 91 99 09",
        "boat": "06 19 69 86 06|40 46|40 75 45",
        "anchor": "~40 51 42 31 40|42 49|14 74|~06 28 49 68 86",
        "ladder": "00 09|60 69|03 63|06 66",
        "fence": "00 09|30 39|60 69|03 63|06 66",
        "comb": "02 92|02 09|32 39|62 69|92 99",
        "stairs": "09 06 36 33 63 60 90",
        "broom": "40 45 09|39 45 59|45 89",
        "hat": "07 97|27 22 62 67",
        "bed": "00 09|05 95 99",
        "wine glass": "00 44 80 00|44 48|28 68",
        "eye": "~04 41 84|~04 47 84|~43 34 45 54 43",
        "notes": "~29 08 17 28|28 20 70 78|~79 58 67 78",
        "tree": "40 06 86 40|46 49",
    },
    "test": {
        "N": "09 00 79 70",
        "I, Cyrillic": "00 09 70 79",
        "P": "00 09|~00 60 73 55 05",
        "e": "~05 85 72 31 04 28 79",
        "f": "~81 50 33 36 39|15 65",
        "Sigma": "80 00 45 09 89",
        "Pi": "00 90|20 19|70 79",
        "euro": "~81 40 04 48 88|03 63|05 55",
        "at": "~63 33 36 56 63 66 85 60 20 05 39 79",
        "percent": "80 08|~11 20 31 22 11|~67 76 87 78 67",
        "divide": "04 84|40 41|47 48",
        "arrow": "04 94|61 94 67",
        "smiley": "~40 81 95 79 38 06 12 40|33 34|63 64|~26 48 66",
        "brace": "~70 40 43 24 45 49 79",
        "bracket": "60 00 09 69",
        "greater": "00 84 08",
        "envelope": "00 90 97 07 00|00 45 90",
        "cup": "00 08 68 60 00|~62 93 65",
        "man": "~40 51 42 31 40|42 46|03 83|46 19|46 79",
        "wood": "03 93|50 59|53 08|53 98",
        "mountain": "03 09 99 93|50 59",
        "field": "00 90 99 09 00|50 59|04 94",
        "sun": "~42 64 46 24 42|40 41|47 48|04 14|74 84|11 22|77 66|17 26|71 62",
        "umbrella": "~05 20 70 95|05 95|~45 48 39 28",
    },
}


def _strokes(text: str) -> list[Stroke]:
    """A glyph of _GLYPHS as strokes in a box of height 1."""
    strokes: list[Stroke] = []
    for part in text.split("|"):
        points = [(int(word[0]) / 9, int(word[1]) / 9) for word in part.lstrip("~").split()]
        strokes.append([points] if part.startswith("~") else [list(pair) for pair in pairwise(points)])
    return strokes


def letters(count: int, *, seed: int, first: int = 0, size: int = 64, group: Group = "train") -> NDArray[np.uint8]:
    """Handwritten letters and signs that are no digit: (count, size, size) uint8, 0 = paper, 255 = full ink.

    seed, first, size  as in `digits`
    group              "train" or "test": different glyphs by different writers. Half of "train" is invented, a new
                       sign for each picture, none of them like a digit or like a glyph of "test"

    Raises DatasetError for another group.
    """
    _check(count, seed, first, size, group)
    glyphs = list(_GLYPHS[group].values())
    out = np.zeros((count, size, size), np.uint8)
    for i in range(count):
        hand = _Hand(1, get_args(Group).index(group), seed, first + i)
        if group == "train" and hand.chance(_INVENTED):
            strokes, aspect = _invented(hand)
        else:
            strokes = _strokes(glyphs[hand.whole(0, len(glyphs) - 1)])
            aspect = hand.between(*_GLYPH_ASPECT)
        out[i] = _draw(hand, strokes, aspect, size, lean=hand.lean / 2)
    return out


# --- invented signs ---------------------------------------------------------------------------------------

_INVENTED = 0.5  # part of the letters of "train"
_APART = 0.076  # of an invented sign from all that is reserved; of other writers' digits 99 % lie nearer than this
_DOTS = 48  # points that stand for a sign when two are compared
_CELLS = 24  # a side of the map of distances
_TEMPLATES = 60  # writers of each digit
_LOOK_ALIKES = (  # letters and signs that can pass for a digit, as in _GLYPHS
    "00 09|~00 50 72 44 04|~44 75 67 59 09", "00 09|~00 40 73 76 49 09", "~81 40 04 48 88 85 55", "00 60|30 39|09 69",
    "60 67|~67 49 17", "00 09 69", "~40 12 07 49 67 72 40", "~71 30 12 45 67 49 07", "00 70 09 79", "01 70|70 29",
    "~60 32 15 38 69|60 69", "00 09|~05 34 65 58 09", "80 44 00|44 29", "00 44|80 29", "09 40 89", "09 42 79",
    "00 70 79 09 00", "40 04 49 84 40", "~30 04 39", "~00 34 09", "~05 03 30 50 73 79", "~00 06 39 69 86 80",
    *(f"{x}0 {9 - x}9" for x in range(10)), "00 40|40 49", "00 70 79", "00 70 09", "00 09|03 50",
    "00 90 09 99 00", "40 49|09 89", "~40 62 44 22 40|44 49", "40 45|~45 67 49 27 45", "~40 72 45 12 40|24 09",
)  # fmt: skip


def _invented(h: _Hand) -> tuple[list[Stroke], float]:
    """A sign that nobody uses, unlike every digit and every glyph of "test": its strokes and its aspect."""
    while True:
        strokes, aspect = _lattice_sign(h), h.between(*_GLYPH_ASPECT)
        trace = _traced(strokes, aspect, h.lean / 2)
        if np.ptp(trace, axis=0).min() > 0.4 and not _near(trace, _APART):  # a narrow one could be a one
            return strokes, aspect


def _lattice_sign(h: _Hand) -> list[Stroke]:
    """One to four lines, curves and rings between the crossings of a lattice of 3x3 to 4x4.

    Connected, as a part alone could be a digit; of three or more lines, one may stand apart now and then.
    """
    across, down = h.whole(2, 3), h.whole(2, 3)
    strokes: list[Stroke] = []
    used: Piece = []

    def crossing(joined: float) -> Point:
        """Of the lattice: one that is used already as often as `joined` says."""
        if used and h.chance(joined):
            return used[h.whole(0, len(used) - 1)]
        return h.whole(0, across) / across, h.whole(0, down) / down

    lines = 1 + h.one_of(0.2, 0.35, 0.3, 0.15)
    for _ in range(lines):
        points = [crossing(1.0 if lines < 3 else 0.9)]
        for _ in range(h.whole(3, 4) if lines == 1 else 1 + h.one_of(0.45, 0.35, 0.2)):
            point = crossing(0.2)
            if point not in points:
                points.append(point)
        used += points
        if len(points) == 1 or (lines > 1 and h.chance(0.05)):  # a ring or a dot
            x, y = points[0]
            r = 0.02 if h.chance(0.25) else h.between(0.1, 0.22)
            strokes.append([_arc((x, y), (r, r), 0, 360)])
        elif len(points) == 2:
            (x, y), (u, v) = points
            bow = h.between(0.15, 0.5) * (1 if h.chance(0.5) else -1) if h.chance(0.45) else 0.0
            middle = ((x + u) / 2 + bow * (v - y), (y + v) / 2 - bow * (u - x))
            strokes.append([[points[0], middle, points[1]] if bow else points])
        else:
            if h.chance(0.3):
                points.append(points[0])
            strokes.append([points] if h.chance(0.6) else _straight(*points))
    if lines < 3 and h.chance(0.3) and any(x == 0.5 for x, _ in used):  # the same mirrored, joined in the middle
        strokes += [[[(1 - x, y) for x, y in piece] for piece in stroke] for stroke in strokes]
    return strokes


def _traced(strokes: list[Stroke], aspect: float, lean: float) -> NDArray[np.float64]:
    """(_DOTS, 2): points evenly along all strokes, in the middle of a square of side 1 that they just fit in."""
    begins, steps = [], []
    for stroke in strokes:
        path = _path(stroke, np.array(_control(stroke)))
        path = np.stack([path[:, 0] * aspect + lean * (0.5 - path[:, 1]), path[:, 1]], axis=1)
        begins.append(path[:-1])
        steps.append(np.diff(path, axis=0))
    begin, step = np.concatenate(begins), np.concatenate(steps)
    ends = np.cumsum(np.hypot(step[:, 0], step[:, 1]))
    at = (np.arange(_DOTS) + 0.5) / _DOTS * ends[-1]
    piece = np.searchsorted(ends, at)
    back = ((ends[piece] - at) / np.diff(ends, prepend=0.0)[piece])[:, None]
    points = begin[piece] + (1 - back) * step[piece]
    low, high = points.min(axis=0), points.max(axis=0)
    fitted: NDArray[np.float64] = 0.5 + (points - (low + high) / 2) / (high - low).max()
    return fitted


def _distances(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """(_CELLS**2,): how far the middle of each cell of the square is from the nearest of the points."""
    middles = (np.arange(_CELLS, dtype=np.float32) + 0.5) / _CELLS
    x, y = ((points.astype(np.float32)[:, axis, None] - middles) ** 2 for axis in range(2))
    nearest: NDArray[np.float32] = np.sqrt((y[:, :, None] + x[:, None, :]).min(axis=0)).ravel()
    return nearest


def _cells(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """(N,): the cell in which each of the points (N, 2) lies."""
    cells = np.minimum((points * _CELLS).astype(np.intp), _CELLS - 1)
    flat: NDArray[np.intp] = cells[:, 1] * _CELLS + cells[:, 0]
    return flat


@cache
def _reserved() -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """What an invented sign is to stay off: digits by many hands, their look-alikes and the glyphs of "test".

    (K, _CELLS**2) distances of every cell from each of them, (K, _DOTS) cells of their points.
    """
    traces = []
    for label in range(10):
        for number in range(_TEMPLATES):
            hand = _Hand(3, label, number)
            strokes = _BUILD[label](hand)
            aspect = _ASPECT[label][0] + (1.5 - _ASPECT[label][0]) * number / (_TEMPLATES - 1)  # flat ones too
            traces.append(_traced(strokes, aspect, hand.lean))
    for text in (*_LOOK_ALIKES, *_GLYPHS["test"].values()):
        for aspect in (0.5, 0.75, 1.0, 1.4):
            for lean in (0.0, 0.25):
                traces.append(_traced(_strokes(text), aspect, lean))
    return np.array([_distances(trace) for trace in traces]), np.array([_cells(trace) for trace in traces])


def _near(trace: NDArray[np.float64], distance: float) -> bool:
    """Whether a reserved sign is nearer than `distance`, in sides of the square: mean of the points, both ways."""
    distances, cells = _reserved()
    there = np.flatnonzero(distances[:, _cells(trace)].mean(axis=1) < distance)
    return there.size > 0 and bool((_distances(trace)[cells[there]].mean(axis=1) < distance).any())


# --- scribbles --------------------------------------------------------------------------------------------


def _straight(*points: Point) -> Stroke:
    return [list(pair) for pair in pairwise(points)]


def _turned(h: _Hand, strokes: list[Stroke], most: float) -> list[Stroke]:
    """The strokes turned by up to `most` degrees either way."""
    angle = math.radians(h.between(-most, most))
    c, s = math.cos(angle), math.sin(angle)
    return [[[(c * x - s * y, s * x + c * y) for x, y in piece] for piece in stroke] for stroke in strokes]


def _wander(h: _Hand) -> list[Stroke]:
    return [[[(h.between(0, 1), h.between(0, 1)) for _ in range(h.whole(8, 16))]]]


def _zigzag(h: _Hand) -> list[Stroke]:
    teeth, height = h.whole(6, 12), h.between(0.2, 0.8)
    return _turned(h, [_straight(*((i / teeth, height * (i % 2) * h.between(0.7, 1)) for i in range(teeth + 1)))], 90)


def _spiral(h: _Hand) -> list[Stroke]:
    turns, points = h.between(2.3, 4), 40
    phase, hand = h.between(0, 6.28), 1 if h.chance(0.5) else -1
    angles = [phase + hand * turns * 2 * math.pi * i / points for i in range(points + 1)]
    return [[[(i * math.cos(a) / points, i * math.sin(a) / points) for i, a in enumerate(angles)]]]


def _hatching(h: _Hand) -> list[Stroke]:
    lines, slope = h.whole(4, 8), h.between(-0.6, 0.6)
    return _turned(h, [[[(i / lines, 0.0), (i / lines + slope, h.between(0.7, 1))]] for i in range(lines)], 90)


def _lying_bar(h: _Hand) -> list[Stroke]:
    """More than 50 degrees from the vertical: an upright bar would be a one."""
    angle = math.radians(h.between(-27, 27))
    x, y = math.cos(angle), math.sin(angle)
    return [[[(0.0, 0.0), (x / 2, y / 2 + h.bell(0, 0.03)), (x, y)]]]


def _dots(h: _Hand) -> list[Stroke]:
    return [
        [[(x, y), (x + 0.01, y + 0.01)]] for x, y in ((h.between(0, 1), h.between(0, 1)) for _ in range(h.whole(3, 9)))
    ]


def _crossing_lines(h: _Hand) -> list[Stroke]:
    """Long lines at angles all round, near one point: at least three, as two can be a seven or a four."""
    lines, first = h.whole(3, 6), h.between(0, 180)
    strokes: list[Stroke] = []
    for i in range(lines):
        angle = math.radians(first + 180 * (i + h.between(-0.3, 0.3)) / lines)
        x, y, off = math.cos(angle), math.sin(angle), h.between(-0.35, 0.35)
        strokes.append([[(off * y - x, -off * x - y), (off * y + x, y - off * x)]])
    return strokes


def _rings(h: _Hand) -> list[Stroke]:
    """Four to six rings, each with its middle on the rim of one before: a ring alone would be a zero."""
    rings = [(0.0, 0.0, 0.3)]
    for _ in range(h.whole(3, 5)):
        x, y, radius = rings[h.whole(0, len(rings) - 1)]
        angle = h.between(0, 6.28)
        rings.append((x + radius * math.cos(angle), y + radius * math.sin(angle), h.between(0.12, 0.4)))
    return [[_arc((x, y), (radius, radius * h.between(0.7, 1.2)), 0, 370)] for x, y, radius in rings]


def _crossed_out(h: _Hand) -> list[Stroke]:
    teeth, height = h.whole(8, 14), h.between(0.25, 0.6)
    ends = [(h.between(0, 0.1) + (i % 2) * h.between(0.8, 0.9), height * i / teeth) for i in range(teeth + 1)]
    return [
        [ends] if h.chance(0.5) else _straight(*ends),
        [[(0.0, height * h.between(0, 1)), (1.0, height * h.between(0, 1))]],
    ]


def _coil(h: _Hand) -> list[Stroke]:
    loops, radius = h.whole(4, 7), h.between(0.12, 0.3)
    angles = [2 * math.pi * i / 8 for i in range(8 * loops + 1)]
    return _turned(h, [[[(a / angles[-1] + radius * math.sin(a) / 2, radius * math.cos(a)) for a in angles]]], 45)


def _burst(h: _Hand) -> list[Stroke]:
    rays = h.whole(5, 9)
    angles = [2 * math.pi * (i + h.between(-0.2, 0.2)) / rays for i in range(rays)]
    return [
        [[(0.12 * math.cos(a), 0.12 * math.sin(a)), (math.cos(a) * (r := h.between(0.6, 1)), math.sin(a) * r)]]
        for a in angles
    ]


def _flat_arc(h: _Hand) -> list[Stroke]:
    half, middle = h.between(35, 75), 0 if h.chance(0.5) else 180
    return [[_arc((0.0, 0.0), (1.0, h.between(0.5, 1)), middle - half, middle + half)]]


def _wave(h: _Hand) -> list[Stroke]:
    bends, height = h.whole(5, 8), h.between(0.08, 0.25)
    return _turned(h, [[[(i / bends, height * (i % 2)) for i in range(bends + 1)]]], 35)


def _grid(h: _Hand) -> list[Stroke]:
    across, down = h.whole(3, 5), h.whole(3, 5)
    rows: list[Stroke] = [[[(0.0, (i + 0.5) / down), (1.0, (i + 0.5) / down)]] for i in range(down)]
    return rows + [[[((i + 0.5) / across, 0.0), ((i + 0.5) / across, 1.0)]] for i in range(across)]


def _blot(h: _Hand) -> list[Stroke]:
    """Filled in with the pen, row by row of a disc."""
    points: Piece = []
    for i in range(25):
        y = i / 24 * 2 - 1
        half = math.sqrt(1.02 - y * y) * h.between(0.85, 1)
        points.append((half if i % 2 else -half, y))
    return _turned(h, [_straight(*points)], 180)


_SCRIBBLES: dict[Group, tuple[Callable[[_Hand], list[Stroke]], ...]] = {
    "train": (_wander, _zigzag, _spiral, _hatching, _lying_bar, _dots, _crossing_lines, _rings),
    "test": (_crossed_out, _coil, _burst, _flat_arc, _wave, _grid, _blot),
}


def scribbles(count: int, *, seed: int, first: int = 0, size: int = 64, group: Group = "train") -> NDArray[np.uint8]:
    """What a pen leaves that is neither digit nor letter: (count, size, size) uint8, 0 = paper, 255 = full ink.

    "train": wandering lines, zigzags, spirals, hatching, lying bars, dots, lines across each other, rings; "test":
    crossings-out, coils, bursts, flat arcs, waves, grids, blots. `seed`, `first` and `size` as in `digits`.

    Raises DatasetError for another group.
    """
    _check(count, seed, first, size, group)
    kinds = _SCRIBBLES[group]
    out = np.zeros((count, size, size), np.uint8)
    for i in range(count):
        hand = _Hand(2, get_args(Group).index(group), seed, first + i)
        strokes = kinds[hand.whole(0, len(kinds) - 1)](hand)
        out[i] = _draw(hand, strokes, hand.between(0.85, 1.18), size, lean=0.0)
    return out


def _need_digits(labels: Sequence[int] | NDArray[np.integer]) -> NDArray[np.integer]:
    """`labels` as an array (N,). Raises DatasetError for what is no digit."""
    wanted = np.asarray(labels)
    if wanted.ndim != 1 or (wanted.size and not (wanted.dtype.kind in "iu" and 0 <= wanted.min() <= wanted.max() <= 9)):
        raise DatasetError(
            f"labels: got {wanted.shape} {wanted.dtype}, need (N,) whole numbers from 0 to 9. Check what made them."
        )
    return wanted


def _check(count: int, seed: int, first: int, size: int, group: str = "train") -> None:
    """Raises DatasetError for what no picture can be made of."""
    if group not in get_args(Group):
        raise DatasetError(f"group: got {group!r}, need train or test. Choose one of them.")
    for thing, got, least in (("count", count, 0), ("seed", seed, 0), ("first", first, 0), ("size", size, 16)):
        if got < least:
            raise DatasetError(f"{thing}: got {got}, need {least} or more. Check the call.")
