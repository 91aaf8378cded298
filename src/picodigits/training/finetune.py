"""Teach a shipped model a handwriting: a few dozen captured frames a class, minutes on a laptop.

    captures -> split by session -> frames to learn from, varied -> inks \\
    datasets -> some photographs of others' handwriting          -> inks -> the model's own network, trained on in
                                                                            integers -> calibrate -> compare -> model

What is trained is the model file's network itself, in the integers of the board, so the result has the same layers and
bounds and costs the same on the board. Photographs of the handwriting that it knows are mixed in, so that it forgets
nothing; what was lost, and what was gained, is measured on frames that it did not learn from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picodigits import captures, evaluation, modelfile
from picodigits.captures import NONE, Captures, upright_inks
from picodigits.datasets import Dataset
from picodigits.errors import TrainingError
from picodigits.evaluation import AS_TAKEN, Evaluation
from picodigits.executors import NumpyExecutor
from picodigits.frames import decode, encode, natural_key
from picodigits.modelfile import IntegerLayer
from picodigits.training import calibration, recipes
from picodigits.training.architectures import Schedule
from picodigits.training.dense import Inks, Labels, Progress
from picodigits_board import preprocess
from picodigits_board.modelfile import Model

MAX_LOST = 0.02  # of the handwriting that the model knew, at most this part more may be misread
MAX_UNDECLINED = 0.05  # of frames without a digit, at most this part more may be shown as one
HELD_PART = 4  # about every fourth session is held out, of a single session the last quarter of each class
FEWEST = 3  # captured frames to learn from, at least, of every class that there is

CAPTURED = "captures"  # the source of what was measured on them
LEVEL = "desk"  # of the photographs by which known handwriting is measured
_REHEARSED = 18_000  # photographs of known handwriting, of all datasets together
_REHEARSED_OF_ONE = 8000
_NO_DIGIT = 0.2  # frames without a digit a photograph, as the recipes have it
_VARIED = 6000  # captured frames to learn from, variants included: a third as many as photographs
_MOST_VARIANTS = 48
_MEASURED = 1000  # test images of a dataset
_MEASURED_OF_NONE = 300  # frames of each kind without a digit
_SCHEDULE = Schedule(epochs=0, integer_epochs=8, batch=128, integer_rate=0.003)

_SMOOTH = Image.Resampling.BILINEAR
# Ranges of the variants: no wider than what a hand that holds the same sheet again does.
_TURN = 8.0  # degrees either way
_SHIFT = 4.0  # pixels of an 80x60 frame either way
_GROW = 0.12  # parts either way; of one side alone a third of it
_SHEAR = 0.12
_TIP = 0.0008  # perspective: parts of the size a pixel
_GAIN, _GAMMA, _GRADIENT, _NOISE = 0.2, 0.2, 0.25, 0.02  # light, in parts of it


@dataclass(frozen=True)
class Split:
    """Which captured frames are learned from, and which are held out.

    learned, held  (n,) int64, numbers of frames
    how            what was held out, for people
    optimistic     the held-out frames lie close to those learned from: accuracy on them says more than is true
    """

    learned: NDArray[np.int64]
    held: NDArray[np.int64]
    how: str
    optimistic: bool = False


@dataclass(frozen=True)
class Tuned:
    """A model that learned a handwriting, and how it compares with the one that it was.

    data           the model file
    split          of the captures
    left_out       captured frames that were not learned from because the board sees no whole digit there
    before, after  what base and tuned model read, in the same order: held-out captures (source CAPTURED), the test
                   split of each known handwriting at LEVEL, and of kind NONE all frames without a digit
    worse          what became worse by more than it may, for people; empty: nothing
    """

    data: bytes
    split: Split
    left_out: int
    before: list[Evaluation]
    after: list[Evaluation]
    worse: list[str]

    @property
    def learned_from(self) -> str:
        """How many captures, for people."""
        return _some(len(self.split.learned) - self.left_out, "capture")

    @property
    def notes(self) -> list[str]:
        """What to know about the figures, a sentence each."""
        notes = []
        if self.left_out:
            notes.append(f"{_some(self.left_out, 'capture')} left out: the board finds no digit in them.")
        if self.split.optimistic:
            notes.append(
                "The figures for captures are optimistic: what was held out was taken minutes after what was learned "
                "from, in the same light. Capture the same classes on another day, and train again."
            )
        old, new = self.before[0], self.after[0]
        if not old.kind and new.accuracy <= old.accuracy:
            notes.append("Nothing was gained on the held-out captures: the model read them as well before.")
        return notes


def known_handwriting() -> list[str]:
    """Names of the datasets that the models that ship learned from, as far as they are at hand."""
    return [name for name in calibration.SOURCES if name != "mnist" or evaluation.mnist_is_here()]


def name_for(path: Path) -> str:
    """The name of a model that is written to `path`: the file's, as far as it fits into the 16 bytes that there are."""
    return path.stem.encode()[:16].decode(errors="ignore")


