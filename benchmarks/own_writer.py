"""What captures of one's own handwriting are worth: a writer whose 1s, 4s and 7s the shipped models misread -> CSV.

    PICODIGITS_DATA=FOLDER python benchmarks/own_writer.py
    PICODIGITS_DATA=FOLDER python benchmarks/own_writer.py --model fast --each 24 --out mine.csv
    python benchmarks/own_writer.py --tables    # the figures of docs/retrain.md from the CSV, without measuring

The writer is simulated (`writers.own_hand`) and was in no training. Three sittings are photographed at a desk, each
with light, paper and camera of its own, saved as captures, and learned from as `picodigits train --data
captures:FOLDER` does: from two, and the third is held out. Then base and tuned model read ten more sittings that took
no part, and MNIST's test images at the desk. `--each` is how many frames of a digit there are in a sitting. No
timestamps, fixed seeds; `cpu_seconds` are those of the whole `train`, its measuring included, on the machine at hand.
About ten minutes on one core. The tables in docs/retrain.md are checked against the CSV by
tests/test_finetune.py. Needs PyTorch and MNIST.
"""

from __future__ import annotations

import argparse
import csv
import re
import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from picodigits import camera, captures, datasets, evaluation, modelfile, writers
from picodigits.evaluation import AS_TAKEN, Evaluation, HeldOut
from picodigits.training import finetune
from picodigits_board.modelfile import Model

OUT = Path(__file__).with_name("own_writer.csv")
DOCUMENT = Path(__file__).parent.parent / "docs" / "retrain.md"
FIELDS = (
    "model", "crc32", "each", "set", "written", "frames", "right_before", "right_after", "shown_right_before",
    "shown_right_after", "cpu_seconds",
)  # fmt: skip
WRITER = "marie"
KNOWN = ("mnist", "digits", "strokes")
MODELS = ("tiny", "fast", "best")
MORE = [("fast", 8), ("fast", 4), ("fast", 12)]
LATER = range(11, 21)  # sittings that take no part in the training
LATER_EACH = 10
NARROW = 0.35  # of a range of the desk's, the part that stays the same throughout a sitting


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="only these; default: all that can learn")
    parser.add_argument("--each", type=int, action="append", help="default: 24, and for fast fewer too")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--tables", action="store_true", help="only put the figures of --out into docs/retrain.md")
    options = parser.parse_args()
    if options.tables:
        write_tables(options.out)
        return

    known, tests = ([datasets.load(name, split) for name in KNOWN] for split in ("train", "test"))
    later = [sitting(number, LATER_EACH) for number in LATER]
    frames, labels = (np.concatenate(column) for column in zip(*later, strict=True))
    sets = [HeldOut("later", AS_TAKEN, frames, labels), *evaluation.digits_of(tests[0], ["desk"])]
    rows: list[Sequence[str | int]] = []
    runs = [(name, each) for name in options.model or MODELS for each in options.each or [24]]
    if not options.each and not options.model:
        runs += MORE
    with Progress() as bar:
        task = bar.add_task("", total=None)
        for name, each in runs:
            base = modelfile.find(name)

            def tell(stage: str, done: int, total: int, what: str = f"{name}, {each} of a digit") -> None:
                bar.update(task, description=f"{what}: {stage}", completed=done, total=total)

            with tempfile.TemporaryDirectory() as folder:
                save(Path(folder), each)
                started = time.process_time()
                tuned = finetune.tune(base, captures.load(folder), known, tests, tell, name="mine", jobs=1)
                seconds = time.process_time() - started
            (was, knew), (now, knows) = evaluation.evaluate([base, modelfile.parse(tuned.data)], sets, tell, jobs=1)
            compared = {
                "held out": (tuned.before[0], tuned.after[0]),
                "later": (was, now),
                "mnist, desk": (knew, knows),
            }
            for what, (before, after) in compared.items():
                rows += lines(base, each, what, before, after, seconds)
            before, after = tuned.before[-1], tuned.after[-1]
            declined = f"{100 * before.declined:.2f}", f"{100 * after.declined:.2f}"
            rows.append((*key(base, each), "no digit, declined", "", len(before.labels), *declined, "", "", ""))
            with options.out.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(FIELDS)
                writer.writerows(rows)
    print(options.out)


