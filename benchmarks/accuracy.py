"""How well the shipped models read: every model, dataset and level of care, test writers only, into accuracy.csv.

    PICODIGITS_DATA=FOLDER python benchmarks/accuracy.py

Needs MNIST (picodigits data get mnist) and about three minutes. Reproducible: seeds are fixed, no timestamps; a row
names the model file by its CRC32. The README's table is checked against the result by tests/test_docs.py.
"""

from __future__ import annotations

import csv
import struct
from pathlib import Path

from rich.progress import track

from picodigits import datasets, modelfile
from picodigits.training import recipes

OUT = Path(__file__).with_name("accuracy.csv")
FIELDS = ("model", "crc32", "data", "care", "samples", "right_percent", "declined_percent", "shown_wrong_percent")


def main() -> None:
    """Measure and write."""
    rows = []
    jobs = [
        (model, data, care)
        for model in modelfile.pretrained()
        for data in ("mnist", "digits")
        for care in ("studio", "desk")
    ]
    for name, data, care in track(jobs, "measuring"):
        model = modelfile.find(name)
        test = datasets.load(data, "test")
        result = recipes.evaluate(model.data, test, care, lambda stage, done, total: None)
        (crc,) = struct.unpack("<I", model.data[-4:])
        rows.append(
            (
                name,
                f"{crc:08x}",
                data,
                care,
                len(result.labels),
                f"{100 * result.accuracy:.2f}",
                f"{100 * result.declined:.2f}",
                f"{100 * result.wrong:.2f}",
            )
        )
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(rows)
    print(OUT)


if __name__ == "__main__":
    main()