def load_captures(names: Sequence[str]) -> Captures:
    """The captures of all folders `captures:FOLDER`, as of the first one. Raises DatasetError."""
    found = [captures.load(captures.folder_named(name)) for name in names]
    items = tuple(item for part in found for item in part)
    return replace(found[0], items=items, damaged=tuple(text for part in found for text in part.damaged))


def split(taken: Captures) -> Split:
    """Hold out whole sessions, or where that can't be done whole writers, or parts of the only session.

    A writer's last sessions, a quarter of them and one at least, are held out. Where no writer has two, the last
    writers are. With one writer and one session, or where sessions hold different classes, the last quarter of each
    class in each session is, without the frame before it, which shows much the same.
    """
    order = sorted(range(len(taken)), key=lambda i: (taken[i].time, taken[i].number))
    keys = [(item.writer, item.session) for item in taken]
    labels = np.array(taken.labels)
    sessions: dict[str, list[tuple[str, str]]] = {}
    for writer, session in dict.fromkeys(keys[i] for i in order):
        sessions.setdefault(writer, []).append((writer, session))
    repeated = [of_one for of_one in sessions.values() if len(of_one) > 1]
    held: list[tuple[str, str]] = []
    how = ""
    if repeated:
        held = [key for of_one in repeated for key in of_one[-_part(len(of_one)) :]]
        how = f"{_some(len(held), 'session')}: {_listed([session for _, session in held])}"
    elif len(sessions) > 1:
        held = [key for of_one in list(sessions.values())[-_part(len(sessions)) :] for key in of_one]
        how = f"{_some(len(held), 'writer')}: {_listed([writer for writer, _ in held])}"
    chosen = np.array([key in held for key in keys])
    if held and set(labels[chosen]) <= set(labels[~chosen]):
        return Split(np.flatnonzero(~chosen), np.flatnonzero(chosen), how)
    learned: list[int] = []
    last: list[int] = []
    for group in dict.fromkeys((keys[i], taken[i].label) for i in order):
        here = [i for i in order if (keys[i], taken[i].label) == group]
        first = len(here) - _part(len(here))
        learned += here[: max(first - 1, 0)]
        last += here[first:]
    why = "sessions hold different classes" if held else "there is one session"
    how = f"the last quarter of each class, since {why}"
    return Split(np.sort(np.array(learned, np.int64)), np.sort(np.array(last, np.int64)), how, optimistic=True)