def write_tables(path: Path) -> None:
    """Put the figures of the CSV at `path` into the document, in place of those that are there."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {(row["model"], row["each"], row["set"], row["written"]): row for row in rows}
    runs = sorted({(row["model"], int(row["each"])) for row in rows}, key=lambda run: (MODELS.index(run[0]), run[1]))
    ways = ("right_before", "right_after", "shown_right_before", "shown_right_after")
    models, none = [], []
    for model, each in runs:
        later, mnist = (found[model, str(each), what, "all"] for what in ("later", "mnist, desk"))
        cells = [later[way] for way in ways] + [mnist[way] for way in ways[:2]]
        models.append(f"| `{model}` | {2 * each} | {' | '.join(cells)} | {later['cpu_seconds']} s |")
        if each == 24:
            row = found[model, "24", "no digit, declined", ""]
            none.append(f"{row['right_before']} before and {row['right_after']} after (`{model}`)")
    digits = [
        f"| {digit} | {' | '.join(found['fast', '24', 'later', str(digit)][way] for way in ways)} |"
        for digit in range(10)
    ]
    text = DOCUMENT.read_text("utf-8")
    for pattern, made in ((r"(?m)(^\| `\w+` \| \d+ \|.*\n)+", models), (r"(?m)(^\| \d \|.*\n)+", digits)):
        text = re.sub(pattern, "\n".join(made) + "\n", text, count=1)
    text = re.sub(r"(?m)^[\d.]+ before and .*\.$", ", ".join(none) + ".", text, count=1)
    DOCUMENT.write_text(text, "utf-8")
    print(DOCUMENT)


def sitting(number: int, each: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Frames (10 * each, 60, 80) uint16 of one sitting, and their labels: each digit in turn."""
    rng = np.random.default_rng([number, 77])
    desk = camera.CARE["desk"]
    assert isinstance(desk, camera.Care)
    narrowed = {}
    for field in fields(desk):
        value = getattr(desk, field.name)
        if isinstance(value, tuple):
            wide = (value[1] - value[0]) * NARROW
            low = value[0] + rng.uniform() * (value[1] - value[0] - wide)
            narrowed[field.name] = (low, low + wide)
    labels = np.repeat(np.arange(10), each)
    return camera.photograph(writers.own_hand(labels, seed=number), replace(desk, **narrowed), seed=number), labels


def save(folder: Path, each: int) -> None:
    """Three sittings as `picodigits capture` leaves them."""
    for day in (1, 2, 3):
        frames, labels = sitting(day, each)
        for i, (frame, label) in enumerate(zip(frames, labels.tolist(), strict=True)):
            captures.save(
                folder, frame, label=str(label), writer=WRITER, session=f"{WRITER}-2026110{day}-180000",
                number=1 + (day - 1) * len(frames) + i, time=f"2026-11-0{day}T18:00:00+00:00",
            )  # fmt: skip


def key(base: Model, each: int) -> tuple[str | int, ...]:
    """What a row begins with."""
    (crc,) = struct.unpack("<I", base.data[-4:])
    return base.name, f"{crc:08x}", each


def lines(
    base: Model, each: int, what: str, before: Evaluation, after: Evaluation, seconds: float
) -> list[tuple[str | int, ...]]:
    """A row for all frames of a set, and of the writer's one a digit."""
    made = []
    for label in (None, *(np.unique(before.labels).tolist() if before.level == AS_TAKEN else ())):
        here = np.ones(len(before.labels), bool) if label is None else before.labels == label
        parts = [
            f"{100 * float((read[here] == before.labels[here]).mean()):.2f}"
            for read in (before.best, after.best, before.decisions, after.decisions)
        ]
        whole = label is None
        written = "all" if whole else base.labels[label]
        made.append((*key(base, each), what, written, int(here.sum()), *parts, f"{seconds:.0f}" if whole else ""))
    return made


if __name__ == "__main__":
    main()
