"""How well the shipped models read: every model on every held-out set (`picodigits.evaluation`) -> accuracy.csv.

    PICODIGITS_DATA=FOLDER python benchmarks/accuracy.py
    PICODIGITS_DATA=FOLDER python benchmarks/accuracy.py --model mine.pdm --limit 500 --out mine.csv

Test images only: MNIST's 10 000, scikit-learn's 719 and 2 000 of synthetic writers at four levels of care, and
300 frames of every kind without a digit at two. Needs MNIST (picodigits data get mnist) and about five minutes on two
cores. Reproducible: seeds are fixed, no timestamps; a row names the model file by its CRC32. `right_percent` is with
declining switched off, the other two with it on. What further looks are worth: `first_look_percent` is right with the
first look alone, `board_percent` where only whole digits are looked at again, as on the board, which does so with
`again_percent` of the frames. Tables of the documents are checked against it by tests/test_docs.py.
"""

from __future__ import annotations

import argparse
import csv
import struct
from pathlib import Path

import numpy as np
from rich.progress import Progress

from picodigits import evaluation, modelfile
from picodigits.evaluation import Evaluation
from picodigits_board import preprocess
from picodigits_board.decide import Decider
from picodigits_board.modelfile import Model

OUT = Path(__file__).with_name("accuracy.csv")
FIELDS = (
    "model", "crc32", "source", "kind", "level", "frames", "right_percent", "declined_percent", "shown_wrong_percent",
    "coverage_area_percent", "calibration_error_points", "first_look_percent", "board_percent", "again_percent",
)  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="only these names or files; may repeat")
    parser.add_argument("--limit", type=int, default=0, help="frames in a set, at most; 0: all")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()

    models = [modelfile.find(name) for name in options.model or modelfile.pretrained()]
    sources = [*evaluation.SOURCES, evaluation.NO_DIGIT]
    sets = evaluation.held_out(sources, [], models[0].labels, limit=options.limit)
    with Progress() as bar:
        tasks = {source: bar.add_task(f"reading {source}", total=None) for source in sources}

        def tell(stage: str, done: int, total: int) -> None:
            bar.update(tasks[stage.removeprefix("reading ")], completed=done, total=total)

        results = evaluation.evaluate(models, sets, tell, jobs=options.jobs)
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for model, row in zip(models, results, strict=True):
            writer.writerows(_line(model, result) for result in row)
    print(options.out)


def _line(model: Model, result: Evaluation) -> tuple[str | int, ...]:
    (crc,) = struct.unpack("<I", model.data[-4:])
    line = (model.name, f"{crc:08x}", result.source, result.kind, result.level, len(result.labels))
    declined = f"{100 * result.declined:.2f}", f"{100 * result.wrong:.2f}"
    if result.kind:
        return (*line, "", *declined, "", "", "", "", "")
    quality = f"{100 * result.coverage().area:.2f}", f"{100 * result.reliability().error:.2f}"
    return (*line, f"{100 * result.accuracy:.2f}", *declined, *quality, *_looks(model, result))


def _looks(model: Model, result: Evaluation) -> tuple[str, str, str]:
    first = result.scores[:, : model.classes].argmax(axis=1)
    found = np.equal(result.statuses, preprocess.FOUND)
    again = 0
    if preprocess.make(model.preprocess_id, model.ink_height, model.ink_width).looks > 1:
        decider = Decider(model.octave, model.min_confidence, model.rejects)
        again = sum(not decider.sure(decider.likelihoods(row)) for row in result.scores[found].tolist())
    right = first == result.labels, np.where(found, result.best, first) == result.labels
    return f"{100 * right[0].mean():.2f}", f"{100 * right[1].mean():.2f}", f"{100 * again / len(found):.2f}"


if __name__ == "__main__":
    main()