def variants(frame: NDArray[np.uint16], times: int, *, seed: int | Sequence[int] = 0) -> NDArray[np.uint16]:
    """Frames (times, H, W) uint16 RGB565_SWAPPED of a frame (H, W): as it is, then as if the sheet had been held a
    little otherwise, in another light."""
    height, width = frame.shape
    pad = height // 2
    wide = Image.fromarray(np.pad(decode(frame), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    rng = np.random.default_rng(seed)
    made = np.repeat(frame[np.newaxis], times, axis=0)
    for k in range(1, times):
        view = wide.transform((width, height), Image.Transform.PERSPECTIVE, _view(rng, height, width, pad), _SMOOTH)
        light = np.asarray(view, np.float32) / 255
        toward = rng.uniform(0, 2 * math.pi)
        falling = rng.uniform(0, _GRADIENT) * (across * math.cos(toward) + down * math.sin(toward))
        light = light ** np.float32(math.exp(rng.uniform(-_GAMMA, _GAMMA)))
        light *= ((1 + falling) * rng.uniform(1 - _GAIN, 1 + _GAIN / 2)).astype(np.float32)[..., None]
        light += np.float32(rng.uniform(0, _NOISE)) * rng.standard_normal(light.shape, np.float32)
        made[k] = encode((light.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    return made


def tune(
    base: Model,
    taken: Captures,
    known: Sequence[Dataset],
    tests: Sequence[Dataset],
    progress: Progress = lambda stage, done, total: None,
    *,
    name: str = "",
    seed: int = 0,
    jobs: int = 2,
) -> Tuned:
    """The model `base` after it learned from captures, measured before and after.

    known      training splits of the handwriting that it is to keep, one at least; tests  their test splits
    name       of the new model, 16 bytes at most; empty: the base's
    jobs       processes, for calibrating and measuring
    The same seed gives the same file. Raises TrainingError for captures of classes that `base` does not have, or too
    few of them, for datasets of other classes, for a model whose sums need more than 16 bits, and without PyTorch.
    """
    labels = _numbers(base, taken)
    for dataset in known:
        if list(dataset.class_names) != base.labels:
            raise TrainingError(
                f"{dataset.name}: got classes {' '.join(dataset.class_names)}, need {' '.join(base.labels)} as in "
                f"{base.name}. Rehearse what the model was made for."
            )
    quantised = recipes.pytorch("learning from captures")
    net = quantised.network_of(base)
    parts = split(taken)
    inks, answers, left_out = _captured(base, taken, labels, parts.learned, progress, seed)
    _need_equal(net, base, inks)
    layers = quantised.tune_network(
        net, inks, answers, _rehearsal(base, known, progress, seed), progress, schedule=_SCHEDULE, seed=seed
    )
    data = calibration.recalibrate(_with(base, layers, name or base.name), known, progress, jobs=jobs)
    sets = evaluation.captured(_some_of(taken, parts.held), base.labels)
    for test in tests:
        sets += evaluation.digits_of(test, [LEVEL], limit=_MEASURED)
    if base.rejects and tests:
        sets += evaluation.no_digits(tests[0].images, [LEVEL], count=_MEASURED_OF_NONE)
    read = evaluation.evaluate([base, modelfile.parse(data)], sets, progress, jobs=jobs)
    before, after = (_grouped(results) for results in read)
    return Tuned(data, parts, left_out, before, after, _worse(before, after))


def _some_of(taken: Captures, numbers: NDArray[np.int64]) -> Captures:
    return replace(taken, items=tuple(taken[int(i)] for i in numbers))


def _numbers(base: Model, taken: Captures) -> Labels:
    """(N,) the column of the scores that each label stands for; that of NONE lies behind the classes, also where the
    model does not reject. Raises TrainingError."""
    strange = sorted(set(taken.labels) - {*base.labels, NONE}, key=natural_key)
    if strange:
        raise TrainingError(
            f"{taken.folder}: got captures of {', '.join(strange)}, need {' '.join(base.labels)} or {NONE} as in "
            f"{base.name}. A model keeps its classes: put wrong labels right with picodigits data review, or make a "
            f"model of new classes: picodigits data export captures:{taken.folder} --out NEW, then picodigits train "
            "mlp --data folder:NEW."
        )
    found = taken.indices(base.labels)
    return np.where(found < 0, base.classes, found)


def _captured(
    base: Model, taken: Captures, labels: Labels, learned: NDArray[np.int64], progress: Progress, seed: int
) -> tuple[Inks, Labels, int]:
    """Inks of the captures `learned` and of their variants, their labels, and how many digits were of no use."""
    shape = (base.ink_height, base.ink_width)
    chosen = np.isin(np.arange(len(taken)), learned)
    good = _useful(base, taken.inks(base.preprocess_id, shape).statuses, labels) & chosen
    digits = np.unique(labels[labels < base.classes])
    few = [base.labels[label] for label in digits if good[labels == label].sum() < FEWEST]
    if few or not len(digits):
        raise TrainingError(
            f"{taken.folder}: got fewer than {FEWEST} frames of {', '.join(few) or 'any class'} to learn from in which "
            "the board finds a digit, need more; a few dozen of each, in two sessions or more, are good. Take them "
            "with picodigits capture."
        )
    times = min(max(_VARIED // int(good.sum()), 2), _MOST_VARIANTS)
    inks, answers = [], []
    for done, i in enumerate(np.flatnonzero(good).tolist()):
        if done % 16 == 0:
            progress("varying what was captured", done, int(good.sum()))
        item = taken[i]
        views = variants(item.frame, times, seed=[seed, item.number])
        made = upright_inks(views, base.preprocess_id, shape, item.transpose)
        numbers = np.full(times, labels[i])
        seen = _useful(base, made.statuses, numbers)
        inks.append(made.inks[seen])
        answers.append(numbers[seen])
    progress("varying what was captured", int(good.sum()), int(good.sum()))
    return np.concatenate(inks), np.concatenate(answers), int((chosen & ~good & (labels < base.classes)).sum())


def _useful(base: Model, statuses: NDArray[np.uint8], labels: Labels) -> NDArray[np.bool_]:
    """What to learn from: a digit that was found, if only in part, and no digit that passes for one."""
    digit = labels < base.classes
    part = np.isin(statuses, (preprocess.TOUCHES_EDGE, preprocess.TOO_SMALL))
    useful: NDArray[np.bool_] = np.equal(statuses, preprocess.FOUND) & (digit | base.rejects) | part & digit
    return useful


def _rehearsal(base: Model, known: Sequence[Dataset], progress: Progress, seed: int) -> Inks:
    """Inks of photographs of known handwriting, none of those held back for calibrating, and of no digit."""
    shape = (base.ink_height, base.ink_width)
    each = min(_REHEARSED // len(known), _REHEARSED_OF_ONE)
    chosen = []
    for number, dataset in enumerate(known):
        learned = np.flatnonzero(~calibration.held_back(np.arange(len(dataset))))
        chosen.append(dataset.take(np.resize(np.random.default_rng([seed, number]).permutation(learned), each)))
    recipe = recipes.Recipe(
        base.name, "network", base.preprocess_id, shape, (), ("wide",), no_digit=_NO_DIGIT if base.rejects else 0.0
    )
    return recipes.inks_of(recipe, chosen, progress, seed=seed, fewest=0).inks


def _need_equal(net: Any, base: Model, inks: Inks) -> None:
    """Make sure that what goes on learning is what the board runs. Raises TrainingError."""
    if not np.array_equal(net.scores(inks), NumpyExecutor(base).scores(inks)):
        raise TrainingError(
            f"{base.name}: got other scores from the network to train than from the model file, need the same. "
            "Report it with the model file."
        )


def _with(base: Model, layers: Sequence[IntegerLayer], name: str) -> bytes:
    return modelfile.pack(
        name=name,
        preprocess_id=base.preprocess_id,
        ink_shape=(base.ink_height, base.ink_width),
        labels=base.labels,
        layers=layers,
        octave=base.octave,
        min_confidence=base.min_confidence,
        rejects=base.rejects,
        ink_shift=base.ink_shift,
    )


def _grouped(results: Sequence[Evaluation]) -> list[Evaluation]:
    """One for all captures, whatever camera took them, one a source of known handwriting, one for no digit."""
    groups: dict[tuple[str, str, str], list[Evaluation]] = {}
    for item in results:
        source = CAPTURED if item.level == AS_TAKEN else item.source
        groups.setdefault((source, item.level, NONE if item.kind else ""), []).append(item)
    columns = ("labels", "best", "decisions", "confidences", "statuses", "scores")
    return [
        Evaluation(*key, *(np.concatenate([getattr(item, name) for item in items]) for name in columns))
        for key, items in groups.items()
    ]


def _worse(before: Sequence[Evaluation], after: Sequence[Evaluation]) -> list[str]:
    """What became worse by more than it may."""
    found = []
    for old, new in zip(before, after, strict=True):
        if old.kind:
            lost, may, told = old.declined - new.declined, MAX_UNDECLINED, ("declined", old.declined, new.declined)
        else:
            may = 0 if old.level == AS_TAKEN else MAX_LOST
            lost, told = old.accuracy - new.accuracy, ("read right", old.accuracy, new.accuracy)
        if lost > may + 1e-9:
            found.append(f"{old.source}, {old.level}: {100 * told[2]:.1f} % {told[0]}, {100 * told[1]:.1f} % before")
    return found


def _view(rng: np.random.Generator, height: int, width: int, pad: int) -> tuple[float, ...]:
    """Pillow's eight numbers of a perspective: from pixels of the frame to those of the frame with its border."""
    turn = math.radians(rng.uniform(-_TURN, _TURN))
    grow, narrow, shear = rng.uniform(-_GROW, _GROW), rng.uniform(-_GROW, _GROW) / 3, rng.uniform(-_SHEAR, _SHEAR)
    unit = height / 60
    shift = rng.uniform(-_SHIFT * unit, _SHIFT * unit, 2)
    tip = rng.uniform(-_TIP, _TIP, 2) / unit
    lean = np.array([[1.0, shear], [0.0, 1.0]])
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turned @ lean @ np.diag([1 + grow + narrow, 1 + grow - narrow])
    matrix[:2, 2] = shift
    matrix[2, :2] = tip
    middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    back = np.array([[1, 0, width / 2 + pad], [0, 1, height / 2 + pad], [0, 0, 1]])
    whole = back @ matrix @ middle
    whole /= whole[2, 2]
    return tuple(whole.ravel()[:8].tolist())


def _part(count: int) -> int:
    return max(1, round(count / HELD_PART))


def _some(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count > 1)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
