"""What a network looks like and how it is trained, in plain data; `quantised` carries it out, with PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """A convolution, as `modelfile.ConvLayer` has it.

    channels  that it makes; of a depthwise one as many as it takes
    kernel    (height, width)
    top       largest activation: 2**bits - 1
    """

    channels: int
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    pad: int = 0
    pool: int = 1
    depthwise: bool = False
    top: int = 31


@dataclass(frozen=True)
class Dense:
    """A dense layer of so many outputs, as `modelfile.DenseLayer` has it."""

    outputs: int
    top: int = 31


@dataclass(frozen=True)
class Architecture:
    """A network: its layers but for the last, which is dense and follows from the classes, and how far ink is shifted
    down before the first."""

    layers: tuple[Conv | Dense, ...]
    ink_shift: int = 3


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: each part is one cycle of the learning rate, up and down (Smith 2018, arXiv:1803.09820).

    epochs            in floats, with AdamW up to `rate`
    integer_epochs    in integers, with Adam up to `integer_rate` of the mean weight of a layer
    batch             samples a step
    decay             weight decay in floats
    """

    epochs: int = 6
    integer_epochs: int = 3
    batch: int = 128
    rate: float = 6e-3
    integer_rate: float = 0.003
    decay: float = 0.01


@dataclass(frozen=True)
class Teacher:
    """A larger network that never leaves the PC: it learns first, and the one to be trained learns from its answers.

    They say more than a label does: how much this 7 looks like a 1 (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

    schedule  its `integer_epochs` are 0: it stays in floats
    shown     samples that it sees at least: of few it makes more epochs than the schedule's
    share     of its answer in what is to be learned, 0 to 1; the rest is the label's
    count     so many of them, side by side from other seeds; what counts is the mean of their answers
    """

    architecture: Architecture
    schedule: Schedule
    shown: int = 1_000_000
    share: float = 0.7
    count: int = 1
